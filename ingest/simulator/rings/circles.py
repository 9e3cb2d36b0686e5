"""Money that comes home: laundering cycles.

As in AMLSim (Suzumura and Kanezashi, 2018): every account keeps a margin and passes the rest on.
"""

from typing import Final

from graph.evidence import Role
from graph.transaction import DAY, HOUR, MINUTE
from ingest.simulator.flows import TRANSFER, WARM_UP
from ingest.simulator.rings.scene import Scene
from ingest.simulator.rings.story import Story

LONGEST_GAP: Final = 4 * HOUR
"""Between two hops of a cycle: six of them stay within a day."""


def cycle(scene: Scene) -> Story:
    """Three to six accounts pass a pot around, once to four times; each keeps its share."""
    rng, world, story = scene.rng, scene.world, Story()
    length = int(rng.choice([3, 4, 5, 6], p=(0.35, 0.30, 0.20, 0.15)))
    members = scene.cast.members(length)
    story.cast(Role.CONTROLLER, members[0])
    story.cast(Role.MEMBER, *members)
    # In some rings somebody runs several of the accounts from one phone.
    run_by_one = set(members[: int(rng.integers(2, length + 1))] if scene.some(0.4) else ())
    hand = int(world.device[members[0]])
    pot = max(2_000, scene.money(26_000, 0.9))
    for _ in range(int(rng.integers(1, 4))):
        giver = int(rng.integers(0, length))
        at = -rng.uniform(0.3, 5.0) * DAY
        to = members[(giver + 1) % length]
        story.tell(at, TRANSFER, scene.money(900, 0.6), members[giver], to=to, phase=WARM_UP)
    scene.funds(story, members[0], pot)
    at, amount, kept = 0.0, pot, dict.fromkeys(members, 0)
    for round_ in range(1 + min(int(rng.poisson(0.9)), 3)):
        for hop, giver in enumerate(members):
            passed = amount if hop == 0 else scene.passed(amount)
            kept[giver] += amount - passed
            amount = passed
            story.tell(
                at,
                TRANSFER,
                amount,
                giver,
                to=members[(hop + 1) % length],
                device=hand if giver in run_by_one else -1,
                round_=round_,
            )
            at += scene.gap(25 * MINUTE, most=LONGEST_GAP)
        at += 0.5 * HOUR + rng.exponential(9 * HOUR)
    scene.cash_out(story, at, members[0], amount)
    for giver in members[1:]:
        if kept[giver] >= 2_000 and rng.random() < 0.4:
            scene.cash_out(story, at + float(rng.exponential(6 * HOUR)), giver, kept[giver])
    return story
