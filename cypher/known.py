"""What the graph holds already of a batch: the first half of an idempotent write.

A transaction is looked for between its two accounts. Where the database has an index on the id of
a transaction (`Known.by_id`) that is one look each, whatever hangs on the accounts. Where it has
none, the look starts from the account with fewer relationships, and all transactions of one pair
are one look. So a merchant that everyone pays costs no more than the customers' own payments. The
cost is the sum over the batch's pairs of the smaller degree, plus once the degree of every account
for a database that has to count it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cypher.ports import GraphBatch, Movement
from graph.transaction import EntityKind

Row = dict[str, object]

LABELS: Final[Mapping[EntityKind, str]] = {
    EntityKind.USER: "User",
    EntityKind.DEVICE: "Device",
    EntityKind.IP: "Ip",
    EntityKind.CARD: "Card",
    EntityKind.MERCHANT: "Merchant",
}

Member = tuple[str, str, str]  # label, id, role


@dataclass(frozen=True, slots=True)
class Statement:
    """One piece of Cypher over `$rows`."""

    text: str
    rows: list[Row]


@dataclass(slots=True)
class Known:
    """What the graph said it holds of a batch (see `accounts` and `questions`).

    Attributes:
        by_id: Whether the database has indexes, finds a relationship by its `transaction_id`, and
            takes hints to use them.
        horizon: What is older has been given up by retention; None where nothing has.
        degrees: Relationships of an account, by label and id; empty where `by_id`.
        transactions: Decision and score of those there, by id.
        revisions: Of the rings there, by id; a ring that only an alert spoke of has none.
        members: Of the batch's rings.
        alerts: Those there.
    """

    by_id: bool = False
    horizon: int | None = None
    degrees: dict[tuple[str, str], int] = field(default_factory=dict)
    transactions: dict[str, tuple[object, object]] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)
    members: dict[str, set[Member]] = field(default_factory=lambda: defaultdict(set))
    alerts: set[str] = field(default_factory=set)

    def gave_up(self, at: int) -> bool:
        """Whether what happened at this event time is older than what the graph keeps."""
        return self.horizon is not None and at < self.horizon

    def learn(self, answers: Iterable[Mapping[str, object]]) -> None:
        """Take in the rows that one of the questions brought back."""
        for row in answers:
            match row:
                case {"horizon": int(horizon)}:
                    self.horizon = horizon
                case {"account": str(key), "label": str(label), "degree": int(degree)}:
                    self.degrees[label, key] = degree
                case {"transaction_id": str(transaction_id)}:
                    self.transactions[transaction_id] = (row["decision"], row["score"])
                case {"alert_id": str(alert_id)}:
                    self.alerts.add(alert_id)
                case {"ring_id": str(ring_id), "revision": int(revision)}:
                    self.revisions[ring_id] = revision
                case {"ring_id": str(ring_id), "kind": str(k), "id": str(i), "role": str(r)}:
                    self.members[ring_id].add((k, i, r))


HORIZON: Final = Statement(
    "UNWIND $rows AS row MATCH (s:Sink {id: row.id}) RETURN s.horizon AS horizon",
    [{"id": "graph"}],
)
"""What retention has given up; the answer goes to `Known.learn`."""


def accounts(batch: GraphBatch) -> list[Statement]:
    """How connected each account of the batch is; the answers go to `Known.learn`."""
    ids: dict[str, dict[str, None]] = defaultdict(dict)
    for m in batch.movements:
        for entity in (m.source, m.target):
            ids[LABELS[entity.kind]][entity.id] = None
    return [
        Statement(
            f"UNWIND $rows AS row MATCH (n:{label} {{id: row.id}}) "
            f"RETURN row.id AS account, '{label}' AS label, COUNT {{ (n)--() }} AS degree",
            [{"id": key} for key in keys],
        )
        for label, keys in ids.items()
    ]


def questions(batch: GraphBatch, known: Known) -> list[Statement]:
    """What of the batch is in the graph already; the answers go to `Known.learn`.

    Args:
        batch: What is to be written.
        known: With the answers to `accounts`.
    """
    # Between accounts of which one is new there can be nothing yet.
    old = [m for m in batch.movements if known.by_id or min(_degrees(m, known)) > 0]
    asked = [
        Statement(
            f"UNWIND $rows AS row {match_movements(group[0], known)} "
            "RETURN p.transaction_id AS transaction_id, p.decision AS decision, p.score AS score",
            [ends(m) for m in group] if known.by_id else _pairs(group),
        )
        for group in by_shape(old, known)
    ]
    named = dict.fromkeys(r.ring_id for r in batch.rings) | dict.fromkeys(
        a.ring_id for a in batch.alerts
    )
    if named:
        ids: list[Row] = [{"id": key} for key in named]
        asked += [
            Statement(
                "UNWIND $rows AS row MATCH (r:Ring {id: row.id}) WHERE r.revision IS NOT NULL "
                "RETURN row.id AS ring_id, r.revision AS revision",
                ids,
            ),
            Statement(
                "UNWIND $rows AS row MATCH (r:Ring {id: row.id})-[m:HAS_MEMBER]->(n) "
                "RETURN row.id AS ring_id, labels(n)[0] AS kind, n.id AS id, m.role AS role",
                ids,
            ),
        ]
    if batch.alerts:
        asked.append(
            Statement(
                "UNWIND $rows AS row MATCH (a:Alert {id: row.id}) RETURN row.id AS alert_id",
                [{"id": alert.alert_id} for alert in batch.alerts],
            )
        )
    return asked


def _degrees(movement: Movement, known: Known) -> tuple[int, int]:
    """Of source and target; 0 where the account is new to the graph."""
    source, target = movement.source, movement.target
    return (
        known.degrees.get((LABELS[source.kind], source.id), 0),
        known.degrees.get((LABELS[target.kind], target.id), 0),
    )


def _from_source(movement: Movement, known: Known) -> bool:
    """Whether the source is the cheaper end to start looking from (by id, none is)."""
    source, target = _degrees(movement, known)
    return source <= target


def by_shape(movements: Sequence[Movement], known: Known) -> list[list[Movement]]:
    """Groups of one relation, one pair of labels and one way to be found: one text a group."""
    groups: dict[tuple[object, ...], list[Movement]] = defaultdict(list)
    for m in movements:
        groups[m.relation, m.source.kind, m.target.kind, _from_source(m, known)].append(m)
    return list(groups.values())


def match_movements(example: Movement, known: Known) -> str:
    """A pattern that finds the transactions of a row between its two accounts.

    The row is as of `ends` where transactions are found by id. Otherwise it names all
    `transactions` of one pair, and the pattern is written from its cheaper end: databases expand
    from where it is anchored.
    """
    source, target = LABELS[example.source.kind], LABELS[example.target.kind]
    relation = example.relation
    if known.by_id:
        # The ends are looked at last: named in the pattern, a plan made while the graph was empty
        # begins from a merchant and walks through all its payments.
        return (
            f"MATCH ()-[p:{relation} {{transaction_id: row.transaction_id}}]->() "
            f"USING INDEX p:{relation}(transaction_id) "
            "WITH row, p, startNode(p) AS s, endNode(p) AS t "
            f"WHERE s:{source} AND s.id = row.source AND t:{target} AND t.id = row.target"
        )
    left, right = f"(s:{source} {{id: row.source}})", f"(t:{target} {{id: row.target}})"
    if _from_source(example, known):
        pattern = f"{left}-[p:{relation}]->{right}"
    else:
        pattern = f"{right}<-[p:{relation}]-{left}"
    return f"MATCH {pattern} WHERE p.transaction_id IN row.transactions"


def match_node(name: str, label: str, column: str, known: Known) -> str:
    """A pattern that finds the node of a row by its key.

    A statement is planned when it first runs, which is while the graph is empty: then scanning a
    label looks as cheap as its index, and stays so until the server plans anew. Hence the hint.
    """
    hint = f" USING INDEX {name}:{label}(id)" if known.by_id else ""
    return f"MATCH ({name}:{label} {{id: row.{column}}}){hint}"


def ends(movement: Movement) -> Row:
    """A row that names a transaction and its accounts."""
    return {
        "source": movement.source.id,
        "target": movement.target.id,
        "transaction_id": movement.transaction_id,
    }


def _pairs(movements: Sequence[Movement]) -> list[Row]:
    """The transactions of each pair of accounts."""
    transactions: dict[tuple[str, str], list[str]] = defaultdict(list)
    for m in movements:
        transactions[m.source.id, m.target.id].append(m.transaction_id)
    return [
        {"source": source, "target": target, "transactions": ids}
        for (source, target), ids in transactions.items()
    ]
