"""Who took part in each row of a table, as codes: enough to say which rings a row touches."""

from array import array
from typing import NamedTuple

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
    """Codes of everybody in a transaction, by row; 24 bytes a row, and every name once."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._codes: dict[str, int] = {}
        self._columns = [array("i") for _ in _KINDS]

    def __len__(self) -> int:
        return len(self._columns[0])

    def add(self, tx: Transaction) -> None:
        """Append the row of a transaction."""
        parties = (
            tx.user_id,
            tx.counterparty_id,
            tx.merchant_id,
            tx.device_id,
            tx.ip_address,
            tx.card_id,
        )
        for column, name in zip(self._columns, parties, strict=True):
            column.append(-1 if name is None else self._code(name))

    def of(self, row: int, transaction_id: str) -> RowParties:
        """Who took part in a row, which is this transaction."""
        names = self._names
        user, *others = (column[row] for column in self._columns)
        return RowParties(
            transaction_id, names[user], *(None if code < 0 else names[code] for code in others)
        )

    def _code(self, name: str) -> int:
        code = self._codes.get(name)
        if code is None:
            code = self._codes[name] = len(self._names)
            self._names.append(name)
        return code
