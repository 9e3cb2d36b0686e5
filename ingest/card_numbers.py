"""Raw card numbers: recognised so that they are refused, and masked wherever text is shown back.

A card number (ISO/IEC 7812) has 13 to 19 digits, opens with the digit of an issuer and closes with
the Luhn check digit. A random number of that length passes by chance about once in ten, so a token
made of bare digits can be refused wrongly; the refusal says to put a prefix before it.
"""

import re
from typing import Final

MASK: Final = "[card number]"

# Which first digits issuers use at which length: 4 old Visa, 3 Diners and Amex, 5 and 6 Maestro.
# Without it a 13-digit time in milliseconds would be taken for a card number every tenth time.
_FIRST_DIGITS: Final = {13: "456", 14: "356", 15: "12356"}
_FIRST_DIGITS_LONG: Final = "23456789"
_SHORTEST: Final = 13
_LONGEST: Final = 19

# Digits of any script (int() reads them), with at most two separators between neighbours.
_SEPARATOR: Final = r"[\s.\-\u2010-\u2015]"
_RUN: Final = re.compile(rf"\d(?:{_SEPARATOR}{{0,2}}\d){{{_SHORTEST - 1},}}")
_WHOLE: Final = re.compile(rf"\s*\d(?:{_SEPARATOR}{{0,2}}\d){{{_SHORTEST - 1},{_LONGEST - 1}}}\s*")
_SEPARATORS: Final = re.compile(_SEPARATOR)


def is_card_number(text: str) -> bool:
    """Whether the whole text is a card number, with or without spaces and dashes.

    >>> is_card_number("4111 1111-1111 1111"), is_card_number("4111 1111-1111 1112")
    (True, False)
    >>> is_card_number("tok_4111111111111111")
    False
    """
    return _WHOLE.fullmatch(text) is not None and _is_number(_SEPARATORS.sub("", text.strip()))


def mask_card_numbers(text: str) -> str:
    """The text with every card number in it replaced, also one inside a longer run of digits.

    >>> mask_card_numbers("paid with 4111 1111 1111 1111, ref 12")
    'paid with [card number], ref 12'
    """
    return _RUN.sub(_mask, text)


def _mask(run: re.Match[str]) -> str:
    digits = _SEPARATORS.sub("", run[0])
    for start in range(len(digits) - _SHORTEST + 1):
        for length in range(_SHORTEST, min(_LONGEST, len(digits) - start) + 1):
            if _is_number(digits[start : start + length]):
                return MASK
    return run[0]


def _is_number(digits: str) -> bool:
    first = str(int(digits[0]))
    return first in _FIRST_DIGITS.get(len(digits), _FIRST_DIGITS_LONG) and _luhn(digits)


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit)
        total += number if place % 2 == 0 else sum(divmod(2 * number, 10))
    return total % 10 == 0
