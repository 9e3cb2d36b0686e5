"""Credit built up to be blown, and seasonal spending."""

import pytest

from graph.evidence import Pattern, Role
from graph.transaction import DAY, Transaction
from tests.account_streams import DAYS, HOURS, MONDAY, WEEKS, rows, together, told, user
from tests.oracles import streams
from tests.oracles.streams import transaction


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
