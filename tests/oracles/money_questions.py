"""Questions about the way of money, answered over a city by brute force."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from cypher.ports import Movement, Relation
from graph.transaction import HOUR, MINUTE, Entity, EntityKind
from tests.oracles.city import City, label, tally, user, within

Row = tuple[Any, ...]

ORACLES: dict[str, Callable[[City, Any], list[Row]]] = {}


def answers(name: str) -> Callable[[Callable[[City, Any], Iterable[Row]]], None]:
    def register(oracle: Callable[[City, Any], Iterable[Row]]) -> None:
        ORACLES[name] = lambda c, p: list(oracle(c, p))

    return register


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
    kinds = {EntityKind.USER}
    between = [
        m for m in c.paid if {m.source.kind, m.target.kind} == kinds and m.source != m.target
    ]
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
