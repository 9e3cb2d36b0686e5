"""The quick reading of plain records: the way nearly all of a stream goes.

A record is plain if it has the documented fields only, each of its usual JSON type, and nothing is
wrong with any of them. `read_plain` gives the transaction of such a record, and None for every
other: what those are, and everything that is wrong with them, is for `ingest.codec` to say. It
takes half the time, because it looks at the bytes once instead of at each text by itself: in plain
ASCII without escapes, deletes and blanks beside quotes, JSON leaves a string no character that an
id or a word may not have, so its length is all that is left to check. The other fields are read by
the same functions (`ingest.fields`). `tests/property/test_codec_laws.py` holds both to the same
answers.
"""

from functools import lru_cache
from typing import Annotated, Any, Final

import msgspec

from graph.transaction import DAY, Money, Transaction
from ingest import fields
from ingest.card_numbers import is_card_number
from ingest.currencies import RateTable
from ingest.fields import LONGEST_ID, LONGEST_WORD, Flaw
from ingest.parties import check_parties

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_ID)]
_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_WORD)]


class _Plain(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """The wire's fields in the types they mostly have; None where absent."""

    transaction_id: _Id
    timestamp: str | int
    type: str
    amount: Any  # text, or a number that keeps its digits
    currency: str
    user_id: _Id
    counterparty_id: _Id | None = None
    merchant_id: _Id | None = None
    device_id: _Id | None = None
    ip_address: str | None = None
    card_id: _Id | None = None
    country: str | None = None
    location: str | None = None
    merchant_category: _Word | None = None
    channel: _Word | None = None
    outcome: str | None = None
    user_created_at: str | int | None = None


_DECODER: Final = msgspec.json.Decoder(_Plain, float_hook=fields.exact)
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
_SHORTEST_CARD: Final = 13

# What comes again and again is read once: an account is opened once and named in all it does.
_opening_time: Final = lru_cache(maxsize=65_536)(fields.opening_time)
_ip_address: Final = lru_cache(maxsize=65_536)(fields.ip_address)
_location: Final = lru_cache(maxsize=16_384)(fields.location)
_country_code: Final = lru_cache(maxsize=1_024)(fields.country_code)


def read_plain(data: bytes, rates: RateTable, now: int | None) -> Transaction | None:
    """The transaction in a plain record; None where the record is not plain.

    Args:
        data: UTF-8 JSON.
        rates: What each currency is worth in the base currency.
        now: As in `ingest.codec.decode`.
    """
    if not data.isascii() or b"\\" in data or b"\x7f" in data or b'" ' in data or b' "' in data:
        return None
    try:
        record = _DECODER.decode(data)
        # A key that occurs twice shows in the colons: see `ingest.codec`.
        if data.count(b":") != _ENCODER.encode(record).count(b":"):
            return None
        return _transaction(record, rates, now)
    except (Flaw, msgspec.DecodeError, RecursionError):
        return None


def _transaction(record: _Plain, rates: RateTable, now: int | None) -> Transaction | None:
    time, created = fields.event_time(record.timestamp), record.user_created_at
    opened = None if created is None else _opening_time(created)
    if now is not None:
        fields.check_not_ahead(time, now)
    if opened is not None and opened > time + DAY:
        return None
    kind, code = fields.transaction_type(record.type), fields.currency_code(record.currency)
    user, other, merchant = record.user_id, record.counterparty_id, record.merchant_id
    if check_parties(kind, user, other, merchant) is not None:
        return None
    card, ip = record.card_id, record.ip_address
    if card is not None and len(card) >= _SHORTEST_CARD and is_card_number(card):
        return None
    units = fields.minor_units(record.amount, code)
    return Transaction(
        record.transaction_id,
        time,
        kind,
        Money(units, code),
        units if code == rates.base else fields.base_value(units, code, rates),
        user,
        other,
        merchant,
        record.device_id,
        None if ip is None else _ip_address(ip),
        card,
        None if record.country is None else _country_code(record.country),
        None if record.location is None else _location(record.location),
        record.merchant_category,
        record.channel,
        None if record.outcome is None else fields.outcome(record.outcome),
        opened,
    )
