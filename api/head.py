"""HEAD wherever there is a GET, as plain ASGI: its answer without the body (RFC 9110 9.3.2)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Head:
    """Asks for GET and keeps the head of the answer.

    An event stream ends with its head: the server says `http.disconnect` once an answer is whole.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; HEAD as GET."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        whole = False

        async def without_body(message: Message) -> None:
            nonlocal whole
            if message["type"] == "http.response.start":
                await send(message)
            elif not whole:
                whole = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app({**scope, "method": "GET"}, receive, without_body)
