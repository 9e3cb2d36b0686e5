"""The deep analysis inside a replay: what the nightly run would have said, had it run then.

Training and evaluation replay history; a model that is to use the deep analysis has to see in
training what it will see in serving. So a replayer is wrapped in one that keeps the graph as the
store would hold it, and before the first transaction of each new night analyses everything so far
and tells the replayer inside.

Members of alerted rings count as known fraud. Nothing is judged or scored yet where somebody is
taught, so these are the rings of the rules.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cypher.analytics.embedded import compute, estimate, require_louvain
from cypher.analytics.ports import Analysis, AnalysisSettings
from cypher.analytics.stored_graph import stored_graph
from graph.errors import InvalidSetting
from graph.ring_book import RingBook
from graph.ring_policy import RingPolicy
from graph.rings import RingEvent
from graph.transaction import DAY, Entity, EntityKind, Label, Transaction
from scorer.ports import FeatureSchema, Replayer, Signals

_JOINING: Final = (EntityKind.DEVICE, EntityKind.CARD)

Told = Callable[[Analysis], None]


class ReferredReplayer(Replayer, Protocol):
    """A replayer that can be told facts: the detector."""

    def refer(self, fact: object) -> None:
        """See `scorer.detector.Detector.refer`."""
        ...


class NightlyReplayer:
    """A `scorer.ports.Replayer` that analyses the replayed history every so many days.

    It assumes that a run takes no time; in service the results come minutes to hours later.

    Args:
        inner: A fresh replayer.
        every: Days between two runs, at least 1.
        settings: Parameters and bounds; the time bound is that of one run.
        told: Called with each run.

    Raises:
        InvalidSetting: `every` is less than 1.
    """

    def __init__(
        self,
        inner: ReferredReplayer,
        every: int,
        settings: AnalysisSettings | None = None,
        told: Told = lambda _: None,
    ) -> None:
        if every < 1:
            raise InvalidSetting(
                "has to be a whole number of days",
                field="--deep-analysis",
                value=str(every),
                remedy="Use 1 or more.",
            )
        self.settings = require_louvain(settings or AnalysisSettings())
        self._inner = inner
        self._every = every * DAY
        self._told = told
        self._next: int | None = None
        self._newest = 0
        self._accounts: set[Entity] = set()
        self._money: set[tuple[Entity, Entity]] = set()
        self._used: set[tuple[Entity, Entity]] = set()
        self._rings = RingBook(inner.ring_policy)
        self._alerted: set[Entity] = set()
        self._labels: list[tuple[int, Entity]] = []

    @property
    def schema(self) -> FeatureSchema:
        """See `Replayer.schema`."""
        return self._inner.schema

    @property
    def ring_policy(self) -> RingPolicy:
        """See `Replayer.ring_policy`."""
        return self._inner.ring_policy

    def observe_features(
        self, transactions: Sequence[Transaction], out: NDArray[np.float32]
    ) -> list[Signals]:
        """See `Replayer.observe_features`; a run that is due comes before its transaction.

        Raises:
            AnalysisTooLarge: A run would take more memory or time than the settings allow.
        """
        signals: list[Signals] = []
        start = 0
        for place, transaction in enumerate(transactions):
            night = transaction.timestamp // DAY * DAY
            if self._next is None:
                self._next = night + self._every
            if transaction.timestamp >= self._next:
                signals += self._forward(transactions[start:place], out[start:place])
                start = place
                # A clock that runs ahead of all others by days, which the engine refuses, starts
                # no run; after a silence as long as that, one comes once another was accepted.
                if night <= self._newest + DAY:
                    self._next = night + self._every
                    self._run()
        return signals + self._forward(transactions[start:], out[start:])

    def _forward(
        self, transactions: Sequence[Transaction], out: NDArray[np.float32]
    ) -> list[Signals]:
        signals = self._inner.observe_features(transactions, out)
        for transaction, seen in zip(transactions, signals, strict=True):
            if seen.accepted:
                events = self._rings.observe((*seen.findings, *seen.evidence), seen.watermark)
                self._take(transaction, events)
        return signals

    def learn(self, label: Label) -> None:
        """See `Replayer.learn`; both users of a fraud count from the first run that may know."""
        self._inner.learn(label)
        if label.fraud:
            parties = (label.transaction.user, label.transaction.other_party)
            self._labels += [
                (label.known_at, party)
                for party in parties
                if party is not None and party.kind is EntityKind.USER
            ]

    def _run(self) -> None:
        as_of = self._newest
        known = {user for known_at, user in self._labels if known_at <= as_of}
        graph = stored_graph(
            as_of,
            self._accounts,
            self._money,
            self._used,
            known | self._alerted,
            self.settings.most_users,
        )
        expected = estimate(graph.nodes, len(graph.money) + len(graph.used))
        expected.check(self.settings.memory)
        found = compute(graph, self.settings, expected, time.monotonic() + self.settings.seconds)
        for part in found.parts():
            self._inner.refer(part)
        self._told(found)

    def _take(self, transaction: Transaction, ring_events: Sequence[RingEvent]) -> None:
        self._newest = max(self._newest, transaction.timestamp)
        payer, payee = transaction.payer, transaction.payee
        self._accounts.update(party for party in (payer, payee) if party is not None)
        if transaction.moves_money and payer is not None and payee is not None:
            self._money.add((payer, payee))
        for identifier in transaction.identifiers:
            if identifier.kind in _JOINING:
                self._used.add((transaction.user, identifier))
        for event in ring_events:
            if event.alert is not None:
                self._alerted.update(
                    entity for entity in event.ring.core if entity.kind is EntityKind.USER
                )
