"""The wire of the log: exact, versioned, and the same bytes for the same values."""

import math
from types import MappingProxyType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.views import Views
from graph.errors import Incompatible, InvalidInput
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.rings import Alert, Ring, RingEvent, RingEventKind, RingState
from graph.transaction import Entity, EntityKind
from ingest import records
from ingest.codec import LARGEST_RECORD
from ingest.ports import LARGEST_VALUE, Record, Topic
from scorer.verdict import Decision, Reason, Standing, Verdict

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_floats = st.floats(allow_nan=False, allow_infinity=False)
_int = st.integers(-(2**53), 2**53)
_entity = st.builds(Entity, st.sampled_from(EntityKind), _text)
_members = st.lists(st.tuples(_entity, st.sampled_from(Role)), min_size=1, max_size=3).map(tuple)
_strings = st.lists(_text, max_size=3).map(tuple)
_patterns = st.lists(st.sampled_from(Pattern), max_size=3).map(tuple)
_evidence = st.builds(
    Evidence,
    pattern=st.sampled_from(Pattern),
    seen_at=_int,
    members=_members,
    hops=st.lists(
        st.builds(Hop, _text, st.none() | _entity, st.none() | _entity, _int, _int), max_size=3
    ).map(tuple),
    strength=_floats,
    reason=_text,
    facts=st.dictionaries(_text, _floats, max_size=3).map(MappingProxyType),
    retained=st.none() | _floats,
    truncated=st.booleans(),
)
_alert = st.builds(Alert, _text, _text, _int, _int, _text, _floats, _int, _int, _patterns, _text)
_ring = st.builds(
    Ring,
    ring_id=_text,
    revision=_int,
    state=st.sampled_from(RingState),
    born_at=_int,
    changed_at=_int,
    members=_members,
    patterns=_patterns,
    score=_floats,
    money=_int,
    transactions=_strings,
    evidence=_strings,
    aliases=_strings,
    truncated=st.booleans(),
    recoverable=_int,
    split_from=st.none() | _text,
    last_alert_at=st.none() | _int,
)
_event = st.builds(
    RingEvent,
    kind=st.sampled_from(RingEventKind),
    at=_int,
    ring=_ring,
    added_members=st.lists(_entity, max_size=2).map(tuple),
    added_money=_int,
    added_patterns=_patterns,
    merged_ring_id=st.none() | _text,
    alert=st.none() | _alert,
    split_ring_ids=_strings,
)
_verdict = st.builds(
    Verdict,
    transaction_id=_text,
    timestamp=_int,
    admission=st.sampled_from(["accepted", "late"]),
    decision=st.sampled_from(Decision),
    score=_floats,
    model_score=st.none() | _floats,
    ring_score=_floats,
    expected_cost=_floats,
    reasons=st.lists(
        st.builds(
            Reason, _text, st.sampled_from(Standing), _text, _floats, st.none() | _text,
            st.none() | _text,
        ),
        max_size=2,
    ).map(tuple),
    evidence=st.lists(_evidence, max_size=2).map(tuple),
    rings=_strings,
    ring_events=st.lists(_event, max_size=2).map(tuple),
    tiers=_strings,
    degraded=_strings,
    model_version=st.none() | _text,
)  # fmt: skip


@given(_verdict)
def test_a_verdict_comes_back_as_it_was(verdict: Verdict) -> None:
    data = records.encode(
        records.VerdictRecord(Topic.TRANSACTIONS, 1, 7, records.verdict_fields(verdict))
    )
    line = records.decode(data, records.VerdictRecord)
    assert (line.partition, line.offset) == (1, 7)
    assert line.to_verdict() == verdict
    assert records.encode(line) == data
    again = records.VerdictRecord(
        Topic.TRANSACTIONS, 1, 7, records.verdict_fields(line.to_verdict())
    )
    assert records.encode(again) == data
    header = records.decode(data, records.VerdictHeader)
    assert (header.partition, header.offset) == (1, 7)
    assert header.verdict.transaction_id == verdict.transaction_id


@given(st.dictionaries(_text, _floats, max_size=5))
def test_an_answer_is_the_same_bytes_from_the_detector_and_from_the_log(facts: dict) -> None:
    user = Entity(EntityKind.USER, "ada")
    piece = Evidence(Pattern.MULE, 0, ((user, Role.MULE),), (), 0.5, "seen", facts)
    verdict = Verdict(
        transaction_id="t", timestamp=0, admission="accepted", decision=Decision.APPROVE,
        score=0.1, model_score=None, ring_score=0.0, expected_cost=1.0, reasons=(),
        evidence=(piece,), rings=(), ring_events=(), tiers=(), degraded=(), model_version=None,
    )  # fmt: skip
    fields = records.verdict_fields(verdict)
    data = records.encode(records.VerdictRecord(Topic.TRANSACTIONS, 0, 0, fields))
    told = records.decode(data, records.VerdictRecord).to_verdict()
    show = Views("EUR", 2).verdict
    assert msgspec.json.encode(show(told)) == msgspec.json.encode(show(verdict))


@given(_event)
def test_a_ring_event_comes_back_as_it_was(event: RingEvent) -> None:
    data = records.encode(records.ring_event_record("t", event))
    record = records.decode(data, records.RingEventRecord)
    assert (record.transaction_id, record.to_event()) == ("t", event)


def test_a_ring_event_from_before_rings_split_is_read() -> None:
    event = RingEvent(
        RingEventKind.GREW, 1, Ring("r", 2, RingState.ACTIVE, 0, 1, (), (), 0.5, 7, (), ())
    )
    data = records.encode(records.ring_event_record("t", event))
    older = data
    for added in (
        b',"recoverable":0',
        b',"split_from":null',
        b',"split_ring_ids":[]',
        b',"last_alert_at":null',
    ):
        assert added in older
        older = older.replace(added, b"")
    assert records.decode(older, records.RingEventRecord).to_event() == event


@given(_alert)
def test_an_alert_comes_back_as_it_was(alert: Alert) -> None:
    data = records.encode(records.alert_record("t", alert))
    record = records.decode(data, records.AlertRecord)
    assert (record.transaction_id, record.to_alert()) == ("t", alert)


@given(st.binary())
def test_a_dead_letter_keeps_any_bytes(raw: bytes) -> None:
    letter = records.DeadLetterRecord("engine", Topic.TRANSACTIONS, 0, 3, "code", "why", raw)
    assert records.decode(records.encode(letter), records.DeadLetterRecord) == letter


def test_the_order_of_facts_does_not_show() -> None:
    def verdict(facts: dict[str, float]) -> Verdict:
        member = (Entity(EntityKind.USER, "u"), Role.MULE)
        evidence = Evidence(Pattern.MULE, 1, (member,), (), 0.5, "why", facts)
        return Verdict("t", 1, "accepted", Decision.APPROVE, 0.5, None, 0, 0, evidence=(evidence,))

    one, two = (
        records.encode(
            records.VerdictRecord(Topic.TRANSACTIONS, 0, 0, records.verdict_fields(verdict(facts)))
        )
        for facts in ({"a": 1.0, "b": math.pi}, {"b": math.pi, "a": 1.0})
    )
    assert one == two


GOLDEN = (
    b'{"schema":"verdict/2","topic":"transactions","partition":1,"offset":7,"verdict":'
    b'{"transaction_id":"t","timestamp":1,"admission":"accepted","decision":"step_up","score":0.1,"model_score":null,"ring_score":0.25,'
    b'"expected_cost":1.5,"reasons":[{"code":"c","standing":"did","text":"why","weight":0.5,'
    b'"evidence_id":"10a0d0d0e6b0b4a4","ring_id":"r"}],"evidence":[],"rings":["r"],'
    b'"ring_events":[],"tiers":["rules"],"degraded":["model"],"model_version":null}}'
)


def test_the_bytes_of_version_2() -> None:
    """If this fails, logs that are out there cannot be read: add a version, do not edit this."""
    verdict = Verdict(
        "t", 1, "accepted", Decision.STEP_UP, 0.1, None, 0.25, 1.5,
        (Reason("c", Standing.DID, "why", 0.5, "10a0d0d0e6b0b4a4", "r"),),
        rings=("r",), tiers=("rules",), degraded=("model",),
    )  # fmt: skip
    assert (
        records.encode(
            records.VerdictRecord(Topic.TRANSACTIONS, 1, 7, records.verdict_fields(verdict))
        )
        == GOLDEN
    )
    assert records.decode(GOLDEN, records.VerdictRecord).to_verdict() == verdict
    known = records.decode(
        GOLDEN[:-1] + b',"known":{"deep-analysis":3,"lists":1}}', records.VerdictRecord
    )
    assert known.known == {Topic.DEEP_ANALYSIS: 3, Topic.LISTS: 1}
    assert records.encode(known).endswith(b',"known":{"deep-analysis":3,"lists":1}}')


@pytest.mark.parametrize(
    "data",
    [
        GOLDEN.replace(b"verdict/2", b"verdict/1"),
        GOLDEN.replace(b"step_up", b"perhaps"),
        GOLDEN[:-4],
        b"\xff",
        b"",
        records.encode(
            records.DeadLetterRecord("engine", Topic.TRANSACTIONS, 0, 3, "code", "why", b"")
        ),
    ],
)
def test_another_version_or_kind_or_a_torn_record_is_named(data: bytes) -> None:
    with pytest.raises(Incompatible, match="not a VerdictRecord"):
        records.decode(data, records.VerdictRecord)


def test_fields_added_later_are_read_over() -> None:
    newer = GOLDEN.replace(b'"partition":1', b'"partition":1,"added":[1]')
    assert records.decode(newer, records.VerdictRecord).offset == 7
    assert msgspec.json.decode(newer)["added"] == [1]


@pytest.mark.parametrize("size", [700_000, 1_000_000, 20_000_000])
def test_a_letter_of_a_large_record_is_cut_to_what_a_log_takes_and_says_so(size: int) -> None:
    raw = b"\x00" * size
    record = Record(Topic.TRANSACTIONS, 3, 2**50, raw, "k" * 5_000)
    error = InvalidInput("\0" * 100_000, field="f" * 9_000, remedy="\N{SNOWMAN}" * 9_000)
    data = records.encode(records.dead_letter("engine", record, error))
    assert LARGEST_VALUE * 0.9 < len(data) <= LARGEST_VALUE
    letter = records.decode(data, records.DeadLetterRecord)
    assert letter.size == size
    assert raw.startswith(letter.raw)
    assert letter.key is msgspec.UNSET
    assert letter.reason.endswith("…")
    assert records.encode(letter) == data


def test_a_letter_of_whatever_is_read_is_whole() -> None:
    raw = b" " * LARGEST_RECORD
    record = Record(Topic.TRANSACTIONS, 3, 2**50, raw, "k" * 1_024)
    error = InvalidInput("\0" * 10_000, remedy="Look.")
    data = records.encode(records.dead_letter("engine", record, error))
    assert len(data) <= LARGEST_VALUE
    letter = records.decode(data, records.DeadLetterRecord)
    assert (letter.raw, letter.key, letter.size) == (raw, "k" * 1_024, msgspec.UNSET)


def test_a_letter_without_a_key_has_the_bytes_it_had_before_letters_had_one() -> None:
    letter = records.DeadLetterRecord("engine", Topic.TRANSACTIONS, 0, 3, "code", "why", b"x")
    assert records.encode(letter) == (
        b'{"schema":"dead-letter/1","consumer":"engine","topic":"transactions","partition":0,'
        b'"offset":3,"code":"code","reason":"why","raw":"eA=="}'
    )
