"""The lists: who is blocked, allowed or watched, and decisions about it."""

import asyncio
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api.answers import answer, described
from api.body import read_json_bytes
from api.caching import Caching, caching_of
from api.clock import wall_clock
from api.list_board import ListBoard
from api.listing_schemas import ListDecision, ListPage, ListStanding
from api.problems import InvalidBody, InvalidParameter
from api.views import View, entity, timestamp
from graph.lists import ListChange, ListEntry, ListName
from graph.transaction import Entity, EntityKind
from ingest import fields
from ingest.list_changes import checked, ending

router: Final = APIRouter(prefix="/v1/lists", tags=["lists"])

MOST_BYTES: Final = 8_192

Listing = Annotated[ListName, Path()]
Kind = Annotated[EntityKind, Path()]
# Not `max_length`: a spelling that is not NFC may be longer than the id that it stands for.
Id = Annotated[str, Path(json_schema_extra={"maxLength": fields.LONGEST_ID}, examples=["u-17"])]


class _Decision(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a PUT."""

    reason: str = ""
    author: str = ""
    expires_at: str | int | None = None


def _read_up(request: Request) -> ListBoard:
    """The lists, once they are read: before that, nobody is known not to be on one."""
    board = caching_of(request).lists
    board.must_be_read()
    return board


@router.get("/{listing}", summary="Who is on a list", responses=described(ListPage, 422, 503))
async def entries(
    request: Request,
    listing: Listing,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    after: Annotated[str | None, Query(max_length=140, description="`next` of a page.")] = None,
) -> Response:
    """Entries by kind and id, as the log told them; those that event time ended are gone."""
    board = _read_up(request)
    ended = None if after is None else _read(after)
    found = await asyncio.to_thread(board.entries, listing)
    if ended is not None:
        found = [entry for entry in found if _place(entry) > ended]
    page = found[:limit]
    return answer(
        {
            "entries": [_entry(each) for each in page],
            "next": str(page[-1].entity) if len(found) > limit else None,
            "known_to": board.offset,
            "event_time": timestamp(board.event_time) if board.event_time else None,
        }
    )


@router.get(
    "/{listing}/{kind}/{id:path}",
    summary="Whether an entity is on a list",
    responses=described(ListStanding, 422, 503),
)
async def standing(request: Request, listing: Listing, kind: Kind, id: Id) -> Response:  # noqa: A002
    """Answered from the log, never from a cache."""
    board = _read_up(request)
    asked = checked(ListChange(Entity(kind, id), listing)).entity
    entry = board.get(listing, asked)
    return answer(
        {
            "listing": listing,
            "entity": entity(asked),
            "listed": entry is not None,
            "entry": None if entry is None else _entry(entry),
            "on": board.of(asked),
            "known_to": board.offset,
        }
    )


@router.put(
    "/{listing}/{kind}/{id:path}",
    summary="Put an entity on a list",
    responses=described(ListDecision, 400, 408, 413, 415, 422, 503),
    openapi_extra={
        "requestBody": {
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "reason": {"type": "string", "maxLength": 200},
                            "author": {"type": "string", "maxLength": 64},
                            "expires_at": {
                                "type": ["string", "integer", "null"],
                                "description": "Event time: RFC 3339 or epoch milliseconds.",
                            },
                        },
                        "additionalProperties": False,
                    },
                    "example": {"reason": "chargebacks", "author": "j.doe"},
                }
            }
        }
    },
)
async def put(request: Request, listing: Listing, kind: Kind, id: Id) -> Response:  # noqa: A002
    """Written to the log; the engine goes by it within a second. An entry there is replaced.

    What is blocked is declined, what is allowed is never the centre of evidence, what is watched
    is named in verdicts and alerts and decides nothing. Where an entity is blocked and allowed, the
    block stands. `expires_at` is event time, so that a replay ends the entry where it ended.
    """
    try:
        body = msgspec.json.decode(await read_json_bytes(request, MOST_BYTES), type=_Decision)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidBody(
            str(error) or "it is nested too deeply",
            field="body",
            remedy='Send {"reason": ..., "author": ..., "expires_at": ...}; each may be left out.',
        ) from None
    caching = caching_of(request)
    change = ListChange(
        Entity(kind, id),
        listing,
        reason=body.reason,
        author=body.author,
        expires_at=ending(body.expires_at, caching.lists.event_time),
        at=wall_clock(),
    )
    return await _decided(caching, change)


@router.delete(
    "/{listing}/{kind}/{id:path}",
    summary="Take an entity off a list",
    responses=described(ListDecision, 422, 503),
)
async def delete(
    request: Request,
    listing: Listing,
    kind: Kind,
    id: Id,  # noqa: A002
    reason: Annotated[str, Query(max_length=200)] = "",
    author: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """Written to the log; the engine goes by it within a second. Again is harmless."""
    change = ListChange(
        Entity(kind, id), listing, listed=False, reason=reason, author=author, at=wall_clock()
    )
    return await _decided(caching_of(request), change)


async def _decided(caching: Caching, change: ListChange) -> Response:
    change = checked(change)
    offset = await asyncio.to_thread(caching.decide, change)
    return answer(
        {
            "listing": change.listing,
            "entity": entity(change.entity),
            "listed": change.listed,
            "offset": offset,
        }
    )


def _place(entry: ListEntry) -> tuple[int, str]:
    return list(EntityKind).index(entry.entity.kind), entry.entity.id


def _read(after: str) -> tuple[int, str]:
    kind, _, name = after.partition(":")
    try:
        return list(EntityKind).index(EntityKind(kind)), name
    except ValueError:
        raise InvalidParameter(
            "this is not the end of a page",
            field="after",
            value=fields.show(after),
            remedy="Pass `next` of the page before, as it came; leave it out to begin.",
        ) from None


def _entry(entry: ListEntry) -> View:
    """`ListEntryOut`."""
    return {
        "listing": entry.listing,
        "entity": entity(entry.entity),
        "reason": entry.reason,
        "author": entry.author,
        "expires_at": None if entry.expires_at is None else timestamp(entry.expires_at),
        "decided_at": timestamp(entry.at) if entry.at else None,
    }
