"""The input stream: several partitions, merged by event time."""

import json
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.errors import InvalidInput
from graph.transaction import DAY, MINUTE, Money, Transaction, TransactionType
from ingest.codec import LARGEST_RECORD
from ingest.ports import Bounds, Polled, Record, Topic
from ingest.stream import AHEAD, PATIENCE_S, Stream

NOON = 1_714_564_800_000
"""2024-05-01T12:00:00Z, epoch milliseconds."""


def decode(data: bytes) -> Transaction:
    try:
        name, at = json.loads(data)
    except ValueError as error:
        raise InvalidInput("not a pair", field="record", value="?", remedy="Send one.") from error
    return Transaction(name, at, TransactionType.PAYMENT, Money(100, "EUR"), 100, "u")


class Partitions:
    """A log of input partitions that hands out what it is told to have at hand."""

    def __init__(
        self, *values: Sequence[bytes], first: int = 0, appended_at: int | None = None
    ) -> None:
        self.values = values
        self.first = first
        self.appended_at = appended_at
        self.at_hand = [len(each) for each in values]

    def partitions(self, topic: Topic) -> int:
        return len(self.values)

    def committed(self, consumer: str, topic: Topic, partition: int) -> int:
        return 0

    def bounds(self, topic: Topic, partition: int) -> Bounds:
        return Bounds(self.first, len(self.values[partition]))

    def poll(self, topic: Topic, offsets: Mapping[int, int], limit: int) -> Polled:
        records: list[Record] = []
        behind = set()
        for number, offset in offsets.items():
            held = self.values[number]
            start = max(offset, self.first)
            stop = min(start + limit - len(records), self.at_hand[number])
            records += [
                Record(topic, number, at, held[at], None, self.appended_at)
                for at in range(start, max(stop, start))
            ]
            if max(stop, start) < len(held):
                behind.add(number)
        return Polled(records, frozenset(behind))


def value(name: str, at: int) -> bytes:
    return json.dumps([name, at]).encode()


def dated(name: str, at: int, appended_at: int | None) -> Partitions:
    """One record, with the time at which the log took it."""
    return Partitions([value(name, at)], appended_at=appended_at)


def taken(source: Stream, limit: int = 512, now: float | None = None) -> list[str]:
    page = source.take(limit, now)
    return [] if page is None else [item.transaction.transaction_id for item in page.inputs]


@given(
    st.lists(st.lists(st.integers(0, 50), max_size=30).map(sorted), min_size=1, max_size=4),
    st.integers(1, 20),
)
def test_partitions_in_order_become_one_stream_in_order(times: list, limit: int) -> None:
    log = Partitions(
        *([value(f"{p}:{n}", at) for n, at in enumerate(each)] for p, each in enumerate(times))
    )
    source = Stream(log, decode)  # type: ignore[arg-type] - a log of inputs only
    seen: list[tuple[int, int, int]] = []
    offsets: dict[int, int] = {}
    while page := source.take(limit):
        assert 0 < len(page.inputs) <= limit
        seen += [(i.transaction.timestamp, i.partition, i.offset or 0) for i in page.inputs]
        offsets.update(page.next_offsets)
    assert seen == sorted(seen)
    assert len(seen) == sum(len(each) for each in times)
    assert offsets == {p: len(each) for p, each in enumerate(times) if each}
    assert source.lag() == 0


def test_a_partition_that_holds_more_is_waited_for_and_then_left_behind() -> None:
    log = Partitions([value("a", 5), value("b", 6)], [value("early", 1)])
    log.at_hand[1] = 0
    source = Stream(log, decode)  # type: ignore[arg-type] - as above
    assert taken(source, now=0.0) == []
    assert taken(source, now=PATIENCE_S / 2) == []
    assert taken(source, now=PATIENCE_S) == ["a", "b"]
    log.at_hand[1] = 1
    assert taken(source, now=PATIENCE_S) == ["early"]


def test_an_empty_partition_holds_nobody_up() -> None:
    log = Partitions([value("a", 5)], [])
    assert taken(Stream(log, decode), now=0.0) == ["a"]  # type: ignore[arg-type] - as above


def test_what_cannot_be_read_goes_at_once_and_its_place_is_committed() -> None:
    log = Partitions([value("a", 5)], [b"poison"])
    page = Stream(log, decode).take(10)  # type: ignore[arg-type] - as above
    assert page is not None
    (letter,) = page.letters
    assert (letter.partition, letter.offset, letter.raw) == (1, 0, b"poison")
    assert page.next_offsets == {0: 1, 1: 1}


@pytest.mark.parametrize(
    ("appended_at", "now"),
    [(NOON, 0), (NOON + 10 * DAY, 0), (NOON, NOON + DAY), (None, NOON), (None, NOON + DAY)],
)
def test_a_time_two_minutes_after_the_log_took_it_is_let_in(
    appended_at: int | None, now: int
) -> None:
    log = dated("a", NOON + 2 * MINUTE, appended_at)
    source = Stream(log, decode, lambda: now)  # type: ignore[arg-type] - as above
    assert taken(source) == ["a"]


@pytest.mark.parametrize(("appended_at", "now"), [(NOON, NOON + DAY), (None, NOON)])
def test_a_later_one_becomes_a_dead_letter_that_says_so(appended_at: int | None, now: int) -> None:
    log = dated("a", NOON + 2 * MINUTE + 1, appended_at)
    page = Stream(log, decode, lambda: now).take(10)  # type: ignore[arg-type] - as above
    assert page is not None
    assert page.inputs == ()
    (letter,) = page.letters
    assert letter.code == "invalid-transaction"
    assert "timestamp" in letter.reason
    assert "2024-05-01T12:02:00.001Z" in letter.reason
    assert "time zone" in letter.reason


def test_what_retention_took_is_counted_once() -> None:
    log = Partitions([value(str(n), n) for n in range(10)], first=4)
    source = Stream(log, decode)  # type: ignore[arg-type] - as above
    first = source.take(2)
    second = source.take(100)
    assert first is not None
    assert second is not None
    assert (first.lost, second.lost) == (4, 0)


def test_reading_ahead_is_bounded() -> None:
    log = Partitions([value(str(n), n) for n in range(10 * AHEAD)])
    source = Stream(log, decode)  # type: ignore[arg-type] - as above
    for _ in range(5):
        source.take(1)
        (partition,) = source._partitions.values()
        assert len(partition.ahead) <= 2 * AHEAD


def test_a_record_larger_than_is_read_is_a_dead_letter_whatever_the_decoder_takes() -> None:
    large = value("a", 5).ljust(LARGEST_RECORD + 1)
    log = Partitions([value("b", 5).ljust(LARGEST_RECORD), large])
    page = Stream(log, decode).take(10)  # type: ignore[arg-type] - as above
    assert page is not None
    assert [item.transaction.transaction_id for item in page.inputs] == ["b"]
    assert [(each.code, each.raw) for each in page.letters] == [("record-too-large", large)]


def test_partitions_added_meanwhile_are_taken_up_and_count_as_lag(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = Partitions([value("a", 1)])
    source = Stream(log, decode)  # type: ignore[arg-type] - as above
    assert taken(source) == ["a"]
    log.values = (*log.values, [value("b", 2)], [value("c", 3)])
    log.at_hand += [1, 1]
    source._count_at = 0.0  # it is time to count again
    assert taken(source, limit=1) == ["b"]
    assert source.lag() == 1
    assert taken(source) == ["c"]
    assert "2 partitions more" in caplog.text
