"""What Prometheus is told is what happened, in few series, by a registry of one's own."""

import asyncio
import json
import threading
import time
from queue import Queue

import httpx
import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from api import metrics
from api.app import create_app
from api.metrics import ADMISSIONS, STATES, TIMED
from api.serving import server_of
from api.settings import Settings
from api.wiring import build
from ingest.engine_stats import EngineStats
from scorer.verdict import Decision

NOW = 1_772_366_400_000


def transfer(name: str, source: str, target: str, minutes: int) -> dict[str, object]:
    return {
        "transaction_id": name,
        "timestamp": NOW + minutes * 60_000,
        "type": "transfer",
        "amount": "5000.00",
        "currency": "EUR",
        "user_id": source,
        "counterparty_id": target,
    }


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("metrics")
    urls = Queue()
    server = server_of(
        build(Settings.load({}, data_dir=folder, port=0, log_level="error")), urls.put
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with httpx.Client(base_url=urls.get(timeout=60), timeout=60) as found:
            deadline = time.monotonic() + 120
            while found.get("/readyz").status_code != 200:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield found
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


def read(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Name of a series, to its label values by the name of the label, to its value."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def families(client) -> dict[str, dict[tuple[str, ...], float]]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return read(answer.text)


def test_what_was_scored_is_counted_once_by_decision_and_admission(client):
    before = families(client)
    pairs = [("u1", "u2"), ("u2", "u3"), ("u3", "u1")]
    for place, (source, target) in enumerate(pairs):
        body = transfer(f"m{place}", source, target, place)
        assert client.post("/v1/score", json=body).status_code == 200
    assert client.post("/v1/score", json=transfer("m0", "u1", "u2", 0)).status_code == 200
    assert client.post("/v1/score", content=b"{").status_code in {400, 415}
    batch = json.dumps([transfer("m9", "u4", "u5", 9)])
    headers = {"content-type": "application/json"}
    assert client.post("/v1/score/batch", content=batch, headers=headers).status_code == 200
    after = families(client)

    def more(name: str, *labels: str) -> float:
        return after[name].get(labels, 0) - before[name].get(labels, 0)

    decided = sum(more("ringfence_verdicts_total", each.value) for each in Decision)
    assert decided == 4
    assert more("ringfence_transactions_total", "accepted") == 4
    assert more("ringfence_duplicate_answers_total") == 1
    assert more("ringfence_alerts_total") >= 1  # the three make a ring
    assert more("ringfence_batches_total") >= 1
    assert more("ringfence_answer_seconds_count", "2xx", "/v1/score") == 4
    assert more("ringfence_answer_seconds_count", "4xx", "/v1/score") == 1
    assert more("ringfence_answer_seconds_count", "2xx", "/v1/score/batch") == 1


def test_how_it_stands_is_one_state_and_ready(client):
    found = families(client)
    assert found["ringfence_ready"] == {(): 1}
    assert found["ringfence_log_up"] == {(): 1}
    assert found["ringfence_engine_state"] == {(s,): float(s == "running") for s in STATES}
    assert found["ringfence_queued_transactions"] == {(): 0}
    assert found["ringfence_stream_lag_records"] == {(): 0}
    assert set(found["ringfence_sink_up"]) == set(found["ringfence_sink_lag_records"])


def test_series_do_not_grow_with_what_is_scored(client):
    before = families(client)
    for place in range(30):
        body = transfer(f"grow{place}", f"a{place}", f"b{place}", place)
        assert client.post("/v1/score", json=body).status_code == 200
        assert client.get(f"/v1/rings/none{place}").status_code == 404
    after = families(client)
    assert {name: set(series) for name, series in after.items()} == {
        name: set(series) for name, series in before.items()
    }
    assert sum(map(len, after.values())) < 200


def test_nothing_is_put_into_the_registry_that_everybody_shares(client):
    client.get("/metrics")
    assert not [m.name for m in REGISTRY.collect() if m.name.startswith("ringfence")]


def test_two_applications_count_apart():
    async def ask() -> list[dict[tuple[str, ...], float]]:
        found = []
        for times in (1, 0):
            through = httpx.ASGITransport(create_app(None), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=through, base_url="http://x") as client:
                for _ in range(times):
                    await client.post("/v1/score", content=b"{")
                text = (await client.get("/metrics")).text
            found.append(read(text)["ringfence_answer_seconds_count"])
        return found

    first, second = asyncio.run(ask())
    assert sum(first.values()) == 1
    assert sum(second.values()) == 0


def test_every_figure_of_the_engine_is_exported_or_left_out_on_purpose():
    """A figure added to `EngineStats` has to be thought about here."""
    exported = {
        "state", "observed", "duplicates", "dead_letters", "lost", "decisions", "ring_events",
        "alerts", "batches", "commit_failures", "queued", "stream_lag", "checkpoint_failures",
        "fenced", "recovered",
    }  # fmt: skip
    words_or_offsets = {"error", "checkpoint", "checkpoint_error", "known"}
    assert set(EngineStats.__dataclass_fields__) == exported | words_or_offsets
    assert set(ADMISSIONS) == {"accepted", "late", "ahead", "duplicate"}
    assert TIMED == ("/v1/score", "/v1/score/batch")


def engine_figures(**changed):
    return {
        **dict.fromkeys(EngineStats.__dataclass_fields__, 0),
        "state": "running",
        "error": None,
        "decisions": {},
        "observed": {},
        "stream_lag": None,
        "recovered": None,
        **changed,
    }


@pytest.mark.parametrize(("state", "shown"), [("standby", False), ("running", True)])
def test_only_who_leads_says_whether_the_log_answers(state, shown):
    names = {family.name for family in metrics._engine(engine_figures(state=state))}
    assert ("ringfence_log_up" in names) is shown
    assert "ringfence_stream_lag_records" not in names


@pytest.mark.parametrize(
    ("lag", "error", "up"), [(7, None, 1), (7, "the disk is full", 0), (None, None, 0)]
)
def test_a_log_that_is_read_but_not_written_is_not_up(lag, error, up):
    families = list(metrics._engine(engine_figures(stream_lag=lag, error=error)))
    (found,) = [family for family in families if family.name == "ringfence_log_up"]
    assert [sample.value for sample in found.samples] == [up]
