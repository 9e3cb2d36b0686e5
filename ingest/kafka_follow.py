"""Reading ahead of one follower: what `KafkaLog.poll` hands out.

A task on the connection's loop fetches from all partitions and puts what comes aside; the follower
takes it from another thread without waiting for the loop. Fetches wait on the broker, so an idle
topic costs two requests a second and a new record is here a round trip after it was committed.
"""

import asyncio
import logging
import random
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka.errors import KafkaError, LeaderNotAvailableError, for_code

from graph.errors import RingfenceError
from ingest.kafka_client import PAUSE_S, Connection
from ingest.kafka_reader import Reader, fetch_request, unpack
from ingest.ports import Polled, Record, Topic

FETCH_BYTES: Final = 512 * 1024
"""Most bytes of one partition in one answer."""
ANSWER_BYTES: Final = 4 << 20
"""Most bytes of one answer."""
AHEAD_BYTES: Final = 1 << 20
"""A partition with so many bytes at hand is not fetched from: it holds at most these and one
fetch more."""
WAIT_MS: Final = 500
"""How long the broker waits for records where all partitions have room."""
FULL_WAIT_MS: Final = 10
"""As above, where some have none: they may have room again soon."""
_OFFSET_OUT_OF_RANGE: Final = 1
_ALL: Final = 1 << 30

_log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class _Partition:
    """One partition: `asked` is where its follower goes on, `read` where the next fetch begins."""

    asked: int = -1
    read: int = -1
    stable: int | None = None  # as of the last answer from `read`
    bytes: int = 0
    records: deque[Record] = field(default_factory=deque)
    turn: int = 0  # counts jumps: an answer to a question from before one is not for us

    def jump(self, offset: int) -> None:
        """Begin elsewhere."""
        self.asked = self.read = offset
        self.stable = None
        self.bytes = 0
        self.records.clear()
        self.turn += 1

    def take(self, into: list[Record], most: int) -> None:
        """Hand out what is at hand."""
        for _ in range(min(most, len(self.records))):
            record = self.records.popleft()
            self.bytes -= len(record.value)
            self.asked = record.offset + 1
            into.append(record)

    def has_more(self) -> bool:
        """Whether there is more, or may be for all that is known."""
        return bool(self.records) or self.stable is None or self.read < self.stable


class Ahead:
    """Reads one topic ahead for one follower a process.

    Args:
        connection: To the brokers.
        reader: For what lies outside of what is retained.
        topic: Which.
    """

    def __init__(self, connection: Connection, reader: Reader, topic: Topic) -> None:
        self._connection = connection
        self._reader = reader
        self._topic = topic
        self._name = connection.settings.name(topic)
        self._lane = f"ahead-{topic}"
        self._lock = threading.Lock()
        self._partitions: dict[int, _Partition] = defaultdict(_Partition)
        self._unanswered: float | None = None  # since when
        self._error = ""
        self._room = asyncio.Event()
        self._waits = True  # for room: the loop has to be told
        connection.spawn(self._run())

    def poll(self, offsets: Mapping[int, int], limit: int) -> Polled:
        """Records at hand from these partitions, each from its offset on.

        Raises:
            Unavailable: Nothing is at hand, and for `timeout_s` no broker has answered.
        """
        records: list[Record] = []
        behind: set[int] = set()
        share = max(1, limit // max(1, len(offsets)))
        jumped = False
        with self._lock:
            for number, offset in offsets.items():
                partition = self._partitions[number]
                if partition.asked != offset:
                    partition.jump(offset)
                    jumped = True
                partition.take(records, min(share, limit - len(records)))
                if partition.has_more():
                    behind.add(number)
        if self._waits or jumped:
            self._waits = False
            self._connection.loop.call_soon_threadsafe(self._room.set)
        since = self._unanswered
        if not records and since is not None:
            silent = time.monotonic() - since
            if silent > self._connection.settings.timeout_s:
                raise self._connection.unavailable(f"no word in {silent:.0f} s. {self._error}")
        return Polled(records, frozenset(behind))

    async def _run(self) -> None:
        flying: dict[int | None, asyncio.Task[None]] = {}
        try:
            while True:
                for node, asked in self._wanted().items():
                    if node not in flying:
                        flying[node] = asyncio.create_task(self._fetch(node, asked))
                self._room.clear()
                self._waits = not flying
                room = asyncio.create_task(self._room.wait())
                await asyncio.wait(
                    {*flying.values(), room}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED
                )
                room.cancel()
                for node in [node for node, task in flying.items() if task.done()]:
                    flying.pop(node).result()
        except Exception:
            _log.exception("reading %s ahead failed", self._topic)  # a mistake of ours
            raise
        finally:
            for task in flying.values():
                task.cancel()

    def _wanted(self) -> dict[int | None, list[tuple[int, int, int]]]:
        """Partition, offset and turn of what there is room for, by the broker that has it."""
        found: dict[int | None, list[tuple[int, int, int]]] = defaultdict(list)
        with self._lock:
            for number, each in self._partitions.items():
                if each.bytes < AHEAD_BYTES:
                    leader = self._connection.leader(self._name, number)
                    found[leader].append((number, each.read, each.turn))
        return found

    async def _fetch(self, node: int | None, asked: list[tuple[int, int, int]]) -> None:
        random.shuffle(asked)  # an answer may be full before it comes to the last of them
        full = len(asked) < len(self._partitions)
        request = fetch_request(
            self._name,
            [(number, offset, FETCH_BYTES) for number, offset, _ in asked],
            ANSWER_BYTES,
            FULL_WAIT_MS if full else WAIT_MS,
        )
        if self._unanswered is None:
            self._unanswered = time.monotonic()
        try:
            if node is None:
                raise LeaderNotAvailableError
            response = await self._connection.send(node, request, self._lane)
            self._unanswered = None
            turns = {number: turn for number, _, turn in asked}
            for answer in response.topics[0][1] if response.topics else ():
                await self._put(answer, turns[answer[0]])
        except (KafkaError, RingfenceError) as error:
            self._error = str(error) or type(error).__name__
            await asyncio.sleep(PAUSE_S)
            await self._connection.refresh()

    async def _put(self, answer: tuple[Any, ...], turn: int) -> None:
        number, code, *_ = answer
        partition = self._partitions[number]
        if code == _OFFSET_OUT_OF_RANGE:
            bounds = await self._reader.bounds(self._topic, number)
            with self._lock:
                if partition.turn == turn:
                    partition.read = max(partition.read, bounds.first)
                    partition.stable = bounds.next
            await asyncio.sleep(PAUSE_S)
        elif code:
            raise for_code(code)(f"{self._name} {number}")
        else:
            page = unpack(self._topic, answer, partition.read, _ALL)
            with self._lock:
                if partition.turn == turn:
                    partition.records.extend(page.records)
                    partition.bytes += sum(len(record.value) for record in page.records)
                    partition.read, partition.stable = page.following, page.stable
