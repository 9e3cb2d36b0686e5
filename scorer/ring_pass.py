"""The ring pass: rings formed anew out of recorded evidence that somebody has weighed since.

A judge is taught from the evidence of a whole replay, and only then it is known what rings it would
have made. Evidence is rare and the rest of the engine does not depend on rings, so nothing else is
replayed: the log of the evidence goes through a ring book of its own, and every row is asked which
rings it touches. The events are those that a detector with this judge tells.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graph.evidence import Evidence
from graph.ring_book import RingBook
from graph.ring_policy import RingPolicy
from graph.rings import Ring
from scorer.blend import joint_strength
from scorer.evidence_judge import judged
from scorer.evidence_log import EvidenceLog, Told
from scorer.ring_matching import RingLedger
from scorer.table import RING, Table

_RING_SCORE: Final = "ring_score"
_MILLIONTHS: Final = 1e6

Shown = Callable[[int, tuple[Evidence, ...], tuple[Ring, ...]], None]
"""Called with the number of a row, the evidence it completed and the rings it touches."""


def _unseen(_row: int, _evidence: tuple[Evidence, ...], _rings: tuple[Ring, ...]) -> None:
    """Looks away."""


def rings_of(log: EvidenceLog, weights: Sequence[float] | None, policy: RingPolicy) -> RingLedger:
    """The rings that evidence of these weights makes.

    Args:
        log: All evidence of a history.
        weights: A probability for each piece, in the order of the log; None leaves the strengths.
        policy: When a ring is born and told.
    """
    book, ledger = RingBook(policy), RingLedger()
    for told in log.told:
        pieces = _weighed(told, weights)
        ledger.note(book.observe(pieces, told.watermark), pieces)
    return ledger


def with_rings(
    table: Table, weights: NDArray[np.float64] | None, policy: RingPolicy, shown: Shown = _unseen
) -> Table:
    """The table as it would be had evidence had these weights from the beginning.

    Ring score, joint strength, what was told and the ledger change; of the feature rows the ring
    score, in place.

    Args:
        table: Of a replay without a judge.
        weights: float64 [pieces], a probability for each piece of `table.evidence`; None leaves
            the strengths.
        policy: When a ring is born and told.
        shown: Called for every row that completed evidence or touches a ring.
    """
    book, ledger = RingBook(policy), RingLedger()
    values = None if weights is None else weights.tolist()
    ring_score, joint = np.zeros_like(table.ring_score), np.zeros_like(table.joint)
    entries = iter(table.evidence.told)
    entry = next(entries, None)
    for row, place in enumerate(table.places.tolist()):
        completed: tuple[Evidence, ...] = ()
        while entry is not None and entry.place <= place:
            pieces = _weighed(entry, values)
            ledger.note(book.observe(pieces, entry.watermark), pieces)
            if entry.place == place:
                completed = tuple(islice(pieces, entry.found, None))
            entry = next(entries, None)
        rings = book.touched_by(table.parties.of(row, table.ids[row]))
        if rings:
            ring_score[row] = rings[0].score
        if completed:
            joint[row] = joint_strength(completed)
        if rings or completed:
            shown(row, completed, rings)
    while entry is not None:
        pieces = _weighed(entry, values)
        ledger.note(book.observe(pieces, entry.watermark), pieces)
        entry = next(entries, None)
    told = np.where(ring_score > 0, table.told | RING, table.told & ~np.uint8(RING))
    if _RING_SCORE in table.schema.names:
        column = table.schema.names.index(_RING_SCORE)
        table.rows[:, column] = np.floor(ring_score * _MILLIONTHS) / _MILLIONTHS
    return replace(
        table, ring_score=ring_score, joint=joint, told=told.astype(np.uint8), ledger=ledger
    )


def _weighed(told: Told, weights: Sequence[float] | None) -> tuple[Evidence, ...]:
    if weights is None:
        return told.pieces
    return tuple(map(judged, told.pieces, weights[told.first : told.first + len(told.pieces)]))
