"""Embeddings by the window's ids: whose they are, how old they may get, and what a part may say."""

import numpy as np
import pytest

from graph.entities import EntitySpace
from graph.errors import Incompatible, InvalidInput
from graph.transaction import DAY, HOUR, Entity, EntityKind
from scorer.embeddings import PARTIES, STALE, Embeddings
from scorer.reference import Embedded

NOW = 1_700_000_000_000
ACCOUNTS = (EntityKind.USER, EntityKind.MERCHANT)
IDENTIFIERS = (EntityKind.DEVICE, EntityKind.IP, EntityKind.CARD)
ALICE, SHOP = Entity(EntityKind.USER, "alice"), Entity(EntityKind.MERCHANT, "shop")
PHONE = Entity(EntityKind.DEVICE, "phone")


@pytest.fixture
def spaces():
    found = EntitySpace(ACCOUNTS, 8, DAY), EntitySpace(IDENTIFIERS, 8, DAY)
    for entity in (ALICE, SHOP):
        found[0].intern(entity.kind, entity.id, NOW, NOW)
    found[1].intern(PHONE.kind, PHONE.id, NOW, NOW)
    return found


@pytest.fixture
def held(spaces) -> Embeddings:
    return Embeddings(*spaces, "v1", 2)


def part(*entities: Entity, as_of: int = NOW, model: str = "v1", first: float = 1.0) -> Embedded:
    rows = np.array([[first + i, -(first + i)] for i in range(len(entities))], np.float32)
    return Embedded(model, as_of, entities, rows)


def who(spaces, *entities: Entity | None) -> np.ndarray:
    """Ids and generations of user, other party, device, IP and card."""
    found = np.zeros(2 * PARTIES, np.int64)
    found[:PARTIES] = -1
    for place, entity in enumerate(entities):
        if entity is not None:
            space = spaces[place >= 2]
            found[place] = space.find(entity.kind, entity.id)
            found[PARTIES + place] = space.generation[found[place]]
    return found


def test_a_transaction_is_given_the_embeddings_of_its_own_parties(spaces, held) -> None:
    assert held.take(part(ALICE, SHOP, PHONE)) == 3
    near = held.around(who(spaces, ALICE, SHOP, PHONE), NOW + HOUR)
    assert near.parties.tolist() == [1, -1, 2, -2, 3, -3, 0, 0, 0, 0]
    assert near.there.tolist() == [1, 1, 1, 0, 0]
    assert near.age == HOUR


def test_the_age_is_that_of_the_oldest(spaces, held) -> None:
    held.take(part(SHOP, as_of=NOW - HOUR))
    held.take(part(ALICE, as_of=NOW))
    assert held.around(who(spaces, ALICE, SHOP), NOW).age == HOUR
    assert held.around(who(spaces, ALICE), NOW).age == 0
    assert held.around(who(spaces, None), NOW).age == 0


def test_nothing_is_fresh_before_the_first_part_and_after_three_hours(spaces, held) -> None:
    assert not held.fresh(NOW)
    held.take(part(ALICE))
    held.take(part(SHOP, as_of=NOW + HOUR))
    assert held.fresh(NOW + HOUR + STALE)
    assert not held.fresh(NOW + HOUR + STALE + 1)
    near = held.around(who(spaces, ALICE, SHOP), NOW + STALE + 1)
    assert near.there.tolist() == [0, 1, 0, 0, 0]
    assert near.parties.tolist() == [0, 0, 1, -1, 0, 0, 0, 0, 0, 0]


def test_an_id_that_is_somebody_elses_now_has_no_embedding(spaces, held) -> None:
    held.take(part(ALICE))
    then = who(spaces, ALICE)
    spaces[0].generation[then[0]] += 1  # as when the id is given out anew
    assert held.around(who(spaces, ALICE), NOW).there.tolist() == [0, 0, 0, 0, 0]
    # Who was met while the id was still theirs keeps theirs.
    assert held.around(then, NOW).there.tolist() == [1, 0, 0, 0, 0]


def test_what_is_newer_stays_whatever_order_parts_come_in(spaces, held) -> None:
    held.take(part(ALICE, as_of=NOW, first=5.0))
    assert held.take(part(ALICE, as_of=NOW - HOUR)) == 0
    assert held.around(who(spaces, ALICE), NOW).parties[0] == 5.0
    assert held.newest == NOW
    assert held.take(part(ALICE, as_of=NOW, first=6.0)) == 1  # sent again: the last one counts


def test_strangers_and_the_parts_of_another_model_are_passed_over(spaces, held) -> None:
    assert held.take(part(Entity(EntityKind.USER, "nobody"), ALICE)) == 1
    assert held.take(part(SHOP, model="v0")) == 0
    assert held.around(who(spaces, ALICE, SHOP), NOW).there.tolist() == [1, 0, 0, 0, 0]


def test_a_part_of_another_shape_is_refused_and_changes_nothing(spaces, held) -> None:
    wide = Embedded("v1", NOW, (ALICE,), np.ones((1, 3), np.float32))
    with pytest.raises(InvalidInput, match="2 numbers an entity"):
        held.take(wide)
    assert held.newest is None


def test_a_snapshot_goes_on_as_before_and_another_model_begins_anew(spaces, held) -> None:
    held.take(part(ALICE, PHONE))
    data = held.snapshot()
    again = Embeddings(*spaces, "v1", 2)
    again.restore(data)
    assert again.snapshot() == data
    whose = who(spaces, ALICE, SHOP, PHONE)
    for mine, theirs in zip(again.around(whose, NOW), held.around(whose, NOW), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    other = Embeddings(*spaces, "v2", 4)
    other.restore(data)
    assert other.newest is None
    with pytest.raises(Incompatible):
        other.restore(data[:-1])
