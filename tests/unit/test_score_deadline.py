"""Who asks for a verdict hears of it in time, even where the log takes nothing."""

import asyncio
from concurrent.futures import Future

import httpx
import pytest

from api.app import create_app
from api.routes import scoring
from api.settings import Settings
from api.wiring import build
from ingest.codec import LARGEST_RECORD

BODY = {
    "transaction_id": "t",
    "timestamp": 1_772_366_400_000,
    "type": "transfer",
    "amount": "1.00",
    "currency": "EUR",
    "user_id": "a",
    "counterparty_id": "b",
}


@pytest.fixture
def service(tmp_path):
    found = build(Settings.load({}, data_dir=tmp_path, log_level="error"))
    yield found
    found.stop()


def post(service, path, **what):
    async def ask():
        through = httpx.ASGITransport(create_app(service))
        async with httpx.AsyncClient(transport=through, base_url="http://x") as client:
            return await client.post(path, **what)

    return asyncio.run(ask())


class Stuck:
    """An engine that lets in and says nothing; `begun` as if it were at work on it."""

    def __init__(self, *, begun):
        self.begun = begun
        self.future = Future()

    def must_have_room(self, count=1):
        pass

    def submit(self, transactions, raw):
        if self.begun:
            assert self.future.set_running_or_notify_cancel()
        return self.future


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize(("path", "body"), [("/v1/score", BODY), ("/v1/score/batch", [BODY])])
def test_a_log_that_takes_nothing_is_a_503_that_says_it_may_be_sent_again(
    service, monkeypatch, path, body, begun
):
    monkeypatch.setattr(scoring, "SECONDS_FOR_A_VERDICT", 0.05)
    service.engine, engine = Stuck(begun=begun), service.engine
    stuck = service.engine
    answer = post(service, path, json=body)
    service.engine = engine
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json()["code"] == "unavailable"
    assert "the same transaction_id" in answer.json()["remedy"]
    # What was not begun is not scored for nobody; what was may go on and be written.
    assert stuck.future.cancelled() is not begun
    if begun:
        stuck.future.set_result([])


def test_a_record_larger_than_every_log_takes_is_refused_before_it_is_let_in(service):
    service.engine, engine = Stuck(begun=True), service.engine
    stuck = service.engine
    large = b'{"transaction_id": "t"'.ljust(LARGEST_RECORD) + b"}"
    answer = post(service, "/v1/score", content=large, headers={"content-type": "application/json"})
    service.engine = engine
    assert answer.status_code == 413
    assert answer.json()["code"] == "record-too-large"
    assert not stuck.future.running()
