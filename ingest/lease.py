"""Who leads: a heartbeat in the log, which standbys watch.

Safety is not here: whoever leads has claimed its writer, and the log fences every earlier one (see
`ports.Log.claim`), so two who think they lead cannot both write. The lease only decides when a
standby should try: after `patience` seconds in which it could read the log and heard nobody, or at
once after a goodbye. A log that does not answer says nothing about the leader: the wait begins
anew when it answers again.

It needs no clock but each process's own, and nothing of the broker but the log, so that it works
alike over every adapter and whatever session timeouts a managed broker allows.
"""

import logging
import os
import socket
import threading
import time
import uuid
from typing import Final, Literal

import msgspec

from graph.errors import Unavailable
from ingest.ports import Log, Message, Topic

BEATS: Final = 4
"""Heartbeats within the patience of a standby: three may be lost."""

_log: Final = logging.getLogger(__name__)


class Heartbeat(msgspec.Struct, frozen=True, tag_field="schema", tag="heartbeat/1"):
    """One sign of life.

    Attributes:
        name: What is led.
        holder: Who leads; each process has its own.
        turn: Counts up with each change of leader, as far as the new one had heard.
        said: "held", or "released" as the last word of a clean end.
    """

    name: str
    holder: str
    turn: int
    said: Literal["held", "released"]


class Lease:
    """One candidate's view of who leads.

    Args:
        log: The log.
        name: What is led: the engine, or a follower.
        patience: Seconds of silence after which a standby takes over.
    """

    def __init__(self, log: Log, name: str, *, patience: float = 2.0) -> None:
        self._log = log
        self._name = name
        self._patience = patience
        self._holder = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
        self._offset: int | None = None
        self._heard_at = time.monotonic()
        self._vacant = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._turn = 0  # the latest heard of, or one's own
        self._reading = threading.Lock()  # the heartbeat listens too
        self.leader: str | None = None
        """Who was last heard to lead; None if nobody was."""
        self.superseded = False
        """Whether somebody took over since `hold`: whoever finds himself so should step down."""

    @property
    def beat(self) -> float:
        """Seconds between two heartbeats, and between two looks at them."""
        return self._patience / BEATS

    def vacant(self) -> bool:
        """Listen, and say whether it is time to take over. Never waits.

        Raises:
            Unavailable: The log does not answer; the wait begins anew.
        """
        try:
            with self._reading:
                self._listen()
        except Unavailable:
            self._heard_at = time.monotonic()
            raise
        return self._vacant or time.monotonic() - self._heard_at >= self._patience

    def hold(self) -> None:
        """Say from now on, on a thread of its own, that this process leads."""
        self._stop.clear()
        self._turn += 1
        self.superseded = False
        self._say("held")  # before anything else is done: other standbys are about to try
        self._thread = threading.Thread(target=self._beat, name=f"lease {self._name}", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Say that it leads no more: a standby takes over at once."""
        led = not self.superseded
        if self.drop() and led:
            self._say("released")

    def drop(self) -> bool:
        """Fall silent, and listen as a standby again; whether it had led."""
        thread, self._thread = self._thread, None
        if thread is None:
            return False
        self._stop.set()
        thread.join()
        self._heard_at, self._vacant = time.monotonic(), False
        return True

    def _listen(self) -> None:
        if self._offset is None:
            bounds = self._log.bounds(Topic.LEASES, 0)
            # Nobody ever led: there is nothing to wait for.
            self._vacant = bounds.next == 0
            self._offset = max(bounds.first, bounds.next - 64)
            self._look(silent=True)
            self._heard_at = time.monotonic()
        else:
            self._look(silent=False)

    def _look(self, *, silent: bool) -> None:
        """Read the new heartbeats; of `silent` ones only the goodbye counts: they may be old."""
        while page := self._log.read(Topic.LEASES, 0, self._offset or 0, 256):
            self._offset = page[-1].offset + 1
            for record in page:
                try:
                    beat = msgspec.json.decode(record.value, type=Heartbeat)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    _log.warning("heartbeat %d is not understood: %s", record.offset, error)
                    continue
                if beat.name != self._name or beat.holder == self._holder:
                    continue
                if self._thread is not None:
                    self.superseded |= beat.said == "held" and (beat.turn, beat.holder) > (
                        self._turn,
                        self._holder,
                    )
                    continue
                self._turn = max(self._turn, beat.turn)
                self._vacant = beat.said == "released"
                self.leader = None if self._vacant else beat.holder
                if not silent:
                    self._heard_at = time.monotonic()

    def _beat(self) -> None:
        while not self._stop.wait(self.beat):
            self._say("held")
            try:
                with self._reading:
                    self._listen()
            except Unavailable:
                pass  # said by `_say` already; who took over is heard when the log answers

    def _say(self, said: Literal["held", "released"]) -> None:
        beat = msgspec.json.encode(Heartbeat(self._name, self._holder, self._turn, said))
        try:
            self._log.append([Message(Topic.LEASES, 0, beat, self._name)])
        except Unavailable as error:
            _log.warning("the lease of %s could not be renewed: %s", self._name, error)
