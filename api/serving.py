"""Running the application: one process, one event loop, a clean end."""

import asyncio
import logging
import socket
from collections.abc import Callable
from types import FrameType
from typing import Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.app import create_app
from api.problems import BodyTooSlow, MalformedRequest, respond
from api.service import Service
from api.settings import Settings
from graph.errors import RingfenceError, Unavailable

DRAIN_S: Final = 10  # requests at work when asked to stop have so long
HEAD_BYTES: Final = 64 * 1024
HEAD_S: Final = 15.0
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class _Protocol(HttpToolsProtocol):
    """HTTP/1.1: its head bounded in bytes and in time, a problem document for what is not HTTP.

    That is said also where the head was HTTP and the body is not, unless the answer has begun.

    The parser takes heads of any size at any pace; the body is bounded where it is read
    (`api.body`), and a line that says nothing between requests by `timeout_keep_alive`.
    """

    _head = 0  # bytes of a head that has not ended
    _in_body = False
    _head_ended = False  # within the bytes at hand
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A line is open; its first head has to come in time."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEAD_S, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """The line is closed."""
        self._in_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and hold a head that has not ended to its bounds."""
        was_body, self._head_ended = self._in_body, False
        super().data_received(data)
        if self._in_body or self.transport.is_closing():
            return
        if not (was_body or self._head_ended):  # else only a part of it was head
            self._head += len(data)
        if self._head > HEAD_BYTES:
            self.send_400_response(f"the head of a request may have {HEAD_BYTES} bytes")
        elif self._deadline is None and self._idle():
            self._deadline = self.loop.call_later(HEAD_S, self._too_slow)

    def on_headers_complete(self) -> None:
        """A head has ended: what follows is its body."""
        self._in_time()
        self._head_ended = True
        self._head = 0
        super().on_headers_complete()
        self._in_body = True

    def on_message_complete(self) -> None:
        """A request has ended: what follows is the next one's head."""
        self._in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that cannot be read as a request, and close."""
        self._refuse(MalformedRequest(msg, field="request", remedy="Send HTTP/1.1."))

    def _too_slow(self) -> None:
        self._deadline = None
        if self.transport.is_closing() or not self._idle():
            return  # the answer at work is waited for; `timeout_keep_alive` counts after it
        if self._head:
            self._refuse(
                BodyTooSlow(
                    f"the head of the request did not arrive within {HEAD_S:.0f} s",
                    field="request",
                    remedy="Send the whole head at once.",
                )
            )
        else:
            self.transport.close()

    def _refuse(self, error: RingfenceError) -> None:
        self._in_time()
        # Else the bytes would land within the answer that is being sent, in its place or after it.
        if self._broken_off() if self._in_body else self._idle():
            problem = respond(error, headers={"Connection": "close"})
            lines = [STATUS_LINE[problem.status_code]]
            lines += [b"%b: %b\r\n" % header for header in problem.raw_headers]
            self.transport.write(b"".join([*lines, b"\r\n", bytes(problem.body)]))
        self.transport.close()

    def _broken_off(self) -> bool:
        """Whether the body at hand cannot end and nobody has begun to answer: nobody will then."""
        cycle = self.cycle
        if cycle.response_started or self.pipeline:
            return False
        cycle.disconnected = True  # what the application says from here on is not sent
        cycle.message_event.set()
        return True

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr] # None at first, whatever its annotation says

    def _in_time(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Server(uvicorn.Server):
    """Says where it listens, and ends the event streams first: they would keep it from closing."""

    def __init__(
        self, config: uvicorn.Config, service: Service, announce: Callable[[str], None]
    ) -> None:
        super().__init__(config)
        self._service = service
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port, then say so: with port 0 nobody else knows it."""
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._announce(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On SIGTERM and SIGINT."""
        self._service.close_streams()
        super().handle_exit(sig, frame)


def server_of(service: Service, announce: Callable[[str], None]) -> uvicorn.Server:
    """A server over these parts, not yet running.

    Args:
        service: The parts; they are started and stopped with the server.
        announce: Called with the URL once the port is open.
    """
    settings = service.settings
    config = uvicorn.Config(
        create_app(service),
        host=settings.host,
        port=settings.port,
        http=_Protocol,
        log_level=settings.log_level,
        access_log=False,  # a line a request would cost more than the request
        server_header=False,
        timeout_graceful_shutdown=DRAIN_S,
        timeout_keep_alive=30,
        backlog=2_048,
    )
    return _Server(config, service, announce)


def run(service: Service, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; then answer what is at work and end.

    Raises:
        Unavailable: The port cannot be opened.
    """
    settings = service.settings
    logging.basicConfig(
        level=_LEVELS[settings.log_level], format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        server_of(service, announce).run()
    except SystemExit:
        # How uvicorn says that it could not start; what went wrong is in its log.
        raise _no_port(settings) from None


def try_port(settings: Settings) -> None:
    """Open the port for a moment: for a command that has minutes of work before it serves.

    Raises:
        Unavailable: The port cannot be opened.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError:
        raise _no_port(settings) from None


def _no_port(settings: Settings) -> Unavailable:
    return Unavailable(
        "the server could not start",
        field="--port",
        value=f"{settings.host}:{settings.port}",
        remedy="Choose another port, or stop what listens there.",
    )
