"""People who do not exist, and people who do."""

import pytest
from msgspec import structs

from graph.evidence import Pattern, Role
from graph.ring_book import RingBook
from graph.ring_score import is_proof
from graph.transaction import DAY, HOUR, MINUTE, Entity, EntityKind
from tests.account_streams import names, told, user
from tests.oracles import streams


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
