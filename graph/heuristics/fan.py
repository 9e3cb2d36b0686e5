"""Crowds around one account: fan-in and fan-out.

Behaviour
    Many victims pay one collector, or one account spreads money over many (smurfing, pay-outs to
    recruits): many distinct counterparties in a day, most of whom it never dealt with before.

Definition
    At an edge e = (u → v) between users, over the money edges between users before e in the span
    `fan_within` (and what the window can vouch for) plus e itself: v has a fan-in if at least
    `fan_counterparties` distinct users paid it, and u a fan-out if it paid as many. It is told only
    where e adds a counterparty not yet in the span, one by one up to `told_singly` and then each
    time the crowd grew by a quarter (`told_counts`), and only if at least `fan_fresh_share` of the
    counterparties are strangers: no dealing before the span as far as the link log remembers. That
    share stands for "above the account's own history": the window itself holds one day.

    When whom many paid takes the money away, `graph.heuristics.collector` tells the fan-in again.

    A merchant is never a centre (being paid by many is its business) nor a counterparty (a day of
    shopping is no fan). Declined edges count for nothing.

Method and cost
    Walks `back_in` and `back_out` from e: O(k) for k edges of the account in the span, at most
    `fan_scan` on each side. Beyond it the newest are counted and the evidence says `truncated`:
    a crowd larger than the bound is not told again, it has been told on its way there.
    O(1) where the counterparty was there a moment ago.

Misses
    Slow fans (a few strangers a day); fans through merchants; what a hub does beyond the bound.

False positives
    Payroll, landlords, clubs: they pay the same people again, so few are strangers once the link
    log has seen them (30 days: a monthly payroll may fall just outside); a wedding list or crowd
    funding stays a false positive, hence a fan alone is never stronger than 0.7, and one of less
    than eight weaker than 0.5.

Source
    Altman et al., "Realistic Synthetic Financial Transactions for Anti-Money Laundering Models",
    NeurIPS 2023 (the fan typologies); FATF on smurfing.

>>> from graph.thresholds import Thresholds
>>> from graph.transaction import Money, Transaction, TransactionType
>>> from graph.window import TransactionWindow
>>> window, fans = TransactionWindow(), Fans(Thresholds())
>>> for n in range(8):
...     tx = Transaction(f"t{n}", 60_000 * (n + 1), TransactionType.TRANSFER,
...                      Money(100, "EUR"), 100, f"victim{n}", counterparty_id="collector")
...     found = fans.detect(window, tx, window.add(tx))
>>> found[0].reason
'8 accounts paid user:collector within 7 min; 8 of them had not dealt with it before.'
"""

from collections.abc import Callable, Sequence
from math import log2
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind, kernel
from graph.evidence import Evidence, Pattern, Role
from graph.heuristics.acquaintance import Acquaintance, mark_acquainted
from graph.heuristics.witness import reach, span_in_words, witness
from graph.kernels import KIND_USER, slot
from graph.thresholds import Thresholds, told_counts
from graph.transaction import Transaction
from graph.window import TransactionWindow

_CROWD: Final = 8
"""Counterparties a day that few people have; a fan of fewer may be a birthday."""


class Fans:
    """Finds fans; see the module's docstring.

    `strength` is 0.3, plus 0.1 for each doubling of the crowd beyond eight (at most 0.2, and as
    much less for smaller ones), plus 0.2 times the share of strangers: 0.38 to 0.7 with the
    defaults.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds: Final = thresholds
        n = thresholds.fan_scan
        self.told = told_counts(thresholds.fan_counterparties, thresholds.told_singly, n + 1)
        self._found: NDArray[np.int64] = np.zeros((2, n + 1), np.int64)
        self._seen: NDArray[np.int32] = np.zeros(table_size(n), np.int32)
        self._acquaintance = Acquaintance()
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Fans that this transaction starts or widens."""
        del tx
        return self.at(window, admission.position) if admission.status is Status.ACCEPTED else ()

    def at(self, window: TransactionWindow, position: int) -> Sequence[Evidence]:
        """Fans that the edge at a live position starts or widens, fan-in first."""
        limits = self.thresholds
        arguments = (
            window.edges,
            window.tail,
            window.cutoff,
            position,
            reach(window, limits.fan_within),
            limits.fan_counterparties,
            self._found,
            self._seen,
        )
        if self._kernel is None:
            self._kernel = bind(crowds_at, *arguments)
            self._acquaintance.load(window)
        ins, cut_in, outs, cut_out = self._kernel(*arguments)
        if not ins and not outs:
            return ()
        found: list[Evidence] = []
        for side, count, cut in ((0, int(ins), bool(cut_in)), (1, int(outs), bool(cut_out))):
            if count in self.told:
                crowd = self._found[side, :count]
                found += self._judge(window, crowd, incoming=side == 0, truncated=cut)
        return found

    def _judge(
        self,
        window: TransactionWindow,
        crowd: NDArray[np.int64],
        *,
        incoming: bool,
        truncated: bool,
    ) -> Sequence[Evidence]:
        """Evidence if enough of the counterparties are strangers; `crowd` is newest first."""
        limits, edges = self.thresholds, window.edges
        rows = window.rows_of(crowd)
        side = edges.source if incoming else edges.target
        centre = int((edges.target if incoming else edges.source)[rows[0]])
        now, first = int(edges.time[rows[0]]), int(edges.time[rows[-1]])
        before = max(now - reach(window, limits.fan_within), window.cutoff)
        known, cut = self._acquaintance.of(
            window, centre, np.sort(side[rows]).astype(np.int64), before, limits.acquaintance_scan
        )
        fresh = len(crowd) - int(known.sum())
        if fresh < limits.fan_fresh_share * len(crowd):
            return ()
        hops = witness(window, crowd[: limits.witness].tolist())
        hub = window.accounts.entity(centre)
        role, other = (Role.RECEIVER, Role.SENDER) if incoming else (Role.SENDER, Role.RECEIVER)
        ends = (hop.source if incoming else hop.target for hop in hops)
        crowded = (
            f"{len(crowd)} accounts paid {hub}"
            if incoming
            else (f"{hub} paid {len(crowd)} accounts")
        )
        return [
            Evidence(
                pattern=Pattern.FAN_IN if incoming else Pattern.FAN_OUT,
                seen_at=now,
                members=((hub, role), *((end, other) for end in ends if end is not None)),
                hops=hops,
                strength=0.3 + min(0.1 * log2(len(crowd) / _CROWD), 0.2) + 0.2 * fresh / len(crowd),
                reason=(
                    f"{crowded} within {span_in_words(now - first)}; "
                    f"{fresh} of them had not dealt with it before."
                ),
                facts={
                    "counterparties": float(len(crowd)),
                    "strangers": float(fresh),
                    "minutes": (now - first) / 60_000,
                },
                truncated=truncated or cut or len(hops) < len(crowd),
            )
        ]


def table_size(scan: int) -> int:
    """Length of the scratch table that so many edges and the one at hand need: half of it free."""
    return 1 << (2 * (scan + 1) - 1).bit_length()


@kernel
def crowds_at(  # type: ignore[no-untyped-def]
    edges, tail, cutoff, position, within, least, found, seen
):
    """Count the distinct counterparties on both sides of the edge at `position`.

    Fills `found` (int64[2, n + 1]): the newest edge from each distinct payer of the target, and to
    each distinct payee of the source, newest first, the edge itself at 0. `seen` (int32[power of
    two >= 2n + 2]) is scratch. Mutates these two only.

    Returns:
        (payers, whether the bound n cut their walk, payees, the same): a side is 0 where there are
        fewer than `least` or the edge adds nobody new.
    """
    e = slot(edges.pages, position)
    u, v = edges.source[e], edges.target[e]
    if u < 0 or v < 0 or u == v or edges.value[e] <= 0:
        return 0, False, 0, False
    if edges.account_kind[u] != KIND_USER or edges.account_kind[v] != KIND_USER:
        return 0, False, 0, False
    since = max(edges.time[e] - within, cutoff)
    payers, cut_in = _crowd(
        edges, edges.back_in, edges.source, v, tail, since, position, least, found[0], seen
    )
    payees, cut_out = _crowd(
        edges, edges.back_out, edges.target, u, tail, since, position, least, found[1], seen
    )
    return payers, cut_in, payees, cut_out


@kernel(cache=False)  # not cached by itself: a callee is in another file
def strangers_in(  # type: ignore[no-untyped-def]
    edges, links, link_tail, cutoff, within, crowd, incoming, budget, others, known
):
    """How many of a crowd that `crowds_at` found had not dealt with its centre before.

    `crowd` is int64[n], a side of `found` up to its count. `others` (int64[at least n]) and `known`
    (bool[at least n]) are scratch; mutates these only.
    """
    n = crowd.shape[0]
    e = slot(edges.pages, crowd[0])
    centre = edges.target[e] if incoming else edges.source[e]
    for i in range(n):
        s = slot(edges.pages, crowd[i])
        other = np.int64(edges.source[s] if incoming else edges.target[s])
        place = i
        while place > 0 and others[place - 1] > other:
            others[place] = others[place - 1]
            place -= 1
        others[place] = other
        known[i] = False
    before = max(edges.time[e] - within, cutoff)
    mark_acquainted(links, link_tail, centre, others[:n], before, budget // 2, known[:n])
    fresh = n
    for i in range(n):
        fresh -= known[i]
    return fresh


@kernel
def _crowd(  # type: ignore[no-untyped-def]  # noqa: C901  # one walk, then one pass
    edges, back, ends, centre, tail, since, position, least, found, seen
):
    """Count the distinct users at the other end of `centre`'s edges up to the one at `position`.

    `back` and `ends` are the chain of the centre's side and the column of the other end. Mutates
    `found` (int64[n + 1]) and `seen`, as in `crowds_at`.

    Returns:
        (distinct counterparties or 0, whether the bound n cut the walk).
    """
    e = slot(edges.pages, position)
    cut = False
    count = 1
    found[0] = position
    p = position - back[e] if back[e] != 0 else np.int64(-1)
    scanned = 0
    while p >= tail:
        s = slot(edges.pages, p)
        if edges.time[s] < since:
            break
        if scanned == found.shape[0] - 1:
            cut = True
            break
        scanned += 1
        end = ends[s]
        if edges.value[s] > 0 and edges.time[s] < edges.time[e]:
            if end == ends[e]:
                return 0, False
            if end >= 0 and end != centre and edges.account_kind[end] == KIND_USER:
                found[count] = p
                count += 1
        if back[s] == 0:
            break
        p -= back[s]
    if count < least:
        return 0, False

    # Keep the newest edge of each counterparty.
    seen[:] = -1
    distinct = 0
    for i in range(count):
        end = ends[slot(edges.pages, found[i])]
        h = ((np.int64(end) * 0x9E3779B1) >> 7) & (seen.shape[0] - 1)
        while seen[h] != -1 and seen[h] != end:
            h = (h + 1) & (seen.shape[0] - 1)
        if seen[h] == -1:
            seen[h] = end
            found[distinct] = found[i]
            distinct += 1
    return (distinct, cut) if distinct >= least else (0, False)
