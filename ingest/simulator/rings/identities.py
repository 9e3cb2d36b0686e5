"""Invented people: device farms, synthetic identities and accounts grown to be maxed out.

Synthetic identity fraud as the Federal Reserve describes it (*Synthetic Identity Fraud in the U.S.
Payment System*, 2019): identities stitched together from shared pieces, a thin history, then
spending that nobody pays back. Bust-out as Experian and the FBI describe it: months of good
conduct while limits grow, then everything drawn within days, covered by payments that bounce.
"""

from typing import Final

from graph.evidence import Role
from graph.transaction import DAY, HOUR, MINUTE, SECOND
from ingest.simulator.flows import CASH_OUT, DEPOSIT, PAYMENT, REFUND, TRANSFER, WARM_UP
from ingest.simulator.rings.scene import Scene
from ingest.simulator.rings.story import AUTHORISED, DECLINED, Story, warm_up_time

MOST_PURCHASES: Final = 60
"""By which one account is maxed out; a dozen are usual."""


def device_farm(scene: Scene) -> Story:
    """A farm of accounts on few devices: funded from one hand, into one, or into goods."""
    rng, story = scene.rng, Story()
    members = [int(user) for user in rng.permutation(scene.invented)]
    hub = members[0]
    way = int(rng.choice(3))
    story.cast((Role.CONTROLLER, Role.CASH_OUT, Role.MEMBER)[way], hub)
    story.cast(Role.MEMBER, *members)
    pace = float(rng.choice([4 * MINUTE, 12 * MINUTE, 30 * MINUTE]))
    at = 0.0
    if way == 0:
        amounts = [scene.money(8_000, 0.7) for _ in members[1:]]
        scene.funds(story, hub, int(sum(amounts) * rng.uniform(1.0, 1.2)))
        for member, amount in zip(members[1:], amounts, strict=True):
            story.tell(at, TRANSFER, amount, hub, to=member)
            scene.cash_out(story, at + scene.dwell(), member, int(amount * 0.97))
            at += rng.exponential(pace) + 5 * SECOND
    elif way == 1:
        total = 0
        for member in members[1:]:
            amounts = [scene.money(7_000, 0.7) for _ in range(1 + int(scene.some(0.4)))]
            scene.funds(story, member, int(sum(amounts) * rng.uniform(1.0, 1.3)))
            for amount in amounts:
                total += amount
                story.tell(at, TRANSFER, amount, member, to=hub)
                at += rng.exponential(pace) + 5 * SECOND
        scene.cash_out(story, at + scene.dwell(), hub, total)
    else:
        _seeded(scene, story, members)
        shops = scene.shops(int(rng.integers(1, 4)))
        for _ in range(int(rng.integers(1, 4))):
            for member in members:
                shop = int(rng.choice(shops))
                story.tell(at, PAYMENT, scene.money(6_000, 0.8), member, merchant=shop)
                at += rng.exponential(pace / 2) + 5 * SECOND
            at += rng.exponential(5 * HOUR)
    return story


def synthetic_identity(scene: Scene) -> Story:
    """Few made-up people with a thin history draw on credit at the same time and are gone."""
    rng, story = scene.rng, Story()
    members = [int(user) for user in rng.permutation(scene.invented)]
    story.cast(Role.CONTROLLER, members[0])
    story.cast(Role.MEMBER, *members)
    _seeded(scene, story, members)
    shops = scene.shops(int(rng.integers(1, 4)))
    at = 0.0
    for _ in range(int(rng.integers(2, 5))):
        for member in members:
            if scene.some(0.85):
                shop = int(rng.choice(shops))
                story.tell(at, PAYMENT, scene.money(14_000, 0.8), member, merchant=shop)
                at += scene.gap(15 * MINUTE)
        at += float(rng.exponential(7 * HOUR))
    for member in members[1:]:
        if scene.some(0.4):
            # A last loan is paid out, and goes to the head or into cash.
            loan = scene.money(60_000, 0.6)
            story.tell(at, DEPOSIT, loan, member, outcome=AUTHORISED)
            leaving = at + scene.dwell()
            if scene.some(0.5):
                story.tell(leaving, TRANSFER, loan, member, to=members[0], phase=CASH_OUT)
            else:
                scene.cash_out(story, leaving, member, loan)
            at += scene.gap(15 * MINUTE)
    return story


def bust_out(scene: Scene) -> Story:
    """Good customers for weeks, each spending a little more, then maxed out within days."""
    rng, story = scene.rng, Story()
    story.cast(Role.MEMBER, *scene.invented)
    shops = scene.shops(3)
    begin = 0.0
    for member in scene.invented:
        limit = scene.money(120_000, 0.6)
        weeks = int(rng.integers(3, 9))
        for week in range(weeks):
            spent = max(500, int(limit * (0.04 + 0.3 * week / weeks) * rng.uniform(0.5, 1.2)))
            at = -(weeks - week) * 7 * DAY + float(rng.uniform(0, 3)) * DAY
            story.tell(at, PAYMENT, spent, member, merchant=int(rng.choice(shops)), phase=WARM_UP)
            paid_back = at + float(rng.uniform(1, 3)) * DAY
            story.tell(paid_back, DEPOSIT, spent, member, outcome=AUTHORISED, phase=WARM_UP)
        _maxed_out(scene, story, member, begin, limit)
        begin += float(rng.exponential(9 * HOUR))
    return story


def _maxed_out(scene: Scene, story: Story, member: int, begin: float, limit: int) -> None:
    """Spends nearly all of the limit; some purchases are disputed, cheques bounce."""
    rng, at, left = scene.rng, begin, limit
    for _ in range(MOST_PURCHASES):
        if left <= limit * 0.06:
            break
        amount = min(scene.money(limit * 0.12, 0.7), left)
        shop = scene.shops(1)[0]
        story.tell(at, PAYMENT, amount, member, merchant=shop, outcome=AUTHORISED)
        left -= amount
        if scene.some(0.12):
            back = at + float(rng.uniform(0.3, 2.0)) * DAY
            story.tell(back, REFUND, amount, member, merchant=shop, phase=CASH_OUT)
        at += scene.gap(4 * HOUR)
    if scene.some(0.6):
        cheque = int(limit * rng.uniform(0.6, 1.0))
        story.tell(at, DEPOSIT, cheque, member, outcome=DECLINED)
    for _ in range(int(rng.integers(0, 3))):
        at += scene.gap(20 * MINUTE)
        tried = scene.money(limit * 0.15, 0.4)
        story.tell(at, PAYMENT, tried, member, merchant=scene.shops(1)[0], outcome=DECLINED)


def _seeded(scene: Scene, story: Story, members: list[int]) -> None:
    """Small deposits that make accounts look lived in."""
    for member in members:
        if scene.some(0.5):
            at = warm_up_time(scene.rng, 8)
            story.tell(
                at, DEPOSIT, scene.money(4_000, 0.6), member, outcome=AUTHORISED, phase=WARM_UP
            )
