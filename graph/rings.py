"""Rings: evidence that shares entities, followed through its life.

A ring is born from its first piece of evidence and named after that evidence's first transaction,
so that a replay gives it the same id. It grows, merges into an older ring, goes quiet and expires;
each of these is an event, appended and never rewritten.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from graph.evidence import Pattern, Role
from graph.transaction import Entity


class RingState(StrEnum):
    """Where a ring is in its life."""

    ACTIVE = "active"
    QUIET = "quiet"
    EXPIRED = "expired"
    MERGED = "merged"


class RingEventKind(StrEnum):
    """What can happen to a ring."""

    BORN = "born"
    GREW = "grew"
    MERGED = "merged"
    QUIET = "quiet"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Ring:
    """A ring as it stands at one revision.

    Attributes:
        ring_id: Hash of its first seed transaction; kept through every merge it survives.
        revision: Grows by one with every event.
        state: Active, quiet, expired, or merged into another ring.
        born_at: Event time of its first evidence.
        changed_at: Event time of its newest event.
        members: Entities with their roles, in the order in which they joined.
        patterns: What was seen, in a stable order.
        score: How strongly the whole speaks for fraud, 0 to 1.
        money: Sum of its distinct witness transactions, minor units of the base currency.
        transactions: Ids of its witness transactions in time order.
        evidence: Ids of its evidence, oldest first.
        aliases: Ids of rings that merged into it.
        truncated: A bound was hit while it was built.
    """

    ring_id: str
    revision: int
    state: RingState
    born_at: int
    changed_at: int
    members: tuple[tuple[Entity, Role], ...]
    patterns: tuple[Pattern, ...]
    score: float
    money: int
    transactions: tuple[str, ...]
    evidence: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    truncated: bool = False

    @cached_property
    def roles(self) -> Mapping[Entity, Role]:
        """The members by entity, for asking who belongs to it."""
        return dict(self.members)


@dataclass(frozen=True, slots=True)
class RingEvent:
    """One thing that happened to a ring, with the ring as it stood right after."""

    kind: RingEventKind
    at: int
    ring: Ring
    added_members: tuple[Entity, ...] = ()
    added_money: int = 0
    added_patterns: tuple[Pattern, ...] = ()
    merged_ring_id: str | None = None
    alert: "Alert | None" = None


@dataclass(frozen=True, slots=True)
class Alert:
    """A material change of a ring, told once.

    `alert_id` derives from ring, revision and policy version: sending it twice is harmless.
    `watched` names those of its members that are on the watch list.
    """

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
    watched: tuple[Entity, ...] = ()
