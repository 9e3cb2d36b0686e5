"""Profiles: what the cache has counted of an entity. What it has not counted is unknown."""

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.answers import answer, described
from api.caching import READ_S, STALE_MS, caching_of
from api.clock import wall_clock
from api.listing_schemas import ProfileOut
from api.routes.lists import Id
from api.views import View, entity, timestamp
from graph.lists import ListChange, ListName
from graph.transaction import ACCOUNTS, HOUR, Entity, EntityKind
from ingest.list_changes import checked
from scorer.cache.port import Cache, CacheUnavailable, Found, Frontier, Shelf
from scorer.cache.profiles import (
    Aggregate,
    Profile,
    decode_aggregate,
    decode_profile,
    key_of,
)

router: Final = APIRouter(prefix="/v1/profiles", tags=["profiles"])


@router.get(
    "/{kind}/{id:path}", summary="What is known of an entity", responses=described(ProfileOut, 422)
)
async def profile(
    request: Request,
    kind: EntityKind,
    id: Id,  # noqa: A002
) -> Response:
    """Risk profile and the last hours, as a follower of the log counted them.

    For people and other services: no verdict rests on it. A cache that was emptied is filled from
    the log again; until it has caught up, everything is `unknown`, and so is what nobody counted.
    """
    caching = caching_of(request)
    asked = checked(ListChange(Entity(kind, id), ListName.WATCH)).entity
    key = key_of(asked)

    async def read(cache: Cache) -> tuple[Found, Found]:
        return await cache.fetch(Shelf.PROFILE, [key]), await cache.fetch(Shelf.AGGREGATE, [key])

    try:
        held, hours = await caching.cache.answer(read, within=READ_S)
    except CacheUnavailable as error:
        return answer(_unknown(asked, error.what, None, ["cache"]))
    frontier = held.frontier
    if frontier is None or not frontier.complete:
        return answer(_unknown(asked, "the cache is being filled from the log", frontier, []))
    found = None if held.values[0] is None else decode_profile(held.values[0].value)
    if found is None:
        why = f"not seen since verdict {frontier.first} of the log, or too long ago to be kept"
        return answer(_unknown(asked, why, frontier, []))
    aggregate = None if hours.values[0] is None else decode_aggregate(hours.values[0].value)
    same = hours.frontier is not None and hours.frontier.generation == frontier.generation
    return answer(
        {
            "entity": entity(asked),
            "state": "held",
            "why": None,
            "profile": _figures(found),
            "hours": _hours(aggregate) if same and aggregate and kind in ACCOUNTS else None,
            **_age(frontier),
            "degraded": [],
        }
    )


def _unknown(asked: Entity, why: str, frontier: Frontier | None, degraded: list[str]) -> View:
    return {
        "entity": entity(asked),
        "state": "unknown",
        "why": why,
        "profile": None,
        "hours": None,
        **_age(frontier),
        "degraded": degraded,
    }


def _age(frontier: Frontier | None) -> View:
    as_of = 0 if frontier is None else frontier.as_of
    return {
        "as_of": timestamp(as_of) if as_of else None,
        "stale": wall_clock() - as_of > STALE_MS,
    }


def _figures(found: Profile) -> View:
    """`ProfileFigures`."""
    return {
        "since": timestamp(found.since),
        "last_seen": timestamp(found.last_seen),
        "transactions": found.transactions,
        "stepped_up": found.stepped_up,
        "declined": found.declined,
        "highest_score": found.highest_score,
        "last_score": found.last_score,
        "patterns": found.patterns,
        "rings": found.rings,
        "alerts": found.alerts,
    }


def _hours(found: Aggregate) -> list[View]:
    """`HourOut`s."""
    return [
        {
            "hour": timestamp(each.hour * HOUR),
            "transactions": each.transactions,
            "declined": each.declined,
            "sent": each.sent,
            "received": each.received,
        }
        for each in found.hours
    ]
