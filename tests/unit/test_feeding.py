"""Feeding: every transaction once, a user's in order, at the rate that was asked for."""

import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from aiokafka.partitioner import DefaultPartitioner
from msgspec import structs

from graph.transaction import Money, Transaction, TransactionType
from ingest import feeding
from ingest.embedded import EmbeddedLog
from ingest.feeding import endlessly, feed, partition_of
from ingest.ports import Topic


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    found = EmbeddedLog(tmp_path / "log.db")
    yield found
    found.close()


def history(count: int) -> list[Transaction]:
    return [
        Transaction(
            f"t{n}", 1_700_000_000_000 + 250 * n, TransactionType.PAYMENT, Money(100, "EUR"), 100,
            f"u{n % 3}", merchant_id="m",
        )
        for n in range(count)
    ]  # fmt: skip


def ids(log: EmbeddedLog) -> list[str]:
    page = log.read(Topic.TRANSACTIONS, 0, 0, 100_000)
    return [json.loads(record.value)["transaction_id"] for record in page]


def test_all_are_appended_once_with_their_user_as_key(
    log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "CHUNK", 7)
    told: list[int] = []
    assert feed(log, history(30), rate=0, told=told.append) == 30
    assert ids(log) == [f"t{n}" for n in range(30)]
    assert told == [7, 14, 21, 28, 30]
    assert [record.key for record in log.read(Topic.TRANSACTIONS, 0, 0, 4)] == [
        "u0", "u1", "u2", "u0",
    ]  # fmt: skip


def test_it_takes_as_long_as_the_rate_says_at_least(log: EmbeddedLog) -> None:
    began = time.monotonic()
    assert feed(log, history(60), rate=200) == 60
    assert time.monotonic() - began >= 60 / 200 - feeding.TICK_S
    assert len(ids(log)) == 60


def test_a_slow_rate_is_a_rate(log: EmbeddedLog) -> None:
    began = time.monotonic()
    assert feed(log, history(2), rate=5) == 2
    assert time.monotonic() - began >= 0.4


@pytest.mark.parametrize("partitions", [1, 3, 8])
def test_a_user_is_where_kafkas_own_producers_put_it(partitions: int) -> None:
    everywhere = list(range(partitions))
    for n in range(200):
        user = f"user-{n}-\N{SNOWMAN}"
        theirs = DefaultPartitioner()(user.encode(), everywhere, everywhere)
        assert partition_of(user, partitions) == theirs


def test_a_round_begins_after_the_one_before_and_under_new_ids() -> None:
    rounds = endlessly(lambda: iter(history(3)))
    found = [next(rounds) for _ in range(8)]
    assert [each.transaction_id for each in found] == [
        "t0", "t1", "t2", "t0~2", "t1~2", "t2~2", "t0~3", "t1~3",
    ]  # fmt: skip
    times = [each.timestamp for each in found]
    assert times == sorted(set(times))
    assert times[3] - times[2] == 1_000
    assert [after - before for before, after in pairwise(times[3:6])] == [250, 250]


def test_a_round_keeps_accounts_as_old_as_they_were_and_ids_as_short_as_they_may_be() -> None:
    long = [
        structs.replace(each, transaction_id=f"{'i' * 126}{n}", user_created_at=each.timestamp - 60)
        for n, each in enumerate(history(2))
    ]
    rounds = endlessly(lambda: iter(long))
    found = [next(rounds) for _ in range(6)]
    assert len({each.transaction_id for each in found}) == 6
    assert all(len(each.transaction_id) <= 128 for each in found)
    assert all(each.timestamp - (each.user_created_at or 0) == 60 for each in found)


def test_an_empty_history_has_no_second_round() -> None:
    assert list(endlessly(list)) == []
