"""What `test_kafka.py` kills and freezes: python kafka_worker.py BOOTSTRAP PREFIX FOLDER.

It leads an engine with the tiny detector over the stream until that is read to its end, or, with
RINGFENCE_TEST_LEASE=1, stands by for it or leads it until it is ended. With RINGFENCE_TEST_DIE=N
it ends itself without any clean-up before the N-th request to a broker: between two requests lies
every state the log can be left in.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from ingest import codec
from ingest.currencies import RateTable
from ingest.engine import Engine, EngineConfig
from ingest.kafka import KafkaLog
from ingest.kafka_client import Connection, KafkaSettings
from ingest.lease import Lease
from ingest.ports import Log, Topic
from ingest.recovery import Checkpoints
from tests.tiny_detector import TinyDetector

RATES = RateTable("EUR", {})


def engine(log: Log, folder: Path, lease: Lease | None) -> Engine:
    return Engine(
        log,
        TinyDetector,
        lambda data: codec.decode(data, rates=RATES, now=None),
        checkpoints=Checkpoints(folder / "checkpoints"),
        lease=lease,
        config=EngineConfig(batch=8, stream_share=4, checkpoint_every=25, poll_ms=5),
    )


def die_at(step: int) -> None:
    left = [step]
    send = Connection.send

    async def counting(self: Connection, *args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return await send(self, *args, **kwargs)

    Connection.send = counting  # type: ignore[method-assign]


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(bootstrap: str, prefix: str, folder: Path) -> None:
    if "RINGFENCE_TEST_DIE" in os.environ:
        die_at(int(os.environ["RINGFENCE_TEST_DIE"]))
    log = KafkaLog(KafkaSettings(bootstrap, prefix=prefix), folder / "index.db")
    follows = "RINGFENCE_TEST_LEASE" in os.environ
    runs = engine(log, folder, Lease(log, "engine", patience=2.0) if follows else None)
    runs.start()
    while follows:  # until it is killed
        stats = runs.stats()
        say(f"{stats.state} {stats.batches} {stats.fenced}")
        time.sleep(0.05)
    runs.wait_ready(60)
    for partition in range(log.partitions(Topic.TRANSACTIONS)):
        (last,) = log.read(Topic.TRANSACTIONS, partition, 0, 10_000)[-1:]
        while log.committed("engine", Topic.TRANSACTIONS, partition) <= last.offset:
            time.sleep(0.005)
    assert runs.stop(60)
    log.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
