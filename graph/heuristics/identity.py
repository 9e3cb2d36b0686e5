"""Several users behind one device, card or IP.

Behaviour
    A fraudster works many accounts from one phone, enrols one stolen card in several, or registers
    a batch of synthetic identities from one place.

Definition
    When a transaction links its user to an identifier for the first time, over the links of the
    last 30 days (the window's retention):

    - device: `device_users` distinct users share it: weak, couples and families do. `farm_users`
      of them first seen on it within `farm_within`: a farm;
    - card: `card_users` distinct users share it;
    - IP: never by itself (carrier NAT, campus). It counts those who share the IP *and* a device or
      card with this user, those who share both with one of them, and so on: a farm of several
      devices is one farm. With this user they must be `ip_users`. Any new link of the transaction
      may complete it.

    Growth is told user by user up to `told_singly`, then each time it grew by a quarter.

    `strength` = base · freshness · popularity, where base is 0.35, or 0.8 and rising to 0.95 for a
    farm (1 - 0.2 · farm_users / new users, at most 0.95), and for a shared card from the start;
    freshness is the mean of exp(-age / sharing_fades) over the users' last use; and popularity is
    log(5 + threshold) / log(5 + degree), so that an identifier used by a crowd says less.

Method and cost
    Nothing is read unless a link is new. Then O(d) for d users of the identifier, and for the IP
    O(l · d) over the l links of each user that is counted, of whom `witness` are looked at; at most
    `sharing_scan` links each (then `truncated`). An identifier with more users than that is public
    and no longer told.

Misses
    Fraudsters with one device an account (emulators, anti-detect browsers); sharing that began
    before the retention; IPs alone.

False positives
    Families with a tablet, kiosks, branch terminals. Weak until five join within a week, and weaker
    with every further user.

Source
    The weight of a shared entity follows Adamic and Adar, "Friends and neighbors on the Web",
    Social Networks 25(3), 2003 (1 / log degree), with recency decay.

>>> from graph.thresholds import Thresholds
>>> from graph.transaction import Money, Transaction, TransactionType
>>> from graph.window import TransactionWindow
>>> window, identity = TransactionWindow(), SharedIdentity(Thresholds())
>>> for n in range(5):
...     tx = Transaction(f"t{n}", 60_000 * (n + 1), TransactionType.PAYMENT, Money(100, "EUR"),
...                      100, f"user{n}", merchant_id="shop", device_id="phone")
...     found = identity.detect(window, tx, window.add(tx))
>>> found[0].reason
'5 users share device:phone; all of them appeared on it within 7 days.'
>>> round(found[0].strength, 2)
0.8
"""

from collections.abc import Callable, Sequence
from math import log
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind, kernel
from graph.evidence import Evidence, Pattern, Role
from graph.heuristics.witness import span_in_words
from graph.kernels import KIND_CARD, KIND_DEVICE, slot
from graph.thresholds import Thresholds, told_counts
from graph.transaction import Entity, Transaction
from graph.window import TransactionWindow

_WEAK: Final = 0.35
_STRONG: Final = 0.80
_STRONGEST: Final = 0.95


class SharedIdentity:
    """Finds users who share an identifier; see the module's docstring."""

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds: Final = thresholds
        self._rows: NDArray[np.int64] = np.zeros(thresholds.sharing_scan, np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._links_kernel: Callable[..., Any] | None = None
        self._companions_kernel: Callable[..., Any] | None = None
        self.told = {
            pattern: told_counts(least, thresholds.told_singly, thresholds.sharing_scan)
            for pattern, least in (
                (Pattern.SHARED_DEVICE, thresholds.device_users),
                (Pattern.SHARED_CARD, thresholds.card_users),
                (Pattern.SHARED_IP, thresholds.ip_users),
            )
        }

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Sharing that this transaction's new links complete or widen: device, card, then IP."""
        if admission.status is not Status.ACCEPTED or admission.user < 0:
            return ()
        device, ip, card, _ = admission.links
        new_device = admission.device >= 0 and not device.count
        new_card = admission.card >= 0 and not card.count
        new_ip = admission.ip >= 0 and not ip.count
        if not (new_device or new_card or new_ip):
            return ()
        now = tx.timestamp
        found: list[Evidence] = []
        if new_device:
            found += self._shared(window, Pattern.SHARED_DEVICE, admission.device, now)
        if new_card:
            found += self._shared(window, Pattern.SHARED_CARD, admission.card, now)
        if admission.ip >= 0:
            found += self._same_place(window, admission.ip, admission.user, now)
        return found

    def _users(self, window: TransactionWindow, identifier: int) -> tuple[NDArray[np.int64], bool]:
        """Rows of the identifier's live links, one a user, and whether the bound cut them."""
        oldest = window.watermark - window.config.retention
        arguments = (window.links, window.link_tail, identifier, oldest, self._rows)
        self._links_kernel = self._links_kernel or bind(links_of, *arguments)
        count, cut = self._links_kernel(*arguments)
        return self._rows[:count].copy(), bool(cut)

    def _shared(
        self, window: TransactionWindow, pattern: Pattern, identifier: int, now: int
    ) -> Sequence[Evidence]:
        rows, cut = self._users(window, identifier)
        if len(rows) not in self.told[pattern]:
            return ()
        return [self._evidence(window, pattern, identifier, rows, len(rows), now, truncated=cut)]

    def _same_place(
        self, window: TransactionWindow, ip: int, user: int, now: int
    ) -> Sequence[Evidence]:
        """Users of the IP whom devices or cards join to the user, one to the next."""
        companions, cut_companions = self._companions(window, user)
        if not companions:
            return ()
        rows, cut_users = self._users(window, ip)
        there = window.links.user[rows].tolist()
        users = set(there)
        found, ahead = {user}, (companions & users) - {user}
        looked = 1
        while ahead and looked < self.thresholds.witness:
            found |= ahead
            around = set[int]()
            for other in sorted(ahead)[: self.thresholds.witness - looked]:
                theirs, cut = self._companions(window, other)
                around |= theirs
                cut_companions |= cut
                looked += 1
            ahead = (around & users) - found
        cut_companions |= bool(ahead)
        together = rows[np.array([u in found for u in there], np.bool_)]
        if len(together) not in self.told[Pattern.SHARED_IP]:
            return ()
        return [
            self._evidence(
                window,
                Pattern.SHARED_IP,
                ip,
                together,
                len(rows),
                now,
                truncated=cut_companions or cut_users,
            )
        ]

    def _companions(self, window: TransactionWindow, user: int) -> tuple[set[int], bool]:
        """Others on the devices and cards of a user, and whether a bound was hit."""
        oldest = window.watermark - window.config.retention
        kinds = window.identifiers.kind
        arguments = (window.links, kinds, window.link_tail, user, oldest, self._rows)
        self._companions_kernel = self._companions_kernel or bind(companions_of, *arguments)
        found, cut = self._companions_kernel(*arguments)
        return set(window.links.user[self._rows[:found]].tolist()), bool(cut)

    def _evidence(
        self,
        window: TransactionWindow,
        pattern: Pattern,
        identifier: int,
        rows: NDArray[np.int64],
        degree: int,
        now: int,
        *,
        truncated: bool,
    ) -> Evidence:
        limits, links = self.thresholds, window.links
        new = int((links.first[rows] > now - limits.farm_within).sum())
        ages = np.maximum(now - links.last[rows], 0) / limits.sharing_fades
        farm = new >= limits.farm_users
        strong = farm or pattern is Pattern.SHARED_CARD
        base = _WEAK
        if strong:
            base = max(_STRONG, min(1 - 0.2 * limits.farm_users / max(new, 1), _STRONGEST))
        expected = limits.farm_users if farm else min(self.told[pattern])
        weight = float(np.exp(-ages).mean()) * min(log(5 + expected) / log(5 + degree), 1.0)
        shared = window.identifiers.entity(identifier)
        users = self._members(window, rows)
        also = " and a device or card" if pattern is Pattern.SHARED_IP else ""
        return Evidence(
            pattern=pattern,
            seen_at=now,
            members=((shared, Role.SHARED), *((user, Role.MEMBER) for user in users)),
            hops=(),
            strength=base * weight,
            reason=(
                f"{len(rows)} users share {shared}{also}; "
                f"{'all' if new == len(rows) else new} of them appeared on it within "
                f"{span_in_words(limits.farm_within)}."
            ),
            facts={"users": float(len(rows)), "new_users": float(new), "degree": float(degree)},
            truncated=truncated or len(users) < len(rows),
        )

    def _members(self, window: TransactionWindow, rows: NDArray[np.int64]) -> list[Entity]:
        """The newest users of the identifier that fit, the first to come first."""
        links = window.links
        users = sorted(
            (int(links.first[row]), window.accounts.entity(int(links.user[row]))) for row in rows
        )
        return [user for _, user in users[-self.thresholds.witness :]]


@kernel
def links_of(links, tail, identifier, oldest, out):  # type: ignore[no-untyped-def]
    """Rows of the links of an identifier used since `oldest`, newest first.

    Fills `out` (int64[n]); looks at no more than n links. Mutates `out` only.

    Returns:
        (rows, whether the bound n was hit).
    """
    count = 0
    position = links.newest_of_identifier[identifier]
    for _ in range(out.shape[0]):
        if position < tail:
            return count, False
        s = slot(links.pages, position)
        if links.last[s] >= oldest:
            out[count] = s
            count += 1
        if links.back_entity[s] == 0:
            return count, False
        position -= links.back_entity[s]
    return count, position >= tail


@kernel
def joined_at(  # type: ignore[no-untyped-def]
    links, kinds, tail, ip, user, oldest, least, most, there, rows, found
):  # fmt: skip
    """How many users of an IP devices and cards join to a user there, one to the next, himself too.

    `there` and `rows` (int64[n]) and `found` (int64[at least n]) are scratch; mutates these only.
    Looks at `most` users at most, and compares no more than 16 n pairs.

    Returns:
        The number, 0 if there cannot be `least`; -1 where a bound was hit, so that it may be more.
    """
    # Behind a carrier's address are thousands, hardly any of whom share a device with anybody.
    theirs, cut = companions_of(links, kinds, tail, user, oldest, rows)
    if theirs == 0 and not cut:
        return 0
    users, crowded = links_of(links, tail, ip, oldest, there)
    if crowded:
        return -1
    if users < least:
        return 0
    for i in range(users):
        found[i] = 2 * (links.user[there[i]] == user)  # 1: to be looked at, 2: looked at
    compared = looked = 0
    one = np.int64(user)
    while one >= 0:
        if looked > 0:
            theirs, cut = companions_of(links, kinds, tail, one, oldest, rows)
        compared += theirs * users
        looked += 1
        if cut or looked > most or compared > 16 * there.shape[0]:
            return -1
        one = _next_joined(links, there[:users], rows[:theirs], found)
    together = 0
    for i in range(users):
        together += found[i] > 0
    return together


@kernel
def _next_joined(links, there, rows, found):  # type: ignore[no-untyped-def]
    """Mark users of `rows` who are `there`; who of those marked is looked at next, or -1."""
    for row in rows:
        for i in range(there.shape[0]):
            if found[i] == 0 and links.user[there[i]] == links.user[row]:
                found[i] = 1
    for i in range(there.shape[0]):
        if found[i] == 1:
            found[i] = 2
            return np.int64(links.user[there[i]])
    return np.int64(-1)


@kernel
def links_by(links, tail, user, out):  # type: ignore[no-untyped-def]
    """Rows of a user's links to identifiers and other parties, newest first.

    Fills `out` (int64[n]); looks at no more than n links. Mutates `out` only.

    Returns:
        (rows, whether the bound n was hit).
    """
    count = 0
    position = links.newest_of_user[user]
    while position >= tail and count < out.shape[0]:
        s = slot(links.pages, position)
        out[count] = s
        count += 1
        if links.back_user[s] == 0:
            return count, False
        position -= links.back_user[s]
    return count, position >= tail


@kernel
def companions_of(links, kinds, tail, user, oldest, out):  # type: ignore[no-untyped-def]
    """Rows of other users' links to the devices and cards of a user, used since `oldest`.

    Fills `out` (int64[n]); looks at no more than n links of the user and n of others. A user may
    come up more than once. Mutates `out` only.

    Returns:
        (rows, whether a bound was hit).
    """
    bound = out.shape[0]
    count = 0
    others = 0
    own = 0
    mine = links.newest_of_user[user]
    while mine >= tail:
        if own == bound:
            return count, True
        own += 1
        m = slot(links.pages, mine)
        identifier = links.entity[m]
        if (
            identifier >= 0
            and links.last[m] >= oldest
            and (kinds[identifier] == KIND_DEVICE or kinds[identifier] == KIND_CARD)
        ):
            theirs = links.newest_of_identifier[identifier]
            while theirs >= tail:
                if others == bound:
                    return count, True
                others += 1
                s = slot(links.pages, theirs)
                if links.user[s] != user and links.last[s] >= oldest:
                    out[count] = s
                    count += 1
                if links.back_entity[s] == 0:
                    break
                theirs -= links.back_entity[s]
        if links.back_user[m] == 0:
            break
        mine -= links.back_user[m]
    return count, False
