"""What people who know each other do: lend, share bills, collect, pass money around.

These are hard negatives: families pass money in circles, treasurers collect and pay on, travellers
settle up crosswise, students share machines and an address.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from graph.transaction import HOUR, MINUTE
from ingest.simulator.flows import PAYMENT, TRANSFER, WITHDRAWAL, Flows, flows
from ingest.simulator.habits import (
    banknotes,
    busy_users,
    purse,
    rounded,
    waking_times,
)
from ingest.simulator.look_alikes import (
    ALLOWANCE,
    CAMPUS,
    COLLECTION,
    FAMILY_CYCLE,
    RECIPROCAL,
    SETTLING_UP,
    STUDENT_TREASURER,
    numbered,
)
from ingest.simulator.market import ONLINE
from ingest.simulator.periods import Period
from ingest.simulator.population import CONTACTS, World

Ints = npt.NDArray[np.int64]

TRANSFERS_PER_DAY: Final = 0.50
CYCLES_PER_CIRCLE_DAY: Final = 0.030
COLLECTIONS_PER_CIRCLE_DAY: Final = 0.030
ALLOWANCES_PER_DAY: Final = 0.045
SETTLEMENTS_PER_CIRCLE_DAY: Final = 0.012
DUES_PER_STUDENT_DAY: Final = 0.004
CAMPUS_EVENTS_PER_STUDENT_DAY: Final = 0.004


def among_friends(rng: np.random.Generator, world: World, period: Period) -> list[Flows]:
    """Everything between people who know each other, in no order."""
    return [
        *_favours(rng, world, period),
        _family_cycles(rng, world, period),
        *_collections(rng, world, period),
        *_allowances(rng, world, period),
        _settlements(rng, world, period),
        *_dues(rng, world, period),
        _campus(rng, world, period),
    ]


def later(rng: np.random.Generator, count: int, mean: float) -> Ints:
    """Milliseconds until somebody gets round to it, exponential above a minute."""
    return (rng.exponential(mean, count)).astype(np.int64) + MINUTE


def _favours(rng: np.random.Generator, world: World, period: Period) -> list[Flows]:
    """Transfers to people one knows; a third is answered, often with the same amount."""
    user = busy_users(rng, world, period, TRANSFERS_PER_DAY)
    count = len(user)
    known = np.minimum((rng.pareto(1.0, count) * 1.5).astype(np.int64), CONTACTS - 1)
    friend = world.contacts[user, known]
    stranger = rng.integers(0, world.people, count)
    friend = np.where((rng.random(count) < 0.12) & (stranger != user), stranger, friend)
    time = waking_times(rng, world, period, user)
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
            time,
            TRANSFER,
            amount,
            user,
            counterparty=friend,
            group=numbered(RECIPROCAL, period, group),
        ),
        flows(
            time[answered] + (rng.exponential(1.0, len(answered)) * wait).astype(np.int64) + MINUTE,
            TRANSFER,
            np.where(same, amount[answered], half),
            friend[answered],
            counterparty=user[answered],
            group=numbered(RECIPROCAL, period, group[answered]),
        ),
    ]


def _circle_events(
    rng: np.random.Generator, world: World, period: Period, per_day: float
) -> tuple[Ints, Ints, Ints]:
    """For each event the position of its circle's first member in `order`, its size, `order`."""
    order = np.argsort(world.circle, kind="stable")
    first = np.flatnonzero(np.diff(world.circle[order], prepend=-1))
    size = np.diff(np.append(first, world.people))
    able = size >= 3
    first, size = first[able], size[able]
    event = np.repeat(np.arange(len(first)), rng.poisson(per_day * period.length, len(first)))
    return first[event], size[event], order


def _family_cycles(rng: np.random.Generator, world: World, period: Period) -> Flows:
    """A sends to B, B to C, C back to A: lending clubs, pocket money that comes home.

    Half pass on about the same sum, the others whatever they owe.
    """
    first, size, order = _circle_events(rng, world, period, CYCLES_PER_CIRCLE_DAY)
    events = len(first)
    length = np.minimum(3 + (rng.random(events) < 0.35) + (rng.random(events) < 0.15), size)
    event = np.repeat(np.arange(events), length)
    hop = np.arange(len(event)) - np.repeat(np.cumsum(length) - length, length)
    spin = rng.integers(0, 6, events)[event]
    giver = order[first[event] + (hop + spin) % length[event]]
    taker = order[first[event] + (hop + spin + 1) % length[event]]
    begins = waking_times(rng, world, period, giver)[np.cumsum(length) - length]
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
        time,
        TRANSFER,
        amount,
        giver,
        counterparty=taker,
        group=numbered(FAMILY_CYCLE, period, event),
    )


def _collections(rng: np.random.Generator, world: World, period: Period) -> list[Flows]:
    """Friends pay a treasurer within hours, who buys the present, gets cash, or pays on."""
    first, size, order = _circle_events(rng, world, period, COLLECTIONS_PER_CIRCLE_DAY)
    events = len(first)
    event = np.repeat(np.arange(events), size - 1)
    start = np.cumsum(size - 1) - (size - 1)
    rank = np.arange(len(event)) - start[event]
    treasurer = order[first]
    giver = order[first[event] + 1 + rank]
    begins = waking_times(rng, world, period, treasurer)
    spread = np.where(rng.random(events) < 0.5, 0.4, 5.0) * HOUR
    time = begins[event] + (rng.exponential(1.0, len(event)) * spread[event]).astype(np.int64)
    part = rounded(rng, purse(rng, world, treasurer, 4_500.0))
    paid = flows(
        time,
        TRANSFER,
        part[event],
        giver,
        counterparty=treasurer[event],
        group=numbered(COLLECTION, period, event),
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
            last + later(rng, events, 2 * HOUR),
            np.where(shop, PAYMENT, np.where(cash, WITHDRAWAL, TRANSFER)),
            amount,
            treasurer,
            merchant=np.where(shop, merchant, -1),
            counterparty=np.where(onward, recipient, -1),
            group=numbered(COLLECTION, period, np.arange(events)),
        ),
    ]


def _allowances(rng: np.random.Generator, world: World, period: Period) -> list[Flows]:
    """Money for a child or a parent, who gets most of it in cash or hands it on soon after."""
    giver = busy_users(rng, world, period, ALLOWANCES_PER_DAY)
    giver = giver[giver < world.people]
    count = len(giver)
    taker = world.contacts[giver, 0]
    amount = rounded(rng, purse(rng, world, giver, 9_000.0))
    time = waking_times(rng, world, period, giver)
    group = numbered(ALLOWANCE, period, np.arange(count))
    spent = banknotes((amount * rng.uniform(0.7, 1.0, count)).astype(np.int64))
    cash = (rng.random(count) < 0.6) & (spent <= amount)
    onward = ~cash & (rng.random(count) < 0.5)
    then = np.flatnonzero(cash | onward)
    recipient = world.contacts[np.minimum(taker, world.people - 1), 1]
    sent = np.maximum((amount * rng.uniform(0.6, 0.98, count)).astype(np.int64), 100)
    return [
        flows(time, TRANSFER, amount, giver, counterparty=taker, group=group),
        flows(
            time[then] + later(rng, len(then), 3 * HOUR),
            np.where(cash, WITHDRAWAL, TRANSFER)[then],
            np.where(cash, spent, sent)[then],
            taker[then],
            counterparty=np.where(cash, -1, recipient)[then],
            group=group[then],
        ),
    ]


def _settlements(rng: np.random.Generator, world: World, period: Period) -> Flows:
    """After a journey everybody who paid less pays everybody who paid more, within the evening."""
    first, size, order = _circle_events(rng, world, period, SETTLEMENTS_PER_CIRCLE_DAY)
    events = len(first)
    debtors = 1 + (rng.random(events) * (size - 1)).astype(np.int64)
    pairs = debtors * (size - debtors)
    event = np.repeat(np.arange(events), pairs)
    pair = np.arange(len(event)) - np.repeat(np.cumsum(pairs) - pairs, pairs)
    creditors = (size - debtors)[event]
    giver = order[first[event] + pair // creditors]
    taker = order[first[event] + debtors[event] + pair % creditors]
    begins = waking_times(rng, world, period, order[first])
    spread = np.where(rng.random(events) < 0.6, 0.5, 7.0) * HOUR
    time = begins[event] + (rng.exponential(1.0, len(event)) * spread[event]).astype(np.int64)
    amount = rounded(rng, purse(rng, world, giver, 4_000.0))
    group = numbered(SETTLING_UP, period, event)
    kept = rng.random(len(event)) < 0.9
    return flows(time, TRANSFER, amount, giver, counterparty=taker, group=group).take(kept)


def _gatherings(
    rng: np.random.Generator, world: World, period: Period, per_day: float, most: int
) -> tuple[Ints, Ints]:
    """(event, student) of events on some campus, to which up to `most` others come."""
    student = np.flatnonzero(world.student)
    order = student[np.argsort(world.city[student], kind="stable")]
    campus = world.city[order]
    bounds, ends = np.searchsorted(campus, campus), np.searchsorted(campus, campus, "right")
    host = np.flatnonzero(rng.random(len(order)) < per_day * period.length)
    coming = np.minimum(rng.integers(4, most + 1, len(host)), (ends - bounds)[host])
    event = np.repeat(np.arange(len(host)), coming)
    rank = np.arange(len(event)) - np.repeat(np.cumsum(coming) - coming, coming)
    # From a random place on around the campus, so that nobody comes twice.
    begin = host[event] - bounds[host[event]]
    size = (ends - bounds)[host[event]]
    return event, order[bounds[host[event]] + (begin + rank) % size]


def _dues(rng: np.random.Generator, world: World, period: Period) -> list[Flows]:
    """Fellow students pay a treasurer the same sum; days later it goes to a shop or a firm."""
    event, student = _gatherings(rng, world, period, DUES_PER_STUDENT_DAY, 24)
    if not len(event):
        return []
    first = np.flatnonzero(np.diff(event, prepend=-1))
    treasurer = student[first]
    begins = waking_times(rng, world, period, treasurer)
    spread = np.where(rng.random(len(first)) < 0.4, 2.0, 16.0) * HOUR
    time = begins[event] + (rng.exponential(1.0, len(event)) * spread[event]).astype(np.int64)
    part = rounded(rng, purse(rng, world, treasurer, 3_500.0))
    paying = student != treasurer[event]
    last = np.maximum.reduceat(time, first)
    total = part * np.maximum(np.bincount(event, weights=paying).astype(np.int64), 1)
    shop = rng.random(len(first)) < 0.5
    firm = world.users - world.businesses + rng.integers(0, world.businesses, len(first))
    paid = flows(
        time,
        TRANSFER,
        part[event],
        student,
        counterparty=treasurer[event],
        group=numbered(STUDENT_TREASURER, period, event),
    )
    return [
        paid.take(paying),
        flows(
            last + later(rng, len(first), 6 * HOUR),
            np.where(shop, PAYMENT, TRANSFER),
            (total * rng.uniform(0.8, 1.0, len(first))).astype(np.int64),
            treasurer,
            merchant=np.where(shop, world.market.visited(rng, np.full(len(first), ONLINE)), -1),
            counterparty=np.where(shop, -1, firm),
            group=numbered(STUDENT_TREASURER, period, np.arange(len(first))),
        ),
    ]


def _campus(rng: np.random.Generator, world: World, period: Period) -> Flows:
    """Students one after the other at a machine of the library: books at one shop, a transfer."""
    event, student = _gatherings(rng, world, period, CAMPUS_EVENTS_PER_STUDENT_DAY, 10)
    events = int(event[-1]) + 1 if len(event) else 0
    first = np.flatnonzero(np.diff(event, prepend=-1))
    begins = waking_times(rng, world, period, student[first])
    step = rng.exponential(9 * MINUTE, len(event)).astype(np.int64) + MINUTE
    elapsed = np.cumsum(step)
    time = begins[event] + elapsed - elapsed[first[event]]
    shop = world.market.visited(rng, np.full(events, ONLINE))
    buys = rng.random(len(event)) < 0.75
    friend = world.contacts[student, rng.integers(0, CONTACTS, len(event))]
    machine = world.library[world.city[student[first]]] + rng.integers(0, 3, events)
    return flows(
        time,
        np.where(buys, PAYMENT, TRANSFER),
        rounded(rng, purse(rng, world, student, 2_800.0)),
        student,
        merchant=np.where(buys, shop[event], -1),
        counterparty=np.where(buys, -1, friend),
        device=machine[event],
        ip=world.office_ip[student],
        group=numbered(CAMPUS, period, event),
    )
