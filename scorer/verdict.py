"""The verdict: the answer to one transaction."""

from enum import StrEnum

import msgspec

from graph.evidence import Evidence
from graph.rings import RingEvent


class Decision(StrEnum):
    """What the payment system should do."""

    APPROVE = "approve"
    STEP_UP = "step_up"
    DECLINE = "decline"


class Standing(StrEnum):
    """What a reason says about the transaction: it *did* something, or it *is connected* to it."""

    DID = "did"
    CONNECTED = "connected"


class Reason(msgspec.Struct, frozen=True, gc=False):
    """Why: a stable code, whether the transaction did it or is connected to it, and a sentence.

    `evidence_id` and `ring_id` point at what proves it, where there is such a thing; `weight` is
    the share of the score it explains (log-odds), comparable within one verdict only.
    """

    code: str
    standing: Standing
    text: str
    weight: float
    evidence_id: str | None = None
    ring_id: str | None = None


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """The answer to one transaction.

    Attributes:
        transaction_id: Which transaction.
        timestamp: Its event time.
        admission: "accepted", "duplicate", "late" or "ahead" (see `graph.admission.Status`).
        decision: Approve, step up or decline.
        score: Probability of fraud after the blend, 0 to 1.
        model_score: Calibrated probability of the tabular model; None where there is none.
        ring_score: Score of the strongest ring of evidence touched, 0 where there is none: what
            the score was blended from.
        expected_cost: What the decision is expected to cost, in the policy's money unit.
        reasons: Why, the strongest first, at most ten; none where it is approved and completed
            nothing, unless it is watched or the budget of its segment spared it.
        evidence: What this transaction completed.
        rings: Ids of the rings it touches; of those that are told (`scorer.told_rings`).
        ring_events: What happened to rings because of it.
        tiers: Which tiers ran, in order: "rules", "graph", "model".
        degraded: What was missing, by name (`model`, `gnn`, `cache`), and `capacity` where a bound
            was in the way: there was no room for an account, or it came beneath more newer
            transactions than are looked at anew. Empty when everything answered.
        model_version: Version of the model that answered; None where there is none.
        findings: What the rings were told with this transaction beside its evidence: what the
            sweep had found, and the suspects that hang together with it (`scorer.suspects`). It has
            no part in the score; its ring events are here.
    """

    transaction_id: str
    timestamp: int
    admission: str
    decision: Decision
    score: float
    model_score: float | None
    ring_score: float
    expected_cost: float
    reasons: tuple[Reason, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    rings: tuple[str, ...] = ()
    ring_events: tuple[RingEvent, ...] = ()
    tiers: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()
    model_version: str | None = None
    findings: tuple[Evidence, ...] = ()
