"""What there is to see of transactions: window, heuristics, rings, features; nothing is decided.

Everything here is the same whatever model scores afterwards, save that a model's judge of evidence
weighs the pieces before the rings are told of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.errors import InvalidInput
from graph.evidence import Evidence
from graph.fast_kernel import Stop
from graph.fast_path import FastPath
from graph.heuristics import EVERYBODY, Catalogue, Lists, Thresholds, catalogue
from graph.layout import LINKS, USER, WATERMARK
from graph.lists import NEVER, ListChange, ListName
from graph.ring_book import RingBook
from graph.ring_policy import RingPolicy
from graph.rings import Ring
from graph.snapshot import encode_state
from graph.sweep import Sweep
from graph.transaction import Label, Transaction
from graph.window import TransactionWindow, WindowConfig
from scorer.deep_features import DeepFeatures
from scorer.evidence_context import EvidenceContext
from scorer.evidence_judge import EvidenceJudge
from scorer.feature_catalogue import RING_SCORE
from scorer.features import FeatureConfig, FeatureExtractor
from scorer.findings import ROOM, Waiting
from scorer.label_queue import LabelQueue
from scorer.reference import AnalysisPart, Findings
from scorer.risk_memory import RiskMemory
from scorer.sight import Seen, Sight, strongest


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """Everything that shapes the state of a detector; the model can change without it."""

    window: WindowConfig = WindowConfig()
    thresholds: Thresholds = Thresholds()
    lists: Lists = Lists()
    rings: RingPolicy = RingPolicy()
    features: FeatureConfig = FeatureConfig()


class Observer:
    """Sees transactions, and remembers what the next ones are seen against.

    Args:
        config: Shapes of the state.
        judge: Weighs pieces of evidence before the rings are told; None tells them as they are.
        sweep: Sweeps the window in line, at the transaction that makes a pass due.

    Attributes:
        window: The sliding window.
        heuristics: Who looks for patterns; and the lists.
        ring_policy: When evidence makes a ring and a ring is told.
        rings: The rings of evidence alone, which scores are made of; those that are told hold more
            (`scorer.told_rings`).
        features: Makes the rows, but for the family `deep`.
        deep: What the deep analysis says, as of before each transaction.
        memory: How risky the recent transactions of everybody were scored; here only who took
            part is noted, before their ids may be given out anew.
        context: What evidence is weighed in.
    """

    def __init__(
        self, config: DetectorConfig, judge: EvidenceJudge | None, sweep: Sweep | None
    ) -> None:
        self._config = config
        self._evidence_judge = judge
        self._sweep = sweep
        self.window = TransactionWindow(config.window)
        self.heuristics: Catalogue = catalogue(config.thresholds, config.lists)
        self.ring_policy = config.rings if judge is None else judge.rings(config.rings)
        self.rings = RingBook(self.ring_policy.hearing_all())
        self.features = FeatureExtractor(
            self.window.accounts, self.window.identifiers, config.features
        )
        self.deep = DeepFeatures()
        self.memory = RiskMemory(self.window.accounts, self.window.identifiers)
        self.context = self._context()
        if judge is not None:
            self.context.prepare()
        self._fast = FastPath(self.window, self.heuristics)
        self._waiting = Waiting(config.rings.birth)
        self._swept = self._searched = 0  # the last pass in line; up to where it searched again
        self._labels = LabelQueue()

    def _context(self) -> EvidenceContext:
        seen_by = self.heuristics
        return EvidenceContext(self.window, seen_by.profiles, seen_by.travel, self.features.state)

    @property
    def arrivals(self) -> NDArray[np.int64]:
        """int64 [at least N, graph.layout.WIDTH], the last batch as it was laid out."""
        return self._fast.arrivals

    def learn(self, label: Label) -> None:
        """Take note of a label; it is used once event time has passed its `known_at`.

        Raises:
            InvalidInput: Too many labels wait for a time that does not come.
        """
        self._labels.put(label)

    def refer(self, fact: ListChange | Findings | AnalysisPart) -> None:
        """Take account of a fact from the next transaction on.

        Raises:
            InvalidInput: There is no room for it, or it is of a time to come; nothing has changed.
        """
        if isinstance(fact, ListChange):
            self.heuristics.lists.apply(fact)
            return
        if isinstance(fact, Findings):
            self._waiting.take(fact)
            return
        now = self.window.watermark
        if now and fact.as_of > now + self._config.window.horizon:
            # It would stand in the way of every honest run until that day comes.
            raise InvalidInput(
                "the analysis saw a future that this engine has not",
                field="as_of",
                value=str(fact.as_of),
                remedy="Find the transactions with absurd timestamps, or name `--as-of`.",
            )
        self.deep.refer(fact)

    def see(
        self, transactions: Sequence[Transaction], rows: NDArray[np.float32], *, teaching: bool
    ) -> list[Seen]:
        """Take transactions in, in order, and fill their feature rows.

        What is quiet is seen in compiled stretches, the rest alone; both ways lead to the same
        sights and the same state.

        Args:
            transactions: In order of arrival.
            rows: float32 [N, F], overwritten; its places in `memory.who` and `arrivals` are theirs.
            teaching: Whether somebody learns from the contexts of the evidence, and makes the
                rings of it (`scorer.ring_pass`): here are none then.
        """
        if not transactions:
            return []
        fast, spaces = self._fast, (self.window.accounts, self.window.identifiers)
        fast.lay_out(transactions)
        self.memory.make_room(len(transactions))
        self.features.lay_out(transactions, fast.arrivals)
        sights: list[Seen] = []
        at, end = 0, len(transactions)
        met = 0  # whose parties the memory knows; the ids of the others are still theirs
        while at < end:
            stop, why = fast.advance(at, self._due())
            if stop > at:
                due = self._labels.due(int(fast.arrivals[stop - 1, WATERMARK]))
                self.features.observe_rows(fast.arrivals, at, stop, rows, due)
                sights += [self._see_quiet(transactions[i], rows, i) for i in range(at, stop)]
            if why is Stop.NOTHING:
                break
            if why is not Stop.ADMITTED:  # ids may be given out anew
                self.memory.meet(met, fast.arrivals[met:stop, USER:LINKS])
                met = stop
            if why is Stop.NEWCOMER and fast.meet(stop):
                at = stop
                continue
            given_back = [space.given_back for space in spaces]
            tx = transactions[stop]
            admission, speakers = self._taken_in(tx, stop, why)
            sights.append(self._see(tx, admission, rows[stop], speakers, teaching=teaching))
            at = stop + 1
            if why is not Stop.ADMITTED:
                met = at
            if at < end and given_back != [space.given_back for space in spaces]:
                fast.look_up(at, end)
        self.memory.meet(met, fast.arrivals[met:end, USER:LINKS])
        return sights

    def _taken_in(self, tx: Transaction, row: int, why: Stop) -> tuple[Admission, int]:
        """The window's answer to a row that compiled code left, and who may speak of it."""
        if why is Stop.ADMITTED:
            return self._fast.admission(row), self._fast.speakers(row)
        admission = self.window.refuse(tx) if why is Stop.REFUSED else self.window.add(tx)
        self.memory.meet(row, (admission.parties,))
        return admission, EVERYBODY

    def _due(self) -> int:
        """Watermark at which a list entry, a ring or a pass asks for attention.

        Labels do not: the window and the heuristics know nothing of them, and the rows of a stretch
        learn those that fall due in it (`FeatureExtractor.observe_rows`).
        """
        if len(self._waiting):
            return -NEVER
        swept = NEVER if self._sweep is None else self._sweep.due(self._swept)
        return min(self.heuristics.lists.next_expiry, self.rings.next_rest, swept)

    def _see_quiet(self, tx: Transaction, rows: NDArray[np.float32], i: int) -> Seen:
        """What a transaction touches that completed nothing: its rings, unless there is more."""
        rings, lists = self.rings.touched_by(tx), self.heuristics.lists
        if rings:
            rows[i, RING_SCORE] = int(strongest(rings) * 1_000_000) / 1e6
        if self.deep.as_of is not None:
            self.deep.fill(tx, rows[i])
        watched = lists.touched(ListName.WATCH, tx) if lists else ()
        if watched:
            return Sight(
                tx,
                rings=rings,
                watched=watched,
                watermark=int(self.arrivals[i, WATERMARK]),
            )
        return rings

    def _see(
        self,
        tx: Transaction,
        admission: Admission,
        row: NDArray[np.float32],
        speakers: int,
        *,
        teaching: bool,
    ) -> Sight:
        """Heuristics, rings, features, of one transaction the window has answered."""
        self._learn_what_is_known(self.window.watermark)
        lists = self.heuristics.lists
        if lists.next_expiry <= self.window.watermark:
            lists.expire(self.window.watermark)
        completed, cut = self._evidence(tx, admission, speakers)
        findings: tuple[Evidence, ...] = ()
        if admission.status is Status.ACCEPTED:
            if speakers == EVERYBODY:  # else compiled code has noted what it could not finish
                self.heuristics.unfinished.look(self.window, admission.position)
            self._sweep_if_due()
            waiting = self._waiting.next(self.window.watermark)
            findings = tuple(self.heuristics.without_allowed(waiting))
        pieces, contexts = self._weigh((*findings, *completed), teaching=teaching)
        found, evidence = pieces[: len(findings)], pieces[len(findings) :]
        rings: tuple[Ring, ...] = ()
        if not teaching:  # who teaches makes them anew, of what evidence then weighs
            # What was not accepted completes nothing; that who sent it is blocked makes no ring.
            heard = pieces if admission.status is Status.ACCEPTED else ()
            self.rings.observe(heard, self.window.watermark)
            rings = self.rings.touched_by(tx)
        self.features.observe(tx, admission, completed, strongest(rings), row)
        self.deep.fill(tx, row)
        watched = lists.touched(ListName.WATCH, tx)
        return Sight(
            tx,
            admission.status,
            cut or _beyond_capacity(tx, admission),
            evidence,
            rings,
            watched,
            found,
            contexts,
            self.window.watermark,
        )

    def _weigh(
        self, pieces: tuple[Evidence, ...], *, teaching: bool
    ) -> tuple[tuple[Evidence, ...], NDArray[np.float32] | None]:
        """The pieces as the model's judge weighs them, and their context if anybody asks for it."""
        if not pieces:
            return pieces, None
        contexts = None
        if teaching or self._evidence_judge is not None:
            contexts = self.context.rows(pieces)
        self.context.note(pieces)
        if self._evidence_judge is None or contexts is None:
            return pieces, contexts
        return self._evidence_judge.weigh(pieces, contexts), contexts

    def _evidence(
        self, tx: Transaction, admission: Admission, speakers: int
    ) -> tuple[list[Evidence], bool]:
        """What the transaction completes, also in the later edges it was missing from.

        Returns:
            (the evidence, whether there were more such edges than are looked at).
        """
        found = self.heuristics.detect(self.window, tx, admission, speakers)
        if not admission.disordered:
            return found, False
        known = {piece.evidence_id for piece in found}
        later, cut = self.window.affected(admission.position)
        for position, may_speak in zip(later, self._fast.speakers_again(later), strict=True):
            for piece in self.heuristics.at(self.window, position, may_speak):
                if piece.evidence_id not in known and _witnessed(piece, tx):
                    known.add(piece.evidence_id)
                    found.append(piece)
        return found, cut

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
        for label in self._labels.due(now):
            self.features.learn(label)

    def state(self) -> dict[str, Any]:
        """The whole state, as plain values by name."""
        labels, taken = self._labels.state()
        return {
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
            "config": encode_state(self._config),
            "labels": labels,
            "labels_taken": taken,
        }

    def restore(self, values: Mapping[str, Any]) -> None:
        """Take over a `state` of the same configuration.

        Raises:
            Incompatible: A part of it is torn, altered, or of another version.
        """
        self.window = TransactionWindow.restore(values["window"])
        spaces = self.window.accounts, self.window.identifiers
        self.heuristics.restore(values["heuristics"])
        self.heuristics.lists.restore(values["lists"])
        self.rings = RingBook.restore(values["rings"], self.ring_policy.hearing_all())
        self.features = FeatureExtractor.restore(values["features"], *spaces)
        self.deep = DeepFeatures.restore(values["deep"])
        self.context = self._context()
        self.context.restore(values["context"])
        self.memory = RiskMemory(*spaces)
        self.memory.restore(values["memory"])
        if self._evidence_judge is not None:
            self.context.prepare()
        self._waiting = Waiting.restore(values["waiting"], self._config.rings.birth)
        self._swept, self._searched = values["swept"]
        self._fast = FastPath(self.window, self.heuristics)
        self._labels = LabelQueue.of_state(values["labels"], values["labels_taken"])


def _witnessed(piece: Evidence, tx: Transaction) -> bool:
    return any(hop.transaction_id == tx.transaction_id for hop in piece.hops)


def _beyond_capacity(tx: Transaction, admission: Admission) -> bool:
    return admission.status is Status.ACCEPTED and (
        admission.user < 0 or (admission.other < 0 and tx.other_party is not None)
    )
