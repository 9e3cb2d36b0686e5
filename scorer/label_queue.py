"""Labels that are known and not yet due: they wait until event time has passed their `known_at`."""

import heapq
from typing import Final, Self

import msgspec

from graph.errors import InvalidInput
from graph.snapshot import encode_state
from graph.transaction import Label

# 90 days of them at one a second.
_MAX_LABELS: Final = 8_000_000


class LabelQueue:
    """Labels in the order of their `known_at`; those of one moment as they were given."""

    def __init__(self) -> None:
        self._labels: list[tuple[int, int, Label]] = []
        self._taken = 0

    def put(self, label: Label) -> None:
        """Let a label wait.

        Raises:
            InvalidInput: Too many labels wait for a time that does not come.
        """
        if len(self._labels) >= _MAX_LABELS:
            raise InvalidInput(
                f"more than {_MAX_LABELS} labels wait for their time",
                field="known_at",
                value=str(label.known_at),
                remedy="Send labels once they are known, with the time they became known.",
            )
        heapq.heappush(self._labels, (label.known_at, self._taken, label))
        self._taken += 1

    def due(self, now: int) -> list[Label]:
        """The labels whose time has come by `now`, epoch ms; they wait no longer."""
        found: list[Label] = []
        while self._labels and self._labels[0][0] <= now:
            found.append(heapq.heappop(self._labels)[2])
        return found

    def state(self) -> tuple[bytes, int]:
        """Those that wait, and how many were ever given; equal queues give equal states."""
        return encode_state(sorted(self._labels, key=lambda entry: entry[:2])), self._taken

    @classmethod
    def of_state(cls, labels: bytes, taken: int) -> Self:
        """The queue that gave this `state`."""
        queue = cls()
        queue._labels = msgspec.msgpack.decode(labels, type=list[tuple[int, int, Label]])
        queue._taken = taken
        return queue
