"""Entities as dense integers: the ids by which columns are indexed.

There are two spaces. *Accounts* (users and merchants) hold money; *identifiers* (devices, IPs and
cards) are shared. An id is given at first sight and given back after the entity has been unseen
for the retention; its `generation` then grows, so that whoever keeps state by id can tell.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.kernels import KIND_CARD, KIND_DEVICE, KIND_IP, KIND_MERCHANT, KIND_USER, NONE
from graph.snapshot import Snapshot
from graph.transaction import Entity, EntityKind

KIND_CODES: Final = {
    EntityKind.USER: KIND_USER,
    EntityKind.MERCHANT: KIND_MERCHANT,
    EntityKind.DEVICE: KIND_DEVICE,
    EntityKind.IP: KIND_IP,
    EntityKind.CARD: KIND_CARD,
}
_KINDS: Final = {code: kind for kind, code in KIND_CODES.items()}

# One big dict stops for tens of milliseconds when it grows; each of these for tens of microseconds.
SHARDS: Final = 512
_SWEEP_ROUTINE: Final = 2
_SWEEP_FULL: Final = 256


class EntitySpace:
    """Dense ids for the entities of some kinds, at most `capacity` at a time.

    Args:
        kinds: The kinds that share the space.
        capacity: Ids at most.
        retention: Unseen for longer than this, ms, an entity gives its id back.
        pressed: The same while every id is taken; `retention` if left out.

    Attributes:
        kind: uint8[capacity], kind code by id.
        generation: int32[capacity], how often the id was given out anew.
        last_seen: int64[capacity], epoch ms.
        size: Ids ever given out; live and free ones are all below it.
        refused: How often a new entity found no id: the space was full of entities in use.
        given_back: Ids given back so far by this object: while it stands still, no id that was
            looked up has come to mean somebody else.
    """

    def __init__(
        self,
        kinds: tuple[EntityKind, ...],
        capacity: int,
        retention: int,
        pressed: int | None = None,
    ) -> None:
        # np.zeros reserves addresses; the system gives memory when a row is first written.
        self.kind: NDArray[np.uint8] = np.zeros(capacity, np.uint8)
        self.generation: NDArray[np.int32] = np.zeros(capacity, np.int32)
        self.last_seen: NDArray[np.int64] = np.zeros(capacity, np.int64)
        self.capacity = capacity
        self.retention = retention
        self.pressed = retention if pressed is None else pressed
        self.size = 0
        self.refused = 0
        self.given_back = 0
        self._keys: list[str | None] = []
        self._entities: dict[int, Entity] = {}
        self._free: list[int] = []
        self._hand = 0
        self._shards: dict[EntityKind, list[dict[str, int]]] = {
            kind: [{} for _ in range(SHARDS)] for kind in kinds
        }

    def __len__(self) -> int:
        return self.size - len(self._free)

    def __iter__(self) -> Iterator[int]:
        return (i for i, key in enumerate(self._keys) if key is not None)

    def shards(self, kind: EntityKind) -> Sequence[Mapping[str, int]]:
        """The ids of one kind, for many look-ups: a key is in shard `hash(key) % SHARDS`."""
        return self._shards[kind]

    def find(self, kind: EntityKind, key: str) -> int:
        """Id of an entity, or -1 if it has none."""
        return self._shards[kind][hash(key) % SHARDS].get(key, NONE)

    def entity(self, id_: int) -> Entity:
        """The entity behind a live id.

        Raises:
            KeyError: The id is not in use.
        """
        known = self._entities.get(id_)
        if known is None:
            key = self._keys[id_] if 0 <= id_ < self.size else None
            if key is None:
                raise KeyError(id_)
            known = self._entities[id_] = Entity(_KINDS[int(self.kind[id_])], key)
        return known

    def intern(self, kind: EntityKind, key: str, now: int, watermark: int) -> int:
        """Id of an entity, given out if it is new; -1 if the space is full of entities in use."""
        shard = self._shards[kind][hash(key) % SHARDS]
        id_ = shard.get(key, NONE)
        if id_ < 0:
            self._sweep(_SWEEP_ROUTINE, watermark - self.retention)
            id_ = self._take(watermark)
            if id_ < 0:
                self.refused += 1
                return NONE
            shard[key] = id_
            self._keys[id_] = key
            self.kind[id_] = KIND_CODES[kind]
            self.generation[id_] += 1
            self.last_seen[id_] = now
        elif now > self.last_seen[id_]:
            self.last_seen[id_] = now
        return id_

    @property
    def has_room(self) -> bool:
        """Whether three more entities can come in without another's giving way."""
        return len(self._free) + self.capacity - self.size >= 3

    def _take(self, watermark: int) -> int:
        if not self._free and self.size == self.capacity:
            self._sweep(_SWEEP_FULL, watermark - self.pressed)
        if self._free:
            return self._free.pop()
        if self.size == self.capacity:
            return NONE
        self._keys.append(None)
        self.size += 1
        return self.size - 1

    def _sweep(self, steps: int, oldest: int) -> None:
        """Give back ids unseen since `oldest`, a few steps of a clock's hand at a time."""
        for _ in range(min(steps, self.size)):
            i = self._hand
            self._hand = (i + 1) % self.size
            key = self._keys[i]
            if key is not None and self.last_seen[i] < oldest:
                del self._shards[_KINDS[int(self.kind[i])]][hash(key) % SHARDS][key]
                self._keys[i] = None
                self._entities.pop(i, None)
                self._free.append(i)
                self.given_back += 1

    @property
    def nbytes(self) -> int:
        """Bytes of the columns in use (keys are the caller's text and not counted)."""
        return self.size * (1 + 4 + 8)

    def copy_names(self, other: "EntitySpace") -> None:
        """Take over who is behind each id of a space of the same capacity, for reading."""
        theirs = other.snapshot()
        self._keys = theirs.values["keys"].copy()
        self.size = len(self._keys)
        for name in ("kind", "generation", "last_seen"):
            getattr(self, name)[: self.size] = theirs.arrays[name]

    def snapshot(self) -> Snapshot:
        """Everything needed to go on."""
        n = self.size
        return Snapshot(
            values={
                "keys": self._keys,
                "free": self._free,
                "hand": self._hand,
                "refused": self.refused,
                "capacity": self.capacity,
            },
            arrays={
                "kind": self.kind[:n],
                "generation": self.generation[:n],
                "last_seen": self.last_seen[:n],
            },
        )

    def restore(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Take over a snapshot; the space must be new."""
        self._keys = list(values["keys"])
        self._free = list(values["free"])
        self._hand = values["hand"]
        self.refused = values["refused"]
        self.size = len(self._keys)
        for name in ("kind", "generation", "last_seen"):
            getattr(self, name)[: self.size] = arrays[name]
        for i, key in enumerate(self._keys):
            if key is not None:
                kind = _KINDS[int(self.kind[i])]
                self._shards[kind][hash(key) % SHARDS][key] = i
