"""What the route of importance says, as OpenAPI publishes it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api.schemas import EntityOut, HopOut, Timestamp
from graph.evidence import Pattern


class _Out(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Effect(_Out):
    remaining: float = Field(description="Score of the ring without it.")
    drop: float = Field(description="`score` less `remaining`; below 0 it spoke for the ring.")


class MemberEffectOut(_Effect):
    """What removing a member does: its transactions and the evidence that needs it go along."""

    entity: EntityOut
    evidence_ids: list[str] = Field(description="Evidence that falls with it, oldest first.")
    transaction_ids: list[str] = Field(description="Transactions that are gone with it.")


class HopEffectOut(_Effect):
    """What removing a transaction does."""

    hop: HopOut
    evidence_ids: list[str] = Field(description="Evidence whose witness it is in, oldest first.")
    falling_ids: list[str] = Field(description="Those of them that fall with it.")


class EvidenceEffectOut(_Effect):
    """What removing a piece of evidence does: who is named by no other piece leaves as well."""

    evidence_id: str
    pattern: Pattern
    seen_at: Timestamp
    transaction_ids: list[str] = Field(description="Its witness.")
    members: list[EntityOut] = Field(description="Who leaves with it.")


class ImportanceOut(_Out):
    """What a ring's score rests on, each list by drop, the largest first."""

    ring_id: str
    revision: int
    scored_by: Literal["ring_head", "ring_score"] = Field(
        description="`ring_head`: log-odds by the trained ring head. `ring_score`: the engine's "
        "own score, 0 to 1, of the riskiest part of what stands; where no head is served."
    )
    score: float = Field(description="With everybody, by `scored_by`.")
    members: list[MemberEffectOut]
    hops: list[HopEffectOut]
    evidence: list[EvidenceEffectOut]
    tried: int = Field(description="Removals that were tried.")
    truncated: bool = Field(
        description="The ring is larger than what was looked at (200 members, its newest 100 "
        "pieces of evidence, 2,000 hops), or not every transaction was tried (the 200 largest)."
    )
