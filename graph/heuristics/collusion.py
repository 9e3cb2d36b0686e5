"""Merchants that are in it: a few faithful buyers, and nothing sold.

Behaviour
    A collusive merchant is a front. A few accounts, often of one hand, pay it again and again, to
    turn cards into money, to launder, or to make refunds and chargebacks.

Definition
    A deal is a purchase that went through or a refund. At a deal, a merchant colludes if, over all
    that is known of it,

    - it has between `collusive_least` and `collusive_buyers` distinct buyers, in at least
      `collusive_deals` deals;
    - at least `collusive_repeats` of its purchases came from somebody who had bought there before;
    - the buyers are isolated: at least `collusive_isolated` of all their purchases were here;
    - and at least `collusive_refunds` of its deals are refunds, or at least `collusive_devices` of
      the buyers share a device with another buyer (the window's links).

    It is told at `collusive_deals` deals and then each time they grew by a quarter. Chargebacks are
    no transactions: they reach the engine as labels, which heuristics do not read.

Method and cost
    One row of the merchant's profile (`graph.profiles`): O(b) a deal for b <= 12 remembered buyers.
    At the sizes at which it is told, also their profiles and devices: O(b · d) for d links each, at
    most `sharing_scan` (then `truncated`). The witness is what the window still holds of the deals,
    the newest `witness`. Beyond 4,096 deals nothing more is told.

Misses
    Merchants with a dozen decoy buyers, or whose buyers shop elsewhere as well; devices that belong
    to the merchant, whom no transaction shows at one.

False positives
    A club and its members, the only shop of a village, the one tradesman of a few firms: they buy
    elsewhere too, hardly anything is refunded, and each has a device.

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
from graph.heuristics.witness import witness
from graph.kernels import KIND_DEVICE, KIND_MERCHANT, slot
from graph.layout import INWARD, OTHER, USER, VALUE
from graph.profiles import (
    BOUGHT_HERE,
    BUYERS,
    DEALS,
    GENERATION,
    RETURNS,
    SHOPPED,
    WHO,
    Profiles,
    buyer_place,
    id_of,
    is_alive,
    key_of,
)
from graph.thresholds import MOST_BUYERS, Thresholds, told_counts
from graph.transaction import Transaction
from graph.window import TransactionWindow

_MOST_TOLD: Final = 4096


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
        key = key_of(admission.user, int(generations[admission.user]))
        here[key] = here.get(key, 0) + purchase
        # Who is not there any more has left no purchases elsewhere to compare with, and no name.
        buyers = {id_of(k): n for k, n in here.items() if is_alive(k, generations)}
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
