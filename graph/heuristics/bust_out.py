"""Credit built up to be blown: bust-outs.

Behaviour
    An account, often of an invented person, behaves for months while its limits grow. Then it
    spends whatever it can within days, largely as cash, pays with deposits that bounce, and is
    gone.

Definition
    Over weeks of seven days (from Thursday 0:00 UTC), with what an account spent in each: payments,
    transfers and withdrawals that went through. A week is clean if something was spent and fewer
    than `bust_out_reversals` things were reversed: refunded to it or declined, its deposits
    included. Once the account has `bust_out_weeks` clean weeks behind it, a payment is a bust-out's
    if this week's spending is

    - at least `bust_out_times` the mean of the clean weeks, and above every one of them; and
    - at least `bust_out_reversals` things were reversed this week, or at least
      `bust_out_cash_share` of it was cash-like (withdrawals, cash machines, and categories that
      turn a card into money: `graph.layout.CASH_CATEGORIES`).

    It is told when it is first so, and again each time the week's spending grew by a quarter.

    The usual definition is a utilisation above 90 %. A transaction carries no credit limit, so the
    account's own peak week stands in for it: whoever spends more than ever before, several times
    over, is nearer to the limit than ever before. Who knows the limit should use it.

Method and cost
    One row of the account's profile: O(1). The witness is this week's payments as far as the window
    still holds them, at most `witness`.

Misses
    Bust-outs through shops with nothing reversed until the bill comes; a burst cut in two by the
    end of a week; accounts younger than `bust_out_weeks`.

False positives
    Seasonal spending, a wedding, a new kitchen: in shops, paid, not reversed. Moving abroad with
    all one's savings as cash.

Source
    Experian, "Bust-out fraud: knowing what to look for can safeguard the bottom line", 2009.

>>> from graph.profiles import Profiles
>>> from graph.thresholds import Thresholds
>>> from graph.transaction import DAY, Money, Transaction, TransactionType
>>> from graph.window import TransactionWindow, WindowConfig
>>> window = TransactionWindow(WindowConfig(horizon=60 * DAY))  # time may jump by a month
>>> profiles = Profiles(Thresholds())
>>> bust_out = BustOut(Thresholds(), profiles)
>>> for week in range(8):
...     last = week == 7
...     kind = TransactionType.WITHDRAWAL if last else TransactionType.PAYMENT
...     tx = Transaction(f"t{week}", (7 * week + 1) * DAY, kind, Money(900 if last else 100, "EUR"),
...                      900 if last else 100, "a", merchant_id=None if last else "shop")
...     admission = window.add(tx)
...     found = bust_out.detect(window, tx, admission)
...     profiles.note(window, tx, admission)
>>> found[0].reason
'user:a spent 9.0 times its weekly mean of 7 clean weeks, 100 % of it as cash; 0 reversals.'
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind, kernel
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.heuristics.rules import attempts_of
from graph.heuristics.witness import witness
from graph.layout import CASH, INWARD, TIME, USER, VALUE
from graph.profiles import GENERATION, WARNED, WARNED_WEEK, WEEK, Profiles, week_of
from graph.thresholds import Thresholds
from graph.transaction import Transaction
from graph.window import TransactionWindow


class BustOut:
    """Finds bust-outs; see the module's docstring.

    `strength` is 0.4, plus up to 0.2 for the excess (ten times the mean is full), plus 0.15 each
    for enough reversals and for enough cash.
    """

    def __init__(self, thresholds: Thresholds, profiles: Profiles) -> None:
        self.thresholds: Final = thresholds
        self._profiles: Final = profiles
        self._spent: NDArray[np.int64] = np.zeros(thresholds.witness, np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None
        self._spent_kernel: Callable[..., Any] | None = None

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Whether this payment makes the week one of a bust-out, or more of one."""
        if admission.status is not Status.ACCEPTED:
            return ()
        limits, profiles = self.thresholds, self._profiles
        users = profiles.columns(window).users
        arguments = (
            users,
            window.accounts.generation,
            profiles.row(tx, admission),
            limits.bust_out_weeks,
            limits.bust_out_times,
            limits.bust_out_reversals,
            limits.bust_out_cash_share,
        )
        self._kernel = self._kernel or bind(busts, *arguments)
        spent, cashed, reversed_, weeks, mean, week = self._kernel(*arguments)
        if not spent:
            return ()
        users[admission.user, WARNED], users[admission.user, WARNED_WEEK] = spent, week
        hops = self._witness(window, admission.user, int(week) * WEEK, tx.timestamp)
        times, cash = spent / mean, cashed / spent
        return [
            Evidence(
                pattern=Pattern.BUST_OUT,
                seen_at=tx.timestamp,
                members=((tx.user, Role.MEMBER),),
                hops=hops,
                strength=(
                    0.4
                    + 0.2 * min(times / 10, 1)
                    + 0.15 * (reversed_ >= limits.bust_out_reversals)
                    + 0.15 * (cash >= limits.bust_out_cash_share)
                ),
                reason=(
                    f"{tx.user} spent {times:.1f} times its weekly mean of {weeks} clean weeks, "
                    f"{100 * cash:.0f} % of it as cash; {reversed_} reversals."
                ),
                facts={
                    "times_mean": times,
                    "spent": float(spent),
                    "weeks": float(weeks),
                    "cash_share": cash,
                    "reversals": float(reversed_),
                },
                truncated=sum(hop.value for hop in hops) < spent,
            )
        ]

    def _witness(
        self, window: TransactionWindow, user: int, since: int, until: int
    ) -> tuple[Hop, ...]:
        """The newest of the week's payments that fit."""
        arguments = (window.edges, window.tail, user, since - 1, until, self._spent)
        self._spent_kernel = self._spent_kernel or bind(attempts_of, *arguments)
        count, _, _ = self._spent_kernel(*arguments)
        spent = self._spent[:count]
        went = window.edges.value[window.rows_of(spent)] > 0
        return witness(window, spent[went].tolist())


@kernel
def busts(users, generations, row, least_weeks, times, reversals, cash_share):  # type: ignore[no-untyped-def]
    """How far over its means the payment in a row takes its user. Mutates nothing.

    Returns:
        (spent this week, as cash, reversals, clean weeks before, their mean, the week); all 0 where
        that is no bust-out, or not a quarter more of one than was told.
    """
    zero = np.int64(0)
    none = (zero, zero, zero, zero, 0.0, zero)
    user, value = row[USER], row[VALUE]
    if user < 0 or row[INWARD] != 0 or value <= 0:
        return none
    if users[user, GENERATION] != generations[user]:
        return none
    week, spent, cashed, reversed_, weeks, total, peak = week_of(users, user, row[TIME], reversals)
    spent += value
    if row[CASH] != 0:
        cashed += value
    if weeks < least_weeks or spent <= peak or spent * weeks < times * total:
        return none
    if reversed_ < reversals and cashed < cash_share * spent:
        return none
    if users[user, WARNED_WEEK] == week and 4 * spent < 5 * users[user, WARNED]:
        return none
    return spent, cashed, reversed_, weeks, total / weeks, week
