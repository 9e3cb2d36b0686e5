"""Merchants that are in it and buyers who live on refunds, and those who are honest."""

import pytest
from msgspec import structs

import graph.profiles
from graph.evidence import Pattern, Role
from graph.heuristics import catalogue
from graph.ring_book import RingBook
from graph.ring_score import is_proof
from graph.transaction import DAY, MINUTE, Entity, EntityKind, Transaction
from graph.window import TransactionWindow
from tests.account_streams import MONDAY, rows, together, told, user
from tests.oracles import streams
from tests.oracles.streams import transaction


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
