"""From a removal to Cypher: the other half of `cypher/statements.py`."""

from collections import defaultdict
from typing import Final

from cypher.known import LABELS, Known, Row, Statement, by_shape, ends, match_movements
from cypher.ports import Removal
from cypher.statements import CLOSED, LINKS
from graph.transaction import EntityKind

_CLOSED: Final = "[" + ", ".join(sorted(f"'{state}'" for state in CLOSED)) + "]"


def clear(removal: Removal, known: Known) -> list[Statement]:
    """The statements that take it out, in order and as one unit.

    Args:
        removal: What.
        known: How transactions are found: by id, or from the end with fewer relationships.
    """
    return [
        Statement(
            "UNWIND $rows AS row MERGE (s:Sink {id: 'graph'}) SET s.horizon = "
            "CASE WHEN s.horizon > row.horizon THEN s.horizon ELSE row.horizon END",
            [{"horizon": removal.horizon}],
        ),
        *_movements(removal, known),
        *_links(removal),
        *_rings(removal),
        *_lonely(removal),
    ]


def _movements(removal: Removal, known: Known) -> list[Statement]:
    return [
        Statement(
            f"UNWIND $rows AS row {match_movements(group[0], known)} "
            "AND p.timestamp < row.horizon DELETE p",
            [
                ends(m) | {"transactions": [m.transaction_id], "horizon": removal.horizon}
                for m in group
            ],
        )
        for group in by_shape(removal.movements, known)
    ]


def _links(removal: Removal) -> list[Statement]:
    by_kind: dict[EntityKind, list[Row]] = defaultdict(list)
    for link in removal.links:
        by_kind[link.identifier.kind].append(
            {"user": link.user, "identifier": link.identifier.id, "horizon": removal.horizon}
        )
    return [
        Statement(
            f"UNWIND $rows AS row MATCH (u:User {{id: row.user}})-[l:{LINKS[kind]}]->"
            f"(i:{LABELS[kind]} {{id: row.identifier}}) WHERE l.last_seen < row.horizon DELETE l",
            rows,
        )
        for kind, rows in by_kind.items()
    ]


def _rings(removal: Removal) -> list[Statement]:
    rings: list[Row] = [{"id": key, "horizon": removal.horizon} for key in removal.rings]
    alerts: list[Row] = [{"id": key, "horizon": removal.horizon} for key in removal.alerts]
    closed = f"r.state IN {_CLOSED} AND r.changed_at < row.horizon"
    return _only(
        Statement(
            "UNWIND $rows AS row MATCH (a:Alert)-[:ABOUT]->(r:Ring {id: row.id}) "
            f"WHERE {closed} DETACH DELETE a",
            rings,
        ),
        Statement(
            f"UNWIND $rows AS row MATCH (r:Ring {{id: row.id}}) WHERE {closed} DETACH DELETE r",
            rings,
        ),
        Statement(
            "UNWIND $rows AS row MATCH (a:Alert {id: row.id})-[:ABOUT]->(r:Ring) "
            "WHERE a.at < row.horizon AND r.revision IS NULL DETACH DELETE a",
            alerts,
        ),
    )


def _lonely(removal: Removal) -> list[Statement]:
    ids: dict[str, list[Row]] = defaultdict(list)
    for entity in removal.entities:
        ids[LABELS[entity.kind]].append({"id": entity.id})
    ids["Ring"] = [{"id": key} for key in removal.bare_rings]
    return _only(
        *(
            Statement(
                f"UNWIND $rows AS row MATCH (n:{label} {{id: row.id}}) WHERE NOT (n)--() "
                f"{'AND n.revision IS NULL ' if label == 'Ring' else ''}DELETE n",
                rows,
            )
            for label, rows in ids.items()
        )
    )


def _only(*statements: Statement) -> list[Statement]:
    return [statement for statement in statements if statement.rows]
