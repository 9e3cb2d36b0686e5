"""Merchants that are in it: a few faithful buyers, and nothing sold.

Behaviour
    A collusive merchant is a front. A few accounts, often of one hand, pay it again and again, to
    turn cards into money, to launder, or to make refunds and chargebacks.

Definition
    A deal is a purchase that went through or a refund. What is known of a merchant fades: with each
    week (from Thursday 0:00 UTC) deals count half. A regular has at least `collusive_regular` deals
    there. At a regular's deal, this one included, the merchant colludes if

    - it has at least `collusive_least` regulars;
    - at least `collusive_share` of its deals are theirs, and at least `collusive_refunds` of its
      deals are refunds; or
    - at least `collusive_share_linked` of its deals are theirs, and at least `collusive_devices` of
      the regulars share a device (the window's links) with another one, or, where at most
      `collusive_users` use it, with a buyer who came again.

    It is told when this regular has become one, and then each time its deals grew by a quarter.
    Named are the merchant, its regulars, the devices that they share and with whom, and who else
    uses one of these, where it has at most `collusive_users`, half of whom at least are buyers: the
    owner. On a public machine strangers outnumber those who meet there. Chargebacks are no
    transactions: they reach the engine as labels, which heuristics do not read.

Method and cost
    One row of the merchant's profile (`graph.profiles`): O(b) a deal for b <= 24 remembered buyers.
    At the sizes at which it is told, also their profiles and devices: O(b · d) for d links each, at
    most `sharing_scan` (then `truncated`), and the users of at most `witness` devices. The witness
    is what the window still holds of the regulars' deals, of the newest four times `witness` the
    newest `witness`. A regular's deals beyond 4,096 are not told.

Misses
    Merchants with many decoy buyers, or whose own come rarely; regulars who came again after 24
    others did are not remembered until the next week.

False positives
    A club and its members, the only shop of a village, the one tradesman of a few firms: hardly
    anything is refunded, and each has a device. A family at its grocer's.

Source
    Mastercard, "Security rules and procedures: merchant edition", on merchant fraud control
    (bust-out and collusive merchants).

>>> from graph.profiles import Profiles
>>> from graph.thresholds import Thresholds
>>> from graph.transaction import Money, Transaction, TransactionType
>>> from graph.window import TransactionWindow
>>> window, profiles = TransactionWindow(), Profiles(Thresholds())
>>> collusion = Collusion(Thresholds(), profiles)
>>> for n in range(12):
...     tx = Transaction(f"t{n}", 60_000 * (n + 1), TransactionType.PAYMENT, Money(100, "EUR"),
...                      100, f"buyer{n % 3}", merchant_id="front", device_id="phone")
...     admission = window.add(tx)
...     found = collusion.detect(window, tx, admission)
...     profiles.note(window, tx, admission)
>>> found[0].reason
'merchant:front lives on 3 regulars: 12 of 12 deals, 0 refunds; 3 share a device with another.'
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind, kernel
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.heuristics.identity import links_by, links_of
from graph.heuristics.witness import witness
from graph.kernels import KIND_DEVICE, KIND_MERCHANT, slot
from graph.layout import OTHER, TIME, USER, VALUE
from graph.profiles import (
    BUYERS,
    DEALS,
    DEALS_HERE,
    GENERATION,
    RETURNS,
    SHOPPED,
    WHO,
    Profiles,
    id_of,
    is_alive,
    key_of,
    weeks_faded,
)
from graph.thresholds import Thresholds, told_counts
from graph.transaction import Entity, Transaction
from graph.window import TransactionWindow

_MOST_TOLD: Final = 4096


class Collusion:
    """Finds collusive merchants; see the module's docstring.

    `strength` is 0.25, plus up to 0.15 for the regulars' share beyond the threshold, plus up to
    0.25 for the refunds (half of the deals is full), plus up to 0.3 for the share of regulars on
    shared devices.
    """

    def __init__(self, thresholds: Thresholds, profiles: Profiles) -> None:
        self.thresholds: Final = thresholds
        self._profiles: Final = profiles
        first = thresholds.collusive_regular
        self.told = told_counts(first, first, _MOST_TOLD)
        self._rows: NDArray[np.int64] = np.zeros(thresholds.sharing_scan, np.int64)
        self._users: NDArray[np.int64] = np.zeros(thresholds.collusive_users + 1, np.int64)
        self._newest: NDArray[np.int64] = np.zeros(4 * thresholds.witness, np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None
        self._links_kernel: Callable[..., Any] | None = None
        self._users_kernel: Callable[..., Any] | None = None
        self._deals_kernel: Callable[..., Any] | None = None

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Whether this deal shows that its merchant is in it."""
        if admission.status is not Status.ACCEPTED:
            return ()
        limits, profiles = self.thresholds, self._profiles
        arguments = (
            profiles.columns(window).merchants,
            window.accounts.generation,
            window.accounts.kind,
            profiles.row(tx, admission),
            limits.collusive_least,
            limits.collusive_regular,
            limits.collusive_share_linked,
        )
        self._kernel = self._kernel or bind(deals_at, *arguments)
        own, shift = self._kernel(*arguments)
        return self._judge(window, tx, admission, int(shift)) if own in self.told else ()

    def _judge(
        self, window: TransactionWindow, tx: Transaction, admission: Admission, shift: int
    ) -> Sequence[Evidence]:
        limits, (users, merchants, _) = self.thresholds, self._profiles.columns(window)
        merchant = merchants[admission.other]
        generations = window.accounts.generation
        refund = tx.payee == tx.user
        count = int(merchant[BUYERS])
        # The transaction at hand is not in the profiles yet.
        here = {
            int(key): int(deals) >> shift
            for key, deals in zip(
                merchant[WHO : WHO + count],
                merchant[DEALS_HERE : DEALS_HERE + count],
                strict=True,
            )
        }
        key = key_of(admission.user, int(generations[admission.user]))
        here[key] = here.get(key, 0) + 1
        # Who is not there any more has no name.
        again = {id_of(k): n for k, n in here.items() if n > 1 and is_alive(k, generations)}
        regulars = {user: n for user, n in again.items() if n >= limits.collusive_regular}
        deals = (int(merchant[DEALS]) >> shift) + 1
        refunds = (int(merchant[RETURNS]) >> shift) + refund
        shared, cut = self._shared_devices(window, set(again), set(regulars))
        on_shared = {user for together in shared.values() for user in together}
        sharing = len(on_shared & regulars.keys())
        alike, returned = sharing / max(len(regulars), 1), refunds / deals
        share = sum(regulars.values()) / deals
        refunding = share >= limits.collusive_share and returned >= limits.collusive_refunds
        if not refunding and alike < limits.collusive_devices:
            return ()
        bought = sum(int(users[user, SHOPPED]) for user in regulars) + (not refund)
        devices = sorted(shared, key=window.identifiers.entity)[: limits.witness]
        buyers = on_shared | regulars.keys()
        owners = self._other_users(window, devices, buyers)
        hops = self._witness(window, tx, admission.other, set(regulars))
        centre = window.accounts.entity(admission.other)
        beyond = (share - limits.collusive_share) / max(1 - limits.collusive_share, 0.01)
        return [
            Evidence(
                pattern=Pattern.COLLUSIVE_MERCHANT,
                seen_at=tx.timestamp,
                members=(
                    (centre, Role.CONTROLLER),
                    *((name, Role.MEMBER) for name in _named(window, buyers)),
                    *((window.identifiers.entity(device), Role.SHARED) for device in devices),
                    *((name, Role.CONTROLLER) for name in owners),
                ),
                hops=hops,
                strength=(
                    0.25 + 0.15 * min(max(beyond, 0), 1) + 0.25 * min(2 * returned, 1) + 0.3 * alike
                ),
                reason=(
                    f"{centre} lives on {len(regulars)} regulars: {sum(regulars.values())} of "
                    f"{deals} deals, {refunds} refunds; {sharing} share a device with another."
                ),
                facts={
                    "regulars": float(len(regulars)),
                    "deals": float(deals),
                    "refunds": float(refunds),
                    "share": share,
                    "isolation": min(sum(regulars.values()) / max(bought, 1), 1.0),
                    "sharing": float(sharing),
                },
                truncated=(cut or len(shared) > len(devices) or len(hops) < sum(regulars.values())),
            )
        ]

    def _other_users(
        self, window: TransactionWindow, devices: Sequence[int], buyers: set[int]
    ) -> list[Entity]:
        """Who else uses one of these devices, where few do and at least half of these buy."""
        others: set[int] = set()
        for device in devices:
            users = self._users_of(window, device)
            if 2 * len(users & buyers) >= len(users):
                others |= users - buyers
        return _named(window, others)

    def _users_of(self, window: TransactionWindow, device: int) -> set[int]:
        """Who uses a device; nobody if more than `collusive_users` do."""
        oldest = window.watermark - window.config.retention
        arguments = (window.links, window.link_tail, device, oldest, self._users)
        self._users_kernel = self._users_kernel or bind(links_of, *arguments)
        count, _ = self._users_kernel(*arguments)
        few = count <= self.thresholds.collusive_users
        return set(window.links.user[self._users[:count]].tolist()) if few else set()

    def _shared_devices(
        self, window: TransactionWindow, buyers: set[int], regulars: set[int]
    ) -> tuple[dict[int, set[int]], bool]:
        """Devices of regulars with the buyers on each, where there are two, and if a bound was hit.

        Two regulars may meet on any, a regular and another buyer on one that few use.
        """
        oldest = window.watermark - window.config.retention
        users_of: dict[int, set[int]] = {}
        cut = False
        for user in sorted(buyers):
            arguments = (window.links, window.link_tail, user, self._rows)
            self._links_kernel = self._links_kernel or bind(links_by, *arguments)
            count, more = self._links_kernel(*arguments)
            cut |= bool(more)
            rows, links = self._rows[:count], window.links
            used = links.entity[rows][(links.entity[rows] >= 0) & (links.last[rows] >= oldest)]
            for device in used[window.identifiers.kind[used] == KIND_DEVICE].tolist():
                users_of.setdefault(device, set()).add(user)
        shared = {}
        for device, users in users_of.items():
            few = len(users) > 1 and users & regulars and self._users_of(window, device)
            together = users if few else users & regulars
            if len(together) > 1:
                shared[device] = together
        return shared, cut

    def _witness(
        self, window: TransactionWindow, tx: Transaction, merchant: int, regulars: set[int]
    ) -> tuple[Hop, ...]:
        """The newest of the regulars' purchases and refunds that the window holds and that fit."""
        edges = window.edges
        arguments = (edges, window.tail, merchant, tx.timestamp, self._newest)
        self._deals_kernel = self._deals_kernel or bind(newest_deals, *arguments)
        newest = self._newest[: self._deals_kernel(*arguments)]
        rows = window.rows_of(newest)
        buyers = np.where(edges.source[rows] == merchant, edges.target[rows], edges.source[rows])
        theirs = newest[np.isin(buyers, list(regulars))]
        return witness(window, theirs[: self.thresholds.witness].tolist())


def _named(window: TransactionWindow, users: Iterable[int]) -> list[Entity]:
    return sorted(window.accounts.entity(user) for user in users)


@kernel
def deals_at(merchants, generations, kinds, row, least, regular, share):  # type: ignore[no-untyped-def]
    """Deals of a regular with a merchant up to the one in `row`, if the merchant lives on regulars.

    Mutates nothing.

    Returns:
        (deals, 0 if it does not; how often what is known of the merchant has to be halved by now).
    """
    user, merchant = row[USER], row[OTHER]
    if user < 0 or merchant < 0 or kinds[merchant] != KIND_MERCHANT or row[VALUE] <= 0:
        return 0, 0
    if merchants[merchant, GENERATION] != generations[merchant]:
        return 0, 0
    shift = weeks_faded(merchants, merchant, row[TIME])
    key = key_of(user, generations[user])
    own, regulars, theirs = 1, 0, 0
    for place in range(merchants[merchant, BUYERS]):
        deals = merchants[merchant, DEALS_HERE + place] >> shift
        if merchants[merchant, WHO + place] == key:
            own += deals
        elif deals >= regular:
            regulars += 1
            theirs += deals
    everything = (merchants[merchant, DEALS] >> shift) + 1
    if own < regular or regulars + 1 < least or theirs + own < share * everything:
        return 0, 0
    return own, shift


@kernel
def newest_deals(edges, tail, merchant, until, out):  # type: ignore[no-untyped-def]
    """The newest purchases and refunds of a merchant up to a moment, the newest first; how many.

    Fills `out` (int64[n]); looks at no more than 2n edges each way. Mutates `out` only.
    """
    count = 0
    refund, purchase = edges.newest_out[merchant], edges.newest_in[merchant]
    for _ in range(4 * out.shape[0]):
        if count == out.shape[0] or max(refund, purchase) < tail:
            break
        # The newer of the two.
        inward = purchase >= tail
        if inward and refund >= tail:
            r, s = slot(edges.pages, refund), slot(edges.pages, purchase)
            inward = edges.time[s] >= edges.time[r]
        p = purchase if inward else refund
        s = slot(edges.pages, p)
        if edges.value[s] > 0 and edges.time[s] <= until:
            out[count] = p
            count += 1
        back = edges.back_in[s] if inward else edges.back_out[s]
        p = p - back if back != 0 else np.int64(-1)
        if inward:
            purchase = p
        else:
            refund = p
    return count
