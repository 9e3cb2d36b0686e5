"""Risk memories as columns of the graph's nodes: how risky a neighbour's recent past was scored.

The blend recalls what was thought of a transaction's own parties. What it cannot see is what was
thought of those they deal with: that is what messages along edges can bring. So every node of a
tick gets the memory it had then, made from the scores of earlier transactions alone. Scores of the
past are out of fold, as they are for the head.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gnn.schema import ACCOUNT_KINDS, NODE_KINDS
from gnn.spool import Spool, Tick
from scorer.risk_kernel import TAUS
from scorer.risk_trace import RiskTrace

_HOURS: Final = tuple(tau // 3_600_000 for tau in TAUS)
_TOLD: Final = tuple(f"{what}_{hours}h" for hours in _HOURS for what in ("risk", "peak"))
ACCOUNT_COLUMNS: Final = tuple(f"{role}_{name}" for role in ("user", "other") for name in _TOLD)
"""Of a user or merchant: sum and peak of the scores it took part in, as user and as other party,
by time constant; ln(1 + x / 0.0001)."""
IDENTIFIER_COLUMNS: Final = _TOLD
"""The same of a device, address or card."""


@dataclass(frozen=True, slots=True)
class NeighbourRisk:
    """The columns of every tick (`gnn.examples.Extras`).

    Attributes:
        spool: The recording.
        trace: What its scores left behind.
        firsts: int64 [T], number of the first transaction of each tick.
    """

    spool: Spool
    trace: RiskTrace
    firsts: NDArray[np.int64]

    @classmethod
    def of(
        cls, spool: Spool, places: NDArray[np.int64], scores: NDArray[np.float64]
    ) -> "NeighbourRisk":
        """Remember the scores of a recorded history.

        Args:
            spool: The recording.
            places: int64 [R], ascending: places of the scored transactions in the stream.
            scores: float64 [R], probabilities; NaN where one was not scored.
        """
        ticks = [spool.rows(number) for number in range(len(spool))]
        none = np.zeros((0, 10), np.int64)
        who = np.concatenate([none, *(np.hstack([t.parties, t.generations]) for t in ticks)])
        times = np.concatenate([none[:, 0], *(tick.times for tick in ticks)])
        place = np.concatenate([none[:, 0], *(tick.places for tick in ticks)])
        at = np.minimum(np.searchsorted(places, place), max(len(places) - 1, 0))
        known = np.full(len(place), np.nan)
        if len(places):
            known = np.where(places[at] == place, scores[at], np.nan)
        firsts = np.cumsum([0, *(len(tick.places) for tick in ticks)])[:-1]
        return cls(spool, RiskTrace.of(who, times, known), firsts.astype(np.int64))

    def __call__(self, tick: Tick) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Columns by account id and by identifier id, as of a tick."""
        number, ids = int(self.firsts[tick.number]), tick.subgraph.ids
        accounts, identifiers = (
            np.concatenate([ids[kind] for kind in NODE_KINDS if (kind in ACCOUNT_KINDS) == of])
            for of in (True, False)
        )
        return (
            self.trace.accounts.told(accounts, number, tick.as_of),
            self.trace.identifiers.told(identifiers, number, tick.as_of),
        )
