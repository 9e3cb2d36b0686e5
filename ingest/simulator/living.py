"""Everything that happens, one period after the other, in event-time order.

What a period begins and a later one ends (a refund, a rent, a sale's takings) is carried over, so
that memory is that of the world, the rings and one period, however long the simulated time is.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ingest.simulator.customs import settle_customs
from ingest.simulator.firms import of_firms
from ingest.simulator.flows import Flows, stacked
from ingest.simulator.friends import among_friends
from ingest.simulator.habits import lives
from ingest.simulator.names import permuted
from ingest.simulator.occasions import occasions
from ingest.simulator.periods import periods
from ingest.simulator.population import World

Ints = npt.NDArray[np.int64]


def happened(
    rng: np.random.Generator, world: World, planned: Flows
) -> Iterator[tuple[Flows, Ints]]:
    """Life and what is planned: the rows of each period, and the open groups (look-alikes).

    Open groups are those that have rows in later periods, sorted, int64[n].

    Time: O(n log n) of the period's rows each; memory: O(rows of a period and of rings).
    """
    customs = settle_customs(rng.spawn(1)[0], world)
    waiting = planned
    for period in periods(world.config):
        # A stream of randomness for each period: what it has does not hang on the one before.
        living = rng.spawn(1)[0]
        waiting = stacked(
            [
                waiting,
                *lives(living, world, period),
                *among_friends(living, world, period),
                *of_firms(living, world, customs, period),
                *occasions(living, world, customs, period),
            ]
        )
        due = waiting.time < period.end
        now, waiting = waiting.take(due), waiting.take(~due)
        yield _possible(world, now), np.unique(waiting.group[waiting.group >= 0])


def _possible(world: World, flows: Flows) -> Flows:
    """Rows within the simulated time between accounts that exist and are awake, in order.

    Rows of one instant stand in random-looking order: by a permutation of their time and user,
    so that the order in which the parts were made does not show.
    """
    user = flows.user
    other = np.where(flows.counterparty >= 0, flows.counterparty, user)
    open_ = (flows.time >= world.created_at[user]) & (flows.time >= world.created_at[other])
    awake = (flows.time >= world.asleep_until[user]) & (flows.time >= world.asleep_until[other])
    inside = (flows.time >= world.config.start) & (flows.time < world.config.end)
    can = open_ & (awake | (flows.ring >= 0)) & inside & (flows.counterparty != user)
    kept = flows.take(can)
    tie = permuted(kept.user, bits=32, seed=world.config.seed, space=1).astype(np.int64)
    return kept.take(np.lexsort((tie, kept.time)))
