"""The ring model on the ladder: recorded beside the replay, learned from it, told like the rest."""

import pytest

from api.ring_rungs import RingRungs
from api.sequence_rung import OTHER_SEEDS, sequence_rungs
from api.wiring import detector
from gnn.event_sequences import LENGTH
from ingest.datasets import read
from ingest.mapping import load_mapping
from ingest.simulator import SimulationConfig, write
from scorer.evaluation import evaluate
from scorer.fitting import BoosterSettings
from scorer.report import render_html
from scorer.wording import points

pytestmark = pytest.mark.slow
CITY = SimulationConfig(seed=23, days=6, users=250, fraud_share=0.05)
FEW = BoosterSettings(rounds=60, patience=20)
_OF_HEAD = (
    *("nodes_alone", "gcn", "sage", "gnn", "gnn_shuffled", "nodes_with_risk"),
    *("event_alone", "sequence"),
)
BASES = {
    "head_alone": "blend",
    **dict.fromkeys(_OF_HEAD, "head_alone"),
    **dict.fromkeys(("gnn_onto_blend", "gnn_onto_shuffled"), "blend"),
    "gnn_with_risk": "nodes_with_risk",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    city, spool = (tmp_path_factory.mktemp(name) for name in ("city", "spool"))
    write(CITY, city)
    engine = detector(sweeps=True)
    network = RingRungs(engine, engine, spool, epochs=2)
    history = read(city, load_mapping("ringfence"))
    ladder = (*network.rungs(), *sequence_rungs(network))
    return evaluate(history, network.replayer, settings=FEW, ladder=ladder)


def test_every_shape_of_the_network_is_a_rung(report):
    rungs = report["ladder"]["rungs"]
    assert set(list(rungs)[-len(BASES) :]) == set(BASES)
    for name, base in BASES.items():
        assert rungs[name]["gain"]["over"] == base
        assert 1 <= rungs[name]["facts"]["best_epoch"] <= rungs[name]["facts"]["epochs"]
        assert 0 < rungs[name]["brier"] < 0.1


def test_a_recording_changes_nothing_of_what_is_replayed(report, tmp_path):
    write(CITY, tmp_path)
    history = read(tmp_path, load_mapping("ringfence"))
    plain = evaluate(history, detector(sweeps=True), settings=FEW)
    assert plain["rungs"] == report["rungs"]
    assert plain["rings"] == report["rings"]


def test_the_page_says_what_the_edges_bring(report):
    page = render_html(report)
    assert "with the graph neural network" in page
    told = report["ladder"]["edges"]["gnn"]
    assert told["over_shuffled"]["over"] == "gnn_shuffled"
    assert 0.5 < report["ladder"]["rungs"]["gnn_shuffled"]["facts"]["edges_moved"] < 1
    assert told["sentence"].partition("&")[0].partition("'")[0] in page


def test_the_sequence_hears_earlier_events(report):
    assert 1 < report["ladder"]["rungs"]["sequence"]["facts"]["earlier_events"] <= LENGTH
    assert report["ladder"]["rungs"]["event_alone"]["facts"]["earlier_events"] == 0


def test_other_seeds_are_told_beside_a_sequence(report):
    for name in ("event_alone", "sequence"):
        told = report["ladder"]["rungs"][name]
        others = told["facts"]["other_seeds"]
        assert len({told["average_precision"], *others}) == 1 + OTHER_SEEDS
        assert told["more"] == [
            f"With other seeds its average precision is {' and '.join(map(points, others))}."
        ]
