"""What a transaction is made with and where: device, address, card, place, channel, outcome.

One pass over all rows, fraud and life alike, so that nothing here can tell them apart; only
where a ring's story names a device or an address, that one stands.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from graph.transaction import DAY, HOUR
from ingest.simulator.flows import DEPOSIT, PAYMENT, REFUND, TRANSFER, WITHDRAWAL, Flows
from ingest.simulator.places import CITY_CURRENCY, CITY_HOURS_AHEAD
from ingest.simulator.population import (
    CARRIER_POOL,
    HOTSPOTS,
    LEASE_DAYS,
    VPN_POOL,
    World,
    carrier_ip,
    currency_of,
    hotspot_ip,
    vpn_ip,
)

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

CHANNELS: Final = ("app", "web", "pos", "atm", "branch")
APP, WEB, POS, ATM, BRANCH = range(len(CHANNELS))
DECLINED_SHARE: Final = np.array([0.030, 0.012, 0.030, 0.0, 0.0])
"""By type: no funds, wrong PIN, limits."""


@dataclass(frozen=True, slots=True)
class Attire:
    """Columns beside `Flows`, each int64[n], -1 none; `declined` bool[n]."""

    device: Ints
    ip: Ints
    card: Ints
    city: Ints
    channel: Ints
    currency: Ints
    declined: Flags


def dressed(rng: np.random.Generator, world: World, flows: Flows) -> Attire:
    """Device, address, card, place, channel, currency and outcome of every row."""
    count, user = len(flows), flows.user
    place, away = world.whereabouts(user, flows.time)
    merchant = flows.merchant
    in_shop = ((flows.type == PAYMENT) | (flows.type == REFUND)) & ~world.market.online[merchant]
    channel = _channels(rng, flows, in_shop)
    digital = (channel == APP) | (channel == WEB)
    # Half of the payments in shops are made with the phone.
    tapped = (channel == POS) & (rng.random(count) < 0.5)
    device = np.where(
        flows.time >= world.replaced_at[user], world.new_device[user], world.device[user]
    )
    other = (channel == WEB) & (rng.random(count) < 0.55) | (rng.random(count) < 0.04)
    device = np.where(other & digital, world.second_device[user], device)
    device = np.where(digital | tapped, np.where(flows.device >= 0, flows.device, device), -1)
    ip = _addresses(rng, world, flows, place, away)
    ip = np.where(digital, np.where(flows.ip >= 0, flows.ip, ip), -1)
    plastic = np.isin(flows.type, (PAYMENT, WITHDRAWAL, REFUND))
    # Which card is a habit of person and shop, so that a refund finds the card it was paid with.
    habit = (user * 7_919 + merchant * 104_729) % 10
    card = np.where(habit < 2, world.second_card[user], world.card[user])
    card = np.where(plastic, np.where(flows.card >= 0, flows.card, card), -1)
    city = np.where(in_shop, world.market.city[merchant], place)
    # Shops charge in their own currency; most of those online in that of the customer.
    priced_by_shop = (merchant >= 0) & (~world.market.online[merchant] | (merchant % 10 < 3))
    currency = np.where(
        priced_by_shop, CITY_CURRENCY[world.market.city[merchant]], currency_of(world, user)
    )
    declined = rng.random(count) < DECLINED_SHARE[flows.type]
    # Money that was passed on had arrived, in rings as in families.
    relied_on = (flows.group >= 0) | ((flows.ring >= 0) & (flows.type == TRANSFER))
    declined = np.where(flows.outcome >= 0, flows.outcome == 1, declined & ~relied_on)
    return Attire(device, ip, card, city, channel, currency.astype(np.int64), declined)


def _channels(rng: np.random.Generator, flows: Flows, in_shop: Flags) -> Ints:
    draw = rng.random(len(flows))
    online = np.where(draw < 0.72, APP, WEB)
    deposit = np.where(draw < 0.55, APP, np.where(draw < 0.75, ATM, BRANCH))
    channel = np.where(in_shop, POS, online)
    channel = np.where(flows.type == WITHDRAWAL, ATM, channel)
    return np.where(flows.type == DEPOSIT, deposit, channel)


def _addresses(
    rng: np.random.Generator, world: World, flows: Flows, place: Ints, away: Flags
) -> Ints:
    count, user = len(flows), flows.user
    lease = (flows.time - world.config.start) // (LEASE_DAYS * DAY)
    home = world.home_ip[user] + lease
    mobile = carrier_ip(world, place, world.carrier[user], rng.integers(0, CARRIER_POOL, count))
    hotspot = hotspot_ip(world, place, rng.integers(0, HOTSPOTS, count))
    hour = (flows.time // HOUR + CITY_HOURS_AHEAD[place]) % 24
    office = world.office_ip[user]
    working = (office >= 0) & (hour >= 8) & (hour < 18)
    draw = rng.random(count)
    at_rest = np.where(working & (draw < 0.25), office, np.where(away, hotspot, home))
    ip = np.where(draw < 0.62, at_rest, np.where(draw < 0.92, mobile, hotspot))
    vpn = vpn_ip(world, rng.integers(0, VPN_POOL, count))
    return np.where(draw > 0.965, vpn, ip)
