"""Rung figures: how well each rung ranks, at what cost it decides, and what it gains over the last.

These are figures of transactions; those of rings as the engine tells them are in
`scorer.ring_matching` and `scorer.typology_figures`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from scorer.decision import FIXED, Policy
from scorer.metrics import (
    Ranking,
    Scores,
    calibration_figures,
    clusters_of,
    cost_curve,
    cost_per_transaction,
    gain,
    interval,
    precision_at_budget,
    precision_recall_points,
    recall_at_precision,
    resampled_average_precision,
    within_budget,
)
from scorer.ring_matching import alert_figures
from scorer.table import Rows, Table


@dataclass(frozen=True, slots=True)
class RungFigures:
    """What is said of the rungs of one test.

    Attributes:
        table: The replayed history.
        test: Its rows that are judged.
        scores: Their probabilities by rung, float64 [R] each.
        policy: What costs are counted by.
        seed: Of the bootstrap.
    """

    table: Table
    test: Rows
    scores: Mapping[str, Scores]
    policy: Policy
    seed: int

    def report(self) -> dict[str, Any]:
        """Figures of every rung; those of the blend also at the top, where readers look first."""
        table, test = self.table, self.test
        everyone = self.average_precisions(test, dict(self.scores))
        warm_rows = np.flatnonzero(table.warm[test])
        warm = self.average_precisions(
            test[warm_rows], {rung: scores[warm_rows] for rung, scores in self.scores.items()}
        )
        rungs = {
            rung: everyone["rungs"][rung] | self._figures(scores) | {"warm": warm["rungs"][rung]}
            for rung, scores in self.scores.items()
        }
        headline = {
            key: value for key, value in rungs["blend"].items() if key not in {"curves", "rings"}
        }
        return headline | {
            "base_rate": float(table.fraud[test].mean()),
            "rungs": rungs,
            "gains": everyone["gains"],
        }

    def average_precisions(self, rows: Rows, scores: dict[str, Scores]) -> dict[str, Any]:
        """Average precision with its interval by rung, and what each rung gains over the last."""
        fraud = self.table.fraud[rows]
        clusters = clusters_of(fraud, [self.table.ring_ids[row] for row in rows])
        rankings = {rung: Ranking.of(values, fraud) for rung, values in scores.items()}
        points = {rung: ranking.average_precision() for rung, ranking in rankings.items()}
        drawn = resampled_average_precision(rankings, clusters, self.seed)
        names = list(scores)
        return {
            "rungs": {
                rung: {
                    "transactions": len(rows),
                    "positives": int(fraud.sum()),
                    "average_precision": points[rung],
                    "average_precision_ci": interval(drawn[rung]),
                }
                for rung in names
            },
            "gains": {
                f"{better}_over_{base}": gain(
                    drawn[better], drawn[base], points[better] - points[base]
                )
                for base, better in pairwise(names)
            },
        }

    def _figures(self, scores: Scores) -> dict[str, Any]:
        table, test = self.table, self.test
        fraud, times = table.fraud[test], table.times[test]
        policies = {"ours": self.policy, "fixed": replace(FIXED, costs=self.policy.costs)}
        alerted = within_budget(scores, times)
        rings = [table.ring_ids[row] for row in test]
        inside = {ring for ring, label in zip(rings, fraud, strict=True) if label}
        true = {name: ring for name, ring in table.true_rings.items() if name in inside}
        hit = alert_figures(true, rings, times.tolist(), alerted.tolist(), fraud.tolist())
        return {
            "recall_at_precision": recall_at_precision(scores, fraud),
            "precision_at_budget": precision_at_budget(scores, fraud, times)
            | {"rings": hit["matched"], "rings_of": hit["true"]},
            "cost_per_transaction": cost_per_transaction(scores, fraud, policies),
            "calibration": calibration_figures(scores, fraud),
            "rings": hit,
            "curves": {
                "precision_recall": precision_recall_points(scores, fraud),
                "cost": cost_curve(scores, fraud, self.policy),
            },
        }
