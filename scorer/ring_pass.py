"""The ring pass: rings formed anew out of recorded evidence that somebody has weighed since.

A judge is taught from the evidence of a whole replay, and only then it is known what rings it would
have made. Evidence is rare and the rest of the engine does not depend on rings, so nothing else is
replayed: the log of the evidence goes through a ring book of its own, and every row is asked which
rings it touches. The events are those that a detector with this judge tells.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graph.evidence import Evidence, Hop
from graph.ring_book import RingBook
from graph.ring_policy import RingPolicy
from graph.rings import Ring
from graph.transaction import ACCOUNTS
from scorer.blend import joint_strength
from scorer.evidence_judge import judged
from scorer.evidence_log import EvidenceLog
from scorer.ring_matching import RingLedger
from scorer.suspects import LEAST_SCORE
from scorer.table import RING, Table
from scorer.told_rings import Suspected, ToldRings

_RING_SCORE: Final = "ring_score"
_MILLIONTHS: Final = 1e6

Shown = Callable[[int, tuple[Evidence, ...], tuple[Ring, ...]], None]
"""Called with the number of a row, the evidence it completed and the rings it touches."""


def _unseen(_row: int, _evidence: tuple[Evidence, ...], _rings: tuple[Ring, ...]) -> None:
    """Looks away."""


def weighed(log: EvidenceLog, weights: NDArray[np.float64]) -> EvidenceLog:
    """The log with a probability for the strength of each piece.

    Args:
        log: All evidence of a history.
        weights: float64 [pieces], in the order of the log.
    """
    values = iter(weights.tolist())
    told = [replace(each, pieces=tuple(map(judged, each.pieces, values))) for each in log.told]
    return replace(log, told=told)


def rings_of(log: EvidenceLog, policy: RingPolicy) -> RingLedger:
    """The rings that evidence of these strengths makes."""
    book, ledger = RingBook(policy), RingLedger()
    for told in log.told:
        ledger.note(book.observe(told.pieces, told.watermark), told.pieces)
    return ledger


def with_rings(
    table: Table, evidence: EvidenceLog, policy: RingPolicy, shown: Shown = _unseen
) -> Table:
    """The table as it would be had its evidence had these strengths from the beginning.

    Evidence, ring score, joint strength, what was told and the ledger change; of the feature rows
    the ring score, in place.

    Args:
        table: Of a replay without a judge.
        evidence: Its evidence, as it is or `weighed`.
        policy: When a ring is born and told.
        shown: Called for every row that completed evidence or touches a ring.
    """
    book, ledger = RingBook(policy), RingLedger()
    ring_score, joint = np.zeros_like(table.ring_score), np.zeros_like(table.joint)
    entries = deque(evidence.told)

    def tell_up_to(place: int) -> tuple[Evidence, ...]:
        """Let evidence count up to a place in the history; returns what was completed there."""
        completed: tuple[Evidence, ...] = ()
        while entries and entries[0].place <= place:
            entry = entries.popleft()
            ledger.note(book.observe(entry.pieces, entry.watermark), entry.pieces)
            completed = entry.pieces[entry.found :] if entry.place == place else ()
        return completed

    for row, place in enumerate(table.places.tolist()):
        completed = tell_up_to(place)
        rings = book.touched_by(table.parties.of(row, table.ids[row]))
        if rings:
            ring_score[row] = rings[0].score
        if completed:
            joint[row] = joint_strength(completed)
        if rings or completed:
            shown(row, completed, rings)
    tell_up_to(table.transactions)
    told = np.where(ring_score > 0, table.told | RING, table.told & ~np.uint8(RING))
    if _RING_SCORE in table.schema.names:
        column = table.schema.names.index(_RING_SCORE)
        table.rows[:, column] = np.floor(ring_score * _MILLIONTHS) / _MILLIONTHS
    return replace(
        table,
        ring_score=ring_score,
        joint=joint,
        told=told.astype(np.uint8),
        ledger=ledger,
        evidence=evidence,
    )


def rings_told(table: Table, scores: NDArray[np.float64], policy: RingPolicy) -> RingLedger:
    """The rings that a detector tells that gives these scores: of evidence and of suspects.

    Which way a suspect's money went is not in a table; what is recoverable of rings is not either.

    Args:
        table: With its evidence as it was weighed.
        scores: float64 [R], of each row; NaN where it was not scored.
        policy: When a ring is born and told.
    """
    rings, ledger, entries = ToldRings(policy), RingLedger(), deque(table.evidence.told)

    def evidence_before(place: int) -> None:
        while entries and entries[0].place < place:
            entry = entries.popleft()
            ledger.note(rings.book.observe(entry.pieces, entry.watermark), entry.pieces)

    for row in np.flatnonzero(scores >= LEAST_SCORE).tolist():
        place, parties = int(table.places[row]), table.parties.of(row, table.ids[row])
        evidence_before(place)
        pieces: tuple[Evidence, ...] = ()
        if entries and entries[0].place == place:
            pieces = entries.popleft().pieces
        ends = [entity for entity in parties.entities if entity.kind in ACCOUNTS]
        hop = Hop(
            transaction_id=parties.transaction_id,
            source=ends[0],
            target=ends[1] if len(ends) > 1 else None,
            value=int(table.values[row]),
            timestamp=int(table.times[row]),
        )
        suspected = Suspected(hop, float(scores[row]))
        news = rings.take(parties, pieces, int(table.watermarks[row]), suspected)
        ledger.note(news.events, (*pieces, *news.suspects))
    evidence_before(table.transactions)
    return ledger
