"""What a ring's score rests on: members, transactions and evidence, by what removing each does.

Each is taken out of the ring's graph together with what cannot stand without it
(`gnn.ring_graph`), and what remains is scored anew by the same scorer: an effect is a difference of
two scores that were computed, never an estimate. Effects do not add up: two pieces that say the
same have none each, and all together. This is leave-one-out (occlusion: M. Zeiler, R. Fergus,
ECCV 2014); nothing is learned, and no mask is optimised as in GNNExplainer.

Bounds: members, pieces and hops are those of the graph (200, 100 and 2,000); of its transactions
the `MOST_TRANSACTIONS` of most money are tried. So at most 500 smaller graphs are scored, `AT_ONCE`
at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gnn.ring_graph import RingGraph
from graph.counterfactual import standing_score
from graph.evidence import Evidence, Hop
from graph.ring_overlap import weights_of
from graph.ring_policy import RingPolicy
from graph.transaction import Entity

MOST_TRANSACTIONS: Final = 200
"""Transactions whose removal is tried, those of most money."""
AT_ONCE: Final = 32
"""Graphs that a scorer is given at a time."""

GraphScorer = Callable[[Sequence[RingGraph]], Sequence[float]]
"""Scores ring graphs, the higher the worse; the same graph gets the same score in any company, to
within what the scorer states."""


@dataclass(frozen=True, slots=True)
class MemberEffect:
    """What removing a member does.

    Attributes:
        entity: The member.
        remaining: Score of the ring without it.
        drop: The ring's score less that.
        evidence: Ids of the pieces that fall with it, oldest first.
        transactions: Ids of the transactions that are gone with it, in the order of the evidence.
    """

    entity: Entity
    remaining: float
    drop: float
    evidence: tuple[str, ...]
    transactions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HopEffect:
    """What removing a transaction does; attributes as of `MemberEffect`.

    Attributes:
        hop: The transaction.
        remaining: Score of the ring without it.
        drop: The ring's score less that.
        evidence: Ids of the pieces in whose witness it is, oldest first.
        falling: Those of them that fall with it.
    """

    hop: Hop
    remaining: float
    drop: float
    evidence: tuple[str, ...]
    falling: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PieceEffect:
    """What removing a piece of evidence does.

    Attributes:
        piece: The evidence.
        remaining: Score of the ring without it.
        drop: The ring's score less that.
        members: Who is named by no other piece and leaves with it.
    """

    piece: Evidence
    remaining: float
    drop: float
    members: tuple[Entity, ...]


@dataclass(frozen=True, slots=True)
class Importance:
    """Everything a ring's score rests on, each list by drop, the largest first; of equals by id.

    Attributes:
        score: Of the whole graph.
        members: Effect of each member.
        hops: Effect of each transaction that was tried.
        pieces: Effect of each piece.
        truncated: The graph is not the whole ring, or not every transaction was tried.
    """

    score: float
    members: tuple[MemberEffect, ...]
    hops: tuple[HopEffect, ...]
    pieces: tuple[PieceEffect, ...]
    truncated: bool


def importance(graph: RingGraph, scorer: GraphScorer) -> Importance:
    """Rank what a ring's score rests on."""
    hops = {hop.transaction_id: hop for piece in graph.pieces for hop in piece.hops}
    largest = sorted(
        range(len(graph.transactions)),
        key=lambda n: (-hops[graph.transactions[n]].value, graph.transactions[n]),
    )
    tried = largest[:MOST_TRANSACTIONS]
    (score,) = scorer([graph])
    without_member = [graph.without(member=n) for n in range(len(graph.members))]
    without_hop = [graph.without(transaction=n) for n in tried]
    without_piece = [graph.without(piece=n) for n in range(len(graph.pieces))]
    members = [
        MemberEffect(entity, rest, score - rest, _fallen(graph, left), _gone(graph, left))
        for entity, left, rest in zip(
            graph.members, without_member, _scores(scorer, without_member), strict=True
        )
    ]
    transactions = [
        HopEffect(
            hops[graph.transactions[n]], rest, score - rest, graph.proving(n), _fallen(graph, left)
        )
        for n, left, rest in zip(tried, without_hop, _scores(scorer, without_hop), strict=True)
    ]
    pieces = [
        PieceEffect(piece, rest, score - rest, _left(graph, left))
        for piece, left, rest in zip(
            graph.pieces, without_piece, _scores(scorer, without_piece), strict=True
        )
    ]
    return Importance(
        score,
        tuple(sorted(members, key=lambda each: (-each.drop, each.entity))),
        tuple(sorted(transactions, key=lambda each: (-each.drop, each.hop.transaction_id))),
        tuple(sorted(pieces, key=lambda each: (-each.drop, each.piece.evidence_id))),
        graph.truncated or len(tried) < len(largest),
    )


def own_score(policy: RingPolicy) -> GraphScorer:
    """The engine's own score as a scorer: that of the riskiest part of what stands, 0 to 1.

    What remains without a member is what `graph.counterfactual.what_clears` says of it.
    """

    def scored(graphs: Sequence[RingGraph]) -> list[float]:
        return [_own_score(graph, policy) for graph in graphs]

    return scored


def _own_score(graph: RingGraph, policy: RingPolicy) -> float:
    there = frozenset(graph.members)
    weights = [
        {entity: own for entity, own in weights_of(piece).items() if entity in there}
        for piece in graph.pieces
    ]
    return standing_score(graph.pieces, weights, policy)[0]


def _scores(scorer: GraphScorer, graphs: Sequence[RingGraph]) -> list[float]:
    starts = range(0, len(graphs), AT_ONCE)
    return [score for start in starts for score in scorer(graphs[start : start + AT_ONCE])]


def _fallen(graph: RingGraph, left: RingGraph) -> tuple[str, ...]:
    """Ids of the pieces that a smaller graph lacks."""
    standing = {piece.evidence_id for piece in left.pieces}
    ids = (piece.evidence_id for piece in graph.pieces)
    return tuple(id_ for id_ in ids if id_ not in standing)


def _gone(graph: RingGraph, left: RingGraph) -> tuple[str, ...]:
    """Ids of the transactions that a smaller graph lacks."""
    there = set(left.transactions)
    return tuple(id_ for id_ in graph.transactions if id_ not in there)


def _left(graph: RingGraph, left: RingGraph) -> tuple[Entity, ...]:
    """The members that a smaller graph lacks."""
    there = set(left.members)
    return tuple(entity for entity in graph.members if entity not in there)
