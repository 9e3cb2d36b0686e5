"""Contributions over HTTP: a model answers, the engine holds the row, and a restart forgets it."""

import shutil
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import numpy as np
import pytest

from api.contribution_schemas import ContributionsOut
from api.schemas import Problem
from api.settings import Settings
from api.wiring import build
from tests import served as serving
from tests import small_model as small

pytestmark = pytest.mark.slow

NOW = 1_772_366_400_000
CYCLE = [("u1", "u2", "5210.00"), ("u2", "u3", "5000.00"), ("u3", "u1", "4800.00")]


def served(data: Path, model: Path | None) -> AbstractContextManager[httpx.Client]:
    """A client of a real server that is ready."""
    return serving.served(
        build(Settings.load({}, data_dir=data, model_dir=model, port=0, log_level="error"))
    )


def score_cycle(client: httpx.Client) -> dict[str, dict]:
    """Verdicts of three transfers that come home; the last completes the cycle."""
    verdicts = {}
    for n, (source, target, amount) in enumerate(CYCLE):
        body = {
            "transaction_id": f"c/{n}",
            "timestamp": NOW + n * 600_000,
            "type": "transfer",
            "amount": amount,
            "currency": "EUR",
            "user_id": source,
            "counterparty_id": target,
        }
        verdicts[f"c/{n}"] = client.post("/v1/score", json=body).raise_for_status().json()
    return verdicts


def refused(answer: httpx.Response, words: str) -> Problem:
    assert answer.status_code == 404, answer.text
    found = Problem.model_validate(answer.json())
    assert (found.code, found.field) == ("unknown-resource", "transaction_id")
    assert words in found.detail
    assert found.remedy
    return found


@pytest.mark.slow  # a server starts four times
def test_a_score_is_taken_apart_and_held_rows_do_not_outlive_what_made_them(tmp_path):
    first, second = (
        small.save_model(tmp_path / "one", -8.0),
        small.save_model(tmp_path / "two", -7.5),
    )
    data = tmp_path / "data"
    with served(data, first) as client:
        verdicts = score_cycle(client)
        answer = client.get("/v1/contributions/c/2")
        assert answer.status_code == 200, answer.text
        sent = answer.json()
        assert ContributionsOut.model_validate(sent).model_dump(mode="json") == sent

        told = verdicts["c/2"]
        assert (sent["transaction_id"], sent["decision"]) == ("c/2", told["decision"])
        assert (sent["score"], sent["model_score"]) == (told["score"], told["model_score"])
        assert sent["model_version"] == told["model_version"]
        added = sum(each["contribution"] for each in sent["features"])
        total = sent["base"] + added + sent["rest"]["contribution"]
        assert total == pytest.approx(sent["margin"], abs=1e-5)
        in_sum = sum(term["contribution"] for term in sent["terms"])
        assert in_sum == pytest.approx(sent["log_odds"])
        assert sent["score"] == pytest.approx(1 / (1 + np.exp(-sent["log_odds"])))

        features = {each["name"]: each for each in sent["features"]}
        assert set(features) <= set(small.ASKED)
        (cycle,) = [each for each in told["evidence"] if each["pattern"] == "cycle"]
        assert features["evidence_cycle"]["evidence_ids"] == [cycle["evidence_id"]]
        assert features["ring_score"]["ring_ids"] == told["rings"][:1]
        assert features["value_log"]["evidence_ids"] == []

        assert verdicts["c/0"]["decision"] == "approve"
        quiet = refused(client.get("/v1/contributions/c/0"), "its feature row is not held")
        assert "GET /v1/verdicts/" in quiet.remedy
        unknown = refused(client.get("/v1/contributions/nobody"), "has no verdict")
        assert unknown.value == "nobody"
        too_long = client.get(f"/v1/contributions/{'x' * 200}")
        assert Problem.model_validate(too_long.json()).status == 422

    with served(data, first) as client:  # it stopped in good order: its checkpoint has no rows
        refused(client.get("/v1/contributions/c/2"), "since the last start")

    shutil.rmtree(data / "checkpoints")
    with served(data, first) as client:  # judged again from the log, the row is there again
        again = client.get("/v1/contributions/c/2")
        assert again.json() == sent

    shutil.rmtree(data / "checkpoints")
    with served(data, second) as client:  # judged again by another model: not what was answered
        refused(client.get("/v1/contributions/c/2"), "its feature row is not held")


def test_without_a_model_there_is_nothing_to_take_apart(tmp_path):
    with served(tmp_path / "data", None) as client:
        assert score_cycle(client)["c/2"]["evidence"]
        found = refused(client.get("/v1/contributions/c/2"), "no model answered")
        assert "--model" in found.remedy
        body = {
            "transaction_id": "cafe\u0301",
            "timestamp": NOW,
            "type": "deposit",
            "amount": "1.00",
            "currency": "EUR",
            "user_id": "u1",
        }
        client.post("/v1/score", json=body).raise_for_status()
        refused(client.get("/v1/contributions/cafe%CC%81"), "no model answered")
        none = Problem.model_validate(client.get("/v1/contributions/%20c").json())
        assert (none.status, none.field) == (422, "transaction_id")
