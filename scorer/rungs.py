"""Rungs: what is learned from the same rows with ever more of the graph.

`tabular` uses no feature that needs the graph, `graph` all of them. `starter` begins with trees
taught on other cities (`scorer.starter`); it stands only where they rank the past's later rows
better than this history's own. `memory` adds what is recalled of the parties' recent scores,
`blend` ring score and evidence as well: what a verdict says.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np

from graph.errors import InvalidSetting
from scorer.artefact import TrainedModel
from scorer.batch_scores import BatchScore
from scorer.beside import begin
from scorer.decision import Policy
from scorer.fitting import BoosterSettings
from scorer.history_replay import Progress
from scorer.ladder import Clock
from scorer.learning import Learned, learn_from, learn_whole
from scorer.metrics import Scores
from scorer.risk_stack import learn_stack, score_history
from scorer.splits import Split
from scorer.starter import starter_trees
from scorer.table import Rows, Table

T = TypeVar("T")

_SHARES_ROWS: Final = 2_000
_MODEL_SCORE, _SCORE = (BatchScore._fields.index(name) for name in ("model_score", "score"))


@dataclass(frozen=True, slots=True)
class Rungs:
    """Scores of the test by rung, and the model that the last two rungs are.

    Attributes:
        scores: Probabilities of the test rows by rung, float64 [R] each.
        history: Probabilities of all rows by the blend; NaN where nothing was said, float64 [R].
        model: The model whose verdicts the blend's scores are.
        learned: What was learned by rung; empty where the model was given.
        starter: How the starter's trees compare (`Whole.starter`); None where they were not asked.
        seconds: How long that took by rung, where a clock was given.
    """

    scores: Mapping[str, Scores]
    history: Scores
    model: TrainedModel
    learned: Mapping[str, Learned]
    starter: Mapping[str, Any] | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


def learn_tabular(table: Table, split: Split, settings: BoosterSettings, seed: int) -> Learned:
    """Learn the tabular rung from the past of a split; it reads nothing of rings and evidence.

    Raises:
        InvalidSetting: A slice of the past lacks fraud or legitimate transactions.
    """
    return learn_from(
        table, split, table.schema.columns(graph=False), settings, seed, stacked=False
    )


def learn_rungs(
    table: Table,
    split: Split,
    settings: BoosterSettings,
    seed: int,
    progress: Progress,
    clock: Clock | None = None,
    tabular: Callable[[], Learned] | None = None,
) -> Rungs:
    """Learn them from the past of a split, score its test; a `clock` times them.

    Args:
        table: The replayed history, its evidence weighed.
        split: Past and test.
        settings: How trees are grown.
        seed: Of everything random.
        progress: Told which rung is learned.
        clock: Times them, where nothing else is done meanwhile.
        tabular: Waits for the tabular rung, where that is being learned already.

    Raises:
        InvalidSetting: A slice of the past lacks fraud or legitimate transactions.
    """
    trees = starter_trees(table.schema)
    learned: dict[str, Learned] = {}
    seconds: dict[str, float] = {}

    def timed(rung: str, work: Callable[[], T]) -> T:
        progress(f"learn {rung}", 0)
        began = clock() if clock else 0.0
        done = work()
        if clock:
            seconds[rung] = clock() - began
        return done

    whole = timed("graph", lambda: learn_whole(table, split, settings, seed, trees))
    learned["graph"] = whole.own
    learned["tabular"] = timed(
        "tabular", tabular or (lambda: learn_tabular(table, split, settings, seed))
    )
    scores = {rung: learned[rung].probabilities(table, split.test) for rung in ("tabular", "graph")}
    if whole.from_starter:
        learned["starter"] = whole.served
    served = whole.served
    margins, calibration = served.history_margins(table, split.test), served.calibration
    without_rings = learn_stack(
        table, split.early, split.later, served.past, calibration, seed, rings=False
    )
    remembered = begin(lambda: score_history(table, margins, calibration, without_rings))
    history = score_history(table, margins, calibration, served.blend)
    memory, blend = remembered()[split.test], history[split.test]
    if whole.from_starter:
        scores["starter"] = blend[:, _MODEL_SCORE]
    scores["memory"], scores["blend"] = memory[:, _SCORE], blend[:, _SCORE]
    model = served.as_model(table.schema, Policy(), seed)
    return Rungs(scores, history[:, _SCORE], model, learned, whole.starter, seconds)


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
    history = score_history(table, margins, model.calibration, model.blend)
    blended = history[split.test]
    scores = {"graph": blended[:, _MODEL_SCORE], "blend": blended[:, _SCORE]}
    return Rungs(scores, history[:, _SCORE], model, {})


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
