"""Questions about shared identifiers, answered over a city by brute force."""

from collections.abc import Callable, Iterable
from typing import Any

from cypher.ports import Relation
from graph.rings import RingState
from graph.transaction import DAY, HOUR, Entity, EntityKind
from tests.oracles.city import City, label, user

Row = tuple[Any, ...]

ORACLES: dict[str, Callable[[City, Any], list[Row]]] = {}


def answers(name: str) -> Callable[[Callable[[City, Any], Iterable[Row]]], None]:
    def register(oracle: Callable[[City, Any], Iterable[Row]]) -> None:
        ORACLES[name] = lambda c, p: list(oracle(c, p))

    return register


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
                             max(link[2] for link in links.values()),
                             list(links)[:20]))  # fmt: skip
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
