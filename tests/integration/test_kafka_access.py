"""Who enters the real Kafka, by TLS and SCRAM, and what is said to who does not get in."""

import time
import uuid
from pathlib import Path

import pytest

from graph.errors import Unavailable
from ingest.kafka import KafkaLog
from ingest.kafka_client import KafkaSettings
from ingest.kafka_topics import create_topics, delete_topics
from ingest.ports import Message, Topic


def test_it_enters_by_tls_and_scram(kafka_secure) -> None:
    where = KafkaSettings(
        kafka_secure.url,
        prefix=f"test-{uuid.uuid4().hex[:12]}.",
        security="sasl-tls",
        user=kafka_secure.user,
        password=kafka_secure.password,
        ca=kafka_secure.ca,
    )
    assert kafka_secure.password not in repr(where)
    create_topics(where)
    log = KafkaLog(where)
    with log.claim("engine").transaction() as outputs:
        outputs.append([Message(Topic.VERDICTS, 0, b"v", "t")])
    assert log.find(Topic.VERDICTS, ["t"])["t"].value == b"v"
    log.close()
    delete_topics(where)


@pytest.mark.parametrize("wrong", ["password", "security", "ca"])
def test_who_may_not_enter_is_told(kafka_secure, wrong: str, tmp_path: Path) -> None:
    right = {
        "security": "sasl-tls", "user": kafka_secure.user, "password": kafka_secure.password,
        "ca": kafka_secure.ca,
    }  # fmt: skip
    settings = {**right, wrong: {"password": "guess", "security": "plaintext", "ca": None}[wrong]}
    where = KafkaSettings(kafka_secure.url, timeout_s=3.0, **settings)
    with pytest.raises(Unavailable, match="Kafka does not answer") as raised:
        KafkaLog(where)
    assert kafka_secure.password not in str(raised.value)
    # Whichever it was, the brokers' words do not say: all three causes are named.
    for cause in ("host and port", "kafka_security", "kafka_ca", "kafka_user", "kafka_password"):
        assert cause in raised.value.remedy


def test_a_broker_that_is_not_there_is_unavailable_soon() -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        KafkaLog(KafkaSettings("127.0.0.1:1", timeout_s=2.0))
    assert time.monotonic() - began < 15
