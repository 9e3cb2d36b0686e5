"""The judge of evidence: how likely it is that a piece of evidence shows fraud.

A heuristic's own strength says how well the pattern fits. The judge has learned from labels who
shows which pattern without being a fraud: its answer, a probability, takes the place of the
strength, and the heuristic's is kept as the fact `rule_strength`. From it rings are born and told,
and the verdict's reasons take their weight. What is blocked stays as it is: that is an order, not
an observation.

Trees over the context of a piece (`scorer.evidence_context.NAMES`) and its facts. A fact that the
judge was not taught is not looked at; one that is not told is unknown to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
import xxhash
from msgspec import structs
from numpy.typing import NDArray

from graph.errors import Incompatible
from graph.evidence import RULE_STRENGTH, SEEN, Evidence, Pattern
from graph.ring_book import Likelihood
from graph.ring_policy import RingPolicy
from graph.transaction import DAY
from scorer.booster import Booster
from scorer.evidence_context import NAMES
from scorer.odds import sigmoid
from scorer.ring_judge import RingJudge, read_ring_judge

CONTEXT_HASH: Final = xxhash.xxh3_64_hexdigest("\x1f".join((*NAMES, *SEEN)).encode())
"""Of the columns of a context row and their order, and of the numbers of the patterns."""
EXPIRE_AFTER: Final = 30 * DAY
"""A ring of judged evidence is remembered this long: farms and bust-outs take weeks, and what is
shown to be fraud should not be forgotten like a shape in the crowd."""
_REMEDY: Final = "Train the model again with this version of `ringfence train`."


@dataclass(frozen=True, slots=True)
class EvidenceJudge:
    """Trees that weigh evidence, and from which weight on it makes rings.

    Attributes:
        facts: Names of the facts it looks at, in the order of its columns after the context.
        booster: The trees.
        birth: Probability from which evidence bears a ring and brings in members; less likely
            evidence is no part of one that is told.
        alert: Score from which a ring is told where there is no judge of rings.
        of_rings: The judge of rings, which has bounds of its own.
    """

    facts: tuple[str, ...]
    booster: Booster
    birth: float
    alert: float
    of_rings: RingJudge | None = None

    def weigh(
        self, pieces: Sequence[Evidence], contexts: NDArray[np.float32]
    ) -> tuple[Evidence, ...]:
        """The pieces with the probability of fraud for their strength.

        Args:
            pieces: As the heuristics told them.
            contexts: float32 [pieces, len(NAMES)], their context rows.
        """
        margins = self.booster.margins(judged_rows(pieces, contexts, self.facts))
        return tuple(map(judged, pieces, map(sigmoid, margins.tolist())))

    def rings(self, policy: RingPolicy) -> RingPolicy:
        """The policy with this judge's bounds instead of those for rules' strengths."""
        if self.of_rings is None:
            return ring_policy(policy, self.birth, self.alert)
        asked = ring_policy(policy, self.birth, max(self.birth, self.of_rings.asked))
        return replace(asked, alert_likelihood=self.of_rings.told)

    @property
    def likelihood(self) -> Likelihood | None:
        """How likely rings are true ones, by the judge of rings; None without one."""
        return None if self.of_rings is None else self.of_rings.likelihood

    def as_json(self) -> dict[str, Any]:
        """Everything but the trees as plain JSON values."""
        return {
            "facts": self.facts,
            "birth": self.birth,
            "alert": self.alert,
            "context_hash": CONTEXT_HASH,
            "rings": None if self.of_rings is None else self.of_rings.as_json(),
        }


def ring_policy(policy: RingPolicy, birth: float, alert: float) -> RingPolicy:
    """A policy for evidence whose strengths are probabilities."""
    return replace(
        policy,
        birth=birth,
        joins=birth,
        alert_score=alert,
        expire_after=max(policy.expire_after, EXPIRE_AFTER),
    )


def judged(piece: Evidence, probability: float) -> Evidence:
    """A piece with a judge's probability for its strength; one about what is blocked as it is."""
    if piece.pattern is Pattern.BLOCKED:
        return piece
    facts = {**piece.facts, RULE_STRENGTH: piece.strength}
    return structs.replace(piece, strength=probability, facts=facts)


def judged_rows(
    pieces: Sequence[Evidence], contexts: NDArray[np.float32], facts: Sequence[str]
) -> NDArray[np.float32]:
    """What a judge looks at: context, then facts, float32 [pieces, contexts + facts]."""
    begin = contexts.shape[1]
    places = _places(tuple(facts), begin)
    rows = np.full((len(pieces), begin + len(facts)), np.nan, np.float32)
    rows[:, :begin] = contexts
    for piece, row in zip(pieces, rows, strict=True):
        for name, value in piece.facts.items():  # a few, of the many that there are
            if name in places:
                row[places[name]] = value
    return rows


@lru_cache(maxsize=8)
def _places(facts: tuple[str, ...], begin: int) -> Mapping[str, int]:
    """Columns of the facts by name: the same ones, for each of a judge's pieces."""
    return {name: place for place, name in enumerate(facts, begin)}


def read_judge(
    parameters: dict[str, Any], trees: bytes, ring_trees: bytes | None = None
) -> EvidenceJudge:
    """Read what `as_json` gave, with the trees as XGBoost saved them.

    Args:
        parameters: What it gave.
        trees: Those of the evidence.
        ring_trees: Those of the judge of rings, where there is one.

    Raises:
        Incompatible: It was taught on other columns, or is no judge.
    """
    try:
        facts = tuple(str(name) for name in parameters["facts"])
        bounds = float(parameters["birth"]), float(parameters["alert"])
        found, of_rings = parameters["context_hash"], parameters.get("rings")
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(parameters) from error
    if found != CONTEXT_HASH:
        raise Incompatible(
            "the judge of evidence was taught on another context than this engine makes",
            field="metadata.json: judge",
            value=str(found),
            remedy=_REMEDY,
        )
    if not all(0 < bound < 1 for bound in bounds):
        raise _unreadable(parameters)
    if (of_rings is None) != (ring_trees is None):
        raise _unreadable(parameters)
    rings = None if ring_trees is None else read_ring_judge(of_rings, ring_trees)
    booster = Booster.from_json(trees, (*NAMES, *map(column_of, facts)))
    return EvidenceJudge(facts, booster, *bounds, rings)


def column_of(fact: str) -> str:
    """Name of a fact's column: facts and context share some."""
    return f"fact_{fact}"


def _unreadable(parameters: object) -> Incompatible:
    return Incompatible(
        "these are not the bounds of a judge",
        field="metadata.json: judge",
        value=repr(parameters)[:80],
        remedy=_REMEDY,
    )
