"""Numbers of a record, digit by digit."""

from decimal import Decimal, InvalidOperation


def exact(text: str) -> Decimal:
    """A JSON number that is not whole, as it was written; infinity where no Decimal holds it.

    >>> exact("12.50"), exact("1e99999999999999999999")
    (Decimal('12.50'), Decimal('Infinity'))
    """
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent of twenty digits; the reader of the field refuses it
        return Decimal("Infinity")
