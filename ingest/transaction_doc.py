"""Writes `docs/transaction.md` from the codec, so that the page cannot say anything else.

    python -m ingest.transaction_doc            print it
    python -m ingest.transaction_doc --write    write docs/transaction.md

Meanings come from the docstring of `Transaction`, what is accepted from the docstrings of the
readers, and every example on the page is decoded while the page is written.
"""

import inspect
import json
import re
import sys
from pathlib import Path
from typing import Final

from graph.errors import InvalidInput
from graph.transaction import Outcome, Transaction, TransactionType
from ingest import attributes, codec, fields, parties
from ingest.currencies import EXPONENTS, RateTable

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "transaction.md"

_RATES: Final = RateTable("EUR", {"USD": "0.92", "JPY": "0.0061"})
_NOW: Final = fields.event_time("2024-05-01T12:00:30Z")
_ORDER: Final = (
    *("transaction_id", "timestamp", "type", "amount", "currency", "user_id", "counterparty_id"),
    *("merchant_id", "device_id", "ip_address", "card_id", "country", "location"),
    *("merchant_category", "channel", "outcome", "user_created_at"),
)
_EXAMPLE: Final = (
    '{"transaction_id": "pay-20240501-0001", "timestamp": "2024-05-01T14:00:00.250+02:00",'
    ' "type": "payment", "amount": "129.90", "currency": "USD", "user_id": "u-1007",'
    ' "merchant_id": "m-42", "device_id": "d-9f3c", "ip_address": "::ffff:198.51.100.7",'
    ' "card_id": "tok_5QkXr", "country": "de", "location": "52.52,13.40",'
    ' "merchant_category": "5732", "channel": "web", "user_created_at": "2021-03-08T00:00:00Z",'
    ' "basket_size": 3}'
)
_REFUSED: Final = (
    (
        '{"transaction_id": "1", "timestamp": 1714564800, "type": "payment", "amount": 12.345,'
        ' "currency": "EUR", "user_id": "u", "merchant_id": "m"}'
    ),
    (
        '{"transaction_id": "2", "timestamp": 1714564800000, "type": "transfer", "amount": "5.00",'
        ' "currency": "EUR", "user_id": "u", "counterparty_id": "u"}'
    ),
    (
        '{"transaction_id": "3", "timestamp": 1714564800000, "type": "withdrawal", "amount": "1e3",'
        ' "currency": "EUR", "user_id": "u", "card_id": "4111 1111 1111 1111"}'
    ),
    (
        '{"transaction_id": "4", "timestamp": 1714564800000, "type": "deposit", "amount": "5.00",'
        ' "currency": "SEK", "user_id": "u"}'
    ),
    '{"transaction_id": "5", "transaction_id": "6"}',
)


def page() -> str:
    """The whole page as Markdown."""
    sections = (_opening(), _fields(), _types(), _amounts(), _limits(), _refusals(), _canonical())
    return "\n\n".join(sections) + "\n"


def _opening() -> str:
    return f"""<!-- Written by `python -m ingest.transaction_doc --write`; do not edit. -->
# The transaction

One JSON object in UTF-8 a transaction, in an HTTP request, on the log and in files alike:

```json
{_pretty(_EXAMPLE)}
```

Order and white space are free. `null` is the same as leaving a field out. Fields that are not
listed here are kept as *attributes* and come out again unchanged."""


def _fields() -> str:
    meanings = _attribute_docs()
    rows = [
        f"| `{name}` | {'yes' if name in codec.REQUIRED else ''} | {meanings[name]} |"
        f" {_accepts(name)} |"
        for name in _ORDER
    ]
    return "\n".join(
        ("## Fields", "", "| field | required | meaning | accepted |", "|---|---|---|---|", *rows)
    )


def _accepts(name: str) -> str:
    match name:
        case "amount":
            return "Decimal string or JSON number; see *Amounts*."
        case "currency":
            return f"{_first_paragraph(fields.currency_code)} Its rate must be configured."
        case "type" | "outcome":
            choices = TransactionType if name == "type" else Outcome
            return ", ".join(f"`{choice.value}`" for choice in choices)
        case _:
            return _first_paragraph(codec.READERS[name]).replace("|", "\\|")


def _types() -> str:
    rules = [f"- `{kind.value}`: {rule}." for kind, rule in parties.RULES.items()]
    return "\n".join(("## Who takes part", "", _body(parties.check_parties), "", *rules))


def _amounts() -> str:
    by_exponent = {
        exponent: sorted(code for code, own in EXPONENTS.items() if own == exponent)
        for exponent in sorted(set(EXPONENTS.values()))
    }
    rows = [
        f"| {exponent} | {'all others of ISO 4217' if exponent == 2 else ' '.join(codes)} |"
        for exponent, codes in by_exponent.items()
    ]
    value = codec.decode(_EXAMPLE.encode(), rates=_RATES, now=_NOW).value
    return "\n".join(
        (
            "## Amounts",
            "",
            _body(fields.minor_units),
            "",
            "| decimals | currencies |",
            "|---|---|",
            *rows,
            "",
            f"At most {fields.LARGEST_AMOUNT:,} minor units, as sent and in the base currency.",
            "Transactions are compared in one base currency through the configured rates, in",
            "integer arithmetic, half to even: with 1 USD = 0.92 EUR the 129.90 USD above are",
            f"{value} minor units of EUR.",
        )
    )


def _limits() -> str:
    return f"""## Limits

| what | limit |
|---|---|
| one record | {codec.LARGEST_RECORD} bytes |
| unknown fields | {attributes.MOST}, together {attributes.LARGEST} bytes of JSON |
| levels of arrays and objects in an unknown field | {attributes.DEEPEST} |
| timestamp | at most 2 min after the server or the broker took it; never 2200 or later |
| opening of the account | not more than a day after the transaction |

A key that occurs twice in one object is refused at any depth. An unknown field whose name has
`card` in it must not hold a card number either. Wherever a value is shown back it is cut to 80
characters, and card numbers in it are masked."""


def _refusals() -> str:
    kinds = [
        f"| `{kind.code}` | {kind.http_status} | {(kind.__doc__ or '').partition(chr(10))[0]} |"
        for kind in (codec.MalformedRecord, codec.RecordTooLarge, codec.InvalidTransaction)
    ]
    lines = [
        "## What a refusal says",
        "",
        "Up to 20 problems of a record are named: the field, what was found, and what to send.",
        "",
        "| code | HTTP | meaning |",
        "|---|---|---|",
        *kinds,
    ]
    for text in _REFUSED:
        lines += ["", "```json", text, "```", ""]
        lines += [f"- {line}" for line in _problems(text)]
    return "\n".join(lines)


def _problems(text: str) -> list[str]:
    try:
        codec.decode(text.encode(), rates=_RATES, now=_NOW)
    except codec.InvalidTransaction as refusal:
        return [
            f"**{p.field}**: {p.what}{'' if p.value is None else f' (found {p.value})'}. {p.remedy}"
            for p in refusal.problems
        ]
    except InvalidInput as refusal:
        return [str(refusal)]
    raise AssertionError(f"accepted, so it is no example of a refusal: {text}")


def _canonical() -> str:
    transaction = codec.decode(_EXAMPLE.encode(), rates=_RATES, now=_NOW)
    return f"""## Canonical form

What the log holds. {_body(codec.encode)}

```json
{_pretty(codec.encode(transaction).decode())}
```"""


def _pretty(text: str) -> str:
    return json.dumps(json.loads(text), indent=2, ensure_ascii=False)


def _attribute_docs() -> dict[str, str]:
    """What the docstring of `Transaction` says about each field."""
    text = inspect.getdoc(Transaction) or ""
    entries = re.findall(r"^    (\w+): ((?:.|\n        )+)", text, re.MULTILINE)
    found = {name: " ".join(meaning.split()) for name, meaning in entries}
    found["currency"] = "The currency of the amount."
    return found


def _paragraphs(thing: object) -> list[str]:
    text = inspect.getdoc(thing) or ""
    return [" ".join(part.split()) for part in text.split("\n\n")]


def _first_paragraph(thing: object) -> str:
    return _paragraphs(thing)[0]


def _body(thing: object) -> str:
    return " ".join(_paragraphs(thing)[1:])


def main(arguments: list[str]) -> None:
    """Print the page, or write it."""
    if arguments == ["--write"]:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())


if __name__ == "__main__":
    main(sys.argv[1:])
