"""Followers and the worker: sinks may be slow, dead or picky, and no verdict waits for them."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from graph.errors import InvalidInput, Unavailable
from graph.rings import Alert
from graph.transaction import Transaction
from ingest import codec, records, sinks
from ingest.currencies import RateTable
from ingest.embedded import EmbeddedLog
from ingest.engine import Engine
from ingest.lease import Lease
from ingest.ports import Message, Topic
from ingest.sinks import Follower, alerts, scored
from ingest.worker import Worker
from scorer.verdict import Verdict
from tests.tiny_detector import TinyDetector

RATES = RateTable("EUR", {})
Scored = tuple[Transaction, Verdict]


def decode(data: bytes) -> Transaction:
    return codec.decode(data, rates=RATES, now=None)


def raw(name: str) -> bytes:
    record = {
        "transaction_id": name, "timestamp": 1_700_000_000_000, "type": "transfer",
        "amount": "12.50", "currency": "EUR", "user_id": "u", "counterparty_id": "shop",
    }  # fmt: skip
    return json.dumps(record).encode()


class Table:
    """A sink that keeps rows by transaction id, as a merge would, and can be down or picky."""

    def __init__(self) -> None:
        self.rows: dict[str, Scored] = {}
        self.offsets: list[int] = []
        self.down = threading.Event()
        self.refuses: set[str] = set()
        self.writes = 0

    def write(self, batch: Sequence[Scored], /, *, offset: int) -> None:
        self.writes += 1
        if self.down.is_set():
            raise Unavailable("the table is down", remedy="Start it.")
        for transaction, _ in batch:
            if transaction.transaction_id in self.refuses:
                raise InvalidInput("cannot be written", field="row", remedy="Repair it.")
        self.rows.update({row[0].transaction_id: row for row in batch})
        self.offsets.append(offset)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    log = EmbeddedLog(tmp_path / "log.db")
    yield log
    log.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "POLL_S", 0.005)
    monkeypatch.setattr(sinks, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(sinks, "LONGEST_PAUSE_S", 0.04)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def score(log: EmbeddedLog, *names: str) -> list[Verdict]:
    engine = Engine(log, TinyDetector, decode)
    engine.start()
    engine.wait_ready(20)
    data = [raw(name) for name in names]
    verdicts = engine.submit([decode(d) for d in data], data).result(20)
    assert engine.stop(20)
    return verdicts


def follower(log: EmbeddedLog, sink: Any, **kwargs: Any) -> Follower[Scored]:
    follower = Follower(log, Topic.VERDICTS, "table", scored(log, decode), sink, **kwargs)
    follower.start()
    return follower


def letters(log: EmbeddedLog) -> list[records.DeadLetterRecord]:
    page = log.read(Topic.DEAD_LETTERS, 0, 0, 99)
    return [records.decode(record.value, records.DeadLetterRecord) for record in page]


def test_every_verdict_comes_with_its_transaction_and_its_ring_events(log: EmbeddedLog) -> None:
    verdicts = score(log, "a", "b", "c")
    table = Table()
    following = follower(log, table)
    until(lambda: len(table.rows) == 3)
    assert following.stop(20)
    assert [table.rows[v.transaction_id] for v in verdicts] == [
        (decode(raw(v.transaction_id)), v) for v in verdicts
    ]
    assert table.rows["c"][1].ring_events[0].alert is not None
    assert table.offsets == [3]
    assert log.committed("table", Topic.VERDICTS, 0) == 3
    assert following.stats().written == 3
    assert following.stats().state == "stopped"


def test_alerts_come_as_the_core_knows_them(log: EmbeddedLog) -> None:
    verdicts = score(log, *"abcdef")
    heard: list[Alert] = []

    class Ear:
        def write(self, batch: Sequence[Alert], /, *, offset: int) -> None:
            heard.extend(batch)

    following = Follower(log, Topic.ALERTS, "ear", alerts, Ear())
    following.start()
    until(lambda: len(heard) == 2)
    assert following.stop(20)
    assert heard == [e.alert for v in verdicts for e in v.ring_events if e.alert]


def test_a_restarted_follower_goes_on_from_its_offset(log: EmbeddedLog) -> None:
    score(log, "a", "b")
    first = Table()
    following = follower(log, first)
    until(lambda: len(first.rows) == 2)
    assert following.stop(20)
    score(log, "c")
    second = Table()
    following = follower(log, second)
    until(lambda: len(second.rows) == 1)
    assert following.stop(20)
    assert set(second.rows) == {"c"}


def test_a_sink_that_lost_everything_says_where_to_begin(log: EmbeddedLog) -> None:
    score(log, "a", "b")
    with log.claim("table").transaction() as outputs:
        outputs.commit("table", Topic.VERDICTS, 0, 2)
    table = Table()
    following = follower(log, table, stands=Held(offset=0))
    until(lambda: len(table.rows) == 2)
    assert following.stop(20)


class Held:
    """Where a sink says that it stands."""

    def __init__(self, offset: int | None = None, log: str | None = None) -> None:
        self.at = offset
        self.log = log

    def offset(self) -> int | None:
        return self.at

    def fed_from(self) -> str | None:
        return self.log

    def feed_from(self, log: str) -> None:
        self.log = log


def test_a_sink_that_holds_another_logs_verdicts_is_not_fed(
    log: EmbeddedLog, tmp_path: Path
) -> None:
    """What lies before its offset would be left out without a word."""
    other = EmbeddedLog(tmp_path / "other.db")
    table, stands = Table(), Held()
    score(other, "x", "y")
    following = follower(other, table, stands=stands)
    until(lambda: len(table.rows) == 2)
    assert following.stop(20)
    assert stands.log == other.identity
    stands.at = 2
    score(log, "a", "b", "c")  # longer than the other: the offset alone says nothing
    following = follower(log, table, stands=stands)
    until(lambda: following.stats().state == "failed")
    error = following.stats().error or ""
    assert "what table holds was fed from another log" in error
    assert f"{other.identity}, but this one is {log.identity}" in error
    assert set(table.rows) == {"x", "y"}
    assert following.stop(20)
    following = follower(other, table, stands=stands)  # its own goes on
    score(other, "z")
    until(lambda: len(table.rows) == 3)
    assert following.stop(20)
    other.close()


def test_a_sink_of_before_is_taken_to_be_of_this_log_and_that_is_said(
    log: EmbeddedLog, caplog: pytest.LogCaptureFixture
) -> None:
    score(log, "a", "b")
    table, stands = Table(), Held(offset=1)
    following = follower(log, table, stands=stands)
    until(lambda: set(table.rows) == {"b"})
    assert following.stop(20)
    assert stands.log == log.identity
    assert "does not say which log it was fed from, up to 1" in caplog.text


def test_a_sink_that_is_further_than_its_log_is_not_fed(log: EmbeddedLog) -> None:
    score(log, "a")
    following = follower(log, Table(), stands=Held(offset=9, log=log.identity))
    until(lambda: following.stats().state == "failed")
    assert "9, but this log ends at 1" in (following.stats().error or "")
    assert following.stop(20)


def test_a_dead_sink_delays_no_verdict_and_catches_up(log: EmbeddedLog) -> None:
    table = Table()
    table.down.set()
    following = follower(log, table)
    verdicts = score(log, *(f"t{n}" for n in range(10)))
    assert len(verdicts) == 10
    until(lambda: table.writes >= 3)
    until(lambda: following.stats().lag == 10)
    stats = following.stats()
    assert (stats.state, stats.written) == ("waiting", 0)
    assert "the table is down" in str(stats.error)
    score(log, "later")
    until(lambda: following.stats().lag == 11)  # it grows while the sink is away
    table.down.clear()
    until(lambda: len(table.rows) == 11)
    until(lambda: following.stats().lag == 0)
    assert following.stats().error is None
    assert following.stop(20)
    assert letters(log) == []


def test_a_sink_that_is_away_from_the_start_has_a_lag(log: EmbeddedLog) -> None:
    class Away(Held):
        def offset(self) -> int:
            raise Unavailable("it is not there", remedy="Start it.")

    following = follower(log, Table(), stands=Away())
    score(log, "a", "b")
    until(lambda: following.stats().lag == 2)
    assert following.stop(20)


def test_a_follower_of_a_dead_sink_can_be_stopped(log: EmbeddedLog) -> None:
    score(log, "a")
    table = Table()
    table.down.set()
    following = follower(log, table)
    until(lambda: table.writes >= 1)
    assert following.stop(20)
    assert log.committed("table", Topic.VERDICTS, 0) == 0


@pytest.mark.parametrize("bad", [{"t0"}, {"t9"}, {"t3", "t4", "t8"}, {f"t{n}" for n in range(10)}])
def test_rows_a_sink_refuses_become_dead_letters_and_the_rest_is_written(
    log: EmbeddedLog, bad: set[str]
) -> None:
    names = [f"t{n}" for n in range(10)]
    score(log, *names)
    table = Table()
    table.refuses = bad
    following = follower(log, table)
    until(lambda: log.committed("table", Topic.VERDICTS, 0) == 10)
    assert following.stop(20)
    assert set(table.rows) == set(names) - bad
    assert [(x.consumer, x.topic, x.offset) for x in letters(log)] == [
        ("table", Topic.VERDICTS, n) for n, name in enumerate(names) if name in bad
    ]
    assert "cannot be written" in letters(log)[0].reason
    stats = following.stats()
    assert (stats.written, stats.dead_letters) == (10 - len(bad), len(bad))


def test_a_sink_with_a_bug_ends_its_follower_visibly(log: EmbeddedLog) -> None:
    class Broken:
        def write(self, batch: Sequence[Scored], /, *, offset: int) -> None:
            raise KeyError("oops")

    score(log, "a")
    following = follower(log, Broken())
    until(lambda: following.stats().state == "failed")
    assert following.stats().error == "KeyError: 'oops'"
    assert following.stop(20)
    assert log.committed("table", Topic.VERDICTS, 0) == 0


def test_a_follower_that_is_too_far_behind_counts_what_it_lost(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path / "log.db", retention={Topic.VERDICTS: 4, Topic.SUBMISSIONS: 3})
    score(log, *(f"t{n}" for n in range(10)))
    table = Table()
    following = follower(log, table)
    until(lambda: log.committed("table", Topic.VERDICTS, 0) == 10)
    assert following.stop(20)
    assert list(table.rows) == ["t7", "t8", "t9"]
    assert following.stats().lost == 7
    log.close()


def test_a_worker_drains_on_sigterm(log: EmbeddedLog) -> None:
    log.append([Message(Topic.TRANSACTIONS, 0, raw(f"t{n}")) for n in range(20)])
    table = Table()
    engine = Engine(log, TinyDetector, decode)
    following = Follower(log, Topic.VERDICTS, "table", scored(log, decode), table)
    before = signal.getsignal(signal.SIGTERM)

    def terminate() -> None:
        until(lambda: len(table.rows) == 20)
        os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=terminate)
    killer.start()
    Worker(engine, [following]).run()
    killer.join()
    assert engine.stats().state == "stopped"
    assert following.stats().state == "stopped"
    assert signal.getsignal(signal.SIGTERM) is before
    assert log.committed("engine", Topic.TRANSACTIONS, 0) == 20


def test_a_worker_whose_engine_fails_says_so(log: EmbeddedLog) -> None:
    line = records.VerdictRecord(
        Topic.TRANSACTIONS,
        0,
        0,
        records.verdict_fields(TinyDetector().observe_batch([decode(raw("a"))])[0]),
    )
    log.append([Message(Topic.VERDICTS, 0, records.encode(line), "a")])
    log.append([Message(Topic.TRANSACTIONS, 0, raw("other"))])
    with pytest.raises(Unavailable, match="the journal answers a here"):
        Worker(Engine(log, TinyDetector, decode)).run()


def test_one_of_two_followers_follows_and_the_other_takes_over(tmp_path: Path) -> None:
    log, other = EmbeddedLog(tmp_path / "log.db"), EmbeddedLog(tmp_path / "log.db")
    table = Table()
    first, second = (
        Follower(
            own,
            Topic.VERDICTS,
            "table",
            scored(own, decode),
            table,
            lease=Lease(own, "table", patience=0.4),
        )
        for own in (log, other)
    )
    score(log, "a", "b")
    first.start()
    until(lambda: len(table.rows) == 2)
    second.start()
    until(lambda: second.stats().state == "standby")
    assert first.stop(20)
    until(lambda: second.stats().state == "running")
    score(log, "c")
    until(lambda: list(table.rows) == ["a", "b", "c"])
    log.claim("table")  # somebody else writes as it now, and is never heard of again
    score(log, "d")
    until(lambda: list(table.rows) == ["a", "b", "c", "d"])
    assert second.stop(20)
    assert second.stats().error is None
    log.close()
    other.close()
