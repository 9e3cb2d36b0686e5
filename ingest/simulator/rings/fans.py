"""Stars: many pay one, one pays many, and cash brought in just under the reporting threshold.

Fan-in and fan-out are patterns of Altman et al. (2023) after Suzumura and Kanezashi (2018).
Structuring ("smurfing") is 31 USC 5324 and a red flag of the FATF: several people bring in cash in
amounts just under what must be reported (10,000) and one account gathers it.
"""

from typing import Final

from graph.evidence import Role
from graph.transaction import DAY, HOUR, MINUTE
from ingest.simulator.flows import CASH_OUT, DEPOSIT, TRANSFER
from ingest.simulator.rings.cast import EUR
from ingest.simulator.rings.mules import COMMISSION
from ingest.simulator.rings.scene import Scene
from ingest.simulator.rings.story import AUTHORISED, Purse, Story

REPORTED_FROM: Final = 1_000_000
"""Cash of 10,000 and more must be reported (minor units)."""


def fan_in(scene: Scene) -> Story:
    """Many victims of one tale pay one account within a day or two; it takes the money out."""
    rng, story = scene.rng, Story()
    people = scene.cast.members(1 + int(scene.some(0.4)))
    collector, exit_ = people[0], people[-1]
    victims = scene.cast.victims(scene.size(6, 22, 10))
    story.cast(Role.MULE, collector)
    story.cast(Role.CASH_OUT, exit_)
    story.cast(Role.VICTIM, *victims)
    scene.tests(story, collector, victims[0], 0.4)
    typical, pace = scene.money(18_000, 0.7), float(rng.choice([20, 60, 150])) * MINUTE
    hoard, at = Purse(), 0.0
    for victim in victims:
        amount = scene.money(typical, 0.45)
        story.tell(at, TRANSFER, amount, victim, to=collector)
        hoard.take(at, amount)
        at += float(rng.exponential(pace)) + MINUTE
    leaving = hoard.at + scene.dwell()
    if exit_ != collector:
        out = scene.passed(hoard.amount, COMMISSION)
        story.tell(leaving, TRANSFER, out, collector, to=exit_, phase=CASH_OUT)
        scene.cash_out(story, leaving + scene.dwell(), exit_, out)
    else:
        scene.cash_out(story, leaving, collector, hoard.amount)
    return story


def fan_out(scene: Scene) -> Story:
    """One account gets dirty money and spreads it over many, each of which takes its part out."""
    rng, story = scene.rng, Story()
    people = scene.cast.members(1 + scene.size(5, 11, 7))
    source, receivers = people[0], people[1:]
    story.cast(Role.CONTROLLER, source)
    story.cast(Role.RECEIVER, *receivers)
    pot = scene.money(24_000, 0.6) * len(receivers)
    scene.funds(story, source, pot)
    scene.tests(story, source, receivers[0], 0.5)
    pace = float(rng.choice([4, 20, 60])) * MINUTE
    at = 0.0
    for receiver, part in zip(receivers, scene.parts(pot, len(receivers)), strict=True):
        amount = scene.passed(part, (0.0, 0.15))
        story.tell(at, TRANSFER, amount, source, to=receiver)
        if scene.some(0.8):
            scene.cash_out(story, at + scene.dwell(), receiver, amount)
        at += float(rng.exponential(pace)) + 30_000
    return story


def structuring(scene: Scene) -> Story:
    """Smurfs bring in cash just under the threshold, day after day, and send it to one account."""
    rng, story = scene.rng, Story()
    # The threshold is told in the base currency, so the smurfs bank in it.
    people = scene.cast.members(1 + scene.size(1, 6, 2.5), code=EUR)
    collector, smurfs = people[0], people[1:]
    story.cast(Role.CONTROLLER, collector)
    story.cast(Role.SENDER, *smurfs)
    for smurf in smurfs:
        scene.tests(story, smurf, collector, 0.4)
    hoard, at = Purse(), 0.0
    for _ in range(scene.size(2, 8, 4)):
        smurf = smurfs[int(rng.integers(0, len(smurfs)))]
        amount = _just_under(scene)
        story.tell(at, DEPOSIT, amount, smurf, outcome=AUTHORISED)
        sent = at + scene.gap(3 * HOUR)
        out = scene.passed(amount, (0.0, 0.05))
        story.tell(sent, TRANSFER, out, smurf, to=collector)
        hoard.take(sent, out)
        at += float(rng.exponential(9 * HOUR)) + 20 * MINUTE
    scene.cash_out(story, hoard.at + scene.gap(5 * HOUR, most=DAY), collector, hoard.amount)
    return story


def _just_under(scene: Scene) -> int:
    """Mostly within a tenth of the threshold, some as banknotes come, some a good deal less."""
    share = 1 - float(scene.rng.beta(1.2, 9.0)) * 0.6
    amount = int(REPORTED_FROM * share)
    amount -= amount % (10_000 if scene.some(0.5) else 1_000)
    return min(amount, REPORTED_FROM - 1_000)
