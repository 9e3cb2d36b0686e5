"""The graph database inside this process: kglite, one file, no server.

How it keeps the port's promises:

- *Durable.* kglite writes every statement to a log beside the file (`<path>-wal`) before it
  returns, and replays it when opened. Level "normal" survives kill -9. A power cut may lose the
  newest batches, but the offset lies in the same graph and is lost with them, so the sink reads
  them from its log again: nothing is missing, and a flush a batch is saved.
- *Atomic.* A batch is one statement. kglite's transactions would do too, but each copies the
  whole graph, so writing would slow down as the graph grows.
- *One writer.* The file is locked; a second opening is refused, in this process or another.
- *Readers never wait.* Each query reads a snapshot, also while a batch is being written.

What it cannot do: the whole graph lies in memory (about 1 kB a transaction), a file grown past
its log is rewritten as a whole in the background, and relationship properties have no index that
lookups use. Past some tens of millions of transactions, use Neo4j.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import kglite

from cypher.known import HORIZON, Known, Statement, accounts, questions
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
from cypher.removal import clear
from cypher.statements import plan
from graph.errors import Incompatible, InvalidInput, InvalidSetting

_WORK_UNITS: Final = 5_000_000
"""What one query may hold or walk at once, in kglite's units (rows and list items): some 500 MB."""

_WRITE_TIMEOUT_MS: Final = 60_000
"""A batch takes milliseconds; one that takes a minute is stuck, and its writing is undone."""


class EmbeddedGraphStore:
    """A `cypher.ports.GraphStore` in one file.

    Args:
        path: The file, by custom `graph.kgl`; created if it is missing, its folder must exist.

    Raises:
        InvalidSetting: The folder does not exist.
        GraphUnavailable: Another writer has the file open.
        Incompatible: The file is not a graph, is torn, or is of a version we cannot read.
    """

    def __init__(self, path: Path) -> None:
        if not path.parent.is_dir():
            raise InvalidSetting(
                "the folder of the graph does not exist",
                field="graph path",
                value=str(path),
                remedy="Create the folder or name another.",
            )
        # Otherwise it prints to stderr that a label is unknown, as every label is at the start.
        kglite.set_query_warning_policy("silent")
        try:
            self._session = kglite.open_session(str(path), durable="normal")
        except kglite.WriterLeaseHeldError as error:
            raise GraphUnavailable(
                "another writer has the graph open",
                field="graph path",
                value=str(path),
                remedy=f"Stop it first: {error}",
            ) from error
        except (kglite.KgError, OSError, RuntimeError, ValueError) as error:
            raise Incompatible(
                f"the file cannot be opened as a graph: {error}",
                field="graph path",
                value=str(path),
                remedy="Move it away: it is rebuilt from the log at the next start.",
            ) from error
        self._closed = False

    @property
    def dialect(self) -> Dialect:
        """See `GraphStore.dialect`."""
        return Dialect.EMBEDDED

    def write(self, batch: GraphBatch) -> Written:
        """See `GraphStore.write`."""
        self._check_open()
        known = Known()
        for asked in (HORIZON, *accounts(batch)):
            known.learn(self._read(asked))
        for asked in questions(batch, known):
            known.learn(self._read(asked))
        statements, written = plan(batch, known)
        if statements:
            self._execute(statements)
        return written

    def remove(self, removal: Removal) -> None:
        """See `GraphStore.remove`."""
        self._check_open()
        known = Known()
        for asked in accounts(GraphBatch(removal.movements)):
            known.learn(self._read(asked))
        self._execute(clear(removal, known))

    def query(
        self,
        cypher: str,
        parameters: Mapping[str, object],
        *,
        max_rows: int,
        timeout_ms: int,
    ) -> Rows:
        """See `GraphStore.query`."""
        self._check_open()
        check_limits(max_rows, timeout_ms)
        try:
            view = self._session.cypher(
                cypher,
                params=dict(parameters),
                timeout_ms=timeout_ms,
                max_work_units=_WORK_UNITS,
                row_limit=max_rows,
            )
        except (kglite.KgError, TypeError, ValueError, OverflowError) as error:
            raise _told(error, timeout_ms) from error
        total = (view.diagnostics or {}).get("total_rows")
        columns = tuple(view.columns)
        return Rows(
            columns,
            tuple(tuple(row[name] for name in columns) for row in view.to_list()),
            truncated=total is not None and total > len(view),
        )

    def offset(self) -> int | None:
        """See `GraphStore.offset`."""
        self._check_open()
        found = self._session.cypher("MATCH (s:Sink {id: 'graph'}) RETURN s.offset").scalar()
        return found if isinstance(found, int) else None

    def fed_from(self) -> str | None:
        """See `GraphStore.fed_from`."""
        self._check_open()
        found = self._session.cypher("MATCH (s:Sink {id: 'graph'}) RETURN s.log").scalar()
        return found if isinstance(found, str) else None

    def feed_from(self, log: str) -> None:
        """See `GraphStore.feed_from`."""
        self.write(GraphBatch(log=log))

    def annotate(self, statements: Sequence[Statement]) -> None:
        """Run statements that set properties, as one unit: the deep analysis writes with it.

        Raises:
            GraphUnavailable: The store is closed or cannot be written.
        """
        self._check_open()
        self._execute(list(statements))

    def close(self) -> None:
        """See `GraphStore.close`; folds the log into the file."""
        if not self._closed:
            self._session.close()
            self._closed = True

    def _check_open(self) -> None:
        # kglite goes on answering reads after close, from a graph that nobody writes any more.
        if self._closed:
            raise GraphUnavailable("the graph is closed", remedy="Open it again.")

    def _read(self, asked: Statement) -> list[dict[str, object]]:
        try:
            view = self._session.cypher(asked.text, params={"rows": asked.rows})
        except (kglite.KgError, TypeError, ValueError, OverflowError) as error:
            raise _told(error, _WRITE_TIMEOUT_MS) from error
        found: list[dict[str, object]] = view.to_list()
        return found

    def _execute(self, statements: list[Statement]) -> None:
        """Run all as one statement; `count(*)` folds the rows of one into one row for the next."""
        text = "\nWITH count(*) AS done\n".join(
            statement.text.replace("$rows", f"$rows{i}", 1)
            for i, statement in enumerate(statements)
        )
        rows = {f"rows{i}": statement.rows for i, statement in enumerate(statements)}
        try:
            self._session.execute(text, params=rows, timeout_ms=_WRITE_TIMEOUT_MS)
        except (kglite.KgError, TypeError, ValueError, OverflowError) as error:
            raise _told(error, _WRITE_TIMEOUT_MS) from error


def _told(error: Exception, timeout_ms: int) -> InvalidInput | GraphUnavailable:
    """Kglite's error as one of ours."""
    if isinstance(error, kglite.CypherTimeoutError):
        return QueryTooBroad(
            "took longer than its time limit",
            field="query",
            value=f"{timeout_ms} ms",
            remedy="Ask for fewer hops or a shorter time, or allow more time.",
        )
    if "max_work_units" in str(error) or "safety limit" in str(error):
        return QueryTooBroad(
            "would hold more than its memory bound",
            field="query",
            value=f"more than {_WORK_UNITS} rows and list items",
            remedy="Ask for fewer hops or a shorter time.",
        )
    if isinstance(error, kglite.FileIoError):
        return GraphUnavailable(
            f"the graph cannot be written: {error}", remedy="Check the disk, then start again."
        )
    return InvalidInput(
        f"the graph cannot take this: {error}",
        field="query",
        remedy="Send one read-only Cypher statement with all its parameters, and 64-bit integers.",
    )
