"""Money that comes home, whatever the order of its hops.

Definition
    A payment may be part of a cycle if its payer and payee dealt at most `cycle_dealings` times in
    the whole history and it is off the payer's rhythm (`Ledger.habitual`), or if they dealt once
    and such single dealings are rare for one of them (at most `cycle_rare` in the history). A cycle
    is a closed walk over such payments that visits no account twice, of three to `cycle_hops` hops,
    all within `cycle_within`. Order, amounts and direction in time play no part. Of several over
    the same accounts one is told.

Method and cost
    From each payment, depth first over later or equal ones only, so that a cycle is found once, at
    its earliest. Exponential in the hops, hence at most `cycle_scan` payments are looked at in all
    and `cycle_most` cycles told; what is told then says `truncated`.

Misses
    Cycles with a hop that is a habit; with one hop missing, as five of AMLSim's forty are.

False positives
    Friends who owe each other round a table: without order, debt that came round and money that
    was sent round look alike.

Source
    Johnson, "Finding all the elementary circuits of a directed graph", SIAM J. Comput. 4(1), 1975
    (the object); Suzumura and Kanezashi, "AMLSim", 2018 (planted cycles out of order).

>>> from graph.transaction import DAY, Money, Transaction, TransactionType
>>> from graph.unordered.limits import UnorderedLimits
>>> rows = [("b", "c", 1), ("a", "b", 9), ("c", "a", 4)]
>>> history = [Transaction(f"t{n}", day * DAY, TransactionType.TRANSFER, Money(9, "EUR"), 9, payer,
...                        counterparty_id=payee) for n, (payer, payee, day) in enumerate(rows)]
>>> ledger, limits = Ledger.of(history), UnorderedLimits()
>>> cycles(ledger, unusual(ledger, limits), limits)[0].reason
'3 accounts paid each other in a circle within 8 days; times are days, in no order.'
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from graph.evidence import Evidence, Pattern, Role
from graph.transaction import DAY
from graph.unordered.ledger import Ledger
from graph.unordered.limits import UnorderedLimits


def cycles(ledger: Ledger, rows: NDArray[np.intp], limits: UnorderedLimits) -> Sequence[Evidence]:
    """Cycles over the unusual rows, in order of their earliest payment.

    Strength is 0.5, plus 0.04 a hop beyond three, less up to 0.1 for the time taken.
    """
    rows = rows[np.argsort(ledger.time[rows], kind="stable")]
    search = _Search(ledger, rows, limits)
    told: dict[frozenset[int], tuple[int, ...]] = {}
    for path in search.closed():
        told.setdefault(frozenset(ledger.payer[list(path)].tolist()), path)
        if len(told) >= limits.cycle_most:
            search.truncated = True
            break
    return [_evidence(ledger, path, limits, cut=search.truncated) for path in told.values()]


def unusual(ledger: Ledger, limits: UnorderedLimits) -> NDArray[np.intp]:
    """Rows of the payments that may be part of a cycle."""
    dealings = ledger.dealings()
    habitual = ledger.habitual(limits.rhythm_payments, limits.rhythm_share)
    once = dealings == 1
    accounts = len(ledger.names)
    as_payer = np.bincount(ledger.payer[once], minlength=accounts)[ledger.payer]
    as_payee = np.bincount(ledger.payee[once], minlength=accounts)[ledger.payee]
    rare = once & ((as_payer <= limits.cycle_rare) | (as_payee <= limits.cycle_rare))
    return np.flatnonzero(((dealings <= limits.cycle_dealings) & ~habitual) | rare)


class _Search:
    """Depth first over `rows`, which are in order of time; `truncated` once a bound was hit."""

    def __init__(self, ledger: Ledger, rows: NDArray[np.intp], limits: UnorderedLimits) -> None:
        self._limits = limits
        self._rows: list[int] = rows.tolist()
        self._time: list[int] = ledger.time[rows].tolist()
        self._payer: list[int] = ledger.payer[rows].tolist()
        self._payee: list[int] = ledger.payee[rows].tolist()
        self._out: dict[int, list[int]] = {}
        for place, payer in enumerate(self._payer):
            self._out.setdefault(payer, []).append(place)
        self._scanned = 0
        self.truncated = False

    def closed(self) -> Iterator[tuple[int, ...]]:
        """Cycles as rows of the ledger, from the earliest payment on along the money."""
        for start in range(len(self._rows)):
            yield from self._from(start)
            if self.truncated:
                return

    def _from(self, start: int) -> Iterator[tuple[int, ...]]:
        limits, home = self._limits, self._payer[start]
        until = self._time[start] + limits.cycle_within
        paths: list[tuple[int, ...]] = [(start,)]
        while paths:
            path = paths.pop()
            visited = {self._payer[place] for place in path}
            for place in self._out.get(self._payee[path[-1]], ()):
                if place <= start or self._time[place] > until:
                    continue
                if self._scanned >= limits.cycle_scan:
                    self.truncated = True
                    return
                self._scanned += 1
                payee = self._payee[place]
                if payee == home and len(path) >= 2:
                    yield tuple(self._rows[step] for step in (*path, place))
                elif payee not in visited and payee != home and len(path) + 1 < limits.cycle_hops:
                    paths.append((*path, place))


def _evidence(
    ledger: Ledger, path: tuple[int, ...], limits: UnorderedLimits, *, cut: bool
) -> Evidence:
    hops = tuple(ledger.hop(row) for row in path)
    times = [hop.timestamp for hop in hops]
    span = max(times) - min(times)
    return Evidence(
        pattern=Pattern.CYCLE,
        seen_at=max(times),
        members=tuple((hop.source, Role.MEMBER) for hop in hops if hop.source is not None),
        hops=hops,
        strength=0.5 + 0.04 * (len(hops) - 3) - 0.1 * span / limits.cycle_within,
        reason=(
            f"{len(hops)} accounts paid each other in a circle within {span // DAY} days; "
            "times are days, in no order."
        ),
        facts={"hops": float(len(hops)), "days": span / DAY, "ordered": 0.0},
        truncated=cut,
    )
