"""How far two sets of members are one: overlap weighted by what each member says.

A shared mule counts fully, a shared victim little, a shared IP address not at all (a carrier's NAT
joins strangers). The measure is the weighted overlap coefficient

    overlap(A, B) = sum over shared members of min(w_A, w_B) / min(sum of w_A, sum of w_B)

which, for two sets of members, is never below their Jaccard index. The same measure says which
ring a piece of evidence belongs to and whether a ring still holds together.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from graph.evidence import Evidence, Role
from graph.transaction import Entity, EntityKind

# How much sharing a member in this role says about two sets being one ring.
ROLE_WEIGHTS: Final = {
    Role.CONTROLLER: 1.0,
    Role.MULE: 1.0,
    Role.CASH_OUT: 1.0,
    Role.MEMBER: 1.0,
    Role.SHARED: 1.0,
    Role.SENDER: 0.5,
    Role.RECEIVER: 0.5,
    Role.VICTIM: 0.25,
    Role.BYSTANDER: 0.25,
    Role.FRINGE: 0.25,
}
MOST_COMPARISONS: Final = 1_000
"""Pairs that `parts_of` compares at most: some three milliseconds."""

Weights = dict[Entity, float]


def weight(entity: Entity, role: Role) -> float:
    """How much sharing this member says about two sets being one ring."""
    return 0.0 if entity.kind is EntityKind.IP else ROLE_WEIGHTS[role]


def weights_of(piece: Evidence) -> Weights:
    """The members of a piece of evidence that count, with their weights."""
    weights: Weights = {}
    for entity, role in piece.members:
        own = weight(entity, role)
        if own:
            weights[entity] = max(own, weights.get(entity, 0.0))
    return weights


def shared_weight(one: Mapping[Entity, float], other: Mapping[Entity, float]) -> float:
    """What the members of both weigh: of each the lesser of its two weights."""
    if len(other) < len(one):
        one, other = other, one
    # In the order of `one`: the sum of floats is the same to the bit whatever else is in `other`.
    return sum([min(own, other[entity]) for entity, own in one.items() if entity in other])


def parts_of(
    pieces: Sequence[Mapping[Entity, float]], least: float
) -> tuple[list[list[int]], bool]:
    """The groups into which sets of members fall.

    Sets that overlap by `least` or more are one group, and so are groups, until no two overlap.
    All joins of a round are made at once, so the order of the sets does not matter.

    Args:
        pieces: Members of each set with their weights (`weights_of`).
        least: Overlap from which two are one.

    Returns:
        (groups of positions in `pieces`, each ascending, in order of their first; whether
        `MOST_COMPARISONS` ended the search, in which case everything is one group: what could not
        be shown to have come apart stays together).
    """
    groups = [[i] for i in range(len(pieces))]
    held: list[Mapping[Entity, float]] = list(pieces)
    left = MOST_COMPARISONS
    while len(groups) > 1:
        roots, left = _joined(held, least, left)
        if left < 0:
            return [list(range(len(pieces)))], True
        merged: dict[int, list[int]] = {}
        for i in range(len(groups)):
            merged.setdefault(_root(roots, i), []).append(i)
        if len(merged) == len(groups):
            break
        held = [_union([held[i] for i in these]) for these in merged.values()]
        groups = [sorted(n for i in these for n in groups[i]) for these in merged.values()]
    return groups, False


def _joined(
    held: Sequence[Mapping[Entity, float]], least: float, left: int
) -> tuple[list[int], int]:
    """Join the sets that overlap; (the tree of each set, comparisons left, below 0 if too few).

    Only sets that share a member are compared, and none that are joined already.
    """
    totals = [sum(own.values()) for own in held]
    roots = list(range(len(held)))
    having: dict[Entity, list[int]] = {}
    apart = 0  # trees among the sets looked at
    for number, own in enumerate(held):
        apart += 1
        failed: set[int] = set()
        for other in (other for entity in own for other in having.get(entity, ())):
            if apart == 1:
                break
            one, two = _root(roots, other), _root(roots, number)
            if one == two or other in failed:
                continue
            left -= 1
            if left < 0:
                return roots, left
            smaller = min(totals[other], totals[number])
            if shared_weight(held[other], own) >= least * smaller:
                roots[max(one, two)] = min(one, two)
                apart -= 1
            else:
                failed.add(other)
        for entity in own:
            having.setdefault(entity, []).append(number)
    return roots, left


def _root(roots: list[int], i: int) -> int:
    while roots[i] != i:
        roots[i] = i = roots[roots[i]]
    return i


def _union(held: Sequence[Mapping[Entity, float]]) -> Weights:
    union: Weights = {}
    for own in held:
        for entity, one in own.items():
            union[entity] = max(one, union.get(entity, 0.0))
    return union
