"""Calibration, blend and policy of rows without evidence, compiled: nine of ten rows.

The same arithmetic as `scorer.calibration`, `scorer.blend` and `scorer.decision`, in the same
order, for a whole batch at a call; `tests/unit/test_plain_scores.py` holds it to them. It knows no
budget: that only makes milder what is not approved here, and who is not goes the long way.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.compiled import bind, kernel
from scorer.blend import Blend
from scorer.calibration import Calibration, Isotonic
from scorer.decision import Policy
from scorer.verdict import Decision

_APPROVE: Final = float(list(Decision).index(Decision.APPROVE))
_STEP_UP: Final = float(list(Decision).index(Decision.STEP_UP))
_DECLINE: Final = float(list(Decision).index(Decision.DECLINE))


class _Weights(NamedTuple):
    """Everything that is the same for all rows; thresholds of -1 where the policy has none."""

    slope: float
    intercept: float
    base: float
    model: float
    ring: float
    loss: float
    friction: float
    missed: float
    step_up_friction: float
    step_up_from: float
    decline_from: float


class PlainScores:
    """What becomes of margins where nothing but the model and a ring speaks.

    Args:
        calibration: From a margin to the model's probability.
        blend: The stack.
        policy: What to do at which probability.
    """

    def __init__(self, calibration: Calibration, blend: Blend, policy: Policy) -> None:
        knots: tuple[float, ...] = ()
        values: tuple[float, ...] = ()
        slope, intercept = 1.0, 0.0
        if isinstance(calibration, Isotonic):
            knots, values = calibration.margins, calibration.values
        else:
            slope, intercept = calibration.slope, calibration.intercept
        costs, thresholds = policy.costs, policy.thresholds or (-1.0, -1.0)
        self._knots = np.array(knots, np.float64)
        self._values = np.array(values, np.float64)
        self._weights = _Weights(
            slope=float(slope),
            intercept=float(intercept),
            base=float(blend.intercept),
            model=float(blend.model),
            ring=float(blend.ring),
            loss=float(costs.loss),
            friction=float(costs.friction),
            missed=1.0 - costs.step_up_catches,
            step_up_friction=float(costs.step_up_friction),
            step_up_from=float(thresholds[0]),
            decline_from=float(thresholds[1]),
        )
        self._kernel = bind(
            _plain_scores,
            self._weights,
            self._knots,
            self._values,
            np.zeros(1, np.float32),
            np.zeros(1, np.float64),
            np.zeros((1, 4), np.float64),
        )

    def of(self, margins: NDArray[np.float32], rings: NDArray[np.float64]) -> list[list[float]]:
        """Model score, score, expected cost and place of the decision in `Decision`, by row.

        Args:
            margins: float32 [N], the booster's.
            rings: float64 [N], score of the strongest ring touched, 0 where there is none.
        """
        out = np.empty((len(margins), 4), np.float64)
        self._kernel(self._weights, self._knots, self._values, margins, rings, out)
        rows: list[list[float]] = out.tolist()
        return rows


@kernel
def _sigmoid(margin):  # type: ignore[no-untyped-def]
    if margin >= 0:
        return 1.0 / (1.0 + np.exp(-margin))
    grown = np.exp(margin)
    return grown / (1.0 + grown)


@kernel
def _calibrated(weights, knots, values, margin):  # type: ignore[no-untyped-def]
    """Log-odds of a margin: Platt's line, or the isotonic knots where there are any."""
    if len(knots) == 0:
        return weights.slope * margin + weights.intercept
    above = np.searchsorted(knots, margin, side="right")
    if above == 0:
        return values[0] + (margin - knots[0])
    if above == len(knots):
        return values[-1] + (margin - knots[-1])
    low = above - 1
    share = (margin - knots[low]) / (knots[above] - knots[low])
    return values[low] + share * (values[above] - values[low])


@kernel(nogil=True)
def _plain_scores(weights, knots, values, margins, rings, out):  # type: ignore[no-untyped-def]
    """Fill `out` float64[N, 4] for margins float32[N] and ring scores float64[N]."""
    for i in range(len(margins)):
        model = _sigmoid(_calibrated(weights, knots, values, np.float64(margins[i])))
        odds = np.log(model / (1.0 - model))
        score = _sigmoid(weights.base + weights.model * odds + weights.ring * rings[i])
        approve = score * weights.loss
        step_up = score * weights.missed * weights.loss
        step_up += (1.0 - score) * weights.step_up_friction
        decline = (1.0 - score) * weights.friction
        if weights.decline_from >= 0:
            code = _APPROVE
            if score >= weights.decline_from:
                code = _DECLINE
            elif score >= weights.step_up_from:
                code = _STEP_UP
        elif approve <= step_up and approve <= decline:
            code = _APPROVE
        else:
            code = _STEP_UP if step_up <= decline else _DECLINE
        cost = approve
        if code == _STEP_UP:
            cost = step_up
        elif code == _DECLINE:
            cost = decline
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = model, score, cost, code
