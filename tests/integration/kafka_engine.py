"""An engine on the real Kafka, a transaction for it to read, and which ones it has answered."""

import json
import time
from collections import Counter
from collections.abc import Callable

from ingest import codec
from ingest.currencies import RateTable
from ingest.engine import Engine, EngineConfig
from ingest.kafka import KafkaLog
from ingest.ports import Topic
from ingest.recovery import Build
from tests.tiny_detector import TinyDetector, VerboseDetector

tiny: Build = TinyDetector
verbose: Build = VerboseDetector

START = 1_700_000_000_000
"""Epoch milliseconds that the streams begin at."""

EUROS = RateTable("EUR", {})


def raw(name: str, user: str, at: int, currency: str = "EUR") -> bytes:
    record = {
        "transaction_id": name, "timestamp": START + at, "type": "transfer",
        "amount": "12.50", "currency": currency, "user_id": user, "counterparty_id": "shop",
    }  # fmt: skip
    return json.dumps(record).encode()


def verdict_ids(log: KafkaLog) -> Counter[str | None]:
    return Counter(record.key for record in log.read(Topic.VERDICTS, 0, 0, 100_000))


def run_engine(log: KafkaLog, rates: RateTable = EUROS, detector: Build = tiny) -> Engine:
    engine = Engine(
        log,
        detector,
        lambda data: codec.decode(data, rates=rates, now=None),
        config=EngineConfig(batch=16, stream_share=8, poll_ms=5),
    )
    engine.start()
    return engine


def until(what: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)
