"""`ringfence train --gnn`: the same trees, a graph model beside them where it pays, no rubbish."""

import logging
import shutil

import numpy as np
import pytest

from api.graph_model import FOLDER, HEAD, NETWORKS, NO_GRAPH_MODEL, open_graph_model
from api.graph_training import GraphTraining
from api.recorded_rows import RecordedRows
from api.wiring import detector
from gnn.spool import open_spool
from graph.transaction import DAY
from ingest.datasets import count, read
from ingest.embedder import Encoding, InLine
from ingest.mapping import load_mapping
from ingest.output_folder import new_files
from ingest.simulator import SimulationConfig, write
from scorer.artefact import FILES, load_model
from scorer.detector import Detector
from scorer.fitting import MOST_NEGATIVES, BoosterSettings
from scorer.metrics import average_precision
from scorer.training import train
from tests.oracles.marked_world import BEGINS, write_marked_world

pytestmark = pytest.mark.slow
FEW = BoosterSettings(rounds=60, patience=20)


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    folder = tmp_path_factory.mktemp("city")
    write(SimulationConfig(seed=23, days=8, users=250, fraud_share=0.03), folder)
    return folder


def learned(city, workshop, seed=0, most=MOST_NEGATIVES, epochs=1):
    engine, mapping = detector(sweeps=True), load_mapping("ringfence")
    rows = RecordedRows(count(city, mapping), seed, most)
    graph = GraphTraining(engine, engine, workshop, rows, epochs=epochs)
    history = rows.seen(read(city, mapping))
    return train(history, graph.replayer, seed=seed, settings=FEW, then=graph), graph


@pytest.fixture(scope="module")
def sampled(city, tmp_path_factory):
    """A model of a sample, and the workshop that it left, since nobody saved it."""
    workshop = tmp_path_factory.mktemp("sampled") / "workshop"
    model, _ = learned(city, workshop, seed=1, most=600)
    return model, workshop


def test_the_trees_are_the_same_and_what_does_not_pay_is_not_written(
    city, sampled, tmp_path, caplog
) -> None:
    workshop, out = tmp_path / "workshop", tmp_path / "model"
    shutil.copytree(sampled[1], workshop)  # an epoch of another run lies there
    with caplog.at_level(logging.WARNING):
        model, graph = learned(city, workshop)
    assert "begun anew" in caplog.text
    history = read(city, load_mapping("ringfence"))
    plain = train(history, detector(sweeps=True), settings=FEW)
    assert model.booster.saved == plain.booster.saved
    assert model.blend == plain.blend
    told = model.metrics["gnn"]
    assert told == graph.figures
    assert told["epochs"] == 1
    # Half a slice of so small a city holds too few frauds to let anything in.
    assert told["why"] == "too few frauds"
    assert not told["used"]
    assert model.gnn is None

    (out / FOLDER).mkdir(parents=True)  # of a training before
    with new_files(out, FILES, folders=NETWORKS) as folder:
        model.save(folder)
        graph.save(folder)
    assert not (out / FOLDER).exists()
    assert (out / HEAD).exists() == told["ring_head"]["kept"]
    assert not workshop.exists()
    again = load_model(out)
    assert again.gnn is None
    assert open_graph_model(out, again) == NO_GRAPH_MODEL


def test_of_a_long_history_a_sample_is_recorded_that_stands_for_all(city, sampled) -> None:
    model, workshop = sampled
    of = model.metrics["gnn"]["rows"]
    labelled = [item.fraud for item in read(city, load_mapping("ringfence"))]
    labelled = [fraud for fraud in labelled if fraud is not None]
    assert of["share_recorded"] == pytest.approx(1_200 / count(city, load_mapping("ringfence")))
    # Three quarters of the early four fifths were scored out of fold.
    assert of["standing_for"] == pytest.approx(0.6 * len(labelled), rel=0.02)
    assert of["learned_from"] < 0.5 * of["standing_for"]
    assert of["stopped_by"] + of["tried_on"] == pytest.approx(0.2 * len(labelled), rel=0.02)
    spool = open_spool(workshop)
    assert spool.kept.sum() < 0.6 * len(labelled)
    assert spool.transactions.sum() == count(city, load_mapping("ringfence"))


def answers(world, model, scorer):
    """Verdicts on a world, embedded hour by hour where there is a graph model."""
    serving = Detector(model=model, gnn=scorer)
    embed = None if scorer is None else InLine(Encoding(scorer))
    said = []
    for item in read(world, load_mapping("ringfence")):
        if embed is not None and embed.is_due(item.transaction.timestamp):
            embed.run(serving, item.transaction.timestamp)
        said.append(serving.observe(item.transaction))
    return said


def test_what_pays_is_written_and_answers_in_a_world_it_has_not_seen(tmp_path) -> None:
    here, elsewhere, out = tmp_path / "here", tmp_path / "elsewhere", tmp_path / "model"
    write_marked_world(here, 0, marks=100, days=8)
    model, graph = learned(here, tmp_path / "workshop", epochs=2)
    assert graph.figures["used"]
    assert graph.figures["gain"]["low"] > 0.1
    model.save(out)
    graph.save(out)

    write_marked_world(elsewhere, 1, marks=100, days=4)
    fraud = np.array([item.fraud for item in read(elsewhere, load_mapping("ringfence"))])
    again = load_model(out)
    scorer = open_graph_model(out, again).scorer
    assert scorer is not None
    said = answers(elsewhere, again, scorer)
    asked = np.array(["gnn" in verdict.tiers for verdict in said])
    assert asked.sum() > 1_000
    assert all(
        ("gnn" in verdict.degraded) != each for verdict, each in zip(said, asked, strict=True)
    )
    assert any(
        reason.code == "graph_model"
        for verdict, bad in zip(said, fraud, strict=True)
        if bad
        for reason in verdict.reasons
    )

    damaged = out / FOLDER / "head.onnx"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    without = open_graph_model(out, again)
    assert without.scorer is None
    assert "checksums" in str(without.missing)
    blind = answers(elsewhere, again, without.scorer)
    assert all(verdict.degraded == ("gnn",) for verdict in blind)
    # Nobody is known by the company they keep before it has met.
    late = np.array([verdict.timestamp > BEGINS + DAY for verdict in said])
    known = asked & late
    with_it = average_precision(np.array([v.score for v in said])[known], fraud[known])
    without_it = average_precision(np.array([v.score for v in blind])[known], fraud[known])
    assert with_it > 0.95
    assert without_it < 0.7
