"""Evidence: what a heuristic saw, with the witness that proves it.

A piece of evidence can be checked by hand: its witness is the ordered list of the transactions
that form the pattern. Counts and thresholds are in `facts`, in words in `reason`.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Final

import msgspec
import xxhash

from graph.transaction import Entity


class Pattern(StrEnum):
    """What can be seen. The name is the same from Cypher to the page."""

    BLOCKED = "blocked"
    IMPOSSIBLE_TRAVEL = "impossible_travel"
    VELOCITY = "velocity"
    CYCLE = "cycle"
    PING_PONG = "ping_pong"
    MULE = "mule"
    FAN_IN = "fan_in"
    FAN_OUT = "fan_out"
    CHAIN = "chain"
    SCATTER_GATHER = "scatter_gather"
    GATHER_SCATTER = "gather_scatter"
    BIPARTITE = "bipartite"
    STACK = "stack"
    FEEDER_TREE = "feeder_tree"
    STRUCTURING = "structuring"
    SHARED_DEVICE = "shared_device"
    SHARED_CARD = "shared_card"
    SHARED_IP = "shared_ip"
    DORMANT_BURST = "dormant_burst"
    TAKEOVER = "takeover"
    BUST_OUT = "bust_out"
    CARD_TESTING = "card_testing"
    COLLUSIVE_MERCHANT = "collusive_merchant"
    REFUND_ABUSE = "refund_abuse"
    SYNTHETIC_IDENTITY = "synthetic_identity"
    DENSE_BLOCK = "dense_block"
    COMMUNITY = "community"
    LINKED_SUSPECTS = "linked_suspects"


SEEN: Final[tuple[Pattern, ...]] = tuple(
    each for each in Pattern if each is not Pattern.LINKED_SUSPECTS
)
"""What is seen in transactions; the other is of what was scored, and no score is made of it."""


class Role(StrEnum):
    """What part an entity plays in a pattern or a ring.

    Heuristics name all but the last two: FRINGE is who a ring holds though little of its evidence
    names it (`graph.ring_fringe`), and `graph.ring_roles` decides what everybody is in the ring.
    """

    VICTIM = "victim"
    MULE = "mule"
    CONTROLLER = "controller"
    CASH_OUT = "cash_out"
    SENDER = "sender"
    RECEIVER = "receiver"
    MEMBER = "member"
    SHARED = "shared"
    BYSTANDER = "bystander"
    FRINGE = "fringe"


class Hop(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One transaction of a witness. `source` or `target` is None where money left the graph."""

    transaction_id: str
    source: Entity | None
    target: Entity | None
    value: int
    timestamp: int
    declined: bool = False

    @property
    def moved(self) -> int:
        """The money that it moved: none where it was declined."""
        return 0 if self.declined else self.value


RULE_STRENGTH: Final = "rule_strength"
"""Fact of judged evidence: the strength by the heuristic's rule."""

_NO_FACTS: Final[Mapping[str, float]] = MappingProxyType({})


class Evidence(msgspec.Struct, frozen=True, dict=True):
    """One pattern, its witness and how strongly it speaks.

    Attributes:
        pattern: Which pattern.
        seen_at: Event time of the transaction that completed it.
        members: Every entity with the role it plays, in a stable order (the first is the
            pattern's centre: the mule, the hub, the shared device, the cycle's earliest sender).
        hops: The witness: transactions ordered as the pattern orders them (by time, then id).
            Identity evidence has no hops where no money moved between its members.
        strength: How strongly it speaks for fraud, 0 to 1: by the heuristic's own documented rule,
            or the probability that a trained judge gives it (`is_judged`).
        reason: One sentence for the investigator.
        facts: The figures behind the sentence (counts, shares, minutes), by name.
        retained: Share of the money kept from the first hop to the last, where that has a meaning.
        truncated: A bound was hit: there may be more than what is shown.
    """

    pattern: Pattern
    seen_at: int
    members: tuple[tuple[Entity, Role], ...]
    hops: tuple[Hop, ...]
    strength: float
    reason: str
    facts: Mapping[str, float] = _NO_FACTS
    retained: float | None = None
    truncated: bool = False

    @cached_property
    def evidence_id(self) -> str:
        """Stable id: the pattern, its centre and its witness, whatever order they were found in.

        A cycle found from another starting point has the same id, because its hops are ordered by
        time. Evidence without hops is identified by its members.
        """
        witness = sorted(h.transaction_id for h in self.hops) or sorted(
            str(e) for e, _ in self.members
        )
        text = "\x1f".join([self.pattern, str(self.members[0][0]), *witness])
        return xxhash.xxh3_64_hexdigest(text.encode())

    @property
    def is_judged(self) -> bool:
        """Whether its strength is a judge's probability."""
        return RULE_STRENGTH in self.facts

    @property
    def entities(self) -> tuple[Entity, ...]:
        """The members without their roles."""
        return tuple(entity for entity, _ in self.members)

    @property
    def money(self) -> int:
        """What the witness moved, minor units of the base currency."""
        return sum(hop.moved for hop in self.hops)
