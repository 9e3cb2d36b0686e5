"""The codec: bytes to a `Transaction` or a precise refusal, and back to canonical bytes.

One JSON object a transaction, as `docs/transaction.md` describes it. Every problem of a record is
found, not only the first, and up to `MOST_PROBLEMS` are named. Numbers are read digit by digit,
never through a float; a key that occurs twice is refused, because two readers could each believe
another one of them.

    InvalidInput
    ├── MalformedRecord      the bytes are not one JSON object            400
    ├── RecordTooLarge       more bytes than one record may have          413
    └── InvalidTransaction   a field or the record as a whole is wrong    422
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import msgspec

from graph.errors import InvalidInput
from graph.transaction import DAY, Money, Transaction
from ingest import attributes, fields
from ingest.currencies import EXPONENTS, RateTable
from ingest.fields import Flaw, show
from ingest.parties import check_parties
from ingest.plain_records import read_plain

LARGEST_RECORD: Final = 1 << 19
"""Bytes of one record that is read: every log takes it whole, also as a dead letter, in base64."""
LARGEST_KEPT: Final = 1 << 20
"""Bytes of one record that a log may hold: so many were read before."""
MOST_PROBLEMS: Final = 20
"""Problems of one record that are told; of more it is said that there are."""

Reader = Callable[[object], Any]

READERS: Final[Mapping[str, Reader]] = {
    "transaction_id": fields.identifier,
    "timestamp": fields.event_time,
    "type": fields.transaction_type,
    "user_id": fields.identifier,
    "counterparty_id": fields.identifier,
    "merchant_id": fields.identifier,
    "device_id": fields.identifier,
    "ip_address": fields.ip_address,
    "card_id": fields.card_token,
    "country": fields.country_code,
    "location": fields.location,
    "merchant_category": fields.word,
    "channel": fields.word,
    "outcome": fields.outcome,
    "user_created_at": fields.opening_time,
}
"""How each field is read, but for amount and currency, which are read together."""
FIELDS: Final = (*READERS, "amount", "currency")
REQUIRED: Final = ("transaction_id", "timestamp", "type", "amount", "currency", "user_id")
_REQUIRED_KEYS: Final = frozenset(REQUIRED) - {"amount", "currency"}
_OTHER_PARTIES: Final = ("counterparty_id", "merchant_id")


class MalformedRecord(InvalidInput):
    """The bytes are not one JSON object."""

    code = "malformed-record"
    http_status = 400


class RecordTooLarge(InvalidInput):
    """The record has more bytes than are read."""

    code = "record-too-large"
    http_status = 413


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a record; `value` is cut, on one line and free of card numbers."""

    field: str
    what: str
    value: str | None
    remedy: str


class InvalidTransaction(InvalidInput):
    """The record is JSON, but not a transaction.

    `field`, `value` and `remedy` are those of the first problem; `problems` has the first
    `MOST_PROBLEMS` of them.
    """

    code = "invalid-transaction"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        first, *others = problems[:MOST_PROBLEMS]
        also = f"; also wrong: {', '.join(p.field for p in others)}" if others else ""
        if len(problems) > MOST_PROBLEMS:
            also += ", and more"
        super().__init__(
            first.what + also, field=first.field, value=first.value, remedy=first.remedy
        )
        self.problems = problems[:MOST_PROBLEMS]


def decode(
    data: bytes, *, rates: RateTable, now: int | None, largest: int = LARGEST_RECORD
) -> Transaction:
    """The transaction in one JSON object.

    Args:
        data: UTF-8 JSON.
        rates: What each currency is worth in the base currency.
        now: Epoch milliseconds; a timestamp more than two minutes later is refused. None for
            history, where only the year 2200 is a limit.
        largest: The most bytes that are read.

    Raises:
        RecordTooLarge: It has more bytes than that.
        MalformedRecord: It is not one JSON object, or a key in it occurs twice.
        InvalidTransaction: A field is missing or wrong, or the fields do not fit together.
    """
    require_size(data, largest)
    plain = read_plain(data, rates, now)
    if plain is not None:
        return plain
    try:
        record = _DECODER.decode(data)
    except RecursionError:
        raise MalformedRecord(
            "nested too deeply",
            remedy=f"Unknown fields may nest {attributes.DEEPEST} levels.",
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedRecord(
            f"not a JSON object: {error}",
            value=show(bytes(data[:400]).decode(errors="replace")),
            remedy="Send one JSON object in UTF-8; see docs/transaction.md.",
        ) from None
    if _may_repeat_a_key(data, record):
        _refuse_repeated_keys(data)
    return from_fields(record, rates=rates, now=now)


def require_size(data: bytes, largest: int = LARGEST_RECORD) -> None:
    """Refuse a record of more than `largest` bytes.

    Raises:
        RecordTooLarge: It is.
    """
    if len(data) > largest:
        raise RecordTooLarge(
            f"a record has at most {largest} bytes",
            value=f"{len(data)} bytes",
            remedy="Send one transaction a record, and fewer unknown fields.",
        )


def require_not_ahead(transaction: Transaction, now: int) -> None:
    """Refuse a transaction more than two minutes later than `now`, epoch milliseconds.

    For whoever learns the time only after reading: the stream, from the broker that took it.

    Raises:
        InvalidTransaction: It is.
    """
    try:
        fields.check_not_ahead(transaction.timestamp, now)
    except Flaw as flaw:
        raise InvalidTransaction((_problem("timestamp", flaw),)) from None


def from_fields(
    record: Mapping[str, object], *, rates: RateTable, now: int | None = None
) -> Transaction:
    """The transaction in a mapping of wire fields; None is the same as absent.

    Numbers are `int` or `Decimal`. Unknown fields become attributes.

    Raises:
        InvalidTransaction: As `decode`.
    """
    problems: list[Problem] = []
    known: dict[str, Any] = {}
    unknown: dict[str, object] = {}
    amount: object = None
    for name, value in record.items():
        if value is None:
            continue
        reader = READERS.get(name)
        if reader is not None:
            try:
                known[name] = reader(value)
            except Flaw as flaw:
                problems.append(_problem(name, flaw))
        elif name == "amount":
            amount = value
        elif name != "currency":
            unknown[name] = value
    money, base = _money(amount, record.get("currency"), rates, problems)
    if unknown:
        known["attributes"] = MappingProxyType(unknown)
        _check_attributes(unknown, problems)
    if money is None or not known.keys() >= _REQUIRED_KEYS:
        problems.extend(_missing(record))
    _check_together(known, now, problems)
    if problems or money is None:
        raise InvalidTransaction(tuple(sorted(problems, key=_place)))
    return Transaction(amount=money, value=base, **known)


def encode(transaction: Transaction) -> bytes:
    """The canonical bytes: keys in alphabetical order, times in UTC, amounts with all decimals.

    Equal transactions give equal bytes, and `decode` with the same rates gives the transaction
    back. The value in the base currency is not written: it follows from the rates.
    """
    tx = transaction
    record: dict[str, object] = {
        **tx.attributes,
        "transaction_id": tx.transaction_id,
        "timestamp": fields.rfc_3339(tx.timestamp),
        "type": tx.type.value,
        "amount": decimal_text(tx.amount),
        "currency": tx.amount.currency,
        "user_id": tx.user_id,
    }
    optional = (
        ("counterparty_id", tx.counterparty_id),
        ("merchant_id", tx.merchant_id),
        ("device_id", tx.device_id),
        ("ip_address", tx.ip_address),
        ("card_id", tx.card_id),
        ("country", tx.country),
        ("location", None if tx.location is None else tx.location.text),
        ("merchant_category", tx.merchant_category),
        ("channel", tx.channel),
        ("outcome", None if tx.outcome is None else tx.outcome.value),
        (
            "user_created_at",
            None if tx.user_created_at is None else fields.rfc_3339(tx.user_created_at),
        ),
    )
    record.update((name, value) for name, value in optional if value is not None)
    return attributes.ENCODER.encode(record)


def decimal_text(money: Money) -> str:
    """An amount as the wire has it: a decimal with exactly the decimals of its currency.

    >>> decimal_text(Money(1250, "EUR")), decimal_text(Money(1250, "JPY"))
    ('12.50', '1250')
    """
    exponent = EXPONENTS[money.currency]
    if exponent == 0:
        return str(money.minor)
    digits = f"{money.minor:0{exponent + 1}}"
    return f"{digits[:-exponent]}.{digits[-exponent:]}"


_DECODER: Final = msgspec.json.Decoder(dict[str, Any], float_hook=fields.exact)


def _money(
    amount: object, currency: object, rates: RateTable, problems: list[Problem]
) -> tuple[Money | None, int]:
    """The amount and its value in the base currency; what is wrong goes to `problems`.

    An amount whose currency is unknown is not judged: its decimals decide what it is.
    """
    if currency is None:
        return None, 0
    field = "currency"
    try:
        code = fields.currency_code(currency)
        if amount is None or code not in rates:
            return None, fields.base_value(0, code, rates)
        field = "amount"
        units = fields.minor_units(amount, code)
        return Money(units, code), fields.base_value(units, code, rates)
    except Flaw as flaw:
        problems.append(_problem(field, flaw))
        return None, 0


def _missing(record: Mapping[str, object]) -> list[Problem]:
    return [
        Problem(name, "it is missing", None, f"Send {name}.")
        for name in REQUIRED
        if record.get(name) is None
    ]


def _check_together(known: Mapping[str, Any], now: int | None, problems: list[Problem]) -> None:
    """What fields say to each other; fields that could not be read have their problem already."""
    time, opened = known.get("timestamp"), known.get("user_created_at")
    if time is not None and now is not None:
        try:
            fields.check_not_ahead(time, now)
        except Flaw as flaw:
            problems.append(_problem("timestamp", flaw))
    if time is not None and opened is not None and opened > time + DAY:
        what = "the account was opened more than a day after the transaction"
        problems.append(
            Problem("user_created_at", what, fields.rfc_3339(opened), "Check both times.")
        )
    kind, user = known.get("type"), known.get("user_id")
    if kind is None or user is None or any(p.field in _OTHER_PARTIES for p in problems):
        return
    found = check_parties(kind, user, known.get("counterparty_id"), known.get("merchant_id"))
    if found is not None:
        problems.append(_problem(*found))


def _check_attributes(unknown: Mapping[str, object], problems: list[Problem]) -> None:
    """What is wrong with attributes; how large they are is asked where nothing else is."""
    found = list(attributes.flaws(unknown, FIELDS))
    if not found and not problems:
        flaw = attributes.too_large(len(attributes.ENCODER.encode(unknown)), unknown, FIELDS)
        found = [] if flaw is None else [("attributes", flaw)]
    problems.extend(_problem(name, flaw) for name, flaw in found)


def _problem(field: str, flaw: Flaw) -> Problem:
    if field == "card_id":
        return Problem(field, flaw.what, "[redacted]", flaw.remedy)
    value = None if flaw.value is None else show(flaw.value)
    return Problem(field, flaw.what, value, flaw.remedy)


_PLACES: Final = {
    name: n for n, name in enumerate(dict.fromkeys((*REQUIRED, *READERS, "attributes")))
}


def _place(problem: Problem) -> tuple[int, str]:
    return _PLACES.get(problem.field, len(_PLACES)), problem.field


def _may_repeat_a_key(data: bytes, record: Mapping[str, object]) -> bool:
    """Whether a key could occur twice; False is certain, and costs a microsecond.

    Where nothing is escaped, every colon stands after a key or inside a string, and writing the
    record again gives as many colons as were kept: a key that was overwritten had one more.
    """
    return b"\\" in data or data.count(b":") != attributes.ENCODER.encode(record).count(b":")


def _refuse_repeated_keys(data: bytes) -> None:
    repeated: list[str] = []

    def look(pairs: list[tuple[str, object]]) -> None:
        repeated.extend(name for name, times in Counter(n for n, _ in pairs).items() if times > 1)

    try:
        json.loads(data, object_pairs_hook=look, parse_int=str, parse_float=str)
    except RecursionError:
        raise MalformedRecord(
            "nested too deeply", remedy=f"Unknown fields may nest {attributes.DEEPEST} levels."
        ) from None
    if repeated:
        raise MalformedRecord(
            "a key occurs twice in one object",
            field=show(repeated[0]),
            remedy="Send every key once: readers differ in which one they believe.",
        )
