"""Answers: plain data out as JSON bytes, and how OpenAPI describes the answers of a route."""

from typing import Any, Final

import msgspec
from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from api.problems import MEDIA_TYPE
from api.service import Service

_ENCODER: Final = msgspec.json.Encoder()


def answer(view: object, status: int = 200) -> Response:
    """A view as JSON."""
    return Response(_ENCODER.encode(view), status_code=status, media_type="application/json")


def service_of(request: Request) -> Service:
    """The parts of the running server."""
    service = request.app.state.service
    assert isinstance(service, Service)  # noqa: S101 - what create_app put there
    return service


def described(model: type[BaseModel], *problems: int) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route: its answer, and the statuses that answer with a problem."""
    return {200: {"model": model}, **_problems(*problems)}


def streamed(model: type[BaseModel], name: str) -> dict[int | str, dict[str, Any]]:
    """`responses` of a stream of server-sent events of that name."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    events = {
        "description": f"Server-sent events: `{name}` with a {model.__name__}, its id the offset "
        "in the log; `open` and `gap` say where the stream starts, `dropped` why it ended.",
        "content": {"text/event-stream": {"schema": schema}},
    }
    return {200: events, **_problems(422, 503)}


_PROBLEM: Final = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
REFUSED_ANYWHERE: Final[dict[str, dict[str, Any]]] = {
    "405": {
        "description": "A problem (RFC 9457): this path does not take that method.",
        "headers": {
            "Allow": {"description": "All that it takes.", "schema": {"type": "string"}},
        },
        "content": _PROBLEM,
    },
    "default": {
        "description": "A problem (RFC 9457) that any route can answer with: 400 of what is not "
        "HTTP, 408, 422 of a path that is no plain text, 429 with Retry-After, 500.",
        "content": _PROBLEM,
    },
}
"""`responses` that every operation has beside its own."""


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"description": "A problem (RFC 9457).", "content": _PROBLEM} for status in statuses
    }
