"""The transaction: who paid whom, how much, when, and through what.

Amounts are integers in minor units and times are integers in milliseconds since the epoch, so
that nothing in the core ever compares floats. `value` is the amount in the one base currency in
which transactions of several currencies are compared; the codec computes it from a rate table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

MILLISECOND: Final = 1
SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR


class TransactionType(StrEnum):
    """What moved: the direction of the money follows from it (see `Transaction.payer`)."""

    PAYMENT = "payment"
    TRANSFER = "transfer"
    WITHDRAWAL = "withdrawal"
    DEPOSIT = "deposit"
    REFUND = "refund"


class Outcome(StrEnum):
    """What the payment system did with it; a declined transaction moves no money."""

    AUTHORISED = "authorised"
    DECLINED = "declined"


class EntityKind(StrEnum):
    """The five kinds of entity in the graph."""

    USER = "user"
    DEVICE = "device"
    IP = "ip"
    CARD = "card"
    MERCHANT = "merchant"


ACCOUNTS: Final = (EntityKind.USER, EntityKind.MERCHANT)
"""The kinds that hold money; the others are shared."""


class Entity(msgspec.Struct, frozen=True, order=True, gc=False):
    """A typed node: users and merchants hold money, devices, IPs and cards are shared."""

    kind: EntityKind
    id: str

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.id}"


class Money(msgspec.Struct, frozen=True, gc=False):
    """An exact amount: `minor` units (cents for EUR, yen for JPY) of an ISO 4217 currency."""

    minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Location:
    """Where it happened: degrees if coordinates were given, and the text as it was given."""

    text: str
    latitude: float | None = None
    longitude: float | None = None


_NO_ATTRIBUTES: Final[Mapping[str, object]] = MappingProxyType({})


class Transaction(msgspec.Struct, frozen=True, gc=False):
    """One movement of money (or the attempt at one), valid by construction in the codec.

    Attributes:
        transaction_id: The caller's id; two transactions with one id are the same transaction.
        timestamp: Event time, milliseconds since the epoch.
        type: What moved.
        amount: The amount as sent.
        value: The amount in minor units of the base currency.
        user_id: Whose transaction it is: the sender of a payment, transfer or withdrawal, the
            receiver of a deposit or refund.
        counterparty_id: The receiving user of a transfer.
        merchant_id: The merchant of a payment or refund.
        device_id: The device it was made on.
        ip_address: IPv4 or IPv6 in canonical text.
        card_id: A token that stands for the card, never its number.
        country: ISO 3166-1 alpha-2.
        location: Where it happened.
        merchant_category: The category code of the merchant (MCC or the caller's own).
        channel: How it was made ("app", "web", "pos", "atm", ...).
        outcome: Authorised or declined, where already known.
        user_created_at: When the user's account was opened, milliseconds since the epoch.
        attributes: Fields we do not know, kept as they came.
    """

    transaction_id: str
    timestamp: int
    type: TransactionType
    amount: Money
    value: int
    user_id: str
    counterparty_id: str | None = None
    merchant_id: str | None = None
    device_id: str | None = None
    ip_address: str | None = None
    card_id: str | None = None
    country: str | None = None
    location: Location | None = None
    merchant_category: str | None = None
    channel: str | None = None
    outcome: Outcome | None = None
    user_created_at: int | None = None
    attributes: Mapping[str, object] = _NO_ATTRIBUTES

    @property
    def moves_money(self) -> bool:
        """Whether money changed hands, as far as anyone knows."""
        return self.outcome is not Outcome.DECLINED

    @property
    def user(self) -> Entity:
        """The user whose transaction it is."""
        return Entity(EntityKind.USER, self.user_id)

    @property
    def other_party(self) -> Entity | None:
        """The counterparty or merchant, if the money did not come from or go to the outside."""
        if self.counterparty_id is not None:
            return Entity(EntityKind.USER, self.counterparty_id)
        if self.merchant_id is not None:
            return Entity(EntityKind.MERCHANT, self.merchant_id)
        return None

    @property
    def payer(self) -> Entity | None:
        """Whose money it was; None for a deposit from outside."""
        if self.type in (TransactionType.DEPOSIT, TransactionType.REFUND):
            return self.other_party
        return self.user

    @property
    def payee(self) -> Entity | None:
        """Who received it; None for a withdrawal to the outside."""
        if self.type in (TransactionType.DEPOSIT, TransactionType.REFUND):
            return self.user
        return self.other_party

    @property
    def identifiers(self) -> tuple[Entity, ...]:
        """The device, IP and card it was made through, those that were given."""
        named = (
            (EntityKind.DEVICE, self.device_id),
            (EntityKind.IP, self.ip_address),
            (EntityKind.CARD, self.card_id),
        )
        return tuple(Entity(kind, key) for kind, key in named if key is not None)

    @property
    def entities(self) -> tuple[Entity, ...]:
        """Every entity it touches: the parties first, then what it was made through."""
        other = self.other_party
        parties = (self.user,) if other is None else (self.user, other)
        return parties + self.identifiers


class Label(msgspec.Struct, frozen=True, gc=False):
    """What became known about a transaction, and when: a label is used only after `known_at`."""

    transaction: Transaction
    fraud: bool
    known_at: int
