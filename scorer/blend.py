"""The blend: one probability from the model, the rings and the evidence.

With a model it is a logistic stack learned on scores of rows the model had not seen: its calibrated
log-odds, what is recalled of the parties' recent scores (`scorer.risk_memory`), the score of the
strongest ring touched and the joint strength of the evidence add up. Without a model, rules and
heuristics answer alone, by the noisy-or of their strengths.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.errors import Incompatible
from graph.evidence import Evidence
from scorer.odds import log_odds, sigmoid
from scorer.risk_kernel import PLACES, STATISTICS, TAUS, WIDTH

FLOOR: Final = 0.001
"""Fraud rate assumed without a model and without evidence: the lower end of card fraud, 0.1 %."""
RING_SHARE: Final = 0.03
"""What a ring's score counts without a model: with the default costs, a connection alone is just
not worth a step-up."""
EVIDENCE_SHARE: Final = 0.5
"""What a strength counts without a model: one pattern asks for a step-up, two independent strong
ones decline. Strengths rank evidence; only a trained blend makes them probabilities."""
_CEILING: Final = 0.999
_PLAIN: Final = ("intercept", "model", "ring", "evidence")


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
        name: "intercept", "model", "ring", "evidence", "recent_own", "recent_others" or "gnn".
        value: What is weighed: the model's calibrated log-odds, the ring score, the joint strength,
            log-odds of what is recalled, log-odds of the graph model.
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

    The default takes the model at its word and adds nothing: it is what is left when the rows
    cannot carry a fit.

    Attributes:
        intercept: Added always.
        model: Times the model's calibrated log-odds; above 0.
        ring: Times the ring score, 0 to 1; at least 0.
        evidence: Times the joint strength of the evidence, 0 to 1; at least 0.
        memory: Times what is recalled of the parties, in the order of `scorer.risk_kernel`; none
            where the memory is not used.
    """

    intercept: float = 0.0
    model: float = 1.0
    ring: float = 0.0
    evidence: float = 0.0
    memory: tuple[float, ...] = ()

    def apply(
        self,
        model_probability: float | None,
        ring_score: float,
        evidence: Sequence[Evidence],
        recalled: float = 0.0,
    ) -> float:
        """Probability of fraud, strictly between 0 and 1.

        Args:
            model_probability: Calibrated, strictly between 0 and 1; None where no model answered.
            ring_score: Of the strongest ring touched; 0 where there is none.
            evidence: What the transaction completed.
            recalled: Log-odds that what is recalled is worth.
        """
        if model_probability is None:
            return without_model(ring_score, evidence)
        joint = joint_strength(evidence) if evidence else 0.0
        return self.combine(log_odds(model_probability), ring_score, joint, recalled)

    def combine(
        self, model_log_odds: float, ring_score: float, joint: float, recalled: float = 0.0
    ) -> float:
        """Probability of fraud from the numbers the stack adds up."""
        return sigmoid(
            self.intercept
            + self.model * model_log_odds
            + self.ring * ring_score
            + self.evidence * joint
            + recalled
        )

    @property
    def memory_weights(self) -> NDArray[np.float64]:
        """Weights of what is recalled, float64 [WIDTH]; zeros where the memory is not used."""
        return np.array(self.memory, np.float64) if self.memory else np.zeros(WIDTH)

    def terms(
        self,
        model_log_odds: float,
        ring_score: float,
        evidence: Sequence[Evidence],
        own: float = 0.0,
        others: float = 0.0,
    ) -> tuple[Term, ...]:
        """What `apply` adds up to the log-odds of its answer, where a model answered.

        What is recalled of the user's own transactions and of those of others is in log-odds
        already; both are left out where the memory is not used.
        """
        recalled = (Term("recent_own", own, 1.0), Term("recent_others", others, 1.0))
        joint = joint_strength(evidence) if evidence else 0.0
        return (
            Term("intercept", 1.0, self.intercept),
            Term("model", model_log_odds, self.model),
            Term("ring", ring_score, self.ring),
            Term("evidence", joint, self.evidence),
            *(recalled if self.memory else ()),
        )

    def as_json(self) -> dict[str, Any]:
        """The weights as plain JSON values; those of the memory by place and time constant."""
        by_place = np.reshape(self.memory, (-1, len(TAUS), len(STATISTICS))).tolist()
        return {
            "intercept": self.intercept,
            "model": self.model,
            "ring": self.ring,
            "evidence": self.evidence,
            "memory": dict(zip(PLACES, by_place, strict=True)) if self.memory else None,
        }


def read_blend(parameters: Mapping[str, Any]) -> Blend:
    """Read what `as_json` gave.

    Raises:
        Incompatible: It is not that, or a weight has the wrong sign.
    """
    try:
        memory = _read_memory(parameters["memory"])
        plain = {name: float(parameters[name]) for name in _PLAIN}
        blend = Blend(**plain, memory=memory)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(parameters) from error
    finite = all(map(math.isfinite, (*plain.values(), *memory)))
    if (
        not finite
        or len(parameters) != len(_PLAIN) + 1
        or blend.model <= 0
        or min(blend.ring, blend.evidence) < 0
    ):
        raise _unreadable(parameters)
    return blend


def _read_memory(by_place: Mapping[str, Any] | None) -> tuple[float, ...]:
    if by_place is None:
        return ()
    shape = (len(PLACES), len(TAUS), len(STATISTICS))
    weights = np.array([by_place[place] for place in PLACES], np.float64)
    if len(by_place) != len(PLACES) or weights.shape != shape:
        raise ValueError(f"weights of the memory are {weights.shape}, not {shape}")
    return tuple(weights.ravel().tolist())


def _unreadable(parameters: Mapping[str, Any]) -> Incompatible:
    return Incompatible(
        "these are not the weights of a blend",
        field="metadata.json: blend",
        value=repr(parameters)[:80],
        remedy="Train the model again with this version of `ringfence train`.",
    )
