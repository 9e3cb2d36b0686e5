"""Reading Kafka: each question is a fetch of its own, from the offset that is asked for.

A fetch names its offset, so readers share nothing and no position is moved away under another. It
gives what lies below the last stable offset: everything before the first transaction still open.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.errors import CorruptRecordException
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.memory_records import MemoryRecords

from ingest.kafka_client import READS, SOON_S, Connection
from ingest.kafka_protocol import OffsetFetch
from ingest.ports import Bounds, Record, Topic

PAGE_BYTES: Final = 1 << 20
"""Most bytes of one answer; the first batch comes whole even if it is larger."""
LEAST_BYTES: Final = 64 * 1024
RECORD_BYTES: Final = 1024
"""What a record is taken to be long when few are asked for."""
MARKERS_S: Final = 1.0
"""How long the broker's marks of a committed transaction are waited for: they take milliseconds,
unless somebody else's transaction is open before them."""

READ_COMMITTED: Final = 1
_EARLIEST: Final = -2
_LATEST: Final = -1
_OFFSET_OUT_OF_RANGE: Final = 1
_LOG_APPEND_TIME: Final = 1


@dataclass(frozen=True, slots=True)
class Page:
    """What a fetch gave.

    Attributes:
        records: In order.
        following: Where to read on; it may be past the last record by what holds none.
        stable: The last stable offset: nothing from there on can be read yet.
        first: The first offset that is retained.
    """

    records: list[Record]
    following: int
    stable: int
    first: int


class Reader:
    """Reads committed records, bounds and offsets; its methods run on the connection's loop."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._settings = connection.settings
        # What this process has committed and the broker may not have marked so yet: the offset
        # that has to become readable, and until when it is waited for.
        self._promised: dict[tuple[Topic, int], tuple[int, float]] = {}

    def promise(self, topic: Topic, partition: int, following: int) -> None:
        """What this process committed below an offset must be read by who asks from now on."""
        self._promised[topic, partition] = (following, time.monotonic() + MARKERS_S)

    async def read(self, topic: Topic, partition: int, offset: int, limit: int) -> Page:
        """Committed records from an offset on: `limit` of them, or all there are."""
        found: list[Record] = []
        size = min(PAGE_BYTES, max(LEAST_BYTES, limit * RECORD_BYTES))
        while True:
            page = await self._fetch(topic, partition, offset, limit - len(found), size)
            found += page.records
            offset = page.following
            if len(found) >= limit:
                break
            if offset >= page.stable:
                if not self._awaited(topic, partition, page.stable):
                    break
                await asyncio.sleep(SOON_S)
        return Page(found, offset, page.stable, page.first)

    async def bounds(self, topic: Topic, partition: int) -> Bounds:
        """The first retained offset, and the last stable one."""
        first = await self._offset(topic, partition, _EARLIEST)
        stable = await self.stable(topic, partition)
        return Bounds(first, max(first, stable))

    async def stable(self, topic: Topic, partition: int) -> int:
        """The last stable offset."""
        while True:
            stable = await self._offset(topic, partition, _LATEST)
            if not self._awaited(topic, partition, stable):
                return stable
            await asyncio.sleep(SOON_S)

    async def end(self, topic: Topic, partition: int) -> int:
        """Where the next record will stand, whether what is before can be read yet or not."""
        return await self._offset(topic, partition, _LATEST, isolation=0)

    async def committed(
        self, group: str, topic: Topic, partition: int, *, stable: bool = True
    ) -> int:
        """A group's offset; 0 without one. It waits for the end of a transaction that sets it."""
        name = self._settings.name(topic)

        def read(response: Any) -> tuple[int, int]:
            if response.error_code:
                return response.error_code, 0
            ((_, ((_, offset, _, _, code, _),), _),) = response.topics
            return code, offset

        request = OffsetFetch(group, {name: [partition]}, stable=stable)
        return max(0, await self._connection.to_coordinator("group", group, request, read))

    async def _offset(
        self, topic: Topic, partition: int, which: int, isolation: int = READ_COMMITTED
    ) -> int:
        name = self._settings.name(topic)

        def read(response: Any) -> tuple[int, int]:
            ((_, ((_, code, _, offset),)),) = response.topics
            return code, offset

        request = OffsetRequest(-1, isolation, [(name, [(partition, which)])])
        return await self._connection.to_leader(name, partition, request, read)

    async def _fetch(
        self, topic: Topic, partition: int, offset: int, limit: int, size: int
    ) -> Page:
        name = self._settings.name(topic)

        def read(response: Any) -> tuple[int, Any]:
            ((_, (answer,)),) = response.topics
            # Kept from the retries of `to_leader`: what it means is decided here.
            return (0, None) if answer[1] == _OFFSET_OUT_OF_RANGE else (answer[1], answer)

        request = fetch_request(name, [(partition, offset, size)], size)
        answer = await self._connection.to_leader(name, partition, request, read, READS)
        if answer is not None:
            return unpack(topic, answer, offset, limit)
        bounds = await self.bounds(topic, partition)
        if offset >= bounds.first:
            return Page([], offset, bounds.next, bounds.first)
        return await self._fetch(topic, partition, bounds.first, limit, size)

    def _awaited(self, topic: Topic, partition: int, stable: int) -> bool:
        """Whether more must become readable than there is."""
        promised = self._promised.get((topic, partition))
        if promised is None:
            return False
        following, until = promised
        if stable < following and time.monotonic() < until:
            return True
        del self._promised[topic, partition]
        return False


def fetch_request(
    name: str, partitions: Sequence[tuple[int, int, int]], size: int, wait_ms: int = 0
) -> FetchRequest:
    """Ask one broker for committed records.

    Args:
        name: The topic's, on the brokers.
        partitions: (partition, offset, most bytes).
        size: Most bytes of all together.
        wait_ms: How long the broker may wait until there are some.
    """
    return FetchRequest(wait_ms, 1, size, READ_COMMITTED, [(name, list(partitions))])


def unpack(topic: Topic, answer: tuple[Any, ...], offset: int, limit: int) -> Page:
    """The records of one partition's part of a response, without those of aborted transactions.

    Args:
        topic: Where it comes from.
        answer: The part, without an error.
        offset: What was asked for: a batch comes whole, with what lies before.
        limit: Most records.
    """
    partition, _, _, stable, first, aborted, *_, data = answer
    records: list[Record] = []
    following = offset
    ahead = sorted(aborted or (), key=lambda each: each[1], reverse=True)  # the next one last
    dead: set[int] = set()
    batches = MemoryRecords(data or b"")
    while batches.has_next():
        batch = batches.next_batch()
        if not batch.validate_crc():
            raise CorruptRecordException(f"wrong checksum in {topic} {partition} at {following}")
        while ahead and ahead[-1][1] <= batch.base_offset:
            dead.add(ahead.pop()[0])
        if batch.is_control_batch:
            if ControlRecord.parse(next(batch).key) == ABORT_MARKER:
                dead.discard(batch.producer_id)
        elif not (batch.is_transactional and batch.producer_id in dead):
            appended_at = batch.max_timestamp if batch.timestamp_type == _LOG_APPEND_TIME else None
            for each in batch:
                at = each.offset
                if at >= offset:
                    key = each.key
                    text = None if key is None else key.decode("utf-8", "replace")
                    value = each.value or b""
                    records.append(Record(topic, partition, at, value, text, appended_at))
                    if len(records) >= limit:
                        return Page(records, at + 1, stable, first)
        following = batch.next_offset
    return Page(records, max(following, offset), stable, first)
