"""`ringfence bench outages`: does a verdict wait for Neo4j or Redis?

A `ringfence serve` and its followers, `ringfence sink` in a process each as in docker-compose.yml,
reach the two servers through proxies that misbehave on request. It is asked over HTTP at a steady
pace, on one connection. In turns, over and over: all is well; both servers are in trouble; all is
well again and the followers catch up. A request is timed from the moment it was *due*, so that an
answer that was late for one is late for those behind it as well.

The alternative is the same server, in the same minutes, while all is well. On a machine with few
cores the tail is of whatever else ran in that second, so each stretch has a p99 of its own, and
what is compared is their median (`p99_to_healthy`). `healthy_with_itself` compares every other
healthy stretch with the rest: what is no further from 1 than that is noise.

Neo4j's database and the cache's keys in Redis must be empty: the benchmark takes out what it wrote.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.parse import urlsplit

import neo4j
from redis import Redis

from api.bench import collected_as_served, timing
from api.bench.graph import make_empty, refuse_unless_empty
from api.bench.http import Ask, bodies_until_now, serving
from api.bench.score import simulated
from api.bench.toxic import Toxic
from api.settings import Settings
from cypher.store import Neo4jStore
from graph.errors import InvalidSetting

TROUBLES: Final[dict[str, Callable[[Toxic], None]]] = {
    "down": lambda proxy: proxy.refuse(),
    "slow": lambda proxy: proxy.delay(0.3),
    "silent": lambda proxy: proxy.drop(),
    "flapping": lambda proxy: proxy.flap(0.3, 0.1),
}
_KEYS: Final = "{ringfence}*"


def bench_outages(
    settings: Settings, *, pace: int = 200, stretch_s: float = 4.0, rounds: int = 6, seed: int = 5
) -> dict[str, Any]:
    """Ask through good and bad times; figures by their published names.

    Args:
        settings: Name both servers.
        pace: Requests a second.
        stretch_s: How long each state lasts.
        rounds: How often each trouble comes.
        seed: Of the simulated city.

    Raises:
        InvalidSetting: A server is not empty.
        Unavailable: A server does not answer, or ours does not start.
    """
    each = int(pace * stretch_s)
    requests = each * rounds * len(TROUBLES) * 3
    warm = 10 * pace
    history = simulated(seed, 8, max(200, (requests + warm) // 16))[: requests + warm]
    bodies = iter(bodies_until_now(history))
    taken: dict[str, list[list[int]]] = {}
    named: dict[str, int] = {}
    with ExitStack() as stack:
        proxies, ask = stack.enter_context(_served(settings))
        _asked(ask, bodies, warm, pace)
        stack.enter_context(collected_as_served())
        for _ in range(rounds):
            for name, begin in TROUBLES.items():
                for state in ("healthy", name, "catching_up"):
                    for proxy in proxies:
                        begin(proxy) if state == name else proxy.heal()
                    some, degraded = _asked(ask, bodies, each, pace)
                    taken.setdefault(state, []).append(some)
                    named[state] = named.get(state, 0) + degraded
    typical = {state: _typical_p99(stretches) for state, stretches in taken.items()}
    healthy = taken["healthy"]
    return {
        "input": {
            "requests": requests,
            "pace_per_s": pace,
            "stretch_s": stretch_s,
            "rounds": rounds,
            "seed": seed,
        },
        **{
            state: timing(list(chain.from_iterable(stretches))).as_json()
            | {
                "median_p99_us": round(typical[state], 1),
                "named_degraded": round(named[state] / (each * len(stretches)), 3),
            }
            for state, stretches in taken.items()
        },
        "p99_to_healthy": {
            state: round(p99 / typical["healthy"], 3)
            for state, p99 in typical.items()
            if state != "healthy"
        },
        "healthy_with_itself": round(_typical_p99(healthy[::2]) / _typical_p99(healthy[1::2]), 3),
    }


def _typical_p99(stretches: Sequence[Sequence[int]]) -> float:
    """Microseconds: the median of each stretch's own p99."""
    return median(timing(stretch).p99_us for stretch in stretches)


def _asked(ask: Ask, bodies: Iterator[bytes], count: int, pace: int) -> tuple[list[int], int]:
    """Nanoseconds from when each was due to its answer, and how many answers name the cache."""
    taken, degraded = [], 0
    began = time.perf_counter_ns()
    for number in range(count):
        due = began + number * 1_000_000_000 // pace
        wait = due - time.perf_counter_ns()
        if wait > 0:
            time.sleep(wait / 1e9)
        answer = ask(next(bodies))
        taken.append(time.perf_counter_ns() - due)
        degraded += "cache" in json.loads(answer)["degraded"]
    return taken, degraded


@contextmanager
def _served(settings: Settings) -> Iterator[tuple[Sequence[Toxic], Ask]]:
    """Our server behind two proxies; what it wrote is taken out at the end."""
    assert settings.neo4j is not None  # noqa: S101 - `bench_servers` asks for both
    assert settings.redis is not None  # noqa: S101 - as above
    graph, cache = settings.neo4j, settings.redis.get_secret_value()
    password = "" if settings.neo4j_password is None else settings.neo4j_password.get_secret_value()
    auth = (settings.neo4j_user, password)
    with ExitStack() as stack:
        redis = Redis.from_url(cache)
        stack.callback(redis.close)
        if next(redis.scan_iter(match=_KEYS, count=10_000), None) is not None:
            raise InvalidSetting(
                "this Redis holds a cache of Ringfence, and the benchmark takes it out",
                field="redis",
                remedy="Point it at one started for this, such as that of `make servers`.",
            )
        store = Neo4jStore(graph, user=auth[0], password=password, database=settings.neo4j_database)
        refuse_unless_empty(store, graph)
        store.close()
        driver = stack.enter_context(neo4j.GraphDatabase.driver(graph, auth=auth))
        stack.callback(lambda: make_empty(driver, settings.neo4j_database))
        stack.callback(lambda: [redis.unlink(key) for key in redis.scan_iter(match=_KEYS)])
        proxies = [
            stack.enter_context(_before(graph, 7687)),
            stack.enter_context(_before(cache, 6379)),
        ]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ringfence-bench-")))
        environment = {
            "RINGFENCE_NEO4J": _through(graph, proxies[0]),
            "RINGFENCE_NEO4J_USER": auth[0],
            "RINGFENCE_NEO4J_PASSWORD": password,
            "RINGFENCE_NEO4J_DATABASE": settings.neo4j_database,
            "RINGFENCE_REDIS": _through(cache, proxies[1]),
            "RINGFENCE_DATA_DIR": str(folder),
            "RINGFENCE_LOG_LEVEL": "error",
        }
        ours = [sys.executable, "-m", "api.cli"]
        ask = stack.enter_context(
            serving(
                [*ours, "serve", "--port"],
                folder / "serve.log",
                **environment,
                RINGFENCE_SINKS="none",
            )
        )
        for which in ("graph", "cache"):
            log = folder / f"{which}.log"
            stack.enter_context(_following([*ours, "sink", which], environment, log))
        yield proxies, ask


@contextmanager
def _following(command: list[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        follower = subprocess.Popen(  # noqa: S603 - our own interpreter and our own arguments
            command, env={**os.environ, **environment}, stdout=output, stderr=output
        )
    try:
        yield
    finally:
        follower.terminate()
        follower.wait(60)


def _before(url: str, usual: int) -> Toxic:
    parts = urlsplit(url)
    return Toxic(parts.hostname or "127.0.0.1", parts.port or usual)


def _through(url: str, proxy: Toxic) -> str:
    """The same URL, password and all, by way of the proxy."""
    parts = urlsplit(url)
    before, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{before}{at}127.0.0.1:{proxy.port}").geturl()
