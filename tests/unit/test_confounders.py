"""Shuffled edges: the same people, moments, sums and labels, and nobody knows anybody."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from graph.transaction import DAY, Transaction
from scorer import confounders
from scorer.confounders import shuffle_edges
from scorer.history import LabelledTransaction
from tests.oracles.streams import money_streams, transaction

TEMPLATE = transaction(0, 0, "u1", "u2", 100)
DEALT = ("counterparty_id", "merchant_id", "device_id", "ip_address", "card_id")


def history(stream: list[Transaction], seed: int) -> list[LabelledTransaction]:
    return [
        LabelledTransaction(
            structs.replace(
                tx,
                timestamp=tx.timestamp + (number * DAY // 10),
                device_id=None if number % 3 == seed % 3 else f"d{number % 7}",
                card_id=f"c{number % 5}" if number % 2 else None,
            ),
            number % 4 == 0,
            tx.timestamp,
            f"r{number % 4}" if number % 4 == 0 else None,
        )
        for number, tx in enumerate(stream)
    ]


def dealt_out(items: list[LabelledTransaction], name: str) -> Counter[tuple[int, str, str]]:
    return Counter(
        (tx.timestamp // DAY, tx.type.value, getattr(tx, name))
        for tx in (item.transaction for item in items)
        if getattr(tx, name) is not None
    )


@settings(max_examples=50, deadline=None)
@given(money_streams(most=60), st.integers(0, 100))
def test_edges_are_dealt_out_among_their_type_and_day_and_all_else_stays(
    stream: list[Transaction], seed: int
) -> None:
    before = history(stream, seed)
    after = list(shuffle_edges(before, seed))
    assert list(shuffle_edges(before, seed)) == after
    bare = dict.fromkeys(DEALT)
    for one, other in zip(before, after, strict=True):
        assert (one.fraud, one.known_at, one.ring_id) == (
            other.fraud,
            other.known_at,
            other.ring_id,
        )
        assert structs.replace(one.transaction, **bare) == structs.replace(
            other.transaction, **bare
        )
        for name in DEALT:
            kept = [getattr(item.transaction, name) is None for item in (one, other)]
            assert kept[0] == kept[1]
    for name in DEALT:
        assert dealt_out(before, name) == dealt_out(after, name)


def test_nobody_pays_himself_where_that_can_be_avoided() -> None:
    values, payers = ["a", "b", "c", "a"], ["a", "b", "c", "d"]
    confounders._nobody_pays_himself(values, payers)
    assert sorted(values) == ["a", "a", "b", "c"]
    assert all(payee != payer for payee, payer in zip(values, payers, strict=True))
    alone = ["a"]
    confounders._nobody_pays_himself(alone, ["a"])
    assert alone == ["a"]


def test_a_day_that_is_too_long_is_dealt_out_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confounders, "MOST_A_DAY", 10)
    stream = [
        structs.replace(TEMPLATE, transaction_id=f"t{n}", device_id=f"d{n}") for n in range(25)
    ]
    after = list(shuffle_edges(map(LabelledTransaction, stream), 0))
    devices = [item.transaction.device_id for item in after]
    assert devices != [tx.device_id for tx in stream]
    for start in (0, 10, 20):
        part = slice(start, start + 10)
        assert sorted(devices[part]) == sorted(tx.device_id for tx in stream[part])
