"""Topics of a test's own in the real Kafka, deleted after it: for every suite that needs some."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ingest.kafka_client import KafkaSettings
from ingest.kafka_topics import create_topics, delete_topics


@pytest.fixture
def places(kafka_url: str) -> Iterator[Callable[..., KafkaSettings]]:
    made: list[KafkaSettings] = []

    def place(partitions: int = 1, bootstrap: str = kafka_url, **rest: Any) -> KafkaSettings:
        made.append(KafkaSettings(bootstrap, prefix=f"test-{uuid.uuid4().hex[:12]}.", **rest))
        create_topics(made[-1], partitions=partitions)
        return made[-1]

    yield place
    for where in made:
        if where.bootstrap == kafka_url:
            delete_topics(where)
