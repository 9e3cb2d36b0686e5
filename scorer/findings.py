"""What the sweep found, on its way into the rings: a few pieces with each transaction.

A pass may find a hundred pieces at once. Telling the rings all of them with one transaction would
be a pause; so they wait here and go with the next transactions that are accepted, `AT_ONCE` each.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final, Self

import msgspec
from msgspec.structs import replace

from graph.errors import InvalidInput
from graph.evidence import Evidence
from graph.snapshot import Snapshot, encode_state, pack, unpack
from scorer.reference import Findings

AT_ONCE: Final = 2
"""Pieces told with one transaction: each costs the ring book some 50 us."""
ROOM: Final = 4_096
"""Pieces that may wait, about 10 KB each, and that are known not to be news any more."""

_VERSION: Final = 1


class Waiting:
    """Findings that the rings have not been told yet.

    Args:
        birth: Strength from which on a piece is told once. Weaker ones speak about rings that may
            yet come, and are told each time they are found.
    """

    def __init__(self, birth: float) -> None:
        self._birth = birth
        self._waiting: deque[Evidence] = deque()
        self._told: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, findings: Findings) -> None:
        """Let what is news wait.

        Raises:
            InvalidInput: There is no room for all of it; none of it was taken.
        """
        news = self.news(findings.evidence)
        if len(self._waiting) + len(news) > ROOM:
            raise InvalidInput(
                f"more than {ROOM} findings wait for transactions to go with",
                field="findings",
                value=str(len(news)),
                remedy="Sweep less often than transactions come.",
            )
        self._waiting.extend(news)
        for piece in news:
            if piece.strength >= self._birth:
                self._told[piece.evidence_id] = None
        while len(self._told) > ROOM:
            self._told.popitem(last=False)

    def news(self, evidence: Iterable[Evidence]) -> list[Evidence]:
        """Pieces that were not taken before, each once."""
        found = {piece.evidence_id: piece for piece in evidence}
        return [piece for key, piece in found.items() if key not in self._told]

    def next(self, now: int) -> list[Evidence]:
        """The pieces whose turn it is, as seen now: rings change in the order of event time."""
        count = min(AT_ONCE, len(self._waiting))
        return [replace(self._waiting.popleft(), seen_at=now) for _ in range(count)]

    def snapshot(self) -> bytes:
        """The whole state; equal states give equal bytes."""
        state = {"waiting": encode_state(list(self._waiting)), "told": list(self._told)}
        return pack("findings", _VERSION, Snapshot(state, {}))

    @classmethod
    def restore(cls, data: bytes, birth: float) -> Self:
        """Those that waited when the snapshot was taken.

        Raises:
            Incompatible: It is torn, altered, or of another version.
        """
        values = unpack("findings", _VERSION, data).values
        restored = cls(birth)
        restored._waiting = deque(msgspec.msgpack.decode(values["waiting"], type=list[Evidence]))
        restored._told = OrderedDict.fromkeys(values["told"])
        return restored
