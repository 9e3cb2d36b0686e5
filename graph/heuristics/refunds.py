"""Buyers who live on refunds: refund abuse.

Behaviour
    Somebody buys, is refunded ("it never came", "it is broken"), and keeps the goods; alone, or
    under several names from one device, at shop after shop.

Definition
    At a refund from a merchant that went through, its user abuses refunds if there are at least
    `refund_count` of them, from at least `refund_merchants` merchants, worth at least
    `refund_share` of what was bought; all of it counts half after 90 days, a quarter after 180, and
    so on. First this is asked of all who were refunded on the refund's device together, if no more
    than `refund_users` use it, then of the user alone.

    Less is enough in company. If neither is so, but the user has at least `refund_each` refunds
    worth `refund_each_share` of what it bought, and so has somebody whom it has paid within the
    retention, both are named, and no merchant: those are in the witness. Told refund by refund.

    Told otherwise refund by refund up to `told_singly`, then each time they grew by a quarter
    (`told_counts`). Of each user the first four merchants that refunded are remembered.

Method and cost
    The device's links and a row of the profiles (`graph.profiles`) for each of its users: O(u) a
    refund for u <= `refund_users`. The witness is what the window still holds of the refunds, the
    newest `witness`. Beyond 4,096 refunds nothing more is told. Company costs a walk over at most
    `sharing_scan` links of one who has enough refunds, and a row of the profiles for each of the
    newest `witness` whom it has paid (else `truncated`).

Misses
    Abuse of one alone at one shop only; refunds paid by somebody else than the merchant; names that
    share nothing but an address and never pay each other.

False positives
    Honest returns are less of the money, and from one or two shops: fashion comes back for up to a
    half. An event that is cancelled brings many refunds at once, but from one merchant; friends who
    had tickets for two are told as company.

Source
    National Retail Federation and Appriss Retail, "Consumer returns in the retail industry", 2023
    (shares of honest and of abusive returns).

>>> from graph.profiles import Profiles
>>> from graph.thresholds import Thresholds
>>> from graph.transaction import Money, Transaction, TransactionType
>>> from graph.window import TransactionWindow
>>> window, profiles = TransactionWindow(), Profiles(Thresholds())
>>> abuse = RefundAbuse(Thresholds(), profiles)
>>> for n in range(12):
...     kind = TransactionType.PAYMENT if n < 6 else TransactionType.REFUND
...     tx = Transaction(f"t{n}", 60_000 * (n + 1), kind, Money(100, "EUR"), 100, "a",
...                      merchant_id=f"shop{n % 3}")
...     admission = window.add(tx)
...     found = abuse.detect(window, tx, admission)
...     profiles.note(window, tx, admission)
>>> found[0].reason
'user:a was refunded 6 times by 3 merchants, 100 % of what was bought.'
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind, kernel
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.heuristics.identity import links_of
from graph.heuristics.returners import Returners
from graph.heuristics.witness import reach, witness
from graph.kernels import KIND_MERCHANT, slot
from graph.layout import DEVICE, INWARD, OTHER, TIME, USER, VALUE
from graph.profiles import GENERATION, SHOPS, Profiles, id_of, is_alive, key_of, returns_of
from graph.thresholds import MOST_REFUNDING, Thresholds, told_counts
from graph.transaction import DAY, Entity, Transaction
from graph.window import TransactionWindow
from graph.wording import counted

_MOST_TOLD: Final = 4096


class RefundAbuse:
    """Finds those who live on refunds; see the module's docstring.

    `strength` is 0.4, plus up to 0.2 for the refunds (three times the threshold is full), plus up
    to 0.2 for the share of the money beyond the threshold (all of it is full), plus 0.15 for
    several users on one device. Of company it is 0.3, plus up to 0.2 for the share of the money
    (half of it is full), plus up to 0.2 for the others (three are full).
    """

    def __init__(self, thresholds: Thresholds, profiles: Profiles) -> None:
        self.thresholds: Final = thresholds
        self._profiles: Final = profiles
        self._returners: Final = Returners(thresholds)
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
            return () if refunds else self._in_company(window, tx, admission)
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
            if is_alive(key, generations):
                members[window.accounts.entity(id_of(key))] = Role.VICTIM
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
                    f"{names} refunded {refunds} times by {counted(shops, 'merchant')}, "
                    f"{100 * share:.0f} % of what was bought."
                ),
                facts={
                    "refunds": float(refunds),
                    "merchants": float(shops),
                    "users": float(users),
                    "refunded": float(refunded),
                    "bought": float(bought),
                    "company": 0.0,
                },
                truncated=cut or len(hops) < refunds,
            )
        ]

    def _in_company(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Whether somebody whom the user pays has as much refunded."""
        users, row = self._profiles.columns(window).users, self._profiles.row(tx, admission)
        company = self._returners.at(window, users, row)
        if company is None:
            return ()
        group = [admission.user, *company.others]
        hops, cut = self._witness(window, group, tx.timestamp)
        others = sorted(window.accounts.entity(each) for each in company.others)
        share = min(company.refunded / max(company.bought, 1), 1.0)
        return [
            Evidence(
                pattern=Pattern.REFUND_ABUSE,
                seen_at=tx.timestamp,
                members=((tx.user, Role.MEMBER), *((other, Role.MEMBER) for other in others)),
                hops=hops,
                strength=0.3 + 0.2 * min(2 * share, 1) + 0.2 * min(len(others) / 3, 1),
                reason=(
                    f"{tx.user} and {len(others)} whom it pays were refunded {company.refunds} "
                    f"times, {100 * share:.0f} % of what they bought."
                ),
                facts={
                    "refunds": float(company.refunds),
                    "users": float(len(group)),
                    "refunded": float(company.refunded),
                    "bought": float(company.bought),
                    "company": 1.0,
                },
                truncated=cut or company.cut or len(hops) < company.refunds,
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
