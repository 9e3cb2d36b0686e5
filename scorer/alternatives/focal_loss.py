"""Focal loss (Lin et al. 2017): rows that are easy by now count less, so the rare and hard lead.

With y = +1 for fraud and -1 otherwise, p = sigmoid(y * margin) the probability of what is true,
the loss is -(1 - p)^gamma * log(p). At gamma 0 it is that of the logistic regression.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def focal_loss(margins: Values, fraud: NDArray[np.bool_], gamma: float) -> Values:
    """Loss of each row, float64 [R]: margins float64 [R], fraud bool [R], gamma >= 0."""
    turned = np.where(fraud, margins, -margins)
    return np.exp(-gamma * np.logaddexp(0.0, turned)) * np.logaddexp(0.0, -turned)


def focal_derivatives(
    margins: Values, fraud: NDArray[np.bool_], gamma: float
) -> tuple[Values, Values]:
    """First and second derivative of `focal_loss` by the margin, float64 [R] each.

    With u = y * margin, p = sigmoid(u), q = 1 - p and L = log(p):
    dl/du = q^gamma (gamma p L - q) and
    d2l/du2 = q^gamma p (q (1 + 2 gamma) + gamma L (q - gamma p)).
    The second is below 0 where a row is very wrong: the loss is not convex there.
    """
    sign = np.where(fraud, 1.0, -1.0)
    turned = sign * margins
    log_p, log_q = -np.logaddexp(0.0, -turned), -np.logaddexp(0.0, turned)
    p, q, eased = np.exp(log_p), np.exp(log_q), np.exp(gamma * log_q)
    first = eased * (gamma * p * log_p - q)
    second = eased * p * (q * (1 + 2 * gamma) + gamma * log_p * (q - gamma * p))
    return sign * first, second


@dataclass(frozen=True, slots=True)
class FocalLoss:
    """The loss as XGBoost asks for it (`scorer.fitting.Objective`).

    Attributes:
        gamma: How fast easy rows stop to count; 2 is the paper's.
        floor: Hessian of a row at least, times its weight: XGBoost divides by sums of them.
    """

    gamma: float = 2.0
    floor: float = 1e-4

    def __call__(self, margins: NDArray[np.float32], rows: Any) -> tuple[Values, Values]:
        """Gradient and hessian at some margins, of labelled and weighted rows (a DMatrix)."""
        fraud = rows.get_label() > 0.5
        weights = rows.get_weight().astype(np.float64)
        weights = weights if len(weights) else np.ones(len(fraud))
        first, second = focal_derivatives(margins.astype(np.float64), fraud, self.gamma)
        return first * weights, np.maximum(second, self.floor) * weights
