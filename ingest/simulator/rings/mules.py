"""Accounts that pass on what is not theirs: money mules, taken-over accounts, woken sleepers.

Mules as police describe them (Europol's EMMA actions): victims pay a recruited account, which
keeps a commission and sends the rest on or takes it out in cash within hours. Account takeover as
UK Finance and the FBI's IC3 report it: credentials are phished, a session on the thief's device
adds a payee and empties the account in one go. Dormant accounts that wake for a burst are a red
flag of the FATF and of the FFIEC's manual (appendix F).
"""

from typing import Final

from graph.evidence import Role
from graph.transaction import HOUR, MINUTE, SECOND
from ingest.simulator.flows import CASH_OUT, DEPOSIT, PAYMENT, TRANSFER
from ingest.simulator.rings.cast import ENOUGH_VICTIMS
from ingest.simulator.rings.scene import Scene
from ingest.simulator.rings.story import AUTHORISED, DECLINED, Purse, Story

COMMISSION: Final = (0.03, 0.12)
"""What a mule keeps, least and most."""


def mule(scene: Scene) -> Story:
    """Victims pay one to three mules, who keep a commission and pass on or cash out the rest."""
    rng, world, story = scene.rng, scene.world, Story()
    count = 1 + int(rng.choice(3, p=(0.5, 0.3, 0.2))) + int(scene.some(0.6))
    people = scene.cast.members(count)
    onward = len(people) > 1 and scene.some(0.75)
    collector, mules = (people[-1], people[:-1]) if onward else (-1, people)
    victims = scene.cast.victims(int(rng.integers(3, ENOUGH_VICTIMS + 1)))
    story.cast(Role.MULE, *mules)
    if onward:
        story.cast(Role.CASH_OUT, collector)
    story.cast(Role.VICTIM, *victims)
    # The one who stole credentials works from a machine that is not new to the world.
    hand = int(world.second_device[people[-1]])
    for each in mules:
        scene.tests(story, each, collector if onward else victims[0], 0.5)
    received: dict[int, list[tuple[float, int]]] = {each: [] for each in mules}
    at = 0.0
    for victim in victims:
        stolen = scene.some(0.3)
        payee = mules[int(rng.integers(0, len(mules)))]
        for _ in range(1 + int(scene.some(0.25))):
            amount = scene.money(12_000, 0.9)
            story.tell(
                at,
                TRANSFER,
                amount,
                victim,
                to=payee,
                device=hand if stolen else -1,
                ip=scene.vpn() if stolen else -1,
            )
            received[payee].append((at, amount))
            at += rng.exponential(28 * MINUTE) + 20 * SECOND
    forwarded(scene, story, received, collector)
    return story


def takeover(scene: Scene) -> Story:
    """One gang empties several victims' accounts, one session each, into its mules' accounts."""
    rng, world, story = scene.rng, scene.world, Story()
    mules = scene.cast.members(scene.size(1, 3, 1.8))
    victims = scene.cast.victims(scene.size(2, 6, 3.5), established=True)
    story.cast(Role.MULE, *mules)
    story.cast(Role.VICTIM, *victims)
    hand = int(world.second_device[mules[-1]])
    for each in mules:
        scene.tests(story, victims[0], each, 0.2, days=2)
    received: dict[int, list[tuple[float, int]]] = {each: [] for each in mules}
    at = 0.0
    for victim in victims:
        address, moment = scene.vpn(), at
        usual = 6_500 * float(world.affluence[victim])
        for attempt in range(int(rng.integers(2, 5))):
            amount = scene.money(usual * float(rng.uniform(2.5, 10)), 0.4)
            # The first sum is often above the day's limit; the thief tries a smaller one.
            refused = attempt == 0 and scene.some(0.35)
            payee = mules[int(rng.integers(0, len(mules)))]
            story.tell(
                moment,
                TRANSFER,
                amount,
                victim,
                to=payee,
                device=hand,
                ip=address,
                outcome=DECLINED if refused else AUTHORISED,
            )
            if not refused:
                received[payee].append((moment, amount))
            moment += float(rng.exponential(6 * MINUTE)) + 25 * SECOND
        if scene.some(0.3):
            story.tell(
                moment,
                PAYMENT,
                scene.price(usual * 4, 0.5),
                victim,
                merchant=scene.shops(1)[0],
                device=hand,
                ip=address,
            )
        at = moment + float(rng.exponential(5 * HOUR))
    forwarded(scene, story, received, -1)
    return story


def dormant_burst(scene: Scene) -> Story:
    """Accounts that slept for weeks wake together, take money in and empty themselves."""
    rng, story = scene.rng, Story()
    count = scene.size(2, 5, 3)
    people = scene.cast.members(count)
    collector = people[0] if scene.some(0.5) else -1
    sleepers = people[1:] if collector >= 0 else people
    story.cast(Role.MULE, *sleepers)
    if collector >= 0:
        story.cast(Role.CASH_OUT, collector)
    payers = scene.cast.victims(scene.size(2, 6, 3)) if scene.some(0.6) else []
    story.cast(Role.VICTIM, *payers)
    story.sleepers = list(sleepers)
    received: dict[int, list[tuple[float, int]]] = {each: [] for each in sleepers}
    at = 0.0
    for sleeper in sleepers:
        for _ in range(int(rng.integers(1, 4))):
            amount = scene.money(26_000, 0.8)
            if payers:
                payer = payers[int(rng.integers(0, len(payers)))]
                story.tell(at, TRANSFER, amount, payer, to=sleeper)
            else:
                story.tell(at, DEPOSIT, amount, sleeper, outcome=AUTHORISED)
            received[sleeper].append((at, amount))
            at += scene.gap(25 * MINUTE)
    forwarded(scene, story, received, collector)
    return story


def forwarded(
    scene: Scene, story: Story, received: dict[int, list[tuple[float, int]]], collector: int
) -> None:
    """Every mule passes its takings to the collector, who takes them out; without one, itself."""
    hoard = Purse()
    for mule_, incoming in received.items():
        held = 0
        for i, (when, amount) in enumerate(incoming):
            held += amount
            if i + 1 < len(incoming) and scene.some(0.5):
                continue
            leaving, out = when + scene.dwell(), scene.passed(held, COMMISSION)
            if collector >= 0:
                story.tell(leaving, TRANSFER, out, mule_, to=collector, phase=CASH_OUT)
                hoard.take(leaving, out)
            else:
                scene.cash_out(story, leaving, mule_, out)
            held = 0
    if hoard.amount:
        scene.cash_out(story, hoard.at + scene.dwell(), collector, hoard.amount)
