"""The rules tier: block and allow lists, impossible travel, velocity. First and cheapest.

>>> from graph.lists import Lists
>>> from graph.transaction import Entity, EntityKind, Money, Transaction, TransactionType
>>> from graph.window import TransactionWindow
>>> window = TransactionWindow()
>>> lists = Lists(blocked=frozenset({Entity(EntityKind.DEVICE, "stolen")}))
>>> blocked = Blocklist(ListBook(lists))
>>> tx = Transaction("t1", 60_000, TransactionType.PAYMENT, Money(100, "EUR"), 100, "a",
...                  merchant_id="shop", device_id="stolen")
>>> blocked.detect(window, tx, window.add(tx))[0].reason
'device:stolen is on the block list.'
"""

from collections.abc import Callable, Sequence
from math import asin, cos, radians, sin, sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind, kernel
from graph.evidence import Evidence, Pattern, Role
from graph.heuristics.witness import hop_of, span_in_words, witness
from graph.kernels import slot
from graph.lists import ListBook, ListName
from graph.snapshot import Snapshot, pack, unpack
from graph.thresholds import Thresholds
from graph.transaction import HOUR, Transaction, TransactionType
from graph.window import TransactionWindow

_EARTH_KM: Final = 6371.0
_VERSION: Final = 1
_VELOCITY_SCAN: Final = 256


class Blocklist:
    """Says which blocked entities a transaction touches, whatever became of it in the window.

    Strength 1: somebody decided it. O(1). Misses whatever nobody listed; a recycled phone number
    or device of an innocent successor is its false positive.
    """

    def __init__(self, book: ListBook) -> None:
        self._book: Final = book

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """One piece of evidence a blocked entity."""
        del window, admission
        return [
            Evidence(
                pattern=Pattern.BLOCKED,
                seen_at=tx.timestamp,
                members=((entry.entity, Role.MEMBER),),
                hops=(hop_of(tx),),
                strength=1.0,
                reason=f"{entry.entity} is on the block list"
                + (f": {entry.reason}" if entry.reason else "."),
            )
            for entry in self._book.touched(ListName.BLOCK, tx)
        ]


class ImpossibleTravel:
    """Says where a user would have had to fly faster than an airliner to make a transaction.

    Behaviour: account takeover or a copied card; the same account is used in two places.
    Definition: this transaction and the user's located transaction before it are more than
    `travel_km` apart on the great circle, at more than `travel_kmh`. Declined ones count:
    somebody was there with the credentials. Needs coordinates in `location`.
    Strength: 0.4 at the speed limit, rising with the excess to 0.8 (1 - limit / speed).

    State: the newest located transaction of each account, by account id, bounded by the window's
    account capacity (36 bytes each, taken from the system when first written). It belongs to the
    window: `snapshot` and `restore` it together with the window. O(1).

    Misses places given in words, and travel that is merely unlikely. False positives: VPNs, and
    online payments located at the merchant. A transaction older than the known one is compared
    with it but does not replace it. Source: the "geo-velocity" rule of every card scheme.

    >>> from graph.transaction import Location, Money
    >>> window, travel = TransactionWindow(), ImpossibleTravel(Thresholds())
    >>> for n, place in enumerate([Location("Paris", 48.86, 2.35), Location("Oslo", 59.91, 10.75)]):
    ...     tx = Transaction(f"t{n}", 1_800_000 * (n + 1), TransactionType.PAYMENT,
    ...                      Money(100, "EUR"), 100, "a", merchant_id="shop", location=place)
    ...     found = travel.detect(window, tx, window.add(tx))
    >>> found[0].reason
    'user:a was in two places 1341 km apart within 30 min: 2682 km/h.'
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds: Final = thresholds
        self._before: NDArray[np.int64] = np.zeros(2, np.int64)
        self._allocate(0)
        self._kernel = bind(_moved, *self.columns(), 0, 0, 0, 0, 0.0, 0.0, self._before)

    def _allocate(self, capacity: int) -> None:
        self._generation: NDArray[np.int32] = np.zeros(capacity, np.int32)
        self._time: NDArray[np.int64] = np.zeros(capacity, np.int64)
        self._position: NDArray[np.int64] = np.zeros(capacity, np.int64)
        self._place: NDArray[np.float64] = np.zeros((capacity, 2), np.float64)

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Compare with where the user was before, and remember where it is now."""
        place = tx.location
        if place is None or place.latitude is None or place.longitude is None:
            return ()
        if admission.status is not Status.ACCEPTED or admission.user < 0:
            return ()
        user = admission.user
        km = self._kernel(
            *self.columns(window.accounts.capacity if user >= len(self._time) else 0),
            user,
            int(window.accounts.generation[user]),
            tx.timestamp,
            admission.position,
            float(place.latitude),
            float(place.longitude),
            self._before,
        )
        if km <= self.thresholds.travel_km:
            return ()
        then, before = self._before.tolist()
        # Two places at the very same moment are judged as one millisecond apart.
        kmh = km * HOUR / max(abs(tx.timestamp - then), 1)
        if kmh <= self.thresholds.travel_kmh:
            return ()
        return [self._evidence(window, tx, before, then, km, kmh)]

    def columns(self, capacity: int = 0) -> tuple[NDArray[Any], ...]:
        """By account id, of at least so many: generation, time, position, place.

        For compiled code, which may change them as `settle` does.
        """
        if capacity > len(self._time):
            old = self.columns()
            self._allocate(capacity)
            for column, known in zip(self.columns(), old, strict=True):
                column[: len(known)] = known
        return self._generation, self._time, self._position, self._place

    def _evidence(
        self,
        window: TransactionWindow,
        tx: Transaction,
        before: int,
        then: int,
        km: float,
        kmh: float,
    ) -> Evidence:
        hops = [hop_of(tx)]
        if window.tail <= before < window.end:
            hops.append(window.hop(before))
        apart = abs(tx.timestamp - then)
        return Evidence(
            pattern=Pattern.IMPOSSIBLE_TRAVEL,
            seen_at=tx.timestamp,
            members=((tx.user, Role.MEMBER),),
            hops=tuple(sorted(hops, key=lambda hop: (hop.timestamp, hop.transaction_id))),
            strength=0.4 + 0.4 * (1 - self.thresholds.travel_kmh / kmh),
            reason=(
                f"{tx.user} was in two places {km:.0f} km apart within {span_in_words(apart)}: "
                f"{kmh:.0f} km/h."
            ),
            facts={"km": km, "km_per_hour": kmh, "minutes": apart / 60_000},
        )

    def snapshot(self) -> bytes:
        """The whole state; equal states give equal bytes."""
        used = np.flatnonzero(self._generation)
        return pack(
            "impossible-travel",
            _VERSION,
            Snapshot(
                values={"capacity": len(self._time)},
                arrays={
                    "account": used,
                    "generation": self._generation[used],
                    "time": self._time[used],
                    "position": self._position[used],
                    "place": self._place[used],
                },
            ),
        )

    def restore(self, data: bytes) -> None:
        """Take over a snapshot, made together with the window's.

        Raises:
            Incompatible: It is torn, altered, or of another version.
        """
        snapshot = unpack("impossible-travel", _VERSION, data)
        self._allocate(snapshot.values["capacity"])
        used = snapshot.arrays["account"]
        self._generation[used] = snapshot.arrays["generation"]
        self._time[used] = snapshot.arrays["time"]
        self._position[used] = snapshot.arrays["position"]
        self._place[used] = snapshot.arrays["place"]


class Velocity:
    """Says when a user pays, or tries to, more often than a person does.

    Behaviour: card testing, scripted takeover. Definition: at least `velocity_attempts` outgoing
    transactions of the user, declined ones included, in the `velocity_within` up to this one;
    each attempt beyond that is told as well, since each is part of the burst. Attempts of the very
    same moment count as far as they have arrived: this rule judges the moment, not the history, so
    it is the one money rule that depends on the order of arrival.
    Strength: 0.4 at the threshold, 0.04 more a further attempt, plus 0.2 times the share declined,
    at most 0.9. O(k) for k attempts, at most 256 looked at (then `truncated`).

    Misses bursts over many accounts. False positives: ticket drops, batch payments of businesses.
    Source: the velocity check of the card schemes' fraud guides.

    >>> from graph.transaction import Money
    >>> window, velocity = TransactionWindow(), Velocity(Thresholds())
    >>> for n in range(10):
    ...     tx = Transaction(f"t{n}", 6_000 * (n + 1), TransactionType.PAYMENT,
    ...                      Money(100, "EUR"), 100, "a", merchant_id="shop")
    ...     found = velocity.detect(window, tx, window.add(tx))
    >>> found[0].reason
    'user:a tried 10 times within 10 min, 0 of them declined.'
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds: Final = thresholds
        self.most: Final = max(_VELOCITY_SCAN, thresholds.velocity_attempts)
        self._attempts: NDArray[np.int64] = np.zeros(self.most, np.int64)
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Whether this attempt is one too many."""
        if admission.status is not Status.ACCEPTED or admission.user < 0:
            return ()
        if tx.type in (TransactionType.DEPOSIT, TransactionType.REFUND):
            return ()
        limits = self.thresholds
        arguments = (
            window.edges,
            window.tail,
            admission.user,
            tx.timestamp - limits.velocity_within,
            tx.timestamp,
            self._attempts,
        )
        self._kernel = self._kernel or bind(attempts_of, *arguments)
        attempts, declined, truncated = self._kernel(*arguments)
        if attempts < limits.velocity_attempts:
            return ()
        attempts, declined = int(attempts), int(declined)
        hops = witness(window, self._attempts[: limits.velocity_attempts].tolist())
        return [
            Evidence(
                pattern=Pattern.VELOCITY,
                seen_at=tx.timestamp,
                members=((tx.user, Role.MEMBER),),
                hops=hops,
                strength=min(
                    0.4 + 0.04 * (attempts - limits.velocity_attempts) + 0.2 * declined / attempts,
                    0.9,
                ),
                reason=(
                    f"{tx.user} tried {attempts} times within "
                    f"{span_in_words(limits.velocity_within)}, {declined} of them declined."
                ),
                facts={"attempts": float(attempts), "declined": float(declined)},
                truncated=bool(truncated) or len(hops) < attempts,
            )
        ]


@kernel
def great_circle_km(latitude, longitude, to_lat, to_lon):  # type: ignore[no-untyped-def]
    """Distance on the sphere (haversine), km.

    >>> round(great_circle_km(0.0, 0.0, 0.0, 180.0))
    20015
    """
    a, b = radians(latitude), radians(to_lat)
    h = sin((b - a) / 2) ** 2 + cos(a) * cos(b) * sin(radians(to_lon - longitude) / 2) ** 2
    return 2 * _EARTH_KM * asin(sqrt(min(h, 1.0)))


@kernel
def _moved(  # type: ignore[no-untyped-def]
    generations, times, positions, places, user, generation, time, position, latitude, longitude,
    before,
):  # fmt: skip
    """Km from where an account was last seen, 0 if that is not known; then it was seen here.

    Takes and mutates the columns of `ImpossibleTravel`; an older transaction does not replace a
    newer one. Fills `before` (int64[2]: time and position of the sighting compared with).
    """
    before[0], before[1] = times[user], positions[user]
    km = km_from(generations, places, user, generation, latitude, longitude)
    settle(generations, times, positions, places, user, generation, time, position,
           latitude, longitude)  # fmt: skip
    return km


@kernel
def km_from(generations, places, user, generation, latitude, longitude):  # type: ignore[no-untyped-def]
    """Km from where an account was last seen, 0 if that is not known. Mutates nothing."""
    if generations[user] != generation:
        return 0.0
    lat, lon = places[user, 0], places[user, 1]
    if lat == latitude and lon == longitude:
        return 0.0
    return great_circle_km(lat, lon, latitude, longitude)


@kernel
def settle(  # type: ignore[no-untyped-def]
    generations, times, positions, places, user, generation, time, position, latitude, longitude
):
    """Note that an account was seen here; an older transaction does not replace a newer one.

    Mutates the first four.
    """
    if generations[user] != generation or time >= times[user]:
        generations[user] = generation
        times[user] = time
        positions[user] = position
        places[user, 0], places[user, 1] = latitude, longitude


@kernel
def attempts_of(edges, tail, account, since, now, out):  # type: ignore[no-untyped-def]
    """Outgoing edges of an account with since < time <= now, newest first.

    Fills `out` (int64[n], positions); looks at no more than n edges. Mutates `out` only.

    Returns:
        (attempts, how many of them were declined, whether the bound n was hit).
    """
    count = 0
    declined = 0
    p = edges.newest_out[account]
    for _ in range(out.shape[0]):
        if p < tail:
            return count, declined, False
        s = slot(edges.pages, p)
        if edges.time[s] <= since:
            return count, declined, False
        if edges.time[s] <= now:
            out[count] = p
            count += 1
            declined += edges.value[s] < 0
        if edges.back_out[s] == 0:
            return count, declined, False
        p -= edges.back_out[s]
    return count, declined, p >= tail
