"""Edges whose search found nothing because its budget ran out: for the sweep to search again.

The searches over several hops (cycles, chains, scatter-gather) look at a bounded number of edges
each. Where the bound was hit before anything was found, the position of the edge is remembered
here, by compiled code and by the long way alike, and `graph.sweep.patience` takes its time.

Searches that only read the newest payments of one account (mules, fans, structuring) and layers,
whose sides are bits of a word, are not remembered: they hit their bounds at every payment of a hub,
and what they would miss is what `graph.sweep.blocks` looks for.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from graph.compiled import kernel
from graph.snapshot import Snapshot, pack, unpack
from graph.window import TransactionWindow

REMEMBERED: Final = 4_096
"""Positions kept, the newest; 32 KiB. A pass over all of them takes seconds."""

_VERSION: Final = 1


class Bounded(Protocol):
    """A search that can run out of budget."""

    def cut_short(self, window: TransactionWindow, position: int) -> bool:
        """Whether the search at a live position found nothing because its budget ran out."""
        ...


class Unfinished:
    """Remembers the newest `REMEMBERED` positions whose search was cut short.

    Args:
        searches: Whom to ask on the long way; compiled code notes by itself (`note`).

    Attributes:
        places: int64[1 + REMEMBERED]: how many were ever noted, then a ring of their positions.
    """

    def __init__(self, searches: Sequence[Bounded]) -> None:
        self._searches: Final = tuple(searches)
        self.places: NDArray[np.int64] = np.zeros(1 + REMEMBERED, np.int64)

    def look(self, window: TransactionWindow, position: int) -> None:
        """Remember the edge at a live position if one of its searches is cut short."""
        if any(search.cut_short(window, position) for search in self._searches):
            note(self.places, position)

    def since(self, position: int) -> tuple[NDArray[np.int64], int]:
        """What was noted behind a position.

        Returns:
            (positions, ascending; how many of all ever noted are no longer remembered).
        """
        noted = int(self.places[0])
        kept = self.places[1 : 1 + min(noted, REMEMBERED)]
        return np.unique(kept[kept > position]), max(noted - REMEMBERED, 0)

    def snapshot(self) -> bytes:
        """The whole state; equal states give equal bytes."""
        kept = min(int(self.places[0]), REMEMBERED)
        return pack(
            "unfinished", _VERSION, Snapshot({}, {"places": self.places[: 1 + kept].copy()})
        )

    def restore(self, data: bytes) -> None:
        """Take over a snapshot, made together with the window's.

        Raises:
            Incompatible: It is torn, altered, or of another version.
        """
        places = unpack("unfinished", _VERSION, data).arrays["places"]
        self.places[:] = 0
        self.places[: len(places)] = places


@kernel
def note(places, position):  # type: ignore[no-untyped-def]
    """Remember a position, once if it is noted again right away. Mutates `places`."""
    count = places[0]
    room = places.shape[0] - 1
    if count > 0 and places[1 + (count - 1) % room] == position:
        return
    places[1 + count % room] = position
    places[0] = count + 1
