"""Alerts: read page by page, or as a stream."""

import asyncio
import logging
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from api.answers import answer, described, service_of, streamed
from api.routes.resume import ENDLESS, start_after
from api.schemas import AlertOut, AlertPage
from api.streams import EventStream
from graph.errors import Incompatible
from graph.rings import Alert
from ingest.ports import Record, Topic
from ingest.records import AlertRecord, decode

_LOG: Final = logging.getLogger("ringfence.api.alerts")
router: Final = APIRouter(prefix="/v1/alerts", tags=["alerts"])


@router.get("", summary="Alerts in the order of the log", responses=described(AlertPage, 422, 503))
async def alerts(
    request: Request,
    after: Annotated[
        int, Query(ge=-1, lt=ENDLESS, description="`next` of the page before; -1 begins.")
    ] = -1,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> Response:
    """Alerts after an offset, oldest first; the page after it goes on where this one ends."""
    service = service_of(request)
    records = await asyncio.to_thread(service.log.read, Topic.ALERTS, 0, after + 1, limit)
    found = [_readable(record) for record in records]
    return answer(
        {
            "alerts": [service.views.alert(alert) for alert in found if alert is not None],
            "next": records[-1].offset if records else after,
        }
    )


@router.get(
    "/stream",
    summary="Alerts as they happen",
    response_class=Response,
    responses=streamed(AlertOut, "alert"),
)
async def stream(
    request: Request,
    after: Annotated[
        int | None, Query(ge=-1, lt=ENDLESS, description="Start after this offset.")
    ] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Alerts from `Last-Event-ID` or `after` on, else from now. Each is sent once a connection."""
    feed = service_of(request).alerts
    return EventStream(feed, await start_after(feed, last_event_id, after))


def _readable(record: Record) -> Alert | None:
    """The alert in a record; None, and logged, of one that this version cannot read."""
    try:
        return decode(record.value, AlertRecord).to_alert()
    except Incompatible as error:
        _LOG.warning("alert %d is not told: %s", record.offset, error)
        return None
