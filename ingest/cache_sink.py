"""What follows the log into the cache, and fills it anew whenever it was emptied.

    verdicts ──► profiles · aggregates · answers ─┐
    lists ─────► register of the lists ───────────┴─► frontier: "everything up to here is in it"

Unlike the other sinks it keeps no offset in the log: where it stands is the frontier, which lies in
the cache with what it speaks of. A cache that was emptied has no frontier; it is begun anew as a
new generation, from the newest `HISTORY` verdicts and all decisions about the lists. A cache that
holds what another log said is begun anew too. Each write carries the offset that made it, so that
two processes may follow at once and a page that comes twice counts once.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import TimeoutError as TooLate
from dataclasses import replace
from typing import Any, Final, TypeVar

import msgspec
import xxhash

from graph.errors import RingfenceError, Unavailable
from graph.lists import MOST, ListChange, Lists
from graph.transaction import ACCOUNTS, Entity, Transaction
from graph.watermark import WITNESSES
from ingest import list_changes
from ingest.ports import Log, Record, Topic
from ingest.sinks import FollowerStats, Load
from scorer.cache import profiles
from scorer.cache.port import (
    Cache,
    CacheUnavailable,
    Decided,
    Frontier,
    Held,
    Item,
    Shelf,
    Superseded,
)
from scorer.cache.profiles import Aggregate, Profile
from scorer.cache.thread import CacheThread
from scorer.verdict import Verdict

T = TypeVar("T")
R = TypeVar("R")

PAGE: Final = 512
HISTORY: Final = 1_000_000
"""Newest verdicts a cache that was emptied is filled from: minutes of work."""
LINGER_S: Final = 0.25
POLL_S: Final = 0.1
FRESHEN_S: Final = 1.0
"""How often an idle follower says that the cache still holds everything."""
WRITE_S: Final = 10.0
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0

_log: Final = logging.getLogger(__name__)


class ListEntryValue(msgspec.Struct, frozen=True):
    """An entry of the register, as JSON: other services read it too."""

    reason: str
    author: str
    expires_at: int | None
    at: int


class CacheFeed:
    """Follows verdicts and lists into a cache until it is stopped.

    Args:
        log: The log.
        load: Records of `verdicts` to transactions and verdicts (`ingest.sinks.scored`).
        cache: The cache's thread.
        render: A verdict as the API shows it.
        lists: How the lists begin.
        wall: Epoch milliseconds now.
        history: Newest verdicts a cache that was emptied is filled from.
    """

    consumer: Final = "cache"

    def __init__(
        self,
        log: Log,
        load: Load[tuple[Transaction, Verdict]],
        cache: CacheThread,
        render: Callable[[Verdict], bytes],
        *,
        lists: Lists = Lists(),
        wall: Callable[[], int],
        history: int = HISTORY,
    ) -> None:
        self._log = log
        self._load = load
        self._cache = cache
        self._render = render
        self._configured = list(lists.changes())
        self._configuration = xxhash.xxh3_64_hexdigest(msgspec.json.encode(self._configured))
        self._wall = wall
        self._history = history
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sink cache", daemon=True)
        self._state = "running"
        self._error: str | None = None
        self._written = self._refused = self._lost = self._lag = 0
        self._frontier: Frontier | None = None
        self._until = (0, 0)  # the ends of the log at which a new generation is complete
        self._newest: list[int] = []
        self._freshened = 0.0
        self.generations = 0
        """Generations begun here: 1 for a new cache, one more for each time it was emptied."""

    def start(self) -> None:
        """Follow, on a thread of its own; the cache's is started if it was not."""
        self._cache.start()
        self._thread.start()

    def stop(self, timeout: float | None = None) -> bool:
        """End; whether it did within `timeout` seconds. What is left out is brought next time."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def stats(self) -> FollowerStats:
        """Figures since the start; `dead_letters` counts verdicts that could not be read."""
        return FollowerStats(
            self._state, self._error, self._written, self._refused, self._lost, self._lag
        )

    # -- on its own thread -----------------------------------------------------------------------

    def _run(self) -> None:
        pause = FIRST_PAUSE_S
        try:
            while not self._stop.is_set():
                try:
                    idle = self.step()
                except Superseded as error:
                    _log.warning("%s", error)
                    self._frontier = None
                    self._stop.wait(FIRST_PAUSE_S)
                except Unavailable as error:
                    self._state, self._error = "waiting", str(error)
                    self._frontier = None  # it may have been emptied meanwhile
                    self._stop.wait(pause)
                    pause = min(2 * pause, LONGEST_PAUSE_S)
                else:
                    self._state, self._error, pause = "running", None, FIRST_PAUSE_S
                    if idle:
                        self._stop.wait(POLL_S)
        except Exception as error:  # noqa: BLE001 - a thread's edge: it must end visibly
            _log.exception("the cache's follower failed")
            self._state, self._error = "failed", f"{type(error).__name__}: {error}"
        else:
            self._state = "stopped"

    def step(self) -> bool:
        """Bring one page of each topic to the cache; whether there was nothing to bring.

        Raises:
            Superseded: The cache was emptied; the next step begins it anew.
            Unavailable: The log or the cache does not answer; the same comes again.
        """
        if self._frontier is None:
            self._frontier = self._adopted()
        before = self._frontier
        asked_at = self._wall()
        frontier, all_lists = self._bring_lists(before)
        frontier, all_verdicts = self._bring_verdicts(frontier)
        if all_lists and all_verdicts:
            frontier = replace(frontier, as_of=max(asked_at, frontier.as_of))
        # On Kafka the ends count the markers of transactions, and behind the last of them no record
        # may ever come: where there is nothing to bring, the end is reached as well.
        nothing_came = (
            all_lists and all_verdicts and replace(frontier, as_of=before.as_of) == before
        )
        reached = nothing_came or (
            frontier.lists >= self._until[1] and frontier.verdicts >= self._until[0]
        )
        frontier = replace(frontier, complete=frontier.complete or reached)
        moved = replace(frontier, as_of=before.as_of) != before
        if moved or time.monotonic() >= self._freshened + FRESHEN_S:
            self._ask(lambda cache: cache.advance(frontier))
            self._freshened = time.monotonic()
        self._frontier = frontier
        return all_lists and all_verdicts and not moved

    def _adopted(self) -> Frontier:
        """The frontier to go on from: the cache's, or that of a new generation."""
        found = self._ask(lambda cache: cache.frontier())
        verdicts, lists = self._log.bounds(Topic.VERDICTS, 0), self._log.bounds(Topic.LISTS, 0)
        self._newest = []
        whole = self._ask(lambda cache: cache.listed(())).frontier is not None
        if found is not None and whole and self._fits(found):
            self._until = (0, 0) if found.complete else (verdicts.next, lists.next)
            return found
        first = max(verdicts.first, verdicts.next - self._history)
        new = Frontier(
            secrets.token_hex(8),
            first=first,
            verdicts=first,
            lists=0,
            configured=self._configuration,
        )
        instead_of = None if found is None else found.generation
        if not self._ask(lambda cache: cache.begin(new, instead_of=instead_of)):
            raise Superseded(
                "another follower began it", field="cache", remedy="Nothing: it is looked at again."
            )
        level = logging.WARNING if self.generations else logging.INFO  # at first it may be empty
        _log.log(level, "the cache was empty: it is filled from verdict %d on", first)
        self.generations += 1
        self._until = (verdicts.next, lists.next)
        for start in range(0, len(self._configured), PAGE):
            part = self._configured[start : start + PAGE]
            self._decide(new, [(start + n - MOST, each) for n, each in enumerate(part)])
        return new

    def _fits(self, found: Frontier) -> bool:
        """Whether a frontier is one of this log, with nothing between lost to retention."""
        bounds = self._log.bounds(Topic.VERDICTS, 0)
        if found.configured != self._configuration:
            return False
        if found.anchor is None:  # it holds no verdict, so that little is lost
            return found.lists == 0 and found.verdicts == found.first <= bounds.next
        if found.lists > self._log.bounds(Topic.LISTS, 0).next:
            return False
        offset, transaction_id = found.anchor
        if found.verdicts < bounds.first or found.verdicts > bounds.next:
            return False
        known = self._log.read(Topic.VERDICTS, 0, offset, 1)
        return bool(known) and (known[0].offset, known[0].key) == (offset, transaction_id)

    # -- lists -----------------------------------------------------------------------------------

    def _bring_lists(self, frontier: Frontier) -> tuple[Frontier, bool]:
        page = self._log.read(Topic.LISTS, 0, frontier.lists, PAGE)
        if not page:
            return frontier, True
        decisions: list[tuple[int, ListChange]] = []
        for record in page:
            try:
                decisions.append((record.offset + 1, list_changes.read(record.value)))
            except RingfenceError as error:
                _log.warning("lists %d is not used: %s", record.offset, error)
                self._refused += 1
        self._decide(frontier, decisions)
        return replace(frontier, lists=page[-1].offset + 1), len(page) < PAGE

    def _decide(self, frontier: Frontier, changes: Sequence[tuple[int, ListChange]]) -> None:
        """Into the register; versions of what the configuration lists are below 0."""
        decisions = [
            Decided(register_key(change), _entry(change) if change.listed else None, version)
            for version, change in changes
        ]
        if decisions:
            self._ask(lambda cache: cache.decide(frontier.generation, decisions))

    # -- verdicts --------------------------------------------------------------------------------

    def _bring_verdicts(self, frontier: Frontier) -> tuple[Frontier, bool]:
        page = self._log.read(Topic.VERDICTS, 0, frontier.verdicts, PAGE)
        if page and len(page) < PAGE and not self._stop.wait(LINGER_S):
            page = self._log.read(Topic.VERDICTS, 0, frontier.verdicts, PAGE)
        self._lag = max(0, self._log.bounds(Topic.VERDICTS, 0).next - frontier.verdicts)
        if not page:
            return frontier, True
        rows = self._rows(page)
        self._lost += len(page) - len(rows)
        self._write(frontier.generation, rows)
        self._written += len(rows)
        last = page[-1]
        self._lag = max(0, self._lag - (last.offset + 1 - frontier.verdicts))
        moved = replace(
            frontier,
            verdicts=last.offset + 1,
            event_time=max(frontier.event_time, self._event_time(rows)),
            anchor=(last.offset, last.key or ""),
        )
        return moved, len(page) < PAGE

    def _rows(self, page: Sequence[Record]) -> Sequence[tuple[Record, tuple[Transaction, Verdict]]]:
        try:
            return self._load(page)
        except Unavailable:
            raise
        except RingfenceError as error:
            if len(page) > 1:
                half = len(page) // 2
                return [*self._rows(page[:half]), *self._rows(page[half:])]
            _log.warning("verdict %d is not in the cache: %s", page[0].offset, error)
            self._refused += 1
            return []

    def _event_time(self, rows: Sequence[tuple[Record, tuple[Transaction, Verdict]]]) -> int:
        """The third-newest timestamp that counted, as the window has it."""
        seen = [v.timestamp for _, (_, v) in rows if v.admission == "accepted"]
        self._newest = sorted([*self._newest, *seen])[-WITNESSES:]
        return self._newest[0] if self._newest else 0

    def _write(
        self, generation: str, rows: Sequence[tuple[Record, tuple[Transaction, Verdict]]]
    ) -> None:
        answers = [
            Item(verdict.transaction_id, self._render(verdict), record.offset + 1)
            for record, (_, verdict) in rows
        ]
        self._ask(lambda cache: cache.keep(Shelf.ANSWER, generation, answers))
        seen: dict[Entity, list[tuple[int, Transaction, Verdict]]] = {}
        for record, (tx, verdict) in rows:
            if verdict.admission == "accepted":
                for entity in dict.fromkeys(tx.entities):
                    seen.setdefault(entity, []).append((record.offset + 1, tx, verdict))
        if seen:
            self._write_profiles(generation, seen)
            self._write_aggregates(generation, seen)

    def _write_profiles(
        self, generation: str, seen: dict[Entity, list[tuple[int, Transaction, Verdict]]]
    ) -> None:
        def count(entity: Entity, held: Held | None) -> Item | None:
            value = None if held is None else profiles.decode_profile(held.value)
            known = 0 if held is None or value is None else held.version
            new = [row for row in seen[entity] if row[0] > known]
            for _, _, verdict in new:
                value = value or Profile(verdict.timestamp, verdict.timestamp)
                value.add(verdict)
            if value is None or not new:
                return None
            return Item(profiles.key_of(entity), profiles.encode(value), new[-1][0])

        self._count(generation, Shelf.PROFILE, list(seen), count)

    def _write_aggregates(
        self, generation: str, seen: dict[Entity, list[tuple[int, Transaction, Verdict]]]
    ) -> None:
        def count(entity: Entity, held: Held | None) -> Item | None:
            value = None if held is None else profiles.decode_aggregate(held.value)
            known = 0 if held is None or value is None else held.version
            new = [row for row in seen[entity] if row[0] > known]
            for _, tx, verdict in new:
                value = value or Aggregate(tx.timestamp)
                value.add(entity, tx, verdict)
            if value is None or not new:
                return None
            return Item(profiles.key_of(entity), profiles.encode(value), new[-1][0])

        holders = [entity for entity in seen if entity.kind in ACCOUNTS]
        self._count(generation, Shelf.AGGREGATE, holders, count)

    def _count(
        self,
        generation: str,
        shelf: Shelf,
        entities: Sequence[Entity],
        count: Callable[[Entity, Held | None], Item | None],
    ) -> None:
        """Read, count on, write: what was read and is newer by then is left as it is."""
        keys = [profiles.key_of(entity) for entity in entities]
        found = self._ask(lambda cache: cache.fetch(shelf, keys))
        if found.frontier is None or found.frontier.generation != generation:
            raise Superseded(
                "the cache was emptied", field="cache", remedy="Nothing: it is filled again."
            )
        items = [count(e, held) for e, held in zip(entities, found.values, strict=True)]
        written = [item for item in items if item is not None]
        if written:
            self._ask(lambda cache: cache.keep(shelf, generation, written))

    def _ask(self, question: Callable[[Cache], Coroutine[Any, Any, R]]) -> R:
        try:
            return self._cache.ask(question).result(WRITE_S)
        except TooLate:
            raise CacheUnavailable(
                f"no answer within {WRITE_S:g} s", field="cache", remedy="It is tried again."
            ) from None


def register_key(change: ListChange) -> str:
    """Under which key of the register a decision lies."""
    return f"{change.listing.value}:{profiles.key_of(change.entity)}"


def _entry(change: ListChange) -> bytes:
    return msgspec.json.encode(
        ListEntryValue(change.reason, change.author, change.expires_at, change.at)
    )
