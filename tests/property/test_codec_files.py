"""Law: a file in our own form reads as the codec reads the same records from the wire."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from graph.errors import InvalidInput
from graph.transaction import Transaction
from ingest import codec
from ingest.datasets import read
from ingest.mapping import load_mapping

OURS = load_mapping("ringfence")
RATES = OURS.rate_table
VALUES: dict[str, list[Any]] = {
    "transaction_id": ["t1", "e\u0301", "007", "", " x"],
    "timestamp": [
        "2024-05-01T14:00:00.5+02:00",
        1_714_564_800_000,
        "2024-05-01T12:00:00",
        1_714_564_800,
        5,
    ],
    "type": ["payment", "transfer", "deposit", "refund", "withdrawal", "gift"],
    "amount": ["12.50", "0", 12, "12.505", "-1", "1e3", "99999999999999"],
    "currency": ["EUR", "USD", "JPY", "eur"],
    "user_id": ["u1", "e\u0301", "\u00e9", "a\u202eb", "9" * 129],
    "counterparty_id": [None, "u2", "e\u0301", "\u00e9", "u1"],
    "merchant_id": [None, "m1", ""],
    "ip_address": ["192.0.2.1", "::ffff:192.0.2.1", "2001:DB8::1", "x"],
    "card_id": ["tok", "4111111111111111", "4111111111111112"],
    "country": ["DE", "de", "DEU"],
    "location": ["52.5,13.4", "91,0", "Berlin", {"lat": 1, "lon": -2}],
    "outcome": ["declined", "authorised", "refused"],
    "user_created_at": ["1950-01-01T00:00:00Z", "2025-01-01T00:00:00Z"],
}
VALID: list[dict[str, Any]] = [
    {
        "transaction_id": "t1",
        "timestamp": 1_714_564_800_000,
        "amount": "12.50",
        "currency": "EUR",
        "user_id": "u1",
        **parties,
    }
    for parties in (
        {"type": "payment", "merchant_id": "m1"},
        {"type": "transfer", "counterparty_id": "u2"},
        {"type": "deposit"},
    )
]
changes = st.sampled_from(sorted(VALUES)).flatmap(
    lambda name: st.tuples(st.just(name), st.sampled_from(VALUES[name]))
)
records = st.builds(
    lambda valid, changed: {**valid, **dict(changed)},
    st.sampled_from(VALID),
    st.lists(changes, max_size=5),
)


def from_wire(record: dict[str, Any]) -> Transaction | str | None:
    assert RATES is not None
    try:
        return codec.decode(json.dumps(record).encode(), rates=RATES, now=None)
    except InvalidInput as error:
        return error.code


def from_file(record: dict[str, Any]) -> Transaction | str | None:
    labels = {"fraud": None, "label_known_at": None}
    with TemporaryDirectory() as folder:
        Path(folder, "transactions.jsonl").write_text(json.dumps({**record, **labels}))
        try:
            (found,) = read(Path(folder), OURS)
        except InvalidInput as error:
            return error.code
        return found.transaction


@given(records)
def test_a_record_means_the_same_in_a_file_and_on_the_wire(record: dict[str, Any]):
    wire, file = from_wire(record), from_file(record)
    if isinstance(wire, str):
        assert (wire, file) == ("invalid-transaction", "invalid-dataset")
    else:
        assert file == wire
