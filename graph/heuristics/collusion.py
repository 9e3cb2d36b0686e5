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

    A front that has just begun does not show in weeks. So a surge counts as well: the same is asked
    of the last seven days alone, whatever the calendar says. It is one if there are at least

    - `collusive_surge` regulars, and with those who are a deal short of it `collusive_least`;
    - `collusive_surge_share` of the deals that are the regulars'; and
    - `collusive_surge_refunds` refunds to buyers who came again, or two of these, one a regular,
      who share a device as above.

    It is told when this regular has become one, and then each time its deals grew by a quarter.
    Named are the merchant, its regulars (of a surge also who is a deal short), the devices that
    they share and with whom, and who else uses one of these, where it has at most
    `collusive_users`, half of whom at least are buyers: the owner. On a public machine strangers
    outnumber those who meet there. Chargebacks are no transactions: they reach the engine as
    labels, which heuristics do not read.

Method and cost
    One row of the merchant's profile (`graph.profiles`): O(b) a deal for b <= 24 remembered buyers,
    and O(n) for the n <= 64 newest deals; O(n²) for a surge of which the regulars' number is asked,
    at the sizes at which it would be told. Where it is, also the buyers' profiles and devices:
    O(b · d) for d links each, at most `sharing_scan` (then `truncated`), and the users of at most
    `witness` devices. The witness is what the window still holds of the regulars' deals, of the
    newest four times `witness` the newest `witness`. A regular's deals beyond 4,096 are not told.

Misses
    Merchants with many decoy buyers, or whose own come rarely; regulars who came again after 24
    others did are not remembered until the next week. A surge among more than 64 deals a week is
    seen among the newest 64.

False positives
    A club and its members, the only shop of a village, the one tradesman of a few firms: hardly
    anything is refunded, and each has a device. A family at its grocer's. Surges are common: a
    corner shop whose good customers returned two things, or live together. Some twenty of them to
    one that is a front's, hence weak, and left to the judge.

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
from graph.heuristics.clientele import (
    FADED,
    MOST_CLIENTS,
    SURGE,
    Clientele,
    asks,
    clientele,
    clients_of,
)
from graph.heuristics.identity import links_of
from graph.heuristics.witness import witness
from graph.kernels import KIND_DEVICE, slot
from graph.profiles import SHOPPED, Profiles
from graph.thresholds import Thresholds, told_counts
from graph.transaction import Entity, Transaction
from graph.window import TransactionWindow
from graph.wording import counted

_MOST_TOLD: Final = 4096
_MOST_COMPARED: Final = 256  # pairs of a buyer and a device; of more, the heuristic is asked
_ID: Final = (1 << 32) - 1


class Collusion:
    """Finds collusive merchants; see the module's docstring.

    `strength` is 0.25, plus up to 0.15 for the regulars' share beyond the threshold, plus up to
    0.25 for the refunds (half of the deals is full), plus up to 0.3 for the share of regulars on
    shared devices. Of a surge it is half of that.
    """

    def __init__(self, thresholds: Thresholds, profiles: Profiles) -> None:
        self.thresholds: Final = thresholds
        self._profiles: Final = profiles
        first = thresholds.collusive_regular
        self.told: Final = told_counts(first, first, _MOST_TOLD)
        self.told_table: Final[NDArray[np.uint8]] = np.zeros(max(self.told) + 1, np.uint8)
        self.told_table[list(self.told)] = 1
        self._pairs: NDArray[np.int64] = np.zeros(pairs_of(thresholds.sharing_scan), np.int64)
        self._users: NDArray[np.int64] = np.zeros(thresholds.collusive_users + 1, np.int64)
        self._newest: NDArray[np.int64] = np.zeros(thresholds.witness, np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None
        self._used_kernel: Callable[..., Any] | None = None
        self._users_kernel: Callable[..., Any] | None = None
        self._deals_kernel: Callable[..., Any] | None = None

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Whether this deal shows that its merchant is in it."""
        if admission.status is not Status.ACCEPTED:
            return ()
        columns, row = self._profiles.columns(window), self._profiles.row(tx, admission)
        limits, generations = self.thresholds, window.accounts.generation
        arguments = (
            columns.merchants,
            generations,
            window.accounts.kind,
            row,
            self.told_table,
            limits.collusive_least,
            limits.collusive_regular,
            float(limits.collusive_share_linked),
            limits.collusive_surge,
            float(limits.collusive_surge_share),
        )
        self._kernel = self._kernel or bind(asks, *arguments)
        asked = self._kernel(*arguments)
        for memory in (FADED, SURGE):
            if asked & memory:
                came = clientele(columns.merchants, generations, row, surge=memory == SURGE)
                found = self._judge(window, tx, admission.other, columns.users, came)
                if found:
                    return found
        return ()

    def _judge(
        self,
        window: TransactionWindow,
        tx: Transaction,
        merchant: int,
        users: NDArray[np.int64],
        came: Clientele,
    ) -> Sequence[Evidence]:
        limits, deals, refunds = self.thresholds, came.deals, came.refunds
        regulars = came.at_least(limits.collusive_regular)
        named = came.at_least(limits.collusive_regular - came.surge)
        theirs = sum(came.again[user] for user in regulars)
        shared, cut = self._shared_devices(window, set(came.again), regulars)
        on_shared = {user for together in shared.values() for user in together}
        sharing = len(on_shared & regulars)
        alike, returned, share = sharing / max(len(regulars), 1), refunds / deals, theirs / deals
        if came.surge:
            colludes = sum(came.returned.values()) >= limits.collusive_surge_refunds or bool(shared)
        else:
            refunding = share >= limits.collusive_share and returned >= limits.collusive_refunds
            colludes = refunding or alike >= limits.collusive_devices
        if not colludes:
            return ()
        bought = sum(int(users[user, SHOPPED]) for user in regulars) + (tx.payee != tx.user)
        devices = sorted(shared, key=window.identifiers.entity)[: limits.witness]
        buyers = on_shared | named
        owners = self._other_users(window, devices, buyers)
        hops = self._witness(window, tx, merchant, named)
        centre = window.accounts.entity(merchant)
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
                strength=(0.5 if came.surge else 1.0)
                * (
                    0.25 + 0.15 * min(max(beyond, 0), 1) + 0.25 * min(2 * returned, 1) + 0.3 * alike
                ),
                reason=(
                    f"{centre} lives on {len(regulars)} regulars"
                    f"{' within a week' if came.surge else ''}: {theirs} of "
                    f"{deals} deals, {counted(refunds, 'refund')}; {sharing} "
                    f"{'shares' if sharing == 1 else 'share'} a device with another."
                ),
                facts={
                    "regulars": float(len(regulars)),
                    "deals": float(deals),
                    "refunds": float(refunds),
                    "share": share,
                    "isolation": min(theirs / max(bought, 1), 1.0),
                    "sharing": float(sharing),
                    "refunded": float(len(came.returned)),
                    "surge": float(came.surge),
                },
                truncated=(cut or len(shared) > len(devices) or len(hops) < theirs),
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
        arguments = (
            window.links,
            window.identifiers.kind,
            window.link_tail,
            window.watermark - window.config.retention,
            np.array(sorted(buyers), np.int64),
            self.thresholds.sharing_scan,
            self._pairs,
        )
        self._used_kernel = self._used_kernel or bind(devices_used, *arguments)
        count, cut = self._used_kernel(*arguments)
        users_of: dict[int, set[int]] = {}
        for pair in self._pairs[:count].tolist():
            users_of.setdefault(pair >> 32, set()).add(pair & _ID)
        shared = {}
        for device, users in users_of.items():
            few = len(users) > 1 and users & regulars and self._users_of(window, device)
            together = users if few else users & regulars
            if len(together) > 1:
                shared[device] = together
        return shared, bool(cut)

    def _witness(
        self, window: TransactionWindow, tx: Transaction, merchant: int, regulars: set[int]
    ) -> tuple[Hop, ...]:
        """The newest of the regulars' purchases and refunds that the window holds and that fit."""
        limits = self.thresholds
        arguments = (
            window.edges,
            window.tail,
            merchant,
            tx.timestamp,
            np.array(list(regulars), np.int64),
            4 * limits.witness,
            self._newest,
        )
        self._deals_kernel = self._deals_kernel or bind(newest_deals, *arguments)
        return witness(window, self._newest[: self._deals_kernel(*arguments)].tolist())


def _named(window: TransactionWindow, users: Iterable[int]) -> list[Entity]:
    return sorted(window.accounts.entity(user) for user in users)


def pairs_of(scan: int) -> int:
    """How many pairs of a buyer and a device the searches may write down."""
    return MOST_CLIENTS * scan


@kernel(cache=False)  # not cached by itself: a callee is in another file
def may_collude(  # type: ignore[no-untyped-def]
    merchants, generations, row, surge, links, kinds, tail, oldest, regular, share, refunded,
    linked, surge_refunds, scan, clients, pairs,
):  # fmt: skip
    """Whether one of both memories may make a front of a merchant that lives on regulars.

    As `Collusion` decides it, but that two buyers on any device count, however many use it.
    `clients` (int64[3, MOST_CLIENTS]) and `pairs` (int64[pairs_of(scan)]) are scratch. Mutates
    these only.
    """
    who, came, returns = clients[0], clients[1], clients[2]
    n, deals, refunds = clients_of(merchants, generations, row, surge, who, came, returns)
    regulars, theirs, back = 0, 0, 0
    for i in range(n):
        back += returns[i]
        if came[i] >= regular:
            regulars, theirs = regulars + 1, theirs + came[i]
    if surge and back >= surge_refunds:
        return True
    if not surge and theirs / deals >= share and refunds / deals >= refunded:
        return True
    count, cut = devices_used(links, kinds, tail, oldest, who[:n], scan, pairs)
    if cut or count > _MOST_COMPARED:
        return True
    sharing = 0
    for i in range(n):
        if came[i] >= regular:
            sharing += _meets(who[i], pairs, count)
    return sharing > 0 if surge else sharing / max(regulars, 1) >= linked


@kernel
def _meets(user, pairs, count):  # type: ignore[no-untyped-def]
    """Whether a user shares a device with another one."""
    for i in range(count):
        if pairs[i] & _ID != user:
            continue
        for j in range(count):
            if pairs[j] >> 32 == pairs[i] >> 32 and pairs[j] != pairs[i]:
                return True
    return False


@kernel
def devices_used(links, kinds, tail, oldest, users, bound, out):  # type: ignore[no-untyped-def]
    """Devices that some users have used since a moment.

    Fills `out` (int64[at least users * bound]) with `device << 32 | user`, which may come up more
    than once; looks at no more than `bound` links of each user. Mutates `out` only.

    Returns:
        (pairs, whether the bound was hit).
    """
    count, cut = 0, False
    for user in users:
        position = links.newest_of_user[user]
        seen = 0
        while position >= tail and seen < bound:
            s = slot(links.pages, position)
            seen += 1
            device = links.entity[s]
            if device >= 0 and links.last[s] >= oldest and kinds[device] == KIND_DEVICE:
                out[count] = np.int64(device) << 32 | np.int64(user)
                count += 1
            if links.back_user[s] == 0:
                position = np.int64(-1)
            else:
                position -= links.back_user[s]
        cut |= position >= tail
    return count, cut


@kernel
def newest_deals(edges, tail, merchant, until, buyers, most, out):  # type: ignore[no-untyped-def]
    """Of the newest purchases and refunds up to a moment those of some buyers, the newest first.

    Fills `out` (int64[n]) from the merchant's `most` newest deals, in no more than four times as
    many of its edges; returns how many. Mutates `out` only.
    """
    count = looked = 0
    refund, purchase = edges.newest_out[merchant], edges.newest_in[merchant]
    for _ in range(4 * most):
        if looked == most or count == out.shape[0] or max(refund, purchase) < tail:
            break
        # The newer of the two.
        inward = purchase >= tail
        if inward and refund >= tail:
            r, s = slot(edges.pages, refund), slot(edges.pages, purchase)
            inward = edges.time[s] >= edges.time[r]
        p = purchase if inward else refund
        s = slot(edges.pages, p)
        if edges.value[s] > 0 and edges.time[s] <= until:
            looked += 1
            buyer = edges.target[s] if edges.source[s] == merchant else edges.source[s]
            for other in buyers:
                if other == buyer:
                    out[count] = p
                    count += 1
                    break
        back = edges.back_in[s] if inward else edges.back_out[s]
        p = p - back if back != 0 else np.int64(-1)
        if inward:
            purchase = p
        else:
            refund = p
    return count
