"""`ringfence bench kafka`: from a transaction on Kafka to its verdict on Kafka.

One engine with a trained model and all partitions, a real broker, each micro-batch one transaction
with its offsets, verdicts read as committed. Two questions:

- *How many a second?* A backlog lies in the topic; timed from the first verdict to the last. The
  alternative is the same engine on the embedded log with the same backlog, in the same run.
- *How late?* Another process produces at a steady pace and reads the verdicts: from the moment a
  transaction is handed to the producer to the moment its verdict is in hand.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from api.bench import collected_as_served
from api.bench.score import simulated
from api.pauses import Young
from graph.errors import Unavailable
from ingest.codec import decode, encode
from ingest.currencies import RateTable
from ingest.embedded import EmbeddedLog
from ingest.engine import Engine, EngineConfig
from ingest.kafka import KafkaLog, KafkaSettings
from ingest.kafka_topics import create_topics, delete_topics
from ingest.ports import Log, Message, Topic
from scorer.detector import Detector
from scorer.training import train

_RATES: Final = RateTable("EUR", {"USD": "0.92", "GBP": "1.17"})
_PAGE: Final = 512
_MOST_S: Final = 300.0


def bench_kafka(
    bootstrap: str,
    *,
    transactions: int = 100_000,
    pace: int = 2_000,
    seconds: int = 20,
    partitions: int = 4,
    seed: int = 5,
) -> dict[str, Any]:
    """Ask both questions; figures by their published names.

    Args:
        bootstrap: A broker, host:port; topics of a prefix of their own are made and deleted.
        transactions: Length of the backlog.
        pace: Transactions a second of the second question.
        seconds: How long it is asked.
        partitions: Of the input.
        seed: Of the simulated city.

    Raises:
        Unavailable: The broker does not answer, or the verdicts do not come.
    """
    model = train(simulated(seed, 20, 2_000), Detector())
    days = 2 + (transactions + pace * seconds) // 4_000
    history = simulated(seed + 1, days, 2_000)[: transactions + pace * seconds]
    raw = [(row.transaction.user_id, encode(row.transaction)) for row in history]
    backlog, paced = raw[:transactions], raw[transactions:]
    settings = KafkaSettings(bootstrap, prefix=f"bench-{uuid.uuid4().hex[:8]}.")
    create_topics(settings, partitions=partitions)
    build = partial(_detector, model)
    with tempfile.TemporaryDirectory(prefix="ringfence-bench-") as folder:
        try:
            embedded = _sustained(EmbeddedLog(Path(folder) / "log.sqlite"), build, backlog, 1)
            kafka = _sustained(
                KafkaLog(settings, Path(folder) / "index.sqlite"), build, backlog, partitions
            )
            late = _late(settings, build, paced, pace)
        finally:
            delete_topics(settings)
    return {
        "input": {
            "backlog": len(backlog),
            "paced": len(paced),
            "pace_per_s": pace,
            "partitions": partitions,
            "features": len(model.schema.names),
            "seed": seed,
        },
        "kafka": kafka,
        "embedded_log": embedded,
        "ratio": round(kafka["per_s"] / embedded["per_s"], 2),
        f"end_to_end_at_{pace}_per_s": late,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _detector(model: Any, snapshot: bytes | None) -> Detector:
    return Detector(model=model) if snapshot is None else Detector.restore(snapshot, model)


def _sustained(
    log: Log,
    build: Callable[[bytes | None], Detector],
    backlog: Sequence[tuple[str, bytes]],
    partitions: int,
) -> dict[str, float]:
    """Verdicts a second of an engine that finds the backlog in its log."""
    for start in range(0, len(backlog), _PAGE):
        by_partition: dict[int, list[Message]] = {}
        for user, value in backlog[start : start + _PAGE]:
            number = sum(user.encode()) % partitions
            by_partition.setdefault(number, []).append(
                Message(Topic.TRANSACTIONS, number, value, user)
            )
        for messages in by_partition.values():
            log.append(messages)
    engine = Engine(
        log, build, partial(decode, rates=_RATES, now=None), between=Young(), config=_CONFIG
    )
    try:
        with collected_as_served():
            engine.start()
            engine.wait_ready(60)
            began, used = time.perf_counter(), time.process_time()
            _until(lambda: _said(engine) >= len(backlog), engine)
            taken, used = time.perf_counter() - began, time.process_time() - used
        stats = engine.stats()
        found = {
            "per_s": round(len(backlog) / taken, 1),
            "cpu_us_each": round(used / len(backlog) * 1e6, 1),
            "late_share": round(stats.observed.get("late", 0) / len(backlog), 5),
            "mean_batch": round(len(backlog) / stats.batches, 1),
        }
    finally:
        engine.stop(30)
        log.close()
    return found


_CONFIG: Final = EngineConfig(poll_ms=5)


def _late(
    settings: KafkaSettings,
    build: Callable[[bytes | None], Detector],
    paced: Sequence[tuple[str, bytes]],
    pace: int,
) -> dict[str, float]:
    """Milliseconds from the producer's hand to the verdict, measured by another process."""
    log = KafkaLog(settings)
    engine = Engine(
        log, build, partial(decode, rates=_RATES, now=None), between=Young(), config=_CONFIG
    )
    try:
        engine.start()
        engine.wait_ready(120)
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file, collected_as_served():
            for user, value in paced:
                file.write(json.dumps([user, value.decode()]) + "\n")
            file.flush()
            load = subprocess.run(  # noqa: S603 - our own interpreter and our own arguments
                [
                    sys.executable,
                    "-m",
                    "api.bench.kafka_load",
                    settings.bootstrap,
                    settings.prefix,
                    file.name,
                    str(pace),
                ],
                capture_output=True,
                text=True,
                timeout=_MOST_S,
                env=dict(os.environ),
                check=False,
            )
    finally:
        engine.stop(30)
        log.close()
    if load.returncode != 0:
        raise Unavailable(
            "the load did not end",
            value=load.stderr[-300:],
            remedy="Look at what it says; a slower pace may tell more.",
        )
    found: dict[str, float] = json.loads(load.stdout)
    return found


def _said(engine: Engine) -> int:
    return sum(engine.stats().decisions.values())


def _until(done: Callable[[], bool], engine: Engine) -> None:
    deadline = time.monotonic() + _MOST_S
    while not done():
        state, error = engine.standing()
        if state == "failed" or time.monotonic() > deadline:
            raise Unavailable(
                f"the verdicts did not come: the engine is {state}",
                value=error,
                remedy="Look at the broker and its log.",
            )
        time.sleep(0.1)
