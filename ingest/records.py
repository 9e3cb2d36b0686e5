"""What the log holds: verdicts, ring events, alerts and dead letters as versioned JSON.

Every record begins with its schema ("verdict/1"); a reader that meets another one says so. Equal
values give equal bytes: fields in the order of the class, mappings sorted by key, floats in their
shortest exact form. Fields may be added with a default under the same version; anything else needs
a new one.
"""

from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from graph.errors import Incompatible, RingfenceError
from graph.evidence import Pattern, Role
from graph.rings import Alert, RingEvent, RingEventKind, RingState
from graph.transaction import EntityKind
from ingest.ports import LARGEST_VALUE, Record, Topic
from ingest.verdict_size import cut_to_fit, with_id
from scorer.verdict import Decision, Standing, Verdict

BEYOND: Final = 1 << 62
"""Epoch milliseconds of facts are less: more than that no checkpoint can hold."""
Count = Annotated[int, msgspec.Meta(ge=0, lt=BEYOND)]


class EntityRecord(msgspec.Struct, frozen=True, gc=False):
    """A typed node."""

    kind: EntityKind
    id: str


class HopRecord(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One transaction of a witness; null where the money left the graph."""

    transaction_id: str
    source: EntityRecord | None
    target: EntityRecord | None
    value: int
    timestamp: int
    declined: bool = False


class EvidenceRecord(msgspec.Struct, frozen=True, gc=False):
    """One pattern with its witness, under its stable id."""

    evidence_id: str
    pattern: Pattern
    seen_at: int
    members: tuple[tuple[EntityRecord, Role], ...]
    hops: tuple[HopRecord, ...]
    strength: float
    reason: str
    facts: dict[str, float]
    retained: float | None
    truncated: bool


class AlertFields(msgspec.Struct, frozen=True, gc=False):
    """An alert inside the ring event that raised it."""

    alert_id: str
    ring_id: str
    revision: int
    at: int
    headline: str
    score: float
    money: int
    member_count: int
    patterns: tuple[Pattern, ...]
    policy_version: str
    watched: tuple[EntityRecord, ...] = ()
    likelihood: float | None = None


class RingFields(msgspec.Struct, frozen=True, gc=False):
    """A ring as it stood right after an event."""

    ring_id: str
    revision: int
    state: RingState
    born_at: int
    changed_at: int
    members: tuple[tuple[EntityRecord, Role], ...]
    patterns: tuple[Pattern, ...]
    score: float
    money: int
    transactions: tuple[str, ...]
    evidence: tuple[str, ...]
    aliases: tuple[str, ...]
    truncated: bool
    recoverable: int = 0
    split_from: str | None = None
    last_alert_at: int | None = None
    likelihood: float | None = None


class RingEventFields(msgspec.Struct, frozen=True, gc=False):
    """A ring event inside the verdict of the transaction that caused it."""

    kind: RingEventKind
    at: int
    ring: RingFields
    added_members: tuple[EntityRecord, ...]
    added_money: int
    added_patterns: tuple[Pattern, ...]
    merged_ring_id: str | None
    alert: AlertFields | None
    split_ring_ids: tuple[str, ...] = ()


class ReasonRecord(msgspec.Struct, frozen=True, gc=False):
    """Why."""

    code: str
    standing: Standing
    text: str
    weight: float
    evidence_id: str | None
    ring_id: str | None


class VerdictFields(msgspec.Struct, frozen=True, gc=False):
    """The verdict, as `scorer.verdict.Verdict` documents it."""

    transaction_id: str
    timestamp: int
    admission: str
    decision: Decision
    score: float
    model_score: float | None
    ring_score: float
    expected_cost: float
    reasons: tuple[ReasonRecord, ...]
    evidence: tuple[EvidenceRecord, ...]
    rings: tuple[str, ...]
    ring_events: tuple[RingEventFields, ...]
    tiers: tuple[str, ...]
    degraded: tuple[str, ...]
    model_version: str | None
    findings: tuple[EvidenceRecord, ...] | UnsetType = UNSET  # left out where there are none


class VerdictRecord(
    msgspec.Struct,
    frozen=True,
    gc=False,
    omit_defaults=True,
    tag_field="schema",
    tag="verdict/2",
):
    """A verdict, the record of the log it answers, and what else was known then.

    Attributes:
        topic: Where the input stands: `transactions` or `submissions`.
        partition: Partition there.
        offset: Offset there.
        verdict: The verdict.
        known: Of each reference topic, the offset up to which the detector had been told;
            topics of which it knew nothing are left out.
    """

    topic: Topic
    partition: int
    offset: int
    verdict: VerdictFields
    known: dict[Topic, int] = {}

    def to_verdict(self) -> Verdict:
        """The verdict as the core knows it."""
        fields = self.verdict
        if fields.findings is UNSET:
            fields = replace(fields, findings=())
        verdict = msgspec.convert(fields, Verdict, from_attributes=True)
        for piece, written in zip(verdict.evidence, fields.evidence, strict=True):
            if written.truncated:
                with_id(piece, written.evidence_id)
        return verdict


class _Subject(msgspec.Struct, frozen=True, gc=False):
    transaction_id: str


class VerdictHeader(msgspec.Struct, frozen=True, tag_field="schema", tag="verdict/2"):
    """The part of a verdict record that says what it answers: cheap to read, for recovery."""

    topic: Topic
    partition: int
    offset: int
    verdict: _Subject
    known: dict[Topic, int] = {}


class RingEventRecord(msgspec.Struct, frozen=True, tag_field="schema", tag="ring-event/1"):
    """What happened to a ring, and the transaction that caused it."""

    transaction_id: str
    event: RingEventFields

    def to_event(self) -> RingEvent:
        """The event as the core knows it."""
        return msgspec.convert(self.event, RingEvent, from_attributes=True)


class AlertRecord(msgspec.Struct, frozen=True, tag_field="schema", tag="alert/1"):
    """An alert, and the transaction that caused it."""

    transaction_id: str
    alert: AlertFields

    def to_alert(self) -> Alert:
        """The alert as the core knows it."""
        return msgspec.convert(self.alert, Alert, from_attributes=True)


class DeadLetterRecord(msgspec.Struct, frozen=True, tag_field="schema", tag="dead-letter/1"):
    """What could not be processed: where it stands, why, and its bytes as they came.

    Attributes:
        consumer: Who could not process it.
        topic: Where it came from.
        partition: Partition there.
        offset: Offset there.
        code: Stable code of the error (see `graph.errors`).
        reason: The error in words: field, value and remedy.
        raw: The bytes as they came, base64 on the wire.
        key: The key they came with; left out where there was none, or a very long one.
        size: How many bytes came, where they are more than a letter can carry: `raw` is then their
            beginning, and the record itself stands at its place for as long as it is retained.
    """

    consumer: str
    topic: Topic
    partition: int
    offset: int
    code: str
    reason: str
    raw: bytes
    key: str | UnsetType = UNSET
    size: int | UnsetType = UNSET


AnyRecord = VerdictRecord | RingEventRecord | AlertRecord | DeadLetterRecord | VerdictHeader
R = TypeVar("R", bound=AnyRecord)
S = TypeVar("S")

LONGEST_KEY: Final = 1_024
"""Characters of a key that a dead letter keeps."""
_LONGEST_REASON: Final = 8_192
_AROUND: Final = 10_000
"""Bytes that stand around a verdict in its record."""

_ENCODER = msgspec.json.Encoder(order="deterministic")


def dead_letter(consumer: str, record: Record, error: RingfenceError) -> DeadLetterRecord:
    """The letter of a record that a consumer could not process."""
    named = record.key is not None and len(record.key) <= LONGEST_KEY
    return DeadLetterRecord(
        consumer=consumer,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        code=error.code,
        reason=str(error),
        raw=record.value,
        key=record.key if named and record.key is not None else UNSET,
    )


def fitted(verdict: Verdict) -> Verdict:
    """A verdict that every log takes, and its ring events: cut, with `truncated`, if need be."""
    return cut_to_fit(
        verdict, lambda each: len(_ENCODER.encode(_wire(each))), LARGEST_VALUE - _AROUND
    )


def verdict_fields(verdict: Verdict) -> VerdictFields:
    """A verdict of the core in the form of the wire, as `fitted` to it."""
    return _wire(fitted(verdict))


def _wire(verdict: Verdict) -> VerdictFields:
    # Most say nothing of reasons, evidence and rings: only what is there is converted.
    return VerdictFields(
        transaction_id=verdict.transaction_id,
        timestamp=verdict.timestamp,
        admission=verdict.admission,
        decision=verdict.decision,
        score=verdict.score,
        model_score=verdict.model_score,
        ring_score=verdict.ring_score,
        expected_cost=verdict.expected_cost,
        reasons=_converted(verdict.reasons, tuple[ReasonRecord, ...]),
        evidence=_converted(verdict.evidence, tuple[EvidenceRecord, ...]),
        rings=verdict.rings,
        ring_events=_converted(verdict.ring_events, tuple[RingEventFields, ...]),
        tiers=verdict.tiers,
        degraded=verdict.degraded,
        model_version=verdict.model_version,
        findings=_converted(verdict.findings, tuple[EvidenceRecord, ...]) or UNSET,
    )


def _converted(values: tuple[object, ...], into: type[tuple[S, ...]]) -> tuple[S, ...]:
    return msgspec.convert(values, into, from_attributes=True) if values else ()


def ring_event_record(transaction_id: str, event: RingEvent) -> RingEventRecord:
    """A ring event of the core in the form of the wire."""
    fields = msgspec.convert(event, RingEventFields, from_attributes=True)
    return RingEventRecord(transaction_id, fields)


def alert_record(transaction_id: str, alert: Alert) -> AlertRecord:
    """An alert of the core in the form of the wire."""
    return AlertRecord(transaction_id, msgspec.convert(alert, AlertFields, from_attributes=True))


def encode(record: AnyRecord) -> bytes:
    """JSON; equal records give equal bytes. Of a dead letter, as much as every log takes."""
    if isinstance(record, DeadLetterRecord):
        record = _fitted_letter(record)
    return _ENCODER.encode(record)


def _fitted_letter(letter: DeadLetterRecord) -> DeadLetterRecord:
    if len(letter.reason) > _LONGEST_REASON:
        letter = replace(letter, reason=letter.reason[: _LONGEST_REASON - 1] + "…")
    size = len(letter.raw)
    if 4 * size < 3 * (LARGEST_VALUE - 12 * _LONGEST_REASON):
        return letter
    rest = len(_ENCODER.encode(replace(letter, raw=b"", size=size)))
    most = (LARGEST_VALUE - rest) // 4 * 3
    return letter if size <= most else replace(letter, raw=letter.raw[:most], size=size)


def decode(data: bytes, kind: type[R]) -> R:
    """Read one record of this kind.

    Raises:
        Incompatible: It is of another schema or version, or torn.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Incompatible(
            f"the log holds a record that is not a {kind.__name__}: {error}",
            field="record",
            value=data[:80].decode("utf-8", "replace"),
            remedy="Read this log with the version of Ringfence that wrote it, or start a new one.",
        ) from error
