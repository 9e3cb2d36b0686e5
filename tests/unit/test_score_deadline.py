"""Who asks for a verdict hears of it in time, even where the log takes nothing."""

import asyncio
import time

import httpx
import pytest

from api.app import create_app
from api.routes.scoring import SECONDS_FOR_A_VERDICT
from api.settings import Settings
from api.wiring import build
from ingest.codec import LARGEST_RECORD
from ingest.ports import Topic


def body(name: str) -> dict[str, object]:
    """More than the free part of any page of the log's file."""
    return {
        "transaction_id": name,
        "timestamp": 1_772_366_400_000,
        "type": "transfer",
        "amount": "1.00",
        "currency": "EUR",
        "user_id": "a",
        "counterparty_id": "b",
        "note": "n" * 12_000,
    }


@pytest.fixture
def service(tmp_path):
    found = build(Settings.load({}, data_dir=tmp_path, log_level="error"))
    found.engine.start()
    found.engine.wait_ready(120)
    yield found
    found.stop()


async def post(service, path, **what):
    through = httpx.ASGITransport(create_app(service))
    async with httpx.AsyncClient(transport=through, base_url="http://x") as client:
        return await client.post(path, **what)


@pytest.mark.slow
def test_a_log_that_takes_nothing_is_a_503_that_says_it_may_be_sent_again(service):
    connection = service.engine.ask(lambda _: service.log._line().connection).result(20)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")  # a disk that is full

    async def ask():
        begun = asyncio.create_task(post(service, "/v1/score", json=body("begun")))
        while not service.engine.stats().commit_failures:
            await asyncio.sleep(0.01)
        return await asyncio.gather(begun, post(service, "/v1/score/batch", json=[body("waits")]))

    before = time.monotonic()
    answers = asyncio.run(ask())
    assert time.monotonic() - before < 3 * SECONDS_FOR_A_VERDICT
    for answer in answers:
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.json()["code"] == "unavailable"
        assert "the same transaction_id" in answer.json()["remedy"]
    connection.execute("PRAGMA max_page_count = 1000000")
    # What was begun goes on and is written; what was not is scored for nobody.
    answer = asyncio.run(post(service, "/v1/score", json=body("begun")))
    assert answer.json()["admission"] == "accepted"
    written = service.log.read(Topic.VERDICTS, 0, 0, 9)
    assert [record.key for record in written] == ["begun"]


def test_a_record_larger_than_every_log_takes_is_refused_before_it_is_let_in(service):
    large = b'{"transaction_id": "t"'.ljust(LARGEST_RECORD) + b"}"
    headers = {"content-type": "application/json"}
    answer = asyncio.run(post(service, "/v1/score", content=large, headers=headers))
    assert answer.status_code == 413
    assert answer.json()["code"] == "record-too-large"
    assert service.log.read(Topic.SUBMISSIONS, 0, 0, 9) == []
