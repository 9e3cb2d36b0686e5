"""Who plays in the rings: people are recruited for one ring only, and those they rob for none.

Recruiters ask whom they know, in the street and at school (Leukfeldt and Kleemans 2019,
*Cybercrime, money mules and situational crime prevention*, of Dutch case files), or they advertise
to everybody (Europol's EMMA actions). Nobody has counted how many do which: here six crews in ten
are of one town.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from graph.errors import InvalidSetting
from graph.transaction import DAY
from ingest.simulator.places import CITIES, CURRENCIES
from ingest.simulator.population import World, currency_of

Ints = npt.NDArray[np.int64]

ENOUGH_VICTIMS: Final = 10
"""People of the members' currency who must be left to pay them."""
ESTABLISHED: Final = 180 * DAY
"""Age from which an account is worth taking over."""
OF_ONE_TOWN: Final = 0.6
"""Share of the crews whose members all live in one city, where one has enough people left."""
EUR: Final = CURRENCIES.index("EUR")


class Cast:
    """Hands out people of one currency, nobody to two rings; victims come from all the others.

    Who was robbed is recruited last, when nobody else is left.
    """

    def __init__(self, rng: np.random.Generator, world: World) -> None:
        settled = np.flatnonzero(world.created_at[: world.people] < world.config.start)
        # A treasurer of hundreds of sales a day is not recruited: his account is his living.
        settled = settled[~np.isin(settled, world.sellers) & (world.wakes_at[settled] < 0)]
        shuffled = rng.permutation(settled)
        currency = currency_of(world, shuffled)
        self._rng = rng
        self._city = world.city
        self._old = world.config.start - world.created_at >= ESTABLISHED
        self._robbed = np.zeros(world.people, dtype=np.bool_)
        self._hired = np.zeros(world.people, dtype=np.bool_)
        self._left = [shuffled[currency == code] for code in range(len(CURRENCIES))]
        self._code = EUR

    def members(self, count: int, code: int | None = None) -> list[int]:
        """`count` people who share a currency; a currency is as likely as it has people left.

        Raises:
            InvalidSetting: Nowhere are there `count` people left and `ENOUGH_VICTIMS` beside them.
        """
        left = np.array([len(pool) for pool in self._left])
        fits = np.where(left >= count + ENOUGH_VICTIMS, left, 0)
        if code is not None:
            fits = np.where(np.arange(len(fits)) == code, fits, 0)
        if not fits.any():
            raise InvalidSetting(
                "too few people with an account from before the simulated time",
                field="users",
                value=f"at most {left.max()} left of one currency, {count + ENOUGH_VICTIMS} needed",
                remedy="Raise users or plant fewer rings",
            )
        self._code = int(self._rng.choice(len(fits), p=fits / fits.sum()))
        pool = self._left[self._code]
        people = self._neighbours(pool, count) if self._rng.random() < OF_ONE_TOWN else pool
        hired = people[np.argsort(self._robbed[people], kind="stable")][:count]
        self._hired[hired] = True
        self._left[self._code] = pool[~self._hired[pool]]
        return [int(user) for user in hired]

    def victims(self, count: int, *, established: bool = False) -> list[int]:
        """`count` people of the currency of the last members, none of any ring so far.

        Fewer where no more are left, or no more that are established: at least one.
        """
        pool = self._left[self._code]
        old = pool[self._old[pool]]
        if established and len(old):
            pool = old
        chosen = self._rng.choice(pool, min(count, len(pool)), replace=False)
        self._robbed[chosen] = True
        return [int(user) for user in chosen]

    def in_currency_of(self, user: int, world: World) -> None:
        """Victims are from now on of this user's currency, if enough are left, or of the commonest.

        Whom an invented identity robs need not bank where it does.
        """
        code = int(currency_of(world, np.array([user]))[0])
        left = [len(pool) for pool in self._left]
        self._code = code if left[code] >= ENOUGH_VICTIMS else int(np.argmax(left))

    def _neighbours(self, pool: Ints, count: int) -> Ints:
        """Those of one city, as likely as it has people left; all where no city has enough."""
        city = self._city[pool]
        left = np.bincount(city, minlength=len(CITIES))
        fits = np.where(left >= count, left, 0)
        if not fits.any():
            return pool
        home = int(self._rng.choice(len(CITIES), p=fits / fits.sum()))
        return pool[np.flatnonzero(city == home)]
