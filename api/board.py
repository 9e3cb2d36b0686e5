"""The ring board: every ring that was heard of lately, with its life, read off the log.

A read model: it follows the `rings` topic from a thread of its own and never asks the engine, so
that no page however busy takes time from scoring. What it holds is bounded; what falls off is
what changed longest ago. After a restart it is built again from the log.
"""

import logging
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from api.follower import Follower
from api.views import Views
from graph.errors import Incompatible
from graph.evidence import Evidence, Hop, Role
from graph.rings import Ring, RingEvent, RingEventKind
from ingest.ports import Log, Topic
from ingest.records import RingEventRecord, VerdictRecord, decode

RINGS: Final = 10_000  # rings on the board
EVENTS: Final = 100  # newest events of a ring that are kept; with RINGS, some 500 MB at the worst
HISTORY: Final = 200_000  # newest ring events read at start
EVIDENCE: Final = 100  # newest pieces of evidence shown of a ring
# newest transactions that changed a ring: their verdicts show its own; some 200 MB at the worst
SOURCES: Final = 200
RELATED: Final = 5  # rings named beside one that shares accounts with them
_PAGE: Final = 1_000
_OF_TIME: Final = frozenset({RingEventKind.QUIET, RingEventKind.EXPIRED})
_LOG = logging.getLogger("ringfence.api.board")


class Told(NamedTuple):
    """One event of a ring's life: when, and its `TimelineEntry`."""

    at: int
    entry: msgspec.Raw


class Proof(NamedTuple):
    """What proves a ring, as verdicts hold it.

    Attributes:
        evidence: The newest `EVIDENCE` pieces of what stands, oldest first.
        hops: The ring's transactions, by time, then id: also those of evidence that newer has
            taken the place of. Those that only older verdicts than `SOURCES` show are not there.
    """

    evidence: list[Evidence]
    hops: list[Hop]


@dataclass(slots=True)
class Entry:
    """A ring on the board: as it stands, what changed it, its life.

    Attributes:
        ring: Its newest revision.
        causes: Transaction with which each standing piece of evidence came, by evidence id.
        sources: Transactions that changed it, the newest `SOURCES`, oldest first.
        life: Its newest events.
    """

    ring: Ring
    causes: dict[str, str] = field(default_factory=dict)
    sources: dict[str, None] = field(default_factory=dict)
    life: deque[Told] = field(default_factory=lambda: deque(maxlen=EVENTS))


class RingBoard(Follower):
    """Rings by id and by how lately they changed. Safe to read from any thread.

    Args:
        log: The log that is followed.
        views: How events are told.
        poll_s: How often it is asked for news.
    """

    def __init__(self, log: Log, views: Views, *, poll_s: float = 0.1) -> None:
        super().__init__("rings", poll_s)
        self._log = log
        self._views = views
        self._entries: OrderedDict[str, Entry] = OrderedDict()  # the newest change last
        self._aliases: dict[str, str] = {}
        self._guard = threading.Lock()
        self._next = 0

    def live(self) -> list[Ring]:
        """Every ring, the newest change first; rings of one moment by id."""
        with self._guard:
            rings = [entry.ring for entry in self._entries.values()]
        return sorted(rings, key=lambda ring: (-ring.changed_at, ring.ring_id))

    def get(self, ring_id: str) -> Entry | None:
        """A copy of a ring's entry, by its id or by the id of one that merged into it."""
        with self._guard:
            seen = set()
            while ring_id in self._aliases and ring_id not in seen:
                seen.add(ring_id)
                ring_id = self._aliases[ring_id]
            entry = self._entries.get(ring_id)
            if entry is None:
                return None
            return Entry(entry.ring, dict(entry.causes), dict(entry.sources), entry.life.copy())

    def related(self, ring: Ring) -> list[tuple[Ring, int]]:
        """Rings that share accounts with one, and how many, fringes left out.

        The `RELATED` with the most in common, of as many the newest change first. Looks at every
        member of every ring on the board: 40 ms where it is full of rings of twelve.
        """
        accounts = ring.accounts
        found = []
        for other in self.live():
            shared = sum(
                entity in accounts and role is not Role.FRINGE for entity, role in other.members
            )
            if shared and other.ring_id != ring.ring_id:
                found.append((other, shared))
        return sorted(found, key=lambda each: -each[1])[:RELATED]

    def proof(self, entry: Entry) -> Proof:
        """What proves a ring: asks for some hundred verdicts of the log at most.

        Raises:
            Unavailable: The log does not answer.
        """
        shown = entry.ring.evidence[-EVIDENCE:]
        causes = {entry.causes[piece] for piece in shown if piece in entry.causes}
        causes.update(entry.sources)
        found: dict[str, Evidence] = {}
        for record in self._log.find(Topic.VERDICTS, sorted(causes)).values():
            verdict = decode(record.value, VerdictRecord).to_verdict()
            for piece in (*verdict.evidence, *verdict.findings):
                found[piece.evidence_id] = piece
        steps = {hop.transaction_id: hop for piece in found.values() for hop in piece.hops}
        hops = [steps[id_] for id_ in entry.ring.transactions if id_ in steps]
        return Proof([found[piece] for piece in shown if piece in found], hops)

    def catch_up(self) -> int:
        """Read what is new, at most one page; the number of events read."""
        records = self._log.read(Topic.RINGS, 0, self._next, _PAGE)
        for record in records:
            self._next = record.offset + 1
            try:
                told = decode(record.value, RingEventRecord)
            except Incompatible as error:
                _LOG.warning("ring event %d is not shown: %s", record.offset, error)
                continue
            self._apply(told.transaction_id, told.to_event())
        return len(records)

    def read_page(self) -> bool:
        """Read what is new, from the last `HISTORY` events on; whether there may be more."""
        if self._next == 0:
            bounds = self._log.bounds(Topic.RINGS, 0)
            self._next = max(bounds.first, bounds.next - HISTORY)
        return self.catch_up() == _PAGE

    def _apply(self, transaction_id: str, event: RingEvent) -> None:
        ring = event.ring
        with self._guard:
            entry = self._entries.pop(ring.ring_id, None) or self._new(ring)
            for alias in ring.aliases:
                self._merge(alias, into=entry)
            entry.ring = ring
            entry.causes = {
                piece: entry.causes.get(piece, transaction_id) for piece in ring.evidence
            }
            if event.kind not in _OF_TIME:
                entry.sources.pop(transaction_id, None)
                entry.sources[transaction_id] = None
                _cut(entry.sources)
            entry.life.append(Told(event.at, self._told(event)))
            self._entries[ring.ring_id] = entry
            while len(self._entries) > RINGS:
                _, gone = self._entries.popitem(last=False)
                for alias in gone.ring.aliases:
                    self._aliases.pop(alias, None)

    def _new(self, ring: Ring) -> Entry:
        """The entry of a ring not heard of before; what split brings along what made it.

        It is told of before the ring that it was a part of says what is left of itself.
        """
        whole = self._entries.get(ring.split_from or "")
        if whole is None:
            return Entry(ring)
        return Entry(ring, dict(whole.causes), dict(whole.sources))

    def _merge(self, alias: str, into: Entry) -> None:
        """Let an absorbed ring's id lead to its survivor, which takes over its life so far."""
        if self._aliases.get(alias) == into.ring.ring_id:
            return
        self._aliases[alias] = into.ring.ring_id
        absorbed = self._entries.pop(alias, None)
        if absorbed is not None:
            life = sorted([*absorbed.life, *into.life], key=lambda told: told.at)
            into.life = deque(life, maxlen=EVENTS)
            into.causes.update(absorbed.causes)
            into.sources = {**absorbed.sources, **into.sources}
            _cut(into.sources)

    def _told(self, event: RingEvent) -> msgspec.Raw:
        return msgspec.Raw(msgspec.json.encode(self._views.timeline_entry(event)))


def _cut(sources: dict[str, None]) -> None:
    while len(sources) > SOURCES:
        del sources[next(iter(sources))]
