"""The blend: one probability from the model, the rings and the evidence.

With a model it is a logistic stack learned on a later slice: the model's calibrated log-odds, the
score of the strongest ring touched and the joint strength of the evidence add up. Without one,
rules and heuristics answer alone, by the noisy-or of their strengths.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from graph.errors import Incompatible
from graph.evidence import Evidence
from scorer.odds import log_odds, sigmoid

FLOOR: Final = 0.001
"""Fraud rate assumed without a model and without evidence: the lower end of card fraud, 0.1 %."""
RING_SHARE: Final = 0.03
"""What a ring's score counts without a model: with the default costs, a connection alone is just
not worth a step-up."""
EVIDENCE_SHARE: Final = 0.5
"""What a strength counts without a model: one pattern asks for a step-up, two independent strong
ones decline. Strengths rank evidence; only a trained blend makes them probabilities."""
_CEILING: Final = 0.999


def joint_strength(evidence: Sequence[Evidence]) -> float:
    """Noisy-or of the strengths: 1 minus the chance that every piece is innocent, 0 to 0.999.

    Pieces count as independent, which overstates evidence that shares a cause; the ceiling keeps
    any amount of it short of certainty.
    """
    innocent = 1.0
    for piece in evidence:
        innocent *= 1.0 - piece.strength
    return min(1.0 - innocent, _CEILING)


def without_model(ring_score: float, evidence: Sequence[Evidence]) -> float:
    """Probability from rules and heuristics alone, from `FLOOR` up to 0.999."""
    innocent = (1.0 - FLOOR) * (1.0 - RING_SHARE * ring_score)
    for piece in evidence:
        innocent *= 1.0 - EVIDENCE_SHARE * piece.strength
    return min(1.0 - innocent, _CEILING)


class Term(NamedTuple):
    """One of the terms that the stack adds up, in log-odds.

    Attributes:
        name: "intercept", "model", "ring" or "evidence".
        value: What is weighed: the model's calibrated log-odds, the ring score, the joint strength.
        weight: Its weight.
    """

    name: str
    value: float
    weight: float

    @property
    def added(self) -> float:
        """Log-odds it adds to the score."""
        return self.weight * self.value


@dataclass(frozen=True, slots=True)
class Blend:
    """Weights of the stack, in log-odds; ring and evidence never count against fraud.

    The default takes the model at its word and adds nothing: it is what is left when the later
    slice cannot carry a fit.

    Attributes:
        intercept: Added always.
        model: Times the model's calibrated log-odds; above 0.
        ring: Times the ring score, 0 to 1; at least 0.
        evidence: Times the joint strength of the evidence, 0 to 1; at least 0.
    """

    intercept: float = 0.0
    model: float = 1.0
    ring: float = 0.0
    evidence: float = 0.0

    def apply(
        self, model_probability: float | None, ring_score: float, evidence: Sequence[Evidence]
    ) -> float:
        """Probability of fraud, strictly between 0 and 1.

        Args:
            model_probability: Calibrated, strictly between 0 and 1; None where no model answered.
            ring_score: Of the strongest ring touched; 0 where there is none.
            evidence: What the transaction completed.
        """
        if model_probability is None:
            return without_model(ring_score, evidence)
        joint = joint_strength(evidence) if evidence else 0.0
        return self.combine(log_odds(model_probability), ring_score, joint)

    def combine(self, model_log_odds: float, ring_score: float, joint: float) -> float:
        """Probability of fraud from the three numbers the stack adds up."""
        return sigmoid(
            self.intercept
            + self.model * model_log_odds
            + self.ring * ring_score
            + self.evidence * joint
        )

    def terms(
        self, model_log_odds: float, ring_score: float, evidence: Sequence[Evidence]
    ) -> tuple[Term, ...]:
        """What `apply` adds up to the log-odds of its answer, where a model answered."""
        joint = joint_strength(evidence) if evidence else 0.0
        return (
            Term("intercept", 1.0, self.intercept),
            Term("model", model_log_odds, self.model),
            Term("ring", ring_score, self.ring),
            Term("evidence", joint, self.evidence),
        )

    def as_json(self) -> dict[str, float]:
        """The weights as plain JSON values."""
        return {
            "intercept": self.intercept,
            "model": self.model,
            "ring": self.ring,
            "evidence": self.evidence,
        }


def read_blend(parameters: Mapping[str, Any]) -> Blend:
    """Read what `as_json` gave.

    Raises:
        Incompatible: It is not that, or a weight has the wrong sign.
    """
    try:
        blend = Blend(**{name: float(value) for name, value in parameters.items()})
    except (AttributeError, TypeError, ValueError) as error:
        raise _unreadable(parameters) from error
    finite = all(math.isfinite(weight) for weight in blend.as_json().values())
    if (
        not finite
        or len(parameters) != 4
        or blend.model <= 0
        or min(blend.ring, blend.evidence) < 0
    ):
        raise _unreadable(parameters)
    return blend


def _unreadable(parameters: Mapping[str, Any]) -> Incompatible:
    return Incompatible(
        "these are not the weights of a blend",
        field="metadata.json: blend",
        value=repr(parameters)[:80],
        remedy="Train the model again with this version of `ringfence train`.",
    )
