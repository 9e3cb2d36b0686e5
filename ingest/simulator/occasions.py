"""What people do rarely and what then looks like fraud: ticket drops, weddings, new phones, houses.

Hard negatives for frauds with cards and with identities: many cards and many declines at one shop
in minutes, much money on few days, accounts that come back after months, a new phone with new
payees, sums just under 10,000, the same few buyers at a small shop.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from graph.transaction import DAY, HOUR, MINUTE, SECOND
from ingest.simulator.customs import Customs
from ingest.simulator.flows import DEPOSIT, PAYMENT, REFUND, TRANSFER, Flows, flows
from ingest.simulator.habits import active, priced, purse, rounded, waking_times
from ingest.simulator.look_alikes import (
    CLUB,
    HOUSE_PURCHASE,
    NEW_PHONE,
    RETURNING,
    SEASONAL,
    TICKET_DROP,
    numbered,
)
from ingest.simulator.market import ONLINE
from ingest.simulator.periods import Period
from ingest.simulator.population import CONTACTS, HABITS, HOTSPOTS, World, hotspot_ip

Ints = npt.NDArray[np.int64]

DROPS_PER_USER_DAY: Final = 0.0004
SEASONS_PER_DAY: Final = 0.0007
HOUSES_PER_DAY: Final = 0.0014
VISITS_PER_MEMBER_DAY: Final = 0.22
NEW_PHONE_SHARE: Final = 0.6
SAVINGS_BOUNCE_SHARE: Final = 0.1
"""Savings that come by a cheque that bounces, and are paid in anew."""
TRANSFER_LIMIT: Final = 1_000_000
"""What a bank lets people send in one piece: a house is paid in several, just under it."""


def occasions(
    rng: np.random.Generator, world: World, customs: Customs, period: Period
) -> list[Flows]:
    """All of these, in no order."""
    return [
        *_ticket_drops(rng, world, period),
        *_clubs(rng, world, customs, period),
        *_seasons(rng, world, period),
        *_returns(rng, world, period),
        _new_phones(rng, world, period),
        *_houses(rng, world, period),
    ]


def _chosen(rng: np.random.Generator, world: World, period: Period, per_day: float) -> Ints:
    """People whom it happens to in this period."""
    return rng.integers(0, world.people, rng.poisson(per_day * world.people * period.length))


def _steps(rng: np.random.Generator, count: Ints, mean: float) -> tuple[Ints, Ints, Ints]:
    """(event, rank within it, milliseconds since it began) of `count` steps for each event."""
    event = np.repeat(np.arange(len(count)), count)
    first = np.cumsum(count) - count
    step = rng.exponential(mean, len(event)).astype(np.int64) + SECOND
    elapsed = np.cumsum(step)
    since = elapsed - elapsed[first[event]] if len(event) else elapsed
    return event, np.arange(len(event)) - first[event], since


def _ticket_drops(rng: np.random.Generator, world: World, period: Period) -> list[Flows]:
    """At a minute that all know of, dozens try for a ticket; many fail and try again."""
    hosts = _chosen(rng, world, period, DROPS_PER_USER_DAY)
    drops = len(hosts)
    event, _, since = _steps(rng, rng.integers(12, 55, drops), 9 * SECOND)
    begins = waking_times(rng, world, period, hosts)
    shop = world.market.visited(rng, np.full(drops, ONLINE))
    price = priced(rng, np.exp(rng.normal(np.log(3_000), 1.3, drops)))
    buyer = rng.integers(0, world.people, len(event))
    fails = rng.random(len(event)) < rng.uniform(0.3, 0.75, drops)[event]
    again = fails & (rng.random(len(event)) < 0.6)
    # Some try with the card of somebody at home next.
    other = np.where(rng.random(len(event)) < 0.3, world.second_card[buyer], -1)
    group = numbered(TICKET_DROP, period, event)
    tried = flows(
        begins[event] + since,
        PAYMENT,
        price[event],
        buyer,
        merchant=shop[event],
        outcome=fails.astype(np.int64),
        group=group,
    )
    second = flows(
        begins[event] + since + rng.integers(8 * SECOND, 3 * MINUTE, len(event)),
        PAYMENT,
        price[event],
        buyer,
        merchant=shop[event],
        card=other,
        outcome=(rng.random(len(event)) < 0.3).astype(np.int64),
        group=group,
    )
    return [tried, second.take(again)]


def _clubs(rng: np.random.Generator, world: World, customs: Customs, period: Period) -> list[Flows]:
    """Members go to their small shop again and again, for about the same sum; some comes back."""
    visits = rng.poisson(VISITS_PER_MEMBER_DAY * period.length, len(customs.club_member))
    visit = np.repeat(np.arange(len(visits)), visits)
    member, club = customs.club_member[visit], customs.club[visit]
    time = waking_times(rng, world, period, member)
    usual = 600.0 * (1 + customs.club_shop[club] % 9)
    amount = priced(rng, np.exp(rng.normal(np.log(usual), 0.35)))
    week = (time // DAY - period.first) // 7
    group = numbered(CLUB, period, club * (period.length // 7 + 1) + week)
    shop = customs.club_shop[club]
    back = np.flatnonzero((rng.random(len(visit)) < 0.06) & active(world, member, time))
    outcome = np.zeros(len(visit), dtype=np.int64)
    return [
        flows(time, PAYMENT, amount, member, merchant=shop, outcome=outcome, group=group),
        flows(
            time[back] + rng.integers(HOUR, 3 * DAY, len(back)),
            REFUND,
            amount[back],
            member[back],
            merchant=shop[back],
            group=group[back],
        ),
    ]


def _seasons(rng: np.random.Generator, world: World, period: Period) -> list[Flows]:
    """A wedding, a move, Christmas: savings come in, some days of large purchases follow."""
    user = _chosen(rng, world, period, SEASONS_PER_DAY)
    event, _, since = _steps(rng, rng.integers(5, 16, len(user)), 8 * HOUR)
    begins = waking_times(rng, world, period, user)
    saved = rounded(rng, purse(rng, world, user, 160_000.0))
    who = user[event]
    shop = world.habits[who, rng.integers(0, HABITS, len(event))]
    elsewhere = world.market.visited(rng, np.full(len(event), ONLINE))
    shop = np.where(rng.random(len(event)) < 0.8, elsewhere, shop)
    amount = priced(rng, np.exp(rng.normal(np.log(saved[event] * 0.12), 0.6)))
    declined = rng.random(len(event)) < 0.08
    group = numbered(SEASONAL, period, event)
    each = numbered(SEASONAL, period, np.arange(len(user)))
    paid_in = np.maximum(begins - rng.integers(HOUR, DAY, len(user)), period.first * DAY)
    bounces = rng.random(len(user)) < SAVINGS_BOUNCE_SHARE
    anew = paid_in + rng.integers(HOUR, 2 * DAY, len(user))
    spent = begins[event] + since
    back = np.flatnonzero(~declined & (rng.random(len(event)) < 0.1) & active(world, who, spent))
    return [
        flows(paid_in, DEPOSIT, saved, user, outcome=bounces.astype(np.int64), group=each),
        flows(anew, DEPOSIT, saved, user, outcome=np.zeros(len(user), np.int64), group=each).take(
            bounces
        ),
        flows(
            spent,
            PAYMENT,
            amount,
            who,
            merchant=shop,
            outcome=declined.astype(np.int64),
            group=group,
        ),
        flows(
            spent[back] + rng.integers(HOUR, 5 * DAY, len(back)),
            REFUND,
            amount[back],
            who[back],
            merchant=shop[back],
            group=group[back],
        ),
    ]


def _returns(rng: np.random.Generator, world: World, period: Period) -> list[Flows]:
    """Somebody comes back to an account not used for long: money in, and most of it out again."""
    wakes = world.wakes_at[: world.people]
    user = np.flatnonzero((wakes >= period.first * DAY) & (wakes < period.end))
    begins = wakes[user] + rng.integers(0, 6 * HOUR, len(user))
    times = rng.integers(1, 4, len(user))
    event, _, since = _steps(rng, times, 2 * HOUR)
    amount = rounded(rng, purse(rng, world, user[event], 40_000.0))
    arrived = np.bincount(event, weights=amount, minlength=len(user))
    last = begins + np.bincount(event, weights=since, minlength=len(user)).astype(np.int64)
    leaves, rank, after = _steps(rng, rng.integers(1, 5, len(user)), 3 * HOUR)
    share = rng.dirichlet(np.ones(5), len(user))[leaves, rank]
    shops = rng.random(len(leaves)) < 0.45
    friend = world.contacts[user[leaves], rng.integers(0, CONTACTS, len(leaves))]
    shop = world.market.visited(rng, np.full(len(leaves), ONLINE))
    from_home = rng.random(len(event)) < 0.5
    sender = world.contacts[user[event], 0]
    return [
        flows(
            begins[event] + since,
            np.where(from_home, TRANSFER, DEPOSIT),
            amount,
            np.where(from_home, sender, user[event]),
            counterparty=np.where(from_home, user[event], -1),
            group=numbered(RETURNING, period, event),
        ),
        flows(
            last[leaves] + after + MINUTE,
            np.where(shops, PAYMENT, TRANSFER),
            np.maximum((arrived[leaves] * share * 0.95).astype(np.int64), 100),
            user[leaves],
            merchant=np.where(shops, shop, -1),
            counterparty=np.where(shops, -1, friend),
            group=numbered(RETURNING, period, leaves),
        ),
    ]


def _new_phones(rng: np.random.Generator, world: World, period: Period) -> Flows:
    """With a new phone, often on a journey: soon large sums to people not paid before."""
    bought = world.replaced_at[: world.people]
    user = np.flatnonzero((bought >= period.first * DAY) & (bought < period.end))
    user = user[rng.random(len(user)) < NEW_PHONE_SHARE]
    event, _, since = _steps(rng, rng.integers(1, 5, len(user)), 11 * MINUTE)
    who = user[event]
    time = bought[who] + since + rng.integers(0, 40 * MINUTE, len(user))[event]
    city, _ = world.whereabouts(who, time)
    place = rng.integers(0, HOTSPOTS, len(user))[event]
    pays = rng.random(len(event)) < 0.7
    shop = world.market.visited(rng, np.full(len(event), ONLINE))
    taker = (who + 1 + rng.integers(0, world.people - 1, len(event))) % world.people
    return flows(
        time,
        np.where(pays, TRANSFER, PAYMENT),
        rounded(rng, purse(rng, world, who, 6_500.0) * rng.uniform(1, 10, len(event))),
        who,
        counterparty=np.where(pays, taker, -1),
        merchant=np.where(pays, -1, shop),
        device=world.new_device[who],
        ip=hotspot_ip(world, city, place),
        group=numbered(NEW_PHONE, period, event),
    )


def _houses(rng: np.random.Generator, world: World, period: Period) -> list[Flows]:
    """Savings come home and leave to a notary or a seller in pieces that the limit allows."""
    user = _chosen(rng, world, period, HOUSES_PER_DAY)
    event, _, since = _steps(rng, rng.integers(1, 5, len(user)), 14 * HOUR)
    begins = waking_times(rng, world, period, user)
    notary = world.users - world.businesses + rng.integers(0, world.businesses, len(user))
    under = (rng.beta(1.2, 6.0, len(event)) * 0.6 * TRANSFER_LIMIT).astype(np.int64)
    piece = TRANSFER_LIMIT - 1_000 - under // 1_000 * 1_000
    exact = rng.random(len(event)) < 0.2
    piece = np.where(exact, TRANSFER_LIMIT - 100 * rng.integers(1, 60, len(event)), piece)
    cash = rng.random(len(event)) < 0.6
    group = numbered(HOUSE_PURCHASE, period, event)
    arrives = begins[event] + since
    return [
        flows(arrives, DEPOSIT, piece, user[event], group=group),
        flows(
            arrives + rng.integers(HOUR, 20 * HOUR, len(event)),
            TRANSFER,
            piece,
            user[event],
            counterparty=notary[event],
            group=group,
        ).take(cash),
    ]
