"""Verdicts that were given: read again by transaction, from the cache or else from the log."""

import asyncio
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api.answers import described, service_of
from api.caching import READ_S, Caching, caching_of
from api.problems import InvalidParameter, UnknownResource, shorten
from api.schemas import VerdictOut
from ingest import fields
from ingest.ports import Log, Topic
from ingest.records import VerdictRecord, decode
from scorer.cache.port import CacheUnavailable, Shelf
from scorer.verdict import Verdict

router: Final = APIRouter(prefix="/v1/verdicts", tags=["scoring"])

SOURCE: Final = "X-Ringfence-Source"
"""Says who answered: `cache` or `log`."""

# Not `max_length`: a spelling that is not NFC may be longer than the id that it stands for.
TransactionId = Annotated[
    str, Path(json_schema_extra={"maxLength": fields.LONGEST_ID}, examples=["t-1"])
]


@router.get(
    "/{transaction_id:path}",
    summary="The verdict a transaction got",
    responses=described(VerdictOut, 404, 422, 503),
)
async def verdict(
    request: Request,
    transaction_id: TransactionId,
) -> Response:
    """The same bytes whoever answers: any process of the API may, and the log has the last word.

    `X-Ringfence-Source` says `cache` or `log`.
    """
    caching = caching_of(request)
    transaction_id = id_of(transaction_id)
    found = await _cached(caching, transaction_id)
    source = "cache"
    if found is None:
        source = "log"
        told = await asyncio.to_thread(verdict_in, caching.log, transaction_id)
        found = msgspec.json.encode(service_of(request).views.verdict(told))
    return Response(found, media_type="application/json", headers={SOURCE: source})


def id_of(transaction_id: str) -> str:
    """The id as the codec names the transaction, however it was spelled in the path.

    Raises:
        InvalidParameter: No transaction has such an id.
    """
    try:
        return fields.identifier(transaction_id)
    except fields.Flaw as flaw:
        raise InvalidParameter(
            flaw.what,
            field="transaction_id",
            value=fields.show(transaction_id),
            remedy=flaw.remedy,
        ) from None


def verdict_in(log: Log, transaction_id: str) -> Verdict:
    """The verdict that a log holds.

    Raises:
        UnknownResource: It holds none.
    """
    records = log.find(Topic.VERDICTS, [transaction_id])
    if transaction_id not in records:
        raise UnknownResource(
            "this transaction has no verdict",
            field="transaction_id",
            value=shorten(transaction_id),
            remedy="Send it to POST /v1/score.",
        )
    return decode(records[transaction_id].value, VerdictRecord).to_verdict()


async def _cached(caching: Caching, transaction_id: str) -> bytes | None:
    try:
        found = await caching.cache.answer(
            lambda cache: cache.fetch(Shelf.ANSWER, [transaction_id]), within=READ_S
        )
    except CacheUnavailable:
        return None
    held = found.values[0]
    return None if held is None else held.value
