import doctest

import pytest
from msgspec import structs

import graph.heuristics.rules
import graph.heuristics.witness
from graph.admission import Status
from graph.errors import Incompatible, InvalidSetting
from graph.evidence import Evidence, Pattern
from graph.heuristics import Lists, catalogue
from graph.heuristics.rules import Blocklist, ImpossibleTravel, Velocity
from graph.lists import ListBook
from graph.thresholds import Thresholds
from graph.transaction import DAY, Entity, EntityKind, Location, Transaction
from graph.window import TransactionWindow, WindowConfig
from tests.oracles import streams

transaction = streams.transaction

BERLIN, NEW_YORK = Location("Berlin", 52.52, 13.40), Location("New York", 40.71, -74.01)
POTSDAM = Location("Potsdam", 52.40, 13.06)


@pytest.mark.parametrize("module", [graph.heuristics.rules, graph.heuristics.witness])
def test_doctests(module: object) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize(
    "blocked",
    [
        Entity(EntityKind.USER, "a"),
        Entity(EntityKind.USER, "b"),
        Entity(EntityKind.DEVICE, "phone"),
        Entity(EntityKind.IP, "10.0.0.1"),
        Entity(EntityKind.CARD, "token"),
    ],
)
def test_every_kind_of_entity_can_be_blocked(blocked: Entity) -> None:
    window, rule = streams.small_window(), Blocklist(ListBook(Lists(blocked=frozenset({blocked}))))
    tx = transaction(1, 0, "a", "b", 100, device_id="phone", ip_address="10.0.0.1", card_id="token")
    (evidence,) = rule.detect(window, tx, window.add(tx))
    assert (evidence.pattern, evidence.strength) == (Pattern.BLOCKED, 1.0)
    assert evidence.entities == (blocked,)
    assert [hop.transaction_id for hop in evidence.hops] == ["t0001"]


def test_a_blocked_merchant_is_not_a_user_of_the_same_name() -> None:
    window = streams.small_window()
    rule = Blocklist(ListBook(Lists(blocked=frozenset({Entity(EntityKind.MERCHANT, "shop")}))))
    payment, transfer = transaction(1, 0, "a", "shop", 5), transaction(2, 1, "a", "sho", 5)
    transfer = structs.replace(transfer, counterparty_id="shop")
    assert len(rule.detect(window, payment, window.add(payment))) == 1
    assert not rule.detect(window, transfer, window.add(transfer))


def test_a_late_transaction_of_a_blocked_user_is_blocked_too() -> None:
    window = streams.small_window()
    rule = Blocklist(ListBook(Lists(blocked=frozenset({Entity(EntityKind.USER, "a")}))))
    for n in range(3):
        window.add(transaction(n, 1_000, "x", "y", 1))
    late = transaction(9, 0, "a", "b", 100)
    admission = window.add(late)
    assert admission.status is Status.LATE
    assert len(rule.detect(window, late, admission)) == 1


def test_nobody_can_be_blocked_and_allowed() -> None:
    both = frozenset({Entity(EntityKind.USER, "a")})
    with pytest.raises(InvalidSetting, match="blocked and allowed"):
        Lists(blocked=both, allowed=both)


def fan_out(window: TransactionWindow, lists: Lists) -> list[Evidence]:
    book, found = catalogue(lists=lists), []
    for n in range(8):
        tx = transaction(n, n * 12, "payroll", f"worker{n}", 100)
        found += book.detect(window, tx, window.add(tx))
    return found


def test_an_allowed_entity_is_never_the_centre() -> None:
    payroll = Entity(EntityKind.USER, "payroll")
    assert {e.pattern for e in fan_out(streams.small_window(), Lists())} == {Pattern.FAN_OUT}
    assert fan_out(streams.small_window(), Lists(allowed=frozenset({payroll}))) == []


def test_an_allowed_user_does_not_shield_a_blocked_one() -> None:
    window = streams.small_window()
    lists = Lists(
        blocked=frozenset({Entity(EntityKind.USER, "b")}),
        allowed=frozenset({Entity(EntityKind.USER, "a")}),
    )
    tx = transaction(1, 0, "a", "b", 100)
    found = catalogue(lists=lists).detect(window, tx, window.add(tx))
    assert [e.pattern for e in found] == [Pattern.BLOCKED]


def located(rule: ImpossibleTravel, window: TransactionWindow, *places: object) -> list[Evidence]:
    found: list[Evidence] = []
    for n, (minute, place) in enumerate(places):
        tx = transaction(n, minute, "a", "shop", 5, location=place)
        found += rule.detect(window, tx, window.add(tx))
    return found


def test_berlin_and_new_york_within_the_hour() -> None:
    window = streams.small_window()
    (evidence,) = located(ImpossibleTravel(Thresholds()), window, (0, BERLIN), (60, NEW_YORK))
    assert evidence.facts["km"] == pytest.approx(6385, rel=0.01)
    assert evidence.facts["minutes"] == 60
    assert [hop.transaction_id for hop in evidence.hops] == ["t0000", "t0001"]
    assert 0.4 < evidence.strength < 0.8


@pytest.mark.parametrize(
    "places",
    [
        ((0, BERLIN), (9 * 60, NEW_YORK)),  # the flight takes nine hours
        ((0, BERLIN), (0.01, POTSDAM)),  # the next cell tower
        ((0, BERLIN), (1, Location("New York"))),  # no coordinates
        ((0, BERLIN), (1, None)),
    ],
)
def test_possible_travel(places: object) -> None:
    window = TransactionWindow()
    assert located(ImpossibleTravel(Thresholds()), window, *places) == []


def test_an_older_place_is_compared_but_not_remembered() -> None:
    window = streams.small_window()
    rule = ImpossibleTravel(Thresholds())
    assert located(rule, window, (20, BERLIN)) == []
    older = transaction(7, 10, "a", "shop", 5, location=NEW_YORK)
    assert len(rule.detect(window, older, window.add(older))) == 1
    after = transaction(8, 21, "a", "shop", 5, location=POTSDAM)
    assert rule.detect(window, after, window.add(after)) == ()


def test_a_recycled_account_id_brings_no_place_along() -> None:
    config = WindowConfig(max_accounts=3, retention=DAY, max_edges=4096, max_links=4096)
    window, rule = TransactionWindow(config), ImpossibleTravel(Thresholds(travel_kmh=1))
    tx = structs.replace(transaction(0, 0, "a", None, 5), location=BERLIN)
    first = window.add(tx)
    assert rule.detect(window, tx, first) == ()
    after = structs.replace(transaction(1, 30 * 24 * 60, "z", None, 5), location=NEW_YORK)
    for tick in streams.ticking([tx, after])[1:-1]:
        window.add(tick)
    tx = after
    again = window.add(tx)
    assert again.user == first.user
    assert rule.detect(window, tx, again) == ()


def test_the_last_places_survive_a_restart() -> None:
    window = streams.small_window()
    before, book = catalogue(), catalogue()
    tx = transaction(0, 0, "a", "shop", 5, location=BERLIN)
    before.detect(window, tx, window.add(tx))
    book.restore(before.snapshot())
    assert book.snapshot() == before.snapshot()
    restored = TransactionWindow.restore(window.snapshot())
    tx = transaction(1, 30, "a", "shop", 5, location=NEW_YORK)
    (evidence,) = book.detect(restored, tx, restored.add(tx))
    assert [hop.transaction_id for hop in evidence.hops] == ["t0000", "t0001"]
    torn = before.snapshot()[:-1]
    with pytest.raises(Incompatible):
        book.restore(torn)


def burst(n: int, gap: float, *, declined: int = 0) -> list[Evidence]:
    window, rule, found = streams.small_window(), Velocity(Thresholds()), []
    for i in range(n):
        tx = transaction(i, i * gap, "a", "shop", 5, declined=i < declined)
        found += rule.detect(window, tx, window.add(tx))
    return found


def test_velocity_tells_every_attempt_from_the_tenth_on() -> None:
    found = burst(12, 0.5, declined=9)
    assert [e.facts["attempts"] for e in found] == [10, 11, 12]
    assert {e.facts["declined"] for e in found} == {9}
    assert [len(e.hops) for e in found] == [10, 10, 10]
    assert [e.truncated for e in found] == [False, True, True]
    assert found[0].strength < found[1].strength < 0.9


def test_a_simultaneous_burst_is_a_burst() -> None:
    assert len(burst(10, 0)) == 1


def test_a_busy_afternoon_is_no_burst() -> None:
    assert burst(40, 1.2) == []


def test_refunds_are_not_attempts_of_the_user() -> None:
    window, rule = streams.small_window(), Velocity(Thresholds())
    for i in range(15):
        tx = transaction(i, i * 0.1, "shop", "a", 5)
        assert rule.detect(window, tx, window.add(tx)) == ()


def test_velocity_of_a_machine_is_cut_and_says_so() -> None:
    last = burst(300, 0.01)[-1]
    assert last.facts["attempts"] == 256
    assert last.truncated


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"cycle_scan": 0}, "cycle_scan: must be greater than zero"),
        ({"travel_km": float("nan")}, "travel_km: must be greater than zero"),
        ({"cycle_hops": 7}, "cycle_hops: must be between 2 and 6"),
        ({"mule_passes_on": 80}, "mule_passes_on: is a share"),
        ({"cycle_ratio_least": 1.2}, "cycle_ratio_least: is above"),
        ({"farm_users": 2}, "farm_users: is below device_users"),
    ],
)
def test_thresholds_that_cannot_work_are_refused(setting: dict[str, float], words: str) -> None:
    with pytest.raises(InvalidSetting, match=words):
        Thresholds(**setting)


def test_a_transaction_that_was_not_accepted_completes_nothing() -> None:
    window, book = streams.small_window(), catalogue()
    tx: Transaction = transaction(0, 0, "a", "b", 5)
    book.detect(window, tx, window.add(tx))
    assert book.detect(window, tx, window.add(tx)) == []
