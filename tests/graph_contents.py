"""Everything a graph store holds, in a form in which stores of different make can be compared."""

import json

from cypher.ports import GraphStore

# Named one by one: not every database answers `properties(n)` with the same.
OF_NODES = (
    "id", "ring_id", "alert_id", "revision", "state", "born_at", "changed_at", "score", "money",
    "patterns", "transactions", "truncated", "at", "headline", "member_count", "policy_version",
    "offset", "horizon",
)  # fmt: skip
OF_RELATIONSHIPS = (
    "transaction_id", "timestamp", "value", "amount", "currency", "type", "decision", "score",
    "count", "first_seen", "last_seen", "role",
)  # fmt: skip


def whole(store: GraphStore) -> list[str]:
    """Every node and relationship with every property, sorted; not how it was migrated."""
    own = ", ".join(f"n.{name} AS {name}" for name in OF_NODES)
    of = ", ".join(f"r.{name} AS {name}" for name in OF_RELATIONSHIPS)
    found = _rows(store, f"MATCH (n) WHERE NOT n:Migration RETURN labels(n) AS labels, {own}")
    found += _rows(
        store,
        "MATCH (a)-[r]->(b) RETURN type(r) AS relation, labels(a) AS from_labels, a.id AS from_id, "
        f"labels(b) AS to_labels, b.id AS to_id, {of}",
    )
    return sorted(found)


def _rows(store: GraphStore, cypher: str) -> list[str]:
    answer = store.query(cypher, {}, max_rows=200_000, timeout_ms=120_000)
    assert not answer.truncated
    return [
        json.dumps({k: v for k, v in record.items() if v is not None}, sort_keys=True)
        # The embedded database gives a relationship without a property `type` its own type there.
        for record in ({**r, "type": None} if _invented(r) else r for r in answer.records())
    ]


def _invented(record: dict[str, object]) -> bool:
    return "relation" in record and record.get("type") == record["relation"]
