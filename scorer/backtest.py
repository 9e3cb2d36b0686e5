"""The backtest: two policies over one history, and where and why their verdicts differ.

The history is replayed once. A policy changes no score and no state of the engine but what its own
budget learns, so both decide on the same scores and the same evidence, in rows that the model has
not seen; a budget begins to learn with the first of them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.errors import InvalidSetting
from graph.evidence import Evidence
from graph.ring_book import Likelihood
from graph.ring_policy import RingPolicy
from graph.rings import Ring
from scorer.artefact import TrainedModel
from scorer.batch_scores import BatchScore
from scorer.decided import (
    DECLINE,
    STEP_UP,
    WORDS,
    Decided,
    decide_rows,
    difference,
    everything_approved,
    outcome_figures,
    segment_figures,
    total_cost,
)
from scorer.decision import Policy
from scorer.evidence_judge import EvidenceJudge
from scorer.fitting import BoosterSettings
from scorer.history import LabelledTransaction
from scorer.history_replay import Progress, replay, silent
from scorer.judge_training import teach, weights_by
from scorer.learning import learn_whole
from scorer.metrics import cost_curve
from scorer.ports import Replayer
from scorer.reasons import of_memory, reasons, with_shares
from scorer.ring_pass import rings_told, weighed, with_rings
from scorer.risk_stack import score_history
from scorer.splits import EMBARGO, Dates, Split, dated_split, require_both, temporal_split
from scorer.starter import starter_trees
from scorer.table import BLOCKED, Rows, Table, describe, require_labels
from scorer.told_rings import as_scored
from scorer.verdict import Reason

_SCORE, _OWN, _OTHERS = map(BatchScore._fields.index, ("score", "own", "others"))
MOST_SHOWN: Final = 200
"""Differing verdicts in the report itself; the whole list goes beside it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A transaction on which the policies disagree.

    Attributes:
        transaction_id: Which.
        timestamp: Its event time.
        user_id: Whose.
        value: Minor units of the base currency.
        fraud: What it turned out to be.
        score: Probability of fraud, the same for both.
        ring_score: Of the strongest ring touched.
        decisions: What each policy answered, by name.
        made_by: What made the difference: `costs`, `thresholds`, `costs and thresholds`, each with
            `and budget` where a segment's budget changed an answer; `budget` where nothing else
            did; or `connection` (one declines, the other would but for the rule that a mere
            connection never declines).
        bound: Which bound lies between them: `step_up`, `decline`, or `step_up and decline`.
        why: The same as a sentence.
        extra_cost: What the second policy's answer cost more, by the first one's costs.
        reasons: What the score rests on, strongest first.
    """

    transaction_id: str
    timestamp: int
    user_id: str
    value: int
    fraud: bool
    score: float
    ring_score: float
    decisions: Mapping[str, str]
    made_by: str
    bound: str
    why: str
    extra_cost: float
    reasons: tuple[Reason, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; of a reason, code, standing and text."""
        told = [
            {"code": r.code, "standing": r.standing.value, "text": r.text} for r in self.reasons
        ]
        return asdict(self) | {"decisions": dict(self.decisions), "reasons": told}


@dataclass(frozen=True, slots=True)
class Backtest:
    """Its report as plain JSON values, and every difference, those that moved most money first."""

    report: dict[str, Any]
    differences: list[Difference]


def backtest(
    history: Iterable[LabelledTransaction],
    replayer: Replayer,
    policies: Mapping[str, Policy],
    *,
    model: TrainedModel | None = None,
    dates: Dates | None = None,
    embargo: int = EMBARGO,
    settings: BoosterSettings | None = None,
    seed: int = 0,
    data: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> Backtest:
    """Let two policies decide about the same history.

    Args:
        history: In arrival order.
        replayer: A fresh one.
        policies: Two, by name; figures of difference are the second minus the first.
        model: Judge with this model, on labelled rows later than all it was trained on. Without
            one, a model is learned from the past of the temporal split and judges its test.
        dates: An explicit split by time instead of 60/20/20, where a model is learned.
        embargo: Milliseconds between what was learned from and what is judged.
        settings: How trees are grown; the defaults if left out.
        seed: Of the training.
        data: What the history is, for the report.
        progress: Told each stage and how far it is.

    Raises:
        InvalidInput: The history holds no labels, or too many for memory.
        InvalidSetting: There are not two policies, too little to learn from or to judge, or the
            model has seen all of it or has other features.
    """
    if len(policies) != 2:
        raise InvalidSetting(
            "a backtest compares two policies",
            field="policy",
            value=", ".join(policies) or "none",
            remedy="Give --policy twice, with files of different names.",
        )
    table = replay(history, replayer, progress=progress)
    require_labels(table)
    split: Split | None = None
    if model is None:
        split = temporal_split(table, embargo) if dates is None else dated_split(table, dates)
        split.require_past(table)
        progress("learn", len(split.early))
        rows = split.test
        taught = teach(table, split.past, replayer.ring_policy, seed, split.left_out)
        judge: EvidenceJudge | None = taught.judge
        bounds = taught.judge.rings(replayer.ring_policy)
        evidence = weighed(table.evidence, taught.weights)
        table = with_rings(table, evidence, bounds)
        chosen, trees = settings or BoosterSettings(), starter_trees(table.schema)
        learned = learn_whole(table, split, chosen, seed, trees).served
        model = learned.as_model(table.schema, Policy(), seed)
        scored = learned.blended(table, split.test)
    else:
        rows, judge, bounds = _unseen(table, model, embargo), model.judge, replayer.ring_policy
        evidence = table.evidence
        if judge is not None:
            evidence = weighed(evidence, weights_by(judge, evidence))
            bounds = judge.rings(bounds)
        table = with_rings(table, evidence, bounds)
        margins = model.booster.margins(table.rows)
        scored = score_history(table, margins, model.calibration, model.blend)
    progress("judge", len(rows))
    likelihood = None if judge is None else judge.likelihood
    told = _explained(table, rows, scored[:, _SCORE], bounds, likelihood)
    judged = _Judged(table, rows, scored[rows], model, told, dict(policies))
    found = sorted(judged.differences(), key=lambda d: (-abs(d.extra_cost), -d.value, d.timestamp))
    shown = found[:MOST_SHOWN]
    report = {
        "data": dict(data or {}) | describe(table),
        "judged": _described(table, rows),
        "split": None if split is None else split.describe(table),
        "model": {
            "version": None if split is not None else model.version,
            "trained_until": int(table.times[split.later].max()) if split else _until(model),
        },
        "seed": seed,
        "policies": judged.figures(),
        "difference": judged.difference(),
        "curve": judged.curve(),
        "differences": {
            "count": len(found),
            "shown": len(shown),
            "cut": len(found) > len(shown),
            "transitions": judged.transitions(),
            "list": [each.as_json() for each in shown],
        },
    }
    return Backtest(report, found)


def _explained(
    table: Table,
    rows: Rows,
    scores: NDArray[np.float64],
    policy: RingPolicy,
    likelihood: Likelihood | None,
) -> dict[int, tuple[Reason, ...]]:
    """What evidence and rings say about some rows."""
    told: dict[int, tuple[Reason, ...]] = {}
    wanted = np.zeros(len(table.fraud), np.bool_)
    wanted[rows] = True

    def remember(row: int, completed: tuple[Evidence, ...], rings: tuple[Ring, ...]) -> None:
        if wanted[row]:
            known = as_scored(rings, float(table.ring_score[row]))
            told[row] = reasons(table.parties.of(row, table.ids[row]), completed, known)

    rings_told(table, scores, policy, likelihood, remember)
    return told


def _unseen(table: Table, model: TrainedModel, embargo: int) -> Rows:
    """Labelled rows later than what the model was trained on, by more than the embargo."""
    if model.schema.hash != table.schema.hash:
        raise InvalidSetting(
            "the model was trained on other features than the engine makes",
            field="model",
            value=model.version,
            remedy="Train the model again: `ringfence train`.",
        )
    until = _until(model)
    rows = np.flatnonzero(table.times > until + embargo)
    if not len(rows):
        raise InvalidSetting(
            "the model has seen all of this history",
            field="model",
            value=model.version,
            remedy="Leave --model out: a model is then learned from the earlier part.",
        )
    require_both("rows later than the model's training", table.fraud[rows])
    return rows


def _until(model: TrainedModel) -> int:
    until = model.data.get("until")
    if not isinstance(until, int):
        raise InvalidSetting(
            "the model does not say until when it was trained, so nothing is known to be unseen",
            field="model",
            value=model.version,
            remedy="Leave --model out, or train it with `ringfence train`.",
        )
    return until


def _described(table: Table, rows: Rows) -> dict[str, Any]:
    times = table.times[rows]
    return {
        "transactions": len(rows),
        "frauds": int(table.fraud[rows].sum()),
        "users": len({table.users[row] for row in rows}),
        "fraud_value": int(table.values[rows][table.fraud[rows]].sum()),
        "value": int(table.values[rows].sum()),
        "from": int(times.min()),
        "until": int(times.max()),
    }


class _Judged:
    """The two policies' answers to the same rows."""

    def __init__(
        self,
        table: Table,
        rows: Rows,
        scored: NDArray[np.float64],
        model: TrainedModel,
        told: Mapping[int, tuple[Reason, ...]],
        policies: Mapping[str, Policy],
    ) -> None:
        self.table, self.rows, self.model, self.told = table, rows, model, told
        self.scored, self.scores = scored, scored[:, _SCORE]
        self.policies = policies
        self.answers: dict[str, Decided] = {
            name: decide_rows(policy, table, rows, self.scores, self._own)
            for name, policy in policies.items()
        }

    def _own(self, row: int) -> float:
        return self.model.own_probability(self.table.rows[row])

    def figures(self) -> dict[str, Any]:
        """What each came to, with its parameters, and its cost by either one's costs."""
        fraud = self.table.fraud[self.rows]
        return {
            name: {
                "version": policy.version,
                **policy.as_json(),
                "bounds": list(policy.bounds),
                "segments": segment_figures(self.answers[name], policy, self.table, self.rows),
                "figures": outcome_figures(self.answers[name], self.table, self.rows, policy.costs),
                "cost_by": {
                    by: total_cost(self.answers[name], fraud, other.costs)
                    for by, other in self.policies.items()
                },
            }
            for name, policy in self.policies.items()
        }

    def difference(self) -> dict[str, Any]:
        """Second minus first: by each one's own costs, and both by those of either."""
        figures = self.figures()
        (first, one), (second, other) = figures.items()
        return {
            "of": f"{second} minus {first}",
            "figures": difference(one["figures"], other["figures"]),
            "cost_by": difference(one["cost_by"], other["cost_by"]),
        }

    def curve(self) -> dict[str, Any]:
        """Cost per transaction by the first policy's costs when the riskiest are declined."""
        costs = next(iter(self.policies.values())).costs
        fraud = self.table.fraud[self.rows]
        nobody = total_cost(everything_approved(len(fraud)), fraud, costs)
        return {
            "cost": cost_curve(self.scores, fraud, Policy(costs)),
            "approve_all": nobody / len(fraud),
        }

    def transitions(self) -> dict[str, int]:
        """How many rows went from which answer to which."""
        one, other = (self.answers[name].choices.tolist() for name in self.policies)
        counts = Counter((a, b) for a, b in zip(one, other, strict=True) if a != b)
        return {f"{WORDS[a]} to {WORDS[b]}": n for (a, b), n in sorted(counts.items())}

    def differences(self) -> Iterator[Difference]:
        """Each row on which they disagree, in arrival order."""
        table = self.table
        first, second = self.policies
        one, other = self.answers[first], self.answers[second]
        costs = self.policies[first].costs
        for i in np.flatnonzero(one.choices != other.choices):
            row = int(self.rows[i])
            fraud = bool(table.fraud[row])
            made_by, bound = self._made_by(int(i))
            extra = [
                total_cost(Decided(each.choices[i : i + 1], each.spared[i : i + 1]),
                           table.fraud[row : row + 1], costs)
                for each in (one, other)
            ]  # fmt: skip
            yield Difference(
                transaction_id=table.ids[row],
                timestamp=int(table.times[row]),
                user_id=table.users[row],
                value=int(table.values[row]),
                fraud=fraud,
                score=float(self.scores[i]),
                ring_score=float(table.ring_score[row]),
                decisions={n: WORDS[self.answers[n].choices[i]] for n in self.policies},
                made_by=made_by,
                bound=bound,
                why=" ".join(self._sentence(name, int(i)) for name in self.policies),
                extra_cost=extra[1] - extra[0],
                reasons=self._reasons(int(i), row),
            )

    def _reasons(self, i: int, row: int) -> tuple[Reason, ...]:
        own, others = self.scored[i, _OWN : _OTHERS + 1].tolist()
        found = (*self.told.get(row, ()), *of_memory(own, others))
        return with_shares(found, self.model.shares(self.table.rows[row]))

    def _made_by(self, i: int) -> tuple[str, str]:
        """What made the difference in row i, and which bound lies between the answers."""
        before = [
            DECLINE if answer.spared[i] else int(answer.choices[i])
            for answer in self.answers.values()
        ]
        if before[0] == before[1]:
            return "connection", "decline"
        score = float(self.scores[i])
        alone = [WORDS.index(policy.choose(score)) for policy in self.policies.values()]
        means = [] if alone[0] == alone[1] else sorted(set(map(_means, self.policies.values())))
        if alone != before:
            means.append("budget")
        low, high = sorted(before)
        crossed = ["step_up"] * (low < STEP_UP) + ["decline"] * (high == DECLINE)
        return " and ".join(means), " and ".join(crossed)

    def _sentence(self, name: str, i: int) -> str:
        policy, answer = self.policies[name], self.answers[name]
        said = WORDS[answer.choices[i]].replace("_", " ")
        if self.table.told[self.rows[i]] & BLOCKED:
            return f"{name}: {said}, a blocked entity takes part."
        mild, strict = policy.bounds
        by = "its thresholds" if policy.thresholds else "where its costs cross"
        if answer.segments and policy.bounds_in(answer.segments[i]) != policy.bounds:
            by = (
                f"by its budget in {answer.segments[i].segment}; without it from {mild:.3f} and "
                f"{strict:.3f}, {by}"
            )
            mild, strict = policy.bounds_in(answer.segments[i])
        told = f"{name}: {said} (steps up from {mild:.3f}, declines from {strict:.3f}, {by}"
        if answer.spared[i]:
            told += "; it would decline, but on its own figures it would not"
        return f"{told})."


def _means(policy: Policy) -> str:
    return "costs" if policy.thresholds is None else "thresholds"
