"""Who plays which part, and why."""

import pytest

from graph.evidence import Evidence, Hop, Pattern, Role
from graph.ring_book import RingBook
from graph.ring_roles import MemberRole, ring_roles
from graph.transaction import HOUR, Entity, EntityKind
from tests.oracles.ring_evidence import cycle, mule, shared, user

SHOP = Entity(EntityKind.MERCHANT, "shop")


def roles(*pieces: Evidence) -> dict[str, MemberRole]:
    """By name, of the ring that the first piece bears and the others join."""
    book = RingBook()
    for piece in pieces:
        events = book.observe([piece], piece.seen_at)
    ring = events[-1].ring
    assert len(book) == 1
    found = ring_roles(ring.members, book.evidence_of(ring.ring_id))
    return {each.entity.id: each for each in found}


def named(*pieces: Evidence) -> dict[str, str]:
    return {name: each.role.value for name, each in roles(*pieces).items()}


def paid(*hops: tuple[str | None, str | Entity | None, int], told: dict[str, Role]) -> Evidence:
    """A pattern nobody knows: these hops a second apart, and roles as they were told."""

    def end(name: str | Entity | None) -> Entity | None:
        return user(name) if isinstance(name, str) else name

    members = tuple((user(name), role) for name, role in told.items())
    witness = tuple(Hop(f"t{i}", end(a), end(b), v, i) for i, (a, b, v) in enumerate(hops))
    return Evidence(Pattern.FAN_IN, len(hops), members, witness, 0.8, "Something was seen.")


def test_a_mule_its_victims_and_where_the_money_ends() -> None:
    found = roles(mule("1", "m", "abc", "y", HOUR))
    assert {name: each.role.value for name, each in found.items()} == {
        "m": "mule", "a": "victim", "b": "victim", "c": "victim", "y": "cash_out",
    }  # fmt: skip
    assert found["m"].reason == (
        "It received money from 3 members and passed 90 % of it on to 1 account."
    )
    assert found["a"].reason == "It only paid in: to 1 member, none of whom paid it."
    assert found["y"].reason == (
        "Money of 1 member came to it and 100 % of it has not been seen to leave."
    )


def test_where_the_money_of_several_mules_comes_together_and_stays_is_a_controller() -> None:
    found = roles(
        mule("1", "m", "abc", "y", HOUR),
        shared(EntityKind.DEVICE, "phone", "mn", HOUR + 1),
        mule("2", "n", "def", "y", HOUR + 2),
    )
    assert found["y"].role is Role.CONTROLLER
    assert found["y"].reason == (
        "Money of 2 members comes together here; 100 % of it has not been seen to leave."
    )
    assert (found["m"].role, found["n"].role) == (Role.MULE, Role.MULE)
    assert found["phone"].reason == "2 members were seen with it."


def test_a_cycle_is_controlled_where_it_begins_and_not_where_a_later_lap_begins() -> None:
    laps = cycle("1", "abc", HOUR), cycle("2", "bca", 2 * HOUR)
    assert named(*laps) == {"a": "controller", "b": "mule", "c": "mule"}
    assert roles(*laps)["a"].reason.startswith("The money begins here and comes home: ")


@pytest.mark.parametrize("outside", [None, SHOP])
def test_money_that_leaves_the_graph_leaves_it_at_a_cash_out(outside: Entity | None) -> None:
    told = {"m": Role.MULE, "a": Role.SENDER, "b": Role.SENDER}
    piece = paid(("a", "m", 100), ("b", "m", 100), ("m", outside, 190), told=told)
    assert named(piece) == {"m": "cash_out", "a": "victim", "b": "victim"}
    assert roles(piece)["m"].reason == (
        "Money leaves the graph here: 100 % of what it sent went into cash or to merchants."
    )


def test_the_centre_that_pays_many_and_is_paid_by_none_controls() -> None:
    told = {"h": Role.SENDER, "a": Role.RECEIVER, "b": Role.RECEIVER}
    found = roles(paid(("h", "a", 100), ("h", "b", 100), told=told))
    assert found["h"].role is Role.CONTROLLER
    assert found["h"].reason == (
        "The money begins here: it paid 2 accounts, and none of the ring paid it."
    )


def test_a_mule_whose_money_came_from_outside_was_not_paid_by_no_members() -> None:
    told = {"m": Role.MULE, "a": Role.RECEIVER}
    piece = paid((None, "m", 100), ("m", "a", 98), told=told)
    assert roles(piece)["m"].reason == (
        "It received money from outside the graph and passed 98 % of it on to 1 account."
    )


def test_what_a_heuristic_says_stands_where_the_money_does_not_speak_against_it() -> None:
    """An account that was taken over pays many; a cash-out may have many payers."""
    told = {"v": Role.VICTIM, "a": Role.CASH_OUT, "b": Role.CASH_OUT, "c": Role.MULE}
    piece = paid(("v", "a", 100), ("v", "b", 100), ("c", "a", 5), told=told)
    assert named(piece) == {"v": "victim", "a": "cash_out", "b": "cash_out", "c": "mule"}
    assert roles(piece)["c"].reason == (
        "Evidence of fan-in names it as mule: it paid 1 member; where its money came from was not "
        "seen."
    )
    told = {"c": Role.MULE, "v": Role.VICTIM, "w": Role.VICTIM}
    piece = paid(("w", "c", 100), ("c", "v", 90), told=told)
    assert named(piece) == {"c": "mule", "v": "cash_out", "w": "victim"}, "this victim was paid"


def test_who_only_shares_something_stands_by_and_where_no_money_tells_the_first_one_steers() -> (
    None
):
    farm = roles(shared(EntityKind.DEVICE, "phone", "abc", HOUR))
    assert {name: each.role.value for name, each in farm.items()} == {
        "phone": "shared", "a": "controller", "b": "bystander", "c": "bystander",
    }  # fmt: skip
    assert farm["a"].reason == (
        "It was the first of 3 members on device:phone, and no money says who else steers them."
    )
    assert farm["b"].reason == (
        "No money of the ring touches it; only evidence of shared device names it."
    )
    both = named(cycle("1", "abc", HOUR), shared(EntityKind.DEVICE, "phone", "dabc", 2 * HOUR))
    assert both == {
        "a": "controller", "b": "mule", "c": "mule", "phone": "shared", "d": "fringe",
    }  # fmt: skip


def test_an_address_makes_nobody_a_controller() -> None:
    found = roles(shared(EntityKind.IP, "nat", "abc", HOUR))
    assert {each.role for each in found.values()} == {Role.SHARED, Role.BYSTANDER}
    assert found["nat"].reason == ("3 members were seen with it. An address alone joins nobody.")


def test_who_is_named_by_weak_evidence_only_stands_by() -> None:
    weak = cycle("2", "ab", 2 * HOUR, strength=0.3)
    members = ((user("a"), Role.MEMBER), (user("b"), Role.MEMBER))
    (one, other) = ring_roles(members, [weak])
    assert (one.role, other.role) == (Role.BYSTANDER, Role.BYSTANDER)
    assert one.reason == (
        "Only evidence that proves no ring by itself names it (ping-pong, strength 0.30)."
    )


def test_whom_the_ring_has_at_its_fringe_is_there_whatever_the_money_says() -> None:
    told = {"a": Role.RECEIVER, "v": Role.SENDER}
    pieces = [cycle("1", "abc", HOUR), paid(("v", "a", 50), ("w", "a", 50), told=told)]
    members = [
        *((user(name), Role.MEMBER) for name in "abc"),
        *((user(name), Role.FRINGE) for name in "vw"),
    ]
    *_, one, other = ring_roles(members, pieces)
    assert (one.role, other.role) == (Role.FRINGE, Role.FRINGE)
    assert one.reason == (
        "Only 1 of 2 pieces of evidence names it; others of the ring are named by more, or more "
        "strongly."
    )
    assert other.reason == "Newer evidence has replaced what named it; what is at hand does not."
    farm = shared(EntityKind.DEVICE, "phone", "vabc", HOUR)
    members = [(user("v"), Role.FRINGE), *((user(name), Role.MEMBER) for name in "abc")]
    parts = {each.entity.id: each.role for each in ring_roles(members, [farm])}
    assert parts["v"] is Role.FRINGE
    assert parts["a"] is Role.CONTROLLER, "the first of those who belong to it"


@pytest.mark.parametrize(
    ("told", "role"),
    [
        (Role.SENDER, Role.VICTIM),
        (Role.RECEIVER, Role.CASH_OUT),
        (Role.MULE, Role.MULE),
        (Role.MEMBER, Role.BYSTANDER),
    ],
)
def test_of_whom_no_evidence_is_left_the_told_role_speaks(told: Role, role: Role) -> None:
    (found,) = ring_roles([(user("a"), told)], [])
    assert found.role is role
    assert found.reason == (
        f"Evidence that newer evidence has replaced named it as {told.value}; what is at hand "
        "does not."
    )


def test_regulars_of_a_front_are_no_victims_and_whoever_pays_in_is_one() -> None:
    front = paid(("a", SHOP, 500), ("b", SHOP, 400), told={"a": Role.MEMBER, "b": Role.SENDER})
    found = ring_roles((*front.members, (SHOP, Role.CONTROLLER)), [front])
    told = {each.entity.id: each for each in found}
    assert (told["a"].role, told["b"].role) == (Role.CASH_OUT, Role.VICTIM)
    assert told["a"].reason == (
        "It spends at 1 member, and evidence of fan-in names it as one of them, "
        "not as somebody who is robbed."
    )


@pytest.mark.parametrize(("out", "end"), [(500, "1 account."), (900, "its own as well.")])
def test_a_mule_that_sends_more_than_it_got_is_said_to(out: int, end: str) -> None:
    found = roles(paid(("a", "m", 500), ("m", "y", out), told={"m": Role.MULE, "a": Role.SENDER}))
    assert found["m"].reason.startswith("It received money from 1 member and passed all of it on")
    assert found["m"].reason.endswith(end)
