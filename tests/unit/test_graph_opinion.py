"""A graph model beside the blend: asked where its embeddings are fresh, done without where not."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from graph.errors import Incompatible
from graph.transaction import HOUR
from scorer.artefact import TrainedModel, load_model
from scorer.decision import Policy
from scorer.detector import Detector
from scorer.embeddings import STALE
from scorer.explanation import explain
from scorer.graph_opinion import CONTEXT, GraphStack, read_graph_stack
from scorer.odds import log_odds, sigmoid
from scorer.reference import Embedded
from scorer.verdict import Decision
from tests.bare_replayer import stream
from tests.small_model import save_model

WIDTH = 3
STACK = GraphStack("g1", intercept=0.25, blend=0.5, gnn=1.5)


class Leaning:
    """A head by hand: the more of the parties it knows, the surer it is of fraud."""

    version = "g1"
    width = WIDTH

    def log_odds(
        self,
        parties: NDArray[np.float32],
        there: NDArray[np.float32],
        age: float,
        context: NDArray[np.float32],
    ) -> float:
        assert parties.shape == (5 * WIDTH,)
        assert context.shape == (len(CONTEXT),)
        return float(4.0 * there.sum() + parties.sum() - age + 0.25 * context[1] - 3.0)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> TrainedModel:
    return load_model(save_model(tmp_path_factory.mktemp("model"), intercept=-3.0))


@pytest.fixture(scope="module")
def model(plain) -> TrainedModel:
    return replace(plain, gnn=STACK)


TRANSACTIONS = stream(5, 160, gap=HOUR // 2)
HALF = 80


def embedded(detector: Detector, as_of: int) -> Embedded:
    """Everybody in its window, embedded by who they are."""
    spaces = detector.window.accounts, detector.window.identifiers
    entities = tuple(space.entity(id_) for space in spaces for id_ in space)
    rows = [[len(e.kind.value) / 10, len(e.id) / 10, 0.1] for e in entities]
    return Embedded("g1", as_of, entities, np.array(rows, np.float32))


def run(detector: Detector, batch: int, transactions=TRANSACTIONS):
    """Verdicts; in the middle everybody is embedded."""
    found = []
    for part in (transactions[:HALF], transactions[HALF:]):
        for start in range(0, len(part), batch):
            found += detector.observe_batch(part[start : start + batch])
        detector.refer(embedded(detector, detector.window.watermark))
    return found


def test_without_embeddings_the_blend_answers_and_says_what_is_missing(plain, model) -> None:
    before = Detector(model=plain).observe_batch(TRANSACTIONS[:HALF])
    for gnn in (None, Leaning()):
        found = Detector(model=model, gnn=gnn).observe_batch(TRANSACTIONS[:HALF])
        assert [(v.score, v.decision, v.expected_cost) for v in found] == [
            (v.score, v.decision, v.expected_cost) for v in before
        ]
        assert {v.degraded for v in found} == {("gnn",)}
        assert {v.tiers for v in found} == {("rules", "graph", "model")}
    assert {v.degraded for v in before} == {()}


def test_with_embeddings_it_is_asked_and_the_weights_add_both(plain, model) -> None:
    detector, other = Detector(model=model, gnn=Leaning()), Detector(model=plain)
    found, blend = run(detector, 16), run(other, 16)
    asked = 0
    for tx, mine, theirs in zip(TRANSACTIONS, found, blend, strict=True):
        if mine.degraded:
            assert mine.score == theirs.score
            continue
        asked += 1
        assert mine.tiers == ("rules", "graph", "model", "gnn")
        kept = detector.kept.find(tx.transaction_id)
        if kept is not None:
            both = 0.25 + 0.5 * log_odds(theirs.score) + 1.5 * kept.gnn
            assert mine.score == pytest.approx(sigmoid(both), rel=1e-12)
        assert mine.model_score == theirs.model_score
        decision = Policy().choose(mine.score)
        if not mine.evidence and mine.decision is not decision:
            # It is a connection, and alone declines nobody.
            assert (mine.decision, decision) == (Decision.STEP_UP, Decision.DECLINE)
    assert asked >= 3
    assert any("graph_model" in {r.code for r in v.reasons} for v in found)


def test_verdicts_do_not_depend_on_batches_nor_on_a_restart(model) -> None:
    straight = run(Detector(model=model, gnn=Leaning()), 1)
    assert run(Detector(model=model, gnn=Leaning()), 64) == straight
    first = Detector(model=model, gnn=Leaning())
    told = first.observe_batch(TRANSACTIONS[:HALF])
    first.refer(embedded(first, first.window.watermark))
    told += first.observe_batch(TRANSACTIONS[HALF : HALF + 3])
    again = Detector.restore(first.snapshot(), model, gnn=Leaning())
    assert again.snapshot() == first.snapshot()
    told += again.observe_batch(TRANSACTIONS[HALF + 3 :])
    assert told == straight
    # Without its graph model the same state goes on, and says so.
    lame = Detector.restore(first.snapshot(), model)
    assert {v.degraded for v in lame.observe_batch(TRANSACTIONS[HALF + 3 :])} == {("gnn",)}


def test_what_it_says_leaves_no_trace_in_what_is_remembered(plain, model) -> None:
    detector, other = Detector(model=model, gnn=Leaning()), Detector(model=plain)
    run(detector, 16), run(other, 16)
    assert detector.memory.snapshot() == other.memory.snapshot()


def test_stale_embeddings_are_none(model) -> None:
    detector = Detector(model=model, gnn=Leaning())
    detector.observe_batch(TRANSACTIONS[:HALF])
    now = TRANSACTIONS[HALF].timestamp
    detector.refer(embedded(detector, now - STALE - 1))
    assert detector.observe(TRANSACTIONS[HALF]).degraded == ("gnn",)
    detector.refer(embedded(detector, now))
    assert detector.observe(TRANSACTIONS[HALF + 1]).degraded == ()


def test_the_explanation_of_a_verdict_adds_up_with_the_graph_model(model) -> None:
    detector = Detector(model=model, gnn=Leaning())
    asked = [v for v in run(detector, 16) if not v.degraded and v.reasons]
    assert asked
    for verdict in asked:
        held = detector.kept.find(verdict.transaction_id)
        assert held is not None
        found = explain(model, held)
        assert found.terms[-1].name == "gnn"
        assert sigmoid(found.log_odds) == pytest.approx(verdict.score, rel=1e-12)


def test_a_graph_model_of_another_training_is_refused(model) -> None:
    other = Leaning()
    other.version = "g2"  # type: ignore[misc]
    with pytest.raises(Incompatible, match="not the graph model"):
        Detector(model=model, gnn=other)


def test_the_weights_are_kept_with_the_model(model, plain, tmp_path) -> None:
    model.save(tmp_path)
    assert load_model(tmp_path).gnn == STACK
    assert model.version != plain.version


@pytest.mark.parametrize(
    "wrong",
    [
        {"gnn": -0.1},
        {"gnn": math.nan},
        {"blend": "much"},
        {"intercept": None},
    ],
)
def test_weights_that_cannot_be_are_refused(wrong) -> None:
    assert read_graph_stack(STACK.as_json()) == STACK
    assert read_graph_stack(None) is None
    with pytest.raises(Incompatible, match="not the weights of a graph model"):
        read_graph_stack(STACK.as_json() | wrong)


def test_certainty_of_the_blend_does_not_break_the_sum() -> None:
    assert STACK.combine(1.0, 0.0) < 1.0
    assert STACK.combine(0.0, 0.0) > 0.0
    assert STACK.combine(0.5, 2.0) == pytest.approx(sigmoid(0.25 + 3.0))
