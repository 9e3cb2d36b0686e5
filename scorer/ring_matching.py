"""Ring matching: which detected ring is which true ring, and how late it was found.

A detected ring and a true ring are the same when their member accounts (users and merchants)
overlap by Jaccard >= 0.5, matched one to one. One-to-one is what makes figures honest: one ring
that swallows everything, or ten crumbs of the same ring, earn at most one match.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import networkx as nx
import numpy as np

from graph.evidence import Evidence, Pattern
from graph.rings import Ring, RingEvent, RingEventKind
from graph.transaction import MINUTE, Entity, Transaction

_SILENT: Final = frozenset({RingEventKind.QUIET, RingEventKind.EXPIRED})

ENOUGH: Final = 0.5
"""Jaccard from which two rings are the same."""


@dataclass(slots=True)
class TrueRing:
    """A ring as the data names it: its fraudulent transactions and the accounts in them.

    Attributes:
        ring_id: The data's name for it.
        members: Users and merchants of its transactions.
        times: Event time of each transaction, in order of arrival.
        values: Value of each, minor units of the base currency.
        ids: Their transaction ids.
    """

    ring_id: str
    members: set[Entity] = field(default_factory=set)
    times: list[int] = field(default_factory=list)
    values: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def add(self, transaction: Transaction) -> None:
        """Take in one of its transactions."""
        other = transaction.other_party
        self.members.add(transaction.user)
        if other is not None:
            self.members.add(other)
        self.times.append(transaction.timestamp)
        self.values.append(transaction.value)
        self.ids.append(transaction.transaction_id)


@dataclass(slots=True)
class DetectedRing:
    """A ring as the engine told it: how it stood last, and when anybody heard of it.

    Attributes:
        ring: As evidence last left it; that it fell quiet or ended is not in it.
        alerted_at: Event time of its first alert; None if it never alerted. Of a ring that split
            from an alerted one: when half of its accounts had been told of, as part of that.
        alerts: Event time of each alert and the witness transactions it was told with.
        strongest: Pattern of the strongest evidence it was ever told with.
        strength: How strong that was.
        told: When each account was first told of in an alert.
        peak: Its highest score: with any bound up to it the ring is told, unless it is no news
            beside another (`RingPolicy.alert_apart`).
        likely: Its highest likelihood, 0 where nobody was asked: the same, of that bound.
    """

    ring: Ring
    alerted_at: int | None = None
    alerts: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    strongest: Pattern | None = None
    strength: float = 0.0
    told: dict[Entity, int] = field(default_factory=dict)
    peak: float = 0.0
    likely: float = 0.0

    @property
    def pattern(self) -> Pattern | None:
        """What it was found for: the pattern of its strongest evidence."""
        return self.strongest or (self.ring.patterns[0] if self.ring.patterns else None)

    @property
    def members(self) -> frozenset[Entity]:
        """Its users and merchants, the fringe left out."""
        return self.ring.accounts


class RingLedger:
    """Follows ring events and keeps each ring as it stood last, merged rings folded in.

    A ring that splits stays the ring it was, with fewer members; each part that went is a ring of
    its own, and nobody has to be told again of what was told of the whole.

    Memory: one entry for each ring that ever lived in the history, and one for each of its alerts.
    """

    def __init__(self) -> None:
        self._rings: dict[str, DetectedRing] = {}

    def note(self, events: Iterable[RingEvent], evidence: Sequence[Evidence] = ()) -> None:
        """Take in what happened, in order, and the evidence that made it happen."""
        for event in events:
            ring = event.ring
            known = self._rings.get(ring.ring_id)
            if known is None:
                known = self._rings[ring.ring_id] = DetectedRing(ring)
                self._inherit(known)
            # That nothing was heard of it is no news of a ring: it stays as evidence last left it.
            if event.kind not in _SILENT:
                known.ring = ring
            known.peak = max(known.peak, ring.score)
            known.likely = max(known.likely, ring.likelihood or 0.0)
            for piece in evidence:
                if piece.strength > known.strength and piece.evidence_id in ring.evidence:
                    known.strongest, known.strength = piece.pattern, piece.strength
            if event.alert is not None:
                known.alerts.append((event.at, ring.transactions))
                if known.alerted_at is None:
                    known.alerted_at = event.at
                for account in known.members:
                    known.told.setdefault(account, event.at)
            if event.kind is RingEventKind.MERGED and event.merged_ring_id is not None:
                self._fold(event.merged_ring_id, known)

    def _fold(self, merged_ring_id: str, into: DetectedRing) -> None:
        merged = self._rings.get(merged_ring_id)
        if merged is None or merged is into:
            return
        del self._rings[merged_ring_id]
        alerts = [at for at in (into.alerted_at, merged.alerted_at) if at is not None]
        into.alerted_at = min(alerts, default=None)
        into.alerts = sorted(into.alerts + merged.alerts)
        into.peak = max(into.peak, merged.peak)
        into.likely = max(into.likely, merged.likely)
        if merged.strength > into.strength:
            into.strongest, into.strength = merged.strongest, merged.strength
        for account, at in merged.told.items():
            into.told[account] = min(at, into.told.get(account, at))

    def _inherit(self, part: DetectedRing) -> None:
        """Let a ring that split from another one know what was told of it there."""
        whole = self._rings.get(part.ring.split_from or "")
        if whole is None:
            return
        part.told = {e: whole.told[e] for e in part.members if e in whole.told}
        times = sorted(part.told.values())
        half = (len(part.members) + 1) // 2
        if half and len(times) >= half:
            part.alerted_at = times[half - 1]
            own = set(part.ring.transactions)
            part.alerts = [
                (at, tuple(each for each in witness if each in own))
                for at, witness in whole.alerts
                if at >= part.alerted_at
            ]

    def rings(self, since: int) -> list[DetectedRing]:
        """Rings that changed at or after `since`, in order of id."""
        return [ring for _, ring in sorted(self._rings.items()) if ring.ring.changed_at >= since]

    def told(self) -> list[DetectedRing]:
        """Rings that alerted, in order of id."""
        return [ring for ring in self.rings(since=0) if ring.alerted_at is not None]


def f1_of(
    told: Sequence[Sequence[DetectedRing]],
    true: Sequence[Sequence[TrueRing]],
    apart: Sequence[Sequence[TrueRing]] | None = None,
) -> float:
    """F1 of the rings of several histories together.

    Args:
        told: Rings that alerted, of each history.
        true: Its true rings.
        apart: Its rings that count neither way; none if left out.
    """
    matched = counted = 0
    for some, rings, others in zip(told, true, apart or [()] * len(told), strict=True):
        right = {ring.ring.ring_id for ring, _ in match_rings(some, rings)}
        rest = [ring for ring in some if ring.ring.ring_id not in right]
        matched += len(right)
        counted += len(some) - len(match_rings(rest, others)) + len(rings)
    return 2 * matched / counted


def jaccard(one: Iterable[Entity], other: Iterable[Entity]) -> float:
    """Share of common members; 0 where both are empty."""
    a, b = frozenset(one), frozenset(other)
    union = len(a | b)
    return len(a & b) / union if union else 0.0


def match_rings(
    detected: Sequence[DetectedRing], true: Sequence[TrueRing]
) -> list[tuple[DetectedRing, TrueRing]]:
    """Pairs that are the same ring, one to one: the most pairs, and of those the most overlap.

    Rings that share no member are never compared; the assignment is solved for each group of
    rings that overlap, in the cube of the group's size.
    """
    holding: dict[Entity, list[int]] = {}
    for index, ring in enumerate(true):
        for member in ring.members:
            holding.setdefault(member, []).append(index)
    overlaps: nx.Graph[int] = nx.Graph()  # detected as 0, 1, ..., true as -1, -2, ...
    for number, found in enumerate(detected):
        members = found.members
        for index in sorted({i for member in members for i in holding.get(member, ())}):
            overlap = jaccard(members, true[index].members)
            if overlap >= ENOUGH:
                overlaps.add_edge(number, -1 - index, weight=overlap)
    matched: list[tuple[int, int]] = []
    for group in nx.connected_components(overlaps):
        pairs = nx.max_weight_matching(overlaps.subgraph(sorted(group)), maxcardinality=True)
        matched += [(max(pair), -1 - min(pair)) for pair in pairs]
    return [(detected[number], true[index]) for number, index in sorted(matched)]


@dataclass(frozen=True, slots=True)
class RingMatch:
    """The rings of a span of time, those that alerted and the true ones, and which is which.

    Attributes:
        detected: Every ring the engine followed.
        told: Those of them that alerted; nobody hears of the others.
        true: The true rings.
        pairs: Alerted and true rings that are the same, one to one.
    """

    detected: Sequence[DetectedRing]
    told: Sequence[DetectedRing]
    true: Sequence[TrueRing]
    pairs: Sequence[tuple[DetectedRing, TrueRing]]

    @classmethod
    def of(cls, detected: Sequence[DetectedRing], true: Sequence[TrueRing]) -> "RingMatch":
        """Match the alerted of some rings with the true ones."""
        told = [ring for ring in detected if ring.alerted_at is not None]
        return cls(detected, told, true, match_rings(told, true))

    @classmethod
    def since(cls, begins: int, ledger: RingLedger, true: Iterable[TrueRing]) -> "RingMatch":
        """The rings that live at or after a moment.

        A ring of the engine that is a true ring of before counts neither way: it was right, only
        not in this span. One that was told before and is a true ring that goes on in it is found,
        whether or not there was more to tell; any other that was told before is left out.
        """
        every = sorted(true, key=lambda ring: ring.ring_id)
        living = [ring for ring in every if max(ring.times) >= begins]
        detected = ledger.rings(since=begins)
        pairs = cls.of(detected, living).pairs
        matched = {ring.ring.ring_id for ring, _ in pairs}
        others = [ring for ring in detected if ring.ring.ring_id not in matched]
        past = [ring for ring in every if max(ring.times) < begins]
        gone = {ring.ring.ring_id for ring, _ in match_rings(others, past)}
        found = {ring.ring_id for _, ring in pairs}
        before = [
            ring
            for ring in ledger.rings(since=0)
            if ring.alerted_at is not None and ring.ring.changed_at < begins
        ]
        known = match_rings(before, [ring for ring in living if ring.ring_id not in found])
        here = [ring for ring in detected if ring.ring.ring_id not in gone]
        return cls.of([*(ring for ring, _ in known), *here], living)

    @property
    def false(self) -> list[DetectedRing]:
        """Alerted rings that are no true ring."""
        right = {ring.ring.ring_id for ring, _ in self.pairs}
        return [ring for ring in self.told if ring.ring.ring_id not in right]


def ring_figures(match: RingMatch) -> dict[str, Any]:
    """Precision, recall and delay of ring detection; None where there is nothing to divide by.

    `precision` is over rings that alerted, `recall` over true rings, `f1` their harmonic mean;
    `member_precision` and `member_recall` are means over the matched. `delay` is from a matched
    ring's first transaction to the first alert with one of them in its witness: medians of minutes,
    of its transactions that had passed by then, and of the share of its money that had.
    `precision_of_strongest` is over as many of the alerted as there are true rings, those of the
    highest score: what an investigator meets who works down the list.
    """
    told, true, matched = match.told, match.true, match.pairs
    members = [(ring.members, truth.members) for ring, truth in matched]
    strongest = sorted(told, key=lambda found: (-found.ring.score, found.ring.ring_id))[: len(true)]
    either = len(told) + len(true)
    return {
        "true": len(true),
        "detected": len(match.detected),
        "alerted": len(told),
        "matched": len(matched),
        "false": len(told) - len(matched),
        "precision": len(matched) / len(told) if told else None,
        "recall": len(matched) / len(true) if true else None,
        "f1": 2 * len(matched) / either if either else None,
        "precision_of_strongest": (
            len(match_rings(strongest, true)) / len(strongest) if strongest else None
        ),
        "member_precision": mean([len(a & b) / len(a) for a, b in members]),
        "member_recall": mean([len(a & b) / len(b) for a, b in members]),
        "delay": delay_medians(matched),
    }


def delay_medians(
    pairs: Iterable[tuple[DetectedRing, TrueRing]],
) -> dict[str, float] | None:
    """Medians of how late matched rings were told; None of none."""
    told = [(_first_right_alert(ring, truth), truth) for ring, truth in pairs]
    return _medians([_delay(at, truth) for at, truth in told if at is not None])


def _first_right_alert(ring: DetectedRing, truth: TrueRing) -> int | None:
    """When it was first told with a transaction of the true ring in its witness.

    A ring may have alerted on something else before; only where no witness holds one (accounts were
    found by what they share) its first alert counts.
    """
    ids = set(truth.ids)
    right = (at for at, witness in ring.alerts if not ids.isdisjoint(witness))
    return min(right, default=ring.alerted_at)


def alert_figures(
    true: Mapping[str, TrueRing],
    rings: Sequence[str | None],
    times: Sequence[int],
    alerted: Sequence[bool],
    fraud: Sequence[bool],
) -> dict[str, Any]:
    """What transaction alerts alone say about rings: the figures of a rung without a ring engine.

    A ring is found by its first alerted fraud. `precision` is the share of alerts that hit a ring,
    `recall` the share of rings hit, `delay` as in `ring_figures`.

    Args:
        true: The true rings by id.
        rings: Ring of each row, in arrival order; `times`, `alerted` and `fraud` go with it.
        times: Event times.
        alerted: Whether the row was within the alert budget.
        fraud: The row's label.
    """
    first: dict[str, int] = {}
    hits = 0
    for ring, at, told, label in zip(rings, times, alerted, fraud, strict=True):
        if told and label and ring is not None:
            hits += 1
            first[ring] = min(at, first.get(ring, at))
    alerts = sum(map(bool, alerted))
    return {
        "true": len(true),
        "matched": len(first),
        "precision": hits / alerts if alerts else None,
        "recall": len(first) / len(true) if true else None,
        "delay": _medians([_delay(at, true[ring]) for ring, at in sorted(first.items())]),
    }


def _delay(alerted_at: int, truth: TrueRing) -> tuple[float, float, float]:
    gone = [v for at, v in zip(truth.times, truth.values, strict=True) if at <= alerted_at]
    money = sum(truth.values)
    return (
        max(0, alerted_at - min(truth.times)) / MINUTE,
        float(len(gone)),
        sum(gone) / money if money else 0.0,
    )


def _medians(delays: Sequence[tuple[float, float, float]]) -> dict[str, float] | None:
    if not delays:
        return None
    minutes, transactions, money = np.median(np.array(delays), axis=0)
    return {
        "minutes": float(minutes),
        "transactions": float(transactions),
        "money_gone": float(money),
    }


def mean(values: Sequence[float]) -> float | None:
    """The mean; None of nothing."""
    return float(np.mean(values)) if values else None
