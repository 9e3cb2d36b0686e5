"""What a storyteller works with: the world, who can be cast, and how money and time behave."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from graph.transaction import HOUR, MINUTE, SECOND
from ingest.simulator.flows import CASH_OUT, DEPOSIT, PAYMENT, TRANSFER, WARM_UP, WITHDRAWAL
from ingest.simulator.habits import priced
from ingest.simulator.market import ONLINE
from ingest.simulator.places import RESALE_CATEGORIES
from ingest.simulator.population import VPN_POOL, World, vpn_ip
from ingest.simulator.rings.cast import Cast
from ingest.simulator.rings.story import AUTHORISED, Story, warm_up_time

Ints = npt.NDArray[np.int64]

LARGEST_CASH: Final = (20_000, 30_000, 40_000, 50_000, 60_000)
"""Limits of one visit to the machine, minor units."""
ANYTHING: Final = 0.5
"""How likely goods are that cannot be sold again, beside those that can."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where one story is made up.

    Attributes:
        rng: Its randomness.
        world: Who exists.
        cast: Who can be recruited or robbed.
        invented: The identities made up for this ring, none for most kinds.
    """

    rng: np.random.Generator
    world: World
    cast: Cast
    invented: tuple[int, ...] = ()

    def size(self, least: int, most: int, typical: float) -> int:
        """A size between the two, geometric above the least: most rings are small."""
        spare = int(self.rng.geometric(1 / max(typical - least + 1, 1.0))) - 1
        return min(least + spare, most)

    def money(self, median: float, sigma: float) -> int:
        """An amount in minor units as people name it, at least 1.00."""
        cents = int(max(100.0, median * float(np.exp(self.rng.normal(0.0, sigma)))))
        unit = (1_000, 500, 100, 1)[int(self.rng.choice(4, p=(0.25, 0.15, 0.25, 0.35)))]
        return cents // unit * unit if cents >= 2 * unit else cents // 100 * 100

    def price(self, median: float, sigma: float) -> int:
        """What somebody pays at a shop, in minor units, as price tags have it; at least 0.50."""
        return int(priced(self.rng, median * np.exp(self.rng.normal(0.0, sigma, 1)))[0])

    def passed(self, amount: int, retained: tuple[float, float] | None = None) -> int:
        """What is passed on by someone who keeps a share between the two, never less or more."""
        least, most = self.world.config.retained if retained is None else retained
        passed = int(amount * (1 - self.rng.uniform(least, most)))
        # Whole units look like what people send; only where the share allows it.
        whole = passed // 100 * 100
        if self.rng.random() < 0.5 and whole >= amount * (1 - most):
            passed = whole
        return max(passed, math.ceil(amount * (1 - most)))

    def parts(self, amount: int, count: int) -> list[int]:
        """`amount` in `count` uneven parts of at least one unit each; they sum to it exactly."""
        share = self.rng.dirichlet(np.full(count, 4.0))[:-1]
        part = [max(int(amount * each), 1) for each in share]
        return [*part, max(amount - sum(part), 1)]

    def gap(self, median: float, sigma: float = 1.0, most: float = 12 * HOUR) -> float:
        """Time between two steps, log-normal, at least 20 seconds."""
        return float(np.clip(self.rng.lognormal(np.log(median), sigma), 20 * SECOND, most))

    def dwell(self) -> float:
        """How long stolen money rests: a median of forty minutes, sometimes half a day."""
        return float(np.clip(self.rng.lognormal(np.log(40 * MINUTE), 1.0), MINUTE, 12 * HOUR))

    def some(self, chance: float) -> bool:
        """True with this chance."""
        return bool(self.rng.random() < chance)

    def vpn(self) -> int:
        """An address of the VPN that honest people use too."""
        return int(vpn_ip(self.world, self.rng.integers(0, VPN_POOL, 1))[0])

    def shops(self, count: int) -> list[int]:
        """Online merchants by popularity; most sell goods that can be sold again."""
        online = np.arange(*self.world.market.aisle[ONLINE : ONLINE + 2])
        weight = np.diff(self.world.market.shelf)[online]
        resale = np.isin(self.world.market.category[online], RESALE_CATEGORIES)
        weight = np.where(resale, weight, weight * ANYTHING)
        return [int(shop) for shop in self.rng.choice(online, count, p=weight / weight.sum())]

    def tests(self, story: Story, giver: int, taker: int, chance: float, days: float = 6) -> None:
        """Perhaps a small transfer that tries the way out, some days before."""
        if self.some(chance):
            at = warm_up_time(self.rng, days)
            story.tell(at, TRANSFER, self.money(900, 0.6), giver, to=taker, phase=WARM_UP)

    def funds(self, story: Story, user: int, amount: int) -> None:
        """Money from outside the bank, hours before it is needed; it did arrive."""
        at = -float(self.rng.uniform(0.5, 20.0)) * HOUR
        story.tell(at, DEPOSIT, amount, user, outcome=AUTHORISED, phase=WARM_UP)

    def cash_out(self, story: Story, at: float, user: int, amount: int) -> None:
        """Out of the graph: cash in a few visits, or goods that can be sold again."""
        goods = self.some(0.4)
        shop, limit = self.shops(1)[0], int(self.rng.choice(LARGEST_CASH))
        for _ in range(int(self.rng.integers(1, 4))):
            piece = int(amount * self.rng.uniform(0.35, 0.9))
            if goods and piece >= 500:
                story.tell(at, PAYMENT, piece, user, merchant=shop, phase=CASH_OUT)
            elif not goods and piece >= 1_000:
                piece = min(piece // 1_000 * 1_000, limit)
                story.tell(at, WITHDRAWAL, piece, user, phase=CASH_OUT)
            else:
                return
            amount -= piece
            at += self.rng.exponential(18 * MINUTE) + MINUTE
