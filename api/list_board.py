"""The lists as the log tells them: what the API answers from.

A read model, as the ring board is: it follows `Topic.LISTS` from a thread of its own, from the
first decision on, and never asks the engine or the cache. Event time, which ends entries, it takes
from the newest verdicts.
"""

import logging
import threading
from typing import Final

from api.follower import Follower
from graph.errors import Incompatible, InvalidInput
from graph.lists import ListBook, ListEntry, ListName, Lists
from graph.transaction import Entity
from graph.watermark import WITNESSES
from ingest.list_changes import read
from ingest.ports import Log, Topic
from ingest.records import VerdictRecord, decode

_PAGE: Final = 1_000
_LOOK_BACK: Final = (8, 64, 512)
"""Newest verdicts looked at for the event time: more where the fewer have too few witnesses."""
_LOG: Final = logging.getLogger("ringfence.api.lists")


class ListBoard(Follower):
    """Who is on which list. Safe to read from any thread.

    Args:
        log: The log that is followed.
        lists: How the lists begin.
        poll_s: How often it is asked for news.
    """

    def __init__(self, log: Log, lists: Lists, *, poll_s: float = 0.1) -> None:
        super().__init__("lists", poll_s)
        self._log = log
        self._book = ListBook(lists)
        self._guard = threading.Lock()
        self._next = 0
        self._verdicts = 0
        self._witnesses: list[tuple[int, str]] = []
        self._event_time = 0

    @property
    def offset(self) -> int:
        """Offset of `lists` up to which it knows."""
        return self._next

    @property
    def event_time(self) -> int:
        """Event time (ms) by which entries were ended: what the newest verdicts agree on."""
        return self._event_time

    def get(self, listing: ListName, entity: Entity) -> ListEntry | None:
        """The entity's entry on a list."""
        with self._guard:
            return self._book.get(listing, entity)

    def of(self, entity: Entity) -> tuple[ListName, ...]:
        """The lists an entity is on."""
        with self._guard:
            return self._book.of(entity)

    def entries(self, listing: ListName) -> list[ListEntry]:
        """The entries of one list, by kind and id."""
        with self._guard:
            return self._book.entries(listing)

    def catch_up(self) -> int:
        """Read what is new, at most one page; the number of decisions read."""
        page = self._log.read(Topic.LISTS, 0, self._next, _PAGE)
        with self._guard:
            for record in page:
                try:
                    self._book.apply(read(record.value))
                except InvalidInput as error:
                    # Passed over as the engine passes it over.
                    _LOG.warning("lists %d is not used: %s", record.offset, error)
                self._next = record.offset + 1
            self._book.expire(self._event_time)
        return len(page)

    def catch_up_fully(self) -> None:
        """Read everything there is now; for who does not `start` it.

        Raises:
            Unavailable: The log does not answer.
        """
        while self.read_page():
            pass

    def read_page(self) -> bool:
        """Read what is new, with the event time; whether there may be more."""
        self._look_at_the_time()
        return self.catch_up() == _PAGE

    def _look_at_the_time(self) -> None:
        """Let the newest verdicts count that were not looked at before.

        All of them while they are few; where thousands come in a second, the last of them
        are enough. It stands still only where the newest 512 have next to no accepted ones.
        """
        end = self._log.bounds(Topic.VERDICTS, 0).next
        known = self._verdicts
        if end == known:
            return
        seen: set[tuple[int, str]] = set()
        until = end
        for look_back in _LOOK_BACK if end - known > _LOOK_BACK[1] else _LOOK_BACK[1:]:
            first = max(known, end - look_back)
            seen |= self._accepted(first, until)
            until = first
            if len(seen) >= WITNESSES or first == known:
                break
        self._verdicts = end
        self._witnesses = sorted(seen.union(self._witnesses))[-WITNESSES:]
        if len(self._witnesses) == WITNESSES:
            self._event_time = self._witnesses[0][0]

    def _accepted(self, first: int, until: int) -> set[tuple[int, str]]:
        """Time and transaction of the accepted ones among these verdicts."""
        found = set()
        for record in self._log.read(Topic.VERDICTS, 0, first, until - first):
            try:
                verdict = decode(record.value, VerdictRecord).verdict
            except Incompatible:
                continue
            if verdict.admission == "accepted":
                found.add((verdict.timestamp, verdict.transaction_id))
        return found
