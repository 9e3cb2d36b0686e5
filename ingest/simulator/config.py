"""What to simulate: one frozen configuration, checked once, from which everything else follows."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

import numpy as np

from graph.errors import InvalidSetting
from graph.transaction import DAY, HOUR
from ingest.simulator.kinds import KINDS, RingCounts

EXPECTED_PER_USER_DAY: Final = 2.4
"""Transactions of one person on one day, as `life` produces them (a test holds it to ±25 %)."""
SEPTEMBER_2025: Final = 1_756_684_800_000
"""Monday 1 September 2025, midnight UTC."""
LEAST_RINGS: Final = 8
"""Of all kinds together: with fewer, not every slice of the time has some."""
EACH_TWICE: Final = 2
"""Rings of every kind from which on a world has all kinds."""
OF_A_FEW: Final = 3
"""Rings of each kind in a smaller world, which has fewer kinds: a past can then teach a future."""
MOST_RECRUITED: Final = 1 / 3
"""Share of all people in rings; with more there would be no legitimate life to hide in."""
MOST_EXPECTED: Final = 5_000_000_000
"""Rows of one world; written to files they take no memory."""
_DRAW: Final = 0x52494E47  # the stream of randomness that draws kinds, beside the seed


@dataclass(frozen=True, slots=True)
class SimulationConfig:
    """A world and its time, fully determined by these values.

    Attributes:
        seed: Same configuration, same seed: the same bytes.
        days: Length of the simulated time.
        users: People (businesses and synthetic identities come on top).
        start: First instant, epoch milliseconds.
        fraud_share: Aimed-at share of fraudulent transactions; decides how many rings there are
            unless `ring_counts` says so itself. At least `LEAST_RINGS` are planted (fewer in a
            world of under 480 people), so a small world has more fraud than this.
        ring_counts: Rings to plant, by kind; None derives them from `fraud_share`: every kind as
            often as the others, and in a world too small to have each of them twice a few kinds,
            drawn by the seed, three times.
        rings_from: Days after `start` before which no ring bursts.
        retained: Least and greatest share of the money a member of a ring keeps at each hop.
        evading_share: Share of rings that hide, spread over the variants of their kind.
        drift_kind: A kind of ring that does not exist before `drift_day`; None: no drift.
        drift_day: Days after `start` before which no ring of `drift_kind` bursts.
        label_delay_days: Median days until a fraud becomes known (log-normal, sigma 0.8).
        settle_days: Days after which an undisputed transaction counts as legitimate.
        unlabelled_share: Share of transactions, of either class, that nobody ever labels.
    """

    seed: int = 7
    days: float = 30
    users: int = 5_000
    start: int = SEPTEMBER_2025
    fraud_share: float = 0.0018
    ring_counts: Mapping[str, int] | None = None
    rings_from: float = 0.0
    retained: tuple[float, float] = (0.01, 0.10)
    evading_share: float = 0.25
    drift_kind: str | None = None
    drift_day: float = 0.0
    label_delay_days: float = 2.0
    settle_days: float = 3.0
    unlabelled_share: float = 0.05
    rings: RingCounts = field(init=False)

    def __post_init__(self) -> None:
        self._check()
        counts = self._derived() if self.ring_counts is None else RingCounts(self.ring_counts)
        object.__setattr__(self, "rings", counts)
        if counts.recruits > self.users * MOST_RECRUITED:
            raise InvalidSetting(
                "more ring members than a third of all people",
                field="ring_counts",
                value=f"{counts!r} among {self.users} users",
                remedy="Raise users or plant fewer rings",
            )

    def _check(self) -> None:
        _within("seed", self.seed, 0, 2**63 - 1)
        _within("days", self.days, 1, 3_660)
        _within("users", self.users, 60, 5_000_000)
        _within("start", self.start, 0, 4_102_444_800_000)
        _within("fraud_share", self.fraud_share, 0.0, 0.05)
        _within("rings_from", self.rings_from, 0.0, self.days - 0.5)
        _within("retained (least)", self.retained[0], 0.0, self.retained[1])
        _within("retained (greatest)", self.retained[1], self.retained[0], 0.5)
        _within("evading_share", self.evading_share, 0.0, 1.0)
        _within("drift_day", self.drift_day, 0.0, self.days - 0.5)
        _within("label_delay_days", self.label_delay_days, 0.01, 365)
        _within("settle_days", self.settle_days, 0.0, 365)
        _within("unlabelled_share", self.unlabelled_share, 0.0, 1.0)
        _within("days x users", self.expected, 0, MOST_EXPECTED)
        if self.drift_kind is not None and self.drift_kind not in KINDS:
            raise InvalidSetting(
                "no such kind of ring",
                field="drift_kind",
                value=self.drift_kind,
                remedy=f"Choose from {', '.join(KINDS)}",
            )

    def _derived(self) -> RingCounts:
        """Kinds in turn, in an order drawn by the seed, until there is as much fraud as wanted."""
        wanted = self.fraud_share * self.expected
        least = min(LEAST_RINGS, max(2, self.users // 60))
        rings = max(least, round(wanted / np.mean([kind.frauds for kind in KINDS.values()])))
        kinds = len(KINDS) if rings >= EACH_TWICE * len(KINDS) else max(2, rings // OF_A_FEW)
        order = np.random.default_rng([self.seed, _DRAW]).permutation(list(KINDS))[:kinds]
        counts = dict.fromkeys(KINDS, 0)
        # Less than may be recruited: a derived world is never refused for its size.
        frauds, recruits, room = 0.0, 0, self.users * MOST_RECRUITED * 0.8
        turn = [str(kind) for kind in order]
        while turn and (frauds < wanted or sum(counts.values()) < least):
            kind = turn.pop(0)
            if recruits + KINDS[kind].members <= room:
                turn.append(kind)
                counts[kind] += 1
                frauds += KINDS[kind].frauds
                recruits += KINDS[kind].members
        return RingCounts(counts)

    def opens_for(self, kind: str) -> int:
        """The instant before which no ring of this kind bursts, epoch milliseconds."""
        if kind != self.drift_kind:
            return self.rings_start
        return max(self.rings_start, self.start + round(self.drift_day * DAY))

    def as_record(self) -> dict[str, Any]:
        """Every value by name, as JSON has them."""
        record = {each.name: getattr(self, each.name) for each in fields(self)}
        record["ring_counts"] = None if self.ring_counts is None else dict(self.ring_counts)
        return record | {"rings": dict(self.rings)}

    @property
    def span(self) -> int:
        """Length of the simulated time in milliseconds."""
        return round(self.days * DAY)

    @property
    def end(self) -> int:
        """The instant before which everything happens, epoch milliseconds."""
        return self.start + self.span

    @property
    def midnight(self) -> int:
        """The last midnight (UTC) up to `start`: days are lived whole, then cut to the span."""
        return self.start // DAY * DAY

    @property
    def calendar_days(self) -> int:
        """How many calendar days the simulated time touches."""
        return -((self.midnight - self.end) // DAY)

    @property
    def rings_start(self) -> int:
        """The instant before which no ring bursts, epoch milliseconds."""
        return self.start + round(self.rings_from * DAY)

    @property
    def expected(self) -> int:
        """About how many transactions there will be."""
        return round(EXPECTED_PER_USER_DAY * self.users * self.days)


DEMO_RINGS: Final = RingCounts(
    cycle=5,
    mule=5,
    device_farm=4,
    synthetic_identity=1,
    card_testing=2,
    takeover=2,
    collusive_merchant=1,
    structuring=1,
    fan_in=1,
    scatter_gather=1,
    chain=1,
)
"""What an audience understands at sight, and a taste of the rest: 24 rings."""


def demo_config(seed: int = 7) -> SimulationConfig:
    """Two days of history of 2,000 people, then a day in which 24 rings burst, from 08:00 UTC.

    The last day is everything from `rings_start` on, some 5,000 transactions: streamed at 20 to
    50 a second it takes two to four minutes, so a ring starts every few seconds and grows in sight.
    """
    return SimulationConfig(
        seed=seed,
        days=3,
        users=2_000,
        start=SEPTEMBER_2025 + 8 * HOUR,
        ring_counts=DEMO_RINGS,
        rings_from=2,
    )


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InvalidSetting(
            f"must be between {low:g} and {high:g}",
            field=name,
            value=f"{value:g}",
            remedy="Choose a value in that range",
        )
