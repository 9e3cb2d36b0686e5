"""`ringfence bench http`: a verdict over HTTP, ours against an endpoint that does nothing.

Ours is `ringfence serve` in a process of its own with a data folder of its own: every answer is
committed to the log before it is sent. The alternative is a FastAPI endpoint, served by the same
uvicorn settings, that checks the same body with pydantic and answers a constant. Both are asked by
one client over one kept-alive connection on the loopback interface, one request at a time.
"""

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from api.bench import time_each
from api.bench.score import simulated
from graph.errors import Unavailable
from ingest.codec import encode
from scorer.history import LabelledTransaction

Ask = Callable[[bytes], bytes]
"""Posts a body to /v1/score and gives the answer's; raises `Unavailable` for any but 200."""

_HOST: Final = "127.0.0.1"
_START_S: Final = 60.0
_FLOOR: Final = """
import sys
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict

class Transaction(BaseModel):
    model_config = ConfigDict(extra="allow")
    transaction_id: str
    timestamp: int | str
    type: str
    amount: str
    currency: str
    user_id: str

app = FastAPI()

@app.get("/readyz")
async def ready() -> dict[str, str]:
    return {"status": "ready"}

@app.post("/v1/score")
async def score(transaction: Transaction) -> dict[str, object]:
    return {"transaction_id": transaction.transaction_id, "decision": "approve", "score": 0.0}

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)
"""


def bench_http(*, requests: int = 3_000, seed: int = 5, budget_s: float = 60.0) -> dict[str, Any]:
    """Run both and compare; figures by their published names."""
    bodies = bodies_until_now(simulated(seed, days=2, users=1_500)[-requests:])
    warm, timed = bodies[: requests // 5], bodies[requests // 5 :]
    figures = {}
    with tempfile.TemporaryDirectory(prefix="ringfence-bench-") as folder:
        commands = {
            "ours": [sys.executable, "-m", "api.cli", "serve", "--data", folder, "--port"],
            "fastapi_constant": [sys.executable, "-c", _FLOOR],
        }
        for name, command in commands.items():
            with serving(command, Path(folder) / f"{name}.log") as ask:
                for body in warm:
                    ask(body)
                figures[name] = time_each(ask, timed, budget_s=budget_s)
    ours, floor = figures["ours"], figures["fastapi_constant"]
    return {
        "input": {"requests": len(timed), "connections": 1, "seed": seed},
        "ours": ours.as_json(),
        "fastapi_constant": floor.as_json(),
        "ratio": round(floor.p50_us / ours.p50_us, 2),
    }


def bodies_until_now(history: Sequence[LabelledTransaction]) -> list[bytes]:
    """Requests as a caller would send them now: the last one's event time is this moment."""
    later = int(time.time() * 1_000) - history[-1].transaction.timestamp
    return [
        encode(structs.replace(row.transaction, timestamp=row.transaction.timestamp + later))
        for row in history
    ]


@contextmanager
def serving(command: list[str], log: Path, **environment: str) -> Iterator[Ask]:
    """A server in a process of its own; gives a function that posts one body.

    Args:
        command: What to run; a free port is added at its end.
        log: File for what it prints.
        environment: Variables it has besides ours.

    Raises:
        Unavailable: It does not start.
    """
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port = probe.getsockname()[1]
    with log.open("wb") as output:
        server = subprocess.Popen(  # noqa: S603  # our own interpreter and our own arguments
            [*command, str(port)], stdout=output, stderr=output, env={**os.environ, **environment}
        )
    try:
        connection = _connect(server, port, log)

        def ask(body: bytes) -> bytes:
            connection.request("POST", "/v1/score", body, {"content-type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != http.client.OK:
                raise Unavailable(
                    f"the server answered {answer.status}",
                    value=text[:200].decode(errors="replace"),
                    remedy="Look at its log above.",
                )
            return text

        yield ask
        connection.close()
    finally:
        server.terminate()
        server.wait(30)


def _connect(server: subprocess.Popen[bytes], port: int, log: Path) -> http.client.HTTPConnection:
    deadline = time.monotonic() + _START_S
    while True:
        connection = http.client.HTTPConnection(_HOST, port, timeout=10)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            answer.read()
            if answer.status == http.client.OK and server.poll() is None:
                return connection
        except OSError:
            pass
        connection.close()
        if server.poll() is not None or time.monotonic() > deadline:
            raise Unavailable(
                "the server did not start",
                value=log.read_text(errors="replace")[-300:],
                remedy="Start it by hand to see why.",
            )
        time.sleep(0.1)
