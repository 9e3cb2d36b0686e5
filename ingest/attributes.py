"""Attributes: the fields of a record that no field is meant by, kept as they came.

The same rules hold on the wire and for the columns of a data set, so that whatever is replayed can
be produced as well.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from difflib import get_close_matches
from itertools import islice
from typing import Final

import msgspec

from ingest.card_numbers import is_card_number
from ingest.fields import LONGEST_WORD, Flaw, show

MOST: Final = 64
"""Attributes of one record."""
LARGEST: Final = 16_384
"""Bytes of all attributes of one record, as JSON."""
DEEPEST: Final = 4
"""Levels of arrays and objects in one."""

_DIGITS: Final = 20  # of a number that may be a card's

ENCODER: Final = msgspec.json.Encoder(order="deterministic", decimal_format="number")


def flaws(attributes: Mapping[str, object], meant: tuple[str, ...]) -> Iterator[tuple[str, Flaw]]:
    """What is wrong, by name; of more than there may be, as many are looked at as there may be.

    Args:
        attributes: By name; their size is not looked at.
        meant: The fields that a name may be meant to be.
    """
    count = len(attributes)
    if count > MOST:
        what, remedy = f"more than {MOST} unknown fields", fewer(attributes, meant)
        yield "attributes", Flaw(what, count, remedy)
    for name, value in islice(attributes.items(), MOST):
        if (flaw := flaw_of_name(name)) is not None:
            yield "attributes", flaw
        elif (flaw := flaw_of_value(name, value)) is not None:
            yield name, flaw


def flaw_of_name(name: str) -> Flaw | None:
    """What is wrong with a name."""
    if 0 < len(name) <= LONGEST_WORD and name.isprintable():
        return None
    what = f"the name of a field has 1 to {LONGEST_WORD} printable characters"
    return Flaw(what, name, "Rename it.")


def flaw_of_value(name: str, value: object) -> Flaw | None:
    """What is wrong with a value; where a name speaks of cards, also a card number in it."""
    if not _is_plain(value, DEEPEST):
        what = f"nested more than {DEEPEST} levels, or it holds no JSON value"
        return Flaw(what, None, "Flatten it.")
    if _holds_card_number(name, value):
        what = "this looks like a raw card number, which is never kept"
        return Flaw(what, None, "Send a token, as card_id.")
    return None


def too_large(size: int, attributes: Mapping[str, object], meant: tuple[str, ...]) -> Flaw | None:
    """What is wrong with so many bytes."""
    if size <= LARGEST:
        return None
    what = f"unknown fields of more than {LARGEST} bytes"
    return Flaw(what, f"{size} bytes", fewer(attributes, meant))


def fewer(attributes: Mapping[str, object], meant: tuple[str, ...]) -> str:
    """What to do about too many of them, or too much in them."""
    for name in list(attributes)[:MOST]:
        near = get_close_matches(name[:32].lower(), meant, n=1, cutoff=0.8)
        if near:
            return f"Send fewer unknown fields; is {show(name)} meant to be {near[0]}?"
    return "Send fewer unknown fields."


def _is_plain(value: object, levels: int) -> bool:
    """Whether it is a JSON value of at most so many levels; the depth bounds the recursion."""
    if isinstance(value, Decimal):
        return value.is_finite()
    if isinstance(value, dict):
        return levels > 0 and all(_is_plain(member, levels - 1) for member in value.values())
    if isinstance(value, list):
        return levels > 0 and all(_is_plain(item, levels - 1) for item in value)
    return value is None or isinstance(value, str | int)


def _holds_card_number(name: str, value: object) -> bool:
    """Whether a name speaks of cards and what it names is a card number, or holds one."""
    if isinstance(value, dict):
        # Within what is called a card, every name is one of a card's.
        within = name if "card" in name.lower() else ""
        return any(
            _holds_card_number(within, key) or _holds_card_number(f"{within}{key}", each)
            for key, each in value.items()
        )
    if isinstance(value, list):
        return any(_holds_card_number(name, each) for each in value)
    if "card" not in name.lower() or isinstance(value, bool):
        return False
    if isinstance(value, Decimal) and value.adjusted() < _DIGITS:
        return value == value.to_integral_value() and is_card_number(str(int(value)))
    if isinstance(value, int):
        return value.bit_length() <= 64 and is_card_number(str(value))
    return isinstance(value, str) and is_card_number(value)
