"""The connection to Kafka: the driver's loop on a thread, and requests that find their broker.

The port is synchronous and called from many threads; the driver is neither. So the driver lives on
a loop of its own thread, and `Connection.call` hands work to it and waits, for so long and no
longer.

The driver's `AIOKafkaConsumer` and `AIOKafkaProducer` are not used: they wait without bound, do
not say what became of a commit, and keep one position a partition. Its client (connections, TLS,
SASL, metadata), its protocol and its record codec are.
"""

import asyncio
import logging
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import KafkaError, NodeNotReadyError, for_code
from aiokafka.structs import TopicPartition

from graph.errors import InvalidSetting, Unavailable
from ingest.kafka_protocol import Metadata
from ingest.ports import Topic

T = TypeVar("T")

TURNS_S: Final = 0.01
"""What a loop is given to end what it has closed."""
PAUSE_S: Final = 0.05
"""Between two attempts at a broker that did not answer, or answered that it cannot yet."""
SOON_S: Final = 0.001
"""Between two looks at what takes the brokers milliseconds, such as the marks of a commit."""
METADATA_MS: Final = 30_000
"""How old what is known of brokers and partitions may be."""
START_S: Final = 20.0
"""How long to connect may take."""
CANNOT_ENTER: Final = (
    "Look at all three: the address (kafka: host and port of a listener for clients), TLS"
    " (kafka_security must be what that listener speaks, kafka_ca the authority of its"
    " certificate), and who enters (kafka_user, kafka_password, kafka_mechanism)."
)
"""What to do where no connection comes about."""

Security = Literal["plaintext", "tls", "sasl", "sasl-tls"]
Mechanism = Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"]
Kind = Literal["group", "transaction"]
Lane = str
"""Requests of one lane share a connection, on which the broker answers one after the other."""

_PROTOCOLS: Final[dict[Security, str]] = {
    "plaintext": "PLAINTEXT",
    "tls": "SSL",
    "sasl": "SASL_PLAINTEXT",
    "sasl-tls": "SASL_SSL",
}
_KINDS: Final = {"group": CoordinationType.GROUP, "transaction": CoordinationType.TRANSACTION}
# CONCURRENT_TRANSACTIONS, UNSTABLE_OFFSET_COMMIT: a transaction before this is not over yet.
_BUSY: Final = frozenset((51, 88))
READS: Final = "reads"
"""The lane of short questions."""

# What the driver would log is in the errors raised here; and it logs each attempt.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where Kafka is, and how to enter.

    Attributes:
        bootstrap: "host:port", or several with commas: any that lead to the cluster.
        prefix: Before the name of each topic, consumer group and transactional id of ours.
        security: "plaintext", "tls", "sasl" (user and password in the clear but for SCRAM), or
            "sasl-tls".
        mechanism: How user and password are proven.
        user: With "sasl" and "sasl-tls".
        password: As well.
        ca: Certificate of the authority the brokers' are signed by; without it, the system's.
        timeout_s: How long an answer may take before `Unavailable`.
        transaction_timeout_s: After which the broker aborts the open transaction of a process that
            is gone. Until then nobody reads past it.
    """

    bootstrap: str
    prefix: str = "ringfence."
    security: Security = "plaintext"
    mechanism: Mechanism = "SCRAM-SHA-512"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None
    timeout_s: float = 10.0
    transaction_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        if self.security.startswith("sasl") and not (self.user and self.password):
            raise InvalidSetting(
                "SASL needs a user and a password",
                field="kafka_user" if not self.user else "kafka_password",
                remedy="Give both, or take the security plaintext or tls.",
            )

    def name(self, topic: Topic) -> str:
        """What the topic is called on the brokers."""
        return self.prefix + topic.value


class Answer(Exception):
    """A broker's refusal, by its error code, that nobody below could make good."""

    def __init__(self, what: str, code: int) -> None:
        self.code = code
        super().__init__(f"{what}: {for_code(code).__name__} ({code})")


class Connection:
    """The driver's client on a thread of its own.

    Args:
        settings: Where Kafka is.

    Raises:
        Unavailable: No broker answers, or it does not let us in.
        InvalidSetting: The certificate cannot be read.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self._coordinators: dict[tuple[Kind, str], int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._tls = _tls(settings)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="kafka", daemon=True)
        self._thread.start()
        self._client: Any = None
        self._entered = False  # whether a broker has ever let us in
        try:
            self.call(self._connect(), START_S)
        except BaseException:
            self.close()
            raise

    # -- from any thread -----------------------------------------------------------------------

    def call(self, work: Coroutine[Any, Any, T], within: float | None = None) -> T:
        """Have it done on the loop, and wait.

        Args:
            work: What to do.
            within: Seconds; the settings' `timeout_s` if it is not given.

        Raises:
            Unavailable: It was not done in time, or the brokers refused it.
        """
        seconds = self.settings.timeout_s if within is None else within
        if self.loop.is_closed():
            work.close()
            raise self.unavailable("this log was closed")
        doing = asyncio.run_coroutine_threadsafe(self._bounded(work, seconds), self.loop)
        return doing.result()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Have it done on the loop until it ends or the connection is closed."""

        async def begin() -> None:
            task = asyncio.get_running_loop().create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self.call(begin())

    def close(self) -> None:
        """End what runs, close the sockets, and wait for the thread."""
        if self.loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._shut(), self.loop)
        self._thread.join(self.settings.timeout_s)

    def unavailable(self, what: str) -> Unavailable:
        """The error of a Kafka that does not do what it was asked."""
        remedy = "Look at the brokers, the network, and what the user may do."
        return Unavailable(
            f"Kafka does not answer: {what}",
            field="kafka",
            value=self.settings.bootstrap,
            remedy=remedy if self._entered else CANNOT_ENTER,
        )

    # -- on the loop ---------------------------------------------------------------------------

    async def send(self, node: int, request: Any, lane: Lane = READS) -> Any:
        """One request to one broker; raises the driver's errors."""
        return await self._client.send(node, request, group=lane)

    def leader(self, topic: str, partition: int) -> int | None:
        """The broker that leads a partition, if one is known to."""
        found = self._client.cluster.leader_for_partition(TopicPartition(topic, partition))
        return None if found is None or found < 0 else int(found)

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has; 0 where it does not exist."""
        return len(self._client.cluster.partitions_for_topic(topic) or ())

    async def coordinator(self, kind: Kind, key: str) -> int:
        """The broker in charge of a group or of a transactional id."""
        known = self._coordinators.get((kind, key))
        if known is None:
            known = int(await self._client.coordinator_lookup(_KINDS[kind], key))
            self._coordinators[kind, key] = known
        return known

    def forget(self, kind: Kind, key: str) -> None:
        """It is in charge no more."""
        self._coordinators.pop((kind, key), None)

    async def refresh(self) -> None:
        """Ask anew who leads what."""
        await self._client.force_metadata_update()

    async def watch(self, topics: list[str]) -> None:
        """Know of these topics, and go on to."""
        await self._client.set_topics(topics)

    def nodes(self) -> list[int]:
        """The brokers that are known."""
        return [int(broker.nodeId) for broker in self._client.cluster.brokers()]

    async def anywhere(self, request: Any, read: Callable[[Any], tuple[int, T]]) -> T:
        """A question that any broker can answer; as `to_leader`."""
        while True:
            try:
                code, answer = read(await self.send(self._client.get_random_node(), request))
            except KafkaError as error:
                if not error.retriable:
                    raise
            else:
                if code == 0:
                    return answer
                if not for_code(code).retriable:
                    raise Answer(type(request).__name__, code)
            await asyncio.sleep(PAUSE_S)

    async def to_controller(self, request: Any) -> Any:
        """A question for the broker that is in charge of the cluster."""

        async def attempt() -> Any:
            await self.refresh()
            controller = self._client.cluster.controller
            if controller is None:
                raise NodeNotReadyError
            return await self.send(controller.nodeId, request)

        return await insist(attempt)

    async def metadata(self, topics: list[str]) -> Any:
        """What the brokers know of these topics now."""
        return await self.anywhere(Metadata(topics), lambda response: (0, response))

    async def to_leader(
        self,
        topic: str,
        partition: int,
        request: Any,
        read: Callable[[Any], tuple[int, T]],
        lane: Lane = READS,
    ) -> T:
        """Ask the leader of a partition until it answers; the caller bounds how long.

        Args:
            topic: By its name on the brokers.
            partition: Its number.
            request: The question.
            read: Error code and answer of a response.
            lane: Which connection.

        Raises:
            Answer: A refusal that another attempt would not change.
        """
        while True:
            node = self.leader(topic, partition)
            if node is not None:
                try:
                    code, answer = read(await self.send(node, request, lane))
                except KafkaError as error:
                    if not error.retriable:
                        raise
                else:
                    if code == 0:
                        return answer
                    if not for_code(code).retriable:
                        raise Answer(f"{topic} {partition}", code)
            await self.refresh()
            await asyncio.sleep(PAUSE_S)

    async def to_coordinator(
        self,
        kind: Kind,
        key: str,
        request: Any,
        read: Callable[[Any], tuple[int, T]],
        lane: Lane = READS,
    ) -> T:
        """Ask the broker in charge of a group or transactional id until it answers.

        Raises:
            Answer: A refusal that another attempt would not change.
        """
        while True:
            try:
                code, answer = read(
                    await self.send(await self.coordinator(kind, key), request, lane)
                )
            except KafkaError as error:
                if not error.retriable:
                    raise
                self.forget(kind, key)
                await self.refresh()
                await asyncio.sleep(PAUSE_S)
            else:
                if code == 0:
                    return answer
                if code in _BUSY:
                    await asyncio.sleep(SOON_S)
                elif for_code(code).retriable:
                    self.forget(kind, key)
                    await asyncio.sleep(PAUSE_S)
                else:
                    raise Answer(key, code)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    async def _connect(self) -> None:
        settings = self.settings
        self._client = AIOKafkaClient(
            bootstrap_servers=settings.bootstrap.split(","),
            client_id=f"{settings.prefix}ringfence",
            request_timeout_ms=int(settings.timeout_s * 1000),
            security_protocol=_PROTOCOLS[settings.security],
            ssl_context=self._tls,
            sasl_mechanism=settings.mechanism,
            sasl_plain_username=settings.user,
            sasl_plain_password=settings.password,
            retry_backoff_ms=int(PAUSE_S * 1000),
            metadata_max_age_ms=METADATA_MS,
        )
        await self._client.bootstrap()
        self._entered = True

    async def _bounded(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        try:
            async with asyncio.timeout(seconds):
                return await work
        except TimeoutError as error:
            raise self.unavailable(f"nothing heard in {seconds:g} s") from error
        except (KafkaError, OSError, Answer) as error:
            raise self.unavailable(str(error) or type(error).__name__) from error

    async def _shut(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for each in rest:
            each.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        # A transport that was closed closes its socket in the turns of the loop after that one.
        await asyncio.sleep(TURNS_S)
        self.loop.stop()


async def insist(attempt: Callable[[], Awaitable[T]]) -> T:
    """Try while the driver says that it may come right; the caller bounds how long."""
    while True:
        try:
            return await attempt()
        except KafkaError as error:
            if not error.retriable:
                raise
        await asyncio.sleep(PAUSE_S)


async def together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """All of it at once; if one fails, the others are stopped before its error is raised."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _tls(settings: KafkaSettings) -> ssl.SSLContext | None:
    if settings.security not in ("tls", "sasl-tls"):
        return None
    try:
        return ssl.create_default_context(cafile=None if settings.ca is None else str(settings.ca))
    except OSError as error:  # ssl.SSLError is one
        raise InvalidSetting(
            f"the certificate cannot be read: {error}",
            field="kafka_ca",
            value=str(settings.ca),
            remedy="Name a file in PEM form.",
        ) from error
