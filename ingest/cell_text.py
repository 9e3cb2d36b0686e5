"""The text of a cell, as an id has it and as one compares it, whatever type its column has.

Numbers and truth values have one text. Text stays as it is written where it is an id, `007` and
`1e5` too; where it is compared, zeros at the end of its decimals do not count.
"""

import math
import re
from decimal import Decimal
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

Scalar = bool | int | float | str

_LONGEST: Final = 40
"""Decimal places of a number on either side of its point, beyond which it keeps its exponent."""
_OTHERWISE: Final = r"^(-?(0|[1-9][0-9]*)\.[0-9]+|True|TRUE|False|FALSE)$"
"""Text that is compared as another text."""
_SPELT: Final = re.compile(_OTHERWISE)
_WHOLE: Final = r"^(0|-?[1-9][0-9]{0,15})\.0$"


def text_of(value: Scalar | Decimal) -> str:
    """The text of a value: of 1 and 1.0 it is 1, of 1e3 1000, of true true; text is itself.

    >>> [text_of(value) for value in (1.0, Decimal("1.50"), Decimal("1e3"), True, "007", "5.0")]
    ['1', '1.5', '1000', 'true', '007', '5.0']
    """
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            if value.is_integer() and abs(value) < 2**53:
                return str(int(value))
            return text_of(Decimal(repr(value))) if math.isfinite(value) else repr(value)
        case Decimal():
            return _plain(value)
        case _:
            return str(value)


def compared(value: Scalar | Decimal) -> str:
    """What stands for a value in comparisons: values are equal if these texts are.

    >>> [compared(value) for value in (1, "1.0", "2.50", "True", "-0.0", "01", "1e5", "1.")]
    ['1', '1', '2.5', 'true', '0', '01', '1e5', '1.']
    """
    text = text_of(value)
    if not isinstance(value, str) or not _SPELT.fullmatch(text):
        return text
    return _shortened(text) if "." in text else text.lower()


def all_compared(values: pa.Array) -> pa.Array:
    """`compared` of distinct values, null for NaN; at once where they are text or whole numbers."""
    if pa.types.is_integer(values.type):
        return values.cast(pa.string())
    if not pa.types.is_string(values.type) and not pa.types.is_large_string(values.type):
        cells = [None if value != value else value for value in values.to_pylist()]  # noqa: PLR0124 - NaN
        return pa.array([None if cell is None else compared(cell) for cell in cells], pa.string())
    odd = pc.fill_null(pc.match_substring_regex(values, _OTHERWISE), False)  # noqa: FBT003 - pyarrow's signature
    if not pc.any(odd).as_py():
        return values.cast(pa.string())
    others = [compared(text) for text in values.filter(odd).to_pylist()]
    return pc.replace_with_mask(values.cast(pa.string()), odd, pa.array(others, pa.string()))


def without_point(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of text without the .0 that all of its values have, if they do.

    So whole numbers are written where some are absent (by pandas, for one); an id would have
    another text there than in a column that has them all.
    """
    for chunk in column.chunks:
        if not pc.all(pc.match_substring_regex(chunk, _WHOLE), min_count=0).as_py():
            return column
    return pc.utf8_slice_codeunits(column, 0, -2)


def _plain(number: Decimal) -> str:
    """A number without exponent, unless it takes too many digits."""
    if not number.is_finite():
        return str(number)
    if not number:
        return "0"
    if abs(number.adjusted()) > _LONGEST:
        return str(number)
    text = format(number, "f")
    return _shortened(text) if "." in text else text


def _shortened(text: str) -> str:
    """A decimal number without the zeros at the end of its decimals."""
    short = text.rstrip("0").rstrip(".")
    return "0" if short == "-0" else short
