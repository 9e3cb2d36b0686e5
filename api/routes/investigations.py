"""Investigations: parameterised questions to the graph database."""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api.answers import answer, described, service_of
from api.body import decode_object, read_json_bytes
from api.schemas import InvestigationList, InvestigationResult
from api.views import View
from cypher.investigation import Investigation
from cypher.queries import catalogue, run

router: Final = APIRouter(prefix="/v1/investigations", tags=["investigations"])


@router.get("", summary="Every investigation", responses=described(InvestigationList))
async def investigations() -> Response:
    """Names, questions and parameters: what a form needs to ask them."""
    return answer({"investigations": [view(each) for each in catalogue()]})


@router.post(
    "/{name}",
    summary="Ask one",
    responses=described(InvestigationResult, 400, 404, 413, 415, 422, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": "object", "additionalProperties": True},
                    "examples": {
                        each.name: {
                            "summary": each.title,
                            "value": {p.name: p.example for p in each.parameters if p.required},
                        }
                        for each in catalogue()
                    },
                }
            },
        }
    },
)
async def investigate(
    request: Request,
    name: Annotated[str, Path(max_length=80, examples=[catalogue()[0].name])],
) -> Response:
    """The body is an object of parameters by name; those with a default may be left out."""
    service = service_of(request)
    parameters = decode_object(await read_json_bytes(request, service.settings.max_body))
    rows = await asyncio.to_thread(run, service.graph, name, parameters)
    return answer({"columns": rows.columns, "rows": rows.rows, "truncated": rows.truncated})


def view(found: Investigation) -> View:
    """`InvestigationOut`."""
    return {
        "name": found.name,
        "title": found.title,
        "question": found.question,
        "parameters": [
            {
                "name": each.name,
                "type": each.type,
                "default": each.default,
                "example": each.example,
                "required": each.required,
                "description": each.meaning,
            }
            for each in found.parameters
        ],
        "columns": [column.name for column in found.columns],
    }
