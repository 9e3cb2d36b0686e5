"""The cache: what a million of each value costs in Redis, how fast the log is followed into it.

The alternative named beside the follower is writing the same bytes with plain pipelined SETs:
without versions, generations or reading what was counted before, which is what those cost.
"""

import asyncio
import secrets
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from redis import Redis

from api.bench import Timing, time_each
from api.views import Views
from graph.transaction import HOUR, Entity, EntityKind
from ingest.cache_sink import CacheFeed
from ingest.codec import decode
from ingest.currencies import RateTable
from ingest.embedded import EmbeddedLog
from ingest.engine import Engine
from ingest.ports import Topic
from ingest.simulator import WIRE_FIELDS, RingCounts, SimulationConfig
from ingest.simulator import run as simulate
from ingest.sinks import scored
from scorer.cache import profiles
from scorer.cache.guarded import GuardedCache
from scorer.cache.port import Decided, Frontier, Item, Shelf
from scorer.cache.profiles import Aggregate, Hour, Profile
from scorer.cache.shared import SharedCache
from scorer.cache.thread import CacheThread
from scorer.detector import Detector

FILLED: Final = 100_000
"""Values of each kind that are written to learn what a million would take."""
FOLLOWED: Final = 20_000
_STRETCH: Final = 512
_START: Final = 1_764_000_000_000
_RATES: Final = RateTable("EUR", {"USD": "0.92", "GBP": "1.17"})


def bench_cache(url: str) -> dict[str, Any]:
    """Measure against the Redis at `url`, under a prefix of its own that is removed at the end."""
    prefix = f"bench-{secrets.token_hex(4)}"
    server = Redis.from_url(url)
    try:
        megabytes = asyncio.run(_memory(url, prefix, server))
        _remove(server, prefix)
        followed = _follow(url, prefix)
    finally:
        _remove(server, prefix)
        server.close()
    return {
        "redis": server_version(url),
        "mb_per_million": megabytes,
        **followed,
    }


def server_version(url: str) -> str:
    """Version of the server at a URL."""
    server = Redis.from_url(url)
    try:
        return str(server.info("server")["redis_version"])
    finally:
        server.close()


async def _memory(url: str, prefix: str, server: Redis) -> dict[str, float]:
    cache = SharedCache(url, _wall, prefix=prefix)
    generation = secrets.token_hex(8)
    await cache.begin(Frontier(generation, first=0, verdicts=0, lists=0), instead_of=None)
    profile = Profile(
        _START, _START + HOUR, 12, 1, 1, 0.7, 0.01, {"cycle": 1, "fan_in": 2}, ["3f9c0d2ab8e51f77"]
    )
    hours = [Hour(_START // HOUR + n, 2, 0, 12_300, 4_500) for n in range(8)]
    answer = msgspec.json.encode({"an": "approved verdict as the API shows it", "x": "x" * 380})
    entry = msgspec.json.encode(
        {"reason": "chargebacks in March", "author": "j.doe", "expires_at": None, "at": _START}
    )
    found: dict[str, float] = {}
    for name, shelf, value in (
        ("profiles", Shelf.PROFILE, profiles.encode(profile)),
        ("aggregates", Shelf.AGGREGATE, profiles.encode(Aggregate(_START, hours))),
        ("answers", Shelf.ANSWER, answer),
    ):
        before = _used(server)
        for start in range(0, FILLED, _STRETCH):
            numbers = range(start, min(start + _STRETCH, FILLED))
            items = [Item(f"user:u-{n:07d}", value, n + 1) for n in numbers]
            await cache.keep(shelf, generation, items)
        found[name] = _per_million(_used(server) - before)
    before = _used(server)
    for start in range(0, FILLED, _STRETCH):
        numbers = range(start, min(start + _STRETCH, FILLED))
        await cache.decide(
            generation, [Decided(f"block:user:u-{n:07d}", entry, n + 1) for n in numbers]
        )
    found["list_entries"] = _per_million(_used(server) - before)
    await cache.close()
    return found


def _follow(url: str, prefix: str) -> dict[str, Any]:
    views = Views("EUR", 2)
    rings = RingCounts(cycle=8, mule=8, device_farm=4)
    config = SimulationConfig(seed=3, days=20, users=1_200, ring_counts=rings)
    rows = simulate(config).transactions.to_pylist()[:FOLLOWED]
    read = partial(decode, rates=_RATES, now=None)
    wire = [
        msgspec.json.encode({k: row[k] for k in WIRE_FIELDS if row[k] is not None}) for row in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        log = EmbeddedLog(Path(folder) / "log.sqlite")
        _score(log, wire)
        thread = CacheThread(GuardedCache(SharedCache(url, _wall, prefix=prefix), call_s=10))
        thread.start()

        def render(verdict: Any) -> bytes:
            return msgspec.json.encode(views.verdict(verdict))

        feed = CacheFeed(log, scored(log, read), thread, render, wall=_wall)
        began, worked = time.perf_counter(), time.process_time()
        while feed.stats().written < len(wire):
            feed.step()
        seconds, worked = time.perf_counter() - began, time.process_time() - worked
        answers = _asked(thread, [str(row["transaction_id"]) for row in rows[:2_000]])
        plain = _plain_sets(url, prefix, log)
        thread.stop()
        log.close()
    return {
        "followed": len(wire),
        "follower_per_s": round(len(wire) / seconds, 1),
        "follower_cpu_us": round(1e6 * worked / len(wire), 1),
        "plain_sets_per_s": round(len(wire) / plain, 1),
        "fetch": answers.as_json(),
    }


def _score(log: EmbeddedLog, wire: Sequence[bytes]) -> None:
    read = partial(decode, rates=_RATES, now=None)
    engine = Engine(log, lambda _: Detector(), read)
    engine.start()
    engine.wait_ready()
    futures: list[Future[Any]] = []
    for start in range(0, len(wire), _STRETCH):
        part = wire[start : start + _STRETCH]
        futures.append(engine.submit([read(each) for each in part], part))
        futures[-1].result()
    engine.stop()


def _asked(thread: CacheThread, keys: Sequence[str]) -> Timing:
    def ask(key: str) -> object:
        return thread.ask(lambda cache: cache.fetch(Shelf.ANSWER, [key])).result(10)

    return time_each(ask, keys, budget_s=30)


def _plain_sets(url: str, prefix: str, log: EmbeddedLog) -> float:
    """Seconds for one SET an answer and one a profile of each party, values made beforehand."""
    value = profiles.encode(Profile(0, 0))
    batches = []
    offset = 0
    while page := log.read(Topic.VERDICTS, 0, offset, _STRETCH):
        offset = page[-1].offset + 1
        batches.append([(record.key, record.value) for record in page])
    server = Redis.from_url(url)
    began = time.perf_counter()
    for batch in batches:
        pipe = server.pipeline(transaction=False)
        for key, answer in batch:
            pipe.set(f"{{{prefix}}}:plain:{key}", answer, px=60_000)
            for n in range(4):
                entity = Entity(EntityKind.USER, f"{key}{n}")
                pipe.set(f"{{{prefix}}}:plain:{profiles.key_of(entity)}", value, px=60_000)
        pipe.execute()
    seconds = time.perf_counter() - began
    server.close()
    return seconds


def _used(server: Redis) -> int:
    return int(server.info("memory")["used_memory"])


def _per_million(used: int) -> float:
    return round(used / FILLED, 1)  # bytes each are megabytes a million


def _remove(server: Redis, prefix: str) -> None:
    for keys in _pages(server, f"{{{prefix}}}*"):
        server.unlink(*keys)


def _pages(server: Redis, pattern: str) -> list[list[bytes]]:
    found = list(server.scan_iter(match=pattern, count=5_000))
    return [found[start : start + 1_000] for start in range(0, len(found), 1_000)]


def _wall() -> int:
    return time.time_ns() // 1_000_000
