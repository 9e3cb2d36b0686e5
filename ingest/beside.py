"""Work beside a running engine: a thread of its own, on a copy of what the engine holds.

Every so often it asks the engine, between two batches, for a copy of what its work needs. The
engine pays for the copy and goes on; what the work finds is appended to the log as facts, which the
engine tells the detector between two batches, writing down up to where it knew them. So a replay of
the log takes them in at the same place. Without a leader nobody answers, and nothing is done.
"""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from graph.errors import Unavailable
from ingest.engine import Engine
from ingest.ports import Log, Message

C = TypeVar("C")

_log: Final = logging.getLogger(__name__)

LOOK_S: Final = 1.0
BREATH_S: Final = 0.0005
"""Slept between two pieces of work: else the interpreter would let the engine wait 5 ms each time
it comes back from the log."""
ANSWER_S: Final = 30.0
JOIN_S: Final = 5.0

Breathe = Callable[[], None]
"""Called between two pieces of work; it raises where the process ends."""


class Beside(ABC, Generic[C]):
    """Works while the engine goes on.

    Args:
        engine: Whose detector is copied from.
        log: Where facts go.
        name: Of the thread.
        look_s: Seconds between two looks at event time.

    Attributes:
        failed: The error by which it ended, which only another start of the process mends.
    """

    def __init__(self, engine: Engine, log: Log, name: str, *, look_s: float = LOOK_S) -> None:
        self._engine = engine
        self._log = log
        self._look_s = look_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._error: str | None = None
        self.failed: str | None = None
        self._unsent: list[Message] = []

    @abstractmethod
    def _copy(self, detector: Any) -> C | None:
        """What the work needs, if it is due. Runs on the engine's thread."""

    @abstractmethod
    def _work(self, copied: C, breathe: Breathe) -> list[Message]:
        """The work itself; what is to be appended. Runs on this thread."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End: work that is not done is given up, which loses nothing."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)

    def _run(self) -> None:
        while not self._stop.wait(self._look_s):
            try:
                self.look()
            except _GivenUp:
                return
            except Unavailable as error:  # no leader, or no log: there will be another time
                self._error = str(error)
            except Exception as error:  # noqa: BLE001 - the edge of the thread: else nobody hears
                _log.exception("the %s ended by an error", self._thread.name)
                self._error = self.failed = f"{type(error).__name__}: {error}"
                return
            else:
                self._error = None

    def look(self) -> bool:
        """Work if it is due; whether it was. What the log did not take comes first.

        Raises:
            Unavailable: The engine or the log does not answer.
        """
        self._send()
        try:
            copied = self._engine.ask(self._copy, timeout=ANSWER_S).result(ANSWER_S)
        except TimeoutError:
            raise Unavailable(
                f"the engine did not come to the question of the {self._thread.name}",
                remedy="Nothing: it is asked again.",
            ) from None
        if copied is None:
            return False
        self._unsent = self._work(copied, self._breathe)
        self._send()
        return True

    def _send(self) -> None:
        if self._unsent:
            self._log.append(self._unsent)
            self._unsent = []

    def _breathe(self) -> None:
        if self._stop.wait(BREATH_S):
            raise _GivenUp


class _GivenUp(Exception):
    """The process ends."""
