"""Rows by typology and by look-alike, against small worlds whose figures are known."""

import pytest

from graph.evidence import Pattern, Role
from graph.rings import Ring, RingState
from graph.transaction import MINUTE, Entity, EntityKind
from scorer.ground_truth import LookAlike, RingFacts
from scorer.look_alikes import look_alike_figures
from scorer.ring_matching import DetectedRing, RingMatch, TrueRing
from scorer.typology_figures import UNKNOWN, kind_of, typology_figures


def users(names):
    return {Entity(EntityKind.USER, name) for name in names}


def found(ring_id, names, pattern, at=0, witness=()):
    members = tuple((entity, Role.MEMBER) for entity in sorted(users(names)))
    stands = Ring(
        ring_id, 1, RingState.ACTIVE, 0, at, members, (pattern,), 0.5, 1, tuple(witness), ()
    )
    return DetectedRing(stands, at, [(at, tuple(witness))])


def truth(ring_id, names, times=(0, MINUTE), values=(40, 60)):
    return TrueRing(ring_id, users(names), list(times), list(values))


FACTS = {
    "c1": RingFacts("cycle"),
    "c2": RingFacts("cycle", "split"),
    "m1": RingFacts("mule", "delayed"),
}


def test_rows_are_of_the_rings_of_their_kind_and_variant():
    true = [truth("c1", "abc"), truth("c2", "def"), truth("m1", "ghi"), truth("x", "jkl")]
    detected = [
        found("d1", "abcz", Pattern.CYCLE),
        found("d2", "gh", Pattern.FAN_IN, at=MINUTE),  # found for another reason, still that ring
        found("d3", "pqr", Pattern.PING_PONG),
        found("d4", "stu", Pattern.FAN_OUT),
    ]
    figures = typology_figures(RingMatch.of(detected, true), FACTS)
    cycle, mule = figures["kinds"]["cycle"], figures["kinds"]["mule"]
    assert (cycle["true"], cycle["matched"], cycle["recall"]) == (2, 1, 0.5)
    assert (cycle["false"], cycle["false_per_10_true"]) == (1, 5.0)  # the ping-pong
    assert (cycle["member_precision"], cycle["member_recall"]) == (0.75, 1.0)
    assert set(cycle["variants"]) == {"plain", "split"}
    assert cycle["variants"]["plain"]["recall"] == 1.0
    assert cycle["variants"]["split"]["recall"] == 0.0
    assert cycle["variants"]["split"]["delay"] is None
    assert (mule["true"], mule["matched"], mule["false"]) == (1, 1, 0)
    assert mule["member_recall"] == pytest.approx(2 / 3)
    assert mule["delay"] == {"minutes": 1.0, "transactions": 2.0, "money_gone": 1.0}
    # No ring of the data is a fan, and one ring is of a kind that nobody named.
    assert figures["kinds"]["fan_out"] == {
        "true": 0,
        "matched": 0,
        "recall": None,
        "member_precision": None,
        "member_recall": None,
        "delay": None,
        "false": 1,
        "false_per_10_true": None,
        "variants": {},
    }
    assert figures["kinds"][UNKNOWN]["true"] == 1
    assert list(figures["variants"]) == ["plain", "delayed", "split"]
    assert figures["variants"]["plain"]["true"] == 2
    assert sum(row["false"] for row in figures["kinds"].values()) == 2


def test_a_pattern_speaks_of_the_kind_of_its_name_or_the_nearest_there_is():
    assert kind_of(Pattern.SHARED_DEVICE, frozenset({"identity", "cycle"})) == "identity"
    both = frozenset({"device_farm", "synthetic_identity"})
    assert kind_of(Pattern.SHARED_DEVICE, both) == "device_farm"
    assert kind_of(Pattern.SHARED_DEVICE, frozenset({"shared_device"})) == "shared_device"
    assert kind_of(Pattern.MULE, frozenset()) == "mule"
    assert kind_of(None, frozenset({"mule"})) == UNKNOWN


def test_a_group_is_alerted_when_half_of_it_is_a_witness_or_any_is_declined():
    groups = [
        LookAlike("payroll", ("p1", "p2", "p3", "p4")),  # half in one ring's witness
        LookAlike("payroll", ("q1", "q2", "q3", "q4")),  # half in two rings' witnesses
        LookAlike("rent", ("r1", "r2", "r3")),  # one declined
        LookAlike("rent", ("s1", "s2", "past")),  # two of its judged two in a witness
        LookAlike("rent", ("t1", "past2")),  # only one of it was judged: no group any more
        LookAlike("phone", ("u1",)),  # one, but that is all of it
        LookAlike("club", ("past3", "past4")),
    ]
    rings = [
        found("a", "xy", Pattern.CYCLE, at=100, witness=["p1", "p2", "q1", "s1", "s2", "t1"]),
        found("b", "yz", Pattern.CYCLE, at=100, witness=["q2"]),
        found("c", "yz", Pattern.CYCLE, at=10, witness=["u1", "q1", "q2"]),  # before the test
    ]
    judged = {"p1", "p2", "p3", "p4", "q1", "q2", "q3", "q4", "r1", "r2", "r3", "s1", "s2"}
    figures = look_alike_figures(groups, rings, 50, judged | {"t1", "u1"}, {"r3", "p1"})
    assert figures["kinds"] == {
        "payroll": {
            "groups": 2,
            "transactions": 8,
            "alerted": 1,
            "by_ring": 1,
            "by_decline": 1,
            "per_thousand": 500.0,
        },
        "phone": {
            "groups": 1,
            "transactions": 1,
            "alerted": 0,
            "by_ring": 0,
            "by_decline": 0,
            "per_thousand": 0.0,
        },
        "rent": {
            "groups": 2,
            "transactions": 5,
            "alerted": 2,
            "by_ring": 1,
            "by_decline": 1,
            "per_thousand": 1000.0,
        },
    }
    assert "half" in figures["rule"]
