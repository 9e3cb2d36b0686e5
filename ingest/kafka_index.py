"""The index of verdicts: where the first record of each key stands, in a file beside the data.

It holds nothing that the topic does not: whatever is wrong with the file, it is thrown away, said
so, and read up again. What this process commits is heard at once and written to the file a moment
later, together with the offset it is complete up to; what is lost of it in a crash is read again.
Several processes may share the file: each writes what it has heard, and the first place stays.

Of a key whose record retention has taken, nothing is known any more; such entries are deleted now
and then.
"""

import logging
import sqlite3
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from graph.errors import Unavailable

FORMAT: Final = 1
FLUSH_S: Final = 1.0
"""How long what was heard may wait to be written."""
MOST_WAITING: Final = 2_000_000
"""Keys that wait while the file cannot be written (some 300 MB); then `look_up` refuses."""
TRIM_AT_LEAST: Final = 100_000
_CHUNK: Final = 512
_BUSY_S: Final = 10.0

_SCHEMA: Final = """
CREATE TABLE keys (key TEXT PRIMARY KEY, place INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE about (name TEXT PRIMARY KEY, value) WITHOUT ROWID
"""
_log: Final = logging.getLogger(__name__)


class VerdictIndex:
    """Key to the offset of its first record.

    Args:
        path: The file; None for one that is deleted with the index.
        topic: Which topic it is of: cluster and id, which change when it is made anew.
        end: Where the topic ends: an index that goes beyond is of another.
    """

    def __init__(self, path: Path | None, topic: str, end: int) -> None:
        self._folder = None if path is not None else tempfile.TemporaryDirectory()
        self._path = path or Path(self._folder.name if self._folder else "") / "index.db"
        self._topic = topic
        self._file = threading.Lock()  # held by who writes or replaces the file
        self._lock = threading.Lock()  # guards what was heard
        self._reading = threading.Lock()  # guards the connection that looks up
        self._heard: dict[str, int] = {}
        self._writing: dict[str, int] = {}
        self._written_to = 0  # what the file is complete up to with `_writing`
        self._first = 0
        self._trimmed = 0
        self._mine = -1  # where the last of what this process committed ends
        self._whole = False
        self._failing = ""
        self._following = self._open(end)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kafka index", daemon=True)
        self._thread.start()

    @property
    def following(self) -> int:
        """The offset it is complete up to."""
        return self._following

    @property
    def whole(self) -> bool:
        """Whether nobody but this process can have written what it does not hold."""
        return self._whole

    def doubt(self) -> None:
        """Others may have written: look at the topic before the next answer."""
        self._whole = False

    def hear(
        self, start: int, keys: Sequence[tuple[int, str | None]], following: int, *, mine: bool
    ) -> None:
        """Take note of records read or written.

        Args:
            start: Where they begin.
            keys: Offset and key of each.
            following: Where they end.
            mine: This process wrote them, and nobody else may.
        """
        with self._lock:
            marked = mine and start == self._following + 1 and self._following == self._mine
            if start > self._following and not marked:
                # What is between is read when it is needed; there is always some after an abort.
                self._whole = self._whole and not mine
                return
            for offset, key in keys:
                if key is not None and offset >= self._following:
                    self._heard.setdefault(key, offset)
            self._following = max(self._following, following)
            if mine:
                self._mine, self._whole = following, True

    def forget(self, first: int) -> None:
        """Retention has taken what lies before."""
        self._first = max(self._first, first)

    def look_up(self, keys: Sequence[str]) -> dict[str, int]:
        """The offset of each key's first record; keys without one are left out.

        Raises:
            Unavailable: The file could not be written for so long that too much waits.
        """
        with self._lock:
            waiting = len(self._heard) + len(self._writing)
            found = {
                key: place
                for key in keys
                if (place := self._writing.get(key, self._heard.get(key))) is not None
            }
        if waiting > MOST_WAITING:
            raise Unavailable(
                f"the index of verdicts cannot be written: {self._failing}",
                field=str(self._path),
                remedy="Free disk space, or look at its permissions.",
            )
        try:
            with self._reading:
                found.update(self._written(keys))  # what was written before comes first
        except sqlite3.DatabaseError as error:
            self._replace(str(error))
            raise Unavailable(
                f"the index of verdicts is damaged, and read up anew: {error}",
                field=str(self._path),
                remedy="Try again.",
            ) from error
        return found

    def _written(self, keys: Sequence[str]) -> Iterator[tuple[str, int]]:
        for start in range(0, len(keys), _CHUNK):
            some = keys[start : start + _CHUNK]
            marks = ", ".join("?" * len(some))
            yield from self._reader.execute(
                f"SELECT key, place FROM keys WHERE key IN ({marks}) AND place >= ?",  # noqa: S608
                (*some, self._first),
            )

    def close(self) -> None:
        """Write what waits, and let go of the file."""
        self._stop.set()
        self._thread.join(_BUSY_S)
        with self._reading:
            self._reader.close()
        if self._folder is not None:
            self._folder.cleanup()

    # -- within --------------------------------------------------------------------------------

    def _open(self, end: int) -> int:
        """Open the file, or make it; up to where it is complete."""
        try:
            if self._path.exists():
                connection = self._connect()
                about = dict(connection.execute("SELECT name, value FROM about"))
                self._reader = connection
                same = about.get("topic") == self._topic and about.get("format") == FORMAT
                if same and int(about["following"]) <= end:
                    return int(about["following"])
                connection.close()
                _log.warning("%s is of another topic or format: it is read up anew", self._path)
        except (sqlite3.DatabaseError, KeyError, ValueError) as error:
            _log.warning("%s is damaged and is read up anew: %s", self._path, error)
        self._delete()
        self._create()
        return 0

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -32768")
        return connection

    def _create(self) -> None:
        try:
            self._reader = self._connect()
            with self._reader:
                self._reader.execute("BEGIN IMMEDIATE")
                for statement in _SCHEMA.split(";"):
                    self._reader.execute(statement)
                about = [("topic", self._topic), ("format", FORMAT), ("following", 0)]
                self._reader.executemany("INSERT INTO about VALUES (?, ?)", about)
        except sqlite3.Error as error:
            raise Unavailable(
                f"the index of verdicts cannot be made: {error}",
                field=str(self._path),
                remedy="Look at the folder's permissions, and free disk space.",
            ) from error

    def _replace(self, why: str) -> None:
        _log.warning("%s is damaged and is read up anew: %s", self._path, why)
        with self._file, self._reading, self._lock:
            self._heard, self._writing = {}, {}
            self._whole, self._following, self._mine = False, 0, -1
            self._reader.close()
            self._delete()
            self._create()

    def _delete(self) -> None:
        for end in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + end).unlink(missing_ok=True)

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_S):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        with self._file:
            with self._lock:
                if not self._writing:
                    self._writing, self._heard = self._heard, {}
                    self._written_to = self._following
                rows, following = self._writing, self._written_to
                kept = following - self._first
                trim = self._first - self._trimmed > max(TRIM_AT_LEAST, kept // 4)
            if not rows and not trim:
                return
            try:
                self._write(rows.items(), following, trim=trim)
            except sqlite3.Error as error:
                if str(error) != self._failing:
                    _log.warning("the index of verdicts cannot be written, and waits: %s", error)
                self._failing = str(error)
                return
            if self._failing:
                _log.warning("the index of verdicts is written again")
                self._failing = ""
            with self._lock:
                self._writing = {}

    def _write(self, rows: Iterable[tuple[str, int]], following: int, *, trim: bool) -> None:
        connection = self._connect()
        try:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(
                    "INSERT INTO keys VALUES (?, ?) ON CONFLICT (key) DO UPDATE"  # noqa: S608
                    f" SET place = excluded.place WHERE place < {int(self._first)}",
                    rows,
                )
                if trim:
                    connection.execute("DELETE FROM keys WHERE place < ?", (self._first,))
                    self._trimmed = self._first
                connection.execute(
                    "UPDATE about SET value = max(value, ?) WHERE name = 'following'", (following,)
                )
        finally:
            connection.close()
