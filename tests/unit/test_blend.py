import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.errors import Incompatible
from graph.evidence import Evidence, Pattern, Role
from graph.transaction import Entity, EntityKind
from scorer.blend import (
    EVIDENCE_SHARE,
    FLOOR,
    Blend,
    joint_strength,
    read_blend,
    without_model,
)
from scorer.decision import Policy
from scorer.fitting import fit_blend
from scorer.odds import log_odds, sigmoid
from scorer.verdict import Decision

USER = Entity(EntityKind.USER, "u1")
shares = st.floats(0.0, 1.0)


def piece(strength, pattern=Pattern.MULE):
    return Evidence(pattern, 0, ((USER, Role.MULE),), (), strength, "seen")


def test_strengths_join_by_noisy_or():
    assert joint_strength(()) == 0.0
    assert joint_strength([piece(0.4)]) == pytest.approx(0.4)
    assert joint_strength([piece(0.5), piece(0.5)]) == pytest.approx(0.75)
    assert joint_strength([piece(1.0)]) == 0.999


@given(st.lists(shares, max_size=6), shares)
def test_without_a_model_rules_and_heuristics_still_answer(strengths, ring):
    answer = Blend().apply(None, ring, [piece(s) for s in strengths])
    assert max([FLOOR, *(EVIDENCE_SHARE * s for s in strengths)]) - 1e-9 <= answer < 1
    if not strengths:
        assert Policy().choose(answer) is Decision.APPROVE  # a connection alone asks for nothing
    assert answer <= without_model(1.0, [piece(s) for s in strengths]) + 1e-12


def test_nothing_seen_and_no_model_is_the_floor():
    assert Blend().apply(None, 0.0, ()) == pytest.approx(FLOOR)


@given(st.floats(0.001, 0.999), shares, st.lists(shares, max_size=4), shares)
def test_more_evidence_or_a_worse_ring_never_lowers_the_answer(p, ring, strengths, more):
    blend = Blend(intercept=-0.3, model=0.9, ring=1.2, evidence=2.0)
    evidence = [piece(s) for s in strengths]
    before = blend.apply(p, ring, evidence)
    assert 0 < before < 1
    assert blend.apply(p, ring, [*evidence, piece(more)]) >= before
    assert blend.apply(p, min(1.0, ring + more), evidence) >= before


def test_the_default_takes_the_model_at_its_word():
    assert Blend().apply(0.37, 0.9, [piece(0.8)]) == pytest.approx(0.37)


def test_the_stack_is_recovered_from_the_rows_that_it_made():
    rng = np.random.default_rng(3)
    rows = 60_000
    model = rng.normal(-2.5, 1.5, rows)
    ring = np.where(rng.random(rows) < 0.3, rng.random(rows), 0.0)
    joint = np.where(rng.random(rows) < 0.3, rng.random(rows), 0.0)
    truth = Blend(intercept=-0.5, model=0.8, ring=0.0, evidence=2.5)
    chance = [truth.combine(*three) for three in zip(model, ring, joint, strict=True)]
    fitted = fit_blend(model, ring, joint, rng.random(rows) < chance)
    assert fitted.intercept == pytest.approx(-0.5, abs=0.1)
    assert fitted.model == pytest.approx(0.8, abs=0.05)
    assert fitted.ring == pytest.approx(0.0, abs=0.15)
    assert fitted.evidence == pytest.approx(2.5, abs=0.15)


def test_an_input_that_speaks_against_fraud_is_left_out():
    rng = np.random.default_rng(4)
    model = rng.normal(-2, 1, 20_000)
    ring = rng.random(20_000)
    chance = np.array([sigmoid(m - 2 * r) for m, r in zip(model, ring, strict=True)])
    fitted = fit_blend(model, ring, np.zeros(20_000), rng.random(20_000) < chance)
    assert fitted.ring == 0.0
    assert fitted.evidence == 0.0
    assert fitted.model > 0.5


def test_a_model_that_says_nothing_on_the_later_slice_is_taken_at_its_word():
    rng = np.random.default_rng(5)
    model = rng.normal(-2, 1, 4_000)
    fraud = rng.random(4_000) < 1 / (1 + np.exp(model + 4))
    assert fit_blend(model, np.zeros(4_000), np.zeros(4_000), fraud) == Blend()


def test_weights_survive_json_and_wrong_ones_are_refused():
    blend = Blend(-0.1, 0.9, 0.4, 1.7)
    assert read_blend(blend.as_json()) == blend
    for wrong in (
        {},
        {"intercept": 0.0},
        blend.as_json() | {"model": -1.0},
        blend.as_json() | {"ring": -0.1},
        blend.as_json() | {"evidence": float("nan")},
        blend.as_json() | {"other": 1.0},
        blend.as_json() | {"ring": "high"},
    ):
        with pytest.raises(Incompatible, match="weights of a blend"):
            read_blend(wrong)


@given(st.floats(-30, 30))
def test_log_odds_and_sigmoid_are_inverse(margin):
    assert log_odds(sigmoid(margin)) == pytest.approx(margin, abs=1e-2)
    assert sigmoid(-margin) == pytest.approx(1 - sigmoid(margin))
