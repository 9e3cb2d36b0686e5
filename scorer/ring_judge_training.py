"""Teaching the judge of rings, from rings as they would be told.

Every revision that scores enough to be asked about is a lesson: what was known of the ring then,
and whether it turned out to be a true one, matched one to one with those that are known
(`scorer.ring_matching`). The revisions of a ring weigh as much together as those of any other.

The strengths and scores that these rings are made of have to be of judges and trees that have not
seen their history: what was learned by heart looks surer than what will be told.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graph.errors import InvalidSetting
from graph.evidence import Evidence
from graph.ring_policy import RingPolicy
from graph.rings import Ring
from scorer.booster import Booster
from scorer.fitting import BoosterSettings, regrow_booster
from scorer.ring_context import NAMES, ring_row
from scorer.ring_judge import RingJudge
from scorer.ring_matching import DetectedRing, TrueRing, f1_of, match_rings
from scorer.ring_pass import rings_told
from scorer.table import Table

TREES: Final = 250
SETTINGS: Final = BoosterSettings(
    depth=3, learning_rate=0.05, min_child_weight=3.0, feature_share=0.4
)
BOUNDS: Final = tuple(round(0.05 * step, 2) for step in range(4, 19))
"""Likelihoods, .2 to .9, of which one is chosen."""


@dataclass(frozen=True, slots=True)
class ToldCity:
    """A history whose rings can be told.

    Attributes:
        table: With its evidence as it was weighed.
        scores: float64 [R], of each row.
        true: Its true rings.
    """

    table: Table
    scores: NDArray[np.float64]
    true: Sequence[TrueRing]


@dataclass(frozen=True, slots=True)
class RingTales:
    """Revisions of rings, and what became of them; N of them.

    Attributes:
        rows: float32 [N, len(NAMES)].
        true: Whether the ring is a true one, bool [N].
        weights: The same in sum for each ring, float32 [N].
    """

    rows: NDArray[np.float32]
    true: NDArray[np.bool_]
    weights: NDArray[np.float32]


def tales_of(city: ToldCity, policy: RingPolicy) -> RingTales:
    """What a history teaches.

    Args:
        city: Its weights and scores are of those who have not seen it.
        policy: When a ring is born, and from which score on it is asked about.
    """
    seen: dict[str, list[NDArray[np.float32]]] = {}

    def tell_all(ring: Ring, evidence: Collection[Evidence]) -> float:
        seen.setdefault(ring.ring_id, []).append(ring_row(ring, evidence))
        return 1.0

    told = rings_told(city.table, city.scores, policy, tell_all).told()
    matched = {ring.ring.ring_id for ring, _ in match_rings(told, city.true)}
    # A part of a ring that was told may itself score too little to be asked about.
    lives = [
        (ring_id, seen[ring_id]) for ring_id in (r.ring.ring_id for r in told) if ring_id in seen
    ]
    return RingTales(
        np.array([row for _, rows in lives for row in rows], np.float32).reshape(-1, len(NAMES)),
        np.array([ring_id in matched for ring_id, rows in lives for _ in rows], np.bool_),
        np.array([1.0 / len(rows) for _, rows in lives for _ in rows], np.float32),
    )


def ring_trees(tales: Sequence[RingTales], seed: int) -> Booster:
    """Trees that tell true rings from false ones.

    Raises:
        InvalidSetting: All of them are true, or none is.
    """
    true = np.concatenate([each.true for each in tales])
    if true.all() or not true.any():
        raise InvalidSetting(
            "the rings of these cities are all true ones, or none is",
            field="users",
            value=f"{len(true)} revisions",
            remedy="Take more people, or more days.",
        )
    rows = np.vstack([each.rows for each in tales])
    weights = np.concatenate([each.weights for each in tales])
    return regrow_booster(rows, true, NAMES, SETTINGS, seed, TREES, weights)


def told_f1s(
    cities: Sequence[ToldCity], policy: RingPolicy, trees: Sequence[Booster]
) -> dict[float, float]:
    """F1 of the rings of all cities together, as told from each of `BOUNDS` on.

    Which rings are no news beside others is taken from telling everything.

    Args:
        cities: Histories.
        policy: When a ring is born, and from which score on it is asked about.
        trees: Of each city those that have not seen it.
    """
    judges = [RingJudge(each, policy.alert_score, BOUNDS[0]) for each in trees]
    found = [
        rings_told(city.table, city.scores, policy, judge.likelihood).told()
        for city, judge in zip(cities, judges, strict=True)
    ]
    return f1s_from(BOUNDS, found, [city.true for city in cities])


def f1s_from(
    bounds: Sequence[float],
    found: Sequence[Sequence[DetectedRing]],
    true: Sequence[Sequence[TrueRing]],
    apart: Sequence[Sequence[TrueRing]] | None = None,
) -> dict[float, float]:
    """F1 of the rings of several histories together, as told from each likelihood on."""
    f1s = {}
    for bound in bounds:
        told = [[ring for ring in some if ring.likely >= bound] for some in found]
        f1s[bound] = f1_of(told, true, apart)
    return f1s
