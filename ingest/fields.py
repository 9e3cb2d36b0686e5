"""What each field of a transaction may hold: one reader a field, for JSON and for datasets alike.

A reader takes a value as it came and returns it in its one canonical form, or raises a `Flaw` that
says what is wrong and what to send instead. Nothing here goes through a float: JSON numbers arrive
as `int` or `Decimal`.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeVar

from graph.transaction import MINUTE, Location, Outcome, TransactionType
from ingest.card_numbers import is_card_number, mask_card_numbers
from ingest.currencies import EXPONENTS, RateTable, nearest_currency

LONGEST_ID: Final = 128
LONGEST_WORD: Final = 64
LONGEST_LOCATION: Final = 256
LARGEST_AMOUNT: Final = 10**15
"""Minor units, as sent and in the base currency: int64 sums of a thousand of them stay exact."""
EARLIEST_OPENING: Final = -2_208_988_800_000
"""1900-01-01: no account of a living user is older."""
LATEST_TIME: Final = 7_258_118_400_000
"""2200-01-01: later times are mistakes whatever the clock says."""
MOST_AHEAD: Final = 2 * MINUTE
"""How far a sender's clock may be ahead: less than a window's lateness."""
EPOCH_SECONDS: Final = range(10**8, 10**11)
"""Whole numbers that are taken for epoch seconds; as milliseconds they are before 1973-03-03."""

_SHOWN: Final = 80
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_REMEDY: Final = (
    "Send RFC 3339 with an offset, as in 2024-05-01T12:00:00Z, or epoch milliseconds."
)

_PLACE_REMEDY: Final = 'Send "52.52,13.40", {"lat": 52.52, "lon": 13.40}, or the name of the place.'
_CONTROL: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_PLAIN_ID: Final = re.compile(r"[!-~]{1,128}")
_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_PLAIN_AMOUNT: Final = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,4}))?")
_DECIMAL_TEXT: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_IPV4: Final = re.compile(
    r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}", re.ASCII
)
_DEGREES: Final = re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{1,20})?")
_COORDINATES: Final = re.compile(rf"({_DEGREES.pattern}) ?, ?({_DEGREES.pattern})")


class Flaw(Exception):
    """A value that its field cannot hold: what is wrong, the value, and what to send instead."""

    def __init__(self, what: str, value: object, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.value = value
        self.remedy = remedy


def show(value: object) -> str:
    """A value as an error may quote it: one line, at most 80 characters, no card numbers."""
    text = value if isinstance(value, str) else _as_json(value)
    if not isinstance(value, Decimal | float):  # a long fraction passes for a card number
        text = mask_card_numbers(text[: 5 * _SHOWN])
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _as_json(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() if value.bit_length() > 512:
            return "a number of more than 150 digits"
        case int() | Decimal() | float():
            return str(value)
        case Mapping():
            return f"an object of {len(value)} members"
        case list() | tuple():
            return f"an array of {len(value)} items"
        case _:
            return type(value).__name__


def _text(value: object, remedy: str) -> str:
    if type(value) is str:
        return value
    raise Flaw("expected a string", value, remedy)


def identifier(value: object) -> str:
    """An id: 1 to 128 characters, no control characters, no white space at its ends, in NFC.

    NFC makes one entity of the spellings that Unicode calls canonically equal. Right-to-left text
    and the marks it needs are kept.
    """
    if type(value) is str and _PLAIN_ID.fullmatch(value):
        return value
    return _line(value, LONGEST_ID)


def word(value: object) -> str:
    """A category or channel: 1 to 64 characters on one line, in NFC."""
    if type(value) is str and len(value) <= LONGEST_WORD and _PLAIN_ID.fullmatch(value):
        return value
    return _line(value, LONGEST_WORD)


def _line(value: object, longest: int) -> str:
    remedy = f"Send a string of 1 to {longest} characters without control characters."
    if type(value) is int:
        remedy = f'Send it as a string: "{show(value)}".'
    text = _text(value, remedy)
    if len(text) <= 4 * longest:  # NFC makes one character of four at most
        text = unicodedata.normalize("NFC", text)
    if not text:
        raise Flaw("it is empty", value, remedy)
    if len(text) > longest:
        raise Flaw(f"longer than {longest} characters", value, remedy)
    if not text.isprintable() and any(unicodedata.category(c) in _CONTROL for c in text):
        raise Flaw("it has control characters", value, remedy)
    if text != text.strip():
        raise Flaw("it begins or ends with white space", value, "Trim it.")
    return text


def card_token(value: object) -> str:
    """A card token: an id that is not a card number (13 to 19 digits that pass the Luhn check)."""
    token = identifier(value)
    if len(token) >= 13 and is_card_number(token):
        raise Flaw(
            "this looks like a raw card number, which is never accepted",
            None,
            "Send a token that stands for the card; give a token of digits only a prefix: tok_...",
        )
    return token


def event_time(value: object) -> int:
    """A time in epoch milliseconds, from RFC 3339 with an offset or from epoch milliseconds.

    From 1970 to 2199; anything finer than a millisecond is cut off.
    """
    return _time(value, 0)


def opening_time(value: object) -> int:
    """As `timestamp`, but from 1900: accounts are older than the epoch."""
    return _time(value, EARLIEST_OPENING)


def _time(value: object, earliest: int) -> int:
    if type(value) is str:
        time = _rfc_3339(value)
    elif type(value) is int:
        time = value
        if time in EPOCH_SECONDS:
            raise Flaw(
                "this looks like epoch seconds; milliseconds are expected",
                value,
                f"Send {1000 * time}, or RFC 3339.",
            )
        if time >= 10**14:
            raise Flaw(
                "this looks like epoch micro- or nanoseconds; milliseconds are expected",
                value,
                _TIME_REMEDY,
            )
    else:
        raise Flaw("expected a time as a string or a whole number", value, _TIME_REMEDY)
    return within_years(time, earliest, value)


def within_years(time: int, earliest: int, value: object) -> int:
    """The time, if it is not before `earliest` and not in 2200 or later."""
    if earliest <= time < LATEST_TIME:
        return time
    first = 1970 if earliest == 0 else 1900
    raise Flaw(f"outside the years {first} to 2199", value, _TIME_REMEDY)


def _rfc_3339(text: str) -> int:
    if len(text) > _SHOWN or not _RFC_3339.fullmatch(text):
        if len(text) <= _SHOWN and _RFC_3339.fullmatch(f"{text}Z"):
            what = "the time has no offset, so it names no instant"
            raise Flaw(what, text, f"Add Z for UTC. {_TIME_REMEDY}")
        raise Flaw("not a time of RFC 3339", text, _TIME_REMEDY)
    if text[17:19] == "60":
        raise Flaw("leap seconds are not counted", text, "Send second 59.")
    try:
        since = datetime.fromisoformat(text.upper()) - _EPOCH
    except (ValueError, OverflowError) as error:
        raise Flaw(f"not a time: {error}", text, _TIME_REMEDY) from None
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def check_not_ahead(time: int, now: int) -> None:
    """Refuse a time more than `MOST_AHEAD` after `now`.

    Three transactions that are ahead take the watermark with them: what came too far behind it
    would be late, so clocks may differ by less than lateness allows for (docs/adr/0002).
    """
    if time > now + MOST_AHEAD:
        raise Flaw(
            "more than 2 minutes in the future when it arrived",
            rfc_3339(time),
            "Check the sender's clock and its time zone: local time sent as UTC is hours ahead.",
        )


def rfc_3339(time: int) -> str:
    """Epoch milliseconds as RFC 3339 in UTC with milliseconds: the canonical text of a time."""
    whole, rest = divmod(time, 1000)
    moment = _EPOCH + timedelta(seconds=whole)
    return f"{moment.isoformat()[:19]}.{rest:03}Z"


def currency_code(value: object) -> str:
    """An ISO 4217 code in capitals."""
    if type(value) is str and value in EXPONENTS:
        return value
    text = _text(value, "Send a three-letter code of ISO 4217, such as EUR.")
    raise Flaw("not a currency of ISO 4217", text, nearest_currency(text[:16]))


def exact(text: str) -> Decimal:
    """A JSON number that is not whole, as it was written; infinity where no Decimal holds it.

    >>> exact("12.50"), exact("1e99999999999999999999")
    (Decimal('12.50'), Decimal('Infinity'))
    """
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent of twenty digits; the reader of the field refuses it
        return Decimal("Infinity")


def minor_units(value: object, currency: str) -> int:
    """An amount in minor units of its currency, read digit by digit: never rounded.

    A string holds a plain decimal ("12.50"); a JSON number may have an exponent. Zero is accepted:
    card verifications and zero-value authorisations are real transactions. Trailing zeros beyond
    the decimals of the currency are accepted, other digits are not.
    """
    exponent = EXPONENTS[currency]
    if type(value) is str:
        if exponent and value[-exponent - 1 : -exponent] == "." and len(value) <= 15:
            digits = value[: -exponent - 1] + value[-exponent:]
            if digits.isdecimal() and digits.isascii() and len(digits) > exponent:
                return int(digits)  # all its decimals and no more than 14 digits: nearly all
        plain = _PLAIN_AMOUNT.fullmatch(value)
        if plain is not None:
            whole, decimals = plain.groups("")
            if len(decimals) <= exponent:
                return _bounded(int(whole + decimals.ljust(exponent, "0")), value, currency)
        if not _DECIMAL_TEXT.fullmatch(value):
            raise Flaw("not a decimal number", value, _amount_remedy(currency))
        exact = Decimal(value)
    elif type(value) is int:
        exact = Decimal(value)
    elif isinstance(value, Decimal) and value.is_finite():
        exact = value
    else:
        raise Flaw("expected an amount", value, _amount_remedy(currency))
    return _scaled(exact, exponent, value, currency)


def _scaled(exact: Decimal, exponent: int, value: object, currency: str) -> int:
    sign, digits, shift = exact.as_tuple()
    assert isinstance(shift, int)  # noqa: S101 - the callers admit finite numbers only
    if not exact:
        return 0
    if sign:
        raise Flaw(
            "an amount cannot be negative",
            value,
            "Send the amount without its sign; the type says which way the money moves.",
        )
    if len(digits) + shift + exponent > 16:
        return _bounded(LARGEST_AMOUNT + 1, value, currency)
    shift += exponent
    kept, cut = (digits, ()) if shift >= 0 else (digits[:shift], digits[shift:])
    if any(cut):
        raise Flaw(
            f"{currency} has {exponent} decimals (its ISO 4217 exponent); this amount has more",
            value,
            f"Round it to {exponent} decimals where it was computed.",
        )
    units = int("".join(map(str, kept)) or "0")
    return _bounded(units * 10 ** max(shift, 0), value, currency)


def _bounded(units: int, value: object, currency: str) -> int:
    if units <= LARGEST_AMOUNT:
        return units
    raise Flaw(
        f"more than {LARGEST_AMOUNT} minor units of {currency}",
        value,
        "Check the unit: amounts are in whole currency units with decimals, not in minor units.",
    )


def _amount_remedy(currency: str) -> str:
    example = f"12.{'5':0<{EXPONENTS[currency]}}" if EXPONENTS[currency] else "12"
    return f'Send a decimal with a point, as in "{example}" for {currency}.'


def base_value(units: int, currency: str, rates: RateTable) -> int:
    """Minor units of a currency in minor units of the base currency."""
    if currency not in rates:
        raise Flaw(
            f"no rate to the base currency {rates.base} is configured",
            currency,
            f"Configure a rate for it, or send one of {', '.join(rates.currencies)}.",
        )
    return _bounded(rates.value(units, currency), units, rates.base)


def ip_address(value: object) -> str:
    """IPv4 or IPv6 in canonical text (RFC 5952); an IPv4 address inside IPv6 becomes IPv4."""
    if type(value) is str and len(value) <= 15 and _IPV4.fullmatch(value):
        return value
    text = _text(value, 'Send the address as a string, as in "192.0.2.1".')
    return _canonical_ip(text[:_SHOWN])


def possible_ids(text: str) -> frozenset[str]:
    """The ids that an entity may have that somebody calls so, whatever its kind; as is if none."""
    found = {text}
    for reader in (identifier, ip_address):
        with suppress(Flaw):
            found.add(reader(text))
    return frozenset(found)


@lru_cache(maxsize=65_536)
def _canonical_ip(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if address is None or getattr(address, "scope_id", None):
        raise Flaw(
            "not an IP address", text, "Send IPv4 or IPv6 without port, zone or prefix length."
        )
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)


def country_code(value: object) -> str:
    """ISO 3166-1 alpha-2 in capitals. The form is checked, not whether the code is assigned."""
    remedy = "Send two letters of ISO 3166-1, such as DE."
    text = _text(value, remedy)
    if len(text) == 2 and text.isascii() and text.isalpha():
        return text.upper()
    raise Flaw("not a country code of two letters", value, remedy)


def location(value: object) -> Location:
    """A place: "lat,lon" or {"lat": .., "lon": ..} in degrees, or free text of 1 to 256 characters.

    The text of an object is "lat,lon" with the digits as they were sent.
    """
    remedy = _PLACE_REMEDY
    if isinstance(value, Mapping):
        if value.keys() != {"lat", "lon"}:
            raise Flaw("a location has the members lat and lon", value, remedy)
        text = f"{_degrees(value['lat'], remedy)},{_degrees(value['lon'], remedy)}"
    else:
        text = _text(value, remedy)
    if len(text) > _SHOWN:
        return Location(_line(text, LONGEST_LOCATION))
    return _short_location(text)


@lru_cache(maxsize=16_384)
def _short_location(text: str) -> Location:
    """Few places make most transactions, so a place is read once."""
    shape = _COORDINATES.fullmatch(text)
    if shape is None:
        return Location(_line(text, LONGEST_LOCATION))
    latitude, longitude = float(shape[1]), float(shape[2])
    if abs(latitude) > 90 or abs(longitude) > 180:
        what = "latitude is -90 to 90 and longitude -180 to 180, in that order"
        raise Flaw(what, text, _PLACE_REMEDY)
    return Location(text, latitude, longitude)


def _degrees(value: object, remedy: str) -> str:
    text = format(value, "f") if isinstance(value, Decimal) and _is_short(value) else show(value)
    if isinstance(value, str) or not _DEGREES.fullmatch(text):
        raise Flaw("latitude and longitude are numbers of degrees", value, remedy)
    return text


def _is_short(value: Decimal) -> bool:
    return value.is_finite() and abs(value.adjusted()) < 20


_Choice = TypeVar("_Choice", bound=StrEnum)


def one_of(choices: type[_Choice]) -> Callable[[object], _Choice]:
    """A reader of the values of an enumeration, in small letters."""
    known = {choice.value: choice for choice in choices}
    names = ", ".join(known)

    def read(value: object) -> _Choice:
        if type(value) is str and value in known:
            return known[value]
        near = get_close_matches(value[:32].lower(), known, n=1) if isinstance(value, str) else []
        hint = f" Did you mean {near[0]}?" if near else ""
        raise Flaw(f"expected one of {names}", value, f"Send one of them.{hint}")

    return read


transaction_type: Final = one_of(TransactionType)
outcome: Final = one_of(Outcome)
