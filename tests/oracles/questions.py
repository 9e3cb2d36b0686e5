"""A small seeded city with planted rings, and every investigation answered over it by brute force.

The oracles know nothing of Cypher: they go over lists of movements, links and rings, as slowly and
plainly as the question is put. Each takes the city and the bound parameters and gives the rows in
the order that the investigation promises.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise, product
from types import SimpleNamespace
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


def city(seed: int) -> City:
    """Seventy days of everyday life, and in it a cycle, mules, a burst, guessing, and a shop scam."""
    chance = random.Random(seed)
    stream: list[Transaction] = []

    def add(kind: TransactionType, name: str, at: int, value: int, **more: Any) -> None:
        stream.append(
            Transaction(
                f"t{len(stream):04}", at, kind, Money(value, "EUR"), value, name, **more
            )
        )  # fmt: skip

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
    chance.shuffle(stream)

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
    rings = [
        ring("r-old", 0.4, RingState.MERGED, (user("u00"), Role.SENDER)),
        ring("r-cycle", 0.9, RingState.ACTIVE, (user("u00"), Role.SENDER),
             (user("u01"), Role.MULE), (user("u02"), Role.MEMBER), (farm, Role.SHARED),
             aliases=("r-old",)),
        ring("r-mules", 0.7, RingState.QUIET, (user("u03"), Role.MULE), (user("u04"), Role.MULE),
             (user("u05"), Role.CONTROLLER), (user("victim0"), Role.VICTIM), (farm, Role.SHARED),
             (Entity(EntityKind.MERCHANT, "kiosk"), Role.CASH_OUT)),
        ring("r-gone", 0.3, RingState.EXPIRED, (user("u03"), Role.MULE), (user("u06"), Role.MULE)),
    ]  # fmt: skip
    alerts = [
        Alert("a-1", "r-cycle", 2, START + 5 * DAY + 3 * HOUR, "A cycle of three", 0.9, 143_000, 4,
              (Pattern.CYCLE,), "p1"),
        Alert("a-2", "r-mules", 3, START + 6 * DAY, "Two mules", 0.7, 9_000, 6,
              (Pattern.MULE,), "p1"),
    ]  # fmt: skip
    return City(stream, rings, alerts)


# --- rings --------------------------------------------------------------------------------------

ORACLES: dict[str, Callable[[City, Any], list[Row]]] = {}


def answers(name: str) -> Callable[[Callable[[City, Any], Iterable[Row]]], None]:
    def register(oracle: Callable[[City, Any], Iterable[Row]]) -> None:
        ORACLES[name] = lambda c, p: list(oracle(c, p))

    return register


def within(move: Movement, p: Any) -> bool:
    return bool(p.since <= move.timestamp < p.until)


@answers("ring-of-user")
def _(c: City, p: Any) -> Iterable[Row]:
    rows = [
        (r.ring_id, str(r.state), r.score, r.money, list(map(str, r.patterns)), label(e), e.id,
         str(role))
        for r in c.rings_of(p.user) for e, role in r.members
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (-row[2], row[0], row[5], row[6], row[7]))


@answers("ring-members")
def _(c: City, p: Any) -> Iterable[Row]:
    members = dict(c.ring(p.ring).members)
    rows = []
    for e, role in members.items():
        sent = sum(m.value for m in c.paid if m.source == e and m.target in members)
        received = sum(m.value for m in c.paid if m.target == e and m.source in members)
        out = sum(m.value for m in c.of(Relation.PAID, Relation.PAID_OUT) if m.source == e)
        in_ = sum(m.value for m in c.of(Relation.PAID, Relation.PAID_IN) if m.target == e)
        rows.append((label(e), e.id, str(role), sent, received, out - sent, in_ - received))
    return sorted(rows, key=lambda r: (r[0], r[2], -r[4], -r[3], r[1]))


@answers("ring-payments")
def _(c: City, p: Any) -> Iterable[Row]:
    ring = c.ring(p.ring)
    members = dict(ring.members)
    rows = [
        (m.timestamp, label(m.source), m.source.id, label(m.target), m.target.id, m.value,
         m.transaction_id, m.transaction_id in ring.transactions, m.decision)
        for m in c.paid if m.source in members and m.target in members and within(m, p)
    ]  # fmt: skip
    return sorted(rows, key=lambda r: (r[0], r[6]))


@answers("ring-cash-flow")
def _(c: City, p: Any) -> Iterable[Row]:
    members = dict(c.ring(p.ring).members)
    groups: dict[Row, list[tuple[str, Movement]]] = defaultdict(list)
    for m in c.moves:
        if m.relation is Relation.ATTEMPTED or not within(m, p):
            continue
        if m.relation is Relation.PAID:
            for way, mine, other in (("out", m.source, m.target), ("in", m.target, m.source)):
                if mine in members and mine.kind is EntityKind.USER and other not in members:
                    groups[way, label(other), other.id].append((mine.id, m))
        elif m.user in members:
            way = "out" if m.relation is Relation.PAID_OUT else "in"
            groups[way, "Outside", None].append((m.user.id, m))
    rows = [(*group, len({name for name, _ in found}), *tally(m for _, m in found))
            for group, found in groups.items()]  # fmt: skip
    return sorted(rows, key=lambda r: (r[0], -r[5], r[1], r[2] or ""))


def tally(moves: Iterable[Movement]) -> tuple[int, int, int, int]:
    """How many, their sum, the first and the last."""
    found = list(moves)
    times = [m.timestamp for m in found]
    return len(found), sum(m.value for m in found), min(times), max(times)


@answers("common-counterparties")
def _(c: City, p: Any) -> Iterable[Row]:
    inside = dict(c.ring(p.ring_a).members) | dict(c.ring(p.ring_b).members)
    rows = []
    for other in {e for m in c.paid for e in (m.source, m.target)} - set(inside):
        cells: list[int] = []
        times: list[int] = []
        for ring_id in (p.ring_a, p.ring_b):
            members = {e for e, _ in c.ring(ring_id).members if e.kind is EntityKind.USER}
            dealt = [
                (mine.id, m)
                for m in c.paid
                for mine, theirs in ((m.source, m.target), (m.target, m.source))
                if mine in members and theirs == other
            ]
            cells += [len({name for name, _ in dealt}), sum(m.value for _, m in dealt)]
            times += [m.timestamp for _, m in dealt]
        if cells[0] and cells[2]:
            rows.append((label(other), other.id, *cells, min(times), max(times)))
    return sorted(rows, key=lambda r: (-r[2] - r[4], -r[3] - r[5], r[0], r[1]))


@answers("linked-rings")
def _(c: City, p: Any) -> Iterable[Row]:
    mine = set(dict(c.ring(p.ring).members))
    rows = []
    for other in c.live():
        shared = sorted(mine & set(dict(other.members)), key=lambda e: (label(e), e.id))
        if other.ring_id != p.ring and shared:
            accounts = sum(e.kind in (EntityKind.USER, EntityKind.MERCHANT) for e in shared)
            rows.append((other.ring_id, str(other.state), other.score, accounts,
                         len(shared) - accounts, [key(e) for e in shared][:20]))  # fmt: skip
    return sorted(rows, key=lambda r: (-r[3], -r[4], r[0]))


@answers("rings-at-merchant")
def _(c: City, p: Any) -> Iterable[Row]:
    shop = Entity(EntityKind.MERCHANT, p.merchant)
    rows = []
    for ring in c.live():
        found = [
            m for m in c.of(Relation.PAID, Relation.ATTEMPTED)
            if m.target == shop and m.source in dict(ring.members) and within(m, p)
        ]  # fmt: skip
        if found:
            done = [m for m in found if m.relation is Relation.PAID]
            rows.append((ring.ring_id, str(ring.state), ring.score, len({m.source for m in found}),
                         len(done), sum(m.value for m in done), len(found) - len(done),
                         *tally(found)[2:]))  # fmt: skip
    return sorted(rows, key=lambda r: (-r[5], -r[6], r[0]))


@answers("merchant-isolated-buyers")
def _(c: City, p: Any) -> Iterable[Row]:
    shop = Entity(EntityKind.MERCHANT, p.merchant)
    rows = []
    for buyer in {m.source for m in c.paid if m.target == shop and within(m, p)}:
        others = {e for m in c.paid if buyer in (m.source, m.target) for e in (m.source, m.target)}
        if others == {buyer, shop}:
            sharing = {u for i in c.identifiers_of(buyer.id) for u in c.users_of(i)} - {buyer.id}
            found = [m for m in c.paid if (m.source, m.target) == (buyer, shop) and within(m, p)]
            rows.append((buyer.id, *tally(found), len(sharing)))
    return sorted(rows, key=lambda r: (-r[5], -r[2], r[0]))


@answers("first-contact")
def _(c: City, p: Any) -> Iterable[Row]:
    me, rows = user(p.user), []
    for member, role in c.ring(p.ring).members:
        if member == me:
            continue
        for how, ends in (("paid", (me, member)), ("was paid by", (member, me))):
            found = sorted(
                (m.timestamp, m.transaction_id, m.value)
                for m in c.paid if (m.source, m.target) == ends
            )  # fmt: skip
            if found:
                rows.append((found[0][0], how, label(member), member.id, str(role), found[0][1],
                             len(found), sum(f[2] for f in found)))  # fmt: skip
        for identifier in c.identifiers_of(p.user):
            if member.kind is EntityKind.USER and (member.id, identifier) in c.links:
                at = max(c.links[p.user, identifier][1], c.links[member.id, identifier][1])
                rows.append((at, "shares", "User", member.id, str(role), key(identifier), 1, 0))
    return sorted(rows, key=lambda r: (r[0], r[1], r[2], r[3], r[5]))


@answers("what-changed")
def _(c: City, p: Any) -> Iterable[Row]:
    rows: list[Row] = []
    for r in c.rings:
        told = (r.ring_id, "Ring", r.ring_id, str(r.state), r.score, r.money)
        rows.append((r.born_at, "ring born", *told))
        if r.changed_at > r.born_at:
            rows.append((r.changed_at, "ring changed", *told))
        if r in c.live() and r.state in (RingState.ACTIVE, RingState.QUIET):
            rows += [
                (link[1], "new link", r.ring_id, label(i), i.id, name, r.score, None)
                for (name, i), link in c.links.items() if user(name) in dict(r.members)
            ]  # fmt: skip
    rows += [(a.at, "alert", a.ring_id, "Alert", a.alert_id, a.headline, a.score, a.money)
             for a in c.alerts]  # fmt: skip
    rows = [row for row in rows if p.since <= row[0] < p.until]
    return sorted(rows, key=lambda r: (-r[0], *r[1:6]))


@answers("alert-evidence")
def _(c: City, p: Any) -> Iterable[Row]:
    alert = next(a for a in c.alerts if a.alert_id == p.alert)
    ring = c.ring(alert.ring_id)
    roles = {e: str(role) for e, role in ring.members}
    rows = [
        (m.timestamp, str(m.relation), label(m.source), m.source.id, roles.get(m.source),
         label(m.target), m.target.id, roles.get(m.target), m.value, m.transaction_id, m.decision)
        for m in c.moves if m.transaction_id in ring.transactions
    ]  # fmt: skip
    return sorted(rows, key=lambda r: (r[0], r[9]))


# --- money --------------------------------------------------------------------------------------


def fan(c: City, p: Any, *, inwards: bool) -> list[Row]:
    groups: dict[Entity, list[Movement]] = defaultdict(list)
    for m in c.paid:
        mine, other = (m.target, m.source) if inwards else (m.source, m.target)
        if mine == user(p.user) and within(m, p):
            groups[other].append(m)
    rows = [(label(e), e.id, *tally(found)) for e, found in groups.items()]
    return sorted(rows, key=lambda r: (-r[3], r[0], r[1]))


answers("fan-in")(lambda c, p: fan(c, p, inwards=True))
answers("fan-out")(lambda c, p: fan(c, p, inwards=False))


def busiest(c: City, p: Any, *, inwards: bool) -> list[Row]:
    between = [m for m in c.paid
               if {m.source.kind, m.target.kind} == {EntityKind.USER} and m.source != m.target]  # fmt: skip
    rows = []
    for name in {e.id for m in between for e in (m.source, m.target)}:
        mine = [m for m in between if (m.target if inwards else m.source) == user(name)]
        best: list[Row] = []
        for first in {m.timestamp for m in mine if within(m, p)}:
            found = [m for m in mine if first <= m.timestamp <= first + p.hours * HOUR
                     and m.timestamp < p.until]  # fmt: skip
            others = len({m.source if inwards else m.target for m in found})
            count, value, start, end = tally(found)
            if others >= p.least:
                best.append((others, count, value, start, end))
        if best:
            rows.append((name, *min(best, key=lambda b: (-b[0], -b[2], b[3]))))
    return sorted(rows, key=lambda r: (-r[1], -r[3], r[0]))


answers("fan-in-collectors")(lambda c, p: busiest(c, p, inwards=True))
answers("fan-out-distributors")(lambda c, p: busiest(c, p, inwards=False))


def chains(
    moves: list[Movement], start: Entity, hops: int, follows: Callable[[Movement, Movement], bool]
) -> Iterator[list[Movement]]:
    """Chains of payments over users from `start`; no user twice, but it may end where it began."""

    def walk(chain: list[Movement]) -> Iterator[list[Movement]]:
        here = chain[-1].target if chain else start
        seen = {m.source for m in chain}
        for m in moves:
            if m.source != here or (chain and not follows(chain[-1], m)):
                continue
            inner = m.target not in seen | {here}
            if not (inner or (chain and m.target == start)):
                continue
            yield [*chain, m]
            if inner and m.target.kind is EntityKind.USER and len(chain) + 1 < hops:
                yield from walk([*chain, m])

    yield from walk([])


@answers("money-trail")
def _(c: City, p: Any) -> Iterable[Row]:
    later = lambda a, b: a.timestamp <= b.timestamp  # noqa: E731
    rows = []
    for chain in chains(c.paid, user(p.source), p.hops, later):
        first, last = chain[0], chain[-1]
        if last.target != user(p.target) or not within(first, p):
            continue
        if last.timestamp - first.timestamp > p.hours * HOUR:
            continue
        if any(m.target == last.target for m in chain[:-1]):
            continue
        values = [m.value for m in chain]
        rows.append((len(chain), first.timestamp, last.timestamp, values[0], values[-1],
                     min(values), [first.source.id, *(m.target.id for m in chain)],
                     [m.transaction_id for m in chain], values,
                     [m.timestamp for m in chain]))  # fmt: skip
    return sorted(rows, key=lambda r: (r[1], r[0], r[7]))


@answers("round-trips")
def _(c: City, p: Any) -> Iterable[Row]:
    def follows(a: Movement, b: Movement) -> bool:
        return a.timestamp <= b.timestamp and b.value * 100 >= a.value * p.carry

    rows = []
    for chain in chains(c.paid, user(p.user), p.hops, follows):
        first, last = chain[0], chain[-1]
        if last.target != user(p.user) or not within(first, p):
            continue
        if last.timestamp - first.timestamp <= p.hours * HOUR:
            values = [m.value for m in chain]
            rows.append((len(chain), first.timestamp, last.timestamp, values[0], values[-1],
                         values[0] - values[-1], [p.user, *(m.target.id for m in chain)],
                         [m.transaction_id for m in chain], values))  # fmt: skip
    return sorted(rows, key=lambda r: (r[1], r[0], r[7]))


def trail(c: City, p: Any, *, forward: bool) -> list[Row]:
    """Both directions are one: backwards, every payment and the order of time are turned round."""
    end = Relation.PAID_OUT if forward else Relation.PAID_IN
    outside = Entity(EntityKind.MERCHANT, "\0outside")
    steps: list[Movement] = []
    origin: dict[str, Movement] = {}
    for m in c.of(Relation.PAID, end):
        source, target = (m.source, m.target) if forward else (m.target, m.source)
        if m.relation is end:
            source, target = m.user, outside
        turned = Movement(m.relation, source, target, m.user, (), m.transaction_id, m.timestamp,
                          m.value, m.amount, m.currency, m.type)  # fmt: skip
        steps.append(turned)
        origin[m.transaction_id] = m

    def follows(a: Movement, b: Movement) -> bool:
        earlier, later = (a, b) if forward else (b, a)
        rested = later.timestamp - earlier.timestamp
        return (
            0 <= rested <= p.hours * HOUR
            and earlier.value * p.carry_least <= later.value * 100
            and later.value * 100 <= earlier.value * p.carry_most
        )

    rows = []
    for chain in chains(steps, user(p.user), p.hops, follows):
        if within(chain[0], p):
            last = chain[-1]
            gone = last.target == outside
            rows.append(([m.transaction_id for m in chain], len(chain), last.source.id,
                         "Outside" if gone else label(last.target),
                         None if gone else last.target.id, last.timestamp, last.value,
                         min(m.value for m in chain)))  # fmt: skip
    return sorted(rows, key=lambda r: (r[1], r[5], r[0]))


answers("money-trail-forward")(lambda c, p: trail(c, p, forward=True))
answers("money-trail-backward")(lambda c, p: trail(c, p, forward=False))


@answers("mule-feeder-tree")
def _(c: City, p: Any) -> Iterable[Row]:
    between = [m for m in c.paid if {m.source.kind, m.target.kind} == {EntityKind.USER}]
    rows = []

    def feed(path: list[str], level: int, into: list[Movement]) -> None:
        groups: dict[str, list[Movement]] = defaultdict(list)
        for m in into:
            groups[m.source.id].append(m)
        for name, found in groups.items():
            here = [*path, name]
            rows.append((here, level, name, *tally(found), len(c.rings_of(name))))
            if level < p.levels:
                feed(here, level + 1, [
                    q for q in between
                    if q.target == user(name) and q.source.id not in {p.user, *here}
                    and any(0 <= m.timestamp - q.timestamp <= p.hours * HOUR for m in found)
                ])  # fmt: skip

    feed([], 1, [m for m in between
                 if m.target == user(p.user) != m.source and within(m, p)])  # fmt: skip
    return sorted(rows, key=lambda r: (r[1], -r[4], r[0]))


@answers("pass-through")
def _(c: City, p: Any) -> Iterable[Row]:
    rows = []
    for name in {m.target.id for m in c.moves if m.target.kind is EntityKind.USER}:
        me, passed = user(name), []
        for i in c.of(Relation.PAID, Relation.PAID_IN):
            own = i.relation is Relation.PAID and i.source == me
            if i.target != me or own or not within(i, p):
                continue
            outs = [
                o for o in c.of(Relation.PAID, Relation.PAID_OUT)
                if o.source == me and not (o.relation is Relation.PAID and o.target == me)
                and 0 <= o.timestamp - i.timestamp <= p.hours * HOUR
            ]  # fmt: skip
            out = sum(o.value for o in outs)
            if outs and out * 100 >= i.value * p.carry:
                passed.append((i, out, min(o.timestamp for o in outs) - i.timestamp))
        if len(passed) >= p.least:
            received = [i for i, _, _ in passed]
            rows.append((name, len(passed), sum(i.value for i in received),
                         sum(min(out, i.value) for i, out, _ in passed),
                         sum(rest for _, _, rest in passed) // (len(passed) * MINUTE),
                         *tally(received)[2:]))  # fmt: skip
    return sorted(rows, key=lambda r: (-r[1], -r[2], r[0]))


@answers("structuring")
def _(c: City, p: Any) -> Iterable[Row]:
    groups: dict[str, list[Movement]] = defaultdict(list)
    for m in c.of(Relation.PAID, Relation.PAID_OUT):
        near = p.limit * (100 - p.within) <= m.value * 100 and m.value < p.limit
        if near and m.source.kind is EntityKind.USER and within(m, p):
            groups[m.source.id].append(m)
    rows = [
        (name, *tally(found)[:2], max(m.value for m in found),
         len({(m.relation, m.target) for m in found}), *tally(found)[2:])
        for name, found in groups.items() if len(found) >= p.least
    ]  # fmt: skip
    return sorted(rows, key=lambda r: (-r[1], -r[2], r[0]))


# --- sharing ------------------------------------------------------------------------------------


@answers("accounts-sharing-device")
def _(c: City, p: Any) -> Iterable[Row]:
    device = Entity(EntityKind.DEVICE, p.device)
    rows = [(name, *c.links[name, device], [r.ring_id for r in c.rings_of(name)])
            for name in c.users_of(device)]  # fmt: skip
    return sorted(rows, key=lambda r: (-r[1], r[0]))


def shared(kind: EntityKind) -> Callable[[City, Any], list[Row]]:
    def oracle(c: City, p: Any) -> list[Row]:
        rows = []
        for identifier in {i for _, i in c.links if i.kind is kind}:
            links = {u: c.links[u, identifier] for u in sorted(c.users_of(identifier))}
            links = {u: link for u, link in links.items() if link[2] >= p.since}
            if p.least <= len(links) <= p.most:
                rows.append((identifier.id, len(links), sum(bool(c.rings_of(u)) for u in links),
                             sum(link[0] for link in links.values()),
                             min(link[1] for link in links.values()),
                             max(link[2] for link in links.values()), list(links)[:20]))  # fmt: skip
        return sorted(rows, key=lambda r: (r[1], -r[2], -r[3], r[0]))

    return oracle


answers("shared-devices")(shared(EntityKind.DEVICE))
answers("shared-cards")(shared(EntityKind.CARD))
answers("shared-ips")(shared(EntityKind.IP))


@answers("shared-identifiers")
def _(c: City, p: Any) -> Iterable[Row]:
    rows = []
    for i in c.identifiers_of(p.user):
        others = sorted(c.users_of(i) - {p.user})
        if others:
            rows.append((label(i), i.id, len(others), *c.links[p.user, i], others[:20]))
    return sorted(rows, key=lambda r: (r[2], -r[3], r[0], r[1]))


@answers("single-link-accounts")
def _(c: City, p: Any) -> Iterable[Row]:
    rows = []
    for other in {name for name, _ in c.links} - {p.user}:
        common = [i for i in c.identifiers_of(p.user) if (other, i) in c.links]
        dealt = any(
            {m.source, m.target} == {user(p.user), user(other)}
            for m in c.of(Relation.PAID, Relation.ATTEMPTED)
        )
        if len(common) == 1 and not dealt:
            (i,) = common
            since = max(c.links[p.user, i][1], c.links[other, i][1])
            rows.append((other, label(i), i.id, len(c.users_of(i)), since,
                         bool(c.rings_of(other))))  # fmt: skip
    return sorted(rows, key=lambda r: (r[3], r[1], r[2], r[0]))


@answers("risky-identifiers")
def _(c: City, p: Any) -> Iterable[Row]:
    rows = []
    for i in {identifier for _, identifier in c.links}:
        worst = {
            u: [r for r in c.rings_of(u)
                if r.state in (RingState.ACTIVE, RingState.QUIET) and r.score * 100 >= p.score]
            for u in c.users_of(i)
        }  # fmt: skip
        ringed = {u: found for u, found in worst.items() if found}
        if len(ringed) >= p.least:
            rings = {r.ring_id: r.score for found in ringed.values() for r in found}
            rows.append((label(i), i.id, len(ringed), len(worst), len(ringed) * 100 // len(worst),
                         max(rings.values()), max(c.links[u, i][2] for u in ringed),
                         sorted(rings)[:20]))  # fmt: skip
    return sorted(rows, key=lambda r: (-r[4], -r[2], -r[5], r[0], r[1]))


@answers("new-devices")
def _(c: City, p: Any) -> Iterable[Row]:
    mine = {i: c.links[p.user, i] for i in c.identifiers_of(p.user) if i.kind is EntityKind.DEVICE}
    rows = []
    for device, (count, first, last) in mine.items():
        known = min(link[1] for link in mine.values())
        if first > known and first - known >= p.days * DAY:
            after = [m for m in c.moves
                     if m.source == user(p.user) and m.relation is not Relation.PAID_IN
                     and first <= m.timestamp <= first + p.hours * HOUR]  # fmt: skip
            done = [m for m in after if m.relation is not Relation.ATTEMPTED]
            rows.append((device.id, first, last, count, len(c.users_of(device)) - 1, len(done),
                         sum(m.value for m in done), len(after) - len(done)))  # fmt: skip
    return sorted(rows, key=lambda r: (-r[1], r[0]))


# --- accounts -----------------------------------------------------------------------------------


@answers("neighbourhood")
def _(c: City, p: Any) -> Iterable[Row]:
    me = user(p.user)
    groups: dict[Row, list[Movement]] = defaultdict(list)
    for m in c.moves:
        if m.source == me:
            groups[str(m.relation), "out", label(m.target), m.target.id].append(m)
        elif m.target == me:
            groups[str(m.relation), "in", label(m.source), m.source.id].append(m)
    rows: list[Row] = [(*group, *tally(found)) for group, found in groups.items()]
    for i in c.identifiers_of(p.user):
        count, first, last = c.links[p.user, i]
        rows.append((f"USED_{label(i).upper()}", "out", label(i), i.id, count, 0, first, last))
    rows += [("HAS_MEMBER", "in", "Ring", r.ring_id, 1, 0, None, None)
             for r in c.rings if me in dict(r.members)]  # fmt: skip
    return sorted(rows, key=lambda r: (-r[5], -r[4], r[0], r[1], r[2], r[3]))


@answers("risk-within-two-hops")
def _(c: City, p: Any) -> Iterable[Row]:
    def near(name: str) -> set[str]:
        found = {
            other.id
            for m in c.paid
            for mine, other in ((m.source, m.target), (m.target, m.source))
            if mine == user(name) and other.kind is EntityKind.USER
        }
        for i in c.identifiers_of(name):
            if len(c.users_of(i)) <= p.crowd:
                found |= c.users_of(i)
        return found

    first = near(p.user) - {p.user}
    ways: dict[str, set[str]] = defaultdict(set)
    for middle in first:
        for name in near(middle) - first - {p.user}:
            ways[name].add(middle)
    rows = []
    for hop, name in [*((1, n) for n in first), *((2, n) for n in ways)]:
        rings = [r for r in c.rings_of(name) if r.state in (RingState.ACTIVE, RingState.QUIET)]
        if rings:
            rows.append((hop, name, len(ways[name]) if hop == 2 else 0,
                         max(r.score for r in rings), [r.ring_id for r in rings]))  # fmt: skip
    return sorted(rows, key=lambda r: (r[0], -r[3], -r[2], r[1]))


def outgoing(c: City, name: str) -> list[Movement]:
    found = [m for m in c.moves if m.source == user(name) and m.relation is not Relation.PAID_IN]
    return sorted(found, key=lambda m: m.timestamp)


@answers("dormant-then-burst")
def _(c: City, p: Any) -> Iterable[Row]:
    rows = []
    for name in {m.source.id for m in c.moves if m.source.kind is EntityKind.USER}:
        mine = outgoing(c, name)
        for before, after in pairwise(mine):
            if after.timestamp - before.timestamp < p.days * DAY or not within(after, p):
                continue
            burst = [m for m in mine if 0 <= m.timestamp - after.timestamp <= p.hours * HOUR]
            if len(burst) >= p.least:
                done = [m for m in burst if m.relation is not Relation.ATTEMPTED]
                rows.append((name, before.timestamp, after.timestamp, len(done),
                             sum(m.value for m in done), len(burst) - len(done),
                             burst[-1].timestamp))  # fmt: skip
    return sorted(rows, key=lambda r: (-r[4], r[2], r[0]))


@answers("declined-then-success")
def _(c: City, p: Any) -> Iterable[Row]:
    rows = []
    for m in c.of(Relation.PAID, Relation.PAID_OUT):
        if m.source.kind is not EntityKind.USER or not within(m, p):
            continue
        mine = outgoing(c, m.source.id)
        tries = [d for d in mine if d.relation is Relation.ATTEMPTED
                 and 0 <= m.timestamp - d.timestamp <= p.minutes * MINUTE]  # fmt: skip
        if len(tries) < p.least:
            continue
        if any(d.relation is not Relation.ATTEMPTED
               and tries[-1].timestamp <= d.timestamp < m.timestamp for d in mine):  # fmt: skip
            continue
        gone = m.relation is Relation.PAID_OUT
        rows.append((m.source.id, len(tries), len({d.target for d in tries}),
                     max(d.value for d in tries), tries[0].timestamp, m.timestamp,
                     "Outside" if gone else label(m.target), None if gone else m.target.id,
                     m.value, m.transaction_id))  # fmt: skip
    return sorted(rows, key=lambda r: (-r[1], -r[8], r[5], r[9]))


@answers("entity-timeline")
def _(c: City, p: Any) -> Iterable[Row]:
    words = {"PAID": ("paid", "was paid"), "ATTEMPTED": ("attempted", "was attempted")}
    rows: list[Row] = []
    for m in c.moves:
        at, ends = m.timestamp, (f"{label(m.source)}:{m.source.id}", key(m.target))
        me = f"{p.kind}:{p.entity}"
        if m.relation in (Relation.PAID_IN, Relation.PAID_OUT):
            event = "money in" if m.relation is Relation.PAID_IN else "money out"
            if me == ends[0]:
                rows.append((at, event, None, None, m.value, m.transaction_id))
        elif me == ends[0]:
            rows.append((at, words[m.relation][0], label(m.target), m.target.id, m.value,
                         m.transaction_id))  # fmt: skip
        elif me == ends[1]:
            rows.append((at, words[m.relation][1], label(m.source), m.source.id, m.value,
                         m.transaction_id))  # fmt: skip
    for (name, i), (_, first, _) in c.links.items():
        if (p.kind, p.entity) == ("User", name):
            rows.append((first, "first used", label(i), i.id, None, None))
        if (p.kind, p.entity) == (label(i), i.id):
            rows.append((first, "first used by", "User", name, None, None))
    for r in c.rings:
        if f"{p.kind}:{p.entity}" in {key(e) for e, _ in r.members}:
            rows.append((r.born_at, "ring born", "Ring", r.ring_id, r.money, str(r.state)))
            rows += [(a.at, "alert", "Alert", a.alert_id, a.money, a.headline)
                     for a in c.alerts if a.ring_id == r.ring_id]  # fmt: skip
    rows = [row for row in rows if p.since <= row[0] < p.until]
    # null comes last in Cypher
    return sorted(
        rows, key=lambda r: (r[0], r[1], *((x is None, x or "") for x in (r[2], r[3], r[5])))
    )


@answers("path-between")
def _(c: City, p: Any) -> Iterable[Row]:
    start, end = f"{p.source_kind}:{p.source}", f"{p.target_kind}:{p.target}"
    joined: dict[str, set[tuple[str, str]]] = defaultdict(set)
    pairs = [("PAID", key(m.source), key(m.target)) for m in c.paid]
    pairs += [(f"USED_{label(i).upper()}", f"User:{name}", key(i)) for name, i in c.links]
    for relation, a, b in pairs:
        joined[a].add((relation, b))
        joined[b].add((relation, a))
    ways: list[tuple[list[str], list[str]]] = [([start], [])]
    for _ in range(p.hops if start != end else 0):
        ways = [([*at, b], [*by, relation]) for at, by in ways
                for relation, b in joined[at[-1]] if b not in at]  # fmt: skip
        if found := [way for way in ways if way[0][-1] == end]:
            return sorted((len(by), at, by) for at, by in found)
    return []


# --- what only Neo4j understands ----------------------------------------------------------------

NEO4J: dict[str, Callable[[City, Any], list[Row]]] = {}


def layering(c: City, p: Any) -> list[Row]:
    span = [m for m in c.paid if 0 <= m.timestamp - p.since <= p.hours * HOUR
            and m.value >= p.value]  # fmt: skip
    rows = []
    for chain in chains(span, user(p.source), p.hops, lambda a, b: a.timestamp <= b.timestamp):
        accounts = [p.source, *(m.target.id for m in chain)]
        if chain[-1].target == user(p.target) and len(set(accounts)) == len(accounts):
            rows.append((len(chain), chain[0].timestamp, chain[-1].timestamp, chain[0].value,
                         chain[-1].value, accounts, [m.transaction_id for m in chain]))  # fmt: skip
    return sorted(rows, key=lambda r: (r[1], r[0], r[6]))


def shortest_money_routes(c: City, p: Any) -> list[Row]:
    between = [m for m in c.paid if {m.source.kind, m.target.kind} == {EntityKind.USER}
               and m.value >= p.value]  # fmt: skip
    ways: list[list[Movement]] = [[]]
    groups = 0
    found: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for _ in range(8):
        ways = [
            [*way, m] for way in ways for m in between
            if m.source == (way[-1].target if way else user(p.source)) and m not in way
        ]  # fmt: skip
        arrived = [way for way in ways if way[-1].target == user(p.target)]
        groups += bool(arrived)
        for way in arrived:
            accounts = (p.source, *(m.target.id for m in way))
            if len(set(accounts)) == len(accounts):
                found[accounts].append(min(m.value for m in way))
        if groups == 3 or not ways:
            break
    rows = [(len(a) - 1, list(a), len(values), max(values)) for a, values in found.items()]
    return sorted(rows, key=lambda r: (r[0], -r[3], r[1]))


NEO4J["layering"] = layering
NEO4J["shortest-money-routes"] = shortest_money_routes


# --- the deep analysis --------------------------------------------------------------------------

DEEP: dict[str, Callable[[City, Any, Any], list[Row]]] = {}


def whole(value: float) -> int | None:
    return None if value != value else int(value)  # noqa: PLR0124 - NaN is not itself


def fraud_rank(c: City, p: Any, found: Any) -> list[Row]:
    rows = []
    for n, entity in enumerate(found.entities):
        told = {name: float(found.column(name)[n]) for name in ("fraud_rank", "pagerank",
                "betweenness", "community", "community_size")}  # fmt: skip
        rings = len(c.rings_of(entity.id))
        close = entity.kind is EntityKind.USER and told["fraud_rank"] > 0
        if close and (p.outside == "no" or not rings):
            rows.append((entity.id, told["fraud_rank"], told["pagerank"], told["betweenness"],
                         whole(told["community"]), whole(told["community_size"]), rings,
                         found.as_of))  # fmt: skip
    return sorted(rows, key=lambda r: (-r[1], r[0]))


def community_of_user(c: City, p: Any, found: Any) -> list[Row]:
    place = {e.id: n for n, e in enumerate(found.entities) if e.kind is EntityKind.USER}
    its = found.column("community")[place[p.user]] if p.user in place else None
    rows = [
        (name, float(found.column("fraud_rank")[n]), float(found.column("pagerank")[n]),
         [r.ring_id for r in c.rings_of(name)], int(its), found.as_of)
        for name, n in place.items() if found.column("community")[n] == its
    ]  # fmt: skip
    return sorted(rows, key=lambda r: (-r[1], r[0]))


DEEP["fraud-rank"] = fraud_rank
DEEP["community-of-user"] = community_of_user


def bound(parameters: dict[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(**parameters)


def every(**choices: list[Any]) -> list[dict[str, Any]]:
    """All combinations."""
    return [dict(zip(choices, each, strict=True)) for each in product(*choices.values())]


ASKED: dict[str, list[dict[str, Any]]] = {
    "ring-of-user": every(user=["u00", "u03", "u09"]),
    "ring-members": every(ring=["r-cycle", "r-mules"]),
    "ring-payments": every(ring=["r-cycle", "r-mules"], since=[0, START + 2 * DAY]),
    "ring-cash-flow": every(ring=["r-cycle", "r-mules"], since=[0, START + 2 * DAY]),
    "common-counterparties": every(ring_a=["r-cycle"], ring_b=["r-mules", "r-gone"]),
    "linked-rings": every(ring=["r-cycle", "r-mules", "r-gone"]),
    "rings-at-merchant": every(merchant=["kiosk", "mall"], since=[0, START + 2 * DAY]),
    "merchant-isolated-buyers": every(merchant=["kiosk", "mall"]),
    "first-contact": every(user=["u05", "u00", "victim1"], ring=["r-cycle", "r-mules"]),
    "what-changed": every(since=[START, START + 5 * DAY + HOUR], until=[START + 6 * DAY + 1]),
    "alert-evidence": every(alert=["a-1", "a-2"]),
    "fan-in": every(user=["u05", "u00"], since=[0, START + DAY]),
    "fan-out": every(user=["u05", "sleeper"], since=[0, START + DAY]),
    "fan-in-collectors": every(hours=[6, 72], least=[2, 3], since=[0, START + DAY]),
    "fan-out-distributors": every(hours=[6, 72], least=[2, 3], since=[0, START + DAY]),
    "money-trail": every(source=["u00"], target=["u00", "u03"], hops=[3], hours=[12]),
    "round-trips": every(user=["u00", "u04"], hops=[4], hours=[24], carry=[0, 90]),
    "money-trail-forward": every(user=["u00", "victim0"], hops=[3], hours=[6, 24]),
    "money-trail-backward": every(user=["u05", "u02"], hops=[3], hours=[6, 24]),
    "mule-feeder-tree": every(user=["u05", "u02"], levels=[1, 2, 3], hours=[5, 12]),
    "pass-through": every(hours=[3, 24], carry=[50, 95], least=[1, 2]),
    "structuring": every(limit=[10_000], within=[1, 5, 50], least=[2, 3]),
    "accounts-sharing-device": every(device=["d-farm", "d-0"]),
    "shared-devices": every(least=[2], most=[3, 20], since=[0, START + 4 * DAY]),
    "shared-cards": every(least=[2], most=[3, 20]),
    "shared-ips": every(least=[2], most=[3, 20]),
    "shared-identifiers": every(user=["u00", "u05", "victim0"]),
    "single-link-accounts": every(user=["u00", "bot1", "u13"]),
    "risky-identifiers": every(least=[1, 2], score=[0, 80]),
    "new-devices": every(user=["sleeper", "u00", "u07"], days=[0, 7]),
    "neighbourhood": every(user=["u00", "u05"]),
    "risk-within-two-hops": every(user=["sleeper", "bot0", "victim3"], crowd=[2, 20]),
    "dormant-then-burst": every(days=[3, 30], least=[2, 5], hours=[24]),
    "declined-then-success": every(minutes=[10, 600], least=[1, 3]),
    "entity-timeline": [
        *every(entity=["u05", "sleeper"], kind=["User"], since=[0, START + 5 * DAY]),
        *every(entity=["d-farm"], kind=["Device", "Card"]),
        *every(entity=["kiosk"], kind=["Merchant"]),
    ],
    "path-between": [
        *every(source=["bot1", "victim0"], target=["u00", "u12"], hops=[2, 6]),
        *every(source=["d-v4"], source_kind=["Device"], target=["d-farm", "d-nowhere"],
               target_kind=["Device"], hops=[6]),
    ],
}  # fmt: skip
"""What is asked of the city: every portable investigation, with parameters that find something."""

NEO4J_ASKED: dict[str, list[dict[str, Any]]] = {
    "layering": [
        *every(source=["u00", "u03"], target=["u05", "u02"], hops=[3, 6],
               since=[START + 6 * HOUR], hours=[30], value=[0, 9_500]),
        *every(source=["victim0"], target=["u05"], since=[START + 6 * DAY], hours=[2]),
    ],
    "shortest-money-routes": every(source=["u00", "u03"], target=["u05", "u02"],
                                   value=[0, 9_900]),
}  # fmt: skip

DEEP_ASKED: dict[str, list[dict[str, Any]]] = {
    "fraud-rank": every(outside=["yes", "no"]),
    "community-of-user": every(user=["u00", "u05", "victim1", "sleeper"]),
}
