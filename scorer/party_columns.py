"""Who took part in each row of a table, as codes: enough to say which rings a row touches."""

from array import array
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.transaction import Entity, EntityKind, Transaction


class RowParties(NamedTuple):
    """Who took part in a row: a `graph.ring_index.Parties` and a `scorer.reasons.Explained`."""

    transaction_id: str
    user_id: str
    counterparty_id: str | None
    merchant_id: str | None
    device_id: str | None
    ip_address: str | None
    card_id: str | None

    @property
    def entities(self) -> tuple[Entity, ...]:
        """All of them, as `Transaction.entities` names them."""
        return tuple(
            Entity(kind, id_) for kind, id_ in zip(_KINDS, self[1:], strict=True) if id_ is not None
        )


_KINDS = (
    EntityKind.USER,
    EntityKind.USER,
    EntityKind.MERCHANT,
    EntityKind.DEVICE,
    EntityKind.IP,
    EntityKind.CARD,
)


class PartyColumns:
    """Codes of everybody in a transaction, by row; 24 bytes a row, and every entity once.

    Codes of accounts (users and merchants) are of one space, those of devices, IPs and cards of
    another, as in the window. Unlike the window's ids they are never given out anew.
    """

    def __init__(self) -> None:
        self._accounts = _Codes()
        self._identifiers = _Codes()
        self._columns = [array("i") for _ in _KINDS]

    def __len__(self) -> int:
        return len(self._columns[0])

    def add(self, tx: Transaction) -> None:
        """Append the row of a transaction."""
        account, identifier = self._accounts.of, self._identifiers.of
        user, counterparty, merchant, device, ip, card = self._columns
        user.append(account(EntityKind.USER, tx.user_id))
        counterparty.append(account(EntityKind.USER, tx.counterparty_id))
        merchant.append(account(EntityKind.MERCHANT, tx.merchant_id))
        device.append(identifier(EntityKind.DEVICE, tx.device_id))
        ip.append(identifier(EntityKind.IP, tx.ip_address))
        card.append(identifier(EntityKind.CARD, tx.card_id))

    def of(self, row: int, transaction_id: str) -> RowParties:
        """Who took part in a row, which is this transaction."""
        names = (*(self._accounts.names,) * 3, *(self._identifiers.names,) * 3)
        user, *others = (
            None if (code := column[row]) < 0 else known[code]
            for column, known in zip(self._columns, names, strict=True)
        )
        assert user is not None  # noqa: S101 - every transaction has one
        return RowParties(transaction_id, user, *others)

    def codes(self) -> NDArray[np.int32]:
        """Codes of user, other party, device, IP and card, int32 [R, 5]; -1 for nobody.

        The other party is the counterparty where there is one, else the merchant.
        """
        user, counterparty, merchant, *identifiers = (
            np.array(column, np.int32) for column in self._columns
        )
        other = np.where(counterparty >= 0, counterparty, merchant)
        return np.column_stack([user, other, *identifiers])


class _Codes:
    """Entities of some kinds by code, and codes by entity."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._codes: dict[tuple[EntityKind, str], int] = {}

    def of(self, kind: EntityKind, name: str | None) -> int:
        if name is None:
            return -1
        code = self._codes.get((kind, name))
        if code is None:
            code = self._codes[kind, name] = len(self.names)
            self.names.append(name)
        return code
