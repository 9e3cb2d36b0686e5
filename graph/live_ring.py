"""A ring while it changes: evidence goes in, frozen revisions come out.

What a new revision costs does not grow with what was absorbed before, except for copying it.
"""

from bisect import bisect
from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec

from graph.alerting import AlertMemory
from graph.evidence import Evidence, Hop, Role
from graph.ring_fringe import Standing
from graph.ring_money import Holdings
from graph.ring_overlap import weight
from graph.ring_policy import RingPolicy
from graph.ring_score import RingScore, evidence_key, says_again
from graph.ring_split import Share
from graph.rings import Ring, RingEvent, RingState
from graph.transaction import Entity

# An entity that plays several parts is shown in the one that says most about it.
ROLE_RANK: Final = {
    role: rank
    for rank, role in enumerate(
        (
            Role.CONTROLLER,
            Role.MULE,
            Role.CASH_OUT,
            Role.MEMBER,
            Role.SHARED,
            Role.SENDER,
            Role.RECEIVER,
            Role.VICTIM,
            Role.BYSTANDER,
            Role.FRINGE,
        )
    )
}


class SavedRing(msgspec.Struct):
    """A live ring as plain values."""

    ring: Ring
    members: list[tuple[Entity, Role]]
    hops: list[Hop]
    evidence: list[Evidence]
    events: list[RingEvent]
    told: AlertMemory
    truncated: bool
    whole_at: int


class LiveRing:
    """One ring's members, witness and evidence.

    Attributes:
        ring: Its newest frozen revision.
        members: Entities with their roles, in the order in which they joined.
        weights: What each member says about being one ring, where it says anything.
        weight: Sum of these.
        money: What its distinct witness transactions moved.
        evidence: What stands of its evidence, by id, oldest first.
        events: What happened to it, the newest `max_events`.
        told: What its last alert said.
        whole_at: Event time at which it was last known to hold together.
        truncated: A bound was hit while it was built.
    """

    def __init__(self, ring: Ring, policy: RingPolicy) -> None:
        self.ring = ring
        self.members: dict[Entity, Role] = {}
        self._pairs: dict[Entity, tuple[Entity, Role]] = {}  # the same, as revisions tell it
        self.weights: dict[Entity, float] = {}
        self.weight = 0.0
        self.money = 0
        self.evidence: dict[str, Evidence] = {}
        self._newest: dict[str, str] = {}  # id of the newest evidence by `evidence_key`
        self._score = RingScore()
        self._standing = Standing()
        self._holdings = Holdings()
        self.events: deque[RingEvent] = deque(maxlen=policy.max_events)
        self.told = AlertMemory()
        self.whole_at = ring.born_at
        self._policy = policy
        self._hops: dict[str, Hop] = {}
        # In order of (time, id); the ids apart, so that a revision copies them in one go.
        self._order: list[tuple[int, str]] = []
        self._ids: list[str] = []
        self.truncated = False

    def absorb(self, piece: Evidence) -> tuple[tuple[Entity, ...], bool]:
        """Take evidence in; returns (members added, whether anything changed)."""
        changed = self._note_transactions(piece.hops)
        added, promoted = self._note_members(piece.members)
        changed |= promoted
        self.truncated |= piece.truncated
        if piece.evidence_id not in self.evidence:
            changed |= self._hold(piece)
        return tuple(added), changed or bool(added)

    def take_over(self, other: "LiveRing") -> tuple[Entity, ...]:
        """Take in everything of a ring that merges into this one; returns the members added.

        Its transactions and members come from it and not from its evidence alone, which newer
        evidence may have replaced.
        """
        self._note_transactions(other.hops)
        added, _ = self._note_members(other.members.items())
        for piece in other.evidence.values():
            added += self.absorb(piece)[0]
        self.truncated |= other.truncated
        self.whole_at = min(self.whole_at, other.whole_at)
        return tuple(added)

    @property
    def hops(self) -> list[Hop]:
        """Its distinct witness transactions in order of time, then id."""
        return [self._hops[id_] for id_ in self._ids]

    def freeze(self, at: int) -> Ring:
        """The next revision, with its score as of now."""
        before = self.ring
        self.ring = Ring(
            ring_id=before.ring_id,
            revision=before.revision + 1,
            state=RingState.ACTIVE,
            born_at=before.born_at,
            changed_at=max(at, before.changed_at),
            members=self._standing.told(self._pairs, self._policy.belonging),
            patterns=self._score.patterns,
            score=self._score.value(),
            money=self.money,
            transactions=tuple(self._ids),
            evidence=tuple(self.evidence),
            aliases=before.aliases,
            truncated=self.truncated,
            recoverable=self._holdings.total,
            split_from=before.split_from,
            last_alert_at=before.last_alert_at,
        )
        return self.ring

    @classmethod
    def alone(cls, ring: Ring, evidence: Iterable[Evidence], policy: RingPolicy) -> Ring:
        """The ring that some of a ring's evidence would be by itself."""
        live = cls(ring, policy)
        for piece in evidence:
            live.absorb(piece)
        return live.freeze(ring.changed_at)

    def save(self) -> SavedRing:
        """Everything needed to go on."""
        return SavedRing(
            ring=self.ring,
            members=list(self.members.items()),
            hops=self.hops,
            evidence=list(self.evidence.values()),
            events=list(self.events),
            told=self.told,
            truncated=self.truncated,
            whole_at=self.whole_at,
        )

    @classmethod
    def of(cls, ring: Ring, share: Share, policy: RingPolicy) -> "LiveRing":
        """A ring that holds this part of another one; `ring` says which it is."""
        live = cls(ring, policy)
        live._note_members(share.members)
        live._note_transactions(share.hops)
        for piece in share.evidence:
            live._keep(piece)
        live.truncated = ring.truncated
        return live

    @classmethod
    def load(cls, saved: SavedRing, policy: RingPolicy) -> "LiveRing":
        """The ring that was saved."""
        share = Share(tuple(saved.members), tuple(saved.evidence), tuple(saved.hops))
        live = cls.of(saved.ring, share, policy)
        live.events.extend(saved.events)
        live.told = saved.told
        live.whole_at = saved.whole_at
        live.truncated = saved.truncated
        return live

    def _hold(self, piece: Evidence) -> bool:
        """Let evidence count, in place of what it says again; whether there was room for it."""
        before = self.evidence.get(self._newest.get(evidence_key(piece), ""))
        again = before is not None and says_again(piece, before)
        full = len(self.evidence) >= self._policy.max_evidence and not again
        self.truncated |= full
        if before is not None and (again or full):
            del self.evidence[before.evidence_id]
            self._score.remove(before)
            self._standing.remove(before)
        elif full:
            return False
        self._keep(piece)
        return True

    def _keep(self, piece: Evidence) -> None:
        self._score.add(piece)
        self._standing.add(piece)
        self.evidence[piece.evidence_id] = piece
        self._newest[evidence_key(piece)] = piece.evidence_id

    def _note_members(self, members: Iterable[tuple[Entity, Role]]) -> tuple[list[Entity], bool]:
        """Returns (members added, whether a known one plays a greater part than was known)."""
        added, promoted = [], False
        for entity, role in members:
            known = self.members.get(entity)
            if known is None:
                if len(self.members) >= self._policy.max_members:
                    self.truncated = True
                    continue
                added.append(entity)
                self._standing.enter(entity)
            elif ROLE_RANK[role] < ROLE_RANK[known]:
                promoted = True
            else:
                continue
            self.members[entity] = role
            self._pairs[entity] = (entity, role)
            own = weight(entity, role)
            if own:
                self.weight += own - self.weights.get(entity, 0.0)
                self.weights[entity] = own
        return added, promoted

    def _note_transactions(self, hops: Iterable[Hop]) -> bool:
        before = len(self._hops)
        for hop in hops:
            if hop.transaction_id in self._hops:
                continue
            if len(self._hops) >= self._policy.max_transactions:
                self.truncated = True
                break
            self._hops[hop.transaction_id] = hop
            entry = (hop.timestamp, hop.transaction_id)
            place = bisect(self._order, entry)
            self._order.insert(place, entry)
            self._ids.insert(place, hop.transaction_id)
            self._holdings.add(hop)
            self.money += hop.moved
        return len(self._hops) > before
