"""Known labels of the neighbours: what a shuffled protocol may know, and a stream may not.

GTAN and RGTAN link each transaction with the two before and the two after it at its card, shop,
place and type, and hear the labels of those. So do these columns, at the user, the other party, the
device, the IP and the card, with the share of fraud among all known labels there. Half of that is
the future: trees with these columns fill in a test whose rows lie between those of the past, and
could not be asked in service. Hence a rung of its own, of the shuffled protocol only.

Only labels of rows of the past are heard, never one of the test, and a row of the past never hears
its own: it is dealt to a fold and hears the other folds. (Leaving out its own label alone gives it
away: within a group, what is left is lower where the row itself is fraud.) The published code masks
the labels of the batch it scores and no others, so that there test rows hear test rows.

Sources: Xiang et al., "Semi-supervised Credit Card Fraud Detection via Attribute-driven Graph
Representation", AAAI 2023 (GTAN); Xiang et al., "Enhancing Attribute-driven Fraud Detection with
Risk-aware Graph Representation", TKDE 2025 (RGTAN); Micci-Barreca, "A Preprocessing Scheme for
High-Cardinality Categorical Attributes", SIGKDD Explorations 2001 (the smoothed share).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graph.errors import InvalidSetting
from graph.transaction import HOUR
from scorer.alternatives.lesson import Lesson
from scorer.alternatives.xgboost_trees import XgboostTrees
from scorer.fitting import BoosterSettings, fit_calibration, sample_negatives
from scorer.ladder import RungScores
from scorer.splits import Split
from scorer.table import Rows, Table

PLACES: Final = ("user", "other", "device", "ip", "card")
NEAREST: Final = 2
"""Known rows heard before a row, and as many after it, at each place."""
FOLDS: Final = 10
"""Parts of the past; a row of it hears the labels of the other parts."""
COLUMNS: Final = tuple(
    f"{place}_{what}"
    for place in PLACES
    for what in (
        *(f"{side}_{n}_{said}" for side in ("before", "after") for n in (1, 2)
          for said in ("fraud", "hours")),
        "share",
        "known",
    )
)  # fmt: skip
"""Label and distance (log hours) of the nearest known rows; share of fraud among all known labels
of the place, and how many there are (log)."""


def heard(table: Table, known: Rows, asked: Rows) -> NDArray[np.float32]:
    """What some rows hear of the labels of others, float32 [asked, COLUMNS]; NaN for nothing.

    O((known + asked) log known) a place.

    Args:
        table: The replayed history, in order of arrival.
        known: Rows whose labels may be heard, ascending.
        asked: Rows that hear them; none of them is known.
    """
    codes = table.parties.codes()
    return np.hstack([_heard_at(table, codes[:, n], known, asked) for n in range(len(PLACES))])


def heard_out_of_fold(table: Table, rows: Rows, seed: int) -> NDArray[np.float32]:
    """What rows of the past hear of each other, float32 [rows, COLUMNS].

    Args:
        table: The replayed history.
        rows: Rows of the past, ascending.
        seed: Of the folds.
    """
    fold = np.random.default_rng(seed).integers(0, FOLDS, len(rows))
    found = np.full((len(rows), len(COLUMNS)), np.nan, np.float32)
    for number in range(FOLDS):
        found[fold == number] = heard(table, rows[fold != number], rows[fold == number])
    return found


@dataclass(frozen=True, slots=True)
class NeighbourLabels:
    """A rung (`scorer.ladder.Rung`): the trees that ship with these columns beside their own.

    Attributes:
        settings: How trees are grown.
    """

    settings: BoosterSettings
    name: str = "neighbour_labels"
    words: str = "XGBoost with the known labels of neighbours"
    base: str = "graph"

    def fit_scores(self, table: Table, split: Split, seed: int) -> RungScores:
        """Learn from the past of a split, score its test.

        Raises:
            InvalidSetting: The split is one by time, or a slice of the past lacks fraud or
                legitimate transactions.
        """
        if not split.shuffled:
            raise InvalidSetting(
                "labels of what comes later are not known in a split by time",
                field="ladder",
                value=self.name,
                remedy="Choose the shuffled protocol, or leave this rung out.",
            )
        early, later, test = split.early, split.later, split.test
        past = np.sort(np.concatenate([early, later]))
        trees = XgboostTrees(self.settings)
        # The later slice hears the early one as the test will hear the past.
        of_later = heard(table, early, later)
        first = trees.first(
            _lesson(table, early, heard_out_of_fold(table, early, seed), seed),
            _lesson(table, later, of_later, seed),
            seed,
        )
        calibration = fit_calibration(
            first.margins(_beside(table, later, of_later)), table.fraud[later]
        )
        model = trees.again(
            _lesson(table, past, heard_out_of_fold(table, past, seed), seed), first.size, seed
        )
        margins = model.margins(_beside(table, test, heard(table, past, test)))
        scores = np.array([calibration.apply(float(margin)) for margin in margins])
        return RungScores(scores, {"trees": model.size})


def _heard_at(
    table: Table, codes: NDArray[np.int32], known: Rows, asked: Rows
) -> NDArray[np.float32]:
    """The columns of one place, float32 [asked, COLUMNS of a place]."""
    found = np.full((len(asked), len(COLUMNS) // len(PLACES)), np.nan, np.float32)
    there, speaking = codes[asked] >= 0, known[codes[known] >= 0]
    if not there.any() or not len(speaking):
        return found
    listening = asked[there]
    # Rows of one code side by side, in order of arrival.
    length = len(codes)
    keys = codes[speaking].astype(np.int64) * length + speaking
    order = np.argsort(keys)
    speaking, keys = speaking[order], keys[order]
    at = np.searchsorted(keys, codes[listening].astype(np.int64) * length + listening)
    column, told = 0, found[there]
    for step in (*range(-1, -1 - NEAREST, -1), *range(NEAREST)):
        place = at + step
        row = speaking[np.clip(place, 0, len(speaking) - 1)]
        same = (place >= 0) & (place < len(speaking)) & (codes[row] == codes[listening])
        apart = np.abs(table.times[row] - table.times[listening]) / HOUR
        told[same, column] = table.fraud[row[same]]
        told[same, column + 1] = np.log1p(apart[same])
        column += 2
    size = int(codes.max()) + 1
    count = np.bincount(codes[speaking], minlength=size)
    frauds = np.bincount(codes[speaking], weights=table.fraud[speaking], minlength=size)
    rate = table.fraud[speaking].mean()
    own = codes[listening]
    told[:, column] = (frauds[own] + rate) / (count[own] + 1.0)
    told[:, column + 1] = np.log1p(count[own])
    found[there] = told
    return found


def _beside(table: Table, rows: Rows, columns: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.hstack([table.rows[rows], columns])


def _lesson(table: Table, rows: Rows, columns: NDArray[np.float32], seed: int) -> Lesson:
    chosen, weights = sample_negatives(table.fraud[rows], seed)
    names = (*table.schema.names, *(f"neighbour_{name}" for name in COLUMNS))
    taken = rows[chosen]
    return Lesson(_beside(table, taken, columns[chosen]), table.fraud[taken], weights, names)
