"""Tier figures: which tier had something to say first, for how much of the traffic and the fraud.

The tiers speak in the order of a verdict: *rules* where a rule's pattern was completed, else
*graph* where a pattern of the graph was or a live ring was touched, else *model*, which answers
whatever nobody else speaks of.
"""

from typing import Any

import numpy as np

from scorer.decided import Decided
from scorer.table import GRAPH, RING, RULES, Rows, Table


def tier_figures(table: Table, rows: Rows, decided: Decided) -> dict[str, Any]:
    """By tier: `transactions`, `frauds`, their shares, and the alerts of the policy among them."""
    told, fraud = table.told[rows], table.fraud[rows]
    rules = (told & RULES) > 0
    graph = ~rules & ((told & (GRAPH | RING)) > 0)
    frauds = int(fraud.sum())
    figures = {}
    for name, part in (("rules", rules), ("graph", graph), ("model", ~rules & ~graph)):
        inside = int((part & fraud).sum())
        figures[name] = {
            "transactions": int(part.sum()),
            "share_of_traffic": float(part.mean()) if len(rows) else None,
            "frauds": inside,
            "share_of_fraud": inside / frauds if frauds else None,
            "fraud_rate": float(fraud[part].mean()) if part.any() else None,
            "alerts": int(np.count_nonzero(decided.alerted & part)),
        }
    return figures
