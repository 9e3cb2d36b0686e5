"""The official Neo4j driver on a thread of its own: asynchronous inside, synchronous outside.

A call hands its unit of work to the event loop and waits for it, never longer than its deadline.
The driver manages the transactions: after a deadlock or a lost connection it runs the unit again,
for at most `RETRY_S`. Errors come out as the driver raises them (`CAUGHT` in
`cypher/driver_errors.py`), except for a deadline, which is `GraphUnavailable`.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from neo4j import (
    READ_ACCESS,
    AsyncDriver,
    AsyncGraphDatabase,
    AsyncManagedTransaction,
    NotificationMinimumSeverity,
    unit_of_work,
)

from cypher import driver_errors
from cypher.ports import GraphUnavailable
from graph.errors import InvalidSetting

T = TypeVar("T")
Unit = Callable[[AsyncManagedTransaction], Awaitable[T]]

CONNECT_S: Final = 5.0
"""Until a connection is made, or taken from the pool; what a silent server is waited for."""
RETRY_S: Final = 10.0
"""How long the driver runs a transaction again after deadlocks and lost connections."""
POOL: Final = 16
"""Connections at once; a call beyond waits for one, at most `CONNECT_S`."""
FETCH: Final = 1_000
"""Rows a round trip: what lies on this side beyond what a unit has taken."""

_SCHEMES: Final = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")
_MARGIN_S: Final = 5.0

# What the driver would log of lost connections is in the errors raised here; and it retries.
logging.getLogger("neo4j").setLevel(logging.CRITICAL)


class Connection:
    """A driver, its pool and its thread.

    Args:
        url: `bolt://`, `bolt+s://`, `neo4j://` or `neo4j+s://`, host and port; no password in it.
        user: Who asks.
        password: Kept by the driver only; no message, log line or repr has it.
        database: Its name on that server.

    Raises:
        InvalidSetting: The URL is none that the driver takes.
    """

    def __init__(self, url: str, *, user: str, password: str, database: str) -> None:
        self.url = _checked(url)
        self.database = database
        self._closed = False
        self._flying: set[Future[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="neo4j driver", daemon=True
        )
        self._thread.start()
        self._driver = self._wait(self._open(user, password), CONNECT_S)

    def write(self, unit: Unit[T], *, limit_s: float) -> T:
        """Run a unit that may write; the server ends it after `limit_s`."""
        return self._wait(self._write(unit, limit_s), CONNECT_S + RETRY_S + limit_s)

    def read(
        self, unit: Unit[T], *, limit_s: float, grace_s: float = CONNECT_S, fetch: int = FETCH
    ) -> T:
        """Run a unit that the server lets only read, and ends after `limit_s`.

        A server that is silent or away is given up `grace_s` after that.
        """
        return self._wait(self._read(unit, limit_s, fetch), limit_s + grace_s)

    def close(self) -> None:
        """End; calls in flight are given up and raise `GraphUnavailable`."""
        if self._closed:
            return
        for call in list(self._flying):
            call.cancel()
        with contextlib.suppress(*driver_errors.CAUGHT, GraphUnavailable):
            self._wait(self._driver.close(), CONNECT_S)
        self._closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_MARGIN_S)
        if not self._thread.is_alive():
            self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        if self._closed:
            work.close()
            raise GraphUnavailable("the graph is closed", remedy="Open it again.")
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, seconds), self._loop)
        self._flying.add(future)
        try:
            # The margin is for the loop to cancel what is late; it takes none where all is well.
            return future.result(seconds + _MARGIN_S)
        except CancelledError as error:
            raise GraphUnavailable("the graph was closed", remedy="Open it again.") from error
        except TimeoutError as error:
            raise driver_errors.silent(seconds) from error
        finally:
            self._flying.discard(future)

    # --- on the loop ----------------------------------------------------------------------------

    async def _open(self, user: str, password: str) -> AsyncDriver:
        return AsyncGraphDatabase.driver(
            self.url,
            auth=(user, password),
            connection_timeout=CONNECT_S,
            connection_acquisition_timeout=CONNECT_S,
            connection_write_timeout=CONNECT_S,
            max_connection_pool_size=POOL,
            max_transaction_retry_time=RETRY_S,
            # Otherwise it logs that a label is unknown, as every label is at the start.
            notifications_min_severity=NotificationMinimumSeverity.OFF,
            user_agent="ringfence",
            telemetry_disabled=True,
        )

    async def _write(self, unit: Unit[T], limit_s: float) -> T:
        async with self._driver.session(database=self.database, fetch_size=FETCH) as session:
            return await session.execute_write(unit_of_work(timeout=limit_s)(_bare(unit)))

    async def _read(self, unit: Unit[T], limit_s: float, fetch: int) -> T:
        async with self._driver.session(
            database=self.database, default_access_mode=READ_ACCESS, fetch_size=fetch
        ) as session:
            return await session.execute_read(unit_of_work(timeout=limit_s)(_bare(unit)))


def _bare(unit: Unit[T]) -> Unit[T]:
    """A function of its own: `unit_of_work` writes the time limit onto what it is given."""

    async def run(transaction: AsyncManagedTransaction) -> T:
        return await unit(transaction)

    return run


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise InvalidSetting(
            "the URL must not hold a user or a password",
            field="neo4j",
            remedy="Set neo4j_user and neo4j_password.",
        )
    try:
        usable = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        usable = False
    if not usable:
        raise InvalidSetting(
            "this is not the URL of a Neo4j server",
            field="neo4j",
            value=url[:200],
            remedy=f"Write {', '.join(f'{s}://' for s in _SCHEMES[:4])} and host:port, "
            "for example bolt://localhost:7687.",
        )
    return url
