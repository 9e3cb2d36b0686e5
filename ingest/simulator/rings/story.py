"""The story of one ring: rows around the instant its burst begins, and who plays which part."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from graph.evidence import Role
from graph.transaction import DAY
from ingest.simulator.flows import BURST, WARM_UP

Ints = npt.NDArray[np.int64]

LIFE: Final = -1
"""Phase of rows that hide a ring but are no part of it: honest purchases, own money."""
LEFT_OPEN, AUTHORISED, DECLINED = -1, 0, 1


@dataclass(slots=True)
class Row:
    """One transaction of a ring; `at` in milliseconds from the beginning of the burst."""

    at: float
    type: int
    amount: int
    user: int
    to: int = -1
    merchant: int = -1
    device: int = -1
    ip: int = -1
    card: int = -1
    outcome: int = LEFT_OPEN
    phase: int = BURST
    round: int = -1


@dataclass(slots=True)
class Story:
    """Rows in the order in which they are told, and the truth about them.

    Attributes:
        rows: What happens.
        roles: The part of each user, in the order in which they joined.
        merchants: Merchants that belong to the ring.
        sleepers: Members whose accounts do nothing until the burst.
    """

    rows: list[Row] = field(default_factory=list)
    roles: dict[int, Role] = field(default_factory=dict)
    merchants: list[int] = field(default_factory=list)
    sleepers: list[int] = field(default_factory=list)

    def tell(
        self,
        at: float,
        type_: int,
        amount: int,
        user: int,
        *,
        to: int = -1,
        merchant: int = -1,
        device: int = -1,
        ip: int = -1,
        card: int = -1,
        outcome: int = LEFT_OPEN,
        phase: int = BURST,
        round_: int = -1,
    ) -> None:
        """Add a row."""
        self.rows.append(
            Row(at, type_, amount, user, to, merchant, device, ip, card, outcome, phase, round_)
        )

    def cast(self, role: Role, *users: int) -> None:
        """Give these users this part; one who has a part keeps it."""
        for user in users:
            self.roles.setdefault(user, role)

    def having(self, *roles: Role) -> list[int]:
        """Users who play one of these parts."""
        return [user for user, role in self.roles.items() if role in roles]

    def open(self) -> None:
        """Count time from the first row of the burst."""
        first = min(row.at for row in self.rows if row.phase > WARM_UP)
        for row in self.rows:
            row.at -= first

    @property
    def length(self) -> float:
        """From the beginning of the burst to the last row."""
        return max(row.at for row in self.rows)


@dataclass(slots=True)
class Purse:
    """What one account of a ring has got so far, and until when."""

    amount: int = 0
    at: float = 0.0

    def take(self, at: float, amount: int) -> None:
        """Money arrives."""
        self.amount += amount
        self.at = max(self.at, at)


def warm_up_time(rng: np.random.Generator, days: float) -> float:
    """An instant up to so many days before the burst, at least some hours."""
    return -float(rng.uniform(min(0.3, days / 2), days)) * DAY
