import itertools

import numpy as np
import pytest
from msgspec.structs import replace

from graph.evidence import Evidence, Pattern, Role
from graph.rings import Alert, Ring, RingEvent, RingEventKind, RingState
from graph.transaction import MINUTE, Entity, EntityKind, Money, Transaction, TransactionType
from scorer.ring_matching import (
    ENOUGH,
    DetectedRing,
    RingLedger,
    RingMatch,
    TrueRing,
    alert_figures,
    jaccard,
    match_rings,
    ring_figures,
)


def users(names):
    return {Entity(EntityKind.USER, name) for name in names}


def ring(ring_id, names, changed_at=0, devices=()):
    members = [(entity, Role.MEMBER) for entity in sorted(users(names))]
    members += [(Entity(EntityKind.DEVICE, name), Role.SHARED) for name in devices]
    return Ring(
        ring_id,
        1,
        RingState.ACTIVE,
        0,
        changed_at,
        tuple(members),
        (Pattern.CYCLE,),
        0.5,
        1,
        (),
        (),
    )


def alert(ring_id):
    return Alert(f"a-{ring_id}", ring_id, 1, 0, "", 0.5, 1, 3, (), "p")


def found(ring_id, names, at=0):
    return DetectedRing(ring(ring_id, names), at)


def truth(ring_id, names, times=(0,), values=(100,)):
    return TrueRing(ring_id, users(names), list(times), list(values))


def test_a_false_ring_of_before_is_not_told_in_the_test_because_it_ends_there():
    ledger = RingLedger()
    wrong, right = ring("w", "abc", 1), ring("r", "xyz", 9)
    ledger.note([RingEvent(RingEventKind.BORN, 1, wrong, alert=alert("w"))])
    ledger.note([RingEvent(RingEventKind.BORN, 9, right, alert=alert("r"))])
    quiet = replace(wrong, state=RingState.QUIET, changed_at=7)
    ledger.note([RingEvent(RingEventKind.QUIET, 7, quiet)])
    ended = replace(wrong, state=RingState.EXPIRED, changed_at=8, members=())
    ledger.note([RingEvent(RingEventKind.EXPIRED, 8, ended)])
    match = RingMatch.since(5, ledger, [truth("t", "xyz", (9,))])
    assert [each.ring.ring_id for each in match.told] == ["r"]
    assert (match.false, ring_figures(match)["precision"]) == ([], 1.0)
    assert [each.ring.ring_id for each in RingMatch.since(0, ledger, []).false] == ["r", "w"]


def test_half_of_the_members_in_common_is_enough_and_less_is_not():
    assert len(match_rings([found("d", "abc")], [truth("t", "abcdef")])) == 1
    assert match_rings([found("d", "abc")], [truth("t", "abcdefg")]) == []


def test_one_swallowing_ring_and_ten_crumbs_earn_one_match_each():
    swallowed = [found("d", "abcdef")]
    assert len(match_rings(swallowed, [truth("t1", "abcd"), truth("t2", "abcdef")])) == 1
    crumbs = [found("d1", "abc"), found("d2", "abcd"), found("d3", "bcd")]
    ((best, _),) = match_rings(crumbs, [truth("t", "abcd")])
    assert best.ring.ring_id == "d2"


def test_devices_do_not_count_as_members():
    with_devices = DetectedRing(ring("d", "ab", devices=("d1", "d2", "d3")), 0)
    assert len(match_rings([with_devices], [truth("t", "ab")])) == 1


@pytest.mark.parametrize("seed", range(30))
def test_no_assignment_matches_more_rings(seed):
    rng = np.random.default_rng(seed)
    names = np.array(list("abcdefgh"))
    detected = [
        found(f"d{i}", rng.choice(names, rng.integers(2, 6), replace=False)) for i in range(4)
    ]
    true = [truth(f"t{i}", rng.choice(names, rng.integers(2, 6), replace=False)) for i in range(4)]
    fits = [[jaccard(d.members, t.members) >= ENOUGH for t in true] for d in detected]
    best = max(
        sum(fits[d][t] for d, t in enumerate(order)) for order in itertools.permutations(range(4))
    )
    assert len(match_rings(detected, true)) == best


def test_the_figures_count_alerted_rings_and_measure_the_delay():
    true = [
        truth(
            "t1", "abc", times=(0, 10 * MINUTE, 20 * MINUTE, 30 * MINUTE), values=(10, 20, 30, 40)
        ),
        truth("t2", "xyz"),
    ]
    detected = [
        found("d1", "abcd", at=20 * MINUTE),
        found("d2", "mno", at=5),
        DetectedRing(ring("d3", "xyz"), None),
    ]
    figures = ring_figures(RingMatch.of(detected, true))
    assert figures == {
        "true": 2,
        "detected": 3,
        "alerted": 2,
        "matched": 1,
        "false": 1,
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "precision_of_strongest": 0.5,
        "member_precision": 0.75,
        "member_recall": 1.0,
        "delay": {"minutes": 20.0, "transactions": 3.0, "money_gone": 0.6},
    }


def test_figures_of_nothing_are_none_not_zero():
    figures = ring_figures(RingMatch.of([], []))
    assert figures["precision"] is None
    assert figures["recall"] is None
    assert figures["f1"] is None
    assert figures["delay"] is None


def test_the_ledger_keeps_the_newest_state_and_the_first_alert():
    ledger = RingLedger()
    ledger.note([RingEvent(RingEventKind.BORN, 1, ring("r", "ab", 1))])
    ledger.note([RingEvent(RingEventKind.GREW, 5, ring("r", "abc", 5), alert=alert("r"))])
    ledger.note([RingEvent(RingEventKind.GREW, 9, ring("r", "abcd", 9), alert=alert("r"))])
    ledger.note([RingEvent(RingEventKind.EXPIRED, 99, ring("r", "", 99))])
    (kept,) = ledger.rings(since=0)
    assert kept.alerted_at == 5
    assert kept.members == users("abcd")
    assert ledger.rings(since=100) == []


def test_a_merged_ring_lives_on_in_the_one_that_took_it():
    ledger = RingLedger()
    ledger.note(
        [
            RingEvent(RingEventKind.BORN, 1, ring("old", "ab", 1)),
            RingEvent(RingEventKind.BORN, 2, ring("new", "cd", 2), alert=alert("new")),
            RingEvent(RingEventKind.MERGED, 3, ring("old", "abcd", 3), merged_ring_id="new"),
        ]
    )
    (kept,) = ledger.rings(since=0)
    assert kept.ring.ring_id == "old"
    assert kept.alerted_at == 2
    assert kept.members == users("abcd")


def part(ring_id, names, of, changed_at=0):
    return replace(ring(ring_id, names, changed_at), split_from=of)


def test_a_part_was_alerted_when_half_of_it_had_been_told_as_part_of_the_whole():
    ledger = RingLedger()
    ledger.note(
        [
            RingEvent(RingEventKind.BORN, 1, ring("r", "abc", 1), alert=alert("r")),
            RingEvent(RingEventKind.GREW, 5, ring("r", "abcde", 5), alert=alert("r")),
            RingEvent(RingEventKind.GREW, 8, ring("r", "abcdefgh", 8)),
            RingEvent(RingEventKind.BORN, 9, part("s", "cde", "r", 9)),
            RingEvent(RingEventKind.BORN, 9, part("t", "fgh", "r", 9)),
            RingEvent(RingEventKind.SPLIT, 9, ring("r", "ab", 9), split_ring_ids=("s", "t")),
            RingEvent(RingEventKind.GREW, 12, part("t", "fghi", "r", 12), alert=alert("t")),
        ]
    )
    kept = {found.ring.ring_id: found for found in ledger.rings(since=0)}
    assert {key: found.alerted_at for key, found in kept.items()} == {"r": 1, "s": 5, "t": 12}
    assert [at for at, _ in kept["s"].alerts] == [5]
    assert {key: found.members for key, found in kept.items()} == {
        "r": users("ab"), "s": users("cde"), "t": users("fghi"),
    }  # fmt: skip


def test_a_part_that_merges_back_brings_what_was_told_of_it():
    ledger = RingLedger()
    ledger.note(
        [
            RingEvent(RingEventKind.BORN, 1, ring("r", "abcd", 1), alert=alert("r")),
            RingEvent(RingEventKind.BORN, 5, part("s", "cd", "r", 5)),
            RingEvent(RingEventKind.SPLIT, 5, ring("r", "ab", 5), split_ring_ids=("s",)),
            RingEvent(RingEventKind.BORN, 6, ring("q", "xy", 6)),
            RingEvent(RingEventKind.MERGED, 7, ring("q", "cdxy", 7), merged_ring_id="s"),
            RingEvent(RingEventKind.BORN, 9, part("p", "cd", "q", 9)),
        ]
    )
    kept = {found.ring.ring_id: found.alerted_at for found in ledger.rings(since=0)}
    assert kept == {"r": 1, "q": 1, "p": 1}


def test_a_true_ring_collects_accounts_times_and_money():
    taken = TrueRing("t")
    taken.add(
        Transaction(
            "1", 7, TransactionType.PAYMENT, Money(5, "EUR"), 5, "u", merchant_id="m", device_id="d"
        )
    )
    taken.add(Transaction("2", 9, TransactionType.WITHDRAWAL, Money(6, "EUR"), 6, "u"))
    assert taken.members == {Entity(EntityKind.USER, "u"), Entity(EntityKind.MERCHANT, "m")}
    assert (taken.times, taken.values, taken.ids) == ([7, 9], [5, 6], ["1", "2"])


def test_transaction_alerts_find_a_ring_at_its_first_hit():
    true = {
        "r": truth("r", "ab", times=(0, MINUTE, 2 * MINUTE), values=(1, 1, 2)),
        "s": truth("s", "cd"),
    }
    figures = alert_figures(
        true,
        rings=["r", "s", None, "r", "r"],
        times=[0, 0, 5, MINUTE, 2 * MINUTE],
        alerted=[False, False, True, True, True],
        fraud=[True, True, False, True, True],
    )
    assert figures["recall"] == 0.5
    assert figures["precision"] == pytest.approx(2 / 3)
    assert figures["delay"] == {"minutes": 1.0, "transactions": 2.0, "money_gone": 0.5}


def told(ring_id, names, at, witness=(), changed_at=None):
    """A ring that alerted once with this witness, noted by a ledger."""
    stands = replace(ring(ring_id, names, at if changed_at is None else changed_at))
    stands = replace(stands, transactions=tuple(witness))
    return RingEvent(RingEventKind.BORN, at, stands, alert=alert(ring_id))


def test_a_ring_of_before_that_still_lives_counts_neither_way():
    ledger = RingLedger()
    ledger.note(
        [
            told("past", "abc", at=10, changed_at=500),
            told("now", "xyz", at=450),
            told("nobody", "mno", at=460),
        ]
    )
    true = [truth("t-past", "abc", times=(5, 20)), truth("t-now", "xyz", times=(440, 470))]
    match = RingMatch.since(400, ledger, true)
    assert [ring.ring_id for ring in match.true] == ["t-now"]
    assert [ring.ring.ring_id for ring in match.told] == ["nobody", "now"]
    assert [ring.ring.ring_id for ring in match.false] == ["nobody"]
    whole = RingMatch.since(0, ledger, true)
    assert len(whole.pairs) == 2


def test_a_ring_told_before_is_found_if_the_true_one_goes_on():
    ledger = RingLedger()
    ledger.note([told("known", "abc", at=10), told("nobody", "mno", at=20)])
    true = [truth("goes on", "abc", times=(5, 470)), truth("over", "xyz", times=(5, 6))]
    match = RingMatch.since(400, ledger, true)
    assert [(found.ring.ring_id, ring.ring_id) for found, ring in match.pairs] == [
        ("known", "goes on")
    ]
    assert match.false == []
    # What is told anew is taken before what was told then.
    ledger.note([told("anew", "abcd", at=450)])
    (pair,) = RingMatch.since(400, ledger, true).pairs
    assert pair[0].ring.ring_id == "anew"


def test_an_alert_on_something_else_is_not_a_detection():
    ledger = RingLedger()
    ledger.note([told("r", "ab", at=2, witness=["before"])])
    ledger.note([told("r", "abc", at=70_000, witness=["before", "t0", "t1"])])
    true = TrueRing("t", users("abc"), [0, 60_000, 120_000], [10, 20, 70], ["t0", "t1", "t2"])
    delay = ring_figures(RingMatch.since(0, ledger, [true]))["delay"]
    assert delay == {"minutes": 70 / 60, "transactions": 2.0, "money_gone": 0.3}


def test_a_ring_is_known_by_its_strongest_evidence():
    def piece(pattern, strength):
        members = ((Entity(EntityKind.USER, "a"), Role.MEMBER),)
        return Evidence(pattern, 1, members, (), strength, "seen")

    weak, strong = piece(Pattern.FAN_IN, 0.4), piece(Pattern.MULE, 0.7)
    ids = (weak.evidence_id, strong.evidence_id)
    ledger = RingLedger()
    for seen in (weak, strong, weak):
        event = RingEvent(RingEventKind.GREW, 1, replace(ring("r", "ab"), evidence=ids))
        ledger.note([event], [seen])
    # Evidence that went to another ring says nothing of this one.
    ledger.note([RingEvent(RingEventKind.GREW, 2, ring("s", "cd"))], [piece(Pattern.CYCLE, 0.9)])
    kept = {each.ring.ring_id: each.pattern for each in ledger.rings(since=0)}
    assert kept == {"r": Pattern.MULE, "s": Pattern.CYCLE}
