"""The cache in this process: bounded, and gone with it."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from scorer.cache.port import (
    BEFORE_ALL,
    TTL_S,
    Budget,
    Decided,
    Found,
    Frontier,
    Held,
    Item,
    Shelf,
    Superseded,
)

MOST: Final = 200_000
"""Values kept: the least lately used give way. About 400 bytes each."""
BUCKETS: Final = 50_000


class LocalCache:
    """A `Cache` for one process: least lately used out, expired not there.

    Args:
        clock: Seconds that only grow.
        wall: Epoch milliseconds now.
        most: Values kept on all shelves together.
    """

    def __init__(
        self, clock: Callable[[], float], wall: Callable[[], int], *, most: int = MOST
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._most = most
        self._frontier: Frontier | None = None
        self._values: OrderedDict[tuple[Shelf, str], tuple[Held, float]] = OrderedDict()
        self._register: dict[str, Held] = {}
        self._registered = BEFORE_ALL  # the newest decision that counted
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self.evicted = 0

    async def ping(self) -> None:
        """It is always there."""

    async def frontier(self) -> Frontier | None:
        """Where the generation stands."""
        return self._frontier

    async def begin(self, frontier: Frontier, *, instead_of: str | None) -> bool:
        """Begin a generation, with nothing in it."""
        if (self._frontier and self._frontier.generation) != instead_of:
            return False
        self._frontier = frontier
        self._values.clear()
        self._register.clear()
        self._registered = BEFORE_ALL
        return True

    async def advance(self, frontier: Frontier) -> None:
        """Move the frontier."""
        self._must_be(frontier.generation)
        self._frontier = frontier

    async def keep(self, shelf: Shelf, generation: str, items: Sequence[Item]) -> int:
        """Keep what is newer than what is there."""
        self._must_be(generation)
        now, written_at, kept = self._clock(), self._wall(), 0
        for item in items:
            place = (shelf, item.key)
            held = self._alive(place, now)
            if held is not None and held.version >= item.version:
                continue
            self._values[place] = (
                Held(item.value, item.version, written_at),
                now + TTL_S[shelf],
            )
            self._values.move_to_end(place)
            kept += 1
        while len(self._values) > self._most:
            self._values.popitem(last=False)
            self.evicted += 1
        return kept

    async def fetch(self, shelf: Shelf, keys: Sequence[str]) -> Found:
        """What is there and has not expired."""
        now = self._clock()
        return Found(self._frontier, tuple(self._alive((shelf, key), now) for key in keys))

    async def decide(self, generation: str, decisions: Sequence[Decided]) -> int:
        """Bring the register up to date."""
        self._must_be(generation)
        written_at, counted = self._wall(), 0
        for decision in decisions:
            if decision.version <= self._registered:
                continue
            if decision.value is None:
                self._register.pop(decision.key, None)
            else:
                held = Held(decision.value, max(0, decision.version), written_at)
                self._register[decision.key] = held
            counted += 1
        self._registered = max([self._registered, *(each.version for each in decisions)])
        return counted

    async def listed(self, keys: Sequence[str]) -> Found:
        """Entries of the register."""
        return Found(self._frontier, tuple(self._register.get(key) for key in keys))

    async def spend(self, budget: Budget, spent: Mapping[str, float]) -> dict[str, float]:
        """Take tokens; the buckets used longest ago give way, that is, are full again."""
        now, left = self._clock(), {}
        for key, count in spent.items():
            tokens, at = self._buckets.pop(key, (budget.burst, now))
            tokens = min(budget.burst, tokens + max(0.0, now - at) * budget.rate) - count
            self._buckets[key] = (tokens, now)
            left[key] = tokens
        while len(self._buckets) > BUCKETS:
            self._buckets.popitem(last=False)
        return left

    async def close(self) -> None:
        """Nothing to let go of."""

    def _alive(self, place: tuple[Shelf, str], now: float) -> Held | None:
        held, until = self._values.get(place, (None, 0.0))
        if held is None:
            return None
        if until <= now:
            del self._values[place]
            return None
        self._values.move_to_end(place)
        return held

    def _must_be(self, generation: str) -> None:
        if self._frontier is None or self._frontier.generation != generation:
            raise Superseded(
                "the cache was begun anew", field="generation", value=generation, remedy=REMEDY
            )


REMEDY: Final = "Nothing: it is filled again from the log."
