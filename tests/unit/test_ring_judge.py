"""The judge of rings: what it looks at, whom it lets be told, how it is taught and read."""

from collections.abc import Collection
from dataclasses import replace
from math import log1p

import numpy as np
import pytest

from graph.errors import Incompatible, InvalidSetting
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.live_ring import LiveRing
from graph.ring_book import RingBook
from graph.ring_policy import RingPolicy
from graph.rings import Ring
from graph.transaction import HOUR, Entity, EntityKind
from scorer.booster import Booster
from scorer.evidence_context import NAMES as CONTEXT
from scorer.evidence_judge import EvidenceJudge, read_judge, ring_policy
from scorer.ring_context import NAMES, ring_row
from scorer.ring_judge import RingJudge, read_ring_judge
from scorer.ring_judge_training import (
    BOUNDS,
    TREES,
    RingTales,
    ToldCity,
    ring_trees,
    tales_of,
    told_f1s,
)
from scorer.ring_matching import TrueRing
from scorer.ring_pass import weighed
from scorer.starter import starter
from tests.judged_tables import START, pair, table_of

POLICY = RingPolicy(birth=0.5, alert_score=0.6, alert_likelihood=0.5)


def user(name: str) -> Entity:
    return Entity(EntityKind.USER, name)


def circle(names: str, at: int, strength: float) -> Evidence:
    hops = tuple(
        Hop(f"{at}{a}{b}", user(a), user(b), 1_000, at)
        for a, b in zip(names, names[1:] + names[0], strict=True)
    )
    members = tuple((user(name), Role.MEMBER) for name in names)
    return Evidence(Pattern.CYCLE, at, members, hops, strength, "It came home.")


def suspects(names: str, at: int, strength: float, mean: float) -> Evidence:
    hops = tuple(Hop(f"s{at}{name}", user(name), None, 500, at) for name in names)
    members = tuple((user(name), Role.MEMBER) for name in names)
    facts = {"score_mean": mean}
    return Evidence(Pattern.LINKED_SUSPECTS, at, members, hops, strength, "They hang.", facts)


def test_a_row_says_what_is_known_of_the_whole() -> None:
    book = RingBook(RingPolicy(birth=0.5, belonging=0.5))
    device = Entity(EntityKind.DEVICE, "d")
    shared = Evidence(
        Pattern.SHARED_DEVICE, 2 * HOUR,
        ((device, Role.SHARED), (user("a"), Role.MEMBER), (user("b"), Role.MEMBER)), (), 0.8, "-",
    )  # fmt: skip
    told = [circle("abc", 0, 0.9), shared, suspects("ab", 3 * HOUR, 0.6, 0.7)]
    (*_, event) = book.observe(told, 3 * HOUR)
    row = dict(zip(NAMES, ring_row(event.ring, told).tolist(), strict=True))
    expected = {
        "score": 1 - 0.1 * 0.2 * 0.4,
        "pieces": 3,
        "strongest": 0.9,
        "second": 0.8,
        "third": 0.6,
        "fourth": 0,
        "mean_strength": 2.3 / 3,
        "likely_pieces": 3,
        "sure_pieces": 1,
        "suspects": 2,
        "suspects_share": 2 / 5,
        "suspects_score": 0.7,
        "money": log1p(4_000),
        "step": log1p(1_000),
        "users": 3,
        "devices": 1,
        "accounts": 2,  # c is at the fringe: one piece of three names it
        "fringe": 1 / 4,
        "hours": 3,
        "hours_of_evidence": 3,
        "named": 3,
        "named_most": 2.3 / 5.5,
        "named_second": 1,
        "named_mean": 5.5 / 3 / 2.3,
        "strongest_cycle": 0.9,
        "pieces_cycle": 1,
        "strongest_shared_device": 0.8,
        "pieces_shared_device": 1,
        "strongest_linked_suspects": 0.6,
        "pieces_linked_suspects": 1,
    }
    assert {name: value for name, value in row.items() if value} == pytest.approx(
        {name: value for name, value in expected.items() if value}
    )


def test_a_row_depends_on_no_name() -> None:
    def row(names: str) -> list[float]:
        told = [circle(names, 0, 0.9), circle(names[1:], HOUR, 0.7)]
        (*_, event) = RingBook(RingPolicy(birth=0.5)).observe(told, HOUR)
        values: list[float] = ring_row(event.ring, told).tolist()
        return values

    assert row("abcd") == row("qxyz")


def book_by(likelihoods: dict[int, float], asked: list[int]) -> RingBook:
    """A book whose rings are as likely as said of so many pieces of evidence."""

    def likelihood(ring: Ring, evidence: Collection[Evidence]) -> float:
        asked.append(len(evidence))
        assert ring.score >= POLICY.alert_score
        return likelihoods[len(evidence)]

    return RingBook(POLICY, likelihood)


def test_a_ring_is_told_when_it_becomes_likely() -> None:
    asked: list[int] = []
    book = book_by({1: 0.3, 2: 0.5, 3: 0.1}, asked)
    told = [circle("abc", 0, 0.7), circle("abc", HOUR, 0.7), circle("bcd", 2 * HOUR, 0.7)]
    events = [book.observe([piece], piece.seen_at)[-1] for piece in told]
    assert [event.ring.likelihood for event in events] == [0.3, 0.5, 0.1]
    assert [event.alert is not None for event in events] == [False, True, False]
    assert asked == [1, 2, 3]


def test_some_of_a_ring_is_looked_at_as_a_ring_of_its_own() -> None:
    told = [circle("abc", 0, 0.7), circle("bcd", HOUR, 0.8), suspects("ad", 2 * HOUR, 0.6, 0.7)]
    (*_, event) = RingBook(POLICY).observe(told, 2 * HOUR)
    whole = LiveRing.alone(event.ring, told, POLICY)
    assert ring_row(whole, told).tolist() == ring_row(event.ring, told).tolist()
    (*_, first) = RingBook(POLICY).observe(told[:2], 2 * HOUR)
    part = LiveRing.alone(event.ring, told[:2], POLICY)
    differ = ring_row(part, told[:2]) != ring_row(first.ring, told[:2])
    assert [NAMES[n] for n in np.flatnonzero(differ)] == ["hours"], "it is looked at today"


def test_nobody_is_asked_of_what_scores_too_little() -> None:
    asked: list[int] = []
    (born,) = book_by({}, asked).observe([circle("abc", 0, 0.55)], 0)
    assert (born.ring.likelihood, born.alert, asked) == (None, None, [])


def test_without_a_judge_the_score_alone_decides() -> None:
    (born,) = RingBook(POLICY).observe([circle("abc", 0, 0.7)], 0)
    assert born.ring.likelihood is None
    assert born.alert is not None


def test_a_restored_book_asks_again() -> None:
    asked: list[int] = []
    book = book_by({1: 0.9, 2: 0.8}, asked)
    (born,) = book.observe([circle("abc", 0, 0.7)], 0)
    restored = RingBook.restore(book.snapshot(), POLICY, book.likelihood)
    known = restored.get(born.ring.ring_id)
    assert known is not None
    assert known.likelihood == 0.9
    restored.observe([circle("abc", HOUR, 0.7)], HOUR)
    assert asked == [1, 2]


@pytest.fixture(scope="module")
def trees() -> Booster:
    """A ring is a true one if its score is above one half, whatever else is said of it."""
    rng = np.random.default_rng(3)
    rows = rng.random((600, len(NAMES))).astype(np.float32)
    tales = RingTales(rows, rows[:, 0] > 0.5, np.ones(600, np.float32))
    return ring_trees([tales, tales], 0)


def test_it_learns_which_rings_are_true(trees: Booster) -> None:
    assert trees.tree_count == TREES
    judge = RingJudge(trees, 0.6, 0.5)
    book = RingBook(RingPolicy(birth=0.1))
    (strong,) = book.observe([circle("abc", 0, 0.9)], 0)
    (weak,) = book.observe([circle("xyz", 0, 0.2)], 0)
    assert judge.likelihood(strong.ring, [circle("abc", 0, 0.9)]) > 0.8
    assert judge.likelihood(weak.ring, [circle("xyz", 0, 0.2)]) < 0.2


@pytest.mark.parametrize("true", [True, False])
def test_rings_that_are_all_alike_teach_nothing(true: bool) -> None:
    rows = np.zeros((3, len(NAMES)), np.float32)
    tales = RingTales(rows, np.full(3, true), np.ones(3, np.float32))
    with pytest.raises(InvalidSetting, match=r"all true ones, or none is.*more people"):
        ring_trees([tales], 0)


def told_city(fraud: np.ndarray, strengths: np.ndarray) -> ToldCity:
    """A city of pairs, each a ring if it is told; the true ones are those of fraud."""
    contexts = np.zeros((len(fraud), len(CONTEXT)), np.float32)
    table = table_of(fraud, contexts, [pair(number) for number in range(len(fraud))])
    table = replace(table, evidence=weighed(table.evidence, strengths))
    true = []
    for number in np.flatnonzero(fraud).tolist():
        ring = TrueRing(f"r{number}", {member for member, _ in pair(number).members})
        ring.times.append(START + number)
        true.append(ring)
    return ToldCity(table, np.full(len(fraud), np.nan), true)


def test_what_a_city_teaches_is_every_ring_that_would_be_asked_about() -> None:
    fraud = np.arange(40) % 4 == 0
    strengths = np.where(np.arange(40) % 8 == 4, 0.6, np.where(fraud, 0.9, 0.85))
    tales = tales_of(told_city(fraud, strengths), ring_policy(RingPolicy(), 0.8, 0.8))
    assert len(tales.rows) == 35  # five of the true ones are too weak to be asked about
    assert tales.true.sum() == 5
    assert (tales.weights == 1).all()
    assert tales.rows[tales.true, 0] == pytest.approx(0.9)


def test_each_bound_tells_the_rings_that_are_as_likely() -> None:
    """Of those that look alike two in three are true; the others look like none."""
    numbers = np.arange(200)
    fraud, alike = numbers % 4 == 0, (numbers % 4 == 0) | (numbers % 8 == 1)
    policy = ring_policy(RingPolicy(), 0.8, 0.8)
    city = told_city(fraud, np.where(alike, 0.9, 0.85))
    trees = ring_trees([tales_of(city, policy)], 0)
    f1s = told_f1s([city, city], policy, [trees, trees])
    assert tuple(f1s) == BOUNDS
    assert f1s[0.5] == f1s[0.6] == 2 * 50 / (75 + 50)
    assert f1s[0.8] == 0


def test_its_bounds_become_those_of_the_rings_that_are_told(trees: Booster) -> None:
    alone = replace(starter(), birth=0.65, alert=0.9, of_rings=None)
    assert alone.likelihood is None
    assert alone.rings(RingPolicy()).alert_score == 0.9
    assert alone.rings(RingPolicy()).alert_likelihood == 0
    judge = replace(alone, of_rings=RingJudge(trees, 0.8, 0.7))
    assert judge.rings(RingPolicy()).alert_score == 0.8
    assert judge.rings(RingPolicy()).alert_likelihood == 0.7
    later = replace(judge, birth=0.85)  # as labels of one's own may have it
    assert later.rings(RingPolicy()).alert_score == 0.85


def test_what_it_disbelieves_is_no_part_of_a_told_ring_but_scores_hear_of_it() -> None:
    policy = replace(starter(), birth=0.65).rings(RingPolicy())
    assert (policy.birth, policy.joins) == (0.65, 0.65)
    assert policy.hearing_all() == replace(policy, joins=0.0)
    assert RingPolicy().hearing_all() == RingPolicy(), "without a judge any evidence speaks"


def test_it_is_read_back_and_refused_where_it_does_not_fit(trees: Booster) -> None:
    judge = RingJudge(trees, 0.8, 0.7)
    again = read_ring_judge(judge.as_json(), trees.saved)
    assert (again.asked, again.told, again.booster.saved) == (0.8, 0.7, trees.saved)
    for wrong, said in (
        (judge.as_json() | {"told": 1.0}, "not the bounds"),
        (judge.as_json() | {"asked": "often"}, "not the bounds"),
        ({"told": 0.5}, "not the bounds"),
        (None, "not the bounds"),
        (judge.as_json() | {"context_hash": "0"}, "other columns"),
    ):
        with pytest.raises(Incompatible, match=said):
            read_ring_judge(wrong, trees.saved)


def test_a_judge_and_its_ring_trees_come_together(trees: Booster) -> None:
    judge: EvidenceJudge = replace(starter(), of_rings=RingJudge(trees, 0.8, 0.7))
    saved = judge.booster.saved
    again = read_judge(judge.as_json(), saved, trees.saved)
    assert again.of_rings is not None
    assert again.of_rings.told == 0.7
    with pytest.raises(Incompatible, match="bounds of a judge"):
        read_judge(judge.as_json(), saved)
    with pytest.raises(Incompatible, match="bounds of a judge"):
        read_judge(judge.as_json() | {"rings": None}, saved, trees.saved)


def test_bounds_to_choose_from_are_probabilities_in_order() -> None:
    assert list(BOUNDS) == sorted(set(BOUNDS))
    assert 0 < BOUNDS[0] < BOUNDS[-1] < 1
