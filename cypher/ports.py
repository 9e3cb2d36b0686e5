"""The graph database as the rest of Ringfence sees it: one batch in, one read-only question out.

The port speaks of transactions, rings and alerts, and of standard Cypher; it says nothing of any
product. What every adapter owes its callers is written here and checked by one contract suite.
What lies in the graph (labels, relationships, properties) is drawn in `docs/graph-model.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from graph.errors import InvalidInput, Unavailable
from graph.rings import Alert, Ring
from graph.transaction import Entity


class QueryTooBroad(InvalidInput):
    """The question needs more time or memory than it was given; a narrower one will be answered."""

    code = "query-too-broad"


class GraphUnavailable(Unavailable):
    """The graph database does not answer, is closed, or is owned by another writer."""

    code = "graph-unavailable"


class Dialect(StrEnum):
    """What a store understands beyond the Cypher that all of them share."""

    EMBEDDED = "embedded"
    """Nothing more; the shared Cypher is what it knows."""
    NEO4J = "neo4j"
    """All of Neo4j 5: quantified path patterns, SHORTEST k and the rest."""


class Relation(StrEnum):
    """What a transaction is in the graph: the relationship type it becomes."""

    PAID = "PAID"
    """Money moved from payer to payee, as far as anyone knows."""
    ATTEMPTED = "ATTEMPTED"
    """Declined: it would have moved the same way, and no trail of money follows it."""
    PAID_IN = "PAID_IN"
    """Money came from outside the graph: a loop at its receiver."""
    PAID_OUT = "PAID_OUT"
    """Money left the graph: a loop at its payer."""


@dataclass(frozen=True, slots=True)
class Movement:
    """One transaction as the graph holds it: a relationship between two accounts.

    Attributes:
        relation: Its relationship type.
        source: The account the relationship starts at.
        target: The account it ends at; equal to `source` where the other end is outside.
        user: Whose transaction it is: `source` or `target`, always a user.
        identifiers: Device, IP and card it was made through, those that were given.
        transaction_id: Names it: a second movement of this id between these accounts is the same.
        timestamp: Event time, milliseconds since the epoch.
        value: Minor units of the base currency.
        amount: Minor units of `currency`.
        currency: ISO 4217.
        type: payment, transfer, withdrawal, deposit or refund.
        decision: The verdict's advice; None while there is no verdict.
        score: The verdict's probability of fraud; None while there is no verdict.
    """

    relation: Relation
    source: Entity
    target: Entity
    user: Entity
    identifiers: tuple[Entity, ...]
    transaction_id: str
    timestamp: int
    value: int
    amount: int
    currency: str
    type: str
    decision: str | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class GraphBatch:
    """What one call of `GraphStore.write` adds, as a whole or not at all.

    Attributes:
        movements: Transactions, at most one of an id.
        rings: Rings at one revision each, at most one of an id.
        alerts: Alerts, at most one of an id; the ring of each is created bare if it is missing.
        offset: Up to where the log is in the graph once this batch is; None leaves it as it was.
        log: The identity of that log; None leaves it as it was.
    """

    movements: tuple[Movement, ...] = ()
    rings: tuple[Ring, ...] = ()
    alerts: tuple[Alert, ...] = ()
    offset: int | None = None
    log: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What a batch changed: all zero when it was there before.

    Attributes:
        movements: Transactions that were new to the graph.
        rings: Rings that were new or at a newer revision.
        alerts: Alerts that were new.
        forgotten: Transactions, closed rings and their alerts that were left out because they are
            older than what retention keeps (`Removal.horizon`).
    """

    movements: int
    rings: int
    alerts: int
    forgotten: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """A sharing relationship: which user, which identifier."""

    user: str
    identifier: Entity


@dataclass(frozen=True, slots=True)
class Removal:
    """What one call of `GraphStore.remove` takes out, as a whole or not at all.

    Everything named here is looked at again: what is not (or no longer) older than the horizon
    stays, whoever has written in between. What is named and not there is no error.

    Attributes:
        horizon: Event time in milliseconds. What is older is given up: taken out if it is named
            here, and left out by `GraphStore.write` from now on.
        movements: Transactions; only their ends, relation and id count.
        links: Sharing links; they go if they were last used before the horizon.
        rings: Ids of closed rings that changed last before it; their alerts go with them.
        alerts: Ids of alerts before it whose ring never came.
        entities: They go if they have no relationship any more.
        bare_rings: Ids of rings that only others spoke of; as `entities`.
    """

    horizon: int
    movements: tuple[Movement, ...] = ()
    links: tuple[Link, ...] = ()
    rings: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    entities: tuple[Entity, ...] = ()
    bare_rings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """The answer to one question.

    Attributes:
        columns: Names, in the order of the query's RETURN.
        rows: One tuple a row, as long as `columns`: str, int, float, bool, None, lists and maps.
        truncated: There were more rows than asked for; those here are the first by the order.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    truncated: bool

    def records(self) -> list[dict[str, object]]:
        """The rows as maps from column to value."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def check_limits(max_rows: int, timeout_ms: int) -> None:
    """What every adapter's `query` begins with: to databases, 0 means "no limit".

    Raises:
        InvalidInput: One of them is below 1.
    """
    for name, bound in (("max_rows", max_rows), ("timeout_ms", timeout_ms)):
        if bound < 1:
            raise InvalidInput(
                "must be at least 1", field=name, value=str(bound), remedy="Ask for more."
            )


class GraphStore(Protocol):
    """A graph database with one writer and any number of readers.

    Threads: `write` is called by one thread at a time; `query` and `offset` by any number, also
    while a batch is being written. A reader sees a batch as a whole or not at all.
    """

    @property
    def dialect(self) -> Dialect:
        """What `query` understands beyond the Cypher that all stores share."""
        ...

    def write(self, batch: GraphBatch) -> Written:
        """Add a batch, atomically and idempotently; it survives kill -9 once this returns.

        Laws, each of them a contract test:

        - Writing a batch again, alone or within another batch, leaves the same graph: as many
          nodes and relationships, equal properties, equal link counts.
        - A transaction counts into `count`, `first_seen` and `last_seen` of its user's links when
          it is new to the graph and never again. The order of batches does not matter to them.
        - A transaction already there keeps what was written of its money; `decision` and `score`
          are replaced if the new ones are not None.
        - A ring is replaced as a whole (its members too) by a greater `revision`, and left alone
          by an equal or smaller one.
        - `offset` never goes back: the greater of the stored and the given one stays.

        Raises:
            GraphUnavailable: The store is closed or does not answer; nothing was written, or all
                of it and the answer was lost. Write the batch again.
            InvalidInput: A value that the graph database cannot hold (an integer beyond 64 bits,
                text that is not Unicode); nothing was written.
        """
        ...

    def remove(self, removal: Removal) -> None:
        """Take out what retention gives up, atomically and idempotently (`cypher/retention.py`).

        The horizon only ever moves forward. A transaction, closed ring or alert that it has passed
        and that comes again is counted in `Written.forgotten` and changes nothing, so that what
        the log delivers twice never counts twice.

        Raises:
            GraphUnavailable: As `write`.
        """
        ...

    def query(
        self,
        cypher: str,
        parameters: Mapping[str, object],
        *,
        max_rows: int,
        timeout_ms: int,
    ) -> Rows:
        """Answer one read-only Cypher query.

        Values reach the query as parameters only. It may return scalars, lists and maps, not
        nodes or relationships: how these look differs from product to product. Names that the
        graph does not hold yet (a label before its first node) match nothing.

        Args:
            cypher: One statement of Cypher that reads.
            parameters: Value by name, without the `$`: scalars, and lists and maps of them.
            max_rows: At most so many rows come back, at least 1; the rest is `truncated`.
            timeout_ms: At most so long, at least 1.

        Raises:
            QueryTooBroad: The time or the adapter's memory bound was used up.
            InvalidInput: The statement writes, is not Cypher, or misses a parameter.
            GraphUnavailable: The store is closed or does not answer.
        """
        ...

    def offset(self) -> int | None:
        """The offset of the newest batch that carried one; None before the first.

        Raises:
            GraphUnavailable: The store is closed or does not answer.
        """
        ...

    def fed_from(self) -> str | None:
        """The identity of the log that `offset` is one of; None before it was told.

        Raises:
            GraphUnavailable: The store is closed or does not answer.
        """
        ...

    def feed_from(self, log: str) -> None:
        """Write down which log `offset` is one of, to stay as long as the graph does.

        Raises:
            GraphUnavailable: As `write`.
        """
        ...

    def close(self) -> None:
        """Give the database back; every later call raises. Closing twice is harmless."""
        ...
