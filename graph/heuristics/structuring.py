"""Sums kept just under what has to be reported: structuring (smurfing).

Behaviour
    Somebody who has much to move splits it into payments that each stay just below the sum from
    which a bank must report or ask, himself or through several helpers (smurfs) to one collector.

Definition
    An edge is just under if it carries at least `structuring_least` of `structuring_limit` and less
    than all of it, between users or between a user and the outside (cash in, cash out). At such an
    edge e = (u → v), over the edges just under before e in the span `structuring_within` (and what
    the window can vouch for) plus e itself: v collects if at least `structuring_payments` came in,
    u pays out if as many went out. Of the two the larger is told, v where they are equal; payment
    by payment up to `told_singly` and then each time it grew by a quarter (`told_counts`).
    Fewer than `structuring_alone` are told only where they are with several accounts, or in cash.
    Payments to merchants and declined ones do not count.

Method and cost
    O(1) for every edge that is not just under. Else walks `back_in` of v and `back_out` of u: O(k)
    for k edges in the span, at most `structuring_scan` each side (then `truncated`).

Misses
    Sums split far below the limit; spread over more than the span, or over accounts that share no
    payer and no payee; another country's limit (there is one, in the base currency).

False positives
    A used car or a deposit paid in parts (two parts of one payer are not told); a landlord of
    several dear flats. Payers who dealt with the payee before speak for that: strength falls with
    their share.

Source
    31 U.S.C. 5324 (structuring transactions to evade reporting requirements); FATF, "Professional
    Money Laundering", 2018.

>>> from graph.thresholds import Thresholds
>>> from graph.transaction import Money, Transaction, TransactionType
>>> from graph.window import TransactionWindow
>>> window, structuring = TransactionWindow(), Structuring(Thresholds())
>>> for n, (payer, value) in enumerate([("a", 960_000), ("b", 985_000), ("c", 940_000)]):
...     tx = Transaction(f"t{n}", 3_600_000 * (n + 1), TransactionType.TRANSFER,
...                      Money(value, "EUR"), value, payer, counterparty_id="collector")
...     found = structuring.detect(window, tx, window.add(tx))
>>> found[0].reason
'user:collector received 3 payments of 8,000 to 10,000 from 3 accounts within 2.0 h.'
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind, kernel
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.heuristics.acquaintance import acquainted
from graph.heuristics.witness import reach, span_in_words, witness
from graph.kernels import KIND_MERCHANT, KIND_USER, slot
from graph.thresholds import Thresholds, told_counts
from graph.transaction import Entity, Transaction
from graph.window import TransactionWindow


class Structuring:
    """Finds structured payments; see the module's docstring.

    `strength` is 0.45, plus 0.1 a payment beyond the threshold, at most 0.8; times 1 down to 0.5
    by the share of the payments between accounts that had dealt with each other before.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds: Final = thresholds
        n = thresholds.structuring_scan
        self.told = told_counts(thresholds.structuring_payments, thresholds.told_singly, n + 1)
        self._found: NDArray[np.int64] = np.zeros((2, n + 1), np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None

    @property
    def least(self) -> int:
        """The smallest value that is just under the limit, minor units."""
        return -int(-self.thresholds.structuring_least * self.thresholds.structuring_limit // 1)

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Structuring that this transaction completes or carries on."""
        if not self.least <= tx.value < self.thresholds.structuring_limit:
            return ()
        return self.at(window, admission.position) if admission.status is Status.ACCEPTED else ()

    def at(self, window: TransactionWindow, position: int) -> Sequence[Evidence]:
        """Structuring that the edge at a live position completes or carries on."""
        limits = self.thresholds
        arguments = (
            window.edges,
            window.tail,
            window.cutoff,
            position,
            reach(window, limits.structuring_within),
            self.least,
            limits.structuring_limit,
            self._found,
        )
        self._kernel = self._kernel or bind(just_under_at, *arguments)
        ins, outs, truncated = self._kernel(*arguments)
        count, side = (int(ins), 0) if ins >= outs else (int(outs), 1)
        if count not in self.told:
            return ()
        payments = self._found[side, :count]
        ends = window.edges.target if side else window.edges.source
        partners = {int(ends[row]) for row in window.rows_of(payments)}
        if count < limits.structuring_alone and len(partners) == 1 and min(partners) >= 0:
            return ()
        return [self._evidence(window, payments, incoming=side == 0, cut=bool(truncated))]

    def _evidence(
        self, window: TransactionWindow, payments: NDArray[np.int64], *, incoming: bool, cut: bool
    ) -> Evidence:
        limits = self.thresholds
        hops = witness(window, payments[: limits.witness].tolist())
        before = hops[0].timestamp - window.config.lateness
        known = acquainted(window, payments[: limits.witness], before)
        first, last = hops[0], hops[-1]
        centre = last.target if incoming else last.source
        assert centre is not None  # noqa: S101 - the side that counted is a user
        span = span_in_words(last.timestamp - first.timestamp)
        ends = {hop.source if incoming else hop.target for hop in hops} - {None}
        least, most = self.least // 100, limits.structuring_limit // 100
        way = f"from {len(ends)} accounts" if incoming else f"to {len(ends)} accounts"
        if not ends:
            way = "in cash"
        return Evidence(
            pattern=Pattern.STRUCTURING,
            seen_at=last.timestamp,
            members=_members(centre, hops, incoming=incoming),
            hops=hops,
            strength=min(0.45 + 0.1 * (len(payments) - limits.structuring_payments), 0.8)
            * (1 - 0.5 * known / len(hops)),
            reason=(
                f"{centre} {'received' if incoming else 'paid'} {len(payments)} payments of "
                f"{least:,} to {most:,} {way} within {span}."
            ),
            facts={
                "payments": float(len(payments)),
                "accounts": float(len(ends)),
                "acquainted": float(known),
                "minutes": (last.timestamp - first.timestamp) / 60_000,
            },
            truncated=cut or len(hops) < len(payments),
        )


def _members(
    centre: Entity, hops: tuple[Hop, ...], *, incoming: bool
) -> tuple[tuple[Entity, Role], ...]:
    members = {centre: Role.CONTROLLER}
    for hop in hops:
        end = hop.source if incoming else hop.target
        if end is not None:
            members.setdefault(end, Role.MULE if incoming else Role.RECEIVER)
    return tuple(members.items())


@kernel
def just_under_at(  # type: ignore[no-untyped-def]
    edges, tail, cutoff, position, within, least, limit, found
):
    """Edges just under the limit into the target and out of the source of one of them.

    Fills `found` (int64[2, n + 1]): those into the target and those out of the source, newest
    first, the edge at `position` at 0. Mutates it only.

    Returns:
        (into the target, out of the source, whether the bound n cut a walk): all 0 where the edge
        itself is not just under, or goes to or comes from a merchant.
    """
    e = slot(edges.pages, position)
    u, v = edges.source[e], edges.target[e]
    if edges.value[e] < least or edges.value[e] >= limit or u == v:
        return 0, 0, False
    if u >= 0 and edges.account_kind[u] != KIND_USER:
        return 0, 0, False
    if v >= 0 and edges.account_kind[v] != KIND_USER:
        return 0, 0, False
    since = max(edges.time[e] - within, cutoff)
    ins, cut_in = _just_under(
        edges, edges.back_in, edges.source, v, tail, since, position, least, limit, found[0]
    )
    outs, cut_out = _just_under(
        edges, edges.back_out, edges.target, u, tail, since, position, least, limit, found[1]
    )
    return ins, outs, cut_in or cut_out


@kernel
def _just_under(  # type: ignore[no-untyped-def]
    edges, back, ends, centre, tail, since, position, least, limit, found
):
    """One side of `just_under_at`; returns (count, whether the bound cut the walk)."""
    if centre < 0:
        return 0, False
    e = slot(edges.pages, position)
    found[0] = position
    count = 1
    p = position - back[e] if back[e] != 0 else np.int64(-1)
    for _ in range(found.shape[0] - 1):
        if p < tail:
            return count, False
        s = slot(edges.pages, p)
        if edges.time[s] < since:
            return count, False
        other = ends[s]
        if (
            least <= edges.value[s] < limit
            and edges.time[s] < edges.time[e]
            and other != centre
            and (other < 0 or edges.account_kind[other] != KIND_MERCHANT)
        ):
            found[count] = p
            count += 1
        if back[s] == 0:
            return count, False
        p -= back[s]
    return count, p >= tail
