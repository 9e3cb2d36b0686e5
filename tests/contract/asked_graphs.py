"""Graphs of a few payments and rings, and how the investigations are asked about them."""

from collections.abc import Mapping
from dataclasses import replace

from cypher.investigation import Investigation
from cypher.ports import GraphStore, Rows
from cypher.queries import catalogue, find
from cypher.sink import graph_batch
from graph.evidence import Pattern, Role
from graph.rings import Ring, RingState
from graph.transaction import HOUR, Entity, EntityKind, Money, Transaction, TransactionType


def paid(
    key: str, user: str, to: str, hours: float, value: int = 100, **fields: object
) -> Transaction:
    return Transaction(
        key, int(hours * HOUR), TransactionType.TRANSFER, Money(value, "EUR"), value, user,
        counterparty_id=to, **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def fill(store: GraphStore, *transactions: Transaction, rings: tuple[Ring, ...] = ()) -> None:
    store.write(replace(graph_batch([(t, None) for t in transactions]), rings=rings))


PATIENT_MS = 120_000
"""What is asked here is about the rows: how long they take on a busy machine is another matter."""


def answered(store: GraphStore, name: str, given: Mapping[str, object]) -> Rows:
    about = find(name)
    return store.query(
        about.cypher, about.bind(given), max_rows=about.max_rows, timeout_ms=PATIENT_MS
    )


def ask(store: GraphStore, name: str, **parameters: object) -> list[tuple[object, ...]]:
    return list(answered(store, name, parameters).rows)


def ring(key: str, score: float, *members: tuple[Entity, Role], **fields: object) -> Ring:
    return Ring(
        key, 1, RingState.ACTIVE, 1, 1, members, (Pattern.CYCLE, Pattern.MULE), score, 900,
        ("t1",), ("e1",), **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def user(key: str) -> Entity:
    return Entity(EntityKind.USER, key)


def understood(store: GraphStore) -> list[Investigation]:
    return [each for each in catalogue() if each.needs in (None, store.dialect)]


def required(about: Investigation, text: str) -> dict[str, object]:
    """What must be given, with this text for every id."""
    return {
        p.name: text if p.type in ("string", "ring") else p.example
        for p in about.parameters
        if p.required
    }
