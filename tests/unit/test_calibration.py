import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.errors import Incompatible
from scorer.calibration import Isotonic, Platt, read_calibration
from scorer.fitting import ISOTONIC_FROM, fit_calibration, fit_isotonic, fit_platt
from scorer.odds import sigmoid


def drawn(rows, truth, seed=0, centre=-2.0):
    rng = np.random.default_rng(seed)
    margins = rng.normal(centre, 2.0, size=rows).astype(np.float32)
    probability = np.array([sigmoid(truth(float(margin))) for margin in margins])
    return margins, rng.random(rows) < probability


def test_platt_recovers_the_line_that_made_the_labels():
    margins, fraud = drawn(40_000, lambda m: 0.6 * m - 1.0)
    line = fit_platt(margins, fraud)
    assert line.slope == pytest.approx(0.6, abs=0.05)
    assert line.intercept == pytest.approx(-1.0, abs=0.08)


def test_platt_stays_finite_where_the_classes_separate():
    margins = np.array([-3, -2, -1, 1, 2, 3], dtype=np.float32)
    line = fit_platt(margins, margins > 0)
    assert 0.05 < line.slope < 50
    assert 0 < line.apply(-3.0) < 0.5 < line.apply(3.0) < 1


def test_a_margin_that_ranks_the_wrong_way_is_flattened_not_turned_round():
    margins = np.linspace(-2, 2, 200).astype(np.float32)
    line = fit_platt(margins, margins < -1)
    assert line.slope == 0.05
    assert line.apply(0.0) == pytest.approx(51 / 202, abs=0.03)


def test_isotonic_recovers_a_bent_curve():
    def bent(margin):
        return 0.2 * margin - 1.5 if margin < 0 else 1.5 * margin - 1.5

    margins, fraud = drawn(60_000, bent)
    curve = fit_isotonic(margins, fraud)
    for at in (-5.0, -3.0, -1.0, 0.5, 1.5):
        assert curve.apply(at) == pytest.approx(sigmoid(bent(at)), abs=0.04)


def test_the_number_of_positives_chooses_the_method():
    margins, fraud = drawn(4_000, lambda m: m)
    assert 0 < fraud.sum() < ISOTONIC_FROM
    assert isinstance(fit_calibration(margins, fraud), Platt)
    margins, fraud = drawn(20_000, lambda m: m)
    assert fraud.sum() >= ISOTONIC_FROM
    assert isinstance(fit_calibration(margins, fraud), Isotonic)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 300))
def test_isotonic_rises_strictly_everywhere(seed, rows):
    rng = np.random.default_rng(seed)
    margins = np.round(rng.normal(size=rows), 1).astype(np.float32)
    fraud = rng.random(rows) < 0.3
    fraud[0], fraud[1] = True, False
    curve = fit_isotonic(margins, fraud)
    grid = np.linspace(-6, 6, 400)
    values = [curve.log_odds(float(at)) for at in grid]
    assert all(a < b for a, b in pairwise(values))
    assert 0 < curve.apply(-30.0) < curve.apply(30.0) < 1


@pytest.mark.parametrize("fitted", [Platt(0.7, -1.2), Isotonic((-1.0, 2.0), (-4.5, 0.3))])
def test_parameters_survive_json(fitted):
    again = read_calibration(json.loads(json.dumps(fitted.as_json())))
    assert again == fitted
    assert again.apply(0.4) == fitted.apply(0.4)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"method": "beta"},
        {"method": "platt", "slope": -1.0, "intercept": 0.0},
        {"method": "platt", "slope": "steep", "intercept": 0.0},
        {"method": "platt", "slope": float("nan"), "intercept": 0.0},
        {"method": "isotonic", "margins": [], "values": []},
        {"method": "isotonic", "margins": [0.0, 0.0], "values": [0.0, 1.0]},
        {"method": "isotonic", "margins": [0.0, 1.0], "values": [1.0, 0.0]},
    ],
)
def test_parameters_that_cannot_calibrate_are_refused(parameters):
    with pytest.raises(Incompatible, match="not the parameters of a calibration"):
        read_calibration(parameters)
