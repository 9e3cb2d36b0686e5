"""Money handed on: forward chains of four hops and more (layering).

Behaviour
    Stolen money is moved from account to account, each of which keeps a little, so that its origin
    is many hops away when somebody looks. Unlike a cycle it does not come home.

Definition
    A chain at edge e = (u → v) is a sequence of edges x0 → x1 → ... → u → v that ends with e, whose
    times increase strictly, whose span is at most `chain_within` and what the window can vouch for,
    that visits no account twice and users only, and in which each hop carries between `chain_keeps`
    and `cycle_ratio_most` of the hop before it. The last hop may leave the graph (a withdrawal).
    Declined edges carry nothing. e has a chain if the longest one has at least `chain_hops` hops;
    the longest is told, of several the one whose hops are the newest, looked at from e backwards.
    Accounts of a chain that ends at the chain's own beginning are a cycle and told as one.

Method and cost
    Depth first and backwards from e along `back_pred` and `back_in`, as for cycles: with d edges
    into each account in the span O(d^h) for h = `MOST_CHAIN_HOPS` hops, cut by the ratio; in any
    case at most `chain_scan` edges are looked at (then `truncated`). O(1) where nothing came in.

Misses
    Money that is split, merged or topped up on its way; hops through merchants, cash or other
    banks; chains slower than the window; equal timestamps; what lies behind a hub.

False positives
    A sum passed on in a family or a club. Such people knew each other before, hence strength falls
    with the share of hops between acquaintances and with the time taken.

Source
    FATF, "Professional Money Laundering", 2018 (layering); Li et al., "FlowScope: spotting money
    laundering based on graphs", AAAI 2020 (chains that keep what they receive).

>>> from graph.thresholds import Thresholds
>>> from graph.transaction import Money, Transaction, TransactionType
>>> from graph.window import TransactionWindow
>>> window, chains = TransactionWindow(), Chains(Thresholds())
>>> steps = [("a", "b", 1000), ("b", "c", 950), ("c", "d", 900), ("d", "e", 870)]
>>> for n, (payer, payee, amount) in enumerate(steps):
...     tx = Transaction(f"t{n}", 60_000 * (n + 1), TransactionType.TRANSFER,
...                      Money(amount, "EUR"), amount, payer, counterparty_id=payee)
...     found = chains.detect(window, tx, window.add(tx))
>>> found[0].reason
'Money went from user:a through 3 accounts in 3 min; 87 % of it was kept on the way.'
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind, kernel
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.heuristics.acquaintance import acquainted
from graph.heuristics.witness import reach, span_in_words
from graph.kernels import KIND_USER, slot
from graph.thresholds import MOST_CHAIN_HOPS, Thresholds
from graph.transaction import Transaction
from graph.window import TransactionWindow
from graph.wording import counted, were


class Chains:
    """Finds forward chains; see the module's docstring.

    `strength` is 0.55 at `chain_hops` hops and 0.1 more for each further hop, at most 0.85; times 1
    for an instant chain down to 0.7 for one that takes the whole `chain_within`; times 1 down to
    0.4 by the share of hops whose ends had dealt with each other before the chain began.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds: Final = thresholds
        self._chain: NDArray[np.int64] = np.zeros(MOST_CHAIN_HOPS, np.int64)
        self._path: NDArray[np.int64] = np.zeros((2, MOST_CHAIN_HOPS), np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """The chain that this transaction lengthens."""
        del tx
        return self.at(window, admission.position) if admission.status is Status.ACCEPTED else ()

    def at(self, window: TransactionWindow, position: int) -> Sequence[Evidence]:
        """The longest chain that ends with the edge at a live position."""
        length, truncated = self._search(window, position)
        if not length:
            return ()
        positions = self._chain[:length]
        hops = tuple(window.hop(p) for p in positions.tolist())
        # What may still arrive late does not count, so that the order of arrival does not matter.
        known = acquainted(window, positions, hops[0].timestamp - window.config.lateness)
        return [self._evidence(hops, known, truncated=bool(truncated))]

    def cut_short(self, window: TransactionWindow, position: int) -> bool:
        """Whether the search at a live position found nothing because its budget ran out."""
        length, truncated = self._search(window, position)
        return not length and bool(truncated)

    def _search(self, window: TransactionWindow, position: int) -> tuple[int, bool]:
        limits = self.thresholds
        arguments = (
            window.edges,
            window.tail,
            window.cutoff,
            position,
            reach(window, limits.chain_within),
            limits.chain_keeps,
            limits.cycle_ratio_most,
            limits.chain_hops,
            limits.chain_scan,
            self._chain,
            self._path,
        )
        self._kernel = self._kernel or bind(chain_at, *arguments)
        result: tuple[int, bool] = self._kernel(*arguments)
        return result

    def _evidence(self, hops: tuple[Hop, ...], known: int, *, truncated: bool) -> Evidence:
        first, last = hops[0], hops[-1]
        span = last.timestamp - first.timestamp
        kept = last.value / first.value
        through = [hop.source for hop in hops[1:] if hop.source is not None]
        members = [(first.source, Role.SENDER), *((account, Role.MULE) for account in through)]
        if last.target is not None:
            members.append((last.target, Role.RECEIVER))
        longer = len(hops) - self.thresholds.chain_hops
        return Evidence(
            pattern=Pattern.CHAIN,
            seen_at=last.timestamp,
            members=tuple((entity, role) for entity, role in members if entity is not None),
            hops=hops,
            strength=min(0.55 + 0.1 * longer, 0.85)
            * (1 - 0.3 * min(span / self.thresholds.chain_within, 1))
            * (1 - 0.6 * known / len(hops)),
            reason=(
                f"Money went from {first.source} through {counted(len(through), 'account')} in "
                f"{span_in_words(span)}; {100 * kept:.0f} % of it was kept on the way"
                + (f"; {known} of the hops {were(known)} between acquaintances." if known else ".")
            ),
            facts={
                "hops": float(len(hops)),
                "minutes": span / 60_000,
                "acquainted_hops": float(known),
            },
            retained=kept,
            truncated=truncated,
        )


@kernel
def chain_at(  # type: ignore[no-untyped-def]  # noqa: C901, PLR0912  # one search, one loop
    edges, tail, cutoff, position, within, least, most, hops, budget, chain, path
):
    """Search backwards from the edge at `position` for the longest chain that it ends.

    Fills `chain` (int64[n], positions by time); `path` (int64[2, n]) is scratch: the path
    backwards, and the next edge to try at each depth. Mutates these two only.

    Returns:
        (hops of the longest chain, 0 if fewer than `hops`; whether a bound was hit).
    """
    e = slot(edges.pages, position)
    u, v = edges.source[e], edges.target[e]
    if u < 0 or u == v or edges.value[e] <= 0 or edges.back_pred[e] == 0:
        return 0, False
    if edges.account_kind[u] != KIND_USER or (v >= 0 and edges.account_kind[v] != KIND_USER):
        return 0, False
    since = max(edges.time[e] - within, cutoff)
    longest = 0
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
            return (longest, True) if longest >= hops else (0, True)
        scanned += 1
        path[1, depth] = -1 if edges.back_in[s] == 0 else p - edges.back_in[s]
        following = slot(edges.pages, path[0, depth])
        w = edges.source[s]
        if edges.time[s] >= edges.time[following] or edges.value[s] <= 0 or w < 0 or w == v:
            continue
        carried = edges.value[following]
        if carried < least * edges.value[s] or carried > most * edges.value[s]:
            continue
        if edges.account_kind[w] != KIND_USER:
            continue
        visited = False
        for i in range(depth + 1):
            visited |= edges.source[slot(edges.pages, path[0, i])] == w
        if visited:
            continue
        if depth + 2 > longest:
            longest = depth + 2
            chain[0] = p
            for i in range(depth + 1):
                chain[i + 1] = path[0, depth - i]
            if longest == chain.shape[0]:
                return longest, False
        if edges.back_pred[s] == 0:
            continue
        depth += 1
        path[0, depth] = p
        path[1, depth] = p - edges.back_pred[s]
    return (longest, False) if longest >= hops else (0, False)
