"""Whether a graph model earns its place beside the blend, and with which weights.

The weights are learned on the slice that stopped the network, and tried on a still later one that
neither has seen. Only a gain that chance cannot explain lets the graph model into the scores; then
the weights are learned again, on the newer slice.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from scorer.metrics import Ranking, clusters_of, interval, resampled_average_precision
from scorer.odds import sure_log_odds
from scorer.table import Rows, Table

LEAST_FRAUDS: Final = 20
"""In either slice, or the graph model is left out: fewer tell nothing."""


class GraphWeights(NamedTuple):
    """Weights of blend and graph model, as `scorer.graph_opinion.GraphStack` has them."""

    intercept: float
    blend: float
    gnn: float


class GraphTrial(NamedTuple):
    """What came of trying a graph model.

    Attributes:
        weights: Its weights; None where it does not earn its place.
        figures: Average precision of both on the newest slice, and the gain, as plain JSON values.
    """

    weights: GraphWeights | None
    figures: dict[str, Any]


def try_graph_model(
    table: Table,
    stopping: Rows,
    newest: Rows,
    blend: NDArray[np.float64],
    head: NDArray[np.float64],
    seed: int,
) -> GraphTrial:
    """Weigh blend and graph model, and say whether both together rank better than the blend.

    Args:
        table: The replayed history.
        stopping: Rows that said when to stop learning the network.
        newest: Rows after those, seen by nobody.
        blend: float64 [R of the table], the blend's probabilities.
        head: float64 [R], log-odds of the graph model; NaN where it was not asked.
        seed: Of the bootstrap.
    """
    fraud = table.fraud
    counts = {
        "stopping": int(fraud[stopping].sum()),
        "newest": int(fraud[newest].sum()),
    }
    if min(counts.values()) < LEAST_FRAUDS:
        return GraphTrial(None, {"used": False, "why": "too few frauds", "frauds": counts})
    odds = sure_log_odds(blend)
    trial = _weights(odds[stopping], head[stopping], fraud[stopping])
    together = odds[newest] if trial is None else _sum(trial, odds[newest], head[newest])
    rankings = {
        "blend": Ranking.of(odds[newest], fraud[newest]),
        "both": Ranking.of(together, fraud[newest]),
    }
    clusters = clusters_of(fraud[newest], [table.ring_ids[row] for row in newest])
    drawn = resampled_average_precision(rankings, clusters, seed)
    low, high = interval(drawn["both"] - drawn["blend"])
    reached = {name: ranking.average_precision() for name, ranking in rankings.items()}
    weights = _weights(odds[newest], head[newest], fraud[newest]) if low > 0 else None
    figures = {
        "used": weights is not None,
        "average_precision": reached,
        "gain": {"mean": reached["both"] - reached["blend"], "low": low, "high": high},
        "frauds": counts,
    }
    return GraphTrial(weights, figures)


def _sum(
    weights: GraphWeights, odds: NDArray[np.float64], head: NDArray[np.float64]
) -> NDArray[np.float64]:
    return weights.intercept + weights.blend * odds + weights.gnn * head


def _weights(
    odds: NDArray[np.float64], head: NDArray[np.float64], fraud: NDArray[np.bool_]
) -> GraphWeights | None:
    """Logistic regression on both; None where the graph model would count against what it says.

    Where the blend would, as it may beside one that knows everything, it does not count at all:
    nobody could be told why more risk made a payment safer.
    """
    line = LogisticRegression(C=1.0, max_iter=2_000).fit(np.column_stack([odds, head]), fraud)
    blend, gnn = line.coef_[0].tolist()
    if blend < 0 < gnn:
        line = LogisticRegression(C=1.0, max_iter=2_000).fit(head[:, None], fraud)
        blend, gnn = 0.0, float(line.coef_[0, 0])
    return GraphWeights(float(line.intercept_[0]), blend, gnn) if gnn > 0 else None
