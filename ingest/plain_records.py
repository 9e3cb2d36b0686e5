"""The quick reading of plain records: the way nearly all of a stream goes.

A record is plain if it has the documented fields only, each of its usual JSON type, and nothing is
wrong with any of them. `read_plain` gives the transaction of such a record, and None for every
other: what those are, and everything that is wrong with them, is for `ingest.codec` to say. The
fields are read by the same functions (`ingest.fields`), so the two cannot disagree about a value;
`tests/property/test_codec_laws.py` holds them to it. It takes half the time.
"""

from functools import lru_cache
from typing import Any, Final

import msgspec

from graph.transaction import DAY, Money, Transaction
from ingest import fields
from ingest.currencies import RateTable
from ingest.fields import Flaw
from ingest.numbers import exact
from ingest.parties import check_parties


class _Plain(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """The wire's fields in the types they mostly have; None where absent."""

    transaction_id: str
    timestamp: str | int
    type: str
    amount: Any  # text, or a number that keeps its digits
    currency: str
    user_id: str
    counterparty_id: str | None = None
    merchant_id: str | None = None
    device_id: str | None = None
    ip_address: str | None = None
    card_id: str | None = None
    country: str | None = None
    location: str | None = None
    merchant_category: str | None = None
    channel: str | None = None
    outcome: str | None = None
    user_created_at: str | int | None = None


_DECODER: Final = msgspec.json.Decoder(_Plain, float_hook=exact)
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")

# What comes again and again is read once: an account is opened once and named in all it does.
_opening_time: Final = lru_cache(maxsize=65_536)(fields.opening_time)
_location: Final = lru_cache(maxsize=16_384)(fields.location)
_word: Final = lru_cache(maxsize=4_096)(fields.word)
_country_code: Final = lru_cache(maxsize=1_024)(fields.country_code)


def read_plain(data: bytes, rates: RateTable, now: int | None) -> Transaction | None:
    """The transaction in a plain record; None where the record is not plain.

    Args:
        data: UTF-8 JSON.
        rates: What each currency is worth in the base currency.
        now: As in `ingest.codec.decode`.
    """
    try:
        record = _DECODER.decode(data)
        # A key that occurs twice shows in the colons: see `ingest.codec`.
        if b"\\" in data or data.count(b":") != _ENCODER.encode(record).count(b":"):
            return None
        return _transaction(record, rates, now)
    except (Flaw, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _transaction(record: _Plain, rates: RateTable, now: int | None) -> Transaction | None:
    time = fields.event_time(record.timestamp)
    opened = None if record.user_created_at is None else _opening_time(record.user_created_at)
    if now is not None:
        fields.check_not_ahead(time, now)
    if opened is not None and opened > time + DAY:
        return None
    kind, code = fields.transaction_type(record.type), fields.currency_code(record.currency)
    identifier, word = fields.identifier, _word
    user = identifier(record.user_id)
    counterparty = None if record.counterparty_id is None else identifier(record.counterparty_id)
    merchant = None if record.merchant_id is None else identifier(record.merchant_id)
    if check_parties(kind, user, counterparty, merchant) is not None:
        return None
    units = fields.minor_units(record.amount, code)
    return Transaction(
        identifier(record.transaction_id),
        time,
        kind,
        Money(units, code),
        units if code == rates.base else fields.base_value(units, code, rates),
        user,
        counterparty,
        merchant,
        None if record.device_id is None else identifier(record.device_id),
        None if record.ip_address is None else fields.ip_address(record.ip_address),
        None if record.card_id is None else fields.card_token(record.card_id),
        None if record.country is None else _country_code(record.country),
        None if record.location is None else _location(record.location),
        None if record.merchant_category is None else word(record.merchant_category),
        None if record.channel is None else word(record.channel),
        None if record.outcome is None else fields.outcome(record.outcome),
        opened,
    )
