"""The detector: transactions in, verdicts out.

An observer sees (`scorer.observer`: window, heuristics, rings, features), an adjudicator judges
what it saw (`scorer.adjudicator`: booster, memory, blend, graph model, decision). Nothing goes back
but the scores that the next transactions are remembered by.

It is synchronous and deterministic, does no I/O and reads no clock: the same transactions in the
same order give the same verdicts, one at a time or in batches of any size, straight through or from
a snapshot in their middle.
"""

from collections.abc import Sequence
from typing import Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from graph.admission import Status
from graph.errors import Incompatible, InvalidInput
from graph.heuristics import Catalogue
from graph.layout import WATERMARK
from graph.lists import ListChange
from graph.ring_book import RingBook
from graph.ring_policy import RingPolicy
from graph.snapshot import Snapshot, pack, unpack
from graph.sweep import Sweep
from graph.transaction import Label, Transaction
from graph.window import TransactionWindow
from scorer.adjudicator import Adjudicator
from scorer.artefact import TrainedModel
from scorer.decision import Policy
from scorer.deep_features import DeepFeatures
from scorer.evidence_context import EvidenceContext
from scorer.features import FeatureExtractor
from scorer.kept_rows import KeptRows
from scorer.observer import DetectorConfig, Observer
from scorer.ports import FeatureSchema, GraphHead, Signals
from scorer.reference import AnalysisPart, Embedded, Findings
from scorer.risk_memory import RiskMemory
from scorer.sight import Sight
from scorer.verdict import Verdict

__all__ = ["Detector", "DetectorConfig"]

_VERSION: Final = 8  # 8: with suspects, and the rings that are told beside those of evidence


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
        config: As given.
        model: As given.
        policy: What is done at which probability.
        last_features: float32 [N, F], the feature rows of the last batch, in its order.

    Raises:
        Incompatible: The model was trained on other features, or with another graph model.
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
        self._observer = Observer(config, None if model is None else model.judge, sweep)
        if model is not None and model.schema.hash != self.schema.hash:
            raise Incompatible(
                "the model was trained on other features than this engine makes",
                field="model",
                value=model.version,
                remedy="Train it again with `ringfence train`.",
            )
        self._adjudicator = self._judging(policy, gnn)
        self.policy = self._adjudicator.policy
        self._rows: NDArray[np.float32] = np.empty((0, len(self.schema.names)), np.float32)
        self.last_features: NDArray[np.float32] = self._rows

    @property
    def window(self) -> TransactionWindow:
        """The sliding window."""
        return self._observer.window

    @property
    def heuristics(self) -> Catalogue:
        """Who looks for patterns; and the lists."""
        return self._observer.heuristics

    @property
    def rings(self) -> RingBook:
        """The rings that are told."""
        return self._adjudicator.told.book

    @property
    def features(self) -> FeatureExtractor:
        """What makes the feature rows, but for the family `deep`."""
        return self._observer.features

    @property
    def deep(self) -> DeepFeatures:
        """What the deep analysis says, as of before each transaction."""
        return self._observer.deep

    @property
    def memory(self) -> RiskMemory:
        """How risky the recent transactions of everybody were scored."""
        return self._observer.memory

    @property
    def context(self) -> EvidenceContext:
        """What evidence is weighed in."""
        return self._observer.context

    @property
    def kept(self) -> KeptRows:
        """The last rows that a model judged, but for approvals without evidence.

        No part of a snapshot.
        """
        return self._adjudicator.kept

    @property
    def schema(self) -> FeatureSchema:
        """The columns of a feature row."""
        return self.features.schema

    @property
    def ring_policy(self) -> RingPolicy:
        """When evidence makes a ring and a ring is told."""
        return self._observer.ring_policy

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
        observer, verdicts = self._observer, []
        at_once, expiry = len(transactions), self.heuristics.lists.next_expiry
        if any(tx.timestamp >= expiry for tx in transactions):
            at_once = 1  # alerts name who is on the watch list as each transaction finds it
        for at in range(0, len(transactions), max(at_once, 1)):
            part, out = transactions[at : at + at_once], rows[at : at + at_once]
            seen = observer.see(part, out, teaching=False)
            verdicts += self._adjudicator.verdicts(
                part, seen, out, observer.arrivals, observer.memory
            )
        return verdicts

    def observe_features(
        self, transactions: Sequence[Transaction], out: NDArray[np.float32]
    ) -> list[Signals]:
        """Take transactions in and fill rows of `out` with their features: training's way in."""
        seen = self._observer.see(transactions, out[: len(transactions)], teaching=True)
        watermarks = self._observer.arrivals[: len(seen), WATERMARK].tolist()
        return [
            _signals(one) if isinstance(one, Sight) else _quiet(watermark)
            for one, watermark in zip(seen, watermarks, strict=True)
        ]

    def learn(self, label: Label) -> None:
        """Take note of a label; it is used once event time has passed its `known_at`.

        Raises:
            InvalidInput: Too many labels wait for a time that does not come.
        """
        self._observer.learn(label)

    def refer(self, fact: object) -> None:
        """Take account of a fact from the next transaction on.

        Raises:
            InvalidInput: It is of no kind the detector knows, or there is no room for it; nothing
                has changed.
        """
        if isinstance(fact, Embedded):
            self._adjudicator.refer(fact)
            return
        if isinstance(fact, ListChange | Findings | AnalysisPart):
            self._observer.refer(fact)
            return
        raise InvalidInput(
            "the detector knows no such fact",
            field="fact",
            value=type(fact).__name__,
            remedy="Tell it what `scorer.reference` describes.",
        )

    def snapshot(self) -> bytes:
        """The whole state, without the model; equal detectors give equal bytes."""
        values = self._observer.state() | self._adjudicator.state()
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
        detector._observer.restore(values)
        # Again, since the spaces of the restored window are its own.
        detector._adjudicator = detector._judging(policy, gnn)
        detector._adjudicator.restore(values)
        return detector

    def _judging(self, policy: Policy | None, gnn: GraphHead | None) -> Adjudicator:
        return Adjudicator(
            self.model,
            policy,
            gnn,
            self.window.accounts,
            self.window.identifiers,
            self.ring_policy,
            self.heuristics.lists,
        )


def _quiet(watermark: int) -> Signals:
    # By place, for every quiet row of a replay: by name it takes up to twice as long.
    return Signals(True, (), (), None, watermark)  # noqa: FBT003


def _signals(sight: Sight) -> Signals:
    return Signals(
        accepted=sight.status is Status.ACCEPTED,
        evidence=sight.evidence,
        findings=sight.findings,
        contexts=sight.contexts,
        watermark=sight.watermark,
    )
