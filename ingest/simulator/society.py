"""What people do with each other: pay wages and rent, lend, share bills, pass money around.

These are the hard negatives. Most of them have the shape of a ring: families pass money in
circles, treasurers collect and pay on, employers fan out, sellers fan in. Every such group is
numbered, so that a test can count look-alikes and a report can say which kind fooled it.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from graph.transaction import DAY, HOUR, MINUTE, SECOND
from ingest.simulator.flows import DEPOSIT, PAYMENT, TRANSFER, WITHDRAWAL, Flows, flows
from ingest.simulator.habits import (
    banknotes,
    busy_users,
    purse,
    rounded,
    waking_times,
)
from ingest.simulator.market import ONLINE
from ingest.simulator.population import CONTACTS, World

Ints = npt.NDArray[np.int64]

LOOK_ALIKES: Final = (
    "reciprocal",
    "family_cycle",
    "collection",
    "allowance",
    "payroll",
    "rent",
    "marketplace",
)
RECIPROCAL, FAMILY_CYCLE, COLLECTION, ALLOWANCE, PAYROLL, RENT, MARKETPLACE = range(
    len(LOOK_ALIKES)
)
STRIDE: Final = 1 << 40
"""A group's number is its kind times this plus a running number within the kind."""

TRANSFERS_PER_DAY: Final = 0.50
CYCLES_PER_CIRCLE_DAY: Final = 0.030
COLLECTIONS_PER_CIRCLE_DAY: Final = 0.030
ALLOWANCES_PER_DAY: Final = 0.045
SALES_PER_SELLER_DAY: Final = 4.5
FARTHEST_PAYDAY: Final = 31


def dealings(rng: np.random.Generator, world: World) -> list[Flows]:
    """Everything between people and with their employers and landlords, in no order."""
    return [
        *_favours(rng, world),
        _family_cycles(rng, world),
        *_collections(rng, world),
        *_allowances(rng, world),
        *_payroll(rng, world),
        _rent(rng, world),
        *_marketplace(rng, world),
    ]


def _numbered(kind: int, numbers: Ints) -> Ints:
    return np.where(numbers >= 0, kind * STRIDE + numbers, -1)


def _later(rng: np.random.Generator, count: int, mean: float) -> Ints:
    return (rng.exponential(mean, count)).astype(np.int64) + MINUTE


def _favours(rng: np.random.Generator, world: World) -> list[Flows]:
    """Transfers to people one knows; a third is answered, often with the same amount."""
    user = busy_users(rng, world, TRANSFERS_PER_DAY)
    count = len(user)
    known = np.minimum((rng.pareto(1.0, count) * 1.5).astype(np.int64), CONTACTS - 1)
    friend = world.contacts[user, known]
    stranger = rng.integers(0, world.people, count)
    friend = np.where((rng.random(count) < 0.12) & (stranger != user), stranger, friend)
    time = waking_times(rng, world, user)
    amount = rounded(rng, purse(rng, world, user, 6_500.0) * np.exp(rng.normal(0, 0.85, count)))
    answered = np.flatnonzero(rng.random(count) < 0.3)
    group = np.full(count, -1, dtype=np.int64)
    group[answered] = np.arange(len(answered))
    same = rng.random(len(answered)) < 0.5
    half = rounded(rng, amount[answered] * rng.uniform(0.3, 1.0, len(answered)))
    # Some pay back within the hour, most within some days.
    wait = np.where(rng.random(len(answered)) < 0.35, 1.0, 30.0) * HOUR
    return [
        flows(
            time, TRANSFER, amount, user, counterparty=friend, group=_numbered(RECIPROCAL, group)
        ),
        flows(
            time[answered] + (rng.exponential(1.0, len(answered)) * wait).astype(np.int64) + MINUTE,
            TRANSFER,
            np.where(same, amount[answered], half),
            friend[answered],
            counterparty=user[answered],
            group=_numbered(RECIPROCAL, group[answered]),
        ),
    ]


def _circle_events(
    rng: np.random.Generator, world: World, per_day: float
) -> tuple[Ints, Ints, Ints]:
    """For each event the position of its circle's first member in `order`, its size, `order`."""
    order = np.argsort(world.circle, kind="stable")
    first = np.flatnonzero(np.diff(world.circle[order], prepend=-1))
    size = np.diff(np.append(first, world.people))
    able = size >= 3
    first, size = first[able], size[able]
    event = np.repeat(
        np.arange(len(first)), rng.poisson(per_day * world.config.calendar_days, len(first))
    )
    return first[event], size[event], order


def _family_cycles(rng: np.random.Generator, world: World) -> Flows:
    """A sends to B, B to C, C back to A: lending clubs, pocket money that comes home.

    Half pass on about the same sum, the others whatever they owe.
    """
    first, size, order = _circle_events(rng, world, CYCLES_PER_CIRCLE_DAY)
    events = len(first)
    length = np.minimum(3 + (rng.random(events) < 0.35) + (rng.random(events) < 0.15), size)
    event = np.repeat(np.arange(events), length)
    hop = np.arange(len(event)) - np.repeat(np.cumsum(length) - length, length)
    spin = rng.integers(0, 6, events)[event]
    giver = order[first[event] + (hop + spin) % length[event]]
    taker = order[first[event] + (hop + spin + 1) % length[event]]
    begins = waking_times(rng, world, giver)[np.cumsum(length) - length]
    gap = np.where(rng.random(events) < 0.5, 1.0, 9.0)[event] * HOUR
    step = (rng.exponential(1.0, len(event)) * gap).astype(np.int64) + MINUTE
    elapsed = np.cumsum(step)
    time = begins[event] + elapsed - elapsed[(np.cumsum(length) - length)[event]]
    pot = purse(rng, world, giver, 12_000.0)[(np.cumsum(length) - length)[event]]
    alike = (rng.random(events) < 0.5)[event]
    share = np.where(alike, rng.uniform(0.88, 1.0, len(event)), rng.uniform(0.25, 1.6, len(event)))
    # Clubs pass on exactly the same pot.
    exact = (rng.random(events) < 0.25)[event]
    amount = rounded(rng, pot * np.where(exact, 1.0, share))
    return flows(
        time, TRANSFER, amount, giver, counterparty=taker, group=_numbered(FAMILY_CYCLE, event)
    )


def _collections(rng: np.random.Generator, world: World) -> list[Flows]:
    """Friends pay a treasurer within hours, who buys the present, gets cash, or pays on."""
    first, size, order = _circle_events(rng, world, COLLECTIONS_PER_CIRCLE_DAY)
    events = len(first)
    event = np.repeat(np.arange(events), size - 1)
    start = np.cumsum(size - 1) - (size - 1)
    rank = np.arange(len(event)) - start[event]
    treasurer = order[first]
    giver = order[first[event] + 1 + rank]
    begins = waking_times(rng, world, treasurer)
    spread = np.where(rng.random(events) < 0.5, 0.4, 5.0) * HOUR
    time = begins[event] + (rng.exponential(1.0, len(event)) * spread[event]).astype(np.int64)
    part = rounded(rng, purse(rng, world, treasurer, 4_500.0))
    paid = flows(
        time,
        TRANSFER,
        part[event],
        giver,
        counterparty=treasurer[event],
        group=_numbered(COLLECTION, event),
    )
    last = np.maximum.reduceat(time, start) if events else begins
    total = part * size
    way = rng.random(events)
    shop, cash = way < 0.4, (way >= 0.4) & (way < 0.65)
    onward = way >= 0.65
    merchant = world.market.visited(rng, np.full(events, ONLINE))
    recipient = world.contacts[treasurer, CONTACTS - 1]
    amount = np.where(cash, banknotes(total), (total * rng.uniform(0.85, 1.0, events)).astype(int))
    return [
        paid,
        flows(
            last + _later(rng, events, 2 * HOUR),
            np.where(shop, PAYMENT, np.where(cash, WITHDRAWAL, TRANSFER)),
            amount,
            treasurer,
            merchant=np.where(shop, merchant, -1),
            counterparty=np.where(onward, recipient, -1),
            group=_numbered(COLLECTION, np.arange(events)),
        ),
    ]


def _allowances(rng: np.random.Generator, world: World) -> list[Flows]:
    """Money for a child or a parent, who gets most of it in cash or hands it on soon after."""
    giver = busy_users(rng, world, ALLOWANCES_PER_DAY)
    giver = giver[giver < world.people]
    count = len(giver)
    taker = world.contacts[giver, 0]
    amount = rounded(rng, purse(rng, world, giver, 9_000.0))
    time = waking_times(rng, world, giver)
    group = _numbered(ALLOWANCE, np.arange(count))
    spent = banknotes((amount * rng.uniform(0.7, 1.0, count)).astype(np.int64))
    cash = (rng.random(count) < 0.6) & (spent <= amount)
    onward = ~cash & (rng.random(count) < 0.5)
    then = np.flatnonzero(cash | onward)
    recipient = world.contacts[np.minimum(taker, world.people - 1), 1]
    sent = np.maximum((amount * rng.uniform(0.6, 0.98, count)).astype(np.int64), 100)
    return [
        flows(time, TRANSFER, amount, giver, counterparty=taker, group=group),
        flows(
            time[then] + _later(rng, len(then), 3 * HOUR),
            np.where(cash, WITHDRAWAL, TRANSFER)[then],
            np.where(cash, spent, sent)[then],
            taker[then],
            counterparty=np.where(cash, -1, recipient)[then],
            group=group[then],
        ),
    ]


def _payroll(rng: np.random.Generator, world: World) -> list[Flows]:
    """Employers pay weekly, every other week or monthly, everybody within minutes.

    The money arrives from outside the day before, so that the account's balance is real.
    """
    config = world.config
    days = config.midnight // DAY + np.arange(config.calendar_days)
    date = days.astype("datetime64[D]")
    day_of_month = (date - date.astype("datetime64[M]")).astype(np.int64) + 1
    weekday, week = (days + 3) % 7, (days + 3) // 7  # 1 January 1970 was a Thursday
    rhythm = rng.choice(3, size=world.businesses, p=(0.3, 0.3, 0.4))
    phase = rng.integers(0, 2, world.businesses)
    payweekday = rng.choice(7, size=world.businesses, p=(0.1, 0.1, 0.1, 0.25, 0.4, 0.03, 0.02))
    payday = rng.choice([1, 5, 10, 15, 20, 25, 27, 28], size=world.businesses)
    right_weekday = weekday[:, None] == payweekday
    pays = np.where(
        rhythm == 0,
        right_weekday,
        np.where(
            rhythm == 1,
            right_weekday & ((week[:, None] + phase) % 2 == 0),
            day_of_month[:, None] == payday,
        ),
    )
    day, business = np.nonzero(pays)
    staff = np.argsort(world.employer, kind="stable")
    bounds = np.searchsorted(
        world.employer[staff], world.users - world.businesses + np.arange(world.businesses + 1)
    )
    size = bounds[business + 1] - bounds[business]
    run = np.repeat(np.arange(len(day)), size)
    rank = np.arange(len(run)) - np.repeat(np.cumsum(size) - size, size)
    employee = staff[bounds[business[run]] + rank]
    begins = config.midnight + day * DAY + rng.integers(5 * HOUR, 15 * HOUR, len(day))
    pace = rng.integers(200, 4 * SECOND, len(day))
    part = np.array([0.25, 0.5, 1.0])[rhythm[business[run]]]
    # A salary is the same every time, up to overtime.
    usual = 210_000 * world.affluence[employee]
    overtime = np.where(rng.random(len(run)) < 0.7, 1.0, rng.uniform(0.9, 1.15, len(run)))
    amount = np.maximum((usual * part * overtime).astype(np.int64), 1_000)
    account = world.users - world.businesses + business
    total = np.bincount(run, weights=amount, minlength=len(day)).astype(np.int64)
    paid = total > 0
    group = _numbered(PAYROLL, np.arange(len(day)))
    wages = flows(
        begins[run] + rank * pace[run],
        TRANSFER,
        amount,
        account[run],
        counterparty=employee,
        group=group[run],
    )
    funded = begins - rng.integers(2 * HOUR, 20 * HOUR, len(day))
    funding = flows(
        funded[paid],
        DEPOSIT,
        (total * 1.02).astype(np.int64)[paid],
        account[paid],
        group=group[paid],
    )
    return [wages, funding]


def _rent(rng: np.random.Generator, world: World) -> Flows:
    """Rent on the household's day of the month, mostly the first ones; the same every month."""
    config = world.config
    tenant = np.flatnonzero((world.landlord >= 0) & (world.landlord != np.arange(world.people)))
    due = 1 + np.minimum(rng.exponential(4.0, len(tenant)).astype(np.int64), FARTHEST_PAYDAY - 4)
    months = int(config.days // 28) + 2
    month = np.datetime64(config.start, "ms").astype("datetime64[M]") + np.arange(months)
    opens = month.astype("datetime64[ms]").astype(np.int64)
    standing = rng.integers(4 * HOUR, 20 * HOUR, len(tenant))
    time = (opens[:, None] + (due - 1) * DAY + standing).ravel()
    price = np.round(62_000 * world.affluence[tenant] * rng.uniform(0.6, 1.5, len(tenant)), -2)
    who = np.tile(tenant, months)
    landlord = world.landlord[who]
    return flows(
        time,
        TRANSFER,
        np.tile(price, months).astype(np.int64),
        who,
        counterparty=landlord,
        group=_numbered(RENT, np.repeat(np.arange(months), len(tenant)) * world.users + landlord),
    )


def _marketplace(rng: np.random.Generator, world: World) -> list[Flows]:
    """Buyers from everywhere pay a seller, who passes the takings on every few days."""
    config = world.config
    sellers = world.sellers
    if not len(sellers):
        return []
    success = rng.gamma(1.2, 1 / 1.2, len(sellers))
    sales = rng.poisson(SALES_PER_SELLER_DAY * config.calendar_days * success)
    sale = np.repeat(np.arange(len(sellers)), sales)
    seller = sellers[sale]
    buyer = rng.integers(0, world.people, len(sale))
    buyer = np.where(buyer == seller, (buyer + 1) % world.people, buyer)
    time = waking_times(rng, world, buyer)
    usual = np.exp(rng.normal(np.log(3_500), 0.6, len(sellers)))
    amount = rounded(rng, usual[sale] * np.exp(rng.normal(0, 0.5, len(sale))))
    # Takings leave in periods of the seller's own: daily, every third day, weekly.
    period = rng.choice([1, 3, 7], size=len(sellers))
    slot = (time - config.midnight) // (period[sale] * DAY)
    takings, index = np.unique(sale * 4_096 + slot, return_inverse=True)
    total = np.bincount(index, weights=amount).astype(np.int64)
    closing = np.zeros(len(takings), dtype=np.int64)
    np.maximum.at(closing, index, time)
    owner = takings // 4_096
    cash = rng.random(len(takings)) < 0.4
    supplier = world.contacts[sellers[owner], 3]
    out = np.maximum((total * rng.uniform(0.6, 0.97, len(takings))).astype(np.int64), 100)
    return [
        flows(
            time, TRANSFER, amount, buyer, counterparty=seller, group=_numbered(MARKETPLACE, index)
        ),
        flows(
            closing + _later(rng, len(takings), 4 * HOUR),
            np.where(cash, WITHDRAWAL, TRANSFER),
            np.where(cash, banknotes(out), out),
            sellers[owner],
            counterparty=np.where(cash, -1, supplier),
            group=_numbered(MARKETPLACE, np.arange(len(takings))),
        ),
    ]
