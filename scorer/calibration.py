"""Calibration: from the booster's margin to a probability that means what it says.

Fitted on a slice later than the one the trees grew on, at the natural rate of fraud. With few
positives two parameters are all the data carries (Platt 1999); with many, the shape is free as
long as it rises (isotonic regression). Both are strictly increasing here, so calibration never
changes who ranks above whom.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from graph.errors import Incompatible
from scorer.odds import bounded, sigmoid


@dataclass(frozen=True, slots=True)
class Platt:
    """Log-odds are a line of the margin: `slope * margin + intercept`, slope > 0."""

    slope: float
    intercept: float

    def log_odds(self, margin: float) -> float:
        """Calibrated log-odds of a margin."""
        return self.slope * margin + self.intercept

    def apply(self, margin: float) -> float:
        """Calibrated probability of a margin, strictly between 0 and 1."""
        return sigmoid(bounded(self.log_odds(margin)))

    def as_json(self) -> dict[str, Any]:
        """The parameters as plain JSON values."""
        return {"method": "platt", "slope": self.slope, "intercept": self.intercept}


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Log-odds rise along straight lines between knots, and with slope 1 beyond them.

    Attributes:
        margins: Margins of the knots, strictly increasing.
        values: Calibrated log-odds at the knots, strictly increasing.
    """

    margins: tuple[float, ...]
    values: tuple[float, ...]

    def log_odds(self, margin: float) -> float:
        """Calibrated log-odds of a margin."""
        knots, values = self.margins, self.values
        above = bisect_right(knots, margin)
        if above == 0:
            return values[0] + (margin - knots[0])
        if above == len(knots):
            return values[-1] + (margin - knots[-1])
        low = above - 1
        share = (margin - knots[low]) / (knots[above] - knots[low])
        return values[low] + share * (values[above] - values[low])

    def apply(self, margin: float) -> float:
        """Calibrated probability of a margin, strictly between 0 and 1."""
        return sigmoid(bounded(self.log_odds(margin)))

    def as_json(self) -> dict[str, Any]:
        """The parameters as plain JSON values."""
        return {"method": "isotonic", "margins": list(self.margins), "values": list(self.values)}


Calibration = Platt | Isotonic


def read_calibration(parameters: Mapping[str, Any]) -> Calibration:
    """Read what `as_json` gave.

    Raises:
        Incompatible: It is not that, or it does not rise.
    """
    try:
        if parameters["method"] == "platt":
            platt = Platt(float(parameters["slope"]), float(parameters["intercept"]))
            if platt.slope > 0 and math.isfinite(platt.slope + platt.intercept):
                return platt
        if parameters["method"] == "isotonic":
            knots = tuple(float(x) for x in parameters["margins"])
            values = tuple(float(x) for x in parameters["values"])
            if len(knots) == len(values) > 0 and _rises(knots) and _rises(values):
                return Isotonic(knots, values)
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(parameters) from error
    raise _unreadable(parameters)


def _rises(values: tuple[float, ...]) -> bool:
    return all(map(math.isfinite, values)) and all(a < b for a, b in pairwise(values))


def _unreadable(parameters: Mapping[str, Any]) -> Incompatible:
    return Incompatible(
        "these are not the parameters of a calibration",
        field="metadata.json: calibration",
        value=repr(parameters)[:80],
        remedy="Train the model again with this version of `ringfence train`.",
    )
