"""Scoring over HTTP: verdicts, batches, what was sent before."""

import json

import pytest

from api import schemas
from tests.over_http import NOW, fits, problem, transfer


def test_a_verdict_fits_its_schema_and_says_what_is_missing(client):
    sent = fits(schemas.VerdictOut, client.post("/v1/score", json=transfer(transaction_id="v1")))
    assert sent["transaction_id"] == "v1"
    assert sent["degraded"] == ["model"]
    assert sent["tiers"] == ["rules", "graph"]


def test_the_transaction_that_closes_a_cycle_gets_the_witness(client):
    # Sent again: the verdict is the one it got then.
    body = transfer(
        transaction_id="c2",
        timestamp=NOW + 2 * 600_000,
        user_id="u3",
        counterparty_id="u1",
        amount="4800.00",
        device_id="d-u3",
    )
    sent = fits(schemas.VerdictOut, client.post("/v1/score", json=body))
    (cycle,) = [each for each in sent["evidence"] if each["pattern"] == "cycle"]
    assert [hop["transaction_id"] for hop in cycle["hops"]] == ["c0", "c1", "c2"]
    assert cycle["hops"][0]["money"] == {
        "minor": 521000, "currency": "EUR", "decimals": 2, "text": "€5,210.00"
    }  # fmt: skip
    assert sent["rings"]


def test_a_transaction_sent_twice_is_one_transaction(client):
    body = transfer(transaction_id="twice", timestamp=NOW + 2_000_000)
    first, second = (client.post("/v1/score", json=body) for _ in range(2))
    assert first.content == second.content


@pytest.mark.parametrize("amount", ["0.1", "0.10", 0.1])
def test_amounts_are_exact_however_they_are_written(client, amount):
    body = json.dumps(transfer(transaction_id=f"exact-{amount!r}", amount=amount))
    headers = {"content-type": "application/json; charset=utf-8"}
    fits(schemas.VerdictOut, client.post("/v1/score", content=body, headers=headers))


def test_a_batch_answers_each_by_itself_in_order(client):
    items = [transfer(transaction_id="b1"), {}, 5, transfer(transaction_id="b2", currency="XXX")]
    sent = fits(schemas.BatchOut, client.post("/v1/score/batch", json=items))
    verdicts = [each["verdict"] and each["verdict"]["transaction_id"] for each in sent["results"]]
    assert verdicts == ["b1", None, None, None]
    codes = [each["problem"] and each["problem"]["code"] for each in sent["results"]]
    assert codes == [None, "invalid-transaction", "malformed-record", "invalid-transaction"]


def test_a_batch_and_one_by_one_give_the_same_verdicts(client):
    items = [transfer(transaction_id=f"same{n}", user_id=f"s{n}") for n in range(5)]
    sent = client.post("/v1/score/batch", json=items).json()["results"]
    again = [client.post("/v1/score", json=each).json() for each in items]
    assert [each["verdict"] for each in sent] == again


@pytest.mark.parametrize("body", [b"[]", b"{}", b"[" + b"{}," * 50 + b"{}]", b"[", b"[" * 100_000])
def test_a_batch_that_is_none_is_refused_as_a_whole(client, body):
    headers = {"content-type": "application/json"}
    problem(client.post("/v1/score/batch", content=body, headers=headers), 400, "invalid-body")
