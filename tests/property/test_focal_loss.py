"""The focal loss's derivatives are those of the loss; its hessian is safe to divide by."""

import numpy as np
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from scorer.alternatives.focal_loss import FocalLoss, focal_derivatives, focal_loss

MARGINS = st.floats(-12, 12)
GAMMAS = st.floats(0, 5)
STEP = 1e-4


@given(MARGINS, st.booleans(), GAMMAS)
def test_derivatives_agree_with_finite_differences(margin, label, gamma):
    at = np.array([margin - STEP, margin, margin + STEP])
    fraud = np.full(3, label)
    loss = focal_loss(at, fraud, gamma)
    first, second = focal_derivatives(at, fraud, gamma)
    assert (loss[2] - loss[0]) / (2 * STEP) == pytest.approx(first[1], rel=1e-4, abs=1e-7)
    assert (first[2] - first[0]) / (2 * STEP) == pytest.approx(second[1], rel=1e-4, abs=1e-7)


@given(MARGINS, st.booleans())
def test_without_focus_it_is_the_logistic_loss(margin, label):
    at, fraud = np.array([margin]), np.array([label])
    p = 1 / (1 + np.exp(-margin))
    assert focal_loss(at, fraud, 0.0)[0] == pytest.approx(
        np.logaddexp(0, -margin if label else margin)
    )
    first, second = focal_derivatives(at, fraud, 0.0)
    assert first[0] == pytest.approx(p - label)
    assert second[0] == pytest.approx(p * (1 - p))


@given(MARGINS, st.booleans(), st.floats(0, 4), st.floats(0.1, 3))
def test_the_loss_falls_with_focus_and_is_positive(margin, label, gamma, more):
    at, fraud = np.array([margin]), np.array([label])
    assert 0 <= focal_loss(at, fraud, gamma + more)[0] <= focal_loss(at, fraud, gamma)[0]


@given(st.lists(st.tuples(MARGINS, st.booleans(), st.floats(0.5, 50)), min_size=1, max_size=20))
def test_what_xgboost_gets_is_weighted_and_never_divides_by_nothing(rows):
    margins, labels, weights = (np.array(column) for column in zip(*rows, strict=True))
    matrix = xgboost.DMatrix(np.zeros((len(rows), 1)), label=labels, weight=weights, nthread=1)
    loss = FocalLoss()
    gradient, hessian = loss(margins.astype(np.float32), matrix)
    alone = xgboost.DMatrix(np.zeros((len(rows), 1)), label=labels, nthread=1)
    plain, _ = loss(margins.astype(np.float32), alone)
    np.testing.assert_allclose(gradient, plain * weights, rtol=1e-5)
    assert (hessian >= loss.floor * weights * 0.999).all()
