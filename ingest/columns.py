"""Columns of a data set as fields of transactions: what a mapping says, applied to distinct values.

Every distinct value of a column goes through the reader of its field (`ingest.fields`) once, so a
million rows cost a few thousand checks and obey the same rules as the wire. A value that its field
cannot hold is reported with its column, its row and what was expected.
"""

import hashlib
import ipaddress
import re
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any, Final, NamedTuple, NoReturn

import msgspec
import numpy as np
import numpy.typing as npt

from graph.transaction import Money
from ingest import fields
from ingest.cell_text import compared, text_of
from ingest.currencies import EXPONENTS, RateTable
from ingest.fields import Flaw
from ingest.mapping import Source
from ingest.tables import InvalidDataset, SourceTable, coded

Codes = npt.NDArray[np.int64]

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
    codes, raw = coded(table.data[named_column(source)])
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


def named_column(source: Source) -> str:
    """The column of a source of a field that no constant can fill."""
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
    codes, raw = coded(table.data[named_column(source)])
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
