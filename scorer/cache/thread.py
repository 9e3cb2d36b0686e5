"""The cache's own thread: nothing of it runs where transactions are scored or requests answered.

An event loop on a thread of its own holds the connections. Whoever needs the cache hands a call
over (`ask` from a thread, `answer` from another loop) and waits as long as it likes; a heartbeat
finds out whether the cache answers, so that saying so (`degraded`) costs a look at two numbers.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from graph.errors import RingfenceError
from scorer.cache.guarded import GuardedCache
from scorer.cache.port import Cache, CacheUnavailable

T = TypeVar("T")

HEARTBEAT_S: Final = 0.25
WAITING: Final = 256
"""Calls that may be under way: with more, the next ones are refused."""
STOP_S: Final = 3.0

_DEGRADED: Final = ("cache",)
_WELL: Final[tuple[str, ...]] = ()

_log: Final = logging.getLogger(__name__)


class CacheThread:
    """Runs a cache behind its breaker on an event loop of its own.

    Args:
        cache: The cache behind its breaker.
        heartbeat_s: How often it is asked whether it is there.
    """

    def __init__(self, cache: GuardedCache, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._cache = cache
        self._heartbeat_s = heartbeat_s
        self._loop: asyncio.AbstractEventLoop | None = None  # a socket pair: not before `start`
        self._jobs: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._under_way = 0
        self._ended = False
        self._guard = threading.Lock()

    @property
    def cache(self) -> GuardedCache:
        """The cache, for its figures; call its methods through `ask` only."""
        return self._cache

    def start(self) -> None:
        """Start the thread; the cache need not be there. Twice is harmless."""
        with self._guard:
            if self._loop is None and not self._ended:
                self._loop = asyncio.new_event_loop()
                for job in self._jobs:
                    _begin(self._loop, job)
                self._thread = threading.Thread(
                    target=self._run, args=(self._loop,), name="cache", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """Let go of the connections and end, within `STOP_S` seconds. Twice is harmless."""
        with self._guard:
            if self._ended:
                return
            self._ended = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STOP_S)

    def degraded(self) -> tuple[str, ...]:
        """What a verdict has to name: `("cache",)` or nothing. From any thread, at once."""
        return _DEGRADED if self._cache.trouble else _WELL

    def ask(self, question: Callable[[Cache], Coroutine[Any, Any, T]]) -> "Future[T]":
        """Put a question on the cache's loop. Never waits.

        The future raises `CacheUnavailable` where it does not answer, has ended, or has
        `WAITING` questions already.
        """
        with self._guard:
            loop = None if self._ended else self._loop
            full = self._under_way >= WAITING
            if loop is not None and not full:
                self._under_way += 1
        if loop is None or full:
            future: Future[T] = Future()
            what = (
                "the cache's thread does not run"
                if loop is None
                else f"{WAITING} calls wait for it"
            )
            future.set_exception(
                CacheUnavailable(what, field="cache", remedy="Do without, or ask again later.")
            )
            return future
        found = asyncio.run_coroutine_threadsafe(question(self._cache), loop)
        found.add_done_callback(self._done)
        return found

    async def answer(
        self, question: Callable[[Cache], Coroutine[Any, Any, T]], *, within: float
    ) -> T:
        """Ask from another event loop and wait for at most `within` seconds.

        Raises:
            CacheUnavailable: It did not answer by then.
        """
        # Not cancelled when it is late: the breaker has to hear how it ended.
        asked = asyncio.wrap_future(self.ask(question))
        done, _ = await asyncio.wait([asked], timeout=within)
        if not done:
            asked.add_done_callback(_seen)
            raise CacheUnavailable(
                f"no answer within {within:g} s", field="cache", remedy="Do without."
            )
        return asked.result()

    def every(self, seconds: float, job: Callable[[Cache], Coroutine[Any, Any, object]]) -> None:
        """Do something again and again on the cache's loop, until it stops.

        A job that fails because the cache does is done again next time; it may be registered
        before `start`.
        """

        async def again() -> None:
            while True:
                try:
                    await job(self._cache)
                except RingfenceError as error:
                    _log.debug("%s", error)  # the breaker says when it begins and ends
                await asyncio.sleep(seconds)

        with self._guard:
            loop = self._loop
            if loop is None:
                self._jobs.append(again)
                return
        _begin(loop, again)

    def _done(self, _: "Future[Any]") -> None:
        with self._guard:
            self._under_way -= 1

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        self.every(self._heartbeat_s, self._beat)
        try:
            loop.run_forever()
            loop.run_until_complete(self._end())
        finally:
            loop.close()

    async def _beat(self, cache: Cache) -> None:
        well = not self._cache.trouble
        try:
            await cache.ping()
        finally:
            if well and self._cache.trouble:
                _log.warning("the cache does not answer well: %s", self._cache.last_error)

    async def _end(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._cache.close()


def _begin(loop: asyncio.AbstractEventLoop, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
    loop.call_soon_threadsafe(lambda: loop.create_task(job()))


def _seen(answer: "asyncio.Future[Any]") -> None:
    """Take note of an answer nobody waits for any more, or asyncio would complain of it."""
    if not answer.cancelled():
        answer.exception()
