"""Columns of a data set as fields of transactions: what a mapping says, applied to distinct values.

Every distinct value of a column goes through the reader of its field (`ingest.fields`) once, so a
million rows cost a few thousand checks and obey the same rules as the wire. A value that its field
cannot hold is reported with its column, its row and what was expected.
"""

import hashlib
import ipaddress
import re
import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any, Final, NamedTuple, NoReturn

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from graph.transaction import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Money
from ingest import fields
from ingest.cell_text import compared, text_of
from ingest.currencies import EXPONENTS, RateTable
from ingest.fields import Flaw
from ingest.mapping import Source
from ingest.tables import InvalidDataset, SourceTable, coded

Codes = npt.NDArray[np.int64]

NO_TIME: Final = np.iinfo(np.int64).min
"""Stands for a null in a column of times."""

_UNITS: Final = {
    "epoch_s": SECOND,
    "epoch_ms": MILLISECOND,
    "seconds": SECOND,
    "minutes": MINUTE,
    "hours": HOUR,
    "days": DAY,
}
_AS_MILLISECONDS: Final = range(10**11, 10**14)
"""Whole numbers that are taken for epoch milliseconds; as seconds they are after 5138."""
_IS_SECONDS: Final = 'Set time = "epoch_s".'
_LARGEST: Final = np.iinfo(np.int64).max
_NUMBER: Final = re.compile(r"-?[0-9]{1,19}(\.[0-9]{1,12})?")
_COMPUTED: Final = re.compile(r"-?[0-9]{1,19}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
"""What a floating-point number is written as."""


class Cells(NamedTuple):
    """A field of every row: int64[n] codes into its distinct values, -1 where there is none."""

    codes: Codes
    values: list[Any]

    def take(self, rows: Codes) -> list[Any]:
        """The values of some rows, None where there is none."""
        table = np.empty(len(self.values) + 1, dtype=object)
        table[:-1] = self.values
        found: list[Any] = table[self.codes[rows]].tolist()
        return found


def read_cells(
    table: SourceTable, field: str, source: Source, read: Callable[[object], Any]
) -> Cells:
    """A field through its reader, after the mapping's own values, prefix and form.

    Raises:
        InvalidDataset: The mapping does not list a value, or the field cannot hold it.
    """
    if source.constant is not None:
        return _constant(table, field, source, read)
    codes, raw = coded(table.data[_column(source)])
    prepare = _preparation(field, source)
    present = np.unique(codes[codes >= 0])
    values: list[Any] = [None] * len(raw)
    for code in present.tolist():
        try:
            values[code] = read(prepare(raw[code]))
        except Flaw as flaw:
            refuse(table, field, source, flaw, int(np.argmax(codes == code)), raw[code])
    return Cells(codes, values)


def refuse(
    table: SourceTable,
    field: str,
    source: Source | None,
    flaw: Flaw,
    index: int,
    found: object = None,
) -> NoReturn:
    """Raise the error for a value of one row: which column and row, what was found and expected.

    Without a source, the field has no column.
    """
    column = "no column is mapped"
    if source is not None:
        column = "constant" if source.column is None else f'column "{source.column}"'
    value = flaw.value if found is None else found
    hidden = field == "card_id" and flaw.value is None
    raise InvalidDataset(
        f"{column}, {table.place(index)}: {flaw.what}",
        field=field,
        value="[redacted]" if hidden else None if value is None else fields.show(value),
        remedy=flaw.remedy,
    ) from None


def require(table: SourceTable, field: str, source: Source, missing: npt.NDArray[np.bool_]) -> None:
    """Refuse a required field that some row has no value for.

    Raises:
        InvalidDataset: One has none.
    """
    if missing.any():
        remedy = "Fill it, or drop such rows in the mapping: [[drop]] with is_null = true."
        flaw = Flaw("there is no value", None, remedy)
        refuse(table, field, source, flaw, int(np.argmax(missing)))


def read_money(
    table: SourceTable, amount: Source, currency: Source, rates: RateTable
) -> tuple[Cells, Cells]:
    """Amounts and their values in the base currency, for each distinct pair of the two columns.

    Returns:
        Cells of `Money` and cells of int, with the same codes.

    Raises:
        InvalidDataset: An amount or currency is missing or wrong, or has no rate.
    """
    codes = read_cells(table, "currency", currency, fields.currency_code)
    require(table, "currency", currency, codes.codes < 0)
    digits = _exact_amounts(table, amount)
    require(table, "amount", amount, digits.codes < 0)
    _, index, inverse = np.unique(
        codes.codes * max(len(digits.values), 1) + digits.codes,
        return_index=True,
        return_inverse=True,
    )
    money: list[Any] = []
    values: list[Any] = []
    for row in index.tolist():
        code, exact = codes.values[codes.codes[row]], digits.values[digits.codes[row]]
        try:
            value = fields.base_value(0, code, rates)
        except Flaw as flaw:
            refuse(table, "currency", currency, flaw, row)
        try:
            if amount.round:
                exact = _rounded(exact, code)
            units = fields.minor_units(exact, code)
            value = fields.base_value(units, code, rates)
        except Flaw as flaw:
            refuse(table, "amount", amount, flaw, row, exact)
        money.append(Money(units, code))
        values.append(value)
    return Cells(inverse.astype(np.int64), money), Cells(inverse.astype(np.int64), values)


def read_times(table: SourceTable, field: str, source: Source, earliest: int = 0) -> Codes:
    """A column of times as int64[n] epoch milliseconds, `NO_TIME` for null.

    Columns with a time type need no format, only a zone if they name none. A pattern reads the
    digits of a column of numbers, if nothing can be lost before them.

    Raises:
        InvalidDataset: A value is not a time in that format, or outside the years we accept.
    """
    column = table.data[_column(source)]
    _check_zone(table, field, source)
    written = source.time in ("iso", "pattern")
    if pa.types.is_temporal(column.type) or (pa.types.is_integer(column.type) and not written):
        return _typed_times(table, field, source, earliest)
    if written and _is_number(column.type):
        _check_digits(table, field, source)
    read = _time_reader(source, earliest)
    cells = read_cells(
        table, field, source, lambda raw: fields.within_years(read(raw), earliest, raw)
    )
    known = [NO_TIME if value is None else value for value in cells.values]
    return np.array([*known, NO_TIME], dtype=np.int64)[cells.codes]


def _column(source: Source) -> str:
    assert source.column is not None  # noqa: S101 - the mapping admits no constant here
    return source.column


def _constant(
    table: SourceTable, field: str, source: Source, read: Callable[[object], Any]
) -> Cells:
    try:
        return Cells(np.zeros(len(table.data), dtype=np.int64), [read(source.constant)])
    except Flaw as flaw:
        raise InvalidDataset(
            f"the constant of the mapping: {flaw.what}",
            field=field,
            value=source.constant,
            remedy=flaw.remedy,
        ) from None


def _preparation(field: str, source: Source) -> Callable[[Any], object]:
    """How a raw value becomes what the reader of the field expects."""
    if source.values:
        alike = {compared(value): meaning for value, meaning in source.values.items()}
        return lambda raw: source.prefix + _listed(raw, source.values, alike)
    if field in ("timestamp", "user_created_at", "label_known_at"):
        return lambda raw: raw
    if field == "location":
        return _place
    if field == "ip_address" and source.ip != "text":
        return _integer_address if source.ip == "integer" else named_address
    return lambda raw: f"{source.prefix}{text_of(raw)}"


def _listed(raw: Any, values: dict[str, str], alike: dict[str, str]) -> str:
    """What a value means: as it is written, or else as one that equals it."""
    text = text_of(raw)
    found = values.get(text, alike.get(compared(raw)))
    if found is not None:
        return found
    raise Flaw(
        f"the mapping lists the values {', '.join(values)}", text, "List this one too, or drop it."
    )


def _place(raw: Any) -> object:
    if isinstance(raw, str) and raw.startswith("{"):
        try:
            return msgspec.json.decode(raw, type=dict[str, Decimal])
        except ValueError:
            return raw
    return text_of(raw)


def _integer_address(raw: Any) -> str:
    try:
        return str(ipaddress.IPv4Address(int(Decimal(str(raw)))))
    except (ValueError, ArithmeticError):
        raise Flaw("not an IPv4 address as an integer", raw, "Set ip to the form it has.") from None


def named_address(raw: Any) -> str:
    """A stable address for a place that has a name and no address.

    The name is hashed into the unique local addresses, fd00::/8 (RFC 4193), which never meet a
    real address of the internet.

    >>> named_address("L100") == named_address("L100") != named_address("L101")
    True
    """
    digest = hashlib.blake2b(text_of(raw).encode(), digest_size=15).digest()
    return str(ipaddress.IPv6Address(b"\xfd" + digest))


def _exact_amounts(table: SourceTable, source: Source) -> Cells:
    """Amounts as text, int or `Decimal`; a float stands for its shortest decimal."""
    if source.constant is not None:
        return Cells(np.zeros(len(table.data), dtype=np.int64), [source.constant])
    codes, raw = coded(table.data[_column(source)])
    return Cells(codes, [Decimal(repr(v)) if isinstance(v, float) else v for v in raw])


def _rounded(value: object, currency: str) -> object:
    number = str(value).strip()
    if not _COMPUTED.fullmatch(number) and not isinstance(value, Decimal | int):
        return value
    with localcontext(prec=60):
        exact = Decimal(number)
        if not exact.is_finite() or exact.adjusted() > 30:
            return exact
        return exact.quantize(Decimal(1).scaleb(-EXPONENTS[currency]), ROUND_HALF_EVEN)


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
    column = table.data[_column(source)]
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
        read = _time_reader(source, earliest)
        if source.time in ("wire", "epoch_ms"):
            mistaken = fields.EPOCH_SECONDS
        if pa.types.is_uint64(column.type):  # what int64 cannot hold is as wrong as its largest
            column = pc.min_element_wise(column, pa.scalar(_LARGEST, pa.uint64()), skip_nulls=False)
        numbers = _numbers(column)
    scale, origin = _UNITS.get(source.time, MILLISECOND), source.origin_ms
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
        zone = _zone(source, "the column has no time zone")
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
    column = table.data[_column(source)]
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
    column = table.data[_column(source)]
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
    cell = table.data[_column(source)][row]
    try:
        return str(cell)
    except (OverflowError, ValueError):
        return f"{cell.value:.4g} of type {cell.type}"


def _time_reader(source: Source, earliest: int) -> Callable[[Any], int]:
    match source.time:
        case "wire":
            return lambda raw: _wire_time(raw, earliest)
        case "iso":
            return lambda raw: _civil_time(raw, source, None)
        case "pattern":
            return lambda raw: _civil_time(raw, source, source.pattern)
        case "epoch_s" | "epoch_ms":
            return lambda raw: _epoch(raw, source.time)
        case unit:
            scale, origin = _UNITS[unit], source.origin_ms
            return lambda raw: origin + _scaled(raw, scale)


def _wire_time(raw: Any, earliest: int) -> int:
    """As the wire has it; in a CSV file milliseconds come as text."""
    if isinstance(raw, str) and re.fullmatch("-?[0-9]{1,15}", raw):
        raw = int(raw)
    try:
        return fields.event_time(raw) if earliest == 0 else fields.opening_time(raw)
    except Flaw as flaw:
        raise Flaw(flaw.what, raw, _file_remedy(raw) or flaw.remedy) from None


def _file_remedy(raw: Any) -> str | None:
    """What to write in the mapping for a time that the wire does not take."""
    if isinstance(raw, int):
        return _IS_SECONDS if raw in fields.EPOCH_SECONDS else None
    try:
        if datetime.fromisoformat(raw).tzinfo is not None:
            return None
    except (TypeError, ValueError):
        return None
    return 'Set time = "iso" and zone = "UTC", or the name of the zone it means: "Europe/Berlin".'


def _epoch(raw: Any, unit: str) -> int:
    """Seconds or milliseconds since 1970, if they are not plainly the other ones."""
    time = _scaled(raw, _UNITS[unit])
    if unit == "epoch_ms" and time in fields.EPOCH_SECONDS:
        what = "this looks like epoch seconds; the mapping says milliseconds"
        raise Flaw(what, raw, _IS_SECONDS)
    if unit == "epoch_s" and time // SECOND in _AS_MILLISECONDS:
        what = "this looks like epoch milliseconds; the mapping says seconds"
        raise Flaw(what, raw, 'Set time = "epoch_ms".')
    return time


def _scaled(raw: Any, scale: int) -> int:
    text = text_of(raw)
    if not _NUMBER.fullmatch(text):
        raise Flaw("not a number", raw, "Set time to the form it has.")
    return int((Decimal(text) * scale).to_integral_value(ROUND_HALF_EVEN))


def _civil_time(raw: Any, source: Source, pattern: str | None) -> int:
    try:
        text = text_of(raw)
        found = datetime.fromisoformat(text) if pattern is None else _strptime(text, pattern)
    except ValueError as error:
        expected = "ISO 8601" if pattern is None else f"the pattern {pattern}"
        raise Flaw(f"not a time of {expected}", raw, f"Correct the mapping: {error}.") from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=_zone_info(source))
    try:
        since = found.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    except OverflowError:
        raise Flaw("outside the years 1970 to 2199", raw, "Check the column.") from None
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def _strptime(text: str, pattern: str) -> datetime:
    return datetime.strptime(text, pattern)  # noqa: DTZ007 - the mapping's zone follows


def _zone_info(source: Source) -> tzinfo:
    return zoneinfo.ZoneInfo(_zone(source, "the time names no zone"))


def _zone(source: Source, what: str) -> str:
    zone = source.zone
    remedy = 'Say which zone it means: zone = "UTC", or a name such as "Europe/Berlin".'
    if zone is None:
        raise Flaw(what, None, remedy)
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise Flaw("there is no such time zone", zone, remedy) from None
    return zone
