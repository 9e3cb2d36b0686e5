"""Rate limits: decided here and at once, agreed upon with other processes in the background.

Each client has a token bucket in this process. A request takes a token or is refused; it never
waits for anything. Twice a second what was taken is reported to the cache, whose bucket all
processes share, and this process goes on with what is left there, if that is less.

With P processes that report every T seconds (and an answer under way counted in T), a client may
within any L seconds be let in at most

    burst + rate * L + (P - 1) * (burst + 2 * rate * T)

times: each process may spend once what it last heard is left. Without the cache each process goes
by its own bucket alone: P times the limit. A cache that was emptied forgives what was owed.
"""

import asyncio
import hashlib
import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import respond, shorten
from graph.errors import InvalidInput
from scorer.cache.port import Budget, Cache

PER_CLIENT: Final = Budget(rate=5_000.0, burst=10_000.0)
"""Above what one engine scores: it stops a client that runs away, not one that works."""
REPORT_S: Final = 0.5
CLIENTS: Final = 50_000
"""Clients remembered; of more, the one heard of longest ago begins anew with a full bucket."""
REPORTED: Final = 5_000
"""Clients reported at a time; the others follow with the next report."""
EXEMPT: Final = frozenset({"/healthz", "/readyz"})


class RateLimited(InvalidInput):
    """The client sends more requests than it may."""

    code = "rate-limited"
    http_status = 429


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float
    unreported: float = 0.0


class RateLimiter:
    """Token buckets by client.

    Args:
        budget: What each client may do.
        clock: Seconds that only grow.
    """

    def __init__(
        self, budget: Budget = PER_CLIENT, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.budget: Final = budget
        self._clock = clock
        self._guard = threading.Lock()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._taken: dict[str, float] = {}  # since the last report, in order of the first
        self.refused = 0

    def wait_of(self, client: str) -> float:
        """Take a token: 0 where there was one, else seconds until there will be."""
        now = self._clock()
        with self._guard:
            bucket = self._bucket(client, now)
            if bucket.tokens >= 1:
                bucket.tokens -= 1
                self._taken[client] = self._taken.get(client, 0.0) + 1
                return 0.0
            self.refused += 1
            return (1 - bucket.tokens) / self.budget.rate

    async def report(self, cache: Cache) -> None:
        """Tell the cache what was taken and go on with what all have left.

        Raises:
            CacheUnavailable: It does not answer; what was taken counts here only.
        """
        with self._guard:
            reported = dict(list(self._taken.items())[:REPORTED])
            for client in reported:
                del self._taken[client]
        if not reported:
            return
        left = await cache.spend(self.budget, reported)
        now = self._clock()
        with self._guard:
            for client, tokens in left.items():
                bucket = self._bucket(client, now)
                # What was taken while the answer was under way is not in it yet.
                bucket.tokens = min(bucket.tokens, tokens - self._taken.get(client, 0.0))

    def _bucket(self, client: str, now: float) -> _Bucket:
        bucket = self._buckets.get(client)
        if bucket is None:
            bucket = self._buckets[client] = _Bucket(self.budget.burst, now)
            if len(self._buckets) > CLIENTS:
                gone, _ = self._buckets.popitem(last=False)
                self._taken.pop(gone, None)
        else:
            self._buckets.move_to_end(client)
            tokens = bucket.tokens + (now - bucket.at) * self.budget.rate
            bucket.tokens, bucket.at = min(self.budget.burst, tokens), now
        return bucket


def client_of(scope: Scope) -> str:
    """Who asks: a hash of the client's address, of IPv6 its /64, which is one customer.

    A key that the request names itself would be a new client with every made-up key: it may stand
    here only where something has checked it before.
    """
    client = scope.get("client")
    host = client[0] if client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        if isinstance(address, ipaddress.IPv6Address):
            host = str(address.ipv4_mapped or ipaddress.ip_network((host, 64), strict=False))
    return hashlib.blake2s(host.encode(), digest_size=8).hexdigest()


class RateLimit:
    """Refuses what goes beyond the limit before any of it is read, as plain ASGI.

    Args:
        app: What answers the rest.
        limiter: The buckets.
        identify: Who asks.
    """

    def __init__(
        self,
        app: ASGIApp,
        limiter: RateLimiter,
        identify: Callable[[Scope], str] = client_of,
    ) -> None:
        self._app = app
        self._limiter = limiter
        self._identify = identify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 429 with Retry-After."""
        if scope["type"] != "http" or scope["path"] in EXEMPT:
            await self._app(scope, receive, send)
            return
        wait = self._limiter.wait_of(self._identify(scope))
        if not wait:
            await self._app(scope, receive, send)
            return
        budget = self._limiter.budget
        problem = respond(
            RateLimited(
                f"at most {budget.rate:g} requests a second, {budget.burst:g} at once",
                field="request",
                remedy=f"Send it again in {max(1, math.ceil(wait))} s.",
            ),
            shorten(scope["path"]),
            {"Retry-After": str(max(1, math.ceil(wait))), "Connection": "close"},
        )
        # The body is not read: the connection cannot carry another request, and is worth no more.
        await asyncio.sleep(0)
        await problem(scope, receive, send)
