"""`ringfence train --gnn`: the same trees, a graph model beside them where it pays, no rubbish."""

import logging

import pytest

from api.graph_model import FOLDER, HEAD, NO_GRAPH_MODEL, forget_networks, open_graph_model
from api.graph_training import GraphTraining
from api.recorded_rows import RecordedRows
from api.wiring import detector
from gnn.spool import open_spool
from ingest.datasets import count, read
from ingest.mapping import load_mapping
from ingest.simulator import SimulationConfig, write
from scorer.artefact import load_model
from scorer.fitting import MOST_NEGATIVES, BoosterSettings
from scorer.history_replay import silent
from scorer.training import train

pytestmark = pytest.mark.slow
FEW = BoosterSettings(rounds=60, patience=20)


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    folder = tmp_path_factory.mktemp("city")
    write(SimulationConfig(seed=23, days=8, users=250, fraud_share=0.03), folder)
    return folder


class Killed(Exception):
    pass


def kill(_stage: str, _done: int) -> None:
    raise Killed


def learned(city, workshop, seed=0, progress=silent, most=MOST_NEGATIVES):
    engine, mapping = detector(sweeps=True), load_mapping("ringfence")
    rows = RecordedRows(count(city, mapping), seed, most)
    graph = GraphTraining(engine, engine, workshop, rows, epochs=1, progress=progress)
    history = rows.seen(read(city, mapping))
    return train(history, graph.replayer, seed=seed, settings=FEW, then=graph), graph


def test_the_trees_are_the_same_and_what_does_not_pay_is_not_written(
    city, tmp_path, caplog
) -> None:
    workshop, out = tmp_path / "workshop", tmp_path / "model"
    with pytest.raises(Killed):
        learned(city, workshop, seed=1, progress=kill)  # an epoch of another run lies there
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
    forget_networks(out)
    model.save(out)
    graph.save(out)
    assert not (out / FOLDER).exists()
    assert (out / HEAD).exists() == told["ring_head"]["kept"]
    assert not workshop.exists()
    again = load_model(out)
    assert again.gnn is None
    assert open_graph_model(out, again) == NO_GRAPH_MODEL


def test_of_a_long_history_a_sample_is_recorded_that_stands_for_all(city, tmp_path) -> None:
    model, _ = learned(city, tmp_path / "workshop", most=600)
    of = model.metrics["gnn"]["rows"]
    labelled = [item.fraud for item in read(city, load_mapping("ringfence"))]
    labelled = [fraud for fraud in labelled if fraud is not None]
    assert of["share_recorded"] == pytest.approx(1_200 / count(city, load_mapping("ringfence")))
    # Three quarters of the early four fifths were scored out of fold.
    assert of["standing_for"] == pytest.approx(0.6 * len(labelled), rel=0.02)
    assert of["learned_from"] < 0.5 * of["standing_for"]
    assert of["stopped_by"] + of["tried_on"] == pytest.approx(0.2 * len(labelled), rel=0.02)
    spool = open_spool(tmp_path / "workshop")
    assert spool.kept.sum() < 0.6 * len(labelled)
    assert spool.transactions.sum() == count(city, load_mapping("ringfence"))
