"""The ring book: every live ring, and how evidence becomes one.

Evidence joins the ring it overlaps most, weighted by risk (`graph.ring_overlap`): the overlap must
be 0.3 or more, which two sets of members with a Jaccard index of 0.3 (the design's measure) always
have. Others that it overlaps merge with that one if it lies half in each and has two accounts or
more of each (`RingPolicy.merge_overlap`, `merge_accounts`), and the oldest keeps its id: one
account that two crews deal with does not make them one. A dense block or a
community is a neighbourhood, which two rings may share: where there is a ring it brings nobody in
and merges nothing, like weak evidence (`RingPolicy.birth`), which may say nothing at all
(`RingPolicy.joins`).

A ring splits when what joined it has grown old (`graph.ring_split`): the riskiest part keeps the id
and the aliases, the others get ids of their own and say where they came from. It is looked at as
soon as it takes evidence `quiet_after` or more after it was last known to hold together, and then
only if evidence has grown old since; a ring that nothing is heard of ends whole. What an alert has
told of the whole counts as told of its parts, and a ring that overlaps less, but of whose accounts
many are in one that was told, is told when enough of it is new (`RingPolicy.alert_apart`).

Cost: O(members of the evidence + members of a ring that changed), and O(members of the rings around
it) for one that would be told for the first time; nothing at all for a transaction without
evidence, except one look at the ring that has been still the longest, and at those that claim to be
of a time to come. A split is bounded by `graph.ring_split`.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final, Self

import msgspec
import xxhash
from msgspec.structs import replace

from graph.alerting import AlertMemory, alert_on, told_of_both, told_of_part
from graph.evidence import Evidence, Pattern
from graph.lists import NEVER
from graph.live_ring import LiveRing, SavedRing
from graph.ring_index import Parties, RingIndex
from graph.ring_overlap import shared_weight, weights_of
from graph.ring_policy import RingPolicy
from graph.ring_split import Share, bears, seed_of, split
from graph.rings import Ring, RingEvent, RingEventKind, RingState, unborn
from graph.snapshot import Snapshot, encode_state, pack, unpack
from graph.transaction import ACCOUNTS, Entity, EntityKind

Likelihood = Callable[[Ring, Collection[Evidence]], float]
"""How likely a ring is a true one, by what stands of its evidence."""

_NEIGHBOURHOODS: Final = frozenset({Pattern.DENSE_BLOCK, Pattern.COMMUNITY})

_VERSION: Final = 2  # 2: with every witness transaction, for splits and what is recoverable


class RingBook:
    """Live rings, found by id or by member; evidence in, events out.

    Args:
        policy: When a ring is born, told, falls quiet and ends.
        likelihood: Asked of each revision that scores enough to be told; where nobody can be, the
            score alone decides.

    Attributes:
        policy: As given.
        likelihood: As given.
    """

    def __init__(
        self, policy: RingPolicy = RingPolicy(), likelihood: Likelihood | None = None
    ) -> None:
        self.policy = policy
        self.likelihood = likelihood
        self.pressed = 0
        self._now = 0  # event time at the last `observe`: how far `next_rest` has to look
        self._active: OrderedDict[str, LiveRing] = OrderedDict()  # the stillest first
        self._quiet: OrderedDict[str, LiveRing] = OrderedDict()  # the stillest first
        self._closed: OrderedDict[str, LiveRing] = OrderedDict()
        self._aliases: dict[str, str] = {}
        self._index = RingIndex()

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
        """The evidence of a ring that stands, oldest first."""
        live = self._find(ring_id)
        return () if live is None else tuple(live.evidence.values())

    def events_of(self, ring_id: str) -> tuple[RingEvent, ...]:
        """What happened to it, oldest first."""
        live = self._find(ring_id)
        return () if live is None else tuple(live.events)

    def touched_by(self, tx: Parties) -> tuple[Ring, ...]:
        """Live rings that the transaction's parties, device or card belong to, strongest first."""
        found = self._index.touched_by(tx)
        if not found:
            return ()
        if len(found) == 1:
            return tuple([self._live(ring_id).ring for ring_id in found])
        rings = [self._live(ring_id).ring for ring_id in found]
        return tuple(sorted(rings, key=lambda ring: (-ring.score, ring.ring_id)))

    def observe(self, evidence: Sequence[Evidence], watermark: int) -> list[RingEvent]:
        """Let evidence count and time pass; returns what happened, in order."""
        self._now = watermark
        events = self._rest(watermark)
        for piece in evidence:
            events.extend(self._take(piece))
        return events

    @property
    def next_rest(self) -> int:
        """Watermark at which a ring falls quiet or expires; `NEVER` where none will."""
        return min(
            _next(self._active, self.policy.quiet_after, self._now),
            _next(self._quiet, self.policy.expire_after, self._now),
        )

    def _find(self, ring_id: str) -> LiveRing | None:
        ring_id = self._aliases.get(ring_id, ring_id)
        return self._active.get(ring_id) or self._quiet.get(ring_id) or self._closed.get(ring_id)

    def _live(self, ring_id: str) -> LiveRing:
        return self._active.get(ring_id) or self._quiet[ring_id]

    def _take(self, piece: Evidence) -> list[RingEvent]:
        if piece.strength < self.policy.joins:
            return []
        overlaps = self._overlaps(piece)
        matched = [live for live, _ in overlaps]
        around_a_ring = bool(matched) and piece.pattern in _NEIGHBOURHOODS
        if piece.strength < self.policy.birth or around_a_ring:
            users = [entity for entity, _ in piece.members if entity.kind is EntityKind.USER]
            around = (live for live in matched if all(user in live.members for user in users))
            grown = (self._grow(live, piece) for live in sorted(around, key=_age))
            return [event for event in grown if event]
        if not matched:
            return self._bear(piece) if bears(piece, self.policy) else []
        keeper, *others = sorted(self._made_one(piece, overlaps), key=_age)
        events = [self._merge(keeper, other, piece.seen_at) for other in others]
        grew = self._grow(keeper, piece)
        return [*events, grew, *self._part(keeper)] if grew else events

    def _overlaps(self, piece: Evidence) -> list[tuple[LiveRing, float]]:
        """Live rings that the evidence overlaps enough to belong to, and how much."""
        ours = weights_of(piece)
        total = sum(ours.values())
        found = []
        for ring_id in self._index.of(entity for entity, _ in piece.members):
            live = self._live(ring_id)
            shared = shared_weight(ours, live.weights)
            if shared and shared >= self.policy.overlap * min(total, live.weight):
                found.append((live, shared / min(total, live.weight)))
        return found

    def _made_one(
        self, piece: Evidence, overlaps: Sequence[tuple[LiveRing, float]]
    ) -> list[LiveRing]:
        """Of the rings it overlaps: where most of it lies, and those that it joins to that one."""
        home, _ = min(overlaps, key=lambda each: (-each[1], *_age(each[0])))
        return [
            live
            for live, overlap in overlaps
            if live is home
            or (overlap >= self.policy.merge_overlap and self._has_enough_of(live, piece))
        ]

    def _has_enough_of(self, live: LiveRing, piece: Evidence) -> bool:
        """Whether `merge_accounts` of a ring's accounts are in the evidence, or all it has."""
        least = self.policy.merge_accounts
        shared = sum(e.kind in ACCOUNTS and e in live.weights for e in weights_of(piece))
        return shared >= least or shared == sum(e.kind in ACCOUNTS for e in live.weights)

    def _bear(self, piece: Evidence) -> list[RingEvent]:
        seed = seed_of([piece])
        ring_id = _ring_id(seed)
        if ring_id in self._active or ring_id in self._quiet:
            grew = self._grow(self._live(ring_id), piece)
            return [grew] if grew else []
        if ring_id in self._closed or ring_id in self._aliases:
            ring_id = _ring_id(seed, str(piece.seen_at))
        events = []
        if len(self) >= self.policy.max_rings:
            self.pressed += 1
            stillest = next(iter((self._quiet or self._active).values()))
            events.append(self._expire(stillest, piece.seen_at))
        live = LiveRing(unborn(ring_id, piece.seen_at), self.policy)
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
        added = keeper.take_over(other)
        self._index.enter(keeper.ring.ring_id, added)
        gone = other.ring.ring_id
        self._close(other, RingState.MERGED, at)
        self._closed.pop(gone, None)
        keeper_id = before.ring_id
        self._aliases[gone] = keeper_id
        keeper.told = told_of_both(keeper.told, other.told)
        for alias in other.ring.aliases:
            self._aliases[alias] = keeper_id
        alerts = (before.last_alert_at, other.ring.last_alert_at)
        keeper.ring = replace(
            before,
            aliases=(*before.aliases, gone, *other.ring.aliases),
            last_alert_at=max((at for at in alerts if at is not None), default=None),
        )
        ring = self._freeze(keeper, at)
        event = RingEvent(
            RingEventKind.MERGED,
            ring.changed_at,
            ring,
            added_members=added,
            added_money=ring.money - before.money,
            added_patterns=tuple(p for p in ring.patterns if p not in before.patterns),
            merged_ring_id=gone,
        )
        return self._tell(keeper, event)

    def _absorb(self, live: LiveRing, piece: Evidence) -> tuple[tuple[Entity, ...], bool]:
        """Take evidence in and enter the members it added."""
        added, changed = live.absorb(piece)
        self._index.enter(live.ring.ring_id, added)
        return added, changed

    def _part(self, live: LiveRing) -> list[RingEvent]:
        """Let a ring split if it is time to look at it and it has come apart."""
        at = live.ring.changed_at
        if at < live.whole_at + self.policy.quiet_after:
            return []
        aged = (live.whole_at - self.policy.expire_after, at - self.policy.expire_after)
        live.whole_at = at
        if not any(aged[0] < piece.seen_at <= aged[1] for piece in live.evidence.values()):
            return []
        whole = Share(tuple(live.members.items()), tuple(live.evidence.values()), tuple(live.hops))
        shares, cut = split(whole, self.policy, at)
        live.truncated |= cut
        if not shares:
            return []
        if len(self) + len(shares) - 1 > self.policy.max_rings:
            self.pressed += 1  # no room: it stays whole
            return []
        return self._split(live, shares, at)

    def _split(self, live: LiveRing, shares: list[Share], at: int) -> list[RingEvent]:
        """The first share keeps the id; the others are born, then the keeper tells of them."""
        before = live.ring
        self._index.leave(live.ring.ring_id, live.members)
        events: list[RingEvent] = []
        for number, share in enumerate(shares[1:]):
            # Two parts may begin with the same transaction.
            which = (str(before.revision), str(number), seed_of(share.evidence))
            ring_id = _ring_id(before.ring_id, *which)
            ring = replace(
                unborn(ring_id, at),
                split_from=before.ring_id,
                truncated=before.truncated,
                last_alert_at=before.last_alert_at,
            )
            child = self._settle(LiveRing.of(ring, share, self.policy), live.told)
            born = RingEvent(
                RingEventKind.BORN,
                at,
                child.ring,
                added_members=tuple(child.members),
                added_money=child.money,
                added_patterns=child.ring.patterns,
            )
            events.append(self._tell(child, born))
        keeper = LiveRing.of(before, shares[0], self.policy)
        keeper.events.extend(live.events)
        keeper.whole_at = at
        self._settle(keeper, live.told)
        told = RingEvent(
            RingEventKind.SPLIT,
            at,
            keeper.ring,
            added_money=keeper.money - before.money,
            split_ring_ids=tuple(event.ring.ring_id for event in events),
        )
        return [*events, self._tell(keeper, told)]

    def _settle(self, part: LiveRing, told: AlertMemory) -> LiveRing:
        """Enter a part of a ring of which so much was told."""
        self._active[part.ring.ring_id] = part
        self._index.enter(part.ring.ring_id, part.members)
        ring = self._freeze(part, part.ring.changed_at)
        part.told = told_of_part(ring, told)
        return part

    def _freeze(self, live: LiveRing, at: int) -> Ring:
        """The ring's next revision; it moves to the end of the line of still rings."""
        ring = live.freeze(at)
        if self.likelihood is not None and ring.score >= self.policy.alert_score:
            likely = self.likelihood(ring, live.evidence.values())
            ring = live.ring = replace(ring, likelihood=likely)
        self._active[ring.ring_id] = self._quiet.pop(ring.ring_id, live)
        self._active.move_to_end(ring.ring_id)
        return ring

    def _tell(self, live: LiveRing, event: RingEvent) -> RingEvent:
        """Attach an alert if the change is material and news, and remember the event."""
        # Most rings are never told: whose accounts they are is asked of those that would be.
        likely = event.ring.likelihood
        would_be = event.ring.score >= self.policy.alert_score and (
            likely is None or likely >= self.policy.alert_likelihood
        )
        if would_be and not self._is_told_elsewhere(live):
            alert = alert_on(
                event.ring,
                live.told,
                min_score=self.policy.alert_score,
                money_factor=self.policy.alert_money,
                policy_version=self.policy.version,
            )
            if alert is not None:
                live.ring = replace(event.ring, last_alert_at=alert.at)
                event = replace(event, ring=live.ring, alert=alert)
        live.events.append(event)
        return event

    def _is_told_elsewhere(self, live: LiveRing) -> bool:
        """Whether it was never told, and too many of its accounts are in one live ring that was."""
        if live.told.patterns:
            return False
        accounts = live.ring.accounts
        most = (1 - self.policy.alert_apart) * len(accounts)
        others = (self._live(ring_id) for ring_id in self._index.of(accounts))
        return any(
            other.told.patterns and len(accounts & other.ring.accounts) > most
            for other in others
            if other is not live
        )

    def _rest(self, watermark: int) -> list[RingEvent]:
        """Let rings fall quiet and expire; only the stillest are looked at."""
        events = []
        for live in _still(self._active, self.policy.quiet_after, watermark):
            at = live.ring.changed_at + self.policy.quiet_after
            live.ring = replace(live.ring, revision=live.ring.revision + 1, state=RingState.QUIET)
            self._quiet[live.ring.ring_id] = self._active.pop(live.ring.ring_id)
            events.append(RingEvent(RingEventKind.QUIET, at, live.ring))
            live.events.append(events[-1])
        after = self.policy.expire_after
        gone = _still(self._quiet, after, watermark)
        return [*events, *(self._expire(live, live.ring.changed_at + after) for live in gone)]

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
        self._index.leave(live.ring.ring_id, live.members)
        self._closed[ring_id] = live
        while len(self._closed) > self.policy.max_closed:
            _, forgotten = self._closed.popitem(last=False)
            for alias in forgotten.ring.aliases:
                self._aliases.pop(alias, None)

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
    def restore(
        cls, data: bytes, policy: RingPolicy | None = None, likelihood: Likelihood | None = None
    ) -> Self:
        """A book that goes on where the snapshot was taken, by this policy or the one of then.

        Raises:
            Incompatible: It is torn, altered, or of another version.
        """
        values = unpack("rings", _VERSION, data).values
        state = msgspec.msgpack.decode(values["state"], type=_Saved)
        book = cls(policy or state.policy, likelihood)
        book.pressed = state.pressed
        book._aliases = dict(state.aliases)
        for line, saved in (
            (book._active, state.active),
            (book._quiet, state.quiet),
            (book._closed, state.closed),
        ):
            for one in saved:
                line[one.ring.ring_id] = LiveRing.load(one, book.policy)
        for line in (book._active, book._quiet):
            for ring_id, live in line.items():
                book._index.enter(ring_id, live.members)
        return book


def _ring_id(*seed: str) -> str:
    return xxhash.xxh3_64_hexdigest("\x1f".join(["ring", *seed]).encode())


def _still(line: Mapping[str, LiveRing], after: int, now: int) -> list[LiveRing]:
    """The rings of a line that have not changed for so long.

    Looked at from the stillest on up to one that has. Who claims to have changed in a time to come
    is passed over: its time comes, and those behind it need not wait for that.
    """
    found = []
    for live in line.values():
        changed = live.ring.changed_at
        if changed > now:
            continue
        if changed + after > now:
            break
        found.append(live)
    return found


def _next(line: Mapping[str, LiveRing], after: int, now: int) -> int:
    """When the next of a line will have been still for so long; `NEVER` where it is empty."""
    due = NEVER
    for live in line.values():
        due = min(due, live.ring.changed_at + after)
        if live.ring.changed_at <= now:
            break
    return due


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
