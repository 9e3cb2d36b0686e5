"""The worker that `test_kill.py` kills: python killed_worker.py FOLDER HTTP_COUNT tiny|real.

It follows the stream, and submits its own share of transactions as an HTTP client would, one by
one and every one again after a restart, since a client that got no answer sends again. It prints a
line for each answer, which is what a client has been told. With RINGFENCE_TEST_DIE=N it ends
itself without any clean-up at the N-th step of the log: a step is what lies between two
statements, so that "after the effect and before the offset" is among them.
"""

import os
import signal
import sqlite3
import sys
import time
from pathlib import Path

from ingest import codec
from ingest.currencies import RateTable
from ingest.embedded import EmbeddedLog
from ingest.engine import Engine, EngineConfig
from ingest.ports import Topic
from ingest.recovery import Build, Checkpoints
from tests.tiny_detector import TinyDetector

RATES = RateTable("EUR", {})


def main(folder: Path, http_count: int, detector: str) -> None:
    log = EmbeddedLog(folder / "log.db")
    engine = Engine(
        log,
        TinyDetector if detector == "tiny" else real(),
        lambda data: codec.decode(data, rates=RATES, now=None),
        checkpoints=Checkpoints(folder / "checkpoints"),
        config=EngineConfig(batch=8, stream_share=4, checkpoint_every=25),
    )
    if "RINGFENCE_TEST_DIE" in os.environ:
        die_at(int(os.environ["RINGFENCE_TEST_DIE"]))
    engine.start()
    engine.wait_ready(30)
    for n in range(http_count):
        data = (folder / "http" / f"{n}.json").read_bytes()
        (verdict,) = engine.submit([codec.decode(data, rates=RATES, now=None)], [data]).result(30)
        sys.stdout.write(f"{verdict.transaction_id} {verdict.score}\n")
        sys.stdout.flush()
    end = log.bounds(Topic.TRANSACTIONS, 0).next
    while log.committed("engine", Topic.TRANSACTIONS, 0) < end:
        time.sleep(0.002)
    assert engine.stop(30)


def real() -> Build:
    from scorer.detector import Detector  # noqa: PLC0415 - its kernels take a second to load

    return lambda snapshot: Detector() if snapshot is None else Detector.restore(snapshot)


def die_at(step: int) -> None:
    """Count the statements of every connection, and kill this process before the N-th."""
    left = [step]
    connect = sqlite3.connect

    def counting(*args: object, **kwargs: object) -> sqlite3.Connection:
        connection = connect(*args, **kwargs)  # type: ignore[call-overload]
        connection.set_trace_callback(counted)
        return connection

    def counted(_statement: str) -> None:
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sqlite3.connect = counting  # type: ignore[assignment]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
