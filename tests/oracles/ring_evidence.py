"""Evidence as heuristics give it, in a few letters, for tests of what becomes of it in rings.

And a day on which a ring splits, and two figures of rings as their definitions say, without any
economy.
"""

from collections.abc import Mapping, Sequence

import networkx as nx
from hypothesis import strategies as st

from graph.evidence import Evidence, Hop, Pattern, Role
from graph.ring_policy import RingPolicy
from graph.thresholds import Thresholds
from graph.transaction import HOUR, MINUTE, Entity, EntityKind, Money, Transaction, TransactionType

LETTERS = "abcdefghijkl"


def user(name: str) -> Entity:
    return Entity(EntityKind.USER, name)


def cycle(key: str, names: str, at: int, *, strength: float = 0.7, value: int = 1_000) -> Evidence:
    """Money round these users, a little less each time; the last hop is at `at`."""
    ends = zip(names, names[1:] + names[0], strict=True)
    first = at - len(names) + 1
    hops = tuple(
        Hop(f"{key}.{i}", user(a), user(b), value - 10 * i, first + i)
        for i, (a, b) in enumerate(ends)
    )
    roles = [Role.CONTROLLER, *[Role.MULE] * (len(names) - 1)]
    pattern = Pattern.CYCLE if len(names) > 2 else Pattern.PING_PONG
    members = tuple((user(name), role) for name, role in zip(names, roles, strict=True))
    return Evidence(pattern, at, members, hops, strength, "It came home.")


def mule(key: str, centre: str, senders: str, boss: str, at: int) -> Evidence:
    """Strangers' money that a mule passes on to a boss at `at`."""
    hops = [
        Hop(f"{key}.{i}", user(s), user(centre), 500, at - len(senders) + i)
        for i, s in enumerate(senders)
    ]
    hops.append(Hop(f"{key}.out", user(centre), user(boss), 450 * len(senders), at))
    members = (
        (user(centre), Role.MULE),
        *((user(s), Role.SENDER) for s in senders),
        (user(boss), Role.RECEIVER),
    )
    return Evidence(Pattern.MULE, at, members, tuple(hops), 0.8, "It passed on.")


def shared(kind: EntityKind, key: str, names: str, at: int, *, strength: float = 0.6) -> Evidence:
    """One thing that these users share."""
    pattern = Pattern.SHARED_IP if kind is EntityKind.IP else Pattern.SHARED_DEVICE
    members = ((Entity(kind, key), Role.SHARED), *((user(n), Role.MEMBER) for n in names))
    return Evidence(pattern, at, members, (), strength, "They share it.")


@st.composite
def histories(draw: st.DrawFn, longest: int = 40) -> list[list[Evidence]]:
    """Evidence of a few users over a day or two, in steps of what one transaction completes."""
    steps: list[list[Evidence]] = []
    at = HOUR
    for number in range(draw(st.integers(1, longest))):
        at += draw(st.integers(0, 90)) * MINUTE
        pieces = []
        for piece in range(draw(st.integers(0, 2))):
            key = f"t{number}-{piece}"
            names = "".join(draw(st.permutations(LETTERS)))
            size = draw(st.integers(2, 5))
            match draw(st.sampled_from(["cycle", "cycle", "mule", "device", "ip"])):
                case "cycle":
                    strength = draw(st.sampled_from([0.3, 0.58, 0.7]))
                    pieces.append(cycle(key, names[:size], at, strength=strength))
                case "mule":
                    pieces.append(mule(key, names[0], names[1 : size + 1], names[size + 1], at))
                case "device":
                    thing = draw(st.sampled_from("xyz"))
                    pieces.append(shared(EntityKind.DEVICE, thing, names[:size], at))
                case _:
                    pieces.append(shared(EntityKind.IP, "nat", names[:size], at))
        steps.append(pieces)
    return steps


def circle(names: str, at: int, value: int) -> list[Transaction]:
    """Transfers round these users, a minute apart, from `at` on."""
    return [
        Transaction(
            f"{names}-{at}-{i}",
            at + i * MINUTE,
            TransactionType.TRANSFER,
            Money(value - i, "EUR"),
            value - i,
            payer,
            payee,
        )
        for i, (payer, payee) in enumerate(zip(names, names[1:] + names[0], strict=True))
    ]


def day_of_a_split() -> list[Transaction]:
    """Two circles that a third joins for as long as `SPLITTING` lets it.

    The sums are so far apart that no hop of one circle passes for a hop of another.
    """
    return [
        *circle("abc", HOUR, 100),
        *circle("def", HOUR + 20 * MINUTE, 100),
        *circle("bcde", HOUR + 40 * MINUTE, 10_000),
        *circle("abc", 4 * HOUR, 1_000_000),
        *circle("def", 5 * HOUR, 1_000_000),
        *circle("abc", 6 * HOUR, 100_000_000),
    ]


SPLITTING = RingPolicy(quiet_after=HOUR, expire_after=4 * HOUR)
CIRCLES = Thresholds(tree_accounts=32)
"""A circle is as much of a feeder tree as it is one, and these days are about circles."""


def parts_by_pairs(pieces: Sequence[Mapping[Entity, float]], least: float) -> list[list[int]]:
    """All pairs that overlap are joined, then all groups that do, until none does."""
    groups = [[i] for i in range(len(pieces))]
    while True:
        held: list[dict[Entity, float]] = []
        for group in groups:
            union: dict[Entity, float] = {}
            for i in group:
                for entity, own in pieces[i].items():
                    union[entity] = max(own, union.get(entity, 0))
            held.append(union)
        joined: nx.Graph[int] = nx.Graph()
        joined.add_nodes_from(range(len(groups)))
        for a in range(len(groups)):
            for b in range(a):
                both = held[a].keys() & held[b].keys()
                shared_by = sum(min(held[a][e], held[b][e]) for e in both)
                smaller = min(sum(held[a].values()), sum(held[b].values()))
                if shared_by and shared_by >= least * smaller:
                    joined.add_edge(a, b)
        merged = [sorted(n for i in c for n in groups[i]) for c in nx.connected_components(joined)]
        if len(merged) == len(groups):
            return sorted(groups)
        groups = merged


def score_by_definition(pieces: Sequence[Evidence]) -> float:
    """One minus the doubt that the strongest of each pattern leaves, and each lap of a cycle."""
    doubt = 1.0
    for pattern in {piece.pattern for piece in pieces} - {Pattern.PING_PONG}:
        mine = [piece for piece in pieces if piece.pattern is pattern]
        left = min(1 - piece.strength for piece in mine)
        if pattern is Pattern.CYCLE:
            laps: list[Evidence] = []
            for piece in mine:
                passed = {hop.transaction_id for lap in laps for hop in lap.hops}
                if len(laps) < 3 and passed.isdisjoint(hop.transaction_id for hop in piece.hops):
                    laps.append(piece)
            all_laps = 1.0
            for lap in laps:
                all_laps *= 1 - lap.strength
            left = min(left, all_laps)
        doubt *= left
    return 1 - doubt
