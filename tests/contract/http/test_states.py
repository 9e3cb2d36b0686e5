"""A server that is not ready, has failed, is at fault or has too much to do."""

import threading
from pathlib import Path

import msgspec
import pytest

from api import schemas
from api.service import Service
from api.settings import Settings
from api.wiring import build
from graph.errors import Incompatible
from graph.transaction import HOUR
from ingest.codec import decode
from tests.over_http import NOW, problem, transfer, until
from tests.served import running


@pytest.fixture
def fresh(tmp_path: Path) -> Service:
    """A service that was never started."""
    return build(Settings.load({}, data_dir=tmp_path, port=0, log_level="error"))


def test_a_server_that_is_not_started_lives_but_is_not_ready(fresh: Service):
    hold = threading.Event()
    fresh.warm = hold.wait
    unknown = ("/v1/rings/nobody", "/v1/rings/nobody/importance")
    unread = ("/v1/rings", *unknown)
    with running(fresh) as client:
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
            for path in unread:
                told = client.get(path)  # nobody can know yet that there is no such ring
                assert problem(told, 503, "still-reading").field == "rings"
                assert int(told.headers["retry-after"]) >= 1
            for path in ("/v1/lists/block", "/v1/lists/block/user/nobody"):
                # nor that nobody is on a list
                assert problem(client.get(path), 503, "still-reading").field == "lists"
        finally:
            hold.set()
        until(lambda: client.get("/readyz").status_code == 200, "ready")
        for path in unknown:
            problem(client.get(path), 404, "unknown-resource")


def test_an_engine_that_was_told_to_stop_is_no_reason_for_a_restart(fresh: Service):
    with running(fresh) as client:
        until(lambda: client.get("/readyz").status_code == 200, "ready")
        assert fresh.worker.stop()
        assert fresh.engine.standing()[0] == "stopped"
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200


def test_an_engine_that_failed_for_good_is_told_of_as_no_longer_alive(fresh: Service):
    """Else nobody restarts it: an orchestrator asks /healthz, and the process goes on."""
    between = fresh.engine._between

    def broken(done: int) -> None:
        between(done)
        raise ZeroDivisionError("by nothing")

    fresh.engine._between = broken
    with running(fresh) as client:
        until(lambda: client.get("/readyz").status_code == 200, "ready")
        assert client.get("/healthz").status_code == 200
        assert client.post("/v1/score", json=transfer()).status_code == 200  # it was written
        until(lambda: fresh.engine.standing()[0] == "failed", "an end")
        answer = client.get("/healthz")
        found = problem(answer, 503, "server-failed")
        assert found.field == "engine"
        assert "ZeroDivisionError: by nothing" in found.detail
        assert client.get("/readyz").status_code == 503
        assert client.head("/healthz").status_code == 503


@pytest.mark.parametrize(
    ("part", "paths"),
    [
        ("rings", ["/v1/rings", "/v1/rings/nobody", "/v1/rings/nobody/importance"]),
        ("lists", ["/v1/lists/block", "/v1/lists/block/user/nobody"]),
    ],
)
def test_who_ended_is_told_of_where_it_is_asked_and_keeps_nobody_from_scoring(
    fresh: Service, part: str, paths: list[str]
):
    board = fresh.board if part == "rings" else fresh.caching.lists

    def broken() -> int:
        raise ZeroDivisionError("by nothing")

    board.catch_up = broken
    with running(fresh) as client:
        until(lambda: client.get("/readyz").status_code == 200, "ready")
        for path in paths:
            found = problem(client.get(path), 503, "no-longer-reading")
            assert (found.field, "ZeroDivisionError: by nothing" in found.detail) == (part, True)
        (warning,) = [
            each for each in client.get("/readyz").json()["warnings"] if each.startswith(part)
        ]
        assert "ZeroDivisionError: by nothing" in warning
        assert client.get("/healthz").status_code == 200  # it would read the same once more
        assert client.post("/v1/score", json=transfer()).status_code == 200


def test_a_sweep_that_ended_by_an_error_is_a_warning(fresh: Service):
    with running(fresh) as client:
        until(lambda: client.get("/readyz").status_code == 200, "ready")
        assert not any("sweep" in each for each in client.get("/readyz").json()["warnings"])
        fresh.sweeper.failed = "ZeroDivisionError: by nothing"
        (warning,) = [each for each in client.get("/readyz").json()["warnings"] if "sweep" in each]
        assert "ZeroDivisionError: by nothing" in warning
        assert client.post("/v1/score", json=transfer()).status_code == 200


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Incompatible("the kernels are of another version", remedy="Warm."), "another version"),
        (ZeroDivisionError("by nothing"), "ZeroDivisionError: by nothing"),
    ],
)
def test_a_start_that_failed_is_told_of_as_well(fresh: Service, error: Exception, said: str):
    def warm() -> None:
        raise error

    fresh.warm = warm
    with running(fresh) as client:
        until(lambda: client.get("/healthz").status_code == 503, "an end")
        found = problem(client.get("/healthz"), 503, "server-failed")
        assert found.field == "start"
        assert said in found.detail
        (start, *_) = client.get("/readyz").json()["missing"]
        assert said in start


def test_what_is_stopped_before_it_began_never_begins(fresh: Service):
    """Else an engine would start on a log that is being closed."""
    hold = threading.Event()
    fresh.warm = hold.wait
    fresh.start()
    stopping = threading.Thread(target=fresh.stop)
    stopping.start()
    until(lambda: fresh.engine.standing()[0] == "stopping", "the stop")
    hold.set()
    stopping.join(30)
    assert not stopping.is_alive()
    assert not fresh.engine._thread.is_alive()
    assert fresh.engine._thread.ident is None


def test_a_fault_of_ours_is_a_problem_with_a_number_and_tells_nothing(client, service, monkeypatch):
    def broken(_):
        raise ZeroDivisionError("secret")

    # A fault that is not known yet cannot be brought about from outside.
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
    # Later than all before: what comes late at a hub is looked at anew, and takes a minute in all.
    filler = [
        msgspec.json.encode(
            transfer(transaction_id=f"fill{n}", timestamp=NOW + HOUR + n, user_id=f"f{n}")
        )
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
