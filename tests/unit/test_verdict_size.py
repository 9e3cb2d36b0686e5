"""Whatever a verdict says, every log takes it; what had to be left out is said."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from graph.evidence import Evidence, Hop, Pattern, Role
from graph.rings import Alert, Ring, RingEvent, RingEventKind, RingState
from graph.transaction import Entity, EntityKind
from ingest import records
from ingest.ports import LARGEST_VALUE, Topic
from ingest.verdict_size import cut_to_fit
from scorer.verdict import Decision, Verdict

LONGEST = "\U00020000" * 120
"""Eight characters short of the longest id there may be, in the letters that take most bytes."""


def entities(count: int, stem: str) -> tuple[Entity, ...]:
    return tuple(Entity(EntityKind.USER, f"{stem}{n:08}") for n in range(count))


def event(members: int, transactions: int, stem: str = LONGEST, ring_id: str = "r") -> RingEvent:
    who = entities(members, stem)
    roles = tuple((entity, Role.MULE) for entity in who)
    ring = Ring(
        ring_id, 1, RingState.ACTIVE, 0, 1, roles, (Pattern.MULE,), 0.5, 1,
        tuple(f"{stem}{n:08}" for n in range(transactions)), (), (),
    )  # fmt: skip
    alert = Alert("a", ring_id, 1, 1, "head", 0.5, 1, members, (Pattern.MULE,), "p", who)
    return RingEvent(RingEventKind.BORN, 1, ring, who, alert=alert)


def piece(members: int, hops: int, stem: str = LONGEST) -> Evidence:
    who = entities(members, stem)
    roles = tuple((entity, Role.MULE) for entity in who)
    moved = tuple(Hop(f"{stem}{n:08}", who[0], who[-1], 1, n) for n in range(hops))
    return Evidence(Pattern.MULE, 1, roles, moved, 0.5, "why")


def verdict(events: tuple[RingEvent, ...] = (), evidence: tuple[Evidence, ...] = ()) -> Verdict:
    return Verdict(
        "t", 1, "accepted", Decision.DECLINE, 0.5, None, 0.5, 1.0,
        ring_events=events, evidence=evidence,
    )  # fmt: skip


def written(said: Verdict) -> int:
    fields = records.verdict_fields(said)
    return len(records.encode(records.VerdictRecord(Topic.TRANSACTIONS, 7, 2**50, fields)))


@pytest.mark.parametrize(
    "said",
    [
        verdict((event(500, 2_000),)),
        verdict(tuple(event(500, 2_000, ring_id=f"r{n}") for n in range(8))),
        verdict(tuple(event(2, 0, ring_id=f"r{n}") for n in range(2_000))),
        verdict((), tuple(piece(500, 500) for _ in range(20))),
        verdict((event(500, 2_000),), (piece(500, 500),)),
    ],
    ids=["largest ring", "eight of them", "many events", "evidence", "both"],
)
def test_the_largest_is_cut_to_what_a_log_takes_always_the_same(said: Verdict) -> None:
    told = records.fitted(said)
    assert told != said
    assert written(said) <= LARGEST_VALUE
    assert written(said) > LARGEST_VALUE // 100
    assert records.fitted(told) == told
    assert records.verdict_fields(said) == records.verdict_fields(told)
    for one in told.ring_events:
        assert len(records.encode(records.ring_event_record("t", one))) <= LARGEST_VALUE


def test_old_transactions_of_rings_go_first_and_it_is_said() -> None:
    whole = event(100, 2_000)
    (told,) = records.fitted(verdict((whole,))).ring_events
    kept = told.ring.transactions
    assert 0 < len(kept) < 2_000
    assert kept == whole.ring.transactions[-len(kept) :]
    assert told.ring.truncated
    assert replace(told.ring, transactions=whole.ring.transactions, truncated=False) == whole.ring
    assert (told.alert, told.added_members) == (whole.alert, whole.added_members)


def test_evidence_that_was_cut_keeps_its_id_here_and_in_the_log() -> None:
    whole = tuple(piece(500, 500) for _ in range(2))
    told = records.fitted(verdict((), whole))
    assert all(each.truncated for each in told.evidence)
    assert [each.evidence_id for each in told.evidence] == [each.evidence_id for each in whole]
    record = records.VerdictRecord(Topic.TRANSACTIONS, 0, 0, records.verdict_fields(told))
    again = records.decode(records.encode(record), records.VerdictRecord).to_verdict()
    assert [each.evidence_id for each in again.evidence] == [each.evidence_id for each in whole]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 80)), max_size=4),
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40)), max_size=3),
    st.integers(1_000, 60_000),
)
def test_what_fits_is_left_alone_and_what_does_not_is_cut(
    rings: list[tuple[int, int]], pieces: list[tuple[int, int]], most: int
) -> None:
    said = verdict(
        tuple(event(*each, ring_id=f"r{n}") for n, each in enumerate(rings)),
        tuple(piece(*each) for each in pieces),
    )

    def size(each: Verdict) -> int:
        return len(records.encode(records.VerdictRecord(Topic.LISTS, 0, 0, records._wire(each))))

    told = cut_to_fit(said, size, most)
    assert size(told) <= max(most, size(verdict()))
    assert (told == said) == (size(said) <= most)
