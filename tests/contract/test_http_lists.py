"""Lists, profiles and verdicts over HTTP: the log decides, the cache may be gone."""

import asyncio
import json
import time
from types import SimpleNamespace

import httpx
import msgspec
import pytest
from fastapi import FastAPI

from api import problems
from api.app import install_caching
from api.caching import Caching
from api.list_board import ListBoard
from api.listing_schemas import ListDecision, ListPage, ListStanding, ProfileOut
from api.rate_limit import RateLimiter
from api.schemas import Problem
from api.views import Views
from ingest import cache_sink, list_changes
from ingest.embedded import EmbeddedLog
from ingest.ports import Topic
from scorer.cache.local import LocalCache
from scorer.cache.port import Budget, CacheUnavailable
from tests import cached_world as world

VIEWS = Views("EUR", 2)


class Fickle(LocalCache):
    """The cache in this process, and a switch for its line."""

    down = False
    late = 0.0

    async def fetch(self, shelf, keys):
        if self.down:
            raise CacheUnavailable("the line is cut", remedy="Join it.")
        return await super().fetch(shelf, keys)

    async def ping(self):
        if self.down:
            raise CacheUnavailable("the line is cut", remedy="Join it.")


class Client:
    """Asks an application without a socket between."""

    def __init__(self, app: FastAPI) -> None:
        self._loop = asyncio.new_event_loop()
        transport = httpx.ASGITransport(app)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://here")

    def request(self, *what, **how) -> httpx.Response:
        return self._loop.run_until_complete(self._client.request(*what, **how))

    def get(self, path, **how) -> httpx.Response:
        return self.request("GET", path, **how)

    def put(self, path, **how) -> httpx.Response:
        return self.request("PUT", path, **how)

    def delete(self, path, **how) -> httpx.Response:
        return self.request("DELETE", path, **how)

    def close(self) -> None:
        self._loop.run_until_complete(self._client.aclose())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Everything but the engine's own routes: a log with 60 verdicts, a cache, a follower."""
    monkeypatch.setattr(cache_sink, "LINGER_S", 0.01)
    monkeypatch.setattr(cache_sink, "FRESHEN_S", 0.05)
    log = EmbeddedLog(tmp_path / "log.db")
    with world.engine(log) as engine:
        verdicts = world.score(engine, *range(60))
    cache = Fickle(time.monotonic, world.wall)
    thread = world.CacheThread(world.GuardedCache(cache, open_s=0.1, quiet_s=0.1))
    feed = cache_sink.CacheFeed(
        log,
        world.scored(log, world.decode),
        thread,
        lambda verdict: msgspec.json.encode(VIEWS.verdict(verdict)),
        lists=world.LISTS,
        wall=world.wall,
    )
    caching = Caching(
        log,
        thread,
        ListBoard(log, world.LISTS, poll_s=0.01),
        lambda change: log.append([list_changes.message(change)])[0],
        RateLimiter(Budget(rate=1_000, burst=1_000)),
    )
    app = FastAPI()
    problems.install(app)
    install_caching(app, caching)
    monkeypatch.setattr(
        "api.routes.verdicts.service_of", lambda request: SimpleNamespace(views=VIEWS)
    )
    caching.start()
    client = Client(app)
    world.until(lambda: caching.lists.ready, "list board")
    yield SimpleNamespace(
        client=client, cache=cache, caching=caching, feed=feed, log=log, verdicts=verdicts,
        thread=thread,
    )  # fmt: skip
    client.close()
    feed.stop(20)
    caching.stop()
    log.close()


def fits(model, answer: httpx.Response):
    assert answer.status_code == 200, answer.text
    return model.model_validate(answer.json()).model_dump(mode="json")


def refused(answer: httpx.Response, status: int, code: str):
    assert answer.status_code == status, answer.text
    assert Problem.model_validate(answer.json()).code == code


def test_a_decision_is_written_to_the_log_and_read_back_from_it(stage) -> None:
    path = "/v1/lists/block/user/u%2F1"
    body = {"reason": "chargebacks", "author": "ada", "expires_at": "2199-01-01T00:00:00Z"}
    told = fits(ListDecision, stage.client.put(path, json=body))
    assert (told["entity"], told["offset"]) == ({"kind": "user", "id": "u/1"}, 0)
    (record,) = stage.log.read(Topic.LISTS, 0, 0, 10)
    assert list_changes.read(record.value).reason == "chargebacks"
    world.until(lambda: stage.caching.lists.offset == 1, "news on the board")
    found = fits(ListStanding, stage.client.get(path))
    assert found["listed"]
    assert found["entry"]["author"] == "ada"
    assert found["entry"]["expires_at"] == "2199-01-01T00:00:00.000Z"
    assert found["on"] == ["block"]
    stage.client.put("/v1/lists/allow/user/u%2F1", json={})
    fits(ListDecision, stage.client.delete(path, params={"reason": "paid", "author": "bob"}))
    world.until(lambda: stage.caching.lists.offset == 3, "news on the board")
    found = fits(ListStanding, stage.client.get(path))
    assert (found["listed"], found["entry"], found["on"]) == (False, None, ["allow"])


def test_a_page_of_a_list_leads_to_the_next_and_names_what_was_configured(stage) -> None:
    for name in ("b", "a:x", "c"):
        stage.client.put(f"/v1/lists/block/user/{name}", json={})
    world.until(lambda: stage.caching.lists.offset == 3, "news on the board")
    ids, after = [], None
    while True:
        params = {"limit": 1} | ({"after": after} if after else {})
        page = fits(ListPage, stage.client.get("/v1/lists/block", params=params))
        ids += [entry["entity"]["id"] for entry in page["entries"]]
        after = page["next"]
        if after is None:
            break
    assert ids == ["a:x", "b", "c", "stolen"]
    assert page["entries"][0]["author"] == "configuration"
    assert page["event_time"] is not None


def test_an_entry_ends_on_the_board_when_event_time_has_come_there(stage) -> None:
    ends = world.START + 100 * 60_000
    stage.client.put("/v1/lists/watch/user/u1", json={"expires_at": ends})
    world.until(lambda: stage.caching.lists.offset == 1, "news on the board")
    assert stage.client.get("/v1/lists/watch/user/u1").json()["listed"]
    with world.engine(stage.log) as engine:
        world.score(engine, *range(60, 104))
    world.until(lambda: stage.caching.lists.event_time >= ends, "event time on the board")
    world.until(
        lambda: not stage.client.get("/v1/lists/watch/user/u1").json()["listed"], "end of the entry"
    )


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("PUT", "/v1/lists/grey/user/u1", "{}", 422, "invalid-parameter"),
        ("PUT", "/v1/lists/block/planet/u1", "{}", 422, "invalid-parameter"),
        ("PUT", "/v1/lists/block/ip/nonsense", "{}", 422, "invalid-list-change"),
        ("PUT", "/v1/lists/block/card/4111111111111111", "{}", 422, "invalid-list-change"),
        ("PUT", "/v1/lists/block/user/u1", '{"why": 1}', 400, "invalid-body"),
        ("PUT", "/v1/lists/block/user/u1", '{"reason": 1}', 400, "invalid-body"),
        ("PUT", "/v1/lists/block/user/u1", '{"expires_at": "soon"}', 422, "invalid-list-change"),
        ("PUT", "/v1/lists/block/user/u1", '{"reason": "a\\nb"}', 422, "invalid-list-change"),
        ("PUT", "/v1/lists/block/user/u1", "[" * 5_000, 400, "invalid-body"),
        ("PUT", "/v1/lists/block/user/u1", '"' + "x" * 9_000 + '"', 413, "body-too-large"),
        ("GET", "/v1/lists/block?after=planet:x", None, 422, "invalid-parameter"),
        ("GET", "/v1/lists/watch?after=zzz", None, 422, "invalid-parameter"),
        ("GET", "/v1/verdicts/nobody", None, 404, "unknown-resource"),
        ("GET", "/v1/profiles/ip/nonsense", None, 422, "invalid-list-change"),
    ],
)
def test_what_cannot_be_is_refused_with_a_problem(stage, method, path, body, status, code) -> None:
    headers = {"content-type": "application/json"}
    answer = stage.client.request(method, path, content=body, headers=headers)
    refused(answer, status, code)
    assert "4111111111111111" not in answer.text
    assert stage.log.bounds(Topic.LISTS, 0).next == 0


@pytest.mark.parametrize(
    ("path", "body", "field", "value", "words"),
    [
        ("user/u1", {"reason": "x" * 201}, "reason", "x" * 79 + "…", "Shorten it to 200"),
        ("user/u1", {"author": "a\nb"}, "author", "a\N{REPLACEMENT CHARACTER}b", "one line"),
        ("user/u1", {"expires_at": "soon"}, "expires_at", "soon", "RFC 3339"),
        ("user/u1", {"expires_at": 0}, "expires_at", "0", "Send a time after 2023-11-14T23:"),
        ("user/u1", {"expires_at": "2000-01-01T00:00:00Z"}, "expires_at", "2000-01-01T00:00:00Z",
         "DELETE"),
        ("card/4111111111111111", {}, "card", None, "Send a token"),
        ("ip/nonsense", {}, "ip", "nonsense", "Send IPv4 or IPv6"),
    ],
)  # fmt: skip
def test_a_decision_that_cannot_be_names_field_value_and_remedy_and_changes_nothing(
    stage, path, body, field, value, words
) -> None:
    answer = stage.client.put(f"/v1/lists/block/{path}", json=body)
    refused(answer, 422, "invalid-list-change")
    found = Problem.model_validate(answer.json())
    assert (found.field, found.value) == (field, value)
    assert words in found.remedy
    assert stage.log.bounds(Topic.LISTS, 0).next == 0


def test_before_event_time_is_known_an_entry_may_end_at_any_time_but_zero() -> None:
    with pytest.raises(list_changes.InvalidListChange) as caught:
        list_changes.ending(0, 0)
    assert caught.value.field == "expires_at"
    assert (list_changes.ending(1, 0), list_changes.ending(None, 0)) == (1, None)


def test_a_list_body_that_is_too_large_is_told_nothing_of_transactions(stage) -> None:
    answer = stage.client.put("/v1/lists/block/user/u1", json={"reason": "x" * 9_000})
    refused(answer, 413, "body-too-large")
    assert answer.json()["remedy"] == "Send less in one request."


def test_a_profile_is_unknown_until_it_was_counted_and_never_zero(stage) -> None:
    empty = fits(ProfileOut, stage.client.get("/v1/profiles/user/u1"))
    assert (empty["state"], empty["profile"], empty["stale"]) == ("unknown", None, True)
    assert "filled" in empty["why"]
    stage.feed.start()
    world.until(lambda: world.caught_up(stage.log, stage.thread), "cache that has caught up")
    held = fits(ProfileOut, stage.client.get("/v1/profiles/user/u1"))
    assert held["state"] == "held"
    assert held["profile"]["transactions"] > 0
    assert sum(hour["transactions"] for hour in held["hours"]) == held["profile"]["transactions"]
    assert not held["stale"]
    assert held["degraded"] == []
    assert fits(ProfileOut, stage.client.get("/v1/profiles/device/d1"))["hours"] is None
    nobody = fits(ProfileOut, stage.client.get("/v1/profiles/user/nobody"))
    assert (nobody["state"], nobody["profile"]) == ("unknown", None)
    assert "since verdict 0" in nobody["why"]
    stage.cache.down = True
    gone = fits(ProfileOut, stage.client.get("/v1/profiles/user/u1"))
    assert (gone["state"], gone["profile"], gone["degraded"]) == ("unknown", None, ["cache"])


def test_values_of_a_follower_that_fell_behind_are_called_stale(stage, monkeypatch) -> None:
    stage.feed.start()
    world.until(lambda: world.caught_up(stage.log, stage.thread), "cache that has caught up")
    stage.feed.stop(20)
    monkeypatch.setattr("api.routes.profiles.STALE_MS", -1)
    held = fits(ProfileOut, stage.client.get("/v1/profiles/user/u1"))
    assert (held["state"], held["stale"]) == ("held", True)


def test_a_verdict_is_the_same_bytes_from_the_cache_and_from_the_log(stage) -> None:
    from_log = stage.client.get("/v1/verdicts/t7")
    assert from_log.headers["x-ringfence-source"] == "log"
    stage.feed.start()
    world.until(lambda: world.caught_up(stage.log, stage.thread), "cache that has caught up")
    cached = stage.client.get("/v1/verdicts/t7")
    assert cached.headers["x-ringfence-source"] == "cache"
    assert cached.content == from_log.content
    assert cached.json()["score"] == stage.verdicts[7].score
    stage.cache.down = True
    assert stage.client.get("/v1/verdicts/t7").headers["x-ringfence-source"] == "log"


def test_a_verdict_is_read_under_the_id_it_was_sent_with_whatever_its_spelling(stage) -> None:
    record = json.loads(world.raw(60)) | {"transaction_id": "cafe\u0301" * 25}
    data = json.dumps(record).encode()
    with world.engine(stage.log) as engine:
        (verdict,) = engine.submit([world.decode(data)], [data]).result(30)
    assert verdict.transaction_id == "caf\u00e9" * 25
    path = "/v1/verdicts/" + "cafe%CC%81" * 25
    assert stage.client.get(path).json()["transaction_id"] == verdict.transaction_id
    stage.feed.start()
    world.until(lambda: world.caught_up(stage.log, stage.thread), "cache that has caught up")
    assert stage.client.get(path).headers["x-ringfence-source"] == "cache"


@pytest.mark.parametrize("name", ["", "%20t7", "x" * 129, "a%00b"])
def test_an_id_that_no_transaction_can_have_is_refused(stage, name) -> None:
    answer = stage.client.get(f"/v1/verdicts/{name}")
    refused(answer, 422, "invalid-parameter")
    assert answer.json()["field"] == "transaction_id"


def test_whoever_runs_away_is_told_when_to_come_back(stage) -> None:
    limiter = stage.caching.limiter
    for _ in range(3_000):
        limiter.wait_of("somebody else")
    assert limiter.refused > 0
    monotonic = time.monotonic()
    limiter._clock = lambda: monotonic
    statuses = [stage.client.get("/v1/lists/watch").status_code for _ in range(1_100)]
    assert statuses.count(200) == 1_000
    answer = stage.client.get("/v1/lists/watch")
    refused(answer, 429, "rate-limited")
    assert int(answer.headers["retry-after"]) >= 1
