"""Habits: limits learned from an account's own days, with the fixed ones as floor.

A marketplace seller is paid by twelve strangers every day and a script of a company pays fifteen
times in ten minutes every evening: that is above what people do and says nothing about them. So
whoever reaches a fixed limit (the floor) day after day is measured against its own days instead.

Definition
    The *peak* of an account on a day (UTC) is the largest count of a pattern's evidence about it;
    a day without evidence counts as 0. Once `own_days` days before today have reached the floor,
    the account's own limit today is the `own_quantile` of all its peaks from its first such day to
    yesterday, plus the sketch's relative error, rounded down, and below `own_ceiling` times the
    floor. Evidence whose count does not exceed it is dropped; a limit below the floor counts for
    nothing. Today's peak is part of no limit today. The quantile is the lower one (of n peaks in
    order the one at floor(own_quantile * (n - 1)), from 0): with 0.99 the largest of at most a
    hundred peaks never decides, so that a single extreme day raises nothing.

Which patterns
    Fans and velocity: a crowd or a burst may be a business. Whoever hands money on day after day,
    or stays just under a reporting limit, shows no innocent habit: there is no limit to learn.

Accuracy
    DDSketch with relative accuracy a = 0.01: for a true quantile q it answers within q(1 ± a). We
    divide by 1 - a, so a learned limit is at least q and at most q(1 + a)/(1 - a), about 2 % more.

Poisoning
    Who creeps up is told aloud on `own_days` days first, and is never worth more than the ceiling,
    however long it takes: peaks are cut to it before they are learned.

Memory and cost
    At most `own_accounts` pairs of pattern and account, the one longest without evidence forgotten
    first (`pressed` counts them; a forgotten account is judged by the floor again). Peaks lie
    between the floor and the ceiling, hence at most ln(own_ceiling) / 2a + 2 buckets each, 71 with
    the defaults. Only evidence is looked at, which is rare; quiet days cost nothing.

Source
    Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
    guarantees", PVLDB 12(12), 2019. It draws no random numbers: equal streams, equal limits.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from ddsketch.ddsketch import BaseDDSketch
from ddsketch.mapping import LogarithmicMapping
from ddsketch.store import DenseStore
from msgspec.structs import replace

from graph.evidence import Evidence, Pattern
from graph.snapshot import Snapshot, pack, unpack
from graph.thresholds import Thresholds
from graph.transaction import DAY, Entity, EntityKind

ACCURACY: Final = 0.01
"""Relative error of a quantile."""

_VERSION: Final = 1
_CHUNK: Final = 16  # a sketch of a single habit needs one or two buckets, not 128
_MAPPING: Final = LogarithmicMapping(ACCURACY)

_Key = tuple[Pattern, Entity]


@dataclass(slots=True)
class _Habit:
    """One account's peaks of one pattern.

    Attributes:
        first: Day since the epoch on which it first reached the floor.
        today: The newest such day, whose peak may still grow.
        peak: The largest count of `today`, at most the ceiling.
        limit: Learned from the days before `today`; 0 where too few are known.
        days: How many days before `today` reached the floor.
        peaks: Those days' peaks.
    """

    first: int
    today: int
    peak: int = 0
    limit: int = 0
    days: int = 0
    peaks: DenseStore = field(default_factory=lambda: DenseStore(chunk_size=_CHUNK))


class Habits:
    """Holds evidence to what its centre does every day; see the module's docstring.

    Attributes:
        pressed: Accounts forgotten because there was no room for more.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds: Final = thresholds
        self.pressed = 0
        self._habits: OrderedDict[_Key, _Habit] = OrderedDict()
        fans = ("counterparties", thresholds.fan_counterparties)
        self._counted: Final = {
            Pattern.FAN_IN: fans,
            Pattern.FAN_OUT: fans,
            Pattern.VELOCITY: ("attempts", thresholds.velocity_attempts),
        }

    def __len__(self) -> int:
        return len(self._habits)

    def beyond(self, found: Iterable[Evidence]) -> list[Evidence]:
        """The evidence without what is the habit of its centre, which is learned on the way.

        Asking again with the same evidence changes nothing. Evidence of a day before the newest
        known of its centre is judged by the newest day's limit and not learned.
        """
        kept: list[Evidence] = []
        for piece in found:
            if piece.pattern not in self._counted:
                kept.append(piece)
                continue
            name, floor = self._counted[piece.pattern]
            count = int(piece.facts[name])
            limit = self._measure(
                (piece.pattern, piece.members[0][0]), piece.seen_at // DAY, count, floor
            )
            if limit < floor:
                kept.append(piece)
            elif count > limit:
                kept.append(_beyond_its_own(piece, limit))
        return kept

    def _measure(self, key: _Key, day: int, count: int, floor: int) -> int:
        """The limit of a day, of which a count becomes known."""
        habit = self._habits.get(key)
        if habit is None:
            habit = self._habits[key] = _Habit(first=day, today=day)
            if len(self._habits) > self.thresholds.own_accounts:
                self._habits.popitem(last=False)
                self.pressed += 1
        self._habits.move_to_end(key)
        ceiling = int(floor * self.thresholds.own_ceiling)
        if day > habit.today:
            habit.peaks.add(_MAPPING.key(habit.peak))
            habit.days += 1
            habit.today, habit.peak = day, 0
            habit.limit = self._learned(habit, ceiling)
        if day == habit.today:
            habit.peak = max(habit.peak, min(count, ceiling))
        return habit.limit

    def _learned(self, habit: _Habit, ceiling: int) -> int:
        """The limit from the days before today; 0 where too few are known."""
        if habit.days < self.thresholds.own_days:
            return 0
        quiet = float(habit.today - habit.first - habit.days)
        sketch = BaseDDSketch(_MAPPING, habit.peaks, DenseStore(), quiet)
        quantile = sketch.get_quantile_value(self.thresholds.own_quantile) or 0.0
        # A whole number must not fall below itself for the last bit of a division.
        return min(int(quantile / (1.0 - ACCURACY) + 1e-9), ceiling - 1)

    def snapshot(self) -> bytes:
        """The whole state, in the order in which it would be forgotten."""
        habits = [
            [
                *(pattern.value, entity.kind.value, entity.id),
                *(habit.first, habit.today, habit.peak, habit.limit, habit.days),
                [[key, int(n)] for key, n in enumerate(habit.peaks.bins, habit.peaks.offset) if n],
            ]
            for (pattern, entity), habit in self._habits.items()
        ]
        return pack("habits", _VERSION, Snapshot({"habits": habits, "pressed": self.pressed}, {}))

    def restore(self, data: bytes) -> None:
        """Take over a snapshot.

        Raises:
            Incompatible: It is torn, altered, or of another version.
        """
        values = unpack("habits", _VERSION, data).values
        self.pressed = values["pressed"]
        self._habits.clear()
        for pattern, kind, name, *figures, buckets in values["habits"]:
            habit = _Habit(*figures)
            for key, n in buckets:
                habit.peaks.add(key, n)
            self._habits[Pattern(pattern), Entity(EntityKind(kind), name)] = habit


def _beyond_its_own(piece: Evidence, limit: int) -> Evidence:
    return replace(
        piece,
        reason=f"{piece.reason.removesuffix('.')}; its own days stay below {limit + 1}.",
        facts={**piece.facts, "own_limit": float(limit)},
    )
