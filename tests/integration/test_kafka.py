"""The engine and the log on a real Kafka, with what can happen to either (docs/log.md)."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from graph.errors import InvalidSetting, Unavailable
from graph.transaction import HOUR, Transaction
from ingest import codec, kafka_writer, records
from ingest.currencies import RateTable
from ingest.kafka import KafkaLog
from ingest.kafka_client import KafkaSettings
from ingest.kafka_topics import check_topics, create_topics, delete_topics
from ingest.ports import Fenced, Message, Topic
from ingest.redrive import Became, Choice, Row, redrive
from tests.integration.kafka_engine import (
    EUROS,
    START,
    raw,
    run_engine,
    until,
    verbose,
    verdict_ids,
)

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("kafka_worker.py")
STREAM = 120


class Written(NamedTuple):
    """All that a run has said, as multisets."""

    verdicts: Counter[bytes]
    rings: Counter[bytes]
    alerts: Counter[bytes]
    letters: Counter[int]


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


def understand(data: bytes) -> Transaction:
    return codec.decode(data, rates=EUROS, now=None)


def done(log: KafkaLog) -> bool:
    for partition in range(log.partitions(Topic.TRANSACTIONS)):
        last = log.read(Topic.TRANSACTIONS, partition, 0, 100_000)[-1].offset
        if log.committed("engine", Topic.TRANSACTIONS, partition) <= last:
            return False
    return True


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


# -- the index ---------------------------------------------------------------------------------


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
