"""The topics on Kafka: how they are made, and what a log finds when it opens them.

Only `transactions` has several partitions: the order of the others is the order of the journal, or
of what one process says. Retention is by time, as brokers count it, and by size where a busy day
would fill a disk; it follows `ingest.embedded.RETENTION` in what outlasts what: the journal and
its inputs have to reach back further than the last checkpoint, and facts are few and never old.

No topic is compacted. The lists are one record with everything in it, so that the newest is all
there is, and a run of deep analysis is many records without a key: compaction would keep parts of
runs. Leases are noise after minutes.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest

from graph.errors import Incompatible, InvalidSetting
from ingest.kafka_client import PAUSE_S, Answer, Connection, KafkaSettings
from ingest.kafka_producer import BATCH_BYTES
from ingest.kafka_reader import Reader
from ingest.ports import Bounds, Topic

PARTITIONS: Final = 8
"""Partitions of `transactions` unless it is said otherwise: producers may write to as many brokers
at once. One engine reads them all."""

_HOUR: Final = 3_600_000
_DAY: Final = 24 * _HOUR
_GIB: Final = 1 << 30

RETENTION_MS: Final[Mapping[Topic, int]] = {
    # The journal and its inputs: a week, so that a checkpoint that is days old still serves.
    Topic.TRANSACTIONS: 7 * _DAY,
    Topic.SUBMISSIONS: 7 * _DAY,
    Topic.VERDICTS: 7 * _DAY,
    # A sink that was away for a long holiday still finds what it missed.
    Topic.RINGS: 30 * _DAY,
    Topic.ALERTS: 30 * _DAY,
    Topic.DEAD_LETTERS: 30 * _DAY,
    # Facts in force: the newest must be there whenever a detector begins anew.
    Topic.LISTS: -1,
    Topic.DEEP_ANALYSIS: 30 * _DAY,
    Topic.FINDINGS: 30 * _DAY,
    # The journal names those its verdicts were given with: as long as the journal.
    Topic.EMBEDDINGS: 7 * _DAY,
    # Heartbeats say nothing after seconds.
    Topic.LEASES: _HOUR,
}
"""How long records are kept; -1: for good."""
RETENTION_BYTES: Final[Mapping[Topic, int]] = {
    Topic.TRANSACTIONS: 50 * _GIB,
    Topic.SUBMISSIONS: 50 * _GIB,
    Topic.VERDICTS: 200 * _GIB,
}
"""Most bytes of one partition, where there is a bound. 10 000 transactions a second write some
600 GB of verdicts a day: on a system that busy these decide, not the week."""

_STAMP: Final = "message.timestamp.type"
_BY_BROKER: Final = "LogAppendTime"
_SIZE: Final = "max.message.bytes"
_TAKEN: Final = 1_048_588  # what brokers take in one batch unless they are told otherwise
_WRITTEN: Final = BATCH_BYTES + 4_096  # our largest batch, with its head and the key of a record
_KEPT: Final = ("retention.ms", "retention.bytes")
_LARGE: Final = tuple(each for each in Topic if each not in (Topic.LEASES, Topic.LISTS))
_ASKED: Final[Mapping[Topic, tuple[str, ...]]] = {
    **dict.fromkeys(_LARGE, (_SIZE,)),
    Topic.TRANSACTIONS: (_SIZE, _STAMP),
    Topic.LISTS: _KEPT,
}
_TOPIC: Final = 2  # a kind of resource in the protocol
_EXISTS: Final = 36
_DESCRIBED: Final = (_SIZE, _STAMP, *_KEPT)
_UNKNOWN_TOPIC: Final = 3

_log: Final = logging.getLogger(__name__)


def configuration(topic: Topic, replication: int) -> dict[str, str]:
    """The broker's settings of a topic.

    Args:
        topic: Which.
        replication: Copies of each record. With three or more, a record counts as written when
            two have it: one broker may be down, and none that was told is lost.
    """
    found = {
        "cleanup.policy": "delete",
        "retention.ms": str(RETENTION_MS[topic]),
        "retention.bytes": str(RETENTION_BYTES.get(topic, -1)),
        "min.insync.replicas": "2" if replication >= 3 else "1",
        _STAMP: _BY_BROKER,
        _SIZE: str(_TAKEN),  # brokers may be told to take less of others
        "unclean.leader.election.enable": "false",
    }
    if topic is Topic.LEASES:
        found["segment.ms"] = str(_HOUR // 4)
    return found


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a topic that was to be there.

    Attributes:
        name: On the brokers.
        partitions: How many it has now.
        new: Whether it was made; else it was there before, and is as it was.
    """

    name: str
    partitions: int
    new: bool


@dataclass(frozen=True, slots=True)
class Described:
    """A topic as it stands.

    Attributes:
        topic: Which.
        name: On the brokers.
        bounds: Of each partition.
        retention_ms: How long records are kept; -1: for good.
        lag: Of each consumer that has committed: what it has not done with, in all partitions.
            The brokers' marks between transactions count.
        warnings: What is wrong with its settings, and what mends it.
    """

    topic: Topic
    name: str
    bounds: tuple[Bounds, ...]
    retention_ms: int
    lag: Mapping[str, int]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """A setting of a topic that is not as it should be.

    Attributes:
        topic: Whose.
        error: What it is, and what mends it.
        refused: Whether the log is not opened with it; else it is said.
    """

    topic: Topic
    error: InvalidSetting
    refused: bool


def create_topics(
    settings: KafkaSettings, *, partitions: int = PARTITIONS, replication: int = 1
) -> list[Made]:
    """Make the topics that are not there; what is there is left as it is.

    Args:
        settings: Where Kafka is, and the prefix.
        partitions: Of `transactions`.
        replication: Copies of each record.

    Raises:
        InvalidSetting: The brokers cannot make them so.
        Unavailable: No broker answers.
    """
    connection = Connection(settings)
    try:
        return connection.call(_create(connection, partitions, replication), 3 * settings.timeout_s)
    finally:
        connection.close()


def check_topics(settings: KafkaSettings) -> dict[str, int]:
    """Partitions of each topic, by its name on the brokers.

    Raises:
        InvalidSetting: A topic does not exist, or does not keep what it must.
        Incompatible: A topic that must have one partition has several.
        Unavailable: No broker answers.
    """
    connection = Connection(settings)
    try:
        found, _ = connection.call(must_exist(connection))
    finally:
        connection.close()
    return {settings.name(topic): count for topic, count in found.items()}


def asked_of(settings: KafkaSettings) -> dict[str, list[str]]:
    """What has to be known of topics that somebody else may have made: settings, by topic name."""
    return {settings.name(topic): list(keys) for topic, keys in _ASKED.items()}


def faults(settings: KafkaSettings, found: Mapping[str, Mapping[str, str]]) -> list[Fault]:
    """What is wrong with topics that were made by hand.

    Args:
        settings: Where Kafka is, and the prefix.
        found: What the brokers say to `asked_of`; what is left out is not looked at.
    """
    faults = []
    name = settings.name(Topic.LISTS)
    kept = found.get(name, {})
    cut = {key: kept[key] for key in _KEPT if kept.get(key, "-1") != "-1"}
    if cut:
        error = InvalidSetting(
            "this topic must keep its records for good: who is on a list is all of them, folded",
            field=name,
            value=", ".join(f"{key}={value}" for key, value in cut.items()),
            remedy=_mend(settings, name, dict.fromkeys(cut, "-1")),
        )
        faults.append(Fault(Topic.LISTS, error, refused=True))
    name = settings.name(Topic.TRANSACTIONS)
    stamp = found.get(name, {}).get(_STAMP, _BY_BROKER)
    if stamp != _BY_BROKER:
        error = InvalidSetting(
            "this topic does not say when a broker took a record, so that one dated ahead of time"
            " passes, and three of them make everybody else late",
            field=name,
            value=f"{_STAMP}={stamp}",
            remedy=_mend(settings, name, {_STAMP: _BY_BROKER}),
        )
        faults.append(Fault(Topic.TRANSACTIONS, error, refused=False))
    return [*faults, *_too_small(settings, found)]


def _too_small(settings: KafkaSettings, found: Mapping[str, Mapping[str, str]]) -> Iterator[Fault]:
    """Topics that take less at once than is written: such a batch would be tried for ever.

    Of `transactions` it is only said: an engine reads them, and others may well write small ones.
    Leases and decisions about lists are small.
    """
    for topic in _LARGE:
        name = settings.name(topic)
        most = found.get(name, {}).get(_SIZE)
        if most is not None and int(most) < _WRITTEN:
            error = InvalidSetting(
                f"this topic must take {_WRITTEN} bytes at once, or what is larger than it takes"
                " is never written, and holds up all that comes after it",
                field=name,
                value=f"{_SIZE}={most}",
                remedy=_mend(settings, name, {_SIZE: str(_TAKEN)}),
            )
            yield Fault(topic, error, refused=topic is not Topic.TRANSACTIONS)


def _mend(settings: KafkaSettings, name: str, right: Mapping[str, str]) -> str:
    wanted = ",".join(f"{key}={value}" for key, value in right.items())
    return (
        f"Run `kafka-configs.sh --bootstrap-server {settings.bootstrap} --alter "
        f"--entity-type topics --entity-name {name} --add-config {wanted}`."
    )


def delete_topics(settings: KafkaSettings) -> None:
    """Delete every topic of the prefix, with all it holds.

    Raises:
        Unavailable: No broker answers.
    """
    connection = Connection(settings)
    names = [settings.name(topic) for topic in Topic]
    request = DeleteTopicsRequest(names, int(settings.timeout_s * 1000))
    try:
        connection.call(connection.to_controller(request), 3 * settings.timeout_s)
    finally:
        connection.close()


def describe_topics(settings: KafkaSettings, consumers: Sequence[str]) -> list[Described]:
    """Every topic as it stands.

    Args:
        settings: Where Kafka is, and the prefix.
        consumers: Whose lag to tell.

    Raises:
        InvalidSetting: A topic does not exist.
        Unavailable: No broker answers.
    """
    connection = Connection(settings)
    try:
        return connection.call(_describe(connection, consumers), 3 * settings.timeout_s)
    finally:
        connection.close()


async def _create(connection: Connection, partitions: int, replication: int) -> list[Made]:
    settings = connection.settings
    asked: list[Any] = [
        (
            settings.name(topic),
            partitions if topic is Topic.TRANSACTIONS else 1,
            replication,
            [],
            sorted(configuration(topic, replication).items()),
        )
        for topic in Topic
    ]
    request = CreateTopicsRequest(asked, int(settings.timeout_s * 1000), validate_only=False)
    response = await connection.to_controller(request)
    new: set[str] = set()
    for name, code, why in response.topic_errors:
        if code == 0:
            new.add(name)
        elif code != _EXISTS:
            raise InvalidSetting(
                f"the brokers cannot make this topic: {why or for_code(code).__name__}",
                field=name,
                value=f"{partitions} partitions, {replication} copies",
                remedy="Ask for what the cluster can do, and look at what the user may do.",
            )
    while True:  # a new topic is known to all brokers a moment later
        found = await connection.metadata([name for name, *_ in asked])
        there = {name: len(parts) for code, name, _, _, parts, *_ in found.topics if code == 0}
        leaders = [part[2] for _, _, _, _, parts, *_ in found.topics for part in parts]
        if len(there) == len(asked) and min(leaders) >= 0:
            return [Made(name, there[name], name in new) for name, *_ in asked]
        await asyncio.sleep(PAUSE_S)


async def _describe(connection: Connection, consumers: Sequence[str]) -> list[Described]:
    settings = connection.settings
    counts, _ = await _there(connection)
    reader = Reader(connection)
    names = [settings.name(topic) for topic in Topic]
    made = await _settings(connection, dict.fromkeys(names, _DESCRIBED))
    wrong = faults(settings, made)
    found = []
    for topic in Topic:
        bounds = [await reader.bounds(topic, number) for number in range(counts[topic])]
        lag: dict[str, int] = {}
        for consumer in consumers:
            group = settings.prefix + consumer
            stands = [
                await reader.committed(group, topic, number, stable=False)
                for number in range(counts[topic])
            ]
            if any(stands):
                pairs = zip(stands, bounds, strict=True)
                lag[consumer] = sum(max(0, each.next - max(at, each.first)) for at, each in pairs)
        name = settings.name(topic)
        kept = int(made[name]["retention.ms"])
        warnings = tuple(str(each.error) for each in wrong if each.topic is topic)
        found.append(Described(topic, name, tuple(bounds), kept, lag, warnings))
    return found


async def _settings(
    connection: Connection, asked: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, str]]:
    """Settings of topics as they hold now, the brokers' own where the topic has none."""
    request = DescribeConfigsRequest([(_TOPIC, name, list(keys)) for name, keys in asked.items()])
    response = await connection.anywhere(request, lambda each: (0, each))
    found: dict[str, dict[str, str]] = {}
    for code, _, _, name, entries in response.resources:
        if code:
            raise Answer(name, code)
        found[name] = {str(entry[0]): str(entry[1]) for entry in entries}
    return found


async def must_exist(connection: Connection) -> tuple[dict[Topic, int], str]:
    """Partitions of each topic, and the identity of the topic of verdicts.

    What can be served with and should not be is said in the log.

    Raises:
        InvalidSetting: A topic does not exist, or does not keep what it must.
        Incompatible: A topic that must have one partition has several.
    """
    settings = connection.settings
    found, identity = await _there(connection)
    try:
        made = await _settings(connection, asked_of(settings))
    except Answer as error:  # who may read and write a topic may not always ask for its settings
        _log.warning("whether the topics are set up as they must be cannot be seen: %s", error)
    else:
        for each in faults(settings, made):
            if each.refused:
                raise each.error
            _log.warning("%s", each.error)
    return found, identity


async def _there(connection: Connection) -> tuple[dict[Topic, int], str]:
    """`must_exist`, whatever the topics' settings."""
    settings = connection.settings
    names = {settings.name(topic): topic for topic in Topic}
    found: dict[Topic, int] = {}
    identity = ""
    response = await connection.metadata(list(names))
    for code, name, topic_id, _, partitions, *_ in response.topics:
        topic = names[name]
        if code not in (0, _UNKNOWN_TOPIC):
            raise Answer(name, code)
        if code == 0:
            found[topic] = len(partitions)
        if topic is Topic.VERDICTS:
            identity = f"{response.cluster_id}/{topic_id}"
    missing = [name for name, topic in names.items() if topic not in found]
    if missing:
        raise InvalidSetting(
            f"Kafka has no topic {', '.join(sorted(missing))}",
            field="kafka",
            value=f"{settings.bootstrap} with the prefix {settings.prefix!r}",
            remedy="Run `ringfence topics create`, or name the prefix they have.",
        )
    for topic, count in found.items():
        if count != 1 and topic is not Topic.TRANSACTIONS:
            raise Incompatible(
                "this topic must have one partition: its order is the order of the journal",
                field=settings.name(topic),
                value=f"{count} partitions",
                remedy="Make it anew with `ringfence topics create`, or take another prefix.",
            )
    await connection.watch(list(names))
    return found, identity
