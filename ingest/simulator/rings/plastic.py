"""Fraud with cards and at shops: card testing, collusive merchants, serial refunds.

Card testing (enumeration, BIN attacks) as Visa's and Stripe's guides describe it: a script tries
many cards for small sums within minutes, most are refused, the live ones are used or sold.
Collusive merchants ("transaction laundering", FATF on trade and payment processors) sell nothing
to a few accounts of their own; refund abuse as the National Retail Federation reports it.
"""

from typing import Final

import numpy as np

from graph.evidence import Role
from graph.transaction import DAY, HOUR, SECOND
from ingest.simulator.belongings import KIOSKS
from ingest.simulator.flows import CASH_OUT, PAYMENT, REFUND, WARM_UP
from ingest.simulator.rings.scene import Scene
from ingest.simulator.rings.story import AUTHORISED, DECLINED, Story, warm_up_time

SMALL_SHOP: Final = 0.35
"""Part of the merchants, least popular first, among which a collusive one hides."""

REGULARS: Final = 5
"""Of a collusive shop, at least, where there is one that has so many."""


def card_testing(scene: Scene) -> Story:
    """Many cards, small sums, minutes: from one machine, or at one shop in the holders' names."""
    rng, world, story = scene.rng, scene.world, Story()
    accounts = list(scene.invented)
    scene.cast.in_currency_of(accounts[0], world)
    holders = scene.cast.victims(scene.size(10, 40, 18))
    shop = scene.shops(1)[0]
    from_one_machine = scene.some(0.6)
    hand, price = int(world.device[accounts[0]]), int(rng.choice([50, 99, 100, 149, 199, 299]))
    alike, live_share = scene.some(0.6), float(rng.uniform(0.1, 0.4))
    story.cast(Role.CONTROLLER, *accounts)
    story.cast(Role.VICTIM, *holders)
    pace = float(rng.choice([3, 12, 40])) * SECOND
    live: list[int] = []
    at = 0.0
    if scene.some(0.5):
        before = warm_up_time(rng, 3)
        story.tell(before, PAYMENT, price, accounts[0], merchant=shop, phase=WARM_UP)
    for holder in holders:
        good = scene.some(live_share)
        amount = price if alike else max(50, int(price * rng.uniform(0.5, 2.5)))
        user = accounts[int(rng.integers(0, len(accounts)))] if from_one_machine else holder
        kiosk = world.kiosks + int(rng.integers(0, KIOSKS))
        for _ in range(1 + int(scene.some(0.25))):
            story.tell(
                at,
                PAYMENT,
                amount,
                user,
                merchant=shop,
                device=hand if from_one_machine else kiosk,
                ip=scene.vpn(),
                card=int(world.card[holder]),
                outcome=AUTHORISED if good else DECLINED,
            )
            at += float(rng.exponential(pace)) + 0.5 * SECOND
        if good:
            live.append(holder)
    for holder in live[:3]:
        at += scene.gap(90 * 60 * SECOND)
        story.tell(
            at,
            PAYMENT,
            scene.money(11_000, 0.7),
            accounts[0],
            merchant=scene.shops(1)[0],
            device=hand,
            card=int(world.card[holder]),
            phase=CASH_OUT,
        )
    return story


def collusive_merchant(scene: Scene) -> Story:
    """A few accounts buy again and again at one small shop, whose owner shares their machines."""
    rng, world, story = scene.rng, scene.world, Story()
    people = scene.cast.members(1 + scene.size(3, 7, 4))
    owner, buyers = people[0], people[1:]
    shop = _small_shop(scene, int(world.city[owner]))
    story.cast(Role.CONTROLLER, owner)
    story.cast(Role.MEMBER, *buyers)
    story.merchants = [shop]
    hands = [int(world.device[owner]), int(world.second_device[owner])]
    shared = {buyer: int(rng.choice(hands)) for buyer in buyers if scene.some(0.7)}
    for buyer in buyers:
        if scene.some(0.5):
            at = warm_up_time(rng, 10)
            story.tell(at, PAYMENT, scene.money(1_500, 0.5), buyer, merchant=shop, phase=WARM_UP)
    typical, back_share = scene.money(7_500, 0.5), float(rng.uniform(0.1, 0.4))
    for buyer in buyers:
        at = float(rng.exponential(8 * HOUR)) if buyer != buyers[0] else 0.0
        for _ in range(scene.size(3, 12, 6)):
            amount, hand = scene.money(typical, 0.35), shared.get(buyer, -1)
            story.tell(at, PAYMENT, amount, buyer, merchant=shop, device=hand, outcome=AUTHORISED)
            if scene.some(back_share):
                back = at + float(rng.uniform(2, 60)) * HOUR
                story.tell(back, REFUND, amount, buyer, merchant=shop, device=hand, phase=CASH_OUT)
            at += scene.gap(11 * HOUR, most=2 * DAY)
    return story


def refund_abuse(scene: Scene) -> Story:
    """Linked accounts buy and send back, again and again: goods kept, money returned."""
    rng, story = scene.rng, Story()
    story.cast(Role.MEMBER, *scene.invented)
    shops = scene.shops(int(rng.integers(1, 4)))
    for place, member in enumerate(scene.invented):
        at = float(rng.exponential(6 * HOUR)) if place else 0.0
        if scene.some(0.5):
            before = warm_up_time(rng, 10)
            shop = int(rng.choice(shops))
            story.tell(
                before, PAYMENT, scene.money(2_500, 0.5), member, merchant=shop, phase=WARM_UP
            )
        for _ in range(scene.size(2, 7, 3.5)):
            amount, shop = scene.money(9_000, 0.6), int(rng.choice(shops))
            story.tell(at, PAYMENT, amount, member, merchant=shop, outcome=AUTHORISED)
            if scene.some(0.9):
                back = at + float(rng.uniform(3, 70)) * HOUR
                sum_ = amount if scene.some(0.8) else max(amount // 2, 1)
                story.tell(back, REFUND, sum_, member, merchant=shop, phase=CASH_OUT)
            at += scene.gap(9 * HOUR, most=2 * DAY)
    return story


def _small_shop(scene: Scene, city: int) -> int:
    """One of the shops of that city, or online, that few people know."""
    market = scene.world.market
    online = len(market.aisle) - 2
    aisle = online if scene.some(0.5) else city
    stock = np.arange(*market.aisle[aisle : aisle + 2])
    known = np.argsort(np.diff(market.shelf)[stock], kind="stable")
    few = stock[known[: max(1, int(len(stock) * SMALL_SHOP))]]
    # Some honest customers it has, or it would stand out.
    regulars = np.bincount(scene.world.habits.ravel(), minlength=len(market))[few]
    return int(scene.rng.choice(few[regulars >= min(REGULARS, regulars.max())]))
