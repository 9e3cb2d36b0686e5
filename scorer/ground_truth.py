"""Ground truth: what a simulated folder knows about its rings and look-alikes, beyond labels.

A data set of the world outside has none; then there are no rows by typology and by look-alike.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from graph.transaction import Entity
from scorer.ring_matching import TrueRing

PLAIN: Final = "plain"
"""Variant of a ring that does not hide."""


@dataclass(frozen=True, slots=True)
class RingFacts:
    """What is known about a true ring.

    Attributes:
        kind: Its typology, as the simulator calls it.
        variant: How it hides; `PLAIN` where it does not, or where nothing is said.
        members: Its users and merchants; None where they are those of its transactions.
    """

    kind: str
    variant: str = PLAIN
    members: frozenset[Entity] | None = None


@dataclass(frozen=True, slots=True)
class LookAlike:
    """A legitimate group that has the shape of a ring: its kind and its transactions."""

    kind: str
    transaction_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """Facts about rings by ring id, the look-alikes, and the files they were read from."""

    rings: Mapping[str, RingFacts]
    look_alikes: tuple[LookAlike, ...]
    files: tuple[str, ...]


def as_named(rings: Iterable[TrueRing], truth: GroundTruth | None) -> list[TrueRing]:
    """The rings with the members that the ground truth names, where it names them."""
    facts = {} if truth is None else truth.rings
    told = []
    for ring in rings:
        named = facts[ring.ring_id].members if ring.ring_id in facts else None
        told.append(ring if named is None else replace(ring, members=set(named)))
    return told
