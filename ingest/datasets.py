"""Data sets as history: the rows of CSV, Parquet or JSON-lines files as labelled transactions.

Rows come out in event-time order; rows of one instant keep the order of the files. Columns stay
columns until the last step, so memory holds the table and one chunk of Python objects.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import repeat
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from graph.transaction import DAY, Transaction
from ingest import attributes, codec, fields
from ingest.cell_text import compared
from ingest.columns import Cells, Codes, read_cells, read_money, refuse, require
from ingest.currencies import RateTable
from ingest.fields import Flaw
from ingest.mapping import DatasetMapping, LabelSource, Source
from ingest.parties import check_parties
from ingest.tables import InvalidDataset, SourceTable, coded, matches, read_table
from ingest.time_columns import NO_TIME, read_times
from scorer.history import LabelledTransaction

_CHUNK: Final = 65_536
"""Rows that are Python objects at a time."""

_APART: Final = ("transaction_id", "timestamp", "user_created_at")
_UNKNOWN: Final = 2
_FRAUD: Final = (False, True, None)


def read(
    folder: Path, mapping: DatasetMapping, *, rates: RateTable | None = None
) -> Iterator[LabelledTransaction]:
    """The transactions of a data set in event-time order, with what is known about each.

    Args:
        folder: The folder with the files.
        mapping: Says which column is which field.
        rates: What currencies are worth; by default those of the mapping.

    Raises:
        InvalidDataset: A file, column or value is not what the mapping says. All but the ids is
            checked before the first transaction comes.
    """
    found = rates or mapping.rate_table
    if found is None:
        raise InvalidDataset(
            "the currency comes from a column, and no rates are given",
            field=f"mapping {mapping.name}",
            remedy='Add a table [rates] with base = "EUR" and a quoted decimal for each currency.',
        )
    return _rows(_read_history(folder, mapping, found))


def count(folder: Path, mapping: DatasetMapping) -> int:
    """How many transactions `read` will give, from the columns that decide it.

    Raises:
        InvalidDataset: A file or column is not what the mapping says.
    """
    time = mapping.sources["timestamp"].column
    return len(read_table(folder, mapping, [] if time is None else [time]).data)


@dataclass(frozen=True, slots=True)
class _History:
    """A data set as checked columns; everything has one entry a row of the table."""

    name: str
    table: SourceTable
    sources: dict[str, Source]
    time: Codes
    opened: Codes | None
    money: Cells
    value: Cells
    cells: dict[str, Cells]
    attributes: dict[str, Cells]
    fraud: npt.NDArray[np.int8]
    known_at: Codes
    ring: Cells | None
    kind: Cells | None


def _read_history(folder: Path, mapping: DatasetMapping, rates: RateTable) -> _History:
    wanted, optional = _columns(mapping)
    table = read_table(folder, mapping, wanted, optional)
    there = set(table.data.column_names)
    sources = {
        name: source
        for name, source in mapping.sources.items()
        if source.constant is not None or source.column in there
    }
    cells = {
        name: read_cells(table, name, source, codec.READERS[name])
        for name, source in sources.items()
        if name in codec.READERS and name not in _APART
    }
    for name in ("type", "user_id"):
        require(table, name, sources[name], cells[name].codes < 0)
    _check_parties(table, sources, cells)
    time = read_times(table, "timestamp", sources["timestamp"])
    require(table, "timestamp", sources["timestamp"], time == NO_TIME)
    money, value = read_money(table, sources["amount"], sources["currency"], rates)
    fraud = _fraud(table, mapping.label)
    ring = mapping.ring
    return _History(
        name=mapping.name,
        table=table,
        sources=sources,
        time=time,
        opened=_opened(table, sources.get("user_created_at"), time),
        money=money,
        value=value,
        cells=cells,
        attributes=_attributes(table, [name for name in mapping.attributes if name in there]),
        fraud=fraud,
        known_at=_known_at(table, mapping.label, fraud, time),
        ring=None
        if ring is None or ring.column not in there
        else _ring(table, ring.column, {compared(value) for value in ring.none}),
        kind=None
        if ring is None or ring.kind is None or ring.kind not in there
        else read_cells(table, "ring_kind", Source(column=ring.kind), fields.identifier),
    )


def _rows(history: _History) -> Iterator[LabelledTransaction]:
    order = np.argsort(history.time, kind="stable")
    for start in range(0, len(order), _CHUNK):
        rows = order[start : start + _CHUNK]
        labels = zip(
            [_FRAUD[code] for code in history.fraud[rows].tolist()],
            _or_none(history.known_at[rows]),
            repeat(None) if history.ring is None else history.ring.take(rows),
            repeat(None) if history.kind is None else history.kind.take(rows),
            strict=False,
        )
        for transaction, label in zip(
            map(Transaction, *_arguments(history, rows)), labels, strict=False
        ):
            yield LabelledTransaction(transaction, *label)


def _arguments(history: _History, rows: Codes) -> list[Any]:
    """What `Transaction` takes for these rows, in the order of its fields."""

    def of(name: str) -> Any:
        return history.cells[name].take(rows) if name in history.cells else repeat(None)

    return [
        _ids(history, rows),
        history.time[rows].tolist(),
        of("type"),
        history.money.take(rows),
        history.value.take(rows),
        of("user_id"),
        of("counterparty_id"),
        of("merchant_id"),
        of("device_id"),
        of("ip_address"),
        of("card_id"),
        of("country"),
        of("location"),
        of("merchant_category"),
        of("channel"),
        of("outcome"),
        repeat(None) if history.opened is None else _or_none(history.opened[rows]),
        _extras(history.attributes, rows),
    ]


def _ids(history: _History, rows: Codes) -> list[str]:
    """Ids of their column, or the number of each row after the name of the mapping."""
    table = history.table
    source = history.sources.get("transaction_id")
    if source is None or source.column is None:
        return [f"{history.name}-{row + 1}" for row in table.rows[rows].tolist()]
    part = SourceTable(table.data.select([source.column]).take(rows), table.rows[rows], table.files)
    cells = read_cells(part, "transaction_id", source, fields.identifier)
    require(part, "transaction_id", source, cells.codes < 0)
    return cells.take(np.arange(len(rows)))


def _extras(attributes: dict[str, Cells], rows: Codes) -> Any:
    if not attributes:
        return repeat(MappingProxyType({}))
    columns = [cells.take(rows) for cells in attributes.values()]
    return [
        MappingProxyType({n: v for n, v in zip(attributes, row, strict=True) if v is not None})
        for row in zip(*columns, strict=True)
    ]


def _columns(mapping: DatasetMapping) -> tuple[list[str], list[str]]:
    """The columns the mapping reads, and those of them that may be absent."""
    sources = list(mapping.sources.values())
    wanted = list(mapping.attributes)
    if mapping.label is not None:
        if mapping.label.column is not None:
            wanted.append(mapping.label.column)
        wanted += [name for c in mapping.label.fraud_when for name in c.columns]
        if mapping.label.known_at is not None:
            sources.append(mapping.label.known_at)
    optional = [s.column for s in sources if s.optional and s.column is not None]
    wanted += [source.column for source in sources if source.column is not None]
    if mapping.ring is not None:
        named = [name for name in (mapping.ring.column, mapping.ring.kind) if name is not None]
        wanted += named
        if mapping.ring.optional:
            optional += named
    return wanted, optional


def _check_parties(table: SourceTable, sources: dict[str, Source], cells: dict[str, Cells]) -> None:
    """Check one row of every combination of type, parties that are there, and paying oneself."""
    kinds, users = cells["type"], cells["user_id"]
    nobody = Cells(np.full(len(table.data), -1), [])
    others = cells.get("counterparty_id", nobody)
    merchants = cells.get("merchant_id", nobody)
    number = {text: code for code, text in enumerate(users.values)}
    of_user = np.array([number.get(text, -1) for text in users.values] + [-1])
    of_other = np.array([number.get(text, -1) for text in others.values] + [-2])
    oneself = of_user[users.codes] == of_other[others.codes]
    combination = 8 * kinds.codes + 4 * oneself + 2 * (others.codes >= 0) + (merchants.codes >= 0)
    for row in np.unique(combination, return_index=True)[1].tolist():
        at = np.array([row])
        parties = (cells.take(at)[0] for cells in (kinds, users, others, merchants))
        found = check_parties(*parties)
        if found is not None:
            field, flaw = found
            refuse(table, field, sources.get(field), flaw, row)


def _opened(table: SourceTable, source: Source | None, time: Codes) -> Codes | None:
    if source is None:
        return None
    opened = read_times(table, "user_created_at", source, fields.EARLIEST_OPENING)
    late = (opened != NO_TIME) & (opened > time + DAY)
    if late.any():
        row = int(np.argmax(late))
        what = "the account was opened more than a day after the transaction"
        flaw = Flaw(what, fields.rfc_3339(int(opened[row])), "Check the formats of both times.")
        refuse(table, "user_created_at", source, flaw, row)
    return opened


def _fraud(table: SourceTable, label: LabelSource | None) -> npt.NDArray[np.int8]:
    """int8[n]: 1 fraud, 0 legitimate, 2 unknown."""
    if label is None:
        return np.full(len(table.data), _UNKNOWN, dtype=np.int8)
    if label.column is None:
        conditions = [matches(table.data, condition) for condition in label.fraud_when]
        return np.asarray(np.logical_and.reduce(conditions), dtype=np.int8)
    meaning = {compared(value): 1 for value in label.fraud}
    meaning |= {compared(value): 0 for value in label.legitimate}
    meaning |= {compared(value): _UNKNOWN for value in label.unknown}

    def read(text: object) -> int:
        found = meaning.get(compared(str(text)))
        if found is not None:
            return found
        what = f"a label is one of {', '.join(meaning)}"
        raise Flaw(what, text, "List the value under fraud, legitimate or unknown.")

    cells = read_cells(table, "label", Source(column=label.column), read)
    known = [_UNKNOWN if value is None else value for value in cells.values]
    return np.array([*known, _UNKNOWN], dtype=np.int8)[cells.codes]


def _known_at(
    table: SourceTable, label: LabelSource | None, fraud: npt.NDArray[np.int8], time: Codes
) -> Codes:
    if label is None:
        return np.full(len(time), NO_TIME)
    labelled = fraud != _UNKNOWN
    if label.known_at is None:
        return np.where(labelled, time + label.delay_ms, NO_TIME)
    known_at = read_times(table, "label_known_at", label.known_at)
    _check_known_at(table, label.known_at, known_at, labelled, time)
    return np.where(labelled, known_at, NO_TIME)


def _check_known_at(
    table: SourceTable,
    source: Source,
    known_at: Codes,
    labelled: npt.NDArray[np.bool_],
    time: Codes,
) -> None:
    """Refuse a label that nobody says when it was known, or that is older than its transaction."""
    absent = labelled & (known_at == NO_TIME)
    if absent.any():
        remedy = "Fill it, or leave the label of such rows empty: then it is unknown."
        flaw = Flaw("the row has a label, and no time at which it became known", None, remedy)
        refuse(table, "label_known_at", source, flaw, int(np.argmax(absent)))
    early = labelled & (known_at < time)
    if early.any():
        row = int(np.argmax(early))
        what = f"the label is known before its transaction ({fields.rfc_3339(int(time[row]))})"
        remedy = "Check the formats of both times; a day without a time of day is its midnight."
        flaw = Flaw(what, fields.rfc_3339(int(known_at[row])), remedy)
        refuse(table, "label_known_at", source, flaw, row)


def _ring(table: SourceTable, column: str, none: set[str]) -> Cells:
    cells = read_cells(table, "ring_id", Source(column=column), fields.identifier)
    outside = np.array(
        [value is not None and compared(value) in none for value in cells.values] + [True]
    )
    return Cells(np.where(outside[cells.codes], -1, cells.codes), cells.values)


def _attributes(table: SourceTable, columns: Sequence[str]) -> dict[str, Cells]:
    """As they came, a float as the decimal that it is written as and a time as its text.

    Raises:
        InvalidDataset: They break a rule of the wire (`ingest.attributes`).
    """
    found: dict[str, Cells] = {}
    sizes = np.zeros(len(table.data), np.int64)
    for name in columns:
        codes, values = coded(table.data[name])
        found[name] = cells = Cells(codes, [_as_json(value) for value in values])
        for code, value in enumerate(cells.values):
            flaw = None if value is None else attributes.flaw_of_value(name, value)
            if flaw is not None and (codes == code).any():
                refuse(table, name, Source(column=name), flaw, int(np.argmax(codes == code)))
        written = [len(attributes.ENCODER.encode({name: value})) - 1 for value in cells.values]
        sizes += np.array([*written, 0], np.int64)[codes]
    if found and len(sizes):
        row = int(np.argmax(sizes))
        flaw = attributes.too_large(int(sizes[row]) + 1, found, codec.FIELDS)
        if flaw is not None:
            widest = max(columns, key=lambda name: len(str(found[name].take(np.array([row]))[0])))
            refuse(table, "attributes", Source(column=widest), flaw, row)
    return found


def _as_json(value: object) -> object:
    if isinstance(value, float):
        return Decimal(repr(value))
    return value.isoformat() if isinstance(value, dt.date | dt.time) else value


def _or_none(times: Codes) -> list[int | None]:
    return [None if time == NO_TIME else time for time in times.tolist()]
