"""The judge of rings: how likely a whole ring is a true one.

The score of a ring is what its evidence says, put together as if every piece were a witness of its
own. Pieces are not: a hub that completes a dozen weak patterns scores as high as a gang. The judge
has seen whole rings, true and false ones, with everything that stands of them
(`scorer.ring_context`); its answer, the ring's `likelihood`, decides whether a ring is told. The
score stays what it is: what verdicts are made of, and what says which part of a ring is the worst.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import xxhash

from graph.errors import Incompatible
from graph.evidence import Evidence
from graph.rings import Ring
from scorer.booster import Booster
from scorer.odds import sigmoid
from scorer.ring_context import NAMES, ring_row

CONTEXT_HASH: Final = xxhash.xxh3_64_hexdigest("\x1f".join(NAMES).encode())
"""Of the columns and their order."""
_FIELD: Final = "metadata.json: judge.rings"
_REMEDY: Final = "Train the model again with this version of `ringfence train`."


@dataclass(frozen=True, slots=True)
class RingJudge:
    """Trees that weigh rings, and from which weight on one is told.

    Attributes:
        booster: The trees.
        asked: Score from which it is asked.
        told: Likelihood from which a ring is told.
    """

    booster: Booster
    asked: float
    told: float

    def likelihood(self, ring: Ring, evidence: Collection[Evidence]) -> float:
        """How likely a ring is a true one, by what stands of its evidence."""
        return sigmoid(self.booster.margin(ring_row(ring, evidence)))

    def as_json(self) -> dict[str, Any]:
        """Everything but the trees as plain JSON values."""
        return {"asked": self.asked, "told": self.told, "context_hash": CONTEXT_HASH}


def read_ring_judge(parameters: Any, trees: bytes) -> RingJudge:
    """Read what `as_json` gave, with the trees as XGBoost saved them.

    Raises:
        Incompatible: It was taught on other columns, or is no judge of rings.
    """
    try:
        bounds = float(parameters["asked"]), float(parameters["told"])
        found = parameters["context_hash"]
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(parameters) from error
    if found != CONTEXT_HASH:
        raise Incompatible(
            "the judge of rings was taught on other columns than this engine makes",
            field=_FIELD,
            value=str(found),
            remedy=_REMEDY,
        )
    if not all(0 < bound < 1 for bound in bounds):
        raise _unreadable(parameters)
    return RingJudge(Booster.from_json(trees, NAMES), *bounds)


def _unreadable(parameters: object) -> Incompatible:
    return Incompatible(
        "these are not the bounds of a judge of rings",
        field=_FIELD,
        value=repr(parameters)[:80],
        remedy=_REMEDY,
    )
