"""Many cards, few of them alive, and ordinary crowds."""

import pytest
from msgspec import structs

import graph.attempts
from graph.evidence import Pattern, Role
from graph.heuristics.card_testing import CardTesting
from graph.profiles import Profiles
from graph.thresholds import Thresholds
from graph.transaction import MINUTE, Entity, EntityKind
from graph.window import TransactionWindow
from tests.account_streams import told, tries, user
from tests.oracles.streams import transaction


def test_card_testing_is_told_of_merchant_and_device_card_by_card() -> None:
    found = told(tries(8), Pattern.CARD_TESTING)
    shop, rig = Entity(EntityKind.MERCHANT, "shop"), Entity(EntityKind.DEVICE, "rig")
    assert [e.members[0] for e in found] == [(shop, Role.VICTIM), (rig, Role.SHARED)] * 3
    assert [e.facts["cards"] for e in found] == [6, 6, 7, 7, 8, 8]
    first = found[0]
    assert (first.facts["declined"], first.facts["attempts"]) == (5, 6)
    assert [hop.transaction_id for hop in first.hops] == [f"t{n:04}" for n in range(6)]
    assert (user("tester"), Role.MEMBER) in first.members
    assert sum(e.kind is EntityKind.CARD for e in first.entities) == 6
    assert not first.truncated
    assert 0.5 <= first.strength < 0.9


@pytest.mark.parametrize(
    "stream",
    [
        tries(5, declined=1),
        tries(40, declined=0.2),
        tries(12, gap=6.1, declined=1),
        tries(12, value=lambda i: 1000 + i),
        [tx for n in range(4) for tx in tries(5, start=n * 5, first=0)],
    ],
    ids=["five cards", "a ticket drop", "slow", "all sorts of amounts", "the same five cards"],
)
def test_ordinary_crowds(stream) -> None:
    stream = [structs.replace(tx, transaction_id=f"n{n:04}") for n, tx in enumerate(stream)]
    assert told(stream, Pattern.CARD_TESTING) == []


def test_a_crowd_brings_a_card_each() -> None:
    some = tries(30, declined=0.9, value=lambda _: 6_000)
    drop = [structs.replace(tx, user_id=f"fan{n}") for n, tx in enumerate(some)]
    assert told(drop, Pattern.CARD_TESTING) == []
    couple = [structs.replace(tx, user_id=f"tester{n % 2}") for n, tx in enumerate(tries(30))]
    assert told(couple, Pattern.CARD_TESTING) != []


def test_small_sums_in_the_holders_names_are_told_at_the_shop_however_busy_it_is() -> None:
    probes = [structs.replace(tx, user_id=f"holder{n}") for n, tx in enumerate(tries(7, start=31))]
    others = [
        structs.replace(tx, user_id=f"buyer{n}")
        for n, tx in enumerate(
            tries(60, declined=0, value=lambda i: 900 + i, first=100, device_id=None)
        )
    ]
    found = told(sorted([*probes, *others], key=lambda tx: tx.timestamp), Pattern.CARD_TESTING)
    assert [e.members[0][0].id for e in found] == ["shop"] * 2
    assert dict(found[0].members)[user("holder0")] is Role.VICTIM
    assert not any(e.id.startswith("buyer") for e in found[1].entities)


def test_holders_of_tested_cards_are_its_victims() -> None:
    shopping = [
        transaction(50 + n, n, f"holder{n}", "bakery", 2_000, card_id=f"card{n}") for n in range(3)
    ]
    for found in told([*shopping, *tries(6, start=100)], Pattern.CARD_TESTING):
        roles = dict(found.members)
        assert [roles[user(f"holder{n}")] for n in range(3)] == [Role.VICTIM] * 3
        assert roles[user("tester")] is Role.MEMBER
        assert (found.facts["users"], found.facts["holders"]) == (1, 3)


def test_an_outage_is_what_is_usual_there_but_declined() -> None:
    usual = [
        tx
        for span in range(12)
        for tx in tries(20, declined=0, start=span * 30, first=span * 20, device_id=None)
    ]
    outage = tries(20, declined=1, start=400, first=240, device_id=None)
    assert told([*usual, *outage], Pattern.CARD_TESTING) == []
    assert told(outage, Pattern.CARD_TESTING) != []  # at a shop that nobody knows
    attack = tries(60, declined=1, gap=0.15, start=400, first=240, device_id=None)
    found = told([*usual, *attack], Pattern.CARD_TESTING)
    assert found[0].facts["cards"] == 40


def test_a_busy_place_is_judged_by_its_newest_attempts() -> None:
    found = told(tries(40, gap=0.1), Pattern.CARD_TESTING, card_testing_scan=15)
    assert found
    assert {e.truncated for e in found[-2:]} == {True}
    assert max(e.facts["attempts"] for e in found) == 16


def test_a_full_log_gives_up_its_oldest_attempts() -> None:
    window, rule = TransactionWindow(), CardTesting(Thresholds(), Profiles(Thresholds()))
    rule.attempts = graph.attempts.Attempts(30 * MINUTE, 500, capacity=4)
    found = []
    for tx in tries(12):
        admission = window.add(tx)
        found += rule.detect(window, tx, admission)
        rule.note(window, tx, admission)
    assert rule.attempts.pressed == 8
    assert found == []
