"""Money that comes home: temporal cycles of two to six hops.

Behaviour
    Layering: an account sends money through others and gets it back, less commissions, so that it
    seems to come from somewhere else. Two hops there and back are a ping-pong, a class of its own.

Definition
    A cycle at edge e = (u → v) is a sequence of edges v → a → ... → u → v that ends with e, whose
    times increase strictly, whose span is at most `cycle_within` and what the window can vouch for,
    that visits no account twice, visits users only (money that passes a merchant bought something),
    and in which each hop carries between `cycle_ratio_least` and `cycle_ratio_most` of the hop
    before it. Declined edges carry nothing. Since times increase strictly every cycle has one last
    edge, so each is found exactly once, at that edge, whatever the order of arrival; two cycles
    are the same if they consist of the same transactions.

Method and cost
    Depth first and backwards from e along `back_pred` and `back_in`, which lay out exactly the
    earlier edges into an account, newest first. With d edges into each account in the span and h
    hops that is O(d^(h-1)), cut by the ratio; in any case at most `cycle_scan` edges are looked at
    and `cycle_most` cycles returned, and the result says when either bound was hit. O(1) where v
    has sent nothing in the span.

Misses
    Money that is split or merged on its way, or mixed with other money so that the ratio breaks;
    cycles through merchants, cash or other banks; cycles slower than the window; hops with the very
    same timestamp, whose order nobody knows; what lies behind a hub, where the scan ends first.

False positives
    Friends and families who pay each other back, treasury sweeps. These are short, slow and
    mutual: hence strength grows with hops, falls with span and with reciprocity.

Source
    Kumar and Calders, "2SCENT: an efficient algorithm to enumerate all simple temporal cycles",
    PVLDB 11(11), 2018 (the object); typology: FATF, "Professional money laundering", 2018.

>>> from graph.thresholds import Thresholds
>>> from graph.transaction import Money, Transaction, TransactionType
>>> from graph.window import TransactionWindow
>>> window, cycles = TransactionWindow(), Cycles(Thresholds())
>>> for n, (payer, payee, amount) in enumerate([("a", "b", 100), ("b", "c", 95), ("c", "a", 90)]):
...     tx = Transaction(f"t{n}", 60_000 * (n + 1), TransactionType.TRANSFER,
...                      Money(amount, "EUR"), amount, payer, counterparty_id=payee)
...     found = cycles.detect(window, tx, window.add(tx))
>>> found[0].reason
'Money left user:a and came back after 3 hops in 2 min; 90 % of it was kept on the way.'
>>> [hop.transaction_id for hop in found[0].hops]
['t0', 't1', 't2']
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind, kernel
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.heuristics.witness import reach, span_in_words
from graph.kernels import KIND_USER, slot
from graph.thresholds import MOST_HOPS, Thresholds
from graph.transaction import Transaction
from graph.window import TransactionWindow

_BASE: Final = (0.0, 0.0, 0.30, 0.60, 0.70, 0.75, 0.80)


class CycleSearch(NamedTuple):
    """What the search at one edge found.

    Attributes:
        cycles: Positions of each cycle's edges in order of time, the closing edge last.
        scanned: Edges looked at.
        truncated: A bound was hit: there may be more cycles.
    """

    cycles: tuple[tuple[int, ...], ...]
    scanned: int
    truncated: bool


class Cycles:
    """Finds temporal cycles; see the module's docstring.

    `strength` is 0.30, 0.60, 0.70, 0.75, 0.80 for two to six hops, times 1 for an instant cycle
    down to 0.6 for one that takes the whole `cycle_within`, times 1 down to 0.5 by the share of its
    hops whose receiver had paid their sender before: friends settle debts both ways, a laundered
    sum travels one way.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds: Final = thresholds
        self._found: NDArray[np.int64] = np.zeros((thresholds.cycle_most, MOST_HOPS), np.int64)
        self._hops: NDArray[np.int64] = np.zeros(thresholds.cycle_most, np.int64)
        self._path: NDArray[np.int64] = np.zeros((2, MOST_HOPS), np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Cycles that this transaction closes."""
        del tx
        return self.at(window, admission.position) if admission.status is Status.ACCEPTED else ()

    def at(self, window: TransactionWindow, position: int) -> Sequence[Evidence]:
        """Cycles that the edge at a live position closes."""
        count, _, truncated = self._search(window, position)
        if not count:
            return ()
        cycles = [self._found[i, : self._hops[i]].tolist() for i in range(count)]
        hops = {p: window.hop(p) for cycle in cycles for p in cycle}
        return [
            self._evidence(
                tuple(hops[p] for p in cycle),
                self._reciprocal(window, cycle, hops[cycle[0]].timestamp),
                truncated=bool(truncated),
            )
            for cycle in cycles
        ]

    def search(self, window: TransactionWindow, position: int) -> CycleSearch:
        """The bare search at a live position and what it cost, for benchmarks and batch checks."""
        count, scanned, truncated = self._search(window, position)
        return CycleSearch(
            tuple(tuple(self._found[i, : self._hops[i]].tolist()) for i in range(count)),
            int(scanned),
            bool(truncated),
        )

    def cut_short(self, window: TransactionWindow, position: int) -> bool:
        """Whether the search at a live position found nothing because its budget ran out."""
        count, _, truncated = self._search(window, position)
        return not count and bool(truncated)

    def _search(self, window: TransactionWindow, position: int) -> tuple[int, int, bool]:
        limits = self.thresholds
        arguments = (
            window.edges,
            window.tail,
            window.cutoff,
            position,
            reach(window, limits.cycle_within),
            limits.cycle_ratio_least,
            limits.cycle_ratio_most,
            limits.cycle_hops,
            limits.cycle_scan,
            self._found,
            self._hops,
            self._path,
        )
        self._kernel = self._kernel or bind(cycles_at, *arguments)
        result: tuple[int, int, bool] = self._kernel(*arguments)
        return result

    def _evidence(self, hops: tuple[Hop, ...], returned: int, *, truncated: bool) -> Evidence:
        first, last = hops[0], hops[-1]
        span = last.timestamp - first.timestamp
        kept = last.value / first.value
        pattern = Pattern.PING_PONG if len(hops) == 2 else Pattern.CYCLE
        through = Role.MEMBER if pattern is Pattern.PING_PONG else Role.MULE
        home = Role.MEMBER if pattern is Pattern.PING_PONG else Role.CONTROLLER
        members = tuple(
            (hop.source, through if i else home)
            for i, hop in enumerate(hops)
            if hop.source is not None
        )
        return Evidence(
            pattern=pattern,
            seen_at=last.timestamp,
            members=members,
            hops=hops,
            strength=_BASE[len(hops)]
            * (1 - 0.4 * min(span / self.thresholds.cycle_within, 1))
            * (1 - 0.5 * returned / len(hops)),
            reason=(
                f"Money left {first.source} and came back after {len(hops)} hops in "
                f"{span_in_words(span)}; {100 * kept:.0f} % of it was kept on the way"
                + (f"; {returned} of them returned an earlier favour." if returned else ".")
            ),
            facts={
                "hops": float(len(hops)),
                "minutes": span / 60_000,
                "reciprocal_hops": float(returned),
            },
            retained=kept,
            truncated=truncated,
        )

    def _reciprocal(self, window: TransactionWindow, positions: list[int], start: int) -> int:
        """Hops whose receiver had paid their sender before the cycle began.

        What may still arrive late does not count, so that the order of arrival does not matter.
        """
        before = start - window.config.lateness
        rows = window.rows_of(np.array(positions, np.int64))
        ends = zip(
            window.edges.source[rows].tolist(), window.edges.target[rows].tolist(), strict=True
        )
        return sum(window.dealt(target, source, before) for source, target in ends)


@kernel
def cycles_at(  # type: ignore[no-untyped-def]  # noqa: C901, PLR0912  # one search, one loop
    edges, tail, cutoff, position, within, least, most, hops, budget, found, found_hops, path
):
    """Search backwards from the edge at `position` for the cycles that it closes.

    Fills `found` (int64[c, >= hops], positions by time) and `found_hops` (int64[c]); `path`
    (int64[2, >= hops]) is scratch: the path backwards, and the next edge to try at each depth.
    Mutates these three only.

    Returns:
        (cycles found, edges scanned, whether a bound was hit).
    """
    e = slot(edges.pages, position)
    u, v = edges.source[e], edges.target[e]
    if u < 0 or v < 0 or u == v or edges.value[e] <= 0:
        return 0, 0, False
    if edges.account_kind[u] != KIND_USER or edges.account_kind[v] != KIND_USER:
        return 0, 0, False
    since = max(edges.time[e] - within, cutoff)
    # Most accounts that are paid have sent nothing lately: no way home.
    left = edges.newest_out[v]
    if left < tail or edges.time[slot(edges.pages, left)] < since or edges.back_pred[e] == 0:
        return 0, 0, False

    count = 0
    scanned = 0
    depth = 0
    path[0, 0] = position
    path[1, 0] = position - edges.back_pred[e]
    while depth >= 0:
        p = path[1, depth]
        if p < tail:
            depth -= 1
            continue
        s = slot(edges.pages, p)
        if edges.time[s] < since:
            depth -= 1
            continue
        if scanned == budget:
            return count, scanned, True
        scanned += 1
        path[1, depth] = -1 if edges.back_in[s] == 0 else p - edges.back_in[s]
        following = slot(edges.pages, path[0, depth])
        w = edges.source[s]
        if edges.time[s] >= edges.time[following] or edges.value[s] <= 0 or w < 0:
            continue
        carried = edges.value[following]
        if carried < least * edges.value[s] or carried > most * edges.value[s]:
            continue
        if w == v:
            if count == found.shape[0]:
                return count, scanned, True
            found[count, 0] = p
            for i in range(depth + 1):
                found[count, i + 1] = path[0, depth - i]
            found_hops[count] = depth + 2
            count += 1
            continue
        if depth + 2 >= hops or edges.account_kind[w] != KIND_USER:
            continue
        visited = False
        for i in range(depth + 1):
            visited |= edges.source[slot(edges.pages, path[0, i])] == w
        if visited or edges.back_pred[s] == 0:
            continue
        depth += 1
        path[0, depth] = p
        path[1, depth] = p - edges.back_pred[s]
    return count, scanned, False
