"""What is asked of a cache, and what an answer of it means.

A cache is filled from the log by one kind of writer (`ingest.cache_sink`) and can be emptied at
any time. So that nothing empty is ever taken for "nothing is known":

- everything written belongs to a **generation**, whose `Frontier` says which part of the log it
  holds. Where the frontier is missing, or is of another generation than a value, there is no value;
- a value that is not there is *unknown*. Only the register of the lists can say "not listed": it
  is one thing with a mark of its own, there as a whole or not at all;
- a value carries the offset it was made at (`version`), and an older one never replaces a newer.

    log ──► CacheFeed ──► Cache: frontier · shelves (profiles, aggregates, answers) · register
                                 └──► reads: Found(frontier, values), never a zero
    API processes ──► counters of the rate limits (`spend`)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from graph.errors import Unavailable

HOUR_S: Final = 3_600


class Shelf(StrEnum):
    """Values by key, each kind with a time to live of its own."""

    PROFILE = "profile"  # `profiles.Profile` of an entity; key: "user:ada"
    AGGREGATE = "aggregate"  # `profiles.Aggregate` of a user or merchant; key: "user:ada"
    ANSWER = "answer"  # the verdict as the API shows it; key: transaction id


TTL_S: Final[Mapping[Shelf, int]] = {
    Shelf.PROFILE: 30 * 24 * HOUR_S,
    Shelf.AGGREGATE: 48 * HOUR_S,
    Shelf.ANSWER: 24 * HOUR_S,
}
"""Seconds a value is kept after it was last written."""


class CacheUnavailable(Unavailable):
    """The cache does not answer, or not in time."""

    code = "cache-unavailable"


class Superseded(Unavailable):
    """The cache was emptied, or another writer began it anew: start again from its frontier."""

    code = "cache-superseded"


@dataclass(frozen=True, slots=True)
class Frontier:
    """What of the log a generation holds.

    Attributes:
        generation: 16 hexadecimal digits, new each time the cache is begun anew.
        first: Offset of `verdicts` at which this generation began to count.
        verdicts: Offset of `verdicts` up to which everything is in it.
        lists: Offset of `lists` up to which everything is in it.
        complete: It has caught up with the log once; until then a missing value means nothing.
        event_time: How far event time had come, epoch ms; 0 before the first transaction.
        as_of: When it last held everything the log held, epoch ms by the writer's clock.
        anchor: Offset and transaction id of the newest verdict in it, to know the log again by.
        configured: Names what the configuration lists, which no log says.
    """

    generation: str
    first: int
    verdicts: int
    lists: int
    complete: bool = False
    event_time: int = 0
    as_of: int = 0
    anchor: tuple[int, str] | None = None
    configured: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A value to be kept; `version` is the offset in the log after what made it."""

    key: str
    value: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Held:
    """A value that is there, the version it was made at, and when it was written (epoch ms)."""

    value: bytes
    version: int
    written_at: int


@dataclass(frozen=True, slots=True)
class Found:
    """Values as of one moment.

    Attributes:
        frontier: Of the generation they belong to; None if the cache holds none.
        values: One a key, in their order; None where it is not there. On a shelf that means
            unknown, in the register it means "not listed".
    """

    frontier: Frontier | None
    values: tuple[Held | None, ...]


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision for the register: the entry under `key`, or None to take it out.

    Versions are offsets in the log, or below 0 for what the configuration says before it begins.
    """

    key: str
    value: bytes | None
    version: int


@dataclass(frozen=True, slots=True)
class Budget:
    """A token bucket: `rate` tokens a second, at most `burst` at once."""

    rate: float
    burst: float


BEFORE_ALL: Final = -(1 << 40)
"""Version of a register in which nothing was decided."""


class Cache(Protocol):
    """A cache in this process or shared by several. Called from one event loop only.

    Failure: every method raises `CacheUnavailable` where the cache does not answer in time, and
    never an error of its driver. A write that raised may have been done; it may be done again.
    """

    async def ping(self) -> None:
        """Ask for an answer of any kind."""
        ...

    async def frontier(self) -> Frontier | None:
        """Where the generation stands; None if the cache is empty."""
        ...

    async def begin(self, frontier: Frontier, *, instead_of: str | None) -> bool:
        """Begin a generation, unless another than `instead_of` is there by now.

        The register begins empty; what lies on the shelves is of another generation and no
        longer there.
        """
        ...

    async def advance(self, frontier: Frontier) -> None:
        """Say that everything up to this frontier is in the cache.

        Raises:
            Superseded: The generation is no longer the cache's.
        """
        ...

    async def keep(self, shelf: Shelf, generation: str, items: Sequence[Item]) -> int:
        """Keep values for `TTL_S`, each unless one of the same or a newer version is there.

        Returns:
            How many were written. All are checked and written at one moment, or in stretches of
            a few hundred.

        Raises:
            Superseded: The generation is no longer the cache's.
        """
        ...

    async def fetch(self, shelf: Shelf, keys: Sequence[str]) -> Found:
        """The values of the present generation, with its frontier, as of one moment."""
        ...

    async def decide(self, generation: str, decisions: Sequence[Decided]) -> int:
        """Bring the register up to date; decisions not newer than it are passed over.

        Returns:
            How many counted.

        Raises:
            Superseded: The generation is no longer the cache's, or the register is gone.
        """
        ...

    async def listed(self, keys: Sequence[str]) -> Found:
        """Entries of the register; no frontier where the register or its generation is gone."""
        ...

    async def spend(self, budget: Budget, spent: Mapping[str, float]) -> dict[str, float]:
        """Take tokens out of shared buckets and say what is left, below 0 where too much was taken.

        A bucket that is not there is full.
        """
        ...

    async def close(self) -> None:
        """Let go of sockets."""
        ...
