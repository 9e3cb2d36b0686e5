"""What the route of contributions says, as OpenAPI publishes it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api.schemas import Probability, Timestamp
from scorer.verdict import Decision


class _Out(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FeatureContributionOut(_Out):
    """What one feature of the transaction added to the model's margin."""

    name: str = Field(examples=["user_out_to_in_24h"])
    family: str = Field(examples=["flow"])
    unit: str = Field(examples=["ratio"])
    meaning: str
    value: float | None = Field(description="Null where it was not known.")
    contribution: float = Field(description="Log-odds; below 0 it spoke against fraud.")
    evidence_ids: list[str] = Field(
        description="Evidence of the verdict that shows, as transactions, what it speaks of."
    )
    ring_ids: list[str] = Field(description="Rings likewise.")


class RestOut(_Out):
    """The features that are not named."""

    features: int = Field(description="How many.")
    contribution: float = Field(description="Log-odds they added together.")


class BlendTermOut(_Out):
    """One of the terms that add up to the log-odds of the score."""

    name: Literal["intercept", "model", "ring", "evidence", "recent_own", "recent_others", "gnn"]
    value: float = Field(
        description="Calibrated log-odds of the model, score of the strongest ring, joint strength "
        "of the evidence, log-odds that recent scores of the user and of others are worth; 1 for "
        "the intercept."
    )
    weight: float
    contribution: float = Field(description="Value times weight, in log-odds.")


class ContributionsOut(_Out):
    """Why a transaction got its score: base + features + rest = margin; terms = log_odds."""

    transaction_id: str
    timestamp: Timestamp
    decision: Decision
    score: Probability = Field(description="Probability of the verdict: that of `log_odds`.")
    model_version: str
    base: float = Field(description="Margin of an average row of the training, log-odds.")
    features: list[FeatureContributionOut] = Field(description="The strongest first, at most ten.")
    rest: RestOut
    margin: float = Field(description="Of the trees, before calibration, log-odds.")
    model_score: Probability = Field(description="The margin, calibrated.")
    terms: list[BlendTermOut] = Field(description="What the blend adds up.")
    log_odds: float = Field(description="Sum of the terms.")
