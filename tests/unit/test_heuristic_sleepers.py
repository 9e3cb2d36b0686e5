"""Accounts that wake up and empty themselves, and those who wake gently."""

import pytest
from msgspec import structs

from graph.errors import InvalidSetting
from graph.evidence import Pattern, Role
from graph.ring_score import is_proof
from graph.thresholds import Thresholds
from graph.transaction import DAY, Transaction
from tests.account_streams import DAYS, rows, told, user
from tests.oracles import streams
from tests.oracles.streams import transaction


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


def test_a_payroll_at_one_moment_is_judged_though_it_is_more_than_is_looked_at() -> None:
    """Which of equal moments comes first is a matter of hashes; the payment asked about counts."""
    most = Thresholds().dormant_scan + 20
    wages = rows(*((30 * DAYS, "a", f"hand{n}", 100) for n in range(most)), start=1)
    found = told([*rows((0, "a", "hand0", 100)), *wages], Pattern.DORMANT_BURST)
    assert found
    assert all(e.facts["moves"] <= Thresholds().dormant_scan for e in found)
