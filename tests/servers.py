"""Fixtures that lead to real servers: where they are, or why a test that needs one did not run.

Each address is `RINGFENCE_TEST_KAFKA`, `_NEO4J`, `_REDIS` or `_POSTGRES`, from the environment or
from the file that `make servers` writes. A server that is not there skips the test with its reason;
with `RINGFENCE_REQUIRE_SERVERS=1`, as in CI, it fails the test.

The servers are shared: by tests, by worker processes, by the developer. A test keeps to topics and
keys with a random prefix of its own; Neo4j Community has one database, so a test that counts in it
takes `empty_neo4j`, which only one test on this machine holds at a time.
"""

import fcntl
import hashlib
import os
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import pytest

FILE: Final = Path(__file__).parents[1] / ".cache" / "servers" / "env"
LOCK_S: Final = 280
"""How long `empty_neo4j` waits for another test: a little less than a test may take."""
_ABSENT: Final = "needs a real server: "
_FIXTURES: Final = {
    "kafka_url",
    "kafka_secure",
    "neo4j_url",
    "neo4j_auth",
    "empty_neo4j",
    "redis_url",
    "postgres_url",
}


class SecureKafka(NamedTuple):
    """The listener with TLS, where users are known by SCRAM-SHA-512 or SCRAM-SHA-256.

    Attributes:
        url: "127.0.0.1:PORT".
        ca: Certificate of the authority that signed the broker's.
        user: Who may enter.
        password: With what.
    """

    url: str
    ca: Path
    user: str
    password: str


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark `servers` what asks for one of the fixtures here.

    A test that asks at run time (`request.getfixturevalue`) has to carry the mark itself.
    """
    for item in items:
        if _FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.servers)


def pytest_terminal_summary(terminalreporter) -> None:
    """Say which suites did not run for want of a server."""
    suites: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", ()):
        if _ABSENT in str(report.longrepr):
            suites[report.nodeid.split("::")[0]] += 1
    if suites:
        named = ", ".join(f"{suite} ({count})" for suite, count in sorted(suites.items()))
        terminalreporter.write_line(
            f"{sum(suites.values())} tests need a server that does not run and were skipped "
            f"(`make servers` starts them): {named}",
            yellow=True,
        )


@pytest.fixture(scope="session")
def kafka_url() -> str:
    """Bootstrap address of a Kafka that creates no topic by itself: "127.0.0.1:PORT"."""
    found = _value("RINGFENCE_TEST_KAFKA")
    _must_answer(found, found)
    return found


@pytest.fixture(scope="session")
def kafka_secure() -> SecureKafka:
    """The same Kafka behind TLS and SCRAM."""
    names = [f"RINGFENCE_TEST_KAFKA_{part}" for part in ("SECURE", "CA", "USER", "PASSWORD")]
    url, ca, user, password = map(_value, names)
    _must_answer(url, url)
    return SecureKafka(url, Path(ca), user, password)


@pytest.fixture(scope="session")
def neo4j_url() -> str:
    """Neo4j 5 with Graph Data Science: "bolt://127.0.0.1:PORT"; `neo4j_auth` opens it."""
    found = _value("RINGFENCE_TEST_NEO4J")
    _must_answer(found, urlsplit(found).netloc)
    return found


@pytest.fixture(scope="session")
def neo4j_auth() -> tuple[str, str]:
    """User and password of `neo4j_url`."""
    user = _find("RINGFENCE_TEST_NEO4J_USER") or "neo4j"
    return user, _value("RINGFENCE_TEST_NEO4J_PASSWORD")


@pytest.fixture
def empty_neo4j(neo4j_url: str, neo4j_auth: tuple[str, str]) -> Iterator[str]:
    """`neo4j_url` with no node in its database, and nobody else's until the test ends.

    Constraints, indexes and GDS projections stay.
    """
    from neo4j import GraphDatabase  # noqa: PLC0415 - loaded by the tests that use it

    with _alone(neo4j_url), GraphDatabase.driver(neo4j_url, auth=neo4j_auth) as driver:
        _empty(driver)
        yield neo4j_url


@pytest.fixture(scope="session")
def redis_url() -> str:
    """A Redis that keeps nothing over a restart: "redis://127.0.0.1:PORT/0"."""
    found = _value("RINGFENCE_TEST_REDIS")
    _must_answer(found, urlsplit(found).netloc)
    return found


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """A PostgreSQL database of which we are the owner: "postgresql://USER:PASSWORD@HOST:PORT/DB"."""
    found = _value("RINGFENCE_TEST_POSTGRES")
    _must_answer(found, urlsplit(found).netloc)
    return found


def written(path: Path = FILE) -> dict[str, str]:
    """The KEY=VALUE lines of the file that `make servers` writes; empty without one."""
    if not path.exists():
        return {}
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def absent(reason: str) -> None:
    """Skip the test, or fail it where servers are required."""
    text = f"{_ABSENT}{reason}; `make servers` starts them"
    if os.environ.get("RINGFENCE_REQUIRE_SERVERS") == "1":
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


def _find(name: str) -> str | None:
    return os.environ.get(name) or written().get(name)


def _value(name: str) -> str:
    found = _find(name)
    if found is None:
        absent(f"{name} is not set")
    assert found is not None
    return found


def _must_answer(url: str, netloc: str) -> None:
    host, _, port = netloc.rpartition("@")[2].partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5.0).close()
    except OSError as error:
        absent(f"nothing answers at {url.rpartition('@')[2]} ({error})")


class _alone:  # noqa: N801 - reads as the statement it is part of
    """One holder on this machine at a time, whichever process it is in."""

    def __init__(self, url: str) -> None:
        name = hashlib.sha256(url.encode()).hexdigest()[:16]
        self._path = Path(tempfile.gettempdir()) / f"ringfence-neo4j-{name}.lock"

    def __enter__(self) -> None:
        self._file = self._path.open("a")
        until = time.monotonic() + LOCK_S
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    self._file.close()
                    pytest.fail(f"another test held {self._path} for {LOCK_S} s", pytrace=False)
                time.sleep(0.05)
            else:
                return

    def __exit__(self, *_: object) -> None:
        self._file.close()  # and with it the lock


def _empty(driver) -> None:
    # Relationships first: a node with a million of them would be one transaction of a million.
    for what in (
        "MATCH ()-[r]->() WITH r LIMIT 10000 DELETE r",
        "MATCH (n) WITH n LIMIT 10000 DETACH DELETE n",
    ):
        while driver.execute_query(what, database_="neo4j").summary.counters.contains_updates:
            pass
