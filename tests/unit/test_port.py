"""Whether a port can be had is said before minutes of work, not after."""

import socket

import pytest

from api.serving import try_port
from api.settings import Settings
from graph.errors import Unavailable


def test_a_taken_port_is_refused_and_a_free_one_stays_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings.load(port=taken.getsockname()[1])
        with pytest.raises(Unavailable, match="--port"):
            try_port(settings)
    for _ in range(2):
        try_port(settings)
