"""Laws of the codec: nothing but its own errors, and what it accepts comes back unchanged."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.errors import InvalidInput
from graph.transaction import Transaction
from ingest import codec
from ingest.card_numbers import is_card_number, mask_card_numbers
from ingest.currencies import EXPONENTS, RateTable
from ingest.plain_records import read_plain

RATES = RateTable("EUR", {"USD": "0.92", "JPY": "0.0061", "KWD": "3.01", "CLF": "37.1"})

anything: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["u1", "u2", "payment", "transfer", "EUR", "2024-05-01T00:00:00Z", "1.5"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
names = st.sampled_from(codec.FIELDS) | st.text(max_size=8)
ids = st.text(
    st.characters(categories=("L", "N", "P", "S", "Mn", "Cf")), min_size=1, max_size=40
).filter(lambda text: text.strip() == text)


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    """Records that are meant to be right; a few are not (a user who pays themselves)."""
    kind = draw(st.sampled_from(["payment", "transfer", "withdrawal", "deposit", "refund"]))
    code = draw(st.sampled_from(RATES.currencies))
    minor = draw(st.integers(0, 10**12))
    record: dict[str, Any] = {
        "transaction_id": draw(ids),
        "timestamp": draw(st.integers(10**11, 7 * 10**12)),
        "type": kind,
        "amount": format(Decimal(minor).scaleb(-EXPONENTS[code]), "f"),
        "currency": code,
        "user_id": draw(ids),
    }
    if kind == "transfer":
        record["counterparty_id"] = draw(ids)
    if kind in ("payment", "refund"):
        record["merchant_id"] = draw(ids)
    optional: dict[str, st.SearchStrategy[Any]] = {
        "device_id": ids,
        "ip_address": st.ip_addresses().map(str),
        "card_id": ids.map(lambda text: f"tok_{text}"),
        "country": st.sampled_from(["DE", "FR", "us"]),
        "location": st.sampled_from(["52.5,13.4", "Berlin", {"lat": -1.25, "lon": 3}]),
        "merchant_category": st.sampled_from(["5411", "0742"]),
        "outcome": st.sampled_from(["authorised", "declined"]),
        "note": anything.filter(lambda value: value is not None),
    }
    for name in draw(st.sets(st.sampled_from(sorted(optional)))):
        record[name] = draw(optional[name])
    return record


def decode(data: bytes) -> Transaction | None:
    try:
        return codec.decode(data, rates=RATES, now=None)
    except InvalidInput as error:
        refusal = error
    assert refusal.remedy
    assert refusal.value is None or len(refusal.value) <= 80
    return None


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_words(data: bytes):
    assert decode(data) is None


@given(st.dictionaries(names, anything, max_size=12))
def test_any_json_object_is_a_transaction_or_refused_in_words(record: dict[str, Any]):
    decode(json.dumps(record).encode())


@given(records(), names, anything)
def test_one_wrong_field_never_breaks_the_codec(record: dict[str, Any], name: str, value: Any):
    decode(json.dumps({**record, name: value}).encode())


@given(records())
def test_what_is_accepted_comes_back_unchanged(record: dict[str, Any]):
    found = decode(json.dumps(record).encode())
    if found is None:
        return
    written = codec.encode(found)
    again = codec.decode(written, rates=RATES, now=None)
    assert again == found
    assert codec.encode(again) == written


def the_long_way(data: bytes) -> Transaction | None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "read_plain", lambda data, rates, now: None)
        return decode(data)


@given(records(), st.lists(st.tuples(names, anything), max_size=2), st.booleans(), st.booleans())
def test_plain_records_are_read_as_all_others_are(
    record: dict[str, Any], changes: list[tuple[str, Any]], twice: bool, spaced: bool
):
    pairs = [*record.items(), ("channel", "app:1"), ("user_created_at", "2020-01-01T00:00:00.5Z")]
    # A change stands beside what it changes (a key that occurs twice) or in its place.
    if twice:
        pairs += changes
    else:
        pairs = list((dict(pairs) | dict(changes)).items())
    colon = " : " if spaced else ":"
    data = "{" + ",".join(f"{json.dumps(k)}{colon}{json.dumps(v)}" for k, v in pairs) + "}"
    plain = read_plain(data.encode(), RATES, None)
    if plain is not None:
        assert plain == the_long_way(data.encode())


@given(records())
def test_canonical_ascii_records_without_unknown_fields_are_plain(record: dict[str, Any]):
    record.pop("note", None)
    found = decode(json.dumps(record).encode())
    written = b"" if found is None else codec.encode(found)
    if found is not None and written.isascii() and b"\\" not in written:
        assert read_plain(written, RATES, None) == found


@given(records(), st.randoms(use_true_random=False))
def test_the_order_of_the_fields_says_nothing(record: dict[str, Any], random: Any):
    keys = list(record)
    random.shuffle(keys)
    shuffled = {key: record[key] for key in keys}
    assert decode(json.dumps(shuffled).encode()) == decode(json.dumps(record).encode())


@given(st.sampled_from(sorted(RATES.currencies)), st.integers(0, codec.fields.LARGEST_AMOUNT))
def test_amounts_survive_their_text(code: str, minor: int):
    money = codec.Money(minor, code)
    text = codec.decimal_text(money)
    assert codec.fields.minor_units(text, code) == minor
    assert codec.fields.minor_units(Decimal(text), code) == minor


@given(st.text("0123456789", min_size=12, max_size=18), st.text(" -", max_size=3), st.text())
def test_no_card_number_survives_the_mask(digits: str, separators: str, around: str):
    total = sum(
        sum(divmod(2 * int(d), 10)) if place % 2 == 0 else int(d)
        for place, d in enumerate(reversed(digits))
    )
    number = f"{digits}{-total % 10}"
    spaced = number if len(separators) != 1 else separators.join(number)
    if is_card_number(spaced):
        assert spaced not in mask_card_numbers(f"{around}{spaced}{around}")
