"""Rings: evidence that shares entities, followed through its life.

A ring is born from its first piece of evidence and named after that evidence's first transaction,
so that a replay gives it the same id. It grows, merges into an older ring, splits, goes quiet and
expires; each of these is an event, appended and never rewritten.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property

import msgspec

from graph.evidence import Pattern, Role
from graph.transaction import ACCOUNTS, Entity


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
    SPLIT = "split"
    QUIET = "quiet"
    EXPIRED = "expired"


class Ring(msgspec.Struct, frozen=True, dict=True):
    """A ring as it stands at one revision.

    Attributes:
        ring_id: Hash of its first seed transaction (where it split from another ring, of that ring
            and revision as well); kept through every merge and split it survives.
        revision: Grows by one with every event.
        state: Active, quiet, expired, or merged into another ring.
        born_at: Event time of its first evidence, or of the split that made it.
        changed_at: Event time of its newest event.
        members: Entities with their roles, in the order in which they joined. Those that little
            of the evidence names are at the fringe.
        patterns: What was seen, in a stable order.
        score: How strongly the whole speaks for fraud, 0 to 1.
        money: Sum of its distinct witness transactions, minor units of the base currency.
        transactions: Ids of its witness transactions in time order.
        evidence: Ids of its evidence, oldest first.
        aliases: Ids of rings that merged into it.
        truncated: A bound was hit while it was built.
        recoverable: What of the money can at most still be with its users (`graph.ring_money`).
        split_from: Id of the ring that it was a part of before it had an id of its own.
        last_alert_at: Event time of the newest alert on it, or on what it was a part of or took in;
            None where nobody was told.
        likelihood: How likely it is a true ring, where a judge of rings was asked: of those that
            score enough to be told. None where none was.
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
    recoverable: int = 0
    split_from: str | None = None
    last_alert_at: int | None = None
    likelihood: float | None = None

    @cached_property
    def roles(self) -> Mapping[Entity, Role]:
        """The members by entity, for asking who belongs to it."""
        return dict(self.members)

    @cached_property
    def core(self) -> tuple[Entity, ...]:
        """The members that are not at the fringe."""
        return tuple(entity for entity, role in self.members if role is not Role.FRINGE)

    @property
    def accounts(self) -> frozenset[Entity]:
        """Its users and merchants, the fringe left out; made anew at each call."""
        fringe = Role.FRINGE  # a set on every revision that is remembered would be no small thing
        return frozenset(e for e, role in self.members if role is not fringe and e.kind in ACCOUNTS)


def unborn(ring_id: str, at: int) -> Ring:
    """A ring before its first revision: nothing is known of it but its name."""
    return Ring(
        ring_id=ring_id,
        revision=0,
        state=RingState.ACTIVE,
        born_at=at,
        changed_at=at,
        members=(),
        patterns=(),
        score=0.0,
        money=0,
        transactions=(),
        evidence=(),
    )


class RingEvent(msgspec.Struct, frozen=True, gc=False):
    """One thing that happened to a ring, with the ring as it stood right after.

    A split is told by a BORN of each part that went (its ring names `split_from`), then a SPLIT of
    the ring that kept the id: it names them in `split_ring_ids`, and its `added_money` is what went
    with them, below zero.
    """

    kind: RingEventKind
    at: int
    ring: Ring
    added_members: tuple[Entity, ...] = ()
    added_money: int = 0
    added_patterns: tuple[Pattern, ...] = ()
    merged_ring_id: str | None = None
    alert: "Alert | None" = None
    split_ring_ids: tuple[str, ...] = ()


class Alert(msgspec.Struct, frozen=True, gc=False):
    """A material change of a ring, told once.

    `alert_id` derives from ring, revision and policy version: sending it twice is harmless.
    `member_count` leaves the fringe out. `watched` names those of its members that are on the watch
    list. `likelihood` is the ring's at that moment, None where no judge of rings was asked.
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
    likelihood: float | None = None
