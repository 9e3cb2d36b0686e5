"""Evaluation: learn from the past, judge on the future, and say what the graph was worth.

Three rungs are learned from the same rows: `tabular` (no feature that needs the graph), `graph`
(all features) and `blend` (the same, stacked with ring score and evidence: what a verdict says).
The report is plain JSON values; docs/evaluation.md explains every key.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np

from graph.errors import InvalidSetting
from scorer.artefact import TrainedModel
from scorer.decision import FIXED, Policy
from scorer.fitting import BoosterSettings
from scorer.history import LabelledTransaction
from scorer.history_replay import Progress, replay, silent
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
from scorer.ports import Replayer
from scorer.ring_matching import alert_figures, ring_figures
from scorer.splits import (
    EMBARGO,
    Dates,
    Split,
    dated_split,
    shuffled_split,
    shuffled_test,
    temporal_split,
)
from scorer.table import Rows, Table, describe, require_labels
from scorer.training import Learned, learn_from

Protocol = Literal["temporal", "shuffled"]
_CONFOUNDER_ROUNDS: Final = 50
_SHARES_ROWS: Final = 2_000


def evaluate(
    history: Iterable[LabelledTransaction],
    replayer: Replayer,
    *,
    protocol: Protocol = "temporal",
    dates: Dates | None = None,
    embargo: int = EMBARGO,
    model: TrainedModel | None = None,
    policy: Policy | None = None,
    settings: BoosterSettings | None = None,
    seed: int = 0,
    data: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Judge the engine on a labelled history.

    Args:
        history: In arrival order.
        replayer: A fresh one.
        protocol: `temporal` cuts 60/20/20 by time. `shuffled` draws a stratified 20 % of the
            labelled rows (random_state 2) whose labels the engine never learns; all others it
            learns at once, since the protocol knows no time. The history is held in memory.
            Shuffled figures flatter: neighbours in time are on both sides.
        dates: An explicit split by time instead of 60/20/20.
        embargo: Milliseconds before the test of the temporal split from which nothing is learned.
        model: Judge this model instead of learning one; only the test rows of the split are used.
        policy: What costs are counted by; the model's, or the default costs, if left out.
        settings: How trees are grown; the defaults if left out.
        seed: Of everything random but the shuffled split.
        data: What the history is, for the report.
        progress: Told each stage and how far it is.

    Returns:
        The report as plain JSON values, None where a figure does not exist (average precision
        without fraud); see docs/evaluation.md.

    Raises:
        InvalidInput: The history holds no labels, or too many for memory.
        InvalidSetting: A slice of the split lacks fraud or legitimate transactions, or dates are
            given for the shuffled protocol.
    """
    if protocol == "shuffled":
        if dates is not None:
            raise InvalidSetting(
                "a shuffled split has no dates",
                field="dates",
                remedy="Leave the dates out, or choose the temporal protocol.",
            )
        held = list(history)
        withheld = shuffled_test(held)
        table = replay(held, replayer, withheld=withheld, at_once=True, progress=progress)
        require_labels(table)
        split = shuffled_split(table, withheld, seed)
    else:
        if dates is None:
            table = replay(history, replayer, progress=progress)
        else:
            # What comes after the test changes nothing that is judged.
            until = dates.test_until
            past = (item for item in history if item.transaction.timestamp < until)
            table = replay(past, replayer, keep=dates.holds, progress=progress)
        require_labels(table)
        split = temporal_split(table, embargo) if dates is None else dated_split(table, dates)
    chosen = settings or BoosterSettings()
    costs = policy or (model.policy if model else Policy())
    if model is None:
        split.require_past(table)
        scores, learned = _learn_rungs(table, split, chosen, seed, progress)
    else:
        scores, learned = _rungs_of_model(table, split, model), None
    judged = _Judged(table, split.test, scores, costs, seed)
    progress("judge", len(split.test))
    report = judged.report()
    report["protocol"] = "dates" if dates is not None else protocol
    report["data"] = dict(data or {}) | describe(table)
    report["split"] = split.describe(table)
    report["seed"] = seed
    report["policy"] = costs.as_json() | {"version": costs.version}
    if learned is not None:
        report["settings"] = asdict(chosen)
        report["trees"] = {rung: part.booster.tree_count for rung, part in learned.items()}
        report["families"] = _family_shares(table, split.test, learned["graph"])
        report["confounders"] = _confounders(table, split, chosen, seed)
        progress("confounders", _CONFOUNDER_ROUNDS)
    elif model is not None:
        report["model"] = _describe_model(model, table, split)
    plain: dict[str, Any] = _without_nan(report)
    return plain


# --- rungs --------------------------------------------------------------------------------------


def _learn_rungs(
    table: Table, split: Split, settings: BoosterSettings, seed: int, progress: Progress
) -> tuple[dict[str, Scores], dict[str, Learned]]:
    learned = {}
    for rung, graph in (("tabular", False), ("graph", True)):
        columns = table.schema.columns(graph=graph)
        progress(f"learn {rung}", len(columns))
        learned[rung] = learn_from(table, split.early, split.later, columns, settings, seed)
    scores = {rung: part.probabilities(table, split.test) for rung, part in learned.items()}
    scores["blend"] = learned["graph"].blended(table, split.test)
    return scores, learned


def _rungs_of_model(table: Table, split: Split, model: TrainedModel) -> dict[str, Scores]:
    if model.schema.hash != table.schema.hash:
        raise InvalidSetting(
            "the model was trained on other features than the engine makes",
            field="model",
            value=model.version,
            remedy="Train the model again: `ringfence train`.",
        )
    every = np.arange(len(table.schema.names), dtype=np.intp)
    given = Learned(every, model.booster, model.calibration, model.blend, np.empty(0))
    return {
        "graph": given.probabilities(table, split.test),
        "blend": given.blended(table, split.test),
    }


def _describe_model(model: TrainedModel, table: Table, split: Split) -> dict[str, Any]:
    until = model.data.get("until")
    begins = int(table.times[split.test].min())
    return {
        "version": model.version,
        "created": model.created,
        "trained_until": until,
        # A model that has seen the test knows the answers: its figures say nothing.
        "saw_the_test": bool(until is not None and until >= begins),
    }


def _family_shares(table: Table, test: Rows, learned: Learned) -> dict[str, float]:
    """Share of each family in the mean absolute path contribution, over at most 2,000 test rows."""
    chosen = test[:: max(1, math.ceil(len(test) / _SHARES_ROWS))]
    total = np.zeros(len(learned.columns))
    for row in chosen:
        total += np.abs(learned.booster.contributions(table.rows[row, learned.columns])[0])
    families: dict[str, float] = {}
    for index, weight in zip(learned.columns, total, strict=True):
        family = table.schema.families[index]
        families[family] = families.get(family, 0.0) + float(weight)
    whole = sum(families.values()) or 1.0
    return {family: weight / whole for family, weight in sorted(families.items())}


def _confounders(
    table: Table, split: Split, settings: BoosterSettings, seed: int
) -> dict[str, Any]:
    """What must not work: learned from shuffled labels, the ranking is that of chance."""
    rng = np.random.default_rng(seed)
    shuffled = table.fraud.copy()
    for part in (split.early, split.later):
        shuffled[part] = rng.permutation(shuffled[part])
    senseless = learn_from(
        replace(table, fraud=shuffled),
        split.early,
        split.later,
        table.schema.columns(graph=True),
        replace(settings, rounds=_CONFOUNDER_ROUNDS),
        seed,
    )
    fraud = table.fraud[split.test]
    scores = senseless.margins(table, split.test).astype(np.float64)
    found = Ranking.of(scores, fraud).average_precision()
    return {"shuffled_labels": {"average_precision": found, "base_rate": float(fraud.mean())}}


# --- figures ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Judged:
    table: Table
    test: Rows
    scores: Mapping[str, Scores]
    policy: Policy
    seed: int

    def report(self) -> dict[str, Any]:
        """Figures of every rung; those of the blend also at the top, where readers look first."""
        table, test = self.table, self.test
        everyone = self._average_precisions(test, dict(self.scores))
        warm_rows = np.flatnonzero(table.warm[test])
        warm = self._average_precisions(
            test[warm_rows], {rung: scores[warm_rows] for rung, scores in self.scores.items()}
        )
        rings = self._rings()
        rungs = {
            rung: everyone["rungs"][rung] | self._figures(scores) | {"warm": warm["rungs"][rung]}
            for rung, scores in self.scores.items()
        }
        headline = {
            key: value for key, value in rungs["blend"].items() if key not in {"curves", "rings"}
        }
        return headline | {
            "base_rate": float(table.fraud[test].mean()),
            "rings": rings,
            "rungs": rungs,
            "gains": everyone["gains"],
        }

    def _average_precisions(self, rows: Rows, scores: dict[str, Scores]) -> dict[str, Any]:
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
        return {
            "recall_at_precision": recall_at_precision(scores, fraud),
            "precision_at_budget": precision_at_budget(scores, fraud, times),
            "cost_per_transaction": cost_per_transaction(scores, fraud, policies),
            "calibration": calibration_figures(scores, fraud),
            "rings": alert_figures(true, rings, times.tolist(), alerted.tolist(), fraud.tolist()),
            "curves": {
                "precision_recall": precision_recall_points(scores, fraud),
                "cost": cost_curve(scores, fraud, self.policy),
            },
        }

    def _rings(self) -> dict[str, Any]:
        """Rings as the engine tells them, over rings that live in the test's time."""
        begins = int(self.table.times[self.test].min())
        true = [
            ring for _, ring in sorted(self.table.true_rings.items()) if max(ring.times) >= begins
        ]
        return ring_figures(self.table.ledger.rings(since=begins), true)


def _without_nan(value: Any) -> Any:
    """The same values with None for what is not a number: JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def headline(report: Mapping[str, Any]) -> dict[str, float]:
    """Average precision of each rung, for a line on the terminal."""
    return {rung: figures["average_precision"] for rung, figures in report["rungs"].items()}
