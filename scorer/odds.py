"""Probabilities and their log-odds: evidence adds up in log-odds."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

SUREST: Final = 1e-12
"""How near to 0 and to 1 a probability can come."""
MOST_LOG_ODDS: Final = math.log((1.0 - SUREST) / SUREST)
"""The log-odds of that, 27.6: a model's are no further from 0, so that they can be taken again."""


def sigmoid(margin: float) -> float:
    """Probability of a log-odds, without overflow at either end."""
    if margin >= 0:
        return 1.0 / (1.0 + math.exp(-margin))
    grown = math.exp(margin)
    return grown / (1.0 + grown)


def bounded(log_odds: float) -> float:
    """Log-odds that are no further from 0 than `MOST_LOG_ODDS`; NaN stays."""
    return math.copysign(MOST_LOG_ODDS, log_odds) if abs(log_odds) > MOST_LOG_ODDS else log_odds


def log_odds(probability: float) -> float:
    """Log-odds of a probability strictly between 0 and 1."""
    return math.log(probability / (1.0 - probability))


def sure_log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds of probabilities, those of 0 and 1 as of the nearest to them; NaN stays."""
    inside = np.clip(probabilities, SUREST, 1.0 - SUREST)
    found: NDArray[np.float64] = np.log(inside / (1.0 - inside))
    return found
