import json
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import structs

from graph.errors import InvalidInput
from graph.transaction import DAY, MINUTE, Location, Money, Outcome, Transaction, TransactionType
from graph.watermark import Punctuality, Watermark
from graph.window import WindowConfig
from ingest import attributes, codec, fields, transaction_doc
from ingest.codec import InvalidTransaction, MalformedRecord, RecordTooLarge, decode, encode
from ingest.currencies import RateTable

RATES = RateTable("EUR", {"USD": "0.92", "JPY": "0.0061", "KWD": "3.01"})
NOW = 1_714_564_800_000  # 2024-05-01T12:00:00Z
PAYMENT = {
    "transaction_id": "t1",
    "timestamp": NOW,
    "type": "payment",
    "amount": "12.50",
    "currency": "EUR",
    "user_id": "u1",
    "merchant_id": "m1",
}
TRANSFER = {
    **{name: value for name, value in PAYMENT.items() if name != "merchant_id"},
    "type": "transfer",
    "counterparty_id": "u2",
}


def wire(record: dict[str, object], **changes: object) -> bytes:
    return json.dumps({**record, **changes}).encode()


def read(record: dict[str, object], **changes: object) -> Transaction:
    return decode(wire(record, **changes), rates=RATES, now=NOW)


def read_raw(field: str, raw: str, record: dict[str, object] = PAYMENT) -> Transaction:
    """Decode with a field written exactly so: JSON that `json.dumps` would not write."""
    mark = "the value"
    data = wire(record, **{field: mark}).replace(json.dumps(mark).encode(), raw.encode())
    return decode(data, rates=RATES, now=NOW)


def refusal(record: dict[str, object], **changes: object) -> InvalidTransaction:
    with pytest.raises(InvalidTransaction) as caught:
        read(record, **changes)
    return caught.value


def test_every_field_arrives_in_its_canonical_form():
    found = read(
        PAYMENT,
        timestamp="2024-05-01T14:00:00.2509+02:00",
        amount=129.9,
        currency="USD",
        device_id="d1",
        ip_address="::FFFF:192.0.2.1",
        card_id="tok_1",
        country="de",
        location="52.52,13.40",
        merchant_category="5411",
        channel="pos",
        outcome="declined",
        user_created_at="1999-12-31T00:00:00Z",
        basket=[1, {"sku": "x"}],
        note=None,
    )
    assert found == Transaction(
        transaction_id="t1",
        timestamp=NOW + 250,
        type=TransactionType.PAYMENT,
        amount=Money(12990, "USD"),
        value=11951,
        user_id="u1",
        merchant_id="m1",
        device_id="d1",
        ip_address="192.0.2.1",
        card_id="tok_1",
        country="DE",
        location=Location("52.52,13.40", 52.52, 13.40),
        merchant_category="5411",
        channel="pos",
        outcome=Outcome.DECLINED,
        user_created_at=946_598_400_000,
        attributes={"basket": [1, {"sku": "x"}]},
    )


@pytest.mark.parametrize(
    ("raw", "currency", "minor"),
    [
        ('"12.50"', "EUR", 1250),
        ("12.5", "EUR", 1250),
        ("12.500000", "EUR", 1250),
        ('"12.500"', "EUR", 1250),
        ("0.29", "EUR", 29),  # 0.29 * 100 is 28.999999999999996 in floats
        ("1.15", "EUR", 115),
        ("9007199254740.93", "EUR", 900719925474093),
        ("1e2", "EUR", 10_000),
        ("1.25E+1", "EUR", 1250),
        ("125e-1", "EUR", 1250),
        ('"007.00"', "EUR", 700),
        ("0", "EUR", 0),
        ("-0.00", "EUR", 0),
        ("1000", "JPY", 1000),
        ('"1000.00"', "JPY", 1000),
        ('"1.234"', "KWD", 1234),
        ("10000000000000.00", "EUR", 10**15),
    ],
)
def test_amounts_are_read_digit_by_digit(raw: str, currency: str, minor: int):
    found = read_raw("amount", raw, {**PAYMENT, "currency": currency})
    assert found.amount == Money(minor, currency)


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        ("1e400", "more than 10"),
        ("1e99999999999999999999", "expected an amount"),
        ("-1.50", "negative"),
        ('"-1.50"', "negative"),
        ("0.1234", "EUR has 2 decimals"),
        ('"12.345"', "EUR has 2 decimals"),
        ("1e-7", "EUR has 2 decimals"),
        ("1e-999999", "EUR has 2 decimals"),
        ('"12,50"', "not a decimal"),
        ('"1e2"', "not a decimal"),
        ('"1_000"', "not a decimal"),
        ('"NaN"', "not a decimal"),
        ('"Infinity"', "not a decimal"),
        ('"0.1+"', "not a decimal"),
        ('" 1"', "not a decimal"),
        ('"١٢"', "not a decimal"),
        ('""', "not a decimal"),
        ("true", "expected an amount"),
        ("[1]", "expected an amount"),
        ("10000000000000.01", "more than 10"),
        (f'"{"9" * 10_000}"', "more than 10"),
        ("9" * 4_000, "more than 10"),
    ],
)
def test_an_amount_that_is_none_is_refused_by_name(raw: str, what: str):
    with pytest.raises(InvalidTransaction) as caught:
        read_raw("amount", raw)
    assert caught.value.field == "amount"
    assert what in caught.value.what
    assert caught.value.value is not None
    assert len(caught.value.value) <= 80


def test_an_amount_that_is_too_large_only_in_the_base_currency_is_refused():
    data = wire(PAYMENT, amount="9000000000000.00")
    with pytest.raises(InvalidTransaction, match="minor units of JPY") as caught:
        decode(data, rates=RateTable("JPY", {"EUR": "163.5"}), now=NOW)
    assert caught.value.field == "amount"


@pytest.mark.parametrize(
    "raw", ["NaN", "Infinity", "-Infinity", "01", "+1", "0.1+", ".5", "1.", "0x10", "1e", "'1'"]
)
def test_what_is_no_json_number_is_a_malformed_record(raw: str):
    with pytest.raises(MalformedRecord, match="not a JSON object"):
        read_raw("amount", raw)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2024-05-01T12:00:00Z", NOW),
        ("2024-05-01t12:00:00z", NOW),
        ("2024-05-01 12:00:00+00:00", NOW),
        ("2024-05-01T17:30:00+05:30", NOW),
        ("2024-05-01T12:00:00.123456789Z", NOW + 123),
        ("1970-01-01T00:00:00Z", 0),
        (NOW + 2 * MINUTE, NOW + 2 * MINUTE),
        (1, 1),
    ],
)
def test_times_in_both_forms(text: object, ms: int):
    assert read(PAYMENT, timestamp=text).timestamp == ms


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("2024-05-01T12:00:00", "no offset"),
        ("2024-05-01", "not a time"),
        ("2024-13-01T12:00:00Z", "not a time"),
        ("2024-02-30T12:00:00Z", "not a time"),
        ("2024-05-01T12:00:60Z", "leap seconds"),
        ("20240501T120000Z", "not a time"),
        ("1714564800000", "not a time"),
        ("9999-12-31T23:59:59Z", "outside the years"),
        ("9999-12-31T23:59:59-23:59", "outside the years"),
        ("0001-01-01T00:00:00+23:59", "not a time|outside"),
        (1_714_564_800, "epoch seconds"),
        (1_714_564_800_000_000, "micro- or nanoseconds"),
        (10**30, "micro- or nanoseconds"),
        (-1, "outside the years"),
        (1714564800000.0, "expected a time"),
        (True, "expected a time"),
        ("2024-05-01T12:02:00.001Z", "2 minutes in the future"),
        ("2024-05-01T14:00:00Z", "2 minutes in the future"),
        ("2" * 1000, "not a time"),
    ],
)
def test_a_time_that_is_none_is_refused_by_name(value: object, what: str):
    found = refusal(PAYMENT, timestamp=value)
    assert found.field == "timestamp"
    assert any(part in found.what for part in what.split("|"))


def test_seconds_by_mistake_are_told_what_they_should_be():
    assert "1714564800000" in refusal(PAYMENT, timestamp=1_714_564_800).remedy


def test_three_clocks_that_are_let_in_make_nobody_late():
    ahead = decode(wire(PAYMENT, timestamp="2024-05-01T12:02:00Z"), rates=RATES, now=NOW).timestamp
    mark = Watermark(WindowConfig().lateness, WindowConfig().horizon)
    for key in range(3):
        mark.observe(ahead, key)
    assert mark.observe(NOW, 3) is Punctuality.ON_TIME


def test_history_has_no_clock_to_be_ahead_of():
    future = wire(PAYMENT, timestamp="2150-01-01T00:00:00Z")
    assert decode(future, rates=RATES, now=None).timestamp > NOW
    with pytest.raises(InvalidTransaction, match="outside the years"):
        decode(wire(PAYMENT, timestamp="9999-01-01T00:00:00Z"), rates=RATES, now=None)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("user-1", "user-1"),
        ("משתמש", "משתמש"),  # right to left
        ("a\u202eb", "a\u202eb"),  # a bidi mark is part of the id
        ("e\u0301", "\u00e9"),  # NFC
        ("two words", "two words"),
        ("😀" * 128, "😀" * 128),
        ("\u03b1\u0313\u0300\u0345" * 128, "\u1f82" * 128),
    ],
)
def test_ids_are_kept_in_nfc(given: str, kept: str):
    assert read(PAYMENT, user_id=given).user_id == kept


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("", "empty"),
        ("x" * 129, "longer than 128"),
        ("x" * 100_000, "longer than 128"),
        ("\u03b1\u0313\u0300\u0345" * 129, "longer than 128"),  # four make one
        ("a\x00b", "control"),
        ("a\nb", "control"),
        ("a\u2028b", "control"),
        (" a", "white space"),
        ("a\u00a0", "white space"),
        (7, "expected a string"),
        (["a"], "expected a string"),
    ],
)
def test_an_id_that_is_none_is_refused_by_name(value: object, what: str):
    found = refusal(PAYMENT, user_id=value)
    assert found.field == "user_id"
    assert what in found.what


def test_a_number_as_id_is_told_to_be_a_string():
    assert '"42"' in refusal(PAYMENT, user_id=42).remedy


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_ip_addresses_are_normalised(given: str, kept: str):
    assert read(PAYMENT, ip_address=given).ip_address == kept


@pytest.mark.parametrize(
    "value",
    ["192.0.2.256", "192.0.2", "192.0.2.1:80", "192.0.2.01", "fe80::1%eth0", "10.0.0.0/8", "x", ""],
)
def test_an_ip_address_that_is_none_is_refused(value: str):
    assert refusal(PAYMENT, ip_address=value).field == "ip_address"


CARD_NUMBERS = [
    "4111111111111111",
    "4111 1111 1111 1111",
    "5500-0000-0000-0004",
    "378282246310005",
    "30569309025904",
    "4222222222222",
    "6304000000000000000",
    "\uff14111111111111111",
]


@pytest.mark.parametrize("number", CARD_NUMBERS)
def test_a_card_number_is_refused_and_never_shown(number: str):
    found = refusal(PAYMENT, card_id=number)
    assert found.field == "card_id"
    assert "raw card number" in found.what
    assert number not in str(found)
    assert number[:8] not in f"{found}{found.problems}"


@pytest.mark.parametrize("token", ["tok_4111111111111111", "4111111111111112", "12345", "abc"])
def test_a_card_token_is_accepted(token: str):
    assert read(PAYMENT, card_id=token).card_id == token


@pytest.mark.parametrize("field", ["country", "amount", "timestamp", "ip_address", "channel"])
def test_a_card_number_in_a_wrong_field_is_not_shown_either(field: str):
    found = refusal(PAYMENT, **{field: "my card: 4111 1111 1111 1111" + "!" * 60})
    assert "4111" not in f"{found}{found.problems}"


def test_a_card_number_in_broken_json_is_not_shown():
    with pytest.raises(MalformedRecord) as caught:
        decode(b'{"card_id": "4111111111111111", ', rates=RATES, now=NOW)
    assert "4111" not in str(caught.value)


def test_a_card_number_in_an_unknown_card_field_is_refused():
    found = refusal(PAYMENT, cardNumber="4111111111111111")
    assert found.field == "cardNumber"
    assert "4111" not in str(found)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("52.52,13.40", Location("52.52,13.40", 52.52, 13.40)),
        ("-90, 180", Location("-90, 180", -90.0, 180.0)),
        ({"lat": 52.5, "lon": -13}, Location("52.5,-13", 52.5, -13.0)),
        ("Berlin, Mitte", Location("Berlin, Mitte")),
    ],
)
def test_locations(value: object, place: Location):
    assert read(PAYMENT, location=value).location == place


@pytest.mark.parametrize(
    "value",
    [
        "91,0",
        "0,181",
        {"lat": 1},
        {"lat": "1", "lon": 2},
        {"lat": 1, "lon": 2, "x": 3},
        5,
        "",
        "a\x07",
    ],
)
def test_a_location_that_is_none_is_refused(value: object):
    assert refusal(PAYMENT, location=value).field == "location"


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("type", "Payment", "payment"),
        ("outcome", "authorized", "authorised"),
        ("currency", "eur", "EUR"),
        ("currency", "EURO", "EUR"),
        ("country", "DEU", "two letters"),
        ("channel", "x" * 65, "64"),
    ],
)
def test_a_near_miss_is_told_the_right_value(field: str, value: str, remedy: str):
    found = refusal(PAYMENT, **{field: value})
    assert (found.field, remedy in found.remedy) == (field, True)


def test_a_currency_without_a_rate_names_the_base_and_those_that_have_one():
    found = refusal(PAYMENT, currency="GBP")
    assert found.field == "currency"
    assert "EUR" in found.what
    assert all(code in found.remedy for code in RATES.currencies)


@pytest.mark.parametrize(
    ("kind", "counterparty", "merchant", "wrong"),
    [
        ("payment", None, "m", None),
        ("payment", None, None, "merchant_id"),
        ("payment", "u2", "m", "counterparty_id"),
        ("transfer", "u2", None, None),
        ("transfer", None, None, "counterparty_id"),
        ("transfer", "u2", "m", "merchant_id"),
        ("transfer", "u1", None, "counterparty_id"),
        ("refund", None, "m", None),
        ("refund", "u2", None, None),
        ("refund", "u2", "m", "counterparty_id"),
        ("refund", None, None, "counterparty_id"),
        ("refund", "u1", None, "counterparty_id"),
        ("withdrawal", None, None, None),
        ("withdrawal", None, "m", None),
        ("withdrawal", "u2", None, "counterparty_id"),
        ("deposit", None, None, None),
        ("deposit", None, "m", None),
        ("deposit", "u2", None, "counterparty_id"),
    ],
)
def test_who_takes_part(
    kind: str, counterparty: str | None, merchant: str | None, wrong: str | None
):
    changes = {"type": kind, "counterparty_id": counterparty, "merchant_id": merchant}
    if wrong is None:
        assert read(PAYMENT, **changes).type.value == kind
    else:
        assert refusal(PAYMENT, **changes).field == wrong


def test_an_account_opened_after_the_transaction_is_refused():
    assert read(PAYMENT, user_created_at=NOW + DAY).user_created_at == NOW + DAY
    assert refusal(PAYMENT, user_created_at=NOW + DAY + 1).field == "user_created_at"


def test_all_problems_of_a_record_are_named_in_the_order_of_the_fields():
    found = refusal(
        {"user_id": "", "timestamp": 1_714_564_800, "type": "gift", "currency": "XXX", "amount": 1}
    )
    named = [problem.field for problem in found.problems]
    assert named == ["transaction_id", "timestamp", "type", "currency", "user_id"]
    assert all(problem.remedy for problem in found.problems)
    assert "also wrong: timestamp, type, currency, user_id" in str(found)


def test_an_empty_object_names_every_required_field():
    found = refusal({})
    assert [problem.field for problem in found.problems] == list(codec.REQUIRED)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"{}{}",
        b"\xff\xfe",
        b'{"a": "\xff"}',
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": "\\ud800"}',
        b'{"a": 1,}',
        b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_not_one_json_object_is_malformed(data: bytes):
    with pytest.raises(MalformedRecord) as caught:
        decode(data, rates=RATES, now=NOW)
    assert caught.value.http_status == 400
    assert caught.value.remedy


@pytest.mark.parametrize(
    "data",
    [
        b'{"user_id": "a", "user_id": "b"}',
        b'{"user_id": "a", "user\\u005fid": "b"}',
        b'{"x": {"y": 1, "y": 1}}',
        b'{"x": [{"y": 1, "y": 2}], "z": "::"}',
        b'{"x": 1, "note": "escaped \\u003a colon", "x": 2}',
    ],
)
def test_a_key_that_occurs_twice_is_refused_at_any_depth(data: bytes):
    with pytest.raises(MalformedRecord, match="occurs twice"):
        decode(data, rates=RATES, now=NOW)


def test_colons_and_escapes_are_no_repeated_keys():
    assert read(PAYMENT, note='a:b "c\\": d', **{"x:y": {"a": {"a": ":"}}}).attributes["note"]


def test_a_record_over_the_limit_is_not_parsed():
    with pytest.raises(RecordTooLarge) as caught:
        decode(b" " * (codec.LARGEST_RECORD + 1), rates=RATES, now=NOW)
    assert caught.value.http_status == 413
    with pytest.raises(RecordTooLarge, match="at most 10 bytes"):
        decode(wire(PAYMENT), rates=RATES, now=NOW, largest=10)


@pytest.mark.parametrize(
    ("unknown", "field"),
    [
        ({f"f{n}": n for n in range(65)}, "attributes"),
        ({"blob": "x" * attributes.LARGEST}, "attributes"),
        ({"deep": [[[[[1]]]]]}, "deep"),
        ({"n" * 65: 1}, "attributes"),
        ({"a\nb": 1}, "attributes"),
        ({"": 1}, "attributes"),
    ],
)
def test_unknown_fields_are_bounded(unknown: dict[str, object], field: str):
    assert refusal(PAYMENT, **unknown).field == field


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("u1", {"u1"}),
        ("2001:DB8:0::1", {"2001:DB8:0::1", "2001:db8::1"}),
        ("Jose\N{COMBINING ACUTE ACCENT}", {"Jose\N{COMBINING ACUTE ACCENT}", "Jos\xe9"}),
        ("\x00", {"\x00"}),
    ],
)
def test_what_somebody_calls_an_entity_may_be_several_ids(text: str, ids: set[str]):
    assert fields.possible_ids(text) == ids


@pytest.mark.parametrize(
    "unknown",
    [
        {"card_nr": 4111111111111111},
        {"Card": {"number": "4111 1111 1111 1111"}},
        {"paid": [{"card": ["4111111111111111"]}]},
        {"raw": {"cardholder": {"pan": 4111111111111111}}},
        {"card_nr": 4111111111111111.0},
        {"cards": {"4111111111111111": 1}},
    ],
)
def test_a_card_number_is_noticed_as_a_number_and_however_deep(unknown: dict[str, object]):
    found = refusal(PAYMENT, **unknown)
    assert (found.field, found.value) == (next(iter(unknown)), None)
    assert "raw card number" in str(found)
    assert "4111" not in str(found)


@pytest.mark.parametrize(
    "unknown",
    [{"card_kind": 1}, {"card": {"last": "1111"}}, {"n": 10**400}, {"card_fee": 1.5}],
)
def test_what_is_no_card_number_is_kept(unknown: dict[str, object]):
    assert decode(wire({**PAYMENT, **unknown}), rates=RATES, now=NOW).attributes == unknown


def test_of_many_problems_some_are_told_and_that_there_are_more():
    cards = {f"a_card_{n:05}": "4111111111111111" for n in range(10_000)}
    found = refusal(PAYMENT, amount="-1", **cards)
    assert [problem.field for problem in found.problems[:3]] == [
        "amount",
        "attributes",
        "a_card_00000",
    ]
    assert found.problems[1].value == "10000"
    assert len(found.problems) == codec.MOST_PROBLEMS
    assert found.what.endswith(", a_card_00017, and more")
    few = refusal(PAYMENT, **{f"card{n}": "4111111111111111" for n in range(20)})
    assert len(few.problems) == codec.MOST_PROBLEMS
    assert "more" not in few.what


def test_unknown_numbers_are_kept_exactly():
    data = wire(PAYMENT)[:-1] + b', "rate": 0.10000000000000000000001, "big": 18446744073709551617}'
    found = decode(data, rates=RATES, now=NOW)
    assert b'"rate":0.10000000000000000000001' in encode(found)
    assert b'"big":18446744073709551617' in encode(found)


def test_the_canonical_form_does_not_depend_on_the_order_of_what_came():
    fields = {**TRANSFER, "b": {"y": 1, "x": 2}, "a": 1}
    backwards = dict(reversed(fields.items()))
    assert encode(read(fields)) == encode(read(backwards))
    assert encode(read(TRANSFER)) == (
        b'{"amount":"12.50","counterparty_id":"u2","currency":"EUR",'
        b'"timestamp":"2024-05-01T12:00:00.000Z","transaction_id":"t1","type":"transfer",'
        b'"user_id":"u1"}'
    )


def test_the_value_follows_from_the_rates_at_hand():
    sent = read(PAYMENT, currency="USD")
    again = decode(encode(sent), rates=RateTable("USD"), now=None)
    assert (sent.value, again.value) == (1150, 1250)
    assert structs.replace(again, value=1150) == sent


def test_every_refusal_is_an_invalid_input_with_a_code_of_its_own():
    leaves = (InvalidTransaction, MalformedRecord, RecordTooLarge)
    assert all(issubclass(leaf, InvalidInput) for leaf in leaves)
    assert len({leaf.code for leaf in leaves} | {InvalidInput.code}) == 4


def test_the_page_says_what_the_code_does():
    assert transaction_doc.PAGE.read_text(encoding="utf-8") == transaction_doc.page(), (
        "run: python -m ingest.transaction_doc --write"
    )


def test_the_page_lists_every_field_once():
    page = transaction_doc.page()
    assert all(page.count(f"\n| `{field}` |") == 1 for field in codec.FIELDS)


def test_the_module_prints_the_page():
    ran = subprocess.run(
        [sys.executable, "-m", "ingest.transaction_doc"],
        cwd=Path(transaction_doc.__file__).parent.parent,
        capture_output=True,
        check=True,
    )
    assert ran.stdout.decode() == transaction_doc.page()
