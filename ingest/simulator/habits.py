"""What people do on their own: shop, withdraw, deposit, send back what they bought."""

from typing import Final

import numpy as np
import numpy.typing as npt

from graph.transaction import DAY, HOUR
from ingest.simulator.flows import DEPOSIT, PAYMENT, REFUND, WITHDRAWAL, Flows, flows
from ingest.simulator.look_alikes import REFUNDED, numbered
from ingest.simulator.market import ONLINE
from ingest.simulator.periods import Period
from ingest.simulator.places import CATEGORY_MEDIAN, CITY_HOURS_AHEAD
from ingest.simulator.population import HABITS, World

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

PAYMENTS_PER_DAY: Final = 1.15
WITHDRAWALS_PER_DAY: Final = 0.13
DEPOSITS_PER_DAY: Final = 0.10
REFUND_SHARE: Final = 0.025
RETURNERS: Final = 32
"""One person in so many sends back far more than the others."""
RETURNER_SHARE: Final = 0.25
BOUNCE_SHARE: Final = 0.01
"""Deposits that bounce: a cheque without cover, a debit that the other bank sends back."""
SHORT: Final = 40
"""One person in so many lives from hand to mouth."""
SHORT_BOUNCE_SHARE: Final = 0.15
TRIFLE_SHARE: Final = 0.07
"""Payments for a parking meter, a song, a coffee."""


def lives(rng: np.random.Generator, world: World, period: Period) -> list[Flows]:
    """Payments, refunds, withdrawals and deposits of everybody, in no order."""
    bought = _payments(rng, world, period)
    returned = (bought.outcome == 0) & active(world, bought.user, bought.time)
    refunded = _refunds(rng, bought.take(returned))
    return [bought, refunded, _withdrawals(rng, world, period), _deposits(rng, world, period)]


def active(world: World, user: Ints, time: Ints) -> npt.NDArray[np.bool_]:
    """Whether each account existed and was in use: nothing comes back that was not bought."""
    return np.asarray(time >= np.maximum(world.created_at[user], world.asleep_until[user]))


def busy_users(rng: np.random.Generator, world: World, period: Period, per_day: float) -> Ints:
    """Each person and synthetic identity as often as it does something, Poisson by activity."""
    count = world.people + world.synthetic
    rate = per_day * float(period.weight.sum()) * world.activity[:count]
    return np.repeat(np.arange(count), rng.poisson(rate))


def waking_times(rng: np.random.Generator, world: World, period: Period, user: Ints) -> Ints:
    """An instant of one of the period's days for each entry, at the person's own hours."""
    total = np.concatenate([[0.0], np.cumsum(period.weight)])
    day = np.searchsorted(total, rng.random(len(user)) * total[-1], "right") - 1
    time: Ints = (period.first + day) * DAY + waking_hours(rng, world, user)
    return time


def waking_hours(rng: np.random.Generator, world: World, user: Ints) -> Ints:
    """Milliseconds into a day for each entry, around the person's busy hours."""
    count = len(user)
    which = rng.random(count)
    peak = np.where(which < 0.45, world.peak[user, 0], world.peak[user, 1])
    hour = peak + rng.standard_normal(count) * 2.1
    anytime = which > 0.93
    hour = np.where(anytime, 24 * rng.random(count), hour)
    hour = (hour - CITY_HOURS_AHEAD[world.city[user]]) % 24
    time: Ints = (hour * HOUR).astype(np.int64)
    return time


def purse(rng: np.random.Generator, world: World, user: Ints, median: Floats | float) -> Floats:
    """Amounts in minor units as this person would spend them, log-normal around the median."""
    spread = np.exp(rng.standard_normal(len(user)) * 0.55)
    return np.asarray(median * world.affluence[user] * spread, dtype=np.float64)


def priced(rng: np.random.Generator, amount: Floats) -> Ints:
    """Amounts as price tags have them: many end in .99, .00 or .50."""
    cents = np.maximum(np.round(amount), 50).astype(np.int64)
    whole = np.maximum(cents // 100, 1) * 100
    draw = rng.random(len(cents))
    tags = np.where(draw < 0.22, whole - 1, np.where(draw < 0.36, whole, whole + 50))
    return np.where(draw < 0.46, tags, cents)


def rounded(rng: np.random.Generator, amount: Floats) -> Ints:
    """Amounts as people send them to each other: round ones more often than not."""
    cents = np.maximum(np.round(amount), 100).astype(np.int64)
    draw = rng.random(len(cents))
    unit = np.where(draw < 0.28, 1_000, np.where(draw < 0.42, 500, np.where(draw < 0.62, 100, 1)))
    return np.maximum(cents // unit, 1) * unit


def banknotes(amount: Ints) -> Ints:
    """What a cash machine gives: multiples of ten, between 10 and 1,000."""
    return np.clip(amount // 1_000 * 1_000, 1_000, 100_000)


def _payments(rng: np.random.Generator, world: World, period: Period) -> Flows:
    user = busy_users(rng, world, period, PAYMENTS_PER_DAY)
    count = len(user)
    time = waking_times(rng, world, period, user)
    city, away = world.whereabouts(user, time)
    # Returning to a few shops is Zipf-like: the favourite gets a third of the visits.
    favourite = np.minimum((rng.pareto(0.9, count) * 1.2).astype(np.int64), HABITS - 1)
    merchant = world.habits[user, favourite]
    wanders = (rng.random(count) < 0.2) | (away & ~world.market.online[merchant])
    aisle = np.where(rng.random(count) < 0.3, ONLINE, city)
    merchant = np.where(wanders, world.market.visited(rng, aisle), merchant)
    median = CATEGORY_MEDIAN[world.market.category[merchant]] * world.market.price[merchant]
    amount = priced(rng, purse(rng, world, user, median))
    tag = rng.choice([49, 50, 79, 99, 100, 129, 149, 150, 199, 200, 249, 299], size=count)
    trifle = np.where(rng.random(count) < 0.4, tag, rng.integers(50, 400, count))
    amount = np.where(rng.random(count) < TRIFLE_SHARE, trifle, amount)
    share = np.where(user % RETURNERS == 0, RETURNER_SHARE, REFUND_SHARE)
    returned = rng.random(count) < share
    group = np.where(returned, np.cumsum(returned), -1)
    return flows(
        time,
        PAYMENT,
        amount,
        user,
        merchant=merchant,
        outcome=np.where(returned, 0, -1),
        group=numbered(REFUNDED, period, group),
    )


def _refunds(rng: np.random.Generator, back: Flows) -> Flows:
    time = back.time + (rng.exponential(4 * DAY, len(back))).astype(np.int64) + HOUR
    partly = rng.random(len(back)) < 0.25
    amount = np.where(partly, np.maximum(back.amount // 2, 1), back.amount)
    return flows(time, REFUND, amount, back.user, merchant=back.merchant, group=back.group)


def _withdrawals(rng: np.random.Generator, world: World, period: Period) -> Flows:
    user = busy_users(rng, world, period, WITHDRAWALS_PER_DAY)
    amount = banknotes(purse(rng, world, user, 8_500.0).astype(np.int64))
    return flows(waking_times(rng, world, period, user), WITHDRAWAL, amount, user)


def _deposits(rng: np.random.Generator, world: World, period: Period) -> Flows:
    """Money from outside: top-ups, benefits, pay of employers who bank elsewhere."""
    user = busy_users(rng, world, period, DEPOSITS_PER_DAY)
    large = rng.random(len(user)) < 0.2
    amount = purse(rng, world, user, np.where(large, 90_000.0, 11_000.0))
    bounces = rng.random(len(user)) < np.where(user % SHORT == 0, SHORT_BOUNCE_SHARE, BOUNCE_SHARE)
    return flows(
        waking_times(rng, world, period, user),
        DEPOSIT,
        rounded(rng, amount),
        user,
        outcome=bounces.astype(np.int64),
    )
