"""What to simulate: one frozen configuration, checked once, from which everything else follows."""

from dataclasses import dataclass, field
from typing import Final

from graph.errors import InvalidSetting
from graph.transaction import DAY, HOUR

EXPECTED_PER_USER_DAY: Final = 2.3
"""Transactions of one person on one day, as `life` produces them (a test holds it to ±25 %)."""
FRAUD_PER_UNIT: Final = 75
"""Fraudulent transactions of two cycle rings, two mule rings and one identity ring together."""
SEPTEMBER_2025: Final = 1_756_684_800_000
"""Monday 1 September 2025, midnight UTC."""
LEAST_RINGS: Final = 4
"""Of each kind: with fewer, not every slice of the time has some."""
MOST_EXPECTED: Final = 50_000_000
"""Rows held in memory at once; 0.6 to 1.2 KB each while the frame is built."""


@dataclass(frozen=True, slots=True)
class RingCounts:
    """How many rings of each kind are planted."""

    cycle: int
    mule: int
    identity: int

    @property
    def total(self) -> int:
        """Rings of all kinds."""
        return self.cycle + self.mule + self.identity


@dataclass(frozen=True, slots=True)
class SimulationConfig:
    """A world and its time, fully determined by these values.

    Attributes:
        seed: Same configuration, same seed: the same bytes.
        days: Length of the simulated time.
        users: People (businesses and synthetic identities come on top).
        start: First instant, epoch milliseconds.
        fraud_share: Aimed-at share of fraudulent transactions; decides how many rings there are
            unless `ring_counts` says so itself. At least `LEAST_RINGS` of each kind are planted
            (fewer in a world of under 400 people), so a small world has more fraud than this.
        ring_counts: Rings to plant, by kind; None derives them from `fraud_share`.
        rings_from: Days after `start` before which no ring bursts.
        retained: Least and greatest share of the money a member of a ring keeps at each hop.
        label_delay_days: Median days until a fraud becomes known (log-normal, sigma 0.8).
        settle_days: Days after which an undisputed transaction counts as legitimate.
        unlabelled_share: Share of transactions, of either class, that nobody ever labels.
    """

    seed: int = 7
    days: float = 30
    users: int = 5_000
    start: int = SEPTEMBER_2025
    fraud_share: float = 0.002
    ring_counts: RingCounts | None = None
    rings_from: float = 0.0
    retained: tuple[float, float] = (0.01, 0.10)
    label_delay_days: float = 2.0
    settle_days: float = 3.0
    unlabelled_share: float = 0.05
    rings: RingCounts = field(init=False)

    def __post_init__(self) -> None:
        self._check()
        counts = self.ring_counts or self._derived()
        object.__setattr__(self, "rings", counts)
        # A cycle has at most six members, a mule ring four; more than a third of all people in
        # rings would leave no legitimate life to hide in.
        recruited = 6 * counts.cycle + 4 * counts.mule
        if recruited > self.users / 3:
            raise InvalidSetting(
                "more ring members than a third of all people",
                field="ring_counts",
                value=f"{counts.cycle} cycle and {counts.mule} mule rings among {self.users} users",
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
        _within("label_delay_days", self.label_delay_days, 0.01, 365)
        _within("settle_days", self.settle_days, 0.0, 365)
        _within("unlabelled_share", self.unlabelled_share, 0.0, 1.0)
        _within("days x users", self.expected, 0, MOST_EXPECTED)
        if self.ring_counts is not None:
            for kind in ("cycle", "mule", "identity"):
                count = getattr(self.ring_counts, kind)
                _within(f"ring_counts.{kind}", count, 0, 1_000_000)

    def _derived(self) -> RingCounts:
        units = self.fraud_share * self.expected / FRAUD_PER_UNIT
        least = max(1, min(LEAST_RINGS, self.users // 100))
        pairs, farms = max(least, round(2 * units)), max(least, round(units))
        return RingCounts(cycle=pairs, mule=pairs, identity=farms)

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
        ring_counts=RingCounts(cycle=9, mule=9, identity=6),
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
