"""People who do not exist: synthetic identities.

Behaviour
    Names are made up, or put together from stolen parts, and registered in batches. Each looks like
    a person of its own; but one hand works them, and devices, cards and addresses are dear.

Definition
    Two users are twins if both have a thin history, at most `synthetic_history` transactions since
    they were first seen (or opened) no longer than `synthetic_young` ago, and they share at least
    `synthetic_attributes` rare attributes over the links of the last 30 days (the window's
    retention): devices, cards and IPs used by at most `synthetic_popular` users, one of them at
    least a device or a card. Where no card is among them, neither may have a device that the other
    does not use: households share a tablet and an address, but each has a phone as well.

    When a new link of a transaction gives its user a twin it had not had, and together with all its
    twins there are `synthetic_users` of them, they are told, user by user up to `told_singly` and
    then each time they grew by a quarter (`told_counts`).

Method and cost
    Nothing is read unless a link is new and the user's history is thin. Then O(l · d) over the l
    attributes of the user and the d <= `synthetic_popular` users of each, and O(l) for the devices
    of each of these; at most `synthetic_scan` links in every one of these walks, and as many
    companions (then `truncated`).

Misses
    Identities with a device and a card each; patient ones, aged before use; attributes that a
    transaction does not carry (names, telephone numbers, papers).

False positives
    Children who only have the family's tablet; a dorm's shared computer behind an address of its
    own. Few, and weaker the more use what they share.

Source
    US Federal Reserve, "Synthetic identity fraud in the U.S. payment system", 2019; the weight of a
    shared attribute follows Adamic and Adar, as in `graph.heuristics.identity`.

>>> from graph.profiles import Profiles
>>> from graph.thresholds import Thresholds
>>> from graph.transaction import Money, Transaction, TransactionType
>>> from graph.window import TransactionWindow
>>> window, profiles = TransactionWindow(), Profiles(Thresholds())
>>> synthetic = SyntheticIdentity(Thresholds(), profiles)
>>> for n in range(3):
...     tx = Transaction(f"t{n}", 60_000 * (n + 1), TransactionType.PAYMENT, Money(100, "EUR"),
...                      100, f"name{n}", merchant_id="shop", device_id="phone", card_id="card")
...     admission = window.add(tx)
...     found = synthetic.detect(window, tx, admission)
...     profiles.note(window, tx, admission)
>>> found[0].reason
'3 users with hardly any history share 2 attributes that few others use: card:card, device:phone.'
"""

from collections.abc import Callable, Sequence
from math import log
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind, kernel
from graph.evidence import Evidence, Pattern, Role
from graph.kernels import KIND_CARD, KIND_DEVICE, KIND_IP, slot
from graph.layout import DEVICE, LINKS, OPENED, TIME, USER
from graph.profiles import COUNT, FIRST, GENERATION, Profiles
from graph.thresholds import Thresholds, told_counts
from graph.transaction import EntityKind, Transaction
from graph.window import TransactionWindow

_NAMED: Final = 3
"""Attributes named in the sentence."""


class SyntheticIdentity:
    """Finds batches of made-up users; see the module's docstring.

    `strength` is (0.65 if a card is shared, else 0.45, plus 0.06 a user beyond the threshold) times
    popularity, at most 0.9; popularity is the mean over the shared attributes of
    log(5 + threshold) / log(5 + users of the attribute), at most 1.
    """

    def __init__(self, thresholds: Thresholds, profiles: Profiles) -> None:
        self.thresholds: Final = thresholds
        self._profiles: Final = profiles
        scan = thresholds.synthetic_scan
        self.told = told_counts(thresholds.synthetic_users, thresholds.told_singly, scan + 1)
        self._twins: NDArray[np.int64] = np.zeros((scan, TWIN), np.int64)
        self._shared: NDArray[np.int64] = np.zeros((scan, 2), np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Whether this transaction's new links make its user one of a batch."""
        if admission.status is not Status.ACCEPTED:
            return ()
        limits, profiles = self.thresholds, self._profiles
        arguments = (
            window.links,
            window.identifiers.kind,
            window.link_tail,
            window.watermark - window.config.retention,
            profiles.columns(window).users,
            window.accounts.generation,
            profiles.row(tx, admission),
            limits.synthetic_attributes,
            limits.synthetic_popular,
            limits.synthetic_history,
            limits.synthetic_young,
            self._shared,
            self._twins,
        )
        self._kernel = self._kernel or bind(twins_of, *arguments)
        twins, attributes, truncated = self._kernel(*arguments)
        if not twins or twins + 1 not in self.told:
            return ()
        rows = self._twins[:twins]
        users = [admission.user, *rows[:, 0].tolist()]
        bits = int(np.bitwise_or.reduce(rows[:, SHARED_NOW]))
        shared = sorted(
            (window.identifiers.entity(identifier), degree)
            for n, (identifier, degree) in enumerate(self._shared[:attributes].tolist())
            if bits >> n & 1
        )
        expected = log(5 + limits.synthetic_users)
        popularity = sum(min(expected / log(5 + degree), 1.0) for _, degree in shared) / len(shared)
        base = 0.65 if any(entity.kind is EntityKind.CARD for entity, _ in shared) else 0.45
        names = sorted(window.accounts.entity(user) for user in users)[: limits.witness]
        first = shared[0][0]
        named = ", ".join(str(entity) for entity, _ in shared[:_NAMED])
        more = f" and {len(shared) - _NAMED} more" if len(shared) > _NAMED else ""
        return [
            Evidence(
                pattern=Pattern.SYNTHETIC_IDENTITY,
                seen_at=tx.timestamp,
                members=(
                    (first, Role.SHARED),
                    *((entity, Role.SHARED) for entity, _ in shared[1 : limits.witness]),
                    *((name, Role.MEMBER) for name in names),
                ),
                hops=(),
                strength=min(
                    (base + 0.06 * (len(users) - limits.synthetic_users)) * popularity, 0.9
                ),
                reason=(
                    f"{len(users)} users with hardly any history share {len(shared)} attributes "
                    f"that few others use: {named}{more}."
                ),
                facts={
                    "users": float(len(users)),
                    "attributes": float(len(shared)),
                    "popularity": popularity,
                },
                truncated=bool(truncated) or max(len(users), len(shared)) > limits.witness,
            )
        ]


# A companion while twins are searched: who, bits of the shared attributes, and of those among them
# that are no new links of the transaction, shared kinds as bits, shared devices.
_, SHARED_NOW, SHARED_BEFORE, KINDS, DEVICES = range(5)
TWIN: Final = 5
MOST_ATTRIBUTES: Final = 62
"""Attributes of one user that are looked at: as many as an int64 has bits to spare."""


@kernel
def twins_of(  # type: ignore[no-untyped-def]  # noqa: C901, PLR0912, PLR0915  # one search
    links, kinds, tail, oldest, users, generations, row, attributes, popular, history, young,
    shared, twins
):  # fmt: skip
    """Users who are made up together with the user of the transaction in `row`.

    Fills `shared` (int64[n, 2]: the user's rare attributes and how many users each has) and `twins`
    (int64[n, TWIN]); looks at n links a walk and n companions. Mutates these two only.

    Returns:
        (twins, attributes in `shared`, whether a bound was hit); all 0 where no twin is new.
    """
    none = (0, 0, False)
    user, time = row[USER], row[TIME]
    if user < 0:
        return none
    new = False
    for k in range(3):
        new |= row[DEVICE + k] >= 0 and row[LINKS + 3 * k] == 0
    # The transaction at hand is not in the profile yet.
    if not new or time - row[OPENED] > young:
        return none
    known = users[user, GENERATION] == generations[user]
    if known and (users[user, COUNT] + 1 > history or time - users[user, FIRST] > young):
        return none

    bound = twins.shape[0]
    truncated = False
    rare = found = own_devices = scanned = 0
    mine = links.newest_of_user[user]
    while mine >= tail:
        if scanned == bound or rare == min(MOST_ATTRIBUTES, shared.shape[0]):
            truncated = True
            break
        scanned += 1
        m = slot(links.pages, mine)
        identifier = links.entity[m]
        if identifier >= 0 and links.last[m] >= oldest:
            kind = kinds[identifier]
            own_devices += kind == KIND_DEVICE
            degree = _degree(links, tail, identifier, oldest, popular, bound)
            if degree <= popular:
                shared[rare, 0], shared[rare, 1] = identifier, degree
                fresh = False
                for k in range(3):
                    fresh |= row[DEVICE + k] == identifier and row[LINKS + 3 * k] == 0
                theirs = links.newest_of_identifier[identifier]
                for _ in range(bound):
                    if theirs < tail:
                        break
                    s = slot(links.pages, theirs)
                    who = links.user[s]
                    if who != user and links.last[s] >= oldest:
                        i = 0
                        while i < found and twins[i, 0] != who:
                            i += 1
                        if i == bound:
                            truncated = True
                        else:
                            if i == found:
                                twins[i, 0] = who
                                for k in range(1, TWIN):
                                    twins[i, k] = 0
                                found += 1
                            bit = np.int64(1) << rare
                            twins[i, SHARED_NOW] |= bit
                            if not fresh:
                                twins[i, SHARED_BEFORE] |= bit
                            twins[i, KINDS] |= 1 << kind
                            twins[i, DEVICES] += kind == KIND_DEVICE
                    if links.back_entity[s] == 0:
                        break
                    theirs -= links.back_entity[s]
                rare += 1
        if links.back_user[m] == 0:
            break
        mine -= links.back_user[m]

    count = 0
    news = False
    for i in range(found):
        who, devices = twins[i, 0], twins[i, DEVICES]
        if _bits(twins[i, SHARED_NOW]) < attributes or twins[i, KINDS] == 1 << KIND_IP:
            continue
        if users[who, GENERATION] != generations[who] or users[who, COUNT] > history:
            continue
        if time - users[who, FIRST] > young:
            continue
        if twins[i, KINDS] & (1 << KIND_CARD) == 0 and (
            devices < own_devices or devices < _devices(links, kinds, tail, who, oldest, bound)
        ):
            continue
        news |= _bits(twins[i, SHARED_BEFORE]) < attributes
        for k in range(TWIN):
            twins[count, k] = twins[i, k]
        count += 1
    if not news:
        return none
    return count, rare, truncated


@kernel
def _degree(links, tail, identifier, oldest, popular, bound):  # type: ignore[no-untyped-def]
    """Users of an identifier since `oldest`; more than `popular` where nobody counts further."""
    degree = 0
    position = links.newest_of_identifier[identifier]
    for _ in range(bound):
        if position < tail:
            return degree
        s = slot(links.pages, position)
        degree += links.last[s] >= oldest
        if degree > popular or links.back_entity[s] == 0:
            return degree
        position -= links.back_entity[s]
    return popular + 1


@kernel
def _devices(links, kinds, tail, user, oldest, bound):  # type: ignore[no-untyped-def]
    """Devices of a user since `oldest`, among its newest links."""
    count = 0
    position = links.newest_of_user[user]
    for _ in range(bound):
        if position < tail:
            break
        s = slot(links.pages, position)
        identifier = links.entity[s]
        count += identifier >= 0 and links.last[s] >= oldest and kinds[identifier] == KIND_DEVICE
        if links.back_user[s] == 0:
            break
        position -= links.back_user[s]
    return count


@kernel
def _bits(word):  # type: ignore[no-untyped-def]
    """How many bits of a word are set."""
    count = 0
    while word != 0:
        word &= word - 1
        count += 1
    return count
