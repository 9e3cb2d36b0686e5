"""What the graph model adds to the blend, where a model was trained with one.

Its head hears what the blend says of a transaction beside the embeddings of its five parties, and
answers in log-odds; two weights and an intercept, learned on transactions that neither had seen,
make one probability of both. Where no embedding is fresh enough, the blend that was learned without
a graph model stands as it is, and the verdict says that `gnn` is missing.

What is remembered of a transaction (`scorer.risk_memory`) is the blend's own score either way: so a
graph model that comes and goes leaves no trace in what is scored after it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.errors import Incompatible
from graph.transaction import HOUR
from scorer.batch_scores import BatchScore
from scorer.blend import Term
from scorer.decision import Policy
from scorer.embeddings import Embeddings
from scorer.odds import SUREST, log_odds, sigmoid, sure_log_odds
from scorer.ports import GraphHead
from scorer.verdict import Decision

CONTEXT: Final = ("model_log_odds", "blend_log_odds", "recent_own", "recent_others", "value_log")
"""What the head hears of a transaction beside the embeddings of its parties."""
_PLACES: Final = {decision: float(place) for place, decision in enumerate(Decision)}
_MODEL, _SCORE, _COST, _PLACE, _OWN, _OTHERS, _BLEND, _GNN = range(len(BatchScore._fields))


@dataclass(frozen=True, slots=True)
class GraphStack:
    """Weights of the blend and of the graph model, learned together.

    Attributes:
        version: Of the graph model they were learned with.
        intercept: Log-odds at 0 of both.
        blend: Times the log-odds of the blend.
        gnn: Times the log-odds of the head; at least 0.
    """

    version: str
    intercept: float
    blend: float
    gnn: float

    def combine(self, score: float, head: float) -> float:
        """Probability of fraud.

        Args:
            score: The blend's, 0 to 1.
            head: Log-odds of the graph model.
        """
        return sigmoid(self.intercept + self.blend * _surely(score) + self.gnn * head)

    def terms(self, of_blend: Sequence[Term], head: float) -> tuple[Term, ...]:
        """What adds up to the log-odds of `combine`, from what adds up to those of the blend."""
        scaled = [
            Term(name, value, weight * self.blend + (self.intercept if name == "intercept" else 0))
            for name, value, weight in of_blend
        ]
        return (*scaled, Term("gnn", head, self.gnn))

    def as_json(self) -> dict[str, Any]:
        """The weights as plain JSON values."""
        return asdict(self)


def read_graph_stack(parameters: Mapping[str, Any] | None) -> GraphStack | None:
    """Read what `as_json` gave; None where a model has none.

    Raises:
        Incompatible: It is not that, or the graph model would count against what it says.
    """
    if parameters is None:
        return None
    try:
        weights = {name: float(parameters[name]) for name in ("intercept", "blend", "gnn")}
        stack = GraphStack(str(parameters["version"]), **weights)
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(parameters) from error
    if not all(map(math.isfinite, weights.values())) or stack.gnn < 0:
        raise _unreadable(parameters)
    return stack


def context_of(scored: NDArray[np.float64], values: NDArray[np.int64]) -> NDArray[np.float32]:
    """What the head hears of transactions the blend has scored, float32 [N, CONTEXT].

    Args:
        scored: float64 [N, fields of a `BatchScore`].
        values: int64 [N], minor units of the base currency.
    """
    out = np.empty((len(scored), len(CONTEXT)), np.float32)
    # Both probabilities, then both of what was recalled: columns that lie side by side.
    out[:, :2] = sure_log_odds(scored[:, [_MODEL, _BLEND]])
    out[:, 2:4] = scored[:, _OWN : _OTHERS + 1]
    out[:, 4] = np.log1p(values, dtype=np.float64)
    return out


class GraphOpinion:
    """Asks the graph model about transactions the blend has scored.

    Args:
        stack: The weights.
        head: The graph model's head.
        embeddings: What its encoder said.
        policy: What to do at which probability.
    """

    def __init__(
        self, stack: GraphStack, head: GraphHead, embeddings: Embeddings, policy: Policy
    ) -> None:
        self.embeddings: Final = embeddings
        self._stack = stack
        self._head = head
        self._policy = policy

    def add(
        self,
        scored: NDArray[np.float64],
        who: NDArray[np.int64],
        times: NDArray[np.int64],
        values: NDArray[np.int64],
    ) -> None:
        """Put the opinion into rows; those whose time has no fresh embeddings stay as they are.

        Each row is asked about alone: a matrix product over many may round otherwise, and verdicts
        must not depend on what came in one batch with them.

        Args:
            scored: float64 [N, fields of a `BatchScore`]; changed in place.
            who: int64 [at least N, 2 * PARTIES], who takes part.
            times: int64 [N], event times.
            values: int64 [N], minor units of the base currency.
        """
        context: NDArray[np.float32] | None = None
        for row, now in enumerate(times.tolist()):
            if not self.embeddings.fresh(now):
                continue
            if context is None:
                context = context_of(scored, values)
            near = self.embeddings.around(who[row], now)
            age = math.log1p(max(near.age, 0) / HOUR)
            head = self._head.log_odds(near.parties, near.there, age, context[row])
            score = self._stack.combine(float(scored[row, _BLEND]), head)
            decision = self._policy.choose(score)
            scored[row, _SCORE] = score
            scored[row, _COST] = self._policy.costs.expected(decision, score)
            scored[row, _PLACE] = _PLACES[decision]
            scored[row, _GNN] = head


def added_by(told: BatchScore) -> float:
    """Log-odds that the graph model moved a score by; 0 where it was not asked."""
    if math.isnan(told.gnn):
        return 0.0
    return _surely(told.score) - _surely(told.blend)


def _surely(probability: float) -> float:
    return log_odds(min(max(probability, SUREST), 1.0 - SUREST))


def _unreadable(parameters: Mapping[str, Any]) -> Incompatible:
    return Incompatible(
        "these are not the weights of a graph model",
        field="metadata.json: gnn",
        value=repr(parameters)[:80],
        remedy="Train the model again with this version of `ringfence train --gnn`.",
    )
