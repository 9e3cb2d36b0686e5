"""Names and numbers of the legitimate groups that have the shape of a ring (hard negatives).

Every group is numbered within its kind, so that a test can count look-alikes and a report can say
which kind fooled it.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from ingest.simulator.periods import Period

Ints = npt.NDArray[np.int64]

LOOK_ALIKES: Final = (
    "reciprocal",
    "family_cycle",
    "collection",
    "allowance",
    "settling_up",
    "student_treasurer",
    "campus",
    "payroll",
    "salary_processor",
    "rent",
    "marketplace",
    "treasury_sweep",
    "supply_chain",
    "expenses",
    "agent",
    "refund",
    "club",
    "ticket_drop",
    "seasonal",
    "returning",
    "new_phone",
    "house_purchase",
)
(
    RECIPROCAL,
    FAMILY_CYCLE,
    COLLECTION,
    ALLOWANCE,
    SETTLING_UP,
    STUDENT_TREASURER,
    CAMPUS,
    PAYROLL,
    SALARY_PROCESSOR,
    RENT,
    MARKETPLACE,
    TREASURY_SWEEP,
    SUPPLY_CHAIN,
    EXPENSES,
    AGENT,
    REFUNDED,
    CLUB,
    TICKET_DROP,
    SEASONAL,
    RETURNING,
    NEW_PHONE,
    HOUSE_PURCHASE,
) = range(len(LOOK_ALIKES))

STRIDE: Final = 1 << 40
"""A group's number is its kind times this plus a running number within the kind."""
_IN_A_PERIOD: Final = 1 << 27
"""Groups of a kind that begin in one period, at most; more than there can be rows."""


def numbered(kind: int, period: Period, numbers: Ints) -> Ints:
    """The group of each row: of this kind, this number within the period it begins in; -1 none."""
    return np.where(numbers >= 0, kind * STRIDE + period.number * _IN_A_PERIOD + numbers, -1)
