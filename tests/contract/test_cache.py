"""What every `scorer.cache.port.Cache` promises, in this process and in a real Redis."""

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scorer.cache.local import LocalCache
from scorer.cache.port import (
    Budget,
    Cache,
    Decided,
    Frontier,
    Item,
    Shelf,
    Superseded,
)
from scorer.cache.shared import STRETCH, SharedCache

T = TypeVar("T")
FIRST = Frontier("00000000000000a1", first=0, verdicts=0, lists=0)
SECOND = replace(FIRST, generation="00000000000000b2", first=7, verdicts=7)
WALL = 1_764_000_000_000


class Loop:
    """An event loop of the test's own, so that a cache may live longer than one `run`."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()

    def __call__(self, answer: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(answer)


@pytest.fixture
def do() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.loop.close()


@pytest.fixture(params=["local", pytest.param("redis", marks=pytest.mark.servers)])
def opened(request: pytest.FixtureRequest, do: Loop) -> Iterator[Callable[[], Cache]]:
    """Opens the same cache again, as another process would (the local one is one object)."""
    caches: list[Cache] = []
    if request.param == "local":
        local = LocalCache(time.monotonic, lambda: WALL)
        yield lambda: local
        return
    url = request.getfixturevalue("redis_url")
    prefix = f"test-{secrets.token_hex(6)}"

    def connect() -> Cache:
        caches.append(SharedCache(url, lambda: WALL, prefix=prefix))
        return caches[-1]

    yield connect
    cache = caches[0]
    assert isinstance(cache, SharedCache)
    for key in do(cache._redis.keys(f"{{{prefix}}}*")):
        do(cache._redis.delete(key))
    for cache in caches:
        do(cache.close())


@pytest.fixture
def cache(opened: Callable[[], Cache], do: Loop) -> Cache:
    cache = opened()
    do(cache.ping())
    return cache


def values(found) -> list[bytes | None]:
    return [None if held is None else held.value for held in found.values]


def test_an_empty_cache_has_no_frontier_and_so_no_answers(cache: Cache, do: Loop) -> None:
    assert do(cache.frontier()) is None
    for found in (do(cache.fetch(Shelf.PROFILE, ["a"])), do(cache.listed(["a"]))):
        assert found.frontier is None
        assert found.values == (None,)


def test_nothing_is_written_before_a_generation_or_for_another(cache: Cache, do: Loop) -> None:
    def refused(generation: str) -> None:
        with pytest.raises(Superseded):
            do(cache.keep(Shelf.PROFILE, generation, [Item("a", b"1", 1)]))
        with pytest.raises(Superseded):
            do(cache.decide(generation, [Decided("a", b"1", 1)]))
        with pytest.raises(Superseded):
            do(cache.advance(replace(FIRST, generation=generation)))

    refused(FIRST.generation)
    assert do(cache.begin(FIRST, instead_of=None))
    refused(SECOND.generation)
    assert do(cache.frontier()) == FIRST


def test_only_one_of_several_begins_in_place_of_a_generation(cache: Cache, do: Loop) -> None:
    assert do(cache.begin(FIRST, instead_of=None))
    assert not do(cache.begin(SECOND, instead_of=None))
    assert not do(cache.begin(SECOND, instead_of=SECOND.generation))
    assert do(cache.begin(SECOND, instead_of=FIRST.generation))
    assert do(cache.frontier()) == SECOND


def test_what_another_generation_left_is_not_there(cache: Cache, do: Loop) -> None:
    do(cache.begin(FIRST, instead_of=None))
    do(cache.keep(Shelf.PROFILE, FIRST.generation, [Item("a", b"old", 90)]))
    do(cache.decide(FIRST.generation, [Decided("block:user:a", b"old", 90)]))
    do(cache.begin(SECOND, instead_of=FIRST.generation))
    assert values(do(cache.fetch(Shelf.PROFILE, ["a"]))) == [None]
    assert values(do(cache.listed(["block:user:a"]))) == [None]
    # And it does not keep what is of an earlier offset, but of this generation, from being there.
    assert do(cache.keep(Shelf.PROFILE, SECOND.generation, [Item("a", b"new", 8)])) == 1
    assert do(cache.decide(SECOND.generation, [Decided("block:user:a", b"new", 1)])) == 1
    assert values(do(cache.fetch(Shelf.PROFILE, ["a"]))) == [b"new"]
    assert values(do(cache.listed(["block:user:a"]))) == [b"new"]


def test_values_come_back_with_their_version_under_any_key(cache: Cache, do: Loop) -> None:
    do(cache.begin(FIRST, instead_of=None))
    keys = ["user:a", "user:ä ö", "user:{x}", "user:a:b", "", "user:\u202e"]
    items = [Item(key, bytes([n, 0, 255]), n + 1) for n, key in enumerate(keys)]
    assert do(cache.keep(Shelf.PROFILE, FIRST.generation, items)) == len(keys)
    found = do(cache.fetch(Shelf.PROFILE, [*keys, "other"]))
    assert found.frontier == FIRST
    assert values(found) == [item.value for item in items] + [None]
    assert [held.version for held in found.values[:-1]] == [item.version for item in items]
    assert {held.written_at for held in found.values[:-1]} == {WALL}
    assert values(do(cache.fetch(Shelf.ANSWER, keys))) == [None] * len(keys)
    assert do(cache.fetch(Shelf.PROFILE, [])).frontier == FIRST


def test_many_values_are_written_and_read_at_once(cache: Cache, do: Loop) -> None:
    do(cache.begin(FIRST, instead_of=None))
    count = 2 * STRETCH + 3
    items = [Item(f"k{n}", str(n).encode(), n + 1) for n in range(count)]
    assert do(cache.keep(Shelf.AGGREGATE, FIRST.generation, items)) == count
    found = do(cache.fetch(Shelf.AGGREGATE, [item.key for item in items]))
    assert values(found) == [item.value for item in items]
    decided = [Decided(f"k{n}", str(n).encode(), n + 1) for n in range(count)]
    assert do(cache.decide(FIRST.generation, decided)) == count
    assert values(do(cache.listed([each.key for each in decided]))) == values(found)


def test_an_older_value_or_decision_never_replaces_a_newer(cache: Cache, do: Loop) -> None:
    do(cache.begin(FIRST, instead_of=None))
    generation = FIRST.generation
    assert do(cache.keep(Shelf.PROFILE, generation, [Item("a", b"at 9", 9)])) == 1
    for version in (9, 8, 0):
        assert do(cache.keep(Shelf.PROFILE, generation, [Item("a", b"again", version)])) == 0
    assert values(do(cache.fetch(Shelf.PROFILE, ["a"]))) == [b"at 9"]
    assert do(cache.keep(Shelf.PROFILE, generation, [Item("a", b"at 256", 256)])) == 1
    assert values(do(cache.fetch(Shelf.PROFILE, ["a"]))) == [b"at 256"]

    assert do(cache.decide(generation, [Decided("a", b"x", 1), Decided("a", None, 2)])) == 2
    assert do(cache.decide(generation, [Decided("a", b"x", 1)])) == 0  # would bring it back
    assert values(do(cache.listed(["a"]))) == [None]
    assert do(cache.listed(["a"])).frontier == FIRST  # it says "not listed", not "unknown"


def test_the_frontier_moves_and_is_read_with_the_values(opened, cache: Cache, do: Loop) -> None:
    do(cache.begin(FIRST, instead_of=None))
    moved = replace(
        FIRST, verdicts=9, lists=3, complete=True, event_time=5, as_of=WALL, anchor=(8, "t8")
    )
    do(cache.advance(moved))
    other = opened()
    assert do(other.frontier()) == moved
    assert do(other.fetch(Shelf.ANSWER, ["t8"])).frontier == moved


def test_shared_buckets_are_full_at_first_run_dry_and_owe(cache: Cache, do: Loop) -> None:
    slow = Budget(rate=0.001, burst=10.0)
    left = do(cache.spend(slow, {"a": 4, "b": 0}))
    assert left["a"] == pytest.approx(6, abs=0.01)
    assert left["b"] == pytest.approx(10, abs=0.01)
    left = do(cache.spend(slow, {"a": 9}))
    assert left["a"] == pytest.approx(-3, abs=0.01)
    quick = Budget(rate=1e6, burst=10.0)
    time.sleep(0.01)
    assert do(cache.spend(quick, {"a": 0}))["a"] == pytest.approx(10, abs=0.01)
    assert do(cache.spend(quick, {})) == {}


steps = st.lists(
    st.tuples(st.just("keep"), st.sampled_from("abc"), st.integers(0, 20))
    | st.tuples(st.just("decide"), st.sampled_from("abc"), st.integers(1, 20), st.booleans())
    | st.tuples(st.just("begin"), st.booleans()),
    max_size=25,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_it_is_what_a_dictionary_with_versions_would_be(opened, do: Loop, steps) -> None:
    cache = opened()
    before = do(cache.frontier())
    number = secrets.randbits(48)
    now = replace(FIRST, generation=f"{number:016x}")
    assert do(cache.begin(now, instead_of=before and before.generation))
    shelf: dict[str, tuple[int, bytes]] = {}
    register: dict[str, bytes] = {}
    registered = 0
    for step, *rest in steps:
        if step == "begin":
            number += 1
            following = replace(now, generation=f"{number:016x}")
            instead = now.generation if rest[0] else "ffffffffffffffff"
            assert do(cache.begin(following, instead_of=instead)) is rest[0]
            if rest[0]:
                now, shelf, register, registered = following, {}, {}, 0
        elif step == "keep":
            key, version = rest
            value = f"{key}{version}".encode()
            newer = version > shelf.get(key, (-1, b""))[0]
            kept = do(cache.keep(Shelf.PROFILE, now.generation, [Item(key, value, version)]))
            assert kept == newer
            if newer:
                shelf[key] = (version, value)
        else:
            key, version, listed = rest
            value = str(version).encode() if listed else None
            counted = do(cache.decide(now.generation, [Decided(key, value, version)]))
            assert counted == (version > registered)
            if version > registered:
                registered = version
                register.pop(key, None)
                if value is not None:
                    register[key] = value
        expected = [shelf[k][1] if k in shelf else None for k in "abc"]
        assert values(do(cache.fetch(Shelf.PROFILE, list("abc")))) == expected
        assert values(do(cache.listed(list("abc")))) == [register.get(k) for k in "abc"]
