"""Free Cypher for the one role that may: read-only, capped as every question is, and on record."""

import hashlib
import hmac
import logging
import time
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Request
from pydantic import SecretStr
from starlette.responses import Response

from api.answers import answer, described, service_of
from api.body import decode_object, read_json_bytes
from api.problems import Forbidden, InvalidBody, Unauthorised, shorten
from api.routes.investigations import questions_of, result
from api.schemas import CypherStatement, InvestigationResult
from cypher.free_cypher import ask
from graph.errors import RingfenceError

ROLE: Final = "cypher"
_AUDIT: Final = logging.getLogger("ringfence.audit")

router: Final = APIRouter(prefix="/v1/cypher", tags=["investigations"])


@router.post(
    "",
    summary="Ask in Cypher",
    responses=described(InvestigationResult, 400, 401, 403, 413, 415, 422, 503),
    openapi_extra={
        "security": [{"cypher": []}],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": CypherStatement.model_json_schema()}},
        },
    },
)
async def free_cypher(request: Request) -> Response:
    """One statement that reads the graph, for who holds the token `RINGFENCE_CYPHER_TOKEN`.

    Without that setting nobody may. Every use is written to the log `ringfence.audit`.
    """
    service = service_of(request)
    origin = "unknown" if request.client is None else request.client.host
    try:
        admit(service.settings.cypher_token, request.headers.get("authorization"))
    except RingfenceError as error:
        _AUDIT.warning("role=%s from=%s refused=%s", ROLE, origin, error.code)
        raise
    statement, parameters = _read(
        decode_object(await read_json_bytes(request, service.settings.max_body))
    )
    digest = hashlib.sha256(statement.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    began, rows, outcome = time.perf_counter(), 0, "broken off"
    try:
        found = await questions_of(request).run(partial(ask, service.graph, statement, parameters))
        rows, outcome = len(found.rows), "truncated" if found.truncated else "answered"
    except RingfenceError as error:
        outcome = error.code
        raise
    finally:
        spent = round((time.perf_counter() - began) * 1_000)
        _AUDIT.info(
            "role=%s from=%s statement=%s rows=%d ms=%d outcome=%s",
            *(ROLE, origin, digest, rows, spent, outcome),
        )
    return answer(result(found))


def admit(token: SecretStr | None, authorization: str | None) -> None:
    """Let the holder of the token in.

    Args:
        token: The setting; None where nobody may.
        authorization: The header, as it was sent.

    Raises:
        Forbidden: There is no token, so nobody may.
        Unauthorised: It was not sent, or another was.
    """
    if token is None:
        raise Forbidden(
            "free Cypher is switched off on this server",
            field="cypher_token",
            remedy="Set RINGFENCE_CYPHER_TOKEN to a secret and send it as a bearer token; "
            "GET /v1/investigations lists what can be asked without.",
        )
    scheme, _, sent = (authorization or "").partition(" ")
    known = token.get_secret_value().encode()
    # Compared in constant time: how long it takes says nothing about how much was right.
    right = hmac.compare_digest(sent.strip().encode("utf-8", "surrogatepass"), known)
    if scheme.lower() != "bearer" or not right:
        raise Unauthorised(
            "free Cypher is for those who hold its token",
            field="Authorization",
            value="another token" if sent else "none",
            remedy="Send `Authorization: Bearer` with the value of RINGFENCE_CYPHER_TOKEN.",
        )


def _read(body: dict[str, Any]) -> tuple[str, dict[str, object]]:
    statement, parameters = body.get("query"), body.get("parameters")
    for name, value in body.items():
        if name not in ("query", "parameters"):
            raise _refusal(name, "there is no such member", value)
    if not isinstance(statement, str):
        raise _refusal("query", "must be text", statement)
    if parameters is not None and not isinstance(parameters, dict):
        raise _refusal("parameters", "must be an object", parameters)
    return statement, parameters or {}


def _refusal(name: str, what: str, value: object) -> InvalidBody:
    return InvalidBody(
        what,
        field=shorten(name),
        value=shorten(repr(value)),
        remedy='Send {"query": "MATCH (u:User {id: $user}) RETURN u.id AS user", '
        '"parameters": {"user": "u-1"}}.',
    )
