"""The lists, the cache and the rate limits as the API has them, and how they start and stop."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec
from fastapi import Request

from api.clock import wall_clock
from api.list_board import ListBoard
from api.rate_limit import REPORT_S, RateLimiter
from api.settings import Settings
from api.views import Views
from graph.lists import ListChange, Lists
from graph.transaction import Transaction
from ingest.cache_sink import CacheFeed
from ingest.list_changes import message
from ingest.ports import Log
from ingest.sinks import Load
from scorer.cache.guarded import GuardedCache
from scorer.cache.local import LocalCache
from scorer.cache.port import Cache
from scorer.cache.thread import CacheThread
from scorer.verdict import Verdict

READ_S: Final = 0.05
"""How long a request waits for the cache; then the log answers, or "unknown" does."""
STALE_MS: Final = 5_000
"""Age of `as_of` from which what the cache says is called stale."""


@dataclass(slots=True)
class Caching:
    """What the routes of lists, profiles and verdicts work with.

    Attributes:
        log: Has the last word.
        cache: The cache's thread.
        lists: The lists, read off the log.
        decide: Appends a decision to the log and says at which offset it stands.
        limiter: The rate limits.
    """

    log: Log
    cache: CacheThread
    lists: ListBoard
    decide: Callable[[ListChange], int]
    limiter: RateLimiter = field(default_factory=RateLimiter)

    def start(self) -> None:
        """Begin; neither the cache nor the log need answer yet."""
        self.cache.start()
        self.cache.every(REPORT_S, self.limiter.report)
        self.lists.start()

    def stop(self) -> None:
        """End within a few seconds."""
        self.lists.stop()
        self.cache.stop()


def open_caching(settings: Settings, log: Log, lists: Lists) -> Caching:
    """Redis, or the cache in this process; neither is asked for anything yet.

    Raises:
        InvalidSetting: The URL of Redis is none.
    """
    cache: Cache
    if settings.redis is None:
        cache = LocalCache(time.monotonic, wall_clock)
    else:
        from scorer.cache.shared import SharedCache  # noqa: PLC0415 - only where it is used

        cache = SharedCache(settings.redis.get_secret_value(), wall_clock)

    def decide(change: ListChange) -> int:
        return log.append([message(change)])[0]

    return Caching(log, CacheThread(GuardedCache(cache)), ListBoard(log, lists), decide)


def cache_feed(
    caching: Caching, views: Views, load: Load[tuple[Transaction, Verdict]], lists: Lists
) -> CacheFeed:
    """What fills the cache; `load` is `ingest.sinks.scored`."""

    def render(verdict: Verdict) -> bytes:
        return msgspec.json.encode(views.verdict(verdict))

    return CacheFeed(caching.log, load, caching.cache, render, lists=lists, wall=wall_clock)


def caching_of(request: Request) -> Caching:
    """The parts of the running server."""
    caching = request.app.state.caching
    assert isinstance(caching, Caching)  # noqa: S101 - what `install` put there
    return caching
