"""Where people live and what is sold there: cities and merchant categories.

The amounts are medians in minor units of the local currency, in the order of magnitude that
central banks report for card payments; MCC codes are those of ISO 18245.
"""

from typing import Final, NamedTuple

import numpy as np


class City(NamedTuple):
    """A place: ISO country and currency, degrees, share of the people, hours ahead of UTC."""

    country: str
    currency: str
    latitude: float
    longitude: float
    weight: float
    hours_ahead: int


class Category(NamedTuple):
    """A kind of shop: MCC, median amount, share of the merchants, share that sells online."""

    code: str
    median: int
    weight: float
    online: float


CITIES: Final = (
    City("DE", "EUR", 52.5200, 13.4050, 10, 1),
    City("DE", "EUR", 48.1374, 11.5755, 7, 1),
    City("DE", "EUR", 53.5511, 9.9937, 6, 1),
    City("DE", "EUR", 50.1109, 8.6821, 5, 1),
    City("FR", "EUR", 48.8566, 2.3522, 10, 1),
    City("FR", "EUR", 45.7640, 4.8357, 5, 1),
    City("ES", "EUR", 40.4168, -3.7038, 8, 1),
    City("ES", "EUR", 41.3874, 2.1686, 6, 1),
    City("IT", "EUR", 41.9028, 12.4964, 6, 1),
    City("IT", "EUR", 45.4642, 9.1900, 6, 1),
    City("NL", "EUR", 52.3676, 4.9041, 6, 1),
    City("AT", "EUR", 48.2082, 16.3738, 4, 1),
    City("PT", "EUR", 38.7223, -9.1393, 4, 0),
    City("IE", "EUR", 53.3498, -6.2603, 3, 0),
    City("GB", "GBP", 51.5072, -0.1276, 7, 0),
    City("GB", "GBP", 53.4808, -2.2426, 3, 0),
    City("US", "USD", 40.7128, -74.0060, 5, -5),
    City("US", "USD", 41.8781, -87.6298, 3, -6),
)

CATEGORIES: Final = (
    Category("5411", 2_600, 0.16, 0.10),
    Category("5812", 3_400, 0.12, 0.05),
    Category("5814", 1_150, 0.10, 0.25),
    Category("5541", 5_200, 0.05, 0.0),
    Category("5912", 1_900, 0.06, 0.15),
    Category("5651", 5_900, 0.09, 0.55),
    Category("5732", 14_500, 0.05, 0.60),
    Category("5999", 4_200, 0.10, 0.80),
    Category("4121", 1_600, 0.04, 0.70),
    Category("4111", 700, 0.03, 0.50),
    Category("5942", 1_800, 0.04, 0.60),
    Category("5816", 1_400, 0.03, 1.0),
    Category("7995", 3_500, 0.02, 0.90),
    Category("6051", 15_000, 0.02, 1.0),
    Category("5947", 6_500, 0.04, 0.50),
    Category("7011", 16_000, 0.03, 0.60),
    Category("4814", 2_700, 0.02, 0.90),
)

CURRENCIES: Final = ("EUR", "GBP", "USD")
COUNTRIES: Final = tuple(sorted({city.country for city in CITIES}))

CITY_WEIGHT: Final = np.array([city.weight for city in CITIES]) / sum(c.weight for c in CITIES)
CITY_CURRENCY: Final = np.array([CURRENCIES.index(c.currency) for c in CITIES], dtype=np.int8)
CITY_COUNTRY: Final = np.array([COUNTRIES.index(c.country) for c in CITIES], dtype=np.int8)
CITY_HOURS_AHEAD: Final = np.array([city.hours_ahead for city in CITIES], dtype=np.int64)
CATEGORY_WEIGHT: Final = np.array([category.weight for category in CATEGORIES])
CATEGORY_MEDIAN: Final = np.array([category.median for category in CATEGORIES], dtype=np.float64)
CATEGORY_ONLINE: Final = np.array([category.online for category in CATEGORIES])
RESALE_CATEGORIES: Final = tuple(
    i for i, c in enumerate(CATEGORIES) if c.code in {"5732", "5947", "6051", "5999", "5651"}
)
"""Goods that turn back into money: electronics, gift cards, quasi-cash, general and clothing."""
