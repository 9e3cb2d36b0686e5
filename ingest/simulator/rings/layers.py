"""Layering: money that moves through stages of accounts, each of which waits for what it passes on.

Scatter-gather, gather-scatter, bipartite and stack are the patterns of Altman et al. (2023),
*Realistic Synthetic Financial Transactions for Anti-Money Laundering Models*; a chain is plain
layering as the FATF describes it: account to account, a little kept at every hop.
"""

from collections.abc import Sequence
from itertools import pairwise

from graph.evidence import Role
from graph.transaction import HOUR, MINUTE
from ingest.simulator.flows import TRANSFER
from ingest.simulator.rings.scene import Scene
from ingest.simulator.rings.story import Purse, Story


def scatter_gather(scene: Scene) -> Story:
    """One account spreads money over some others, which send it to a second one."""
    story = Story()
    people = scene.cast.members(2 + scene.size(3, 8, 4.5))
    source, sink, between = people[0], people[1], people[2:]
    story.cast(Role.CONTROLLER, source)
    story.cast(Role.MULE, *between)
    story.cast(Role.CASH_OUT, sink)
    first = _placed_money(scene, story, [source], 28_000 * len(between), between[0])
    second = _layer(scene, story, first, between)
    _out(scene, story, _layer(scene, story, second, [sink]))
    return story


def gather_scatter(scene: Scene) -> Story:
    """Some accounts, robbed or hired, pay one, which spreads what it got over some others."""
    rng, story = scene.rng, Story()
    paying, paid = scene.size(3, 7, 4.5), scene.size(3, 6, 4)
    robbed = scene.some(0.5)
    people = scene.cast.members(1 + paid + (0 if robbed else paying))
    hub, targets, hired = people[0], people[1 : 1 + paid], people[1 + paid :]
    story.cast(Role.CONTROLLER, hub)
    story.cast(Role.RECEIVER, *targets)
    if robbed:
        victims = scene.cast.victims(paying)
        story.cast(Role.VICTIM, *victims)
        gathered, at = Purse(), 0.0
        for victim in victims:
            amount = scene.money(20_000, 0.7)
            story.tell(at, TRANSFER, amount, victim, to=hub)
            gathered.take(at, amount)
            at += float(rng.exponential(35 * MINUTE)) + MINUTE
        middle = {hub: gathered}
    else:
        story.cast(Role.SENDER, *hired)
        middle = _layer(scene, story, _placed_money(scene, story, hired, 20_000, hub), [hub])
    _out(scene, story, _layer(scene, story, middle, targets))
    return story


def bipartite(scene: Scene) -> Story:
    """Every source pays nearly every target, in amounts that look unlike each other."""
    story = Story()
    sources, targets = scene.size(2, 4, 3), scene.size(3, 6, 4)
    people = scene.cast.members(sources + targets)
    story.cast(Role.SENDER, *people[:sources])
    story.cast(Role.RECEIVER, *people[sources:])
    first = _placed_money(scene, story, people[:sources], 40_000, people[-1])
    _out(scene, story, _layer(scene, story, first, people[sources:], missing=0.1))
    return story


def stack(scene: Scene) -> Story:
    """Bipartite layers one behind the other: three, sometimes four."""
    story = Story()
    sizes = [scene.size(2, 3, 2.4)] + [
        scene.size(2, 4, 2.7) for _ in range(2 + int(scene.some(0.3)))
    ]
    sizes[-1] = min(sizes[-1], 13 - sum(sizes[:-1]))
    people = scene.cast.members(sum(sizes))
    layers: list[list[int]] = []
    for size in sizes:
        begin = sum(len(layer) for layer in layers)
        layers.append(people[begin : begin + size])
    story.cast(Role.SENDER, *layers[0])
    story.cast(Role.RECEIVER, *layers[-1])
    story.cast(Role.MULE, *people)
    held = _placed_money(scene, story, layers[0], 50_000, layers[1][0])
    for layer in layers[1:]:
        held = _layer(scene, story, held, layer, missing=0.15)
    _out(scene, story, held)
    return story


def chain(scene: Scene) -> Story:
    """Account to account to account, four hops or more, a little kept at each."""
    story = Story()
    people = scene.cast.members(1 + scene.size(4, 8, 5))
    story.cast(Role.CONTROLLER, people[0])
    story.cast(Role.CASH_OUT, people[-1])
    story.cast(Role.MULE, *people)
    pot = max(5_000, scene.money(32_000, 0.9))
    scene.funds(story, people[0], pot)
    scene.tests(story, people[0], people[1], 0.4)
    pace = float(scene.rng.choice([10, 40, 150])) * MINUTE
    at, amount = 0.0, pot
    for hop, (giver, taker) in enumerate(pairwise(people)):
        amount = amount if hop == 0 else scene.passed(amount)
        story.tell(at, TRANSFER, amount, giver, to=taker)
        at += scene.gap(pace)
    scene.cash_out(story, at, people[-1], amount)
    return story


def _placed_money(
    scene: Scene, story: Story, people: Sequence[int], median: float, toward: int
) -> dict[int, Purse]:
    """Dirty money is paid in at each of these accounts before the burst, and a way is tried."""
    held = {}
    for person in people:
        amount = max(5_000, scene.money(median, 0.6))
        scene.funds(story, person, amount)
        held[person] = Purse(amount, 0.0)
        scene.tests(story, person, toward, 0.3)
    return held


def _layer(
    scene: Scene,
    story: Story,
    held: dict[int, Purse],
    takers: Sequence[int],
    *,
    missing: float = 0.0,
) -> dict[int, Purse]:
    """Each holder, once it has all its money, pays its part to each taker; O(holders x takers).

    A giver leaves out each taker with the chance `missing`, at most a third of them.

    Returns:
        What each taker then holds; one who got nothing is not in it.
    """
    received: dict[int, Purse] = {}
    pace = float(scene.rng.choice([6, 20, 60])) * MINUTE
    for giver, purse in held.items():
        left_out = [taker for taker in takers if scene.some(missing)][: len(takers) // 3]
        chosen = [taker for taker in takers if taker not in left_out]
        at = purse.at + scene.gap(30 * MINUTE, most=6 * HOUR)
        out = scene.passed(purse.amount)
        for taker, part in zip(chosen, scene.parts(out, len(chosen)), strict=True):
            story.tell(at, TRANSFER, part, giver, to=taker)
            received.setdefault(taker, Purse()).take(at, part)
            at += float(scene.rng.exponential(pace)) + 20_000
    return received


def _out(scene: Scene, story: Story, held: dict[int, Purse]) -> None:
    for person, purse in held.items():
        if len(held) == 1 or scene.some(0.7):
            scene.cash_out(story, purse.at + scene.dwell(), person, purse.amount)
