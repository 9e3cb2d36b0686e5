"""What the campaign sends: a simulated city, by the stream and over HTTP, with poison among it."""

import http.client
import queue
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from graph.errors import Unavailable
from graph.lists import ListChange, ListName
from graph.transaction import Entity, EntityKind
from ingest import codec, list_changes
from ingest.kafka import KafkaLog
from ingest.kafka_client import KafkaSettings
from ingest.mapping import load_mapping
from ingest.ports import Message, Topic
from ingest.simulator import SimulationConfig, write

TICK_S: Final = 0.05
USERS: Final = 600
MOST_DAYS: Final = 20.0
OVER_HTTP, BOTH_WAYS, TWICE, POISON = 0.08, 0.02, 0.02, 0.004
LISTS_EVERY_S: Final = 2.0
ANSWER_S: Final = 12.0


def city(seed: int, count: int, folder: Path) -> list[tuple[str, str, bytes]]:
    """At least `count` simulated transactions by event time: id, user, bytes."""
    from ingest.datasets import read  # noqa: PLC0415 - pyarrow takes its time

    # A person makes some 2.3 transactions a day; a long campaign needs a larger city, not a longer
    # time, in which the rings would outnumber the people.
    days = min(MOST_DAYS, max(2.0, count * 1.3 / (2.3 * USERS)))
    users = max(USERS, int(count * 1.3 / (2.3 * days)))
    write(SimulationConfig(seed=seed, days=days, users=users, fraud_share=0.01), folder)
    found = [
        (each.transaction.transaction_id, each.transaction.user_id, codec.encode(each.transaction))
        for each in read(folder, load_mapping("ringfence"))
    ]
    if len(found) < count:
        raise RuntimeError(f"the city has {len(found)} transactions, {count} were asked for")
    return found


@dataclass
class Ledger:
    """What was sent and what came back."""

    produced: set[str] = field(default_factory=set)
    submitted: set[str] = field(default_factory=set)
    answers: dict[str, bytes] = field(default_factory=dict)
    answered_again: int = 0
    poison: int = 0
    doubled: int = 0
    bad_lists: int = 0
    lists: int = 0
    refusals: int = 0
    retries: int = 0
    violations: list[str] = field(default_factory=list)


class Traffic:
    """A pacer that appends to the partitions, and clients that ask until they are answered."""

    def __init__(
        self,
        kafka: str,
        prefix: str,
        ports: list[int],
        world: list[tuple[str, str, bytes]],
        *,
        seed: int,
        rate: float,
        clients: int = 3,
    ) -> None:
        self._log = KafkaLog(KafkaSettings(kafka, prefix=prefix))
        self._partitions = self._log.partitions(Topic.TRANSACTIONS)
        self._ports = ports
        self._world = world
        self._random = random.Random(seed)
        self._rate = rate
        self.ledger = Ledger()
        self.sent = 0
        self._stop = threading.Event()
        self._http: queue.Queue[tuple[str, bytes] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._clients = [
            threading.Thread(target=self._client, args=(seed * 101 + n,), daemon=True)
            for n in range(clients)
        ]
        self._pacer = threading.Thread(target=self._pace, name="pacer", daemon=True)

    @property
    def exhausted(self) -> bool:
        return self.sent >= len(self._world)

    def start(self) -> None:
        for client in self._clients:
            client.start()
        self._pacer.start()

    def finish(self, seconds: float) -> None:
        """Send nothing new; wait until all that was sent has arrived and every client was told."""
        self._stop.set()
        until = time.monotonic() + seconds
        self._pacer.join(seconds)
        for _ in self._clients:
            self._http.put(None)
        for client in self._clients:
            client.join(max(0.1, until - time.monotonic()))
        if self._pacer.is_alive():
            self.ledger.violations.append("the producer did not come to an end")
        if any(client.is_alive() for client in self._clients):
            self.ledger.violations.append("a client was not answered")
        self._log.close()

    # -- the stream ------------------------------------------------------------------------------

    def _pace(self) -> None:
        began = time.monotonic()
        lists_at = began
        skipped = 0.0  # while the broker was away nothing was due
        while not self._stop.wait(TICK_S) and not self.exhausted:
            now = time.monotonic()
            due = int((now - began - skipped) * self._rate) - self.sent
            if due <= 0:
                continue
            self._send(self._world[self.sent : self.sent + due])
            self.sent += due
            if now > lists_at + LISTS_EVERY_S:
                lists_at = now
                self._change_lists()
            skipped += max(0.0, time.monotonic() - now - 1.0)

    def _send(self, some: list[tuple[str, str, bytes]]) -> None:
        batches: dict[int, list[bytes]] = {}
        names = []
        for name, user, data in some:
            chance = self._random.random()
            partition = sum(user.encode()) % self._partitions
            if chance < OVER_HTTP + BOTH_WAYS:
                self.ledger.submitted.add(name)
                self._http.put((name, data))
                if chance < OVER_HTTP:
                    continue
            batches.setdefault(partition, []).append(data)
            names.append(name)
            if self._random.random() < TWICE:
                batches[partition].append(data)
                self.ledger.doubled += 1
            if self._random.random() < POISON:
                batches[partition].append(b"\x00poison %d" % self.ledger.poison)
                self.ledger.poison += 1
        for partition, values in batches.items():
            self._append([Message(Topic.TRANSACTIONS, partition, value) for value in values])
        self.ledger.produced.update(names)

    def _change_lists(self) -> None:
        _, user, _ = self._random.choice(self._world[: self.sent])
        change = ListChange(
            Entity(EntityKind.USER, user),
            self._random.choice(list(ListName)),
            self._random.random() < 0.7,
            "the campaign says so",
            "chaos",
            None,
            1,
        )
        self.ledger.lists += 1
        self._append([list_changes.message(change)])
        if self._random.random() < 0.05:
            self.ledger.bad_lists += 1
            self._append([Message(Topic.LISTS, 0, b"no decision %d" % self.ledger.bad_lists)])

    def _append(self, messages: list[Message]) -> None:
        """Until it is there: what was perhaps written is sent again, as a producer would."""
        until = time.monotonic() + 120
        while True:
            try:
                self._log.append(messages)
            except Unavailable:
                self.ledger.retries += 1
                if time.monotonic() > until:
                    self.ledger.violations.append("the broker took nothing for 120 s")
                    raise
                time.sleep(0.2)
            else:
                return

    # -- HTTP --------------------------------------------------------------------------------------

    def _client(self, seed: int) -> None:
        chance = random.Random(seed)
        told: list[tuple[str, bytes]] = []
        at = 0
        while (item := self._http.get()) is not None:
            at = self._ask(item, at)
            told.append(item)
            if chance.random() < 0.1:  # what was told stays told
                again = chance.choice(told[-50:])
                at = self._ask(again, at)
                with self._lock:
                    self.ledger.answered_again += 1

    def _ask(self, item: tuple[str, bytes], at: int) -> int:
        """Until it is answered; which of the addresses did."""
        name, data = item
        until = time.monotonic() + 180
        while time.monotonic() < until:
            status, body = _post(self._ports[at], data)
            if status == 200:
                with self._lock:
                    before = self.ledger.answers.setdefault(name, body)
                    if before != body:
                        self.ledger.violations.append(f"{name} was answered in two ways")
                return at
            if status not in (0, 429, 503):
                with self._lock:
                    self.ledger.violations.append(f"{name}: {status} {body[:300]!r}")
                return at
            with self._lock:
                self.ledger.refusals += 1
            at = (at + 1) % len(self._ports)
            time.sleep(0.1)
        with self._lock:
            self.ledger.violations.append(f"{name} was not answered in 180 s")
        return at


def _post(port: int, data: bytes) -> tuple[int, bytes]:
    """Status 0: no answer, or none in time; whether it was taken nobody knows."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    try:
        connection.request("POST", "/v1/score", data, {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
