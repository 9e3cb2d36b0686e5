"""What answers come to, counted by hand, and who spoke first."""

from dataclasses import replace

import numpy as np
import pytest

from graph.transaction import DAY, HOUR
from scorer import segments
from scorer.decided import (
    APPROVE,
    DECLINE,
    STEP_UP,
    Decided,
    decide_rows,
    difference,
    everything_approved,
    outcome_figures,
    segment_figures,
    total_cost,
)
from scorer.decision import Budget, Costs, Policy
from scorer.evidence_log import EvidenceLog
from scorer.party_columns import PartyColumns
from scorer.ports import FeatureSchema
from scorer.ring_matching import RingLedger
from scorer.table import BLOCKED, GRAPH, RING, RULES, Table
from scorer.tier_figures import tier_figures

#        declined fraud, stepped-up fraud, missed fraud, declined, stepped up, approved
FRAUD = np.array([True, True, True, False, False, False])
CHOICES = np.array([DECLINE, STEP_UP, APPROVE, DECLINE, STEP_UP, APPROVE], np.int8)
VALUES = np.array([100, 50, 30, 7, 5, 3])
TOLD = np.array([RULES | GRAPH, GRAPH, 0, RING, 0, 0], np.uint8)
START = 480_000 * HOUR
COSTS = Costs(loss=500, friction=100, step_up_catches=0.8, step_up_friction=10)


def table(told=TOLD):
    count = len(FRAUD)
    return Table(
        schema=FeatureSchema(("f",), ("amount",)),
        rows=np.zeros((count, 1), np.float32),
        fraud=FRAUD,
        times=np.array([0, 1, 2, DAY, DAY + 1, DAY + 2]),
        known_at=np.zeros(count, np.int64),
        values=VALUES,
        ring_score=np.zeros(count),
        joint=np.zeros(count),
        told=told,
        warm=np.ones(count, np.bool_),
        places=np.arange(count),
        ids=tuple("abcdef"),
        users=("u", "u", "v", "w", "w", "x"),
        segments=("payment/web",) * count,
        ring_ids=(None,) * count,
        transactions=count,
        rejected=0,
        true_rings={},
        ledger=RingLedger(),
        evidence=EvidenceLog(),
        parties=PartyColumns(),
        watermarks=np.zeros(count, np.int64),
        declined=np.zeros(count, np.bool_),
    )


ROWS = np.arange(6)
DECIDED = Decided(CHOICES, np.zeros(6, np.bool_))


def test_money_alerts_and_people_are_counted():
    figures = outcome_figures(DECIDED, table(), ROWS, COSTS)
    cost = 0 + 0.2 * 500 + 500 + 100 + 10 + 0
    assert figures == {
        "declined": 2,
        "stepped_up": 2,
        "alerts": 4,
        "alerts_per_day": 2.0,
        "precision": 0.5,
        "recall": pytest.approx(2 / 3),
        "recall_declined": pytest.approx(1 / 3),
        "fraud_stopped": 140,
        "fraud_let_through": 40,
        "fraud_stopped_share": pytest.approx(140 / 180),
        "good_money_blocked": 7,
        "good_money_stepped_up": 5,
        "customers_troubled": 1,
        "customers_declined": 1,
        "cost": pytest.approx(cost),
        "cost_per_transaction": pytest.approx(cost / 6),
    }
    assert total_cost(everything_approved(6), FRAUD, COSTS) == 3 * 500
    nothing = outcome_figures(everything_approved(0), table(), ROWS[:0], COSTS)
    assert nothing["precision"] is nothing["recall"] is nothing["cost_per_transaction"] is None
    gap = difference(nothing, figures)
    assert gap["precision"] is None
    assert gap["alerts"] == 4


def test_the_first_tier_to_speak_answers():
    tiers = tier_figures(table(), ROWS, DECIDED)
    told = {name: (tier["transactions"], tier["frauds"]) for name, tier in tiers.items()}
    assert told == {"rules": (1, 1), "graph": (2, 1), "model": (3, 1)}
    assert [tier["alerts"] for tier in tiers.values()] == [1, 2, 1]
    assert sum(tier["share_of_traffic"] for tier in tiers.values()) == pytest.approx(1)


def test_the_two_rules_stand_above_a_policy():
    asked = []

    def own(row):
        asked.append(row)
        return 0.1

    told = np.array([RULES | BLOCKED, GRAPH, RING, 0, 0, 0], np.uint8)
    scores = np.array([0.01, 0.9, 0.9, 0.9, 0.5, 0.1])
    policy = Policy(COSTS, (0.3, 0.7))
    decided = decide_rows(policy, table(told), ROWS, scores, own)
    # Blocked; its own deed; merely connected, twice; between; below.
    assert decided.choices.tolist() == [DECLINE, DECLINE, STEP_UP, STEP_UP, STEP_UP, APPROVE]
    assert decided.spared.tolist() == [False, False, True, True, False, False]
    assert decided.segments == []
    assert asked == [2, 3]
    guilty = decide_rows(policy, table(told), ROWS, scores, lambda _: 0.8)
    assert guilty.choices.tolist()[2:4] == [DECLINE, DECLINE]
    assert not guilty.spared.any()


def test_a_budget_learns_from_the_judged_rows_but_not_from_who_is_blocked(monkeypatch):
    monkeypatch.setattr(segments, "LEAST_ABOVE", 1)
    hours = np.array([0, 0, 0, 1, 1, 1]) * HOUR
    told = np.array([0, RULES | BLOCKED, GRAPH, 0, GRAPH, GRAPH], np.uint8)
    judged = replace(table(told), times=START + hours)
    scores = np.array([0.4, 0.99, 0.5, 0.2, 0.45, 0.8])
    policy = Policy(COSTS, (0.3, 0.7), Budget(0.5, 0.4))
    decided = decide_rows(policy, judged, ROWS, scores, lambda _: 0.0)
    # The hour ends with the sixth row, the third beyond it: of five scores but for the blocked one,
    # 0.2, 0.4, 0.45, 0.5, two may lie above the quantile and one above that of declines.
    assert decided.choices.tolist() == [STEP_UP, DECLINE, STEP_UP, APPROVE, STEP_UP, DECLINE]
    last = decided.segments[-1]
    assert 0.4 <= last.step_up <= 0.405
    assert 0.45 <= last.decline <= 0.455
    (figures,) = segment_figures(decided, policy, judged, ROWS)
    assert figures == {
        "segment": "payment/web",
        "transactions": 6,
        "frauds": 3,
        "stepped_up": 3,
        "declined": 1,
        "bounds": [last.step_up, 0.7],
    }
