"""What the routes of lists, profiles and verdicts say, as OpenAPI publishes it."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.schemas import EntityOut, Timestamp
from graph.lists import ListName

Degraded = Annotated[
    list[str], Field(description="What did not answer, by name.", examples=[["cache"]])
]


class _Out(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ListEntryOut(_Out):
    """An entity on a list."""

    listing: ListName
    entity: EntityOut
    reason: str
    author: str
    expires_at: Timestamp | None = Field(description="Event time that ends it; null: nothing does.")
    decided_at: Timestamp | None = Field(description="By the clock of who decided.")


class ListStanding(_Out):
    """Whether an entity is on a list, as the log told it up to an offset."""

    listing: ListName
    entity: EntityOut
    listed: bool
    entry: ListEntryOut | None
    on: list[ListName] = Field(description="Every list it is on; where it is blocked, that stands.")
    known_to: int = Field(description="Offset of the topic `lists` up to which this is known.")


class ListDecision(_Out):
    """A decision as it was written; the engine goes by it within a second."""

    listing: ListName
    entity: EntityOut
    listed: bool
    offset: int = Field(description="Where it stands in the topic `lists`.")


class ListPage(_Out):
    """Entries of one list, by kind and id."""

    entries: list[ListEntryOut]
    next: str | None = Field(description="Pass as `after` to read on; null on the last page.")
    known_to: int = Field(description="Offset of the topic `lists` up to which this is known.")
    event_time: Timestamp | None = Field(description="Event time up to which entries were ended.")


class ProfileFigures(_Out):
    """Risk profile of an entity, counted since a time and claiming nothing from before."""

    since: Timestamp
    last_seen: Timestamp
    transactions: int
    stepped_up: int
    declined: int
    highest_score: float
    last_score: float
    patterns: dict[str, int] = Field(description="Patterns its transactions completed.")
    rings: list[str] = Field(description="Rings they touched, the newest last, at most 8.")
    alerts: int


class HourOut(_Out):
    """One hour of event time; money in minor units of the base currency."""

    hour: Timestamp
    transactions: int
    declined: int
    sent: int
    received: int


class ProfileOut(_Out):
    """What the cache holds of an entity. "unknown" is not zero: it says that nobody counted."""

    entity: EntityOut
    state: Literal["held", "unknown"]
    why: str | None = Field(description="Why it is unknown.")
    profile: ProfileFigures | None
    hours: list[HourOut] | None = Field(description="Of users and merchants, the last 24 with any.")
    as_of: Timestamp | None = Field(description="When the cache last held all the log held.")
    stale: bool = Field(description="`as_of` is older than 5 s, or not known.")
    degraded: Degraded
