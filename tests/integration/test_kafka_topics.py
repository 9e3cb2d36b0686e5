"""Topics of the real Kafka: how they are made, described and changed, and which are refused."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Callable

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from api.probes import Answer, ask_all
from api.settings import Settings
from graph.errors import InvalidSetting
from ingest.fields import LONGEST_ID
from ingest.kafka import KafkaLog
from ingest.kafka_client import KafkaSettings
from ingest.kafka_topics import check_topics, create_topics, describe_topics
from ingest.ports import LARGEST_VALUE, Message, Topic
from tests.integration.kafka_engine import raw, run_engine, until, verdict_ids


def test_missing_topics_are_named_with_the_command_that_makes_them(kafka_url: str) -> None:
    where = KafkaSettings(kafka_url, prefix=f"nobody-{uuid.uuid4().hex}.")
    began = time.monotonic()
    with pytest.raises(InvalidSetting, match=r"nobody-\w+\.verdicts.*ringfence topics create"):
        KafkaLog(where)
    with pytest.raises(InvalidSetting, match="ringfence topics create"):
        check_topics(where)
    assert time.monotonic() - began < 10


def test_topics_are_made_once_and_described(places: Callable[..., KafkaSettings]) -> None:
    where = places(partitions=3)
    assert not any(made.new for made in create_topics(where, partitions=5))
    assert check_topics(where)[where.name(Topic.TRANSACTIONS)] == 3
    log = KafkaLog(where)
    log.append([Message(Topic.TRANSACTIONS, 1, b"x")] * 5)
    with log.claim("engine").transaction() as outputs:
        outputs.commit("engine", Topic.TRANSACTIONS, 1, 2)
    found = {each.topic: each for each in describe_topics(where, ["engine", "graph"])}
    transactions = found[Topic.TRANSACTIONS]
    assert [bounds.next for bounds in transactions.bounds] == [0, 5, 0]
    assert transactions.lag == {"engine": 3}
    assert transactions.retention_ms == 7 * 86_400_000
    assert found[Topic.LISTS].retention_ms == -1
    log.close()


def _alter(where: KafkaSettings, topic: Topic, **values: str) -> None:
    async def alter() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=where.bootstrap)
        await admin.start()
        try:
            name = where.name(topic)
            changed = {key.replace("_", "."): value for key, value in values.items()}
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, changed)])
        finally:
            await admin.close()

    asyncio.run(alter())


def test_topics_made_by_hand_are_told_from_ours(
    places: Callable[..., KafkaSettings], caplog: pytest.LogCaptureFixture
) -> None:
    where = places()
    KafkaLog(where).close()
    assert not caplog.messages
    _alter(where, Topic.LISTS, retention_ms="604800000")
    _alter(where, Topic.TRANSACTIONS, message_timestamp_type="CreateTime")

    async def asked() -> Answer:
        (answer,) = await ask_all(
            Settings.load({}, kafka=where.bootstrap, kafka_prefix=where.prefix)
        )
        return answer

    lists, stream = where.name(Topic.LISTS), where.name(Topic.TRANSACTIONS)
    for look in (KafkaLog, check_topics):
        with pytest.raises(InvalidSetting, match="must keep its records for good") as raised:
            look(where)
        assert (raised.value.field, raised.value.value) == (lists, "retention.ms=604800000")
        assert f"--entity-name {lists} --add-config retention.ms=-1`" in raised.value.remedy
    answer = asyncio.run(asked())
    assert not answer.ok
    assert "must keep its records for good" in answer.said
    assert "retention.ms=-1" in answer.remedy
    found = {each.topic: each.warnings for each in describe_topics(where, [])}  # it still shows
    assert "retention.ms=604800000" in found[Topic.LISTS][0]
    assert "CreateTime" in found[Topic.TRANSACTIONS][0]
    assert not found[Topic.VERDICTS]

    _alter(where, Topic.LISTS, retention_ms="-1")
    until(
        lambda: (
            [each.topic for each in describe_topics(where, []) if each.warnings]
            == [Topic.TRANSACTIONS]
        )
    )
    caplog.clear()
    KafkaLog(where).close()
    assert "WARNING  ingest.kafka_topics" in caplog.text
    assert f"{stream}: this topic does not say when a broker took a record" in caplog.text
    answer = asyncio.run(asked())
    assert answer.ok
    assert "message.timestamp.type=LogAppendTime" in answer.warnings[0]


def test_a_topic_that_takes_less_than_is_written_is_refused_at_the_start(
    places: Callable[..., KafkaSettings], caplog: pytest.LogCaptureFixture
) -> None:
    """The engine tried a verdict that the broker does not take for ever, and nothing after it."""
    where = places()

    def told_of() -> list[Topic]:
        return [each.topic for each in describe_topics(where, []) if each.warnings]

    assert told_of() == []
    _alter(where, Topic.VERDICTS, max_message_bytes="500000")
    _alter(
        where,
        Topic.TRANSACTIONS,
        max_message_bytes="1000",
        message_timestamp_type="LogAppendTime",
    )
    verdicts, stream = where.name(Topic.VERDICTS), where.name(Topic.TRANSACTIONS)
    until(lambda: told_of() == [Topic.TRANSACTIONS, Topic.VERDICTS])
    for look in (KafkaLog, check_topics):
        with pytest.raises(InvalidSetting, match="must take 904096 bytes at once") as raised:
            look(where)
        assert (raised.value.field, raised.value.value) == (verdicts, "max.message.bytes=500000")
        mended = f"--entity-name {verdicts} --add-config max.message.bytes=1048588`"
        assert mended in raised.value.remedy
    _alter(where, Topic.VERDICTS, max_message_bytes="904096")
    until(lambda: told_of() == [Topic.TRANSACTIONS])
    caplog.clear()
    log = KafkaLog(where)  # of small transactions it is only said
    assert f"{stream}: this topic must take" in caplog.text
    log.append([Message(Topic.VERDICTS, 0, b"x" * LARGEST_VALUE, "k" * LONGEST_ID)])
    log.close()


def test_partitions_added_to_a_running_system_are_read(
    places: Callable[..., KafkaSettings],
) -> None:
    where = places(partitions=1)
    log = KafkaLog(where)
    log.append([Message(Topic.TRANSACTIONS, 0, raw("a", "a", 1))])
    engine = run_engine(log)
    until(lambda: verdict_ids(log) == Counter("a"))
    add_partitions(where, Topic.TRANSACTIONS, 3)
    producer = KafkaLog(where)  # it finds three
    producer.append([Message(Topic.TRANSACTIONS, 2, raw("b", "b", 2))])
    until(lambda: verdict_ids(log) == Counter("ab"))
    assert engine.stats().stream_lag is not None
    assert engine.stop(30)
    producer.close()
    log.close()


def add_partitions(where: KafkaSettings, topic: Topic, count: int) -> None:
    async def add() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=where.bootstrap)
        await admin.start()
        try:
            await admin.create_partitions({where.name(topic): NewPartitions(count)})
        finally:
            await admin.close()

    asyncio.run(add())
