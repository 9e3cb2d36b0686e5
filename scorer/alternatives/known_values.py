"""Known values: what stands in for the unknown where a method cannot do without.

Trees of XGBoost and LightGBM send the unknown where it fits best; nearest neighbours and
scikit-learn's AdaBoost refuse it.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scorer.alternatives.lesson import Features, Margins, Model


@dataclass(frozen=True, slots=True)
class KnownValues:
    """Middle and spread of each column of the rows that were learned from.

    Attributes:
        middle: Median of what is known, 0 where nothing is, float32 [F].
        spread: Standard deviation of the filled column, 1 where it is 0, float32 [F].
    """

    middle: NDArray[np.float32]
    spread: NDArray[np.float32]

    @classmethod
    def of(cls, rows: Features) -> "KnownValues":
        """Those of some rows."""
        with warnings.catch_warnings():
            # A column of which nothing is known has no median; it gets 0 below.
            warnings.filterwarnings("ignore", "All-NaN slice encountered", RuntimeWarning)
            middle = np.nan_to_num(np.nanmedian(rows, axis=0)).astype(np.float32)
        spread = np.where(np.isnan(rows), middle, rows).std(axis=0, dtype=np.float64)
        return cls(middle, np.where(spread > 0, spread, 1.0).astype(np.float32))

    def fill(self, rows: Features) -> Features:
        """The rows with the middle of its column for each unknown."""
        return np.where(np.isnan(rows), self.middle, rows)

    def scale(self, rows: Features) -> Features:
        """The same in units of the spread from the middle: no column rules a distance."""
        return (self.fill(rows) - self.middle) / self.spread


@dataclass(frozen=True, slots=True)
class ScaledModel:
    """A model that learned from scaled rows, and so is asked for them.

    Attributes:
        known: How rows are scaled.
        inner: What learned from them.
    """

    known: KnownValues
    inner: Model

    @property
    def size(self) -> int:
        """How many trees it has."""
        return self.inner.size

    def margins(self, rows: Features) -> Margins:
        """Log-odds of fraud of some rows, unknown values and all."""
        return self.inner.margins(self.known.scale(rows))
