"""The breaker and the thread: who asks is answered or turned away, and never held up."""

import asyncio
import doctest
import threading
import time

import pytest

import scorer.cache.envelope
from graph.errors import InvalidSetting
from scorer.cache import thread as module
from scorer.cache.guarded import GuardedCache
from scorer.cache.local import LocalCache
from scorer.cache.port import TTL_S, CacheUnavailable, Frontier, Item, Shelf, Superseded
from scorer.cache.shared import SharedCache
from scorer.cache.thread import CacheThread

GENERATION = "00000000000000a1"
FRONTIER = Frontier(GENERATION, first=0, verdicts=0, lists=0)


class Fickle(LocalCache):
    """The cache in this process, with a line that can be cut or slow."""

    def __init__(self) -> None:
        super().__init__(time.monotonic, lambda: 0)
        self.down = False
        self.late = 0.0
        self.asked = 0

    async def ping(self) -> None:
        self.asked += 1
        await asyncio.sleep(self.late)
        if self.down:
            raise CacheUnavailable("the line is cut", remedy="Join it.")


def until(condition, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_doctests() -> None:
    results = doctest.testmod(scorer.cache.envelope)
    assert results.attempted > 0
    assert results.failed == 0


def test_after_failures_in_a_row_it_is_left_alone_and_then_tried_by_one() -> None:
    async def run() -> None:
        cache = Fickle()
        guarded = GuardedCache(cache, failures=3, open_s=0.1, quiet_s=0.05)
        cache.down = True
        for _ in range(3):
            with pytest.raises(CacheUnavailable, match="line is cut"):
                await guarded.ping()
        assert (guarded.state, guarded.trouble, cache.asked) == ("opened", True, 3)
        for _ in range(50):
            with pytest.raises(CacheUnavailable, match="left alone after 3 failures"):
                await guarded.ping()
        assert (cache.asked, guarded.refused) == (3, 50)
        await asyncio.sleep(0.15)
        cache.late = 0.02
        tries = await asyncio.gather(*(guarded.ping() for _ in range(10)), return_exceptions=True)
        assert cache.asked == 4  # one tried, nine were turned away
        assert all(isinstance(each, CacheUnavailable) for each in tries)
        await asyncio.sleep(0.15)
        cache.down, cache.late = False, 0.0
        await guarded.ping()
        assert guarded.state == "closed"
        await asyncio.sleep(0.1)
        assert not guarded.trouble

    asyncio.run(run())


def test_a_cache_that_was_emptied_or_a_caller_that_left_says_nothing_against_it() -> None:
    async def run() -> None:
        cache = Fickle()
        guarded = GuardedCache(cache, failures=1)
        with pytest.raises(Superseded):
            await guarded.keep(Shelf.ANSWER, GENERATION, [Item("a", b"", 1)])
        cache.late = 5
        task = asyncio.create_task(guarded.ping())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (guarded.state, guarded.failures) == ("closed", 0)

    asyncio.run(run())


def test_what_takes_too_long_fails_and_what_is_slow_is_trouble() -> None:
    async def run() -> None:
        cache = Fickle()
        guarded = GuardedCache(cache, call_s=0.05, slow_s=0.01, quiet_s=0.2)
        cache.late = 0.02
        await guarded.ping()
        assert guarded.trouble
        assert guarded.state == "closed"
        cache.late = 5
        with pytest.raises(CacheUnavailable, match=r"within 0\.05 s"):
            await guarded.ping()

    asyncio.run(run())


def test_saying_that_it_is_degraded_never_waits_for_it() -> None:
    cache = Fickle()
    thread = CacheThread(GuardedCache(cache, call_s=30, quiet_s=0.1), heartbeat_s=0.01)
    thread.start()
    try:
        until(lambda: cache.asked > 0)
        assert thread.degraded() == ()
        cache.down = True
        until(thread.degraded)
        assert thread.degraded() == ("cache",)
        cache.down = False
        until(lambda: not thread.degraded())
        cache.late = 30  # it hangs: nobody who asks for the word hangs with it
        began = time.monotonic()
        for _ in range(10_000):
            thread.degraded()
        assert time.monotonic() - began < 5
    finally:
        thread.stop()


def test_calls_under_way_are_bounded_and_after_the_end_refused(monkeypatch) -> None:
    monkeypatch.setattr(module, "WAITING", 2)
    cache = Fickle()
    thread = CacheThread(GuardedCache(cache), heartbeat_s=60)
    with pytest.raises(CacheUnavailable, match="does not run"):
        thread.ask(lambda c: c.ping()).result(5)
    thread.start()
    gate = threading.Event()

    async def wait(_) -> None:
        while not gate.is_set():
            await asyncio.sleep(0.01)

    first = [thread.ask(wait) for _ in range(2)]
    with pytest.raises(CacheUnavailable, match="2 calls wait"):
        thread.ask(wait).result(5)
    gate.set()
    for each in first:
        each.result(5)
    until(lambda: thread._under_way == 0)
    thread.ask(lambda c: c.ping()).result(5)
    thread.stop()
    thread.stop()
    with pytest.raises(CacheUnavailable, match="does not run"):
        thread.ask(wait).result(5)


def test_who_waits_on_another_loop_waits_no_longer_than_it_wants() -> None:
    cache = Fickle()
    thread = CacheThread(GuardedCache(cache), heartbeat_s=60)
    thread.start()

    async def run() -> None:
        cache.late = 0.2
        with pytest.raises(CacheUnavailable, match=r"within 0\.01 s"):
            await thread.answer(lambda c: c.ping(), within=0.01)
        cache.late = 0.0
        assert await thread.answer(lambda c: c.frontier(), within=5) is None

    try:
        asyncio.run(run())
    finally:
        thread.stop()


def test_the_cache_here_is_bounded_and_forgets_by_its_clock() -> None:
    now = [0.0]
    cache = LocalCache(lambda: now[0], lambda: 7, most=3)

    async def run() -> None:
        await cache.begin(FRONTIER, instead_of=None)
        for n in range(4):
            await cache.keep(Shelf.PROFILE, GENERATION, [Item(str(n), b"", n)])
            await cache.fetch(Shelf.PROFILE, ["0"])
        found = await cache.fetch(Shelf.PROFILE, list("0123"))
        assert [held is not None for held in found.values] == [True, False, True, True]
        assert cache.evicted == 1
        now[0] = TTL_S[Shelf.PROFILE] - 0.1
        assert (await cache.fetch(Shelf.PROFILE, ["0"])).values[0] is not None
        now[0] = TTL_S[Shelf.PROFILE]
        assert (await cache.fetch(Shelf.PROFILE, ["0"])).values[0] is None

    asyncio.run(run())


def test_a_url_that_is_none_is_refused_with_an_example() -> None:
    with pytest.raises(InvalidSetting, match="redis://127"):
        SharedCache("http://127.0.0.1", lambda: 0)
