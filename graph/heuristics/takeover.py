"""Somebody else at the controls: takeovers of established accounts.

Behaviour
    A phished or hijacked account is used from the thief's own device and address, and sends the
    thief a sum that its owner never sends.

Definition
    A payment or transfer that names a device, an IP and a payee is a takeover's if

    - the user had none of the three until within `takeover_within` before it (the window's links);
    - the user is established: at least `takeover_history` earlier transactions on a device that it
      had then used for longer than `takeover_within`;
    - the amount is more than `takeover_times` what the user usually pays: the mean of its payments,
      the newest 32 counting most.

    Each such payment within `takeover_within` of the one before is told up to `told_singly` of
    them, then each time they grew by a quarter (`told_counts`). Named with it are, as far as they
    are known by then,

    - other victims: users who came to the device and were told of as taken over within
      `takeover_within` of it, and those who paid one of the payees when they were;
    - payees: users to whom a victim from this device first paid something since it came to it;
    - where there are several victims, the other users of the device, if it has at most
      `takeover_users`: its owner, and victims of whom too little was known.

Method and cost
    The links that the window has read anyway and one row of the account's profile: O(1). When
    told, also O(d + v · l + p · k): d users of the device, l links of each of v victims (each at
    most `sharing_scan`), the newest k payments to each of p payees (`takeover_scan`; at most
    `witness` of both). `truncated` if a bound was hit.

Misses
    Thieves on the owner's own device (remote access, coached victims), or who wait until the device
    is old; accounts that name no devices; sums in slices below the usual. Withdrawals, which name
    no payee.

False positives
    A new phone, abroad, with a large purchase in a new shop. It takes all three: on a new phone one
    pays whom one knows, and travellers pay what they usually do. Weak where the payee is a shop.

Source
    FFIEC, "Authentication and access to financial institution services and systems", 2021; UK
    Finance, "Annual fraud report", 2023 (remote banking takeovers).

>>> from graph.profiles import Profiles
>>> from graph.thresholds import Thresholds
>>> from graph.transaction import HOUR, Money, Transaction, TransactionType
>>> from graph.window import TransactionWindow
>>> window, profiles = TransactionWindow(), Profiles(Thresholds())
>>> takeovers = Takeovers(Thresholds(), profiles)
>>> for n in range(13):
...     new = n == 12
...     tx = Transaction(f"t{n}", 2 * HOUR * (n + 1), TransactionType.TRANSFER,
...                      Money(900 if new else 100, "EUR"), 900 if new else 100, "a",
...                      counterparty_id="thief" if new else "friend",
...                      device_id="d2" if new else "d1", ip_address=f"10.0.0.{n // 12}")
...     admission = window.add(tx)
...     found = takeovers.detect(window, tx, admission)
...     profiles.note(window, tx, admission)
>>> found[0].reason
'user:a paid user:thief 9.0 times its usual amount, from a device and an address it had never used.'
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from graph.admission import Admission, Status
from graph.compiled import bind, kernel
from graph.evidence import Evidence, Pattern
from graph.heuristics.gang import Gangs
from graph.heuristics.witness import witness
from graph.layout import DEVICE, INWARD, IP, LINKS, OTHER, TIME, USER, VALUE
from graph.profiles import AT_HOME, GENERATION, TAKEN, TAKEN_AT, Profiles, is_above_usual
from graph.profiles import usual_amount as usual_of
from graph.thresholds import Thresholds, told_counts
from graph.transaction import EntityKind, Transaction
from graph.window import TransactionWindow

_MOST_TOLD: Final = 4096


class Takeovers:
    """Finds takeovers; see the module's docstring.

    `strength` is 0.55 where the payee is a user and 0.4 where it is a merchant, plus up to 0.2 for
    the amount (ten times the usual is full), plus 0.05 a further payment or victim up to 0.15.
    """

    def __init__(self, thresholds: Thresholds, profiles: Profiles) -> None:
        self.thresholds: Final = thresholds
        self._profiles: Final = profiles
        self._gangs: Final = Gangs(thresholds)
        self.told = told_counts(1, thresholds.told_singly, _MOST_TOLD)
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Whether this payment is a thief's."""
        if admission.status is not Status.ACCEPTED:
            return ()
        limits, profiles = self.thresholds, self._profiles
        users = profiles.columns(window).users
        arguments = (
            users,
            window.accounts.generation,
            profiles.row(tx, admission),
            limits.takeover_within,
            limits.takeover_times,
            limits.takeover_history,
        )
        self._kernel = self._kernel or bind(is_taken, *arguments)
        if not self._kernel(*arguments):
            return ()
        user, now = admission.user, tx.timestamp
        goes_on = abs(now - int(users[user, TAKEN_AT])) <= limits.takeover_within
        taken = int(users[user, TAKEN]) + 1 if goes_on else 1
        users[user, TAKEN], users[user, TAKEN_AT] = taken, now
        payee, usual = tx.other_party, usual_of(users, user)
        if taken not in self.told or payee is None:
            return ()
        times = tx.value / max(usual, 1.0)
        gang = self._gangs.around(window, users, admission)
        beyond = (times - limits.takeover_times) / max(10 - limits.takeover_times, 1)
        base = 0.55 if payee.kind is EntityKind.USER else 0.4
        return [
            Evidence(
                pattern=Pattern.TAKEOVER,
                seen_at=now,
                members=gang.members,
                hops=witness(window, gang.thefts),
                strength=(
                    base + 0.2 * min(beyond, 1) + min(0.05 * (taken - 1 + gang.victims - 1), 0.15)
                ),
                reason=(
                    f"{tx.user} paid {payee} {times:.1f} times its usual amount, from a device and "
                    "an address it had never used."
                ),
                facts={
                    "times_usual": times,
                    "usual": usual,
                    "payments": float(taken),
                    "victims": float(gang.victims),
                    "device_users": float(gang.device_users),
                },
                truncated=gang.truncated,
            )
        ]


@kernel
def is_taken(users, generations, row, within, times, history):  # type: ignore[no-untyped-def]
    """Whether the payment in a row is a takeover's, told or not. Mutates nothing."""
    user, since = row[USER], row[TIME] - within
    if user < 0 or row[INWARD] != 0 or row[VALUE] <= 0:
        return False
    if row[OTHER] < 0 or row[DEVICE] < 0 or row[IP] < 0:
        return False
    if users[user, GENERATION] != generations[user] or users[user, AT_HOME] < history:
        return False
    # Device, IP and other party: never seen with the user, or only since.
    for k in (0, 1, 3):
        if row[LINKS + 3 * k] > 0 and row[LINKS + 3 * k + 1] < since:
            return False
    return is_above_usual(users, user, row[VALUE], times)
