"""The files of a replay: six Parquet tables, written a row group at a time.

Where a row group ends depends on the number of rows alone, never on how they were batched, and
nothing of the clock or the machine is written: equal rows give equal bytes under one version of
pyarrow. `position` is the place in the history; every row also names its `transaction_id`.
"""

from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from graph.errors import InvalidSetting
from graph.evidence import Evidence, Role
from graph.rings import RingEvent, RingEventKind
from graph.transaction import Entity
from scorer.history import LabelledTransaction
from scorer.verdict import Verdict

ROW_GROUP: Final = 16_384
"""Rows kept in memory before they are written: some 5 MB of features."""

_ENTITY: Final = pa.struct([("kind", pa.string()), ("id", pa.string())])
_MEMBER: Final = pa.struct([("kind", pa.string()), ("id", pa.string()), ("role", pa.string())])
_HOP: Final = pa.struct(
    [
        ("transaction_id", pa.string()),
        ("source", _ENTITY),
        ("target", _ENTITY),
        ("value", pa.int64()),
        ("timestamp", pa.int64()),
        ("declined", pa.bool_()),
    ]
)
_REASON: Final = pa.struct(
    [
        ("code", pa.string()),
        ("standing", pa.string()),
        ("text", pa.string()),
        ("weight", pa.float64()),
        ("evidence_id", pa.string()),
        ("ring_id", pa.string()),
    ]
)
_PLACE: Final = [("position", pa.int64()), ("transaction_id", pa.string())]
_STRINGS: Final = pa.list_(pa.string())

SCHEMAS: Final = {
    "verdicts": pa.schema(
        [
            *_PLACE,
            ("timestamp", pa.int64()),
            ("value", pa.int64()),
            ("admission", pa.string()),
            ("decision", pa.string()),
            ("score", pa.float64()),
            ("model_score", pa.float64()),
            ("ring_score", pa.float64()),
            ("expected_cost", pa.float64()),
            ("reasons", pa.list_(_REASON)),
            ("evidence", _STRINGS),
            ("rings", _STRINGS),
            ("tiers", _STRINGS),
            ("degraded", _STRINGS),
            ("model_version", pa.string()),
            ("fraud", pa.bool_()),
            ("known_at", pa.int64()),
            ("true_ring_id", pa.string()),
        ]
    ),
    "evidence": pa.schema(
        [
            *_PLACE,
            ("evidence_id", pa.string()),
            ("pattern", pa.string()),
            ("seen_at", pa.int64()),
            ("strength", pa.float64()),
            ("reason", pa.string()),
            ("retained", pa.float64()),
            ("money", pa.int64()),
            ("truncated", pa.bool_()),
            ("facts", pa.string()),  # JSON: heuristics name their own
            ("members", pa.list_(_MEMBER)),
            ("hops", pa.list_(_HOP)),
        ]
    ),
    "rings": pa.schema(
        [
            *_PLACE,
            ("ring_id", pa.string()),
            ("revision", pa.int64()),
            ("event", pa.string()),
            ("at", pa.int64()),
            ("state", pa.string()),
            ("score", pa.float64()),
            ("money", pa.int64()),
            ("added_money", pa.int64()),
            ("members", pa.int64()),
            ("transactions", pa.int64()),
            ("patterns", _STRINGS),
            ("merged_ring_id", pa.string()),
            ("truncated", pa.bool_()),
            ("recoverable", pa.int64()),
            ("split_from", pa.string()),
            ("split_ring_ids", _STRINGS),
        ]
    ),
    "ring_members": pa.schema(
        [
            *_PLACE,
            ("ring_id", pa.string()),
            ("revision", pa.int64()),
            ("at", pa.int64()),
            ("kind", pa.string()),
            ("id", pa.string()),
            ("role", pa.string()),
        ]
    ),
    "alerts": pa.schema(
        [
            *_PLACE,
            ("alert_id", pa.string()),
            ("ring_id", pa.string()),
            ("revision", pa.int64()),
            ("at", pa.int64()),
            ("headline", pa.string()),
            ("score", pa.float64()),
            ("money", pa.int64()),
            ("member_count", pa.int64()),
            ("patterns", _STRINGS),
            ("policy_version", pa.string()),
        ]
    ),
}
"""Columns of every file but `features`, whose columns are the detector's feature names."""
FILES: Final = tuple(f"{name}.parquet" for name in (*SCHEMAS, "features"))
"""The names of the six files."""


class _Table:
    """One file, written a row group at a time."""

    def __init__(self, path: Path, schema: Any) -> None:
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self._schema = schema
        self._rows: list[tuple[Any, ...]] = []
        self.count = 0

    def add(self, *row: Any) -> None:
        self._rows.append(row)
        self.count += 1
        if len(self._rows) == ROW_GROUP:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            columns = zip(*self._rows, strict=True)
            arrays = [
                pa.array(column, field.type)
                for column, field in zip(columns, self._schema, strict=True)
            ]
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
            self._rows.clear()

    def close(self) -> None:
        self.flush()
        self._writer.close()

    def give_up(self) -> None:
        _give_up(self._writer)


class _Features:
    """The feature file: its rows are kept as one array, not as Python numbers."""

    def __init__(self, path: Path, names: list[str]) -> None:
        features = [(name, pa.float32()) for name in names]
        self._schema = pa.schema([*_PLACE, *features])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._kept = np.empty((ROW_GROUP, len(names)), np.float32)
        self._places: list[tuple[int, str]] = []

    def add(self, position: int, ids: list[str], rows: NDArray[np.float32]) -> None:
        if rows.shape != (len(ids), self._kept.shape[1]):
            raise InvalidSetting(
                f"the detector owes one row of {self._kept.shape[1]} features a transaction",
                field="last_features",
                value=f"shape {rows.shape} for {len(ids)} transactions",
                remedy="Use a detector whose feature_names and last_features agree.",
            )
        start = 0
        while start < len(ids):
            held = len(self._places)
            count = min(ROW_GROUP - held, len(ids) - start)
            self._kept[held : held + count] = rows[start : start + count]
            self._places.extend((position + n, ids[n]) for n in range(start, start + count))
            start += count
            if len(self._places) == ROW_GROUP:
                self.flush()

    def flush(self) -> None:
        if self._places:
            positions, ids = zip(*self._places, strict=True)
            kept = self._kept[: len(self._places)]
            arrays = [pa.array(positions, pa.int64()), pa.array(ids, pa.string())]
            arrays += [pa.array(np.ascontiguousarray(kept[:, n])) for n in range(kept.shape[1])]
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
            self._places.clear()

    def close(self) -> None:
        self.flush()
        self._writer.close()

    def give_up(self) -> None:
        _give_up(self._writer)


class ReplayFiles:
    """The six files of one replay, and the figures of its summary.

    Args:
        folder: Where they are created.
        feature_names: The columns of the feature file.

    Attributes:
        admissions: Verdicts by admission.
        decisions: Verdicts by decision.
        labelled: Transactions with a label.
        rings_born: Rings born.
    """

    def __init__(self, folder: Path, feature_names: list[str]) -> None:
        self._tables = {
            name: _Table(folder / f"{name}.parquet", schema) for name, schema in SCHEMAS.items()
        }
        self._features = _Features(folder / "features.parquet", feature_names)
        self.admissions: Counter[str] = Counter()
        self.decisions: Counter[str] = Counter()
        self.labelled = 0
        self.rings_born = 0

    def __enter__(self) -> "ReplayFiles":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        files: list[_Features | _Table] = [self._features, *self._tables.values()]
        if error is None:
            for file in files:
                file.close()
            return
        for file in files:
            file.give_up()

    def add(
        self,
        position: int,
        rows: list[LabelledTransaction],
        verdicts: list[Verdict],
        features: NDArray[np.float32],
    ) -> None:
        """Add what was said about a stretch of the history.

        Args:
            position: Place of the first row in the history.
            rows: The transactions and their labels.
            verdicts: One a row.
            features: float32 [rows, features].

        Raises:
            InvalidSetting: The features have another shape.
        """
        self._features.add(position, [row.transaction.transaction_id for row in rows], features)
        for number, (row, verdict) in enumerate(zip(rows, verdicts, strict=True), position):
            self._add_verdict(number, row, verdict)
            for evidence in (*verdict.evidence, *verdict.findings):
                self._add_evidence(number, verdict.transaction_id, evidence)
            for event in verdict.ring_events:
                self._add_event(number, verdict.transaction_id, event)

    def rows(self, name: str) -> int:
        """Rows given to a file so far."""
        return self._tables[name].count

    def _add_verdict(self, position: int, row: LabelledTransaction, verdict: Verdict) -> None:
        self.admissions[verdict.admission] += 1
        self.decisions[verdict.decision.value] += 1
        self.labelled += row.fraud is not None
        self._tables["verdicts"].add(
            position,
            verdict.transaction_id,
            verdict.timestamp,
            row.transaction.value,
            str(verdict.admission),
            verdict.decision.value,
            verdict.score,
            verdict.model_score,
            verdict.ring_score,
            verdict.expected_cost,
            [
                {
                    "code": reason.code,
                    "standing": reason.standing.value,
                    "text": reason.text,
                    "weight": reason.weight,
                    "evidence_id": reason.evidence_id,
                    "ring_id": reason.ring_id,
                }
                for reason in verdict.reasons
            ],
            [evidence.evidence_id for evidence in verdict.evidence],
            list(verdict.rings),
            list(verdict.tiers),
            list(verdict.degraded),
            verdict.model_version,
            row.fraud,
            row.known_at,
            row.ring_id,
        )

    def _add_evidence(self, position: int, transaction_id: str, evidence: Evidence) -> None:
        self._tables["evidence"].add(
            position,
            transaction_id,
            evidence.evidence_id,
            evidence.pattern.value,
            evidence.seen_at,
            evidence.strength,
            evidence.reason,
            evidence.retained,
            evidence.money,
            evidence.truncated,
            msgspec.json.encode(dict(evidence.facts), order="sorted").decode(),
            [{**_entity(entity), "role": role.value} for entity, role in evidence.members],
            [
                {
                    "transaction_id": hop.transaction_id,
                    "source": _entity(hop.source) if hop.source else None,
                    "target": _entity(hop.target) if hop.target else None,
                    "value": hop.value,
                    "timestamp": hop.timestamp,
                    "declined": hop.declined,
                }
                for hop in evidence.hops
            ],
        )

    def _add_event(self, position: int, transaction_id: str, event: RingEvent) -> None:
        ring = event.ring
        self._tables["rings"].add(
            position,
            transaction_id,
            ring.ring_id,
            ring.revision,
            event.kind.value,
            event.at,
            ring.state.value,
            ring.score,
            ring.money,
            event.added_money,
            len(ring.core),
            len(ring.transactions),
            [pattern.value for pattern in ring.patterns],
            event.merged_ring_id,
            ring.truncated,
            ring.recoverable,
            ring.split_from,
            list(event.split_ring_ids),
        )
        self.rings_born += event.kind is RingEventKind.BORN
        roles = dict(ring.members)
        for entity in event.added_members:
            self._tables["ring_members"].add(
                position,
                transaction_id,
                ring.ring_id,
                ring.revision,
                event.at,
                entity.kind.value,
                entity.id,
                roles.get(entity, Role.MEMBER).value,
            )
        if event.alert is not None:
            alert = event.alert
            self._tables["alerts"].add(
                position,
                transaction_id,
                alert.alert_id,
                alert.ring_id,
                alert.revision,
                alert.at,
                alert.headline,
                alert.score,
                alert.money,
                alert.member_count,
                [pattern.value for pattern in alert.patterns],
                alert.policy_version,
            )


def _give_up(writer: pq.ParquetWriter) -> None:
    """Close a file that will not be whole, as on a disk that is full: why, is said already."""
    with suppress(OSError):
        writer.close()
    writer.is_open = False  # else it is tried once more when the writer is collected


def _entity(entity: Entity) -> dict[str, str]:
    return {"kind": entity.kind.value, "id": entity.id}
