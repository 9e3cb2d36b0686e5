"""How a ring hides: the same story with smaller sums, more patience, a real life, other machines.

Each variant keeps the balances true: nothing leaves an account that is not there yet. Smaller
sums and waiting are what the FATF's *Professional Money Laundering* (2018) describes, mixing with
honest money what it calls commingling, changing machines what Europol's IOCTA reports.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from graph.evidence import Role
from graph.transaction import HOUR
from ingest.simulator.belongings import KIOSKS
from ingest.simulator.flows import BURST, CASH_OUT, DEPOSIT, PAYMENT, TRANSFER
from ingest.simulator.places import CITIES
from ingest.simulator.population import CONTACTS, HABITS
from ingest.simulator.rings.scene import Scene
from ingest.simulator.rings.story import AUTHORISED, DECLINED, LIFE, Row, Story

SPLIT_FROM: Final = 2_000
"""Smaller sums are left whole (minor units)."""
LONGEST_SPLIT: Final = 3 * HOUR
MOST_PARTS: Final = 4


def split(scene: Scene, story: Story) -> None:
    """Members send in two to four parts, all of them there before the receiver goes on."""
    victims = set(story.having(Role.VICTIM))
    acts: dict[int, list[float]] = {}
    for row in story.rows:
        acts.setdefault(row.user, []).append(row.at)
    told: list[Row] = []
    for row in story.rows:
        moves = row.type in (TRANSFER, DEPOSIT) and row.phase in (BURST, CASH_OUT)
        whole = row.user in victims or row.amount < SPLIT_FROM or row.outcome == DECLINED
        if not moves or whole or scene.some(0.2):
            told.append(row)
            continue
        receiver = row.to if row.type == TRANSFER else row.user
        later = [at for at in acts.get(receiver, ()) if at > row.at]
        room = min([LONGEST_SPLIT, *((at - row.at) * 0.8 for at in later)])
        count = int(scene.rng.integers(2, MOST_PARTS + 1))
        moments = np.sort(scene.rng.uniform(0, room, count))
        moments[0] = 0.0
        told += [
            Row(
                row.at + float(moment),
                row.type,
                part,
                row.user,
                row.to,
                row.merchant,
                row.device,
                row.ip,
                row.card,
                row.outcome,
                row.phase,
                row.round,
            )
            for moment, part in zip(moments, scene.parts(row.amount, count), strict=True)
        ]
    story.rows = told


def delayed(scene: Scene, story: Story) -> None:
    """Everything after the first step takes three to eight times as long."""
    patience = float(scene.rng.uniform(3, 8))
    for row in story.rows:
        if row.at > 0:
            row.at *= patience


def mixed(scene: Scene, story: Story) -> None:
    """Members add own money to what they send, and shop and pay friends in between."""
    rng, world, length = scene.rng, scene.world, story.length
    purse: dict[int, int] = {}
    for user in story.roles:
        if story.roles[user] is Role.VICTIM or user in story.sleepers:
            continue
        purse[user] = scene.money(40_000, 0.5)
        before = -float(rng.uniform(1, 30)) * HOUR
        story.tell(before, DEPOSIT, purse[user], user, outcome=AUTHORISED, phase=LIFE)
    for row in story.rows:
        own = row.type == TRANSFER and row.phase in (BURST, CASH_OUT) and row.user in purse
        if own and scene.some(0.6):
            extra = int(min(purse[row.user] * 0.3, row.amount * rng.uniform(0, 0.35)))
            row.amount += extra
            purse[row.user] -= extra
    for user, left in purse.items():
        for _ in range(int(rng.integers(2, 6))):
            # At most a sixth of what is left each time, five times.
            at, amount = float(rng.uniform(0, length)), int(left * rng.uniform(0.02, 0.16))
            friend = int(world.contacts[user, rng.integers(0, CONTACTS)])
            if amount < 100:
                continue
            if scene.some(0.7) or friend in story.roles:
                shop = int(world.habits[user, rng.integers(0, HABITS)])
                story.tell(at, PAYMENT, amount, user, merchant=shop, phase=LIFE)
            else:
                story.tell(at, TRANSFER, amount, user, to=friend, phase=LIFE)


def rotated(scene: Scene, story: Story) -> None:
    """Every step from another machine: public ones, own ones, those of the others."""
    world, rng = scene.world, scene.rng
    victims = set(story.having(Role.VICTIM))
    crew = [user for user in story.roles if user not in victims]
    hands = [*world.device[crew].tolist(), *world.second_device[crew].tolist()]
    hands += (world.kiosks + rng.integers(0, KIOSKS * len(CITIES), len(crew) + 4)).tolist()
    for row in story.rows:
        scripted = row.device >= 0
        if row.phase in (BURST, CASH_OUT) and (scripted or row.user not in victims):
            row.device = int(rng.choice(hands))
            row.ip = scene.vpn() if scene.some(0.4) else -1


EVASIONS: Final[Mapping[str, Callable[[Scene, Story], None]]] = MappingProxyType(
    {"split": split, "delayed": delayed, "mixed": mixed, "rotated": rotated}
)
