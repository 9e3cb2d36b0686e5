"""Kafka's producers: batches, sent in order, each once.

A batch carries its producer's id and a count; the broker drops what it has had and refuses what
skips one. So a batch whose answer was lost is sent again as it is, and counts once (KIP-98).
"""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from graph.errors import InvalidInput
from ingest.kafka_client import PAUSE_S, Answer, Connection, together
from ingest.kafka_protocol import NO_PRODUCER, InitProducerId
from ingest.ports import LARGEST_VALUE, Message, Topic

BATCH_BYTES: Final = LARGEST_VALUE
"""Most bytes of one batch: the brokers' own bound is 1 MiB."""

# OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, UNKNOWN_PRODUCER_ID
_LOST_COUNT: Final = frozenset((45, 47, 59))
_ACKS_ALL: Final = -1
_LANES: Final = itertools.count()

Place = tuple[Topic, int]
"""Topic and partition."""


class Batch:
    """Messages of one partition that go out as one."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.messages: list[tuple[int, Message]] = []  # with their place in the caller's list
        self._bytes = 0

    def takes(self, message: Message) -> bool:
        """Whether there is room for one more; there is always for the first."""
        size = len(message.value) + len(message.key or "") * 4 + 32
        if self.messages and self._bytes + size > BATCH_BYTES:
            return False
        self._bytes += size
        return True

    def encode(self, producer: tuple[int, int], sequence: int, *, transactional: bool) -> bytes:
        """The bytes that are sent; the same whenever they are sent again."""
        builder = DefaultRecordBatchBuilder(
            2, 0, int(transactional), *producer, sequence, 2 * BATCH_BYTES
        )
        for number, (_, message) in enumerate(self.messages):
            key = None if message.key is None else message.key.encode()
            taken = builder.append(number, None, key, message.value, [])
            if taken is None:
                raise AssertionError("a batch was filled beyond its size")
        return bytes(builder.build())


def batches(messages: Sequence[Message]) -> list[Batch]:
    """Messages by partition, in their order, in batches the brokers take.

    Raises:
        InvalidInput: One message is larger than a batch may be.
    """
    last: dict[Place, Batch] = {}
    found: list[Batch] = []
    for at, message in enumerate(messages):
        if len(message.value) > BATCH_BYTES:
            raise InvalidInput(
                f"a record of {message.topic} is too large for Kafka",
                field="value",
                value=f"{len(message.value)} bytes",
                remedy=f"Send at most {BATCH_BYTES} bytes in one record.",
            )
        place = (message.topic, message.partition)
        batch = last.get(place)
        if batch is None or not batch.takes(message):
            batch = last[place] = Batch(place)
            batch.takes(message)
            found.append(batch)
        batch.messages.append((at, message))
    return found


class Producer:
    """One producer id: sends batches in order, each once. Its methods run on the loop.

    Args:
        connection: To the brokers.
        transactional_id: None for one that is idempotent only.
    """

    def __init__(self, connection: Connection, transactional_id: str | None) -> None:
        self._connection = connection
        self._settings = connection.settings
        self.transactional_id = transactional_id
        self.lane = f"writes-{next(_LANES)}"
        self.id = (NO_PRODUCER, NO_PRODUCER)
        self._next: dict[Place, int] = {}

    async def begin_epoch(self) -> None:
        """A producer id, or the next epoch of the one it has.

        Raises:
            Answer: Refused; with a code of `_FENCED` where somebody else has raised the epoch.
        """
        timeout = (
            2**31 - 1
            if self.transactional_id is None
            else int(self._settings.transaction_timeout_s * 1000)
        )
        request = InitProducerId(self.transactional_id, timeout, self.id)

        def read(response: Any) -> tuple[int, tuple[int, int]]:
            return response.error_code, (response.producer_id, response.producer_epoch)

        if self.transactional_id is None:
            self.id = await self._connection.anywhere(request, read)
        else:
            self.id = await self._connection.to_coordinator(
                "transaction", self.transactional_id, request, read, self.lane
            )
        self._next.clear()

    async def produce(self, some: Sequence[Batch]) -> list[tuple[int, int]]:
        """Send batches; the place in the caller's list and the offset of each message.

        Raises:
            Answer: A broker refuses a batch.
        """
        rounds: list[dict[Place, Batch]] = []
        for batch in some:  # a request holds one batch a partition
            for each in rounds:
                if batch.place not in each:
                    each[batch.place] = batch
                    break
            else:
                rounds.append({batch.place: batch})
        offsets: list[tuple[int, int]] = []
        for each in rounds:
            encoded = {place: self._encoded(batch) for place, batch in each.items()}
            bases = await self._deliver(encoded)
            for place, batch in each.items():
                offsets += [(at, bases[place] + n) for n, (at, _) in enumerate(batch.messages)]
        return offsets

    def _encoded(self, batch: Batch) -> bytes:
        sequence = self._next.get(batch.place, 0)
        data = batch.encode(self.id, sequence, transactional=self.transactional_id is not None)
        self._next[batch.place] = (sequence + len(batch.messages)) & 0x7FFFFFFF
        return data

    async def _deliver(self, encoded: dict[Place, bytes]) -> dict[Place, int]:
        """Send until all is acknowledged; the offset of the first record of each."""
        left = dict(encoded)
        bases: dict[Place, int] = {}
        while left:
            by_node: dict[int, list[Place]] = defaultdict(list)
            for topic, partition in left:
                node = self._connection.leader(self._settings.name(topic), partition)
                if node is not None:
                    by_node[node].append((topic, partition))
            sent = [self._send(node, {p: left[p] for p in to}) for node, to in by_node.items()]
            for answered in await together(*sent):
                bases.update(answered)
                for place in answered:
                    del left[place]
            if left:
                await self._connection.refresh()
                await asyncio.sleep(PAUSE_S)
        return bases

    async def _send(self, node: int, encoded: dict[Place, bytes]) -> dict[Place, int]:
        topics: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        names = {}
        for (topic, partition), data in encoded.items():
            names[self._settings.name(topic)] = topic
            topics[self._settings.name(topic)].append((partition, data))
        request = ProduceRequest(
            required_acks=_ACKS_ALL,
            timeout=int(self._settings.timeout_s * 1000),
            topics=list(topics.items()),
            transactional_id=self.transactional_id,
        )
        try:
            response = await self._connection.send(node, request, self.lane)
        except KafkaError as error:
            if not error.retriable:
                raise
            return {}
        bases: dict[Place, int] = {}
        for name, partitions in response.topics:
            for partition, code, base, *_ in partitions:
                if code == 0 and base >= 0:
                    bases[names[name], partition] = base
                elif code == 0 or not for_code(code).retriable:
                    raise Answer(f"{name} {partition}", code)
        return bases


class PlainProducer:
    """Appends without an owner what fits one batch of one partition: all of it or none."""

    def __init__(self, connection: Connection) -> None:
        self._producer = Producer(connection, None)
        self._turn = asyncio.Lock()

    async def append(self, batch: Batch) -> list[int]:
        """Send one batch; its offsets."""
        async with self._turn:
            for last in (False, True):
                if self._producer.id[0] == NO_PRODUCER:
                    await self._producer.begin_epoch()
                try:
                    return [offset for _, offset in await self._producer.produce([batch])]
                except Answer as answer:
                    # The broker has forgotten this producer, which was quiet for long: refused.
                    self._producer.id = (NO_PRODUCER, NO_PRODUCER)
                    if last or answer.code not in _LOST_COUNT:
                        raise
                except BaseException:
                    # Whether it was written is not known, so neither is what is counted next.
                    self._producer.id = (NO_PRODUCER, NO_PRODUCER)
                    raise
        raise AssertionError("unreachable")
