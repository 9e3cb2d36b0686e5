"""Rungs: what is learned from the same rows with ever more of the graph.

`tabular` uses no feature that needs the graph, `graph` all of them. `memory` adds what is recalled
of the parties' recent scores, `blend` ring score and evidence as well: what a verdict says.
"""

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from graph.errors import InvalidSetting
from scorer.artefact import TrainedModel
from scorer.batch_scores import BatchScore
from scorer.decision import Policy
from scorer.fitting import BoosterSettings
from scorer.history_replay import Progress
from scorer.ladder import Clock
from scorer.metrics import Scores
from scorer.risk_stack import learn_stack, score_history
from scorer.splits import Split
from scorer.table import Rows, Table
from scorer.training import Learned, learn_from

_LEARNED: Final = ("tabular", "graph")
"""What trees are grown for."""
_SHARES_ROWS: Final = 2_000
_MODEL_SCORE, _SCORE = (BatchScore._fields.index(name) for name in ("model_score", "score"))


@dataclass(frozen=True, slots=True)
class Rungs:
    """Scores of the test by rung, and the model that the last two rungs are.

    Attributes:
        scores: Probabilities of the test rows by rung, float64 [R] each.
        model: The model whose verdicts the blend's scores are.
        learned: What was learned by rung; empty where the model was given.
        seconds: How long that took by rung, where a clock was given.
    """

    scores: Mapping[str, Scores]
    model: TrainedModel
    learned: Mapping[str, Learned]
    seconds: Mapping[str, float] = field(default_factory=dict)


def learn_rungs(
    table: Table,
    split: Split,
    settings: BoosterSettings,
    seed: int,
    progress: Progress,
    clock: Clock | None = None,
) -> Rungs:
    """Learn them from the past of a split, score its test; a `clock` times them.

    Raises:
        InvalidSetting: A slice of the past lacks fraud or legitimate transactions.
    """

    def learn(rung: str) -> tuple[Learned, float]:
        columns = table.schema.columns(graph=rung == "graph")
        began = clock() if clock else 0.0
        found = learn_from(table, split, columns, settings, seed, stacked=rung == "graph")
        return found, clock() - began if clock else 0.0

    for rung in _LEARNED:
        progress(f"learn {rung}", len(table.schema.columns(graph=rung == "graph")))
    # Beside each other, for most of it is XGBoost's and our kernels', which need no interpreter;
    # one after the other where they are timed.
    with ThreadPoolExecutor(1 if clock else len(_LEARNED)) as pool:
        found = dict(zip(_LEARNED, pool.map(learn, _LEARNED), strict=True))
    learned = {rung: each for rung, (each, _) in found.items()}
    seconds = {rung: took for rung, (_, took) in found.items()} if clock else {}
    scores = {"tabular": learned["tabular"].probabilities(table, split.test)}
    whole = learned["graph"]
    margins, calibration = whole.history_margins(table), whole.calibration
    without_rings = learn_stack(
        table, split.early, split.later, whole.past, calibration, seed, rings=False
    )
    memory, blend = (
        score_history(table, margins, calibration, stack)[split.test]
        for stack in (without_rings, whole.blend)
    )
    scores["graph"] = blend[:, _MODEL_SCORE]
    scores["memory"], scores["blend"] = memory[:, _SCORE], blend[:, _SCORE]
    return Rungs(scores, whole.as_model(table.schema, Policy(), seed), learned, seconds)


def rungs_of_model(table: Table, split: Split, model: TrainedModel) -> Rungs:
    """The two rungs of a model that is given.

    Raises:
        InvalidSetting: It was trained on other features than those of the table.
    """
    if model.schema.hash != table.schema.hash:
        raise InvalidSetting(
            "the model was trained on other features than the engine makes",
            field="model",
            value=model.version,
            remedy="Train the model again: `ringfence train`.",
        )
    margins = model.booster.margins(table.rows)
    blended = score_history(table, margins, model.calibration, model.blend)[split.test]
    scores = {"graph": blended[:, _MODEL_SCORE], "blend": blended[:, _SCORE]}
    return Rungs(scores, model, {})


def family_shares(table: Table, test: Rows, learned: Learned) -> dict[str, float]:
    """Share of each family in the mean absolute path contribution, over at most 2,000 test rows."""
    chosen = test[:: max(1, math.ceil(len(test) / _SHARES_ROWS))]
    total = np.zeros(len(learned.columns))
    for row in chosen:
        total += np.abs(learned.booster.contributions(table.rows[row, learned.columns])[0])
    families: dict[str, float] = {}
    for index, weight in zip(learned.columns, total, strict=True):
        family = table.schema.families[index]
        families[family] = families.get(family, 0.0) + float(weight)
    whole = sum(families.values()) or 1.0
    return {family: weight / whole for family, weight in sorted(families.items())}
