"""The ring book: every live ring, and how evidence becomes one.

Evidence joins the ring it overlaps most, weighted by risk: a shared mule counts fully, a shared
victim little, a shared IP address not at all (a carrier's NAT joins strangers). Where it overlaps
several, they merge and the oldest keeps its id. Matching is by weighted overlap coefficient

    overlap(E, R) = sum over shared members of min(w_E, w_R) / min(sum of w_E, sum of w_R)  >= 0.3

which, for two sets of members, is never below the Jaccard index that the design asks for.

Cost: O(members of the evidence + members of a ring that changed); nothing at all for a transaction
without evidence, except one look at the ring that has been still the longest.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final, Self

import msgspec
import xxhash

from graph.alerting import alert_on
from graph.evidence import Evidence, Pattern
from graph.lists import NEVER
from graph.live_ring import LiveRing, SavedRing, is_proof, weight
from graph.ring_policy import RingPolicy
from graph.rings import Ring, RingEvent, RingEventKind, RingState
from graph.snapshot import Snapshot, encode_state, pack, unpack
from graph.transaction import Entity, EntityKind, Transaction

_VERSION: Final = 1
_NONE: Final[frozenset[str]] = frozenset()
_CROWDS: Final = frozenset({Pattern.FAN_IN, Pattern.FAN_OUT})


class RingBook:
    """Live rings, found by id or by member; evidence in, events out."""

    def __init__(self, policy: RingPolicy = RingPolicy()) -> None:
        self.policy = policy
        self.pressed = 0
        self._active: OrderedDict[str, LiveRing] = OrderedDict()  # the stillest first
        self._quiet: OrderedDict[str, LiveRing] = OrderedDict()  # the stillest first
        self._closed: OrderedDict[str, LiveRing] = OrderedDict()
        self._aliases: dict[str, str] = {}
        # None has no rings: a transaction's absent parties are looked up like any other.
        self._by_member: dict[EntityKind, dict[str | None, set[str]]] = {
            kind: {} for kind in EntityKind
        }
        self._by_user = self._by_member[EntityKind.USER]
        self._by_device = self._by_member[EntityKind.DEVICE]
        self._by_card = self._by_member[EntityKind.CARD]

    def __len__(self) -> int:
        return len(self._active) + len(self._quiet)

    def get(self, ring_id: str) -> Ring | None:
        """A ring by its id or by the id of a ring that merged into it."""
        live = self._find(ring_id)
        return None if live is None else live.ring

    def live(self) -> Iterator[Ring]:
        """Active and quiet rings, the one that changed last first."""
        still_first = [*self._quiet.values(), *self._active.values()]
        return (live.ring for live in reversed(still_first))

    def evidence_of(self, ring_id: str) -> tuple[Evidence, ...]:
        """The newest evidence of each pattern and centre, oldest first."""
        live = self._find(ring_id)
        return () if live is None else tuple(live.evidence.values())

    def events_of(self, ring_id: str) -> tuple[RingEvent, ...]:
        """What happened to it, oldest first."""
        live = self._find(ring_id)
        return () if live is None else tuple(live.events)

    def touched_by(self, tx: Transaction) -> tuple[Ring, ...]:
        """Live rings that the transaction's parties, device or card belong to, strongest first."""
        by_user = self._by_user.get
        user, other = by_user(tx.user_id, _NONE), by_user(tx.counterparty_id, _NONE)
        device = self._by_device.get(tx.device_id, _NONE)
        card = self._by_card.get(tx.card_id, _NONE)
        if not (user or other or device or card):
            return ()
        found = user | other | device | card
        if len(found) == 1:
            return tuple([self._live(ring_id).ring for ring_id in found])
        rings = [self._live(ring_id).ring for ring_id in found]
        return tuple(sorted(rings, key=lambda ring: (-ring.score, ring.ring_id)))

    def observe(self, evidence: Sequence[Evidence], watermark: int) -> list[RingEvent]:
        """Let evidence count and time pass; returns what happened, in order."""
        events = self._rest(watermark)
        for piece in evidence:
            events.extend(self._take(piece))
        return events

    @property
    def next_rest(self) -> int:
        """Watermark at which a ring falls quiet or expires; `NEVER` where none will."""
        due = NEVER
        for live in islice(self._active.values(), 1):
            due = live.ring.changed_at + self.policy.quiet_after
        for live in islice(self._quiet.values(), 1):
            due = min(due, live.ring.changed_at + self.policy.expire_after)
        return due

    def _find(self, ring_id: str) -> LiveRing | None:
        ring_id = self._aliases.get(ring_id, ring_id)
        return self._active.get(ring_id) or self._quiet.get(ring_id) or self._closed.get(ring_id)

    def _live(self, ring_id: str) -> LiveRing:
        return self._active.get(ring_id) or self._quiet[ring_id]

    def _take(self, piece: Evidence) -> list[RingEvent]:
        matched = self._matching(piece)
        if piece.strength < self.policy.birth:
            users = [entity for entity, _ in piece.members if entity.kind is EntityKind.USER]
            around = (live for live in matched if all(user in live.members for user in users))
            grown = (self._grow(live, piece) for live in sorted(around, key=_age))
            return [event for event in grown if event]
        if not matched:
            crowd = piece.pattern in _CROWDS and piece.strength < self.policy.crowd_birth
            alone = len(piece.members) < 2 or not is_proof(piece)
            return [] if crowd or alone else self._bear(piece)
        keeper, *others = sorted(matched, key=_age)
        events = [self._merge(keeper, other, piece.seen_at) for other in others]
        grew = self._grow(keeper, piece)
        return [*events, grew] if grew else events

    def _matching(self, piece: Evidence) -> list[LiveRing]:
        """Live rings that the evidence belongs to."""
        candidates: set[str] = set()
        for entity, _ in piece.members:
            if entity.kind is not EntityKind.IP:
                candidates |= self._by_member[entity.kind].get(entity.id, set())
        ours = {entity: weight(entity, role) for entity, role in piece.members}
        total = sum(ours.values())
        matched = []
        for ring_id in candidates:
            live = self._live(ring_id)
            shared = sum(
                min(own, weight(entity, live.members[entity]))
                for entity, own in ours.items()
                if entity in live.members
            )
            if shared and shared >= self.policy.overlap * min(total, live.weight):
                matched.append(live)
        return matched

    def _bear(self, piece: Evidence) -> list[RingEvent]:
        seed = piece.hops[0].transaction_id if piece.hops else piece.evidence_id
        ring_id = xxhash.xxh3_64_hexdigest(f"ring\x1f{seed}".encode())
        if ring_id in self._active or ring_id in self._quiet:
            grew = self._grow(self._live(ring_id), piece)
            return [grew] if grew else []
        events = []
        if len(self) >= self.policy.max_rings:
            self.pressed += 1
            stillest = next(iter((self._quiet or self._active).values()))
            events.append(self._expire(stillest, piece.seen_at))
        ring = Ring(
            ring_id=ring_id,
            revision=0,
            state=RingState.ACTIVE,
            born_at=piece.seen_at,
            changed_at=piece.seen_at,
            members=(),
            patterns=(),
            score=0.0,
            money=0,
            transactions=(),
            evidence=(),
        )
        live = LiveRing(ring, self.policy)
        self._active[ring_id] = live
        added, _ = self._absorb(live, piece)
        ring = self._freeze(live, piece.seen_at)
        born = RingEvent(
            RingEventKind.BORN,
            piece.seen_at,
            ring,
            added_members=added,
            added_money=ring.money,
            added_patterns=ring.patterns,
        )
        events.append(self._tell(live, born))
        return events

    def _grow(self, live: LiveRing, piece: Evidence) -> RingEvent | None:
        if piece.evidence_id in live.ring.evidence:
            return None
        before = live.ring
        added, changed = self._absorb(live, piece)
        if not changed:
            return None
        ring = self._freeze(live, piece.seen_at)
        event = RingEvent(
            RingEventKind.GREW,
            ring.changed_at,
            ring,
            added_members=added,
            added_money=ring.money - before.money,
            added_patterns=tuple(p for p in ring.patterns if p not in before.patterns),
        )
        return self._tell(live, event)

    def _merge(self, keeper: LiveRing, other: LiveRing, at: int) -> RingEvent:
        before = keeper.ring
        added: list[Entity] = []
        for piece in other.evidence.values():
            added.extend(self._absorb(keeper, piece)[0])
        gone = other.ring.ring_id
        self._close(other, RingState.MERGED, at)
        del self._closed[gone]
        keeper_id = before.ring_id
        self._aliases[gone] = keeper_id
        for alias in other.ring.aliases:
            self._aliases[alias] = keeper_id
        keeper.ring = replace(before, aliases=(*before.aliases, gone, *other.ring.aliases))
        ring = self._freeze(keeper, at)
        event = RingEvent(
            RingEventKind.MERGED,
            ring.changed_at,
            ring,
            added_members=tuple(added),
            added_money=ring.money - before.money,
            added_patterns=tuple(p for p in ring.patterns if p not in before.patterns),
            merged_ring_id=gone,
        )
        return self._tell(keeper, event)

    def _absorb(self, live: LiveRing, piece: Evidence) -> tuple[tuple[Entity, ...], bool]:
        """Take evidence in and enter the members it added."""
        added, changed = live.absorb(piece)
        for entity in added:
            ring_ids = self._by_member[entity.kind].setdefault(entity.id, set())
            ring_ids.add(live.ring.ring_id)
        return added, changed

    def _freeze(self, live: LiveRing, at: int) -> Ring:
        """The ring's next revision; it moves to the end of the line of still rings."""
        ring = live.freeze(at)
        self._active[ring.ring_id] = self._quiet.pop(ring.ring_id, live)
        self._active.move_to_end(ring.ring_id)
        return ring

    def _tell(self, live: LiveRing, event: RingEvent) -> RingEvent:
        """Attach an alert if the change is material, and remember the event."""
        alert = alert_on(
            event.ring,
            live.told,
            min_score=self.policy.alert_score,
            money_factor=self.policy.alert_money,
            policy_version=self.policy.version,
        )
        event = replace(event, alert=alert)
        live.events.append(event)
        return event

    def _rest(self, watermark: int) -> list[RingEvent]:
        """Let rings fall quiet and expire; only the stillest are looked at."""
        events = []
        while self._active:
            live = next(iter(self._active.values()))
            at = live.ring.changed_at + self.policy.quiet_after
            if at > watermark:
                break
            live.ring = replace(live.ring, revision=live.ring.revision + 1, state=RingState.QUIET)
            self._quiet[live.ring.ring_id] = self._active.pop(live.ring.ring_id)
            events.append(RingEvent(RingEventKind.QUIET, at, live.ring))
            live.events.append(events[-1])
        while self._quiet:
            live = next(iter(self._quiet.values()))
            at = live.ring.changed_at + self.policy.expire_after
            if at > watermark:
                break
            events.append(self._expire(live, at))
        return events

    def _expire(self, live: LiveRing, at: int) -> RingEvent:
        self._close(live, RingState.EXPIRED, at)
        event = RingEvent(RingEventKind.EXPIRED, at, live.ring)
        live.events.append(event)
        return event

    def _close(self, live: LiveRing, state: RingState, at: int) -> None:
        ring_id = live.ring.ring_id
        live.ring = replace(live.ring, revision=live.ring.revision + 1, state=state, changed_at=at)
        for line in (self._active, self._quiet):
            line.pop(ring_id, None)
        for entity in live.members:
            ring_ids = self._by_member[entity.kind][entity.id]
            ring_ids.discard(ring_id)
            if not ring_ids:
                del self._by_member[entity.kind][entity.id]
        self._closed[ring_id] = live
        while len(self._closed) > self.policy.max_closed:
            forgotten, _ = self._closed.popitem(last=False)
            self._aliases = {a: k for a, k in self._aliases.items() if k != forgotten}

    def snapshot(self) -> bytes:
        """The whole state; equal books give equal bytes."""
        state = _Saved(
            policy=self.policy,
            pressed=self.pressed,
            active=[live.save() for live in self._active.values()],
            quiet=[live.save() for live in self._quiet.values()],
            closed=[live.save() for live in self._closed.values()],
            aliases=sorted(self._aliases.items()),
        )
        return pack("rings", _VERSION, Snapshot({"state": encode_state(state)}, {}))

    @classmethod
    def restore(cls, data: bytes) -> Self:
        """A book that goes on where the snapshot was taken.

        Raises:
            Incompatible: It is torn, altered, or of another version.
        """
        values = unpack("rings", _VERSION, data).values
        state = msgspec.msgpack.decode(values["state"], type=_Saved)
        book = cls(state.policy)
        book.pressed = state.pressed
        book._aliases = dict(state.aliases)
        for line, saved in (
            (book._active, state.active),
            (book._quiet, state.quiet),
            (book._closed, state.closed),
        ):
            for one in saved:
                line[one.ring.ring_id] = LiveRing.load(one, state.policy)
        for line in (book._active, book._quiet):
            for ring_id, live in line.items():
                for entity in live.members:
                    book._by_member[entity.kind].setdefault(entity.id, set()).add(ring_id)
        return book


def _age(live: LiveRing) -> tuple[int, str]:
    """Order of seniority: the oldest first."""
    return live.ring.born_at, live.ring.ring_id


class _Saved(msgspec.Struct):
    policy: RingPolicy
    pressed: int
    active: list[SavedRing]
    quiet: list[SavedRing]
    closed: list[SavedRing]
    aliases: list[tuple[str, str]]
