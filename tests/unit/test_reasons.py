import math

import numpy as np
import pytest
import xgboost

from graph.evidence import Evidence, Hop, Pattern, Role
from graph.rings import Ring, RingState
from graph.transaction import Entity, EntityKind, Money, Transaction, TransactionType
from scorer.booster import Booster
from scorer.ports import FeatureSchema
from scorer.reasons import MOST, FamilyShare, family_shares, reasons
from scorer.verdict import Standing

ALICE, BOB = Entity(EntityKind.USER, "alice"), Entity(EntityKind.USER, "bob")
PHONE = Entity(EntityKind.DEVICE, "phone")
TX = Transaction(
    "t1", 1_000, TransactionType.TRANSFER, Money(500, "EUR"), 500, "alice", "bob", device_id="phone"
)


def piece(pattern=Pattern.CYCLE, strength=0.5, witness=("t0", "t1"), members=(ALICE, BOB)):
    hops = tuple(Hop(name, ALICE, BOB, 500, 1_000) for name in witness)
    return Evidence(
        pattern, 1_000, tuple((e, Role.MEMBER) for e in members), hops, strength, f"{pattern} seen."
    )


def ring(evidence=(), transactions=(), score=0.8, ring_id="r1", members=(BOB, PHONE)):
    return Ring(
        ring_id,
        1,
        RingState.ACTIVE,
        0,
        1_000,
        tuple((entity, Role.MEMBER) for entity in members),
        (Pattern.CYCLE, Pattern.FAN_IN),
        score,
        1_000,
        tuple(transactions),
        tuple(evidence),
    )


def test_nothing_seen_gives_no_reasons():
    assert reasons(TX, (), ()) == ()


def test_a_witness_did_it_and_the_reason_points_at_evidence_and_ring():
    seen = piece()
    (reason,) = reasons(TX, (seen,), (ring((seen.evidence_id,), ("t0", "t1")),))
    assert reason.standing is Standing.DID
    assert (reason.code, reason.text) == ("cycle", "cycle seen.")
    assert (reason.evidence_id, reason.ring_id) == (seen.evidence_id, "r1")
    assert reason.weight == pytest.approx(math.log(2))


def test_a_transaction_that_only_touches_a_ring_is_connected():
    (reason,) = reasons(TX, (), (ring(transactions=("t0",)),))
    assert reason.standing is Standing.CONNECTED
    assert reason.ring_id == "r1"
    assert reason.text == (
        "It is connected to ring r1 of 2 members through user:bob, device:phone (cycle, fan-in)."
    )


def test_evidence_of_others_is_a_connection():
    (reason,) = reasons(TX, (piece(witness=("t8", "t9")),), ())
    assert reason.standing is Standing.CONNECTED


def test_identity_evidence_without_hops_is_a_deed_of_its_members():
    (did,) = reasons(TX, (piece(Pattern.SHARED_DEVICE, witness=(), members=(PHONE, ALICE)),), ())
    assert did.standing is Standing.DID
    stranger = Entity(EntityKind.USER, "stranger")
    (other,) = reasons(TX, (piece(Pattern.SHARED_DEVICE, witness=(), members=(stranger,)),), ())
    assert other.standing is Standing.CONNECTED


def test_the_strongest_comes_first_and_a_block_before_all():
    weak, strong = piece(strength=0.2), piece(Pattern.MULE, strength=1.0)
    blocked = piece(Pattern.BLOCKED, strength=0.1, witness=(), members=(PHONE,))
    share = FamilyShare("velocity", 1.0, "count_1h", 12.0, connection=False)
    found = reasons(TX, (weak, strong, blocked), (), (share,))
    assert [reason.code for reason in found] == ["blocked", "mule", "model_velocity", "cycle"]
    assert found[2].text == "The pace is unusual: count 1h is 12."


def test_a_family_about_others_is_a_connection_and_an_unknown_value_is_said():
    share = FamilyShare("gravity", 1.0, "pull", float("nan"), connection=True)
    (reason,) = reasons(TX, (), (), (share,))
    assert reason.standing is Standing.CONNECTED
    assert reason.text == "Its gravity speaks for fraud: pull is not known."


def test_there_are_ten_at_most_and_their_order_does_not_depend_on_the_input_order():
    pieces = [piece(witness=(f"t{i}", "t1")) for i in range(15)]
    found = reasons(TX, pieces, ())
    assert len(found) == MOST
    assert found == reasons(TX, pieces[::-1], ())


def test_family_shares_sum_their_features_and_leave_out_what_speaks_against_fraud():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3_000, 4)).astype(np.float32)
    y = x[:, 0] + x[:, 1] + 0.5 * x[:, 3] > 2.0
    trained = xgboost.train(
        {"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(x, label=y), 30
    )
    booster = Booster.from_json(bytes(trained.save_raw("json")), ("a", "b", "c", "d"))
    schema = FeatureSchema(
        ("a", "b", "c", "d"),
        ("amount", "amount", "noise", "ring"),
        connection_families=frozenset({"ring"}),
    )
    row = np.array([2.5, 1.0, 0.0, 2.0], dtype=np.float32)
    parts, _ = booster.contributions(row)
    shares = family_shares(booster, schema, row)
    by_family = {share.family: share for share in shares}
    assert by_family["amount"].weight == pytest.approx(parts[0] + parts[1])
    assert by_family["amount"].feature == "a"
    assert by_family["amount"].value == 2.5
    assert by_family["ring"].connection
    assert not by_family["amount"].connection
    assert [s.weight for s in shares] == sorted((s.weight for s in shares), reverse=True)
    against = family_shares(booster, schema, np.array([-2, -2, 0, -2], dtype=np.float32))
    assert "amount" not in {share.family for share in against}
