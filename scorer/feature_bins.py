"""Feature bins: each feature cut at the quantiles of the past, and what fell where then and later.

From the counts follow how stable a feature is (population stability index) and what it could do
alone (a one-feature model: the rate of fraud of its bin in the past).
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scorer.ports import FeatureSchema
from scorer.table import Rows, Table

BINS: Final = 20
_SAMPLE: Final = 20_000
"""Rows of the past whose quantiles are the edges."""
WORST: Final = 10
_AT_ONCE: Final = 16
"""Features laid out at a time: as many as share a line of the processor's cache."""
_SHIFTED, _MOVED = 0.10, 0.25
"""Rule of thumb (Siddiqi, *Credit Risk Scorecards*, 2006): stable below .10, shifted above .25."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FeatureBins:
    """Counts by feature and bin, int64 [F, BINS + 1]; the last bin holds the unknown.

    Attributes:
        schema: The features.
        past: Rows that were learned from.
        past_fraud: Frauds among them.
        test: Rows that are judged.
        test_fraud: Frauds among them.
    """

    schema: FeatureSchema
    past: Counts
    past_fraud: Counts
    test: Counts
    test_fraud: Counts

    @classmethod
    def of(cls, table: Table, past: Rows, test: Rows) -> "FeatureBins":
        """Count; one pass over each column, O(rows x features x log bins)."""
        width = len(table.schema.names)
        counts = [np.zeros((width, BINS + 1), np.int64) for _ in range(4)]
        sample = past[:: max(1, len(past) // _SAMPLE)]
        for feature in range(width):
            if feature % _AT_ONCE == 0:
                # A column of its own each: a walk down rows would touch all of the table each time.
                columns = np.ascontiguousarray(table.rows[:, feature : feature + _AT_ONCE].T)
            column = columns[feature % _AT_ONCE]
            edges = _edges(column[sample])
            for place, rows in ((0, past), (2, test)):
                bins = _binned(column[rows], edges)
                fraud = table.fraud[rows]
                counts[place][feature] = np.bincount(bins, minlength=BINS + 1)
                counts[place + 1][feature] = np.bincount(bins[fraud], minlength=BINS + 1)
        return cls(table.schema, *counts)

    def stability(self) -> dict[str, Any]:
        """Population stability index of each feature between past and test, the worst ten.

        sum over bins of (q - p) ln(q / p), p and q being the shares of the past's and the test's
        rows in a bin, half a row added to each.
        """
        p, q = (_shares(part) for part in (self.past, self.test))
        index = ((q - p) * np.log(q / p)).sum(axis=1)
        worst = np.argsort(-index, kind="stable")[:WORST]
        return {
            "features": len(index),
            "shifted": int((index >= _SHIFTED).sum()),
            "moved": int((index >= _MOVED).sum()),
            "worst": [self._named(int(i)) | {"psi": float(index[i])} for i in worst],
        }

    def one_feature_models(self) -> dict[str, Any]:
        """What single features find in the test: the best ten, and the best of each family."""
        figures = [self._alone(feature) for feature in range(len(self.past))]
        ranked = sorted(figures, key=lambda each: -each["average_precision"])
        families: dict[str, Any] = {}
        for each in ranked:
            families.setdefault(each["family"], each)
        best = max((each["auc"] for each in figures), default=float("nan"))
        return {
            "best": ranked[:WORST],
            "by_family": dict(sorted(families.items())),
            "best_auc": best,
        }

    def _alone(self, feature: int) -> dict[str, Any]:
        seen, frauds = self.past[feature], self.past_fraud[feature]
        rate = frauds.sum() / max(1, seen.sum())
        order = np.argsort(-(frauds + rate) / (seen + 1), kind="stable")
        hits, rows = self.test_fraud[feature][order], self.test[feature][order]
        return self._named(feature) | {
            "auc": _auc(hits, rows - hits),
            "average_precision": _average_precision(hits, rows),
        }

    def _named(self, feature: int) -> dict[str, Any]:
        return {"feature": self.schema.names[feature], "family": self.schema.families[feature]}


def _edges(values: NDArray[np.float32]) -> NDArray[np.float32]:
    known = values[~np.isnan(values)]
    if not len(known):
        return np.empty(0, np.float32)
    inner = np.linspace(0, 1, BINS + 1)[1:-1]
    # Real values, not averages between two: a value on an edge must fall on one side always.
    return np.unique(np.quantile(known, inner, method="lower")).astype(np.float32)


def _binned(values: NDArray[np.float32], edges: NDArray[np.float32]) -> NDArray[np.intp]:
    bins = np.searchsorted(edges, values, side="left")
    bins[np.isnan(values)] = BINS
    return bins


def _shares(counts: Counts) -> NDArray[np.float64]:
    smoothed = counts + 0.5
    shares: NDArray[np.float64] = smoothed / smoothed.sum(axis=1, keepdims=True)
    return shares


def _auc(hits: Counts, others: Counts) -> float:
    """Area under the ROC curve of bins in falling order, ties counting half; NaN without both."""
    pairs = int(hits.sum()) * int(others.sum())
    above = np.cumsum(hits) - hits
    return float((others * (above + hits / 2)).sum() / pairs) if pairs else float("nan")


def _average_precision(hits: Counts, rows: Counts) -> float:
    total = int(hits.sum())
    if not total:
        return 0.0
    precision = np.cumsum(hits) / np.maximum(np.cumsum(rows), 1)
    return float((precision * hits).sum() / total)
