"""Security headers on every answer, and paths that are text, as plain ASGI: a microsecond each."""

import unicodedata
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import InvalidParameter, respond, shorten

# The page is served whole from here: no other origin, no inline script, no frames.
_POLICY: Final = (
    b"default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    b"form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: Final[Iterable[tuple[bytes, bytes]]] = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
)
_NO_STORE: Final = (b"cache-control", b"no-store")
_CONTROL: Final = frozenset({"Cc", "Zl", "Zp"})
_REPLACED: Final = "\N{REPLACEMENT CHARACTER}"


class Guard:
    """Adds the headers; what the API says is not kept by caches unless a route says otherwise.

    A path of the API with control characters, or that is not UTF-8, is refused here: the routes
    do not see a line break at its end, and see one character for all bytes that are none.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and add to the head of its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), *_HEADERS]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append(_NO_STORE)
                message = {**message, "headers": headers}
            await send(message)

        wrong = _flaw(scope)
        if wrong is None:
            await self._app(scope, receive, guarded)
            return
        path = shorten(scope["path"])
        refusal = InvalidParameter(
            wrong,
            field="path",
            value=path,
            remedy="Send the path as percent-encoded UTF-8 without control characters.",
        )
        await respond(refusal, path)(scope, receive, guarded)


def _flaw(scope: Scope) -> str | None:
    """What is wrong with the text of a path of the API."""
    path: str = scope["path"]
    if (path.isprintable() and _REPLACED not in path) or not path.startswith("/v1/"):
        return None
    try:
        unquote_to_bytes(scope.get("raw_path") or b"").decode()
    except UnicodeDecodeError:
        return "the path is not UTF-8"
    if any(unicodedata.category(each) in _CONTROL for each in path):
        return "the path has control characters"
    return None
