"""What an account usually does: the memory behind the heuristics that compare it with itself.

One row of integers an account, by account id: a row as the user of transactions, and one as a
merchant. A row of an id given out anew starts empty. Each accepted transaction is noted once, after
the heuristics have looked at the profiles as they were before it: quiet ones by compiled code
(`graph.fast_kernel`), the others by `Profiles.note`. Times are those of the transactions; where
they arrive out of order, within the window's lateness, what came first counts as earlier.

Memory: 272 bytes a user and 1,464 a merchant, taken from the system when a row is first written.
The rows belong to the window: `snapshot` and `restore` them together with it. Numba's cache does
not notice a change of this layout in the files that read it; touch them, or empty the cache.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind, kernel
from graph.kernels import KIND_MERCHANT
from graph.layout import (
    CASH,
    DEVICE,
    INWARD,
    LINKS,
    OPENED,
    OTHER,
    TIME,
    USER,
    VALUE,
    WIDTH,
    write_row,
)
from graph.snapshot import Snapshot, pack, unpack
from graph.thresholds import MOST_REFUNDING, Thresholds
from graph.transaction import DAY, Transaction
from graph.window import TransactionWindow

_VERSION: Final = 6  # 6: when a deposit last bounced
_KIND: Final = "profiles"

WEEK: Final = 7 * DAY
HALVED_AFTER: Final = 90 * DAY
"""What an account bought and returned counts half after this, a quarter after twice this."""
_MOST_MONEY: Final = 1 << 40
"""Values count up to this (eleven billion in cents), so that no sum of them overflows."""
_MOST_SUM: Final = 1 << 60
_ID: Final = (1 << 32) - 1
_STEP: Final = 16
"""Fractions of a minor unit in which the usual amount is kept."""
_SMOOTH: Final = 32
"""Payments over which the usual amount is a plain mean; from then on it forgets."""

# A row of a user. What it did itself are its outgoing transactions, declined ones included.
#   FIRST first seen, or opened if that is known and earlier; COUNT transactions of any kind;
#   LAST newest own act; WOKE when it last woke from a sleep, SLEPT how long that was, ms;
#   AT_HOME transactions on a device in use for longer than a takeover takes;
#   PAID payments, USUAL their mean; TAKEN_AT, TAKEN newest payment of a takeover, how many so far;
#   NOW_WEEK the week of SPENT, CASHED and REVERSED, LAST_SPENT and LAST_REVERSED those of the week
#   before it; WEEKS clean weeks before, TOTAL spent in them, PEAK of one; WARNED what was spent in
#   WARNED_WEEK when a bust-out was told;
#   STRAINED the last week beyond its means (`strain_of`), counted from 1; BROKE when a deposit last
#   bounced in such a week;
#   SHOPPED purchases ever; PERIOD the last halving of BOUGHT, REFUNDED and REFUNDS;
#   SHOPS the first merchants that refunded, as `key_of`.
(
    GENERATION, FIRST, COUNT, LAST, WOKE, SLEPT, AT_HOME, PAID, USUAL, TAKEN_AT, TAKEN, NOW_WEEK,
    SPENT, CASHED, REVERSED, LAST_SPENT, LAST_REVERSED, WEEKS, TOTAL, PEAK, WARNED, WARNED_WEEK,
    STRAINED, BROKE, SHOPPED, PERIOD, BOUGHT, REFUNDED, REFUNDS, SHOPS,
) = range(30)  # fmt: skip
_USER_ROW: Final = SHOPS + MOST_REFUNDING

MOST_BUYERS: Final = 24
"""Buyers of a merchant that are remembered: those who come again, before those who came once."""
MOST_RECENT: Final = 64
"""Newest deals of a merchant that are remembered one by one."""
# A row of a merchant, in which everything counts half with each week: FADED the week up to which it
# has; DEALS purchases and refunds, RETURNS the refunds among them; BUYERS remembered, then who they
# are (`key_of`) and the deals of each. What does not fade: LOGGED deals ever, and of the newest, in
# a circle, WHOSE they were and WHEN (twice the time, plus one of a refund).
_, FADED, DEALS, RETURNS, BUYERS, WHO = range(6)
DEALS_HERE: Final = WHO + MOST_BUYERS
LOGGED: Final = DEALS_HERE + MOST_BUYERS
WHOSE: Final = LOGGED + 1
WHEN: Final = WHOSE + MOST_RECENT
_MERCHANT_ROW: Final = WHEN + MOST_RECENT

SIZE, BEGAN = range(2)


class ProfileColumns(NamedTuple):
    """The profiles, for compiled code.

    Attributes:
        users: int64[A, 34] by account id, places as above.
        merchants: int64[A, 183].
        span: int64[2]: all rows in use are below SIZE; BEGAN is the time of the first transaction
            noted.
    """

    users: NDArray[np.int64]
    merchants: NDArray[np.int64]
    span: NDArray[np.int64]


class ProfileLimits(NamedTuple):
    """What noting a transaction compares with."""

    asleep: int
    unseen: int
    fresh: int
    reversals: int
    strain: float


class Profiles:
    """Keeps the profiles of the accounts of one window; see the module's docstring."""

    def __init__(self, thresholds: Thresholds) -> None:
        self.limits: Final = ProfileLimits(
            asleep=thresholds.dormant_after,
            unseen=thresholds.dormant_unseen,
            fresh=thresholds.takeover_within,
            reversals=thresholds.bust_out_reversals,
            strain=float(thresholds.bust_out_strain),
        )
        self._row: NDArray[np.int64] = np.zeros(WIDTH, np.int64)
        self._admission: Admission | None = None
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None
        self._allocate(0)

    def _allocate(self, capacity: int) -> None:
        self._columns = ProfileColumns(
            np.zeros((capacity, _USER_ROW), np.int64),
            np.zeros((capacity, _MERCHANT_ROW), np.int64),
            np.zeros(2, np.int64),
        )

    def columns(self, window: TransactionWindow) -> ProfileColumns:
        """The profiles, with room for every account of the window."""
        capacity = window.accounts.capacity
        if capacity > len(self._columns.users):
            old = self._columns
            self._allocate(capacity)
            # Row by row: pages of zeros that are copied are pages taken.
            for column, known in zip(self._columns[:2], old[:2], strict=True):
                some = np.flatnonzero(known[: old.span[SIZE], GENERATION])
                column[some] = known[some]
            self._columns.span[:] = old.span
        return self._columns

    def row(self, tx: Transaction, admission: Admission) -> NDArray[np.int64]:
        """An accepted transaction laid out, until the next one is."""
        if admission is not self._admission:
            write_row(tx, admission, self._row)
            self._admission = admission
        return self._row

    def note(self, window: TransactionWindow, tx: Transaction, admission: Admission) -> None:
        """Take an accepted transaction into the profiles of its user and merchant."""
        if admission.status is not Status.ACCEPTED:
            return
        arguments = (
            self.columns(window),
            self.limits,
            window.accounts.generation,
            window.accounts.kind,
            self.row(tx, admission),
        )
        self._kernel = self._kernel or bind(note, *arguments)
        self._kernel(*arguments)

    def snapshot(self) -> bytes:
        """The whole state; equal states give equal bytes."""
        users, merchants, span = self._columns
        some = np.flatnonzero(users[: span[SIZE], GENERATION])
        others = np.flatnonzero(merchants[: span[SIZE], GENERATION])
        return pack(
            _KIND,
            _VERSION,
            Snapshot(
                values={"capacity": len(users)},
                arrays={
                    "users": some,
                    "users.rows": users[some],
                    "merchants": others,
                    "merchants.rows": merchants[others],
                    "span": span,
                },
            ),
        )

    def restore(self, data: bytes) -> None:
        """Take over a snapshot, made together with the window's.

        Raises:
            Incompatible: It is torn, altered, or of another version.
        """
        snapshot = unpack(_KIND, _VERSION, data)
        self._allocate(snapshot.values["capacity"])
        users, merchants, span = self._columns
        users[snapshot.arrays["users"]] = snapshot.arrays["users.rows"]
        merchants[snapshot.arrays["merchants"]] = snapshot.arrays["merchants.rows"]
        span[:] = snapshot.arrays["span"]


def usual_amount(users: NDArray[np.int64], user: int) -> float:
    """Mean of what a user pays at a time, minor units."""
    return float(users[user, USUAL]) / _STEP


@kernel(inline="always")
def key_of(account, generation):  # type: ignore[no-untyped-def]
    """An account that is not mistaken for whoever gets its id later."""
    return (np.int64(generation) << 32) | np.int64(account)


def id_of(key: int) -> int:
    """The account id in a key."""
    return key & _ID


def is_alive(key: int, generations: NDArray[np.int32]) -> bool:
    """Whether its id is still that account's."""
    return bool(generations[key & _ID] == key >> 32)


@kernel
def woke_at(profiles, generation, row, asleep, unseen):  # type: ignore[no-untyped-def]
    """When the user whose own act `row` is woke from its last sleep, and how long that was, ms.

    Who was never seen to act has slept since it was first known (or opened), or since anything was
    known of anybody; `unseen` of that are enough where it was opened `asleep` ago. (0, 0) where it
    never slept so long. Mutates nothing.
    """
    users, user, time = profiles.users, row[USER], row[TIME]
    known = users[user, GENERATION] == generation
    since = users[user, LAST] if known else np.int64(0)
    if since == 0:
        opened = min(users[user, FIRST], row[OPENED]) if known else row[OPENED]
        since = max(opened, profiles.span[BEGAN]) if profiles.span[BEGAN] > 0 else time
        if time - opened >= asleep and time - since >= unseen:
            return time, time - since
    if time - since >= asleep:
        return time, time - since
    if known:
        return users[user, WOKE], users[user, SLEPT]
    return np.int64(0), np.int64(0)


@kernel
def is_above_usual(users, user, value, times):  # type: ignore[no-untyped-def]
    """Whether an amount is more than so many times what a user usually pays. Mutates nothing."""
    return users[user, PAID] > 0 and min(value, _MOST_MONEY) * _STEP > times * users[user, USUAL]


@kernel
def week_of(users, user, time, reversals):  # type: ignore[no-untyped-def]
    """A user's week as it stands at a moment, and its clean weeks before. Mutates nothing.

    Returns:
        (week, spent, cashed, reversed, clean weeks, their total, their peak).
    """
    week, before = time // WEEK, users[user, NOW_WEEK]
    weeks, total, peak = users[user, WEEKS], users[user, TOTAL], users[user, PEAK]
    if week <= before:
        return (
            before, users[user, SPENT], users[user, CASHED], users[user, REVERSED], weeks, total,
            peak,
        )  # fmt: skip
    spent = users[user, SPENT]
    if spent > 0 and users[user, REVERSED] < reversals:
        weeks, total, peak = weeks + 1, min(total + spent, _MOST_SUM), max(peak, spent)
    none = np.int64(0)
    return week, none, none, none, weeks, total, peak


@kernel
def week_before(users, user, week):  # type: ignore[no-untyped-def]
    """What a user spent in the week before this one, and what was reversed. Mutates nothing."""
    now = users[user, NOW_WEEK]
    if week == now:
        return users[user, LAST_SPENT], users[user, LAST_REVERSED]
    if week == now + 1:
        return users[user, SPENT], users[user, REVERSED]
    return np.int64(0), np.int64(0)


@kernel
def means_of(users, user, time, reversals):  # type: ignore[no-untyped-def]
    """What a user has spent up to a moment, and what its clean weeks say it can. Mutates nothing.

    Of the week before this one counts the share that lies within the last seven days, as if all had
    been spent (and reversed) evenly. Of the clean weeks the last is left out where there are
    others: a burst may have begun in it.

    Returns:
        (week, spent in it, spent in the share of the week before, cash of this week, reversed in
        it, reversed in that share, clean weeks, their total).
    """
    week, spent, cashed, reversed_, weeks, total, _ = week_of(users, user, time, reversals)
    last_spent, last_reversed = week_before(users, user, week)
    if weeks > 1 and last_spent > 0 and last_reversed < reversals:
        weeks, total = weeks - 1, total - last_spent
    rest = min(max((week + 1) * WEEK - time, 0), WEEK) / WEEK
    carried = np.int64(last_spent * rest)
    return week, spent, carried, cashed, reversed_, last_reversed * rest, weeks, total


@kernel
def strain_of(users, user, row, reversals, strain, at_merchant):  # type: ignore[no-untyped-def]
    """Whether the transaction in a row leaves its user beyond its means. Mutates nothing.

    What counts are the last seven days and the clean weeks before them (`means_of`; of what was
    reversed the nearest number). They are strained if `strain` times the mean of these weeks was
    spent, and `reversals` things were reversed or this transaction is a deposit that bounced. That
    deposit counts as spent: money was drawn, or meant to be, on what never came.

    Returns:
        (strained, whether it bounced, week, spent in the seven days, spent this week, as cash,
        reversed, clean weeks, their total).
    """
    inward, moved, value = row[INWARD] != 0, row[VALUE] > 0, min(abs(row[VALUE]), _MOST_MONEY)
    week, spent, carried, cashed, reversed_, went_back, weeks, usual = means_of(
        users, user, row[TIME], reversals
    )
    if moved and not inward:
        spent = min(spent + value, _MOST_SUM)
        cashed = min(cashed + value * row[CASH], _MOST_SUM)
    elif at_merchant or not moved:
        reversed_ += 1
    bounced = inward and not moved and row[OTHER] < 0
    drawn = spent + carried + value * bounced
    much = weeks > 0 and drawn > 0 and drawn * weeks >= strain * usual
    strained = much and (bounced or reversed_ + np.int64(went_back + 0.5) >= reversals)
    return strained, bounced, week, drawn, spent, cashed, reversed_, weeks, usual


@kernel
def returns_of(users, user, time):  # type: ignore[no-untyped-def]
    """(period, value bought, value refunded, refunds) of a user at a moment. Mutates nothing."""
    period, before = time // HALVED_AFTER, users[user, PERIOD]
    bought, refunded = users[user, BOUGHT], users[user, REFUNDED]
    refunds = users[user, REFUNDS]
    if period <= before:
        return before, bought, refunded, refunds
    halvings = min(period - before, 62)
    return period, bought >> halvings, refunded >> halvings, refunds >> halvings


@kernel
def note(profiles, limits, generations, kinds, row):  # type: ignore[no-untyped-def]
    """Take a transaction into the profiles of its user and merchant. Mutates `profiles`."""
    user, other = row[USER], row[OTHER]
    merchant = other >= 0 and kinds[other] == KIND_MERCHANT
    span = profiles.span
    span[SIZE] = max(span[SIZE], user + 1, other + 1)
    if span[BEGAN] == 0:
        span[BEGAN] = row[TIME]
    if user >= 0:
        shop = key_of(other, generations[other]) if merchant else np.int64(-1)
        woke, slept = woke_at(profiles, generations[user], row, limits.asleep, limits.unseen)
        _note_user(profiles.users, limits, user, generations[user], row, shop, woke, slept)
        if merchant and row[VALUE] > 0:
            buyer = key_of(user, generations[user])
            _note_deal(
                profiles.merchants, other, generations[other], row[TIME], row[INWARD] != 0, buyer
            )


@kernel
def _note_user(users, limits, user, generation, row, shop, woke, slept):  # type: ignore[no-untyped-def]
    """`shop` is the merchant's key, or -1. Mutates `users`."""
    if users[user, GENERATION] != generation:
        for k in range(users.shape[1]):
            users[user, k] = 0
        users[user, GENERATION] = generation
        users[user, FIRST] = row[TIME]
    time, inward, moved = row[TIME], row[INWARD] != 0, row[VALUE] > 0
    value = min(abs(row[VALUE]), _MOST_MONEY)
    users[user, FIRST] = min(users[user, FIRST], time, row[OPENED])
    users[user, COUNT] += 1
    if row[DEVICE] >= 0 and row[LINKS] > 0 and row[LINKS + 1] <= time - limits.fresh:
        users[user, AT_HOME] += 1
    if not inward:
        users[user, WOKE], users[user, SLEPT] = woke, slept
        users[user, LAST] = max(users[user, LAST], time)
        if moved:
            users[user, PAID] += 1
            weight = min(users[user, PAID], _SMOOTH)
            users[user, USUAL] += (value * _STEP - users[user, USUAL]) // weight

    _note_week(users, user, row, limits, shop >= 0)
    if shop >= 0 and moved:
        _note_goods(users, user, time, value, inward, shop)


@kernel
def _note_week(users, user, row, limits, at_merchant):  # type: ignore[no-untyped-def]
    """Add to what a user spends this week, and what is reversed. Mutates `users`."""
    reversals = limits.reversals
    _, _, _, _, weeks, total, peak = week_of(users, user, row[TIME], reversals)
    strained, bounced, week, _, spent, cashed, reversed_, _, _ = strain_of(
        users, user, row, reversals, limits.strain, at_merchant
    )
    last_spent, last_reversed = week_before(users, user, week)
    users[user, LAST_SPENT], users[user, LAST_REVERSED] = last_spent, last_reversed
    users[user, NOW_WEEK], users[user, SPENT], users[user, CASHED] = week, spent, cashed
    users[user, REVERSED] = reversed_
    users[user, WEEKS], users[user, TOTAL], users[user, PEAK] = weeks, total, peak
    if strained:
        users[user, STRAINED] = week + 1
        if bounced:
            users[user, BROKE] = row[TIME]


@kernel
def _note_goods(users, user, time, value, refund, shop):  # type: ignore[no-untyped-def]
    """Add to what a user bought and got back. Mutates `users`."""
    period, bought, refunded, refunds = returns_of(users, user, time)
    if refund:
        refunds, refunded = refunds + 1, min(refunded + value, _MOST_SUM)
        for k in range(SHOPS, users.shape[1]):
            if users[user, k] in (0, shop):
                users[user, k] = shop
                break
    else:
        users[user, SHOPPED] += 1
        bought = min(bought + value, _MOST_SUM)
    users[user, PERIOD], users[user, BOUGHT] = period, bought
    users[user, REFUNDED], users[user, REFUNDS] = refunded, refunds


@kernel
def weeks_faded(merchants, merchant, time):  # type: ignore[no-untyped-def]
    """How often the counts of a merchant have to be halved at a moment. Mutates nothing."""
    return min(max(time // WEEK - merchants[merchant, FADED], 0), 62)


@kernel
def _note_deal(merchants, merchant, generation, time, refund, buyer):  # type: ignore[no-untyped-def]
    """A user bought something, or got its money back. Mutates `merchants`.

    A newcomer for whom there is no place takes that of the buyer who came once, longest ago; where
    all have come again, it is not remembered.
    """
    if merchants[merchant, GENERATION] != generation:
        for k in range(merchants.shape[1]):
            merchants[merchant, k] = 0
        merchants[merchant, GENERATION] = generation
    _fade(merchants, merchant, weeks_faded(merchants, merchant, time))
    merchants[merchant, FADED] = max(merchants[merchant, FADED], time // WEEK)
    merchants[merchant, DEALS] += 1
    merchants[merchant, RETURNS] += refund
    place = merchants[merchant, LOGGED] % MOST_RECENT
    merchants[merchant, WHOSE + place], merchants[merchant, WHEN + place] = buyer, 2 * time + refund
    merchants[merchant, LOGGED] += 1
    known = merchants[merchant, BUYERS]
    once = np.int64(-1)
    for place in range(known):
        if merchants[merchant, WHO + place] == buyer:
            merchants[merchant, DEALS_HERE + place] += 1
            return
        if once < 0 and merchants[merchant, DEALS_HERE + place] == 1:
            once = np.int64(place)
    if known == MOST_BUYERS:
        if once < 0:
            return
        _leave(merchants, merchant, once)
        known -= 1
    merchants[merchant, WHO + known] = buyer
    merchants[merchant, DEALS_HERE + known] = 1
    merchants[merchant, BUYERS] = known + 1


@kernel
def _fade(merchants, merchant, weeks):  # type: ignore[no-untyped-def]
    """Halve the counts of a merchant so often; whoever has none left goes. Mutates `merchants`."""
    if weeks == 0:
        return
    merchants[merchant, DEALS] >>= weeks
    merchants[merchant, RETURNS] >>= weeks
    for place in range(merchants[merchant, BUYERS] - 1, -1, -1):
        merchants[merchant, DEALS_HERE + place] >>= weeks
        if merchants[merchant, DEALS_HERE + place] == 0:
            _leave(merchants, merchant, place)


@kernel
def _leave(merchants, merchant, place):  # type: ignore[no-untyped-def]
    """Forget a buyer; the others keep their order. Mutates `merchants`."""
    last = merchants[merchant, BUYERS] - 1
    for k in range(place, last):
        merchants[merchant, WHO + k] = merchants[merchant, WHO + k + 1]
        merchants[merchant, DEALS_HERE + k] = merchants[merchant, DEALS_HERE + k + 1]
    merchants[merchant, WHO + last] = merchants[merchant, DEALS_HERE + last] = 0
    merchants[merchant, BUYERS] = last
