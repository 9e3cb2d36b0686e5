"""Followers: each brings one topic to one sink, with an offset of its own.

A follower runs on its own thread and shares nothing with the engine but the log, so that a sink
that is slow or dead never delays a verdict; it only falls behind, and its lag is visible.
Delivery is at least once and in order: the offset is committed after the sink has written.

A write costs a sink about the same for one row as for many, and what it costs is taken from the
threads that score. So a follower lingers for a fuller page: rows reach the sink up to `LINGER_S`
later, and a steady stream costs four writes a second whatever its rate.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from graph.errors import InvalidSetting, RingfenceError, Unavailable
from graph.rings import Alert
from graph.transaction import Transaction
from ingest import records
from ingest.lease import Lease
from ingest.ports import Fenced, Log, Message, Record, Sink, Topic, Writer
from ingest.recovery import fetch, place
from ingest.stream import Decode
from scorer.verdict import Verdict

T = TypeVar("T")
R = TypeVar("R")

BATCH: Final = 256
POLL_S: Final = 0.1
LINGER_S: Final = 0.25
"""How long a follower waits for a page that is not full."""
FLUSH_S: Final = 3.0
"""How long a follower that was told to stop goes on to bring its sink what the log holds."""
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 30.0

_log: Final = logging.getLogger(__name__)

Load = Callable[[Sequence[Record]], Sequence[tuple[Record, T]]]
"""Records of a topic to the rows a sink takes; records that are no longer whole are left out."""


def scored(log: Log, decode: Decode) -> "Load[tuple[Transaction, Verdict]]":
    """Loads `Topic.VERDICTS`: each verdict with the transaction it answers.

    A verdict whose input retention has taken is left out: its follower was that far behind.
    """

    def load(page: Sequence[Record]) -> list[tuple[Record, tuple[Transaction, Verdict]]]:
        lines = [records.decode(record.value, records.VerdictRecord) for record in page]
        inputs = fetch(log, lines)
        return [
            (record, (decode(inputs[place(line)].value), line.to_verdict()))
            for record, line in zip(page, lines, strict=True)
            if place(line) in inputs
        ]

    return load


def alerts(page: Sequence[Record]) -> list[tuple[Record, Alert]]:
    """Loads `Topic.ALERTS`."""
    return [
        (record, records.decode(record.value, records.AlertRecord).to_alert()) for record in page
    ]


class Stands(Protocol):
    """A sink that keeps itself up to where it was fed, and from which log."""

    def offset(self) -> int | None:
        """Where to go on; None before the first write."""
        ...

    def fed_from(self) -> str | None:
        """The identity of the log that `offset` is one of; None before it was told."""
        ...

    def feed_from(self, log: str) -> None:
        """Write down which log it is fed from, before the first row of it."""
        ...


class Follows(Protocol):
    """What a process runs beside the engine: a follower, or what behaves as one."""

    @property
    def consumer(self) -> str:
        """Its name."""
        ...

    def start(self) -> None:
        """Follow, on a thread of its own."""
        ...

    def stop(self, timeout: float | None = None) -> bool:
        """End; whether it did within `timeout` seconds."""
        ...

    def stats(self) -> "FollowerStats":
        """Figures since the start."""
        ...


@dataclass(frozen=True, slots=True)
class FollowerStats:
    """How a follower stands.

    Attributes:
        state: "standby", "running", "waiting" (for its sink), "stopped" or "failed".
        error: What the sink last said; None once it has written again.
        written: Rows the sink has taken.
        dead_letters: Rows the sink refused.
        lost: Records retention took, they or their input, before they were read.
        lag: Records not yet done with, as of the last batch or the last attempt at one.
    """

    state: str
    error: str | None
    written: int
    dead_letters: int
    lost: int
    lag: int


class Follower(Generic[T]):
    """Follows partition 0 of a topic into a sink until it is stopped.

    Args:
        log: The log.
        topic: What to follow.
        consumer: Whose offset it is; two followers of one name fence each other.
        load: Records to the sink's rows.
        sink: Where the rows go.
        stands: Says where the sink itself stands, and of which log that is; without it, or where
            it does not say, what was committed here decides.
        page: Most rows of one write. A server's write costs it about the same for four times as
            many; an embedded sink's is taken from the threads that score.
        lease: Who follows, where several processes could; without it this one does at once, and
            ends when it is fenced.
    """

    def __init__(
        self,
        log: Log,
        topic: Topic,
        consumer: str,
        load: Load[T],
        sink: Sink[T],
        *,
        stands: Stands | None = None,
        page: int = BATCH,
        lease: Lease | None = None,
    ) -> None:
        self._stands = stands
        self._page = page
        self._lease = lease
        self._log = log
        self._topic = topic
        self._consumer = consumer
        self._load = load
        self._sink = sink
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink {consumer}", daemon=True)
        self._state = "running"
        self._error: str | None = None
        self._written = self._letters = self._lost = self._lag = self._offset = 0

    @property
    def consumer(self) -> str:
        """Whose offset it is."""
        return self._consumer

    def start(self) -> None:
        """Follow, on a thread of its own."""
        self._thread.start()

    def stop(self, timeout: float | None = None) -> bool:
        """Bring the sink what the log holds, for at most `FLUSH_S`, and end.

        Returns:
            Whether it ended within `timeout` seconds. What it did not bring is brought by the next
            follower of this name.
        """
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def stats(self) -> FollowerStats:
        """Figures since the start."""
        return FollowerStats(
            self._state, self._error, self._written, self._letters, self._lost, self._lag
        )

    def _run(self) -> None:
        try:
            while self._take_turn():
                pass
            if self._lease is not None:
                self._lease.release()
        except _Stopped:
            self._state = "stopped"
            if self._lease is not None:
                self._lease.release()
        except Exception as error:  # noqa: BLE001 - a thread's edge: it must end visibly
            _log.exception("the follower %s failed", self._consumer)
            self._state, self._error = "failed", f"{type(error).__name__}: {error}"
            if self._lease is not None:
                self._lease.drop()
        else:
            self._state = "stopped"

    def _take_turn(self) -> bool:
        """Follow until told to stop; True if another process follows now and this one waits."""
        lease = self._lease
        if lease is not None:
            self._state = "standby"
            while not self._patiently(lease.vacant):
                if self._stop.wait(lease.beat / 2):
                    return False
        try:
            writer = self._patiently(lambda: self._log.claim(self._consumer))
            if lease is not None:
                lease.hold()
            self._follow(writer)
        except Fenced as error:
            if lease is None:
                raise
            _log.warning("%s gives way: %s", self._consumer, error)
            lease.drop()
            return True
        return False

    def _follow(self, writer: Writer) -> None:
        self._state = "running"
        committed = self._patiently(lambda: self._log.committed(self._consumer, self._topic, 0))
        self._offset = committed  # until the sink has said where it stands
        sink = self._stands
        offset = None if sink is None else self._patiently(sink.offset)
        fed_from = None if sink is None else self._patiently(sink.fed_from)
        if fed_from not in (None, self._log.identity):
            raise self._of_another("log", f"{fed_from}, but this one is {self._log.identity}")
        at = committed if offset is None else offset
        end = self._patiently(lambda: self._log.bounds(self._topic, 0)).next
        if at > end:
            raise self._of_another(f"offset in {self._topic}", f"{at}, but this log ends at {end}")
        if sink is not None and fed_from is None:
            self._adopt(sink, offset)
        offset = at
        while not self._stop.is_set():
            if self._lease is not None and self._lease.superseded:
                raise Fenced("another process follows now", remedy="Let it: this one waits.")
            offset = self._step(writer, offset)
        until, before = time.monotonic() + FLUSH_S, -1
        while before < offset and time.monotonic() < until:
            before, offset = offset, self._step(writer, offset)

    def _of_another(self, field: str, value: str) -> InvalidSetting:
        return InvalidSetting(
            f"what {self._consumer} holds was fed from another log",
            field=field,
            value=value,
            remedy="Name the log it was fed from, or empty it and let it be fed anew.",
        )

    def _adopt(self, sink: Stands, offset: int | None) -> None:
        """Have the sink write down that it is fed from this log."""
        if offset is not None:
            _log.warning(
                "%s does not say which log it was fed from, up to %d: from now on that is this"
                " one, %s. If it was another, empty it and let it be fed anew",
                self._consumer,
                offset,
                self._log.identity,
            )
        self._patiently(lambda: sink.feed_from(self._log.identity))

    def _step(self, writer: Writer, offset: int) -> int:
        self._offset = offset
        page = self._patiently(lambda: self._log.read(self._topic, 0, offset, self._page))
        if not page:
            self._lag = 0
            self._stop.wait(POLL_S)
            return offset
        if len(page) < self._page and not self._stop.wait(LINGER_S):
            page = self._patiently(lambda: self._log.read(self._topic, 0, offset, self._page))
        following = page[-1].offset + 1
        bounds = self._patiently(lambda: self._log.bounds(self._topic, 0))
        # Of a gap before the page, what retention took; the rest never held any record.
        self._lost += max(0, min(bounds.first, page[0].offset) - offset)
        self._lag = bounds.next - offset
        rows = self._patiently(lambda: self._load(page))
        self._state = "running"
        letters = self._write(rows)

        def commit() -> None:
            with writer.transaction() as outputs:
                for letter in letters:
                    outputs.append([Message(Topic.DEAD_LETTERS, 0, records.encode(letter))])
                outputs.commit(self._consumer, self._topic, 0, following)

        self._patiently(commit)
        self._lost += len(page) - len(rows)
        self._written += len(rows) - len(letters)
        self._letters += len(letters)
        self._lag -= following - offset
        return following

    def _write(self, rows: Sequence[tuple[Record, T]]) -> list[records.DeadLetterRecord]:
        """Write the rows; those refused come back, found by halving (log2 n writes for each)."""
        if not rows:
            return []
        try:
            following = rows[-1][0].offset + 1
            self._patiently(lambda: self._sink.write([r for _, r in rows], offset=following))
        except Unavailable:
            raise
        except RingfenceError as error:
            if len(rows) > 1:
                half = len(rows) // 2
                return self._write(rows[:half]) + self._write(rows[half:])
            record = rows[0][0]
            _log.warning("%s refuses %s %d: %s", self._consumer, self._topic, record.offset, error)
            return [records.dead_letter(self._consumer, record, error)]
        return []

    def _patiently(self, attempt: Callable[[], R]) -> R:
        """Try until it answers, waiting longer each time, or until the follower is stopped."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                answer = attempt()
            except Fenced:
                raise
            except Unavailable as error:
                _log.warning("%s waits %.1f s: %s", self._consumer, pause, error)
                self._state, self._error = "waiting", str(error)
                with suppress(Unavailable):  # the log grows meanwhile, and operators watch the lag
                    self._lag = max(0, self._log.bounds(self._topic, 0).next - self._offset)
                if self._stop.wait(pause):
                    raise _Stopped from error
                pause = min(2 * pause, LONGEST_PAUSE_S)
            else:
                self._error = None
                return answer


class _Stopped(Exception):
    """The follower was told to stop while it waited."""
