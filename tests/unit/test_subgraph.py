"""The drawn neighbourhood of a ring: who is in it, what is an edge, and where it stops."""

import pytest

from graph.heuristics import catalogue
from graph.ring_book import RingBook
from graph.subgraph import neighbourhood
from graph.thresholds import Thresholds
from graph.transaction import (
    DAY,
    MINUTE,
    Entity,
    EntityKind,
    Money,
    Outcome,
    Transaction,
    TransactionType,
)
from graph.window import TransactionWindow

START = 1_700_000_000_000


CIRCLES = Thresholds(tree_accounts=32)
"""Who is paid by a circle is drawn beside it, not as its feeder tree."""


class Scene:
    """A window with a cycle a -> b -> c -> a, and whatever a test adds."""

    def __init__(self) -> None:
        self.window, self.book, self.found = TransactionWindow(), RingBook(), catalogue(CIRCLES)
        self.number = 0
        for payer, payee in ("ab", "bc", "ca"):
            self.pay(payer, payee)

    def pay(self, payer: str, payee: str, value: int = 1_000, **fields: object) -> None:
        tx = self.next(payer, payee, value, **fields)
        evidence = self.found.detect(self.window, tx, self.window.add(tx))
        self.book.observe(evidence, self.window.watermark)

    def next(self, payer: str, payee: str, value: int = 1_000, **fields: object) -> Transaction:
        self.number += 1
        return Transaction(
            f"t{self.number}",
            START + self.number * MINUTE,
            TransactionType.TRANSFER,
            Money(value, "EUR"),
            value,
            payer,
            payee,
            **fields,
        )

    def draw(self, **bounds: int):
        (ring,) = self.book.live()
        return neighbourhood(self.window, ring, self.book.evidence_of(ring.ring_id), **bounds)


def user(name: str) -> Entity:
    return Entity(EntityKind.USER, name)


def test_members_neighbours_and_shared_identifiers_are_drawn() -> None:
    scene = Scene()
    scene.pay("a", "shopkeeper", device_id="phone")
    scene.pay("stranger", "elsewhere")
    graph = scene.draw()
    phone = Entity(EntityKind.DEVICE, "phone")
    assert {n for n, member in graph.nodes(data="member") if member} == {*map(user, "abc")}
    assert set(graph) == {*map(user, "abc"), user("shopkeeper"), phone}
    assert graph.edges[user("a"), phone, "shared"]["kind"] == "shared"
    assert graph.edges[user("a"), user("b"), "t1"]["witness"]
    assert not graph.edges[user("a"), user("shopkeeper"), "t4"]["witness"]
    assert not graph.graph["truncated"]


def test_a_declined_transfer_is_no_money() -> None:
    scene = Scene()
    scene.pay("a", "refused", outcome=Outcome.DECLINED)
    assert user("refused") not in scene.draw()


def test_the_largest_sums_come_first_and_what_is_cut_is_said() -> None:
    scene = Scene()
    for n in range(6):
        scene.pay("a", f"payee-{n}", value=10_000 + n)
    graph = scene.draw(max_nodes=5)
    assert graph.number_of_nodes() == 5
    assert graph.graph["truncated"]
    assert user("payee-5") in graph
    assert user("payee-0") not in graph


def test_a_hub_member_is_read_two_hundred_edges_deep() -> None:
    scene = Scene()
    for _ in range(300):
        scene.pay("a", "hub")
    graph = scene.draw()
    assert graph.number_of_edges(user("a"), user("hub")) == 200
    assert graph.graph["truncated"]


def test_what_a_busy_member_uses_is_drawn_up_to_a_bound_that_is_told() -> None:
    scene = Scene()
    scene.pay("a", "shop", device_id="phone")
    for n in range(300):
        scene.window.add(scene.next("a", f"customer-{n}"))
    phone = Entity(EntityKind.DEVICE, "phone")
    assert phone in scene.draw(max_nodes=1_000)
    for n in range(201):
        scene.window.add(scene.next("a", "shop", device_id=f"device-{n}"))
    graph = scene.draw(max_nodes=1_000)
    assert phone not in graph
    assert sum(node.kind is EntityKind.DEVICE for node in graph) == 200
    assert graph.graph["truncated"]


@pytest.mark.parametrize("later", [2 * DAY])
def test_the_witness_is_drawn_after_it_has_left_the_window(later: int) -> None:
    scene = Scene()
    for n in range(4):
        tx = Transaction(
            f"later-{n}",
            START + later + n,
            TransactionType.DEPOSIT,
            Money(1, "EUR"),
            1,
            "somebody",
        )
        scene.window.add(tx)
    assert len(scene.window) <= 4
    graph = scene.draw()
    assert graph.edges[user("c"), user("a"), "t3"]["witness"]
