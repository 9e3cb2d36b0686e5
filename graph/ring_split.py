"""When a ring has come apart, and who goes with which part.

What joins a ring's members grows old. A ring has come apart when its evidence of the last
`expire_after` falls into parts that would be rings of their own: parts by the rule by which
evidence joins a ring (`graph.ring_overlap`), each with evidence that could bear a ring and at least
two members. Older evidence joins no longer, and goes with the part whose members it shares most.

What newer evidence has replaced (a fan seen again, grown) is gone, but not its transactions: one of
the last `expire_after` that no evidence at hand shows holds the parts of its two ends together.

Everything goes to exactly one part, and where several claim it equally to the riskiest of them:

- a member to the part in which it weighs most; one that no evidence at hand names, to the part with
  which it exchanged most money;
- a transaction to the part whose evidence shows it, else to that of its payee, else of its payer.

Cost: O(members + transactions + what the evidence names) and at most
`ring_overlap.MOST_COMPARISONS` comparisons; a ring for which these do not suffice stays whole.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from graph.evidence import Evidence, Hop, Pattern, Role
from graph.ring_overlap import Weights, parts_of, shared_weight, weights_of
from graph.ring_policy import RingPolicy
from graph.ring_score import is_proof, score_of
from graph.transaction import Entity

_CROWDS: Final = frozenset({Pattern.FAN_IN, Pattern.FAN_OUT})


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a ring, or all of it.

    Attributes:
        members: Entities with their roles, in the order in which they joined.
        evidence: In the order in which it was first seen.
        hops: Witness transactions in order of time, then id.
    """

    members: tuple[tuple[Entity, Role], ...]
    evidence: tuple[Evidence, ...]
    hops: tuple[Hop, ...]


class _Part:
    """A part while it is put together: positions of its evidence, what its members weigh."""

    def __init__(self, positions: list[int], pieces: Sequence[Evidence], policy: RingPolicy):
        self.positions = positions
        self.weights: Weights = {}
        for i in positions:
            for entity, own in weights_of(pieces[i]).items():
                self.weights[entity] = max(own, self.weights.get(entity, 0.0))
        evidence = [pieces[i] for i in positions]
        self.stands = any(bears(piece, policy) for piece in evidence)
        self.rank = (-score_of(evidence), seed_of(evidence))


def bears(piece: Evidence, policy: RingPolicy) -> bool:
    """Whether this evidence bears a ring where there is none: strong, of several, and a proof."""
    crowd = piece.pattern in _CROWDS and not piece.is_judged
    least = policy.crowd_birth if crowd else 0.0
    strong = len(piece.members) >= 2 and piece.strength >= max(policy.birth, least)
    return strong and is_proof(piece)


def seed_of(evidence: Iterable[Evidence]) -> str:
    """What a ring that begins with this evidence is named after: its first transaction.

    Where it shows none, what was seen and when: the same people on the same phone a year later are
    another ring.
    """
    first = min(evidence, key=lambda piece: (piece.seen_at, piece.evidence_id))
    if first.hops:
        return first.hops[0].transaction_id
    return f"{first.evidence_id} {first.seen_at}"


def split(ring: Share, policy: RingPolicy, at: int) -> tuple[list[Share], bool]:
    """The parts into which a ring has come apart at event time `at`.

    Returns:
        (at least two parts, the riskiest first, of equals that with the smallest seed; none where
        the ring holds together; whether the bound on comparisons was hit, so that nobody knows).
    """
    pieces = ring.evidence
    since = at - policy.expire_after
    fresh = [i for i, piece in enumerate(pieces) if piece.seen_at > since]
    groups, cut = parts_of([weights_of(pieces[i]) for i in fresh], policy.overlap)
    if len(groups) < 2:
        return [], cut
    parts = [_Part([fresh[i] for i in group], pieces, policy) for group in groups]
    parts = _glued(parts, ring, since, policy)
    parts = _standing(parts, ring, policy)
    if len(parts) < 2:
        return [], False
    homes = _homes(parts)
    rest = sorted(
        set(range(len(pieces))).difference(fresh),
        key=lambda i: (-pieces[i].seen_at, pieces[i].evidence_id),
    )
    for i in rest:
        weights = weights_of(pieces[i])
        pull = [0.0] * len(parts)
        for entity, own in weights.items():
            if entity in homes:
                pull[homes[entity]] += own
        home = pull.index(max(pull))
        parts[home].positions.append(i)
        for entity in weights:
            homes.setdefault(entity, home)
    return _shares(parts, homes, ring), False


def _glued(parts: list[_Part], ring: Share, since: int, policy: RingPolicy) -> list[_Part]:
    """Join the parts between which money moved of which the evidence at hand says nothing."""
    parts.sort(key=lambda part: part.rank)
    homes = _homes(parts)
    shown = {
        hop.transaction_id
        for part in parts
        for i in part.positions
        for hop in ring.evidence[i].hops
    }
    joined = list(range(len(parts)))
    for hop in ring.hops:
        if hop.timestamp > since and hop.transaction_id not in shown:
            ends = [homes[end] for end in (hop.source, hop.target) if end in homes]
            if len(ends) == 2:
                one, other = sorted(joined[end] for end in ends)
                joined = [one if name == other else name for name in joined]
    groups: dict[int, list[int]] = {}
    for part, name in zip(parts, joined, strict=True):
        groups.setdefault(name, []).extend(part.positions)
    return [_Part(sorted(positions), ring.evidence, policy) for positions in groups.values()]


def _standing(parts: list[_Part], ring: Share, policy: RingPolicy) -> list[_Part]:
    """Let parts that are no ring of their own join the one they share most with, weakest first."""
    members = {entity for entity, _ in ring.members}
    while len(parts) > 1:
        parts.sort(key=lambda part: part.rank)
        own = Counter(home for entity, home in _homes(parts).items() if entity in members)
        falling = [i for i, part in enumerate(parts) if not part.stands or own[i] < 2]
        if not falling:
            break
        gone = parts.pop(falling[-1])
        near = max(parts, key=lambda part: shared_weight(part.weights, gone.weights))
        parts[parts.index(near)] = _Part(
            sorted(near.positions + gone.positions), ring.evidence, policy
        )
    return parts


def _homes(parts: Sequence[_Part]) -> dict[Entity, int]:
    """The part in which each entity weighs most."""
    homes: dict[Entity, int] = {}
    for number, part in enumerate(parts):
        for entity, own in part.weights.items():
            home = homes.get(entity)
            if home is None or own > parts[home].weights[entity]:
                homes[entity] = number
    return homes


def _shares(parts: Sequence[_Part], homes: dict[Entity, int], ring: Share) -> list[Share]:
    """Give every member and transaction to one part; `homes` says where most members are."""
    shown: dict[str, int] = {}
    named = dict(homes)
    for number, part in enumerate(parts):
        part.positions.sort()
        for i in part.positions:
            for entity, _ in ring.evidence[i].members:
                named.setdefault(entity, number)
            for hop in ring.evidence[i].hops:
                shown.setdefault(hop.transaction_id, number)
    home_of = named | _followed(ring, named, len(parts))
    members: list[list[tuple[Entity, Role]]] = [[] for _ in parts]
    hops: list[list[Hop]] = [[] for _ in parts]
    for entity, role in ring.members:
        members[home_of[entity]].append((entity, role))
    for hop in ring.hops:
        ends = [home_of[end] for end in (hop.target, hop.source) if end in home_of]
        hops[shown.get(hop.transaction_id, (*ends, 0)[0])].append(hop)
    shares = [
        Share(tuple(who), tuple(ring.evidence[i] for i in part.positions), tuple(moved))
        for part, who, moved in zip(parts, members, hops, strict=True)
    ]
    return sorted(shares, key=lambda one: (-score_of(one.evidence), seed_of(one.evidence)))


def _followed(ring: Share, named: dict[Entity, int], parts: int) -> dict[Entity, int]:
    """The parts of members that no evidence names: where they exchanged most money."""
    exchanged = {entity: [0] * parts for entity, _ in ring.members if entity not in named}
    if exchanged:
        for hop in ring.hops:
            for end, other in ((hop.source, hop.target), (hop.target, hop.source)):
                if end in exchanged and other in named:
                    exchanged[end][named[other]] += hop.moved
    return {entity: sums.index(max(sums)) for entity, sums in exchanged.items()}
