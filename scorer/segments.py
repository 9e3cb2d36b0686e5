"""Segments: thresholds learned from a segment's own scores, with the fixed ones as floor.

A fixed threshold is right about most payments and wrong about a line of business whose scores lie
high as a whole: gift cards sold on the web at night are stepped up one after the other, fraud or
not. So a policy may have a budget (`scorer.decision.Budget`), and a segment that would go beyond it
is held to its own scores instead.

Definition
    A *segment* is a type of transaction through a channel, "payment/web". Its quantile for a share
    is the least score known of it above which at most that share of its scores lies, as of the last
    full hour of event time. It counts once `LEAST_ABOVE` scores may lie above it; before, the fixed
    threshold stands alone. What a policy does with the quantiles is said at `Budget`: they only
    ever make an answer one step milder.

What is learned
    The score of every accepted transaction, whatever was decided about it, but for those of blocked
    entities, which are declined whatever the threshold. No labels, no clock.

When
    An hour of event time has ended once three transactions lie beyond it (as with the watermark,
    one or two absurd timestamps end nothing). All of the next hour is decided by what was known
    then: a decision does not depend on how the stream was cut into batches.

Forgetting
    Scores are kept in two halves of `HALF`, the running one and the one before: a quantile speaks
    of 7 to 14 days. A model that is not the one that gave the scores begins anew.

Accuracy
    DDSketch over odds p/(1 - p), with relative accuracy a = 0.01: for true odds q it answers within
    q(1 ± a). We divide by 1 - a, so a learned threshold is at least the true quantile, and its odds
    at most (1 + a)/(1 - a) times the true ones: on a probability p, above it by p(1 - p) · 0.0203
    at most, that is by at most 0.0051 at p = 0.5, by 0.0019 at p = 0.1. The share of the *coming*
    hour is another question: where k scores lie above a quantile, its share is known to about
    1/sqrt(k), 20 % with `LEAST_ABOVE`.

Memory and cost
    At most `MOST_SEGMENTS` segments; once they are there, every other one is part of "other"
    (`pressed` counts its transactions). A segment nothing was heard of for two halves gives its
    place back. Scores up to `LEAST` are only counted, those above `MOST` are taken for it: at most
    ln(odds(MOST) / odds(LEAST)) / 2a + 2 = 1,039 buckets a half. One bucket is counted up a
    transaction, and a quantile searched a segment and hour.

Source
    Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
    guarantees", PVLDB 12(12), 2019. It draws no random numbers: equal streams, equal thresholds.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from ddsketch.ddsketch import BaseDDSketch
from ddsketch.mapping import LogarithmicMapping
from ddsketch.store import DenseStore

from graph.snapshot import Snapshot, pack, unpack
from graph.transaction import DAY, HOUR, Transaction, TransactionType
from graph.watermark import WITNESSES
from scorer.decision import Budget, SegmentBounds

ACCURACY: Final = 0.01
"""Relative error of the odds of a quantile."""
HALF: Final = 7 * DAY
"""Half of how long scores are remembered; a whole week, for weekends differ."""
LEAST_ABOVE: Final = 25
"""Scores that may lie above a quantile before it is believed."""
LEAST: Final = 0.001
"""Probability up to which scores are only counted: a quantile down there is none."""
MOST: Final = 0.999_999
"""Probability above which scores are taken for it: no budget spares what is that sure."""
MOST_SEGMENTS: Final = 64
"""Segments that are told apart, "other" included."""
OTHER: Final = "other"
"""The segment of all that there is no room for."""

_VERSION: Final = 1
_MAPPING: Final = LogarithmicMapping(ACCURACY)


def segment_of(tx: Transaction) -> str:
    """The segment of a transaction: its type and channel, "payment/web"; "-" is no channel."""
    return _named(tx.type, tx.channel)


@lru_cache(maxsize=1024)
def _named(kind: TransactionType, channel: str | None) -> str:
    return f"{kind.value}/{channel or '-'}"


@dataclass(slots=True)
class _Half:
    """Scores of at most `HALF`: how many up to `LEAST`, and the buckets of the others' odds."""

    quiet: int = 0
    odds: DenseStore = field(default_factory=DenseStore)

    def __len__(self) -> int:
        return self.quiet + int(self.odds.count)

    def add(self, score: float) -> None:
        if score <= LEAST:
            self.quiet += 1
            return
        score = min(score, MOST)
        self.odds.add(_MAPPING.key(score / (1.0 - score)))


@dataclass(slots=True)
class _Segment:
    """One segment's scores, and its quantiles as of a full hour of event time (ms)."""

    bounds: SegmentBounds
    as_of: int
    before: _Half = field(default_factory=_Half)
    running: _Half = field(default_factory=_Half)


class Segments:
    """Learns what is usual of each segment; see the module's docstring.

    Args:
        budget: Which shares to know the quantiles of.
        scored_by: Version of the model that gives the scores.

    Attributes:
        pressed: Transactions that became part of "other" because there was no room for more.
    """

    def __init__(self, budget: Budget, scored_by: str = "") -> None:
        self.budget: Final = budget
        self.pressed = 0
        self._scored_by = scored_by
        self._segments: dict[str, _Segment] = {}
        self._hour = 0  # the last full hour of event time, ms
        self._due = 0  # what lies at or beyond it speaks for a new hour
        self._beyond: list[int] = []  # those that do so far, fewer than `WITNESSES`

    def __len__(self) -> int:
        return len(self._segments)

    def take(self, name: str, at: int, score: float) -> None:
        """Learn the score of an accepted transaction; to be asked about it afterwards.

        Args:
            name: Its segment (`segment_of`).
            at: Its event time, ms.
            score: Its probability of fraud.
        """
        if at >= self._due:
            self._end_hour(at)
        segment = self._segments.get(name)
        if segment is None:
            segment = self._admit(name)
        elif segment.as_of < self._hour:
            self._renew(segment)
        segment.running.add(score)

    def bounds(self, name: str) -> SegmentBounds:
        """What stands for a segment in the running hour."""
        segment = self._segments.get(name) or self._segments.get(OTHER)
        if segment is None:
            return SegmentBounds(name)
        if segment.as_of < self._hour:
            self._renew(segment)
        return segment.bounds

    def _end_hour(self, at: int) -> None:
        self._beyond.append(at)
        if len(self._beyond) < WITNESSES:
            return
        hour = min(self._beyond) // HOUR * HOUR
        halves = hour // HALF - self._hour // HALF if self._hour else 0
        self._hour, self._due = hour, hour + HOUR
        self._beyond = [each for each in self._beyond if each >= self._due]
        if not halves:
            return
        for name, segment in list(self._segments.items()):
            segment.before = segment.running if halves == 1 else _Half()
            segment.running = _Half()
            if not len(segment.before):
                del self._segments[name]

    def _admit(self, name: str) -> _Segment:
        if len(self._segments) >= MOST_SEGMENTS - (OTHER not in self._segments):
            self.pressed += 1
            name = OTHER
        segment = self._segments.get(name)
        if segment is None:
            segment = self._segments[name] = _Segment(SegmentBounds(name), self._hour)
        elif segment.as_of < self._hour:
            self._renew(segment)
        return segment

    def _renew(self, segment: _Segment) -> None:
        """Take the quantiles of all that was learned before the running hour."""
        odds = DenseStore()
        odds.merge(segment.before.odds)
        odds.merge(segment.running.odds)
        quiet = segment.before.quiet + segment.running.quiet
        sketch = BaseDDSketch(_MAPPING, odds, DenseStore(), float(quiet))
        segment.as_of = self._hour
        segment.bounds = SegmentBounds(
            segment.bounds.segment,
            step_up=_above_all_but(self.budget.step_up, sketch),
            decline=_above_all_but(self.budget.decline, sketch),
        )

    def snapshot(self) -> bytes:
        """The whole state; equal states give equal bytes."""
        segments = [
            [
                *(name, segment.bounds.step_up, segment.bounds.decline, segment.as_of),
                *map(_as_list, (segment.before, segment.running)),
            ]
            for name, segment in self._segments.items()
        ]
        values = {
            "scored_by": self._scored_by,
            "budget": [self.budget.step_up, self.budget.decline],
            "hour": [self._hour, self._due, self._beyond],
            "pressed": self.pressed,
            "segments": segments,
        }
        return pack("segments", _VERSION, Snapshot(values, {}))

    def restore(self, data: bytes) -> None:
        """Take over a snapshot; of another model's scores nothing, for they say nothing of ours.

        Under another budget the quantiles are taken anew.

        Raises:
            Incompatible: It is torn, altered, or of another version.
        """
        values = unpack("segments", _VERSION, data).values
        if values["scored_by"] != self._scored_by:
            return
        self.pressed = values["pressed"]
        self._hour, self._due, self._beyond = values["hour"]
        asked = values["budget"] == [self.budget.step_up, self.budget.decline]
        self._segments = {
            name: _Segment(
                SegmentBounds(name, step_up, decline),
                as_of if asked else -1,
                _from_list(before),
                _from_list(running),
            )
            for name, step_up, decline, as_of, before, running in values["segments"]
        }


def _above_all_but(share: float, sketch: BaseDDSketch) -> float:
    """The probability above which at most a share of the scores lies; 0 where it is not known."""
    count = int(sketch.count)
    above = int(share * count)
    if above < LEAST_ABOVE:
        return 0.0
    # The sketch answers with the score whose place (from 0) is quantile * (count - 1), rounded
    # down; half a place more keeps the last bit of a division from moving it.
    odds = sketch.get_quantile_value((count - above - 0.5) / (count - 1)) or 0.0
    odds *= (1.0 + 1e-9) / (1.0 - ACCURACY)  # 1e-9: above the bucket's own scores to the last bit
    return odds / (1.0 + odds)


def _as_list(half: _Half) -> list[object]:
    buckets = [[key, int(n)] for key, n in enumerate(half.odds.bins, half.odds.offset) if n]
    return [half.quiet, buckets]


def _from_list(saved: tuple[int, list[tuple[int, int]]]) -> _Half:
    half = _Half(saved[0])
    for key, n in saved[1]:
        half.odds.add(key, n)
    return half
