"""Rings in a history whose hops are not in order.

Some histories know only the day, and some are known to be out of order: then the streaming
heuristics, which follow money forwards in time, see nothing. This looks at the whole history at
once and at shape and habit instead of order. What it finds says so: no order, and how coarse the
times are.
"""

from collections.abc import Sequence
from typing import NamedTuple

from graph.evidence import Evidence
from graph.unordered.circles import cycles, unusual
from graph.unordered.crowds import fans, irregular
from graph.unordered.ledger import Ledger
from graph.unordered.limits import UnorderedLimits

__all__ = ["Found", "Ledger", "UnorderedLimits", "find"]


class Found(NamedTuple):
    """What a history without order shows.

    Attributes:
        evidence: Fan-ins, fan-outs, cycles; a stable order within each.
        irregular: Share of its payments that break a habit as a fan's do.
        unusual: Share that does as a cycle's do.
        without_habits: Patterns that were not looked for, since that share is above
            `unusual_share`: where hardly anybody has a habit, breaking one means nothing.
    """

    evidence: Sequence[Evidence]
    irregular: float
    unusual: float
    without_habits: tuple[str, ...]


def find(ledger: Ledger, limits: UnorderedLimits = UnorderedLimits()) -> Found:
    """All evidence in a history.

    O(n log n) for n payments, plus the cycle search, which looks at no more than
    `limits.cycle_scan` payments and says when it hit that bound.
    """
    payments = max(len(ledger), 1)
    evidence: list[Evidence] = []
    without = []
    fan_rows, cycle_rows = irregular(ledger, limits), unusual(ledger, limits)
    if len(fan_rows) <= limits.unusual_share * payments:
        evidence += fans(ledger, fan_rows, limits)
    else:
        without.append("fans")
    if len(cycle_rows) <= limits.unusual_share * payments:
        evidence += cycles(ledger, cycle_rows, limits)
    else:
        without.append("cycles")
    return Found(evidence, len(fan_rows) / payments, len(cycle_rows) / payments, tuple(without))
