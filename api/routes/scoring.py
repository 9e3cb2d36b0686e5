"""Scoring: a transaction in, a verdict out."""

import asyncio
from concurrent.futures import Future
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.answers import answer, described, service_of
from api.body import decode_array, read_json_bytes
from api.clock import wall_clock
from api.problems import problem_of
from api.schemas import BatchOut, VerdictOut
from api.transaction_schema import batch_request_body, request_body
from api.views import View
from graph.errors import InvalidInput, Unavailable
from graph.transaction import Transaction
from ingest.codec import MalformedRecord, RecordTooLarge, decode
from scorer.verdict import Verdict

router: Final = APIRouter(prefix="/v1/score", tags=["scoring"])
_MOST_DOCUMENTED: Final = 1_000
SECONDS_FOR_A_VERDICT: Final = 10.0
"""Let in, a transaction has its verdict within one or two, unless the log cannot be written."""


@router.post(
    "",
    summary="Score one transaction",
    responses=described(VerdictOut, 400, 408, 413, 415, 422, 503),
    openapi_extra={"requestBody": request_body()},
)
async def score(request: Request) -> Response:
    """Decide one transaction: approve, step up or decline, and why.

    A transaction that was scored before, over HTTP or from the log, gets the verdict it got then.
    """
    service = service_of(request)
    service.engine.must_have_room()  # refused before it is read, or refusing is most of the work
    body = await read_json_bytes(request, service.settings.max_body)
    try:
        transaction = decode(body, rates=service.rates, now=wall_clock())
    except (MalformedRecord, RecordTooLarge) as error:
        error.field = error.field or "body"  # here the record is all of it
        raise
    (verdict,) = await _verdicts(service.engine.submit([transaction], [body]))
    return answer(service.views.verdict(verdict))


@router.post(
    "/batch",
    summary="Score many transactions",
    responses=described(BatchOut, 400, 408, 413, 415, 422, 503),
    openapi_extra={"requestBody": batch_request_body(_MOST_DOCUMENTED)},
)
async def score_batch(request: Request) -> Response:
    """Decide many transactions, in their order. Each gets a verdict or a problem of its own."""
    service = service_of(request)
    service.engine.must_have_room()  # refused before it is read, or refusing is most of the work
    body = await read_json_bytes(request, service.settings.max_body)
    items = decode_array(body, service.settings.max_batch)
    service.engine.must_have_room(len(items))
    now = wall_clock()
    results: list[View] = []
    good: list[tuple[View, Transaction, bytes]] = []
    for item in items:
        result: View = {"verdict": None, "problem": None}
        results.append(result)
        try:
            good.append((result, decode(item, rates=service.rates, now=now), item))
        except InvalidInput as error:
            result["problem"] = problem_of(error)
    verdicts = await _verdicts(
        service.engine.submit([each for _, each, _ in good], [raw for _, _, raw in good])
    )
    for (result, _, _), verdict in zip(good, verdicts, strict=True):
        result["verdict"] = service.views.verdict(verdict)
    return answer({"results": results})


async def _verdicts(future: "Future[list[Verdict]]") -> list[Verdict]:
    """What the engine says, once it is written; for so long is it waited for.

    Raises:
        Unavailable: It took longer. What the engine had not begun is not scored any more.
    """
    try:
        async with asyncio.timeout(SECONDS_FOR_A_VERDICT):
            return await asyncio.wrap_future(future)
    except TimeoutError:
        raise Unavailable(
            f"no verdict could be written within {SECONDS_FOR_A_VERDICT:g} s",
            field="log",
            remedy="It may still be written: send it again with the same transaction_id once"
            " /readyz says ready, and it gets the verdict it got then.",
        ) from None
