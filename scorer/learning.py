"""Learning: trees from the past of a split, or onto the starter's, and what their margins mean."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple

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
from scorer.metrics import average_precision, paired_interval
from scorer.out_of_fold import Grower, early_margins, later_margins
from scorer.ports import FeatureSchema
from scorer.risk_stack import learn_stack, score_history
from scorer.splits import Split
from scorer.table import NO_ROWS, Rows, Table

_AT_A_TIME: Final = 65_536


@dataclass(frozen=True, slots=True)
class Learned:
    """What one rung learned: the trees on some columns, and what their margin means.

    Attributes:
        columns: Columns of the table it uses.
        booster: The trees.
        calibration: From margin to probability.
        past: Margins of the rows of the past by trees that had not seen them, float32 [R of the
            table]; NaN for every other row. The memory that scores leave behind is made of them.
        grown_on: Rows that the trees have seen; none where they came from elsewhere.
        blend: From probability, memory, ring and evidence to probability.
        later_scores: Probabilities of the later rows by the trees that had not seen them.
    """

    columns: Rows
    booster: Booster
    calibration: Calibration
    past: NDArray[np.float32]
    grown_on: Rows
    blend: Blend
    later_scores: NDArray[np.float64]

    def margins(self, table: Table, rows: Rows) -> NDArray[np.float32]:
        """Margins of some rows, float32."""
        return _margins(self.booster, table, rows, self.columns)

    def probabilities(self, table: Table, rows: Rows) -> NDArray[np.float64]:
        """Calibrated probabilities of some rows, before the blend."""
        return np.array([self.calibration.apply(float(m)) for m in self.margins(table, rows)])

    def history_margins(self, table: Table, asked: Rows) -> NDArray[np.float32]:
        """Margins of the whole history by trees that had not seen the row, float32 [R].

        Rows of the past count with what was said of them before they were learned from; NaN for
        those of whom nothing was: the first of them, wherever their rings put them.

        Args:
            table: The replayed history.
            asked: Rows that are scored in any case: where they are drawn (the shuffled protocol),
                some may be older than all that were scored. What was said of a row before it was
                learned from stands.
        """
        margins = self.past.copy()
        wanted = np.isnan(margins) & (table.times > _first(table, margins))
        wanted[self.grown_on] = False
        wanted[asked] = np.isnan(margins[asked])
        unseen = np.flatnonzero(wanted)
        margins[unseen] = self.margins(table, unseen)
        return margins

    def blended(self, table: Table, asked: Rows) -> NDArray[np.float64]:
        """The whole history after the blend, float64 [R, fields of a `BatchScore`].

        Args:
            table: The replayed history.
            asked: See `history_margins`.
        """
        margins = self.history_margins(table, asked)
        return score_history(table, margins, self.calibration, self.blend)

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
    onto: Booster | None = None,
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
        onto: Trees of another history, on the same columns, that this one's correct; as many as
            rank the later rows best, which may be none.

    Raises:
        InvalidSetting: One of the slices lacks fraud or legitimate transactions.
    """
    learned, grower = _grown(table, split, columns, settings, seed, onto)
    return _with_stack(table, split, learned, grower, seed) if stacked else learned


class Whole(NamedTuple):
    """What is learned from all columns.

    Attributes:
        own: From this history alone, without a stack.
        served: What serves, with its stack: those trees, or the starter's as this history corrects
            them.
        starter: Average precision of both on the later rows (`own`, `starter`), the interval of
            the difference (`ci`), how many trees were added to the starter's (`trees_added`), and
            whether it serves (`serves`); None where the starter knows other features.
    """

    own: Learned
    served: Learned
    starter: Mapping[str, Any] | None

    @property
    def from_starter(self) -> bool:
        """Whether the starter's trees serve."""
        return self.starter is not None and bool(self.starter["serves"])


def learn_whole(
    table: Table, split: Split, settings: BoosterSettings, seed: int, trees: Booster | None
) -> Whole:
    """Learn from all columns, with and without the starter's trees.

    The starter's serve where they rank the later rows better beyond doubt (paired bootstrap of
    average precision, rings whole); both were asked before they had seen these rows.

    Args:
        table: The replayed history.
        split: Its early and later rows are learned from.
        settings: How trees are grown.
        seed: Of everything random.
        trees: The starter's (`scorer.starter.starter_trees`), None where rows have other features.

    Raises:
        InvalidSetting: One of the slices lacks fraud or legitimate transactions.
    """
    columns, fraud = table.schema.columns(graph=True), table.fraud[split.later]
    grow = partial(_grown, table, split, columns, settings, seed)
    waiting = None if trees is None else begin(partial(grow, trees))
    own, grower = grow(None)
    if trees is None or waiting is None:
        return Whole(own, _with_stack(table, split, own, grower, seed), None)
    begun, corrector = waiting()
    rings = [table.ring_ids[row] for row in split.later]
    low, high = paired_interval(begun.later_scores, own.later_scores, fraud, rings, seed)
    starter = {
        "own": average_precision(own.later_scores, fraud),
        "starter": average_precision(begun.later_scores, fraud),
        "ci": [low, high],
        "trees_added": begun.booster.tree_count - trees.tree_count,
        "serves": low > 0,
    }
    better = (begun, corrector) if low > 0 else (own, grower)
    return Whole(own, _with_stack(table, split, *better, seed), starter)


def _grown(
    table: Table,
    split: Split,
    columns: Rows,
    settings: BoosterSettings,
    seed: int,
    onto: Booster | None,
) -> tuple[Learned, Grower | None]:
    """What is learned before the stack, and what grows such trees on other rows.

    There is no such grower where the trees had seen none of this history: they may score all of it.
    """
    later = split.later
    names = tuple(table.schema.names[index] for index in columns)
    begun_on, weights = _sampled(table, split.early, seed)
    stopped_by, later_weights = _sampled(table, later, seed)
    first = fit_booster(
        _part(table, begun_on, columns),
        table.fraud[begun_on],
        _part(table, stopped_by, columns),
        table.fraud[stopped_by],
        names,
        settings,
        seed,
        weights=weights,
        later_weights=later_weights,
        onto=onto,
    )
    margins = _margins(first, table, later, columns)
    grower: Grower | None = None
    grown_on = NO_ROWS
    if onto is not None and not _corrects(table, later, columns, margins, onto):
        booster, margins = onto, _margins(onto, table, later, columns)
    else:
        trees = first.tree_count - (0 if onto is None else onto.tree_count)
        grower = Grower(table, columns, settings, seed, trees, onto)
        # How many trees is known now, and nothing else is needed: these grow beside each other.
        grown_on = split.past
        grown = begin(partial(grower.grow, grown_on))
        if not split.shuffled:
            margins = later_margins(grower, split.early, later, margins)
        booster = grown()
    calibration = fit_calibration(margins, table.fraud[later])
    past = np.full(len(table.fraud), np.nan, np.float32)
    past[later] = margins
    scores = np.array([calibration.apply(float(margin)) for margin in margins])
    return Learned(columns, booster, calibration, past, grown_on, Blend(), scores), grower


def _corrects(
    table: Table, later: Rows, columns: Rows, margins: NDArray[np.float32], onto: Booster
) -> bool:
    """Whether margins of corrected trees rank the later rows better than those as they were."""
    before, fraud = _margins(onto, table, later, columns), table.fraud[later]
    corrected, plain = (
        average_precision(each.astype(np.float64), fraud) for each in (margins, before)
    )
    return corrected > plain


def _with_stack(
    table: Table, split: Split, learned: Learned, grower: Grower | None, seed: int
) -> Learned:
    """The same trees with a stack over their scores, rings and evidence."""
    early, past = split.early, learned.past.copy()
    if grower is None:
        past[early] = learned.margins(table, early)
    else:
        scored = early_margins(grower, early, in_time=not split.shuffled)
        past[early] = scored[early]
    blend = learn_stack(table, early, split.later, past, learned.calibration, seed)
    scores = score_history(table, past, learned.calibration, blend)[split.later, 1]
    return replace(learned, past=past, blend=blend, later_scores=scores)


def _first(table: Table, margins: NDArray[np.float32]) -> int:
    """When the first row that has a margin took place; before everything if none has."""
    known = table.times[~np.isnan(margins)]
    return int(known.min()) if len(known) else -1


def _sampled(table: Table, rows: Rows, seed: int) -> tuple[Rows, NDArray[np.float32]]:
    """The rows that trees see of some rows, and how many each stands for."""
    chosen, weights = sample_negatives(table.fraud[rows], seed)
    return rows[chosen], weights


def _margins(booster: Booster, table: Table, rows: Rows, columns: Rows) -> NDArray[np.float32]:
    """Margins of some rows of a table, float32 [rows]; a slice of it is copied at a time."""
    out = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _AT_A_TIME):
        part = rows[start : start + _AT_A_TIME]
        out[start : start + len(part)] = booster.margins(_part(table, part, columns))
    return out


def _part(table: Table, rows: Rows, columns: Rows) -> NDArray[np.float32]:
    chosen = table.rows[rows]
    return chosen if len(columns) == chosen.shape[1] else chosen[:, columns]
