"""Writing to Kafka: transactions of one `transactional.id`.

A transaction costs three rounds: its partitions and groups are made known to the coordinator, then
batches and offsets go out together, then its end. What went wrong is told apart by how far it had
come. Before the end was sent, nothing can become of it: the next transaction begins by aborting
it, and by a new epoch, so that no request still on its way counts. After the end was sent, it is
sent again until the coordinator says how it ended; who cannot learn that must not write on.

Every epoch is asked for with the one before, so that a writer that was replaced cannot fence its
successor back (KIP-360).
"""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, Literal, TypeVar

from aiokafka.errors import KafkaError
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    TxnOffsetCommitRequest,
)

from graph.errors import RingfenceError, Unavailable
from ingest.kafka_client import PAUSE_S, Answer, Connection, together
from ingest.kafka_producer import Place, Producer, batches
from ingest.ports import Fenced, Message, Outputs, Topic

T = TypeVar("T")

CLAIM_S: Final = 60.0
"""How long to take over may take: the broker ends the open transaction of the one before."""
END_S: Final = 30.0
"""How long the end of a transaction is asked after before its writer gives up."""

# INVALID_PRODUCER_EPOCH, INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED
_FENCED: Final = frozenset((47, 49, 90))
_INVALID_PRODUCER_EPOCH: Final = 47
_INVALID_TXN_STATE: Final = 48
Told = Callable[[Place, Sequence[tuple[int, str | None]]], None]
"""Hears, of each partition, offset and key of what a commit wrote."""


def fenced(owner: str, why: str) -> Fenced:
    """The error of a writer that may not write on."""
    return Fenced(
        f"{why}, writing as {owner}",
        field="kafka",
        remedy="Start again from what the log holds; the newer one runs on.",
    )


class KafkaWriter:
    """A `ports.Writer`: the producer of one transactional id.

    Args:
        connection: To the brokers.
        owner: Whose right it is.
        check: Raises where a message names a partition that is not there.
        told: Hears what was committed.
        lost: Called when it is fenced.
    """

    def __init__(
        self,
        connection: Connection,
        owner: str,
        check: Callable[[Sequence[Message]], None],
        told: Told,
        lost: Callable[[], None],
    ) -> None:
        self.connection = connection
        self.owner = owner
        self.check = check
        self.told = told
        self._lost = lost
        self.producer = Producer(connection, connection.settings.prefix + owner)
        self._turn = threading.Lock()
        self._state: Literal["ready", "unsettled", "fenced"] = "ready"
        self._renewing = False  # the next epoch was asked for, and no answer was heard

    def claim(self) -> None:
        """Fence every earlier writer of this owner, and have its open transaction ended."""
        self.connection.call(self.producer.begin_epoch(), CLAIM_S)

    @contextmanager
    def transaction(self) -> Iterator[Outputs]:
        """Commit on leaving the block, abort if it raises."""
        with self._turn:
            if self._state == "fenced":
                raise fenced(self.owner, "another process writes since, or may have to")
            if self._state == "unsettled":
                self._run(self._settle())
            outputs = KafkaOutputs(self)
            try:
                yield outputs
            except BaseException:
                self._undo(outputs)
                raise
            try:
                self._run(outputs.flush([]))
            except BaseException:
                self._undo(outputs)
                raise
            if outputs.begun:
                self._run(self._commit(), END_S + PAUSE_S)
                for place, written in outputs.written.items():
                    self.told(place, written)

    def run_append(self, outputs: "KafkaOutputs", messages: Sequence[Message]) -> list[int]:
        """Append within the open transaction."""
        return self._run(outputs.flush(messages))

    def _run(self, work: Coroutine[Any, Any, T], within: float | None = None) -> T:
        try:
            return self.connection.call(work, within)
        except Fenced:
            self._give_up()
            raise
        except Unavailable as error:
            cause = error.__cause__
            if isinstance(cause, Answer) and cause.code in _FENCED:
                self._give_up()
                raise fenced(self.owner, "another process writes now") from error
            raise

    def _give_up(self) -> None:
        self._state = "fenced"
        self._lost()

    def _undo(self, outputs: "KafkaOutputs") -> None:
        """Abort what is open; if that cannot be had now, before the next transaction."""
        if self._state == "fenced" or not outputs.begun:
            return
        self._state = "unsettled"
        with suppress(RingfenceError):
            self._run(self._end(commit=False, within=self.connection.settings.timeout_s / 2))
            if outputs.acknowledged:
                self._state = "ready"

    async def _settle(self) -> None:
        """Make sure that nothing is open, and that nothing still under way will count.

        Where the answer with the next epoch was lost, the one at hand is of yesterday although
        nobody else writes: asked again with it, the coordinator gives the same answer (KIP-360),
        unless there is another writer, who makes it forget the epoch before.
        """
        try:
            await self._end(commit=False)
        except Answer as error:
            if error.code != _INVALID_PRODUCER_EPOCH or not self._renewing:
                raise
        self._renewing = True
        await self.producer.begin_epoch()
        self._renewing = False
        self._state = "ready"

    async def _commit(self) -> None:
        why = "it cannot be known whether a commit took place"
        try:
            await self._end(commit=True, within=END_S)
        except Answer as error:
            if error.code in _FENCED:
                why = "another process writes now, or the transaction took too long"
            raise fenced(self.owner, why) from error
        except (TimeoutError, KafkaError, OSError) as error:
            raise fenced(self.owner, why) from error

    async def _end(self, *, commit: bool, within: float | None = None) -> None:
        """End the open transaction; asked again, the coordinator says the same."""
        producer = self.producer
        assert producer.transactional_id is not None  # noqa: S101 - a writer's always has one

        def read(response: Any) -> tuple[int, None]:
            if response.error_code == _INVALID_TXN_STATE and not commit:
                return 0, None  # nothing is open: it never began, or was ended before
            return response.error_code, None

        request = EndTxnRequest(producer.transactional_id, *producer.id, commit)
        async with asyncio.timeout(within):
            await self.connection.to_coordinator(
                "transaction", producer.transactional_id, request, read, producer.lane
            )


class KafkaOutputs:
    """An open transaction.

    Attributes:
        begun: Whether the coordinator may know of it.
        acknowledged: Whether all that was sent is known to have arrived.
        written: Offsets and keys, by partition.
    """

    def __init__(self, writer: KafkaWriter) -> None:
        self._writer = writer
        self._producer = writer.producer
        self._connection = writer.connection
        self._added: set[Place] = set()
        self._groups: set[str] = set()
        self._offsets: dict[str, dict[Place, int]] = defaultdict(dict)
        self.begun = False
        self.acknowledged = True
        self.written: dict[Place, list[tuple[int, str | None]]] = defaultdict(list)

    def append(self, messages: Sequence[Message]) -> list[int]:
        """Append, and wait for the offsets."""
        self._writer.check(messages)
        return self._writer.run_append(self, messages)

    def commit(self, consumer: str, topic: Topic, partition: int, offset: int) -> None:
        """Said to the brokers with the next `append`, or at the end."""
        self._writer.check([Message(topic, partition, b"")])
        self._offsets[self._connection.settings.prefix + consumer][topic, partition] = offset

    async def flush(self, messages: Sequence[Message]) -> list[int]:
        """Send messages, and the offsets that were committed until now."""
        some = batches(messages)
        offsets, self._offsets = self._offsets, defaultdict(dict)
        if not some and not offsets:
            return []
        self.begun = True
        self.acknowledged = False
        await together(
            self._add_partitions({batch.place for batch in some} - self._added),
            *(self._add_group(group) for group in offsets.keys() - self._groups),
        )
        sent, *_ = await together(
            self._producer.produce(some),
            *(self._commit_offsets(group, each) for group, each in offsets.items()),
        )
        self.acknowledged = True
        found = [0] * len(messages)
        for at, offset in sent:
            found[at] = offset
            message = messages[at]
            self.written[message.topic, message.partition].append((offset, message.key))
        return found

    async def _add_partitions(self, new: set[Place]) -> None:
        if not new:
            return
        topics: dict[str, list[int]] = defaultdict(list)
        for topic, partition in sorted(new):
            topics[self._connection.settings.name(topic)].append(partition)
        request = AddPartitionsToTxnRequest(self._id, *self._producer.id, list(topics.items()))
        await self._coordinator(request, _worst)
        self._added |= new

    async def _add_group(self, group: str) -> None:
        request = AddOffsetsToTxnRequest(self._id, *self._producer.id, group)
        await self._coordinator(request, lambda response: (response.error_code, None))
        self._groups.add(group)

    async def _commit_offsets(self, group: str, offsets: dict[Place, int]) -> None:
        topics: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
        for (topic, partition), offset in offsets.items():
            topics[self._connection.settings.name(topic)].append((partition, offset, ""))
        request = TxnOffsetCommitRequest(self._id, group, *self._producer.id, list(topics.items()))
        lane = self._producer.lane
        await self._connection.to_coordinator("group", group, request, _worst, lane)

    async def _coordinator(self, request: Any, read: Callable[[Any], tuple[int, None]]) -> None:
        lane = self._producer.lane
        await self._connection.to_coordinator("transaction", self._id, request, read, lane)

    @property
    def _id(self) -> str:
        assert self._producer.transactional_id is not None  # noqa: S101 - a writer's has one
        return self._producer.transactional_id


def _worst(response: Any) -> tuple[int, None]:
    """The first error of a response by partition, if there is one: the request goes as a whole."""
    codes = [code for _, partitions in response.errors for _, code in partitions]
    real = [code for code in codes if code not in (0, 55)]  # 55: not tried, for another's error
    return (real or [code for code in codes if code] or [0])[0], None
