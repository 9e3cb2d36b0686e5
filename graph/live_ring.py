"""A ring while it changes: evidence goes in, frozen revisions come out.

What a new revision costs does not grow with what was absorbed before, except for copying it.
"""

from bisect import bisect
from collections import deque
from math import prod
from typing import Final

import msgspec

from graph.alerting import AlertMemory
from graph.evidence import Evidence, Pattern, Role
from graph.ring_policy import RingPolicy
from graph.rings import Ring, RingEvent, RingState
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
}
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
        )
    )
}
# Seen with a ring, but no proof of one: half of all friends pay each other back, and what one user
# does alone is that user's deed.
UNPROVING: Final = frozenset({Pattern.PING_PONG, Pattern.VELOCITY, Pattern.IMPOSSIBLE_TRAVEL})
# A deed as well, unless several users do it together: victims and payees are not accomplices.
DEEDS: Final = frozenset(
    {Pattern.DORMANT_BURST, Pattern.TAKEOVER, Pattern.BUST_OUT, Pattern.REFUND_ABUSE}
)
_PASSIVE: Final = frozenset({Role.VICTIM, Role.SENDER, Role.RECEIVER})
# Money that goes round twice is no accident; a third lap convinces as much as a tenth.
LAPS: Final = 3


class SavedRing(msgspec.Struct):
    """A live ring as plain values."""

    ring: Ring
    members: list[tuple[Entity, Role]]
    transactions: list[tuple[int, str]]
    evidence: list[Evidence]
    events: list[RingEvent]
    told: AlertMemory
    truncated: bool


class LiveRing:
    """One ring's members, witness and evidence.

    Attributes:
        ring: Its newest frozen revision.
        members: Entities with their roles, in the order in which they joined.
        weight: Sum of the members' weights.
        money: Sum of its distinct witness transactions.
        evidence: The newest evidence of each pattern and centre.
        events: What happened to it, the newest `max_events`.
        told: What its last alert said.
    """

    def __init__(self, ring: Ring, policy: RingPolicy) -> None:
        self.ring = ring
        self.members: dict[Entity, Role] = {}
        self.weight = 0.0
        self.money = 0
        self.evidence: dict[str, Evidence] = {}
        self._evidence_ids: dict[str, str] = {}
        self._strengths: dict[Pattern, dict[str, float]] = {}
        self._laps: list[tuple[float, frozenset[str]]] = []
        self.events: deque[RingEvent] = deque(maxlen=policy.max_events)
        self.told = AlertMemory()
        self._policy = policy
        # In order of (time, id); the ids apart, so that a revision copies them in one go.
        self._known: set[str] = set()
        self._order: list[tuple[int, str]] = []
        self._ids: list[str] = []
        self._truncated = False

    def absorb(self, piece: Evidence) -> tuple[tuple[Entity, ...], bool]:
        """Take evidence in; returns (members added, whether anything changed)."""
        changed = self._note_transactions(piece)
        added = []
        for entity, role in piece.members:
            known = self.members.get(entity)
            if known is None:
                if len(self.members) >= self._policy.max_members:
                    self._truncated = True
                    continue
                self.members[entity] = role
                self.weight += weight(entity, role)
                added.append(entity)
            elif ROLE_RANK[role] < ROLE_RANK[known]:
                self.members[entity] = role
                self.weight += weight(entity, role) - weight(entity, known)
                changed = True
        self._truncated |= piece.truncated
        # A fan seen again with one more payer replaces the smaller fan: it contains it.
        key = _evidence_key(piece)
        if key not in self.evidence and len(self.evidence) >= self._policy.max_evidence:
            self._truncated = True
        elif key not in self.evidence or self.evidence[key].evidence_id != piece.evidence_id:
            self._hold(key, piece)
            changed = True
        return tuple(added), changed or bool(added)

    def freeze(self, at: int) -> Ring:
        """The next revision, with its score as of now."""
        before = self.ring
        self.ring = Ring(
            ring_id=before.ring_id,
            revision=before.revision + 1,
            state=RingState.ACTIVE,
            born_at=before.born_at,
            changed_at=max(at, before.changed_at),
            members=tuple(self.members.items()),
            patterns=tuple(sorted(self._strengths)),
            score=self._score(),
            money=self.money,
            transactions=tuple(self._ids),
            evidence=tuple(self._evidence_ids.values()),
            aliases=before.aliases,
            truncated=self._truncated,
        )
        return self.ring

    def save(self) -> SavedRing:
        """Everything needed to go on."""
        return SavedRing(
            ring=self.ring,
            members=list(self.members.items()),
            transactions=self._order,
            evidence=list(self.evidence.values()),
            events=list(self.events),
            told=self.told,
            truncated=self._truncated,
        )

    @classmethod
    def load(cls, saved: SavedRing, policy: RingPolicy) -> "LiveRing":
        """The ring that was saved."""
        live = cls(saved.ring, policy)
        live.members = dict(saved.members)
        live.weight = sum(weight(entity, role) for entity, role in saved.members)
        live.money = saved.ring.money
        for piece in saved.evidence:
            live._hold(_evidence_key(piece), piece)
        live.events.extend(saved.events)
        live.told = saved.told
        live._order = saved.transactions
        live._ids = [id_ for _, id_ in saved.transactions]
        live._known = set(live._ids)
        live._truncated = saved.truncated
        return live

    def _score(self) -> float:
        """Noisy-or of each pattern's strongest proof; of cycles, of each lap."""
        doubt = 1.0
        for pattern in sorted(self._strengths):
            alone = 1.0 - max(self._strengths[pattern].values())
            laps = prod(1.0 - strength for strength, _ in self._laps)
            doubt *= min(alone, laps) if pattern is Pattern.CYCLE else alone
        return 1.0 - doubt

    def _hold(self, key: str, piece: Evidence) -> None:
        if piece.pattern is Pattern.CYCLE and key not in self.evidence and len(self._laps) < LAPS:
            passed = frozenset(hop.transaction_id for hop in piece.hops)
            if all(passed.isdisjoint(lap) for _, lap in self._laps):
                self._laps.append((piece.strength, passed))
        self.evidence[key] = piece
        self._evidence_ids[key] = piece.evidence_id
        self._strengths.setdefault(piece.pattern, {})[key] = (
            piece.strength if is_proof(piece) else 0.0
        )

    def _note_transactions(self, piece: Evidence) -> bool:
        before = len(self._known)
        for hop in piece.hops:
            if hop.transaction_id in self._known:
                continue
            if len(self._known) >= self._policy.max_transactions:
                self._truncated = True
                break
            self._known.add(hop.transaction_id)
            entry = (hop.timestamp, hop.transaction_id)
            place = bisect(self._order, entry)
            self._order.insert(place, entry)
            self._ids.insert(place, hop.transaction_id)
            self.money += hop.value
        return len(self._known) > before


def weight(entity: Entity, role: Role) -> float:
    """How much sharing this member says about two sets being one ring."""
    return 0.0 if entity.kind is EntityKind.IP else ROLE_WEIGHTS[role]


def is_proof(piece: Evidence) -> bool:
    """Whether it shows a ring, not only what somebody in one did; what does not bears none."""
    if piece.pattern not in DEEDS:
        return piece.pattern not in UNPROVING
    users = [e for e, role in piece.members if e.kind is EntityKind.USER and role not in _PASSIVE]
    return len(users) > 1


def _evidence_key(piece: Evidence) -> str:
    """What newer evidence replaces: the fan or mule of one centre; each cycle stands for itself."""
    if piece.pattern in (Pattern.CYCLE, Pattern.PING_PONG):
        return piece.evidence_id
    return f"{piece.pattern} {piece.members[0][0]}"
