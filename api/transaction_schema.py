"""The transaction on the wire, as OpenAPI shows it. What is accepted is what `ingest.codec` reads.

A test holds the two together: every field of the codec is here, the required ones are the same,
and every example decodes.
"""

from typing import Any, Final

from graph.transaction import Outcome, TransactionType
from ingest import codec
from ingest.fields import LONGEST_ID, LONGEST_LOCATION, LONGEST_WORD

_ID: Final = {"type": "string", "minLength": 1, "maxLength": LONGEST_ID}
_WORD: Final = {"type": "string", "minLength": 1, "maxLength": LONGEST_WORD}
_TIME: Final = {
    "oneOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 0}],
}


def _as(schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {**schema, "description": description}


PROPERTIES: Final[dict[str, dict[str, Any]]] = {
    "transaction_id": _as(_ID, "Yours; a transaction sent twice is one transaction."),
    "timestamp": _as(_TIME, "RFC 3339 with an offset, or epoch milliseconds."),
    "type": {
        "type": "string",
        "enum": [kind.value for kind in TransactionType],
        "description": "What moved. Its direction follows from it.",
    },
    "amount": {
        "oneOf": [
            {"type": "string", "pattern": r"^[0-9]{1,15}(\.[0-9]{1,4})?$"},
            {"type": "number", "minimum": 0},
        ],
        "description": "Exact, with at most the decimals of its currency. A string is safest.",
    },
    "currency": {
        "type": "string",
        "pattern": "^[A-Z]{3}$",
        "description": "ISO 4217; it must be in the rate table.",
    },
    "user_id": _as(_ID, "Whose transaction it is."),
    "counterparty_id": _as(_ID, "The other user; required for a transfer."),
    "merchant_id": _as(_ID, "The merchant; required for a payment."),
    "device_id": _as(_ID, "The device it was made on."),
    "ip_address": {
        "oneOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}],
        "description": "It is kept in canonical form.",
    },
    "card_id": _as(_ID, "A token that stands for the card. A raw card number is refused."),
    "country": {
        "type": "string",
        "pattern": "^[A-Z]{2}$",
        "description": "ISO 3166-1 alpha-2.",
    },
    "location": {
        "type": "string",
        "maxLength": LONGEST_LOCATION,
        "description": 'A place, or "latitude,longitude" in degrees.',
    },
    "merchant_category": _as(_WORD, "MCC or your own."),
    "channel": _as(_WORD, "How it was made: app, web, pos, atm, ..."),
    "outcome": {
        "type": "string",
        "enum": [outcome.value for outcome in Outcome],
        "description": "What the payment system did with it, where that is known.",
    },
    "user_created_at": _as(_TIME, "When the user's account was opened."),
}

SCHEMA: Final[dict[str, Any]] = {
    "title": "Transaction",
    "type": "object",
    "description": "One movement of money. Fields that are not named here are kept as attributes.",
    "required": list(codec.REQUIRED),
    "properties": PROPERTIES,
    "additionalProperties": True,
}

EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "transfer": {
        "summary": "One user sends another money",
        "value": {
            "transaction_id": "t-1001",
            "timestamp": "2026-03-01T12:04:31.250Z",
            "type": "transfer",
            "amount": "5210.00",
            "currency": "EUR",
            "user_id": "u1",
            "counterparty_id": "u2",
            "device_id": "d-7f3a",
            "ip_address": "203.0.113.7",
            "channel": "app",
        },
    },
    "payment": {
        "summary": "A card payment at a merchant",
        "value": {
            "transaction_id": "t-1002",
            "timestamp": 1772366671250,
            "type": "payment",
            "amount": 19.9,
            "currency": "EUR",
            "user_id": "u1",
            "merchant_id": "m-42",
            "card_id": "tok_9f2c",
            "country": "DE",
            "location": "52.52,13.40",
            "merchant_category": "5411",
            "outcome": "authorised",
        },
    },
}


def request_body() -> dict[str, Any]:
    """`requestBody` of `/v1/score`."""
    content = {"schema": {"$ref": "#/components/schemas/Transaction"}, "examples": EXAMPLES}
    return {"required": True, "content": {"application/json": content}}


def batch_request_body(most: int) -> dict[str, Any]:
    """`requestBody` of `/v1/score/batch`."""
    schema = {
        "type": "array",
        "minItems": 1,
        "maxItems": most,
        "items": {"$ref": "#/components/schemas/Transaction"},
    }
    values = [example["value"] for example in EXAMPLES.values()]
    examples = {"two": {"summary": "Two transactions", "value": values}}
    return {
        "required": True,
        "content": {"application/json": {"schema": schema, "examples": examples}},
    }
