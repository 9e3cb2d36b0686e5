"""The engine: two ways in, one order out."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from graph.errors import Incompatible, InvalidInput, Unavailable
from graph.transaction import Transaction
from ingest import codec, records
from ingest.arrivals import Arrivals
from ingest.currencies import RateTable
from ingest.embedded import EmbeddedLog
from ingest.engine import Engine, EngineConfig
from ingest.ports import LARGEST_VALUE, Detector, Message, Outputs, Overloaded, Topic, Writer
from ingest.recovery import Build, Checkpoint, Checkpoints, Recovered, Recovery
from ingest.reference import Facts
from ingest.stream import Decode, Input
from scorer.verdict import Verdict
from tests.tiny_detector import TinyDetector, VerboseDetector

RATES = RateTable("EUR", {})
START = 1_700_000_000_000


def raw(name: str, user: str = "u", at: int = 0) -> bytes:
    record = {
        "transaction_id": name, "timestamp": START + at, "type": "transfer", "amount": "12.50",
        "currency": "EUR", "user_id": user, "counterparty_id": "shop",
    }  # fmt: skip
    return json.dumps(record).encode()


def decode(data: bytes) -> Transaction:
    return codec.decode(data, rates=RATES, now=None)


class Gate(TinyDetector):
    """Observes when it is let, and keeps the sizes of its batches."""

    def __init__(self, snapshot: bytes | None = None) -> None:
        super().__init__(snapshot)
        self.open = threading.Event()
        self.entered = threading.Event()
        self.sizes: list[int] = []

    def observe_batch(self, transactions: Sequence[Transaction]) -> list[Verdict]:
        if transactions:
            self.sizes.append(len(transactions))
            self.entered.set()
            assert self.open.wait(20)
        verdicts: list[Verdict] = super().observe_batch(transactions)
        return verdicts


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    log = EmbeddedLog(tmp_path / "log.db")
    yield log
    log.close()


@contextmanager
def running(
    log: EmbeddedLog, build: Callable[..., Any] = TinyDetector, **kwargs: Any
) -> Iterator[Engine]:
    engine = Engine(log, build, decode, **kwargs)
    engine.start()
    engine.wait_ready(20)
    try:
        yield engine
    finally:
        assert engine.stop(20)


def submit(engine: Engine, *data: bytes) -> list[Verdict]:
    return engine.submit([decode(d) for d in data], data).result(20)


def stream(log: EmbeddedLog, *data: bytes) -> None:
    log.append([Message(Topic.TRANSACTIONS, 0, d) for d in data])


def recover(
    log: EmbeddedLog, build: Build, decode: Decode, checkpoints: Checkpoints | None
) -> tuple[Detector, Recovered]:
    recovery = Recovery(log, build, decode, Facts(log, {}), checkpoints)
    return recovery.detector, recovery.finish()


def journal(log: EmbeddedLog) -> list[records.VerdictRecord]:
    page = log.read(Topic.VERDICTS, 0, 0, 100_000)
    return [records.decode(record.value, records.VerdictRecord) for record in page]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_submission_is_answered_after_it_is_written(log: EmbeddedLog) -> None:
    with running(log) as engine:
        verdicts = submit(engine, raw("a"), raw("b"))
        assert [v.transaction_id for v in verdicts] == ["a", "b"]
        assert [line.to_verdict() for line in journal(log)] == verdicts
    assert [(line.topic, line.offset) for line in journal(log)] == [
        (Topic.SUBMISSIONS, 0),
        (Topic.SUBMISSIONS, 1),
    ]
    assert [r.value for r in log.read(Topic.SUBMISSIONS, 0, 0, 9)] == [
        raw("a"),
        raw("b"),
    ]


def test_the_stream_is_followed_and_its_offset_committed(log: EmbeddedLog) -> None:
    stream(log, raw("a"), raw("b"))
    with running(log):
        until(lambda: len(journal(log)) == 2)
        stream(log, raw("c"))
        until(lambda: len(journal(log)) == 3)
    assert [(line.partition, line.offset) for line in journal(log)] == [(0, 0), (0, 1), (0, 2)]
    assert log.committed("engine", Topic.TRANSACTIONS, 0) == 3


def test_ring_events_and_alerts_stand_beside_their_verdict(log: EmbeddedLog) -> None:
    with running(log) as engine:
        verdicts = submit(engine, *(raw(f"t{n}", at=n) for n in range(6)))
    events = [
        records.decode(r.value, records.RingEventRecord) for r in log.read(Topic.RINGS, 0, 0, 99)
    ]
    assert [e.transaction_id for e in events] == ["t2", "t3", "t4", "t5"]
    assert [e.to_event() for e in events] == [e for v in verdicts for e in v.ring_events]
    alerts = [
        records.decode(r.value, records.AlertRecord) for r in log.read(Topic.ALERTS, 0, 0, 99)
    ]
    assert [(a.transaction_id, a.to_alert().alert_id) for a in alerts] == [
        ("t2", "ring-u-3"),
        ("t5", "ring-u-6"),
    ]
    assert engine.stats().alerts == 2
    assert engine.stats().ring_events == 4


def test_what_queues_up_is_one_batch_and_an_idle_engine_does_not_wait(log: EmbeddedLog) -> None:
    gate = Gate()
    with running(log, lambda _: gate) as engine:
        first = engine.submit([decode(raw("a"))], [raw("a")])
        assert gate.entered.wait(20)
        rest = [engine.submit([decode(raw(f"b{n}"))], [raw(f"b{n}")]) for n in range(5)]
        gate.open.set()
        assert first.result(20)[0].transaction_id == "a"
        assert [f.result(20)[0].transaction_id for f in rest] == [f"b{n}" for n in range(5)]
    assert gate.sizes == [1, 5]


def test_a_duplicate_gets_the_first_verdict_on_both_paths(log: EmbeddedLog) -> None:
    with running(log) as engine:
        (first,) = submit(engine, raw("a"))
        again = submit(engine, raw("a", at=5), raw("b"), raw("a"), raw("b"))
        assert again[0] == again[2] == first
        assert again[1] == again[3]
        stream(log, raw("a"), raw("c"))
        until(lambda: engine.stats().observed == {"accepted": 3})
        assert engine.stats().duplicates == 4
    assert [line.verdict.transaction_id for line in journal(log)] == ["a", "b", "c"]
    with running(log) as engine:  # and after a restart
        assert submit(engine, raw("a")) == [first]
    assert len(journal(log)) == 3


def test_a_duplicate_of_something_with_evidence_gets_all_of_it_back(log: EmbeddedLog) -> None:
    with running(log) as engine:
        verdicts = submit(engine, *(raw(f"t{n}", at=n) for n in range(4)))
        again = submit(engine, *(raw(f"t{n}", at=n) for n in range(4)))
    assert again == verdicts
    assert again[3].evidence[0].evidence_id == verdicts[3].evidence[0].evidence_id


def test_poison_becomes_a_dead_letter_and_the_partition_moves_on(log: EmbeddedLog) -> None:
    stream(log, raw("a"), b"\xff\x00not json", b"[" * 100_000, raw("b"), b"{}")
    with running(log) as engine:
        until(lambda: engine.stats().dead_letters == 3)
    assert [line.verdict.transaction_id for line in journal(log)] == ["a", "b"]
    letters = [
        records.decode(r.value, records.DeadLetterRecord)
        for r in log.read(Topic.DEAD_LETTERS, 0, 0, 9)
    ]
    assert [(x.topic, x.partition, x.offset) for x in letters] == [
        (Topic.TRANSACTIONS, 0, n) for n in (1, 2, 4)
    ]
    assert letters[0].raw == b"\xff\x00not json"
    assert letters[2].code == "invalid-transaction"
    assert all(x.reason for x in letters)
    assert log.committed("engine", Topic.TRANSACTIONS, 0) == 5


def test_answers_and_how_far_the_stream_was_read_are_one_commit(log: EmbeddedLog) -> None:
    """Whatever a kill leaves behind is the log as it stood between two transactions."""
    stream(log, *(b"poison" if n % 4 == 1 else raw(f"t{n}") for n in range(20)))
    claim, stood = log.claim, []

    class Watched:
        def __init__(self, writer: Writer) -> None:
            self.writer = writer

        @contextmanager
        def transaction(self) -> Iterator[Outputs]:
            with self.writer.transaction() as outputs:
                yield outputs
            said = [log.bounds(topic, 0).next for topic in (Topic.VERDICTS, Topic.DEAD_LETTERS)]
            stood.append((sum(said), log.committed("engine", Topic.TRANSACTIONS, 0)))

    log.claim = lambda owner: Watched(claim(owner))  # type: ignore[assignment,method-assign,return-value]
    with running(log, config=EngineConfig(batch=4, stream_share=4)):
        until(lambda: log.committed("engine", Topic.TRANSACTIONS, 0) == 20)
    assert stood == [(n, n) for n in (4, 8, 12, 16, 20)]


def test_late_ones_are_answered_written_and_counted(log: EmbeddedLog) -> None:
    with running(log) as engine:
        verdicts = submit(engine, raw("a", at=10_000_000), raw("b", at=0))
        assert [v.admission for v in verdicts] == ["accepted", "late"]
        assert engine.stats().observed == {"accepted": 1, "late": 1}
    assert len(journal(log)) == 2


def test_nothing_submitted_is_nothing_answered(log: EmbeddedLog) -> None:
    with running(log) as engine:
        assert submit(engine) == []
    assert journal(log) == []


def test_a_full_queue_says_when_to_come_back_and_takes_nothing(log: EmbeddedLog) -> None:
    gate = Gate()
    with running(log, lambda _: gate, config=EngineConfig(queue=3)) as engine:
        engine.submit([decode(raw("a"))], [raw("a")])
        assert gate.entered.wait(20)
        waiting = engine.submit([decode(raw("b")), decode(raw("c"))], [raw("b"), raw("c")])
        with pytest.raises(Overloaded, match="Send it again in 1 s") as caught:
            engine.submit([decode(raw("d")), decode(raw("e"))], [raw("d"), raw("e")])
        assert caught.value.retry_after == 1.0
        assert caught.value.http_status == 503
        assert engine.stats().queued == 2
        with pytest.raises(InvalidInput, match="at most 3"):
            engine.submit([decode(raw(f"x{n}")) for n in range(4)], [raw("x")] * 4)
        gate.open.set()
        assert len(waiting.result(20)) == 2
    assert [line.verdict.transaction_id for line in journal(log)] == ["a", "b", "c"]


def test_submissions_do_not_starve_the_stream(log: EmbeddedLog) -> None:
    gate = Gate()
    config = EngineConfig(batch=4, stream_share=2, poll_ms=1)
    with running(log, lambda _: gate, config=config) as engine:
        engine.submit([decode(raw("a"))], [raw("a")])
        assert gate.entered.wait(20)
        stream(log, *(raw(f"s{n}") for n in range(4)))
        futures = [engine.submit([decode(raw(f"h{n}"))], [raw(f"h{n}")]) for n in range(8)]
        gate.open.set()
        for future in futures:
            future.result(20)
        until(lambda: len(journal(log)) == 13)
    names = [line.verdict.transaction_id for line in journal(log)]
    assert names == ["a", "h0", "h1", "h2", "h3", "s0", "s1", "h4", "h5", "h6", "h7", "s2", "s3"]


def test_a_submission_cancelled_while_it_waits_is_not_scored(log: EmbeddedLog) -> None:
    gate = Gate()
    with running(log, lambda _: gate) as engine:
        engine.submit([decode(raw("a"))], [raw("a")])
        assert gate.entered.wait(20)
        future = engine.submit([decode(raw("b"))], [raw("b")])
        assert future.cancel()
        gate.open.set()
        submit(engine, raw("c"))
        with pytest.raises(CancelledError):
            future.result(0)
    assert [line.verdict.transaction_id for line in journal(log)] == ["a", "c"]


def test_questions_are_asked_between_batches_and_are_bounded_in_time(log: EmbeddedLog) -> None:
    gate = Gate()
    with running(log, lambda _: gate, config=EngineConfig(questions=2)) as engine:
        engine.submit([decode(raw("a"))], [raw("a")])
        assert gate.entered.wait(20)
        thread = engine.ask(lambda d: (threading.current_thread().name, dict(d.state["counts"])))
        stale = engine.ask(lambda d: 1, timeout=0.0)
        with pytest.raises(Overloaded):
            engine.ask(lambda d: 2)
        gate.open.set()
        assert thread.result(20) == ("engine", {"u": 1})
        with pytest.raises(Unavailable, match="busy"):
            stale.result(20)
        with pytest.raises(ZeroDivisionError):
            engine.ask(lambda d: 1 / 0).result(20)
        assert submit(engine, raw("b"))  # a bad question harms nobody


def test_stopping_answers_what_waits_and_refuses_what_comes(log: EmbeddedLog) -> None:
    gate = Gate()
    engine = Engine(log, lambda _: gate, decode)
    engine.start()
    engine.wait_ready(20)
    first = engine.submit([decode(raw("a"))], [raw("a")])
    assert gate.entered.wait(20)
    second = engine.submit([decode(raw("b"))], [raw("b")])
    stopper = threading.Thread(target=engine.stop)
    stopper.start()
    until(lambda: engine.stats().state == "stopping")
    with pytest.raises(Unavailable, match="stopping"):
        engine.submit([decode(raw("c"))], [raw("c")])
    gate.open.set()
    stopper.join(20)
    assert (first.result(0)[0].transaction_id, second.result(0)[0].transaction_id) == ("a", "b")
    assert [line.verdict.transaction_id for line in journal(log)] == ["a", "b"]
    with pytest.raises(Unavailable, match="stopped"):
        engine.ask(lambda d: 1)


def test_a_restart_goes_on_as_if_nothing_had_happened(log: EmbeddedLog, tmp_path: Path) -> None:
    data = [raw(f"t{n}", user=f"u{n % 5}", at=n) for n in range(60)]
    straight = TinyDetector().observe_batch([decode(d) for d in data])
    told: list[Verdict] = []
    for start in range(0, 60, 20):
        with running(log) as engine:
            told += submit(engine, *data[start : start + 20])
            recovered = engine.stats().recovered
            assert recovered is not None
            assert (recovered.observed, recovered.differing, recovered.missing) == (start, 0, 0)
    assert told == straight
    assert [line.to_verdict() for line in journal(log)] == straight


def test_a_checkpoint_shortens_recovery_and_changes_nothing(
    log: EmbeddedLog, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    data = [raw(f"t{n}", user=f"u{n % 5}", at=n) for n in range(40)]
    straight = TinyDetector().observe_batch([decode(d) for d in data])
    with running(log, checkpoints=checkpoints) as engine:
        submit(engine, *data[:30])
    with running(log) as engine:  # without checkpoints: the journal alone
        submit(engine, *data[30:35])
    with running(log, checkpoints=checkpoints) as engine:
        recovered = engine.stats().recovered
        assert recovered is not None
        assert (recovered.from_checkpoint, recovered.observed, recovered.differing) == (30, 5, 0)
        submit(engine, *data[35:])
    assert [line.to_verdict() for line in journal(log)] == straight


def test_a_torn_checkpoint_falls_back_to_the_one_before_and_says_so(
    log: EmbeddedLog, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoints"
    for start in range(0, 40, 10):
        with running(log, checkpoints=Checkpoints(folder)) as engine:
            submit(engine, *(raw(f"t{n}", at=n) for n in range(start, start + 10)))
    names = sorted(path.name for path in folder.iterdir())
    assert [name[:16] for name in names] == ["000000000000030-", "000000000000040-"]
    newest = folder / names[1]
    newest.write_bytes(newest.read_bytes()[:-3])
    detector, recovered = recover(log, TinyDetector, decode, Checkpoints(folder))
    assert (recovered.from_checkpoint, recovered.observed) == (30, 10)
    assert names[1] in recovered.refused[0]
    (folder / names[0]).write_bytes(b"")
    again, recovered = recover(log, TinyDetector, decode, Checkpoints(folder))
    assert (recovered.from_checkpoint, recovered.observed, len(recovered.refused)) == (None, 40, 2)
    assert again.snapshot() == detector.snapshot()


def test_a_checkpoint_of_another_log_is_refused(
    log: EmbeddedLog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By its name, not by its offset: the other log may be the shorter one."""
    folder = tmp_path / "checkpoints"
    other = EmbeddedLog(tmp_path / "other.db")
    with running(other, checkpoints=Checkpoints(folder)) as engine:
        submit(engine, raw("x"), raw("y"))
    with running(log) as engine:
        expected = submit(engine, *(raw(f"t{n}", at=n) for n in range(9)))
    with running(log, checkpoints=Checkpoints(folder)) as engine:
        recovered = engine.stats().recovered
        assert submit(engine, *(raw(f"t{n}", at=n) for n in range(9))) == expected
    assert recovered is not None
    assert (recovered.from_checkpoint, recovered.observed, recovered.differing) == (None, 9, 0)
    (refused,) = recovered.refused
    assert f"another log, {other.identity}; this one is {log.identity}" in refused
    assert refused in caplog.text
    other.close()


def test_checkpoints_of_another_log_do_not_push_out_those_of_this_one(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for offset in (98, 99):
        checkpoints.save(offset, b"", {}, log="other")
    kept = [(checkpoints.save(at, b"", {}, log="this"), _offsets(checkpoints)) for at in (1, 2, 3)]
    # Those of the other stay until this one has as many as are kept.
    assert [offsets for _, offsets in kept] == [
        [("other", 99), ("other", 98), ("this", 1)],
        [("this", 2), ("this", 1)],
        [("this", 3), ("this", 2)],
    ]
    # A log that was put back from a copy ends earlier: what lies beyond was refused.
    checkpoints.save(1, b"", {}, log="this")
    checkpoints.save(2, b"", {}, log="this")
    assert _offsets(checkpoints) == [("this", 2), ("this", 1)]


def _offsets(checkpoints: Checkpoints) -> list[tuple[str, int]]:
    found = [each for _, each in checkpoints.load()]
    return [(each.log, each.offset) for each in found if isinstance(each, Checkpoint)]


def test_a_checkpoint_beyond_the_end_of_its_log_is_refused(
    log: EmbeddedLog, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.save(99, TinyDetector().snapshot(), {}, log=log.identity)
    with running(log, checkpoints=checkpoints) as engine:
        recovered = engine.stats().recovered
    assert recovered is not None
    assert "the journal ends at 0" in recovered.refused[0]


def test_a_checkpoint_of_a_detector_of_another_version_is_refused_aloud(
    log: EmbeddedLog, tmp_path: Path
) -> None:
    """Its file is whole; what lies in it is the detector's to refuse."""
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    for start in (0, 10):
        with running(log, checkpoints=checkpoints) as engine:
            submit(engine, *(raw(f"t{n}", at=n) for n in range(start, start + 10)))
    broken = checkpoints.save(20, b"of another version", {}, log=log.identity)
    detector, recovered = recover(log, TinyDetector, decode, checkpoints)
    assert (recovered.from_checkpoint, recovered.observed, recovered.differing) == (10, 10, 0)
    assert recovered.refused == (f"{broken.name}: not a tiny snapshot. Begin anew.",)
    assert detector.snapshot() == recover(log, TinyDetector, decode, None)[0].snapshot()


def test_an_engine_writes_checkpoints_while_it_runs(log: EmbeddedLog, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    config = EngineConfig(checkpoint_every=10)
    with running(log, checkpoints=Checkpoints(folder), config=config) as engine:
        submit(engine, *(raw(f"t{n}") for n in range(12)))
        until(lambda: engine.stats().checkpoint == 12)


def test_verdicts_that_come_out_differently_now_are_counted(log: EmbeddedLog) -> None:
    with running(log) as engine:
        submit(engine, raw("a"), raw("b"))

    def changed(snapshot: bytes | None) -> Any:
        detector = TinyDetector(snapshot)
        detector.state["hash"] = 7
        return detector

    _, recovered = recover(log, changed, decode, None)
    assert recovered.differing == 2


def test_recovery_starts_after_what_retention_took(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path / "log.db", retention={Topic.VERDICTS: 30, Topic.SUBMISSIONS: 20})
    with running(log) as engine:
        for start in range(0, 100, 10):
            submit(engine, *(raw(f"t{n}", at=n) for n in range(start, start + 10)))
    _, recovered = recover(log, TinyDetector, decode, None)
    assert (recovered.observed, recovered.missing) == (20, 80)
    log.close()


def test_a_journal_that_names_another_input_is_refused(log: EmbeddedLog) -> None:
    with running(log) as engine:
        submit(engine, raw("a"))
    stream(log, raw("x"))
    verdict = TinyDetector().observe_batch([decode(raw("b"))])[0]
    line = records.VerdictRecord(Topic.TRANSACTIONS, 0, 0, records.verdict_fields(verdict))
    log.append([Message(Topic.VERDICTS, 0, records.encode(line), "b")])
    with pytest.raises(Incompatible, match="the journal answers b here"):
        recover(log, TinyDetector, decode, None)
    engine = Engine(log, TinyDetector, decode)
    engine.start()
    with pytest.raises(Unavailable, match="the journal answers b here"):
        engine.wait_ready(20)
    with pytest.raises(Unavailable, match="failed"):
        engine.submit([decode(raw("c"))], [raw("c")])


def test_a_second_engine_takes_over_and_the_first_answers_nothing_more(log: EmbeddedLog) -> None:
    first = Engine(log, TinyDetector, decode)
    first.start()
    first.wait_ready(20)
    submit(first, raw("a"))
    with running(log) as second:
        with pytest.raises(Unavailable, match="another process writes as engine"):
            submit(first, raw("b"))
        assert first.stats().state == "failed"
        submit(second, raw("b"))
    assert [line.verdict.transaction_id for line in journal(log)] == ["a", "b"]


@contextmanager
def full_disk(engine: Engine, log: EmbeddedLog) -> Iterator[None]:
    """Lets the file of the log not grow by one page, for the connection of the engine's thread."""
    connection = engine.ask(lambda _: log._line().connection).result(20)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    yield
    connection.execute("PRAGMA max_page_count = 1000000")


MANY = [raw(f"m{n}", at=n) for n in range(200)]  # more than the free part of any page


def test_a_log_that_is_full_is_waited_for_and_nothing_is_told_before(log: EmbeddedLog) -> None:
    with running(log) as engine:
        with full_disk(engine, log):
            future = engine.submit([decode(d) for d in MANY], MANY)
            until(lambda: engine.stats().commit_failures >= 2)
            assert not future.done()
            assert "full" in str(engine.stats().error)
            assert journal(log) == []
        assert len(future.result(20)) == 200
        assert engine.stats().error is None
    assert len(journal(log)) == 200


def test_a_stop_while_the_log_is_full_refuses_what_was_not_written(
    log: EmbeddedLog, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    config = EngineConfig(give_up_ms=100)
    with running(log, checkpoints=checkpoints, config=config) as engine:
        submit(engine, raw("a"))
        with full_disk(engine, log):
            future = engine.submit([decode(d) for d in MANY], MANY)
            until(lambda: engine.stats().commit_failures >= 1)
            assert engine.stop(20)
        with pytest.raises(Unavailable, match="full"):
            future.result(0)
    # The detector had seen them, the journal had not: no checkpoint may say otherwise.
    assert list((tmp_path / "checkpoints").iterdir()) == []
    with running(log) as engine:
        straight = TinyDetector().observe_batch([decode(d) for d in (raw("a"), *MANY)])
        assert submit(engine, raw("a"), *MANY) == straight


def test_where_work_is_slow_fewer_may_wait_but_one_always_may() -> None:
    room = Arrivals(transactions=100, questions=1)
    room.expect(2)
    inputs = tuple(Input(decode(raw(f"w{n}")), raw(f"w{n}")) for n in range(50))
    room.submit(inputs)
    with pytest.raises(Overloaded):
        room.must_have_room(1)
    room.take(50)
    room.must_have_room(100)


def test_a_full_disk_keeps_scoring_and_says_so(
    log: EmbeddedLog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "checkpoints"
    checkpoints = Checkpoints(folder)
    # Where the first checkpoint will be written is a device that is always full.
    first = checkpoints.save(10, b"", {}, log=log.identity)
    first.unlink()
    first.with_suffix(".unfinished").symlink_to("/dev/full")
    config = EngineConfig(checkpoint_every=10, poll_ms=5)
    with running(log, checkpoints=checkpoints, config=config) as engine:
        submit(engine, *(raw(f"t{n}") for n in range(10)))
        until(lambda: engine.stats().checkpoint_failures == 1)
        assert "No space left on device" in caplog.text
        assert engine.stats().checkpoint_error == "No space left on device"
        assert list(folder.iterdir()) == []  # nothing torn is left to be read, or to fill it
        assert submit(engine, raw("after"))[0].transaction_id == "after"
        submit(engine, *(raw(f"u{n}") for n in range(20)))
        until(lambda: [path.suffix for path in folder.iterdir()] == [".checkpoint"])
        until(lambda: engine.stats().checkpoint_error is None)
    with running(log, checkpoints=checkpoints) as engine:
        recovered = engine.stats().recovered
    assert recovered is not None
    assert (recovered.observed, recovered.differing) == (0, 0)


def test_what_comes_between_batches_hears_how_many_transactions_each_had(log: EmbeddedLog) -> None:
    heard: list[int] = []
    with running(log, between=heard.append) as engine:
        submit(engine, raw("t1"), raw("t2"))
        submit(engine, raw("t2"))
    assert heard == [2, 1]


def test_a_verdict_too_large_for_a_log_is_cut_and_the_answer_is_what_is_written(
    log: EmbeddedLog,
) -> None:
    said = [raw(f"v{n}") for n in range(3)]  # the third makes a ring
    with running(log, VerboseDetector) as engine:
        verdicts = submit(engine, *said)
        assert [line.to_verdict() for line in journal(log)] == verdicts
        assert verdicts[2].ring_events[0].ring.truncated
        for topic in (Topic.VERDICTS, Topic.RINGS):
            assert all(len(each.value) <= LARGEST_VALUE for each in log.read(topic, 0, 0, 9))
    _, recovered = recover(log, VerboseDetector, decode, None)
    assert (recovered.observed, recovered.differing) == (3, 0)


def test_poison_of_any_size_becomes_a_letter_a_log_takes(log: EmbeddedLog) -> None:
    stream(log, b"x" * 700_000, b" " * 5_000_000, raw("a"))
    with running(log):
        until(lambda: len(journal(log)) == 1)
    page = log.read(Topic.DEAD_LETTERS, 0, 0, 9)
    assert all(len(record.value) <= LARGEST_VALUE for record in page)
    letters = [records.decode(record.value, records.DeadLetterRecord) for record in page]
    assert [(each.code, each.size) for each in letters] == [
        ("record-too-large", 700_000),
        ("record-too-large", 5_000_000),
    ]


def test_an_idle_engine_forgets_that_it_could_not_read_once_it_can(log: EmbeddedLog) -> None:
    with running(log, config=EngineConfig(poll_ms=5)) as engine:
        connection = engine.ask(lambda _: log._line().connection).result(20)
        connection.set_progress_handler(lambda: 1, 1)  # every statement is broken off
        until(lambda: engine.stats().error is not None)
        connection.set_progress_handler(None, 1)
        until(lambda: engine.stats().error is None)
