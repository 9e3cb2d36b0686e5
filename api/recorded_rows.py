"""Which transactions of a history a graph model reads, said while the history goes by.

Of the legitimate transactions of the past a network reads `scorer.fitting.MOST_NEGATIVES`, however
many there are; but where the neighbourhoods of all are recorded, every epoch embeds all of them. So
a lot is drawn for each before the replay, and only those that win are recorded, and every fraud.
The newest part, on which the network is stopped and tried, is recorded whole. Who is recorded says
nothing of the graph: everybody is in it.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scorer.fitting import MOST_NEGATIVES
from scorer.history import LabelledTransaction

WHOLE_FROM: Final = 0.75
"""Share of the history after which every labelled transaction is recorded: a little before the
later slice, whose cut is known only when the replay is over."""
SPARE: Final = 2.0
"""Winners for each legitimate transaction that is wanted: a fifth of a history, the first part of
its past, has no score to learn from, and neither has the later slice or what nobody labelled."""


class RecordedRows:
    """Draws the lots of a history, and says who won.

    Args:
        transactions: How many it holds, or more.
        seed: Of the lots.
        most: Legitimate transactions of the past that are wanted.

    Attributes:
        share: Of the legitimate transactions of the past, how many win; 1 for a short history.
    """

    def __init__(self, transactions: int, seed: int, most: int = MOST_NEGATIVES) -> None:
        self.share: Final = min(1.0, SPARE * most / max(1, transactions))
        self._whole_from = int(WHOLE_FROM * transactions) if self.share < 1 else 0
        self._lots = np.random.default_rng(seed).random(transactions) < self.share
        self._wanted: set[str] = set()

    def seen(self, history: Iterable[LabelledTransaction]) -> Iterator[LabelledTransaction]:
        """The history as it is; each is known to `holds` once it has come."""
        for place, item in enumerate(history):
            if item.fraud or (
                item.fraud is not None and (place >= self._whole_from or self._lots[place])
            ):
                self._wanted.add(item.transaction.transaction_id)
            yield item

    def holds(self, transaction_id: str) -> bool:
        """Whether a transaction that was seen is to be recorded."""
        return transaction_id in self._wanted

    def fair(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Who of the transactions at some places of the history won: each had the same chance."""
        won: NDArray[np.bool_] = self._lots[places]
        return won

    def whole(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of some places lie where every labelled transaction is recorded."""
        there: NDArray[np.bool_] = places >= self._whole_from
        return there
