"""Running the application: one process, one event loop, a clean end."""

import logging
import socket
from collections.abc import Callable
from types import FrameType
from typing import Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.app import create_app
from api.problems import MalformedRequest, respond
from api.service import Service
from graph.errors import Unavailable

DRAIN_S: Final = 10  # requests at work when asked to stop have so long
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class _Protocol(H11Protocol):
    """HTTP/1.1, with a problem document for what is not HTTP at all."""

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that cannot be read as a request, and close."""
        problem = respond(
            MalformedRequest(msg, field="request", remedy="Send HTTP/1.1."),
            headers={"Connection": "close"},
        )
        head = h11.Response(status_code=problem.status_code, headers=problem.raw_headers)
        for event in (head, h11.Data(data=bytes(problem.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


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
        h11_max_incomplete_event_size=64 * 1024,
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
        raise Unavailable(
            "the server could not start",
            field="--port",
            value=f"{settings.host}:{settings.port}",
            remedy="Choose another port, or stop what listens there.",
        ) from None
