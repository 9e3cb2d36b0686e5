"""The same stream through embedded and real adapters: the same bytes, the same graph and cache."""

import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec
from redis import Redis

from api.service import Service
from api.settings import Settings
from api.wiring import build, detector
from graph.lists import ListChange, ListName
from ingest import list_changes, records
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
from scorer.cache.port import Shelf
from scorer.cache.profiles import key_of
from scorer.detector import Detector
from tests.graph_contents import whole

COUNT = 2_000
OUTPUTS = (Topic.VERDICTS, Topic.RINGS, Topic.ALERTS, Topic.DEAD_LETTERS)
MAPPING = load_mapping("ringfence")
DECODE = partial(decode, rates=MAPPING.rate_table, now=None)


def city(folder: Path) -> list[bytes]:
    """Simulated transactions with rings in them; some come twice or late, some are poison."""
    rings = RingCounts(cycle=12, mule=12, device_farm=8)
    config = SimulationConfig(seed=5, days=3, users=400, ring_counts=rings)
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


def until(done: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 120
    while not done():
        assert time.monotonic() < deadline, f"no {what} within 120 s"
        time.sleep(0.05)


def told(settings: Settings, rows: Sequence[bytes]) -> dict[str, list[Any]]:
    """What a whole service makes of the stream: its topics, its graph, its cache."""
    service = build(settings)
    service.start()
    try:
        until(lambda: not service.missing(service.engine.stats()), "readiness")
        for start in range(0, len(rows), 100):
            some = [Message(Topic.TRANSACTIONS, 0, row) for row in rows[start : start + 100]]
            service.log.append(some)
        end = service.log.bounds(Topic.TRANSACTIONS, 0).next
        until(lambda: service.log.committed("engine", Topic.TRANSACTIONS, 0) >= end, "verdict")
        return {**_topics(service), "graph": _graph(service), "cache": _cached(service, rows)}
    finally:
        service.stop()


def _topics(service: Service) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {
        topic: [record.value for record in service.log.read(topic, 0, 0, 100_000)]
        for topic in (Topic.RINGS, Topic.ALERTS, Topic.DEAD_LETTERS)
    }
    lines = [
        records.decode(record.value, records.VerdictRecord)
        for record in service.log.read(Topic.VERDICTS, 0, 0, 100_000)
    ]
    # On a busy machine a server may be slow for a moment, and a verdict says so.
    found[Topic.VERDICTS] = [
        msgspec.structs.replace(
            line, verdict=msgspec.structs.replace(line.verdict, degraded=("model",))
        )
        for line in lines
        if set(line.verdict.degraded) <= {"model", "cache"}
    ]
    return found


def _graph(service: Service) -> list[str]:
    last = service.log.read(Topic.VERDICTS, 0, 0, 100_000)[-1].offset
    until(lambda: (service.graph.offset() or 0) > last, "end of the log in the graph")
    # Where the log goes on is the log's affair: Kafka's has marks between the records.
    return [row for row in whole(service.graph) if '"Sink"' not in row]


def _cached(service: Service, rows: Sequence[bytes]) -> list[Any]:
    last = service.log.read(Topic.VERDICTS, 0, 0, 100_000)[-1].offset

    def complete() -> bool:
        frontier = service.caching.cache.ask(lambda cache: cache.frontier()).result(10)
        return frontier is not None and frontier.complete and frontier.verdicts > last

    until(complete, "end of the log in the cache")
    understood = [row for row in rows if not row.startswith(b"\x00")]
    keys = sorted({key_of(entity) for row in understood for entity in DECODE(row).entities})[:1_000]
    answer = service.caching.cache.ask(lambda cache: cache.fetch(Shelf.PROFILE, keys)).result(10)
    return [None if held is None else held.value for held in answer.values]


def test_the_urls_of_the_servers_change_where_things_are_and_nothing_that_is_said(
    kafka_url: str,
    empty_neo4j: str,
    neo4j_auth: tuple[str, str],
    redis_url: str,
    tmp_path: Path,
) -> None:
    rows = city(tmp_path / "city")
    quiet = {"port": 0, "log_level": "error"}
    embedded = told(Settings.load({}, data_dir=tmp_path / "embedded", **quiet), rows)
    assert len(embedded[Topic.VERDICTS]) == COUNT
    assert all(embedded[what] for what in (*OUTPUTS, "graph"))
    assert any(embedded["cache"])

    prefix = f"test-{uuid.uuid4().hex[:12]}."
    kafka = KafkaSettings(kafka_url, prefix=prefix)
    own = f"{redis_url.rpartition('/')[0]}/9"  # the cache's keys have one prefix
    create_topics(kafka, partitions=1)
    try:
        servers = Settings.load(
            {"RINGFENCE_NEO4J_PASSWORD": neo4j_auth[1]},
            data_dir=tmp_path / "servers",
            kafka=kafka_url,
            kafka_prefix=prefix,
            neo4j=empty_neo4j,
            redis=own,
            **quiet,
        )
        real = told(servers, rows)
    finally:
        delete_topics(kafka)
        with Redis.from_url(own) as redis:
            redis.flushdb()
    assert real == embedded
