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

    A smaller sign counts where it is not alone, and over the last seven days, whatever the calendar
    says: this week and of the one before the share that lies within them, as if it had been spent
    evenly. They are strained if at least `bust_out_strain` times the mean of the clean weeks (one
    is enough; of several the last is left out) was spent, and at least `bust_out_reversals` things
    were reversed or a deposit has just bounced. A deposit that bounces counts as spent: it was paid
    in to be drawn on. The account's cohort are those it has paid within the retention whose last
    strained week is this one or the one before. A week is told when it becomes strained, if there
    is a cohort, and whenever a deposit bounces in it. Whatever is told names the cohort.

    Whoever spends what it will never pay for goes where it has never been: to many shops, once
    each, and a ring of accounts does so in the same days. A payment at a merchant that the account
    has not dealt with within the retention makes a spree if it is the `spree_merchants`-th such
    merchant within `spree_within`, and the account is known for `spree_after`. It is told, and so
    is each further new merchant, if somebody whom the account has paid within the retention is on a
    spree as well; named are both. Those on a spree are named beside a week's cohort, too. Of this
    company it is said how far it is beyond its means (the median of who has clean weeks), and of
    how many a deposit bounced within two weeks.

    The usual definition is a utilisation above 90 %. A transaction carries no credit limit, so the
    account's own peak week stands in for it: whoever spends more than ever before, several times
    over, is nearer to the limit than ever before. Who knows the limit should use it.

Method and cost
    One row of the account's profile: O(1). The witness is this week's payments as far as the window
    still holds them, at most `witness`. A cohort costs a walk over at most `sharing_scan` links and
    ends at `witness` accounts (`truncated`); few accounts get so far. A payment at a new merchant
    costs a walk over as many links of the account; on a spree, or where a week is told, as many of
    each of the newest `witness` whom it has paid.

Misses
    Bust-outs of one alone through shops with nothing reversed until the bill comes; an account that
    empties itself over the end of a week and knows nobody else who does; accounts younger than
    `bust_out_weeks` that know nobody else of theirs; rings whose accounts never pay each other;
    sprees of the first days of a stream.

False positives
    Seasonal spending, a wedding, a new kitchen: in shops, paid, not reversed. Moving abroad with
    all one's savings as cash. Friends who return their Christmas presents, or travel together: left
    to the judge.

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
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind, kernel
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.heuristics.cohort import Cohorts
from graph.heuristics.rules import attempts_of
from graph.heuristics.spree import Sprees
from graph.heuristics.witness import span_in_words, witness
from graph.kernels import KIND_MERCHANT
from graph.layout import CASH, INWARD, OTHER, TIME, USER, VALUE
from graph.profiles import (
    BROKE,
    GENERATION,
    STRAINED,
    WARNED,
    WARNED_WEEK,
    WEEK,
    Profiles,
    means_of,
    strain_of,
    week_of,
)
from graph.thresholds import Thresholds
from graph.transaction import DAY, Transaction
from graph.window import TransactionWindow
from graph.wording import counted

BROKE_WITHIN: Final = 14 * DAY
"""For how long a deposit that bounced is held against the company of others that did alike."""


class _Week(NamedTuple):
    """What is told of an account's week."""

    number: int
    spent: int
    cashed: int
    reversals: int
    clean: int
    mean: float
    emptied: bool
    bounced: bool
    spree: int = 0


class BustOut:
    """Finds bust-outs; see the module's docstring.

    `strength` is 0.4, or 0.1 of a week that is only strained and 0.3 of a spree or of a week in
    which a deposit has just bounced, plus up to 0.2 for the excess (ten times the mean is full),
    plus 0.15 each for enough reversals and for enough cash, plus 0.1 for company.
    """

    def __init__(self, thresholds: Thresholds, profiles: Profiles) -> None:
        self.thresholds: Final = thresholds
        self._profiles: Final = profiles
        self._cohorts: Final = Cohorts(thresholds)
        self._sprees: Final = Sprees(thresholds)
        self._spent: NDArray[np.int64] = np.zeros(thresholds.witness, np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None
        self._strains_kernel: Callable[..., Any] | None = None
        self._spent_kernel: Callable[..., Any] | None = None
        self._means_kernel: Callable[..., Any] | None = None

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Whether this transaction makes the week one of a bust-out, or more of one."""
        if admission.status is not Status.ACCEPTED or admission.user < 0:
            return ()
        profiles, row = self._profiles.columns(window), self._profiles.row(tx, admission)
        user, users = admission.user, profiles.users
        week = self._emptied(window, users, row) or self._strained(window, users, row)
        if week is not None:
            cohort, cut = self._cohorts.around(window, users, user, week.number)
            if week.emptied or week.bounced or cohort:
                touring, more = self._sprees.around(window, profiles, user, tx.timestamp)
                company = list(dict.fromkeys((*cohort, *touring)))
                most = self.thresholds.witness - 1
                cut |= more or len(company) > most
                return [self._evidence(window, tx, user, week, company[:most], truncated=cut)]
        spree = self._sprees.at(window, profiles, row)
        if spree is None:
            return ()
        _, week = self._as_it_stands(window, users, row)
        week = week._replace(spree=spree.new)
        return [self._evidence(window, tx, user, week, spree.others, truncated=spree.cut)]

    def _emptied(
        self, window: TransactionWindow, users: NDArray[np.int64], row: NDArray[np.int64]
    ) -> _Week | None:
        """The week if the account empties itself in it; noted as told."""
        limits = self.thresholds
        arguments = (
            users,
            window.accounts.generation,
            row,
            limits.bust_out_weeks,
            limits.bust_out_times,
            limits.bust_out_reversals,
            limits.bust_out_cash_share,
        )
        self._kernel = self._kernel or bind(busts, *arguments)
        spent, cashed, reversed_, weeks, mean, week = self._kernel(*arguments)
        if not spent:
            return None
        users[row[USER], WARNED], users[row[USER], WARNED_WEEK] = spent, week
        return _Week(int(week), spent, cashed, reversed_, weeks, mean, emptied=True, bounced=False)

    def _strained(
        self, window: TransactionWindow, users: NDArray[np.int64], row: NDArray[np.int64]
    ) -> _Week | None:
        """The week if it becomes strained now, or if a deposit bounces in it."""
        news, week = self._as_it_stands(window, users, row)
        return week if news else None

    def _as_it_stands(
        self, window: TransactionWindow, users: NDArray[np.int64], row: NDArray[np.int64]
    ) -> tuple[bool, _Week]:
        """Whether the seven days up to a transaction are strained only now, and what they hold."""
        limits = self.thresholds
        arguments = (
            users,
            window.accounts.generation,
            window.edges.account_kind,
            row,
            limits.bust_out_reversals,
            float(limits.bust_out_strain),
        )
        self._strains_kernel = self._strains_kernel or bind(strains, *arguments)
        news, bounced, week, drawn, cashed, reversed_, weeks, total = self._strains_kernel(
            *arguments
        )
        mean = max(total / max(weeks, 1), 1.0)
        return bool(news), _Week(
            int(week),
            int(drawn),
            cashed,
            reversed_,
            weeks,
            mean,
            emptied=False,
            bounced=bool(bounced),
        )

    def _evidence(
        self,
        window: TransactionWindow,
        tx: Transaction,
        user: int,
        week: _Week,
        company: list[int],
        *,
        truncated: bool,
    ) -> Evidence:
        limits, times = self.thresholds, week.spent / week.mean
        broke, their_times = self._alike(window, company, tx.timestamp)
        cash = week.cashed / max(week.spent, 1)
        since = week.number * WEEK if week.emptied else tx.timestamp - WEEK
        if week.spree:
            since = tx.timestamp - limits.spree_within
        new = week.spree or self._sprees.new_of(window, user, tx.timestamp)
        hops = self._witness(window, [user, *company], since, tx.timestamp, only_new=week.spree > 0)
        own = [hop.value for hop in hops if hop.source == tx.user]
        others = sorted(window.accounts.entity(each) for each in company)
        # A strained week with a friend's is common (one of ten): a judge may know more of them.
        base = 0.4 if week.emptied else 0.3 if week.bounced or week.spree else 0.1
        return Evidence(
            pattern=Pattern.BUST_OUT,
            seen_at=tx.timestamp,
            members=((tx.user, Role.MEMBER), *((other, Role.MEMBER) for other in others)),
            hops=hops,
            strength=min(
                base
                + 0.2 * min(times / 10, 1)
                + 0.15 * (week.reversals >= limits.bust_out_reversals)
                + 0.15 * (cash >= limits.bust_out_cash_share)
                + 0.1 * bool(company),
                1.0,  # which a sum of such figures may be just above
            ),
            reason=(
                f"{tx.user} spent {times:.1f} times its weekly mean of {week.clean} clean weeks, "
                f"{100 * cash:.0f} % of it as cash; {counted(week.reversals, 'reversal')}"
                + (", the last a deposit that bounced" if week.bounced else "")
                + (f"; {new} merchants were new to it within " if week.spree else "")
                + (span_in_words(limits.spree_within) if week.spree else "")
                + (f"; {len(company)} of those it pays did alike" if company else "")
                + (f", and deposits of {broke} of them bounced" if broke else "")
                + "."
            ),
            facts={
                "times_mean": times,
                "spent": float(week.spent),
                "weeks": float(week.clean),
                "cash_share": cash,
                "reversals": float(week.reversals),
                "bounced": float(week.bounced),
                "together": 1.0 + len(company),
                "broke_together": float(broke),
                "new_merchants": float(new),
                "spree": float(week.spree > 0),
            }
            | ({"company_times": median(their_times)} if their_times else {}),
            truncated=truncated or (len(own) < new if week.spree else sum(own) < week.spent),
        )

    def _alike(
        self, window: TransactionWindow, company: list[int], now: int
    ) -> tuple[int, list[float]]:
        """Of how many a deposit bounced lately; by how many of its weekly means each has spent."""
        users, reversals = self._profiles.columns(window).users, self.thresholds.bust_out_reversals
        broke = sum(bool(users[each, BROKE] > now - BROKE_WITHIN) for each in company)
        times: list[float] = []
        for each in company:
            arguments = (users, each, now, reversals)
            self._means_kernel = self._means_kernel or bind(means_of, *arguments)
            _, spent, carried, _, _, _, weeks, usual = self._means_kernel(*arguments)
            if weeks:
                times.append(float((spent + carried) / max(usual / weeks, 1.0)))
        return broke, times

    def _witness(
        self,
        window: TransactionWindow,
        accounts: list[int],
        since: int,
        until: int,
        *,
        only_new: bool,
    ) -> tuple[Hop, ...]:
        """The newest payments since then that fit, those of the first account before others'.

        `only_new`: those at merchants with whom the account had not dealt before.
        """
        shown: list[int] = []
        for account in accounts:
            if len(shown) >= self.thresholds.witness:
                break
            arguments = (window.edges, window.tail, account, since - 1, until, self._spent)
            self._spent_kernel = self._spent_kernel or bind(attempts_of, *arguments)
            count, _, _ = self._spent_kernel(*arguments)
            spent = self._spent[:count]
            rows = window.rows_of(spent)
            to, went = window.edges.target[rows], window.edges.value[rows] > 0
            if only_new:
                went &= (to >= 0) & (window.edges.account_kind[to] == KIND_MERCHANT)
                known = [window.dealt(account, int(other), since) for other in to[went]]
                went[went] = ~np.array(known, np.bool_)
            shown += spent[went].tolist()
        return witness(window, shown[: self.thresholds.witness])


@kernel
def strains(users, generations, kinds, row, reversals, strain):  # type: ignore[no-untyped-def]
    """Whether the transaction in a row makes its user's week strained, or bounces in such a week.

    Mutates nothing.

    Returns:
        (whether it is news, whether it bounced, the week, spent in the seven days, as cash and
        reversed this week, clean weeks, their total).
    """
    user, other, zero = row[USER], row[OTHER], np.int64(0)
    if user < 0 or users[user, GENERATION] != generations[user]:
        return False, False, zero, zero, zero, zero, zero, zero
    at_merchant = other >= 0 and kinds[other] == KIND_MERCHANT
    strained, bounced, week, drawn, _, cashed, reversed_, weeks, total = strain_of(
        users, user, row, reversals, strain, at_merchant
    )
    news = strained and (bounced or users[user, STRAINED] != week + 1)
    return news, bounced, week, drawn, cashed, reversed_, weeks, total


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
