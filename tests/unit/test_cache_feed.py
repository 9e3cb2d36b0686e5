"""What follows the log into the cache: filled from the log, filled again, never twice."""

import secrets
from dataclasses import replace

import pytest

from graph.lists import ListName
from ingest import cache_sink
from ingest.embedded import EmbeddedLog
from ingest.ports import Bounds, Message, Topic
from scorer.cache import profiles
from scorer.cache.local import LocalCache
from scorer.cache.port import Frontier, Item, Shelf
from tests import cached_world as world


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(cache_sink, "LINGER_S", 0.01)
    monkeypatch.setattr(cache_sink, "POLL_S", 0.01)
    monkeypatch.setattr(cache_sink, "FRESHEN_S", 0.05)


@pytest.fixture
def log(tmp_path):
    log = EmbeddedLog(tmp_path / "log.db")
    yield log
    log.close()


def local() -> LocalCache:
    return LocalCache(lambda: 0.0, world.wall)


def uninterrupted(log, transactions):
    with world.following(log, local()) as (_, thread):
        world.until(lambda: world.caught_up(log, thread), "cache that has caught up")
        return world.contents(thread, transactions)


def test_it_holds_what_the_log_says(log) -> None:
    with world.engine(log) as engine, world.following(log, local()) as (feed, thread):
        verdicts = world.score(engine, *range(100))
        world.decide(log, "u1", ListName.BLOCK)
        world.decide(log, "u1", ListName.WATCH)
        world.decide(log, "u1", ListName.BLOCK, listed=False)
        world.until(lambda: world.caught_up(log, thread), "cache that has caught up")
        found = world.contents(thread, 101)
        frontier = thread.ask(lambda cache: cache.frontier()).result(5)
    assert found["answer:t7"] == world.render(verdicts[7])
    assert found["answer:t100"] is None
    profile = profiles.decode_profile(found["profile:user:u1"])
    mine = [v for n, v in enumerate(verdicts) if 1 in (n % 40, (n * 7 + 3) % 40)]
    assert profile.transactions == len(mine)
    assert profile.highest_score == max(v.score for v in mine)
    assert profile.declined == sum(v.decision == "decline" for v in mine)
    assert (profile.since, profile.last_seen) == (mine[0].timestamp, mine[-1].timestamp)
    assert found["list:block:user:u1"] is None
    assert world.entry(found["list:watch:user:u1"])["reason"] == "said so"
    assert world.entry(found["list:block:device:stolen"])["author"] == "configuration"
    assert frontier.event_time == world.START + 97 * 60_000  # the third-newest
    assert frontier.as_of > 0
    assert feed.stats().written == 100
    assert feed.stats().lag == 0


def test_restarts_at_any_point_and_two_at_once_count_everything_once(log) -> None:
    cache = local()
    with world.engine(log) as engine:
        for start in range(0, 120, 30):
            world.score(engine, *range(start, start + 30))
            with world.following(log, cache) as (feed, thread):
                world.until(lambda t=thread: world.caught_up(log, t), "cache that has caught up")
                assert feed.generations == (start == 0)
        expected = uninterrupted(log, 150)
        with world.following(log, cache) as (_, thread):
            assert world.contents(thread, 150) == expected
            world.decide(log, "u2", ListName.ALLOW)
            world.score(engine, *range(120, 150))
            world.until(lambda: world.caught_up(log, thread), "cache that has caught up")
            found = world.contents(thread, 150)
    assert found == uninterrupted(log, 150)
    assert found != expected


def test_a_cache_that_holds_another_logs_verdicts_is_begun_anew(log, tmp_path) -> None:
    cache = local()
    other = EmbeddedLog(tmp_path / "other.db")
    with world.engine(other) as engine:
        world.score(engine, *range(50, 90))
    with world.following(other, cache) as (_, thread):
        world.until(lambda: world.caught_up(other, thread), "cache that has caught up")
    other.close()
    with world.engine(log) as engine:
        world.score(engine, *range(60))
    with world.following(log, cache) as (feed, thread):
        world.until(lambda: world.caught_up(log, thread), "cache that has caught up")
        assert feed.generations == 1
        assert world.contents(thread, 60) == uninterrupted(log, 60)


def test_until_it_has_caught_up_it_does_not_claim_to_be_complete(log, monkeypatch) -> None:
    with world.engine(log) as engine:
        world.score(engine, *range(30))
    cache = local()
    thread = world.CacheThread(world.GuardedCache(cache))
    thread.start()
    feed = cache_sink.CacheFeed(
        log, world.scored(log, world.decode), thread, world.render, wall=world.wall
    )
    monkeypatch.setattr(cache_sink, "PAGE", 10)
    monkeypatch.setattr(cache_sink, "FRESHEN_S", 0.0)
    steps = []
    for _ in range(5):
        feed.step()
        steps.append(thread.ask(lambda c: c.frontier()).result(5))
    thread.stop()
    assert [step.verdicts for step in steps] == [10, 20, 30, 30, 30]
    assert [step.complete for step in steps] == [False, False, True, True, True]
    assert steps[1].as_of == 0 < steps[3].as_of


class Marked:
    """A log as Kafka counts it: behind the last record stands the marker of its transaction."""

    def __init__(self, log: EmbeddedLog) -> None:
        self._log = log

    def __getattr__(self, name: str):
        return getattr(self._log, name)

    def bounds(self, topic: Topic, partition: int) -> Bounds:
        bounds = self._log.bounds(topic, partition)
        return replace(bounds, next=bounds.next + 1)


def test_it_is_complete_although_a_marker_stands_behind_the_last_record(log) -> None:
    """A cache that was emptied after the last verdict stayed incomplete until there was another."""
    with world.engine(log) as engine:
        world.score(engine, *range(30))
    with world.following(Marked(log), local()) as (_, thread):
        world.until(
            lambda: (f := thread.ask(lambda cache: cache.frontier()).result(5)) and f.complete,
            "complete cache",
        )
        assert world.contents(thread, 30) == uninterrupted(log, 30)


def test_records_that_cannot_be_read_are_counted_and_passed_over(log) -> None:
    log.append([Message(Topic.LISTS, 0, b"nonsense")])
    with world.engine(log) as engine:
        world.score(engine, 1, 2)
        log.append([Message(Topic.VERDICTS, 0, b"{}", "odd")])
    with world.following(log, local()) as (feed, thread):
        world.until(lambda: world.caught_up(log, thread), "cache that has caught up")
        assert feed.stats().dead_letters == 2
        assert world.contents(thread, 3)["answer:t2"] is not None


def test_a_generation_that_is_not_this_followers_is_replaced_and_filled_from_the_log(log) -> None:
    with world.engine(log) as engine:
        world.score(engine, *range(20))
    cache = local()
    with world.following(log, cache) as (feed, thread):
        world.until(lambda: world.caught_up(log, thread), "cache that has caught up")
        stranger = Frontier(secrets.token_hex(8), first=0, verdicts=20, lists=0)
        before = thread.ask(lambda c: c.frontier()).result(5).generation
        assert thread.ask(lambda c: c.begin(stranger, instead_of=before)).result(5)
        item = Item("user:u1", b"junk", 1_000)
        thread.ask(lambda c: c.keep(Shelf.PROFILE, stranger.generation, [item])).result(5)
        world.until(lambda: feed.generations == 2, "new generation")
        world.until(lambda: world.caught_up(log, thread), "cache that has caught up")
        assert world.contents(thread, 20) == uninterrupted(log, 20)
        newest = thread.ask(lambda c: c.frontier()).result(5)
        assert replace(newest, generation="") != replace(stranger, generation="")
