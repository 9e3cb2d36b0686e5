"""Sums kept just under what has to be reported: structuring (smurfing).

Behaviour
    Somebody who has much to move splits it into payments that each stay just below the sum from
    which a bank must report or ask, himself or through several helpers (smurfs) to one collector.
    A smurf pays the cash in and hands it on within hours or days, less a commission.

Definition
    An edge is just under if it carries at least `structuring_least` of `structuring_limit` and less
    than all of it, between users or between a user and the outside (cash in, cash out). A payment
    to a user hands cash on if its payer had paid in, strictly before it, cash of at least
    `structuring_cash` of the limit and less than all of it a time, and it carries at least
    `structuring_hands_on` of one such deposit, or of the newest few together, and no more than
    that. Both count: one is the sum that was split, the other what a smurf does with his part.

    At such an edge e = (u → v), over those before e in the span `structuring_within` (and what the
    window can vouch for) plus e itself: v collects if at least `structuring_payments` came in, u
    pays out if as many went out; where e hands cash on, the first is enough. Of the two the larger
    is told, v where they are equal; payment by payment up to `told_singly` and then each time it
    grew by a quarter (`told_counts`). Where e hands no cash on, fewer than `structuring_alone` are
    told only where they are with several accounts, or in cash.
    Payments to merchants and declined ones do not count. The deposits are shown with what handed
    them on.

Method and cost
    O(1) for every edge that carries less than what could hand cash on. Else walks `back_in` of v
    and `back_out` of u: O(k) for k edges in the span, at most `structuring_scan` each side (then
    `truncated`); for each that is not just under itself, and for e, the newest `MOST_PAID_IN`
    payments into its payer (likewise).

Misses
    Sums split far below the limit; spread over more than the span, or over accounts that share no
    payer and no payee; another country's limit (there is one, in the base currency). Cash handed
    on in many small parts, or in the same millisecond.

False positives
    A used car or a deposit paid in parts (two parts of one payer are not told, unless he paid
    them in as cash); a landlord of several dear flats; the takings of a till that go to the
    supplier. Payers who dealt with the payee before speak for that: strength falls with their
    share, and one payment alone is told weakly.

Source
    31 U.S.C. 5324 (structuring transactions to evade reporting requirements); FFIEC, BSA/AML
    examination manual, appendix G (structuring: deposits below the limit, then a transfer away);
    FATF, "Professional Money Laundering", 2018.

>>> from graph.thresholds import Thresholds
>>> from graph.transaction import Money, Transaction, TransactionType
>>> from graph.window import TransactionWindow
>>> window, structuring = TransactionWindow(), Structuring(Thresholds())
>>> for n, (payer, value) in enumerate([("a", 960_000), ("b", 985_000), ("c", 940_000)]):
...     tx = Transaction(f"t{n}", 3_600_000 * (n + 1), TransactionType.TRANSFER,
...                      Money(value, "EUR"), value, payer, counterparty_id="collector")
...     found = structuring.detect(window, tx, window.add(tx))
>>> found[0].reason.removeprefix("user:collector received ")
'3 payments of 94 to 98 % of the reporting limit from 3 accounts within 2 h.'
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind, kernel
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.heuristics.acquaintance import acquainted
from graph.heuristics.witness import reach, span_in_words, witness
from graph.kernels import KIND_USER, slot
from graph.thresholds import Thresholds, told_counts
from graph.transaction import Entity, Transaction
from graph.window import TransactionWindow
from graph.wording import counted

MOST_PAID_IN: Final = 32
"""Newest payments into a payer among which the cash is looked for that one of its payments hands
on: bounds each look-up. A smurf is paid a few times a day; a till of more is no smurf."""


class JustUnder(NamedTuple):
    """What compiled code compares with, minor units; see the module's docstring.

    `floor` is the least that can hand cash on, `cash` the least that counts as cash paid in.
    """

    payments: int
    floor: int
    least: int
    cash: int
    limit: int
    hands_on: float


def just_under_limits(thresholds: Thresholds) -> JustUnder:
    """The thresholds as the search takes them."""
    limit, hands_on = thresholds.structuring_limit, float(thresholds.structuring_hands_on)
    least = -int(-thresholds.structuring_least * limit // 1)
    cash = -int(-thresholds.structuring_cash * limit // 1)
    return JustUnder(
        payments=thresholds.structuring_payments,
        floor=min(-int(-hands_on * cash // 1), least),
        least=least,
        cash=cash,
        limit=limit,
        hands_on=hands_on,
    )


class Structuring:
    """Finds structured payments; see the module's docstring.

    `strength` is 0.45, plus 0.1 a payment beyond `structuring_payments` and less 0.1 for one short
    of it, at most 0.8; times 1 down to 0.5 by the share of the payments between accounts that had
    dealt with each other before.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds: Final = thresholds
        n = thresholds.structuring_scan
        self.limits: Final = just_under_limits(thresholds)
        self.told = told_counts(1, thresholds.told_singly, n + 1)
        self._found: NDArray[np.int64] = np.zeros((2, n + 1), np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None
        self._cash_kernel: Callable[..., Any] | None = None
        self._cash: NDArray[np.int64] = np.zeros(MOST_PAID_IN, np.int64)

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Structuring that this transaction completes or carries on."""
        if tx.value < self.limits.floor:
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
            self.limits,
            self._found,
            self._cash,
        )
        self._kernel = self._kernel or bind(just_under_at, *arguments)
        ins, outs, handed_on, truncated = self._kernel(*arguments)
        count, side = (int(ins), 0) if ins >= outs else (int(outs), 1)
        if count not in self.told:
            return ()
        payments = self._found[side, :count].copy()
        ends = window.edges.target if side else window.edges.source
        partners = {int(ends[row]) for row in window.rows_of(payments)}
        alone = len(partners) == 1 and min(partners) >= 0
        if not handed_on and alone and count < limits.structuring_alone:
            return ()
        return [self._evidence(window, payments, incoming=side == 0, cut=bool(truncated))]

    def _evidence(
        self, window: TransactionWindow, payments: NDArray[np.int64], *, incoming: bool, cut: bool
    ) -> Evidence:
        limits = self.thresholds
        cash = self._paid_in(window, payments)
        hops = witness(window, payments[: limits.witness].tolist())
        before = hops[0].timestamp - window.config.lateness
        known = acquainted(window, payments[: limits.witness], before)
        first, last = hops[0], hops[-1]
        centre = last.target if incoming else last.source
        assert centre is not None  # noqa: S101 - the side that counted is a user
        minutes = (last.timestamp - first.timestamp) / 60_000
        ends = {hop.source if incoming else hop.target for hop in hops} - {None}
        shown = (*witness(window, cash[: limits.witness - len(hops)]), *hops)
        return Evidence(
            pattern=Pattern.STRUCTURING,
            seen_at=last.timestamp,
            members=_members(centre, hops, incoming=incoming),
            hops=tuple(sorted(shown, key=lambda hop: (hop.timestamp, hop.transaction_id))),
            strength=min(0.45 + 0.1 * (len(payments) - limits.structuring_payments), 0.8)
            * (1 - 0.5 * known / len(hops)),
            reason=_reason(
                centre,
                hops,
                self.limits.limit,
                (len(payments), len(ends), len(cash)),
                incoming=incoming,
            ),
            facts={
                "payments": float(len(payments)),
                "accounts": float(len(ends)),
                "cash_deposits": float(len(cash)),
                "acquainted": float(known),
                "minutes": minutes,
            },
            truncated=cut or len(shown) < len(payments) + len(cash),
        )

    def _paid_in(self, window: TransactionWindow, payments: NDArray[np.int64]) -> list[int]:
        """Positions of the cash that some payments hand on, the newest payments' first."""
        newest = int(window.edges.time[window.rows_of(payments[:1])[0]])
        since = max(newest - reach(window, self.thresholds.structuring_within), window.cutoff)
        found: dict[int, None] = {}
        for position in payments[: self.thresholds.witness].tolist():
            arguments = (window.edges, window.tail, since, position, self.limits, self._cash)
            self._cash_kernel = self._cash_kernel or bind(cash_before, *arguments)
            first, past, _ = self._cash_kernel(*arguments)
            found.update(dict.fromkeys(self._cash[first:past].tolist()))
        return list(found)


def _reason(
    centre: Entity,
    hops: tuple[Hop, ...],
    limit: int,
    counts: tuple[int, int, int],
    *,
    incoming: bool,
) -> str:
    count, ends, cash = counts
    # Not in money: of which currency the values are is not known here. Rounded down, for 99.99 %
    # of the limit is not all of it.
    least, most = (100 * pick(hop.value for hop in hops) // limit for pick in (min, max))
    way = f"{'from' if incoming else 'to'} {counted(ends, 'account')}" if ends else "in cash"
    return (
        f"{centre} {'received' if incoming else 'paid'} {counted(count, 'payment')} of "
        + (f"{least} %" if least == most else f"{least} to {most} %")
        + f" of the reporting limit {way}"
        + (f" within {_span(hops)}" if len(hops) > 1 else "")
        + (f", handing on {counted(cash, 'deposit')} of cash" if cash else "")
        + "."
    )


def _span(hops: tuple[Hop, ...]) -> str:
    return span_in_words(hops[-1].timestamp - hops[0].timestamp)


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
    edges, tail, cutoff, position, within, limits, found, cash
):
    """What counts into the target and out of the source of an edge that counts itself.

    Fills `found` (int64[2, n + 1]): those into the target and those out of the source, newest
    first, the edge at `position` at 0. Mutates it and `cash` (int64[`MOST_PAID_IN`]) only.

    Returns:
        (into the target, out of the source, whether the edge hands cash on, whether a bound cut a
        walk): all 0 where the edge itself does not count, goes to or comes from a merchant, or
        where they are too few and it hands no cash on.
    """
    none = (0, 0, False, False)
    e = slot(edges.pages, position)
    u, v = edges.source[e], edges.target[e]
    if edges.value[e] < limits.floor or u == v:
        return none
    if u >= 0 and edges.account_kind[u] != KIND_USER:
        return none
    if v >= 0 and edges.account_kind[v] != KIND_USER:
        return none
    since = max(edges.time[e] - within, cutoff)
    first, past, cut = cash_before(edges, tail, since, position, limits, cash)
    hands_on = past > first
    if not hands_on and (edges.value[e] < limits.least or edges.value[e] >= limits.limit):
        return none
    ins, cut_in = _counted_at(
        edges, edges.back_in, v, tail, since, position, limits, found[0], cash
    )
    outs, cut_out = _counted_at(
        edges, edges.back_out, u, tail, since, position, limits, found[1], cash
    )
    if not hands_on and max(ins, outs) < limits.payments:
        return none
    return ins, outs, hands_on, cut or cut_in or cut_out


@kernel
def _counted_at(  # type: ignore[no-untyped-def]
    edges, back, centre, tail, since, position, limits, found, cash
):
    """One side of `just_under_at`; returns (count, whether a bound cut a walk)."""
    if centre < 0:
        return 0, False
    e = slot(edges.pages, position)
    found[0] = position
    count = 1
    truncated = False
    p = position - back[e] if back[e] != 0 else np.int64(-1)
    for _ in range(found.shape[0] - 1):
        if p < tail:
            return count, truncated
        s = slot(edges.pages, p)
        if edges.time[s] < since:
            return count, truncated
        u, v = edges.source[s], edges.target[s]
        if (
            edges.value[s] >= limits.floor
            and edges.time[s] < edges.time[e]
            and u != v
            and (u < 0 or edges.account_kind[u] == KIND_USER)
            and (v < 0 or edges.account_kind[v] == KIND_USER)
        ):
            counts = limits.least <= edges.value[s] < limits.limit
            if not counts:
                first, past, cut = cash_before(edges, tail, since, p, limits, cash)
                counts = past > first
                truncated |= cut
            if counts:
                found[count] = p
                count += 1
        if back[s] == 0:
            return count, truncated
        p -= back[s]
    return count, truncated or p >= tail


@kernel
def cash_before(edges, tail, since, position, limits, cash):  # type: ignore[no-untyped-def]
    """The cash paid in that an edge hands on to a user: one deposit, or the newest few together.

    Of several the newest that fits. Fills `cash` (int64[`MOST_PAID_IN`]) with positions; looks at
    so many edges. Mutates it only.

    Returns:
        (first, past the last place in `cash` that is meant, whether the bound was hit in vain).
    """
    e = slot(edges.pages, position)
    payer, value = edges.source[e], edges.value[e]
    if payer < 0 or edges.target[e] < 0 or edges.back_pred[e] == 0 or value < limits.floor:
        return 0, 0, False
    count = 0
    total = np.int64(0)
    p = position - edges.back_pred[e]
    for _ in range(cash.shape[0]):
        if p < tail:
            return 0, 0, False
        s = slot(edges.pages, p)
        if edges.time[s] < since:
            return 0, 0, False
        paid_in = edges.value[s]
        if edges.source[s] < 0 and limits.cash <= paid_in < limits.limit:
            cash[count] = p
            count += 1
            total += paid_in
            if limits.hands_on * paid_in <= value <= paid_in:
                return count - 1, count, False
            if limits.hands_on * total <= value <= total:
                return 0, count, False
        if edges.back_in[s] == 0:
            return 0, 0, False
        p -= edges.back_in[s]
    return 0, 0, p >= tail
