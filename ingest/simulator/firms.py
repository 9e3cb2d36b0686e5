"""What firms do with people and with each other: wages, rent, sales, sweeps, supplies, agency.

Hard negatives again: employers fan out, sellers and landlords fan in, processors and agents do
both within the hour, the accounts of one firm pass money around, supply chains pay forward. Money
that leaves a firm's account arrived there before.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from graph.transaction import DAY, HOUR, MINUTE, SECOND
from ingest.simulator.customs import Customs
from ingest.simulator.flows import DEPOSIT, TRANSFER, WITHDRAWAL, Flows, flows
from ingest.simulator.friends import later
from ingest.simulator.habits import banknotes, purse, rounded, waking_hours, waking_times
from ingest.simulator.look_alikes import (
    AGENT,
    EXPENSES,
    MARKETPLACE,
    PAYROLL,
    RENT,
    SALARY_PROCESSOR,
    SUPPLY_CHAIN,
    TREASURY_SWEEP,
    numbered,
)
from ingest.simulator.periods import Period, weekday
from ingest.simulator.population import World

Ints = npt.NDArray[np.int64]

SALES_PER_SELLER_DAY: Final = 4.5
ORDERS_PER_BUSINESS_DAY: Final = 0.10
EXPENSES_PER_BUSINESS_DAY: Final = 0.02
CLIENTS_PER_AGENT_DAY: Final = 14
LONGEST_CHAIN: Final = 6


def of_firms(
    rng: np.random.Generator, world: World, customs: Customs, period: Period
) -> list[Flows]:
    """Everything in which a firm, a landlord or a seller takes part, in no order."""
    return [
        *_payroll(rng, world, customs, period),
        _rent(world, customs, period),
        *_marketplace(rng, world, customs, period),
        *_sweeps(rng, customs, period),
        *_supplies(rng, world, period),
        *_expenses(rng, world, period),
        *_agency(rng, world, customs, period),
    ]


def _pays_on(customs: Customs, days: Ints) -> npt.NDArray[np.bool_]:
    """Whether each business pays on each day, bool[days, B]."""
    date = days.astype("datetime64[D]")
    day_of_month = (date - date.astype("datetime64[M]")).astype(np.int64) + 1
    right_weekday = weekday(days)[:, None] == customs.pay_weekday
    right_week = ((days + 3) // 7)[:, None] % 2 == customs.fortnight
    monthly = day_of_month[:, None] == customs.pay_day
    fortnightly = right_weekday & right_week
    weekly, every_other = customs.rhythm == 0, customs.rhythm == 1
    return np.asarray(
        np.where(weekly, right_weekday, np.where(every_other, fortnightly, monthly)), dtype=np.bool_
    )


def _payroll(
    rng: np.random.Generator, world: World, customs: Customs, period: Period
) -> list[Flows]:
    """Employers pay weekly, every other week or monthly, everybody within minutes.

    The money arrives from outside the day before, so that the account's balance is real; a third
    of them send it to a processor first, who pays for several.
    """
    days = period.announced
    day, business = np.nonzero(_pays_on(customs, days))
    first = world.users - world.businesses
    staff = np.argsort(world.employer, kind="stable")
    bounds = np.searchsorted(world.employer[staff], first + np.arange(world.businesses + 1))
    size = bounds[business + 1] - bounds[business]
    run = np.repeat(np.arange(len(day)), size)
    rank = np.arange(len(run)) - np.repeat(np.cumsum(size) - size, size)
    employee = staff[bounds[business[run]] + rank]
    begins = days[day] * DAY + rng.integers(5 * HOUR, 15 * HOUR, len(day))
    pace = rng.integers(200, 4 * SECOND, len(day))
    part = np.array([0.25, 0.5, 1.0])[customs.rhythm[business[run]]]
    # A salary is the same every time, up to overtime.
    usual = 210_000 * world.affluence[employee]
    overtime = np.where(rng.random(len(run)) < 0.7, 1.0, rng.uniform(0.9, 1.15, len(run)))
    amount = np.maximum((usual * part * overtime).astype(np.int64), 1_000)
    account = first + business
    total = np.bincount(run, weights=amount, minlength=len(day)).astype(np.int64)
    processor = customs.processor[business]
    handed = processor >= 0
    payer = np.where(handed, processor, account)
    # A processor's employers of one day are one group.
    shared = np.unique(processor * len(days) + day, return_inverse=True)[1]
    group = np.where(
        handed,
        numbered(SALARY_PROCESSOR, period, shared),
        numbered(PAYROLL, period, np.arange(len(day))),
    )
    wages = flows(
        begins[run] + rank * pace[run],
        TRANSFER,
        amount,
        payer[run],
        counterparty=employee,
        group=group[run],
    )
    paid, funded = total > 0, begins - rng.integers(2 * HOUR, 20 * HOUR, len(day))
    funding = flows(funded, DEPOSIT, (total * 1.02).astype(np.int64), account, group=group)
    sent = funded + ((begins - funded) * rng.uniform(0.3, 0.95, len(day))).astype(np.int64)
    fee = (total * 1.01).astype(np.int64)
    handing = flows(sent, TRANSFER, fee, account, counterparty=processor, group=group)
    return [wages, funding.take(paid), handing.take(paid & handed)]


def _rent(world: World, customs: Customs, period: Period) -> Flows:
    """Rent on the household's day of the month, mostly the first ones; the same every month."""
    tenant = customs.tenant
    last = (np.datetime64(period.first + period.length - 1, "D")).astype("datetime64[M]")
    # Months that open in this period; the first period also has the month it begins in.
    month = np.datetime64(period.first, "D").astype("datetime64[M]")
    months = np.arange(month, last + 1)
    opens = months.astype("datetime64[D]").astype(np.int64)
    if period.number > 0:
        opens = opens[opens >= period.first]
    time = ((opens[:, None] + customs.due - 1) * DAY + customs.standing).ravel()
    who = np.tile(tenant, len(opens))
    landlord = world.landlord[who]
    which = np.repeat(np.arange(len(opens)), len(tenant)) * world.users + landlord
    return flows(
        time,
        TRANSFER,
        np.tile(customs.rent, len(opens)),
        who,
        counterparty=landlord,
        group=numbered(RENT, period, np.unique(which, return_inverse=True)[1]),
    )


def _marketplace(
    rng: np.random.Generator, world: World, customs: Customs, period: Period
) -> list[Flows]:
    """Buyers from everywhere pay a seller, who passes the takings on every few days."""
    since = period.days - world.config.midnight // DAY
    opens, which = np.nonzero(since[:, None] % customs.closes == 0)
    lasts = customs.closes[which]
    sales = rng.poisson(SALES_PER_SELLER_DAY * lasts * customs.success[which])
    opens, which, lasts, sales = (each[sales > 0] for each in (opens, which, lasts, sales))
    taking = np.repeat(np.arange(len(which)), sales)
    seller = world.sellers[which[taking]]
    buyer = rng.integers(0, world.people, len(taking))
    buyer = np.where(buyer == seller, (buyer + 1) % world.people, buyer)
    day = period.first + opens[taking] + (rng.random(len(taking)) * lasts[taking]).astype(np.int64)
    time = day * DAY + waking_hours(rng, world, buyer)
    usual = customs.price[which[taking]]
    amount = rounded(rng, usual * np.exp(rng.normal(0, 0.5, len(taking))))
    total = np.bincount(taking, weights=amount).astype(np.int64)
    closing = np.zeros(len(which), dtype=np.int64)
    np.maximum.at(closing, taking, time)
    cash = rng.random(len(which)) < 0.4
    supplier = world.contacts[world.sellers[which], 3]
    out = np.maximum((total * rng.uniform(0.6, 0.97, len(which))).astype(np.int64), 100)
    group = numbered(MARKETPLACE, period, np.arange(len(which)))
    return [
        flows(time, TRANSFER, amount, buyer, counterparty=seller, group=group[taking]),
        flows(
            closing + later(rng, len(which), 4 * HOUR),
            np.where(cash, WITHDRAWAL, TRANSFER),
            np.where(cash, banknotes(out), out),
            world.sellers[which],
            counterparty=np.where(cash, -1, supplier),
            group=group,
        ),
    ]


def _sweeps(rng: np.random.Generator, customs: Customs, period: Period) -> list[Flows]:
    """A firm's accounts send their day's takings to the main one at night, which funds them again.

    Cash pooling: what went up in the evening comes down the next morning, less what is kept.
    """
    day, which = np.nonzero(
        (weekday(period.days) < 5)[:, None] & (period.days[:, None] % customs.swept == 0)
    )
    main, account = customs.main[which], customs.account[which]
    firm, sweep = np.unique(main * period.length + day, return_inverse=True)
    takings = np.maximum(np.exp(rng.normal(np.log(260_000), 0.9, len(which))), 1_000)
    taken, night = takings.astype(np.int64), rng.integers(17 * HOUR, 21 * HOUR, len(firm))
    midnight = (period.first + day) * DAY
    up = midnight + night[sweep] + rng.integers(0, 9 * MINUTE, len(which))
    down = midnight + DAY + rng.integers(5 * HOUR, 8 * HOUR, len(firm))[sweep]
    comes_back = rng.random(len(firm))[sweep] < 0.6
    group = numbered(TREASURY_SWEEP, period, sweep)
    back = np.maximum((taken * rng.uniform(0.3, 0.98, len(which))).astype(np.int64), 1)
    return [
        flows(midnight + rng.integers(8 * HOUR, 17 * HOUR, len(which)), DEPOSIT, taken, account),
        flows(up, TRANSFER, taken, account, counterparty=main, group=group),
        flows(down, TRANSFER, back, main, counterparty=account, group=group).take(comes_back),
    ]


def _supplies(rng: np.random.Generator, world: World, period: Period) -> list[Flows]:
    """A firm is paid from outside and pays its supplier, who pays the next one: three to six."""
    orders = int(rng.poisson(ORDERS_PER_BUSINESS_DAY * world.businesses * period.weight.sum()))
    length = np.minimum(3 + rng.geometric(0.5, orders) - 1, min(LONGEST_CHAIN, world.businesses))
    order = np.repeat(np.arange(orders), length)
    first = np.cumsum(length) - length
    hop = np.arange(len(order)) - first[order]
    # Suppliers of suppliers: steps of one size through the firms meet nobody twice.
    head = rng.integers(0, world.businesses, orders)
    account = world.users - world.businesses + (head[order] + hop * 5) % world.businesses
    next_ = world.users - world.businesses + (head[order] + (hop + 1) * 5) % world.businesses
    begins = waking_times(rng, world, period, account[first])
    pace = np.where(rng.random(orders) < 0.4, 1.5, 14.0)[order] * HOUR
    step = (rng.exponential(1.0, len(order)) * pace).astype(np.int64) + MINUTE
    elapsed = np.cumsum(step)
    bill = np.exp(rng.normal(np.log(300_000), 1.0, orders))
    share = np.exp(np.where(hop > 0, np.log(rng.uniform(0.7, 0.98, len(order))), 0.0))
    passed = np.cumsum(np.log(share))
    amount = bill[order] * np.exp(passed - passed[first[order]])
    group = numbered(SUPPLY_CHAIN, period, order)
    return [
        flows(
            np.maximum(begins - later(rng, orders, 2 * HOUR), period.first * DAY),
            DEPOSIT,
            bill.astype(np.int64) + 100,
            account[first],
        ),
        flows(
            begins[order] + elapsed - elapsed[first[order]],
            TRANSFER,
            np.maximum(amount.astype(np.int64), 100),
            account,
            counterparty=next_,
            group=group,
        ),
    ]


def _expenses(rng: np.random.Generator, world: World, period: Period) -> list[Flows]:
    """A firm advances a journey to some of its staff, who all pay the same organiser."""
    staff = np.flatnonzero(world.employer >= 0)
    staff = staff[np.argsort(world.employer[staff], kind="stable")]
    firm, head, size = np.unique(world.employer[staff], return_index=True, return_counts=True)
    able = np.flatnonzero(size >= 3)
    trips = rng.poisson(EXPENSES_PER_BUSINESS_DAY * period.length, len(able))
    which = np.repeat(able, trips)
    going = np.minimum(rng.integers(3, 9, len(which)), size[which])
    trip = np.repeat(np.arange(len(which)), going)
    rank = np.arange(len(trip)) - np.repeat(np.cumsum(going) - going, going)
    offset = (rng.random(len(which)) * (size[which] - going + 1)).astype(np.int64)
    traveller = staff[head[which[trip]] + offset[trip] + rank]
    payer, first = firm[which], world.users - world.businesses
    step = rng.integers(1, world.businesses, len(which))
    organiser = first + (payer - first + step) % world.businesses
    begins = waking_times(rng, world, period, payer)
    advance = rounded(rng, np.exp(rng.normal(np.log(24_000), 0.5, len(which))))
    given = begins[trip] + rng.integers(0, 5 * MINUTE, len(trip))
    group = numbered(EXPENSES, period, trip)
    spent = np.maximum((advance[trip] * rng.uniform(0.8, 1.0, len(trip))).astype(np.int64), 100)
    return [
        flows(given, TRANSFER, advance[trip], payer[trip], counterparty=traveller, group=group),
        flows(
            given + later(rng, len(trip), 5 * HOUR),
            TRANSFER,
            spent,
            traveller,
            counterparty=organiser[trip],
            group=group,
        ),
    ]


def _agency(
    rng: np.random.Generator, world: World, customs: Customs, period: Period
) -> list[Flows]:
    """People pay an exchange or remittance agent, who pays it out elsewhere within the hour."""
    clients = rng.poisson(CLIENTS_PER_AGENT_DAY, (period.length, len(customs.agents)))
    session = np.repeat(np.arange(clients.size), clients.ravel())
    day, which = np.divmod(session, len(customs.agents))
    agent = customs.agents[which]
    client = rng.integers(0, world.people, len(session))
    taker = (client + 1 + rng.integers(0, world.people - 1, len(session))) % world.people
    time = (period.first + day) * DAY + waking_hours(rng, world, agent)
    amount = rounded(rng, purse(rng, world, client, 14_000.0))
    fee = np.array([0.985, 0.97, 0.95])[customs.agents % 3][which]
    group = numbered(AGENT, period, session)
    return [
        flows(time, TRANSFER, amount, client, counterparty=agent, group=group),
        flows(
            time + later(rng, len(session), 25 * MINUTE),
            TRANSFER,
            np.maximum((amount * fee).astype(np.int64), 1),
            agent,
            counterparty=taker,
            group=group,
        ),
    ]
