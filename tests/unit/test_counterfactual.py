"""Whose removal clears a ring."""

from collections.abc import Sequence
from dataclasses import replace as changed
from itertools import combinations

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from graph.counterfactual import MOST_TRIED, Removal, what_clears
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.ring_book import RingBook
from graph.ring_overlap import MOST_COMPARISONS, weights_of
from graph.ring_policy import RingPolicy
from graph.transaction import HOUR, Entity, EntityKind
from tests.oracles.ring_evidence import (
    cycle,
    histories,
    mule,
    parts_by_pairs,
    score_by_definition,
    shared,
    user,
)

POLICY = RingPolicy()


def fan(centre: str, payers: int, *, strength: float = 0.8) -> Evidence:
    ends = [user(f"{centre}{i}") for i in range(payers)]
    hops = tuple(Hop(f"{centre}{i}", end, user(centre), 500, i) for i, end in enumerate(ends))
    members = ((user(centre), Role.RECEIVER), *((end, Role.SENDER) for end in ends))
    return Evidence(Pattern.FAN_IN, payers, members, hops, strength, "Many paid one.")


def clearing(*pieces: Evidence) -> dict[str, float]:
    found = what_clears(pieces, POLICY)
    assert [each.remaining for each in found.clearing] == sorted(
        each.remaining for each in found.clearing
    )
    return {each.entity.id: round(each.remaining, 6) for each in found.clearing}


def test_a_single_cycle_rests_on_everybody_in_it() -> None:
    assert clearing(cycle("1", "abc", HOUR)) == {"a": 0.0, "b": 0.0, "c": 0.0}


def test_a_fan_rests_on_its_centre_and_on_no_single_payer() -> None:
    assert clearing(fan("h", 30)) == {"h": 0.0}


def test_a_mule_with_three_senders_rests_on_each_and_not_on_a_small_receiver() -> None:
    piece = mule("1", "m", "abc", "y", HOUR)
    small = Hop("1.small", user("m"), user("z"), 100, HOUR)
    piece = replace(
        piece, members=(*piece.members, (user("z"), Role.RECEIVER)), hops=(*piece.hops, small)
    )
    assert set(clearing(piece)) == {"m", "a", "b", "c", "y"}


def test_who_is_in_every_piece_clears_what_nobody_else_does() -> None:
    pieces = cycle("1", "abc", HOUR), cycle("2", "ade", 2 * HOUR)
    assert clearing(*pieces) == {"a": 0.0}


def test_a_ring_is_cleared_by_falling_apart_into_parts_too_weak_to_alert() -> None:
    pieces = (
        cycle("1", "abx", HOUR, strength=0.4),
        cycle("2", "cdx", HOUR, strength=0.4),
        shared(EntityKind.DEVICE, "phone", "ac", HOUR, strength=0.5),
    )
    assert what_clears(pieces, POLICY).score == pytest.approx(1 - 0.6 * 0.6 * 0.5)
    # Without the phone the two circles are joined by x alone, a third of each: still one ring.
    assert clearing(*pieces) == {"a": 0.4, "c": 0.4, "x": 0.5}


def test_weak_proof_that_rests_on_different_people_stands_without_each() -> None:
    found = what_clears([cycle("1", "abc", HOUR), cycle("2", "def", HOUR)], POLICY)
    assert found.clearing == ()
    assert found.tried == 6


def test_a_ring_that_alerts_nobody_needs_no_clearing() -> None:
    found = what_clears([cycle("1", "abc", HOUR, strength=0.5)], POLICY)
    assert (found.clearing, found.tried, found.truncated) == ((), 0, False)
    assert what_clears([], POLICY).score == 0.0


def test_what_is_unlikely_without_somebody_is_cleared_though_it_scores_enough() -> None:
    pieces = cycle("1", "abc", HOUR), cycle("2", "def", HOUR), cycle("3", "dgh", HOUR)
    policy = changed(POLICY, alert_likelihood=0.5)
    asked: list[int] = []

    def likely(part: Sequence[Evidence]) -> float:
        asked.append(len(part))
        return len(part) / 4

    found = what_clears(pieces, policy, likely)
    assert (found.likelihood, found.alert_likelihood) == (0.75, 0.5)
    # Of the three circles two hang together by d: without a, b or c these two are left, without
    # anybody of one of the two it stands beside the first, and each alone is not likely enough.
    assert [(each.entity.id, each.likelihood) for each in found.clearing] == [
        (name, 0.25) for name in "defgh"
    ]
    assert set(asked) == {1, 2, 3}
    assert what_clears(pieces, POLICY, likely).clearing == ()
    unlikely = what_clears(pieces, policy, lambda _: 0.25)
    assert (unlikely.likelihood, unlikely.clearing, unlikely.tried) == (0.25, (), 0)
    weak = what_clears([cycle("1", "abc", HOUR, strength=0.5)], policy, likely)
    assert weak.likelihood is None, "what scores too little is not asked about"


def test_the_bounds_are_kept_and_said() -> None:
    crowd = [fan(f"h{n}-", 5) for n in range(MOST_TRIED + 1)]
    found = what_clears(crowd, POLICY)
    assert found.tried == MOST_TRIED
    assert found.truncated
    star = [
        cycle(f"{n}", "h" + "".join(chr(200 + 3 * n + i) for i in range(3)), HOUR)
        for n in range(90)
    ]
    assert len(star) * 89 / 2 > MOST_COMPARISONS
    assert what_clears(star, POLICY).truncated


@settings(max_examples=40)
@given(histories(longest=12))
def test_an_entity_clears_a_ring_if_and_only_if_no_part_of_the_rest_would_alert(steps) -> None:
    book = RingBook()
    for pieces in steps:
        book.observe(pieces, 0)
    for ring in book.live():
        evidence = book.evidence_of(ring.ring_id)
        found = what_clears(evidence, POLICY)
        assert found.score == pytest.approx(score_by_definition(evidence))
        told = {each.entity: each.remaining for each in found.clearing}
        expected = {}
        for entity, _ in ring.members:
            left = [piece for piece in evidence if not needs(piece, entity)]
            weights = [weights_of(piece) for piece in left]
            for own in weights:
                own.pop(entity, None)
            parts = parts_by_pairs(weights, POLICY.overlap)
            rest = max((score_by_definition([left[i] for i in part]) for part in parts), default=0)
            if found.score >= POLICY.alert_score > rest:
                expected[entity] = pytest.approx(rest)
        assert told == expected


def needs(piece: Evidence, entity: Entity) -> bool:
    """Whether the piece falls without this entity, as the module says it."""
    roles = dict(piece.members)
    if entity not in roles:
        return False
    role = roles[entity]
    if entity == piece.members[0][0] or role in (Role.CONTROLLER, Role.MULE, Role.SHARED):
        return True
    others = [e for e, r in piece.members if r is role and e != entity]

    def money(*ends: Entity) -> int:
        return sum(h.value for end in ends for h in piece.hops if end in (h.source, h.target))

    peers = [e for e, r in piece.members[1:] if r is role]
    return len(others) < 3 and money(entity) >= 0.25 * money(*peers)


def test_the_ranking_is_total() -> None:
    found = what_clears([cycle("1", "cab", HOUR)], POLICY).clearing
    assert all((a.remaining, a.entity) < (b.remaining, b.entity) for a, b in combinations(found, 2))
    assert found[0] == Removal(user("a"), 0.0)
