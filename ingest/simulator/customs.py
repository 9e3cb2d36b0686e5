"""What stays the same from one period to the next: pay days, rents, takings, clubs, agents."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from graph.transaction import HOUR
from ingest.simulator.population import World

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LATEST_RENT: Final = 28
PEOPLE_PER_AGENT: Final = 900
PEOPLE_PER_PROCESSOR: Final = 2_000
CLUB_SHARE: Final = 0.06
"""Of circles of friends: they have a bar, a bakery, a sports club of their own."""
CLUB_SHOP: Final = 0.4
"""Part of a city's shops, least popular first, from which clubs choose."""


@dataclass(frozen=True, slots=True)
class Customs:
    """Arrays of a business (B), a paying tenant (T), a seller (L), a firm's account (F), a club.

    Attributes:
        rhythm: int64[B], 0 weekly, 1 fortnightly, 2 monthly pay.
        fortnight: int64[B], which of two weeks. pay_weekday: int64[B]. pay_day: int64[B].
        processor: int64[B], account through which wages are paid, -1 the firm's own.
        tenant: int64[T], user. due: int64[T], day of the month. standing: int64[T], milliseconds
            into that day. rent: int64[T], minor units.
        success: float64[L], multiplies sales. price: float64[L]. closes: int64[L], every how many
            days takings leave.
        main: int64[F], main account of the firm that has this account. account: int64[F].
        swept: int64[F], every how many days.
        agents: int64[A], accounts that change and send money for others.
        club_member: int64[K], one entry for each member. club: int64[K]. club_shop: int64, by club.
    """

    rhythm: Ints
    fortnight: Ints
    pay_weekday: Ints
    pay_day: Ints
    processor: Ints
    tenant: Ints
    due: Ints
    standing: Ints
    rent: Ints
    success: Floats
    price: Floats
    closes: Ints
    main: Ints
    account: Ints
    swept: Ints
    agents: Ints
    club_member: Ints
    club: Ints
    club_shop: Ints


def settle_customs(rng: np.random.Generator, world: World) -> Customs:
    """Draw them all: O(users)."""
    businesses = world.businesses
    first = world.users - businesses
    tenant = np.flatnonzero((world.landlord >= 0) & (world.landlord != np.arange(world.people)))
    due = 1 + np.minimum(rng.exponential(4.0, len(tenant)).astype(np.int64), LATEST_RENT - 1)
    price = np.round(62_000 * world.affluence[tenant] * rng.uniform(0.6, 1.5, len(tenant)), -2)
    sellers = len(world.sellers)
    shuffled = first + rng.permutation(businesses)
    agents = shuffled[: max(1, world.people // PEOPLE_PER_AGENT)]
    rest = shuffled[len(agents) :]
    clearing = rest[: max(1, world.people // PEOPLE_PER_PROCESSOR)]
    through = rng.choice(clearing, businesses)
    through = np.where(rng.random(businesses) < 0.3, through, -1)
    main, account = _firms(rng, rest[len(clearing) :])
    member, club, shop = _clubs(rng, world)
    return Customs(
        rhythm=rng.choice(3, size=businesses, p=(0.3, 0.3, 0.4)),
        fortnight=rng.integers(0, 2, businesses),
        pay_weekday=rng.choice(7, size=businesses, p=(0.1, 0.1, 0.1, 0.25, 0.4, 0.03, 0.02)),
        pay_day=rng.choice([1, 5, 10, 15, 20, 25, 27, 28], size=businesses),
        processor=np.where(through == first + np.arange(businesses), -1, through),
        tenant=tenant,
        due=due,
        standing=rng.integers(4 * HOUR, 20 * HOUR, len(tenant)),
        rent=price.astype(np.int64),
        success=rng.gamma(1.2, 1 / 1.2, sellers),
        price=np.exp(rng.normal(np.log(3_500), 0.6, sellers)),
        closes=rng.choice([1, 3, 7], size=sellers),
        main=main,
        account=account,
        swept=rng.choice([1, 1, 7], size=businesses)[main - first],
        agents=agents,
        club_member=member,
        club=club,
        club_shop=shop,
    )


def _firms(rng: np.random.Generator, accounts: Ints) -> tuple[Ints, Ints]:
    """(main account, other account) of firms that have three to six; half of all have one."""
    some = accounts[: len(accounts) // 2]
    size = rng.integers(3, 7, len(some))
    firm = np.repeat(np.arange(len(some)), size)[: len(some)]
    head = np.searchsorted(firm, firm)
    own = head != np.arange(len(some))
    return some[head[own]], some[own]


def _clubs(rng: np.random.Generator, world: World) -> tuple[Ints, Ints, Ints]:
    """(member, club of each, shop of each club): a circle and a small shop of its city."""
    circles = int(world.circle.max()) + 1
    chosen = np.flatnonzero(rng.random(circles) < CLUB_SHARE)
    member = np.flatnonzero(np.isin(world.circle, chosen))
    club = np.searchsorted(chosen, world.circle[member])
    city = np.zeros(len(chosen), dtype=np.int64)
    city[club] = world.city[member]
    market = world.market
    shop = np.zeros(len(chosen), dtype=np.int64)
    popularity = np.diff(market.shelf)
    for place in np.unique(city):
        aisle = np.arange(*market.aisle[place : place + 2])
        few = aisle[np.argsort(popularity[aisle], kind="stable")]
        few = few[: max(1, int(len(few) * CLUB_SHOP))]
        here = np.flatnonzero(city == place)
        shop[here] = rng.choice(few, len(here))
    return member, club, shop
