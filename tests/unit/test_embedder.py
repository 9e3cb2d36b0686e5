"""The encoder beside an engine: whom it embeds, when, and that a replay of the log agrees."""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch

from api.graph_model import FOLDER, SCHEMA, open_graph_model
from api.settings import Settings
from api.wiring import build
from gnn.export import export
from gnn.inference import RingScorer
from gnn.model import ModelSettings, RingModel
from graph.transaction import DAY, HOUR, MINUTE, Transaction
from ingest import codec
from ingest.currencies import RateTable
from ingest.embedded import EmbeddedLog
from ingest.embedded_parts import read
from ingest.embedder import PART, Embedder, Encoding, InLine, seen_by
from ingest.engine import Engine, EngineConfig
from ingest.ports import Topic
from ingest.recovery import Recovery
from ingest.reference import Facts
from scorer.artefact import TrainedModel, load_model
from scorer.detector import Detector
from scorer.graph_opinion import GraphStack
from tests.served import served
from tests.small_model import save_model

# An export takes half a minute.
pytestmark = pytest.mark.slow

START = 1_700_000_000_000 // DAY * DAY
RATES = RateTable("EUR", {})
FACTS = {Topic.EMBEDDINGS: read}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A model with a graph model beside it: weights nobody learned, but all the parts."""
    folder = tmp_path_factory.mktemp("model")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = RingModel(SCHEMA, ModelSettings(hidden=8, embedding=4, head=8))
    artefact = export(network)
    model = load_model(save_model(folder))
    replace(model, gnn=GraphStack(artefact.version, 0.1, 0.9, 0.5)).save(folder)
    artefact.save(folder / FOLDER)
    return folder


@pytest.fixture(scope="module")
def model(folder) -> TrainedModel:
    return load_model(folder)


@pytest.fixture(scope="module")
def scorer(folder, model) -> RingScorer:
    found = open_graph_model(folder, model)
    assert found.missing is None
    assert found.scorer is not None
    return found.scorer


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    log = EmbeddedLog(tmp_path / "log.db")
    yield log
    log.close()


def raw(number: int, at: int) -> bytes:
    record = {
        "transaction_id": f"t{number}", "timestamp": START + at, "type": "transfer",
        "amount": f"{10 + number % 7}.00", "currency": "EUR", "user_id": f"u{number % 11}",
        "counterparty_id": f"u{number % 5 + 20}", "device_id": f"d{number % 4}",
    }  # fmt: skip
    return json.dumps(record).encode()


def decode(data: bytes) -> Transaction:
    return codec.decode(data, rates=RATES, now=None)


LINES = [raw(number, number * 5 * MINUTE) for number in range(60)]


def submit(engine: Engine, lines: list[bytes]) -> list:
    return engine.submit([decode(line) for line in lines], lines).result(30)


def test_a_replay_of_the_log_knows_the_same_embeddings_at_the_same_place(
    log, model, scorer
) -> None:
    def build(snapshot: bytes | None) -> Detector:
        if snapshot is None:
            return Detector(model=model, gnn=scorer)
        return Detector.restore(snapshot, model, gnn=scorer)

    engine = Engine(log, build, decode, facts=FACTS, config=EngineConfig(news_ms=0))
    embedder = Embedder(engine, log, Encoding(scorer))
    engine.start()
    engine.wait_ready(30)
    assert not embedder.look()  # event time has not begun
    told = submit(engine, LINES[:30])
    assert {verdict.degraded for verdict in told} == {("gnn",)}
    assert embedder.look()
    assert not embedder.look()  # one run an hour
    told = [verdict for line in LINES[30:40] for verdict in submit(engine, [line])]
    assert [verdict.degraded for verdict in told][1:] == [()] * 9
    assert embedder.look()
    told += submit(engine, LINES[40:])
    stats = embedder.stats()
    assert (stats.runs, stats.left, stats.error) == (2, 0, None)
    assert stats.entities == len(engine.ask(lambda d: seen_by(d).window.accounts).result(5)) + 4
    assert engine.stop(30)

    again = Recovery(log, build, decode, Facts(log, FACTS), None)
    recovered = again.finish()
    assert (recovered.observed, recovered.differing) == (len(LINES), 0)


def test_in_a_replay_of_files_it_runs_before_the_first_transaction_of_an_hour(
    model, scorer
) -> None:
    detector, embed = Detector(model=model, gnn=scorer), InLine(Encoding(scorer))
    verdicts = []
    for line in LINES:
        tx = decode(line)
        if embed.is_due(tx.timestamp):
            embed.run(detector, tx.timestamp)
        verdicts.append(detector.observe(tx))
    assert not embed.is_due(decode(LINES[-1]).timestamp)
    first = next(i for i, v in enumerate(verdicts) if not v.degraded)
    assert decode(LINES[first]).timestamp == START + HOUR
    assert {v.degraded for v in verdicts[first:]} == {()}
    far = decode(LINES[-1]).timestamp + 10 * DAY
    embed.run(detector, far)  # a clock that is days ahead
    assert embed.is_due(far)


def test_who_was_seen_last_goes_first_where_there_is_no_room_for_all(model, scorer) -> None:
    detector = Detector(model=model, gnn=scorer)
    detector.observe_batch([decode(line) for line in LINES])
    every = list(Encoding(scorer).run(seen_by(detector)))
    assert all(len(part.entities) <= PART for part in every)
    few = Encoding(scorer, most=3)
    named = {entity.id for part in few.run(seen_by(detector)) for entity in part.entities}
    window = detector.window
    assert few.left == len(window.accounts) - 3 + len(window.identifiers) - 3
    last = decode(LINES[-1])
    assert {last.user_id, last.counterparty_id, last.device_id} <= named
    whole = {
        entity.id: row
        for part in every
        for entity, row in zip(part.entities, part.rows, strict=True)
    }
    for part in few.run(seen_by(detector)):
        for entity, row in zip(part.entities, part.rows, strict=True):
            np.testing.assert_allclose(row, whole[entity.id], atol=1e-5)


def test_a_graph_model_that_is_not_whole_is_done_without_and_said(folder, model, tmp_path) -> None:
    found = open_graph_model(tmp_path, model)
    assert found.scorer is None
    assert found.missing is not None
    assert "not a whole ring model" in found.missing
    (tmp_path / FOLDER).mkdir()
    for file in (folder / FOLDER).iterdir():
        data = bytearray(file.read_bytes())
        if file.name == "head.onnx":
            data[len(data) // 2] ^= 1
        (tmp_path / FOLDER / file.name).write_bytes(data)
    damaged = open_graph_model(tmp_path, model)
    assert damaged.scorer is None
    assert "checksums" in str(damaged.missing)
    stack = model.gnn
    assert stack is not None
    other = replace(model, gnn=replace(stack, version="another"))
    assert "another" in str(open_graph_model(folder, other).missing)


def scored(client: httpx.Client, number: int) -> dict:
    record = json.loads(raw(number, number * 5 * MINUTE))
    answer = client.post("/v1/score", json=record | {"timestamp": START + number * 5 * MINUTE})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_service_embeds_beside_the_engine_and_says_who_answered(folder, tmp_path) -> None:
    service = build(
        Settings.load({}, data_dir=tmp_path, model_dir=folder, port=0, log_level="error")
    )
    with served(service) as client:
        assert client.get("/v1/model").json()["tiers"] == ["rules", "graph", "model", "gnn"]
        assert scored(client, 0)["degraded"] == ["gnn"]
        number, deadline = 1, time.monotonic() + 60
        while scored(client, number)["degraded"]:
            assert time.monotonic() < deadline
            time.sleep(0.2)
            number += 1
        assert scored(client, number + 1)["tiers"] == ["rules", "graph", "model", "gnn"]
        assert client.get("/readyz").json()["stats"]["encoder"]["runs"] >= 1


def test_a_service_goes_on_without_its_graph_model_and_says_so(folder, tmp_path) -> None:
    lame = tmp_path / "model"
    shutil.copytree(folder, lame)
    (lame / FOLDER / "head.onnx").unlink()
    service = build(
        Settings.load({}, data_dir=tmp_path / "data", model_dir=lame, port=0, log_level="error")
    )
    with served(service) as client:
        found = client.get("/v1/model").json()
        assert found["tiers"] == ["rules", "graph", "model"]
        assert found["degraded"] == ["gnn"]
        assert scored(client, 0)["degraded"] == ["gnn"]
