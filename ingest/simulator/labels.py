"""What becomes known, and when: frauds are reported days later, some things never are."""

import numpy as np
import numpy.typing as npt

from graph.transaction import DAY, HOUR
from ingest.simulator.config import SimulationConfig
from ingest.simulator.flows import WARM_UP, Flows

Ints = npt.NDArray[np.int64]


def labelled(rng: np.random.Generator, config: SimulationConfig, flows: Flows) -> tuple[Ints, Ints]:
    """(fraud: 1, 0 or -1 where nobody knows; known_at: epoch milliseconds), both int64[n].

    Nobody reports the small transfers and deposits by which a ring warms up: they stay unknown,
    like a random share of everything else.
    """
    count = len(flows)
    guilty = (flows.ring >= 0) & (flows.phase != WARM_UP)
    reported = config.label_delay_days * DAY * np.exp(rng.standard_normal(count) * 0.8)
    settled = config.settle_days * DAY + rng.random(count) * 12 * HOUR
    known_at = flows.time + np.where(guilty, reported + HOUR, settled).astype(np.int64)
    unknown = rng.random(count) < config.unlabelled_share
    unknown |= (flows.ring >= 0) & (flows.phase == WARM_UP)
    return np.where(unknown, -1, guilty.astype(np.int64)), known_at
