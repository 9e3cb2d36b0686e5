"""Lessons: labelled evidence, as rows that a judge can be taught from.

What was left out of the past though it had happened (`scorer.splits.Split.left_out`) is no lesson
either way: not what is about frauds there, nor the rings in them.

A piece counts as fraud if at least half of its witness are known frauds of the past; one without a
witness, if at least half of its users did one. Where the data names rings, frauds of different ones
are not counted together: a kiosk at which mules of three rings were seen shows none of them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from graph.evidence import Evidence
from graph.transaction import ACCOUNTS, EntityKind
from scorer.evidence_judge import judged_rows
from scorer.evidence_log import EvidenceLog
from scorer.ring_matching import TrueRing
from scorer.table import NO_ROWS, Rows, Table

HALF: Final = 0.5


@dataclass(frozen=True, slots=True)
class Lesson:
    """The evidence of a past; P pieces, F columns.

    Attributes:
        numbers: Which pieces of the log they are, int [P].
        rows: float32 [P, F], as a judge sees them.
        fraud: bool [P].
        groups: The ring (or user) that each is about most if it is fraud, else its centre, str [P].
        rings: The true rings that had begun.
        until: Place in the history of the past's last row.
        apart: The rings in frauds that were left out, as far as they had come: telling of one is
            neither right nor wrong.
    """

    numbers: NDArray[np.intp]
    rows: NDArray[np.float32]
    fraud: NDArray[np.bool_]
    groups: NDArray[np.str_]
    rings: list[TrueRing]
    until: int
    apart: list[TrueRing]


def facts_of(log: EvidenceLog) -> tuple[str, ...]:
    """Names of all facts that are told in a log, sorted."""
    return tuple(sorted({name for piece in log.all_pieces() for name in piece.facts}))


def rows_of(log: EvidenceLog, facts: Sequence[str]) -> NDArray[np.float32]:
    """All evidence of a log as a judge of these facts sees it, float32 [pieces, columns]."""
    return judged_rows(log.all_pieces(), log.contexts(), facts)


class _Frauds(NamedTuple):
    """Some frauds.

    Attributes:
        ring_of: Ring of each by transaction id, its user where none is named.
        of_user: Ring of the last one of each user, the user where none is named.
        named: The rings that are named.
    """

    ring_of: dict[str, str]
    of_user: dict[str, str]
    named: set[str]

    @classmethod
    def of(cls, table: Table, rows: Rows) -> Self:
        frauds = cls({}, {}, set())
        for row in rows[table.fraud[rows]].tolist():
            ring_id, user = table.ring_ids[row], table.users[row]
            if ring_id is not None:
                frauds.named.add(ring_id)
            frauds.ring_of[table.ids[row]] = frauds.of_user[user] = ring_id or user
        return frauds


def lesson_of(
    table: Table, past: Rows, rows: NDArray[np.float32], left_out: Rows = NO_ROWS
) -> Lesson:
    """What the labels of the past say about the evidence that its rows completed.

    Args:
        table: Of a replay without a judge.
        past: Rows whose labels may be learned from.
        rows: Its evidence (`rows_of`).
        left_out: Rows that may not, though they are of the same time.
    """
    places = frozenset(table.places[past].tolist())
    until = max(places, default=-1)
    left_out = left_out[table.places[left_out] <= until]
    known = _Frauds.of(table, past)
    every = _Frauds.of(table, np.sort(np.concatenate([past, left_out])))
    numbers, fraud, groups = [], [], []
    for told in table.evidence.told:
        if told.place in places:
            for number, piece in enumerate(told.pieces, told.first):
                group = _about(piece, known)
                if group is None and _about(piece, every) is not None:
                    continue
                numbers.append(number)
                fraud.append(group is not None)
                groups.append(group or str(piece.members[0][0]))
    chosen = np.array(numbers, np.intp)
    return Lesson(
        chosen,
        rows[chosen],
        np.array(fraud, np.bool_),
        np.array(groups, np.str_),
        [ring for ring_id, ring in sorted(table.true_rings.items()) if ring_id in known.named],
        until,
        _begun(table, left_out[table.fraud[left_out]], known.named),
    )


def _begun(table: Table, frauds: Rows, known: set[str]) -> list[TrueRing]:
    """The rings in these frauds, but for those that are known, with the accounts that they show."""
    begun: dict[str, TrueRing] = {}
    for row in frauds.tolist():
        ring_id = table.ring_ids[row]
        if ring_id is not None and ring_id not in known:
            accounts = table.parties.of(row, table.ids[row]).entities
            ring = begun.setdefault(ring_id, TrueRing(ring_id))
            ring.members.update(entity for entity in accounts if entity.kind in ACCOUNTS)
    return list(begun.values())


def _about(piece: Evidence, frauds: _Frauds) -> str | None:
    """The ring that a piece about fraud is about most; None of one that is not.

    A fraud of which no ring is known may belong to any.
    """
    if piece.hops:
        about = [frauds.ring_of.get(hop.transaction_id) for hop in piece.hops]
    else:
        users = [entity.id for entity, _ in piece.members if entity.kind is EntityKind.USER]
        about = [frauds.of_user.get(user) for user in users]
    groups = Counter(group for group in about if group is not None)
    if not groups:
        return None
    named = frauds.named
    most = min(groups, key=lambda each: (each not in named, -groups[each], each))
    others = sum(count for group, count in groups.items() if group not in named and group != most)
    return most if groups[most] + others >= HALF * len(about) else None
