"""What is published and what is sent are the same thing."""

import msgspec
import pytest
from msgspec.structs import replace

from api import schemas, transaction_schema
from api.views import Views, counterfactual, member_role, timestamp
from graph.counterfactual import Counterfactual, Removal
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.ring_roles import MemberRole
from graph.rings import Alert, Ring, RingEvent, RingEventKind, RingState
from graph.transaction import Entity, EntityKind
from ingest import codec
from ingest.currencies import RateTable
from scorer.verdict import Decision, Reason, Standing, Verdict

U1, U2 = Entity(EntityKind.USER, "u1"), Entity(EntityKind.USER, "u2")
VIEWS = Views("EUR", 2)
EVIDENCE = Evidence(
    pattern=Pattern.PING_PONG,
    seen_at=1_772_366_671_250,
    members=((U1, Role.MEMBER), (U2, Role.MEMBER)),
    hops=(
        Hop("t1", U1, U2, 521_000, 1_772_366_600_000),
        Hop("t2", U2, None, 500_000, 1_772_366_671_250),
    ),
    strength=0.4,
    reason="The money came back.",
    facts={"hops": 2.0},
    retained=0.96,
)
RING = Ring(
    ring_id="r1",
    revision=3,
    state=RingState.ACTIVE,
    born_at=1_772_366_600_000,
    changed_at=1_772_366_671_250,
    members=((U1, Role.MEMBER), (U2, Role.MEMBER)),
    patterns=(Pattern.PING_PONG,),
    score=0.4,
    money=521_000,
    transactions=("t1", "t2"),
    evidence=(EVIDENCE.evidence_id,),
)
ALERT = Alert("a1", "r1", 3, 1_772_366_671_250, "Ping-pong", 0.4, 521_000, 2, RING.patterns, "v1")
EVENT = RingEvent(RingEventKind.GREW, 1_772_366_671_250, RING, (U2,), 500, (Pattern.CYCLE,))
VERDICT = Verdict(
    transaction_id="t2",
    timestamp=1_772_366_671_250,
    admission="accepted",
    decision=Decision.STEP_UP,
    score=0.5,
    model_score=None,
    ring_score=0.4,
    expected_cost=12.5,
    reasons=(Reason("ping_pong", Standing.DID, "The money came back.", 0.3, "e", "r1"),),
    evidence=(EVIDENCE,),
    rings=("r1",),
    ring_events=(EVENT,),
    tiers=("rules", "graph"),
    degraded=("model",),
)


@pytest.mark.parametrize(
    ("model", "view"),
    [
        (schemas.VerdictOut, VIEWS.verdict(VERDICT)),
        (schemas.EvidenceOut, VIEWS.evidence(EVIDENCE)),
        (schemas.RingSummary, VIEWS.ring(RING)),
        (schemas.RingMemberOut, member_role(MemberRole(U1, Role.BYSTANDER, "It stands by."))),
        (
            schemas.CounterfactualOut,
            counterfactual(Counterfactual(0.7, 0.59, (Removal(U1, 0.2),), 3, truncated=False)),
        ),
        (
            schemas.CounterfactualOut,
            counterfactual(
                Counterfactual(0.9, 0.8, (Removal(U1, 0.85, 0.3),), 3, False, 0.97, 0.7)
            ),
        ),
        (schemas.AlertOut, VIEWS.alert(ALERT)),
        (schemas.RingEventOut, VIEWS.ring_event(EVENT)),
        (schemas.TimelineEntry, VIEWS.timeline_entry(EVENT)),
        (schemas.MoneyOut, VIEWS.money(-1)),
    ],
    ids=lambda each: each.__name__ if isinstance(each, type) else "",
)
def test_a_view_is_what_the_schema_says_and_nothing_more(model, view):
    sent = msgspec.json.decode(msgspec.json.encode(view))
    assert model.model_validate(sent).model_dump(mode="json") == sent


@pytest.mark.parametrize(
    ("views", "minor", "text"),
    [
        (Views("EUR", 2), 521_000, "€5,210.00"),
        (Views("EUR", 2), 5, "€0.05"),
        (Views("EUR", 2), -12_345, "-€123.45"),
        (Views("JPY", 0), 1_234_567, "¥1,234,567"),
        (Views("KWD", 3), 1_500, "KWD 1.500"),
        (Views("EUR", 2), 10**18 + 1, "€10,000,000,000,000,000.01"),
    ],
)
def test_money_reads_exactly(views, minor, text):
    assert views.money_text(minor) == text


def test_times_are_rfc_3339_with_milliseconds():
    assert timestamp(0) == "1970-01-01T00:00:00.000Z"
    assert timestamp(1_772_366_671_250) == "2026-03-01T12:04:31.250Z"


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (EVENT, "Grew: 1 member joined, €5.00 more moved and cycle seen first."),
        (RingEvent(RingEventKind.GREW, 0, RING), "Grew: more of the same was seen."),
        (RingEvent(RingEventKind.MERGED, 0, RING, merged_ring_id="r0"), "Took in ring r0."),
        (
            RingEvent(RingEventKind.BORN, 0, replace(RING, split_from="r0")),
            "Split from ring r0. Ping-pong among 2 users, 2 transactions, €5,210.00.",
        ),
        (
            RingEvent(RingEventKind.SPLIT, 0, RING, split_ring_ids=("r2",)),
            "Split: 1 part went, now ring r2.",
        ),
        (
            RingEvent(RingEventKind.SPLIT, 0, RING, split_ring_ids=("r2", "r3", "r4")),
            "Split: 3 parts went, now rings r2, r3 and r4.",
        ),
        (RingEvent(RingEventKind.QUIET, 0, RING), "Went quiet: nothing new was seen."),
        (RingEvent(RingEventKind.EXPIRED, 0, RING), "Expired."),
    ],
)
def test_a_life_is_told_in_words(event, text):
    assert VIEWS.timeline_entry(event)["text"] == text


def test_the_transaction_schema_has_every_field_of_the_codec_and_no_other():
    assert set(transaction_schema.PROPERTIES) == set(codec.FIELDS)
    assert transaction_schema.SCHEMA["required"] == list(codec.REQUIRED)


@pytest.mark.parametrize("name", transaction_schema.EXAMPLES)
def test_the_examples_of_the_schema_are_transactions(name):
    example = transaction_schema.EXAMPLES[name]["value"]
    decoded = codec.decode(msgspec.json.encode(example), rates=RateTable("EUR"), now=None)
    assert decoded.transaction_id == example["transaction_id"]
    assert set(example) <= set(transaction_schema.PROPERTIES)
