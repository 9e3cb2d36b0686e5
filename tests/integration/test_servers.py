"""The servers that `make servers` starts are real, and reachable the way the fixtures say."""

import asyncio
import gc
import secrets
import socket
import ssl
import subprocess
import warnings

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError, KafkaError
from neo4j import GraphDatabase
from neo4j.exceptions import AuthError
from redis import Redis


async def _through_kafka(url: str, **security) -> list[bytes]:
    """Make a topic, write an aborted and a committed record to it, read what is committed."""
    topic = f"test-{secrets.token_hex(6)}"
    admin = AIOKafkaAdminClient(bootstrap_servers=url, **security)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
        producer = AIOKafkaProducer(bootstrap_servers=url, transactional_id=topic, **security)
        await producer.start()
        try:
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"aborted")
            await producer.abort_transaction()
            async with producer.transaction():
                await producer.send_and_wait(topic, b"committed")
        finally:
            await producer.stop()
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=url,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            **security,
        )
        await consumer.start()
        try:
            page = await asyncio.wait_for(consumer.getone(), timeout=30)
        finally:
            await consumer.stop()
        await admin.delete_topics([topic])
    finally:
        await admin.close()
    return [page.value]


def test_kafka_commits_and_aborts(kafka_url):
    assert asyncio.run(_through_kafka(kafka_url)) == [b"committed"]


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256"])
def test_kafka_behind_tls_and_scram(kafka_secure, mechanism):
    found = asyncio.run(
        _through_kafka(
            kafka_secure.url,
            security_protocol="SASL_SSL",
            ssl_context=ssl.create_default_context(cafile=kafka_secure.ca),
            sasl_mechanism=mechanism,
            sasl_plain_username=kafka_secure.user,
            sasl_plain_password=kafka_secure.password,
        )
    )
    assert found == [b"committed"]


def test_kafka_refuses_another_password(kafka_secure):
    async def enter() -> None:
        admin = AIOKafkaAdminClient(
            bootstrap_servers=kafka_secure.url,
            security_protocol="SASL_SSL",
            ssl_context=ssl.create_default_context(cafile=kafka_secure.ca),
            sasl_mechanism="SCRAM-SHA-512",
            sasl_plain_username=kafka_secure.user,
            sasl_plain_password=secrets.token_hex(8),
        )
        try:
            await admin.start()
        finally:
            await admin.close()

    # aiokafka ends before the TLS connection that was refused has said goodbye: now and then its
    # socket is left to the collector, which would complain within whatever test runs by then.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises((AuthenticationFailedError, KafkaConnectionError)):
            asyncio.run(enter())
        gc.collect()


def test_the_certificate_is_of_the_broker_and_of_no_authority_the_system_trusts(kafka_secure):
    host, _, port = kafka_secure.url.partition(":")
    answer = subprocess.run(
        ["openssl", "s_client", "-connect", kafka_secure.url, "-verify_return_error"],
        input="",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "self-signed certificate" in answer.stderr + answer.stdout
    ours = ssl.create_default_context(cafile=kafka_secure.ca)
    with (
        socket.create_connection((host, int(port)), timeout=30) as plain,
        ours.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        assert connection.version() == "TLSv1.3"


def test_kafka_makes_no_topic_by_itself(kafka_url):
    async def send() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=kafka_url, request_timeout_ms=2_000)
        await producer.start()
        try:
            await producer.send_and_wait(f"missing-{secrets.token_hex(6)}", b"x")
        finally:
            await producer.stop()

    with pytest.raises(KafkaError):
        asyncio.run(send())


def test_neo4j_has_graph_data_science_and_a_password(neo4j_url, neo4j_auth):
    with GraphDatabase.driver(neo4j_url, auth=neo4j_auth) as driver:
        (row,) = driver.execute_query(
            "CALL dbms.components() YIELD versions, edition "
            "RETURN versions[0] AS version, edition, gds.version() AS gds"
        ).records
    assert row["version"].startswith("5.")
    assert row["edition"] == "community"
    assert row["gds"].startswith("2.13")
    with (
        GraphDatabase.driver(neo4j_url, auth=("neo4j", "neo4j")) as driver,
        pytest.raises(AuthError),
    ):
        driver.verify_connectivity()


def test_an_empty_neo4j_is_empty_and_keeps_its_constraints(empty_neo4j, neo4j_auth):
    with GraphDatabase.driver(empty_neo4j, auth=neo4j_auth) as driver:
        (row,) = driver.execute_query("MATCH (n) RETURN count(n) AS nodes").records
    assert row["nodes"] == 0


def test_redis_keeps_what_it_is_given_for_as_long_as_it_is_told(redis_url):
    key = f"test:{secrets.token_hex(6)}"
    with Redis.from_url(redis_url) as client:
        client.set(key, "value", ex=60)
        assert client.get(key) == b"value"
        assert 0 < client.ttl(key) <= 60
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "allkeys-lru"
        client.delete(key)


def test_postgres_answers_and_knows_us_by_password(postgres_url):
    def ask(url: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["psql", "-XAtq", "-d", url, "-c", "SHOW password_encryption"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    assert ask(postgres_url).stdout.strip() == "scram-sha-256"
    password = postgres_url.split(":")[2].split("@")[0]
    assert "password authentication failed" in ask(postgres_url.replace(password, "x")).stderr
