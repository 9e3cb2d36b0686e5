"""The log on Kafka: a `ports.Log` whose topics, offsets and transactions are the brokers'.

What a transaction of the engine writes, its verdicts, rings, alerts, dead letters and the offsets
of its input, is one transaction of Kafka. The engine's transactional id stands for all input
partitions together, because one engine owns them all: who claims it has fenced every earlier
engine before he reads the first record (the driver's transactions carry no group generation, so
that a group's rebalance would fence nobody).

Kafka has no index of keys; `ingest.kafka_index` keeps one beside the data.
"""

import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from graph.errors import InvalidSetting, Unavailable
from ingest.kafka_client import Connection, KafkaSettings
from ingest.kafka_follow import Ahead
from ingest.kafka_index import VerdictIndex
from ingest.kafka_producer import Place, PlainProducer, batches
from ingest.kafka_reader import Reader
from ingest.kafka_topics import must_exist
from ingest.kafka_writer import KafkaWriter, Told
from ingest.ports import Bounds, Message, Polled, Record, Topic

__all__ = ["KafkaLog", "KafkaSettings"]

_CLOSED: Final = "this log was closed"


class KafkaLog:
    """A `ports.Log` on the brokers of a cluster. `ringfence topics create` makes its topics.

    Args:
        settings: Where Kafka is, and how to enter.
        index: File of the index of verdicts, made where it is missing; without it, the index is
            in memory, and reading it up begins anew with each process.

    Raises:
        Unavailable: No broker answers, or it does not let us in.
        InvalidSetting: A topic does not exist.
        Incompatible: A topic is not as this version needs it.
    """

    def __init__(self, settings: KafkaSettings, index: Path | None = None) -> None:
        self._connection = Connection(settings)
        try:
            self._reader = Reader(self._connection)
            self._partitions, identity = self._connection.call(must_exist(self._connection))
            end = self._connection.call(self._reader.end(Topic.VERDICTS, 0))
            self._index = VerdictIndex(index, identity, end)
            self._identity = f"kafka/{identity}"
        except BaseException:
            self._connection.close()
            raise
        self._guard = threading.Lock()
        self._ahead: dict[Topic, Ahead] = {}
        self._plain = PlainProducer(self._connection)
        self._nobody: KafkaWriter | None = None

    @property
    def identity(self) -> str:
        """The cluster and the topic of verdicts by its id: made anew, it is another."""
        return self._identity

    # -- reading -------------------------------------------------------------------------------

    def read(self, topic: Topic, partition: int, offset: int, limit: int) -> list[Record]:
        """At most `limit` committed records from `offset` on."""
        self._must_exist(topic, partition)
        if limit < 1:
            return []
        start = max(0, offset)
        page = self._connection.call(self._reader.read(topic, partition, start, limit))
        if topic is Topic.VERDICTS:
            keys = [(record.offset, record.key) for record in page.records]
            self._index.hear(start, keys, page.following, mine=False)
            self._index.forget(page.first)
        return page.records

    def poll(self, topic: Topic, offsets: Mapping[int, int], limit: int) -> Polled:
        """Records at hand: read ahead in the background since the first call for this topic."""
        ahead = self._ahead.get(topic)
        if ahead is None:
            ahead = self._begin_ahead(topic)
        for partition in offsets:
            self._must_exist(topic, partition)
        return ahead.poll(offsets, limit)

    def partitions(self, topic: Topic) -> int:
        """As many as the topic has; of those that are added it is known within half a minute."""
        if topic is Topic.TRANSACTIONS:
            name = self._connection.settings.name(topic)
            return max(self._partitions[topic], self._connection.partitions(name))
        return self._partitions[topic]

    def bounds(self, topic: Topic, partition: int) -> Bounds:
        """The first retained offset, and the last stable one."""
        self._must_exist(topic, partition)
        return self._connection.call(self._reader.bounds(topic, partition))

    def committed(self, consumer: str, topic: Topic, partition: int) -> int:
        """The offset of the consumer group `prefix + consumer`."""
        self._must_exist(topic, partition)
        group = self._connection.settings.prefix + consumer
        return self._connection.call(self._reader.committed(group, topic, partition))

    def find(self, topic: Topic, keys: Sequence[str]) -> dict[str, Record]:
        """The first retained record of each key; of `Topic.VERDICTS` only."""
        if topic is not Topic.VERDICTS:
            raise InvalidSetting(
                "this topic has no index of its keys",
                field="topic",
                value=topic.value,
                remedy=f"Only this one has: {Topic.VERDICTS}.",
            )
        self._catch_up()
        found: dict[str, Record] = {}
        for key, offset in self._index.look_up(keys).items():
            page = self._connection.call(self._reader.read(topic, 0, offset, 1))
            if page.records and page.records[0].offset == offset:  # else retention took it
                found[key] = page.records[0]
        return found

    # -- writing -------------------------------------------------------------------------------

    def append(self, messages: Sequence[Message]) -> list[int]:
        """Append all or none: one batch of one partition as it is, else in a transaction."""
        self._check(messages)
        some = batches(messages)
        if not some:
            return []
        if len(some) > 1:
            with self._guard:
                if self._nobody is None:
                    self._nobody = self._claim(f"append-{uuid.uuid4().hex}", self._told)
            with self._nobody.transaction() as outputs:
                return outputs.append(messages)
        offsets = self._connection.call(self._plain.append(some[0]))
        self._told(some[0].place, list(zip(offsets, [m.key for m in messages], strict=True)))
        return offsets

    def claim(self, owner: str) -> KafkaWriter:
        """Become the only writer under this name; the open transaction of an earlier one ends."""
        self._index.doubt()

        def told(place: Place, written: Sequence[tuple[int, str | None]]) -> None:
            self._told(place, written, mine=True)

        return self._claim(owner, told)

    def close(self) -> None:
        """Close the sockets, end the thread, and write the index down."""
        self._connection.close()
        self._index.close()

    # -- within --------------------------------------------------------------------------------

    def _claim(self, owner: str, told: Told) -> KafkaWriter:
        def committed(place: Place, written: Sequence[tuple[int, str | None]]) -> None:
            self._reader.promise(*place, written[-1][0] + 2)  # the commit's mark follows the last
            told(place, written)

        writer = KafkaWriter(self._connection, owner, self._check, committed, self._index.doubt)
        writer.claim()
        return writer

    def _begin_ahead(self, topic: Topic) -> Ahead:
        with self._guard:
            if topic not in self._ahead:
                self._ahead[topic] = Ahead(self._connection, self._reader, topic)
            return self._ahead[topic]

    def _catch_up(self) -> None:
        """Read up what others have written, or may have."""
        if self._index.whole:
            return
        stable = self._connection.call(self._reader.stable(Topic.VERDICTS, 0))
        while (start := self._index.following) < stable:
            page = self._connection.call(self._reader.read(Topic.VERDICTS, 0, start, 4096))
            keys = [(record.offset, record.key) for record in page.records]
            self._index.hear(start, keys, page.following, mine=False)
            self._index.forget(page.first)
            if page.following <= start:
                raise Unavailable(
                    "the index of verdicts cannot be read up",
                    field="kafka",
                    value=f"{start} of {stable}",
                    remedy="Try again; the topic was cut or made anew if it stays so.",
                )

    def _told(
        self, place: Place, written: Sequence[tuple[int, str | None]], *, mine: bool = False
    ) -> None:
        if place == (Topic.VERDICTS, 0):
            self._index.hear(written[0][0], written, written[-1][0] + 1, mine=mine)

    def _check(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._must_exist(message.topic, message.partition)

    def _must_exist(self, topic: Topic, partition: int) -> None:
        if 0 <= partition < self.partitions(topic):
            return
        if partition >= 0 and topic is Topic.TRANSACTIONS:  # another process may know of more
            self._connection.call(self._connection.refresh())
        if not 0 <= partition < self.partitions(topic):
            raise InvalidSetting(
                f"the topic {topic} has no such partition",
                field="partition",
                value=str(partition),
                remedy=f"It has {self.partitions(topic)}, counted from 0.",
            )
