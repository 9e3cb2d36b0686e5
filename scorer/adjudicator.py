"""From sights to verdicts: booster, memory of scores, blend, graph model, decision and reasons.

Once scored, a transaction is told to the rings that are told (`scorer.told_rings`).
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from graph.admission import Status
from graph.entities import EntitySpace
from graph.errors import Incompatible
from graph.evidence import Evidence
from graph.heuristics.witness import hop_of
from graph.layout import TIME, VALUE, WATERMARK
from graph.lists import ListBook, ListName
from graph.ring_policy import RingPolicy
from graph.snapshot import encode_state
from graph.transaction import Entity, Transaction
from scorer.artefact import TrainedModel
from scorer.batch_scores import BatchScore, BatchScores, told
from scorer.blend import Blend, joint_strength
from scorer.decision import Policy, SegmentBounds, blocks
from scorer.embeddings import Embeddings
from scorer.graph_opinion import GraphOpinion, added_by
from scorer.kept_rows import KeptRows
from scorer.ports import GraphHead
from scorer.reasons import (
    FamilyShare,
    name_watched,
    of_graph_model,
    of_memory,
    of_segment,
    of_watched,
    reasons,
    with_notes,
)
from scorer.reference import Embedded
from scorer.risk_memory import RiskMemory
from scorer.segments import Segments, segment_of
from scorer.sight import Seen, Sight, in_full, strongest
from scorer.suspects import LEAST_SCORE, Suspect
from scorer.told_rings import RingNews, ToldRings, as_scored
from scorer.verdict import Decision, Reason, Verdict

# Verdicts kept to answer a transaction that is sent again; older ones are in the log.
_REMEMBERED: Final = 10_000

_ACCEPTED: Final = Status.ACCEPTED.value
_APPROVED: Final = list(Decision).index(Decision.APPROVE)
_WITHOUT_MODEL: Final = ("rules", "graph")
_WITH_MODEL: Final = ("rules", "graph", "model")
_WITH_GNN: Final = (*_WITH_MODEL, "gnn")
_MODEL_MISSING: Final = ("model",)
_GNN_MISSING: Final = ("gnn",)
_CAPACITY: Final = ("capacity",)


class Adjudicator:
    """Gives verdicts, and remembers those it may be asked for again.

    Args:
        model: The trained model; without one, rules and heuristics answer alone.
        policy: What to do at which probability; None takes the model's own, or the default.
        gnn: The head of the graph model that the model was trained with.
        accounts: The window's accounts.
        identifiers: The window's identifiers.
        rings: When a ring is born and told.
        lists: Whose watch list alerts name members of.

    Attributes:
        told: The rings that are told.
        kept: The last rows that a model judged, but for approvals without evidence; no part of
            a snapshot.

    Raises:
        Incompatible: The head is not of the graph model that the model was trained with.
    """

    def __init__(
        self,
        model: TrainedModel | None,
        policy: Policy | None,
        gnn: GraphHead | None,
        accounts: EntitySpace,
        identifiers: EntitySpace,
        rings: RingPolicy,
        lists: ListBook,
    ) -> None:
        self._model = model
        judge = None if model is None else model.judge
        self.told = ToldRings(rings, None if judge is None else judge.likelihood)
        self._lists = lists
        self._missing = () if model is not None else _MODEL_MISSING
        self.policy = policy or (model.policy if model else Policy())
        self._blend = model.blend if model else Blend()
        self._scores = (
            None if model is None else BatchScores(model.calibration, self._blend, self.policy)
        )
        self._opinion = _graph_opinion(model, gnn, self.policy, accounts, identifiers)
        budget = self.policy.budget
        self._segments = (
            None if budget is None else Segments(budget, model.version if model else "")
        )
        self._answered: OrderedDict[str, Verdict] = OrderedDict()
        self.kept = KeptRows()

    def verdicts(
        self,
        transactions: Sequence[Transaction],
        seen: Sequence[Seen],
        rows: NDArray[np.float32],
        arrivals: NDArray[np.int64],
        memory: RiskMemory,
    ) -> list[Verdict]:
        """Verdicts on a batch, in its order; the scores are remembered in `memory`.

        Args:
            transactions: The batch.
            seen: What was seen of each.
            rows: float32 [N, F], their feature rows.
            arrivals: int64 [N, graph.layout.WIDTH], the batch as it was laid out.
            memory: How risky the recent transactions of everybody were scored; who takes part in
                each of the batch is noted in it.
        """
        scores: Sequence[BatchScore | None] = (
            [None] * len(seen)
            if self._model is None or self._scores is None
            else self._score(self._model, self._scores, seen, rows, arrivals, memory)
        )
        watermarks = arrivals[: len(seen), WATERMARK].tolist()
        return [
            self._verdict(*each)
            for each in zip(transactions, seen, rows, scores, watermarks, strict=True)
        ]

    def _verdict(
        self,
        tx: Transaction,
        one: Seen,
        row: NDArray[np.float32],
        told: BatchScore | None,
        watermark: int,
    ) -> Verdict:
        news = self._news(tx, one, 0.0 if told is None else told.score, watermark)
        if told is None or told.place != _APPROVED or isinstance(one, Sight):
            return self._judge(in_full(one, tx), news, row, told)
        return self._approve(tx, strongest(one), news, told)

    def _news(self, tx: Transaction, one: Seen, score: float, watermark: int) -> RingNews:
        """What a transaction does to the rings that are told; nothing if it was not accepted."""
        pieces: tuple[Evidence, ...] = ()
        if isinstance(one, Sight):
            if one.status is not Status.ACCEPTED:
                return RingNews(self.told.book.touched_by(tx))
            pieces, watermark = (*one.findings, *one.evidence), one.watermark
        suspect = None
        if score >= LEAST_SCORE:
            suspect = Suspect.of(tx, hop_of(tx), score).without(self._allowed)
        news = self.told.take(tx, pieces, watermark, suspect)
        if news.events and self._lists:
            return news._replace(events=name_watched(news.events, self._lists))
        return news

    def _allowed(self, entity: Entity) -> bool:
        return self._lists.get(ListName.ALLOW, entity) is not None

    def refer(self, fact: Embedded) -> None:
        """Take account of embeddings, if the graph model is asked, from the next batch on.

        Raises:
            InvalidInput: They are not what the graph model says; nothing has changed.
        """
        if self._opinion is not None:
            self._opinion.embeddings.take(fact)

    def state(self) -> dict[str, Any]:
        """The whole state, as plain values by name."""
        return {
            "answered": encode_state(list(self._answered.values())),
            **self.told.state(),
            "embeddings": b"" if self._opinion is None else self._opinion.embeddings.snapshot(),
            "segments": b"" if self._segments is None else self._segments.snapshot(),
        }

    def restore(self, values: Mapping[str, Any]) -> None:
        """Take over a `state`; its embeddings and segments, where this one has any.

        Raises:
            Incompatible: A part of it is torn, altered, or of another version.
        """
        self.told.restore(values)
        answered = msgspec.msgpack.decode(values["answered"], type=list[Verdict])
        # Before 2026-11-29 they were remembered whole.
        self._answered = OrderedDict((v.transaction_id, _again(v)) for v in answered)
        if self._opinion is not None and values["embeddings"]:
            self._opinion.embeddings.restore(values["embeddings"])
        if self._segments is not None and values["segments"]:
            self._segments.restore(values["segments"])

    def _score(
        self,
        model: TrainedModel,
        scores: BatchScores,
        seen: Sequence[Seen],
        rows: NDArray[np.float32],
        arrivals: NDArray[np.int64],
        memory: RiskMemory,
    ) -> list[BatchScore]:
        """Booster, memory, blend, graph model."""
        rings, joint = np.zeros(len(seen)), np.zeros(len(seen))
        accepted = np.ones(len(seen), np.bool_)
        for i, one in enumerate(seen):
            if not one:  # nine of ten: quiet, and no ring near
                continue
            if not isinstance(one, Sight):
                rings[i] = strongest(one)
                continue
            rings[i], accepted[i] = strongest(one.rings), one.status is Status.ACCEPTED
            if one.evidence:
                joint[i] = joint_strength(one.evidence)
        arrivals = arrivals[: len(seen)]
        times, who = arrivals[:, TIME], memory.who
        margins = model.booster.margins(rows)
        scored = scores.of(margins, rings, joint, memory.state, who, times, accepted)
        if self._opinion is not None:
            self._opinion.add(scored, who, times, np.abs(arrivals[:, VALUE]))  # < 0: declined
        return told(scored)

    def _approve(
        self, tx: Transaction, ring_score: float, news: RingNews, told: BatchScore
    ) -> Verdict:
        """The verdict on what completed nothing and is approved: as `_judge` would give it."""
        verdict = Verdict(
            tx.transaction_id,
            tx.timestamp,
            _ACCEPTED,
            Decision.APPROVE,
            told.score,
            told.model_score,
            ring_score,
            told.cost,
            rings=tuple([ring.ring_id for ring in news.rings]) if news.rings else (),
            ring_events=tuple(news.events),
            tiers=self._tiers(told),
            degraded=self._unheard(told),
            model_version=None if self._model is None else self._model.version,
            findings=news.suspects,
        )
        if self._segments is not None:
            self._segments.take(segment_of(tx), tx.timestamp, told.score)
        self._remember(_again(verdict))
        return verdict

    def _judge(
        self, sight: Sight, news: RingNews, row: NDArray[np.float32], told: BatchScore | None
    ) -> Verdict:
        """Decision and reasons; without a model the score as well."""
        tx, evidence = sight.transaction, sight.evidence
        status = sight.status
        if status is Status.DUPLICATE and tx.transaction_id in self._answered:
            # What it completed and did to rings was told the first time.
            return structs.replace(self._answered[tx.transaction_id], admission=status.value)
        ring_score = strongest(sight.rings)
        score = self._blend.apply(None, ring_score, evidence) if told is None else told.score
        model_score = None if told is None else told.model_score
        segment = None if self._segments is None else self._in_segment(sight, score)
        decision, cost = self._decide(score, model_score, evidence, row, segment)
        why: tuple[Reason, ...] = ()
        asked_about = bool(evidence) or decision is not Decision.APPROVE
        if asked_about:
            shares = () if decision is Decision.APPROVE else self._shares(row)
            why = reasons(tx, evidence, as_scored(news.rings, ring_score), shares, _of_others(told))
        if sight.watched or segment is not None:
            notes = () if segment is None else of_segment(self.policy, segment, score)
            why = with_notes(why, (*of_watched(sight.watched), *notes))
        verdict = Verdict(
            transaction_id=tx.transaction_id,
            timestamp=tx.timestamp,
            admission=status.value,
            decision=decision,
            score=score,
            model_score=model_score,
            ring_score=ring_score,
            expected_cost=cost,
            reasons=why,
            evidence=evidence,
            rings=tuple([ring.ring_id for ring in news.rings]) if news.rings else (),
            ring_events=tuple(news.events),
            tiers=self._tiers(told),
            degraded=(
                *self._missing,
                *(_CAPACITY if sight.beyond_capacity else ()),
                *self._unheard(told),
            ),
            model_version=None if self._model is None else self._model.version,
            findings=(*sight.findings, *news.suspects),
        )
        if status is Status.ACCEPTED:
            self._remember(_again(verdict))
        if asked_about and told is not None:
            self.kept.keep(_without_events(verdict), row, told)
        return verdict

    def _tiers(self, told: BatchScore | None) -> tuple[str, ...]:
        if told is None:
            return _WITHOUT_MODEL
        return _WITH_MODEL if isnan(told.gnn) else _WITH_GNN

    def _unheard(self, told: BatchScore | None) -> tuple[str, ...]:
        """Names the graph model where the model was trained with one that was not asked."""
        if told is None or self._model is None or self._model.gnn is None or not isnan(told.gnn):
            return ()
        return _GNN_MISSING

    def _decide(
        self,
        score: float,
        model_score: float | None,
        evidence: tuple[Evidence, ...],
        row: NDArray[np.float32],
        segment: SegmentBounds | None,
    ) -> tuple[Decision, float]:
        decision, cost = self.policy.decide(score, evidence, segment=segment)
        if decision is not Decision.DECLINE or evidence:
            return decision, cost
        # About to decline on figures alone: would it be declined without those about others?
        own = (
            self._blend.apply(None, 0.0, ())
            if self._model is None or model_score is None
            else self._model.own_probability(row)
        )
        return self.policy.decide(score, evidence, own, segment)

    def _in_segment(self, sight: Sight, score: float) -> SegmentBounds | None:
        """Learn the score and say what its segment's budget spares; nothing of who is blocked."""
        if self._segments is None or blocks(sight.evidence):
            return None
        tx, name = sight.transaction, segment_of(sight.transaction)
        if sight.status is Status.ACCEPTED:
            self._segments.take(name, tx.timestamp, score)
        return self._segments.bounds(name)

    def _shares(self, row: NDArray[np.float32]) -> Sequence[FamilyShare]:
        return () if self._model is None else self._model.shares(row)

    def _remember(self, verdict: Verdict) -> None:
        self._answered[verdict.transaction_id] = verdict
        if len(self._answered) > _REMEMBERED:
            self._answered.popitem(last=False)


def _graph_opinion(
    model: TrainedModel | None,
    gnn: GraphHead | None,
    policy: Policy,
    accounts: EntitySpace,
    identifiers: EntitySpace,
) -> GraphOpinion | None:
    stack = None if model is None else model.gnn
    if stack is None or gnn is None:
        return None
    if gnn.version != stack.version:
        raise Incompatible(
            "this is not the graph model that the model was trained with",
            field="gnn",
            value=gnn.version,
            remedy="Restore the folder of the model as `ringfence train --gnn` wrote it.",
        )
    embeddings = Embeddings(accounts, identifiers, gnn.version, gnn.width)
    return GraphOpinion(stack, gnn, embeddings, policy)


def _without_events(verdict: Verdict) -> Verdict:
    """A verdict without what it did to rings: each event holds a ring's whole revision."""
    if not verdict.ring_events:
        return verdict
    return structs.replace(verdict, ring_events=())


def _again(verdict: Verdict) -> Verdict:
    """The answer to a transaction that is sent again: what it completed was told the first time."""
    if not (verdict.evidence or verdict.ring_events or verdict.findings):
        return verdict
    return structs.replace(verdict, evidence=(), ring_events=(), findings=())


def _of_others(told: BatchScore | None) -> tuple[Reason, ...]:
    """What the memory of scores and the graph model say of a transaction beside its own columns."""
    if told is None:
        return ()
    return (*of_memory(told.own, told.others), *of_graph_model(added_by(told)))
