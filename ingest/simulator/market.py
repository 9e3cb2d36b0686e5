"""Where people shop: merchants by city and online, some of them known to everybody."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ingest.simulator.places import (
    CATEGORIES,
    CATEGORY_ONLINE,
    CATEGORY_WEIGHT,
    CITIES,
    CITY_WEIGHT,
)

Ints = npt.NDArray[np.int64]

ONLINE: Final = len(CITIES)
"""The aisle of the shops that sell everywhere; the others are numbered as their cities."""


@dataclass(frozen=True, slots=True)
class Market:
    """M merchants sorted by aisle.

    Attributes:
        city: int64[M], where it is registered.
        category: int64[M], index into `CATEGORIES`.
        online: bool[M].
        price: float64[M], its level of prices.
        shelf: float64[M+1], cumulative popularity.
        aisle: int64[C+2], bounds of each city's shops; the online shops come last.
    """

    city: Ints
    category: Ints
    online: npt.NDArray[np.bool_]
    price: npt.NDArray[np.float64]
    shelf: npt.NDArray[np.float64]
    aisle: Ints

    def __len__(self) -> int:
        return len(self.city)

    def visited(self, rng: np.random.Generator, aisle: Ints) -> Ints:
        """One merchant for each entry, by popularity, from that aisle."""
        low = self.shelf[self.aisle[aisle]]
        high = self.shelf[self.aisle[aisle + 1]]
        found = np.searchsorted(self.shelf, low + rng.random(len(aisle)) * (high - low), "right")
        return np.clip(found - 1, self.aisle[aisle], self.aisle[aisle + 1] - 1)


def build_market(rng: np.random.Generator, users: int) -> Market:
    """One merchant for ten people, at least 150, popularity heavy-tailed."""
    count = max(150, users // 10)
    city = rng.choice(len(CITIES), size=count, p=CITY_WEIGHT)
    city[: len(CITIES)] = np.arange(len(CITIES))
    category = rng.choice(len(CATEGORIES), size=count, p=CATEGORY_WEIGHT / CATEGORY_WEIGHT.sum())
    online = rng.random(count) < CATEGORY_ONLINE[category]
    # A grocer in every city and one electronics shop online: no aisle is ever empty.
    category[: len(CITIES)], online[: len(CITIES)] = 0, False
    category[len(CITIES)], online[len(CITIES)] = 6, True
    aisle = np.where(online, ONLINE, city)
    order = np.argsort(aisle, kind="stable")
    popularity = rng.pareto(1.3, count) + 0.2
    return Market(
        city=city[order],
        category=category[order],
        online=online[order],
        price=np.exp(rng.normal(0, 0.25, count)),
        shelf=np.concatenate([[0.0], np.cumsum(popularity)]),
        aisle=np.searchsorted(aisle[order], np.arange(len(CITIES) + 2)),
    )
