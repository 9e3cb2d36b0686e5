"""What the ingest rooms ask of the outside: a log, sinks that follow it, and a detector.

The log is partitioned and append-only, as Kafka's: a record is named by (topic, partition, offset)
and never changes. Everything the engine says about a batch of input (verdicts, ring events,
alerts, dead letters) and the offset up to which input is consumed are written in ONE transaction
of a `Writer`, so that a crash leaves either all of it or nothing.

    producers ──► transactions ─┐
                                ├─► Engine ──► verdicts · rings · alerts · dead-letters ──► sinks
    HTTP ───────► submissions ──┤              (the outbox: sinks follow it with own offsets)
    lists, deep analysis,       │
    findings of the sweep,      │
    embeddings ─────────────────┘
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from graph.errors import Unavailable
from graph.transaction import Label, Transaction
from scorer.verdict import Verdict

T_contra = TypeVar("T_contra", contravariant=True)


class Topic(StrEnum):
    """The topics of the house, and what a record of each holds."""

    TRANSACTIONS = "transactions"  # a transaction as it came, undecoded; key: its user
    SUBMISSIONS = "submissions"  # the same, come by HTTP: appended by the engine; key: none
    LISTS = "lists"  # `scorer.reference` facts: the lists, whole; key: none
    DEEP_ANALYSIS = "deep-analysis"  # `scorer.reference` facts: parts of a run; key: none
    FINDINGS = "findings"  # `scorer.reference` facts: what a pass of the sweep found; key: none
    EMBEDDINGS = "embeddings"  # `scorer.reference` facts: what the encoder said; key: none
    VERDICTS = "verdicts"  # `records.VerdictRecord`, in the order of the journal; key: transaction
    RINGS = "rings"  # `records.RingEventRecord`; key: ring
    ALERTS = "alerts"  # `records.AlertRecord`; key: alert
    DEAD_LETTERS = "dead-letters"  # `records.DeadLetterRecord`; key: none
    LEASES = "leases"  # `lease.Heartbeat`; key: what is led


REFERENCE: Final = (Topic.LISTS, Topic.DEEP_ANALYSIS, Topic.FINDINGS, Topic.EMBEDDINGS)
"""Topics of facts the detector is told between two batches (see `Detector.refer`)."""


LARGEST_VALUE: Final = 900_000
"""Bytes of one record that every log takes: Kafka's brokers take batches of 1 MiB."""


class Overloaded(Unavailable):
    """The engine's queue is full: come back in `retry_after` seconds."""

    code = "overloaded"

    def __init__(self, what: str, *, value: str, retry_after: float) -> None:
        super().__init__(what, value=value, remedy=f"Send it again in {retry_after:g} s.")
        self.retry_after = retry_after


class Fenced(Unavailable):
    """Another process has claimed this writer: what this one still holds must not be written."""

    code = "fenced"


class Message(msgspec.Struct, frozen=True, gc=False):
    """What is appended: the value is opaque to the log, the key may name it (see `Log.find`)."""

    topic: Topic
    partition: int
    value: bytes
    key: str | None = None


class Record(msgspec.Struct, frozen=True, gc=False):
    """A message with its place in the log.

    Attributes:
        topic: Where it stands.
        partition: Partition there.
        offset: Offset there.
        value: The message.
        key: What it is found by, if it has one.
        appended_at: Epoch milliseconds at which the log took it, by the log's own clock; None
            where the log writes down no such time.
    """

    topic: Topic
    partition: int
    offset: int
    value: bytes
    key: str | None
    appended_at: int | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """The offsets a partition still holds: `first <= offset < next`; `first` moves by retention."""

    first: int
    next: int


@dataclass(frozen=True, slots=True)
class Polled:
    """What was at hand of several partitions.

    Attributes:
        records: In the order of their offsets within each partition.
        behind: Partitions that hold more than was given, as far as is known.
    """

    records: list[Record]
    behind: frozenset[int]


class Outputs(Protocol):
    """An open transaction of a `Writer`: seen by readers as a whole or not at all."""

    def append(self, messages: Sequence[Message]) -> list[int]:
        """Append and return the offsets, final if the transaction commits.

        Offsets of one partition grow by at least one each; the log may leave gaps between them
        (Kafka does at the end of each transaction, SQLite does not).
        """
        ...

    def commit(self, consumer: str, topic: Topic, partition: int, offset: int) -> None:
        """Say that `consumer` has done with everything before `offset`."""
        ...


class Writer(Protocol):
    """The right to write as `owner`, until somebody else claims it.

    On Kafka this is the producer of one `transactional.id`.
    """

    def transaction(self) -> AbstractContextManager[Outputs]:
        """Commit on leaving the block, roll back if it raises.

        Raises:
            Fenced: Another process has claimed this owner; nothing was written, and nothing may
                be tried again. Also raised by an adapter that cannot learn whether a commit
                took place: its caller must then start again from what the log holds.
            Unavailable: It could not be written (locked, full, no broker); nothing was written,
                and the same may be tried again.
        """
        ...


class Log(Protocol):
    """Topics of ordered partitions with committed consumer offsets. Safe to call from any thread.

    Ordering: records of one partition are read in the order of their offsets, which is the order
    in which their transactions committed; nothing is promised between partitions. A reader never
    sees a record before everything that was committed with it.

    Idempotency: appending is not idempotent; consumers are (by transaction, ring and alert id).
    Committing an offset twice is harmless.

    Missing: reading at or past the end gives nothing, reading below the first retained offset
    gives the first retained records (the caller sees the gap in the offsets), a consumer that
    never committed stands at 0, a key that is not there is left out of `find`'s answer.

    Failure: every method raises `graph.errors.Unavailable` where the log does not answer in time,
    and never an error of its driver.
    """

    @property
    def identity(self) -> str:
        """Names this log among all: whoever opens it again reads the same, of another log another.

        What is kept outside of a log together with an offset in it, keeps this as well: offsets of
        two logs look alike.
        """
        ...

    def append(self, messages: Sequence[Message]) -> list[int]:
        """Append all or none, without an owner: for producers that only put transactions in."""
        ...

    def read(self, topic: Topic, partition: int, offset: int, limit: int) -> list[Record]:
        """At most `limit` committed records from `offset` on, in order. Never waits for more."""
        ...

    def poll(self, topic: Topic, offsets: Mapping[int, int], limit: int) -> Polled:
        """Records at hand from these partitions, each from its offset on; at most `limit`.

        Unlike `read` it may give none although there are some: they come with a later call. That
        makes it cheap to ask often, for one follower of a topic a process.
        """
        ...

    def partitions(self, topic: Topic) -> int:
        """How many partitions a topic has: only `Topic.TRANSACTIONS` may have several."""
        ...

    def bounds(self, topic: Topic, partition: int) -> Bounds:
        """Which offsets are there to be read."""
        ...

    def committed(self, consumer: str, topic: Topic, partition: int) -> int:
        """The offset the consumer goes on from."""
        ...

    def find(self, topic: Topic, keys: Sequence[str]) -> dict[str, Record]:
        """The first retained record of each key; promised for `Topic.VERDICTS` only.

        A broker without such an index (Kafka) has an adapter that keeps one.
        """
        ...

    def claim(self, owner: str) -> Writer:
        """Become the only writer under this name; every earlier one is fenced from here on."""
        ...

    def close(self) -> None:
        """Let go of files and sockets. Other methods may not be called afterwards."""
        ...


class Sink(Protocol[T_contra]):
    """Where a follower brings what it reads: a graph database, a cache, alert subscribers.

    For the graph database a row is `tuple[Transaction, Verdict]`; the verdict carries its evidence
    and ring events. Delivery is at least once and in order, so writing a row again must change
    nothing (merge by transaction, ring and alert id).
    """

    def write(self, batch: Sequence[T_contra], /, *, offset: int) -> object:
        """Write all of it; on return it is durable. What it returns is not looked at.

        Args:
            batch: Rows, in the order of the log.
            offset: Where the log goes on after them; a sink may keep it together with the rows.

        Raises:
            Unavailable: Does not answer now; the same batch comes again, later.
            RingfenceError: Any other of the tree: something in this batch cannot be written. The
                follower halves the batch until it has found the row, and dead-letters it.
        """
        ...


class Detector(Protocol):
    """The core as the engine sees it: synchronous, deterministic, one thread at a time.

    Verdicts depend on the order of the transactions only, never on how they were batched.
    """

    def observe_batch(self, transactions: Sequence[Transaction], /) -> list[Verdict]:
        """One verdict a transaction, in their order."""
        ...

    def refer(self, fact: object, /) -> None:
        """Take account of a fact from a `REFERENCE` topic from the next transaction on.

        Raises:
            InvalidInput: It cannot be used; the state is as before.
        """
        ...

    def snapshot(self) -> bytes:
        """The whole state; a detector restored from it goes on as if nothing had happened."""
        ...


class LearningDetector(Detector, Protocol):
    """A detector as replay sees it: it learns labels and shows what the models were given."""

    @property
    def feature_names(self) -> Sequence[str]:
        """Names of the columns of `last_features`."""
        ...

    @property
    def last_features(self) -> NDArray[np.float32]:
        """(N, F) rows of the N transactions of the last batch, in their order."""
        ...

    def learn(self, label: Label, /) -> None:
        """Take note of a label; it is used once event time has passed its `known_at`."""
        ...
