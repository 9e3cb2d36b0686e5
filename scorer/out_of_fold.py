"""Out of fold by time: what trees say of rows of the past that they had not seen.

The early slice is cut into four parts by time. Trees that grew on the first one score the second,
trees that grew on the first two the third, and so on: of each row only what came before it was
known, as it will be in service. The first part stays without a score. A ring that reaches beyond a
cut is not learned from before it.

Scores of trees that had seen the rows *after* a row as well were tried and are worse: they know
what later became of its accounts. Where the rows are in no order of time (the shuffled protocol),
every part is scored by trees that grew on all others.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scorer.fitting import BoosterSettings, regrow_booster, sample_negatives
from scorer.table import Rows, Table, cut_by_time

PARTS: Final = 4
LEAST_FRAUDS: Final = 10
"""Frauds among what trees grow on; with fewer, the part they would score stays without."""


def margins_out_of_fold(
    table: Table,
    early: Rows,
    columns: Rows,
    settings: BoosterSettings,
    seed: int,
    trees: int,
    *,
    in_time: bool = True,
) -> NDArray[np.float32]:
    """Margins of the early rows by trees that had not seen them, float32 [R of the table].

    NaN for every other row, and where there was too little to learn from.

    Args:
        table: The replayed history.
        early: The rows, in order of arrival.
        columns: Columns of the table that trees may use.
        settings: How trees are grown.
        seed: Of the sampling.
        trees: How many trees.
        in_time: Whether the rows stand in order of time, and only what came before may be known.
    """
    margins = np.full(len(table.fraud), np.nan, np.float32)
    for grown_on, scored in _folds(table, early, seed, in_time=in_time):
        frauds = int(table.fraud[grown_on].sum())
        if not len(scored) or not LEAST_FRAUDS <= frauds < len(grown_on):
            continue
        chosen, weights = sample_negatives(table.fraud[grown_on], seed)
        rows = grown_on[chosen]
        booster = regrow_booster(
            table.rows[rows][:, columns],
            table.fraud[rows],
            tuple(table.schema.names[index] for index in columns),
            settings,
            seed,
            trees,
            weights,
        )
        margins[scored] = booster.margins(table.rows[scored][:, columns])
    return margins


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
        spanning = {table.ring_ids[row] for row in after[table.fraud[after]]} - {None}
        whole = np.array([table.ring_ids[row] not in spanning for row in before], np.bool_)
        folds.append((before[whole], early[parts[part]]))
    return folds
