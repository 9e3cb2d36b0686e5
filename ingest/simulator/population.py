"""The world: people, households, businesses, merchants, and what they hold in their hands.

Every array is indexed by a dense number; names are given only when the frame is built. Users are
numbered people first, then the identities invented for rings, then businesses.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from graph.transaction import DAY, HOUR
from ingest.simulator.belongings import KIOSKS, hand_out_cards, hand_out_devices
from ingest.simulator.config import SimulationConfig
from ingest.simulator.crews import Crews, invent_crews
from ingest.simulator.market import ONLINE, Market, build_market
from ingest.simulator.places import (
    CITIES,
    CITY_COUNTRY,
    CITY_CURRENCY,
    CITY_WEIGHT,
    COUNTRIES,
)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

HABITS: Final = 12
"""Merchants a person returns to."""
CONTACTS: Final = 6
"""People a person sends money to out of habit."""
TRIP_PERIOD: Final = 60
"""Days in which a person makes at most one trip."""
CARRIERS: Final = 3
"""Mobile carriers of a country, each with a few public addresses for all its customers."""
CARRIER_POOL: Final = 6
HOTSPOTS: Final = 5
"""Public addresses of the cafes, hotels and stations of one city."""
VPN_POOL: Final = 12
MACHINES: Final = 3
"""Of a campus library."""
SLEEPERS: Final = 0.02
"""Share of people who come back during the time to an account that they did not use for long."""
LEASE_DAYS: Final = 30
"""Days after which a household's provider gives it another address."""
FOREVER: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class World:
    """Who exists. Arrays of a user (U), a person (P), a merchant (M), a city (C) by name.

    Attributes:
        config: What it was made from.
        people: P, real people: users `0..P-1`.
        synthetic: S, invented identities: users `P..P+S-1`.
        city: int64[U], home.
        household: int64[U]; invented identities share one where their ring does so.
        circle: int64[P], group of friends, 3 to 6 of one city.
        crew: int64[S], which ring's the identity is, numbered over the rings that invent some.
        wakes_at: int64[U], when somebody comes back to an account not used for long; -1 for most.
        asleep_until: int64[U], before which the account does nothing, epoch milliseconds.
        student: bool[P]. library: int64[C], first of the `MACHINES` of each city's campus.
        created_at: int64[U], when the account was opened, epoch milliseconds.
        affluence: float64[U], multiplies what is spent and earned.
        activity: float64[U], multiplies how often.
        peak: float64[U, 2], the two hours of local time around which a user is busy.
        employer: int64[P], business that pays the salary, -1 none.
        office_ip: int64[U], address at work or on campus, -1 none.
        home_ip: int64[U], first of the addresses leased to the household.
        device: int64[U]; new_device: int64[U] from replaced_at: int64[U] on.
        second_device: int64[U], own laptop, the household's tablet or a kiosk.
        card: int64[U]; second_card: int64[U], own or the household's.
        carrier: int64[U].
        trips: (from, until, city), each int64[periods, U].
        contacts: int64[P+S, CONTACTS].
        habits: int64[P+S, HABITS], merchants.
        businesses: Number of businesses; they are the last users.
        landlord: int64[P], user the household pays rent to, -1 owner.
        sellers: int64[L], people who sell on a marketplace.
        market: M merchants.
        devices, ips, cards: how many there are. nat_ips: first address that is not a household's.
        kiosks: First public machine, `KIOSKS` a city.
    """

    config: SimulationConfig
    people: int
    synthetic: int
    businesses: int
    city: Ints
    household: Ints
    circle: Ints
    crew: Ints
    wakes_at: Ints
    asleep_until: Ints
    student: Flags
    library: Ints
    created_at: Ints
    affluence: Floats
    activity: Floats
    peak: Floats
    employer: Ints
    office_ip: Ints
    home_ip: Ints
    device: Ints
    new_device: Ints
    replaced_at: Ints
    second_device: Ints
    card: Ints
    second_card: Ints
    carrier: Ints
    trips: tuple[Ints, Ints, Ints]
    contacts: Ints
    habits: Ints
    landlord: Ints
    sellers: Ints
    market: Market
    devices: int
    ips: int
    cards: int
    nat_ips: int
    kiosks: int

    @property
    def users(self) -> int:
        """People, synthetic identities and businesses."""
        return len(self.city)

    def whereabouts(self, user: Ints, time: Ints) -> tuple[Ints, Flags]:
        """The city in which each user is at that time, and whether they are travelling."""
        starts, ends, cities = self.trips
        period = (time - self.config.start) // (TRIP_PERIOD * DAY)
        period = np.clip(period, 0, len(starts) - 1)
        away = (time >= starts[period, user]) & (time < ends[period, user])
        return np.where(away, cities[period, user], self.city[user]), away


def build_world(rng: np.random.Generator, config: SimulationConfig) -> World:
    """Settle everybody: O(users) time and memory."""
    people = config.users
    crews = invent_crews(rng, config)
    crew, synthetic = crews.crew, len(crews.crew)
    businesses = max(6, people // 30)
    individuals, users = people + synthetic, people + synthetic + businesses
    homes = rng.choice(5, size=people, p=(0.38, 0.30, 0.14, 0.13, 0.05)) + 1
    dwelling = np.repeat(np.arange(people), homes)[:people]
    households = int(dwelling[-1]) + 1
    household_city = rng.choice(len(CITIES), size=households, p=CITY_WEIGHT)
    crew_city = rng.choice(len(CITIES), size=synthetic + 1, p=CITY_WEIGHT)
    business_city = rng.choice(len(CITIES), size=businesses, p=CITY_WEIGHT)
    # A business of every city, as far as there are enough: everybody can then work near home.
    business_city[: len(CITIES)] = np.arange(len(CITIES))[:businesses]
    city = np.concatenate([household_city[dwelling], crew_city[crew], business_city])
    # Identities that live together are at the address of the first of them.
    together = crews.of(lambda kind: kind.together) > 0
    address = np.where(together, np.searchsorted(crew, crew), np.arange(synthetic))
    household = np.concatenate(
        [dwelling, households + address, households + synthetic + np.arange(businesses)]
    )
    first_business = individuals
    employer = _workplace(rng, city[:people], business_city, first_business)
    at_home = households + synthetic + businesses
    leases = int(config.days // LEASE_DAYS) + 1
    nat_ips = at_home * leases
    office_ip = np.full(users, -1, dtype=np.int64)
    hotspots = nat_ips + len(COUNTRIES) * CARRIERS * CARRIER_POOL
    offices = hotspots + len(CITIES) * HOTSPOTS + VPN_POOL
    office_ip[:people] = np.where(employer >= 0, offices + employer - first_business, -1)
    # Students: a seventh of those without an employer share the address of their city's campus.
    student = (employer < 0) & (rng.random(people) < 0.3)
    campus = offices + businesses + city[:people]
    office_ip[:people] = np.where(student, campus, office_ip[:people])
    office_ip[first_business:] = offices + np.arange(businesses)
    second_device, device, kiosks = hand_out_devices(rng, people, crews, household, city)
    library = kiosks + KIOSKS * len(CITIES)
    devices = library + MACHINES * len(CITIES)
    card, second_card, cards = hand_out_cards(rng, people, crews, household)
    replaced = rng.random(users) < 1 - np.exp(-config.days / 700)
    replaced_at = np.where(replaced, config.start + rng.integers(0, config.span, users), FOREVER)
    market = build_market(rng, people)
    circle = _circles(rng, city[:people])
    activity = rng.gamma(2.5, 1 / 2.5, users)
    activity[people:individuals] *= crews.of(lambda kind: kind.liveliness)
    created_at = _opened(rng, config, people, crews, businesses)
    wakes_at = np.full(users, -1, dtype=np.int64)
    sleeper = (rng.random(people) < SLEEPERS) & (created_at[:people] < config.start - 120 * DAY)
    morning = rng.integers(0, config.calendar_days, people) * DAY
    morning += rng.integers(7 * HOUR, 15 * HOUR, people)
    wakes_at[:people] = np.where(sleeper, config.midnight + morning, -1)
    return World(
        config=config,
        people=people,
        synthetic=synthetic,
        businesses=businesses,
        city=city,
        household=household,
        circle=circle,
        crew=crew,
        wakes_at=wakes_at,
        asleep_until=np.maximum(wakes_at, 0),
        student=student,
        library=library + MACHINES * np.arange(len(CITIES)),
        created_at=created_at,
        affluence=np.exp(rng.normal(0.0, 0.35, users)),
        activity=activity,
        peak=np.stack([rng.normal(10.5, 2.2, users), rng.normal(18.0, 2.4, users)], axis=1),
        employer=employer,
        office_ip=office_ip,
        home_ip=household * leases,
        device=device,
        new_device=np.where(replaced, devices + np.arange(users), device),
        replaced_at=replaced_at,
        second_device=second_device,
        card=card,
        second_card=second_card,
        carrier=rng.integers(0, CARRIERS, users),
        trips=_trips(rng, config, city),
        contacts=_contacts(rng, people, crew, household, circle),
        habits=_habits(rng, market, city[:individuals]),
        landlord=_landlords(rng, dwelling, people, first_business, businesses),
        sellers=np.flatnonzero(rng.random(people) < 0.02),
        market=market,
        devices=devices + users,
        ips=offices + businesses + len(CITIES),
        cards=cards,
        nat_ips=nat_ips,
        kiosks=kiosks,
    )


def _habits(rng: np.random.Generator, market: Market, city: Ints) -> Ints:
    # Two thirds of the habits are around the corner, the rest online.
    near = rng.random((len(city), HABITS)) < 0.66
    aisle = np.where(near, city[:, None], ONLINE)
    return market.visited(rng, aisle.ravel()).reshape(aisle.shape)


def _opened(
    rng: np.random.Generator, config: SimulationConfig, people: int, crews: Crews, businesses: int
) -> Ints:
    age = rng.exponential(550 * DAY, people)
    # Every crew opens its accounts over some weeks, a while before it uses them.
    least, most = crews.of(lambda kind: kind.age_days[0]), crews.of(lambda kind: kind.age_days[1])
    begun = rng.random(len(crews.crew) + 1)[crews.crew]
    invented = (least + begun * (most - least) - rng.exponential(12, len(crews.crew))) * DAY
    invented = np.maximum(invented, np.minimum(3, least) * DAY)
    opened = config.start - np.concatenate(
        [age, invented, rng.uniform(300 * DAY, 4_000 * DAY, businesses)]
    ).astype(np.int64)
    # Newcomers: as many open an account during the simulated time as in the time before it.
    newcomers = int(people * min(0.15, config.days / 700))
    some = rng.choice(people, newcomers, replace=False)
    opened[some] = config.start + rng.integers(0, config.span, newcomers)
    return opened


def _workplace(
    rng: np.random.Generator, city: Ints, business_city: Ints, first_business: int
) -> Ints:
    # Sizes of employers are heavy-tailed; most people work in their own city.
    size = rng.pareto(1.1, len(business_city)) + 0.3
    order = np.argsort(business_city, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(size[order])])
    bounds = np.searchsorted(business_city[order], np.arange(len(CITIES) + 1))
    low, high = total[bounds[city]], total[bounds[city + 1]]
    anywhere = (rng.random(len(city)) < 0.1) | (high <= low)
    low, high = np.where(anywhere, 0.0, low), np.where(anywhere, total[-1], high)
    found = np.searchsorted(total, low + rng.random(len(city)) * (high - low), "right") - 1
    chosen = first_business + order[np.clip(found, 0, len(order) - 1)]
    return np.where(rng.random(len(city)) < 0.6, chosen, -1)


def _circles(rng: np.random.Generator, city: Ints) -> Ints:
    order = np.lexsort((rng.random(len(city)), city))
    sizes = rng.integers(3, 7, len(city))
    circle = np.empty(len(city), dtype=np.int64)
    circle[order] = np.repeat(np.arange(len(city)), sizes)[: len(city)]
    return circle


def _contacts(
    rng: np.random.Generator, people: int, crew: Ints, household: Ints, circle: Ints
) -> Ints:
    """Two of the household, three of the circle, one from anywhere; of a crew: its own."""
    individuals = people + len(crew)
    contacts = rng.integers(0, people, (individuals, CONTACTS))
    who = np.arange(people)
    contacts[:people, 0] = _neighbour(household[:people], who, 1)
    contacts[:people, 1] = _neighbour(household[:people], who, 2)
    order = np.argsort(circle, kind="stable")
    for column, step in ((2, 1), (3, 2), (4, 1)):
        contacts[order, column] = order[_neighbour(circle[order], who, step)]
    if len(crew):
        ranks = np.arange(len(crew))
        for column in range(3):
            contacts[people:, column] = people + _neighbour(crew, ranks, column + 1)
    own = contacts == np.arange(individuals)[:, None]
    return np.where(own, rng.integers(0, people, contacts.shape), contacts)


def _neighbour(group: Ints, rank: Ints, step: int) -> Ints:
    """The member `step` places on in one's own group; groups are contiguous and sorted."""
    first = np.searchsorted(group, group, "left")
    size = np.searchsorted(group, group, "right") - first
    return first + (rank - first + step) % size


def _landlords(
    rng: np.random.Generator, dwelling: Ints, people: int, first_business: int, businesses: int
) -> Ints:
    households = int(dwelling[-1]) + 1
    private = rng.integers(0, people, max(1, households // 25))
    company = first_business + rng.integers(0, businesses, max(1, businesses // 8))
    owners = np.concatenate([private, np.repeat(company, 3)])
    lets = rng.choice(owners, households)
    lets[rng.random(households) < 0.45] = -1
    payer = np.ones(people, dtype=bool)
    payer[1:] = dwelling[1:] != dwelling[:-1]
    return np.where(payer, lets[dwelling], -1)


def _trips(
    rng: np.random.Generator, config: SimulationConfig, city: Ints
) -> tuple[Ints, Ints, Ints]:
    periods = int(np.ceil(config.days / TRIP_PERIOD))
    shape = (periods, len(city))
    base = config.start + np.arange(periods)[:, None] * TRIP_PERIOD * DAY
    # A trip may have begun before the simulated time, so that its first days know travellers.
    begins = base + ((rng.random(shape) * 1.15 - 0.15) * TRIP_PERIOD * DAY).astype(np.int64)
    length = (2 * DAY + rng.exponential(4 * DAY, shape)).astype(np.int64)
    begins = np.where(rng.random(shape) < 0.55, begins, FOREVER - 400 * DAY)
    ends = np.minimum(begins + np.minimum(length, 20 * DAY), FOREVER)
    return begins - begins % HOUR, ends, rng.choice(len(CITIES), size=shape, p=CITY_WEIGHT)


def currency_of(world: World, user: Ints) -> Ints:
    """The currency of a user's account, by home."""
    return CITY_CURRENCY[world.city[user]].astype(np.int64)


def carrier_ip(world: World, country_of: Ints, carrier: Ints, slot: Ints) -> Ints:
    """A public address of a mobile carrier in the country of a city."""
    country = CITY_COUNTRY[country_of].astype(np.int64)
    return world.nat_ips + (country * CARRIERS + carrier) * CARRIER_POOL + slot


def hotspot_ip(world: World, city: Ints, slot: Ints) -> Ints:
    """A public address of a city's cafes and hotels."""
    return world.nat_ips + len(COUNTRIES) * CARRIERS * CARRIER_POOL + city * HOTSPOTS + slot


def vpn_ip(world: World, slot: Ints) -> Ints:
    """An address of a VPN provider that honest people use too."""
    return hotspot_ip(world, np.full_like(slot, len(CITIES)), slot)
