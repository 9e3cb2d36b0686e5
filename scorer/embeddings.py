"""What the graph model last knew of everybody, in columns by the window's ids.

Its encoder runs beside the engine, on copies of the window (`ingest.embedder`). What it says comes
back as facts of the log, in parts (`scorer.reference.Embedded`), and each part counts by itself: a
transaction is told how old the oldest embedding is that it is given. Whose embedding is older than
`STALE`, or whose id is somebody else's by now, has none.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.entities import EntitySpace
from graph.errors import InvalidInput
from graph.kernels import NONE
from graph.snapshot import Snapshot, pack, unpack
from graph.transaction import ACCOUNTS, HOUR
from scorer.reference import Embedded

_VERSION: Final = 1
_KIND: Final = "embeddings"
PARTIES: Final = 5
"""User, other party, device, IP and card."""
_ACCOUNTS: Final = 2
"""The first so many parties are accounts."""
STALE: Final = 3 * HOUR
"""An embedding older than this, in event time, is none: the encoder runs once an hour."""
_NOBODY: Final = -1
_NAMES: Final = ("account", "identifier")


class _Space(NamedTuple):
    """Embeddings of one space of ids.

    Attributes:
        rows: float32 [capacity, D].
        generation: int32 [capacity], whose they are; -1 where there is none.
        as_of: int64 [capacity], cut-off of the graph they were made from, ms.
    """

    rows: NDArray[np.float32]
    generation: NDArray[np.int32]
    as_of: NDArray[np.int64]


class Neighbourhood(NamedTuple):
    """What the head of the graph model is given of the parties of one transaction.

    Attributes:
        parties: float32 [5 * D], zeros where there is nobody.
        there: float32 [5], 1 where there is somebody.
        age: Milliseconds since the oldest of them; 0 where there is nobody.
    """

    parties: NDArray[np.float32]
    there: NDArray[np.float32]
    age: int


class Embeddings:
    """Embeddings of accounts and identifiers by one graph model.

    Args:
        accounts: The window's accounts.
        identifiers: The window's identifiers.
        model: Version of the graph model; parts by another are passed over.
        width: Of an embedding.

    Attributes:
        newest: Cut-off of the newest part that was taken in, ms; None before the first.
    """

    def __init__(
        self, accounts: EntitySpace, identifiers: EntitySpace, model: str, width: int
    ) -> None:
        self.newest: int | None = None
        self._model = model
        self._width = width
        self._spaces = (accounts, identifiers)
        # Addresses are reserved; the system gives memory to the rows in use.
        self._held = tuple(
            _Space(
                np.zeros((space.capacity, width), np.float32),
                np.full(space.capacity, _NOBODY, np.int32),
                np.zeros(space.capacity, np.int64),
            )
            for space in self._spaces
        )

    def take(self, part: Embedded) -> int:
        """Take a part in; how many of its entities have an id.

        What is newer already stays, so parts may come in any order and more than once.

        Raises:
            InvalidInput: It has another shape than this model's; nothing has changed.
        """
        if part.model != self._model:
            return 0
        if part.rows.shape != (len(part.entities), self._width):
            raise InvalidInput(
                f"this graph model gives {self._width} numbers an entity",
                field="rows",
                value=str(part.rows.shape),
                remedy="Let the encoder of this model write it.",
            )
        taken = 0
        for row, entity in enumerate(part.entities):
            place = entity.kind not in ACCOUNTS
            space, held = self._spaces[place], self._held[place]
            id_ = space.find(entity.kind, entity.id)
            if id_ == NONE:
                continue
            generation = space.generation[id_]
            if held.generation[id_] == generation and held.as_of[id_] > part.as_of:
                continue
            held.rows[id_] = part.rows[row]
            held.generation[id_] = generation
            held.as_of[id_] = part.as_of
            taken += 1
        self.newest = part.as_of if self.newest is None else max(self.newest, part.as_of)
        return taken

    def fresh(self, now: int) -> bool:
        """Whether the encoder was heard of lately enough to ask the head at this time, ms."""
        return self.newest is not None and now - self.newest <= STALE

    def around(self, who: NDArray[np.int64], now: int) -> Neighbourhood:
        """What is known of the parties of a transaction.

        Args:
            who: int64 [2 * PARTIES], their ids and the generation of each, as
                `scorer.risk_memory.RiskMemory.who` has them.
            now: Event time of the transaction, ms.
        """
        parties = np.zeros((PARTIES, self._width), np.float32)
        there = np.zeros(PARTIES, np.float32)
        oldest = now
        named = who.tolist()
        for place in range(PARTIES):
            id_, held = named[place], self._held[place >= _ACCOUNTS]
            if id_ < 0 or held.generation[id_] != named[PARTIES + place]:
                continue
            as_of = int(held.as_of[id_])
            if now - as_of <= STALE:
                parties[place] = held.rows[id_]
                there[place] = 1.0
                oldest = min(oldest, as_of)
        return Neighbourhood(parties.ravel(), there, now - oldest)

    def snapshot(self) -> bytes:
        """The whole state; equal states give equal bytes."""
        arrays: dict[str, NDArray[Any]] = {}
        for name, space, held in zip(_NAMES, self._spaces, self._held, strict=True):
            ids = np.flatnonzero(held.generation[: space.size] != _NOBODY)
            arrays |= {
                f"{name}.ids": ids,
                f"{name}.rows": held.rows[ids],
                f"{name}.generation": held.generation[ids],
                f"{name}.as_of": held.as_of[ids],
            }
        values = {"model": self._model, "newest": self.newest}
        return pack(_KIND, _VERSION, Snapshot(values, arrays))

    def restore(self, data: bytes) -> None:
        """Take over a snapshot, made together with that of the window whose ids it uses.

        What another graph model said means nothing to this one, and is left out.

        Raises:
            Incompatible: The bytes are no such snapshot.
        """
        snapshot = unpack(_KIND, _VERSION, data)
        values, arrays = snapshot.values, snapshot.arrays
        if values["model"] != self._model:
            return
        self.newest = values["newest"]
        for name, held in zip(_NAMES, self._held, strict=True):
            ids = arrays[f"{name}.ids"]
            for column in ("rows", "generation", "as_of"):
                getattr(held, column)[ids] = arrays[f"{name}.{column}"]
