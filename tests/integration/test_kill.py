"""kill -9 at any point loses nothing and doubles nothing (docs/log.md says why)."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from ingest import records
from ingest.embedded import EmbeddedLog
from ingest.ports import Message, Topic

WORKER = Path(__file__).with_name("killed_worker.py")
STREAM, HTTP = 120, 25
POISON = range(5, STREAM, 9)


class Written(NamedTuple):
    """All that a run has said, as multisets: what came by which way is not ours to order."""

    verdicts: Counter[str]
    rings: Counter[str]
    alerts: Counter[str]
    letters: Counter[int]


def raw(name: str, user: str, at: int) -> bytes:
    record = {
        "transaction_id": name, "timestamp": 1_700_000_000_000 + at, "type": "transfer",
        "amount": "12.50", "currency": "EUR", "user_id": user, "counterparty_id": "shop",
    }  # fmt: skip
    return json.dumps(record).encode()


def prepare(folder: Path) -> None:
    """A stream with poison and duplicates in it, and requests of users of their own.

    Users of one way do not meet those of the other, so rings and alerts do not depend on how the
    two ways interleave.
    """
    folder.mkdir()
    (folder / "http").mkdir()
    log = EmbeddedLog(folder / "log.db")
    data = [raw(f"s{n if n % 10 else n // 2}", f"su{n % 7}", n) for n in range(STREAM)]
    for n in POISON:  # verdicts have a name that nobody gets twice; a letter would be doubled
        data[n] = b"\x00poison"
    log.append([Message(Topic.TRANSACTIONS, 0, d) for d in data])
    log.close()
    for n in range(HTTP):
        (folder / "http" / f"{n}.json").write_bytes(raw(f"h{n}", f"hu{n % 3}", n))


def start(
    folder: Path, http: int = HTTP, detector: str = "tiny", **environment: str
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(WORKER), str(folder), str(http), detector],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def finish(folder: Path, http: int = HTTP, detector: str = "tiny") -> dict[str, str]:
    with start(folder, http, detector) as worker:
        out, complaint = worker.communicate(timeout=60)
    assert worker.returncode == 0, complaint
    return told(out)


def told(out: str) -> dict[str, str]:
    """Answers by transaction; a line cut off by the kill was not told."""
    whole = out[: out.rfind("\n") + 1]
    return dict(line.split() for line in whole.splitlines())


def written(folder: Path) -> Written:
    log = EmbeddedLog(folder / "log.db")
    journal = [
        records.decode(r.value, records.VerdictRecord) for r in log.read(Topic.VERDICTS, 0, 0, 9999)
    ]
    for line in journal:  # each names the input it answers
        (source,) = log.read(line.topic, line.partition, line.offset, 1)
        assert source.offset == line.offset
        assert json.loads(source.value)["transaction_id"] == line.verdict.transaction_id
    assert len({(line.topic, line.offset) for line in journal}) == len(journal)
    http = log.bounds(Topic.SUBMISSIONS, 0).next
    assert http == sum(line.topic is Topic.SUBMISSIONS for line in journal)
    rings = [
        records.decode(r.value, records.RingEventRecord) for r in log.read(Topic.RINGS, 0, 0, 9999)
    ]
    alerts = [
        records.decode(r.value, records.AlertRecord) for r in log.read(Topic.ALERTS, 0, 0, 9999)
    ]
    letters = [
        records.decode(r.value, records.DeadLetterRecord)
        for r in log.read(Topic.DEAD_LETTERS, 0, 0, 9999)
    ]
    log.close()
    return Written(
        Counter(line.verdict.transaction_id for line in journal),
        Counter(f"{e.event.ring.ring_id} {e.event.ring.revision} {e.event.kind}" for e in rings),
        Counter(a.alert.alert_id for a in alerts),
        Counter(letter.offset for letter in letters),
    )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("straight") / "run"
    prepare(folder)
    finish(folder)
    result = written(folder)
    assert set(result.verdicts.values()) == {1}
    assert result.letters == dict.fromkeys(POISON, 1)
    assert len(result.rings) > 50
    assert len(result.alerts) > 10
    return result


@pytest.mark.slow
def test_killed_between_any_two_statements(tmp_path: Path, uninterrupted: Written) -> None:
    folder = tmp_path / "run"
    prepare(folder)
    random_ = random.Random(7)
    answers: dict[str, str] = {}
    kills = 0
    for _ in range(12):
        with start(folder, RINGFENCE_TEST_DIE=str(random_.randrange(1, 120))) as worker:
            out, _ = worker.communicate(timeout=60)
        kills += worker.returncode == -signal.SIGKILL
        for transaction_id, score in told(out).items():
            assert answers.setdefault(transaction_id, score) == score  # what was told stays told
    assert kills >= 8
    last = finish(folder)
    assert len(last) == HTTP
    assert answers.items() <= last.items()
    assert written(folder) == uninterrupted


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path: Path, uninterrupted: Written) -> None:
    """By the clock: also within a statement, an fsync or the writing of a checkpoint."""
    folder = tmp_path / "run"
    prepare(folder)
    random_ = random.Random(11)
    answers: dict[str, str] = {}
    for _ in range(5):
        with start(folder) as worker:
            assert worker.stdout is not None
            first = worker.stdout.readline()  # it has recovered, and is at work
            time.sleep(random_.uniform(0, 0.02))
            worker.kill()
            out = first + worker.stdout.read()
        for transaction_id, score in told(out).items():
            assert answers.setdefault(transaction_id, score) == score
    last = finish(folder)
    assert answers.items() <= last.items()
    assert written(folder) == uninterrupted


@pytest.mark.slow
def test_a_frozen_worker_that_thaws_writes_nothing_over_its_successor(
    tmp_path: Path, uninterrupted: Written
) -> None:
    folder = tmp_path / "run"
    prepare(folder)
    with start(folder) as frozen:
        assert frozen.stdout is not None
        frozen.stdout.readline()
        freeze(frozen, folder)
        try:
            last = finish(folder)
        finally:
            frozen.send_signal(signal.SIGCONT)  # else leaving the block would wait for it for ever
        _, complaint = frozen.communicate(timeout=60)
    assert frozen.returncode != 0
    assert "another process writes as engine" in complaint
    assert len(last) == HTTP
    assert written(folder) == uninterrupted


def freeze(worker: "subprocess.Popen[str]", folder: Path) -> None:
    """Stop it at a moment when it does not hold the write lock: nobody could succeed it then."""
    threads = Path(f"/proc/{worker.pid}/task")
    for _ in range(100):
        worker.send_signal(signal.SIGSTOP)
        # The signal is on its way: until it has reached every thread one may still take the lock.
        while any(state(thread) not in "Tt" for thread in threads.glob("*")):
            time.sleep(0.001)
        connection = sqlite3.connect(folder / "log.db", timeout=0.01, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            worker.send_signal(signal.SIGCONT)
        else:
            connection.execute("ROLLBACK")
            return
        finally:
            connection.close()
    raise AssertionError("it held the lock a hundred times")


def state(thread: Path) -> str:
    """Of a thread, one letter; of one that is gone the same as of one that is stopped."""
    try:
        return (thread / "stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return "T"


def money(n: int) -> bytes:
    """Transfers that run in circles of four, on devices shared by two, late and doubled ones."""
    at = 60_000 * n - (86_400_000 if n % 23 == 22 else 0)
    hop, circle = n % 4, n // 4 % 5
    record = {
        "transaction_id": f"m{n if n % 19 else n // 2}", "timestamp": 1_700_000_000_000 + at,
        "type": "transfer", "amount": str(1_000 - hop), "currency": "EUR",
        "user_id": f"c{circle}-{hop}", "counterparty_id": f"c{circle}-{(hop + 1) % 4}",
        "device_id": f"d{circle}-{hop // 2}",
    }  # fmt: skip
    return json.dumps(record).encode()


@pytest.mark.slow
def test_the_real_detector_says_the_same_bytes_in_the_same_order(tmp_path: Path) -> None:
    """One way in, so the order is given: every output topic must be equal to the last byte."""
    said: list[dict[Topic, list[bytes]]] = []
    random_ = random.Random(13)
    for name, kills in (("straight", 0), ("killed", 3)):
        folder = tmp_path / name
        folder.mkdir()
        log = EmbeddedLog(folder / "log.db")
        log.append([Message(Topic.TRANSACTIONS, 0, money(n)) for n in range(STREAM)])
        for _ in range(kills):
            step = str(random_.randrange(25, 60))
            with start(folder, 0, "real", RINGFENCE_TEST_DIE=step) as worker:
                worker.communicate(timeout=60)
            assert worker.returncode == -signal.SIGKILL
        finish(folder, 0, "real")
        outputs = (Topic.VERDICTS, Topic.RINGS, Topic.ALERTS, Topic.DEAD_LETTERS)
        said.append({topic: [r.value for r in log.read(topic, 0, 0, 9999)] for topic in outputs})
        log.close()
    straight, killed = said
    assert straight[Topic.RINGS]
    assert straight[Topic.ALERTS]
    assert killed == straight
