"""Columns of times: what a mapping says of them, for all rows of a data set.

Columns of integers and of time types are read at once; text goes value by value through
`ingest.time_forms`. Either way what no time can be is reported with its column and row.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from graph.transaction import DAY, MILLISECOND
from ingest import fields
from ingest.columns import Codes, named_column, read_cells, refuse
from ingest.fields import Flaw
from ingest.mapping import Source
from ingest.tables import SourceTable
from ingest.time_forms import UNITS, time_reader, zone_of

NO_TIME: Final = np.iinfo(np.int64).min
"""Stands for a null in a column of times."""
_LARGEST: Final = np.iinfo(np.int64).max


def read_times(table: SourceTable, field: str, source: Source, earliest: int = 0) -> Codes:
    """A column of times as int64[n] epoch milliseconds, `NO_TIME` for null.

    Columns with a time type need no format, only a zone if they name none. A pattern reads the
    digits of a column of numbers, if nothing can be lost before them.

    Raises:
        InvalidDataset: A value is not a time in that format, or outside the years we accept.
    """
    column = table.data[named_column(source)]
    _check_zone(table, field, source)
    written = source.time in ("iso", "pattern")
    if pa.types.is_temporal(column.type) or (pa.types.is_integer(column.type) and not written):
        return _typed_times(table, field, source, earliest)
    if written and _is_number(column.type):
        _check_digits(table, field, source)
    read = time_reader(source, earliest)
    cells = read_cells(
        table, field, source, lambda raw: fields.within_years(read(raw), earliest, raw)
    )
    known = [NO_TIME if value is None else value for value in cells.values]
    return np.array([*known, NO_TIME], dtype=np.int64)[cells.codes]


def _check_digits(table: SourceTable, field: str, source: Source) -> None:
    """Refuse text forms of time for numbers whose digits do not say all of it."""
    remedy = 'Say what they count, as in time = "epoch_ms", or write the column as text.'
    if source.time == "iso":
        flaw = Flaw("numbers are not ISO 8601", None, remedy)
    elif source.pattern is not None and not source.pattern.startswith("%Y"):
        what = f"numbers have no zeros in front, so the pattern {source.pattern} is ambiguous"
        flaw = Flaw(what, None, "Write the column as text; a pattern that begins with %Y is safe.")
    else:
        return
    refuse(table, field, source, flaw, 0)


def _is_number(kind: pa.DataType) -> bool:
    return any(
        test(kind) for test in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    )


def _typed_times(table: SourceTable, field: str, source: Source, earliest: int) -> Codes:
    """Times of a column of integers or of a time type, all at once; the reader judges bad ones."""
    column = table.data[named_column(source)]
    read: Callable[[Any], int] = int
    mistaken = range(0)
    if pa.types.is_temporal(column.type):
        _check_convertible(table, field, source, earliest)
        try:
            numbers = _native_times(source, column)
        except Flaw as flaw:
            refuse(table, field, source, flaw, 0)
        source = Source(column=source.column, time="epoch_ms")
    else:
        read = time_reader(source, earliest)
        if source.time in ("wire", "epoch_ms"):
            mistaken = fields.EPOCH_SECONDS
        if pa.types.is_uint64(column.type):  # what int64 cannot hold is as wrong as its largest
            column = pc.min_element_wise(column, pa.scalar(_LARGEST, pa.uint64()), skip_nulls=False)
        numbers = _numbers(column)
    scale, origin = UNITS.get(source.time, MILLISECOND), source.origin_ms
    known = numbers != NO_TIME
    first, last = (earliest - origin) // scale, (fields.LATEST_TIME - origin) // scale
    odd = known & ((numbers < first) | (numbers >= last))
    odd |= (numbers >= mistaken.start) & (numbers < mistaken.stop)
    for row in np.flatnonzero(odd).tolist():
        number = int(numbers[row])
        try:
            fields.within_years(read(number), earliest, number)
        except Flaw as flaw:
            refuse(table, field, source, flaw, row, _shown(table, source, row))
    return np.where(known, origin + np.where(known, numbers, 0) * scale, NO_TIME)


def _native_times(source: Source, column: Any) -> Codes:
    unzoned = not pa.types.is_timestamp(column.type) or column.type.tz is None
    if pa.types.is_time(column.type) or pa.types.is_duration(column.type):
        what = f"a column of type {column.type} names no instant"
        raise Flaw(what, None, "Map a column with date and time.")
    times = column.cast(pa.timestamp("ms", None if unzoned else column.type.tz), safe=False)
    if unzoned:
        zone = zone_of(source, "the column has no time zone")
        return _numbers(_in_zone(times, zone))
    return _numbers(times)


def _in_zone(times: Any, zone: str) -> Any:
    """Local times as instants, as `datetime` has them where the clock was changed.

    Of an hour that comes twice the first one is meant; in an hour that was left out the offset of
    before the change still holds.
    """
    try:
        return pc.assume_timezone(times, zone, ambiguous="earliest", nonexistent="raise")
    except pa.ArrowInvalid:
        before = pc.assume_timezone(times, zone, ambiguous="earliest", nonexistent="earliest")
        return pc.add(before, pc.subtract(times, pc.local_timestamp(before)))


def _check_zone(table: SourceTable, field: str, source: Source) -> None:
    """Refuse a zone for times of the wire that are no times to Arrow: they name their offset."""
    column = table.data[named_column(source)]
    if source.time != "wire" or source.zone is None or pa.types.is_temporal(column.type):
        return
    present = column.is_valid()
    if pc.any(present).as_py():
        what = f"the zone {source.zone} is for times without offset, and a time of the wire has one"
        flaw = Flaw(what, None, 'For times as text set time = "iso"; else take zone out.')
        row = pc.index(present, True).as_py()
        refuse(table, field, source, flaw, row, _shown(table, source, row))


def _check_convertible(table: SourceTable, field: str, source: Source, earliest: int) -> None:
    """Refuse timestamps so far out that their milliseconds, or their zone, would be nonsense."""
    column = table.data[named_column(source)]
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    if not pa.types.is_timestamp(column.type):
        return
    numbers = _numbers(column)
    first, last = (
        _ticks(edge, column.type.unit) for edge in (earliest - DAY, fields.LATEST_TIME + DAY)
    )
    far = (numbers != NO_TIME) & ((numbers < first) | (numbers >= last))
    if far.any():
        row = int(np.argmax(far))
        years = f"outside the years {1970 if earliest == 0 else 1900} to 2199"
        flaw = Flaw(years, None, "Check the column and its unit.")
        refuse(table, field, source, flaw, row, _shown(table, source, row))


def _ticks(time: int, unit: str) -> int:
    """Epoch milliseconds in the unit of a time type."""
    return time // 1000 if unit == "s" else time * {"ms": 1, "us": 1000, "ns": 1_000_000}[unit]


def _numbers(column: Any) -> Codes:
    """A column of integers or instants as int64[n], `NO_TIME` for null."""
    filled = column.cast(pa.int64()).combine_chunks().fill_null(NO_TIME)
    return np.asarray(filled.to_numpy(zero_copy_only=False), dtype=np.int64)


def _shown(table: SourceTable, source: Source, row: int) -> str:
    """A cell as an error shows it; a time beyond the years of Python as its number."""
    cell = table.data[named_column(source)][row]
    try:
        return str(cell)
    except (OverflowError, ValueError):
        return f"{cell.value:.4g} of type {cell.type}"
