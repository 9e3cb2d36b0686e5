"""Time in pieces: life is made up some days at a time, so that memory does not grow with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from graph.transaction import DAY
from ingest.simulator.config import SimulationConfig

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ROWS_AT_ONCE: Final = 250_000
"""About how many transactions a period has, unless one day has more."""
WEEKDAY_WEIGHT: Final = np.array([0.95, 0.95, 1.0, 1.05, 1.2, 1.25, 0.8])


@dataclass(frozen=True, slots=True)
class Period:
    """Some whole calendar days (UTC) in a row.

    Attributes:
        number: How many came before it.
        first: The first of them, days since the epoch.
        length: How many.
    """

    number: int
    first: int
    length: int

    @property
    def days(self) -> Ints:
        """Days since the epoch, int64[length]."""
        return np.arange(self.first, self.first + self.length)

    @property
    def announced(self) -> Ints:
        """Days whose preparations, a day ahead, fall into this period."""
        return np.arange(self.first + (self.number > 0), self.first + self.length + 1)

    @property
    def end(self) -> int:
        """The midnight that closes it, epoch milliseconds."""
        return (self.first + self.length) * DAY

    @property
    def weight(self) -> Floats:
        """How busy each day is, 1 on average over a week, float64[length]."""
        weight: Floats = WEEKDAY_WEIGHT[weekday(self.days)] / WEEKDAY_WEIGHT.mean()
        return weight


def weekday(days: Ints) -> Ints:
    """0 for Monday to 6; 1 January 1970 was a Thursday."""
    return (days + 3) % 7


def periods(config: SimulationConfig) -> Iterator[Period]:
    """The calendar days of the simulated time, in equal pieces but for the last."""
    first, days = config.midnight // DAY, config.calendar_days
    a_day = max(1.0, config.expected / config.days)
    length = int(np.clip(ROWS_AT_ONCE // a_day, 1, days))
    for number, begin in enumerate(range(0, days, length)):
        yield Period(number, first + begin, min(length, days - begin))
