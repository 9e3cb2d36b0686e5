"""The money patterns and shared identity on scenes drawn by hand, fraud and look-alikes."""

import doctest

import pytest

import graph.heuristics.collector
import graph.heuristics.cycle
import graph.heuristics.fan
import graph.heuristics.identity
import graph.heuristics.mule
import graph.heuristics.pass_through
import graph.thresholds
from graph.admission import Status
from graph.evidence import Evidence, Pattern, Role
from graph.heuristics import catalogue
from graph.heuristics.cycle import Cycles
from graph.thresholds import Thresholds
from graph.transaction import DAY, MINUTE, Entity, EntityKind, Transaction
from graph.window import TransactionWindow
from tests.oracles import streams

transaction = streams.transaction

DEFAULTS = Thresholds()


def told(stream: list[Transaction], thresholds: Thresholds = DEFAULTS) -> list[Evidence]:
    """Everything the catalogue says while a stream arrives, all of which is accepted."""
    window, book, found = TransactionWindow(), catalogue(thresholds), []
    for tx in streams.ticking(stream):
        admission = window.add(tx)
        assert admission.status is Status.ACCEPTED
        found += book.detect(window, tx, admission)
    return found


def mules(stream: list[Transaction], thresholds: Thresholds = DEFAULTS) -> list[Evidence]:
    return [e for e in told(stream, thresholds) if e.pattern is Pattern.MULE]


def patterns(stream: list[Transaction]) -> list[Pattern]:
    return [e.pattern for e in told(stream)]


def flows(*rows: tuple[float, str | None, str | None, int], start: int = 0) -> list[Transaction]:
    return [transaction(start + i, *row) for i, row in enumerate(rows)]


def user(name: str) -> Entity:
    return Entity(EntityKind.USER, name)


@pytest.mark.parametrize(
    "module",
    [
        graph.heuristics.cycle,
        graph.heuristics.collector,
        graph.heuristics.fan,
        graph.heuristics.identity,
        graph.heuristics.mule,
        graph.heuristics.pass_through,
        graph.thresholds,
    ],
)
def test_doctests(module: object) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


# --- cycles

ROUND = (Pattern.CYCLE, Pattern.PING_PONG)


def rounds(stream: list[Transaction]) -> list[Evidence]:
    """Cycles alone: the hops of a long one are a chain on their way home."""
    return [e for e in told(stream) if e.pattern in ROUND]


def ring(hops: int, keep: float = 0.95) -> list[Transaction]:
    names = [f"u{i}" for i in range(hops)]
    return flows(
        *((10 * i, names[i], names[(i + 1) % hops], round(10_000 * keep**i)) for i in range(hops))
    )


@pytest.mark.parametrize("hops", [2, 3, 4, 5, 6])
def test_a_planted_cycle_is_told_once_with_its_exact_witness(hops: int) -> None:
    stream = ring(hops)
    (evidence,) = rounds(stream)
    assert evidence.pattern is (Pattern.PING_PONG if hops == 2 else Pattern.CYCLE)
    assert [hop.transaction_id for hop in evidence.hops] == [tx.transaction_id for tx in stream]
    assert evidence.entities == tuple(user(f"u{i}") for i in range(hops))
    assert evidence.retained == stream[-1].value / stream[0].value
    assert evidence.seen_at == stream[-1].timestamp
    assert not evidence.truncated
    if hops > 2:
        assert [role for _, role in evidence.members] == [Role.CONTROLLER] + [Role.MULE] * (
            hops - 1
        )


def test_longer_and_faster_cycles_speak_louder() -> None:
    strengths = [rounds(ring(hops))[0].strength for hops in (2, 3, 4, 5, 6)]
    assert strengths == sorted(strengths)
    slow = flows((0, "a", "b", 100), (600, "b", "c", 100), (1_200, "c", "a", 100))
    fast = flows((0, "a", "b", 100), (1, "b", "c", 100), (2, "c", "a", 100))
    assert told(slow)[0].strength < told(fast)[0].strength


def test_seven_hops_are_too_many() -> None:
    assert rounds(ring(7)) == []


@pytest.mark.parametrize(
    "stream",
    [
        # Hard negatives: rent and groceries come round, but not as the same money.
        flows((0, "a", "b", 100), (1, "b", "c", 40), (2, "c", "a", 40)),
        flows((0, "a", "b", 100), (1, "b", "c", 100), (2, "c", "a", 130)),
        # Backwards in time, or in no order at all.
        flows((0, "c", "a", 100), (1, "b", "c", 100), (2, "a", "b", 100)),
        flows((0, "a", "b", 100), (1, "b", "c", 100), (1, "c", "a", 100)),
        # A refund by a shop, a purchase on the way, money to oneself.
        flows((0, "a", "shop", 100), (1, "shop", "a", 100)),
        flows((0, "a", "b", 100), (1, "b", "shop", 100), (2, "shop", "a", 100)),
        flows((0, "a", "a", 100), (1, "a", "a", 100)),
        # Slower than the window.
        flows((0, "a", "b", 100), (1, "b", "c", 100), (1_500, "c", "a", 100)),
    ],
)
def test_what_looks_like_a_cycle(stream: list[Transaction]) -> None:
    assert patterns(stream) == []


def test_a_declined_hop_carries_nothing() -> None:
    stream = ring(3)
    stream[1] = transaction(1, 10, "u1", "u2", 9_500, declined=True)
    assert patterns(stream) == []


def test_parallel_transfers_are_cut_at_the_cap_and_say_so() -> None:
    stream = [transaction(i, i, "a", "b", 100) for i in range(20)]
    stream.append(transaction(20, 30, "b", "a", 100))
    found = [e for e in told(stream) if e.pattern is Pattern.PING_PONG]
    assert len(found) == Thresholds().cycle_most
    assert all(e.truncated for e in found)
    assert found[0].hops[0].transaction_id == "t0019"  # the newest first


def test_a_hub_costs_its_budget_and_says_so() -> None:
    window, cycles = TransactionWindow(), Cycles(Thresholds(cycle_scan=50))
    window.add(transaction(0, 0, "a", "b", 100))
    for i in range(1, 100):
        window.add(transaction(i, i / 10, f"x{i}", "hub", 5))
    position = window.add(transaction(100, 11, "hub", "a", 100)).position
    search = cycles.search(window, position)
    assert (search.cycles, search.scanned, search.truncated) == ((), 50, True)
    patient = Cycles(Thresholds()).search(window, position)
    assert (patient.scanned, patient.truncated) == (99, False)


# --- mules


VICTIMS = [(0.0, "v1", "m", 100), (2.0, "v2", "m", 100), (4.0, "v3", "m", 100)]


def test_a_mule_forwards_within_the_hour() -> None:
    stream = flows(*VICTIMS, (10, "m", "boss", 200), (12, "m", None, 80))
    first_out, second_out = mules(stream, Thresholds(mule_passes_on=0.6))
    assert first_out.seen_at < second_out.seen_at
    assert second_out.members == (
        (user("m"), Role.MULE),
        (user("v1"), Role.SENDER),
        (user("v2"), Role.SENDER),
        (user("v3"), Role.SENDER),
        (user("boss"), Role.RECEIVER),
    )
    assert second_out.retained == 280 / 300
    assert second_out.facts["median_dwell_minutes"] == 8
    assert [hop.transaction_id for hop in second_out.hops] == [f"t000{i}" for i in range(5)]


def test_money_cannot_leave_at_the_moment_it_comes() -> None:
    stream = flows(*VICTIMS, (4, "m", "boss", 250), (10, "m", "boss", 50))
    (evidence,) = mules(stream)
    assert evidence.seen_at == stream[-1].timestamp
    assert evidence.facts["forwarded"] == 250


@pytest.mark.parametrize(
    "stream",
    [
        # Friends chip in for a dinner that one of them pays.
        flows(*VICTIMS, (10, "m", "shop", 290)),
        # Two parents and a grandparent, but the student keeps most of it.
        flows(*VICTIMS, (10, "m", "landlord", 150)),
        # It stays over lunch: no haste, no mule.
        flows(*VICTIMS, (150, "m", "landlord", 290)),
        # Two senders are a couple.
        flows(*VICTIMS[:2], (10, "m", "boss", 195)),
        # One sender in three parts.
        flows((0, "v", "m", 100), (1, "v", "m", 100), (2, "v", "m", 100), (9, "m", "boss", 290)),
        # A treasurer pays back those who paid.
        flows(*VICTIMS, (10, "m", "v1", 100), (11, "m", "v2", 100), (12, "m", "v3", 100)),
        # It paid first and was paid afterwards: somebody lent the money.
        flows((0, "m", "boss", 300), *((m + 1, *rest) for m, *rest in VICTIMS)),
    ],
)
def test_what_looks_like_a_mule(stream: list[Transaction]) -> None:
    assert Pattern.MULE not in patterns(stream)


def test_acquaintances_are_no_victims() -> None:
    earlier = flows((0, "v1", "m", 5), (1, "m", "v2", 5), (2, "v3", "m", 5))
    later = [(m + 2_000, *rest) for m, *rest in VICTIMS]
    stream = earlier + flows(*later, (2_010, "m", "boss", 290), start=10)
    assert Pattern.MULE not in patterns(stream)
    assert Pattern.MULE in patterns(stream[3:])


def test_a_businesslike_mule_is_told_less_and_less() -> None:
    stream = flows(*VICTIMS, *((5 + i / 10, "m", f"r{i}", 1) for i in range(100)))
    limits = Thresholds(mule_passes_on=0.001, mule_scan=64)
    found = [e for e in told(stream, limits) if e.pattern is Pattern.MULE]
    assert 32 < len(found) < 40
    assert all(len(e.hops) <= limits.witness for e in found)
    assert found[-1].truncated


# --- fans


def test_a_collector_is_told_with_every_new_victim() -> None:
    stream = [transaction(i, i, f"v{i}", "hub", 100) for i in range(10)]
    stream.append(transaction(10, 10, "v3", "hub", 100))  # a repeat adds nobody
    found = told(stream)
    assert [e.pattern for e in found] == [Pattern.FAN_IN] * 6
    assert [e.facts["counterparties"] for e in found] == [5, 6, 7, 8, 9, 10]
    assert [e.strength >= 0.5 for e in found] == [False] * 3 + [True] * 3
    assert found[0].members[0] == (user("hub"), Role.RECEIVER)
    assert found[0].members[1:] == tuple((user(f"v{i}"), Role.SENDER) for i in range(5))
    assert len(found[0].hops) == 5
    assert not found[0].truncated


def test_payouts_fan_out() -> None:
    found = told([transaction(i, i * 20, "boss", f"r{i}", 100) for i in range(5)])
    assert [e.pattern for e in found] == [Pattern.FAN_OUT]
    assert found[0].members[0] == (user("boss"), Role.SENDER)


def weekly_payroll(new_hires: int) -> list[Transaction]:
    weeks = []
    for week in range(2):
        for i in range(12):
            name = f"hire{i}" if week and i < new_hires else f"worker{i}"
            minute = week * 7 * 24 * 60 + i * 3
            weeks.append(transaction(len(weeks), minute, "employer", name, 100))
    return weeks


def fans_in_week_two(stream: list[Transaction]) -> int:
    return sum(e.seen_at > streams.START + DAY for e in told(stream))


def test_a_payroll_that_pays_the_same_people_again_is_no_fan() -> None:
    assert fans_in_week_two(weekly_payroll(new_hires=3)) == 0
    assert fans_in_week_two(weekly_payroll(new_hires=12)) > 0


@pytest.mark.parametrize(
    "stream",
    [
        # A shop is paid by many, a day of shopping pays many shops, a shop refunds many.
        [transaction(i, i, f"c{i}", "shop", 100) for i in range(20)],
        [transaction(i, i * 20, "a", f"shop{i}", 100) for i in range(20)],
        [transaction(i, i, "shop", f"c{i}", 100) for i in range(20)],
        # One generous friend.
        [transaction(i, i * 20, "a", f"f{i % 4}", 100) for i in range(40)],
        # Eight people in two days.
        [transaction(i, i * 400, f"f{i}", "a", 100) for i in range(8)],
    ],
)
def test_what_looks_like_a_fan(stream: list[Transaction]) -> None:
    assert patterns(stream) == []


def test_a_growing_crowd_is_told_less_and_less() -> None:
    stream = [transaction(i, i / 10, f"v{i}", "hub", 100) for i in range(400)]
    found = told(stream)
    assert len(found) == 28 + 9
    assert all(len(e.hops) <= 32 for e in found)
    assert found[-1].facts["counterparties"] < 257


# --- collectors


CROWD = [(30.0 * i, f"v{i}", "hub", 100) for i in range(6)]


def collected(stream: list[Transaction], thresholds: Thresholds = DEFAULTS) -> list[Evidence]:
    return [e for e in told(stream, thresholds) if "took away" in e.reason]


def test_a_crowd_is_told_again_when_its_money_is_taken_away() -> None:
    stream = flows(*CROWD, (400, "hub", None, 250), (420, "hub", "shop", 50), (500, "hub", "x", 60))
    third = collected(stream)[-1]
    assert [e.facts["forwarded"] for e in collected(stream)] == [300, 360]
    assert third.pattern is Pattern.FAN_IN
    assert third.members == (
        (user("hub"), Role.MULE),
        *((user(f"v{i}"), Role.SENDER) for i in range(6)),
        (user("x"), Role.RECEIVER),
    )
    assert third.retained == 0.6
    assert third.facts["as_cash"] == 250
    assert third.facts["as_goods"] == 50
    assert [hop.transaction_id for hop in third.hops] == [f"t000{i}" for i in range(9)]
    assert not third.truncated
    assert "60 % of what 6 strangers paid" in third.reason


@pytest.mark.parametrize(
    "stream",
    [
        # Four friends chip in for a present.
        flows(*CROWD[:4], (400, "hub", "shop", 390)),
        # Somebody sells used things and spends some of it.
        flows(*CROWD, (400, "hub", "shop", 290)),
        # The money is lent and paid back.
        flows((0, "hub", "shop", 600), *((m + 1, *rest) for m, *rest in CROWD)),
        # Who collected pays everybody back.
        flows(*CROWD, *((400 + i, "hub", f"v{i}", 100) for i in range(6))),
        # A shop is paid by many and pays its supplier.
        flows(*((m, who, "shop", v) for m, who, _, v in CROWD), (400, "shop", "supplier", 590)),
        # It takes the money out two days later.
        flows(*CROWD, (3_000, "hub", None, 590)),
    ],
)
def test_what_looks_like_a_collector(stream: list[Transaction]) -> None:
    assert collected(stream) == []


def test_a_club_that_pays_its_treasurer_again_is_no_crowd() -> None:
    """It would be told, were the members not acquaintances from an earlier month."""
    dues = [(m + 20_000, *rest) for m, *rest in CROWD]
    stream = [*flows(*CROWD), *flows(*dues, (20_500, "hub", None, 590), start=10)]
    assert collected(stream) == []
    assert len(collected(stream[6:])) == 1


def test_a_witness_of_a_crowd_keeps_room_for_those_who_paid() -> None:
    crowd = [(i, f"v{i}", "hub", 100) for i in range(40)]
    stream = flows(*crowd, *((100 + i, "hub", None, 150) for i in range(24)))
    last = collected(stream)[-1]
    out = [hop for hop in last.hops if hop.target is None]
    assert (len(out), len(last.hops)) == (16, DEFAULTS.witness)
    assert last.truncated


# --- identity


def on_device(n: int, *, gap: float = 5, device: str = "phone") -> list[Transaction]:
    return [transaction(i, i * gap, f"u{i}", "shop", 100, device_id=device) for i in range(n)]


def test_a_family_tablet_is_weak_and_a_farm_is_not() -> None:
    found = told(on_device(6))
    assert [e.pattern for e in found] == [Pattern.SHARED_DEVICE] * 4
    assert [e.facts["users"] for e in found] == [3, 4, 5, 6]
    family, farm = found[1], found[2]
    assert family.strength < 0.36
    assert farm.strength > 0.75
    assert farm.members[0] == (Entity(EntityKind.DEVICE, "phone"), Role.SHARED)
    assert farm.entities[1:] == tuple(user(f"u{i}") for i in range(5))
    assert farm.hops == ()


def test_five_users_over_months_are_no_farm() -> None:
    found = told(on_device(5, gap=5 * 24 * 60))
    assert [e.facts["new_users"] for e in found] == [2, 2, 2]
    assert max(e.strength for e in found) < 0.3


def test_known_users_of_a_device_are_told_once() -> None:
    assert len(told([*on_device(3), transaction(9, 99, "u1", "shop", 5, device_id="phone")])) == 1


def test_one_card_in_three_accounts() -> None:
    stream = [transaction(i, i, f"u{i}", "shop", 100, card_id="token") for i in range(3)]
    (evidence,) = told(stream)
    assert evidence.pattern is Pattern.SHARED_CARD
    assert evidence.strength > 0.75


def test_an_ip_alone_means_nothing() -> None:
    stream = [
        transaction(i, i, f"u{i}", "shop", 5, ip_address="10.0.0.1", device_id=f"d{i}")
        for i in range(50)
    ]
    assert told(stream) == []


def test_an_ip_counts_for_those_who_share_something_else() -> None:
    campus = [transaction(i, i, f"s{i}", "shop", 5, ip_address="10.0.0.1") for i in range(20)]
    crew = [
        transaction(20 + i, 20 + i, f"u{i}", "shop", 5, ip_address="10.0.0.1", device_id="phone")
        for i in range(3)
    ]
    device, ip, *_ = told(campus + crew)
    assert (device.pattern, ip.pattern) == (Pattern.SHARED_DEVICE, Pattern.SHARED_IP)
    assert ip.entities == (
        Entity(EntityKind.IP, "10.0.0.1"),
        *(user(f"u{i}") for i in range(3)),
    )
    assert ip.facts["degree"] == 23
    assert ip.strength < device.strength


def test_a_kiosk_says_less_with_every_user_and_then_nothing() -> None:
    found = told(on_device(400, gap=0.2))
    farms = [e.strength for e in found if e.facts["new_users"] >= 20]
    assert farms == sorted(farms, reverse=True)
    assert len(found) == 30 + 9
    assert max(len(e.entities) for e in found) == 33
    assert found[-1].facts["users"] <= 256


def test_a_disordered_hop_closes_its_cycle_on_the_second_look() -> None:
    window, book = TransactionWindow(), catalogue()
    a, b, c = ring(3)
    b = transaction(1, 10, "u1", "u2", 9_500)
    assert book.detect(window, a, window.add(a)) == []
    first = window.add(c)
    assert book.detect(window, c, first) == []
    admission = window.add(b)
    assert admission.disordered or c.timestamp - b.timestamp > 5 * MINUTE
    assert book.detect(window, b, admission) == []
    found = [e for p in window.affected(admission.position)[0] for e in book.at(window, p)]
    assert [hop.transaction_id for hop in found[0].hops] == ["t0000", "t0001", "t0002"]
