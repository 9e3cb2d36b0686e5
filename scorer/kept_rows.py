"""Feature rows kept for whoever asks why: of the last verdicts that were not quiet approvals.

What a row holds is known only when the verdict is given; a moment later the state has gone on. So
the rows of verdicts that somebody may ask about are kept beside them. They are no part of the
state: no verdict depends on them, and a snapshot leaves them out.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scorer.batch_scores import BatchScore
from scorer.verdict import Verdict

MOST: Final = 4_096
"""Rows that are kept: 4 MB at 217 features, and the verdicts beside them. The oldest go first."""


@dataclass(frozen=True, slots=True)
class KeptRow:
    """A verdict, and what it was given on.

    Attributes:
        verdict: The verdict.
        row: Its feature row, float32 [F], read-only.
        own: Log-odds that the recent scores of its user's own transactions were worth.
        others: The same of everybody else who took part.
        gnn: Log-odds of the graph model; NaN where it was not asked.
    """

    verdict: Verdict
    row: NDArray[np.float32]
    own: float
    others: float
    gnn: float


class KeptRows:
    """The last rows, by transaction.

    Args:
        most: How many are kept.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._rows: OrderedDict[str, KeptRow] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rows)

    def keep(self, verdict: Verdict, row: NDArray[np.float32], told: BatchScore) -> None:
        """Keep a copy of the row, float32 [F]; of a transaction judged again, the later one."""
        own = row.copy()
        own.flags.writeable = False
        self._rows[verdict.transaction_id] = KeptRow(verdict, own, told.own, told.others, told.gnn)
        self._rows.move_to_end(verdict.transaction_id)
        if len(self._rows) > self._most:
            self._rows.popitem(last=False)

    def find(self, transaction_id: str) -> KeptRow | None:
        """What is kept of a transaction; it never changes, so it may be read from any thread."""
        return self._rows.get(transaction_id)
