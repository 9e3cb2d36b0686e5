"""Findings on their way: from the sweep through the log into the rings, and again in a replay."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from graph.errors import InvalidInput, Unavailable
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.lists import ListChange, ListName
from graph.rings import RingEventKind
from graph.sweep import Found, Sweep, SweepLimits
from graph.transaction import DAY, HOUR, MINUTE, Entity, EntityKind, Transaction
from ingest import codec, findings, records
from ingest.currencies import RateTable
from ingest.embedded import EmbeddedLog
from ingest.engine import Engine, EngineConfig
from ingest.findings import AT_ONCE as A_RECORD
from ingest.findings import FindingsRecord, messages, read
from ingest.ports import Message, Topic
from ingest.recovery import Recovery
from ingest.reference import Facts
from ingest.sweeper import Sweeper
from scorer.detector import Detector
from scorer.findings import AT_ONCE, ROOM
from scorer.reference import Findings
from scorer.verdict import Verdict

START = 1_700_000_000_000 // DAY * DAY
RATES = RateTable("EUR", {})


def raw(number: int, payer: str, payee: str, at: int, value: float = 90) -> bytes:
    record = {
        "transaction_id": f"t{number}", "timestamp": START + at, "type": "transfer",
        "amount": f"{value:.2f}", "currency": "EUR", "user_id": payer, "counterparty_id": payee,
    }  # fmt: skip
    return json.dumps(record).encode()


def decode(data: bytes) -> Transaction:
    return codec.decode(data, rates=RATES, now=None)


def town() -> list[bytes]:
    """Seven pay four of seven others within three hours; then everybody else's day goes on."""
    pairs = sorted(
        ((a, (a + k) % 7) for a in range(7) for k in range(4)), key=lambda p: (p[0] * 5 + p[1]) % 11
    )
    lines = [raw(300 + n, "long", "ago", -20 * HOUR * (12 - n)) for n in range(12)]
    lines += [raw(n, f"quiet{n}", f"other{n}", n * MINUTE) for n in range(5)]
    for n, (a, b) in enumerate(pairs):
        lines.append(raw(100 + n, f"from{a}", f"to{b}", (10 + 5 * n) * MINUTE, 90 + 3 * n))
    lines += [raw(200 + n, f"day{n}", f"more{n}", 4 * HOUR + n * MINUTE) for n in range(30)]
    return lines


def piece(number: int, strength: float = 0.8) -> Evidence:
    ends = [Entity(EntityKind.USER, f"{side}{number}") for side in ("a", "b")]
    return Evidence(
        Pattern.DENSE_BLOCK,
        START,
        ((ends[0], Role.SENDER), (ends[1], Role.RECEIVER)),
        (Hop(f"h{number}", ends[0], ends[1], 100, START),),
        strength,
        "seen",
        {"pairs": 1.0},
    )


def quiet(number: int) -> Transaction:
    return decode(raw(number, f"q{number}", f"r{number}", number * MINUTE))


# --- into the rings -------------------------------------------------------------------------------


def test_findings_go_with_the_next_transactions_a_few_at_a_time() -> None:
    detector = Detector()
    detector.observe_batch([quiet(n) for n in range(5)])
    detector.refer(Findings(START, tuple(piece(n) for n in range(3))))
    first, second, third = detector.observe_batch([quiet(n) for n in range(5, 8)])
    assert AT_ONCE == 2  # what follows counts on it
    assert [len(verdict.findings) for verdict in (first, second, third)] == [2, 1, 0]
    born = [event.ring for event in first.ring_events]
    assert [event.kind for event in first.ring_events] == [RingEventKind.BORN] * 2
    assert [ring.patterns for ring in born] == [(Pattern.DENSE_BLOCK,)] * 2
    assert all(ring.born_at == detector.window.watermark - 2 * MINUTE for ring in born)
    assert [event.alert is not None for event in first.ring_events] == [True, True]
    # They are no deed of the transaction's.
    assert (first.evidence, first.reasons, first.rings) == ((), (), ())
    assert first.score == third.score


def test_what_was_told_is_no_news_but_what_is_weak_may_find_its_ring_later() -> None:
    detector = Detector()
    detector.observe_batch([quiet(n) for n in range(5)])
    strong, weak = piece(1), replace(piece(1, 0.4), hops=(), facts={})
    for number in range(3):
        detector.refer(Findings(START, (weak, strong)))
        (verdict,) = detector.observe_batch([quiet(10 + number)])
        assert [len(verdict.findings), len(verdict.ring_events)] == [[2, 1], [1, 1], [1, 0]][number]


def test_only_an_accepted_transaction_carries_findings() -> None:
    detector = Detector()
    detector.observe_batch([quiet(n) for n in range(5)])
    detector.refer(Findings(START, (piece(1),)))
    late = decode(raw(900, "x", "y", -2 * DAY))
    again, too_late, next_one = detector.observe_batch([quiet(3), late, quiet(9)])
    assert (again.findings, too_late.findings) == ((), ())
    assert len(next_one.findings) == 1


def test_who_is_allowed_is_no_centre_of_findings_either() -> None:
    detector = Detector()
    detector.observe_batch([quiet(n) for n in range(5)])
    detector.refer(ListChange(Entity(EntityKind.USER, "a1"), ListName.ALLOW))
    detector.refer(Findings(START, (piece(1), piece(2))))
    verdict = detector.observe(quiet(6))
    assert [found.members[0][0].id for found in verdict.findings] == ["a2"]
    assert len(verdict.ring_events) == 1


def test_there_is_room_for_so_many_and_no_more() -> None:
    detector = Detector()
    detector.refer(Findings(START, tuple(piece(n) for n in range(ROOM))))
    before = detector.snapshot()
    with pytest.raises(InvalidInput, match="more than 4096 findings wait"):
        detector.refer(Findings(START, (piece(ROOM),)))
    assert detector.snapshot() == before


def test_a_snapshot_carries_what_waits_and_what_is_unfinished() -> None:
    detector = Detector()
    detector.observe_batch([quiet(n) for n in range(5)])
    detector.refer(Findings(START, tuple(piece(n) for n in range(5))))
    detector.observe_batch([quiet(5)])
    again = Detector.restore(detector.snapshot())
    assert again.snapshot() == detector.snapshot()
    rest = [quiet(n) for n in range(6, 10)]
    assert again.observe_batch(rest) == detector.observe_batch(rest)
    again.refer(Findings(START, (piece(0),)))
    assert again.observe_batch([quiet(11)])[0].findings == ()


# --- in line --------------------------------------------------------------------------------------


IN_LINE = Sweep(limits=SweepLimits(every=HOUR))


@pytest.fixture(scope="module")
def uncut() -> tuple[list[Verdict], bytes]:
    """What a detector says of the town transaction by transaction, and its state at the end."""
    whole = Detector(sweep=IN_LINE)
    return [whole.observe(decode(line)) for line in town()], whole.snapshot()


@pytest.mark.parametrize("cuts", [[], [7], [1, 20, 44]])
def test_in_line_a_pass_comes_at_its_time_however_the_stream_is_cut(
    cuts: list[int], uncut: tuple[list[Verdict], bytes]
) -> None:
    stream = [decode(line) for line in town()]
    expected, state = uncut
    cut = Detector(sweep=IN_LINE)
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        cut = Detector.restore(cut.snapshot(), sweep=IN_LINE)
        found += cut.observe_batch(stream[start:end])
    assert found == expected
    assert cut.snapshot() == state
    rings = {r.ring_id: r for v in expected for e in v.ring_events for r in [e.ring]}
    patterns = {pattern for ring in rings.values() for pattern in ring.patterns}
    assert Pattern.DENSE_BLOCK in patterns
    assert any(v.findings for v in expected)
    assert not any(e.pattern is Pattern.DENSE_BLOCK for v in expected for e in v.evidence)


# --- on the wire ----------------------------------------------------------------------------------


def test_findings_come_back_as_they_were_in_parts() -> None:
    evidence = tuple(piece(n) for n in range(A_RECORD + 3))
    told = messages(Found(START, evidence, 0, 0, False))
    parts = [read(message.value) for message in told]
    assert [len(part.evidence) for part in parts] == [A_RECORD, 3]
    assert tuple(e for part in parts for e in part.evidence) == evidence
    assert {part.as_of for part in parts} == {START}
    assert messages(Found(START, (), 0, 0, False)) == []
    assert told[0].value.startswith(b'{"schema":"findings/1","as_of":')


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"schema":"findings/2"}',
        b'{"schema":"analysis-part/1"}',
        b"\xff",
        messages(Found(START, (piece(1, 1.5),), 0, 0, False))[0].value,
        messages(Found(START, (piece(1),), 0, 0, False))[0].value.replace(
            b'"members":[[', b'"members":[],"_":[['
        ),
    ],
)
def test_what_is_no_finding_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"sweep found|evidence needs"):
        read(data)


def test_a_verdict_keeps_its_findings_and_others_their_bytes() -> None:
    detector = Detector()
    detector.observe_batch([quiet(n) for n in range(5)])
    plain = detector.observe(quiet(5))
    detector.refer(Findings(START, (piece(1),)))
    carrying = detector.observe(quiet(6))
    for verdict, there in ((plain, False), (carrying, True)):
        line = records.VerdictRecord(Topic.TRANSACTIONS, 0, 1, records.verdict_fields(verdict))
        data = records.encode(line)
        assert (b'"findings"' in data) == there
        assert records.decode(data, records.VerdictRecord).to_verdict() == verdict


# --- beside an engine -----------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    log = EmbeddedLog(tmp_path / "log.db")
    yield log
    log.close()


def build(snapshot: bytes | None) -> Detector:
    return Detector() if snapshot is None else Detector.restore(snapshot)


FACTS = {Topic.FINDINGS: read}


def submit(engine: Engine, lines: list[bytes]) -> list:
    return engine.submit([decode(line) for line in lines], lines).result(20)


def test_a_replay_of_the_log_takes_findings_in_at_the_same_place(log: EmbeddedLog) -> None:
    engine = Engine(log, build, decode, facts=FACTS, config=EngineConfig(news_ms=0))
    sweeper = Sweeper(engine, log, Sweep())
    engine.start()
    engine.wait_ready(30)
    assert not sweeper.look()  # event time has not begun
    lines = town()
    submit(engine, lines[:50])
    assert sweeper.look()
    assert not sweeper.look()  # that pass is done
    told = [verdict for line in lines[50:60] for verdict in submit(engine, [line])]
    assert sweeper.look() == (sweeper.stats().passes == 2)
    told += submit(engine, lines[60:])
    assert engine.stop(20)
    stats = sweeper.stats()
    assert stats.findings > 0
    assert stats.error is None
    carried = [piece for verdict in told for piece in verdict.findings]
    assert Pattern.DENSE_BLOCK in {piece.pattern for piece in carried}
    published = log.read(Topic.FINDINGS, 0, 0, 100)
    assert sum(len(read(record.value).evidence) for record in published) == stats.findings

    again = Recovery(log, build, decode, Facts(log, FACTS), None)
    recovered = again.finish()
    assert (recovered.observed, recovered.differing) == (len(lines), 0)
    followed: Detector = again.detector  # type: ignore[assignment]
    straight = engine_state(log, lines)
    assert followed.snapshot() == straight


def engine_state(log: EmbeddedLog, lines: list[bytes]) -> bytes:
    """The detector after the journal, built by hand: facts told where the verdicts say."""
    detector, known = Detector(), 0
    of = {decode(line).transaction_id: line for line in lines}
    for record in log.read(Topic.VERDICTS, 0, 0, 1_000):
        header = records.decode(record.value, records.VerdictRecord)
        for fact in log.read(Topic.FINDINGS, 0, known, 100):
            if fact.offset < header.known.get(Topic.FINDINGS, 0):
                detector.refer(read(fact.value))
                known = fact.offset + 1
        verdict = detector.observe(decode(of[header.verdict.transaction_id]))
        assert verdict == header.to_verdict()
    return detector.snapshot()


class Deaf(EmbeddedLog):
    """A log that does not take anything for a while."""

    deaf = False

    def append(self, messages: list[Message]) -> list[int]:  # type: ignore[override]
        if self.deaf:
            raise Unavailable("deaf", remedy="Wait.")
        return super().append(messages)


def test_findings_the_log_did_not_take_are_sent_again_without_another_pass(tmp_path: Path) -> None:
    log = Deaf(tmp_path / "log.db")
    engine = Engine(log, build, decode, facts=FACTS)
    sweeper = Sweeper(engine, log, Sweep())
    engine.start()
    engine.wait_ready(30)
    submit(engine, town())
    log.deaf = True
    with pytest.raises(Unavailable):
        sweeper.look()
    assert log.read(Topic.FINDINGS, 0, 0, 10) == []
    log.deaf = False
    assert not sweeper.look()
    assert len(log.read(Topic.FINDINGS, 0, 0, 10)) == 1
    assert engine.stop(20)
    with pytest.raises(Unavailable):
        sweeper.look()  # nobody leads
    log.close()


def test_the_thread_sweeps_by_itself_and_ends_when_told(log: EmbeddedLog) -> None:
    engine = Engine(log, build, decode, facts=FACTS)
    engine.start()
    engine.wait_ready(30)
    submit(engine, town())
    sweeper = Sweeper(engine, log, Sweep(), look_s=0.01)
    sweeper.start()
    for _ in range(2_000):
        if sweeper.stats().passes:
            break
        engine.ask(lambda detector: detector.window.watermark).result(5)
    sweeper.stop()
    assert sweeper.stats().passes == 1
    assert engine.stop(20)


def test_a_thread_that_ends_by_an_error_says_so(
    log: EmbeddedLog, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Sweep):
        def run(self, *_: object) -> Found:
            raise ZeroDivisionError("by nobody")

    engine = Engine(log, build, decode, facts=FACTS)
    engine.start()
    engine.wait_ready(30)
    submit(engine, town())
    sweeper = Sweeper(engine, log, Broken(), look_s=0.01)
    sweeper.start()
    for _ in range(2_000):
        if sweeper.failed is not None:
            break
        engine.ask(lambda detector: detector.window.watermark).result(5)
    assert sweeper.failed == sweeper.stats().error == "ZeroDivisionError: by nobody"
    assert "the sweep ended by an error" in caplog.text
    sweeper.stop()
    assert engine.stop(20)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seen_at": 10**30},
        {"hops": [{"transaction_id": "t", "source": None, "target": None, "value": 10**15 + 1,
                   "timestamp": 1}]},
        {"hops": [{"transaction_id": "t", "source": None, "target": None, "value": 1,
                   "timestamp": -1}]},
    ],
)  # fmt: skip
def test_a_number_that_no_checkpoint_holds_is_refused(wrong: dict[str, object]) -> None:
    piece = {"evidence_id": "e", "pattern": "cycle", "seen_at": 10, "hops": [], "strength": 0.9,
             "members": [[{"kind": "user", "id": "a"}, "member"]], "reason": "So.", "facts": {},
             "retained": None, "truncated": False}  # fmt: skip

    def read(piece: dict[str, object], as_of: int = 10) -> Findings:
        record = {"schema": "findings/1", "as_of": as_of, "evidence": [piece]}
        return findings.read(json.dumps(record).encode())

    assert len(read(piece).evidence) == 1
    with pytest.raises(
        InvalidInput, match="times of 62 bits at most, and sums of 1000000000000000 minor"
    ):
        read(piece | wrong)
    with pytest.raises(InvalidInput, match="Expected `int`"):
        read(piece, as_of=10**30)


def test_a_record_names_its_schema() -> None:
    assert FindingsRecord.__struct_config__.tag == "findings/1"
