"""What a segment learns, when it counts, and what is forgotten."""

import pytest
from msgspec import structs

from graph.errors import Incompatible
from graph.evidence import Evidence, Pattern, Role
from graph.transaction import DAY, HOUR, MINUTE, Entity, EntityKind, Money, Transaction
from graph.transaction import TransactionType as Type
from scorer import segments as module
from scorer.decision import FIXED, Budget, Policy, SegmentBounds
from scorer.reasons import MOST as MOST_REASONS
from scorer.reasons import of_segment, of_watched, with_notes
from scorer.segments import HALF, LEAST_ABOVE, MOST_SEGMENTS, OTHER, Segments, segment_of
from scorer.verdict import Decision, Reason, Standing

START = 2_900 * HALF  # where a half begins, and an hour
BUDGET = Budget(step_up=0.1, decline=0.05)
ENOUGH = 10 * LEAST_ABOVE
"""Scores after which a step-up of one in ten is believed, and a decline of one in twenty is not."""
GIFTS = "payment/web"


def fill(segments: Segments, name: str, count: int, at: int, top: float = 0.6) -> None:
    """A tenth of the scores at `top`, the others far below any threshold."""
    for n in range(count):
        segments.take(name, at, top if n % 10 == 0 else 0.01)


def end_hour(segments: Segments, at: int) -> None:
    """Three transactions of somewhere else, which is all that makes time pass."""
    for _ in range(3):
        segments.take("refund/-", at, 0.0)


def test_a_segment_is_a_type_through_a_channel() -> None:
    tx = Transaction("t", 0, Type.PAYMENT, Money(1, "EUR"), 1, "u", merchant_id="m", channel="web")
    assert segment_of(tx) == "payment/web"
    assert segment_of(structs.replace(tx, type=Type.REFUND, channel=None)) == "refund/-"


def test_a_quantile_counts_once_enough_scores_lie_above_it_and_the_hour_has_ended() -> None:
    segments = Segments(BUDGET)
    end_hour(segments, START)
    fill(segments, GIFTS, ENOUGH - 1, START)
    end_hour(segments, START + HOUR)
    assert segments.bounds(GIFTS) == SegmentBounds(GIFTS)
    segments.take(GIFTS, START + HOUR, 0.01)
    assert segments.bounds(GIFTS) == SegmentBounds(GIFTS)  # the hour is not over
    end_hour(segments, START + 2 * HOUR)
    found = segments.bounds(GIFTS)
    # Of 250 scores 25 may lie above, and 25 are 0.6: the quantile is the largest of the others.
    assert 0.01 <= found.step_up <= 0.0103
    assert found.decline == 0.0  # 12 of 250
    for _ in range(3):
        segments.take(GIFTS, START + 3 * HOUR, 0.6)
    segments.take(GIFTS, START + 3 * HOUR, 0.6)
    end_hour(segments, START + 4 * HOUR)
    assert 0.6 <= segments.bounds(GIFTS).step_up <= 0.6 + 0.24 * 0.0203


def test_one_or_two_absurd_timestamps_end_no_hour() -> None:
    segments = Segments(BUDGET)
    end_hour(segments, START)
    fill(segments, GIFTS, 2 * ENOUGH, START)
    segments.take("deposit/-", START + DAY, 0.0)
    segments.take("deposit/-", START + DAY, 0.0)
    fill(segments, GIFTS, 2 * ENOUGH, START + MINUTE, top=0.9)
    assert segments.bounds(GIFTS) == SegmentBounds(GIFTS)
    segments.take("deposit/-", START + HOUR, 0.0)
    assert segments.bounds(GIFTS).step_up > 0.0
    # The two stay beyond the hour that ended and speak for the next one.
    fill(segments, GIFTS, 9 * ENOUGH, START, top=0.9)
    before = segments.bounds(GIFTS)
    segments.take("deposit/-", START + 2 * HOUR, 0.0)
    assert segments.bounds(GIFTS) != before


def test_two_halves_without_a_word_forget_a_segment() -> None:
    segments = Segments(BUDGET)
    end_hour(segments, START)
    fill(segments, GIFTS, 3 * ENOUGH, START)
    end_hour(segments, START + HOUR)
    known = segments.bounds(GIFTS)
    assert known.decline > 0.5
    end_hour(segments, START + HALF)  # the half before is still known
    assert segments.bounds(GIFTS) == known
    end_hour(segments, START + 2 * HALF)
    assert segments.bounds(GIFTS) == SegmentBounds(GIFTS)
    assert len(segments) == 1
    jumped = Segments(BUDGET)
    end_hour(jumped, START)
    fill(jumped, GIFTS, 3 * ENOUGH, START)
    end_hour(jumped, START + 3 * HALF)
    assert jumped.bounds(GIFTS) == SegmentBounds(GIFTS)


def test_what_there_is_no_room_for_is_one_segment_and_counted() -> None:
    segments = Segments(BUDGET)
    end_hour(segments, START)
    for number in range(MOST_SEGMENTS - 3):
        segments.take(f"payment/till {number}", START, 0.0)
    for name in (GIFTS, "transfer/app", "deposit/-"):
        fill(segments, name, ENOUGH, START, top=0.5)
    for _ in range(20):
        segments.take("transfer/fax", START, 0.5)
    end_hour(segments, START + HOUR)
    assert len(segments) == MOST_SEGMENTS
    assert segments.pressed == 2 * ENOUGH + 20
    assert segments.bounds("transfer/fax") is segments.bounds("transfer/app")
    assert segments.bounds("transfer/fax").segment == OTHER
    assert segments.bounds("transfer/fax").step_up >= 0.5


def test_no_budget_spares_what_is_sure() -> None:
    segments = Segments(BUDGET)
    end_hour(segments, START)
    for _ in range(1_000):
        segments.take(GIFTS, START, 1.0)
    end_hour(segments, START + HOUR)
    found = segments.bounds(GIFTS)
    assert found.decline <= module.MOST * (1 + 1e-7)
    policy = Policy(FIXED.costs, FIXED.thresholds, BUDGET)
    assert policy.choose(1.0, found) is Decision.DECLINE
    assert policy.choose(0.999, found) is Decision.STEP_UP


def test_a_snapshot_belongs_to_its_model_and_serves_another_budget() -> None:
    segments = Segments(BUDGET, "m1")
    end_hour(segments, START)
    fill(segments, GIFTS, 3 * ENOUGH, START)
    end_hour(segments, START + HOUR)
    segments.take(GIFTS, START + 2 * HOUR, 0.4)
    saved = segments.snapshot()
    same = Segments(BUDGET, "m1")
    same.restore(saved)
    assert same.snapshot() == saved
    other = Segments(BUDGET, "m2")
    other.restore(saved)
    assert other.snapshot() == Segments(BUDGET, "m2").snapshot()
    milder = Segments(Budget(step_up=0.5, decline=0.2), "m1")
    milder.restore(saved)
    assert 0.01 <= milder.bounds(GIFTS).step_up <= 0.0103
    assert segments.bounds(GIFTS).decline > 0.5 > milder.bounds(GIFTS).decline > 0.0
    with pytest.raises(Incompatible):
        same.restore(saved[:-1])


def test_the_thresholds_of_the_segment_are_told_where_they_matter() -> None:
    policy = Policy(FIXED.costs, FIXED.thresholds, BUDGET)
    learned = SegmentBounds(GIFTS, step_up=0.45, decline=0.82)
    assert policy.bounds_in(learned) == (0.45, 0.82)
    for probability, answer in (
        (0.4, Decision.APPROVE),
        (0.5, Decision.STEP_UP),
        (0.8, Decision.STEP_UP),
        (0.9, Decision.DECLINE),
    ):
        assert policy.choose(probability, learned) is answer
        (reason,) = of_segment(policy, learned, probability)
        assert (reason.code, reason.weight) == ("segment_budget", 0.0)
        assert reason.text == (
            "In segment payment/web it steps up from 0.450 and declines from 0.820: with 0.300 and "
            "0.700 more customers would be troubled than its budget allows."
        )
    assert of_segment(policy, learned, 0.2) == ()  # approved anyway
    below = SegmentBounds(GIFTS, step_up=0.2, decline=0.6)
    assert of_segment(policy, below, 0.9) == ()  # the fixed ones are the floor
    strongest = tuple(Reason(f"r{n}", Standing.DID, "", 9.0 - n) for n in range(MOST_REASONS))
    noted = with_notes(strongest, (*of_watched(()), reason))
    assert [each.code for each in noted[-2:]] == ["r8", "segment_budget"]
    assert len(noted) == MOST_REASONS


def test_a_large_part_of_a_segment_is_at_least_stepped_up() -> None:
    """The budget gives way to what the policy alone would decline."""
    policy = Policy(FIXED.costs, FIXED.thresholds, BUDGET)
    attack = SegmentBounds(GIFTS, step_up=0.95, decline=0.97)
    assert policy.bounds_in(attack) == (0.7, 0.97)
    assert policy.choose(0.69, attack) is Decision.APPROVE
    assert policy.choose(0.71, attack) is Decision.STEP_UP
    blocked = Evidence(
        Pattern.BLOCKED, 0, ((Entity(EntityKind.USER, "u"), Role.MEMBER),), (), 0.5, "blocked"
    )
    assert policy.decide(0.01, (blocked,), segment=attack)[0] is Decision.DECLINE
