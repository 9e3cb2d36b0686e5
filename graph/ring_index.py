"""Which live rings an entity is a member of."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Final, Protocol

from graph.transaction import Entity, EntityKind

_NONE: Final[frozenset[str]] = frozenset()


class Parties(Protocol):
    """Whoever takes part in a transaction, as far as rings are concerned; None = nobody."""

    @property
    def user_id(self) -> str:
        """The user."""
        ...

    @property
    def counterparty_id(self) -> str | None:
        """The receiving user."""
        ...

    @property
    def device_id(self) -> str | None:
        """The device."""
        ...

    @property
    def card_id(self) -> str | None:
        """The card."""
        ...


class RingIndex:
    """Ring ids by member, kept by the ring book as rings gain, lose and end."""

    def __init__(self) -> None:
        # None has no rings: a transaction's absent parties are looked up like any other.
        self._by_member: dict[EntityKind, dict[str | None, set[str]]] = {
            kind: {} for kind in EntityKind
        }
        self._by_user = self._by_member[EntityKind.USER]
        self._by_device = self._by_member[EntityKind.DEVICE]
        self._by_card = self._by_member[EntityKind.CARD]

    def enter(self, ring_id: str, members: Iterable[Entity]) -> None:
        """They belong to this ring now."""
        for entity in members:
            self._by_member[entity.kind].setdefault(entity.id, set()).add(ring_id)

    def leave(self, ring_id: str, members: Iterable[Entity]) -> None:
        """They belong to this ring no more."""
        for entity in members:
            ring_ids = self._by_member[entity.kind][entity.id]
            ring_ids.discard(ring_id)
            if not ring_ids:
                del self._by_member[entity.kind][entity.id]

    def of(self, entities: Iterable[Entity]) -> set[str]:
        """Rings that one of these belongs to; through an IP address alone nobody does."""
        found: set[str] = set()
        for entity in entities:
            if entity.kind is not EntityKind.IP:
                found |= self._by_member[entity.kind].get(entity.id, _NONE)
        return found

    def touched_by(self, tx: Parties) -> AbstractSet[str]:
        """Rings that the transaction's users, device or card belong to."""
        by_user = self._by_user.get
        user, other = by_user(tx.user_id, _NONE), by_user(tx.counterparty_id, _NONE)
        device = self._by_device.get(tx.device_id, _NONE)
        card = self._by_card.get(tx.card_id, _NONE)
        if not (user or other or device or card):
            return _NONE
        return user | other | device | card
