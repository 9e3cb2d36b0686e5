"""The kinds of ring: how large they get, whom they need, how they can evade."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from graph.errors import InvalidSetting

MOST_RINGS: Final = 1_000_000
"""Of one kind."""


@dataclass(frozen=True, slots=True)
class Invention:
    """Identities made up for one ring of a kind.

    Attributes:
        size: Least and greatest number of them.
        devices, cards: How many of each they share at most; 0: everybody has their own.
        card_share: Share of them that use one of the shared cards.
        together: Whether they live at one address.
        age_days: Least and greatest age of the accounts at the start.
        liveliness: Multiplies how often they do what people do.
    """

    size: tuple[int, int]
    devices: int
    cards: int
    card_share: float
    together: bool
    age_days: tuple[int, int]
    liveliness: float


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of ring.

    Attributes:
        members: Greatest number of people it recruits; victims and inventions come on top.
        frauds: Fraudulent transactions of one ring, on average (a test holds them to a third).
        invention: Whom it makes up, if anybody.
        evasions: Ways in which it can hide, beside `plain`.
    """

    members: int
    frauds: float
    invention: Invention | None = None
    evasions: tuple[str, ...] = ("split", "delayed", "mixed", "rotated")


VARIANTS: Final = ("plain", "split", "delayed", "mixed", "rotated")
"""Variants of a ring: the first as the literature draws it, the others evading."""

KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "cycle": Kind(members=6, frauds=11),
        "mule": Kind(members=4, frauds=14),
        "device_farm": Kind(
            members=0,
            frauds=20,
            invention=Invention(
                size=(6, 16),
                devices=3,
                cards=4,
                card_share=0.7,
                together=True,
                age_days=(30, 420),
                liveliness=0.5,
            ),
        ),
        "synthetic_identity": Kind(
            members=0,
            frauds=17,
            invention=Invention(
                size=(3, 8),
                devices=2,
                cards=2,
                card_share=0.8,
                together=True,
                age_days=(5, 60),
                liveliness=0.3,
            ),
        ),
        "card_testing": Kind(
            members=0,
            frauds=26,
            invention=Invention(
                size=(1, 3),
                devices=1,
                cards=0,
                card_share=0.0,
                together=True,
                age_days=(3, 60),
                liveliness=0.5,
            ),
            evasions=("delayed", "mixed", "rotated"),
        ),
        "takeover": Kind(members=3, frauds=17),
        "bust_out": Kind(
            members=0,
            frauds=34,
            invention=Invention(
                size=(2, 5),
                devices=0,
                cards=0,
                card_share=0.0,
                together=False,
                age_days=(200, 900),
                liveliness=1.0,
            ),
            evasions=("split", "delayed", "mixed"),
        ),
        "collusive_merchant": Kind(members=8, frauds=26),
        "refund_abuse": Kind(
            members=0,
            frauds=25,
            invention=Invention(
                size=(3, 6),
                devices=2,
                cards=2,
                card_share=0.5,
                together=True,
                age_days=(60, 500),
                liveliness=0.6,
            ),
            evasions=("delayed", "mixed", "rotated"),
        ),
        "structuring": Kind(members=7, frauds=9),
        "fan_in": Kind(members=2, frauds=11),
        "fan_out": Kind(members=12, frauds=17),
        "scatter_gather": Kind(members=10, frauds=11),
        "gather_scatter": Kind(members=13, frauds=13),
        "bipartite": Kind(members=10, frauds=16),
        "stack": Kind(members=13, frauds=16),
        "chain": Kind(members=9, frauds=8),
        "dormant_burst": Kind(members=5, frauds=10),
    }
)


class RingCounts(Mapping[str, int]):
    """How many rings of each kind are planted: a mapping with every kind in it, immutable.

    >>> RingCounts(cycle=2, mule=1).total
    3

    Raises:
        InvalidSetting: A kind that there is not, or a count that is none.
    """

    __slots__ = ("_counts",)

    def __init__(self, counts: Mapping[str, int] | None = None, /, **named: int) -> None:
        given = {**(counts or {}), **named}
        for kind, count in given.items():
            if kind not in KINDS:
                raise InvalidSetting(
                    "no such kind of ring",
                    field="ring_counts",
                    value=kind,
                    remedy=f"Choose from {', '.join(KINDS)}",
                )
            if not float(count).is_integer() or not 0 <= count <= MOST_RINGS:
                raise InvalidSetting(
                    f"must be a whole number between 0 and {MOST_RINGS}",
                    field=f"ring_counts.{kind}",
                    value=str(count),
                    remedy="Choose a value in that range",
                )
        self._counts = {kind: given.get(kind, 0) for kind in KINDS}

    def __getitem__(self, kind: str) -> int:
        return self._counts[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def __hash__(self) -> int:
        return hash(tuple(self._counts.items()))

    def __repr__(self) -> str:
        planted = ", ".join(f"{kind}={count}" for kind, count in self.items() if count)
        return f"RingCounts({planted})"

    @property
    def total(self) -> int:
        """Rings of all kinds."""
        return sum(self._counts.values())

    @property
    def recruits(self) -> int:
        """People that they recruit at most."""
        return sum(KINDS[kind].members * count for kind, count in self._counts.items())
