"""A server that is not ready, has failed, is at fault or has too much to do."""

import threading
from pathlib import Path

import msgspec
import pytest

from api import schemas
from api.settings import Settings
from api.wiring import build
from graph.errors import Incompatible
from ingest.codec import decode
from tests.over_http import problem, transfer, until
from tests.served import running


def test_a_server_that_is_not_started_lives_but_is_not_ready(tmp_path: Path):
    service = build(Settings.load({}, data_dir=tmp_path, port=0, log_level="error"))
    hold = threading.Event()
    service.warm = hold.wait
    unknown = ("/v1/rings/nobody", "/v1/rings/nobody/importance")
    with running(service) as client:
        try:
            assert client.get("/healthz").status_code == 200
            answer = client.get("/readyz")
            assert answer.status_code == 503
            missing = schemas.Readiness.model_validate(answer.json()).missing
            named = [line.split(":")[0] for line in missing]
            assert named == ["kernels", "engine", "lists", "rings"]
            refused = client.post("/v1/score", json=transfer())
            problem(refused, 503)
            assert int(refused.headers["retry-after"]) >= 1
            for path in unknown:
                told = client.get(path)  # nobody can know yet that there is no such ring
                assert problem(told, 503, "unavailable").field == "ring_id"
                assert int(told.headers["retry-after"]) >= 1
            for path in ("/v1/lists/block", "/v1/lists/block/user/nobody"):
                # nor that nobody is on a list
                assert problem(client.get(path), 503, "unavailable").field == "listing"
        finally:
            hold.set()
        until(lambda: client.get("/readyz").status_code == 200, "ready")
        for path in unknown:
            problem(client.get(path), 404, "unknown-resource")


@pytest.mark.parametrize("state", ["recovering", "standby", "running", "stopping", "stopped"])
def test_what_passes_without_a_restart_is_no_reason_for_one(client, service, monkeypatch, state):
    told = (state, "Kafka does not answer")
    monkeypatch.setattr(service.engine, "standing", lambda: told)
    assert client.get("/healthz").status_code == 200


def test_an_engine_that_failed_for_good_is_told_of_as_no_longer_alive(tmp_path: Path):
    """Else nobody restarts it: an orchestrator asks /healthz, and the process goes on."""
    service = build(Settings.load({}, data_dir=tmp_path, port=0, log_level="error"))
    between = service.engine._between

    def broken(done: int) -> None:
        between(done)
        raise ZeroDivisionError("by nothing")

    service.engine._between = broken
    with running(service) as client:
        until(lambda: client.get("/readyz").status_code == 200, "ready")
        assert client.get("/healthz").status_code == 200
        assert client.post("/v1/score", json=transfer()).status_code == 200  # it was written
        until(lambda: service.engine.standing()[0] == "failed", "an end")
        answer = client.get("/healthz")
        found = problem(answer, 503, "server-failed")
        assert found.field == "engine"
        assert "ZeroDivisionError: by nothing" in found.detail
        assert client.get("/readyz").status_code == 503
        assert client.head("/healthz").status_code == 503


@pytest.mark.parametrize("part", ["rings", "lists"])
def test_a_board_that_ended_is_told_of_as_well(tmp_path: Path, part: str):
    service = build(Settings.load({}, data_dir=tmp_path, port=0, log_level="error"))
    board = service.board if part == "rings" else service.caching.lists

    def broken() -> int:
        raise ZeroDivisionError("by nothing")

    board.catch_up = broken
    with running(service) as client:
        until(lambda: client.get("/healthz").status_code == 503, "an end")
        found = problem(client.get("/healthz"), 503, "server-failed")
        assert (found.field, "ZeroDivisionError: by nothing" in found.detail) == (part, True)
        assert f"{part}: ZeroDivisionError: by nothing" in client.get("/readyz").json()["missing"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Incompatible("the kernels are of another version", remedy="Warm."), "another version"),
        (ZeroDivisionError("by nothing"), "ZeroDivisionError: by nothing"),
    ],
)
def test_a_start_that_failed_is_told_of_as_well(tmp_path: Path, error: Exception, said: str):
    service = build(Settings.load({}, data_dir=tmp_path, port=0, log_level="error"))

    def warm() -> None:
        raise error

    service.warm = warm
    with running(service) as client:
        until(lambda: client.get("/healthz").status_code == 503, "an end")
        found = problem(client.get("/healthz"), 503, "server-failed")
        assert found.field == "start"
        assert said in found.detail
        (start, *_) = client.get("/readyz").json()["missing"]
        assert said in start


def test_what_is_stopped_before_it_began_never_begins(tmp_path: Path):
    """Else an engine would start on a log that is being closed."""
    service = build(Settings.load({}, data_dir=tmp_path, port=0, log_level="error"))
    hold = threading.Event()
    service.warm = hold.wait
    service.start()
    stopping = threading.Thread(target=service.stop)
    stopping.start()
    until(lambda: service.engine.standing()[0] == "stopping", "the stop")
    hold.set()
    stopping.join(30)
    assert not stopping.is_alive()
    assert not service.engine._thread.is_alive()
    assert service.engine._thread.ident is None


def test_a_fault_of_ours_is_a_problem_with_a_number_and_tells_nothing(client, service, monkeypatch):
    def broken(_):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(type(service.board), "live", broken)
    found = problem(client.get("/v1/rings"), 500, "internal-error")
    assert found.field == "incident"
    assert "secret" not in found.model_dump_json()


def test_overload_is_refused_at_once_and_nothing_is_lost(client, service):
    """More than the queue holds: what is refused says so, what is taken is answered."""
    entered, leave = threading.Event(), threading.Event()

    def hold(_detector):
        entered.set()
        leave.wait(30)

    service.engine.ask(hold)
    assert entered.wait(10)
    filler = [
        msgspec.json.encode(transfer(transaction_id=f"fill{n}", user_id=f"f{n}"))
        for n in range(4_096)
    ]
    decoded = [decode(each, rates=service.rates, now=None) for each in filler]
    future = service.engine.submit(decoded, filler)
    try:
        answer = client.post("/v1/score", json=transfer(transaction_id="one-more"))
        problem(answer, 503, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        assert client.get("/healthz").status_code == 200
    finally:
        leave.set()
    assert len(future.result(60)) == 4_096
    assert client.post("/v1/score", json=transfer(transaction_id="one-more")).status_code == 200
