"""Who belongs to a ring, and who is only at its fringe.

Not everybody who was ever named belongs to it. A witness shows honest people as well: whom a victim
has always paid, who sits at the same public machine. One piece names these, while those whose ring
it is are named by several patterns.

Definition
    How strongly an account is named is the sum of the strengths of the evidence at hand that names
    it, of each pattern 1 at most: ten laps of a circle say no more than one. With less than
    `RingPolicy.belonging` of what that is in the mean over the ring's accounts, an account is at
    the fringe. It keeps its place in the ring, and the part that evidence gives it: it is at the
    fringe only in what is told, and only for as long.

Cost: O(members of a piece) when one comes or is replaced, O(accounts) to say who is at the fringe.
Kept up because every revision of a ring asks: added up anew, it took five times as long.

>>> from graph.evidence import Evidence
>>> from graph.transaction import EntityKind
>>> a, b, c = (Entity(EntityKind.USER, name) for name in "abc")
>>> standing = Standing()
>>> for entity in (a, b, c):
...     standing.enter(entity)
>>> told = ((Pattern.CYCLE, (a, b, c)), (Pattern.MULE, (a, b)), (Pattern.CHAIN, (a, b)))
>>> for pattern, who in told:
...     standing.add(Evidence(pattern, 0, tuple((each, Role.MEMBER) for each in who), (), 0.9, "-"))
>>> told = standing.told({entity: (entity, Role.MEMBER) for entity in (a, b, c)}, 0.6)
>>> [role.value for _, role in told]
['member', 'member', 'fringe']
"""

from collections.abc import Mapping
from typing import Final

from graph.evidence import Evidence, Pattern, Role
from graph.transaction import ACCOUNTS, Entity

_SURE: Final = 1_000
"""Strength 1 in the whole numbers that are added up: what is added and taken away again leaves
nothing."""


class Standing:
    """How strongly the evidence at hand names the accounts of a ring."""

    def __init__(self) -> None:
        self._named: dict[Entity, dict[Pattern, int]] = {}
        self._sums: dict[Entity, int] = {}  # of the accounts that entered, each pattern 1 at most

    def enter(self, entity: Entity) -> None:
        """Count a new member; what is no account is never at the fringe."""
        if entity.kind in ACCOUNTS:
            said = self._named.get(entity, {}).values()
            self._sums[entity] = sum(min(each, _SURE) for each in said)

    def add(self, piece: Evidence) -> None:
        """Let a piece count."""
        self._count(piece, round(_SURE * piece.strength))

    def remove(self, piece: Evidence) -> None:
        """Let a piece that was added count no longer."""
        self._count(piece, -round(_SURE * piece.strength))

    def told(
        self, members: Mapping[Entity, tuple[Entity, Role]], belonging: float
    ) -> tuple[tuple[Entity, Role], ...]:
        """The members in their order and roles, those at the fringe in that role.

        The pairs are given out as they are: revision upon revision shares them.
        """
        sums = self._sums
        least = belonging * sum(sums.values()) / max(len(sums), 1)
        if min(sums.values(), default=least) >= least:
            return tuple(members.values())
        return tuple(
            (pair[0], Role.FRINGE) if sums.get(pair[0], least) < least else pair
            for pair in members.values()
        )

    def _count(self, piece: Evidence, strength: int) -> None:
        for entity, _ in piece.members:
            said = self._named.setdefault(entity, {})
            before = said.get(piece.pattern, 0)
            said[piece.pattern] = now = before + strength
            if entity in self._sums:
                self._sums[entity] += min(now, _SURE) - min(before, _SURE)
