"""A real server over a service, in this process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue

import httpx

from api.service import Service
from api.serving import server_of


@contextmanager
def served(service: Service) -> Iterator[httpx.Client]:
    """A client of a server that is ready; it ends with the block."""
    with running(service) as client:
        service.engine.wait_ready(240)
        yield client


@contextmanager
def running(service: Service) -> Iterator[httpx.Client]:
    """A client of a server, ready or not, on a free port and a thread of its own."""
    urls: Queue[str] = Queue()
    server = server_of(service, urls.put)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with httpx.Client(base_url=urls.get(timeout=60), timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()
