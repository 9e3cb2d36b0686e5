"""The reasons: what a verdict rests on, strongest first, in words.

Every reason says whether the transaction *did* something (it is in the witness of a piece of
evidence, or its own figures are unusual) or *is connected* to something (it touches a ring whose
witness it is not in, or its neighbours' figures speak). Weights are log-odds: of evidence and
rings what they carry on their own by the noisy-or of the blend, of the model's families their
path contributions (`scorer.booster`), which are approximate in their parts.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from graph.evidence import Evidence, Pattern
from graph.lists import ListBook, ListEntry, ListName
from graph.rings import Ring, RingEvent
from graph.transaction import Entity
from graph.wording import pattern_words
from scorer.blend import RING_SHARE
from scorer.booster import Booster
from scorer.decision import Policy, SegmentBounds
from scorer.ports import FeatureSchema
from scorer.verdict import Decision, Reason, Standing

MOST: Final = 10
_LEAST_WEIGHT: Final = 0.1
"""Log-odds below which a family of the model is not worth a sentence (10 % of the odds)."""
_SURE: Final = 0.999
_BLOCKED_WEIGHT: Final = 100.0
"""Stands above any sum: it declined by itself."""

WORDS: Final = {
    "amount": "The amount is unusual",
    "time": "The time is unusual",
    "transaction": "Transactions of this kind are risky here",
    "behaviour": "It departs from the user's own past",
    "counterparty": "The other party's dealings are unusual",
    "velocity": "The pace is unusual",
    "novelty": "It uses what is new to this user",
    "sharing": "What it was made through is shared by many",
    "flow": "Money passes through in an unusual way",
    "evidence": "Patterns were seen at it or around its user",
    "ring": "It touches a ring",
    "labels": "Fraud is known in the user's past",
    "reputation": "Fraud is known of what it was made through or with",
    "deep": "The nightly analysis places its parties in a risky part of the graph",
}
"""One sentence a feature family; a family without one is named as it is."""


class FamilyShare(NamedTuple):
    """What one family of features added to the model's margin for one row.

    Attributes:
        family: Which family.
        weight: Log-odds the family added, all its features together.
        feature: Its feature that added most.
        value: That feature's value in this row; NaN where it was not known.
        connection: The family says what others did.
    """

    family: str
    weight: float
    feature: str
    value: float
    connection: bool


class Explained(Protocol):
    """A transaction as far as reasons are concerned."""

    @property
    def transaction_id(self) -> str:
        """Its id."""
        ...

    @property
    def entities(self) -> tuple[Entity, ...]:
        """Everybody who takes part."""
        ...


def family_shares(
    booster: Booster, schema: FeatureSchema, row: NDArray[np.float32]
) -> tuple[FamilyShare, ...]:
    """Families that speak for fraud in one row, strongest first; about 50 microseconds.

    By the path method; `docs/explain.md` says how far that is from the exact `scorer.tree_shap`.
    """
    return shares_of(booster.contributions(row)[0], schema, row)


def shares_of(
    contributions: NDArray[np.float64], schema: FeatureSchema, row: NDArray[np.float32]
) -> tuple[FamilyShare, ...]:
    """Families that speak for fraud, strongest first, by what each feature added, float64 [F]."""
    parts = contributions.tolist()
    shares = []
    for family, columns in columns_of(schema.families):
        weight = sum([parts[index] for index in columns])
        if weight < _LEAST_WEIGHT:
            continue
        top = max(columns, key=parts.__getitem__)
        connection = family in schema.connection_families
        shares.append(FamilyShare(family, weight, schema.names[top], float(row[top]), connection))
    return tuple(sorted(shares, key=lambda share: (-share.weight, share.family)))


@lru_cache(maxsize=16)
def columns_of(families: tuple[str, ...]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The columns of each family, in the order of their first."""
    members: dict[str, list[int]] = {}
    for index, family in enumerate(families):
        members.setdefault(family, []).append(index)
    return tuple((family, tuple(columns)) for family, columns in members.items())


def reasons(
    transaction: Explained,
    evidence: Sequence[Evidence],
    rings: Sequence[Ring],
    shares: Sequence[FamilyShare] = (),
    recalled: Sequence[Reason] = (),
) -> tuple[Reason, ...]:
    """At most ten reasons, the strongest first; equal weights in order of code and pointer.

    Args:
        transaction: Which transaction is explained.
        evidence: What it completed.
        rings: The rings it touches.
        shares: What the model's families added (`family_shares`); leave out where it approved.
        recalled: What the memory of recent scores added (`of_memory`).
    """
    if not (evidence or rings or shares or recalled):
        return ()
    ring_of = {piece: ring.ring_id for ring in rings for piece in ring.evidence} if evidence else {}
    found = [_of_evidence(transaction, piece, ring_of.get(piece.evidence_id)) for piece in evidence]
    explained = {reason.ring_id for reason in found if reason.standing is Standing.DID}
    found += [_of_ring(transaction, ring) for ring in rings if ring.ring_id not in explained]
    return with_shares([*found, *recalled], shares)


def with_shares(found: Sequence[Reason], shares: Sequence[FamilyShare]) -> tuple[Reason, ...]:
    """Reasons and, among them by weight, what the model's families added; at most ten."""
    both = [*found, *map(_of_share, shares)]
    both.sort(key=lambda r: (-r.weight, r.code, r.evidence_id or "", r.ring_id or ""))
    return tuple(both[:MOST])


def with_notes(found: tuple[Reason, ...], notes: tuple[Reason, ...]) -> tuple[Reason, ...]:
    """The reasons and, after them, what weighs nothing but has to be known.

    There is room for all notes (there are at most six): the weakest of the reasons give way.
    """
    return found[: MOST - len(notes)] + notes


def of_memory(own: float, others: float) -> tuple[Reason, ...]:
    """What is recalled of recent scores, where it speaks for fraud.

    Args:
        own: Log-odds that those of the user's own transactions added.
        others: Log-odds that those of everybody else who takes part added.
    """
    found = []
    if own >= _LEAST_WEIGHT:
        text = "The user's own recent transactions were scored as risky."
        found.append(Reason("recent_own", Standing.DID, text, own))
    if others >= _LEAST_WEIGHT:
        text = "Recent transactions of others with whom or with what it was made were risky."
        found.append(Reason("recent_others", Standing.CONNECTED, text, others))
    return tuple(found)


def of_graph_model(added: float) -> tuple[Reason, ...]:
    """What the graph model says, where it speaks for fraud.

    Args:
        added: Log-odds that it added to those of the blend.
    """
    if added < _LEAST_WEIGHT:
        return ()
    text = "Those it was made with, and those around them, have lately lived as rings do."
    return (Reason("graph_model", Standing.CONNECTED, text, added),)


def of_watched(watched: Sequence[ListEntry]) -> tuple[Reason, ...]:
    """Who of the watch list takes part: at most five, for so many entities has a transaction."""
    return tuple(
        Reason(
            code="watched",
            standing=Standing.CONNECTED,
            text=f"{entry.entity} is on the watch list"
            + (f": {entry.reason}" if entry.reason else "."),
            weight=0.0,
        )
        for entry in watched
    )


def of_segment(policy: Policy, segment: SegmentBounds, probability: float) -> tuple[Reason, ...]:
    """Which thresholds a segment's budget put in place of the policy's, where it mattered.

    Nothing where the policy alone would approve as well, or the segment's are the policy's own.
    """
    mild, strict = policy.bounds_in(segment)
    if (mild, strict) == policy.bounds or policy.choose(probability) is Decision.APPROVE:
        return ()
    fixed_mild, fixed_strict = policy.bounds
    text = (
        f"In segment {segment.segment} it steps up from {mild:.3f} and declines from {strict:.3f}: "
        f"with {fixed_mild:.3f} and {fixed_strict:.3f} more customers would be troubled than its "
        "budget allows."
    )
    return (Reason("segment_budget", Standing.CONNECTED, text, 0.0),)


def name_watched(events: Sequence[RingEvent], lists: ListBook) -> list[RingEvent]:
    """The ring events, their alerts naming the members that are on the watch list."""
    named = []
    for event in events:
        alert = event.alert
        if alert is not None and lists:
            watched = tuple(e for e, _ in event.ring.members if lists.get(ListName.WATCH, e))
            if watched:
                event = replace(event, alert=replace(alert, watched=watched))  # noqa: PLW2901
        named.append(event)
    return named


def _of_evidence(transaction: Explained, piece: Evidence, ring_id: str | None) -> Reason:
    witness = {hop.transaction_id for hop in piece.hops}
    took_part = (
        transaction.transaction_id in witness
        if witness
        else not set(piece.entities).isdisjoint(transaction.entities)
    )
    return Reason(
        code=piece.pattern.value,
        standing=Standing.DID if took_part else Standing.CONNECTED,
        text=piece.reason,
        weight=_BLOCKED_WEIGHT if piece.pattern is Pattern.BLOCKED else _carried(piece.strength),
        evidence_id=piece.evidence_id,
        ring_id=ring_id,
    )


def _of_ring(transaction: Explained, ring: Ring) -> Reason:
    took_part = transaction.transaction_id in ring.transactions
    shared = [str(entity) for entity in transaction.entities if entity in ring.roles]
    patterns = ", ".join(map(pattern_words, ring.patterns))
    through = f" through {', '.join(shared)}" if shared else ""
    verb = "is part of" if took_part else "is connected to"
    size = len(ring.core)
    return Reason(
        code="ring",
        standing=Standing.DID if took_part else Standing.CONNECTED,
        text=f"It {verb} ring {ring.ring_id} of {size} members{through} ({patterns}).",
        weight=_carried(RING_SHARE * ring.score),
        ring_id=ring.ring_id,
    )


def _of_share(share: FamilyShare) -> Reason:
    words = WORDS.get(share.family, f"Its {share.family.replace('_', ' ')} speaks for fraud")
    value = "not known" if math.isnan(share.value) else f"{share.value:.6g}"
    return Reason(
        code=f"model_{share.family}",
        standing=Standing.CONNECTED if share.connection else Standing.DID,
        text=f"{words}: {share.feature.replace('_', ' ')} is {value}.",
        weight=share.weight,
    )


def _carried(strength: float) -> float:
    """Log of how much less likely innocence is: -ln(1 - strength), 0 to 6.9."""
    return -math.log1p(-min(strength, _SURE))
