"""The table: the labelled rows of a replayed history, which is all that learning and judging see.

Columns grow in chunks, so that a long history is never held twice: at the end one chunk after the
other is moved into the whole.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.errors import InvalidInput, InvalidSetting
from graph.evidence import Evidence, Pattern
from scorer.blend import joint_strength
from scorer.evidence_log import EvidenceLog
from scorer.history import LabelledTransaction
from scorer.party_columns import PartyColumns
from scorer.ports import FeatureSchema, Signals
from scorer.ring_matching import RingLedger, TrueRing
from scorer.segments import segment_of

MAX_ROWS: Final = 4_000_000
"""Labelled rows a table holds at most: 3.1 GB at 196 features."""
CHUNK_ROWS: Final = 65_536
"""Rows that are allocated at a time: 51 MB at 196 features."""

Rows = NDArray[np.intp]
NO_ROWS: Final[Rows] = np.array([], np.intp)

RULES: Final = 1
"""Bit of `Table.told`: a rule spoke, which needs no graph."""
GRAPH: Final = 2
"""Bit of `Table.told`: a pattern of the graph was completed."""
RING: Final = 4
"""Bit of `Table.told`: a live ring was touched."""
BLOCKED: Final = 8
"""Bit of `Table.told`: a blocked entity took part."""

RULE_PATTERNS: Final = frozenset({Pattern.BLOCKED, Pattern.IMPOSSIBLE_TRAVEL, Pattern.VELOCITY})
"""Patterns of the rules tier (`graph.heuristics.rules`); all others are the graph's."""


@dataclass(frozen=True, slots=True)
class Table:
    """The labelled rows of a replayed history, in arrival order; R rows, F features.

    Attributes:
        schema: The features.
        rows: float32 [R, F].
        fraud: bool [R].
        times: Event times, int64 [R].
        known_at: When each label became known, int64 [R]; the event time where that is not said.
        values: Value of each, minor units of the base currency, int64 [R].
        declined: Whether it was declined and moved none of that, bool [R].
        ring_score: Of the strongest ring touched, float64 [R]; 0 until rings are made.
        joint: Joint strength of the evidence completed, float64 [R].
        told: Who had something to say, uint8 [R]: bits `RULES`, `GRAPH`, `BLOCKED`, and `RING` once
            rings are made.
        warm: Whether the user had been seen before as the user of a transaction, bool [R].
        places: Place of each row in the history, int64 [R].
        ids: Transaction id of each row.
        users: User of each row.
        segments: Segment of each row (`scorer.segments.segment_of`).
        ring_ids: True ring of each row, None where there is none.
        transactions: Length of the history.
        rejected: Transactions that were not accepted (duplicate, late, ahead).
        true_rings: Rings as the data names them, by id: over the whole history, not only `rows`.
        ledger: Rings as the engine tells them; none until `scorer.ring_pass` makes them.
        evidence: All evidence, with its context, over the whole history.
        parties: Who took part in each row.
        watermarks: Event time as far as it had come at each row, epoch ms, int64 [R].
    """

    schema: FeatureSchema
    rows: NDArray[np.float32]
    fraud: NDArray[np.bool_]
    times: NDArray[np.int64]
    known_at: NDArray[np.int64]
    values: NDArray[np.int64]
    declined: NDArray[np.bool_]
    ring_score: NDArray[np.float64]
    joint: NDArray[np.float64]
    told: NDArray[np.uint8]
    warm: NDArray[np.bool_]
    places: NDArray[np.int64]
    ids: tuple[str, ...]
    users: tuple[str, ...]
    segments: tuple[str, ...]
    ring_ids: tuple[str | None, ...]
    transactions: int
    rejected: int
    true_rings: Mapping[str, TrueRing]
    ledger: RingLedger
    evidence: EvidenceLog
    parties: PartyColumns
    watermarks: NDArray[np.int64]


class Kept(NamedTuple):
    """A labelled transaction that becomes a row.

    Attributes:
        item: The transaction and what is known of it.
        signals: What was seen of it.
        place: Its place in the history.
        warm: Whether its user was seen before.
    """

    item: LabelledTransaction
    signals: Signals
    place: int
    warm: bool


class TableBuilder:
    """Takes rows one after the other; `table` ends it.

    Args:
        schema: The features.
    """

    def __init__(self, schema: FeatureSchema) -> None:
        self.transactions = 0
        self.rejected = 0
        self.true_rings: dict[str, TrueRing] = {}
        self.evidence = EvidenceLog()
        self._parties = PartyColumns()
        self._schema = schema
        self._chunks: list[NDArray[np.float32]] = []
        self._used = CHUNK_ROWS
        self._fraud = array("b")
        self._times = array("q")
        self._known_at = array("q")
        self._values = array("q")
        self._declined = array("b")
        self._joint = array("d")
        self._told = array("B")
        self._warm = array("b")
        self._places = array("q")
        self._watermarks = array("q")
        self._ids: list[str] = []
        self._users: list[str] = []
        self._segments: list[str] = []
        self._ring_ids: list[str | None] = []
        self._seen: set[str] = set()

    def __len__(self) -> int:
        return len(self._fraud)

    def take(self, item: LabelledTransaction) -> bool:
        """Take note of an accepted transaction, kept or not; whether its user was seen before."""
        tx = item.transaction
        warm = tx.user_id in self._seen
        self._seen.add(tx.user_id)
        if item.ring_id is not None and item.fraud:
            ring = self.true_rings.get(item.ring_id)
            if ring is None:
                ring = self.true_rings[item.ring_id] = TrueRing(item.ring_id)
            ring.add(tx)
        return warm

    def keep(self, kept: Sequence[Kept], rows: NDArray[np.float32]) -> None:
        """Keep labelled transactions with their feature rows, float32 [len(kept), F].

        Raises:
            InvalidInput: They would be more than `MAX_ROWS`; none of these is kept.
        """
        room = MAX_ROWS - len(self)
        if len(kept) > room:
            raise InvalidInput(
                f"more than {MAX_ROWS} labelled transactions do not fit into memory",
                field="history",
                value=f"transaction {kept[room].place + 1}",
                remedy="Give dates to train and test between.",
            )
        self._copy(rows)
        items, signals = [one.item for one in kept], [one.signals for one in kept]
        transactions = [item.transaction for item in items]
        self._fraud.extend([bool(item.fraud) for item in items])
        self._times.extend([tx.timestamp for tx in transactions])
        self._known_at.extend(
            [
                item.transaction.timestamp if item.known_at is None else item.known_at
                for item in items
            ]
        )
        self._values.extend([tx.value for tx in transactions])
        self._declined.extend([not tx.moves_money for tx in transactions])
        self._joint.extend(
            [joint_strength(seen.evidence) if seen.evidence else 0.0 for seen in signals]
        )
        self._told.extend([_told(seen.evidence) for seen in signals])
        self._warm.extend([one.warm for one in kept])
        self._places.extend([one.place for one in kept])
        self._watermarks.extend([seen.watermark for seen in signals])
        self._ids += [tx.transaction_id for tx in transactions]
        self._users += [tx.user_id for tx in transactions]
        self._segments += [segment_of(tx) for tx in transactions]
        self._ring_ids += [item.ring_id for item in items]
        self._parties.extend(transactions)

    def _copy(self, rows: NDArray[np.float32]) -> None:
        """Append feature rows to the chunks."""
        while len(rows):
            if self._used == CHUNK_ROWS:
                self._chunks.append(np.empty((CHUNK_ROWS, len(self._schema.names)), np.float32))
                self._used = 0
            part = rows[: CHUNK_ROWS - self._used]
            self._chunks[-1][self._used : self._used + len(part)] = part
            self._used += len(part)
            rows = rows[len(part) :]

    def table(self) -> Table:
        """All that was kept; the builder is empty afterwards."""
        return Table(
            schema=self._schema,
            rows=self._whole(),
            fraud=np.array(self._fraud, dtype=np.bool_),
            times=np.array(self._times, dtype=np.int64),
            known_at=np.array(self._known_at, dtype=np.int64),
            values=np.array(self._values, dtype=np.int64),
            declined=np.array(self._declined, dtype=np.bool_),
            ring_score=np.zeros(len(self), dtype=np.float64),
            joint=np.array(self._joint, dtype=np.float64),
            told=np.array(self._told, dtype=np.uint8),
            warm=np.array(self._warm, dtype=np.bool_),
            places=np.array(self._places, dtype=np.int64),
            ids=tuple(self._ids),
            users=tuple(self._users),
            segments=tuple(self._segments),
            ring_ids=tuple(self._ring_ids),
            transactions=self.transactions,
            rejected=self.rejected,
            true_rings=self.true_rings,
            ledger=RingLedger(),
            evidence=self.evidence,
            parties=self._parties,
            watermarks=np.array(self._watermarks, dtype=np.int64),
        )

    def _whole(self) -> NDArray[np.float32]:
        count, at = len(self._fraud), 0
        whole = np.empty((count, len(self._schema.names)), np.float32)
        self._chunks.reverse()
        while self._chunks:  # each chunk is given back before the next is copied
            part = self._chunks.pop()[: count - at]
            whole[at : at + len(part)] = part
            at += len(part)
        return whole


def _told(evidence: Sequence[Evidence]) -> int:
    bits = 0
    for piece in evidence:
        bits |= RULES if piece.pattern in RULE_PATTERNS else GRAPH
        if piece.pattern is Pattern.BLOCKED:
            bits |= BLOCKED
    return bits


def cut_by_time(times: NDArray[np.int64], *shares: float) -> list[Rows]:
    """Rows of consecutive slices that hold about these shares of the rows each.

    A moment belongs to one slice whole: rows of equal time are never on both sides of a cut.
    """
    ranked = np.sort(times)
    bounds = np.cumsum(shares)[:-1]
    last = len(ranked) - 1
    cuts = (
        [int(ranked[min(last, int(share * len(ranked)))]) for share in bounds] if last >= 0 else []
    )
    slices = np.searchsorted(np.array(cuts, dtype=np.int64), times, side="right")
    return [np.flatnonzero(slices == index) for index in range(len(shares))]


def describe(table: Table) -> dict[str, Any]:
    """How much a history held: counts and its first and last labelled moment, epoch ms."""
    return {
        "transactions": table.transactions,
        "rejected": table.rejected,
        "labelled": len(table.fraud),
        "frauds": int(table.fraud.sum()),
        "rings": len(table.true_rings),
        "from": int(table.times.min()) if len(table.times) else None,
        "until": int(table.times.max()) if len(table.times) else None,
    }


def require_labels(table: Table) -> None:
    """Refuse a history that nothing can be learned from.

    Raises:
        InvalidInput: It holds no label at all.
        InvalidSetting: All labels say the same.
    """
    if not len(table.fraud):
        raise InvalidInput(
            "no transaction has a label",
            field="history",
            value=f"{table.transactions} transactions",
            remedy="Name the label column and its values in the mapping.",
        )
    if table.fraud.all() or not table.fraud.any():
        lost = f", of {table.transactions} transactions {table.rejected} not accepted"
        raise InvalidSetting(
            "all labels say the same",
            field="history",
            value=f"{int(table.fraud.sum())} frauds of {len(table.fraud)} labelled"
            + (lost if table.rejected else ""),
            remedy="Check the values of the label column in the mapping"
            + ("; `ringfence replay` says of each why it was not." if table.rejected else "."),
        )
