"""The detector: window, heuristics, rings, features, booster, blend, decision.

It is synchronous and deterministic, does no I/O and reads no clock: the same transactions in the
same order give the same verdicts, one at a time or in batches of any size, straight through or from
a snapshot in their middle.
"""

import heapq
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Final, Self

import msgspec
import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.errors import Incompatible, InvalidInput
from graph.evidence import Evidence
from graph.fast_kernel import Stop
from graph.fast_path import FastPath
from graph.heuristics import EVERYBODY, Catalogue, Lists, Thresholds, catalogue
from graph.layout import LINKS, TIME, USER, VALUE
from graph.lists import NEVER, ListChange, ListEntry, ListName
from graph.ring_book import RingBook
from graph.ring_policy import RingPolicy
from graph.rings import Ring, RingEvent
from graph.snapshot import Snapshot, encode_state, pack, unpack
from graph.sweep import Sweep
from graph.transaction import Label, Transaction
from graph.window import TransactionWindow, WindowConfig
from scorer.artefact import TrainedModel
from scorer.batch_scores import BatchScore, BatchScores, told
from scorer.blend import Blend, joint_strength
from scorer.decision import Policy, SegmentBounds, blocks
from scorer.deep_features import DeepFeatures
from scorer.embeddings import Embeddings
from scorer.evidence_context import EvidenceContext
from scorer.feature_catalogue import RING_SCORE
from scorer.features import FeatureConfig, FeatureExtractor
from scorer.findings import ROOM, Waiting
from scorer.graph_opinion import GraphOpinion, added_by
from scorer.kept_rows import KeptRows
from scorer.ports import FeatureSchema, GraphHead, Signals
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
from scorer.reference import AnalysisPart, Embedded, Findings
from scorer.risk_memory import RiskMemory
from scorer.segments import Segments, segment_of
from scorer.verdict import Decision, Reason, Verdict

_VERSION: Final = 7  # 7: with embeddings

# Verdicts kept to answer a transaction that is sent again; older ones are in the log.
_REMEMBERED: Final = 10_000
# Labels waiting for their time: 90 days of them at one a second.
_MAX_LABELS: Final = 8_000_000

_ACCEPTED: Final = Status.ACCEPTED.value
_APPROVED: Final = list(Decision).index(Decision.APPROVE)
_WITHOUT_MODEL: Final = ("rules", "graph")
_WITH_MODEL: Final = ("rules", "graph", "model")
_WITH_GNN: Final = (*_WITH_MODEL, "gnn")
_GNN_MISSING: Final = ("gnn",)


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """Everything that shapes the state of a detector; the model can change without it."""

    window: WindowConfig = WindowConfig()
    thresholds: Thresholds = Thresholds()
    lists: Lists = Lists()
    rings: RingPolicy = RingPolicy()
    features: FeatureConfig = FeatureConfig()


class _Sight(msgspec.Struct, gc=False):
    """What was seen of one transaction before anything was decided about it."""

    transaction: Transaction
    status: Status
    degraded: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    rings: tuple[Ring, ...]
    ring_events: tuple[RingEvent, ...]
    watched: tuple[ListEntry, ...]
    findings: tuple[Evidence, ...] = ()
    contexts: NDArray[np.float32] | None = None
    watermark: int = 0


_Seen = _Sight | tuple[Ring, ...]
"""A sight, or the rings touched by a transaction of which there is nothing else to say."""


class Detector:
    """Turns transactions into verdicts.

    Args:
        config: Shapes of the state.
        model: The trained model; without one, rules and heuristics answer alone.
        policy: What to do at which probability; None takes the model's own, or the default.
        sweep: Sweeps the window in line, at the transaction that makes a pass due: for replays.
            A service sweeps beside the detector instead and refers what was found.
        gnn: The head of the graph model that the model was trained with. Its encoder runs beside
            the detector, which is referred to what it says.

    Attributes:
        window: The sliding window.
        rings: The ring book.
        deep: What the deep analysis says, as of before each transaction.
        memory: How risky the recent transactions of everybody were scored.
        last_features: float32 [N, F], the feature rows of the last batch, in its order.
        kept: The last rows that a model judged, but for approvals without evidence; no part of
            a snapshot.
    """

    def __init__(
        self,
        config: DetectorConfig = DetectorConfig(),
        model: TrainedModel | None = None,
        policy: Policy | None = None,
        sweep: Sweep | None = None,
        gnn: GraphHead | None = None,
    ) -> None:
        self.config = config
        self.model = model
        self.policy = policy or (model.policy if model else Policy())
        self.window = TransactionWindow(config.window)
        self.heuristics: Catalogue = catalogue(config.thresholds, config.lists)
        self._evidence_judge = None if model is None else model.judge
        self._ring_policy = (
            config.rings
            if self._evidence_judge is None
            else self._evidence_judge.rings(config.rings)
        )
        self.rings = RingBook(self._ring_policy)
        self.features = FeatureExtractor(
            self.window.accounts, self.window.identifiers, config.features
        )
        self.deep = DeepFeatures()
        self.memory = RiskMemory(self.window.accounts, self.window.identifiers)
        self.context = EvidenceContext(self.window, self.heuristics.profiles, self.features.state)
        self._teaching = False  # whether somebody learns from the contexts
        if self._evidence_judge is not None:
            self.context.prepare()
        if model is not None and model.schema.hash != self.features.schema.hash:
            raise Incompatible(
                "the model was trained on other features than this engine makes",
                field="model",
                value=model.version,
                remedy="Train it again with `ringfence train`.",
            )
        self._missing: tuple[str, ...] = () if model is not None else ("model",)
        self._fast = FastPath(self.window, self.heuristics)
        self._sweep = sweep
        self._swept = self._searched = 0  # the last pass in line; up to where it searched again
        self._waiting = Waiting(config.rings.birth)
        self._blend = model.blend if model else Blend()
        self._scores = (
            None if model is None else BatchScores(model.calibration, self._blend, self.policy)
        )
        self._opinion = self._graph_opinion(gnn)
        budget = self.policy.budget
        self._segments = (
            None if budget is None else Segments(budget, model.version if model else "")
        )
        self._labels: list[tuple[int, int, Label]] = []
        self._labels_taken = 0
        self._answered: OrderedDict[str, Verdict] = OrderedDict()
        self.kept = KeptRows()
        self._rows: NDArray[np.float32] = np.empty((0, len(self.schema.names)), np.float32)
        self.last_features: NDArray[np.float32] = self._rows

    def _graph_opinion(self, gnn: GraphHead | None) -> GraphOpinion | None:
        stack = None if self.model is None else self.model.gnn
        if stack is None or gnn is None:
            return None
        if gnn.version != stack.version:
            raise Incompatible(
                "this is not the graph model that the model was trained with",
                field="gnn",
                value=gnn.version,
                remedy="Restore the folder of the model as `ringfence train --gnn` wrote it.",
            )
        spaces = self.window.accounts, self.window.identifiers
        return GraphOpinion(stack, gnn, Embeddings(*spaces, gnn.version, gnn.width), self.policy)

    @property
    def schema(self) -> FeatureSchema:
        """The columns of a feature row."""
        return self.features.schema

    @property
    def ring_policy(self) -> RingPolicy:
        """When evidence makes a ring and a ring is told."""
        return self._ring_policy

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of `last_features`."""
        return self.features.names

    def observe(self, tx: Transaction) -> Verdict:
        """The verdict on one transaction."""
        return self.observe_batch((tx,))[0]

    def observe_batch(self, transactions: Sequence[Transaction]) -> list[Verdict]:
        """Verdicts on transactions in order; the same as one at a time."""
        if len(transactions) > len(self._rows):
            self._rows = np.empty((len(transactions), len(self.schema.names)), np.float32)
        rows = self.last_features = self._rows[: len(transactions)]
        seen = self._see_all(transactions, rows)
        if self.model is None or self._scores is None:
            sights = map(self._sight, seen, transactions)
            return [self._judge(sight, row, None) for sight, row in zip(sights, rows, strict=True)]
        scores = self._score(self.model, self._scores, seen, rows)
        return [
            self._judge(self._sight(one, tx), rows[i], told)
            if told.place != _APPROVED or isinstance(one, _Sight)
            else self._approve(tx, one, told)
            for i, (one, tx, told) in enumerate(zip(seen, transactions, scores, strict=True))
        ]

    def _score(
        self,
        model: TrainedModel,
        scores: BatchScores,
        seen: Sequence[_Seen],
        rows: NDArray[np.float32],
    ) -> list[BatchScore]:
        """Booster, memory, blend, graph model."""
        rings, joint = np.zeros(len(seen)), np.zeros(len(seen))
        accepted = np.ones(len(seen), np.bool_)
        for i, one in enumerate(seen):
            if not one:  # nine of ten: quiet, and no ring near
                continue
            if not isinstance(one, _Sight):
                rings[i] = _strongest(one)
                continue
            rings[i], accepted[i] = _strongest(one.rings), one.status is Status.ACCEPTED
            if one.evidence:
                joint[i] = joint_strength(one.evidence)
        arrivals = self._fast.arrivals[: len(seen)]
        times, who = arrivals[:, TIME], self.memory.who
        margins = model.booster.margins(rows)
        scored = scores.of(margins, rings, joint, self.memory.state, who, times, accepted)
        if self._opinion is not None:
            self._opinion.add(scored, who, times, np.abs(arrivals[:, VALUE]))  # < 0: declined
        return told(scored)

    def observe_features(
        self, transactions: Sequence[Transaction], out: NDArray[np.float32]
    ) -> list[Signals]:
        """Take transactions in and fill rows of `out` with their features: training's way in."""
        self._teaching = True
        seen = self._see_all(transactions, out[: len(transactions)])
        self._teaching = False
        sights = [self._sight(one, tx) for one, tx in zip(seen, transactions, strict=True)]
        return [
            Signals(
                accepted=sight.status is Status.ACCEPTED,
                ring_score=_strongest(sight.rings),
                evidence=sight.evidence,
                ring_events=sight.ring_events,
                rings=sight.rings,
                findings=sight.findings,
                contexts=sight.contexts,
                watermark=sight.watermark,
            )
            for sight in sights
        ]

    def learn(self, label: Label) -> None:
        """Take note of a label; it is used once event time has passed its `known_at`.

        Raises:
            InvalidInput: Too many labels wait for a time that does not come.
        """
        if len(self._labels) >= _MAX_LABELS:
            raise InvalidInput(
                f"more than {_MAX_LABELS} labels wait for their time",
                field="known_at",
                value=str(label.known_at),
                remedy="Send labels once they are known, with the time they became known.",
            )
        heapq.heappush(self._labels, (label.known_at, self._labels_taken, label))
        self._labels_taken += 1

    def _see_all(
        self, transactions: Sequence[Transaction], rows: NDArray[np.float32]
    ) -> list[_Seen]:
        """Window, heuristics, rings, features: what is quiet in compiled stretches, the rest alone.

        Both ways lead to the same sights and the same state.
        """
        if not transactions:
            return []
        fast, spaces = self._fast, (self.window.accounts, self.window.identifiers)
        fast.lay_out(transactions)
        self.memory.make_room(len(transactions))
        self.features.lay_out(transactions, fast.arrivals)
        sights: list[_Seen] = []
        at, end = 0, len(transactions)
        while at < end:
            stop, why = fast.advance(at, self._due())
            if stop > at:
                self.features.observe_rows(fast.arrivals, at, stop, rows)
                self.memory.meet(at, fast.arrivals[at:stop, USER:LINKS])
                sights += [self._see_quiet(transactions[i], rows, i) for i in range(at, stop)]
            if why is Stop.NOTHING:
                break
            if (why is Stop.NEWCOMER and fast.meet(stop)) or (
                why is Stop.DUE and self._only_labels_fell_due(fast)
            ):
                at = stop
                continue
            given_back = [space.given_back for space in spaces]
            tx = transactions[stop]
            if why is Stop.ADMITTED:
                admission = fast.admission(stop)
            elif why is Stop.REFUSED:
                admission = self.window.refuse(tx)
            else:
                admission = self.window.add(tx)
            speakers = fast.speakers(stop) if why is Stop.ADMITTED else EVERYBODY
            self.memory.meet(stop, (admission.parties,))
            sights.append(self._see(tx, admission, rows[stop], speakers))
            at = stop + 1
            if at < end and given_back != [space.given_back for space in spaces]:
                fast.look_up(at, end)
        return sights

    def _only_labels_fell_due(self, fast: FastPath) -> bool:
        """Learn the labels that fall due at the row that was left; False if there is more to do.

        To learn before a row whose entities all have ids is taken in is the same as after it: the
        window knows no labels, and labels nothing of the window but who has which id.
        """
        now = fast.due_at
        swept = NEVER if self._sweep is None else self._sweep.due(self._swept)
        rest = min(self.heuristics.lists.next_expiry, self.rings.next_rest, swept)
        if len(self._waiting) or rest <= now:
            fast.leave()
            return False
        self._learn_what_is_known(now)
        return True

    def _due(self) -> int:
        """Watermark at which a label, a list entry, a ring or a pass asks for attention."""
        if len(self._waiting):
            return -NEVER
        labelled = self._labels[0][0] if self._labels else NEVER
        swept = NEVER if self._sweep is None else self._sweep.due(self._swept)
        return min(self.heuristics.lists.next_expiry, self.rings.next_rest, labelled, swept)

    def _see_quiet(self, tx: Transaction, rows: NDArray[np.float32], i: int) -> _Seen:
        """What a transaction touches that completed nothing: its rings, unless there is more."""
        rings, lists = self.rings.touched_by(tx), self.heuristics.lists
        if rings:
            rows[i, RING_SCORE] = int(_strongest(rings) * 1_000_000) / 1e6
        if self.deep.as_of is not None:
            self.deep.fill(tx, rows[i])
        watched = lists.touched(ListName.WATCH, tx) if lists else ()
        if watched:
            return _Sight(tx, Status.ACCEPTED, self._missing, (), rings, (), watched)
        return rings

    def _sight(self, seen: _Seen, tx: Transaction) -> _Sight:
        if isinstance(seen, _Sight):
            return seen
        return _Sight(tx, Status.ACCEPTED, self._missing, (), seen, (), ())

    def _see(
        self, tx: Transaction, admission: Admission, row: NDArray[np.float32], speakers: int
    ) -> _Sight:
        """Heuristics, rings, features, of one transaction the window has answered."""
        self._learn_what_is_known(self.window.watermark)
        lists = self.heuristics.lists
        if lists.next_expiry <= self.window.watermark:
            lists.expire(self.window.watermark)
        completed = self._evidence(tx, admission, speakers)
        findings: tuple[Evidence, ...] = ()
        if admission.status is Status.ACCEPTED:
            if speakers == EVERYBODY:  # else compiled code has noted what it could not finish
                self.heuristics.unfinished.look(self.window, admission.position)
            self._sweep_if_due()
            waiting = self._waiting.next(self.window.watermark)
            findings = tuple(self.heuristics.without_allowed(waiting))
        pieces, contexts = self._weigh((*findings, *completed))
        found, evidence = pieces[: len(findings)], pieces[len(findings) :]
        told = self.rings.observe(pieces, self.window.watermark)
        events = name_watched(told, lists)
        rings = self.rings.touched_by(tx)
        self.features.observe(tx, admission, completed, _strongest(rings), row)
        self.deep.fill(tx, row)
        watched = lists.touched(ListName.WATCH, tx)
        degraded = self._degraded(tx, admission)
        return _Sight(
            tx,
            admission.status,
            degraded,
            evidence,
            rings,
            tuple(events),
            watched,
            found,
            contexts,
            self.window.watermark,
        )

    def _weigh(
        self, pieces: tuple[Evidence, ...]
    ) -> tuple[tuple[Evidence, ...], NDArray[np.float32] | None]:
        """The pieces as the model's judge weighs them, and their context if anybody asks for it."""
        if not pieces:
            return pieces, None
        contexts = None
        if self._teaching or self._evidence_judge is not None:
            contexts = self.context.rows(pieces)
        self.context.note(pieces)
        if self._evidence_judge is None or contexts is None:
            return pieces, contexts
        return self._evidence_judge.weigh(pieces, contexts), contexts

    def _approve(self, tx: Transaction, rings: tuple[Ring, ...], told: BatchScore) -> Verdict:
        """The verdict on what completed nothing and is approved: as `_judge` would give it."""
        assert self.model is not None  # noqa: S101 - its scores are given
        verdict = Verdict(
            tx.transaction_id,
            tx.timestamp,
            _ACCEPTED,
            Decision.APPROVE,
            told.score,
            told.model_score,
            _strongest(rings),
            told.cost,
            rings=tuple([ring.ring_id for ring in rings]) if rings else (),
            tiers=self._tiers(told),
            degraded=self._unheard(told),
            model_version=self.model.version,
        )
        if self._segments is not None:
            self._segments.take(segment_of(tx), tx.timestamp, told.score)
        self._remember(verdict)
        return verdict

    def _judge(self, sight: _Sight, row: NDArray[np.float32], told: BatchScore | None) -> Verdict:
        """Decision and reasons; without a model the score as well."""
        tx, evidence, rings = sight.transaction, sight.evidence, sight.rings
        status = sight.status
        if status is Status.DUPLICATE and tx.transaction_id in self._answered:
            # What it completed and did to rings was told the first time.
            first = self._answered[tx.transaction_id]
            return structs.replace(
                first, admission=status.value, evidence=(), ring_events=(), findings=()
            )
        ring_score = _strongest(rings)
        score = self._blend.apply(None, ring_score, evidence) if told is None else told.score
        model_score = None if told is None else told.model_score
        segment = None if self._segments is None else self._in_segment(sight, score)
        decision, cost = self._decide(score, model_score, evidence, row, segment)
        why: tuple[Reason, ...] = ()
        asked_about = bool(evidence) or decision is not Decision.APPROVE
        if asked_about:
            shares = () if decision is Decision.APPROVE else self._shares(row)
            why = reasons(tx, evidence, rings, shares, _of_others(told))
        if sight.watched or segment is not None:
            notes = () if segment is None else of_segment(self.policy, segment, score)
            why = with_notes(why, (*of_watched(sight.watched), *notes))
        model = self.model
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
            rings=tuple([ring.ring_id for ring in rings]) if rings else (),
            ring_events=sight.ring_events,
            tiers=self._tiers(told),
            degraded=(*sight.degraded, *self._unheard(told)),
            model_version=None if model is None else model.version,
            findings=sight.findings,
        )
        if status is Status.ACCEPTED:
            self._remember(verdict)
        if asked_about and told is not None:
            self.kept.keep(verdict, row, told)
        return verdict

    def _tiers(self, told: BatchScore | None) -> tuple[str, ...]:
        if told is None:
            return _WITHOUT_MODEL
        return _WITH_MODEL if isnan(told.gnn) else _WITH_GNN

    def _unheard(self, told: BatchScore | None) -> tuple[str, ...]:
        """Names the graph model where the model was trained with one that was not asked."""
        if told is None or self.model is None or self.model.gnn is None or not isnan(told.gnn):
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
            if self.model is None or model_score is None
            else self.model.own_probability(row)
        )
        return self.policy.decide(score, evidence, own, segment)

    def _in_segment(self, sight: _Sight, score: float) -> SegmentBounds | None:
        """Learn the score and say what its segment's budget spares; nothing of who is blocked."""
        if self._segments is None or blocks(sight.evidence):
            return None
        tx, name = sight.transaction, segment_of(sight.transaction)
        if sight.status is Status.ACCEPTED:
            self._segments.take(name, tx.timestamp, score)
        return self._segments.bounds(name)

    def _evidence(self, tx: Transaction, admission: Admission, speakers: int) -> list[Evidence]:
        """What the transaction completes, also in the later edges it was missing from."""
        found = self.heuristics.detect(self.window, tx, admission, speakers)
        if admission.disordered:
            known = {piece.evidence_id for piece in found}
            for position in self.window.affected(admission.position):
                for piece in self.heuristics.at(self.window, position):
                    if piece.evidence_id not in known and _witnessed(piece, tx):
                        known.add(piece.evidence_id)
                        found.append(piece)
        return found

    def _sweep_if_due(self) -> None:
        """Run a pass in line; what it finds goes with this transaction and the next ones."""
        sweep, now = self._sweep, self.window.watermark
        if sweep is None or now < sweep.due(self._swept):
            return
        positions, _ = self.heuristics.unfinished.since(self._searched)
        found = sweep.run(self.window, positions)
        self._swept, self._searched = sweep.number(now), self.window.end - 1
        news = self._waiting.news(found.evidence)[: ROOM - len(self._waiting)]
        self._waiting.take(Findings(found.as_of, tuple(news)))

    def _learn_what_is_known(self, now: int) -> None:
        while self._labels and self._labels[0][0] <= now:
            self.features.learn(heapq.heappop(self._labels)[2])

    def _shares(self, row: NDArray[np.float32]) -> Sequence[FamilyShare]:
        return () if self.model is None else self.model.shares(row)

    def _degraded(self, tx: Transaction, admission: Admission) -> tuple[str, ...]:
        missing = self._missing
        if admission.status is Status.ACCEPTED and (
            admission.user < 0 or (admission.other < 0 and tx.other_party is not None)
        ):
            return (*missing, "capacity")
        return missing

    def _remember(self, verdict: Verdict) -> None:
        self._answered[verdict.transaction_id] = verdict
        if len(self._answered) > _REMEMBERED:
            self._answered.popitem(last=False)

    def refer(self, fact: object) -> None:
        """Take account of a fact from the next transaction on.

        Raises:
            InvalidInput: It is of no kind the detector knows, or there is no room for it; nothing
                has changed.
        """
        if isinstance(fact, ListChange):
            self.heuristics.lists.apply(fact)
            return
        if isinstance(fact, Findings):
            self._waiting.take(fact)
            return
        if isinstance(fact, Embedded):
            if self._opinion is not None:
                self._opinion.embeddings.take(fact)
            return
        if isinstance(fact, AnalysisPart):
            now = self.window.watermark
            if now and fact.as_of > now + self.config.window.horizon:
                # It would stand in the way of every honest run until that day comes.
                raise InvalidInput(
                    "the analysis saw a future that this engine has not",
                    field="as_of",
                    value=str(fact.as_of),
                    remedy="Find the transactions with absurd timestamps, or name `--as-of`.",
                )
            self.deep.refer(fact)
            return
        raise InvalidInput(
            "the detector knows no such fact",
            field="fact",
            value=type(fact).__name__,
            remedy="Tell it what `scorer.reference` describes.",
        )

    def snapshot(self) -> bytes:
        """The whole state, without the model; equal detectors give equal bytes."""
        values = {
            "window": self.window.snapshot(),
            "heuristics": self.heuristics.snapshot(),
            "lists": self.heuristics.lists.snapshot(),
            "rings": self.rings.snapshot(),
            "features": self.features.snapshot(),
            "deep": self.deep.snapshot(),
            "context": self.context.snapshot(),
            "memory": self.memory.snapshot(),
            "waiting": self._waiting.snapshot(),
            "swept": [self._swept, self._searched],
            "config": encode_state(self.config),
            "labels": encode_state(sorted(self._labels, key=lambda entry: entry[:2])),
            "labels_taken": self._labels_taken,
            "answered": encode_state(list(self._answered.values())),
            "embeddings": b"" if self._opinion is None else self._opinion.embeddings.snapshot(),
            "segments": b"" if self._segments is None else self._segments.snapshot(),
        }
        return pack("detector", _VERSION, Snapshot(values, {}))

    @classmethod
    def restore(
        cls,
        data: bytes,
        model: TrainedModel | None = None,
        policy: Policy | None = None,
        sweep: Sweep | None = None,
        gnn: GraphHead | None = None,
    ) -> Self:
        """A detector that goes on where the snapshot was taken, with any model of its features.

        Raises:
            Incompatible: It is torn, altered, or of another version.
        """
        values = unpack("detector", _VERSION, data).values
        config = msgspec.msgpack.decode(values["config"], type=DetectorConfig)
        detector = cls(config, model, policy, sweep)
        detector.window = TransactionWindow.restore(values["window"])
        detector.heuristics.restore(values["heuristics"])
        detector.heuristics.lists.restore(values["lists"])
        detector.rings = RingBook.restore(values["rings"], detector._ring_policy)
        detector.features = FeatureExtractor.restore(
            values["features"], detector.window.accounts, detector.window.identifiers
        )
        detector.deep = DeepFeatures.restore(values["deep"])
        detector.context = EvidenceContext(
            detector.window, detector.heuristics.profiles, detector.features.state
        )
        detector.context.restore(values["context"])
        detector.memory = RiskMemory(detector.window.accounts, detector.window.identifiers)
        detector.memory.restore(values["memory"])
        if detector._evidence_judge is not None:
            detector.context.prepare()
        detector._waiting = Waiting.restore(values["waiting"], config.rings.birth)
        detector._swept, detector._searched = values["swept"]
        detector._fast = FastPath(detector.window, detector.heuristics)
        detector._labels = msgspec.msgpack.decode(
            values["labels"], type=list[tuple[int, int, Label]]
        )
        detector._labels_taken = values["labels_taken"]
        answered = msgspec.msgpack.decode(values["answered"], type=list[Verdict])
        detector._answered = OrderedDict((v.transaction_id, v) for v in answered)
        detector._opinion = detector._graph_opinion(gnn)
        if detector._opinion is not None and values["embeddings"]:
            detector._opinion.embeddings.restore(values["embeddings"])
        if detector._segments is not None and values["segments"]:
            detector._segments.restore(values["segments"])
        return detector


def _of_others(told: BatchScore | None) -> tuple[Reason, ...]:
    """What the memory of scores and the graph model say of a transaction beside its own columns."""
    if told is None:
        return ()
    return (*of_memory(told.own, told.others), *of_graph_model(added_by(told)))


def _strongest(rings: tuple[Ring, ...]) -> float:
    return rings[0].score if rings else 0.0


def _witnessed(piece: Evidence, tx: Transaction) -> bool:
    return any(hop.transaction_id == tx.transaction_id for hop in piece.hops)
