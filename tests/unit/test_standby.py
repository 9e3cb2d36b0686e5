"""Several engines over one log: one leads, the others follow and take over."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from graph.errors import InvalidInput, Unavailable
from graph.transaction import Transaction
from ingest import codec, records
from ingest.currencies import RateTable
from ingest.embedded import EmbeddedLog
from ingest.engine import Engine, EngineConfig
from ingest.lease import Lease
from ingest.ports import Fenced, Message, Topic
from ingest.recovery import Checkpoints
from tests.tiny_detector import TinyDetector

RATES = RateTable("EUR", {})
START = 1_700_000_000_000
PATIENCE = 0.4


def raw(name: str, at: int = 0) -> bytes:
    record = {
        "transaction_id": name, "timestamp": START + at, "type": "transfer", "amount": "12.50",
        "currency": "EUR", "user_id": "u", "counterparty_id": "shop",
    }  # fmt: skip
    return json.dumps(record).encode()


def decode(data: bytes) -> Transaction:
    return codec.decode(data, rates=RATES, now=None)


def fact(data: bytes) -> object:
    if data == b"torn":
        raise InvalidInput("torn", field="record", value="torn", remedy="Send it whole.")
    return data.decode()


Start = Callable[..., Engine]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    log = EmbeddedLog(tmp_path / "log.db")
    yield log
    log.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts an engine as another process would: with a connection to the log of its own."""
    engines: list[tuple[Engine, EmbeddedLog]] = []

    def started(*, patience: float = PATIENCE, **kwargs: Any) -> Engine:
        own = EmbeddedLog(tmp_path / "log.db")
        engine = Engine(
            own,
            TinyDetector,
            decode,
            lease=Lease(own, "engine", patience=patience),
            facts={Topic.LISTS: fact},
            config=EngineConfig(poll_ms=5, news_ms=10, checkpoint_every=10),
            **kwargs,
        )
        engine.start()
        engines.append((engine, own))
        return engine

    yield started
    for engine, own in engines:
        assert engine.stop(20)
        own.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def stream(log: EmbeddedLog, *names: str) -> None:
    log.append([Message(Topic.TRANSACTIONS, 0, raw(name)) for name in names])


def journal(log: EmbeddedLog) -> list[records.VerdictRecord]:
    page = log.read(Topic.VERDICTS, 0, 0, 10_000)
    return [records.decode(record.value, records.VerdictRecord) for record in page]


def straight(*names: str) -> list[object]:
    return list(TinyDetector().observe_batch([decode(raw(name)) for name in names]))


def test_one_leads_and_the_other_stands_by(log: EmbeddedLog, start: Start) -> None:
    leader = start()
    leader.wait_ready(20)
    standby = start()
    until(lambda: standby.stats().state == "standby")
    with pytest.raises(Unavailable, match="standby"):
        standby.submit([decode(raw("a"))], [raw("a")])
    assert leader.submit([decode(raw("a"))], [raw("a")]).result(20)
    assert standby.stats().state == "standby"


def test_a_clean_end_hands_over_at_once_and_nothing_is_lost(log: EmbeddedLog, start: Start) -> None:
    leader = start()
    leader.wait_ready(20)
    standby = start(patience=12.0)  # it looks every 1.5 s: what it waits for is the goodbye
    until(lambda: standby.stats().state == "standby")
    stream(log, *"abcd")
    until(lambda: len(journal(log)) == 4)
    assert leader.stop(20)
    standby.wait_ready(8)
    stream(log, *"efg")
    until(lambda: len(journal(log)) == 7)
    assert [line.to_verdict() for line in journal(log)] == straight(*"abcdefg")
    recovered = standby.stats().recovered
    assert recovered is not None
    assert (recovered.observed, recovered.differing) == (4, 0)


def test_whoever_is_fenced_gives_way_and_can_lead_again(log: EmbeddedLog, start: Start) -> None:
    first = start()
    first.wait_ready(20)
    stream(log, *"abc")
    until(lambda: len(journal(log)) == 3)
    log.claim("engine")  # somebody takes over, and is never heard of again
    future = first.submit([decode(raw("d"))], [raw("d")])
    with pytest.raises(Unavailable, match="recovering"):
        future.result(20)
    assert first.stats().fenced == 1
    first.wait_ready(20)  # the silence is waited for, then it leads again
    assert first.submit([decode(raw("e"))], [raw("e")]).result(20)
    assert [line.to_verdict() for line in journal(log)] == straight(*"abce")


def test_without_a_lease_a_fenced_engine_ends(log: EmbeddedLog) -> None:
    engine = Engine(log, TinyDetector, decode)
    engine.start()
    engine.wait_ready(20)
    log.claim("engine")
    future = engine.submit([decode(raw("a"))], [raw("a")])
    with pytest.raises(Unavailable):
        future.result(20)
    until(lambda: engine.stats().state == "failed")
    assert Fenced.__name__ in (engine.stats().error or "")
    assert engine.stop(20)


def test_a_standby_writes_checkpoints_too(log: EmbeddedLog, start: Start, tmp_path: Path) -> None:
    leader = start()
    leader.wait_ready(20)
    standby = start(checkpoints=Checkpoints(tmp_path / "standby"))
    stream(log, *(f"t{n}" for n in range(25)))
    until(lambda: len(journal(log)) == 25)
    until(lambda: (standby.stats().checkpoint or 0) > 0)
    assert standby.stats().state == "standby"


def test_facts_are_told_between_batches_and_told_again_alike(
    log: EmbeddedLog, start: Start
) -> None:
    leader = start()
    leader.wait_ready(20)
    standby = start()
    stream(log, *"ab")
    until(lambda: len(journal(log)) == 2)
    log.append([Message(Topic.LISTS, 0, value) for value in (b"one", b"torn", b"unusable", b"two")])
    until(lambda: leader.stats().known == {"lists": 4})
    stream(log, *"cd")
    until(lambda: len(journal(log)) == 4)
    assert [line.known for line in journal(log)] == [{}, {}, {Topic.LISTS: 4}, {Topic.LISTS: 4}]
    expected = TinyDetector()
    told = expected.observe_batch([decode(raw(name)) for name in "ab"])
    expected.refer("one")
    expected.refer("two")
    told += expected.observe_batch([decode(raw(name)) for name in "cd"])
    assert [line.to_verdict() for line in journal(log)] == told
    letters = [
        records.decode(record.value, records.DeadLetterRecord)
        for record in log.read(Topic.DEAD_LETTERS, 0, 0, 10)
    ]
    assert [(each.topic, each.offset) for each in letters] == [(Topic.LISTS, 1), (Topic.LISTS, 2)]
    assert leader.stop(20)
    standby.wait_ready(20)
    recovered = standby.stats().recovered
    assert recovered is not None
    assert (recovered.observed, recovered.differing) == (4, 0)
    assert standby.stats().known == {"lists": 4}
    stream(log, "e")
    until(lambda: len(journal(log)) == 5)
    assert journal(log)[-1].to_verdict() == expected.observe_batch([decode(raw("e"))])[0]


def test_a_fact_that_is_refused_is_a_letter_once_however_often_an_engine_starts(
    log: EmbeddedLog, start: Start
) -> None:
    """Without a transaction no checkpoint is due: each start meets the same facts."""
    log.append([Message(Topic.LISTS, 0, fact) for fact in (b"torn", b"a", b"unusable")])
    for number in range(3):
        engine = start()
        engine.wait_ready(20)
        until(lambda engine=engine, known=3 + number: engine.stats().known == {"lists": known})
        assert engine.stop(20)
        assert log.bounds(Topic.DEAD_LETTERS, 0).next == 2 + number
        log.append([Message(Topic.LISTS, 0, b"torn")])


def test_facts_come_back_with_a_checkpoint(log: EmbeddedLog, start: Start, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    first = start(checkpoints=checkpoints)
    first.wait_ready(20)
    log.append([Message(Topic.LISTS, 0, b"one")])
    until(lambda: first.stats().known == {"lists": 1})
    stream(log, *"ab")
    until(lambda: len(journal(log)) == 2)
    assert first.stop(20)
    second = start(checkpoints=checkpoints)
    second.wait_ready(20)
    recovered = second.stats().recovered
    assert recovered is not None
    assert (recovered.from_checkpoint, recovered.observed) == (2, 0)
    assert second.stats().known == {"lists": 1}


def test_what_is_out_of_reach_is_written_and_is_no_difference(
    log: EmbeddedLog, start: Start
) -> None:
    missing: list[str] = []
    leader = start(degraded=lambda: tuple(missing))
    leader.wait_ready(20)
    (whole,) = leader.submit([decode(raw("a"))], [raw("a")]).result(20)
    missing.append("cache")
    (without,) = leader.submit([decode(raw("b"))], [raw("b")]).result(20)
    assert (whole.degraded, without.degraded) == (("model",), ("model", "cache"))
    assert journal(log)[1].verdict.degraded == ("model", "cache")
    assert leader.stop(20)
    second = start()
    second.wait_ready(20)
    recovered = second.stats().recovered
    assert recovered is not None
    assert (recovered.observed, recovered.differing) == (2, 0)
