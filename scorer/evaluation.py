"""Evaluation: learn from the past, judge on the future, and say what the graph was worth.

Four rungs are learned from the same rows: `tabular` (no feature that needs the graph), `graph`
(all features), `memory` (and what is recalled of the parties' recent scores) and `blend` (the same
with ring score and evidence: what a verdict says).
The report is plain JSON values; docs/evaluation.md explains every key.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from graph.errors import InvalidSetting
from graph.ring_policy import RingPolicy
from scorer.artefact import TrainedModel
from scorer.beside import begin
from scorer.confounders import shuffled_labels
from scorer.decided import DECLINE, decide_rows, everything_approved, outcome_figures
from scorer.decision import FIXED, Policy
from scorer.evidence_judge import EvidenceJudge
from scorer.feature_bins import FeatureBins
from scorer.fitting import MOST_NEGATIVES, BoosterSettings
from scorer.ground_truth import GroundTruth, as_named
from scorer.history import LabelledTransaction
from scorer.history_replay import Progress, replay, silent
from scorer.judge_training import judged_table, weights_by
from scorer.ladder import Clock, Rung, climb, require_order
from scorer.look_alikes import look_alike_figures
from scorer.ports import Replayer
from scorer.ring_matching import RingMatch, ring_figures
from scorer.ring_pass import rings_told, weighed, with_rings
from scorer.rung_figures import RungFigures
from scorer.rungs import Rungs, family_shares, learn_rungs, learn_tabular, rungs_of_model
from scorer.splits import (
    EMBARGO,
    Dates,
    Split,
    dated_split,
    shuffled_split,
    shuffled_test,
    temporal_split,
)
from scorer.table import Table, describe, require_labels
from scorer.tier_figures import tier_figures
from scorer.typology_figures import typology_figures

Protocol = Literal["temporal", "shuffled"]


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
    truth: GroundTruth | None = None,
    rewired: tuple[Iterable[LabelledTransaction], Replayer] | None = None,
    ladder: Sequence[Rung] = (),
    clock: Clock | None = None,
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
        truth: What is known beyond labels, for rows by typology and by look-alike.
        rewired: The same history with its edges shuffled (`scorer.confounders.shuffle_edges`), and
            a fresh replayer for it: the graph's gain must vanish there. Only where one is learned.
        ladder: More rungs to learn from the same rows and to compare (`scorer.ladder`), in order;
            only where a model is learned.
        clock: Times the rungs of a ladder; what it says is all that differs between equal runs.
        progress: Told each stage and how far it is.

    Returns:
        The report as plain JSON values, None where a figure does not exist (average precision
        without fraud); see docs/evaluation.md.

    Raises:
        InvalidInput: The history holds no labels, or too many for memory.
        InvalidSetting: A slice of the split lacks fraud or legitimate transactions, dates are
            given for the shuffled protocol, or a ladder does not stand.
    """
    require_order(ladder)
    if ladder and model is not None:
        raise InvalidSetting(
            "a ladder is learned from the past, and a model that is given is not",
            field="ladder",
            value=model.version,
            remedy="Leave out the model, or the ladder.",
        )
    if protocol == "shuffled" and dates is not None:
        raise InvalidSetting(
            "a shuffled split has no dates",
            field="dates",
            remedy="Leave the dates out, or choose the temporal protocol.",
        )
    cut = _Cut(protocol, dates, embargo, seed, progress)
    table, split = cut.of(history, replayer)
    chosen = settings or BoosterSettings()
    costs = policy or (model.policy if model else Policy())
    judge: EvidenceJudge | None
    if model is None:
        table, judge, rungs = _learned(
            table, split, replayer.ring_policy, chosen, seed, progress, clock
        )
        chance = begin(lambda: shuffled_labels(table, split, chosen, seed))
    else:
        table, judge = _judged_by(model, table, replayer.ring_policy)
        rungs = rungs_of_model(table, split, model)
    progress("judge", len(split.test))
    table = _as_told(table, rungs, judge, replayer.ring_policy)
    report = RungFigures(table, split.test, rungs.scores, costs, seed).report()
    report |= _of_rings(table, split, truth) | _of_decisions(table, split, rungs, costs, truth)
    report["protocol"] = "dates" if dates is not None else protocol
    files = None if truth is None else list(truth.files)
    report["data"] = dict(data or {}) | describe(table) | {"ground_truth": files}
    report["split"] = split.describe(table)
    report["seed"] = seed
    report["policy"] = costs.as_json() | {"version": costs.version}
    past = split.past
    bins = FeatureBins.of(table, past, split.test)
    report["stability"] = bins.stability()
    report["judge"] = None if judge is None else judge.as_json()
    if model is not None:
        report["model"] = _describe_model(model, table, split)
    else:
        learned = rungs.learned
        report["settings"] = asdict(chosen) | {"most_negatives": MOST_NEGATIVES}
        report["trees"] = {rung: part.booster.tree_count for rung, part in learned.items()}
        report["starter"] = rungs.starter
        served = learned.get("starter", learned["graph"])
        report["families"] = family_shares(table, split.test, served)
        report["confounders"] = {
            "shuffled_labels": chance(),
            "one_feature": bins.one_feature_models(),
        }
        if ladder:
            report["ladder"] = climb(
                ladder,
                table,
                split,
                rungs.scores,
                seed,
                base_seconds=rungs.seconds,
                clock=clock,
                progress=progress,
            )
        if rewired is not None:
            del table, bins, past  # the second replay needs the room of the first
            progress("confounders", 0)
            again = cut.of(*rewired)
            report["confounders"]["shuffled_edges"] = _of_shuffled_edges(
                *again, rewired[1].ring_policy, chosen, costs, seed, progress
            )
        progress("confounders", 1)
    plain: dict[str, Any] = _without_nan(report)
    return plain


@dataclass(frozen=True, slots=True)
class _Cut:
    """How a history becomes a table with a past and a test; done twice, with and without edges."""

    protocol: Protocol
    dates: Dates | None
    embargo: int
    seed: int
    progress: Progress

    def of(self, history: Iterable[LabelledTransaction], replayer: Replayer) -> tuple[Table, Split]:
        if self.protocol == "shuffled":
            held = list(history)
            withheld = shuffled_test(held)
            table = replay(held, replayer, withheld=withheld, at_once=True, progress=self.progress)
            require_labels(table)
            return table, shuffled_split(table, withheld, self.seed)
        if self.dates is None:
            table = replay(history, replayer, progress=self.progress)
            require_labels(table)
            return table, temporal_split(table, self.embargo)
        # What comes after the test changes nothing that is judged.
        until = self.dates.test_until
        past = (item for item in history if item.transaction.timestamp < until)
        table = replay(past, replayer, keep=self.dates.holds, progress=self.progress)
        require_labels(table)
        return table, dated_split(table, self.dates)


def _learned(
    table: Table,
    split: Split,
    policy: RingPolicy,
    settings: BoosterSettings,
    seed: int,
    progress: Progress,
    clock: Clock | None = None,
) -> tuple[Table, EvidenceJudge, Rungs]:
    """What the past teaches: the table with its evidence weighed, by which judge, and the rungs.

    The tabular rung reads nothing of evidence and is learned meanwhile, unless a `clock` times it:
    a judge is taught by our Python, trees grow in XGBoost, which needs no interpreter. Of the rows
    they share the judge changes one column in place, the ring score, which is not among the rung's.
    """
    split.require_past(table)
    replayed = table
    tabular = (
        begin(lambda: learn_tabular(replayed, split, settings, seed)) if clock is None else None
    )
    table, judge = judged_table(replayed, split.past, policy, seed, split.left_out)
    return table, judge, learn_rungs(table, split, settings, seed, progress, clock, tabular)


def _judged_by(
    model: TrainedModel, table: Table, policy: RingPolicy
) -> tuple[Table, EvidenceJudge | None]:
    """The table with its evidence weighed as a model's judge weighs it."""
    if model.judge is None:
        return with_rings(table, table.evidence, policy), None
    evidence = weighed(table.evidence, weights_by(model.judge, table.evidence))
    return with_rings(table, evidence, model.judge.rings(policy)), model.judge


def _as_told(table: Table, rungs: Rungs, judge: EvidenceJudge | None, policy: RingPolicy) -> Table:
    """The table with the rings that are told when transactions are scored as the blend does."""
    if judge is None:
        ledger = rings_told(table, rungs.history, policy)
    else:
        ledger = rings_told(table, rungs.history, judge.rings(policy), judge.likelihood)
    return replace(table, ledger=ledger)


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


def _of_rings(table: Table, split: Split, truth: GroundTruth | None) -> dict[str, Any]:
    """Rings as the engine tells them: all of those of the test's time, and kind by kind."""
    begins = int(table.times[split.test].min())
    match = RingMatch.since(begins, table.ledger, as_named(table.true_rings.values(), truth))
    figures = {"rings": ring_figures(match)}
    if truth is not None and truth.rings:
        figures["typologies"] = typology_figures(match, truth.rings)
    return figures


def _of_decisions(
    table: Table, split: Split, rungs: Rungs, policy: Policy, truth: GroundTruth | None
) -> dict[str, Any]:
    """What the policy's verdicts come to: money, tiers, and look-alikes."""
    test, scores = split.test, rungs.scores["blend"]

    def own(row: int) -> float:
        return rungs.model.own_probability(table.rows[row])

    fixed = replace(FIXED, costs=policy.costs)
    decided = {
        "ours": decide_rows(policy, table, test, scores, own),
        "fixed": decide_rows(fixed, table, test, scores, own),
        "approve_all": everything_approved(len(test)),
    }
    money = {
        name: outcome_figures(each, table, test, policy.costs) for name, each in decided.items()
    }
    figures: dict[str, Any] = {
        "money": money
        | {
            "saved": {
                f"against_{other}": money[other]["cost"] - money["ours"]["cost"]
                for other in ("approve_all", "fixed")
            }
        },
        "tiers": tier_figures(table, test, decided["ours"]),
    }
    if truth is not None and truth.look_alikes:
        declined = test[decided["ours"].choices == DECLINE]
        begins = int(table.times[test].min())
        figures["look_alikes"] = look_alike_figures(
            truth.look_alikes,
            [ring for ring in table.ledger.rings(since=begins) if ring.alerts],
            begins,
            {table.ids[row] for row in test},
            {table.ids[row] for row in declined},
        )
    return figures


def _of_shuffled_edges(
    table: Table,
    split: Split,
    ring_policy: RingPolicy,
    settings: BoosterSettings,
    policy: Policy,
    seed: int,
    progress: Progress,
) -> dict[str, Any]:
    """What is left of the graph's gain where there are no edges to see."""
    table, _, rungs = _learned(table, split, ring_policy, settings, seed, progress)
    scores = {rung: rungs.scores[rung] for rung in ("tabular", "graph", "memory")}
    judged = RungFigures(table, split.test, scores, policy, seed)
    found = judged.average_precisions(split.test, scores)
    return {
        "tabular": found["rungs"]["tabular"]["average_precision"],
        "graph": found["rungs"]["graph"]["average_precision"],
        "memory": found["rungs"]["memory"]["average_precision"],
        **found["gains"]["graph_over_tabular"],
        "memory_over_graph": found["gains"]["memory_over_graph"],
    }


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
