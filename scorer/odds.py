"""Probabilities and their log-odds: evidence adds up in log-odds."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

SUREST: Final = 1e-12
"""How near to 0 and to 1 a probability can come."""


def sigmoid(margin: float) -> float:
    """Probability of a log-odds, without overflow at either end."""
    if margin >= 0:
        return 1.0 / (1.0 + math.exp(-margin))
    grown = math.exp(margin)
    return grown / (1.0 + grown)


def log_odds(probability: float) -> float:
    """Log-odds of a probability strictly between 0 and 1."""
    return math.log(probability / (1.0 - probability))


def sure_log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds of probabilities, those of 0 and 1 as of the nearest to them; NaN stays."""
    inside = np.clip(probabilities, SUREST, 1.0 - SUREST)
    found: NDArray[np.float64] = np.log(inside / (1.0 - inside))
    return found
