"""The cache in Redis, shared by every process that is given the same URL and prefix.

All keys carry one hash tag, so that they lie in one slot of a cluster and each script may touch
them together. `docs/caching.md` names them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError

from graph.errors import InvalidSetting
from scorer.cache.envelope import open_sealed, seal
from scorer.cache.local import REMEDY
from scorer.cache.port import (
    BEFORE_ALL,
    TTL_S,
    Budget,
    CacheUnavailable,
    Decided,
    Found,
    Frontier,
    Item,
    Shelf,
    Superseded,
)

T = TypeVar("T")
_Argument = str | bytes | int | float

CONNECT_S: Final = 0.5
ANSWER_S: Final = 0.5
"""How long one answer may take; a call that needs several has as long for each."""
CONNECTIONS: Final = 8
STRETCH: Final = 256
"""Values checked and written by one script: about 1 ms in which the server does nothing else."""
LONGEST_IDLE_S: Final = 7 * 24 * 3_600
"""A frontier and register nobody has moved for so long are dropped with everything in them."""

_BEGIN: Final = """
local there = redis.call('HGET', KEYS[1], 'generation') or ''
if there ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'state', ARGV[3])
redis.call('HSET', KEYS[2], '', ARGV[2] .. ':' .. ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return 1
"""
_ADVANCE: Final = """
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return 0 end
if redis.call('PEXPIRE', KEYS[2], ARGV[3]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
# The head: format and generation are the first nine bytes, the version the next eight.
_KEEP: Final = """
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return -1 end
local kept = 0
for i = 2, #KEYS do
  local new = ARGV[i + 1]
  local old = redis.call('GETRANGE', KEYS[i], 0, 16)
  if #old < 17 or string.sub(old, 1, 9) ~= string.sub(new, 1, 9)
      or struct.unpack('>I8', old, 10) < struct.unpack('>I8', new, 10) then
    redis.call('SET', KEYS[i], new, 'PX', ARGV[2])
    kept = kept + 1
  end
end
return kept
"""
_DECIDE: Final = """
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return -1 end
local mark = redis.call('HGET', KEYS[2], '')
if not mark then return -1 end
local known = tonumber(string.sub(mark, #ARGV[1] + 2))
local counted = 0
for i = 2, #ARGV, 3 do
  local version = tonumber(ARGV[i])
  if version > known then
    if ARGV[i + 2] == '' then
      redis.call('HDEL', KEYS[2], ARGV[i + 1])
    else
      redis.call('HSET', KEYS[2], ARGV[i + 1], ARGV[i + 2])
    end
    known = version
    counted = counted + 1
  end
end
redis.call('HSET', KEYS[2], '', string.format('%s:%.0f', ARGV[1], known))
return counted
"""
_SPEND: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local left = {}
for i = 1, #KEYS do
  local held = redis.call('HMGET', KEYS[i], 'tokens', 'at')
  local tokens, at = tonumber(held[1]) or burst, tonumber(held[2]) or now
  tokens = math.min(burst, tokens + math.max(0, now - at) * rate) - tonumber(ARGV[i + 2])
  redis.call('HSET', KEYS[i], 'tokens', string.format('%.6f', tokens),
             'at', string.format('%.6f', now))
  redis.call('PEXPIRE', KEYS[i], math.ceil((burst - tokens) / rate * 1000) + 1000)
  left[i] = string.format('%.6f', tokens)
end
return left
"""


class SharedCache:
    """A `Cache` in Redis.

    Args:
        url: "redis://[user:password@]host:port/db" or "rediss://..." for TLS.
        wall: Epoch milliseconds now.
        prefix: What every key begins with, for installations that share a Redis.

    Raises:
        InvalidSetting: The URL is none.
    """

    def __init__(self, url: str, wall: Callable[[], int], *, prefix: str = "ringfence") -> None:
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS,
                timeout=ANSWER_S,
                socket_timeout=ANSWER_S,
                socket_connect_timeout=CONNECT_S,
                # Once more on a new connection, where one of the pool died meanwhile; whatever else
                # fails is the breaker's to judge.
                retry=Retry(NoBackoff(), 1, supported_errors=(Disconnected,)),
                client_name="ringfence",
            )
        except ValueError as error:
            raise InvalidSetting(
                f"this is not the URL of a Redis: {error}",
                field="redis",
                remedy="Write it as in redis://127.0.0.1:6379/0.",
            ) from None
        self._wall = wall
        self._redis: Redis = Redis(connection_pool=pool)
        self._tag = f"{{{prefix}}}"
        self._state = f"{self._tag}:frontier"
        self._lists = f"{self._tag}:lists"
        self._begin = self._redis.register_script(_BEGIN)
        self._advance = self._redis.register_script(_ADVANCE)
        self._keep = self._redis.register_script(_KEEP)
        self._decide = self._redis.register_script(_DECIDE)
        self._spend = self._redis.register_script(_SPEND)

    async def ping(self) -> None:
        """ECHO."""
        await _answered(self._redis.echo("there"))

    async def frontier(self) -> Frontier | None:
        """HMGET of the frontier."""
        found = await _answered(self._redis.hmget(self._state, ["generation", "state"]))
        return _frontier(found)

    async def begin(self, frontier: Frontier, *, instead_of: str | None) -> bool:
        """Compare the generation and set it, in one script."""
        arguments: list[_Argument] = [
            instead_of or "",
            frontier.generation,
            _state(frontier),
            LONGEST_IDLE_S * 1000,
            BEFORE_ALL,
        ]
        done = await _answered(self._begin(keys=[self._state, self._lists], args=arguments))
        return bool(done)

    async def advance(self, frontier: Frontier) -> None:
        """Set the frontier if it is of the present generation and its register is there."""
        arguments: list[_Argument] = [frontier.generation, _state(frontier), LONGEST_IDLE_S * 1000]
        done = await _answered(self._advance(keys=[self._state, self._lists], args=arguments))
        if not done:
            raise _superseded(frontier.generation)

    async def keep(self, shelf: Shelf, generation: str, items: Sequence[Item]) -> int:
        """One script a stretch: compare generation and versions, set with a time to live."""
        now = self._wall()
        async with self._redis.pipeline(transaction=False) as pipe:
            for stretch in _stretches(items):
                keys = [self._state, *(self._key(shelf, item.key) for item in stretch)]
                values = [
                    seal(generation, item.value, version=item.version, written_at=now)
                    for item in stretch
                ]
                arguments: list[_Argument] = [generation, TTL_S[shelf] * 1000, *values]
                await self._keep(keys=keys, args=arguments, client=pipe)
            return _counted(await _answered(pipe.execute()), generation)

    async def fetch(self, shelf: Shelf, keys: Sequence[str]) -> Found:
        """MULTI: the frontier and MGET of the keys."""
        if not keys:
            return Found(await self.frontier(), ())
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hmget(self._state, ["generation", "state"])
            pipe.mget([self._key(shelf, key) for key in keys])
            state, values = await _answered(pipe.execute())
        return _found(_frontier(state), values)

    async def decide(self, generation: str, decisions: Sequence[Decided]) -> int:
        """One script a stretch over the register, which is one hash."""
        now = self._wall()
        async with self._redis.pipeline(transaction=False) as pipe:
            for stretch in _stretches(decisions):
                arguments: list[_Argument] = [generation]
                for each in stretch:
                    version = max(0, each.version)
                    value = (
                        b""
                        if each.value is None
                        else seal(generation, each.value, version=version, written_at=now)
                    )
                    arguments += [each.version, each.key, value]
                await self._decide(keys=[self._state, self._lists], args=arguments, client=pipe)
            return _counted(await _answered(pipe.execute()), generation)

    async def listed(self, keys: Sequence[str]) -> Found:
        """MULTI: the frontier, the register's mark and its fields."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hmget(self._state, ["generation", "state"])
            pipe.hmget(self._lists, ["", *keys])
            state, (mark, *values) = await _answered(pipe.execute())
        frontier = _frontier(state)
        if frontier is None or mark is None or not mark.startswith(frontier.generation.encode()):
            return Found(None, (None,) * len(keys))
        return _found(frontier, values)

    async def spend(self, budget: Budget, spent: Mapping[str, float]) -> dict[str, float]:
        """One script a stretch, by the server's clock."""
        left: dict[str, float] = {}
        for stretch in _stretches(list(spent.items())):
            keys = [f"{self._tag}:rate:{key}" for key, _ in stretch]
            arguments = [budget.rate, budget.burst, *(count for _, count in stretch)]
            tokens = await _answered(self._spend(keys=keys, args=arguments))
            left.update({key: float(n) for (key, _), n in zip(stretch, tokens, strict=True)})
        return left

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    def _key(self, shelf: Shelf, key: str) -> str:
        return f"{self._tag}:{shelf.value}:{key}"


def _stretches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), STRETCH):
        yield items[start : start + STRETCH]


async def _answered(answer: Awaitable[T]) -> T:
    """The answer, or an error of the house."""
    try:
        return await answer
    except (RedisError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        raise CacheUnavailable(
            f"Redis does not answer: {type(error).__name__}: {error}",
            field="redis",
            remedy="Start it, or look at its log; verdicts do not wait for it.",
        ) from None


def _state(frontier: Frontier) -> bytes:
    return msgspec.json.encode(frontier)


def _frontier(found: Sequence[bytes | str | None]) -> Frontier | None:
    generation, state = found
    if not isinstance(generation, bytes) or state is None:
        return None
    try:
        frontier = msgspec.json.decode(state, type=Frontier)
    except msgspec.DecodeError:
        return None  # of another version: begun anew
    return frontier if frontier.generation.encode() == generation else None


def _found(frontier: Frontier | None, values: Sequence[Any]) -> Found:
    if frontier is None:
        return Found(None, (None,) * len(values))
    return Found(frontier, tuple(open_sealed(value, frontier.generation) for value in values))


def _counted(done: Sequence[int], generation: str) -> int:
    if any(count < 0 for count in done):
        raise _superseded(generation)
    return sum(done)


def _superseded(generation: str) -> Superseded:
    return Superseded(
        "the cache was emptied or begun anew", field="generation", value=generation, remedy=REMEDY
    )
