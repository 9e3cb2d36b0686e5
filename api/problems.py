"""Errors as HTTP problems (RFC 9457): one table, read off the exceptions of the house.

A route raises; this module answers. Status, title and code come from the class of the error, the
field, value and remedy from the error itself. The leaves below are the ones only HTTP has.

    InvalidInput
    ├── InvalidParameter    a query or path parameter cannot be used         422
    ├── InvalidBody         the body is not the JSON that was asked for      400
    ├── BodyTooLarge        more bytes than are read                         413
    ├── BodyTooSlow         the body did not arrive in time                  408
    ├── Unauthorised        a token is missing or wrong                      401
    ├── Forbidden           the settings allow it to nobody                  403
    ├── WrongContentType    the body is not declared as JSON                 415
    ├── UnknownResource     no such route, ring or investigation             404
    ├── MalformedRequest    the bytes are not HTTP                           400
    └── WrongMethod         the route exists, not for this method            405
    Unavailable
    ├── StillReading        what the answer is in is still being read        503, Retry-After
    ├── NoLongerReading     what the answer is in is read no longer          503, Retry-After
    ├── ServerFailed        it ended by an error: a restart is what helps    503, Retry-After
    └── TooManyStreams      as many event streams are open as are allowed    503, Retry-After
    InternalError           a fault of ours                                  500
"""

import inspect
import logging
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import Final

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from graph.errors import InvalidInput, RingfenceError, Unavailable
from ingest.card_numbers import mask_card_numbers
from ingest.codec import InvalidTransaction
from ingest.ports import Overloaded

MEDIA_TYPE: Final = "application/problem+json"
_LONGEST_VALUE: Final = 120
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_LOG = logging.getLogger("ringfence.api")


class InvalidParameter(InvalidInput):
    """A query or path parameter cannot be used."""

    code = "invalid-parameter"


class InvalidBody(InvalidInput):
    """The body is not the JSON that was asked for."""

    code = "invalid-body"
    http_status = 400


class BodyTooLarge(InvalidInput):
    """The body has more bytes than are read."""

    code = "body-too-large"
    http_status = 413


class BodyTooSlow(InvalidInput):
    """The body did not arrive in time."""

    code = "body-too-slow"
    http_status = 408


class Unauthorised(InvalidInput):
    """The token that this needs was not sent, or another was."""

    code = "unauthorised"
    http_status = 401


class Forbidden(InvalidInput):
    """Nobody may do this on this server, by its settings."""

    code = "forbidden"
    http_status = 403


class WrongContentType(InvalidInput):
    """The body is not declared as JSON."""

    code = "wrong-content-type"
    http_status = 415


class UnknownResource(InvalidInput):
    """There is no such route, ring or investigation."""

    code = "unknown-resource"
    http_status = 404


class MalformedRequest(InvalidInput):
    """The bytes that were sent are not HTTP."""

    code = "malformed-request"
    http_status = 400


class WrongMethod(InvalidInput):
    """The route exists, but not for this method."""

    code = "wrong-method"
    http_status = 405


class StillReading(Unavailable):
    """What the answer would be in is still being read from the log."""

    code = "still-reading"


class NoLongerReading(Unavailable):
    """What the answer would be in is no longer read from the log: a fault of ours."""

    code = "no-longer-reading"


class ServerFailed(Unavailable):
    """The server has failed for good: it lives, but only a restart lets it go on."""

    code = "server-failed"


class TooManyStreams(Unavailable):
    """As many event streams are open as are allowed."""

    code = "too-many-streams"


class InternalError(RingfenceError):
    """A fault of ours; the log of the server has it under the incident number."""

    code = "internal-error"


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One row of the table: everything about an error that its class decides."""

    code: str
    title: str
    status: int
    exit_code: int
    meaning: str
    parent: str | None

    @property
    def type(self) -> str:
        """The URI reference of RFC 9457; it resolves on the server that sent it."""
        return f"/v1/problems/{self.code}"


def kind_of(error: type[RingfenceError]) -> ProblemKind:
    """The row of one class of error."""
    parent = error.__mro__[1]
    assert issubclass(parent, RingfenceError)  # noqa: S101 - the tree has one stem
    meaning = inspect.cleandoc(error.__doc__ or error.__name__)
    return ProblemKind(
        code=error.code,
        title=re.split(r"[.:;]\s", meaning)[0].rstrip("."),
        status=error.http_status,
        exit_code=error.exit_code,
        meaning=meaning.partition("\n\n")[0].replace("\n", " "),
        parent=None if parent is RingfenceError else parent.code,
    )


def kinds() -> list[ProblemKind]:
    """The table: every error of the house that has been imported, by code.

    Classes that share a code are one kind; its row is that of the most general class.
    """
    rows: dict[str, ProblemKind] = {}
    for error in _descend(RingfenceError):
        if error is RingfenceError:
            continue
        row = kind_of(error)
        rows.setdefault(row.code, row)
    return [rows[code] for code in sorted(rows)]


def _descend(root: type[RingfenceError]) -> Iterator[type[RingfenceError]]:
    yield root
    for child in sorted(root.__subclasses__(), key=lambda error: error.__name__):
        yield from _descend(child)


def problem_of(error: RingfenceError, instance: str | None = None) -> dict[str, object]:
    """The problem document of an error; members without a value are left out."""
    kind = kind_of(type(error))
    document: dict[str, object] = {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "detail": error.what,
        "code": kind.code,
    }
    optional: dict[str, object] = {
        "instance": None if instance is None else mask_card_numbers(instance),
        "field": error.field,
        "value": None if error.value is None else shorten(error.value),
        "remedy": error.remedy,
    }
    if isinstance(error, InvalidTransaction):
        optional["problems"] = [
            {"field": each.field, "detail": each.what, "value": each.value, "remedy": each.remedy}
            for each in error.problems
        ]
    document.update({name: found for name, found in optional.items() if found is not None})
    return document


def shorten(value: str) -> str:
    """A value as it may be shown back: one line, without control characters, not long."""
    cut = value if len(value) <= _LONGEST_VALUE else value[:_LONGEST_VALUE] + "…"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cut)


def respond(
    error: RingfenceError, instance: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The HTTP answer to an error. A 503 says when to come back; a cut-off body ends the line."""
    document = problem_of(error, instance)
    extra = dict(headers or {})
    if error.http_status == HTTPStatus.SERVICE_UNAVAILABLE:
        wait = error.retry_after if isinstance(error, Overloaded) else 1.0
        extra.setdefault("Retry-After", str(max(1, ceil(wait))))
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        extra.setdefault("WWW-Authenticate", 'Bearer realm="ringfence"')
    if error.http_status in (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_TIMEOUT):
        # What is left of the body is not read, so the connection cannot carry another request.
        extra["Connection"] = "close"
    return Response(
        msgspec.json.encode(document),
        status_code=error.http_status,
        media_type=MEDIA_TYPE,
        headers=extra,
    )


def install(app: FastAPI) -> None:
    """Make every way a request can fail answer with a problem document."""
    app.add_exception_handler(RingfenceError, _on_error)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_parameters)
    app.add_exception_handler(Exception, _on_fault)


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RingfenceError)  # noqa: S101 - what it was registered for
    return respond(error, shorten(request.scope["path"]))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it was registered for
    path = shorten(request.scope["path"])
    headers = dict(error.headers or {})
    found: RingfenceError
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # The router says what the first of its routes takes that has the path; others take more.
        allowed = _methods_of(request) or headers.get("Allow", "another method").split(", ")
        headers["Allow"] = ", ".join(allowed)
        found = WrongMethod(
            "this path does not take that method",
            field="method",
            value=request.method,
            remedy=f"Use {' or '.join([*filter(None, [', '.join(allowed[:-1])]), allowed[-1]])}.",
        )
    elif error.status_code == HTTPStatus.NOT_FOUND:
        slash = "Leave out the slash at its end, or see" if path.endswith("/") else "See"
        found = UnknownResource(
            "there is nothing here",
            field="path",
            value=path,
            remedy=f"{slash} /docs for the routes.",
        )
    else:
        found = InvalidBody(str(error.detail), remedy="See /docs for what this route takes.")
    return respond(found, path, headers)


def _methods_of(request: Request) -> list[str]:
    """Every method that a path takes, of whichever routes; HEAD wherever there is GET."""
    taken = [
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]
    return [*taken[:1], "HEAD", *taken[1:]] if taken[:1] == ["GET"] else taken


async def _on_parameters(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it was registered for
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "request"
    found = InvalidParameter(
        str(first["msg"]),
        field=where,
        value=shorten(str(first.get("input", ""))),
        remedy="See /docs for what this parameter takes.",
    )
    return respond(found, shorten(request.scope["path"]))


async def _on_fault(request: Request, error: Exception) -> Response:
    incident = secrets.token_hex(4)
    _LOG.error(
        "incident %s: %s %s",
        incident,
        request.method,
        shorten(request.scope["path"]),
        exc_info=error,
    )
    return respond(
        InternalError(
            "something broke on our side",
            field="incident",
            value=incident,
            remedy="Report it with the incident number; the request may be sent again.",
        ),
        shorten(request.scope["path"]),
    )
