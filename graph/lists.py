"""The lists: entities that somebody decided about, until somebody else decides otherwise.

`Lists` is how they begin, in the configuration. `ListBook` is how they stand: a state machine of
`ListChange`s, whose entries end by event time, so that a replay ends them at the same transaction.

>>> ada = Entity(EntityKind.USER, "ada")
>>> book = ListBook(Lists(allowed=frozenset({ada})))
>>> book.apply(ListChange(ada, ListName.WATCH, reason="called twice", expires_at=60_000))
>>> [str(listing) for listing in book.of(ada)]
['allow', 'watch']
>>> book.expire(60_000)
>>> [str(listing) for listing in book.of(ada)]
['allow']
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from graph.errors import InvalidInput, InvalidSetting
from graph.snapshot import Snapshot, encode_state, pack, unpack
from graph.transaction import Entity, EntityKind, Transaction

MOST: Final = 1_000_000
"""Entries that may stand at once: about 500 bytes each with a sentence for a reason."""
CONFIGURED: Final = "configuration"
"""Author of the entries that the configuration brought."""
NEVER: Final = 1 << 62
"""Event time that does not come."""

_VERSION: Final = 1


class ListName(StrEnum):
    """The three lists. Where an entity is on both of the first two, `BLOCK` stands."""

    BLOCK = "block"  # a transaction that touches it is declined
    ALLOW = "allow"  # it is never the centre of evidence (a payroll account is no fan-out)
    WATCH = "watch"  # it is named in verdicts and alerts, and decides nothing


@dataclass(frozen=True, slots=True)
class Lists:
    """How the lists begin.

    Attributes:
        blocked: A transaction that touches one of them gets `Pattern.BLOCKED`.
        allowed: They are never the centre of evidence (a payroll account is no fan-out). What
            others do, and who else is blocked, counts as before.
        watched: They are named in the reasons of verdicts and in alerts; they decide nothing.

    Raises:
        InvalidSetting: An entity is both blocked and allowed.
    """

    blocked: frozenset[Entity] = frozenset()
    allowed: frozenset[Entity] = frozenset()
    watched: frozenset[Entity] = frozenset()

    def __post_init__(self) -> None:
        if both := self.blocked & self.allowed:
            raise InvalidSetting(
                "is both blocked and allowed",
                field="lists",
                value=str(min(both)),
                remedy="Take it off one of the lists.",
            )

    def changes(self) -> Iterator["ListChange"]:
        """What would make an empty book stand like this, in a stable order."""
        for listing, entities in (
            (ListName.BLOCK, self.blocked),
            (ListName.ALLOW, self.allowed),
            (ListName.WATCH, self.watched),
        ):
            for entity in sorted(entities):
                yield ListChange(entity, listing, author=CONFIGURED)


@dataclass(frozen=True, slots=True)
class ListChange:
    """One decision about one entity on one list; the last one stands.

    Attributes:
        entity: Whom it is about.
        listing: Which list.
        listed: Put on the list, or taken off it.
        reason: Why, in the words of who decided; shown in verdicts.
        author: Who decided.
        expires_at: Event time (ms) from which it no longer stands; None for ever.
        at: When it was decided, epoch ms by the clock of who did; for people, it decides nothing.
    """

    entity: Entity
    listing: ListName
    listed: bool = True
    reason: str = ""
    author: str = ""
    expires_at: int | None = None
    at: int = 0


@dataclass(frozen=True, slots=True)
class ListEntry:
    """An entity on a list; the attributes are those of the `ListChange` that put it there."""

    entity: Entity
    listing: ListName
    reason: str = ""
    author: str = ""
    expires_at: int | None = None
    at: int = 0


class ListBook:
    """Who is on which list. O(1) to ask, O(log n) to change an entry that expires.

    Args:
        lists: How it begins.

    Attributes:
        next_expiry: Event time at which an entry may end; `NEVER` where none does.
    """

    def __init__(self, lists: Lists = Lists()) -> None:
        # By plain id: the hash of an Entity costs more than the rest of a look-up.
        self._ids: Final[Mapping[ListName, Mapping[EntityKind, dict[str, ListEntry]]]] = {
            listing: {kind: {} for kind in EntityKind} for listing in ListName
        }
        self._size = 0
        self._endings: list[tuple[int, ListName, Entity]] = []
        self.next_expiry = NEVER
        for change in lists.changes():
            self.apply(change)

    def __len__(self) -> int:
        """Entries that stand, expired ones included until `expire` was told the time."""
        return self._size

    def ids(self, listing: ListName, kind: EntityKind) -> Mapping[str, ListEntry]:
        """The entries of one kind on one list, by id; the mapping follows every change."""
        return self._ids[listing][kind]

    def get(self, listing: ListName, entity: Entity) -> ListEntry | None:
        """The entity's entry on a list."""
        return self._ids[listing][entity.kind].get(entity.id)

    def of(self, entity: Entity) -> tuple[ListName, ...]:
        """The lists an entity is on."""
        return tuple(name for name in ListName if entity.id in self._ids[name][entity.kind])

    def touched(self, listing: ListName, tx: Transaction) -> tuple[ListEntry, ...]:
        """Entries on a list that a transaction touches: its parties first, then identifiers."""
        if not self._size:
            return ()
        on = self._ids[listing]
        if not (
            tx.user_id in on[EntityKind.USER]
            or tx.counterparty_id in on[EntityKind.USER]
            or tx.merchant_id in on[EntityKind.MERCHANT]
            or tx.device_id in on[EntityKind.DEVICE]
            or tx.ip_address in on[EntityKind.IP]
            or tx.card_id in on[EntityKind.CARD]
        ):
            return ()
        return tuple(on[e.kind][e.id] for e in tx.entities if e.id in on[e.kind])

    def entries(self, listing: ListName | None = None) -> list[ListEntry]:
        """The entries of one list or of all, by list, kind and id."""
        names = list(ListName) if listing is None else [listing]
        return [
            entry
            for name in names
            for kind in EntityKind
            for _, entry in sorted(self._ids[name][kind].items())
        ]

    def apply(self, change: ListChange) -> None:
        """Let a decision stand; deciding the same again changes nothing.

        Raises:
            InvalidInput: `MOST` entries stand already; nothing has changed.
        """
        entity = change.entity
        held = self._ids[change.listing][entity.kind]
        if not change.listed:
            self._size -= held.pop(entity.id, None) is not None
            return
        if entity.id not in held:
            if self._size >= MOST:
                raise InvalidInput(
                    f"more than {MOST} entries on the lists",
                    field="lists",
                    value=str(entity),
                    remedy="Take others off first.",
                )
            self._size += 1
        held[entity.id] = ListEntry(
            entity, change.listing, change.reason, change.author, change.expires_at, change.at
        )
        if change.expires_at is not None:
            heapq.heappush(self._endings, (change.expires_at, change.listing, entity))
            self._tidy()

    def expire(self, now: int) -> None:
        """Take off whatever no longer stands at event time `now` (ms)."""
        while self._endings and self._endings[0][0] <= now:
            ends, listing, entity = heapq.heappop(self._endings)
            held = self._ids[listing][entity.kind]
            entry = held.get(entity.id)
            if entry is not None and entry.expires_at == ends:
                del held[entity.id]
                self._size -= 1
        self._tidy()

    def _tidy(self) -> None:
        """Endings of entries that were changed since are dropped before they outnumber the rest."""
        if len(self._endings) > 2 * self._size + 16:
            self._endings = sorted(self._ending_entries())
        self.next_expiry = self._endings[0][0] if self._endings else NEVER

    def _ending_entries(self) -> Iterable[tuple[int, ListName, Entity]]:
        for entry in self.entries():
            if entry.expires_at is not None:
                yield entry.expires_at, entry.listing, entry.entity

    def snapshot(self) -> bytes:
        """The whole state; equal books give equal bytes, whatever led to them."""
        entries = encode_state(self.entries())
        return pack("lists", _VERSION, Snapshot({"entries": entries}, {}))

    def restore(self, data: bytes) -> None:
        """Take over a snapshot, in place of everything that stands.

        Raises:
            Incompatible: It is torn, altered, or of another version.
        """
        values = unpack("lists", _VERSION, data).values
        entries = msgspec.msgpack.decode(values["entries"], type=list[ListEntry])
        for of_kind in self._ids.values():
            for held in of_kind.values():
                held.clear()
        for entry in entries:
            self._ids[entry.listing][entry.entity.kind][entry.entity.id] = entry
        self._size = len(entries)
        self._endings = sorted(self._ending_entries())
        self.next_expiry = self._endings[0][0] if self._endings else NEVER
