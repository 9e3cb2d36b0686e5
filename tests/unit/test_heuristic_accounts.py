"""What accounts, cards and merchants do against their habit: fraud, and what only looks like it."""

import doctest
import runpy
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec import structs

import graph.attempts
import graph.heuristics.bust_out
import graph.heuristics.card_testing
import graph.heuristics.collusion
import graph.heuristics.dormancy
import graph.heuristics.refunds
import graph.heuristics.synthetic
import graph.heuristics.takeover
import graph.profiles
from graph.admission import Status
from graph.errors import Incompatible, InvalidSetting
from graph.evidence import Evidence, Pattern, Role
from graph.heuristics import catalogue
from graph.heuristics.card_testing import CardTesting
from graph.profiles import Profiles
from graph.ring_book import RingBook
from graph.ring_score import is_proof
from graph.thresholds import Thresholds
from graph.transaction import DAY, HOUR, MINUTE, Entity, EntityKind, Transaction
from graph.window import TransactionWindow, WindowConfig

streams = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).parents[1] / "oracles" / "streams.py"))
)
transaction = streams.transaction
HOURS, DAYS = 60, 24 * 60  # in minutes
WEEKS = 7 * DAYS
# Weeks begin on Thursdays; the streams' first minute is late in one.
MONDAY = 5 * DAYS


def told(stream: list[Transaction], pattern: Pattern, **limits: float) -> list[Evidence]:
    """Evidence of one pattern while a stream arrives, all of which is accepted."""
    window, book, found = TransactionWindow(), catalogue(Thresholds(**limits)), []
    for tx in streams.ticking(stream):
        admission = window.add(tx)
        assert admission.status is Status.ACCEPTED
        found += book.detect(window, tx, admission)
    return [e for e in found if e.pattern is pattern]


def rows(*flows: tuple, start: int = 0, **fields: object) -> list[Transaction]:
    return [transaction(start + i, *flow, **fields) for i, flow in enumerate(flows)]


def user(name: str) -> Entity:
    return Entity(EntityKind.USER, name)


@pytest.mark.parametrize(
    "module",
    [
        graph.heuristics.bust_out,
        graph.heuristics.card_testing,
        graph.heuristics.dormancy,
        graph.heuristics.collusion,
        graph.heuristics.refunds,
        graph.heuristics.synthetic,
        graph.heuristics.takeover,
    ],
    ids=lambda module: module.__name__.rsplit(".", 1)[1],
)
def test_the_examples_run(module) -> None:
    failed, tried = doctest.testmod(module)
    assert not failed
    assert tried


# Dormant, then a burst.


def wakes(days: float, *acts: tuple, before: str = "shop") -> list[Transaction]:
    """Somebody buys something, sleeps so long, and then does these things, minute by minute."""
    at = days * DAYS
    return rows((0, "a", before, 10), *((at + n, *act) for n, act in enumerate(acts)))


MOVES = [("a", f"stranger{n}", 100) for n in range(6)]


def test_a_sleeper_that_wakes_in_a_burst_is_told_move_by_move() -> None:
    found = told(wakes(30, *MOVES), Pattern.DORMANT_BURST)
    assert [e.facts["moves"] for e in found] == [4, 5, 6]
    first = found[0]
    assert first.members[0] == (user("a"), Role.MEMBER)
    assert [hop.transaction_id for hop in first.hops] == ["t0001", "t0002", "t0003", "t0004"]
    assert first.facts["slept_days"] == pytest.approx(30)
    assert first.strength < found[1].strength < found[2].strength <= 0.9


def test_a_sleeper_that_passes_on_what_comes_in_is_told_at_once() -> None:
    found = told(wakes(30, ("x", "a", 100), ("a", "y", 49), ("a", "y", 31)), Pattern.DORMANT_BURST)
    assert [e.retained for e in found] == [0.8]
    assert found[0].members == (
        (user("a"), Role.MULE),
        (user("x"), Role.SENDER),
        (user("y"), Role.RECEIVER),
    )
    assert not is_proof(found[0])


@pytest.mark.parametrize(
    "stream",
    [
        # Home again: the rent is paid from the wage and a colleague's share.
        rows(
            (0, "employer", "a", 900), (1, "a", "shop", 10), (21 * DAYS, "employer", "a", 900),
            (21 * DAYS + 1, "colleague", "a", 30), (21 * DAYS + 2, "a", "landlord", 14),
        ),
        wakes(30, *[("a", f"shop{n}", 100) for n in range(9)]),
        wakes(30, *MOVES[:3]),
        wakes(9.9, *MOVES),
        wakes(30, *[("a", "friend", 100)] * 6, before="friend"),
        [*wakes(30, *MOVES[:3]), transaction(9, 31.1 * DAYS, "a", "stranger9", 100)],
        rows(*((n, "a", f"stranger{n}", 100) for n in range(6)), user_created_at=streams.START
             - 400 * DAY),
        wakes(30, *[("a", None, 100, )] * 3),
    ],
    ids=[
        "paid by an employer",
        "a returning customer shops",
        "three transfers",
        "a short holiday",
        "a friend is repaid",
        "not within a day",
        "an old account seen for the first time",
        "three withdrawals",
    ],
)  # fmt: skip
def test_those_who_wake_gently(stream) -> None:
    assert told(stream, Pattern.DORMANT_BURST) == []


# Takeover.


PAID = ("x", "a", 100)


def test_a_sleeper_that_spends_what_strangers_paid_it_is_told_without_the_shops() -> None:
    stream = wakes(30, PAID, ("a", "shop1", 45), ("a", "shop2", 45))
    (found,) = told(stream, Pattern.DORMANT_BURST)
    assert found.retained == 0.9
    assert (found.facts["moves"], found.facts["sent"]) == (2, 90)
    assert found.members == ((user("a"), Role.MULE), (user("x"), Role.SENDER))
    assert [hop.transaction_id for hop in found.hops] == ["t0001", "t0002", "t0003"]
    assert "made 2 purchases within 1 min, 90 %" in found.reason
    assert told(wakes(30, PAID, ("a", "shop1", 49)), Pattern.DORMANT_BURST) == []  # keeps much
    own = (None, "a", 100)
    assert told(wakes(30, own, ("a", "shop1", 90)), Pattern.DORMANT_BURST) == []  # own cash
    assert told(wakes(9, PAID, ("a", "shop1", 90)), Pattern.DORMANT_BURST) == []  # no sleep


def test_a_wage_beside_what_strangers_paid_hides_nothing() -> None:
    wage = (0, "employer", "a", 900), (1, "a", "shop", 10), (21 * DAYS, "employer", "a", 900)
    strangers = (21 * DAYS + 1, "x", "a", 100), (21 * DAYS + 2, "a", None, 60)
    (found,) = told(rows(*wage, *strangers), Pattern.DORMANT_BURST)
    assert (found.retained, found.facts["received"]) == (0.6, 100)
    assert found.members == ((user("a"), Role.MULE), (user("x"), Role.SENDER))
    assert told(rows(*wage, (21 * DAYS + 1, "a", "y", 850)), Pattern.DORMANT_BURST) == []


def test_sleepers_with_a_payer_in_common_are_told_for_less() -> None:
    def burst(*payers: str) -> list[Transaction]:
        asleep = [(0, name, "shop", 10) for name in "ab"]
        paid = [
            (20 * DAYS + n, payer, to, 100)
            for n, (payer, to) in enumerate(zip(payers, "ab", strict=True))
        ]
        out = [(20 * DAYS + 10 + n, name, None, 30) for n, name in enumerate("ab")]
        return rows(*asleep, *paid, *out)

    (found,) = told(burst("x", "x"), Pattern.DORMANT_BURST)  # once the other is awake as well
    assert found.members == (
        (user("b"), Role.MULE),
        (user("x"), Role.SENDER),
        (user("a"), Role.MULE),
    )
    assert found.facts["sleepers"] == 2
    emptied = told(wakes(20, PAID, ("a", None, 90)), Pattern.DORMANT_BURST)[0]
    assert found.strength < emptied.strength
    assert told(burst("x", "y"), Pattern.DORMANT_BURST) == []


def test_company_cannot_be_an_excuse() -> None:
    with pytest.raises(InvalidSetting, match="dormant_linked"):
        Thresholds(dormant_linked=0.6, dormant_passes_on=0.5)


@pytest.mark.parametrize(("days", "opened", "heard"), [(6, 90, 1), (4, 90, 0), (6, 9, 0)])
def test_an_old_account_that_a_young_stream_has_not_seen(days, opened, heard) -> None:
    """Asleep as far as five days tell; one opened last week is new."""
    opened_at = streams.START + (days - opened) * DAY
    act = rows((days * DAYS + 1, "a", "y", 90), start=5, user_created_at=opened_at)
    stream = rows((0, "z", "shop", 5), (days * DAYS, "x", "a", 100))
    assert len(told([*stream, *act], Pattern.DORMANT_BURST)) == heard


def test_trifles_beside_what_a_sleeper_passes_on_name_nobody() -> None:
    acts = [PAID, ("friend", "a", 9), ("y", "a", 10), ("a", "pal", 5), ("a", "z", 95)]
    last = told(wakes(30, *acts), Pattern.DORMANT_BURST)[-1]
    assert set(last.members) == {
        (user("a"), Role.MULE),
        (user("x"), Role.SENDER),
        (user("y"), Role.SENDER),
        (user("z"), Role.RECEIVER),
    }
    alone = [("a", f"stranger{n}", value) for n, value in enumerate((900, 5, 5, 5))]
    (found,) = told(wakes(30, *alone), Pattern.DORMANT_BURST)
    assert len(found.members) == 5  # nobody's money was passed on: the payees are the news


def test_purchases_are_no_moves_where_nothing_is_passed_on() -> None:
    acts = [(None, "a", 9_000), *MOVES[:3], *[("a", f"shop{n}", 100) for n in range(3)]]
    assert told(wakes(30, *acts), Pattern.DORMANT_BURST) == []
    (found,) = told(wakes(30, *acts, MOVES[3]), Pattern.DORMANT_BURST)
    assert found.facts["moves"] == 4


def owner(*last: tuple, history: int = 11, device: str = "own") -> list[Transaction]:
    """An owner who pays friends 100 from one device and address, then this happens."""
    stream = [
        transaction(
            n, n * 2 * HOURS, "a", f"friend{n % 2}", 100, device_id=device, ip_address="10.0.0.1"
        )
        for n in range(history)
    ]
    at = history * 2 * HOURS
    for n, (payee, value, device_id, ip) in enumerate(last):
        stream.append(
            transaction(history + n, at + n, "a", payee, value, device_id=device_id, ip_address=ip)
        )
    return stream


THEFT = ("thief", 301, "new", "10.9.9.9")


def test_a_takeover_is_told_with_its_payee_and_device() -> None:
    (found,) = told(owner(THEFT), Pattern.TAKEOVER)
    assert found.members == (
        (user("a"), Role.VICTIM),
        (user("thief"), Role.RECEIVER),
        (Entity(EntityKind.DEVICE, "new"), Role.SHARED),
    )
    assert [hop.target for hop in found.hops] == [user("thief")]
    assert found.facts["times_usual"] == pytest.approx(3.01)
    assert not is_proof(found)


def test_each_further_theft_says_more() -> None:
    found = told(owner(THEFT, ("thief", 2000, "new", "10.9.9.9")), Pattern.TAKEOVER)
    assert [e.facts["payments"] for e in found] == [1, 2]
    assert found[0].strength < found[1].strength <= 0.9


def robbed(name: str, at: float, *last: tuple, device: str = "rig") -> list[Transaction]:
    """Another owner, robbed at a minute from a device: (payee, value) a minute."""
    life = [
        transaction(
            n, n * HOURS, name, f"{name}{n % 2}", 100, device_id=f"own-{name}", ip_address=name
        )
        for n in range(7)
    ]
    thefts = [
        transaction(50 + n, at + n, name, payee, value, device_id=device, ip_address="10.9.9.9")
        for n, (payee, value) in enumerate(last)
    ]
    return [
        structs.replace(tx, transaction_id=f"{name}-{tx.transaction_id}") for tx in [*life, *thefts]
    ]


def test_a_takeover_names_whom_the_same_machine_robbed_and_paid() -> None:
    stream = [
        *robbed("a", 20 * HOURS, ("mule", 900), ("helper", 50)),
        *robbed("b", 22 * HOURS, ("mule", 900), device="other-rig"),
        *robbed("c", 24 * HOURS, ("mule", 900)),
        # Somebody who knows the mule pays it what he always does.
        transaction(98, 9 * HOURS, "aunt", "mule", 100, device_id="own-aunt", ip_address="aunt"),
        transaction(99, 23 * HOURS, "aunt", "mule", 100, device_id="own-aunt", ip_address="aunt"),
    ]
    found = told(sorted(stream, key=lambda tx: tx.timestamp), Pattern.TAKEOVER)
    assert [e.facts["victims"] for e in found] == [1, 2, 3]
    last = found[-1]
    assert last.members == (
        (user("c"), Role.VICTIM),
        (user("mule"), Role.MULE),
        (Entity(EntityKind.DEVICE, "rig"), Role.SHARED),
        (user("a"), Role.VICTIM),
        (user("b"), Role.VICTIM),
        (user("helper"), Role.MULE),
    )
    assert [is_proof(e) for e in found] == [False, False, True]
    assert [hop.source for hop in last.hops] == [user(name) for name in "aabc"]
    assert found[0].strength < last.strength


def test_the_users_of_a_public_machine_are_not_named() -> None:
    public = [transaction(200 + n, n, f"guest{n}", "shop", 10, device_id="rig") for n in range(11)]
    thefts = [*robbed("a", 20 * HOURS, ("mule", 900)), *robbed("b", 21 * HOURS, ("mule", 900))]
    stream = sorted([*public, *thefts], key=lambda tx: tx.timestamp)
    last = told(stream, Pattern.TAKEOVER)[-1]
    assert {e.id for e in last.entities} == {"a", "b", "mule", "rig"}
    first, last = told([tx for tx in stream if tx.user_id != "guest0"], Pattern.TAKEOVER)
    assert len(first.entities) == 3
    assert len(last.entities) == 4 + 10


def test_sleepers_who_wake_for_the_same_collector_are_named_together() -> None:
    stream = rows(
        (0, "a", "shop", 10), (0, "b", "shop", 10), (0, "c", "shop", 10),
        (20 * DAYS, "x", "a", 100), (20 * DAYS + 1, "a", "collector", 95),
        (20 * DAYS + 2, "y", "b", 100), (20 * DAYS + 3, "b", "collector", 95),
        (20 * DAYS + 4, "z", "collector", 95),
    )  # fmt: skip
    found = told(stream, Pattern.DORMANT_BURST)
    assert [e.facts["sleepers"] for e in found] == [1, 2]
    assert found[-1].members == (
        (user("b"), Role.MULE),
        (user("y"), Role.SENDER),
        (user("collector"), Role.RECEIVER),
        (user("a"), Role.MULE),
    )


@pytest.mark.parametrize(
    "stream",
    [
        owner(("friend0", 900, "new", "10.9.9.9")),
        owner(("thief", 300, "new", "10.9.9.9")),
        owner(("thief", 900, "new", "10.0.0.1")),
        owner(("thief", 900, "own", "10.9.9.9")),
        owner(THEFT, history=5),
        owner(
            ("friend1", 90, "new", "10.9.9.9"), *[("friend1", 90, "new", "10.9.9.9")] * 61, THEFT
        ),
    ],
    ids=[
        "a new phone pays a friend",
        "travel and the usual amount",
        "a new phone at home",
        "on the way with the old phone",
        "hardly known",
        "the new phone is an hour old",
    ],
)
def test_owners(stream) -> None:
    assert told(stream, Pattern.TAKEOVER) == []


# Bust-out.


def spends(*weeks: list[tuple], spent: int = 100) -> list[Transaction]:
    """Seven weeks of a purchase each, then weeks of (payee, value) or reversals."""
    flows = [(MONDAY + week * WEEKS, "a", "shop", spent) for week in range(7)]
    for week, acts in enumerate(weeks):
        flows += [(MONDAY + (7 + week) * WEEKS + n * HOURS, *act) for n, act in enumerate(acts)]
    return rows(*flows)


CASH = ("a", None, 450)
RETURN = ("shop", "a", 5)


def test_a_bust_out_in_cash_is_told_again_only_when_a_quarter_more_is_gone() -> None:
    found = told(spends([CASH, ("a", None, 10), ("a", None, 200)]), Pattern.BUST_OUT)
    assert [e.facts["spent"] for e in found] == [450, 660]
    assert found[0].members == ((user("a"), Role.MEMBER),)
    assert found[0].facts["times_mean"] == pytest.approx(4.5)
    assert [len(e.hops) for e in found] == [1, 3]
    assert not found[1].truncated


def test_a_bust_out_that_bounces_is_told() -> None:
    declined = [
        transaction(50 + n, MONDAY + 7 * WEEKS + n, "a", "shop", 99, declined=True)
        for n in range(2)
    ]
    stream = [*spends([]), *declined, transaction(60, MONDAY + 7 * WEEKS + 9, "a", "shop", 400)]
    (found,) = told(stream, Pattern.BUST_OUT)
    assert (found.facts["reversals"], found.facts["cash_share"]) == (2, 0)


FRIENDS = [(MONDAY, "a", "b", 9), (MONDAY + HOURS, "b", "a", 9)]


def strained(who: str, number: int, hour: int, *, bounces: bool) -> list[Transaction]:
    """A week of 200 where 100 is usual, then two purchases declined or a deposit that bounces."""
    at = MONDAY + 3 * WEEKS + hour * HOURS
    usual = [(MONDAY + week * WEEKS + hour * HOURS, who, f"{who}shop", 100) for week in range(3)]
    last = [
        transaction(number, at + 1, None, who, 300, declined=True)
        if bounces
        else transaction(number + n, at + 1 + n, who, f"{who}shop", 70, declined=True)
        for n in range(1 if bounces else 2)
    ]
    return [*rows(*usual, (at, who, f"{who}shop", 200)), *last]


def together(*streams: list[Transaction]) -> list[Transaction]:
    """Streams in one order of time, each transaction with an id of its own."""
    ordered = sorted(chain(*streams), key=lambda tx: tx.timestamp)
    return [structs.replace(tx, transaction_id=f"t{n}") for n, tx in enumerate(ordered)]


def test_friends_who_are_beyond_their_means_together_are_a_cohort() -> None:
    first, second = strained("a", 50, 2, bounces=False), strained("b", 60, 5, bounces=False)
    (found,) = told(together(rows(*FRIENDS), first, second), Pattern.BUST_OUT)
    assert found.members == ((user("b"), Role.MEMBER), (user("a"), Role.MEMBER))
    assert (found.facts["together"], found.facts["bounced"]) == (2, 0)
    assert {hop.source for hop in found.hops} == {user("a"), user("b")}
    assert told(together(first, second), Pattern.BUST_OUT) == []  # strangers
    assert told(together(rows(*FRIENDS), first), Pattern.BUST_OUT) == []  # alone


def test_a_deposit_that_bounces_is_told_of_one_alone() -> None:
    (found,) = told(strained("a", 50, 2, bounces=True), Pattern.BUST_OUT)
    assert (found.facts["bounced"], found.facts["together"]) == (1, 1)
    # 200 this week, 300 that never came, and three sevenths of the 100 of the week before.
    assert found.facts["spent"] == pytest.approx(543, abs=2)


def test_a_deposit_that_bounces_is_no_strain_where_little_is_drawn_on_it() -> None:
    usual = [(day * DAYS, "a", "shop", 20) for day in range(2, 27)]
    cheques = (transaction(50, 27 * DAYS, None, "a", value, declined=True) for value in (50, 120))
    small, large = ([*rows(*usual), cheque] for cheque in cheques)
    assert told(small, Pattern.BUST_OUT) == []  # as much as ever
    assert [e.facts["bounced"] for e in told(large, Pattern.BUST_OUT)] == [1]


@pytest.mark.parametrize("apart", [1, 9], ids=["within seven days", "days apart"])
def test_a_burst_is_no_smaller_for_the_end_of_a_week(apart) -> None:
    """Spent and declined on a Wednesday, declined once more so many days later."""
    wednesday = MONDAY + 3 * WEEKS + 2 * DAYS + 12 * HOURS
    streams_of = []
    for who in "ab":
        usual = [(MONDAY + week * WEEKS, who, f"{who}shop", 100) for week in range(3)]
        declined = [
            transaction(0, at, who, f"{who}shop", 70, declined=True)
            for at in (wednesday + 1, wednesday + apart * DAYS)
        ]
        streams_of.append([*rows(*usual, (wednesday, who, f"{who}shop", 400)), *declined])
    found = told(together(rows(*FRIENDS), *streams_of), Pattern.BUST_OUT)
    assert [e.facts["together"] for e in found] == ([2] if apart == 1 else [])


def tours(who: str, *, new: int, hour: int = 0, day: int = 7) -> list[Transaction]:
    """Somebody is seen, and days later buys at new shops, one every three hours."""
    last = [
        (day * DAYS + (hour + 3 * n) * HOURS, who, f"shop-new-{who}{n}", 100) for n in range(new)
    ]
    return rows((0, who, f"shop-{who}", 10), *last)


def test_friends_who_buy_at_one_new_shop_after_the_other_are_told_shop_by_shop() -> None:
    friends = rows((9 * HOURS, "a", "b", 9))
    stream = together(friends, tours("a", new=5, hour=1), tours("b", new=4))
    found = told(stream, Pattern.BUST_OUT)
    assert [e.facts["new_merchants"] for e in found] == [3, 4, 5]
    assert found[0].members == ((user("a"), Role.MEMBER), (user("b"), Role.MEMBER))
    assert {hop.source for hop in found[0].hops} == {user("a"), user("b")}
    assert "3 merchants were new to it within 2 days; 1 of those it pays did" in found[0].reason
    assert found[0].facts["spree"] == 1
    # 300 in this week and a hundredth of the 10 of the one before, where 10 is usual.
    assert found[0].facts["company_times"] == pytest.approx(30, rel=0.01)


@pytest.mark.parametrize(("days", "broke"), [(1, 1), (15, 0)], ids=["yesterday", "long ago"])
def test_of_the_company_it_is_said_whose_deposit_bounced(days, broke) -> None:
    at = MONDAY + 3 * WEEKS + days * DAYS
    spree = [(at + n * HOURS, who, f"shop-{who}{n}", 50) for n in range(3) for who in "ba"]
    stream = together(
        rows((0, "a", "shop", 50), (at - HOURS, "a", "b", 9), *spree),
        strained("b", 50, 2, bounces=True),
    )
    found = told(stream, Pattern.BUST_OUT)[-1]
    assert found.members == ((user("a"), Role.MEMBER), (user("b"), Role.MEMBER))
    assert found.facts["broke_together"] == broke
    assert ("deposits of 1 of them bounced" in found.reason) == broke


def test_whose_deposit_bounces_is_told_with_a_friend_who_is_on_a_spree() -> None:
    at = MONDAY + 3 * WEEKS
    spree = [(at + n * HOURS, "b", f"shop-{n}", 50) for n in range(3)]
    stream = together(
        rows((MONDAY, "a", "b", 9), (MONDAY, "b", "shop", 50), *spree),
        strained("a", 50, 3, bounces=True),
    )
    (found,) = told(stream, Pattern.BUST_OUT)
    assert found.members == ((user("a"), Role.MEMBER), (user("b"), Role.MEMBER))
    assert (found.facts["bounced"], found.facts["broke_together"]) == (1, 0)


@pytest.mark.parametrize(
    "stream",
    [
        [tours("a", new=9), tours("b", new=9)],
        [rows((0, "a", "b", 9)), tours("a", new=9), tours("b", new=2)],
        [rows((0, "a", "b", 9)), tours("a", new=9, day=3), tours("b", new=9, day=3)],
        [rows((0, "a", "b", 9)), tours("a", new=9), tours("b", new=9, hour=73)],
    ],
    ids=["strangers on holiday", "a friend shops as ever", "both are new here", "days apart"],
)
def test_sprees_of_one(stream) -> None:
    assert told(together(*stream), Pattern.BUST_OUT) == []


@pytest.mark.parametrize(
    "stream",
    [
        spends([("a", "shop", 400)] * 3),
        spends([("a", None, 390)]),
        spends([RETURN, ("a", "shop", 900)]),
        spends([("a", "shop", 900)], [CASH]),
        spends([CASH])[1:],
        [tx for tx in spends([CASH]) if tx.timestamp > streams.START + 34 * DAY],
    ],
    ids=[
        "a wedding",
        "a little below",
        "one return",
        "less than the peak",
        "a week less is enough",
        "too short a life",
    ],
)
def test_seasonal_spending(stream, request) -> None:
    enough = "enough" in request.node.callspec.id
    assert len(told(stream, Pattern.BUST_OUT)) == enough


# Card testing.


def tries(
    n: int,
    *,
    declined: float = 0.5,
    gap: float = 0.5,
    value: Callable[[int], int] = lambda i: 100,
    start: float = 0,
    first: int = 0,
    **fields: object,
) -> list[Transaction]:
    """Attempts with a card each, from one user and device at one shop."""
    place = {"device_id": "rig", **fields}
    return [
        transaction(
            first + i,
            start + i * gap,
            "tester",
            "shop",
            value(i),
            declined=i % 10 < 10 * declined,
            card_id=f"card{first + i}",
            **place,
        )
        for i in range(n)
    ]


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


def test_who_never_acted_has_slept_since_anything_was_seen() -> None:
    others = rows((0, "x", "shop", 5), (DAYS, "y", "shop", 5))
    burst = rows(
        *((22 * DAYS + n, *move) for n, move in enumerate(MOVES[:4])),
        start=10,
        user_created_at=streams.START - 90 * DAY,
    )
    (found,) = told([*others, *burst], Pattern.DORMANT_BURST)
    assert found.facts["slept_days"] == pytest.approx(22)
    new = [structs.replace(tx, user_created_at=None) for tx in burst]
    assert told([*others, *new], Pattern.DORMANT_BURST) == []


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


# Merchants.


def deals(
    *names: str, shop: str = "shop-front", start: int = 0, **fields: object
) -> list[Transaction]:
    """A purchase of each name, in order; a capital letter is a refund."""
    return [
        transaction(
            start + n,
            (start + n) * 10,
            *((shop, name.lower()) if name.isupper() else (name, shop)),
            100,
            **fields,
        )
        for n, name in enumerate(names)
    ]


def test_a_front_is_told_with_its_buyers_and_their_device() -> None:
    stream = deals(*"abcd" * 4, device_id="phone")
    found = told(stream, Pattern.COLLUSIVE_MERCHANT)
    # Two regulars and two who nearly are make a surge.
    assert [(e.facts["deals"], e.facts["surge"]) for e in found] == [(14, 1), (15, 0), (16, 0)]
    assert found[-1].members == (
        (Entity(EntityKind.MERCHANT, "shop-front"), Role.CONTROLLER),
        *((user(name), Role.MEMBER) for name in "abcd"),
        (Entity(EntityKind.DEVICE, "phone"), Role.SHARED),
    )
    assert len(found[-1].hops) == 16
    assert (found[-1].facts["share"], found[-1].facts["isolation"]) == (1, 1)
    assert is_proof(found[1])
    assert found[0].strength < 0.5 <= found[1].strength < found[-1].strength <= 0.95


def test_the_owner_of_the_machine_is_named_who_never_buys() -> None:
    owner = transaction(90, 0, "owner", "friend", 100, device_id="phone")
    last = told([owner, *deals(*"abc" * 4, start=1, device_id="phone")],
                Pattern.COLLUSIVE_MERCHANT)[-1]  # fmt: skip
    assert dict(last.members)[user("owner")] is Role.CONTROLLER


def test_a_front_hides_among_customers_who_come_once() -> None:
    names = [name for n, each in enumerate("abc" * 5) for name in (each, f"once{n}")]
    found = told(deals(*names, device_id="phone"), Pattern.COLLUSIVE_MERCHANT)
    assert {e.id for e in found[-1].entities if e.kind is EntityKind.USER} == set("abc")
    assert found[-1].facts["share"] == pytest.approx(0.5, abs=0.05)


def test_regulars_of_one_machine_are_told_behind_a_crowd_and_others_are_not() -> None:
    names = [name for n, each in enumerate("abc" * 5) for name in (each, f"{n}", f"{n}.")]
    found = told(deals(*names, device_id="phone"), Pattern.COLLUSIVE_MERCHANT)
    assert found[-1].facts["share"] == pytest.approx(0.33, abs=0.03)
    assert {hop.source for hop in found[-1].hops} == {user(name) for name in "abc"}
    returned = [*names, *(name for each in "ABC" * 3 for name in (each, f"{each}1", f"{each}2"))]
    assert told(deals(*returned), Pattern.COLLUSIVE_MERCHANT) == []  # refunds, but no machine


def test_a_surge_is_told_across_the_thursday_that_halves_what_is_known() -> None:
    # Four deals each within six days, half of them before the counts are halved, among others'.
    names = [name for n, each in enumerate("abc" * 4) for name in (each, f"once{n}")]
    late = [structs.replace(tx, timestamp=tx.timestamp + (MONDAY + n * 300) * MINUTE)
            for n, tx in enumerate([*deals(*names), *deals(*"AB", start=24)])]  # fmt: skip
    found = told(late, Pattern.COLLUSIVE_MERCHANT)
    assert [e.facts["surge"] for e in found] == [1]
    assert found[-1].reason.startswith("merchant:shop-front lives on 3 regulars within a week: ")
    assert {e.id for e in found[-1].entities if e.kind is EntityKind.USER} == set("abc")
    assert (found[-1].facts["refunded"], found[-1].facts["regulars"]) == (2, 3)
    assert found[-1].strength < RingBook().policy.birth
    assert told(late[:-2], Pattern.COLLUSIVE_MERCHANT) == []  # nothing came back


def test_a_surge_ends_after_seven_days() -> None:
    slow = [tx for n, name in enumerate("abc" * 4 + "AB") for tx in deals(name, start=n * 150)]
    assert told(slow, Pattern.COLLUSIVE_MERCHANT) == []


def test_the_other_users_of_a_public_machine_are_no_owners() -> None:
    def named(others: int) -> set[str]:
        public = [
            transaction(90 + n, n, f"guest{n}", "friend", 100, device_id="kiosk")
            for n in range(others)
        ]
        stream = [*public, *deals(*"abc" * 4, start=9, device_id="kiosk")]
        return {e.id for e in told(stream, Pattern.COLLUSIVE_MERCHANT)[-1].entities}

    assert {"guest0", "guest1"} <= named(2)
    assert named(5) == {"shop-front", "kiosk", *"abc"}


def test_regulars_keep_their_place_and_all_counts_fade() -> None:
    window, book = TransactionWindow(), catalogue()
    crowd = [f"once{n}" for n in range(40)]
    first = deals(*"aabb", *crowd, "c")

    def shop() -> list[int]:
        place = window.accounts.find(EntityKind.MERCHANT, "shop-front")
        return [int(n) for n in book.profiles.columns(window).merchants[place]]

    def names(row: list[int]) -> list[str]:
        keys = row[graph.profiles.WHO : graph.profiles.WHO + row[graph.profiles.BUYERS]]
        return [window.accounts.entity(graph.profiles.id_of(key)).id for key in keys]

    for tx in streams.ticking([*first, *deals("a", start=3_000)]):
        book.detect(window, tx, window.add(tx))
        if tx.transaction_id == first[-1].transaction_id:
            assert names(shop()) == ["a", "b", *crowd[-21:], "c"]
            assert shop()[graph.profiles.DEALS_HERE :][:3] == [2, 2, 1]
    # Three weeks later.
    assert names(shop()) == ["a"]
    assert shop()[graph.profiles.DEALS] == 45 // 8 + 1


@pytest.mark.parametrize(
    "stream",
    [
        deals(*"abcabcabcabc"),
        [tx for n, name in enumerate("abcdefghijklm" * 3) for tx in deals(name, start=n)],
        deals(*"abababababAB"),
        deals(*"abcdefghijkABC"),
        deals(*"abcabcabc", device_id="phone"),
        deals(*(f"once{n}" for n in range(20)), *"abcabcabcABC"),
        [tx for n, name in enumerate("abc" * 4) for tx in deals(name, start=n * 500)],
    ],
    ids=[
        "a club without a trace",
        "open to the public",
        "two buyers",
        "hardly anybody comes back",
        "not quite regulars",
        "most are other people's",
        "twice a week at the grocer's",
    ],
)
def test_small_merchants(stream) -> None:
    found = told(stream, Pattern.COLLUSIVE_MERCHANT)
    assert [e for e in found if e.members[0][0].id == "shop-front"] == []


def returns(
    *, shops: int = 3, bought: int = 8, refunded: int = 6, who: str = "a", **fields: object
) -> list[Transaction]:
    """Purchases of 100 at some shops, in turn, and then refunds of them."""
    flows = [(n * 10, who, f"shop{n % shops}", 100) for n in range(bought)]
    flows += [(500 + n * 10, f"shop{n % shops}", who, 100) for n in range(refunded)]
    return rows(*flows, **fields)


def test_refund_abuse_is_told_with_the_refunds() -> None:
    found = told(returns(refunded=7), Pattern.REFUND_ABUSE)
    assert [e.facts["refunds"] for e in found] == [6, 7]
    first = found[0]
    assert first.members[0] == (user("a"), Role.MEMBER)
    assert {role for _, role in first.members[1:]} == {Role.VICTIM}
    assert [hop.source.id for hop in first.hops] == ["shop0", "shop1", "shop2"] * 2
    assert not is_proof(first)


def test_users_on_one_device_abuse_together_and_that_proves_a_ring() -> None:
    stream = [
        structs.replace(tx, user_id=f"name{n % 2}", device_id="phone")
        for n, tx in enumerate(returns())
    ]
    (found,) = told(stream, Pattern.REFUND_ABUSE)
    assert found.facts["users"] == 2
    assert (Entity(EntityKind.DEVICE, "phone"), Role.SHARED) in found.members
    assert is_proof(found)
    # Too many on the device: it is public, and each returned but three times.
    assert told(stream, Pattern.REFUND_ABUSE, refund_users=1) == []


@pytest.mark.parametrize(
    "stream",
    [
        returns(bought=11),
        returns(shops=2),
        returns(refunded=5),
        [*returns(bought=30, refunded=0), *returns(bought=0)],
    ],
    ids=["half of it fits", "two shops", "five returns", "a good customer"],
)
def test_honest_returns(stream) -> None:
    stream = [structs.replace(tx, transaction_id=f"n{n:04}") for n, tx in enumerate(stream)]
    assert told(stream, Pattern.REFUND_ABUSE) == []


def both(paid: tuple, *, bought: int = 8, refunded: tuple[int, int] = (2, 2)) -> list[Transaction]:
    """Two who buy at one shop each and return some of it, after one paid somebody."""
    streams_of = [
        returns(shops=1, bought=bought, refunded=n, who=who)
        for who, n in zip("ab", refunded, strict=True)
    ]
    return together(rows((0, *paid, 5)), *streams_of)


def test_friends_who_both_return_much_are_told_together() -> None:
    found = told(both(("b", "a")), Pattern.REFUND_ABUSE)
    assert [e.facts["company"] for e in found] == [1]
    assert found[0].members == ((user("b"), Role.MEMBER), (user("a"), Role.MEMBER))
    assert (found[0].facts["refunds"], found[0].facts["users"]) == (4, 2)
    assert {hop.target for hop in found[0].hops} == {user("a"), user("b")}
    assert "user:b and 1 whom it pays were refunded 4 times, 25 %" in found[0].reason


@pytest.mark.parametrize(
    "stream",
    [
        both(("b", "c")),
        both(("b", "a"), refunded=(2, 1)),
        both(("b", "a"), bought=14),
        both(("b", "shop0")),
    ],
    ids=["strangers", "one of them once", "no more than others", "the same shop"],
)
def test_those_who_return_as_people_do(stream) -> None:
    assert told(stream, Pattern.REFUND_ABUSE) == []


def test_old_purchases_count_half_after_ninety_days() -> None:
    old = returns(bought=14, refunded=0)
    later = [
        structs.replace(tx, transaction_id=f"later{n}", timestamp=tx.timestamp + 91 * DAY)
        for n, tx in enumerate(returns(bought=0))
    ]
    assert len(told([*old, *later], Pattern.REFUND_ABUSE)) == 1


# Synthetic identities.


def names(n: int, *, each: int = 1, start: float = 0, **fields: object) -> list[Transaction]:
    """So many users of one device, card or address, one after the other."""
    return [
        transaction(
            i,
            start + i,
            f"name{i % n}",
            "shop",
            100,
            **{key: value.format(i % n) for key, value in fields.items()},
        )
        for i in range(n * each)
    ]


def test_synthetic_identities_are_told_user_by_user() -> None:
    found = told(names(5, device_id="d", card_id="c"), Pattern.SYNTHETIC_IDENTITY)
    assert [e.facts["users"] for e in found] == [3, 4, 5]
    assert found[0].members == (
        (Entity(EntityKind.CARD, "c"), Role.SHARED),
        (Entity(EntityKind.DEVICE, "d"), Role.SHARED),
        *((user(f"name{n}"), Role.MEMBER) for n in range(3)),
    )
    assert found[0].strength == pytest.approx(0.65)
    assert is_proof(found[0])
    # Nothing is new about them the second time.
    again = names(5, each=3, device_id="d", card_id="c")
    assert len(told(again, Pattern.SYNTHETIC_IDENTITY)) == 3


def test_an_address_counts_as_a_second_attribute() -> None:
    found = told(names(3, device_id="d", ip_address="10.0.0.1"), Pattern.SYNTHETIC_IDENTITY)
    assert [e.facts["users"] for e in found] == [3]
    assert found[0].strength < RingBook().policy.birth


@pytest.mark.parametrize(
    "stream",
    [
        names(2, device_id="d", card_id="c"),
        names(6, device_id="d"),
        names(6, device_id="d{}", ip_address="10.0.0.1"),
        names(40, device_id="kiosk", ip_address="10.0.0.1")[33:],
        names(3, device_id="d", card_id="c", user_created_at="{}"),
        [
            *names(3, device_id="own{}", ip_address="10.0.0.1"),
            *[
                structs.replace(
                    tx, transaction_id=f"tablet{n}", timestamp=tx.timestamp + 9 * MINUTE
                )
                for n, tx in enumerate(names(3, device_id="tablet", ip_address="10.0.0.1"))
            ],
        ],
        [
            *names(3, each=10, device_id="", card_id=""),
            *[
                structs.replace(tx, transaction_id=f"late{n}", timestamp=tx.timestamp + HOUR)
                for n, tx in enumerate(names(3, device_id="d", card_id="c"))
            ],
        ],
    ],
    ids=[
        "a couple",
        "one attribute",
        "an address alone",
        "a few of a kiosk's",
        "accounts opened long ago",
        "a household with phones",
        "users with a history",
    ],
)
def test_people(stream, request) -> None:
    if "opened" in request.node.callspec.id:
        stream = [structs.replace(tx, user_created_at=streams.START - 91 * DAY) for tx in stream]
    if "kiosk" in request.node.callspec.id:
        stream = names(40, device_id="kiosk", ip_address="10.0.0.1")
        assert max(e.facts["users"] for e in told(stream, Pattern.SYNTHETIC_IDENTITY)) == 32
        return
    stream = [
        structs.replace(tx, device_id=tx.device_id or None, card_id=tx.card_id or None)
        for tx in stream
    ]
    assert told(stream, Pattern.SYNTHETIC_IDENTITY) == []


# What they remember.


def test_deeds_bear_no_ring_but_join_one() -> None:
    book = RingBook()
    (theft,) = told(owner(THEFT), Pattern.TAKEOVER)
    assert theft.strength >= book.policy.birth
    assert book.observe([theft], 0) == []
    (found, *_) = told(names(3, device_id="new", card_id="c"), Pattern.SYNTHETIC_IDENTITY)
    (born,) = book.observe([found], 0)
    (grew,) = book.observe([theft], 0)
    assert Pattern.TAKEOVER in grew.ring.patterns
    assert grew.ring.score == born.ring.score  # it says more about the ring, but is no proof of it


WORLD = [
    *owner(THEFT)[:-1],
    *tries(9, start=11 * 2 * HOURS - 8, first=100, device_id="own"),
]


def test_everything_survives_a_restart() -> None:
    window, book = TransactionWindow(), catalogue()
    for tx in WORLD:
        book.detect(window, tx, window.add(tx))
    restored, again = TransactionWindow.restore(window.snapshot()), catalogue()
    again.restore(book.snapshot())
    assert again.snapshot() == book.snapshot()
    last = [
        owner(THEFT)[-1],
        *tries(1, start=11 * 2 * HOURS, first=200, device_id="own", declined=1),
    ]
    told_twice = [
        [e for tx in last for e in side.detect(place, tx, place.add(tx))]
        for place, side in ((window, book), (restored, again))
    ]
    assert told_twice[0] == told_twice[1]
    assert {e.pattern for e in told_twice[0]} >= {Pattern.TAKEOVER, Pattern.CARD_TESTING}
    assert again.snapshot() == book.snapshot()
    with pytest.raises(Incompatible):
        again.restore(book.snapshot()[:-1])


def test_a_recycled_account_starts_anew() -> None:
    config = WindowConfig(max_accounts=3, retention=DAY, max_edges=4096, max_links=4096)
    window, book = TransactionWindow(config), catalogue()
    sleeper = transaction(0, 0, "a", None, 10)
    first = window.add(sleeper)
    book.detect(window, sleeper, first)
    successor = transaction(1, 30 * DAYS, "z", None, 10)
    for tick in streams.ticking([sleeper, successor])[1:-1]:
        window.add(tick)
    again = window.add(successor)
    assert again.user == first.user
    assert book.detect(window, successor, again) == []
    assert book.dormancy.detect(window, successor, again) == ()
    assert book.profiles.columns(window).users[again.user, graph.profiles.COUNT] == 1
    assert book.profiles.columns(window).users[again.user, graph.profiles.SLEPT] == 0


def test_more_merchants_than_are_remembered_are_refused() -> None:
    with pytest.raises(InvalidSetting) as refusal:
        Thresholds(refund_merchants=5)
    assert refusal.value.field == "refund_merchants"
