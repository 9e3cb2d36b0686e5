"""The embedded log: topics, offsets and outbox in one SQLite file, for any number of processes.

Durability: WAL mode with `synchronous = FULL`: a commit is on the disk before anyone is told, so
neither kill -9 nor a power cut takes back a verdict that was given. That is one fsync a
micro-batch (about 0.2 ms on an SSD), not one a transaction.

Retention: every topic keeps its newest records up to a bound (`RETENTION`), trimmed with each
append, so the file stops growing; SQLite reuses the pages. Like Kafka's, retention does not wait
for consumers: one that has fallen behind sees the gap.

Waiting: writers of several processes take turns, for at most `BUSY_MS`; then `Unavailable`.
Readers never wait for writers.
"""

import logging
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final

from graph.errors import Incompatible, InvalidSetting, Unavailable
from ingest.ports import Bounds, Fenced, Message, Outputs, Polled, Record, Topic

FORMAT: Final = 2
BUSY_MS: Final = 5_000
CLOSE_S: Final = 10.0
"""How long `close` waits for a thread that is in the middle of something."""
WAL_LIMIT: Final = 64 * 1024 * 1024
"""The write-ahead file is cut back to this many bytes after a checkpoint."""

RETENTION: Final[Mapping[Topic, int]] = {
    # A week of a small payment system, or some 5 GB; the journal must outlast the last snapshot.
    Topic.TRANSACTIONS: 5_000_000,
    Topic.SUBMISSIONS: 5_000_000,
    Topic.VERDICTS: 5_000_000,
    Topic.LISTS: 10_000_000,  # never cut in practice: who is listed is all of it, folded
    Topic.DEEP_ANALYSIS: 10_000,
    Topic.FINDINGS: 10_000,  # months of quiet days, a week of the busiest
    Topic.EMBEDDINGS: 10_000,  # only those of the last hours count: some 600 MB at most
    Topic.LEASES: 10_000,
    Topic.RINGS: 1_000_000,
    Topic.ALERTS: 1_000_000,
    Topic.DEAD_LETTERS: 100_000,
}
"""Records kept per partition."""

_TRIM_AT_LEAST: Final = 64
"""Rows one transaction may delete even if it appended fewer: it lets a backlog drain."""

# A record's row id is its partition's number and its offset in one integer, so that each
# partition is one contiguous range of the table: append and range read need no second index.
_OFFSET_BITS: Final = 48
_SCHEMA: Final = """
CREATE TABLE streams (
    id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL,
    first INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL DEFAULT 0, UNIQUE (topic, partition));
CREATE TABLE records (place INTEGER PRIMARY KEY, key TEXT, value BLOB NOT NULL);
CREATE TABLE keys (
    stream INTEGER NOT NULL, key TEXT NOT NULL, place INTEGER NOT NULL,
    PRIMARY KEY (stream, key, place)) WITHOUT ROWID;
CREATE TABLE offsets (
    consumer TEXT NOT NULL, stream INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (consumer, stream)) WITHOUT ROWID;
CREATE TABLE owners (owner TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;
"""
# Files of before have none of this, and are given it where they are opened; older versions do not
# look at it.
_ABOUT: Final = "CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID"
# The driver gives up the interpreter at every statement and every row, and beside a busy event
# loop waits for it again each time: a batch is written in as few statements as can be.
_CHUNKS: Final = (256, 64, 16, 4, 1)
"""Rows of one INSERT, so that a few prepared statements do for any number."""
_INDEXED: Final = frozenset({Topic.VERDICTS})

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Line:
    """A thread's connection, and what that thread holds while it works with it."""

    connection: sqlite3.Connection
    use: Any = field(default_factory=threading.RLock)  # a factory, which is no type


class EmbeddedLog:
    """A `ports.Log` in one SQLite file, created where it is missing.

    Args:
        path: The file; its folder must exist. Not on a network file system.
        retention: Records kept per partition, by topic; topics not named keep `RETENTION`.

    Raises:
        InvalidSetting: The folder does not exist, or a retention is below 1.
        Incompatible: The file is not a log of this format.
        Unavailable: It cannot be opened or is locked.
    """

    def __init__(self, path: Path, *, retention: Mapping[Topic, int] | None = None) -> None:
        if not path.parent.is_dir():
            raise InvalidSetting(
                "the folder of the log does not exist",
                field="log",
                value=str(path),
                remedy="Create it, or name another.",
            )
        self._path = path
        self._retention = {**RETENTION, **(retention or {})}
        for topic, kept in self._retention.items():
            if kept < 1:
                raise InvalidSetting(
                    "at least one record must be kept",
                    field=f"retention of {topic}",
                    value=str(kept),
                    remedy="Give a number of records, 1 or more.",
                )
        self._local = threading.local()
        self._open: list[_Line] = []
        self._closed = False
        self._guard = threading.Lock()
        self._identity = ""
        self._streams = self._prepare()

    @property
    def identity(self) -> str:
        """Drawn when the file was made, and written in it: a copy of the file is the same log."""
        return self._identity

    # -- reading -------------------------------------------------------------------------------

    def read(self, topic: Topic, partition: int, offset: int, limit: int) -> list[Record]:
        """At most `limit` committed records from `offset` on, in order."""
        stream = self._stream(topic, partition)
        with self._driver() as connection:
            rows = connection.execute(
                "SELECT place, key, value FROM records"
                " WHERE place >= ? AND place < ? ORDER BY place LIMIT ?",
                (_place(stream, max(offset, 0)), _place(stream + 1, 0), limit),
            ).fetchall()
        return [Record(topic, partition, _offset(place), value, key) for place, key, value in rows]

    def poll(self, topic: Topic, offsets: Mapping[int, int], limit: int) -> Polled:
        """Records at hand, partition by partition."""
        records: list[Record] = []
        behind: set[int] = set()
        for partition, offset in offsets.items():
            # One more than fits says whether there is more.
            found = self.read(topic, partition, offset, limit - len(records) + 1)
            if len(found) > limit - len(records):
                found.pop()
                behind.add(partition)
            records += found
        return Polled(records, frozenset(behind))

    def partitions(self, topic: Topic) -> int:
        """One of each."""
        del topic
        return 1

    def bounds(self, topic: Topic, partition: int) -> Bounds:
        """Which offsets are there to be read."""
        with self._driver() as connection:
            first, following = connection.execute(
                "SELECT first, next FROM streams WHERE id = ?", (self._stream(topic, partition),)
            ).fetchone()
        return Bounds(first, following)

    def committed(self, consumer: str, topic: Topic, partition: int) -> int:
        """The offset the consumer goes on from; 0 where it never committed."""
        with self._driver() as connection:
            row = connection.execute(
                "SELECT next FROM offsets WHERE consumer = ? AND stream = ?",
                (consumer, self._stream(topic, partition)),
            ).fetchone()
        return 0 if row is None else int(row[0])

    def find(self, topic: Topic, keys: Sequence[str]) -> dict[str, Record]:
        """The first retained record of each key that has one."""
        if topic not in _INDEXED:
            raise InvalidSetting(
                "this topic has no index of its keys",
                field="topic",
                value=topic.value,
                remedy=f"Only these have: {', '.join(sorted(_INDEXED))}.",
            )
        found: dict[str, Record] = {}
        stream = self._stream(topic, 0)
        with self._driver() as connection:
            for start in range(0, len(keys), _CHUNKS[0]):
                some = keys[start : start + _CHUNKS[0]]
                rows = connection.execute(
                    "SELECT k.key, k.place, r.value FROM keys AS k"  # noqa: S608 - only marks
                    " JOIN records AS r ON r.place = k.place"
                    f" WHERE k.stream = ? AND k.key IN ({_marks(len(some))})"
                    " ORDER BY k.place",
                    (stream, *some),
                )
                for key, place, value in rows.fetchall():
                    found.setdefault(key, Record(topic, 0, _offset(place), value, key))
        return found

    # -- writing -------------------------------------------------------------------------------

    def append(self, messages: Sequence[Message]) -> list[int]:
        """Append all or none, without an owner."""
        with self._transaction() as outputs:
            return outputs.append(messages)

    def claim(self, owner: str) -> "EmbeddedWriter":
        """Become the only writer under this name."""
        with self._immediate() as connection:
            (epoch,) = connection.execute(
                "INSERT INTO owners VALUES (?, 1)"
                " ON CONFLICT (owner) DO UPDATE SET epoch = epoch + 1 RETURNING epoch",
                (owner,),
            ).fetchone()
        return EmbeddedWriter(self, owner, int(epoch))

    def close(self) -> None:
        """Close the connections of all threads; what they do now they may end first.

        To close a connection that another thread works with would end the process, not the call.
        """
        with self._guard:
            self._closed = True
            lines, self._open = self._open, []
        for line in lines:
            if line.use.acquire(timeout=CLOSE_S):
                line.connection.close()
                line.use.release()
            else:
                _log.warning("a thread still works with the log: its connection ends with it")

    # -- within --------------------------------------------------------------------------------

    def _prepare(self) -> dict[tuple[Topic, int], int]:
        with self._driver() as connection:
            # Before any transaction: the mode of the file cannot change inside one.
            connection.execute("PRAGMA journal_mode = WAL")
        with self._immediate() as connection:
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if found == 0 and tables == 0:
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {FORMAT}")
            elif found != FORMAT:
                raise Incompatible(
                    f"this is not a Ringfence log of format {FORMAT}",
                    field=str(self._path),
                    value=f"format {found}",
                    remedy="Name another file, or read it with the version that wrote it.",
                )
            connection.execute(_ABOUT)
            connection.execute(
                "INSERT OR IGNORE INTO about VALUES ('identity', ?)", (secrets.token_hex(16),)
            )
            (drawn,) = connection.execute(
                "SELECT value FROM about WHERE name = 'identity'"
            ).fetchone()
            self._identity = f"embedded/{drawn}"
            streams = {}
            for topic in Topic:
                connection.execute(
                    "INSERT OR IGNORE INTO streams (topic, partition) VALUES (?, 0)",
                    (topic.value,),
                )
                (streams[topic, 0],) = connection.execute(
                    "SELECT id FROM streams WHERE topic = ? AND partition = 0", (topic.value,)
                ).fetchone()
        return streams

    def _stream(self, topic: Topic, partition: int) -> int:
        stream = self._streams.get((topic, partition))
        if stream is None:
            raise InvalidSetting(
                f"the topic {topic} has no such partition",
                field="partition",
                value=str(partition),
                remedy="The embedded log has one of each topic: name 0.",
            )
        return stream

    def _must_be_open(self) -> None:
        if self._closed:
            raise Unavailable("the embedded log was closed", remedy="Open it again.")

    def _line(self) -> "_Line":
        """This thread's own: within one connection, readers would see what is not committed."""
        line: _Line | None = getattr(self._local, "line", None)
        if line is None:
            connection = sqlite3.connect(
                self._path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
            line = self._local.line = _Line(connection)
            with self._guard:
                self._open.append(line)
        return line

    @contextmanager
    def _driver(self) -> Iterator[sqlite3.Connection]:
        """This thread's connection, with the driver's errors in the words of the house."""
        try:
            self._must_be_open()
            line = self._line()
            with line.use:
                self._must_be_open()
                yield line.connection
        except (sqlite3.OperationalError, sqlite3.InterfaceError) as error:
            raise Unavailable(
                f"the embedded log does not answer: {error}",
                field=str(self._path),
                remedy="Look for another process that holds it, free disk space and permissions.",
            ) from error
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
            raise  # a mistake of ours, not the file's: it must not be told as damage, or retried
        except sqlite3.DatabaseError as error:
            raise Incompatible(
                f"the file is not a log or is damaged: {error}",
                field=str(self._path),
                remedy="Put back a copy, or move it away to start a new one.",
            ) from error

    @contextmanager
    def _immediate(self) -> Iterator[sqlite3.Connection]:
        with self._driver() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _transaction(self) -> Iterator["_EmbeddedOutputs"]:
        with self._immediate() as connection:
            outputs = _EmbeddedOutputs(connection, self._streams, self._retention)
            yield outputs
            outputs.finish()


class EmbeddedWriter:
    """A `ports.Writer`, fenced by its epoch.

    The epoch is compared inside every transaction, so that a process that was frozen and thawed
    cannot write over its successor.
    """

    def __init__(self, log: EmbeddedLog, owner: str, epoch: int) -> None:
        self._log = log
        self._owner = owner
        self._epoch = epoch

    @contextmanager
    def transaction(self) -> Iterator[Outputs]:
        """Commit on leaving the block, roll back if it raises."""
        with self._log._transaction() as outputs:  # noqa: SLF001 - two halves of one adapter
            epoch = outputs.epoch(self._owner)
            if epoch != self._epoch:
                raise Fenced(
                    f"another process writes as {self._owner} now",
                    value=f"claim {self._epoch} of {epoch}",
                    remedy="Let the newer one run; stop it first to take over.",
                )
            yield outputs


class _EmbeddedOutputs:
    def __init__(
        self,
        connection: sqlite3.Connection,
        streams: Mapping[tuple[Topic, int], int],
        retention: Mapping[Topic, int],
    ) -> None:
        self._connection = connection
        self._streams = streams
        self._retention = retention
        self._appended: dict[tuple[Topic, int], tuple[int, int]] = {}  # (count, next)
        self._records: list[tuple[int, str | None, bytes]] = []
        self._keys: list[tuple[int, str, int]] = []

    def epoch(self, owner: str) -> int:
        (epoch,) = self._connection.execute(
            "SELECT epoch FROM owners WHERE owner = ?", (owner,)
        ).fetchone()
        return int(epoch)

    def append(self, messages: Sequence[Message]) -> list[int]:
        return [self._append(message) for message in messages]

    def _append(self, message: Message) -> int:
        where = (message.topic, message.partition)
        stream = self._streams.get(where)
        if stream is None:
            raise InvalidSetting(
                f"the topic {message.topic} has no such partition",
                field="partition",
                value=str(message.partition),
                remedy="The embedded log has one of each topic: name 0.",
            )
        if where in self._appended:
            count, offset = self._appended[where]
        else:
            (offset,) = self._connection.execute(
                "SELECT next FROM streams WHERE id = ?", (stream,)
            ).fetchone()
            count = 0
        place = _place(stream, offset)
        self._records.append((place, message.key, message.value))
        if message.key is not None and message.topic in _INDEXED:
            self._keys.append((stream, message.key, place))
        self._appended[where] = (count + 1, offset + 1)
        return int(offset)

    def commit(self, consumer: str, topic: Topic, partition: int, offset: int) -> None:
        self._connection.execute(
            "INSERT INTO offsets VALUES (?, ?, ?)"
            " ON CONFLICT (consumer, stream) DO UPDATE SET next = excluded.next",
            (consumer, self._streams[topic, partition], offset),
        )

    def finish(self) -> None:
        """Write what was appended and move its bounds, trimming about as much as was appended."""
        self._insert("records", self._records)
        self._insert("keys", self._keys)
        for where, (count, following) in self._appended.items():
            stream = self._streams[where]
            (first,) = self._connection.execute(
                "SELECT first FROM streams WHERE id = ?", (stream,)
            ).fetchone()
            due = following - self._retention[where[0]] - first
            if due > 0:
                until = first + min(due, max(2 * count, _TRIM_AT_LEAST))
                self._trim(stream, where[0], first, until)
                first = until
            self._connection.execute(
                "UPDATE streams SET first = ?, next = ? WHERE id = ?", (first, following, stream)
            )

    def _insert(self, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        start = 0
        for size in _CHUNKS:
            while len(rows) - start >= size:
                marks = ", ".join(["(?, ?, ?)"] * size)
                self._connection.execute(
                    f"INSERT INTO {table} VALUES {marks}",  # noqa: S608 - the tables above
                    list(chain.from_iterable(rows[start : start + size])),
                )
                start += size

    def _trim(self, stream: int, topic: Topic, first: int, until: int) -> None:
        span = (_place(stream, first), _place(stream, until))
        if topic in _INDEXED:
            self._connection.execute(
                "DELETE FROM keys WHERE stream = ? AND (key, place) IN"
                " (SELECT key, place FROM records WHERE place >= ? AND place < ?)",
                (stream, *span),
            )
        self._connection.execute("DELETE FROM records WHERE place >= ? AND place < ?", span)


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _place(stream: int, offset: int) -> int:
    return (stream << _OFFSET_BITS) | offset


def _offset(place: int) -> int:
    return place & ((1 << _OFFSET_BITS) - 1)
