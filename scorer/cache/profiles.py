"""What the cache tells of an entity: its risk profile, and what it did in the last hours.

Both are folds over verdicts in the order of the journal, so that the same log gives the same
values whoever folds it. Neither claims anything from before its `since`: a value that was lost
and begun again says when.
"""

from typing import Final

import msgspec

from graph.transaction import HOUR, Entity, Transaction
from scorer.verdict import Decision, Verdict

RINGS: Final = 8
"""Rings a profile names, the newest last."""
HOURS: Final = 24
"""Hours of event time an aggregate keeps apart, the newest last."""


class Profile(msgspec.Struct, array_like=True, tag="profile/1"):
    """Risk profile of an entity of any kind.

    Attributes:
        since: Event time (ms) of the first transaction counted.
        last_seen: Event time of the newest.
        transactions: Transactions it took part in.
        stepped_up: Of these, stepped up.
        declined: Of these, declined.
        highest_score: Highest probability of fraud of one of them.
        last_score: That of the last one.
        patterns: How often each pattern was completed by one of them.
        rings: Ids of the rings they touched, at most `RINGS`, the newest last.
        alerts: Alerts they raised.
    """

    since: int
    last_seen: int
    transactions: int = 0
    stepped_up: int = 0
    declined: int = 0
    highest_score: float = 0.0
    last_score: float = 0.0
    patterns: dict[str, int] = {}
    rings: list[str] = []
    alerts: int = 0

    def add(self, verdict: Verdict) -> None:
        """Count one more transaction."""
        self.since = min(self.since, verdict.timestamp)
        self.last_seen = max(self.last_seen, verdict.timestamp)
        self.transactions += 1
        self.stepped_up += verdict.decision is Decision.STEP_UP
        self.declined += verdict.decision is Decision.DECLINE
        self.highest_score = max(self.highest_score, verdict.score)
        self.last_score = verdict.score
        for piece in verdict.evidence:
            self.patterns[piece.pattern.value] = self.patterns.get(piece.pattern.value, 0) + 1
        if verdict.rings:
            others = [ring for ring in self.rings if ring not in verdict.rings]
            self.rings = [*others, *reversed(verdict.rings)][-RINGS:]
        self.alerts += sum(event.alert is not None for event in verdict.ring_events)


class Hour(msgspec.Struct, array_like=True):
    """One hour of event time: transactions, those declined, and minor units sent and received."""

    hour: int
    transactions: int = 0
    declined: int = 0
    sent: int = 0
    received: int = 0


class Aggregate(msgspec.Struct, array_like=True, tag="aggregate/1"):
    """What a user or merchant did in the newest `HOURS` hours of its own event time.

    Attributes:
        since: Event time (ms) of the first transaction counted.
        hours: Those in which something happened, in order.
    """

    since: int
    hours: list[Hour] = []

    def add(self, entity: Entity, tx: Transaction, verdict: Verdict) -> None:
        """Count one more transaction; older hours than are kept are passed over."""
        self.since = min(self.since, tx.timestamp)
        number = tx.timestamp // HOUR
        hours = {hour.hour: hour for hour in self.hours}
        hour = hours.setdefault(number, Hour(number))
        hour.transactions += 1
        declined = verdict.decision is Decision.DECLINE
        hour.declined += declined
        if tx.moves_money and not declined:
            hour.sent += tx.value * (tx.payer == entity)
            hour.received += tx.value * (tx.payee == entity)
        newest = max(hours)
        self.hours = [hours[each] for each in sorted(hours) if each > newest - HOURS]


_ENCODER: Final = msgspec.msgpack.Encoder(order="deterministic")
_PROFILE: Final = msgspec.msgpack.Decoder(Profile)
_AGGREGATE: Final = msgspec.msgpack.Decoder(Aggregate)


def key_of(entity: Entity) -> str:
    """Under which key an entity's values lie."""
    return f"{entity.kind.value}:{entity.id}"


def encode(value: Profile | Aggregate) -> bytes:
    """msgpack; equal values give equal bytes."""
    return _ENCODER.encode(value)


def decode_profile(data: bytes) -> Profile | None:
    """A profile; None where it is of another version, which is as good as none."""
    try:
        return _PROFILE.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def decode_aggregate(data: bytes) -> Aggregate | None:
    """An aggregate; None where it is of another version, which is as good as none."""
    try:
        return _AGGREGATE.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
