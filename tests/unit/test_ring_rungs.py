"""The ring model on the ladder: recorded beside the replay, learned from it, told like the rest."""

import pytest

from api.ring_rungs import RingRungs
from api.wiring import detector
from ingest.datasets import read
from ingest.mapping import load_mapping
from ingest.simulator import SimulationConfig, write
from scorer.evaluation import evaluate
from scorer.report import render_html

pytestmark = pytest.mark.slow
CITY = SimulationConfig(seed=3, days=12, users=400, fraud_share=0.02)
BASES = {
    "head_alone": "blend",
    **dict.fromkeys(("nodes_alone", "gcn", "sage", "gnn"), "head_alone"),
    "gnn_onto_blend": "blend",
    "nodes_with_risk": "head_alone",
    "gnn_with_risk": "nodes_with_risk",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    city, spool = (tmp_path_factory.mktemp(name) for name in ("city", "spool"))
    write(CITY, city)
    engine = detector(sweeps=True)
    network = RingRungs(engine, engine, spool, epochs=4)
    history = read(city, load_mapping("ringfence"))
    return evaluate(history, network.replayer, ladder=network.rungs())


def test_every_shape_of_the_network_is_a_rung(report):
    rungs = report["ladder"]["rungs"]
    assert list(rungs)[-len(BASES) :] == list(BASES)
    for name, base in BASES.items():
        assert rungs[name]["gain"]["over"] == base
        assert 1 <= rungs[name]["facts"]["best_epoch"] <= rungs[name]["facts"]["epochs"]
        assert 0 < rungs[name]["brier"] < 0.1


def test_a_recording_changes_nothing_of_what_is_replayed(report, tmp_path):
    write(CITY, tmp_path)
    plain = evaluate(read(tmp_path, load_mapping("ringfence")), detector(sweeps=True))
    assert plain["rungs"] == report["rungs"]
    assert plain["rings"] == report["rings"]


def test_the_page_says_what_the_edges_bring(report):
    assert "the graph neural network" in render_html(report)
