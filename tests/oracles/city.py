"""A small seeded city with planted rings, as a graph batch and as lists to go over."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from cypher.ports import GraphBatch, Movement, Relation
from cypher.sink import graph_batch
from graph.evidence import Pattern, Role
from graph.rings import Alert, Ring, RingState
from graph.transaction import (
    DAY,
    HOUR,
    MINUTE,
    Entity,
    EntityKind,
    Money,
    Outcome,
    Transaction,
    TransactionType,
)

START = 1_772_323_200_000  # 2026-03-01T00:00:00Z
LABELS = {
    EntityKind.USER: "User",
    EntityKind.DEVICE: "Device",
    EntityKind.IP: "Ip",
    EntityKind.CARD: "Card",
    EntityKind.MERCHANT: "Merchant",
}
Row = tuple[Any, ...]


def label(entity: Entity) -> str:
    return LABELS[entity.kind]


def key(entity: Entity) -> str:
    return f"{label(entity)}:{entity.id}"


def user(name: str) -> Entity:
    return Entity(EntityKind.USER, name)


@dataclass
class City:
    """Everything that is written into the graph, and the same as lists to go over."""

    stream: list[Transaction]
    rings: list[Ring] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.moves: list[Movement] = list(graph_batch([(t, None) for t in self.stream]).movements)
        self.links: dict[tuple[str, Entity], list[int]] = {}
        for move in self.moves:
            for identifier in move.identifiers:
                at = move.timestamp
                link = self.links.setdefault((move.user.id, identifier), [0, at, at])
                link[:] = [link[0] + 1, min(link[1], at), max(link[2], at)]

    def batch(self) -> GraphBatch:
        return GraphBatch(tuple(self.moves), tuple(self.rings), tuple(self.alerts))

    def of(self, *relations: Relation) -> list[Movement]:
        return [move for move in self.moves if move.relation in relations]

    @property
    def paid(self) -> list[Movement]:
        return self.of(Relation.PAID)

    def ring(self, ring_id: str) -> Ring:
        return next(ring for ring in self.rings if ring.ring_id == ring_id)

    def live(self) -> list[Ring]:
        """Rings that did not merge into another."""
        gone = {alias for ring in self.rings for alias in ring.aliases}
        return [ring for ring in self.rings if ring.ring_id not in gone]

    def rings_of(self, name: str) -> list[Ring]:
        """The rings of a user, those that merged away left out, by id."""
        found = [ring for ring in self.live() if user(name) in dict(ring.members)]
        return sorted(found, key=lambda ring: ring.ring_id)

    def users_of(self, identifier: Entity) -> set[str]:
        return {name for name, other in self.links if other == identifier}

    def identifiers_of(self, name: str) -> list[Entity]:
        return [identifier for owner, identifier in self.links if owner == name]


# --- the city -----------------------------------------------------------------------------------

PEOPLE = [f"u{i:02}" for i in range(14)]
SHOPS = ["shop", "kiosk", "mall"]


Add = Callable[..., None]


def city(seed: int) -> City:
    """Seventy days of everyday life, and in it a cycle, mules, a burst and a shop scam."""
    chance = random.Random(seed)
    stream: list[Transaction] = []

    def add(kind: TransactionType, name: str, at: int, value: int, **more: Any) -> None:
        stream.append(
            Transaction(
                f"t{len(stream):04}", at, kind, Money(value, "EUR"), value, name, **more
            )
        )  # fmt: skip

    live(chance, add)
    plant(add)
    chance.shuffle(stream)
    return City(stream, rings_in(stream), list(ALERTS))


def live(chance: random.Random, add: Add) -> None:
    """Who pays whom, on which device, at random."""

    def habits(name: str) -> dict[str, Any]:
        n = PEOPLE.index(name) if name in PEOPLE else 99
        return {
            "device_id": f"d-{n // 2 if chance.random() < 0.8 else chance.randrange(9)}",
            "card_id": None if chance.random() < 0.5 else f"c-{n if chance.random() < 0.9 else 3}",
            "ip_address": f"10.0.0.{n % 4}",
        }

    for _ in range(260):
        name, other = chance.choice(PEOPLE), chance.choice(PEOPLE)
        # Minutes, so that times meet; few amounts, so that sums and ranks meet as well.
        at = START + chance.randrange(3 * 24 * 60) * MINUTE * chance.choice((1, 1, 1, 20))
        value = chance.choice((1_000, 5_000, 9_500, 9_900, 20_000))
        declined = Outcome.DECLINED if chance.random() < 0.15 else None
        kind = chance.choices(list(TransactionType), (2, 6, 1, 1, 1))[0]
        to: dict[str, Any] = {}
        if kind is TransactionType.TRANSFER:
            to = {"counterparty_id": other}
        elif kind in (TransactionType.PAYMENT, TransactionType.REFUND):
            to = {"merchant_id": chance.choice(SHOPS)}
        add(kind, name, at, value, outcome=declined, **to, **habits(name))


def plant(add: Add) -> None:
    """What there is to be found."""
    transfer = TransactionType.TRANSFER
    cycle = [("u00", "u01", 50_000), ("u01", "u02", 48_000), ("u02", "u00", 45_000)]
    for hop, (payer, payee, value) in enumerate(cycle):
        add(transfer, payer, START + 5 * DAY + hop * HOUR, value, counterparty_id=payee,
            device_id="d-farm")  # fmt: skip
    for n in range(5):
        add(transfer, f"victim{n}", START + 6 * DAY + n * MINUTE, 30_000,
            counterparty_id="u03" if n < 3 else "u04", device_id=f"d-v{n}")  # fmt: skip
    for n, (mule, value) in enumerate((("u03", 85_000), ("u04", 57_000))):
        add(transfer, mule, START + 6 * DAY + HOUR + n, value, counterparty_id="u05",
            device_id="d-farm", ip_address="10.9.9.9")  # fmt: skip
    add(TransactionType.WITHDRAWAL, "u05", START + 6 * DAY + 2 * HOUR, 140_000, device_id="d-farm")
    add(transfer, "sleeper", START, 1_000, counterparty_id="u06", device_id="d-old")
    for n in range(6):
        add(transfer, "sleeper", START + 50 * DAY + n * MINUTE, 9_900, counterparty_id=f"u0{n}",
            device_id="d-new", outcome=Outcome.DECLINED if n < 3 else None)  # fmt: skip
    for n in range(4):
        add(TransactionType.PAYMENT, f"bot{n}", START + 7 * DAY + n * HOUR, 2_500,
            merchant_id="kiosk", device_id="d-bots" if n else "d-solo")  # fmt: skip


def rings_in(stream: list[Transaction]) -> list[Ring]:
    """The rings that were planted, with the payments between their members as witnesses."""

    def ring(ring_id: str, score: float, state: RingState, *members: Any, **more: Any) -> Ring:
        witness = [
            t for t in stream
            if (t.payer in dict(members) and t.payee in dict(members) and t.moves_money)
        ]  # fmt: skip
        witness.sort(key=lambda t: (t.timestamp, t.transaction_id))
        return Ring(
            ring_id, 3, state, START + 5 * DAY, START + 6 * DAY, tuple(members),
            (Pattern.CYCLE, Pattern.MULE), score, sum(t.value for t in witness),
            tuple(t.transaction_id for t in witness[-6:]), ("e1",), **more,
        )  # fmt: skip

    farm = Entity(EntityKind.DEVICE, "d-farm")
    return [
        ring("r-old", 0.4, RingState.MERGED, (user("u00"), Role.SENDER)),
        ring("r-cycle", 0.9, RingState.ACTIVE, (user("u00"), Role.SENDER),
             (user("u01"), Role.MULE), (user("u02"), Role.MEMBER), (farm, Role.SHARED),
             aliases=("r-old",), likelihood=0.8),
        ring("r-mules", 0.7, RingState.QUIET, (user("u03"), Role.MULE), (user("u04"), Role.MULE),
             (user("u05"), Role.CONTROLLER), (user("victim0"), Role.VICTIM), (farm, Role.SHARED),
             (Entity(EntityKind.MERCHANT, "kiosk"), Role.CASH_OUT)),
        ring("r-gone", 0.3, RingState.EXPIRED, (user("u03"), Role.MULE), (user("u06"), Role.MULE)),
    ]  # fmt: skip


ALERTS = [
    Alert("a-1", "r-cycle", 2, START + 5 * DAY + 3 * HOUR, "A cycle of three", 0.9, 143_000, 4,
          (Pattern.CYCLE,), "p1"),
    Alert("a-2", "r-mules", 3, START + 6 * DAY, "Two mules", 0.7, 9_000, 6,
          (Pattern.MULE,), "p1"),
]  # fmt: skip


def within(move: Movement, p: Any) -> bool:
    return bool(p.since <= move.timestamp < p.until)


def tally(moves: Iterable[Movement]) -> tuple[int, int, int, int]:
    """How many, their sum, the first and the last."""
    found = list(moves)
    times = [m.timestamp for m in found]
    return len(found), sum(m.value for m in found), min(times), max(times)
