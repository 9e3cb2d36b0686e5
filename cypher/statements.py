"""From a batch to Cypher: what is left to write once it is known what is there.

Idempotency is decided here, once for every adapter: a store has one writer, so it may look which
transactions, revisions and alerts are there already (`cypher/known.py`) and then write only the
rest. Plain Cypher 5 throughout: no procedures, no labels from parameters, values as rows of
`UNWIND` only.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final

from cypher.known import (
    LABELS,
    Known,
    Row,
    Statement,
    by_shape,
    ends,
    match_movements,
    match_node,
)
from cypher.ports import GraphBatch, Movement, Written
from graph.rings import Alert, Ring, RingState
from graph.transaction import Entity, EntityKind

LINKS: Final[Mapping[EntityKind, str]] = {
    EntityKind.DEVICE: "USED_DEVICE",
    EntityKind.IP: "USED_IP",
    EntityKind.CARD: "USED_CARD",
}


def plan(batch: GraphBatch, known: Known) -> tuple[list[Statement], Written]:
    """The statements that are left to run, in order and as one unit, and what they will change."""
    movements = [m for m in batch.movements if not known.gave_up(m.timestamp)]
    new = [m for m in movements if m.transaction_id not in known.transactions]
    judged = [
        m
        for m in movements
        if m.decision is not None
        and known.transactions.get(m.transaction_id, (m.decision, m.score)) != (m.decision, m.score)
    ]
    rings = [
        r
        for r in batch.rings
        if r.revision > known.revisions.get(r.ring_id, -1) and not _ring_is_past(r, known)
    ]
    there = known.revisions.keys() | {r.ring_id for r in rings}
    fresh = [a for a in batch.alerts if a.alert_id not in known.alerts]
    alerts = [a for a in fresh if a.ring_id in there or not known.gave_up(a.at)]
    statements = [
        *_nodes(new, rings, alerts),
        *_movements(new, known),
        *_verdicts(judged, known),
        *_links(new, known),
        *_rings(rings, known),
        *_alerts(alerts, known),
    ]
    if batch.offset is not None:
        statements.append(
            Statement(
                "UNWIND $rows AS row MERGE (s:Sink {id: 'graph'}) "
                "SET s.offset = CASE WHEN s.offset > row.offset THEN s.offset ELSE row.offset END",
                [{"offset": batch.offset}],
            )
        )
    if batch.log is not None:
        statements.append(
            Statement(
                "UNWIND $rows AS row MERGE (s:Sink {id: 'graph'}) SET s.log = row.log",
                [{"log": batch.log}],
            )
        )
    forgotten = len(batch.movements) - len(movements) + len(fresh) - len(alerts)
    forgotten += sum(_ring_is_past(r, known) for r in batch.rings)
    return statements, Written(len(new), len(rings), len(alerts), forgotten)


CLOSED: Final = frozenset({RingState.EXPIRED, RingState.MERGED})
"""A ring in one of these states changes no more, and retention may take it."""


def _ring_is_past(ring: Ring, known: Known) -> bool:
    """Whether retention has taken this ring, or would at once."""
    unknown = ring.ring_id not in known.revisions
    return unknown and ring.state in CLOSED and known.gave_up(ring.changed_at)


def _nodes(
    movements: Sequence[Movement], rings: Sequence[Ring], alerts: Sequence[Alert]
) -> list[Statement]:
    """Every node that a relationship of this batch will need, by label."""
    ids: dict[str, dict[str, None]] = defaultdict(dict)  # a dict for its order: runs are repeatable
    members = (entity for ring in rings for entity, _ in ring.members)
    parties = (e for m in movements for e in (m.source, m.target, *m.identifiers))
    for entity in chain(parties, members):
        ids[LABELS[entity.kind]][entity.id] = None
    for ring in rings:
        ids["Ring"].update(dict.fromkeys((ring.ring_id, *ring.aliases)))
        if ring.split_from is not None:
            ids["Ring"][ring.split_from] = None
    for alert in alerts:
        ids["Ring"][alert.ring_id] = None
        ids["Alert"][alert.alert_id] = None
    return [
        Statement(
            f"UNWIND $rows AS row MERGE (n:{label} {{id: row.id}}){_OWN_KEY.get(label, '')}",
            [{"id": key} for key in keys],
        )
        for label, keys in ids.items()
    ]


# Every node is keyed by `id`, so that one index serves all; these repeat it under the name that
# the rest of the vocabulary has for it.
_OWN_KEY: Final[Mapping[str, str]] = {
    "Ring": " SET n.ring_id = row.id",
    "Alert": " SET n.alert_id = row.id",
}


def _movements(new: Sequence[Movement], known: Known) -> list[Statement]:
    return [
        Statement(
            "UNWIND $rows AS row "
            f"{match_node('s', LABELS[group[0].source.kind], 'source', known)} "
            f"{match_node('t', LABELS[group[0].target.kind], 'target', known)} "
            f"CREATE (s)-[:{group[0].relation} {{transaction_id: row.transaction_id, "
            "timestamp: row.timestamp, value: row.value, amount: row.amount, "
            "currency: row.currency, type: row.type, decision: row.decision, "
            "score: row.score}]->(t)",
            [
                ends(m)
                | {
                    "timestamp": m.timestamp,
                    "value": m.value,
                    "amount": m.amount,
                    "currency": m.currency,
                    "type": m.type,
                    "decision": m.decision,
                    "score": m.score,
                }
                for m in group
            ],
        )
        for group in by_shape(new, known)
    ]


def _verdicts(judged: Sequence[Movement], known: Known) -> list[Statement]:
    return [
        Statement(
            f"UNWIND $rows AS row {match_movements(group[0], known)} "
            "SET p.decision = row.decision, p.score = row.score",
            [
                ends(m)
                | {"transactions": [m.transaction_id], "decision": m.decision, "score": m.score}
                for m in group
            ],
        )
        for group in by_shape(judged, known)
    ]


def _links(new: Sequence[Movement], known: Known) -> list[Statement]:
    """Sharing: summed over the batch first, so that each link is touched once."""
    seen: dict[tuple[str, Entity], list[int]] = defaultdict(list)
    for movement in new:
        for identifier in movement.identifiers:
            seen[movement.user.id, identifier].append(movement.timestamp)
    by_kind: dict[EntityKind, list[Row]] = defaultdict(list)
    for (user, identifier), times in seen.items():
        by_kind[identifier.kind].append(
            {
                "user": user,
                "identifier": identifier.id,
                "count": len(times),
                "first": min(times),
                "last": max(times),
            }
        )
    return [
        Statement(
            f"UNWIND $rows AS row {match_node('u', 'User', 'user', known)} "
            f"{match_node('i', LABELS[kind], 'identifier', known)} "
            f"MERGE (u)-[l:{LINKS[kind]}]->(i) "
            "SET l.count = coalesce(l.count, 0) + row.count, "
            "l.first_seen = CASE WHEN l.first_seen < row.first "
            "THEN l.first_seen ELSE row.first END, "
            "l.last_seen = CASE WHEN l.last_seen > row.last THEN l.last_seen ELSE row.last END",
            rows,
        )
        for kind, rows in by_kind.items()
    ]


def _rings(rings: Sequence[Ring], known: Known) -> list[Statement]:
    if not rings:
        return []
    gone: dict[str, list[Row]] = defaultdict(list)
    joined: dict[str, list[Row]] = defaultdict(list)
    for ring in rings:
        before = known.members.get(ring.ring_id, set())
        now = {(LABELS[entity.kind], entity.id, str(role)) for entity, role in ring.members}
        for label, key, role in sorted(before - now):
            gone[label].append({"ring": ring.ring_id, "member": key, "role": role})
        for label, key, role in sorted(now - before):
            joined[label].append({"ring": ring.ring_id, "member": key, "role": role})
    merged: list[Row] = [
        {"ring": ring.ring_id, "alias": alias} for ring in rings for alias in ring.aliases
    ]
    parted: list[Row] = [
        {"ring": ring.ring_id, "whole": ring.split_from}
        for ring in rings
        if ring.split_from is not None
    ]
    return [
        Statement(
            "UNWIND $rows AS row MATCH (r:Ring {id: row.ring_id}) SET r.revision = row.revision, "
            "r.state = row.state, r.born_at = row.born_at, r.changed_at = row.changed_at, "
            "r.score = row.score, r.money = row.money, r.patterns = row.patterns, "
            "r.transactions = row.transactions, r.truncated = row.truncated, "
            "r.recoverable = row.recoverable, r.likelihood = row.likelihood",
            [_ring_row(ring) for ring in rings],
        ),
        *(
            Statement(
                "UNWIND $rows AS row MATCH (r:Ring {id: row.ring})"
                f"-[m:HAS_MEMBER]->(n:{label} {{id: row.member}}) "
                "WHERE m.role = row.role DELETE m",
                rows,
            )
            for label, rows in gone.items()
        ),
        *(
            Statement(
                f"UNWIND $rows AS row {match_node('r', 'Ring', 'ring', known)} "
                f"{match_node('n', label, 'member', known)} "
                "CREATE (r)-[:HAS_MEMBER {role: row.role}]->(n)",
                rows,
            )
            for label, rows in joined.items()
        ),
        *(
            [
                Statement(
                    f"UNWIND $rows AS row {match_node('a', 'Ring', 'alias', known)} "
                    f"{match_node('r', 'Ring', 'ring', known)} MERGE (a)-[:MERGED_INTO]->(r) "
                    # No event tells of its end: that of a merge is of the ring that lives on.
                    f"SET a.state = '{RingState.MERGED}'",
                    merged,
                )
            ]
            if merged
            else []
        ),
        *(
            [
                Statement(
                    f"UNWIND $rows AS row {match_node('r', 'Ring', 'ring', known)} "
                    f"{match_node('w', 'Ring', 'whole', known)} MERGE (r)-[:SPLIT_FROM]->(w)",
                    parted,
                )
            ]
            if parted
            else []
        ),
    ]


def _ring_row(ring: Ring) -> Row:
    return {
        "ring_id": ring.ring_id,
        "revision": ring.revision,
        "state": str(ring.state),
        "born_at": ring.born_at,
        "changed_at": ring.changed_at,
        "score": ring.score,
        "money": ring.money,
        "patterns": [str(pattern) for pattern in ring.patterns],
        "transactions": list(ring.transactions),
        "truncated": ring.truncated,
        "recoverable": ring.recoverable,
        "likelihood": ring.likelihood,
    }


def _alerts(alerts: Sequence[Alert], known: Known) -> list[Statement]:
    if not alerts:
        return []
    return [
        Statement(
            f"UNWIND $rows AS row {match_node('a', 'Alert', 'alert_id', known)} "
            f"{match_node('r', 'Ring', 'ring_id', known)} "
            "SET a.revision = row.revision, a.at = row.at, "
            "a.headline = row.headline, a.score = row.score, a.money = row.money, "
            "a.member_count = row.member_count, a.patterns = row.patterns, "
            "a.policy_version = row.policy_version, a.likelihood = row.likelihood "
            "MERGE (a)-[:ABOUT]->(r)",
            [
                {
                    "alert_id": alert.alert_id,
                    "ring_id": alert.ring_id,
                    "revision": alert.revision,
                    "at": alert.at,
                    "headline": alert.headline,
                    "score": alert.score,
                    "money": alert.money,
                    "member_count": alert.member_count,
                    "patterns": [str(pattern) for pattern in alert.patterns],
                    "policy_version": alert.policy_version,
                    "likelihood": alert.likelihood,
                }
                for alert in alerts
            ],
        )
    ]
