"""A whole history of payments between users as columns, by day."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from graph.evidence import Hop
from graph.transaction import DAY, Entity, EntityKind, Transaction

PERIODS: Final = (2, 3, 4, 5, 6, 7, 14, 28, 30)
"""Days after which people and firms pay again."""


@dataclass(frozen=True)
class Ledger:
    """Payments that moved money from one user to another, in the order in which they were given.

    Attributes:
        names: Users by account number.
        payer, payee: int32 [N], account numbers.
        value: int64 [N], minor units of the base currency.
        time: int64 [N], epoch ms.
        ids: Transaction ids.
    """

    names: tuple[str, ...]
    payer: NDArray[np.int32]
    payee: NDArray[np.int32]
    value: NDArray[np.int64]
    time: NDArray[np.int64]
    ids: tuple[str, ...]

    @classmethod
    def of(cls, transactions: Iterable[Transaction]) -> Self:
        """Those of the transactions that moved money between two users."""
        numbers: dict[str, int] = {}
        rows: list[tuple[int, int, int, int]] = []
        ids: list[str] = []
        for tx in transactions:
            payer, payee = tx.payer, tx.payee
            if payer is None or payee is None or payer == payee or not tx.moves_money:
                continue
            if payer.kind is not EntityKind.USER or payee.kind is not EntityKind.USER:
                continue
            source = numbers.setdefault(payer.id, len(numbers))
            rows.append(
                (source, numbers.setdefault(payee.id, len(numbers)), tx.value, tx.timestamp)
            )
            ids.append(tx.transaction_id)
        table = np.array(rows, np.int64).reshape(-1, 4)
        return cls(
            names=tuple(numbers),
            payer=table[:, 0].astype(np.int32),
            payee=table[:, 1].astype(np.int32),
            value=table[:, 2].copy(),
            time=table[:, 3].copy(),
            ids=tuple(ids),
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def days(self) -> NDArray[np.int64]:
        """int64 [N], days since the epoch (UTC)."""
        days: NDArray[np.int64] = self.time // DAY
        return days

    def user(self, account: int) -> Entity:
        """The user behind an account number."""
        return Entity(EntityKind.USER, self.names[account])

    def hop(self, row: int) -> Hop:
        """A payment as a step of a witness."""
        return Hop(
            transaction_id=self.ids[row],
            source=self.user(int(self.payer[row])),
            target=self.user(int(self.payee[row])),
            value=int(self.value[row]),
            timestamp=int(self.time[row]),
        )

    def dealings(self) -> NDArray[np.int64]:
        """int64 [N]: how often the payer of each payment paid its payee in the whole history."""
        pair = self.payer.astype(np.int64) * max(len(self.names), 1) + self.payee
        _, place, counts = np.unique(pair, return_inverse=True, return_counts=True)
        dealings: NDArray[np.int64] = counts[place]
        return dealings

    def habitual(self, payments: int, share: float) -> NDArray[np.bool_]:
        """Whether a payment falls on its payer's rhythm.

        A rhythm is a period of `PERIODS` days and a day in it on which the payer made `share` more
        of its payments than chance would put there, the clearest one; payers of fewer than
        `payments` have none. O(N · periods) time, O(accounts · period) memory.
        """
        accounts, days = len(self.names), self.days
        total = np.bincount(self.payer, minlength=accounts)
        excess = np.zeros(accounts)
        period = np.ones(accounts, np.int64)
        phase = np.zeros(accounts, np.int64)
        for length in PERIODS:
            counts = np.bincount(self.payer * np.int64(length) + days % length,
                                 minlength=accounts * length).reshape(accounts, length)  # fmt: skip
            beyond = counts.max(axis=1, initial=0) / np.maximum(total, 1) - 1 / length
            clearer = beyond > excess
            excess[clearer], period[clearer] = beyond[clearer], length
            phase[clearer] = counts.argmax(axis=1)[clearer]
        rhythmic = (excess >= share) & (total >= payments)
        habitual: NDArray[np.bool_] = rhythmic[self.payer] & (
            days % period[self.payer] == phase[self.payer]
        )
        return habitual
