"""A log with a story in it and what follows it into a cache: for tests of caches."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from graph.lists import ListChange, ListName, Lists
from graph.transaction import Entity, EntityKind, Transaction
from ingest import codec, list_changes, records
from ingest.cache_sink import CacheFeed
from ingest.currencies import RateTable
from ingest.embedded import EmbeddedLog
from ingest.engine import Engine
from ingest.ports import Topic
from ingest.sinks import scored
from scorer.cache.guarded import GuardedCache
from scorer.cache.port import Cache, Shelf
from scorer.cache.thread import CacheThread
from scorer.verdict import Verdict
from tests.tiny_detector import TinyDetector

RATES = RateTable("EUR", {})
START = 1_700_000_000_000
USERS = 40
LISTS = Lists(blocked=frozenset({Entity(EntityKind.DEVICE, "stolen")}))


def wall() -> int:
    return time.time_ns() // 1_000_000


def decode(data: bytes) -> Transaction:
    return codec.decode(data, rates=RATES, now=None)


def raw(number: int) -> bytes:
    record = {
        "transaction_id": f"t{number}", "timestamp": START + number * 60_000, "type": "transfer",
        "amount": f"{1 + number % 90}.50", "currency": "EUR", "user_id": f"u{number % USERS}",
        "counterparty_id": f"u{(number * 7 + 3) % USERS}", "device_id": f"d{number % 11}",
    }  # fmt: skip
    return json.dumps(record).encode()


def render(verdict: Verdict) -> bytes:
    return records.encode(
        records.VerdictRecord(Topic.SUBMISSIONS, 0, 0, records.verdict_fields(verdict))
    )


@contextmanager
def engine(log: EmbeddedLog, **options) -> Iterator[Engine]:
    running = Engine(log, TinyDetector, decode, **options)
    running.start()
    running.wait_ready(20)
    try:
        yield running
    finally:
        assert running.stop(20)


def score(running: Engine, *numbers: int) -> list[Verdict]:
    data = [raw(number) for number in numbers]
    return running.submit([decode(each) for each in data], data).result(30)


def decide(log: EmbeddedLog, name: str, listing: ListName, *, listed: bool = True) -> None:
    change = ListChange(Entity(EntityKind.USER, name), listing, listed, "said so", "me", None, 1)
    log.append([list_changes.message(change)])


@contextmanager
def following(log: EmbeddedLog, cache: Cache, **guard) -> Iterator[tuple[CacheFeed, CacheThread]]:
    thread = CacheThread(GuardedCache(cache, **guard), heartbeat_s=0.05)
    thread.start()
    feed = CacheFeed(log, scored(log, decode), thread, render, lists=LISTS, wall=wall)
    feed.start()
    try:
        yield feed, thread
    finally:
        assert feed.stop(20)
        thread.stop()


def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.01)


def caught_up(log: EmbeddedLog, thread: CacheThread) -> bool:
    """Whether the cache says it holds everything the log holds."""
    try:
        frontier = thread.ask(lambda cache: cache.frontier()).result(5)
    except Exception:  # noqa: BLE001 - it is down, or on its way
        return False
    return (
        frontier is not None
        and frontier.complete
        and frontier.verdicts == log.bounds(Topic.VERDICTS, 0).next
        and frontier.lists == log.bounds(Topic.LISTS, 0).next
    )


def contents(thread: CacheThread, transactions: int) -> dict[str, bytes | None]:
    """Every value the story leads to, by shelf and key, without what depends on the moment."""
    users = [f"user:u{n}" for n in range(USERS)]
    devices = [f"device:d{n}" for n in range(11)]
    wanted = {
        Shelf.PROFILE: [*users, *devices],
        Shelf.AGGREGATE: users,
        Shelf.ANSWER: [f"t{n}" for n in range(transactions)],
    }
    found: dict[str, bytes | None] = {}
    for shelf, keys in wanted.items():
        answer = thread.ask(lambda cache, s=shelf, k=keys: cache.fetch(s, k)).result(10)
        assert answer.frontier is not None
        for key, held in zip(keys, answer.values, strict=True):
            found[f"{shelf.value}:{key}"] = None if held is None else held.value
    listed = [*(f"{name}:{user}" for name in ListName for user in users), "block:device:stolen"]
    answer = thread.ask(lambda cache: cache.listed(listed)).result(10)
    assert answer.frontier is not None
    for key, held in zip(listed, answer.values, strict=True):
        found[f"list:{key}"] = None if held is None else held.value
    return found


def entry(data: bytes) -> dict[str, object]:
    return msgspec.json.decode(data)
