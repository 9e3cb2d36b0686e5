"""A ring as a graph of arrays: its members, the pieces of evidence that name them, and its hops.

Made of a ring at one revision and of its evidence alone, by the same code in training and in
service, so that nothing later than the revision can be in it and nothing about who the members are
beyond what the evidence says. Members and pieces are nodes; *parts* say which member plays which
role in which piece (a shared phone is a member like any other, so identifiers link users through
the piece that found them); *hops* are the money of the pieces' witnesses.

`without` takes one thing away and what cannot stand without it: a member takes its hops and parts
along, and every piece that needs it (`graph.counterfactual.needed_by`); a transaction takes the
pieces in which it was the last way in or out of a needed member, or the last hop of all; a piece
takes its hops and parts. Who is named by no piece any more, and was before, leaves as well.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.counterfactual import needed_by
from graph.evidence import SEEN, Evidence, Role
from graph.rings import Ring
from graph.transaction import Entity, EntityKind

MOST_MEMBERS: Final = 200
"""Members of a graph; of a larger ring those that most of the evidence names, of equals the first
that joined."""
MOST_PIECES: Final = 100
"""Pieces of a graph, the newest: as many as a ring's page is shown (`api.board`)."""
MOST_HOPS: Final = 2_000
"""Hops of a graph, those of the newest pieces; a transaction is one hop of every piece it is in."""
OUTSIDE: Final = -1
"""The end of a hop that left the graph, or whose end is no member of it."""

KINDS: Final = tuple(EntityKind)
ROLES: Final = tuple(Role)
PATTERNS: Final = SEEN
_KIND: Final = {kind: n for n, kind in enumerate(KINDS)}
_ROLE: Final = {role: n for n, role in enumerate(ROLES)}

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class RingGraph:
    """A ring's graph; M members, P pieces, H hops, K parts, T transactions.

    Attributes:
        at: Event time of the newest evidence, ms.
        members: The entities.
        pieces: The evidence, oldest first.
        transactions: Ids of the distinct transactions of its hops.
        roles: Role of each member in the ring, index into `ROLES`, int64 [M].
        hop_ends: Payer and payee as members, `OUTSIDE` where there is none, int64 [2, H].
        hop_piece: Piece of each hop, int64 [H].
        hop_transaction: Transaction of each hop, int64 [H].
        hop_value: Minor units of the base currency, int64 [H].
        hop_time: Event time, ms, int64 [H].
        part_ends: Member and piece, int64 [2, K].
        part_role: Role in the piece, index into `ROLES`, int64 [K].
        part_needed: Whether the piece would not stand without the member, bool [K].
        truncated: A bound left something of the ring out.
    """

    at: int
    members: tuple[Entity, ...]
    pieces: tuple[Evidence, ...]
    transactions: tuple[str, ...]
    roles: Ints
    hop_ends: Ints
    hop_piece: Ints
    hop_transaction: Ints
    hop_value: Ints
    hop_time: Ints
    part_ends: Ints
    part_role: Ints
    part_needed: Flags
    truncated: bool

    def without(
        self,
        *,
        member: int | None = None,
        transaction: int | None = None,
        piece: int | None = None,
    ) -> "RingGraph":
        """The graph without a member, a transaction or a piece, and what falls with it."""
        members, pieces = np.ones(len(self.members), np.bool_), np.ones(len(self.pieces), np.bool_)
        hops = np.ones(len(self.hop_value), np.bool_)
        if piece is not None:
            pieces[piece] = False
        if member is not None:
            members[member] = False
            hops &= ~(self.hop_ends == member).any(axis=0)
            pieces[self.part_ends[1][(self.part_ends[0] == member) & self.part_needed]] = False
        if transaction is not None:
            hops &= self.hop_transaction != transaction
            pieces[self._broken(self.hop_transaction == transaction)] = False
        had = np.bincount(self.hop_piece, minlength=len(pieces))
        has = np.bincount(self.hop_piece[hops], minlength=len(pieces))
        pieces &= (has > 0) | (had == 0)
        return self._kept(members, pieces, hops & pieces[self.hop_piece])

    def proving(self, transaction: int) -> tuple[str, ...]:
        """Ids of the pieces in whose witness a transaction is, oldest first."""
        holding = np.unique(self.hop_piece[self.hop_transaction == transaction])
        return tuple(self.pieces[n].evidence_id for n in holding.tolist())

    def _broken(self, gone: Flags) -> Ints:
        """Pieces in which a needed member loses its last hop in, or its last hop out."""
        needed = {(m, p) for m, p in self.part_ends[:, self.part_needed].T.tolist()}
        found = set()
        for side in (0, 1):
            left = Counter(zip(self.hop_ends[side][~gone], self.hop_piece[~gone], strict=True))
            for end in zip(
                self.hop_ends[side][gone].tolist(), self.hop_piece[gone].tolist(), strict=True
            ):
                if end in needed and not left[end]:
                    found.add(end[1])
        return np.array(sorted(found), np.int64)

    def _kept(self, members: Flags, pieces: Flags, hops: Flags) -> "RingGraph":
        parts = members[self.part_ends[0]] & pieces[self.part_ends[1]]
        named = np.bincount(self.part_ends[0], minlength=len(members)) > 0
        still = np.bincount(self.part_ends[0][parts], minlength=len(members)) > 0
        members &= still | ~named
        ends = np.where(self.hop_ends >= 0, _renumbered(members)[self.hop_ends], OUTSIDE)
        used = np.unique(self.hop_transaction[hops])
        return replace(
            self,
            members=_chosen(self.members, members),
            pieces=_chosen(self.pieces, pieces),
            transactions=tuple(self.transactions[n] for n in used.tolist()),
            roles=self.roles[members],
            hop_ends=ends[:, hops],
            hop_piece=_renumbered(pieces)[self.hop_piece[hops]],
            hop_transaction=np.searchsorted(used, self.hop_transaction[hops]),
            hop_value=self.hop_value[hops],
            hop_time=self.hop_time[hops],
            part_ends=np.stack(
                [
                    _renumbered(members)[self.part_ends[0][parts]],
                    _renumbered(pieces)[self.part_ends[1][parts]],
                ]
            ),
            part_role=self.part_role[parts],
            part_needed=self.part_needed[parts],
        )


def ring_graph(ring: Ring, evidence: Sequence[Evidence]) -> RingGraph:
    """The graph of a ring at a revision, of what was seen in transactions.

    Args:
        ring: The ring.
        evidence: Its evidence at that revision, oldest first.
    """
    seen = tuple(piece for piece in evidence if piece.pattern in SEEN)
    pieces, scored = seen[-MOST_PIECES:], len(evidence) - len(seen)
    roles = _members(ring, pieces)
    numbers = {entity: n for n, entity in enumerate(roles)}
    parts: list[tuple[int, int, int, bool]] = []
    for p, piece in enumerate(pieces):
        needed = needed_by(piece)
        told = {(numbers[e], role, e in needed) for e, role in piece.members if e in numbers}
        parts += [(m, p, _ROLE[role], needs) for m, role, needs in sorted(told)]
    hops = [(p, hop) for p, piece in reversed([*enumerate(pieces)]) for hop in piece.hops]
    cut = len(roles) < len(ring.members) or len(hops) > MOST_HOPS
    kept = sorted(hops[:MOST_HOPS], key=lambda each: each[0])
    ids: dict[str, int] = {}
    for _, hop in kept:
        ids.setdefault(hop.transaction_id, len(ids))
    part, needs = np.array([each[:3] for each in parts], np.int64).reshape(-1, 3), _bools(parts)
    ends = [[_end(numbers, hop.source), _end(numbers, hop.target)] for _, hop in kept]
    return RingGraph(
        # Not when it fell quiet or ended: that says nothing about what it is.
        at=max((piece.seen_at for piece in pieces), default=ring.changed_at),
        members=tuple(roles),
        pieces=pieces,
        transactions=tuple(ids),
        roles=_ints([_ROLE[role] for role in roles.values()]),
        hop_ends=np.ascontiguousarray(np.array(ends, np.int64).reshape(-1, 2).T),
        hop_piece=_ints([p for p, _ in kept]),
        hop_transaction=_ints([ids[hop.transaction_id] for _, hop in kept]),
        hop_value=_ints([hop.value for _, hop in kept]),
        hop_time=_ints([hop.timestamp for _, hop in kept]),
        part_ends=np.ascontiguousarray(part[:, :2].T),
        part_role=part[:, 2],
        part_needed=needs,
        truncated=ring.truncated or cut or len(pieces) + scored < len(ring.evidence),
    )


def _members(ring: Ring, pieces: Sequence[Evidence]) -> dict[Entity, Role]:
    """The members that the graph holds, in the order in which they joined."""
    if len(ring.members) <= MOST_MEMBERS:
        return dict(ring.members)
    naming = Counter(entity for piece in pieces for entity in {e for e, _ in piece.members})
    ranked = sorted(range(len(ring.members)), key=lambda n: (-naming[ring.members[n][0]], n))
    return dict(ring.members[n] for n in sorted(ranked[:MOST_MEMBERS]))


def kinds_of(graph: RingGraph) -> Ints:
    """Kind of each member, index into `KINDS`, int64 [M]."""
    return _ints([_KIND[entity.kind] for entity in graph.members])


def patterns_of(graph: RingGraph) -> Ints:
    """Pattern of each piece, index into `PATTERNS`, int64 [P]."""
    return _ints([PATTERNS.index(piece.pattern) for piece in graph.pieces])


def _end(numbers: dict[Entity, int], entity: Entity | None) -> int:
    return OUTSIDE if entity is None else numbers.get(entity, OUTSIDE)


def _ints(values: Sequence[int]) -> Ints:
    return np.array(values, np.int64)


def _bools(parts: Sequence[tuple[Any, ...]]) -> Flags:
    return np.array([each[3] for each in parts], np.bool_)


def _renumbered(kept: Flags) -> Ints:
    """New number of each that is kept."""
    return np.cumsum(kept, dtype=np.int64) - 1


def _chosen(values: tuple[Any, ...], kept: Flags) -> tuple[Any, ...]:
    return tuple(value for value, stays in zip(values, kept.tolist(), strict=True) if stays)
