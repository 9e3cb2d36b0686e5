"""Training: a model learned from the table of a replayed history."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import sklearn
import xgboost
from numpy.typing import NDArray

from scorer.artefact import TrainedModel
from scorer.beside import begin
from scorer.blend import Blend
from scorer.booster import Booster
from scorer.calibration import Calibration
from scorer.decision import Policy
from scorer.evidence_judge import EvidenceJudge
from scorer.fitting import (
    BoosterSettings,
    fit_booster,
    fit_calibration,
    sample_negatives,
)
from scorer.history import LabelledTransaction
from scorer.history_replay import Progress, replay, silent
from scorer.judge_training import Taught, as_judged, teach
from scorer.metrics import average_precision, calibration_figures
from scorer.out_of_fold import Grower, early_margins, later_margins
from scorer.ports import FeatureSchema, Replayer
from scorer.risk_stack import learn_stack, score_history
from scorer.splits import Split
from scorer.table import Rows, Table, cut_by_time, describe, require_labels
from scorer.tuning import tune


@dataclass(frozen=True, slots=True)
class Learned:
    """What one rung learned: the trees on some columns, and what their margin means.

    Attributes:
        columns: Columns of the table it uses.
        booster: The trees.
        calibration: From margin to probability.
        past: Margins of the rows of the past by trees that had not seen them, float32 [R of the
            table]; NaN for every other row. The memory that scores leave behind is made of them.
        blend: From probability, memory, ring and evidence to probability.
        later_scores: Probabilities of the later rows by the trees that had not seen them.
    """

    columns: Rows
    booster: Booster
    calibration: Calibration
    past: NDArray[np.float32]
    blend: Blend
    later_scores: NDArray[np.float64]

    def margins(self, table: Table, rows: Rows) -> NDArray[np.float32]:
        """Margins of some rows, float32."""
        return self.booster.margins(_part(table, rows, self.columns))

    def probabilities(self, table: Table, rows: Rows) -> NDArray[np.float64]:
        """Calibrated probabilities of some rows, before the blend."""
        return np.array([self.calibration.apply(float(m)) for m in self.margins(table, rows)])

    def history_margins(self, table: Table) -> NDArray[np.float32]:
        """Margins of the whole history by trees that had not seen the row, float32 [R].

        Rows of the past count with what was said of them before they were learned from; NaN for
        the first of them, of whom nothing was.
        """
        margins = self.past.copy()
        unseen = np.flatnonzero(np.isnan(margins) & (table.times > _first(table, margins)))
        margins[unseen] = self.margins(table, unseen)
        return margins

    def blended(self, table: Table) -> NDArray[np.float64]:
        """The whole history after the blend, float64 [R, fields of a `BatchScore`]."""
        return score_history(table, self.history_margins(table), self.calibration, self.blend)

    def as_model(
        self,
        schema: FeatureSchema,
        policy: Policy,
        seed: int,
        *,
        judge: EvidenceJudge | None = None,
        created: str = "",
        metrics: Mapping[str, Any] = MappingProxyType({}),
        data: Mapping[str, Any] = MappingProxyType({}),
    ) -> TrainedModel:
        """The model that serves what was learned from all columns of a schema."""
        return TrainedModel(
            schema=schema,
            booster=self.booster,
            calibration=self.calibration,
            blend=self.blend,
            policy=policy,
            judge=judge,
            seed=seed,
            created=created,
            metrics=dict(metrics),
            data=dict(data),
            versions={
                "numpy": np.__version__,
                "scikit-learn": sklearn.__version__,
                "xgboost": xgboost.__version__,
            },
        )


def learn_from(
    table: Table,
    split: Split,
    columns: Rows,
    settings: BoosterSettings,
    seed: int,
    *,
    stacked: bool = True,
) -> Learned:
    """Learn on the early rows what to ask the later ones, then grow the trees on both.

    Trees grown on the early rows are stopped on the later ones. Calibration is learned from trees
    that had not seen what they calibrate (`scorer.out_of_fold`). Then as many trees are grown on
    both: what is newest is most like what is to come. The stack is learned on scores out of fold
    (`scorer.risk_stack`); the regrown trees know all rows by heart. Where legitimate rows are many,
    trees and stack see a weighted sample of them (`scorer.fitting.MOST_NEGATIVES`); calibration
    sees all.

    Args:
        table: The replayed history.
        split: Its early and later rows are learned from.
        columns: Columns of the table that may be used.
        settings: How trees are grown.
        seed: Of everything random.
        stacked: Whether a stack is learned; without one the blend takes the trees at their word.

    Raises:
        InvalidSetting: One of the slices lacks fraud or legitimate transactions.
    """
    early, later = split.early, split.later
    names = tuple(table.schema.names[index] for index in columns)
    grown_on, weights = _sampled(table, early, seed)
    stopped_by, later_weights = _sampled(table, later, seed)
    first = fit_booster(
        _part(table, grown_on, columns),
        table.fraud[grown_on],
        _part(table, stopped_by, columns),
        table.fraud[stopped_by],
        names,
        settings,
        seed,
        weights=weights,
        later_weights=later_weights,
    )
    grower = Grower(table, columns, settings, seed, first.tree_count)
    # How many trees is known now, and nothing else is needed: all of these grow beside each other.
    in_time = not split.shuffled
    early_scored = (
        begin(partial(early_margins, grower, early, in_time=in_time)) if stacked else None
    )
    grown = begin(partial(grower.grow, np.sort(np.concatenate([early, later]))))
    margins = first.margins(_part(table, later, columns))
    if in_time:
        margins = later_margins(grower, early, later, margins)
    calibration = fit_calibration(margins, table.fraud[later])
    blend = Blend()
    past = np.full(len(table.fraud), np.nan, np.float32)
    scores = np.array([calibration.apply(float(margin)) for margin in margins])
    if early_scored is not None:
        past = early_scored()
        past[later] = margins
        blend = learn_stack(table, early, later, past, calibration, seed)
        scores = score_history(table, past, calibration, blend)[later, 1]
    return Learned(columns, grown(), calibration, past, blend, scores)


def _first(table: Table, margins: NDArray[np.float32]) -> int:
    """When the first row that has a margin took place; before everything if none has."""
    known = table.times[~np.isnan(margins)]
    return int(known.min()) if len(known) else -1


def _sampled(table: Table, rows: Rows, seed: int) -> tuple[Rows, NDArray[np.float32]]:
    """The rows that trees see of some rows, and how many each stands for."""
    chosen, weights = sample_negatives(table.fraud[rows], seed)
    return rows[chosen], weights


def _part(table: Table, rows: Rows, columns: Rows) -> NDArray[np.float32]:
    chosen = table.rows[rows]
    return chosen if len(columns) == chosen.shape[1] else chosen[:, columns]


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
    learned = learn_from(table, past, columns, chosen, seed)
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
        }
        | ({} if found is None else {"tuning": found.as_json()}),
        data=dict(data or {}) | describe(table),
    )
    return then(Trained(model, learned, replayed, table, past, taught))
