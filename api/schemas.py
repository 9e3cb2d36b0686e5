"""What the HTTP interface says: the shapes of its answers, as OpenAPI publishes them.

Scoring requests are not described here: they are decoded by `ingest.codec` straight from the bytes,
so that an amount is exact. Verdicts are encoded without pydantic on the way out; a test checks that
every such answer validates against `VerdictOut`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from graph.evidence import Pattern, Role
from graph.rings import RingEventKind, RingState
from graph.transaction import EntityKind
from scorer.verdict import Decision, Standing

Timestamp = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "description": "RFC 3339 in UTC with milliseconds.",
            "examples": ["2026-03-01T12:04:31.250Z"],
        }
    ),
]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class _Out(BaseModel):
    """An answer: it never carries a field that the schema does not name."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MoneyOut(_Out):
    """An exact amount, and the same amount as a person reads it."""

    minor: int = Field(description="Minor units (cents for EUR, yen for JPY).", examples=[521000])
    currency: str = Field(description="ISO 4217 code.", examples=["EUR"])
    decimals: int = Field(
        description="How many of the minor units' digits stand behind the point, by ISO 4217.",
        examples=[2],
    )
    text: str = Field(description="For display only.", examples=["€5,210.00"])


class EntityOut(_Out):
    """A typed node of the graph."""

    kind: EntityKind
    id: str = Field(examples=["u1"])


class MemberOut(_Out):
    """An entity and the part it plays."""

    entity: EntityOut
    role: Role


class HopOut(_Out):
    """One transaction of a witness; `source` or `target` is null where money left the graph."""

    transaction_id: str
    source: EntityOut | None
    target: EntityOut | None
    money: MoneyOut
    timestamp: Timestamp
    declined: bool = Field(description="Whether it was declined: then it moved no money.")


class EvidenceOut(_Out):
    """One pattern, with the ordered transactions that prove it."""

    evidence_id: str
    pattern: Pattern
    reason: str = Field(description="One sentence for the investigator.")
    strength: Probability
    seen_at: Timestamp
    members: list[MemberOut]
    hops: list[HopOut] = Field(description="The witness, in the order of the pattern.")
    facts: dict[str, float] = Field(description="The figures behind the sentence.")
    retained: float | None = Field(
        description="Share of the money kept from the first hop to the last, where it has a meaning"
    )
    truncated: bool = Field(description="A search bound was hit: there may be more.")


class ReasonOut(_Out):
    """Why: what the transaction did, or what it is only connected to."""

    code: str
    standing: Standing
    text: str
    weight: float = Field(description="Log-odds it explains; comparable within one verdict only.")
    evidence_id: str | None
    ring_id: str | None


class VerdictOut(_Out):
    """The answer to one transaction."""

    transaction_id: str
    timestamp: Timestamp
    decision: Decision
    score: Probability = Field(description="Probability of fraud after the blend.")
    model_score: Probability | None = Field(
        description="Calibrated probability of the tabular model; null where no model answered."
    )
    ring_score: Probability
    expected_cost: float = Field(description="Of this decision, in the policy's money unit.")
    reasons: list[ReasonOut] = Field(description="The strongest first, at most ten.")
    evidence: list[EvidenceOut] = Field(description="What this transaction completed.")
    rings: list[str] = Field(description="Ids of the rings it touches.")
    tiers: list[str] = Field(description="Which tiers ran, in order.", examples=[["rules"]])
    degraded: list[str] = Field(
        description="What was missing, by name (model, gnn, cache); capacity: a bound was hit.",
        examples=[["model"]],
    )
    admission: Literal["accepted", "duplicate", "late", "ahead"] = Field(
        description="Whether the window took it, and if not, why."
    )
    model_version: str | None


class RingSummary(_Out):
    """A ring at one revision, as a list shows it."""

    ring_id: str
    revision: int
    state: RingState
    born_at: Timestamp
    changed_at: Timestamp
    score: Probability = Field(description="How strongly its evidence speaks for fraud.")
    likelihood: Probability | None = Field(
        description="How likely it is a true ring, by the judge of rings: below its bound nobody "
        "is woken. Null where it was not asked, as the score is too low to tell anybody."
    )
    money: MoneyOut = Field(description="Moved: the sum of its distinct witness transactions.")
    recoverable: MoneyOut = Field(
        description="What of it can at most still be with the ring's users: what came to them in "
        "the witness and has not left them there."
    )
    member_count: int = Field(description="Entities in it, the fringe left out.")
    patterns: list[Pattern]
    headline: str = Field(examples=["Cycle among 4 users, 4 transactions, €5,210.00"])
    last_alert_at: Timestamp | None = Field(
        description="When an alert last told of it, or of what it was a part of; null if none did."
    )


class RingPage(_Out):
    """Rings in live order: the newest change first."""

    rings: list[RingSummary]
    next: str | None = Field(description="Cursor of the next page; null on the last one.")


class NodeOut(_Out):
    """A node of the drawing."""

    id: str = Field(examples=["user:u1"])
    kind: EntityKind
    label: str
    role: Role | None
    member: bool = Field(description="A member of the ring, or only next to one.")


class EdgeOut(_Out):
    """An edge of the drawing: money that moved, or an identifier that is shared."""

    id: str
    source: str = Field(description="Id of a node in `nodes`.")
    target: str
    kind: Literal["money", "shared"]
    money: MoneyOut | None
    timestamp: Timestamp | None
    witness: bool = Field(description="It is part of the ring's evidence.")


class SubgraphOut(_Out):
    """The bounded neighbourhood of a ring."""

    nodes: list[NodeOut]
    edges: list[EdgeOut]
    truncated: bool = Field(description="There is more than is drawn.")


class TimelineEntry(_Out):
    """One thing that happened to a ring."""

    at: Timestamp
    kind: RingEventKind
    text: str
    revision: int
    money: MoneyOut = Field(description="Of the ring, right after.")


class RingMemberOut(_Out):
    """A member and what it is in the ring, with the reason."""

    entity: EntityOut
    role: Role = Field(
        description=(
            "victim, mule, controller, cash_out, bystander or fringe; shared for what is no account"
        )
    )
    reason: str = Field(description="One sentence for the investigator.")


class RemovalOut(_Out):
    """An entity without which nothing of the ring would alert."""

    entity: EntityOut
    remaining: Probability = Field(description="Score of the riskiest part that would remain.")
    likelihood: Probability | None = Field(
        description="Of the likeliest part that would; null where none scores enough to be asked."
    )


class CounterfactualOut(_Out):
    """Which entity's removal clears the ring: its evidence is taken away and the rest scored."""

    score: Probability = Field(description="Of the evidence shown, with everybody.")
    alert_score: Probability = Field(description="Below it nobody is woken.")
    likelihood: Probability | None = Field(
        description="That it is a true ring, with everybody; null where nobody was asked."
    )
    alert_likelihood: Probability = Field(description="Below it nobody is woken either.")
    clearing: list[RemovalOut] = Field(
        description="The one that leaves least first; none where the ring wakes nobody anyway."
    )
    tried: int = Field(description="Members whose removal was tried.")
    truncated: bool = Field(description="A bound was hit: others may clear it as well.")


class RelatedRingOut(_Out):
    """A ring that shares accounts with the one that is shown."""

    ring: RingSummary
    shared_accounts: int = Field(description="Users and merchants of both, the fringes left out.")


class RingDetail(RingSummary):
    """A ring with its drawing, its evidence in words and its life so far."""

    members: list[RingMemberOut]
    clears: CounterfactualOut
    subgraph: SubgraphOut
    evidence: list[EvidenceOut] = Field(description="Oldest first.")
    transactions: list[HopOut] = Field(
        description="What its money is the sum of, in order of time: also what only evidence shows "
        "that newer has taken the place of."
    )
    transaction_count: int = Field(description="How many there are; long ago ones are not listed.")
    timeline: list[TimelineEntry] = Field(description="Oldest first.")
    aliases: list[str] = Field(description="Ids of rings that merged into it.")
    split_from: str | None = Field(description="Id of the ring that it was a part of before.")
    account_count: int = Field(description="Users and merchants in it, the fringe left out.")
    related: list[RelatedRingOut] = Field(
        description="Rings that share accounts with it, the most first; at most five."
    )
    truncated: bool = Field(description="A bound was hit while it was built.")


class RingEventOut(_Out):
    """One event of the ring stream: what happened, and the ring right after."""

    kind: RingEventKind
    at: Timestamp
    ring: RingSummary
    added_members: list[EntityOut]
    added_money: MoneyOut
    added_patterns: list[Pattern]
    merged_ring_id: str | None
    split_from: str | None = Field(description="Of a birth: the ring it was a part of before.")
    split_ring_ids: list[str] = Field(description="Of a split: the rings that went.")


class AlertOut(_Out):
    """A material change of a ring, told once."""

    alert_id: str
    ring_id: str
    revision: int
    at: Timestamp
    headline: str
    score: Probability
    likelihood: Probability | None = Field(
        description="How likely it is a true ring; null where the score alone decides."
    )
    money: MoneyOut
    member_count: int = Field(description="Entities in it, the fringe left out.")
    patterns: list[Pattern]
    policy_version: str
    watched: list[EntityOut] = Field(description="Members that are on the watch list.")


class AlertPage(_Out):
    """Alerts in the order of the log."""

    alerts: list[AlertOut]
    next: int = Field(description="Pass as `after` to read on; it does not move when nothing new.")


class ModelOut(_Out):
    """The model that answers, and what it was measured to do."""

    loaded: bool
    version: str | None
    trained_at: Timestamp | None
    feature_count: int | None
    feature_schema: str | None = Field(description="Hash of the names and order of the features.")
    metrics: dict[str, Any] = Field(description="As measured when it was trained.")
    tiers: list[str]
    degraded: list[str]


class ParameterOut(_Out):
    """A parameter of an investigation."""

    name: str
    type: str = Field(description="string, ring (the id of one), integer, choice or timestamp.")
    minimum: int | None = Field(description="Smallest integer taken.")
    maximum: int | None = Field(description="Greatest integer taken.")
    choices: list[str] = Field(description="The words that a choice takes.")
    default: Any = Field(description="What it is when left out; null where it must be given.")
    example: Any = Field(description="A value that works.")
    required: bool
    description: str


class ColumnOut(_Out):
    """A column of an investigation's answer."""

    name: str
    type: str = Field(
        description="string, integer, number, boolean, money (minor units of the base currency), "
        "timestamp (epoch milliseconds), or a list of these."
    )
    description: str


class InvestigationOut(_Out):
    """A parameterised question to the graph database."""

    name: str = Field(examples=["ring-of-user"])
    title: str
    question: str
    group: str = Field(examples=["rings"])
    asked_by: str = Field(description="Who asks this, and when.")
    shape: str = Field(description="table, or tree: `path` says where in it a row hangs.")
    needs: str | None = Field(description="The graph database it is written for; null for any.")
    available: bool = Field(description="Whether the graph database in use understands it.")
    max_rows: int
    timeout_ms: int
    example: str = Field(description="A command line that asks it.")
    parameters: list[ParameterOut]
    columns: list[ColumnOut]


class InvestigationList(_Out):
    """Every investigation that ships."""

    investigations: list[InvestigationOut]


class InvestigationResult(_Out):
    """Rows that answer a question to the graph database."""

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool = Field(description="The row bound was hit: there is more.")


class InvestigationAnswer(InvestigationResult):
    """Rows of an investigation, and which rings they tell of."""

    became: dict[str, str] = Field(
        description="Of each ring that was asked about and had merged: which one the rows tell of.",
        examples=[{"8d1f0c6be2a94437": "3f9c0d2ab8e51f77"}],
    )


class CypherStatement(BaseModel):
    """A statement in Cypher that reads the graph."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(
        max_length=20_000, examples=["MATCH (u:User {id: $user}) RETURN u.id AS user"]
    )
    parameters: dict[str, Any] = Field(default={}, description="By name, without the `$`.")


class FieldProblem(_Out):
    """One of several things wrong with a transaction."""

    field: str
    detail: str
    value: str | None
    remedy: str


class Problem(BaseModel):
    """What went wrong (RFC 9457), with the field, what was found and what to do about it."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(examples=["/v1/problems/invalid-input"])
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    code: str = Field(description="Stable name of the kind of error.", examples=["invalid-input"])
    instance: str | None = Field(default=None, description="The path that was asked for.")
    field: str | None = Field(default=None, description="Which field of the request.")
    value: str | None = Field(default=None, description="What was found there, shortened.")
    remedy: str | None = Field(default=None, description="What to do about it.")
    problems: list[FieldProblem] | None = Field(
        default=None,
        description="What is wrong with a transaction, not only the first; at most 20.",
    )


class ProblemKindOut(_Out):
    """A kind of error, as the `type` of a problem leads to it."""

    code: str
    title: str
    status: int
    exit_code: int
    meaning: str


class BatchItem(_Out):
    """One result of a batch: a verdict or a problem, never both."""

    verdict: VerdictOut | None = None
    problem: Problem | None = None


class BatchOut(_Out):
    """Results in the order of the request."""

    results: list[BatchItem]


class Health(_Out):
    """The process lives."""

    status: Literal["alive"]
    version: str


class Readiness(_Out):
    """Whether requests can be answered, and what is missing if not."""

    ready: bool
    missing: list[str] = Field(description="What is not there yet, in words.")
    warnings: list[str] = Field(description="What is degraded but does not stop answers.")
    stats: dict[str, Any] = Field(description="Figures of the engine.")
