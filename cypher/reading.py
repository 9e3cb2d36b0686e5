"""Reading and nothing else: what a server's read-only mode leaves open, and how rows come back.

Neo4j's read-only transactions refuse to write to the graph. They still load files of the server
and pages of its network (LOAD CSV), call procedures (which end connections, empty caches, show
settings), and show and terminate other people's transactions. So a statement is planned before it
is run the first time, and refused for what its plan would do, not for how it is spelt.
"""

import threading
from typing import Any, Final

from neo4j import AsyncManagedTransaction, AsyncResult

from cypher.ports import Rows
from graph.errors import InvalidInput

_REFUSED: Final = (
    "LoadCSV",
    "ProcedureCall",
    "Show",
    "Terminate",
    "TransactionApply",
    "TransactionForeach",
    "AdministrationCommand",
)
"""Beginnings of the names of plan operators that reach beyond the graph, or out of the limits."""

_REMEMBERED: Final = 512
"""Statements whose plan was looked at, the most recent; those that ship are two dozen."""


class Guard:
    """Lets statements through whose plan only reads the graph."""

    def __init__(self) -> None:
        self._seen: dict[str, None] = {}
        self._lock = threading.Lock()

    async def check(self, tx: AsyncManagedTransaction, cypher: str) -> None:
        """Look at the plan of a statement that is not known yet; it is not run.

        Raises:
            InvalidInput: It does more than read the graph.
        """
        with self._lock:
            if cypher in self._seen:
                return
        summary = await (await tx.run(f"EXPLAIN {cypher}")).consume()
        plan: Any = summary.plan
        refused = ["writes"] if summary.query_type != "r" or plan is None else []
        names = _operators(plan or {})
        refused += [name.partition("@")[0] for name in names if name.startswith(_REFUSED)]
        if refused:
            raise InvalidInput(
                "a query may only read the graph",
                field="query",
                value=", ".join(sorted(set(refused))),
                remedy="Use MATCH, WHERE, WITH, UNWIND, UNION, CALL { } and RETURN.",
            )
        with self._lock:
            self._seen[cypher] = None
            if len(self._seen) > _REMEMBERED:
                del self._seen[next(iter(self._seen))]


def _operators(plan: dict[str, Any]) -> list[str]:
    found, left = [], [plan]
    while left:
        node = left.pop()
        found.append(str(node.get("operatorType", "")))
        left += node.get("children", [])
    return found


async def stream(result: AsyncResult, max_rows: int) -> Rows:
    """At most so many rows, and whether there was one more.

    Raises:
        InvalidInput: A value is none that every adapter gives: a node, a path, a time.
    """
    columns = tuple(result.keys())
    rows: list[tuple[object, ...]] = []
    async for record in result:
        if len(rows) == max_rows:
            return Rows(columns, tuple(rows), truncated=True)
        values = tuple(record.values())
        for name, value in zip(columns, values, strict=True):
            _check_plain(name, value)
        rows.append(values)
    return Rows(columns, tuple(rows), truncated=False)


def _check_plain(column: str, value: object) -> None:
    if isinstance(value, list):
        for each in value:
            _check_plain(column, each)
    elif isinstance(value, dict):
        for each in value.values():
            _check_plain(column, each)
    elif not (value is None or isinstance(value, str | int | float | bool)):
        raise InvalidInput(
            "a query must return scalars, lists and maps",
            field=column[:80],
            value=type(value).__name__,
            remedy="Return properties, as in RETURN n.id or RETURN properties(n).",
        )
