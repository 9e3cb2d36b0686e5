"""The explanation: why a transaction got its score, exactly and after the fact.

Features add up to the model's margin (`scorer.tree_shap`), calibration makes a probability of it,
and the blend adds its terms to the log-odds of that; a graph model is one more term. Beside a
feature that counts evidence, rings or money on its way stands the evidence of the verdict that
shows it as transactions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from graph.evidence import SEEN, Evidence, Pattern
from scorer.artefact import TrainedModel
from scorer.blend import Term
from scorer.feature_catalogue import FEATURES, Feature
from scorer.kept_rows import KeptRow
from scorer.tree_shap import exact_contributions
from scorer.verdict import Verdict

MOST: Final = 10
"""Features that are named; the others are summed."""

MONEY: Final = frozenset(
    {
        Pattern.CYCLE, Pattern.PING_PONG, Pattern.MULE, Pattern.STRUCTURING, Pattern.FAN_IN,
        Pattern.FAN_OUT, Pattern.CHAIN, Pattern.SCATTER_GATHER, Pattern.GATHER_SCATTER,
        Pattern.BIPARTITE, Pattern.STACK, Pattern.FEEDER_TREE, Pattern.DENSE_BLOCK,
    }
)  # fmt: skip
"""Patterns of money on its way: what the features of the family `flow` speak of."""
SHARED: Final = frozenset(
    {
        Pattern.SHARED_DEVICE, Pattern.SHARED_CARD, Pattern.SHARED_IP, Pattern.SYNTHETIC_IDENTITY,
        Pattern.COMMUNITY,
    }
)  # fmt: skip
"""Patterns of what is used together: what the features of the family `sharing` speak of."""
_COUNTS: Final = {f"evidence_{pattern.value}": frozenset({pattern}) for pattern in SEEN}
_OF_FAMILY: Final = {"flow": MONEY, "sharing": SHARED}


class Contribution(NamedTuple):
    """What one feature added.

    Attributes:
        feature: Its name, family, unit and meaning.
        value: What it was; NaN where it was not known.
        added: Log-odds it added to the margin; below 0 it spoke against fraud.
        evidence: Ids of evidence of the verdict that shows what the feature speaks of.
        rings: Ids of rings likewise.
    """

    feature: Feature
    value: float
    added: float
    evidence: tuple[str, ...]
    rings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a transaction got its score: base + contributions + rest = margin, to float rounding.

    Attributes:
        verdict: What is explained.
        base: Margin of an average row of the training, log-odds.
        contributions: Those that added or took most, at most `MOST`, the strongest first.
        rest: Log-odds that the other features added together.
        rest_count: How many these are.
        margin: Sum of the trees for this row, log-odds.
        probability: Calibrated probability of the margin: the verdict's model score.
        terms: What the blend adds up, and the graph model where it was asked.
        log_odds: Their sum: the log-odds of the verdict's score.
    """

    verdict: Verdict
    base: float
    contributions: tuple[Contribution, ...]
    rest: float
    rest_count: int
    margin: float
    probability: float
    terms: tuple[Term, ...]
    log_odds: float


def explain(model: TrainedModel, held: KeptRow) -> Explanation:
    """Explain a verdict from the row it was given on; a millisecond, so never while it is given.

    Args:
        model: The model that gave it.
        held: The verdict, its feature row and what was recalled.

    Raises:
        ValueError: The row has another type or width than the model's.
    """
    verdict, row = held.verdict, held.row
    values, base = exact_contributions(model.booster.forest, row)
    order = np.argsort(-np.abs(values), kind="stable")
    strongest = [int(column) for column in order[:MOST] if values[column] != 0.0]
    margin = model.booster.margin(row)
    calibrated = model.calibration.log_odds(margin)
    terms = model.blend.terms(
        calibrated, verdict.ring_score, verdict.evidence, held.own, held.others
    )
    if model.gnn is not None and not math.isnan(held.gnn):
        terms = model.gnn.terms(terms, held.gnn)
    return Explanation(
        verdict=verdict,
        base=base,
        contributions=tuple(
            Contribution(
                FEATURES[column],
                float(row[column]),
                float(values[column]),
                *_shown_by(FEATURES[column], verdict),
            )
            for column in strongest
        ),
        rest=float(np.delete(values, strongest).sum()),
        rest_count=len(values) - len(strongest),
        margin=margin,
        probability=model.calibration.apply(margin),
        terms=terms,
        log_odds=sum(term.added for term in terms),
    )


def _shown_by(feature: Feature, verdict: Verdict) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids of the verdict's evidence and rings that a feature speaks of; mostly none.

    What a feature remembers of earlier evidence (`user_past_...`) was completed by others, and is
    in their verdicts.
    """
    if feature.family == "ring":
        strongest = verdict.rings[:1]
        joined = {reason.evidence_id for reason in verdict.reasons if reason.ring_id in strongest}
        return _ids([p for p in verdict.evidence if p.evidence_id in joined]), strongest
    if feature.name == "evidence_strength":
        return _ids(verdict.evidence), ()
    patterns = _COUNTS.get(feature.name) or _OF_FAMILY.get(feature.family, frozenset())
    return _ids([piece for piece in verdict.evidence if piece.pattern in patterns]), ()


def _ids(pieces: Sequence[Evidence]) -> tuple[str, ...]:
    return tuple(piece.evidence_id for piece in pieces)
