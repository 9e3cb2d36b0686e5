"""Investigations: parameterised questions to the graph database."""

from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api.answers import answer, described, service_of
from api.body import decode_object, read_json_bytes
from api.questions import Questions
from api.schemas import InvestigationAnswer, InvestigationList
from api.views import View
from cypher.investigation import Investigation
from cypher.ports import Dialect, Rows
from cypher.queries import catalogue, run

router: Final = APIRouter(prefix="/v1/investigations", tags=["investigations"])


@router.get("", summary="Every investigation", responses=described(InvestigationList))
async def investigations(request: Request) -> Response:
    """By group: question, parameters, columns and limits; what a form needs to ask them."""
    dialect = service_of(request).graph.dialect
    return answer({"investigations": [view(each, dialect) for each in catalogue()]})


@router.post(
    "/{name}",
    summary="Ask one",
    responses=described(InvestigationAnswer, 400, 404, 413, 415, 422, 503),
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
    """The body is an object of parameters by name; those with a default may be left out.

    The id of a ring that merged asks about the ring it became; `became` names that one.
    """
    service = service_of(request)
    parameters = decode_object(await read_json_bytes(request, service.settings.max_body))
    found = await questions_of(request).run(partial(run, service.graph, name, parameters))
    return answer({**result(found), "became": found.became})


def questions_of(request: Request) -> Questions:
    """The threads that questions run on."""
    questions = request.app.state.questions
    assert isinstance(questions, Questions)  # noqa: S101 - what create_app put there
    return questions


def result(rows: Rows) -> View:
    """`InvestigationResult`."""
    return {"columns": rows.columns, "rows": rows.rows, "truncated": rows.truncated}


def view(found: Investigation, dialect: Dialect | None = None) -> View:
    """`InvestigationOut`; without a dialect nothing is said about being available."""
    told: View = {
        "name": found.name,
        "title": found.title,
        "question": found.question,
        "group": found.group,
        "asked_by": found.asked_by,
        "shape": "table" if found.branch is None else "tree",
        "needs": found.needs,
        "max_rows": found.max_rows,
        "timeout_ms": found.timeout_ms,
        "example": found.example,
        "parameters": [
            {
                "name": each.name,
                "type": each.type,
                "minimum": each.minimum,
                "maximum": each.maximum,
                "choices": each.choices,
                "default": each.default,
                "example": each.example,
                "required": each.required,
                "description": each.meaning,
            }
            for each in found.parameters
        ],
        "columns": [
            {"name": each.name, "type": each.type, "description": each.meaning}
            for each in found.columns
        ],
    }
    if dialect is not None:
        told["available"] = found.needs in (None, dialect)
    return told
