"""Row 5: Redis down, flushed, stale, slow, flapping. Verdicts come on time and say so; the cache
converges to what an uninterrupted one holds, and in between nothing missing reads as nothing known.

Each test has a Redis of its own, started from the same program as the one of `make servers`, since
killing and flushing the shared one would be felt by others.
"""

import asyncio
import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from api.bench.toxic import Toxic
from graph.lists import ListName
from ingest import cache_sink
from ingest.embedded import EmbeddedLog
from scorer.cache import shared
from scorer.cache.guarded import GuardedCache
from scorer.cache.local import LocalCache
from scorer.cache.port import Budget, CacheUnavailable, Frontier, Item, Shelf
from scorer.cache.shared import SharedCache
from scorer.cache.thread import CacheThread
from tests import cached_world as world

# Bounds wide enough for a machine that is busy: only the test of slowness is about time.
QUICK = {"open_s": 0.2, "quiet_s": 0.2, "call_s": 6.0, "slow_s": 6.0}


class PrivateRedis:
    """A Redis on a port of its own that can be killed and comes back empty."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        assert program is not None, "the servers run, so the program is there"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._command = [
            program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "no", "--dir", str(folder), "--loglevel", "warning",
        ]  # fmt: skip
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port, socket_timeout=5)
        self.process = None

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)

        def there() -> bool:
            try:
                return bool(self.client.ping())
            except redis.RedisError:
                return False

        world.until(there, "answer of Redis")

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def close(self) -> None:
        self.client.close()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


@pytest.fixture
def private(redis_url, tmp_path):
    server = PrivateRedis(tmp_path)
    server.start()
    yield server
    server.close()


@pytest.fixture
def proxied(private):
    with Toxic("127.0.0.1", private.port) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(cache_sink, "LINGER_S", 0.01)
    monkeypatch.setattr(cache_sink, "POLL_S", 0.01)
    monkeypatch.setattr(cache_sink, "FRESHEN_S", 0.05)
    monkeypatch.setattr(cache_sink, "LONGEST_PAUSE_S", 0.1)
    monkeypatch.setattr(shared, "ANSWER_S", 3.0)
    monkeypatch.setattr(shared, "CONNECT_S", 3.0)


@pytest.fixture
def log(tmp_path):
    log = EmbeddedLog(tmp_path / "log.db")
    yield log
    log.close()


def connect(url: str) -> SharedCache:
    return SharedCache(url, world.wall)


@contextmanager
def running(log, url, **guard):
    """An engine that names what is degraded, and a follower that fills the Redis at `url`."""
    with (
        world.following(log, connect(url), **{**QUICK, **guard}) as (feed, thread),
        world.engine(log, degraded=thread.degraded) as engine,
    ):
        world.until(lambda: not thread.degraded(), "healthy cache")
        yield engine, feed, thread


def uninterrupted(log, transactions):
    local = LocalCache(lambda: 0.0, world.wall)
    with world.following(log, local) as (_, thread):
        world.until(lambda: world.caught_up(log, thread), "cache that has caught up")
        return world.contents(thread, transactions)


def converges(log, thread, transactions) -> None:
    world.until(lambda: world.caught_up(log, thread), "cache that has caught up")
    assert world.contents(thread, transactions) == uninterrupted(log, transactions)


def named(verdicts) -> set[bool]:
    return {"cache" in verdict.degraded for verdict in verdicts}


def test_killed_it_is_named_in_verdicts_and_filled_again_when_it_is_back(log, private) -> None:
    with running(log, private.url) as (engine, feed, thread):
        before = world.score(engine, *range(60))
        world.decide(log, "u1", ListName.BLOCK)
        converges(log, thread, 60)
        private.kill()
        world.until(thread.degraded, "word that the cache is gone")
        during = [world.score(engine, n)[0] for n in range(60, 90)]
        with pytest.raises(CacheUnavailable):
            thread.ask(lambda cache: cache.fetch(Shelf.PROFILE, ["user:u1"])).result(10)
        private.start()
        world.until(lambda: not thread.degraded(), "healthy cache")
        after = world.score(engine, *range(90, 120))
        converges(log, thread, 120)
        assert feed.generations == 2  # it came back empty
    assert (named(before), named(during), named(after)) == ({False}, {True}, {False})
    plain = {(v.transaction_id, v.score, v.decision) for v in [*before, *during, *after]}
    with world.engine(EmbeddedLog(private_log(log))) as engine:
        alone = world.score(engine, *range(120))
    assert plain == {(v.transaction_id, v.score, v.decision) for v in alone}


def private_log(log) -> Path:
    return Path(log._path).with_name("alone.db")


def test_flushed_it_is_filled_from_the_log_and_never_read_as_nothing_known(log, private) -> None:
    with running(log, private.url) as (engine, feed, thread):
        world.score(engine, *range(200))
        world.decide(log, "u3", ListName.BLOCK)
        converges(log, thread, 200)
        expected = uninterrupted(log, 200)
        claims = []
        stop = threading.Event()

        def read() -> None:
            """Whatever is claimed meanwhile has to be so."""
            while not stop.is_set():
                found = thread.ask(lambda c: c.fetch(Shelf.PROFILE, ["user:u3"])).result(10)
                listed = thread.ask(lambda c: c.listed(["block:user:u3"])).result(10)
                if found.frontier is not None and found.frontier.complete:
                    claims.append(found.values[0].value == expected["profile:user:u3"])
                if listed.frontier is not None and listed.frontier.complete:
                    claims.append(listed.values[0].value == expected["list:block:user:u3"])

        reader = threading.Thread(target=read)
        reader.start()
        for flushes in range(2, 5):
            private.client.flushall()
            world.until(lambda n=flushes: feed.generations == n, "new generation")
            converges(log, thread, 200)
        stop.set()
        reader.join(10)
    assert claims
    assert all(claims)


def test_what_redis_evicts_alone_is_unknown_or_begun_anew(log, private) -> None:
    """Losing the register, the frontier or one value: never "not listed", never a count of 0."""
    with running(log, private.url) as (engine, feed, thread):
        world.score(engine, *range(50))
        world.decide(log, "u3", ListName.BLOCK)
        converges(log, thread, 50)
        private.client.delete("{ringfence}:profile:user:u3")
        found = thread.ask(lambda c: c.fetch(Shelf.PROFILE, ["user:u3"])).result(10)
        assert found.values == (None,)
        for number, key in enumerate(("{ringfence}:lists", "{ringfence}:frontier"), start=2):
            private.client.delete(key)
            world.until(lambda n=number: feed.generations == n, "new generation")
            converges(log, thread, 50)


def test_slow_it_is_named_and_no_verdict_waits_for_it(log, private, proxied) -> None:
    url = f"redis://127.0.0.1:{proxied.port}/0"
    with running(log, url, slow_s=1.0) as (engine, _, thread):
        world.score(engine, *range(40))
        converges(log, thread, 40)
        proxied.delay(0.7)  # 1.4 s a round trip: it answers, only too late
        world.until(thread.degraded, "word that the cache is slow")
        during = [world.score(engine, n)[0] for n in range(40, 60)]
        proxied.delay(9)  # longer than anybody waits
        during += [world.score(engine, n)[0] for n in range(60, 80)]
        proxied.heal()
        world.until(lambda: not thread.degraded(), "healthy cache")
        after = world.score(engine, *range(80, 100))
        converges(log, thread, 100)
    assert (named(during), named(after)) == ({True}, {False})


@pytest.mark.parametrize("ill", ["drop", "reset", "refuse"])
def test_out_of_reach_it_is_named_and_catches_up(log, private, proxied, ill: str) -> None:
    with running(log, f"redis://127.0.0.1:{proxied.port}/0") as (engine, feed, thread):
        world.score(engine, *range(20))
        converges(log, thread, 20)
        getattr(proxied, ill)()
        world.until(thread.degraded, "word that the cache is out of reach")
        assert named(world.score(engine, *range(20, 40))) == {True}
        proxied.heal()
        world.until(lambda: not thread.degraded(), "healthy cache")
        converges(log, thread, 40)
        assert feed.generations == 1  # it kept what it had


def test_flapping_it_converges_to_what_an_uninterrupted_one_holds(log, private, proxied) -> None:
    with running(log, f"redis://127.0.0.1:{proxied.port}/0") as (engine, _, thread):
        proxied.flap(0.15, 0.1)
        degraded = set()
        for n in range(150):
            world.score(engine, n)
            degraded.add(thread.degraded())
            time.sleep(0.02)
            if n % 50 == 25:
                private.client.flushall()
                world.decide(log, f"u{n % 40}", ListName.WATCH)
        assert ("cache",) in degraded
        proxied.heal()
        world.until(lambda: not thread.degraded(), "healthy cache")
        converges(log, thread, 150)


def test_stale_values_say_as_of_when_they_hold(log, private) -> None:
    with running(log, private.url) as (engine, feed, thread):
        world.score(engine, *range(20))
        converges(log, thread, 20)
        assert feed.stop(20)  # the follower is gone, Redis and the engine are not
        ended = world.wall()
        world.score(engine, *range(20, 30))
        found = thread.ask(lambda c: c.fetch(Shelf.PROFILE, ["user:u1"])).result(10)
        assert found.frontier.as_of <= ended
        assert found.frontier.verdicts == 20
        assert found.values[0].written_at <= ended
    with world.following(log, connect(private.url)) as (_, thread):
        converges(log, thread, 30)


def test_every_key_lies_in_one_slot_of_a_cluster(redis_url) -> None:
    prefix = f"test-{secrets.token_hex(6)}"

    async def run() -> list[bytes]:
        cache = SharedCache(redis_url, world.wall, prefix=prefix)
        frontier = Frontier("00000000000000a1", first=0, verdicts=0, lists=0)
        await cache.begin(frontier, instead_of=None)
        await cache.keep(Shelf.PROFILE, frontier.generation, [Item("user:a", b"1", 1)])
        await cache.spend(Budget(1, 2), {"client": 1})
        keys = await cache._redis.keys(f"*{prefix}*")
        await cache._redis.delete(*keys)
        await cache.close()
        return keys

    keys = asyncio.run(run())
    assert len(keys) == 4
    assert all(key.startswith(f"{{{prefix}}}:".encode()) for key in keys)


def test_calls_are_turned_away_at_once_while_redis_is_left_alone(private) -> None:
    thread = CacheThread(GuardedCache(connect(private.url), open_s=60), heartbeat_s=0.02)
    thread.start()
    try:
        thread.ask(lambda cache: cache.ping()).result(10)
        private.kill()
        world.until(lambda: thread.cache.state == "opened", "open breaker")
        failures = thread.cache.failures
        for _ in range(1_000):
            with pytest.raises(CacheUnavailable, match="left alone"):
                thread.ask(lambda cache: cache.ping()).result(10)
        assert thread.cache.failures == failures  # not one of them reached for the socket
        assert thread.degraded() == ("cache",)
    finally:
        thread.stop()
