"""What only the whole window shows: dense blocks, communities, searches without hurry."""

import random

import numpy as np
import pytest

from graph.errors import InvalidSetting
from graph.evidence import Evidence, Pattern, Role
from graph.heuristics.unfinished import REMEMBERED, Unfinished, note
from graph.ring_policy import RingPolicy
from graph.sweep import Sweep, SweepLimits
from graph.sweep.patience import Patience
from graph.thresholds import Thresholds
from graph.transaction import DAY, HOUR, MINUTE, Money, Transaction, TransactionType
from graph.window import TransactionWindow

START = 1_700_000_000_000
NOTHING = np.empty(0, np.int64)


class Town:
    """A window that people pay each other in, a minute apart unless it is said otherwise."""

    def __init__(self, seed: int = 1) -> None:
        self.window = TransactionWindow()
        self.rng = random.Random(seed)
        self.now = START - 10 * DAY
        self.count = 0
        for _ in range(12):  # in a stream that has just begun everybody is new
            self.pay("long", "ago", gap=20 * HOUR)

    def pay(
        self, payer: str, payee: str, value: int = 10_000, gap: int = MINUTE, **more: object
    ) -> int:
        self.count += 1
        self.now += gap
        shop = payee.startswith("shop")
        kind = TransactionType.PAYMENT if shop else TransactionType.TRANSFER
        tx = Transaction(
            f"t{self.count}", self.now, kind, Money(value, "EUR"), value, payer,
            counterparty_id=None if shop else payee, merchant_id=payee if shop else None, **more,
        )  # fmt: skip
        return self.window.add(tx).position

    def crowd(self, payments: int, people: int = 400) -> None:
        """Strangers who pay each other and the shops at random."""
        for _ in range(payments):
            a, b = self.rng.sample(range(people), 2)
            self.pay(f"p{a}", f"p{b}" if self.rng.random() < 0.4 else f"shop{b % 40}", gap=20_000)

    def block(self, payers: int, payees: int, each: int) -> None:
        """Each payer pays so many of the payees."""
        pairs = [(a, (a + k) % payees) for a in range(payers) for k in range(each)]
        self.rng.shuffle(pairs)
        for a, b in pairs:
            self.pay(f"from{a}", f"to{b}")

    def found(self, pattern: Pattern, limits: SweepLimits = SweepLimits()) -> list[Evidence]:
        swept = Sweep(limits=limits).run(self.window, NOTHING)
        return [piece for piece in swept.evidence if piece.pattern is pattern]


def users(piece: Evidence) -> set[str]:
    return {entity.id for entity, _ in piece.members if entity.kind == "user"}


def test_in_the_first_week_of_a_stream_everybody_is_new() -> None:
    town = Town()
    town.window = TransactionWindow()
    town.block(10, 8, 5)
    assert Sweep().run(town.window, NOTHING).evidence == ()


# --- dense blocks ---------------------------------------------------------------------------------


def test_a_planted_block_is_found_in_a_crowd() -> None:
    town = Town()
    town.crowd(1_500)
    town.block(10, 8, 5)
    town.crowd(300)
    (piece,) = town.found(Pattern.DENSE_BLOCK)
    assert users(piece) == {f"from{n}" for n in range(10)} | {f"to{n}" for n in range(8)}
    assert {role for _, role in piece.members} == {Role.SENDER, Role.RECEIVER}
    assert piece.facts["pairs"] == 50
    assert piece.members[0][0] == piece.hops[0].source
    assert {hop.source for hop in piece.hops} | {hop.target for hop in piece.hops} == set(
        piece.entities
    )
    assert piece.truncated
    assert piece.strength >= RingPolicy().alert_score
    assert piece.reason.startswith("10 accounts paid the same 8 others: 50 of 80 pairs, 50 of")


def test_blocks_are_disjoint_and_bounded() -> None:
    town = Town()
    for number in range(3):
        for a in range(4):
            for b in range(4):
                town.pay(f"f{number}{a}", f"t{number}{b}")
    found = town.found(Pattern.DENSE_BLOCK)
    assert sorted(len(users(piece)) for piece in found) == [8, 8, 8]
    swept = Sweep(limits=SweepLimits(blocks=2)).run(town.window, NOTHING)
    assert sum(piece.pattern is Pattern.DENSE_BLOCK for piece in swept.evidence) == 2
    assert swept.cut
    assert town.found(Pattern.DENSE_BLOCK, SweepLimits(block_most=3)) == []


def test_the_same_centre_stands_for_a_block_that_grows() -> None:
    town = Town()
    town.block(6, 6, 4)
    (before,) = town.found(Pattern.DENSE_BLOCK)
    town.pay("from0", "to-new")
    town.pay("from1", "to-new")
    town.pay("from2", "to-new")
    town.pay("from3", "to-new")
    (after,) = town.found(Pattern.DENSE_BLOCK)
    assert len(users(after)) == len(users(before)) + 1
    assert after.members[0] == before.members[0]


def test_a_payroll_that_knows_its_people_is_none() -> None:
    town = Town()
    for month in range(2):
        for employer in range(4):
            for worker in range(8):
                town.pay(f"employer{employer}", f"worker{worker}", 250_000)
        town.now += month * 2 * DAY + 2 * DAY
    for employer in range(4):
        for worker in range(8):
            town.pay(f"employer{employer}", f"worker{worker}", 250_000)
    assert town.found(Pattern.DENSE_BLOCK) == []


def test_the_buyers_of_a_marketplace_are_none() -> None:
    town = Town()
    for buyer in range(200):
        for seller in town.rng.sample(range(60), 4):
            town.pay(f"buyer{buyer}", f"seller{seller}", gap=30_000)
    assert town.found(Pattern.DENSE_BLOCK) == []
    assert town.found(Pattern.COMMUNITY) == []


def test_a_popular_shop_says_nothing_and_a_street_of_shops_little() -> None:
    town = Town()
    limits = SweepLimits(popular=50)
    for shopper in range(60):
        for shop in ("shop1", "shop2", "shop3"):
            town.pay(f"s{shopper}", shop, gap=20_000)
    assert town.found(Pattern.DENSE_BLOCK, limits) == []
    for shopper in range(5):
        for shop in range(4):
            town.pay(f"local{shopper}", f"shop-street{shop}", gap=20_000)
    (piece,) = town.found(Pattern.DENSE_BLOCK, limits)
    assert piece.strength < RingPolicy().birth
    assert {e.id for e, role in piece.members if role is Role.RECEIVER} == {
        f"shop-street{n}" for n in range(4)
    }


# --- communities ----------------------------------------------------------------------------------


def test_one_hand_behind_several_devices_is_a_community() -> None:
    town = Town()
    town.crowd(1_000)
    for _ in range(4):
        for n in range(9):
            other = (n + town.rng.randrange(1, 9)) % 9
            town.pay(f"one{n}", f"one{other}", device_id=f"phone{n // 2}", card_id=f"card{n % 4}")
    found = [p for p in town.found(Pattern.COMMUNITY) if "one0" in users(p)]
    (piece,) = found
    assert users(piece) == {f"one{n}" for n in range(9)}
    assert {e.id for e, role in piece.members if role is Role.SHARED} == {
        *(f"phone{n}" for n in range(4)),
        *(f"card{n}" for n in range(4)),
    }
    assert piece.strength >= RingPolicy().alert_score
    assert piece.facts["young"] == 1.0


def test_money_alone_makes_no_ring_of_a_community() -> None:
    town = Town()
    for a in range(5):
        for b in range(a):
            town.pay(f"friend{a}", f"friend{b}")
    (piece,) = town.found(Pattern.COMMUNITY)
    assert users(piece) == {f"friend{n}" for n in range(5)}
    assert piece.strength < RingPolicy().birth


def test_an_old_family_is_none() -> None:
    town = Town()

    def life() -> None:
        for n in range(6):
            town.pay(f"kin{n}", f"kin{(n + 1) % 6}", device_id=f"tablet{n % 2}", card_id="family")
            town.pay(f"kin{n}", f"kin{(n + 2) % 6}", device_id=f"tablet{n % 2}", card_id="family")

    life()
    assert town.found(Pattern.COMMUNITY) != []  # on the first day nobody knows that they are one
    for _ in range(10):
        town.now += DAY
        life()
    assert town.found(Pattern.COMMUNITY) == []


def test_a_campus_behind_a_kiosk_is_none() -> None:
    town = Town()
    for n in range(120):
        town.pay(f"student{n}", f"shop{n % 7}", 900, device_id="kiosk", ip_address="10.0.0.1")
    for n in range(0, 120, 3):
        town.pay(f"student{n}", f"student{(n * 7 + 1) % 120}")
    assert town.found(Pattern.COMMUNITY) == []


def test_sharing_without_money_is_none() -> None:
    town = Town()
    for n in range(8):
        town.pay(f"u{n}", "shop1", device_id="d1", card_id="c1")
        town.pay(f"u{n}", "shop1", device_id="d2", card_id="c2")
    assert town.found(Pattern.COMMUNITY) == []


def test_more_ties_than_leiden_may_have_are_cut_to_a_core_and_said() -> None:
    town = Town()
    town.crowd(600, people=60)
    for a in range(8):
        for b in range(8):
            if a != b:
                town.pay(f"clique{a}", f"clique{b}")
    swept = Sweep(limits=SweepLimits(leiden_edges=60)).run(town.window, NOTHING)
    assert swept.cut
    whole = Sweep().run(town.window, NOTHING)
    assert not whole.cut


# --- searched again -------------------------------------------------------------------------------

HASTY = Thresholds(cycle_scan=5, chain_scan=5, relay_scan=5)


def busy_cycle(town: Town) -> int:
    """A cycle whose last search has to look through a hub's payments; its closing edge."""
    town.pay("a", "b", 10_000)
    for n in range(30):
        town.pay(f"x{n}", "b", 100 + n)
    town.pay("b", "c", 9_500)
    for n in range(30):
        town.pay(f"y{n}", "c", 100 + n)
    return town.pay("c", "a", 9_100)


def test_what_ran_out_of_budget_is_found_later() -> None:
    town = Town()
    position = busy_cycle(town)
    patience = Patience(HASTY, SweepLimits())
    searched = patience.search(town.window, np.array([position]), lambda: None)
    (piece,) = searched.evidence
    assert piece.pattern is Pattern.CYCLE
    assert users(piece) == {"a", "b", "c"}
    roomy = Patience(Thresholds(), SweepLimits())
    assert roomy.search(town.window, np.array([position]), lambda: None).evidence == ()


def test_the_newest_are_searched_first_and_the_rest_is_counted() -> None:
    town = Town()
    last = busy_cycle(town)
    breaths = []
    patience = Patience(HASTY, SweepLimits(again=3))
    positions = np.arange(last - 9, last + 1)
    searched = patience.search(town.window, positions, lambda: breaths.append(1))
    assert (searched.searched, searched.left, len(breaths)) == (3, 7, 3)
    assert len(searched.evidence) == 1
    gone = patience.search(town.window, np.array([town.window.end + 5]), lambda: None)
    assert (gone.searched, gone.left) == (0, 0)


def test_unfinished_remembers_the_newest_once() -> None:
    unfinished = Unfinished(())
    for position in (7, 7, 8, 9, 8):
        note(unfinished.places, position)
    assert unfinished.since(7)[0].tolist() == [8, 9]
    for position in range(10, 10 + REMEMBERED):
        note(unfinished.places, position)
    positions, forgotten = unfinished.since(0)
    assert (positions[0], len(positions), forgotten) == (10, REMEMBERED, 4)
    again = Unfinished(())
    again.restore(unfinished.snapshot())
    assert again.snapshot() == unfinished.snapshot()
    assert again.since(4_100)[0].tolist() == unfinished.since(4_100)[0].tolist()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"blocks": 0}, "greater than zero"), ({"block_fill": 1.5}, "cannot exceed 1")],
)
def test_a_limit_that_cannot_work_is_refused_by_its_name(wrong, said) -> None:
    with pytest.raises(InvalidSetting, match=f"{next(iter(wrong))}: .*{said}"):
        SweepLimits(**wrong)


def test_a_pass_is_due_once_in_so_much_event_time() -> None:
    sweep = Sweep(limits=SweepLimits(every=HOUR))
    assert sweep.number(3 * HOUR - 1) == 2
    assert sweep.due(2) == 3 * HOUR
