"""A cache behind a circuit breaker: asked while it answers, left alone while it does not.

    closed ── FAILURES in a row ──► open ── after OPEN_S ──► one call tries ──► closed
                                     ▲                            │
                                     └────────── it failed ───────┘

The breaker is `purgatory`'s. Around it: one call at a time may try a cache that was given up
(purgatory would let all of them), and whoever is turned away is told so without going through it
(it raises one exception object again and again, whose traceback grows with each).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

from purgatory import AsyncCircuitBreakerFactory
from purgatory.service._async.circuitbreaker import AsyncCircuitBreaker

from scorer.cache.port import (
    Budget,
    Cache,
    CacheUnavailable,
    Decided,
    Found,
    Frontier,
    Item,
    Shelf,
    Superseded,
)

T = TypeVar("T")

FAILURES: Final = 3
OPEN_S: Final = 1.0
CALL_S: Final = 1.0
"""How long one call may take; it may hold several answers, each bounded by its adapter."""
SLOW_S: Final = 0.25
"""An answer to `ping` that takes longer is as good as none for who reads the cache online."""
QUIET_S: Final = 1.0
"""How long it has to answer well before it counts as there again: what flaps is not there."""


class GuardedCache:
    """A `Cache` that fails at once while the one behind it does not answer.

    Args:
        cache: The cache behind it.
        failures: Calls that fail one after another before it is left alone.
        open_s: How long it is left alone before one call tries it.
        call_s: How long one call may take.
        slow_s: How long an answer to `ping` may take before `trouble` says so.
        quiet_s: How long all has to go well before `trouble` is over.
    """

    def __init__(
        self,
        cache: Cache,
        *,
        failures: int = FAILURES,
        open_s: float = OPEN_S,
        call_s: float = CALL_S,
        slow_s: float = SLOW_S,
        quiet_s: float = QUIET_S,
    ) -> None:
        self._cache = cache
        # Cancelled callers and a cache that was emptied say nothing against its server.
        self._factory = AsyncCircuitBreakerFactory(
            default_threshold=failures,
            default_ttl=open_s,
            exclude=[Superseded, asyncio.CancelledError],
        )
        self._breaker: AsyncCircuitBreaker | None = None
        self._open_s = open_s
        self._call_s = call_s
        self._slow_s = slow_s
        self._quiet_s = quiet_s
        self._trying = False
        self._slow = False
        self._asked_at: float | None = None  # when a ping under way was sent
        self._clear_from = 0.0  # monotonic seconds from which no trouble is known of
        self.failures = 0
        self.refused = 0
        self.last_error: str | None = None

    @property
    def state(self) -> str:
        """What the breaker says: "closed", "opened" or "half-opened"."""
        return "closed" if self._breaker is None else str(self._breaker.context.state)

    @property
    def trouble(self) -> bool:
        """Whether the cache failed, was slow or was left alone lately. Safe from any thread."""
        now, asked_at = time.monotonic(), self._asked_at
        overdue = asked_at is not None and now - asked_at > self._slow_s
        return self.state != "closed" or self._slow or overdue or now < self._clear_from

    async def ping(self) -> None:
        """Ask for an answer of any kind; a slow one is trouble until a quick one came."""
        began = self._asked_at = time.monotonic()
        try:
            await self._call(self._cache.ping)
        finally:
            self._asked_at = None
        now, was_slow = time.monotonic(), self._slow
        self._slow = now - began > self._slow_s
        if self._slow:
            self.last_error = f"an answer took more than {self._slow_s:g} s"
        if self._slow or was_slow:
            self._clear_from = now + self._quiet_s

    async def frontier(self) -> Frontier | None:
        """See `Cache`."""
        return await self._call(self._cache.frontier)

    async def begin(self, frontier: Frontier, *, instead_of: str | None) -> bool:
        """See `Cache`."""
        return await self._call(lambda: self._cache.begin(frontier, instead_of=instead_of))

    async def advance(self, frontier: Frontier) -> None:
        """See `Cache`."""
        await self._call(lambda: self._cache.advance(frontier))

    async def keep(self, shelf: Shelf, generation: str, items: Sequence[Item]) -> int:
        """See `Cache`."""
        return await self._call(lambda: self._cache.keep(shelf, generation, items))

    async def fetch(self, shelf: Shelf, keys: Sequence[str]) -> Found:
        """See `Cache`."""
        return await self._call(lambda: self._cache.fetch(shelf, keys))

    async def decide(self, generation: str, decisions: Sequence[Decided]) -> int:
        """See `Cache`."""
        return await self._call(lambda: self._cache.decide(generation, decisions))

    async def listed(self, keys: Sequence[str]) -> Found:
        """See `Cache`."""
        return await self._call(lambda: self._cache.listed(keys))

    async def spend(self, budget: Budget, spent: Mapping[str, float]) -> dict[str, float]:
        """See `Cache`."""
        return await self._call(lambda: self._cache.spend(budget, spent))

    async def close(self) -> None:
        """See `Cache`."""
        await self._cache.close()

    async def _call(self, attempt: Callable[[], Awaitable[T]]) -> T:
        if self._breaker is None:
            self._breaker = await self._factory.get_breaker("cache")
        context = self._breaker.context
        if context.state != "closed" and (self._trying or self._left_alone()):
            self.refused += 1
            raise CacheUnavailable(
                f"it is left alone after {self.failures} failures: {self.last_error}",
                field="cache",
                remedy=f"It is tried again within {self._open_s:g} s.",
            )
        trying = context.state != "closed"
        self._trying = self._trying or trying
        try:
            async with self._breaker:
                return await self._in_time(attempt)
        finally:
            if trying:
                self._trying = False

    def _left_alone(self) -> bool:
        assert self._breaker is not None  # noqa: S101 - its caller made it
        opened_at = self._breaker.context.opened_at
        # Wall clock: it is what purgatory compares with.
        return opened_at is not None and time.time() <= opened_at + self._open_s

    async def _in_time(self, attempt: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._call_s):
                return await attempt()
        except Superseded:
            raise
        except CacheUnavailable as error:
            raise self._failed(error) from None
        except TimeoutError:
            raise self._failed(
                CacheUnavailable(
                    f"no answer within {self._call_s:g} s",
                    field="cache",
                    remedy="Look at the load of Redis and at the network.",
                )
            ) from None

    def _failed(self, error: CacheUnavailable) -> CacheUnavailable:
        self.failures += 1
        self.last_error = error.what
        self._clear_from = time.monotonic() + self._quiet_s
        return error
