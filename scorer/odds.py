"""Probabilities and their log-odds: evidence adds up in log-odds."""

import math


def sigmoid(margin: float) -> float:
    """Probability of a log-odds, without overflow at either end."""
    if margin >= 0:
        return 1.0 / (1.0 + math.exp(-margin))
    grown = math.exp(margin)
    return grown / (1.0 + grown)


def log_odds(probability: float) -> float:
    """Log-odds of a probability strictly between 0 and 1."""
    return math.log(probability / (1.0 - probability))
