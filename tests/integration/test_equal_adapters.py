"""The same stream through the embedded log and through Kafka: the same bytes in every topic."""

import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import cast

from api.wiring import detector
from graph.lists import ListChange, ListName
from ingest import list_changes
from ingest.codec import decode, encode
from ingest.datasets import read
from ingest.embedded import EmbeddedLog
from ingest.engine import Engine, EngineConfig
from ingest.kafka import KafkaLog
from ingest.kafka_client import KafkaSettings
from ingest.kafka_topics import create_topics, delete_topics
from ingest.mapping import load_mapping
from ingest.ports import Log, Message, Topic
from ingest.simulator import RingCounts, SimulationConfig, write
from scorer.detector import Detector

COUNT = 2_000
OUTPUTS = (Topic.VERDICTS, Topic.RINGS, Topic.ALERTS, Topic.DEAD_LETTERS)
MAPPING = load_mapping("ringfence")
DECODE = partial(decode, rates=MAPPING.rate_table, now=None)


def city(folder: Path) -> list[bytes]:
    """Simulated transactions with rings in them; some come twice or late, some are poison."""
    config = SimulationConfig(seed=5, days=3, users=400, ring_counts=RingCounts(12, 12, 8))
    write(config, folder)
    rows = [encode(each.transaction) for each in read(folder, MAPPING)][:COUNT]
    assert len(rows) == COUNT
    for at in range(100, COUNT, 97):
        rows.insert(at, rows[at // 2])
    for at in range(50, COUNT, 211):
        rows.insert(at, b"\x00poison %d" % at)
    rows.append(rows.pop(7))
    return rows


def detector_from(snapshot: bytes | None) -> Detector:
    return cast("Detector", detector()) if snapshot is None else Detector.restore(snapshot)


def said(log: Log, rows: Sequence[bytes], batch: int) -> tuple[dict[Topic, list[bytes]], bytes]:
    """What an engine says to the stream, topic by topic, and its detector's state at the end."""
    blocked = DECODE(rows[0]).user
    change = ListChange(blocked, ListName.BLOCK, True, "for the test", "a test", None, 1)
    log.append([list_changes.message(change)])
    for start in range(0, len(rows), 100):
        log.append([Message(Topic.TRANSACTIONS, 0, row) for row in rows[start : start + 100]])
    engine = Engine(
        log,
        detector_from,
        DECODE,
        facts={Topic.LISTS: list_changes.read},
        config=EngineConfig(batch=batch, stream_share=batch, poll_ms=5),
    )
    engine.start()
    engine.wait_ready(60)
    end = log.bounds(Topic.TRANSACTIONS, 0).next
    while log.committed("engine", Topic.TRANSACTIONS, 0) < end:
        assert engine.standing()[0] == "running"
        engine.ask(lambda _: None, timeout=30).result(60)
    state = engine.ask(lambda one: one.snapshot(), timeout=30).result(60)
    assert engine.stop(60)
    found = {topic: [r.value for r in log.read(topic, 0, 0, 100_000)] for topic in OUTPUTS}
    log.close()
    return found, state


def test_kafka_and_the_embedded_log_make_the_same_verdicts_rings_and_alerts(
    kafka_url: str, tmp_path: Path
) -> None:
    rows = city(tmp_path / "city")
    embedded, state = said(EmbeddedLog(tmp_path / "log.sqlite"), rows, batch=512)
    assert len(embedded[Topic.VERDICTS]) == COUNT
    assert embedded[Topic.RINGS]
    assert embedded[Topic.ALERTS]
    assert embedded[Topic.DEAD_LETTERS]

    settings = KafkaSettings(kafka_url, prefix=f"test-{uuid.uuid4().hex[:12]}.")
    create_topics(settings, partitions=1)
    try:
        log = KafkaLog(settings, tmp_path / "index.sqlite")
        kafka, kafka_state = said(log, rows, batch=64)
    finally:
        delete_topics(settings)
    assert kafka == embedded
    assert kafka_state == state
