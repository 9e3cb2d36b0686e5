"""The decision: what the payment system should do, at the lowest expected cost.

Whatever the policy, two rules stand above it: a blocked entity is declined, and a transaction that
is merely connected to a ring is never declined for it. A budget, where there is one, makes an
answer one step milder and never a stricter one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from graph.errors import InvalidSetting
from graph.evidence import Evidence, Pattern
from scorer.verdict import Decision

_PLACES: Final = {decision: place for place, decision in enumerate(Decision)}
_Chance = TypeVar("_Chance", float, NDArray[np.float64])


@dataclass(frozen=True, slots=True)
class Costs:
    """What a mistake costs, in one money unit of the operator's choice.

    Attributes:
        loss: Of a fraud that was let through.
        friction: Of a legitimate transaction that was declined.
        step_up_catches: Share of frauds that an additional check stops.
        step_up_friction: Of a legitimate customer sent through the additional check.
    """

    loss: float = 550.0
    friction: float = 100.0
    step_up_catches: float = 0.8
    step_up_friction: float = 15.0

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("loss", self.loss, self.loss > 0),
            ("friction", self.friction, self.friction > 0),
            ("step_up_catches", self.step_up_catches, 0 <= self.step_up_catches <= 1),
            ("step_up_friction", self.step_up_friction, self.step_up_friction >= 0),
        ):
            if not allowed:
                raise InvalidSetting(
                    "this cost cannot be",
                    field=name,
                    value=str(value),
                    remedy="Costs are positive; the share that a step-up catches is 0 to 1.",
                )

    def of_each(self, probability: _Chance) -> tuple[_Chance, _Chance, _Chance]:
        """Expected costs of approving, stepping up and declining what is fraud with this chance.

        Of one, or of many at a time: float64 [R] in, three float64 [R] out.
        """
        innocent = 1.0 - probability
        missed = probability * (1.0 - self.step_up_catches) * self.loss
        return (
            probability * self.loss,
            missed + innocent * self.step_up_friction,
            innocent * self.friction,
        )

    def expected(self, decision: Decision, probability: float) -> float:
        """Expected cost of a decision about a transaction that is fraud with this probability."""
        return self.of_each(probability)[_PLACES[decision]]

    def realised(self, decision: Decision, *, fraud: bool) -> float:
        """Cost of a decision once it is known what the transaction was."""
        return self.expected(decision, 1.0 if fraud else 0.0)


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of a segment's traffic the policy may trouble; the fixed thresholds are the floor.

    A segment (`scorer.segments`) more of whose scores lie above a fixed threshold than the budget
    has is held to its own quantile instead. That works in one direction, and by one step: what
    would be stepped up is approved up to the quantile for `step_up`, what would be declined is
    stepped up up to the quantile for `decline`. So a segment is never stepped up or declined from
    less than the fixed threshold, and what the policy alone would decline is never approved,
    however large a part of the segment it is: the budget gives way there.

    Attributes:
        step_up: Share of a segment's transactions that is stepped up or declined at most.
        decline: Share of them that is declined at most.
    """

    step_up: float
    decline: float

    def __post_init__(self) -> None:
        if not 0 < self.decline <= self.step_up < 1:
            raise InvalidSetting(
                "a budget is 0 < decline <= step up < 1",
                field="budget",
                value=f"step_up {self.step_up}, decline {self.decline}",
                remedy="Give two shares of a segment's transactions, for example step_up = 0.02 "
                "and decline = 0.005: who is declined is part of who is stepped up.",
            )


@dataclass(frozen=True, slots=True)
class SegmentBounds:
    """What a segment's own scores say about a budget.

    Attributes:
        segment: Which segment.
        step_up: Probability up to which its budget spares the step-up; 0 where that is not known.
        decline: Probability up to which its budget spares the decline; 0 where that is not known.
    """

    segment: str
    step_up: float = 0.0
    decline: float = 0.0


@dataclass(frozen=True)
class Policy:
    """Chooses by expected cost, or by fixed thresholds where they are given.

    By cost: decline costs (1 - p) * friction, approve p * loss, step-up what it misses and what it
    annoys; the cheapest wins, the milder one on a tie. With the default costs: step up from
    p = 0.033, decline from p = 0.436 (without step-up it would be 0.154).

    Attributes:
        costs: What mistakes cost.
        thresholds: (step up from, decline from) instead of the cheapest; None to choose by cost.
        budget: Above which shares of a segment its own thresholds rise; None: they never do.
    """

    costs: Costs = Costs()
    thresholds: tuple[float, float] | None = None
    budget: Budget | None = None

    def __post_init__(self) -> None:
        if self.thresholds is not None and not 0 < self.thresholds[0] <= self.thresholds[1] <= 1:
            raise InvalidSetting(
                "thresholds are 0 < step up <= decline <= 1",
                field="thresholds",
                value=str(self.thresholds),
                remedy="Give two probabilities, the milder first, for example 0.3 and 0.7.",
            )
        if self.budget is not None and not self.bounds[0] < self.bounds[1]:
            raise InvalidSetting(
                "a budget needs a policy that steps up: it turns declines into step-ups",
                field="budget",
                value=f"steps up and declines from {self.bounds[0]:.3g}",
                remedy="Leave the budget out, or give thresholds or costs with a step-up.",
            )

    @cached_property
    def version(self) -> str:
        """Hash of the parameters: equal policies have equal versions."""
        return xxhash.xxh3_64_hexdigest(msgspec.json.encode(self.as_json(), order="sorted"))

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """Probabilities above which it steps up and declines: given, or where the costs cross.

        Equal where stepping up is never the cheapest. On a bound of costs the milder decision
        wins, on a threshold the stricter one.
        """
        if self.thresholds is not None:
            return self.thresholds
        costs = self.costs
        caught = costs.step_up_catches * costs.loss
        mild = costs.step_up_friction / (caught + costs.step_up_friction) if caught > 0 else 1.0
        spared = costs.friction - costs.step_up_friction
        strict = spared / (costs.loss - caught + spared) if spared > 0 else 0.0
        if mild >= strict:
            mild = strict = costs.friction / (costs.loss + costs.friction)
        return mild, strict

    def bounds_in(self, segment: SegmentBounds) -> tuple[float, float]:
        """The bounds as they are in a segment: never below `bounds`."""
        mild, strict = self.bounds
        return min(max(mild, segment.step_up), strict), max(strict, segment.decline)

    def choose(self, probability: float, segment: SegmentBounds | None = None) -> Decision:
        """The policy's answer to a probability alone, or in a segment that has a budget.

        On a bound of the segment the milder decision wins.
        """
        decision = self._unspared(probability)
        if segment is None or decision is Decision.APPROVE:
            return decision
        if decision is Decision.DECLINE:
            return Decision.STEP_UP if probability <= segment.decline else decision
        return Decision.APPROVE if probability <= segment.step_up else decision

    def choices(self, probabilities: NDArray[np.float64]) -> NDArray[np.int8]:
        """What `choose` answers to each of them alone, as places in `Decision`, int8 [R]."""
        if self.thresholds is not None:
            step_up_from, decline_from = self.thresholds
            stepped = (probabilities >= step_up_from).astype(np.int8)
            return stepped + (probabilities >= decline_from).astype(np.int8)
        approve, step_up, decline = self.costs.of_each(probabilities)
        troubled = np.where(step_up <= decline, np.int8(1), np.int8(2))
        return np.where((approve <= step_up) & (approve <= decline), np.int8(0), troubled)

    def _unspared(self, probability: float) -> Decision:
        if self.thresholds is not None:
            step_up_from, decline_from = self.thresholds
            if probability >= decline_from:
                return Decision.DECLINE
            return Decision.STEP_UP if probability >= step_up_from else Decision.APPROVE
        return self._cheapest(*self.costs.of_each(probability))

    def _cheapest(self, approve: float, step_up: float, decline: float) -> Decision:
        """The decision that costs least, the milder one on a tie."""
        if approve <= step_up and approve <= decline:
            return Decision.APPROVE
        return Decision.STEP_UP if step_up <= decline else Decision.DECLINE

    def decide(
        self,
        probability: float,
        evidence: Sequence[Evidence] = (),
        own_probability: float | None = None,
        segment: SegmentBounds | None = None,
    ) -> tuple[Decision, float]:
        """Decision about one transaction and what it is expected to cost.

        Args:
            probability: Of fraud, all things considered.
            evidence: What the transaction completed; blocklist evidence declines by itself.
            own_probability: Of fraud without what it is merely connected to, where a ring was
                touched; None where it does not differ. Without evidence of its own, a transaction
                is declined only if this alone would decline it; else it steps up at most.
            segment: What its segment's budget spares; None without a budget.
        """
        return self.answer(
            probability,
            blocked=blocks(evidence),
            completed=bool(evidence),
            own_probability=own_probability,
            segment=segment,
        )

    def answer(
        self,
        probability: float,
        *,
        blocked: bool,
        completed: bool,
        own_probability: float | None = None,
        segment: SegmentBounds | None = None,
    ) -> tuple[Decision, float]:
        """`decide` from what it asks of the evidence: is any, and is any of a blocklist."""
        if blocked:
            return Decision.DECLINE, self.costs.expected(Decision.DECLINE, probability)
        decision = self.choose(probability, segment)
        if (
            decision is Decision.DECLINE
            and not completed
            and own_probability is not None
            and self.choose(own_probability, segment) is not Decision.DECLINE
        ):
            decision = Decision.STEP_UP
        return decision, self.costs.expected(decision, probability)

    def as_json(self) -> dict[str, Any]:
        """The parameters as plain JSON values; `budget` only where there is one."""
        thresholds = None if self.thresholds is None else list(self.thresholds)
        told: dict[str, Any] = {"costs": asdict(self.costs), "thresholds": thresholds}
        return told if self.budget is None else told | {"budget": asdict(self.budget)}


def blocks(evidence: Sequence[Evidence]) -> bool:
    """Whether a blocked entity takes part: it is declined whatever its score."""
    return bool(evidence) and any(piece.pattern is Pattern.BLOCKED for piece in evidence)


FIXED: Final = Policy(thresholds=(0.3, 0.7))
"""The fixed policy: step up from 0.3, decline from 0.7."""


def read_policy(parameters: Mapping[str, Any]) -> Policy:
    """Read what `Policy.as_json` gave.

    Raises:
        InvalidSetting: It is not that, or a parameter is out of its range.
    """
    try:
        costs = Costs(**{name: float(value) for name, value in parameters["costs"].items()})
        given = parameters["thresholds"]
        thresholds = None if given is None else (float(given[0]), float(given[1]))
        shares = parameters.get("budget")
        budget = None if shares is None else Budget(**{k: float(v) for k, v in shares.items()})
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InvalidSetting(
            "these are not the parameters of a policy",
            field="policy",
            value=repr(parameters)[:80],
            remedy="Give `costs`, `thresholds` and perhaps `budget` as metadata.json of a trained "
            "model holds them.",
        ) from error
    return Policy(costs=costs, thresholds=thresholds, budget=budget)
