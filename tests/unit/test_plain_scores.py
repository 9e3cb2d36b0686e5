"""The compiled scores of rows without evidence: those of the long way, to a bit."""

import numpy as np
import pytest

from scorer.blend import Blend
from scorer.calibration import Isotonic, Platt
from scorer.decision import FIXED, Costs, Policy
from scorer.plain_scores import PlainScores
from scorer.verdict import Decision

CALIBRATIONS = (
    Platt(1.3, -0.7),
    Platt(0.04, 2.0),
    Isotonic((-4.0, -1.0, 0.5, 3.0), (-7.0, -3.0, 0.25, 4.0)),
    Isotonic((0.0,), (-1.0,)),
)
POLICIES = (
    Policy(),
    FIXED,
    Policy(Costs(step_up_catches=0.0)),
    Policy(thresholds=(0.2, 0.2)),
)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_every_row_has_what_the_long_way_gives(calibration, policy) -> None:
    rng = np.random.default_rng(7)
    margins = np.concatenate(
        [rng.normal(0, 4, 3000), rng.normal(-9, 2, 500), [-4.0, -1.0, 0.0, 0.5, 3.0, 20.0]]
    ).astype(np.float32)
    rings = np.where(rng.random(len(margins)) < 0.5, 0.0, rng.random(len(margins)))
    blend = Blend(intercept=-0.2, model=0.9, ring=1.7, evidence=2.0)
    told = PlainScores(calibration, blend, policy).of(margins, rings)
    for margin, ring, (model, score, cost, place) in zip(
        margins.tolist(), rings.tolist(), told, strict=True
    ):
        expected = calibration.apply(margin)
        assert model == expected
        assert score == blend.apply(expected, ring, ())
        assert (list(Decision)[int(place)], cost) == policy.decide(score)


def test_nothing_comes_of_nothing() -> None:
    scores = PlainScores(Platt(1.0, 0.0), Blend(), Policy())
    assert scores.of(np.empty(0, np.float32), np.empty(0, np.float64)) == []
