"""Options that several commands share, checked before the work: their libraries would say less."""

from typing import Final

from graph.errors import InvalidSetting
from graph.transaction import DAY

MOST_SEED: Final = 2**31 - 1
"""Every library that learns takes it, and the few next ones that comparisons go on to."""
MOST_EMBARGO: Final = 3_650
"""Days: longer than any history leaves something to learn from."""


def check_seed(seed: int) -> None:
    """A seed that every library takes.

    Raises:
        InvalidSetting: It is not from 0 to 2**31 - 1.
    """
    if not 0 <= seed <= MOST_SEED:
        raise InvalidSetting(
            f"must be between 0 and {MOST_SEED}",
            field="--seed",
            value=str(seed),
            remedy="Choose a whole number in that range.",
        )


def embargo_of(days: float) -> int:
    """An embargo in milliseconds.

    Raises:
        InvalidSetting: It is not a number of days from 0 to `MOST_EMBARGO`.
    """
    if not 0 <= days <= MOST_EMBARGO:  # NaN is not, either
        raise InvalidSetting(
            f"must be between 0 and {MOST_EMBARGO} days",
            field="--embargo",
            value=f"{days:g}",
            remedy="Choose a number in that range.",
        )
    return round(days * DAY)
