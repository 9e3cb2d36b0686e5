"""What if: which entity's removal clears a ring.

An investigator who is about to call somebody wants to know on whom the suspicion rests. For each
member in turn, the evidence that needs it is taken away and what remains is scored anew, as the
ring's own evidence is. The member *clears* the ring if nothing that remains would wake anybody:
what remains is put together by the rule by which evidence joins a ring, so a ring may also be
cleared by falling into parts that are too weak. Where somebody says how likely a ring is a true
one, each part that scores enough is asked about, as a ring of its own would be.

A piece of evidence needs a member unless that is one of many: not the piece's centre, and at least
`CROWD` others play the same role in it, or less than `SMALL` of the money of that role is its own.
So a fan of thirty does not need any one payer, a cycle needs every hop, a mule with three senders
of much the same needs each of them, but not the one of its receivers who got a little. What the
heuristics would say of the history without the member is not asked: the window is gone by then.
Therefore this errs on both sides (a fan without one payer is a little weaker than is assumed here;
a cycle may have a second way round that was never told).

Bounds: the `MOST_TRIED` members that most evidence rests on or that join most of it, each in
O(evidence x members) and `ring_overlap.MOST_COMPARISONS`, and one question a part. It is asked for
when somebody looks at a ring, never on the path of a transaction.

>>> from graph.evidence import Hop, Pattern
>>> from graph.transaction import EntityKind
>>> a, b, c = (Entity(EntityKind.USER, name) for name in "abc")
>>> hops = (Hop("t1", a, b, 100, 1), Hop("t2", b, c, 95, 2), Hop("t3", c, a, 90, 3))
>>> members = ((a, Role.CONTROLLER), (b, Role.MULE), (c, Role.MULE))
>>> cycle = Evidence(Pattern.CYCLE, 3, members, hops, 0.7, "came home")
>>> [str(each.entity) for each in what_clears([cycle], RingPolicy()).clearing]
['user:a', 'user:b', 'user:c']
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from graph.evidence import Evidence, Role
from graph.ring_overlap import Weights, parts_of, weights_of
from graph.ring_policy import RingPolicy
from graph.ring_score import is_proof, score_of
from graph.transaction import Entity

CROWD: Final = 3
"""Others in the same role that make one of them dispensable: what the mule heuristic asks for."""
SMALL: Final = 0.25
"""Share of a role's money that makes a member dispensable: a fourth, as of one of a crowd."""
MOST_TRIED: Final = 30
"""Members whose removal is tried."""
Likely = Callable[[Sequence[Evidence]], float]
"""How likely these pieces, as one ring, show a true one."""
_EXCHANGEABLE: Final = frozenset({Role.SENDER, Role.RECEIVER, Role.VICTIM, Role.MEMBER})


@dataclass(frozen=True, slots=True)
class Removal:
    """What remains of a ring without one entity.

    Attributes:
        entity: Who is taken away.
        remaining: Score of the riskiest part.
        likelihood: That of the likeliest part, of those that score enough to be asked about.
    """

    entity: Entity
    remaining: float
    likelihood: float | None = None


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """Which entities clear a ring.

    Attributes:
        score: What the evidence scores with everybody.
        alert_score: Below it nobody is woken.
        clearing: Entities whose removal leaves nothing that wakes anybody, the lowest score first,
            of equals by kind and id; none where the evidence wakes nobody anyway.
        tried: Members whose removal was tried.
        truncated: There were more than `MOST_TRIED`, or the evidence was too entwined to put
            together anew within its bound.
        likelihood: How likely it is a true ring with everybody; None where nobody was asked.
        alert_likelihood: Below it nobody is woken either, where there is a likelihood.
    """

    score: float
    alert_score: float
    clearing: tuple[Removal, ...]
    tried: int
    truncated: bool
    likelihood: float | None = None
    alert_likelihood: float = 0.0


def what_clears(
    evidence: Sequence[Evidence], policy: RingPolicy, likely: Likely | None = None
) -> Counterfactual:
    """Which entity's removal clears the ring that rests on this evidence.

    Args:
        evidence: What stands of the ring's evidence.
        policy: When a ring is told.
        likely: Says how likely a ring is a true one; without it the score alone decides.
    """
    score, likelihood = score_of(evidence), _likelihood([evidence], policy, likely)
    alert, enough = policy.alert_score, policy.alert_likelihood
    if not _wakes(score, likelihood, policy):
        return Counterfactual(
            score, alert, (), 0, truncated=False, likelihood=likelihood, alert_likelihood=enough
        )
    needs = [needed_by(piece) for piece in evidence]
    weights = [weights_of(piece) for piece in evidence]
    ranked = _suspects(evidence, needs, weights)
    removals = []
    cut = len(ranked) > MOST_TRIED
    for entity in ranked[:MOST_TRIED]:
        left = [i for i, needed in enumerate(needs) if entity not in needed]
        others = [{e: own for e, own in weights[i].items() if e != entity} for i in left]
        parts, entwined = _parts([evidence[i] for i in left], others, policy)
        cut |= entwined
        remaining = max(map(score_of, parts), default=0.0)
        of_parts = _likelihood(parts, policy, likely)
        if not _wakes(remaining, of_parts, policy):
            removals.append(Removal(entity, remaining, of_parts))
    removals.sort(key=lambda removal: (removal.remaining, removal.entity))
    tried = min(len(ranked), MOST_TRIED)
    return Counterfactual(
        score, alert, tuple(removals), tried, cut, likelihood=likelihood, alert_likelihood=enough
    )


def _likelihood(
    parts: Sequence[Sequence[Evidence]], policy: RingPolicy, likely: Likely | None
) -> float | None:
    """Of the likeliest part that scores enough to be asked about; None of none."""
    if likely is None:
        return None
    asked = [part for part in parts if score_of(part) >= policy.alert_score]
    return max(map(likely, asked), default=None)


def _wakes(score: float, likelihood: float | None, policy: RingPolicy) -> bool:
    enough = likelihood is None or likelihood >= policy.alert_likelihood
    return score >= policy.alert_score and enough


def standing_score(
    evidence: Sequence[Evidence], weights: Sequence[Weights], policy: RingPolicy
) -> tuple[float, bool]:
    """What evidence scores that stands by itself.

    Args:
        evidence: The pieces.
        weights: What each member of each piece weighs (`graph.ring_overlap.weights_of`), without
            those that are gone.
        policy: How much pieces have to overlap.

    Returns:
        (the score of its riskiest part, 0 where there is none; whether it was too entwined to be
        put together anew and counts as one).
    """
    parts, entwined = _parts(evidence, weights, policy)
    return max(map(score_of, parts), default=0.0), entwined


def _parts(
    evidence: Sequence[Evidence], weights: Sequence[Weights], policy: RingPolicy
) -> tuple[list[list[Evidence]], bool]:
    groups, entwined = parts_of(weights, policy.overlap)
    return [[evidence[i] for i in group] for group in groups], entwined


def _suspects(
    evidence: Sequence[Evidence], needs: Sequence[set[Entity]], weights: Sequence[Weights]
) -> list[Entity]:
    """Whom evidence rests on, most first, then who joins pieces that stand without them."""
    needed: Counter[Entity] = Counter()
    named: Counter[Entity] = Counter()
    for piece, needing, own in zip(evidence, needs, weights, strict=True):
        named.update(own.keys())
        if is_proof(piece):
            needed.update(needing)
    suspects = [entity for entity in named | needed if needed[entity] or named[entity] > 1]
    return sorted(suspects, key=lambda entity: (-needed[entity], -named[entity], entity))


def needed_by(piece: Evidence) -> set[Entity]:
    """Members without whom this evidence would not stand; see the top."""
    roles = Counter(role for _, role in piece.members)
    through: Counter[Entity] = Counter()
    for hop in piece.hops:
        for end in {hop.source, hop.target}:
            if end is not None:
                through[end] += hop.moved
    moved: Counter[Role] = Counter()
    for entity, role in piece.members[1:]:
        moved[role] += through[entity]
    return {
        entity
        for i, (entity, role) in enumerate(piece.members)
        if i == 0
        or role not in _EXCHANGEABLE
        or (roles[role] <= CROWD and through[entity] >= SMALL * moved[role])
    }
