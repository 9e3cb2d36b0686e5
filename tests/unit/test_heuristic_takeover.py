"""Somebody else at the controls of an account, and owners with a new phone."""

import pytest
from msgspec import structs

from graph.evidence import Pattern, Role
from graph.ring_score import is_proof
from graph.transaction import Entity, EntityKind, Transaction
from tests.account_streams import HOURS, THEFT, owner, told, user
from tests.oracles.streams import transaction


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
