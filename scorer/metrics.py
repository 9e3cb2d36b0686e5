"""Figures of merit of a ranking and of its probabilities.

All take scores float64 [R] and fraud bool [R]. Equal scores are one threshold: nothing is decided
by the order of rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.transaction import DAY
from scorer.decision import Policy
from scorer.verdict import Decision

Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]

PRECISIONS: Final = (0.80, 0.90, 0.95)
BUDGET: Final = 100
RESAMPLES: Final = 200
_TOP_BINS: Final = 5
_CHOICES: Final = len(Decision)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Scores in falling order, their ties, and which rows are fraud: sorted once, weighed often.

    Attributes:
        order: Rows by falling score, int [R].
        fraud: Fraud in that order, float64 [R] of 0 and 1.
        ends: Last place of each group of equal scores, int [G].
        thresholds: The score of each group, float64 [G].
        hits: Places of the frauds in that order, int [P].
        gains: For each group that holds fraud its last place, and how many of `hits` have come by
            then; int [H, 2].
    """

    order: NDArray[np.intp]
    fraud: NDArray[np.float64]
    ends: NDArray[np.intp]
    thresholds: Scores
    hits: NDArray[np.intp]
    gains: NDArray[np.intp]

    @classmethod
    def of(cls, scores: Scores, fraud: Flags) -> "Ranking":
        """Sort once.

        Raises:
            ValueError: Lengths differ, or a score is not a number.
        """
        if len(scores) != len(fraud) or not np.isfinite(scores).all():
            raise ValueError("scores and labels must be finite and of equal length")
        order = np.argsort(-scores, kind="stable")
        ranked = scores[order]
        ends = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True][: len(ranked)])
        hits = np.flatnonzero(fraud[order])
        come = np.searchsorted(hits, ends, side="right")
        holding = np.flatnonzero(np.diff(come, prepend=0))
        gains = np.column_stack([ends[holding], come[holding]])
        return cls(order, fraud[order].astype(np.float64), ends, ranked[ends], hits, gains)

    def curve(self, weights: Scores | None = None) -> tuple[Scores, Scores]:
        """Precision and recall at each threshold, [G] each, by falling threshold.

        Args:
            weights: How often each row (in its own order) counts; None for once.
        """
        weight = np.ones(len(self.order)) if weights is None else weights[self.order]
        hits = np.cumsum(weight * self.fraud)[self.ends]
        alerts = np.cumsum(weight)[self.ends]
        total = hits[-1] if len(hits) else 0.0
        precision = np.divide(hits, alerts, out=np.zeros_like(hits), where=alerts > 0)
        return precision, hits / total if total > 0 else np.zeros_like(hits)

    def average_precision(self, weights: Scores | None = None) -> float:
        """Sum of precision times gain of recall, as scikit-learn defines it; NaN without fraud."""
        if not len(self.hits):
            return float("nan")
        # Recall rises where there is fraud only: of a thousandth of the rows, and bootstraps ask
        # hundreds of times.
        last, come = self.gains.T
        if weights is None:
            alerts, found = last + 1.0, come.astype(np.float64)
        else:
            weight = weights[self.order]
            alerts = np.cumsum(weight)[last]
            found = np.cumsum(weight[self.hits])[come - 1]
        if found[-1] == 0:
            return float("nan")
        precision = np.divide(found, alerts, out=np.zeros_like(found), where=alerts > 0)
        return float(np.sum(np.diff(found, prepend=0.0) * precision) / found[-1])


def average_precision(scores: Scores, fraud: Flags) -> float:
    """Area under the precision-recall steps; NaN without fraud."""
    return Ranking.of(scores, fraud).average_precision()


def recall_at_precision(scores: Scores, fraud: Flags) -> dict[str, float]:
    """The most recall at each of `PRECISIONS`; 0 where no threshold is that precise."""
    precision, recall = Ranking.of(scores, fraud).curve()
    return {
        f"{wanted:.2f}": float(np.max(recall, initial=0.0, where=precision >= wanted))
        for wanted in PRECISIONS
    }


def clusters_of(fraud: Flags, rings: Sequence[str | None]) -> NDArray[np.intp]:
    """Cluster of each row, int [R]: fraud of one ring is one cluster, every other row its own."""
    clusters = np.arange(len(fraud), dtype=np.intp)
    first: dict[str, int] = {}
    for row, ring in enumerate(rings):
        if ring is not None and fraud[row]:
            clusters[row] = first.setdefault(ring, row)
    return clusters


def resampled_average_precision(
    rankings: Mapping[str, Ranking],
    clusters: NDArray[np.intp],
    seed: int,
    resamples: int = RESAMPLES,
) -> dict[str, Scores]:
    """Average precision of each ranking of the same rows in each resample, [resamples] by name.

    Clusters (rings) are drawn whole, with replacement: rows of one ring are not independent, and
    drawing them one by one would make the spread too narrow. All rankings see the same resamples,
    so their differences are paired. NaN where a resample drew no fraud.
    """
    rng = np.random.default_rng(seed)
    _, place = np.unique(clusters, return_inverse=True)
    count = int(place.max()) + 1 if len(place) else 0
    drawn = {name: np.full(resamples, np.nan) for name in rankings}
    for index in range(resamples if count else 0):
        times = np.bincount(rng.integers(0, count, count), minlength=count)
        weights = times.astype(np.float64)[place]
        for name, ranking in rankings.items():
            drawn[name][index] = ranking.average_precision(weights)
    return drawn


def interval(drawn: Scores) -> list[float]:
    """95 % percentile interval of resampled figures; NaNs are left out, [NaN, NaN] of none."""
    finite = drawn[np.isfinite(drawn)]
    if not len(finite):
        return [float("nan"), float("nan")]
    low, high = np.percentile(finite, [2.5, 97.5])
    return [float(low), float(high)]


def paired_interval(
    scores: Scores, over: Scores, fraud: Flags, rings: Sequence[str | None], seed: int
) -> tuple[float, float]:
    """95 % interval of what scores gain over others in average precision, on the same resamples.

    Args:
        scores: float64 [R].
        over: The others, float64 [R].
        fraud: bool [R].
        rings: Ring of each row, None where there is none: rings are drawn whole.
        seed: Of the bootstrap.
    """
    rankings = {"it": Ranking.of(scores, fraud), "other": Ranking.of(over, fraud)}
    drawn = resampled_average_precision(rankings, clusters_of(fraud, rings), seed)
    low, high = interval(drawn["it"] - drawn["other"])
    return float(low), float(high)


def gain(better: Scores, base: Scores, difference: float) -> dict[str, Any]:
    """Whether a `difference` in average precision is beyond doubt, from paired resamples."""
    ci = interval(better - base)
    return {"difference": difference, "ci": ci, "excludes_zero": ci[0] > 0}


def within_budget(scores: Scores, times: NDArray[np.int64], budget: int = BUDGET) -> Flags:
    """Which rows are alerted when each UTC day's `budget` highest scores are, bool [R].

    Equal scores at the border are taken in time order, as an analyst would get them.
    """
    alerted = np.zeros(len(scores), dtype=np.bool_)
    order = np.lexsort((times, -scores, times // DAY))
    days = (times // DAY)[order]
    starts = np.flatnonzero(np.r_[True, days[1:] != days[:-1]][: len(days)])
    sizes = np.diff(np.r_[starts, len(days)])
    place = np.arange(len(days)) - np.repeat(starts, sizes)
    alerted[order[place < budget]] = True
    return alerted


def precision_at_budget(scores: Scores, fraud: Flags, times: NDArray[np.int64]) -> dict[str, Any]:
    """Precision and recall of `BUDGET` alerts a day (`times` int64 [R], epoch ms)."""
    alerted = within_budget(scores, times)
    hits = int((alerted & fraud).sum())
    alerts, positives = int(alerted.sum()), int(fraud.sum())
    return {
        "budget": BUDGET,
        "days": len(np.unique(times // DAY)),
        "alerts": alerts,
        "precision": hits / alerts if alerts else 0.0,
        "recall": hits / positives if positives else 0.0,
    }


def cost_per_transaction(
    scores: Scores, fraud: Flags, policies: Mapping[str, Policy]
) -> dict[str, float]:
    """What each policy would have cost per transaction, and approving everything (`approve_all`).

    In the policies' money unit, by what the transactions turned out to be.
    """
    result = {}
    for name, policy in policies.items():
        counted = np.bincount(policy.choices(scores) + _CHOICES * fraud, minlength=2 * _CHOICES)
        of_each = [
            policy.costs.realised(choice, fraud=label)
            for label in (False, True)
            for choice in Decision
        ]
        result[name] = float(counted @ np.array(of_each)) / max(len(scores), 1)
    any_policy = next(iter(policies.values()))
    loss = any_policy.costs.realised(Decision.APPROVE, fraud=True)
    result["approve_all"] = float(fraud.sum()) * loss / max(len(scores), 1)
    return result


def cost_curve(scores: Scores, fraud: Flags, policy: Policy, points: int = 60) -> list[list[float]]:
    """[share declined, cost per transaction] when everything above a threshold is declined."""
    ranking = Ranking.of(scores, fraud)
    if not len(ranking.ends):
        return []
    hits = np.cumsum(ranking.fraud)[ranking.ends]
    alerts = ranking.ends + 1.0
    rows, positives = len(scores), float(fraud.sum())
    costs = policy.costs
    cost = ((positives - hits) * costs.loss + (alerts - hits) * costs.friction) / rows
    shares = np.r_[0.0, alerts / rows]
    cost = np.r_[positives * costs.loss / rows, cost]
    places = _spread(len(shares), points)
    return [[float(shares[i]), float(cost[i])] for i in places]


def precision_recall_points(scores: Scores, fraud: Flags, points: int = 200) -> list[list[float]]:
    """[recall, precision] along the curve, thinned to about `points`."""
    precision, recall = Ranking.of(scores, fraud).curve()
    if not len(recall):
        return []
    # Thin by recall, so that the steep left end keeps its steps.
    places = np.unique(np.searchsorted(recall, np.linspace(0, recall[-1], points)))
    return [[float(recall[i]), float(precision[i])] for i in places if i < len(recall)]


def calibration_figures(scores: Scores, fraud: Flags, bins: int = 10) -> dict[str, Any]:
    """Brier score, that of the base rate, and reliability by score decile and in the top 1 %.

    Each bin has `rows`, `predicted` (mean score) and `observed` (fraud rate); those of the top 1 %,
    where decisions are made, also `observed_ci`, Wilson's 95 % interval. Rows of
    one score count as fraud by their common rate: no figure depends on which of them a border
    leaves on which side.
    """
    _, alike, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    rates = (np.bincount(alike, weights=fraud, minlength=len(sizes)) / sizes)[alike]
    rate = float(fraud.mean()) if len(fraud) else 0.0
    order = np.argsort(scores, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    top = order[len(order) - max(1, len(order) // 100) :]
    return {
        "brier": float(np.mean((scores - fraud) ** 2)) if len(fraud) else 0.0,
        "brier_of_base_rate": rate * (1 - rate),
        "bins": [_bin(scores, rates, part) for part in parts],
        "top_percent": _reliability(scores, rates, top) if len(order) else None,
    }


def _bin(scores: Scores, rates: Scores, rows: NDArray[np.intp]) -> dict[str, Any]:
    return {
        "rows": len(rows),
        "predicted": float(scores[rows].mean()),
        "observed": float(rates[rows].mean()),
    }


def _reliability(scores: Scores, rates: Scores, rows: NDArray[np.intp]) -> dict[str, Any]:
    """The rows (by rising score) as one bin and in fifths; `error` is the mean gap, by rows."""
    parts = [_bin(scores, rates, part) for part in np.array_split(rows, _TOP_BINS) if len(part)]
    for part in parts:
        part["observed_ci"] = _wilson(part["observed"], part["rows"])
    gaps = sum(part["rows"] * abs(part["predicted"] - part["observed"]) for part in parts)
    whole = _bin(scores, rates, rows)
    return whole | {
        "observed_ci": _wilson(whole["observed"], len(rows)),
        "error": gaps / len(rows),
        "bins": parts,
    }


def _wilson(rate: float, count: int) -> list[float]:
    """95 % interval of a rate of `count` rows (Wilson, 1927)."""
    z = 1.96
    middle = (rate + z * z / (2 * count)) / (1 + z * z / count)
    half = (
        z * np.sqrt(rate * (1 - rate) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    )
    return [float(max(0.0, middle - half)), float(min(1.0, middle + half))]


def _spread(length: int, points: int) -> NDArray[np.intp]:
    """About `points` places of 0..length-1, denser at the start."""
    shares = np.linspace(0.0, 1.0, points) ** 3
    return np.unique((shares * (length - 1)).astype(np.intp))
