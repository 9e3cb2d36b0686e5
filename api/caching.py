"""The lists, the cache and the rate limits as the API has them, and how they start and stop."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from fastapi import FastAPI, Request

from api.list_board import ListBoard
from api.rate_limit import REPORT_S, RateLimit, RateLimiter
from graph.lists import ListChange
from ingest.ports import Log
from scorer.cache.thread import CacheThread

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


def install(app: FastAPI, caching: Caching | None) -> None:
    """Add the routes; without parts they can only be described."""
    # Here, since the routes ask this module for their parts.
    from api.routes import lists, profiles, verdicts  # noqa: PLC0415

    for module in (lists, profiles, verdicts):
        app.include_router(module.router)
    app.state.caching = caching
    if caching is not None:
        app.add_middleware(RateLimit, limiter=caching.limiter)


def caching_of(request: Request) -> Caching:
    """The parts of the running server."""
    caching = request.app.state.caching
    assert isinstance(caching, Caching)  # noqa: S101 - what `install` put there
    return caching
