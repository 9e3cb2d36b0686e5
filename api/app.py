"""The HTTP application: routes, problems, headers, the page, and an OpenAPI document."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from api import problems
from api.answers import REFUSED_ANYWHERE
from api.caching import Caching
from api.guard import Guard
from api.head import Head
from api.metrics import measure
from api.questions import Questions
from api.rate_limit import RateLimit
from api.reference import reference_page, reference_style
from api.routes import (
    alerts,
    contributions,
    free_cypher,
    health,
    importance,
    investigations,
    lists,
    profiles,
    rings,
    scoring,
    verdicts,
)
from api.schemas import AlertOut, Problem, RingEventOut
from api.service import Service
from api.transaction_schema import SCHEMA

STATIC: Final = Path(__file__).parent / "static"
_DESCRIPTION: Final = (
    "Send a transaction, get a verdict with the evidence of the fraud ring behind it. "
    "Every error is a problem document (RFC 9457); its `type` leads to what it means. "
    "Where GET is answered, HEAD is too: with the same head and no body."
)


def create_app(service: Service | None) -> FastAPI:
    """The application over these parts; it starts and stops them with itself.

    Without parts it can only describe itself: that is how `docs/openapi.json` is made.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if service is not None:
            service.start()
        yield
        questions.close()
        explanations.close()
        if service is not None:
            service.stop()

    app = _App(
        title="Ringfence",
        version=version("ringfence"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # both load scripts from a CDN, which our own policy forbids
        redoc_url=None,
        # Whoever leaves a slash too many is told so: a redirect would name the host of the request.
        redirect_slashes=False,
    )
    app.state.service = service
    app.state.questions = questions = Questions()
    app.state.explanations = explanations = Questions()
    for module in (
        scoring,
        contributions,
        rings,
        importance,
        alerts,
        investigations,
        free_cypher,
        health,
    ):
        app.include_router(module.router)
    problems.install(app)
    install_caching(app, None if service is None else service.caching)
    app.add_middleware(Guard)
    measure(app, service)
    app.add_middleware(Head)
    app.add_route("/docs", reference_page(app), include_in_schema=False)
    app.add_route("/docs.css", reference_style, include_in_schema=False)
    app.router.default = _page
    return app


def install_caching(app: FastAPI, caching: Caching | None) -> None:
    """Add lists, profiles, verdicts and the rate limits; without parts they are only described."""
    for module in (lists, profiles, verdicts):
        app.include_router(module.router)
    app.state.caching = caching
    if caching is not None:
        app.add_middleware(RateLimit, limiter=caching.limiter)


_FILES: Final = StaticFiles(directory=STATIC, html=True, check_dir=False)


async def _page(scope: Scope, receive: Receive, send: Send) -> None:
    """What no route takes is a file of the page, or nothing."""
    if scope["type"] != "http":
        raise HTTPException(404)
    reads = scope["method"] in ("GET", "HEAD")
    # Files are small and sent whole: of what a `Range` asks that cannot be, Starlette says so in
    # plain text. Whoever ignores it is right (RFC 9110 14.2).
    whole = {
        **scope,
        "method": scope["method"] if reads else "HEAD",
        "headers": [each for each in scope["headers"] if each[0] != b"range"],
    }
    answer: Response = await _FILES.get_response(_FILES.get_path(scope), whole)
    if not reads:
        raise HTTPException(405, headers={"Allow": "GET, HEAD"})
    answer.headers["Accept-Ranges"] = "none"
    answer.headers["Cache-Control"] = "no-cache"  # revalidated by ETag: an upgrade shows at once
    scope = whole
    await answer(scope, receive, send)


class _App(FastAPI):
    """FastAPI with the schemas that its routes name without pydantic."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        if self.openapi_schema is None:
            document = get_openapi(
                title=self.title,
                version=self.version,
                description=self.description,
                routes=self.routes,
            )
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for model in (Problem, AlertOut, RingEventOut):
                schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas.update(schema.pop("$defs", {}))
                schemas[model.__name__] = schema
            schemas["Transaction"] = SCHEMA
            document["components"]["securitySchemes"] = {
                "cypher": {"type": "http", "scheme": "bearer", "description": "Free Cypher only."}
            }
            for methods in document["paths"].values():
                for operation in methods.values():
                    told = operation["responses"] | REFUSED_ANYWHERE
                    operation["responses"] = dict(sorted(told.items()))
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            self.openapi_schema = document
        return self.openapi_schema
