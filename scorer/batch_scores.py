"""Calibration, memory, blend and policy of a whole batch, compiled.

The same arithmetic as `scorer.calibration`, `scorer.blend` and `scorer.decision`, in the same
order; `tests/unit/test_batch_scores.py` holds it to them. Row by row, since what one transaction
was scored is recalled by the next. The decision is that of a row without evidence, which nine of
ten are, and knows no budget: that only makes milder what is not approved here, and who is not, or
has evidence, goes the long way.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.compiled import bind, kernel
from scorer.blend import Blend
from scorer.calibration import Calibration, Isotonic
from scorer.decision import Policy
from scorer.odds import MOST_LOG_ODDS
from scorer.risk_kernel import OWN, WIDTH, RiskState, probability, recall, remember, weighed
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
    evidence: float
    loss: float
    friction: float
    missed: float
    step_up_friction: float
    step_up_from: float
    decline_from: float


class BatchScore(NamedTuple):
    """What is said of one transaction.

    Attributes:
        model_score: The model's calibrated probability.
        score: Probability of fraud: after the blend, or after the graph model where it was asked.
        cost: Expected cost of `place`.
        place: Of the decision in `Decision`, for a transaction without evidence.
        own: Log-odds that the recent scores of its user's own transactions are worth.
        others: Log-odds that those of everybody else who takes part are worth.
        blend: Probability after the blend: what is remembered.
        gnn: Log-odds of the graph model; NaN where it was not asked (`scorer.graph_opinion`).
    """

    model_score: float
    score: float
    cost: float
    place: float
    own: float
    others: float
    blend: float
    gnn: float


class BatchScores:
    """What becomes of the margins of a batch.

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
            evidence=float(blend.evidence),
            loss=float(costs.loss),
            friction=float(costs.friction),
            missed=1.0 - costs.step_up_catches,
            step_up_friction=float(costs.step_up_friction),
            step_up_from=float(thresholds[0]),
            decline_from=float(thresholds[1]),
        )
        self._memory = blend.memory_weights
        self._recalled = np.zeros(WIDTH)
        self._kernel: Callable[..., Any] | None = None
        self._remembers = bool(blend.memory)

    def of(
        self,
        margins: NDArray[np.float32],
        rings: NDArray[np.float64],
        joint: NDArray[np.float64],
        state: RiskState,
        who: NDArray[np.int64],
        times: NDArray[np.int64],
        accepted: NDArray[np.bool_],
    ) -> NDArray[np.float64]:
        """Score rows in order, and remember the scores of those accepted.

        Args:
            margins: float32 [N], the booster's; NaN where a row is not scored.
            rings: float64 [N], score of the strongest ring touched, 0 where there is none.
            joint: float64 [N], joint strength of the evidence completed.
            state: What is remembered; what the accepted rows were scored is added to it.
            who: int64 [at least N, 2 * PARTIES], who takes part.
            times: int64 [N], event times.
            accepted: bool [N]; who is not is scored, and not remembered.

        Returns:
            float64 [N, fields of a `BatchScore`]; `told` makes those of it.
        """
        out = np.empty((len(margins), len(BatchScore._fields)), np.float64)
        arguments = (
            self._weights,
            self._knots,
            self._values,
            self._memory,
            self._remembers,
            state,
            who,
            # A bound kernel knows one layout, and a column of a single row looks contiguous.
            np.ascontiguousarray(times),
            accepted,
            self._recalled,
            margins,
            rings,
            joint,
            out,
        )
        self._kernel = self._kernel or bind(_score, *arguments)
        self._kernel(*arguments)
        return out


def told(scored: NDArray[np.float64]) -> list[BatchScore]:
    """Rows that were scored, as values."""
    make = tuple.__new__  # a named tuple's own constructors are Python functions
    return [make(BatchScore, row) for row in scored.tolist()]


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


@kernel
def _bounded(log_odds):  # type: ignore[no-untyped-def]
    """As `scorer.odds.bounded`."""
    if log_odds > MOST_LOG_ODDS:
        return MOST_LOG_ODDS
    return -MOST_LOG_ODDS if log_odds < -MOST_LOG_ODDS else log_odds


@kernel(nogil=True)
def _score(  # type: ignore[no-untyped-def]
    weights, knots, values, memory, remembers, state, who, times, accepted, recalled, margins,
    rings, joint, out,
):  # fmt: skip
    """Fill `out` float64[N, 8], the fields of a `BatchScore`. Mutates `state` and `recalled`."""
    for i in range(len(margins)):
        model = probability(_bounded(_calibrated(weights, knots, values, np.float64(margins[i]))))
        odds = np.log(model / (1.0 - model))
        own = others = 0.0
        if remembers:
            recall(state, who[i], times[i], recalled)
            own = weighed(recalled, memory, 0, OWN)
            others = weighed(recalled, memory, OWN, WIDTH)
        score = probability(
            weights.base
            + weights.model * odds
            + weights.ring * rings[i]
            + weights.evidence * joint[i]
            + (own + others)
        )
        if remembers and accepted[i]:
            remember(state, who[i], times[i], score)
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
        out[i, 4], out[i, 5], out[i, 6], out[i, 7] = own, others, score, np.nan
