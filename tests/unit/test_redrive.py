"""Dead letters go back to the stream once, whichever log holds them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graph.errors import InvalidInput
from graph.transaction import Transaction
from ingest import codec, records
from ingest.currencies import RateTable
from ingest.embedded import EmbeddedLog
from ingest.ports import LARGEST_VALUE, Message, Record, Topic
from ingest.redrive import PAGE, Became, Choice, Row, redrive


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    found = EmbeddedLog(tmp_path / "log.db")
    yield found
    found.close()


def letter(offset: int, topic: Topic = Topic.TRANSACTIONS, partition: int = 0) -> Message:
    record = records.DeadLetterRecord(
        "engine", topic, partition, offset, "invalid", "no", b"raw %d" % offset
    )
    return Message(Topic.DEAD_LETTERS, 0, records.encode(record))


def run(log: EmbeddedLog, choice: Choice = Choice(), **how: Any) -> list[tuple[int, str]]:  # noqa: B008
    rows: list[Row] = []
    redrive(log, choice, rows.append, **how)
    return [(row.number, row.became.value) for row in rows]


def stream(log: EmbeddedLog) -> list[bytes]:
    return [record.value for record in log.read(Topic.TRANSACTIONS, 0, 0, 10_000)]


def test_all_go_back_in_order_and_a_second_run_leaves_them(log: EmbeddedLog) -> None:
    log.append([letter(7), letter(3)])
    assert run(log) == [(0, "redriven"), (1, "redriven")]
    assert stream(log) == [b"raw 7", b"raw 3"]
    log.append([letter(9)])
    assert run(log) == [(0, "redriven before"), (1, "redriven before"), (2, "redriven")]
    assert stream(log) == [b"raw 7", b"raw 3", b"raw 9"]


def test_again_is_again(log: EmbeddedLog) -> None:
    log.append([letter(7)])
    run(log)
    assert run(log, again=True) == [(0, "redriven")]
    assert stream(log) == [b"raw 7"] * 2


def test_a_dry_run_changes_nothing_and_fences_nobody(log: EmbeddedLog) -> None:
    log.append([letter(7)])
    other = log.claim("redrive")
    assert run(log, dry_run=True) == [(0, "would be redriven")]
    assert stream(log) == []
    with other.transaction() as outputs:
        outputs.append([Message(Topic.ALERTS, 0, b"x")])
    assert run(log) == [(0, "redriven")]


def test_some_are_chosen_by_where_they_came_from_and_the_rest_goes_later(
    log: EmbeddedLog,
) -> None:
    log.append([letter(1), letter(2), letter(3)])
    assert run(log, Choice(Topic.TRANSACTIONS, 0, 2)) == [(1, "redriven")]
    assert run(log, Choice(Topic.TRANSACTIONS, 0, 2)) == [(1, "redriven before")]
    assert run(log, Choice(offset=4)) == []
    assert run(log) == [(0, "redriven"), (1, "redriven before"), (2, "redriven")]
    assert sorted(stream(log)) == [b"raw 1", b"raw 2", b"raw 3"]


def test_what_is_not_the_streams_stays_and_says_why(log: EmbeddedLog) -> None:
    log.append([letter(1, Topic.VERDICTS), letter(2, Topic.LISTS), letter(3, partition=5)])
    log.append([Message(Topic.DEAD_LETTERS, 0, b'{"schema": "dead-letter/9"}'), letter(4)])
    rows: list[Row] = []
    redrive(log, Choice(), rows.append)
    assert [row.became for row in rows] == [Became.STAYS] * 4 + [Became.REDRIVEN]
    assert [row.why.split()[-1] for row in rows[:3]] == ["verdicts", "lists", "5"]
    assert "dead-letter/9" in rows[3].why
    assert stream(log) == [b"raw 4"]
    assert log.bounds(Topic.VERDICTS, 0).next == 0


def test_more_than_a_page_goes_back_in_order(log: EmbeddedLog) -> None:
    count = 2 * PAGE + 5
    log.append([letter(n) for n in range(count)])
    assert len(run(log)) == count
    assert stream(log) == [b"raw %d" % n for n in range(count)]
    assert log.committed("redrive", Topic.DEAD_LETTERS, 0) == count


def understand(data: bytes) -> Transaction:
    return codec.decode(data, rates=RateTable("EUR", {}), now=None)


def test_what_would_be_refused_again_stays_due_and_makes_no_letter(log: EmbeddedLog) -> None:
    good = (
        b'{"transaction_id": "a", "timestamp": "2026-03-01T12:00:00Z", "type": "payment",'
        b' "amount": "1.00", "currency": "%s", "user_id": "u", "merchant_id": "m"}'
    )
    values = (b"poison", good % b"EUR", good % b"SEK", good % b"EUR")
    log.append(
        [
            Message(Topic.DEAD_LETTERS, 0, records.encode(_letter(number, value)))
            for number, value in enumerate(values)
        ]
    )
    assert run(log, read=understand) == [
        (0, "still refused"),
        (1, "redriven"),
        (2, "still refused"),
        (3, "redriven"),
    ]
    assert stream(log) == [values[1], values[3]]

    def knows_krona(data: bytes) -> Transaction:
        return codec.decode(data, rates=RateTable("EUR", {"SEK": "0.09"}), now=None)

    assert run(log, read=knows_krona) == [
        (0, "still refused"),
        (1, "redriven before"),
        (2, "redriven"),
        (3, "redriven before"),
    ]
    rows: list[Row] = []
    redrive(log, Choice(), rows.append, read=understand)
    assert [row.became.value for row in rows] == ["still refused", *["redriven before"] * 3]
    assert "JSON" in rows[0].why


def _letter(offset: int, value: bytes, key: str | None = None) -> records.DeadLetterRecord:
    record = Record(Topic.TRANSACTIONS, 0, offset, value, key)
    return records.dead_letter("engine", record, InvalidInput("no", remedy="Look."))


def test_what_goes_back_keeps_its_key(log: EmbeddedLog) -> None:
    for key in ("user 7", None):
        letter = records.encode(_letter(1, b"x", key))
        log.append([Message(Topic.DEAD_LETTERS, 0, letter)])
    run(log)
    assert [r.key for r in log.read(Topic.TRANSACTIONS, 0, 0, 9)] == ["user 7", None]


def test_of_a_cut_letter_the_record_goes_back_whole_or_not_at_all(log: EmbeddedLog) -> None:
    large, larger = b"x" * 800_000, b"y" * (LARGEST_VALUE + 1)
    log.append([Message(Topic.TRANSACTIONS, 0, value) for value in (large, larger)])
    letters = [_letter(0, large), _letter(1, larger), _letter(7, large)]
    log.append([Message(Topic.DEAD_LETTERS, 0, records.encode(each)) for each in letters])
    rows: list[Row] = []
    redrive(log, Choice(), rows.append)
    assert [row.became for row in rows] == [Became.REDRIVEN, Became.STAYS, Became.STAYS]
    assert "900001 bytes" in rows[1].why
    assert "of its 800000 bytes, and the log no more" in rows[2].why
    assert stream(log) == [large, larger, large]
