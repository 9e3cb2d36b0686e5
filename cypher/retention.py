"""Retention: what is older than a horizon leaves the graph, a bounded batch at a time.

What goes, and what that does to the rest:

- *Transactions* of before the horizon.
- *Sharing links* last used before it. A link that stays keeps the `count` and `first_seen` of its
  whole life: they say since when and how often an identifier was used, not what is still held.
- *Rings* that are closed (expired or merged) and changed last before it, with their alerts. A
  merged ring stays as long as the one it became. Rings that live keep every member.
- *Entities* that have no relationship left.

The horizon itself is kept in the graph, and what is older is left out when the log delivers it
again: otherwise a transaction once forgotten would count into its links a second time.

It may be stopped at any time and run again; a second run finds nothing. The sink may write while
it runs. Each batch is looked up by one query that reads and taken out by one short transaction.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from cypher.known import LABELS
from cypher.ports import GraphStore, Link, Movement, Relation, Removal
from cypher.statements import CLOSED, LINKS
from graph.errors import InvalidInput
from graph.transaction import DAY, Entity, EntityKind

BATCH: Final = 1_000
"""Rows a transaction takes out."""
PAGE: Final = 20_000
"""Rows a look finds: each look walks past what stays, so few looks are better."""
LOOK_MS: Final = 120_000
"""For one look; on a large graph it may walk all links or entities of a kind."""

_KINDS: Final = {label: kind for kind, label in LABELS.items()}
_CLOSED: Final = sorted(str(state) for state in CLOSED)

Page = tuple[tuple[object, ...], ...]

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What a run took out, or would.

    Attributes:
        horizon: Event time, milliseconds: what is older went. None where the graph holds too
            little to say what "now" is.
        transactions: Of every relation.
        links: User to device, IP or card.
        rings: Closed ones, and those that only others spoke of.
        alerts: That went without a ring of theirs; those of a ring go with it, uncounted.
        entities: Left without a relationship; None in a dry run, which cannot know.
    """

    horizon: int | None
    transactions: int = 0
    links: int = 0
    rings: int = 0
    alerts: int = 0
    entities: int | None = 0


def horizon(store: GraphStore, days: int, now: int) -> int | None:
    """The event time, in milliseconds, before which a graph of so many days holds nothing.

    Days are counted back from the third newest transaction, so that one clock that runs ahead
    cannot empty the graph, and never from later than `now`.

    Args:
        store: Whose newest transactions count.
        days: How many to keep, at least 1.
        now: The wall clock, milliseconds since the epoch.

    Returns:
        None while there are fewer than three transactions.

    Raises:
        InvalidInput: `days` is below 1.
    """
    if days < 1:
        raise InvalidInput(
            "must be at least 1", field="days", value=str(days), remedy="Keep a day or more."
        )
    newest: list[int] = []
    for relation in Relation:
        rows = _look(
            store,
            f"MATCH ()-[p:{relation}]->() WHERE p.timestamp > 0 "
            "RETURN p.timestamp AS at ORDER BY at DESC LIMIT 3",
            {},
        )
        newest += [at for (at,) in rows if isinstance(at, int)]
    newest.sort()
    return min(newest[-3], now) - days * DAY if len(newest) >= 3 else None


def retain(
    store: GraphStore,
    before: int,
    *,
    dry_run: bool = False,
    told: Callable[[Forgotten], None] = lambda _: None,
) -> Forgotten:
    """Take out everything older than `before` (see the module).

    Args:
        store: From where.
        before: Event time in milliseconds, from `horizon`.
        dry_run: Count only.
        told: Called after every batch with what went so far.

    Raises:
        GraphUnavailable: The store does not answer; run it again.
        QueryTooBroad: One look took longer than `LOOK_MS`; run it again when it is quieter.
    """
    if dry_run:
        return _counted(store, before)
    gone = dict.fromkeys(("transactions", "links", "rings", "alerts", "entities"), 0)
    store.remove(Removal(before))
    for steps in (_history, _rings, _lonely):
        for name, found, removal in steps(store, before):
            store.remove(removal)
            gone[name] += found
            told(Forgotten(before, **gone))
    _log.info("retention up to %d: %s", before, gone)
    return Forgotten(before, **gone)


Step = tuple[str, int, Removal]


def _history(store: GraphStore, before: int) -> Iterator[Step]:
    for relation in Relation:
        for rows in _pages(store, _MOVEMENTS.format(relation=relation), before):
            movements = tuple(_movement(relation, row) for row in rows)
            yield "transactions", len(rows), Removal(before, movements=movements)
    for kind, relation_type in LINKS.items():
        look = _LINKS.format(relation=relation_type, label=LABELS[kind])
        for rows in _pages(store, look, before):
            links = tuple(Link(str(user), Entity(kind, str(key))) for user, key in rows)
            yield "links", len(rows), Removal(before, links=links)


def _rings(store: GraphStore, before: int) -> Iterator[Step]:
    for rows in _pages(store, _CLOSED_RINGS, before):
        yield "rings", len(rows), Removal(before, rings=_ids(rows))
    for rows in _pages(store, _ALERTS, before):
        yield "alerts", len(rows), Removal(before, alerts=_ids(rows))


def _lonely(store: GraphStore, before: int) -> Iterator[Step]:
    for rows in _pages(store, _BARE_RINGS, before):
        yield "rings", len(rows), Removal(before, bare_rings=_ids(rows))
    for kind, label in LABELS.items():
        for rows in _pages(store, f"MATCH (n:{label}) WHERE NOT (n)--() RETURN n.id", before):
            entities = tuple(Entity(kind, key) for key in _ids(rows))
            yield "entities", len(rows), Removal(before, entities=entities)


def _ids(rows: Page) -> tuple[str, ...]:
    return tuple(str(key) for (key,) in rows)


_MOVEMENTS: Final = (
    "MATCH (s)-[p:{relation}]->(t) WHERE p.timestamp < $before "
    "RETURN labels(s)[0], s.id, labels(t)[0], t.id, p.transaction_id, p.timestamp"
)
_LINKS: Final = (
    "MATCH (u:User)-[l:{relation}]->(i:{label}) WHERE l.last_seen < $before RETURN u.id, i.id"
)
# A merged ring waits for the one it became: then it points at nothing and is found.
_CLOSED_RINGS: Final = (
    "MATCH (r:Ring) WHERE r.changed_at < $before AND r.state IN $closed "
    "AND NOT (r)-[:MERGED_INTO]->() RETURN r.id"
)
_ALERTS: Final = (
    "MATCH (a:Alert)-[:ABOUT]->(r:Ring) WHERE a.at < $before AND r.revision IS NULL RETURN a.id"
)
_BARE_RINGS: Final = "MATCH (r:Ring) WHERE r.revision IS NULL AND NOT (r)--() RETURN r.id"


def _counted(store: GraphStore, before: int) -> Forgotten:
    def count(looks: Iterable[str]) -> int:
        total = 0
        for look in looks:
            head, _, _ = look.partition(" RETURN ")
            ((found,),) = _look(store, f"{head} RETURN count(*)", _values(before))
            total += found if isinstance(found, int) else 0
        return total

    return Forgotten(
        before,
        transactions=count(_MOVEMENTS.format(relation=relation) for relation in Relation),
        links=count(_LINKS.format(relation=r, label=LABELS[k]) for k, r in LINKS.items()),
        rings=count((_CLOSED_RINGS, _BARE_RINGS)),
        alerts=count((_ALERTS,)),
        entities=None,
    )


def _pages(store: GraphStore, cypher: str, before: int) -> Iterable[Page]:
    """Batches of what a look finds, looking again until it finds nothing that was not seen."""
    last: Page = ()
    while rows := _look(store, cypher, _values(before)):
        if rows == last:  # taken out and there again: somebody else writes what this takes
            _log.warning("retention leaves %d rows that come back", len(rows))
            return
        for start in range(0, len(rows), BATCH):
            yield rows[start : start + BATCH]
        last = rows


def _look(store: GraphStore, cypher: str, values: dict[str, object]) -> Page:
    return store.query(cypher, values, max_rows=PAGE, timeout_ms=LOOK_MS).rows


def _values(before: int) -> dict[str, object]:
    return {"before": before, "closed": _CLOSED}


def _movement(relation: Relation, row: tuple[object, ...]) -> Movement:
    source_label, source, target_label, target, key, at = row
    return Movement(
        relation=relation,
        source=Entity(_KINDS[str(source_label)], str(source)),
        target=Entity(_KINDS[str(target_label)], str(target)),
        user=Entity(EntityKind.USER, str(source)),
        identifiers=(),
        transaction_id=str(key),
        timestamp=at if isinstance(at, int) else 0,
        value=0,
        amount=0,
        currency="",
        type="",
    )
