"""Profiles and aggregates: folds that say since when they count."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from graph.evidence import Pattern
from graph.transaction import HOUR, Entity, EntityKind, Money, Outcome, Transaction
from graph.transaction import TransactionType as Type
from scorer.cache import profiles
from scorer.cache.profiles import HOURS, RINGS, Aggregate, Profile
from scorer.verdict import Decision

ADA = Entity(EntityKind.USER, "ada")


def transfer(at: int, source: str, target: str, value: int, outcome=None) -> Transaction:
    return Transaction(
        f"t{at}", at, Type.TRANSFER, Money(value, "EUR"), value, source, target, outcome=outcome
    )


def verdict(at: int = 0, score: float = 0.1, decision=Decision.APPROVE, rings=(), patterns=()):
    evidence = [SimpleNamespace(pattern=pattern) for pattern in patterns]
    return SimpleNamespace(
        timestamp=at, score=score, decision=decision, rings=rings, evidence=evidence,
        ring_events=(),
    )  # fmt: skip


def test_a_profile_counts_what_was_decided_and_keeps_the_newest_rings() -> None:
    profile = Profile(50, 50)
    profile.add(verdict(50, 0.2, rings=("r1",), patterns=[Pattern.CYCLE, Pattern.CYCLE]))
    profile.add(verdict(40, 0.9, Decision.DECLINE, rings=("r2", "r1")))
    profile.add(verdict(60, 0.3, Decision.STEP_UP))
    assert (profile.since, profile.last_seen, profile.transactions) == (40, 60, 3)
    assert (profile.stepped_up, profile.declined) == (1, 1)
    assert (profile.highest_score, profile.last_score) == (0.9, 0.3)
    assert profile.patterns == {"cycle": 2}
    assert profile.rings == ["r1", "r2"]
    for n in range(20):
        profile.add(verdict(70 + n, rings=(f"new{n}",)))
    assert profile.rings == [f"new{n}" for n in range(20 - RINGS, 20)]
    assert profiles.decode_profile(profiles.encode(profile)) == profile


@given(st.lists(st.tuples(st.integers(0, 60), st.sampled_from("ab"), st.integers(1, 9))))
def test_an_aggregate_is_the_sum_of_its_hours(rows) -> None:
    aggregate = Aggregate(10**15)
    entity = Entity(EntityKind.USER, "a")
    newest = -1
    for hour, source, value in rows:
        target = "b" if source == "a" else "a"
        aggregate.add(entity, transfer(hour * HOUR + 5, source, target, value), verdict())
        newest = max(newest, hour)
    kept = [hour.hour for hour in aggregate.hours]
    assert kept == sorted(set(kept))
    assert all(newest - HOURS < hour <= newest for hour in kept)
    within = [row for row in rows if row[0] > max(newest, 59) - HOURS]
    recent = [hour for hour in aggregate.hours if hour.hour > max(newest, 59) - HOURS]
    assert sum(h.transactions for h in recent) == len(within)
    assert sum(h.sent for h in recent) == sum(v for _, s, v in within if s == "a")
    assert sum(h.received for h in recent) == sum(v for _, s, v in within if s == "b")


def test_what_was_declined_moves_no_money() -> None:
    aggregate = Aggregate(0)
    aggregate.add(ADA, transfer(1, "ada", "bob", 5), verdict(decision=Decision.DECLINE))
    aggregate.add(ADA, transfer(2, "ada", "bob", 7, Outcome.DECLINED), verdict())
    (hour,) = aggregate.hours
    assert (hour.transactions, hour.declined, hour.sent) == (2, 1, 0)
    assert profiles.decode_aggregate(profiles.encode(aggregate)) == aggregate


def test_values_of_another_form_are_as_good_as_none() -> None:
    for data in (b"", b"\x00", profiles.encode(Aggregate(0)), b"\xff" * 40):
        assert profiles.decode_profile(data) is None
    assert profiles.decode_aggregate(profiles.encode(Profile(0, 0))) is None
