"""The sweep: what only the whole window shows, and what the moment had no time for.

Every transaction is judged at once, within bounds. Every few minutes of event time a slower pass
looks at the window as a whole: it finishes searches that ran out of budget (`patience`), peels
dense blocks out of the money graph (`blocks`) and cuts it into communities (`communities`). What it
finds is evidence like any other and joins the same rings.

In the first week of a stream blocks and communities are not looked for: everybody is new then.

A pass is a function of the window and of the positions it is asked to look at again: it changes
neither, reads no clock, and draws its random numbers from a fixed seed.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from graph.evidence import Evidence
from graph.heuristics import Thresholds
from graph.sweep.blocks import blocks_in
from graph.sweep.communities import communities_in
from graph.sweep.limits import SweepLimits
from graph.sweep.pairs import paid, remembers
from graph.sweep.patience import Patience
from graph.window import TransactionWindow

__all__ = ["Found", "Sweep", "SweepLimits"]


class Found(NamedTuple):
    """What one pass found.

    Attributes:
        as_of: The watermark of the window it saw, ms.
        evidence: Found again with patience, then blocks, then communities.
        searched: Edges searched again.
        left: Edges whose search stays unfinished: there were too many.
        cut: Whether a bound on blocks, communities or their graph was hit.
    """

    as_of: int
    evidence: tuple[Evidence, ...]
    searched: int
    left: int
    cut: bool


class Sweep:
    """One pass after another over a window.

    Args:
        thresholds: Those of the heuristics that judge at once.
        limits: Bounds.
    """

    def __init__(
        self, thresholds: Thresholds = Thresholds(), limits: SweepLimits = SweepLimits()
    ) -> None:
        self.limits: Final = limits
        self._patience: Final = Patience(thresholds, limits)

    def number(self, watermark: int) -> int:
        """Which pass event time stands at: a pass is due where this has grown."""
        return watermark // self.limits.every

    def due(self, done: int) -> int:
        """Watermark at which the pass after number `done` is due, ms."""
        return (done + 1) * self.limits.every

    def run(
        self,
        window: TransactionWindow,
        unfinished: NDArray[np.int64],
        breathe: Callable[[], None] = lambda: None,
    ) -> Found:
        """A pass.

        Args:
            window: The window, or a copy of it.
            unfinished: int64[n], ascending: positions of edges to be searched again.
            breathe: Called between two pieces of work, for a thread to give way to others.
        """
        again = self._patience.search(window, unfinished, breathe)
        as_of = window.watermark
        if remembers(window) > window.cutoff - self.limits.young:
            # Everybody is new to everybody: what is young or fresh cannot be told.
            evidence = _seen_at(as_of, again.evidence)
            return Found(as_of, evidence, again.searched, again.left, cut=False)
        pairs = paid(window)
        breathe()
        blocks = blocks_in(window, pairs, self.limits, breathe)
        communities = communities_in(window, pairs.transfers, self.limits)
        whole = (*again.evidence, *blocks.evidence, *communities.evidence)
        return Found(
            as_of,
            _seen_at(as_of, whole),
            again.searched,
            again.left,
            cut=blocks.cut or communities.cut,
        )


def _seen_at(moment: int, evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    return tuple(replace(piece, seen_at=moment) for piece in evidence)
