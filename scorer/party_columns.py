"""Who took part in each row of a table, as codes: enough to say which rings a row touches."""

from array import array
from collections.abc import Iterable
from typing import Final, NamedTuple

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


_KINDS: Final = (
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
        accounts: list[str] = []
        identifiers: list[str] = []
        self._names = (*(accounts,) * 3, *(identifiers,) * 3)
        user, merchant = _Codes(accounts), _Codes(accounts)
        device, ip, card = (_Codes(identifiers) for _ in range(3))
        self._codes = (user, user, merchant, device, ip, card)
        self._rows = array("i")

    def __len__(self) -> int:
        return len(self._rows) // len(_KINDS)

    def extend(self, transactions: Iterable[Transaction]) -> None:
        """Append the rows of transactions."""
        users, _, merchants, devices, ips, cards = self._codes
        rows: list[int] = []
        for tx in transactions:
            rows += (
                users[tx.user_id],
                users[tx.counterparty_id],
                merchants[tx.merchant_id],
                devices[tx.device_id],
                ips[tx.ip_address],
                cards[tx.card_id],
            )
        self._rows.extend(rows)

    def of(self, row: int, transaction_id: str) -> RowParties:
        """Who took part in a row, which is this transaction."""
        width = len(_KINDS)
        user, *others = (
            None if code < 0 else names[code]
            for code, names in zip(
                self._rows[width * row : width * (row + 1)], self._names, strict=True
            )
        )
        assert user is not None  # noqa: S101 - every transaction has one
        return RowParties(transaction_id, user, *others)

    def codes(self) -> NDArray[np.int32]:
        """Codes of user, other party, device, IP and card, int32 [R, 5]; -1 for nobody.

        The other party is the counterparty where there is one, else the merchant.
        """
        rows = np.array(self._rows, np.int32).reshape(-1, len(_KINDS))
        user, counterparty, merchant, *identifiers = rows.T
        other = np.where(counterparty >= 0, counterparty, merchant)
        return np.column_stack([user, other, *identifiers])


class _Codes(dict[str | None, int]):
    """Codes of the entities of one kind; whoever is asked for first is given the next one.

    Nobody is -1. Kinds of one space share the names of all codes.
    """

    def __init__(self, names: list[str]) -> None:
        super().__init__({None: -1})
        self._names = names

    def __missing__(self, name: str) -> int:
        code = self[name] = len(self._names)
        self._names.append(name)
        return code
