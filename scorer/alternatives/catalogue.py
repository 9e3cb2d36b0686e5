"""The catalogue: every alternative that `ringfence evaluate --ladder` tries, in its order.

Whole models stand on both sets of columns: were XGBoost a weak choice without the graph, the
graph's gain would be flattered. What is done about rare fraud is tried where it would be used, on
all columns.
"""

from typing import Final

from scorer.alternatives.alternative import Alternative
from scorer.alternatives.balanced_forest import BalancedForest
from scorer.alternatives.class_weights import weigh_classes
from scorer.alternatives.easy_ensemble import EasyEnsemble
from scorer.alternatives.focal_loss import FocalLoss
from scorer.alternatives.isolation_score import WithIsolationScore
from scorer.alternatives.lesson import Learner
from scorer.alternatives.lightgbm_trees import LightgbmTrees
from scorer.alternatives.smote_tomek import SmoteTomek
from scorer.alternatives.train_extra import library
from scorer.alternatives.tuned_trees import TunedTrees
from scorer.alternatives.under_sampling import under_sample
from scorer.alternatives.xgboost_trees import XgboostTrees
from scorer.first_tier import FirstTier
from scorer.fitting import BoosterSettings
from scorer.ladder import Rung

CONTROLS: Final = 3
"""Other seeds of the same trees on each set of columns."""


def alternatives(settings: BoosterSettings | None = None) -> tuple[Rung, ...]:
    """All of them as rungs.

    Args:
        settings: How the trees that ship are grown; the defaults if left out.

    Raises:
        InvalidSetting: A library of the extra `train` is not installed; better told before an
            hour of replay than after it.
    """
    for module in ("lightgbm", "imblearn"):
        library(module)
    trees = settings or BoosterSettings()
    models: tuple[tuple[str, str, Learner], ...] = (
        ("lightgbm", "LightGBM", LightgbmTrees(trees)),
        ("balanced_forest", "a balanced random forest", BalancedForest()),
        ("easy_ensemble", "an EasyEnsemble", EasyEnsemble()),
    )
    rare: tuple[tuple[str, str, Learner], ...] = (
        (
            "isolation_score",
            "an isolation score as one more feature",
            WithIsolationScore(XgboostTrees(trees)),
        ),
        (
            "class_weights",
            "XGBoost with balanced class weights",
            XgboostTrees(trees, weigh_classes),
        ),
        ("focal_loss", "XGBoost with focal loss", XgboostTrees(trees, objective=FocalLoss())),
        (
            "under_sampling",
            "XGBoost on as many legitimate rows as frauds",
            XgboostTrees(trees, under_sample),
        ),
        ("smote_tomek", "XGBoost after SMOTE and Tomek links", SmoteTomek(trees)),
    )
    return (
        *(
            Alternative(
                f"{base}_seed_{other}",
                f"{said} with another seed ({other})",
                base,
                XgboostTrees(trees),
                graph=base == "graph",
                other_seed=other,
            )
            for base, said in (
                ("tabular", "the tabular XGBoost"),
                ("graph", "XGBoost on all columns"),
            )
            for other in range(1, CONTROLS + 1)
        ),
        FirstTier(trees),
        *(
            Alternative(
                f"tabular_{name}", f"{words} without the graph", "tabular", learner, graph=False
            )
            for name, words, learner in models
        ),
        TunedTrees("tabular_tuned", "the tuned tabular XGBoost", "tabular", trees, graph=False),
        TunedTrees("tuned", "the tuned XGBoost", "graph", trees),
        *(Alternative(name, words, "graph", learner) for name, words, learner in (*models, *rare)),
    )
