"""Columns of what happened, before anything has a name: one row a transaction, -1 = none."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from graph.transaction import TransactionType

Ints = npt.NDArray[np.int64]

TYPES: Final = tuple(TransactionType)
PAYMENT, TRANSFER, WITHDRAWAL, DEPOSIT, REFUND = range(len(TYPES))

WARM_UP, BURST, CASH_OUT = range(3)
PHASES: Final = ("warm_up", "burst", "cash_out")


@dataclass(frozen=True, slots=True)
class Flows:
    """Rows of equal length n, all int64[n].

    Attributes:
        time: Epoch milliseconds.
        type: Index into `TYPES`.
        amount: Minor units of the currency it is made in.
        user: Whose transaction it is.
        counterparty: Receiving user of a transfer.
        merchant: Merchant of a payment or refund.
        device, ip, card: Given where the story wants a certain one; -1 leaves it to `attire`.
        outcome: 0 authorised, where something later relies on it; 1 declined; -1 leaves it open.
        group: Look-alike group it belongs to; -1 none.
        ring, phase, round: Ring it belongs to, `PHASES` index, which wave of it; -1 none.
    """

    time: Ints
    type: Ints
    amount: Ints
    user: Ints
    counterparty: Ints
    merchant: Ints
    device: Ints
    ip: Ints
    card: Ints
    outcome: Ints
    group: Ints
    ring: Ints
    phase: Ints
    round: Ints

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> "Flows":
        """The rows at these positions, or where this mask is true."""
        return Flows(*(getattr(self, column.name)[rows] for column in fields(self)))


def flows(time: Ints, type_: int | Ints, amount: Ints, user: Ints, **columns: Ints) -> Flows:
    """Rows with the columns given, the rest none."""
    filled = {column.name: columns.get(column.name) for column in fields(Flows)}
    filled |= {"time": time, "amount": amount, "user": user}
    filled["type"] = np.full(len(time), type_) if isinstance(type_, int) else type_
    none = np.full(len(time), -1, dtype=np.int64)
    return Flows(
        *(none if values is None else values.astype(np.int64) for values in filled.values())
    )


def stacked(parts: Sequence[Flows]) -> Flows:
    """All rows of all parts, one after the other."""
    return Flows(
        *(
            np.concatenate([getattr(part, column.name) for part in parts])
            for column in fields(Flows)
        )
    )
