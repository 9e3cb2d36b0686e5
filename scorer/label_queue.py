"""Labels that are known and not yet due: they wait until event time has passed their `known_at`."""

import heapq
from bisect import insort
from typing import Final, Self

import msgspec

from graph.errors import InvalidInput
from graph.snapshot import encode_state
from graph.transaction import HOUR, Label

# 90 days of them at one a second.
_MAX_LABELS: Final = 8_000_000

_Entry = tuple[int, int, Label]
"""When it is due, and how many were given before it; no two entries have the same of these."""


class LabelQueue:
    """Labels in the order of their `known_at`; those of one moment as they were given.

    Weeks of labels wait, and a heap of a million of them is searched to the bottom for each that is
    taken. So they wait by the hour, in no order, and an hour is sorted when it comes.
    """

    def __init__(self) -> None:
        self._soon: list[_Entry] = []  # the next last
        self._later: dict[int, list[_Entry]] = {}  # by hour
        self._hours: list[int] = []  # a heap of those of `_later`
        self._hour = 0  # the labels of this one and those before are in `_soon`
        self._waiting = self._taken = 0

    def put(self, label: Label) -> None:
        """Let a label wait.

        Raises:
            InvalidInput: Too many labels wait for a time that does not come.
        """
        if self._waiting >= _MAX_LABELS:
            raise InvalidInput(
                f"more than {_MAX_LABELS} labels wait for their time",
                field="known_at",
                value=str(label.known_at),
                remedy="Send labels once they are known, with the time they became known.",
            )
        self._sort_in((label.known_at, self._taken, label))
        self._taken += 1

    def due(self, now: int) -> list[Label]:
        """The labels whose time has come by `now`, epoch ms; they wait no longer."""
        found: list[Label] = []
        while True:
            soon = self._soon
            while soon and soon[-1][0] <= now:
                found.append(soon.pop()[2])
            if soon or not self._hours or self._hours[0] > now // HOUR:
                self._waiting -= len(found)
                return found
            self._hour = heapq.heappop(self._hours)
            self._soon = sorted(self._later.pop(self._hour), key=_later_first)

    def state(self) -> tuple[bytes, int]:
        """Those that wait, and how many were ever given; equal queues give equal states."""
        entries = [*self._soon, *(entry for each in self._later.values() for entry in each)]
        return encode_state(sorted(entries, key=lambda entry: entry[:2])), self._taken

    @classmethod
    def of_state(cls, labels: bytes, taken: int) -> Self:
        """The queue that gave this `state`."""
        queue = cls()
        for entry in msgspec.msgpack.decode(labels, type=list[_Entry]):
            queue._sort_in(entry)
        queue._taken = taken
        return queue

    def _sort_in(self, entry: _Entry) -> None:
        self._waiting += 1
        hour = entry[0] // HOUR
        if hour <= self._hour:
            insort(self._soon, entry, key=_later_first)
        elif hour in self._later:
            self._later[hour].append(entry)
        else:
            self._later[hour] = [entry]
            heapq.heappush(self._hours, hour)


def _later_first(entry: _Entry) -> tuple[int, int]:
    return -entry[0], -entry[1]
