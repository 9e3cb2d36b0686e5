"""Rate limits: at once here, agreed upon later, within the error that is promised."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import rate_limit
from api.rate_limit import RateLimit, RateLimiter, client_of
from scorer.cache.local import LocalCache
from scorer.cache.port import Budget, CacheUnavailable


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("burst", [1, 7])
def test_a_burst_and_then_the_rate(burst: int) -> None:
    clock = Clock()
    limiter = RateLimiter(Budget(rate=2.0, burst=burst), clock=clock)
    assert [limiter.wait_of("a") for _ in range(burst)] == [0.0] * burst
    assert limiter.wait_of("a") == pytest.approx(0.5)
    assert limiter.wait_of("b") == 0.0
    clock.now += 0.5
    assert limiter.wait_of("a") == 0.0
    assert limiter.wait_of("a") == pytest.approx(0.5)
    assert limiter.refused == 2


ARRIVALS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 30), st.floats(0, 0.4)), min_size=1, max_size=60
)


@given(ARRIVALS, st.sampled_from([1.0, 5.0, 40.0]), st.sampled_from([2.0, 10.0]))
def test_three_processes_let_in_no_more_than_is_promised(arrivals, rate, burst) -> None:
    """Each reports every 0.5 s at a moment of its own; every stretch of time is looked at."""
    clock, every = Clock(), rate_limit.REPORT_S
    budget = Budget(rate, burst)
    cache = LocalCache(clock, lambda: 0)
    processes = [RateLimiter(budget, clock=clock) for _ in range(3)]
    due = [clock.now + every * (n + 1) / 3 for n in range(3)]
    let_in: list[float] = []
    for process, requests, pause in arrivals:
        waits = [processes[process].wait_of("a") for _ in range(requests)]
        let_in += [clock.now] * waits.count(0.0)
        until = clock.now + pause
        while min(due) <= until:
            turn = due.index(min(due))
            clock.now = max(clock.now, due[turn])
            asyncio.run(processes[turn].report(cache))
            due[turn] += every
        clock.now = until
    error = 2 * (burst + 2 * rate * every)
    for first in range(len(let_in)):
        for last in range(first, len(let_in)):
            within = let_in[last] - let_in[first]
            assert last - first + 1 <= burst + rate * within + error + 1e-6


def test_what_one_process_took_another_does_not_give_again() -> None:
    clock = Clock()
    cache = LocalCache(clock, lambda: 0)
    budget = Budget(rate=0.001, burst=10)
    here, there = RateLimiter(budget, clock=clock), RateLimiter(budget, clock=clock)
    assert sum(here.wait_of("a") == 0.0 for _ in range(10)) == 10
    assert there.wait_of("a") == 0.0
    asyncio.run(here.report(cache))
    asyncio.run(there.report(cache))
    assert there.wait_of("a") > 0


def test_without_the_cache_each_goes_by_its_own_bucket() -> None:
    class Gone(LocalCache):
        async def spend(self, budget, spent):
            raise CacheUnavailable("gone", remedy="Wait.")

    clock = Clock()
    limiter = RateLimiter(Budget(rate=1, burst=5), clock=clock)
    assert limiter.wait_of("a") == 0.0
    with pytest.raises(CacheUnavailable):
        asyncio.run(limiter.report(Gone(clock, lambda: 0)))
    assert [limiter.wait_of("a") == 0.0 for _ in range(5)] == [True] * 4 + [False]


def test_clients_and_reports_are_bounded(monkeypatch) -> None:
    monkeypatch.setattr(rate_limit, "CLIENTS", 10)
    monkeypatch.setattr(rate_limit, "REPORTED", 4)
    clock = Clock()
    cache = LocalCache(clock, lambda: 0)
    limiter = RateLimiter(Budget(rate=1, burst=5), clock=clock)
    for n in range(25):
        limiter.wait_of(str(n))
    assert len(limiter._buckets) == 10
    assert len(limiter._taken) == 10
    for left in (6, 2, 0):
        asyncio.run(limiter.report(cache))
        assert len(limiter._taken) == left


def test_clients_are_addresses_and_ipv6_customers() -> None:
    def client(host: str | None) -> str:
        return client_of({"type": "http", "client": host and (host, 1)})

    assert client("2001:db8::1") == client("2001:db8::ffff:1") != client("2001:db8:0:1::1")
    assert client("192.0.2.1") == client("::ffff:192.0.2.1") != client("192.0.2.2")
    assert client(None) == client(None)
    assert "192" not in client("192.0.2.1")


def test_health_is_asked_for_without_a_limit() -> None:
    answered = []

    async def app(scope, receive, send) -> None:
        answered.append(scope["path"])

    limiter = RateLimiter(Budget(rate=0.001, burst=1), clock=Clock())
    limited = RateLimit(app, limiter)
    sent = []

    async def send(message) -> None:
        sent.append(message)

    for path in ("/healthz", "/readyz", "/v1/rings", "/v1/rings", "/healthz"):
        scope = {"type": "http", "path": path, "client": ("192.0.2.1", 1), "method": "GET"}
        asyncio.run(limited(scope, None, send))
    assert answered == ["/healthz", "/readyz", "/v1/rings", "/healthz"]
    assert sent[0]["status"] == 429
