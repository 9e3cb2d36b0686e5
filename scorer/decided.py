"""Decided: what a policy answers to rows of a table, and what that came to in money and people.

The answers are those of the detector with that policy: a policy changes no score, and no state but
what its own budget learns.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.transaction import DAY
from scorer.decision import Costs, Policy, SegmentBounds
from scorer.metrics import Flags, Scores
from scorer.segments import Segments
from scorer.table import BLOCKED, GRAPH, RULES, Rows, Table
from scorer.verdict import Decision

APPROVE, STEP_UP, DECLINE = (
    list(Decision).index(each) for each in (Decision.APPROVE, Decision.STEP_UP, Decision.DECLINE)
)
WORDS: Final = tuple(each.value for each in Decision)


@dataclass(frozen=True, slots=True)
class Decided:
    """Answers to R rows.

    Attributes:
        choices: `APPROVE`, `STEP_UP` or `DECLINE`, int8 [R].
        spared: Stepped up instead of declined, for the row is merely connected, bool [R].
        segments: What the budget of each row's segment spared then, R of them; empty without a
            budget.
    """

    choices: NDArray[np.int8]
    spared: Flags
    segments: Sequence[SegmentBounds] = ()

    @property
    def alerted(self) -> Flags:
        """Whatever was not approved, bool [R]."""
        choices: Flags = self.choices != APPROVE
        return choices


def decide_rows(
    policy: Policy, table: Table, rows: Rows, scores: Scores, own: Callable[[int], float]
) -> Decided:
    """What the detector with this policy would have answered to these rows.

    A budget begins to learn with the first of them: earlier scores are those of rows the model may
    have been trained on.

    Args:
        policy: The policy.
        table: The replayed history.
        rows: Which of its rows, in arrival order.
        scores: Their probabilities after the blend, float64 [R].
        own: Probability of a row of the table without what it is merely connected to; asked only
            where it decides.
    """
    told = table.told[rows]
    blocks, completes = (told & BLOCKED) > 0, (told & (RULES | GRAPH)) > 0
    choices = policy.choices(scores)
    choices[blocks] = DECLINE
    spared = np.zeros(len(rows), np.bool_)
    places = {decision: place for place, decision in enumerate(Decision)}
    segments = None if policy.budget is None else Segments(policy.budget)
    spares: list[SegmentBounds] = []
    # Only a budget, or a decline without evidence of its own, asks for more than the score.
    asked = np.flatnonzero((choices == DECLINE) & ~completes)
    for i in asked.tolist() if segments is None else range(len(rows)):
        score, blocked, completed = float(scores[i]), bool(blocks[i]), bool(completes[i])
        segment: SegmentBounds | None = None
        if segments is not None:
            row = int(rows[i])
            name = table.segments[row]
            if not blocked:
                segments.take(name, int(table.times[row]), score)
            segment = segments.bounds(name)
            spares.append(segment)
        decision, _ = policy.answer(score, blocked=blocked, completed=completed, segment=segment)
        if decision is Decision.DECLINE and not completed:
            decision, _ = policy.answer(
                score,
                blocked=blocked,
                completed=completed,
                own_probability=own(int(rows[i])),
                segment=segment,
            )
            spared[i] = decision is not Decision.DECLINE
        choices[i] = places[decision]
    return Decided(choices, spared, spares)


def everything_approved(count: int) -> Decided:
    """The answers of nobody at all: `count` rows approved."""
    return Decided(np.zeros(count, np.int8), np.zeros(count, np.bool_))


def total_cost(decided: Decided, fraud: Flags, costs: Costs) -> float:
    """What the answers cost by what the rows turned out to be, in the costs' money unit."""
    by_answer = np.array(
        [
            [costs.realised(each, fraud=False) for each in Decision],
            [costs.realised(each, fraud=True) for each in Decision],
        ]
    )
    return float(by_answer[fraud.astype(np.intp), decided.choices].sum())


def outcome_figures(decided: Decided, table: Table, rows: Rows, costs: Costs) -> dict[str, Any]:
    """What the answers came to, plain JSON values; money is in minor units of the base currency.

    A step-up stops the share `costs.step_up_catches` of the frauds, and of their money. Customers
    troubled are distinct users of whom a legitimate transaction was stepped up or declined.
    """
    fraud, values = table.fraud[rows], table.values[rows].astype(np.float64)
    declined, stepped = decided.choices == DECLINE, decided.choices == STEP_UP
    alerted = declined | stepped
    days = len(np.unique(table.times[rows] // DAY))
    frauds, alerts = int(fraud.sum()), int(alerted.sum())
    caught = costs.step_up_catches
    stopped = float(values[fraud & declined].sum() + caught * values[fraud & stepped].sum())
    lost = float(values[fraud].sum()) - stopped
    money = float(values[fraud].sum())
    cost = total_cost(decided, fraud, costs)
    return {
        "declined": int(declined.sum()),
        "stepped_up": int(stepped.sum()),
        "alerts": alerts,
        "alerts_per_day": alerts / days if days else None,
        "precision": int((alerted & fraud).sum()) / alerts if alerts else None,
        "recall": int((alerted & fraud).sum()) / frauds if frauds else None,
        "recall_declined": int((declined & fraud).sum()) / frauds if frauds else None,
        "fraud_stopped": round(stopped),
        "fraud_let_through": round(lost),
        "fraud_stopped_share": stopped / money if money else None,
        "good_money_blocked": round(float(values[declined & ~fraud].sum())),
        "good_money_stepped_up": round(float(values[stepped & ~fraud].sum())),
        "customers_troubled": _distinct(table, rows[alerted & ~fraud]),
        "customers_declined": _distinct(table, rows[declined & ~fraud]),
        "cost": cost,
        "cost_per_transaction": cost / len(rows) if len(rows) else None,
    }


def segment_figures(
    decided: Decided, policy: Policy, table: Table, rows: Rows
) -> list[dict[str, Any]]:
    """What was answered in each segment and the thresholds it ended with, the largest first.

    Plain JSON values; nothing without a budget. A segment that only became part of "other" later
    is told as such from then on.
    """
    if not decided.segments:
        return []
    found: dict[str, dict[str, Any]] = {}
    for row, choice, blocked, spares in zip(
        rows.tolist(),
        decided.choices.tolist(),
        (table.told[rows] & BLOCKED).tolist(),
        decided.segments,
        strict=True,
    ):
        each = found.setdefault(
            spares.segment, {"transactions": 0, "frauds": 0, "stepped_up": 0, "declined": 0}
        )
        each["transactions"] += 1
        each["frauds"] += bool(table.fraud[row])
        if not blocked:
            each["stepped_up"] += choice == STEP_UP
            each["declined"] += choice == DECLINE
        each["bounds"] = list(policy.bounds_in(spares))
    order = sorted(found, key=lambda name: (-found[name]["transactions"], name))
    return [{"segment": name, **found[name]} for name in order]


def _distinct(table: Table, rows: Rows) -> int:
    return len({table.users[row] for row in rows})


def difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Second minus first, figure by figure; None where one of them does not exist."""
    return {
        name: None if value is None or second[name] is None else second[name] - value
        for name, value in first.items()
    }
