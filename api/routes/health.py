"""Is it alive, is it ready, which model answers, what does a problem mean."""

import asyncio
from importlib.metadata import version
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api.answers import answer, described, service_of
from api.problems import UnknownResource, kinds, shorten
from api.schemas import Health, ModelOut, ProblemKindOut, Readiness

router: Final = APIRouter()


@router.get(
    "/healthz",
    tags=["operations"],
    summary="Whether a restart would help",
    responses=described(Health, 503),
)
async def healthz(request: Request) -> Response:
    """Whether a restart would help: 503 once the engine, or the start, failed for good.

    It says nothing about being ready: who starts, catches up, stands by or is overloaded lives.
    """
    service_of(request).must_live()
    return answer({"status": "alive", "version": version("ringfence")})


@router.get(
    "/readyz",
    tags=["operations"],
    summary="Requests can be answered",
    responses={**described(Readiness), 503: {"model": Readiness}},
)
async def readyz(request: Request) -> Response:
    """200 when the engine has caught up, kernels are compiled and the log can be written."""
    service = service_of(request)
    stats = await asyncio.to_thread(service.engine.stats)
    missing = service.missing(stats)
    view = {
        "ready": not missing,
        "missing": missing,
        "warnings": service.warnings(stats),
        "stats": service.figures(stats),
    }
    return answer(view, 200 if not missing else 503)


@router.get(
    "/v1/model", tags=["model"], summary="Which model answers", responses=described(ModelOut)
)
async def model(request: Request) -> Response:
    """Version, training time and the figures measured when it was trained."""
    return answer(service_of(request).model)


@router.get(
    "/v1/problems/{code}",
    tags=["operations"],
    summary="What a problem means",
    responses=described(ProblemKindOut, 404, 422),
)
async def problem(
    code: Annotated[str, Path(max_length=64, examples=["invalid-transaction"])],
) -> Response:
    """Where the `type` of every problem document leads."""
    for kind in kinds():
        if kind.code == code:
            return answer(
                {
                    "code": kind.code,
                    "title": kind.title,
                    "status": kind.status,
                    "exit_code": kind.exit_code,
                    "meaning": kind.meaning,
                }
            )
    raise UnknownResource(
        "there is no such problem", field="code", value=shorten(code), remedy="See docs/errors.md."
    )
