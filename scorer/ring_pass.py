"""The ring pass: rings formed anew out of recorded evidence that somebody has weighed since.

A judge is taught from the evidence of a whole replay, and only then it is known what rings it would
have made. Evidence is rare and the rest of the engine does not depend on rings, so nothing else is
replayed: the log of the evidence goes through a ring book of its own, and every row is asked which
rings it touches. Once there are scores, the suspects among the rows go through as well. The events
are those that a detector tells.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graph.evidence import Evidence, Hop
from graph.ring_book import Likelihood, RingBook
from graph.ring_policy import RingPolicy
from graph.rings import Ring
from graph.transaction import ACCOUNTS
from scorer.blend import joint_strength
from scorer.evidence_judge import judged
from scorer.evidence_log import EvidenceLog, Told
from scorer.party_columns import RowParties
from scorer.ring_matching import RingLedger
from scorer.suspects import LEAST_SCORE, Suspect
from scorer.table import RING, Table
from scorer.told_rings import ToldRings

_RING_SCORE: Final = "ring_score"
_MILLIONTHS: Final = 1e6

Shown = Callable[[int, tuple[Evidence, ...], tuple[Ring, ...]], None]
"""Called with the number of a row, the evidence it completed and the rings it touches."""


def weighed(log: EvidenceLog, weights: NDArray[np.float64]) -> EvidenceLog:
    """The log with a probability for the strength of each piece.

    Args:
        log: All evidence of a history.
        weights: float64 [pieces], in the order of the log.
    """
    values = iter(weights.tolist())
    told = [replace(each, pieces=tuple(map(judged, each.pieces, values))) for each in log.told]
    return replace(log, told=told)


def rings_of(
    log: EvidenceLog, policy: RingPolicy, likelihood: Likelihood | None = None
) -> RingLedger:
    """The rings that evidence of these strengths makes; `likelihood` says how likely each is."""
    book, ledger = RingBook(policy, likelihood), RingLedger()
    for told in log.told:
        ledger.note(book.observe(told.pieces, told.watermark), told.pieces)
    return ledger


def with_rings(table: Table, evidence: EvidenceLog, policy: RingPolicy) -> Table:
    """The table as it would be had its evidence had these strengths from the beginning.

    Evidence, ring score, joint strength, what was told and the ledger change; of the feature rows
    the ring score, in place.

    Args:
        table: Of a replay, which leaves rings to this.
        evidence: Its evidence, as it is or `weighed`.
        policy: When a ring is born and told.
    """
    if not evidence.pieces:
        return table
    ledger = RingLedger()
    ring_score, joint = np.zeros_like(table.ring_score), np.zeros_like(table.joint)
    table = replace(table, evidence=evidence)
    heard = ToldRings(policy.hearing_all())
    passed = _passed(table, range(len(table.fraud)), None, heard, ledger)
    for row, completed, rings in passed:
        if rings:
            ring_score[row] = rings[0].score
        if completed:
            joint[row] = joint_strength(completed)
    told = np.where(ring_score > 0, table.told | RING, table.told & ~np.uint8(RING))
    if _RING_SCORE in table.schema.names:
        column = table.schema.names.index(_RING_SCORE)
        table.rows[:, column] = np.floor(ring_score * _MILLIONTHS) / _MILLIONTHS
    return replace(
        table, ring_score=ring_score, joint=joint, told=told.astype(np.uint8), ledger=ledger
    )


def rings_told(
    table: Table,
    scores: NDArray[np.float64],
    policy: RingPolicy,
    likelihood: Likelihood | None = None,
    shown: Shown | None = None,
) -> RingLedger:
    """The rings that a detector tells that gives these scores: of evidence and of suspects.

    Which way a suspect's money went is not in a table; what is recoverable of rings is not either.

    Args:
        table: With its evidence as it was weighed.
        scores: float64 [R], of each row; NaN where it was not scored.
        policy: When a ring is born and told.
        likelihood: Says how likely a ring is a true one.
        shown: Called for every row that completed evidence or touches a ring.
    """
    ledger = RingLedger()
    # Rows that are neither suspects nor shown change nothing.
    suspects = np.flatnonzero(scores >= LEAST_SCORE).tolist()
    rows = suspects if shown is None else range(len(table.fraud))
    passed = _passed(table, rows, scores, ToldRings(policy, likelihood), ledger)
    for row, completed, rings in passed:
        if shown is not None and (rings or completed):
            shown(row, completed, rings)
    return ledger


def _passed(
    table: Table,
    rows: Iterable[int],
    scores: NDArray[np.float64] | None,
    told: ToldRings,
    ledger: RingLedger,
) -> Iterator[tuple[int, tuple[Evidence, ...], tuple[Ring, ...]]]:
    """Let a table's evidence count, and some of its rows, in order; all of it is in the ledger.

    Yields:
        (row, what it completed, the rings it touches then).
    """
    entries = deque(table.evidence.told)
    places, watermarks = table.places.tolist(), table.watermarks.tolist()
    for row in rows:
        while entries and entries[0].place < places[row]:
            _note(ledger, told, entries.popleft())
        entry = entries.popleft() if entries and entries[0].place == places[row] else None
        pieces = () if entry is None else entry.pieces
        parties = table.parties.of(row, table.ids[row])
        suspect = None
        if scores is not None and scores[row] >= LEAST_SCORE:
            suspect = _suspect(table, row, parties, float(scores[row]))
        now = watermarks[row] if entry is None else entry.watermark
        news = told.take(parties, pieces, now, suspect)
        ledger.note(news.events, (*pieces, *news.suspects))
        yield row, () if entry is None else pieces[entry.found :], news.rings
    for entry in entries:
        _note(ledger, told, entry)


def _note(ledger: RingLedger, told: ToldRings, entry: Told) -> None:
    """Let evidence count at a place of which there is no row to ask about."""
    ledger.note(told.book.observe(entry.pieces, entry.watermark), entry.pieces)


def _suspect(table: Table, row: int, parties: RowParties, score: float) -> Suspect:
    accounts = [entity for entity in parties.entities if entity.kind in ACCOUNTS]
    hop = Hop(
        transaction_id=parties.transaction_id,
        source=accounts[0],
        target=accounts[1] if len(accounts) > 1 else None,
        value=int(table.values[row]),
        timestamp=int(table.times[row]),
        declined=bool(table.declined[row]),
    )
    return Suspect.of(parties, hop, score)
