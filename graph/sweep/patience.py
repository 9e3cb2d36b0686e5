"""A second, longer look where the search at the moment ran out of budget.

`graph.heuristics.unfinished` remembers which edges those were. The same heuristics are asked again
with `SweepLimits.patience` times the budgets, and only what they did not see the first time counts.
The strength of what they find is their own.

Cost: at most `SweepLimits.again` edges a pass, the newest, each with three searches of at most
`patience` times 1,000 to 2,000 edges. What is left over is said, not searched.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.evidence import Evidence
from graph.heuristics import Chains, Cycles, MoneyPattern, ScatterGather
from graph.sweep.limits import SweepLimits
from graph.thresholds import Thresholds
from graph.window import TransactionWindow

MOST: Final = 128
"""Pieces of evidence a pass."""


class Searched(NamedTuple):
    """What a second look found.

    Attributes:
        evidence: The newest edge's first.
        searched: Edges searched again.
        left: Edges that were not, for want of room.
    """

    evidence: tuple[Evidence, ...]
    searched: int
    left: int


class Patience:
    """Searches again with larger budgets.

    Args:
        thresholds: Those of the first search.
        limits: How much larger, and how many.
    """

    def __init__(self, thresholds: Thresholds, limits: SweepLimits) -> None:
        times = limits.patience
        larger = replace(
            thresholds,
            cycle_scan=times * thresholds.cycle_scan,
            chain_scan=times * thresholds.chain_scan,
            relay_scan=times * thresholds.relay_scan,
        )
        self._most: Final = limits.again
        self._pairs: Final[tuple[tuple[MoneyPattern, MoneyPattern], ...]] = (
            (Cycles(thresholds), Cycles(larger)),
            (Chains(thresholds), Chains(larger)),
            (ScatterGather(thresholds), ScatterGather(larger)),
        )

    def search(
        self, window: TransactionWindow, positions: NDArray[np.int64], breathe: Callable[[], None]
    ) -> Searched:
        """Look again at edges of a window.

        Args:
            window: The window, or a copy of it.
            positions: int64[n], ascending; those that are no longer live are passed over.
            breathe: Called after each edge.
        """
        live = positions[(positions >= window.tail) & (positions < window.end)]
        chosen = live[-self._most :][::-1].tolist()
        found: dict[str, Evidence] = {}
        for count, position in enumerate(chosen):
            if len(found) >= MOST:
                return Searched(tuple(found.values())[:MOST], count, len(live) - count)
            for usual, patient in self._pairs:
                if not usual.at(window, position):
                    found |= {e.evidence_id: e for e in patient.at(window, position)}
            breathe()
        return Searched(tuple(found.values())[:MOST], len(chosen), len(live) - len(chosen))
