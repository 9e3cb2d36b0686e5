"""Merchants that are in it, and buyers who live on refunds.

Behaviour
    A collusive merchant sells nothing: a few accounts, often of one hand, pay it again and again,
    to turn cards into money, to launder, or to make chargebacks and refunds. A refund abuser, alone
    or under several names on one device, buys, is refunded, and keeps the goods.

Definition
    A deal is a purchase that went through or a refund. At a deal, a merchant colludes if over all
    that is known of it

    - it has between `collusive_least` and `collusive_buyers` distinct buyers, in at least
      `collusive_deals` deals;
    - at least `collusive_repeats` of its purchases came from somebody who had bought there before;
    - the buyers are isolated: at least `collusive_isolated` of all their purchases were here;
    - and at least `collusive_refunds` of its deals are refunds, or at least `collusive_devices` of
      the buyers share a device with another buyer (the window's links).

    It is told at `collusive_deals` deals and then each time they grew by a quarter. Chargebacks are
    no transactions and not seen: they reach the engine as labels, which heuristics do not read.

    At a refund, its user abuses refunds if there are at least `refund_count` of them, from at least
    `refund_merchants` merchants, worth at least `refund_share` of what was bought; all of it counts
    half after 90 days. First this is asked of all who were refunded on the refund's device
    together, if no more than `refund_users` use it, then of the user alone. Told refund by refund
    up to `told_singly`, then each time they grew by a quarter (`told_counts`).

Method and cost
    One row of the profiles a deal: O(b) for b <= 12 remembered buyers. Where the counts fit, their
    devices: O(b · d), at most `sharing_scan` links each (then `truncated`). A refund reads its
    device's links, O(u) for u <= `refund_users`. The witness is what the window still holds of it.

Misses
    Merchants with a dozen decoy buyers; buyers who also shop elsewhere; abuse at one shop only, and
    before 90 days ago; refunds paid by somebody else than the merchant.

False positives
    A club and its members, the only shop of a village: nothing is refunded and each has a device.
    Honest returns: less of the money, and from one or two shops.

Source
    Visa, "Acquirer risk: merchant collusion", Global Acquirer Risk Standards, 2022; Appriss Retail,
    "Consumer returns in the retail industry", 2023 (shares of honest and abusive returns).

>>> from graph.profiles import Profiles
>>> from graph.thresholds import Thresholds
>>> from graph.transaction import Money, Transaction, TransactionType
>>> from graph.window import TransactionWindow
>>> window, profiles = TransactionWindow(), Profiles(Thresholds())
>>> collusion = Collusion(Thresholds(), profiles)
>>> for n in range(12):
...     tx = Transaction(f"t{n}", 60_000 * (n + 1), TransactionType.PAYMENT, Money(100, "EUR"),
...                      100, f"buyer{n % 4}", merchant_id="front", device_id="phone")
...     admission = window.add(tx)
...     found = collusion.detect(window, tx, admission)
...     profiles.note(window, tx, admission)
>>> found[0].reason
'merchant:front lives on 4 buyers in 12 deals, 0 of them refunds; 4 share a device with another.'
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind, kernel
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.heuristics.identity import links_of
from graph.heuristics.witness import reach, witness
from graph.kernels import KIND_DEVICE, KIND_MERCHANT, slot
from graph.layout import DEVICE, INWARD, OTHER, TIME, USER, VALUE
from graph.profiles import (
    BOUGHT_HERE,
    BUYERS,
    DEALS,
    GENERATION,
    RETURNS,
    SHOPPED,
    SHOPS,
    WHO,
    Profiles,
    buyer_place,
    key_of,
    returns_of,
)
from graph.thresholds import MOST_BUYERS, MOST_REFUNDING, Thresholds, told_counts
from graph.transaction import DAY, Entity, Transaction
from graph.window import TransactionWindow

_MOST_TOLD: Final = 4096
_ID: Final = (1 << 32) - 1


class Collusion:
    """Finds collusive merchants; see the module's docstring.

    `strength` is 0.45, plus up to 0.15 for isolation beyond the threshold, plus up to 0.15 for the
    refunds (half of the deals is full), plus up to 0.2 for the share of buyers on shared devices.
    """

    def __init__(self, thresholds: Thresholds, profiles: Profiles) -> None:
        self.thresholds: Final = thresholds
        self._profiles: Final = profiles
        first = thresholds.collusive_deals
        self.told = told_counts(first, first, _MOST_TOLD)
        self._rows: NDArray[np.int64] = np.zeros(thresholds.sharing_scan, np.int64)
        self._newest: NDArray[np.int64] = np.zeros(thresholds.witness, np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None
        self._devices_kernel: Callable[..., Any] | None = None
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
            limits.collusive_buyers,
            limits.collusive_repeats,
        )
        self._kernel = self._kernel or bind(deals_at, *arguments)
        deals = int(self._kernel(*arguments))
        return self._judge(window, tx, admission, deals) if deals in self.told else ()

    def _judge(
        self, window: TransactionWindow, tx: Transaction, admission: Admission, deals: int
    ) -> Sequence[Evidence]:
        limits, (users, merchants, _) = self.thresholds, self._profiles.columns(window)
        merchant = merchants[admission.other]
        generations = window.accounts.generation
        purchase = tx.payee != tx.user
        count = min(int(merchant[BUYERS]), MOST_BUYERS)
        # What each of them bought here; the transaction at hand is not in the profiles yet.
        here = {
            int(key): int(bought)
            for key, bought in zip(
                merchant[WHO : WHO + count],
                merchant[BOUGHT_HERE : BOUGHT_HERE + count],
                strict=True,
            )
        }
        key = (int(generations[admission.user]) << 32) | admission.user
        here[key] = here.get(key, 0) + purchase
        # Who is not there any more has left no purchases elsewhere to compare with, and no name.
        buyers = {k & _ID: n for k, n in here.items() if k >> 32 == generations[k & _ID]}
        anywhere = sum(int(users[u, SHOPPED]) for u in buyers) + purchase
        refunds = int(merchant[RETURNS]) + (not purchase)
        isolated = sum(buyers.values()) / max(anywhere, 1)
        if isolated < limits.collusive_isolated:
            return ()
        shared, cut = self._shared_devices(window, set(buyers))
        sharing = len({user for together in shared.values() for user in together})
        alike = sharing / len(here)
        share = refunds / deals
        if share < limits.collusive_refunds and alike < limits.collusive_devices:
            return ()
        centre = window.accounts.entity(admission.other)
        hops = self._witness(window, tx, admission.other)
        names = sorted(window.accounts.entity(user) for user in buyers)
        devices = sorted(window.identifiers.entity(device) for device in shared)
        beyond = (isolated - limits.collusive_isolated) / max(1 - limits.collusive_isolated, 0.01)
        return [
            Evidence(
                pattern=Pattern.COLLUSIVE_MERCHANT,
                seen_at=tx.timestamp,
                members=(
                    (centre, Role.CONTROLLER),
                    *((name, Role.MEMBER) for name in names),
                    *((device, Role.SHARED) for device in devices[: limits.witness]),
                ),
                hops=hops,
                strength=0.45 + 0.15 * beyond + 0.15 * min(2 * share, 1) + 0.2 * alike,
                reason=(
                    f"{centre} lives on {len(here)} buyers in {deals} deals, {refunds} of them "
                    f"refunds; {sharing} share a device with another."
                ),
                facts={
                    "buyers": float(len(here)),
                    "deals": float(deals),
                    "refunds": float(refunds),
                    "isolation": isolated,
                    "sharing": float(sharing),
                },
                truncated=cut or len(hops) < deals,
            )
        ]

    def _shared_devices(
        self, window: TransactionWindow, buyers: set[int]
    ) -> tuple[dict[int, set[int]], bool]:
        """Devices with the buyers on each, where there are two, and whether a bound was hit."""
        oldest = window.watermark - window.config.retention
        users_of: dict[int, set[int]] = {}
        cut = False
        for user in sorted(buyers):
            arguments = (
                window.links, window.identifiers.kind, window.link_tail, user, oldest, self._rows,
            )  # fmt: skip
            self._devices_kernel = self._devices_kernel or bind(devices_of, *arguments)
            count, more = self._devices_kernel(*arguments)
            cut |= bool(more)
            for device in self._rows[:count].tolist():
                users_of.setdefault(device, set()).add(user)
        return {device: users for device, users in users_of.items() if len(users) > 1}, cut

    def _witness(
        self, window: TransactionWindow, tx: Transaction, merchant: int
    ) -> tuple[Hop, ...]:
        """The newest purchases and refunds that the window holds and that fit."""
        arguments = (window.edges, window.tail, merchant, tx.timestamp, self._newest)
        self._deals_kernel = self._deals_kernel or bind(newest_deals, *arguments)
        return witness(window, self._newest[: self._deals_kernel(*arguments)].tolist())


class RefundAbuse:
    """Finds those who live on refunds; see the module's docstring.

    `strength` is 0.4, plus up to 0.2 for the refunds (three times the threshold is full), plus up
    to 0.2 for the share of the money beyond the threshold (all of it is full), plus 0.15 for
    several users on one device.
    """

    def __init__(self, thresholds: Thresholds, profiles: Profiles) -> None:
        self.thresholds: Final = thresholds
        self._profiles: Final = profiles
        self.told = told_counts(thresholds.refund_count, thresholds.told_singly, _MOST_TOLD)
        self._rows: NDArray[np.int64] = np.zeros(thresholds.refund_users + 1, np.int64)
        self._group: NDArray[np.int64] = np.zeros(thresholds.refund_users + 1, np.int64)
        self._shops: NDArray[np.int64] = np.zeros(shops_of(thresholds.refund_users), np.int64)
        self._newest: NDArray[np.int64] = np.zeros(thresholds.witness, np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None
        self._refunds_kernel: Callable[..., Any] | None = None

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Whether this refund is one too many."""
        if admission.status is not Status.ACCEPTED:
            return ()
        limits, profiles = self.thresholds, self._profiles
        arguments = (
            window.links,
            window.link_tail,
            window.watermark - window.config.retention,
            profiles.columns(window).users,
            window.accounts.generation,
            window.accounts.kind,
            profiles.row(tx, admission),
            limits.refund_count,
            limits.refund_merchants,
            limits.refund_share,
            self._rows,
            self._group,
            self._shops,
        )
        self._kernel = self._kernel or bind(refunds_at, *arguments)
        refunds, refunded, bought, users, shops = self._kernel(*arguments)
        if refunds not in self.told:
            return ()
        group = self._group[:users].tolist()
        hops, cut = self._witness(window, group, tx.timestamp)
        members: dict[Entity, Role] = {tx.user: Role.MEMBER}
        for user in group:
            members.setdefault(window.accounts.entity(user), Role.MEMBER)
        several = len(members) > 1
        if several:
            members[window.identifiers.entity(admission.device)] = Role.SHARED
        generations = window.accounts.generation
        for key in self._shops[:shops].tolist():
            if generations[key & _ID] == key >> 32:
                members[window.accounts.entity(key & _ID)] = Role.VICTIM
        refunds, share = int(refunds), min(refunded / max(bought, 1), 1.0)
        crowd = (refunds - limits.refund_count) / (2 * limits.refund_count)
        beyond = (share - limits.refund_share) / max(1 - limits.refund_share, 0.01)
        names = f"{users} users on one device were" if several else f"{tx.user} was"
        return [
            Evidence(
                pattern=Pattern.REFUND_ABUSE,
                seen_at=tx.timestamp,
                members=tuple(members.items()),
                hops=hops,
                strength=0.4 + 0.2 * min(crowd, 1) + 0.2 * beyond + 0.15 * several,
                reason=(
                    f"{names} refunded {refunds} times by {shops} merchants, {100 * share:.0f} % "
                    "of what was bought."
                ),
                facts={
                    "refunds": float(refunds),
                    "merchants": float(shops),
                    "users": float(users),
                    "refunded": float(refunded),
                    "bought": float(bought),
                },
                truncated=cut or len(hops) < refunds,
            )
        ]

    def _witness(
        self, window: TransactionWindow, group: list[int], now: int
    ) -> tuple[tuple[Hop, ...], bool]:
        """The newest refunds of a group that the window holds and that fit."""
        found: set[int] = set()
        since = now - reach(window, DAY)
        for user in group:
            arguments = (window.edges, window.tail, user, since, now, self._newest)
            self._refunds_kernel = self._refunds_kernel or bind(newest_refunds, *arguments)
            found.update(self._newest[: self._refunds_kernel(*arguments)].tolist())
        hops = witness(window, found)
        return hops[-self.thresholds.witness :], len(hops) > self.thresholds.witness


def shops_of(users: int) -> int:
    """Merchants that so many users may have been refunded by, as far as they are remembered."""
    return (users + 1) * MOST_REFUNDING + 1


@kernel
def deals_at(merchants, generations, kinds, row, least, most, repeats):  # type: ignore[no-untyped-def]
    """Deals of a merchant up to the one in `row`, 0 if its buyers are not few and faithful.

    Mutates nothing.
    """
    user, merchant = row[USER], row[OTHER]
    if user < 0 or merchant < 0 or kinds[merchant] != KIND_MERCHANT or row[VALUE] <= 0:
        return 0
    buyers = merchants[merchant, BUYERS]
    if merchants[merchant, GENERATION] != generations[merchant] or buyers > most:
        return 0
    place = buyer_place(merchants, merchant, key_of(user, generations[user]))
    buyers += place == buyers
    deals = merchants[merchant, DEALS] + 1
    purchases = deals - merchants[merchant, RETURNS] - (row[INWARD] != 0)
    if not least <= buyers <= most or purchases - buyers < repeats * purchases:
        return 0
    return deals


@kernel
def devices_of(links, kinds, tail, user, oldest, out):  # type: ignore[no-untyped-def]
    """Devices of a user used since `oldest`, newest first.

    Fills `out` (int64[n]); looks at no more than n links. Mutates `out` only. Returns (devices,
    whether the bound n was hit).
    """
    count = 0
    position = links.newest_of_user[user]
    for _ in range(out.shape[0]):
        if position < tail:
            return count, False
        s = slot(links.pages, position)
        identifier = links.entity[s]
        if identifier >= 0 and links.last[s] >= oldest and kinds[identifier] == KIND_DEVICE:
            out[count] = identifier
            count += 1
        if links.back_user[s] == 0:
            return count, False
        position -= links.back_user[s]
    return count, position >= tail


@kernel
def newest_deals(edges, tail, merchant, until, out):  # type: ignore[no-untyped-def]
    """The newest purchases and refunds of a merchant up to a moment, in no order; how many.

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


@kernel
def newest_refunds(edges, tail, user, since, until, out):  # type: ignore[no-untyped-def]
    """Refunds to a user with since < time <= until, newest first; how many.

    Fills `out` (int64[n]); looks at no more than 4n edges. Mutates `out` only.
    """
    count = 0
    p = edges.newest_in[user]
    for _ in range(4 * out.shape[0]):
        if count == out.shape[0] or p < tail:
            break
        s = slot(edges.pages, p)
        if edges.time[s] <= since:
            break
        source = edges.source[s]
        refund = source >= 0 and edges.account_kind[source] == KIND_MERCHANT
        if refund and edges.time[s] <= until and edges.value[s] > 0:
            out[count] = p
            count += 1
        if edges.back_in[s] == 0:
            break
        p -= edges.back_in[s]
    return count


@kernel
def refunds_at(  # type: ignore[no-untyped-def]  # noqa: C901, PLR0912  # one sum, over two groups
    links, link_tail, oldest, users, generations, kinds, row, least, merchants, share, rows, group,
    shops
):  # fmt: skip
    """What came back up to the refund in `row`: to those on its device together, else to its user.

    Fills `rows` (int64[n + 1], scratch), `group` (int64[n + 1]: who they are, the user first) and
    `shops` (int64[m]: the merchants' keys), where n users may share a device. Mutates these only.

    Returns:
        (refunds, value refunded, value bought, users, merchants); all 0 where that is no abuse.
    """
    zero = np.int64(0)
    none = (zero, zero, zero, 0, 0)
    user, other = row[USER], row[OTHER]
    if user < 0 or other < 0 or row[INWARD] == 0 or row[VALUE] <= 0:
        return none
    if kinds[other] != KIND_MERCHANT:
        return none
    most = rows.shape[0] - 1
    linked, cut = 0, False
    if row[DEVICE] >= 0:
        linked, cut = links_of(links, link_tail, row[DEVICE], oldest, rows)
    if linked > most or cut:
        linked = 0  # public
    alone = False
    while True:
        group[0] = user
        shops[0] = key_of(other, generations[other])
        members, merchant_count = 1, 1
        bought, refunded, refunds = zero, np.int64(row[VALUE]), np.int64(1)
        for i in range(-1, 0 if alone else linked):
            who = user if i < 0 else np.int64(links.user[rows[i]])
            if (i >= 0 and who == user) or users[who, GENERATION] != generations[who]:
                continue
            _, b, v, r = returns_of(users, who, row[TIME])
            if r == 0 and i >= 0:
                continue
            bought, refunded, refunds = bought + b, refunded + v, refunds + r
            if i >= 0:
                group[members] = who
                members += 1
            if r == 0:
                continue
            for k in range(SHOPS, users.shape[1]):
                known = users[who, k] == 0
                for j in range(merchant_count):
                    known |= shops[j] == users[who, k]
                if not known:
                    shops[merchant_count] = users[who, k]
                    merchant_count += 1
        if refunds >= least and merchant_count >= merchants and refunded >= share * bought:
            return refunds, refunded, bought, members, merchant_count
        if alone or members == 1:
            return none
        alone = True
