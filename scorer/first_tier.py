"""First tier: a few shallow trees on cheap columns that answer alone where they are sure.

Measured, not used. The engine must keep its counts for every transaction whoever answers it, so a
tier in front would save the walk over the trees and nothing else.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from scorer.alternatives.lesson import lesson_of
from scorer.alternatives.xgboost_trees import XgboostTrees
from scorer.fitting import BoosterSettings, fit_calibration
from scorer.ladder import RungScores
from scorer.metrics import Flags, Scores
from scorer.splits import Split
from scorer.table import Rows, Table
from scorer.wording import share

CHEAP_FAMILIES: Final = frozenset({"amount", "time", "transaction", "behaviour"})
"""What the transaction and its user's own record say."""
TREES: Final = 30
DEPTH: Final = 3
LET_THROUGH: Final = 0.005
"""Share of the later slice's fraud that may lie under the bound below which it answers alone."""


@dataclass(frozen=True, slots=True)
class FirstTier:
    """A rung (`scorer.ladder.Rung`) that is a tier: its facts say what it would answer alone.

    Its trees are not grown again on the later slice as all others are: the bound holds for those
    that were asked there.

    Attributes:
        settings: How trees are grown, but for their number and depth.
    """

    settings: BoosterSettings
    name: str = "first_tier"
    words: str = "a first tier of a few trees on cheap columns"
    base: str = "tabular"

    def fit_scores(self, table: Table, split: Split, seed: int) -> RungScores:
        """Learn from the early slice, choose the bound on the later one, score the test.

        Raises:
            InvalidSetting: A slice of the past lacks fraud or legitimate transactions, or no
                column is of a cheap family.
        """
        columns = cheap_columns(table)
        settings = replace(self.settings, rounds=TREES, depth=DEPTH)
        model = XgboostTrees(settings).first(
            lesson_of(table, split.early, columns, seed),
            lesson_of(table, split.later, columns, seed),
            seed,
        )
        margins = model.margins(table.rows[np.ix_(split.later, columns)])
        calibration = fit_calibration(margins, table.fraud[split.later])

        def probabilities(rows: Rows) -> Scores:
            found = model.margins(table.rows[np.ix_(rows, columns)])
            return np.array([calibration.apply(float(margin)) for margin in found])

        later, test = probabilities(split.later), probabilities(split.test)
        bound = sure_below(later, table.fraud[split.later])
        facts = {
            "bound": bound,
            "allowed": LET_THROUGH,
            "columns": len(columns),
            "trees": model.size,
            "later": answered_alone(later, table.fraud[split.later], bound),
            "test": answered_alone(test, table.fraud[split.test], bound),
        }
        return RungScores(test, facts, (_said(facts),))


def cheap_columns(table: Table) -> Rows:
    """Columns of the cheap families."""
    cheap = [
        index for index, family in enumerate(table.schema.families) if family in CHEAP_FAMILIES
    ]
    return np.array(cheap, dtype=np.intp)


def sure_below(scores: Scores, fraud: Flags, allowed: float = LET_THROUGH) -> float:
    """The highest bound under which lies at most this share of the fraud.

    Args:
        scores: Probabilities, float64 [R].
        fraud: bool [R], at least one of them.
        allowed: Share of the fraud, rounded down to whole frauds.
    """
    ranked = np.sort(scores[fraud])
    return float(ranked[int(allowed * len(ranked))])


def answered_alone(scores: Scores, fraud: Flags, bound: float) -> dict[str, Any]:
    """What lies under the bound: of the traffic and of the fraud."""
    under = scores < bound
    passed, frauds = int((under & fraud).sum()), int(fraud.sum())
    return {
        "transactions": int(under.sum()),
        "share_of_traffic": float(under.mean()),
        "frauds_passed": passed,
        "frauds": frauds,
        "share_of_fraud": passed / frauds,
    }


def _said(facts: dict[str, Any]) -> str:
    test = facts["test"]
    return (
        f"Where it is sure (a probability under {facts['bound']:.4f}) it would answer "
        f"{share(test['share_of_traffic'])} of the traffic alone and let {test['frauds_passed']} "
        f"of {test['frauds']} frauds through ({share(test['share_of_fraud'], 2)}); "
        f"{share(facts['allowed'])} was allowed on the later slice."
    )
