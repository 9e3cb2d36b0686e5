"""Training: a model learned from the table of a replayed history."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from scorer.artefact import TrainedModel
from scorer.decision import Policy
from scorer.fitting import BoosterSettings
from scorer.history import LabelledTransaction
from scorer.history_replay import Progress, replay, silent
from scorer.judge_training import Taught, as_judged, teach
from scorer.learning import Learned, learn_whole
from scorer.metrics import average_precision, calibration_figures
from scorer.ports import Replayer
from scorer.splits import Split
from scorer.starter import starter_trees
from scorer.table import Table, cut_by_time, describe, require_labels
from scorer.tuning import tune


class Trained(NamedTuple):
    """A model, and what it was learned from.

    Attributes:
        model: The model.
        learned: What it serves, as it was learned.
        replayed: The history as it was replayed, before its evidence was judged.
        table: The same as the model's judge weighs its evidence.
        split: Early and later rows; no test.
        taught: The judge.
    """

    model: TrainedModel
    learned: Learned
    replayed: Table
    table: Table
    split: Split
    taught: Taught


Then = Callable[[Trained], TrainedModel]


def as_it_is(trained: Trained) -> TrainedModel:
    """The model, with nothing more learned."""
    return trained.model


def train(
    history: Iterable[LabelledTransaction],
    replayer: Replayer,
    *,
    policy: Policy | None = None,
    settings: BoosterSettings | None = None,
    seed: int = 0,
    created: str = "",
    data: Mapping[str, Any] | None = None,
    tuned: bool = False,
    then: Then = as_it_is,
    progress: Progress = silent,
) -> TrainedModel:
    """Learn a model from a whole history; its last 20 % says when to stop and what margins mean.

    Args:
        history: In arrival order.
        replayer: A fresh one.
        policy: What the model's verdicts decide by; the default costs if left out.
        settings: How trees are grown; the defaults if left out.
        seed: Of everything random; equal history and seed give an equal model.
        created: When it is trained, RFC 3339.
        data: What the history is, for the metadata; the counts are added.
        tuned: Search for better settings over folds of the history first (`scorer.tuning`), and
            write down what was tried.
        then: What goes on learning from it, and gives the model that serves.
        progress: Told each stage and how far it is.

    Raises:
        InvalidInput: The history holds no labels, or too many for memory.
        InvalidSetting: One of the two slices lacks fraud or legitimate transactions.
    """
    table = replay(history, replayer, progress=progress)
    require_labels(table)
    early, later = cut_by_time(table.times, 0.8, 0.2)
    progress("learn", 0)
    every = np.arange(len(table.fraud), dtype=np.intp)
    replayed = table
    taught = teach(replayed, every, replayer.ring_policy, seed)
    table = as_judged(replayed, taught, replayer.ring_policy)
    columns, chosen = table.schema.columns(graph=True), settings or BoosterSettings()
    found = tune(table, every, columns, chosen, seed, progress) if tuned else None
    if found is not None:
        chosen = found.settings
    past = Split(early, later, np.empty(0, np.intp))
    whole = learn_whole(table, past, chosen, seed, starter_trees(table.schema))
    learned = whole.served
    scores = learned.later_scores
    figures = calibration_figures(scores, table.fraud[later])
    progress("learn", learned.booster.tree_count)
    model = learned.as_model(
        table.schema,
        policy or Policy(),
        seed,
        judge=taught.judge,
        created=created,
        metrics={
            # Of the slice on which it was stopped and calibrated: `evaluate` gives honest ones.
            "later_slice": {
                "transactions": len(later),
                "positives": int(table.fraud[later].sum()),
                "average_precision": average_precision(scores, table.fraud[later]),
                "brier": figures["brier"],
            },
            "trees": learned.booster.tree_count,
            "starter": whole.starter,
        }
        | ({} if found is None else {"tuning": found.as_json()}),
        data=dict(data or {}) | describe(table),
    )
    return then(Trained(model, learned, replayed, table, past, taught))
