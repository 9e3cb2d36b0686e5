"""Questions about rings and merchants, answered over a city by brute force."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from cypher.ports import Movement, Relation
from graph.rings import RingState
from graph.transaction import Entity, EntityKind
from tests.oracles.city import City, key, label, tally, user, within

Row = tuple[Any, ...]

ORACLES: dict[str, Callable[[City, Any], list[Row]]] = {}


def answers(name: str) -> Callable[[Callable[[City, Any], Iterable[Row]]], None]:
    def register(oracle: Callable[[City, Any], Iterable[Row]]) -> None:
        ORACLES[name] = lambda c, p: list(oracle(c, p))

    return register


@answers("ring-of-user")
def _(c: City, p: Any) -> Iterable[Row]:
    rows = [
        (r.ring_id, str(r.state), r.score, r.likelihood, r.money, list(map(str, r.patterns)),
         label(e), e.id, str(role))
        for r in c.rings_of(p.user) for e, role in r.members
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (-row[2], row[0], row[6], row[7], row[8]))


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
            rows.append((other.ring_id, str(other.state), other.score, other.likelihood,
                         accounts, len(shared) - accounts,
                         [key(e) for e in shared][:20]))  # fmt: skip
    return sorted(rows, key=lambda r: (-r[4], -r[5], r[0]))


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
            rows.append((ring.ring_id, str(ring.state), ring.score, ring.likelihood,
                         len({m.source for m in found}), len(done), sum(m.value for m in done),
                         len(found) - len(done), *tally(found)[2:]))  # fmt: skip
    return sorted(rows, key=lambda r: (-r[6], -r[7], r[0]))


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
