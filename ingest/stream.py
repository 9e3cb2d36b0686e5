"""The input stream: the partitions of `transactions`, merged by event time.

A partition is in the order of its producer; between partitions there is none. Read one after the
other, a backlog would arrive minutes of event time out of order, and the window would call the
slower half of it late. So each partition is read ahead a little, and what is taken next is always
the record with the smallest timestamp of those at hand. A partition that holds more but has
nothing at hand is waited for, for at most `PATIENCE_S`: then the rest goes on without it, and what
it brings may be late (counted by the window, as ever).

What is dated more than two minutes after its broker took it becomes a dead letter: three such,
and everybody else would be late (docs/adr/0002). The same stream read again, or months later, is
judged by the same moments, so it says the same. Where the log does not write them down (the
embedded one, topics of `CreateTime`) it is the moment in which the record is read.

The order is not a promise: it depends on what was at hand. The journal writes down which it was.
"""

import heapq
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import msgspec

from graph.errors import InvalidInput
from graph.transaction import Transaction
from ingest import records
from ingest.codec import require_not_ahead, require_size
from ingest.ports import Log, Record, Topic

AHEAD: Final = 1_024
"""Records of one partition that are read ahead."""
PATIENCE_S: Final = 0.25
COUNT_S: Final = 1.0
"""How often it is looked whether the stream has more partitions."""
CONSUMER: Final = "engine"
"""The engine's name in the log: consumer of the stream, and owner of the outputs."""

Decode = Callable[[bytes], Transaction]
"""Bytes of the log to a transaction; raises `InvalidInput` (see `ingest.codec`)."""


_log: Final = logging.getLogger(__name__)


def _now() -> int:
    return time.time_ns() // 1_000_000


class Input(msgspec.Struct, frozen=True, gc=False):
    """A transaction on its way, and the record it stands in.

    `offset` is None until the journal has appended it (HTTP).
    """

    transaction: Transaction
    raw: bytes
    topic: Topic = Topic.SUBMISSIONS
    partition: int = 0
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class StreamPage:
    """What was taken: what could be read, what could not, and where each partition goes on."""

    inputs: tuple[Input, ...]
    letters: tuple[records.DeadLetterRecord, ...]
    lost: int
    next_offsets: Mapping[int, int]


@dataclass(slots=True)
class _Partition:
    """One partition: `taken` is where the engine stands, `read` where reading ahead does."""

    taken: int
    read: int
    ahead: deque[tuple[Input | records.DeadLetterRecord, int]] = field(default_factory=deque)
    lost: int = 0


class Stream:
    """Reads the input partitions from where the engine's commits stand.

    Args:
        log: The log.
        decode: Bytes of a record to a transaction.
        clock: Epoch milliseconds now, for logs that do not write down when they took a record.
    """

    def __init__(self, log: Log, decode: Decode, clock: Callable[[], int] = _now) -> None:
        self._log = log
        self._decode = decode
        self._clock = clock
        self._partitions: dict[int, _Partition] = {}
        self._count_at = 0.0  # when partitions are to be counted again (monotonic seconds)
        self._count()
        self._behind: frozenset[int] = frozenset()
        self._waits_since: float | None = None
        self._reader = ThreadPoolExecutor(1, "stream")
        self._begun: Future[StreamPage | None] | None = None

    def close(self) -> None:
        """End what was begun; what it took is as if it had never been taken."""
        self._reader.shutdown()

    def begin(self, limit: int) -> None:
        """Begin the next `take` on another thread, for who waits for something else meanwhile."""
        self._begun = self._reader.submit(self._take, limit, None)

    def lag(self) -> int:
        """Records not yet taken; a broker's marks between transactions may count as such."""
        partitions = self._partitions
        ends = {number: self._log.bounds(Topic.TRANSACTIONS, number).next for number in partitions}
        return sum(max(0, end - partitions[n].taken) for n, end in ends.items())

    def take(self, limit: int, now: float | None = None) -> StreamPage | None:
        """The next records by event time, at most `limit`; None where nothing is at hand.

        Where one was begun, it is that one, with the limit it was begun with.

        Args:
            limit: Most records.
            now: Monotonic seconds; the clock's if it is not given.

        Raises:
            Unavailable: The log does not answer; what was at hand stays at hand.
        """
        begun, self._begun = self._begun, None
        return self._take(limit, now) if begun is None else begun.result()

    def _take(self, limit: int, now: float | None) -> StreamPage | None:
        self._fill()
        inputs: list[Input] = []
        letters: list[records.DeadLetterRecord] = []
        moved: dict[int, int] = {}
        heads = [(_event_time(p.ahead[0][0]), n) for n, p in self._partitions.items() if p.ahead]
        heapq.heapify(heads)
        one_ran_out = True
        while len(inputs) + len(letters) < limit:
            if one_ran_out and not self._may_go_on(time.monotonic() if now is None else now):
                break
            number = heads[0][1]
            partition = self._partitions[number]
            item, offset = partition.ahead.popleft()
            if isinstance(item, Input):
                inputs.append(item)
            else:
                letters.append(item)
            partition.taken = moved[number] = offset + 1
            one_ran_out = not partition.ahead
            if one_ran_out:
                heapq.heappop(heads)
            else:
                heapq.heapreplace(heads, (_event_time(partition.ahead[0][0]), number))
        if not moved:
            return None
        lost = sum(self._partitions[number].lost for number in moved)
        for number in moved:
            self._partitions[number].lost = 0
        return StreamPage(tuple(inputs), tuple(letters), lost, moved)

    def _may_go_on(self, now: float) -> bool:
        """Whether something is at hand, and nobody who has nothing is worth waiting for."""
        empty = [n for n, p in self._partitions.items() if not p.ahead]
        if len(empty) == len(self._partitions):
            self._waits_since = None
            return False
        if self._behind.isdisjoint(empty):
            self._waits_since = None
            return True
        self._waits_since = now if self._waits_since is None else self._waits_since
        return now - self._waits_since >= PATIENCE_S

    def _count(self) -> None:
        """Take up partitions that are new: a topic may get more at any time, and never fewer."""
        if time.monotonic() < self._count_at:
            return
        known = len(self._partitions)
        new = range(known, self._log.partitions(Topic.TRANSACTIONS))
        begins = [self._log.committed(CONSUMER, Topic.TRANSACTIONS, number) for number in new]
        if new:
            found = {n: _Partition(at, at) for n, at in zip(new, begins, strict=True)}
            self._partitions = {**self._partitions, **found}  # `lag` may be looking at the old
            if known:
                _log.warning("the stream has %d partitions more", len(new))
        self._count_at = time.monotonic() + COUNT_S

    def _fill(self) -> None:
        self._count()
        offsets = {n: p.read for n, p in self._partitions.items() if len(p.ahead) < AHEAD}
        if not offsets:
            return
        polled = self._log.poll(Topic.TRANSACTIONS, offsets, AHEAD * len(offsets))
        # Of those not asked, what was last heard: they have plenty at hand anyway.
        self._behind = polled.behind | (self._behind - offsets.keys())
        for record in polled.records:
            partition = self._partitions[record.partition]
            if record.offset > partition.read:
                partition.lost += self._lost(record, partition.read)
            partition.ahead.append((self._decoded(record), record.offset))
            partition.read = record.offset + 1

    def _lost(self, record: Record, expected: int) -> int:
        """Of the gap before a record, what retention took; the rest never held any."""
        first = self._log.bounds(record.topic, record.partition).first
        return max(0, min(first, record.offset) - expected)

    def _decoded(self, record: Record) -> Input | records.DeadLetterRecord:
        try:
            require_size(record.value)
            transaction = self._decode(record.value)
            taken = record.appended_at
            require_not_ahead(transaction, self._clock() if taken is None else taken)
        except InvalidInput as error:
            return records.dead_letter(CONSUMER, record, error)
        return Input(transaction, record.value, record.topic, record.partition, record.offset)


def _event_time(item: Input | records.DeadLetterRecord) -> int:
    return item.transaction.timestamp if isinstance(item, Input) else 0
