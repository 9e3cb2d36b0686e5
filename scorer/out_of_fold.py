"""Out of fold by time: what trees say of rows of the past that they had not seen.

The early slice is cut into four parts by time. Trees that grew on the first one score the second,
trees that grew on the first two the third, and so on: of each row only what came before it was
known, as it will be in service. The first part stays without a score. A ring that reaches beyond a
cut is not learned from before it.

The later slice is cut into three. Its first part is scored by the trees that were stopped on it,
the others by as many trees grown on everything before them. So they are a little behind what they
score, as trees in service are, and not a slice behind, which made probabilities half of what they
should be in the slice, and calibrated, twice of it in service.

Scores of trees that had seen the rows *after* a row as well were tried and are worse: they know
what later became of its accounts. Where the rows are in no order of time (the shuffled protocol),
every part is scored by trees that grew on all others.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scorer.beside import begin
from scorer.booster import Booster
from scorer.fitting import BoosterSettings, regrow_booster, sample_negatives
from scorer.table import Rows, Table, cut_by_time

PARTS: Final = 4
LATER_PARTS: Final = 3
LEAST_FRAUDS: Final = 10
"""Frauds among what trees grow on; with fewer, the part they would score stays without."""


@dataclass(frozen=True, slots=True)
class Grower:
    """Grows trees on some rows of a table and asks them about others.

    Attributes:
        table: The replayed history.
        columns: Columns of it that trees may use.
        settings: How trees are grown.
        seed: Of the sampling.
        trees: How many trees.
        onto: Trees of another history that these correct.
    """

    table: Table
    columns: Rows
    settings: BoosterSettings
    seed: int
    trees: int
    onto: Booster | None = None

    def grow(self, grown_on: Rows) -> Booster:
        """Trees grown on some rows; where legitimate ones are many, on a weighted sample."""
        table, columns = self.table, self.columns
        chosen, weights = sample_negatives(table.fraud[grown_on], self.seed)
        rows = grown_on[chosen]
        return regrow_booster(
            table.rows[np.ix_(rows, columns)],
            table.fraud[rows],
            tuple(table.schema.names[index] for index in columns),
            self.settings,
            self.seed,
            self.trees,
            weights,
            self.onto,
        )

    def margins(self, grown_on: Rows, scored: Rows) -> NDArray[np.float32] | None:
        """Margins of `scored`, float32; None where there was too little to learn from."""
        frauds = int(self.table.fraud[grown_on].sum())
        if not LEAST_FRAUDS <= frauds < len(grown_on):
            return None
        return self.grow(grown_on).margins(self.table.rows[np.ix_(scored, self.columns)])


def early_margins(grower: Grower, early: Rows, *, in_time: bool = True) -> NDArray[np.float32]:
    """Margins of the early rows by trees that had not seen them, float32 [R of the table].

    NaN for every other row, and where there was too little to learn from.

    Args:
        grower: Grows the trees.
        early: The rows, in order of arrival.
        in_time: Whether the rows stand in order of time, and only what came before may be known.
    """
    margins = np.full(len(grower.table.fraud), np.nan, np.float32)
    folds = _folds(grower.table, early, grower.seed, in_time=in_time)
    folds = [fold for fold in folds if len(fold[1])]
    answers = [begin(partial(grower.margins, *fold)) for fold in folds]
    for (_, scored), answer in zip(folds, answers, strict=True):
        found = answer()
        if found is not None:
            margins[scored] = found
    return margins


def later_margins(
    grower: Grower, early: Rows, later: Rows, first: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Margins of the later rows by trees that had seen what came before them, float32 [later].

    Args:
        grower: Grows the trees.
        early: Rows of the early slice.
        later: Rows of the later slice, in order of time.
        first: Margins of the later rows by trees that grew on the early ones, float32 [later].
    """
    table, margins = grower.table, first.copy()
    parts = cut_by_time(table.times[later], *([1.0 / LATER_PARTS] * LATER_PARTS))
    for number, part in enumerate(parts[1:], 1):
        before = np.sort(np.concatenate([early, *(later[each] for each in parts[:number])]))
        grown_on = _whole(table, before, later[np.concatenate(parts[number:])])
        found = grower.margins(grown_on, later[part]) if len(part) else None
        if found is not None:
            margins[part] = found
    return margins


def _whole(table: Table, before: Rows, after: Rows) -> Rows:
    """The rows before without those of rings that go on after."""
    spanning = {table.ring_ids[row] for row in after[table.fraud[after]]} - {None}
    return before[np.array([table.ring_ids[row] not in spanning for row in before], np.bool_)]


def _folds(table: Table, early: Rows, seed: int, *, in_time: bool) -> list[tuple[Rows, Rows]]:
    """(rows to grow on, rows to score), fold by fold."""
    if not in_time:
        dealt = np.random.default_rng(seed).integers(0, PARTS, len(early))
        return [(early[dealt != part], early[dealt == part]) for part in range(PARTS)]
    parts = cut_by_time(table.times[early], *([1.0 / PARTS] * PARTS))
    folds = []
    for part in range(1, PARTS):
        before = early[np.sort(np.concatenate(parts[:part]))]
        after = early[np.concatenate(parts[part:])]
        folds.append((_whole(table, before, after), early[parts[part]]))
    return folds
