"""What Prometheus scrapes."""

import asyncio
from typing import Final

from fastapi import APIRouter, Request
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

router: Final = APIRouter()


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """The registry of this application as text; reading it asks the log, so not on the loop."""
    text = await asyncio.to_thread(generate_latest, request.app.state.metrics)
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})
