"""The engine and the log on a real Kafka, with what can happen to either (docs/log.md)."""

import asyncio
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from api.probes import Answer, ask_all
from api.settings import Settings
from graph.errors import InvalidSetting, Unavailable
from graph.transaction import HOUR, Transaction
from ingest import codec, kafka_writer, records
from ingest.currencies import RateTable
from ingest.engine import Engine, EngineConfig
from ingest.fields import LONGEST_ID
from ingest.kafka import KafkaLog
from ingest.kafka_client import KafkaSettings
from ingest.kafka_topics import check_topics, create_topics, delete_topics, describe_topics
from ingest.ports import LARGEST_VALUE, Fenced, Message, Topic
from ingest.recovery import Build
from ingest.redrive import Became, Choice, Row, redrive

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("kafka_worker.py")
STREAM = 120


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_detectors = _module(ROOT / "tests" / "tiny_detector.py")
tiny: Build = _detectors.TinyDetector
verbose: Build = _detectors.VerboseDetector


class Written(NamedTuple):
    """All that a run has said, as multisets."""

    verdicts: Counter[bytes]
    rings: Counter[bytes]
    alerts: Counter[bytes]
    letters: Counter[int]


START = 1_700_000_000_000
"""Epoch milliseconds that the streams begin at."""


def raw(name: str, user: str, at: int, currency: str = "EUR") -> bytes:
    record = {
        "transaction_id": name, "timestamp": START + at, "type": "transfer",
        "amount": "12.50", "currency": currency, "user_id": user, "counterparty_id": "shop",
    }  # fmt: skip
    return json.dumps(record).encode()


def stream() -> list[bytes]:
    """Duplicates, poison and a schema of another time among them."""
    data = [raw(f"s{n if n % 10 else n // 2}", f"u{n % 7}", n) for n in range(STREAM)]
    data[5] = data[50] = b"\x00poison"
    data[70] = b'{"schema": "payment/9", "who": "u1"}'
    return data


def understood() -> set[str]:
    """The ids of the stream that get a verdict, each one."""
    return {json.loads(data)["transaction_id"] for data in stream() if b"transaction_id" in data}


def written(log: KafkaLog) -> Written:
    def values(topic: Topic) -> list[bytes]:
        return [record.value for record in log.read(topic, 0, 0, 100_000)]

    letters = [records.decode(v, records.DeadLetterRecord) for v in values(Topic.DEAD_LETTERS)]
    return Written(
        Counter(values(Topic.VERDICTS)),
        Counter(values(Topic.RINGS)),
        Counter(values(Topic.ALERTS)),
        Counter(letter.offset for letter in letters),
    )


def verdict_ids(log: KafkaLog) -> Counter[str | None]:
    return Counter(record.key for record in log.read(Topic.VERDICTS, 0, 0, 100_000))


@pytest.fixture
def places(kafka_url: str) -> Iterator[Callable[..., KafkaSettings]]:
    made: list[KafkaSettings] = []

    def place(partitions: int = 1, bootstrap: str = kafka_url, **rest: float) -> KafkaSettings:
        made.append(KafkaSettings(bootstrap, prefix=f"test-{uuid.uuid4().hex[:12]}.", **rest))
        create_topics(made[-1], partitions=partitions)
        return made[-1]

    yield place
    for where in made:
        if where.bootstrap == kafka_url:
            delete_topics(where)


class Broker:
    """A broker of this test's own, to be killed."""

    def __init__(self, folder: Path, jars: Path) -> None:
        self._environment = {
            **os.environ,
            "SERVERS_DIR": str(folder),
            "SERVERS_JARS": str(jars),
            "SERVERS_KAFKA_HEAP": "256m",
            # Timed-out transactions are looked for every 10 s otherwise.
            "SERVERS_KAFKA_CONF": "transaction.abort.timed.out.transaction.cleanup.interval.ms=500",
        }
        self.start()
        lines = (folder / "env").read_text().splitlines()
        self.url = dict(line.split("=", 1) for line in lines if "=" in line)["RINGFENCE_TEST_KAFKA"]

    def _servers(self, verb: str) -> None:
        command = [str(ROOT / "deploy" / "local" / "servers"), verb, "kafka"]
        subprocess.run(command, env=self._environment, check=True, capture_output=True, timeout=200)

    def start(self) -> None:
        self._servers("start")

    def kill(self) -> None:
        self._servers("kill")


@pytest.fixture(scope="module")
def broker(kafka_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("broker")
    found = Broker(folder, ROOT / ".cache" / "servers" / "jars")
    yield found
    found.kill()


EUROS = RateTable("EUR", {})


def understand(data: bytes) -> Transaction:
    return codec.decode(data, rates=EUROS, now=None)


def run_engine(log: KafkaLog, rates: RateTable = EUROS, detector: Build = tiny) -> Engine:
    engine = Engine(
        log,
        detector,
        lambda data: codec.decode(data, rates=rates, now=None),
        config=EngineConfig(batch=16, stream_share=8, poll_ms=5),
    )
    engine.start()
    return engine


def done(log: KafkaLog) -> bool:
    for partition in range(log.partitions(Topic.TRANSACTIONS)):
        last = log.read(Topic.TRANSACTIONS, partition, 0, 100_000)[-1].offset
        if log.committed("engine", Topic.TRANSACTIONS, partition) <= last:
            return False
    return True


def until(what: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def start_worker(where: KafkaSettings, folder: Path, **variables: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(WORKER), where.bootstrap, where.prefix, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        stdout=subprocess.PIPE,
        text=True,
    )


def run_worker(where: KafkaSettings, folder: Path, **variables: str) -> int:
    folder.mkdir(exist_ok=True)
    worker = start_worker(where, folder, **variables)
    worker.communicate(timeout=120)
    return worker.returncode


# -- row 1: the worker is killed ---------------------------------------------------------------


def test_a_worker_killed_between_any_two_requests_loses_and_doubles_nothing(
    places: Callable[..., KafkaSettings], tmp_path: Path
) -> None:
    expected = places()
    straight = KafkaLog(expected)
    straight.append([Message(Topic.TRANSACTIONS, 0, value) for value in stream()])
    assert run_worker(expected, tmp_path / "straight") == 0
    whole = written(straight)
    straight.close()
    assert sum(whole.verdicts.values()) > 90
    assert whole.letters == Counter([5, 50, 70])

    where = places()
    log = KafkaLog(where)
    log.append([Message(Topic.TRANSACTIONS, 0, value) for value in stream()])
    chance = random.Random(4)
    kills = 0
    # What precedes the first commit takes some 20 requests, a commit 5.
    while run_worker(where, tmp_path / "killed", RINGFENCE_TEST_DIE=str(chance.randint(12, 45))):
        kills += 1
        assert kills < 60
    assert kills >= 3
    assert written(log) == whole
    log.close()


# -- row 2: the broker is killed ---------------------------------------------------------------


def test_a_broker_down_longer_than_the_transaction_may_take_leaves_no_hole(
    places: Callable[..., KafkaSettings], broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end cannot be learnt: the writer gives up, and the input is answered by the next."""
    monkeypatch.setattr(kafka_writer, "END_S", 1.0)
    where = places(bootstrap=broker.url, timeout_s=6.0, transaction_timeout_s=4.0)
    log = KafkaLog(where)
    log.append([Message(Topic.TRANSACTIONS, 0, value) for value in stream()])
    writer = log.claim("engine")
    with pytest.raises(Fenced, match="cannot be known"), writer.transaction() as outputs:  # noqa: PT012
        outputs.append([Message(Topic.VERDICTS, 0, b"ghost", "ghost")])
        outputs.commit("engine", Topic.TRANSACTIONS, 0, 60)
        outputs.append([Message(Topic.ALERTS, 0, b"ghost", "ghost")])
        broker.kill()
    with pytest.raises(Unavailable):
        log.read(Topic.VERDICTS, 0, 0, 10)
    with pytest.raises(Fenced), writer.transaction():
        pass
    time.sleep(5.0)  # longer than the transaction may take
    broker.start()
    until(lambda: answers(log))
    engine = run_engine(log)
    engine.wait_ready(60)
    until(lambda: done(log))
    assert engine.stop(30)
    assert verdict_ids(log) == Counter(understood())
    assert log.read(Topic.ALERTS, 0, 0, 1000)[0].key != "ghost"
    log.close()


def answers(log: KafkaLog) -> bool:
    try:
        log.bounds(Topic.VERDICTS, 0)
    except Unavailable:
        return False
    return True


def test_an_engine_outlives_its_broker(
    places: Callable[..., KafkaSettings], broker: Broker
) -> None:
    where = places(bootstrap=broker.url, timeout_s=3.0, transaction_timeout_s=60.0)
    log = KafkaLog(where)
    log.append([Message(Topic.TRANSACTIONS, 0, value) for value in stream()])
    engine = run_engine(log)
    until(lambda: engine.stats().batches >= 2)
    broker.kill()
    time.sleep(1.0)
    broker.start()
    until(lambda: answers(log))
    until(lambda: done(log), 90)
    assert engine.stats().state == "running"
    assert engine.stop(30)
    assert verdict_ids(log) == Counter(understood())
    log.close()


def test_an_epoch_whose_answer_was_lost_is_no_fence_unless_there_is_another_writer(
    places: Callable[..., KafkaSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    where = places()
    log = KafkaLog(where)
    writer = log.claim("engine")
    renew = writer.producer.begin_epoch

    async def unheard() -> None:
        before = writer.producer.id
        await renew()
        writer.producer.id = before
        raise TimeoutError

    async def silence(_batches: object) -> None:
        raise TimeoutError

    def lose_an_epoch() -> None:
        with monkeypatch.context() as lost:
            lost.setattr(writer.producer, "produce", silence)
            with pytest.raises(Unavailable), writer.transaction() as outputs:
                outputs.append([Message(Topic.VERDICTS, 0, b"unsure", "unsure")])
            lost.setattr(writer.producer, "begin_epoch", unheard)
            with pytest.raises(Unavailable), writer.transaction():
                pass

    lose_an_epoch()
    with writer.transaction() as outputs:
        outputs.append([Message(Topic.VERDICTS, 0, b"said", "said")])
    assert verdict_ids(log) == Counter(["said"])
    lose_an_epoch()
    heir = KafkaLog(where)
    heir.claim("engine")
    with pytest.raises(Fenced), writer.transaction():
        pass
    heir.close()
    log.close()


# -- row 3: the worker is frozen ---------------------------------------------------------------


def test_a_frozen_leader_is_replaced_and_says_nothing_when_it_thaws(
    places: Callable[..., KafkaSettings], tmp_path: Path
) -> None:
    where = places()
    log = KafkaLog(where)
    data = stream()
    log.append([Message(Topic.TRANSACTIONS, 0, value) for value in data[:60]])
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    first = start_worker(where, tmp_path / "first", RINGFENCE_TEST_LEASE="1")
    second = None
    try:
        until(lambda: done(log))
        second = start_worker(where, tmp_path / "second", RINGFENCE_TEST_LEASE="1")
        assert second.stdout is not None
        until(lambda: second.stdout.readline().startswith("standby"))
        os.kill(first.pid, signal.SIGSTOP)
        frozen_at = time.monotonic()
        log.append([Message(Topic.TRANSACTIONS, 0, value) for value in data[60:]])
        until(lambda: done(log))
        assert time.monotonic() - frozen_at < 30  # the bar is 5 s, on a machine that is ours
        os.kill(first.pid, signal.SIGCONT)
        log.append([Message(Topic.TRANSACTIONS, 0, raw("last", "u1", STREAM))])
        until(lambda: done(log))
        assert first.stdout is not None
        until(lambda: first.stdout.readline().split()[0] in ("standby", "recovering"))
    finally:
        for worker in (first, second):
            if worker is not None:
                worker.kill()
                worker.communicate()
    assert max(verdict_ids(log).values()) == 1
    assert verdict_ids(log)["last"] == 1
    assert written(log).letters == Counter([5, 50, 70])
    log.close()


# -- row 6: poison -----------------------------------------------------------------------------


def test_dead_letters_say_where_and_why_and_go_back_once(
    places: Callable[..., KafkaSettings],
) -> None:
    where = places(partitions=2)
    log = KafkaLog(where)
    log.append([Message(Topic.TRANSACTIONS, 0, raw("good", "a", 1))])
    log.append(
        [
            Message(Topic.TRANSACTIONS, 1, b"\x00poison"),
            Message(Topic.TRANSACTIONS, 1, raw("krona", "b", 2, currency="SEK")),
            Message(Topic.TRANSACTIONS, 1, raw("after", "b", 3)),
        ]
    )
    engine = run_engine(log)
    until(lambda: done(log))
    assert engine.stop(30)
    assert verdict_ids(log) == Counter(["good", "after"])
    letters = [
        records.decode(record.value, records.DeadLetterRecord)
        for record in log.read(Topic.DEAD_LETTERS, 0, 0, 10)
    ]
    assert [(letter.topic, letter.partition, letter.offset) for letter in letters] == [
        (Topic.TRANSACTIONS, 1, 0),
        (Topic.TRANSACTIONS, 1, 1),
    ]
    assert "SEK" in letters[1].reason

    def put_back(choice: Choice, **how: bool) -> list[Became]:
        rows: list[Row] = []
        redrive(log, choice, rows.append, **how)
        return [row.became for row in rows]

    assert put_back(Choice(), dry_run=True) == [Became.DUE, Became.DUE]
    assert put_back(Choice(Topic.TRANSACTIONS, 1, 1)) == [Became.REDRIVEN]
    assert put_back(Choice(Topic.TRANSACTIONS, 1, 1)) == [Became.BEFORE]
    engine = run_engine(log, RateTable("EUR", {"SEK": "0.09"}))
    until(lambda: done(log))
    assert engine.stop(30)
    assert verdict_ids(log) == Counter(["good", "after", "krona"])
    assert put_back(Choice()) == [Became.REDRIVEN, Became.BEFORE]  # the poison, and what went
    log.close()


def test_no_record_is_too_large_to_be_said_something_about(
    places: Callable[..., KafkaSettings],
) -> None:
    """Poison as large as the broker takes, the largest record that is read, a ring at length."""
    where = places(partitions=1)
    log = KafkaLog(where)
    poison = b"x" * 850_000
    largest = raw("largest", "a", 1).ljust(codec.LARGEST_RECORD)
    for value in (poison, largest, largest + b" "):
        log.append([Message(Topic.TRANSACTIONS, 0, value, "user a")])
    engine = run_engine(log, detector=verbose)
    until(lambda: done(log))
    sent = [raw(f"h{n}", "b", n).ljust(codec.LARGEST_RECORD) for n in range(3)]
    said = engine.submit([understand(each) for each in sent], sent).result(30)
    assert said[2].ring_events[0].ring.truncated
    assert engine.stop(30)
    assert engine.standing() == ("stopped", None)
    assert verdict_ids(log) == Counter(["largest", "h0", "h1", "h2"])
    letters = [
        records.decode(record.value, records.DeadLetterRecord)
        for record in log.read(Topic.DEAD_LETTERS, 0, 0, 10)
    ]
    assert [each.size for each in letters] == [850_000, msgspec.UNSET]
    assert letters[1].raw == largest + b" "
    rows: list[Row] = []
    redrive(log, Choice(), rows.append)
    assert [row.became for row in rows] == [Became.REDRIVEN, Became.REDRIVEN]
    back = log.read(Topic.TRANSACTIONS, 0, letters[1].offset + 1, 10)
    assert [(each.value, each.key) for each in back] == [
        (poison, "user a"),
        (largest + b" ", "user a"),
    ]
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


def test_clocks_an_hour_ahead_are_dead_letters_and_make_nobody_late(
    places: Callable[..., KafkaSettings],
) -> None:
    now = int(time.time() * 1000) - START  # of `raw`
    ahead = [raw(f"fast{n}", f"u{n}", now + HOUR) for n in range(3)]
    log = KafkaLog(places(partitions=1))
    log.append([Message(Topic.TRANSACTIONS, 0, value) for value in ahead])
    log.append([Message(Topic.TRANSACTIONS, 0, raw("right", "a", now))])
    engine = run_engine(log)
    until(lambda: done(log))
    assert engine.stop(30)
    (line,) = log.read(Topic.VERDICTS, 0, 0, 10)
    verdict = records.decode(line.value, records.VerdictRecord).verdict
    assert (verdict.transaction_id, verdict.admission) == ("right", "accepted")
    letters = [
        records.decode(record.value, records.DeadLetterRecord)
        for record in log.read(Topic.DEAD_LETTERS, 0, 0, 10)
    ]
    assert [letter.raw for letter in letters] == ahead
    assert {letter.code for letter in letters} == {"invalid-transaction"}
    log.close()


# -- topics, security, the index ---------------------------------------------------------------


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


def test_it_enters_by_tls_and_scram(kafka_secure) -> None:
    where = KafkaSettings(
        kafka_secure.url,
        prefix=f"test-{uuid.uuid4().hex[:12]}.",
        security="sasl-tls",
        user=kafka_secure.user,
        password=kafka_secure.password,
        ca=kafka_secure.ca,
    )
    assert kafka_secure.password not in repr(where)
    create_topics(where)
    log = KafkaLog(where)
    with log.claim("engine").transaction() as outputs:
        outputs.append([Message(Topic.VERDICTS, 0, b"v", "t")])
    assert log.find(Topic.VERDICTS, ["t"])["t"].value == b"v"
    log.close()
    delete_topics(where)


@pytest.mark.parametrize("wrong", ["password", "security", "ca"])
def test_who_may_not_enter_is_told(kafka_secure, wrong: str, tmp_path: Path) -> None:
    right = {
        "security": "sasl-tls", "user": kafka_secure.user, "password": kafka_secure.password,
        "ca": kafka_secure.ca,
    }  # fmt: skip
    settings = {**right, wrong: {"password": "guess", "security": "plaintext", "ca": None}[wrong]}
    where = KafkaSettings(kafka_secure.url, timeout_s=3.0, **settings)
    with pytest.raises(Unavailable, match="Kafka does not answer") as raised:
        KafkaLog(where)
    assert kafka_secure.password not in str(raised.value)
    # Whichever it was, the brokers' words do not say: all three causes are named.
    for cause in ("host and port", "kafka_security", "kafka_ca", "kafka_user", "kafka_password"):
        assert cause in raised.value.remedy


def test_a_broker_that_is_not_there_is_unavailable_soon() -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        KafkaLog(KafkaSettings("127.0.0.1:1", timeout_s=2.0))
    assert time.monotonic() - began < 15


def test_the_index_outlives_its_process_and_not_its_topic(
    places: Callable[..., KafkaSettings], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    where = places()
    log = KafkaLog(where, tmp_path / "index.db")
    with log.claim("engine").transaction() as outputs:
        outputs.append([Message(Topic.VERDICTS, 0, b"%d" % n, f"t{n}") for n in range(100)])
    log.close()
    again = KafkaLog(where, tmp_path / "index.db")
    assert again._index.following == 100  # not read up again
    assert again.find(Topic.VERDICTS, ["t99", "t0", "other"]).keys() == {"t0", "t99"}
    again.close()
    (tmp_path / "index.db").write_bytes(b"torn")
    torn = KafkaLog(where, tmp_path / "index.db")
    assert torn.find(Topic.VERDICTS, ["t99"])["t99"].value == b"99"
    torn.close()
    assert "read up anew" in caplog.text
    delete_topics(where)

    def made_anew() -> bool:
        try:
            return (
                all(made.partitions for made in create_topics(where)) and check_topics(where) != {}
            )
        except InvalidSetting:
            return False

    until(made_anew)
    caplog.clear()
    anew = KafkaLog(where, tmp_path / "index.db")
    assert anew.find(Topic.VERDICTS, ["t99"]) == {}
    assert "another topic" in caplog.text
    anew.close()
