"""Questions about accounts and what happened to them, answered over a city by brute force."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

from cypher.ports import Movement, Relation
from graph.rings import RingState
from graph.transaction import DAY, HOUR, MINUTE, EntityKind
from tests.oracles.city import City, key, label, tally, user, within

Row = tuple[Any, ...]

ORACLES: dict[str, Callable[[City, Any], list[Row]]] = {}


def answers(name: str) -> Callable[[Callable[[City, Any], Iterable[Row]]], None]:
    def register(oracle: Callable[[City, Any], Iterable[Row]]) -> None:
        ORACLES[name] = lambda c, p: list(oracle(c, p))

    return register


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
        done = [d.timestamp for d in mine
                if d.relation is not Relation.ATTEMPTED and d.timestamp < m.timestamp]  # fmt: skip
        tries = [d for d in mine if d.relation is Relation.ATTEMPTED
                 and 0 <= m.timestamp - d.timestamp <= p.minutes * MINUTE
                 and all(d.timestamp > each for each in done)]  # fmt: skip
        if len(tries) < p.least:
            continue
        gone = m.relation is Relation.PAID_OUT
        rows.append((m.source.id, len(tries), len({d.target for d in tries}),
                     max(d.value for d in tries), tries[0].timestamp, m.timestamp,
                     "Outside" if gone else label(m.target), None if gone else m.target.id,
                     m.value, m.transaction_id))  # fmt: skip
    return sorted(rows, key=lambda r: (-r[1], -r[8], r[5], r[9]))


def moved(c: City, me: str) -> Iterator[Row]:
    """What an entity paid, was paid, tried, took in and took out."""
    words = {"PAID": ("paid", "was paid"), "ATTEMPTED": ("attempted", "was attempted")}
    for m in c.moves:
        told = (m.value, m.transaction_id)
        if m.relation in (Relation.PAID_IN, Relation.PAID_OUT):
            event = "money in" if m.relation is Relation.PAID_IN else "money out"
            if me == key(m.source):
                yield (m.timestamp, event, None, None, *told)
        elif me == key(m.source):
            yield (m.timestamp, words[m.relation][0], label(m.target), m.target.id, *told)
        elif me == key(m.target):
            yield (m.timestamp, words[m.relation][1], label(m.source), m.source.id, *told)


@answers("entity-timeline")
def _(c: City, p: Any) -> Iterable[Row]:
    rows: list[Row] = list(moved(c, f"{p.kind}:{p.entity}"))
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
