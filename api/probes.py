"""Does a server answer: one question to each one that the settings name, each with a deadline.

Nothing is written to any server. What fails is said with the likely remedy.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from api.settings import Settings

if TYPE_CHECKING:
    from aiokafka.admin import AIOKafkaAdminClient

    from ingest.kafka_topics import Fault

DEADLINE_S: Final = 5.0
"""How long one server may take, connecting included."""

_CLOSING_S: Final = 0.1
_SECURITY: Final = {
    "plaintext": "PLAINTEXT",
    "tls": "SSL",
    "sasl": "SASL_PLAINTEXT",
    "sasl-tls": "SASL_SSL",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of the question.

    Attributes:
        server: Which.
        address: Where it was asked.
        ok: Whether it can be worked with.
        said: What it told, or what failed.
        remedy: What to do where it is not ok.
        warnings: What can be worked with and should not be.
    """

    server: str
    address: str
    ok: bool
    said: str
    remedy: str = ""
    warnings: tuple[str, ...] = ()


class _Told(NamedTuple):
    """What a server that can be worked with told, and warnings."""

    said: str
    warnings: tuple[str, ...] = ()


class _NoAnswerError(Exception):
    """A server that cannot be used, in our words."""

    def __init__(self, said: str, remedy: str) -> None:
        super().__init__(said)
        self.said = said
        self.remedy = remedy


async def ask_all(settings: Settings) -> list[Answer]:
    """Ask every server that is named, at the same time; at most `DEADLINE_S` for all of them."""
    asked: list[tuple[str, str, Callable[[Settings], Awaitable[_Told]]]] = []
    if settings.kafka is not None:
        asked.append(("kafka", settings.kafka, _kafka))
    if settings.neo4j is not None:
        asked.append(("neo4j", settings.neo4j, _neo4j))
    if settings.redis is not None:
        asked.append(("redis", str(settings.redis), _redis))
    return list(await asyncio.gather(*(_ask(settings, *each) for each in asked)))


async def _ask(
    settings: Settings, server: str, address: str, question: Callable[[Settings], Awaitable[_Told]]
) -> Answer:
    try:
        async with asyncio.timeout(DEADLINE_S):
            told = await question(settings)
            return Answer(server, address, ok=True, said=told.said, warnings=told.warnings)
    except TimeoutError:
        return Answer(
            server,
            address,
            ok=False,
            said=f"no answer in {DEADLINE_S:g} s",
            remedy="Is the address right, and does a firewall let this machine reach it? "
            "Where only one side speaks TLS, each may wait for the other.",
        )
    except _NoAnswerError as error:
        return Answer(server, address, ok=False, said=error.said, remedy=error.remedy)


def kafka_arguments(settings: Settings) -> dict[str, Any]:
    """What aiokafka's clients take to reach the Kafka of the settings.

    Raises:
        ssl.SSLError: The authority's file holds no certificate.
    """
    found: dict[str, Any] = {
        "bootstrap_servers": settings.kafka,
        "security_protocol": _SECURITY[settings.kafka_security],
    }
    if settings.kafka_security.endswith("tls"):
        found["ssl_context"] = ssl.create_default_context(
            cafile=None if settings.kafka_ca is None else str(settings.kafka_ca)
        )
    if settings.kafka_security.startswith("sasl"):
        assert settings.kafka_password is not None  # noqa: S101 - the settings refuse it
        found |= {
            "sasl_mechanism": settings.kafka_mechanism,
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": settings.kafka_password.get_secret_value(),
        }
    return found


async def _kafka(settings: Settings) -> _Told:
    from aiokafka.admin import AIOKafkaAdminClient  # noqa: PLC0415 - only who asks waits for it
    from aiokafka.errors import KafkaError  # noqa: PLC0415

    from ingest.kafka_client import CANNOT_ENTER  # noqa: PLC0415

    try:
        arguments = kafka_arguments(settings)
    except ssl.SSLError as error:
        raise _NoAnswerError(
            f"{settings.kafka_ca} holds no certificate: {error.reason or error}",
            "Name the PEM file of the authority that signed Kafka's certificate in kafka_ca.",
        ) from error
    with _heard("aiokafka") as reasons:
        admin = AIOKafkaAdminClient(
            **arguments, client_id="ringfence-check", request_timeout_ms=int(DEADLINE_S * 1000)
        )
        try:
            await admin.start()
            cluster = await admin.describe_cluster()
            topics = await admin.list_topics()
            wrong = await _wrong_topics(settings, admin, topics)
        except (KafkaError, OSError, ValueError) as error:
            # The library raises "unable to bootstrap" and logs why: 'Unable connect to "...": why'.
            said = reasons[0].partition('": ')[2] if reasons else str(error)
            said = said or f"no answer to {settings.kafka_security}"
            # Never a guess alone: of a wrong port, of TLS on one side only, and of a user that is
            # not known the library says things that are easily taken for one another.
            hint = _network_remedy(said) or _not_there(said)
            raise _NoAnswerError(said, f"{hint} {CANNOT_ENTER}".strip()) from error
        finally:
            await admin.close()
            # aiokafka closes a connection that failed without waiting until it is closed.
            await asyncio.sleep(_CLOSING_S)
    for each in wrong:
        if each.refused:
            what = f"{each.error.field}: {each.error.what} ({each.error.value})"
            raise _NoAnswerError(what, each.error.remedy)
    ours = sorted(each for each in topics if each.startswith(settings.kafka_prefix))
    brokers = len(cluster["brokers"])
    said = (
        f"{brokers} broker{'' if brokers == 1 else 's'}, "
        f"{len(ours) or 'no'} topic{'' if len(ours) == 1 else 's'} named {settings.kafka_prefix}*"
    )
    return _Told(said, tuple(str(each.error) for each in wrong))


async def _wrong_topics(
    settings: Settings, admin: "AIOKafkaAdminClient", topics: Iterable[str]
) -> "list[Fault]":
    """What is wrong with the settings of our topics, as far as they are there and may be seen."""
    from aiokafka.admin.config_resource import (  # noqa: PLC0415 - only who asks waits for it
        ConfigResource,
        ConfigResourceType,
    )

    from api.adapters import kafka_settings  # noqa: PLC0415
    from ingest.kafka_topics import asked_of, faults  # noqa: PLC0415

    where = kafka_settings(settings)
    assert where is not None  # noqa: S101 - it is asked
    there = asked_of(where).keys() & set(topics)
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(there)]
    answers = await admin.describe_configs(asked) if asked else []
    found = {
        name: {str(entry[0]): str(entry[1]) for entry in entries}
        for answer in answers
        for code, _, _, name, entries in answer.resources
        if code == 0
    }
    return faults(where, found)


async def _neo4j(settings: Settings) -> _Told:
    from neo4j import AsyncGraphDatabase, RoutingControl  # noqa: PLC0415
    from neo4j.exceptions import AuthError, DriverError, Neo4jError  # noqa: PLC0415

    assert settings.neo4j is not None  # noqa: S101 - only asked where it is named
    password = settings.neo4j_password
    auth = None if password is None else (settings.neo4j_user, password.get_secret_value())
    try:
        with _heard("neo4j"):
            async with AsyncGraphDatabase.driver(
                settings.neo4j,
                auth=auth,
                connection_timeout=DEADLINE_S,
                connection_acquisition_timeout=DEADLINE_S,
                max_transaction_retry_time=0,
            ) as driver:
                await driver.verify_connectivity()
                found = await driver.execute_query(
                    "CALL dbms.components() YIELD name, versions, edition "
                    "WHERE name = 'Neo4j Kernel' RETURN versions[0], edition",
                    database_=settings.neo4j_database,
                    routing_=RoutingControl.READ,
                )
                science = await driver.execute_query(
                    "SHOW FUNCTIONS YIELD name WHERE name = 'gds.version' RETURN count(*)",
                    database_=settings.neo4j_database,
                    routing_=RoutingControl.READ,
                )
    except AuthError as error:
        raise _NoAnswerError(
            f"{settings.neo4j_user} is not let in"
            if password is not None
            else "it asks for a password and none is set",
            "Set neo4j_user and neo4j_password to those that Neo4j knows.",
        ) from error
    except (DriverError, Neo4jError, OSError, ValueError) as error:
        raise _NoAnswerError(_reason(error), _neo4j_remedy(error, settings)) from error
    version, edition = found.records[0].values()
    gds = "with" if science.records[0].value() else "without"
    return _Told(
        f"Neo4j {version} {edition}, database {settings.neo4j_database}, {gds} Graph Data Science"
    )


def _reason(error: Exception) -> str:
    """The cause that a driver's exception hides behind what was tried."""
    cause: BaseException = error
    while True:
        if isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        elif cause.__cause__ is not None:
            cause = cause.__cause__
        else:
            break
    text = getattr(cause, "message", None) or str(cause)
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(cause).__name__


def _not_there(said: str) -> str:
    return "Does Kafka run there?" if "connect call failed" in said.lower() else ""


def _network_remedy(said: str) -> str | None:
    """What to do about what the network said, the same for every server."""
    low = said.lower()
    if "not known" in low or "getaddrinfo" in low or "name resolution" in low:
        return "Is the host's name right, and does this machine know it?"
    if "wrong_version_number" in low or "record layer" in low:
        return "The server does not speak TLS at this port: leave TLS out, or ask its TLS port."
    return None


def _neo4j_remedy(error: Exception, settings: Settings) -> str:
    said = _reason(error)
    if "DatabaseNotFound" in str(getattr(error, "code", "")):
        return f"Is there a database {settings.neo4j_database}? SHOW DATABASES lists them."
    if "certificate" in said.lower():
        return "Its certificate is not trusted: with bolt+ssc:// any is, which is for trying only."
    if network := _network_remedy(said):
        return network
    return "Does Neo4j run there? 7687 is its usual port for Bolt, 7474 is for the browser."


async def _redis(settings: Settings) -> _Told:
    from redis.asyncio import Redis  # noqa: PLC0415
    from redis.exceptions import AuthenticationError, RedisError  # noqa: PLC0415

    assert settings.redis is not None  # noqa: S101 - only asked where it is named
    url = settings.redis.get_secret_value()
    try:
        client = Redis.from_url(url, socket_timeout=DEADLINE_S, socket_connect_timeout=DEADLINE_S)
        async with client:
            await client.ping()
            version = (await client.info("server")).get("redis_version", "of unknown version")
    except AuthenticationError as error:
        raise _NoAnswerError(
            f"not let in: {_reason(error)}",
            "Put user and password into the URL: redis://user:password@host:6379/0.",
        ) from error
    except (RedisError, OSError, ValueError) as error:
        raise _NoAnswerError(_reason(error), _redis_remedy(error)) from error
    return _Told(f"Redis {version}")


def _redis_remedy(error: Exception) -> str:
    said = _reason(error)
    if "DB index" in said:
        return "The number at the URL's end is a database that Redis does not have; 0 it has."
    if "certificate" in said.lower():
        return "Its certificate is not trusted: add ?ssl_ca_certs=FILE to the URL."
    return (
        _network_remedy(said)
        or "Does Redis run there, and does it speak TLS (rediss://) or not (redis://)?"
    )


@contextmanager
def _heard(name: str) -> Iterator[list[str]]:
    """What a library only logs, such as why it could not connect, instead of printing it."""
    heard: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING:
                heard.append(record.getMessage())

    logger, listener = logging.getLogger(name), Listener()
    propagate, logger.propagate = logger.propagate, False
    level = logger.level
    logger.setLevel(logging.WARNING)  # who else works with the library may have silenced it
    logger.addHandler(listener)
    try:
        yield heard
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)
        logger.propagate = propagate
