"""The booster: XGBoost in training, a compiled walk over its trees in serving.

The model is whatever XGBoost saved as JSON; nothing else about it is stored. A row is float32 with
NaN for what is not known, which every split knows how to send on.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xgboost
from numpy.typing import NDArray

from graph.errors import Incompatible, InvalidSetting
from scorer.trees import (
    Forest,
    contributions_of_row,
    margin_of_row,
    margins_of_rows,
    read_forest,
)

THREADS: Final = 2


@dataclass(frozen=True, slots=True)
class BoosterSettings:
    """How the trees are grown.

    Attributes:
        rounds: Trees at most; early stopping usually ends sooner.
        patience: Rounds without a better average precision on the later slice before it stops.
        depth: Splits from root to leaf at most.
        learning_rate: Share of each tree's answer that is kept.
        min_child_weight: Hessian a leaf must hold: keeps leaves from naming single frauds.
        row_share: Rows each tree sees.
        feature_share: Features each tree sees.
        l2: Ridge on leaf values.
        positive_weight: Weight of a fraud against a legitimate row. 1 keeps the probabilities at
            the natural rate; calibration then has little to undo.
    """

    rounds: int = 400
    patience: int = 40
    depth: int = 6
    learning_rate: float = 0.05
    min_child_weight: float = 2.0
    row_share: float = 0.8
    feature_share: float = 0.6
    l2: float = 2.0
    positive_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Booster:
    """Trees that answer one row in a few microseconds.

    Attributes:
        names: Feature names in the order of a row's columns.
        forest: The trees as arrays.
        saved: The model as XGBoost saved it (JSON).
    """

    names: tuple[str, ...]
    forest: Forest
    saved: bytes

    @classmethod
    def from_json(cls, saved: bytes, names: tuple[str, ...]) -> "Booster":
        """Read what XGBoost saved.

        Raises:
            Incompatible: It cannot be served, or has another number of features than `names`.
        """
        forest = read_forest(saved)
        if forest.width != len(names):
            raise Incompatible(
                f"the model was trained on {forest.width} features",
                field="model.json",
                value=f"{len(names)} names",
                remedy="Train the model again with the present feature set.",
            )
        return cls(names=names, forest=forest, saved=saved)

    @property
    def tree_count(self) -> int:
        """Number of trees that are summed."""
        return len(self.forest.roots)

    def margin(self, row: NDArray[np.float32]) -> float:
        """Log-odds of fraud of one row, float32 [F] with NaN for the unknown.

        Raises:
            ValueError: The row has another type or width than the model's.
        """
        forest = self.forest
        if row.dtype != np.float32 or row.shape != (forest.width,):
            raise ValueError(f"a row is float32 [{forest.width}], not {row.dtype} {row.shape}")
        return float(margin_of_row(forest.nodes, forest.roots, forest.base, forest.depth, row))

    def margins(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-odds of each of `rows`, float32 [R, F], with the bits `margin` gives: float32 [R].

        Raises:
            ValueError: The rows have another type or width than the model's.
        """
        forest = self.forest
        if rows.dtype != np.float32 or rows.ndim != 2 or rows.shape[1] != forest.width:
            raise ValueError(f"rows are float32 [R, {forest.width}], not {rows.dtype} {rows.shape}")
        out = np.empty(len(rows), dtype=np.float32)
        margins_of_rows(
            forest.nodes,
            forest.roots,
            forest.base,
            forest.depth,
            np.ascontiguousarray(rows),
            out,
        )
        return out

    def predict(self, row: NDArray[np.float32]) -> float:
        """Uncalibrated probability of one row, as `xgboost.Booster.predict` gives it (1e-6)."""
        return sigmoid(self.margin(row))

    def predict_batch(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Uncalibrated probabilities of rows, float64 [R]."""
        margins = self.margins(rows)
        return np.array([sigmoid(float(margin)) for margin in margins])

    def contributions(self, row: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
        """What each feature of one row added to the margin, float64 [F], and the starting margin.

        Saabas' path method: the parts and the start add up to the margin (to float rounding), but
        credit is given along the walked path only, not averaged over all orders as SHAP does. Good
        for saying what a verdict rested on, not for comparing features between models.
        """
        forest = self.forest
        out = np.zeros(forest.width, dtype=np.float64)
        start = contributions_of_row(
            forest.nodes, forest.means, forest.roots, forest.depth, row, out
        )
        return out, float(forest.base) + start


def sigmoid(margin: float) -> float:
    """Probability of a log-odds, without overflow at either end."""
    if margin >= 0:
        return 1.0 / (1.0 + math.exp(-margin))
    grown = math.exp(margin)
    return grown / (1.0 + grown)


def log_odds(probability: float) -> float:
    """Log-odds of a probability strictly between 0 and 1."""
    return math.log(probability / (1.0 - probability))


def fit_booster(
    rows: NDArray[np.float32],
    fraud: NDArray[np.bool_],
    later_rows: NDArray[np.float32],
    later_fraud: NDArray[np.bool_],
    names: tuple[str, ...],
    settings: BoosterSettings,
    seed: int,
) -> Booster:
    """Grow trees on `rows`, stop early by average precision on the later slice.

    Equal input and seed give equal trees: histograms are built by a fixed number of threads.

    Args:
        rows: float32 [R, F], NaN for the unknown.
        fraud: bool [R].
        later_rows: float32 [S, F], later than `rows`.
        later_fraud: bool [S].
        names: Feature names, in column order.
        settings: How the trees are grown.
        seed: Seed of the row and feature sampling.

    Raises:
        InvalidSetting: One of the slices does not hold both classes, so nothing can be learned.
    """
    for name, labels in (("training slice", fraud), ("later slice", later_fraud)):
        if labels.all() or not labels.any():
            raise InvalidSetting(
                "learning needs fraud and legitimate transactions in every slice",
                field=name,
                value=f"{int(labels.sum())} frauds of {len(labels)} labelled",
                remedy="Give a longer history, or move the dates of the split.",
            )
    parameters: dict[str, Any] = {
        "objective": "binary:logistic",
        "eval_metric": "aucpr",
        "tree_method": "hist",
        "nthread": THREADS,
        "seed": seed,
        "max_depth": settings.depth,
        "eta": settings.learning_rate,
        "min_child_weight": settings.min_child_weight,
        "subsample": settings.row_share,
        "colsample_bytree": settings.feature_share,
        "lambda": settings.l2,
        "scale_pos_weight": settings.positive_weight,
        "base_score": float(fraud.mean()),
    }
    learned = xgboost.QuantileDMatrix(rows, label=fraud, feature_names=list(names))
    later = xgboost.QuantileDMatrix(
        later_rows, label=later_fraud, feature_names=list(names), ref=learned
    )
    grown = xgboost.train(
        parameters,
        learned,
        num_boost_round=settings.rounds,
        evals=[(later, "later")],
        early_stopping_rounds=settings.patience,
        verbose_eval=False,
    )
    kept = grown[: grown.best_iteration + 1]
    kept.set_attr(best_score=None, best_iteration=None)
    return Booster.from_json(bytes(kept.save_raw("json")), names)
