"""The graph database in a server: Neo4j 5.

How it keeps the port's promises:

- *Atomic.* A batch is one transaction that the driver manages: it reads what is there and writes
  the rest, and is run again from its start after a deadlock or a lost connection.
- *Idempotent, whoever else writes.* Each transaction begins by locking the `Sink` node. So there
  is one writer at a time, even while an old process still lives: the second waits, then sees what
  the first wrote. Nor can two of ours deadlock.
- *Readers never wait.* A query is a read-only transaction with a time limit that the server keeps
  as well; its rows are streamed, and it is left once it has brought `max_rows`. What read-only
  mode leaves open is closed in `cypher/reading.py`.
- *A server that is away hinders nobody.* Opening succeeds and says so in the log; every call
  raises `GraphUnavailable` until the server is back.

Constraints and indexes (`cypher/schema.py`) are brought up to date by the first call that reaches
the server. What it cannot do: bound the memory of one query. That is the server's setting
`db.memory.transaction.max`.
"""

import asyncio
import logging
import re
import threading
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, TypeVar

from neo4j import AsyncManagedTransaction

from cypher import driver_errors, schema
from cypher.connection import CONNECT_S, FETCH, Connection, Unit
from cypher.driver_errors import CAUGHT
from cypher.known import Known, Statement, questions
from cypher.ports import (
    Dialect,
    GraphBatch,
    GraphUnavailable,
    QueryTooBroad,
    Removal,
    Rows,
    Written,
    check_limits,
)
from cypher.reading import Guard, stream
from cypher.removal import clear
from cypher.statements import plan
from graph.errors import Incompatible, InvalidSetting

T = TypeVar("T")

WRITE_S: Final = 30.0
"""The server ends a batch that writes for longer; it takes a fraction of a second."""
OFFSET_MS: Final = 10_000
MIGRATE_S: Final = 600.0
"""For building all indexes on a database that is full already; on an empty one it is a second."""

# Setting a property to itself changes nothing and takes the lock; removing none does not take it.
_LOCK: Final = Statement(
    "UNWIND $rows AS row MERGE (s:Sink {id: row.id}) SET s.offset = s.offset "
    "RETURN s.horizon AS horizon",
    [{"id": "graph"}],
)

# What a text would do is the same on every server: each is looked at once, by whichever store.
_GUARD: Final = Guard()

_log: Final = logging.getLogger(__name__)


class Neo4jStore:
    """A `cypher.ports.GraphStore` in a Neo4j server.

    Args:
        url: `bolt://`, `bolt+s://`, `neo4j://` or `neo4j+s://`, host and port; no password in it.
        user: Who may read, write and change the schema.
        password: No message, log line or repr has it.
        database: Its name on that server.

    Raises:
        InvalidSetting: The URL is none, or the server refuses the user or has no such database.
        Incompatible: The database was migrated by a newer program, or by a file that changed.
    """

    def __init__(self, url: str, *, user: str, password: str, database: str = "neo4j") -> None:
        self._connection = Connection(url, user=user, password=password, database=database)
        self._migrating = threading.Lock()
        self._ready = False
        try:
            self.migrate()
        except GraphUnavailable as error:
            _log.warning("opened without its server: %s", error)
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"Neo4jStore({self._connection.url!r}, database={self._connection.database!r})"

    def migrate(self) -> list[schema.Migration]:
        """Bring constraints and indexes up to date; says what it applied, mostly nothing.

        Raises:
            GraphUnavailable: The server does not answer; nothing, or a whole number of migrations,
                was applied.
            InvalidSetting: It refuses the user or the password, or has no such database.
            Incompatible: See the class.
        """
        with self._migrating:
            try:
                applied = self._connection.read(_applied, limit_s=CONNECT_S, grace_s=0)
                left = schema.pending(applied)
                for each in left:
                    self._apply(each)
            except CAUGHT as error:
                raise driver_errors.on_open(error, self._connection.url) from error
            self._ready = True
            return left

    @property
    def dialect(self) -> Dialect:
        """See `GraphStore.dialect`."""
        return Dialect.NEO4J

    def write(self, batch: GraphBatch) -> Written:
        """See `GraphStore.write`."""

        async def unit(tx: AsyncManagedTransaction) -> Written:
            known = Known(by_id=True)
            known.learn(await _rows(tx, _LOCK))
            for asked in questions(batch, known):
                known.learn(await _rows(tx, asked))
            statements, written = plan(batch, known)
            for statement in statements:
                await _rows(tx, statement)
            return written

        return self._write(unit)

    def remove(self, removal: Removal) -> None:
        """See `GraphStore.remove`."""

        async def unit(tx: AsyncManagedTransaction) -> None:
            await _rows(tx, _LOCK)
            for statement in clear(removal, Known(by_id=True)):
                await _rows(tx, statement)

        self._write(unit)

    def query(
        self,
        cypher: str,
        parameters: Mapping[str, object],
        *,
        max_rows: int,
        timeout_ms: int,
    ) -> Rows:
        """See `GraphStore.query`.

        The time limit is for the rows. Planning a statement that the server does not know, and
        reaching a server that is silent, are given `CONNECT_S` each beyond it.
        """
        check_limits(max_rows, timeout_ms)
        seconds = timeout_ms / 1_000

        async def unit(tx: AsyncManagedTransaction) -> Rows:
            try:
                await _GUARD.check(tx, cypher)
                result = await tx.run(cypher, dict(parameters))
                # The server looks at its limits every other second; ours is the sharper one.
                async with asyncio.timeout(seconds):
                    return await stream(result, max_rows)
            except TimeoutError as error:
                raise driver_errors.too_slow(timeout_ms) from error
            except CAUGHT as error:
                told = driver_errors.on_query(error, timeout_ms)
                if isinstance(told, GraphUnavailable):
                    raise  # for the driver, who may run it again
                raise told from error

        self._check_ready()
        try:
            fetch = min(max_rows + 1, FETCH)
            # The server's clock runs while it plans, which the first time may take seconds.
            return self._connection.read(unit, limit_s=seconds + CONNECT_S, fetch=fetch)
        except CAUGHT as error:
            raise driver_errors.on_query(error, timeout_ms) from error

    def offset(self) -> int | None:
        """See `GraphStore.offset`."""
        found = self._standing("offset")
        return found if isinstance(found, int) else None

    def fed_from(self) -> str | None:
        """See `GraphStore.fed_from`."""
        found = self._standing("log")
        return found if isinstance(found, str) else None

    def feed_from(self, log: str) -> None:
        """See `GraphStore.feed_from`."""
        self.write(GraphBatch(log=log))

    def _standing(self, name: str) -> object:
        ask = f"MATCH (s:Sink {{id: 'graph'}}) RETURN s.{name}"
        try:
            rows = self.query(ask, {}, max_rows=1, timeout_ms=OFFSET_MS).rows
        except QueryTooBroad as error:  # one node by its key: it is not the question that is slow
            raise driver_errors.silent(OFFSET_MS / 1_000) from error
        return rows[0][0] if rows else None

    def close(self) -> None:
        """See `GraphStore.close`; a call in flight is given up."""
        self._connection.close()

    def _check_ready(self) -> None:
        """Migrate where the server was away at the start; only `GraphUnavailable` comes of it."""
        if self._ready:
            return
        try:
            self.migrate()
        except (Incompatible, InvalidSetting) as error:
            # The batch is not to blame, so it must not end among the dead letters.
            raise GraphUnavailable(
                f"the graph cannot be used: {error}", remedy="Do so; it is tried again."
            ) from error

    def _apply(self, migration: schema.Migration) -> None:
        async def statement(tx: AsyncManagedTransaction, text: str, **values: object) -> None:
            await (await tx.run(text, values)).consume()

        def run(text: str, **values: object) -> None:
            try:
                self._connection.write(lambda tx: statement(tx, text, **values), limit_s=MIGRATE_S)
            except CAUGHT as error:
                # IF NOT EXISTS looks before it takes its lock: another program may come between.
                if not driver_errors.already_there(error):
                    raise

        _log.info("applying graph migration %04d-%s", migration.number, migration.name)
        for text in (schema.LEDGER, *migration.statements):
            run(text)
        run("CALL db.awaitIndexes($seconds)", seconds=int(MIGRATE_S) - 1)
        run(schema.NOTE, id=migration.number, name=migration.name, checksum=migration.checksum)

    def _write(self, unit: Unit[T]) -> T:
        """Run a unit that begins with `_LOCK`; its errors become ours."""

        async def nothing(tx: AsyncManagedTransaction) -> None:
            await _rows(tx, _LOCK)

        self._check_ready()
        try:
            return self._connection.write(unit, limit_s=WRITE_S)
        except CAUGHT as error:
            told: Exception = driver_errors.on_write(error)
            if driver_errors.ambiguous(error):
                try:  # a server that can write nothing at all is at fault itself
                    self._connection.write(nothing, limit_s=WRITE_S)
                except CAUGHT as second:
                    raise driver_errors.on_write(second) from error
                told = driver_errors.refused(error)
            raise told from error


async def _applied(tx: AsyncManagedTransaction) -> list[dict[str, Any]]:
    return await (await tx.run(schema.APPLIED)).data()


async def _rows(tx: AsyncManagedTransaction, statement: Statement) -> list[dict[str, Any]]:
    if not statement.rows:
        return []
    columns = tuple(statement.rows[0])
    rows = [list(row.values()) for row in statement.rows]
    return await (await tx.run(_by_position(statement.text, columns), {"rows": rows})).data()


@cache  # as many as there are statements of ours, some sixty
def _by_position(text: str, columns: tuple[str, ...]) -> str:
    """The same statement over rows that are lists: no column's name is sent with every row.

    The texts are constants of this program; what is replaced is how they name a column.
    """
    return re.sub(r"\brow\.(\w+)", lambda found: f"row[{columns.index(found[1])}]", text)
