"""What the ring model learns from: the blend's scores beside the recorded graph.

`scorer` and `gnn` do not know each other; here their rows meet. The head hears what the blend says
of a transaction, out of fold for the past.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnn.examples import Examples
from scorer.batch_scores import BatchScore
from scorer.fitting import sample_negatives
from scorer.graph_opinion import context_of
from scorer.learning import Learned
from scorer.splits import Split, require_both
from scorer.table import Rows, Table

_BLEND = BatchScore._fields.index("blend")


@dataclass(frozen=True, slots=True)
class Lesson:
    """Examples, and which of them are learned from, stop, and are judged.

    Attributes:
        examples: Sampled early rows, and all later and test rows.
        early: Places among the examples that are learned from.
        later: Those that say when to stop.
        test: Those that are judged.
        blend: float64 [R of the table], what the blend says of each row; NaN where it says nothing.
    """

    examples: Examples
    early: Rows
    later: Rows
    test: Rows
    blend: NDArray[np.float64]


def lesson_of(
    table: Table,
    split: Split,
    learned: Learned,
    seed: int,
    fair: NDArray[np.bool_] | None = None,
) -> Lesson:
    """Examples of a replayed history; early rows are those the blend scored out of fold.

    Of the legitimate early rows the network sees the sample that trees see, weighed like theirs.

    Args:
        table: The replayed history.
        split: Its rows by what they are used for.
        learned: The blend.
        seed: Of the sample.
        fair: bool [R of the table], where not everything was recorded: legitimate rows that were,
            each with the same chance. None of the others is learned from; these stand for them.

    Raises:
        InvalidSetting: The early rows that were scored lack fraud or legitimate transactions.
    """
    scored = learned.blended(table, split.test)
    early = split.early[~np.isnan(learned.past[split.early])]
    require_both("early rows scored out of fold", table.fraud[early])
    chosen, weights = sample_negatives(
        table.fraud[early], seed, among=None if fair is None else fair[early]
    )
    parts = [early[chosen], split.later, split.test]
    rows = np.sort(np.concatenate(parts))
    context = context_of(scored[rows], table.values[rows])
    counted = np.ones(len(rows), np.float32)
    counted[np.searchsorted(rows, parts[0])] = weights
    examples = Examples(table.places[rows], table.fraud[rows], counted, context)
    early, later, test = (np.searchsorted(rows, part) for part in parts)
    return Lesson(examples, early, later, test, scored[:, _BLEND])
