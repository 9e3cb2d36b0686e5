"""The sweep beside a running engine: a thread of its own, on a copy of the window.

Every `look_s` it asks the engine, between two batches, how far event time has come. Where a pass is
due the engine copies its window (a few milliseconds for each hundred thousand edges), and goes on;
the pass works on the copy. What it finds is appended to `Topic.FINDINGS` like any other fact: the
engine tells the detector between two batches and writes down up to where it knew them, so that a
replay of the log takes them in at the same place. Without a leader nobody answers, and nothing is
swept.
"""

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.errors import Unavailable
from graph.sweep import Sweep
from graph.window import TransactionWindow
from ingest.engine import Engine
from ingest.findings import messages
from ingest.ports import Log, Message

LOOK_S: Final = 1.0
BREATH_S: Final = 0.0005
"""Slept between two pieces of work: else the interpreter would let the engine wait 5 ms each time
it comes back from the log."""
ANSWER_S: Final = 30.0
JOIN_S: Final = 5.0

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SweeperStats:
    """What the sweep did since it started.

    Attributes:
        passes: Passes that ended.
        findings: Pieces of evidence published.
        left: Edges whose search stayed unfinished, for want of room.
        cut: Passes that hit a bound.
        seconds: What the last pass took.
        error: Why the last one was not published; None once one was.
    """

    passes: int
    findings: int
    left: int
    cut: int
    seconds: float
    error: str | None


class Sweeper:
    """Sweeps while the engine goes on.

    Args:
        engine: Whose window.
        log: Where findings go.
        sweep: The passes.
        look_s: Seconds between two looks at event time.
    """

    def __init__(self, engine: Engine, log: Log, sweep: Sweep, *, look_s: float = LOOK_S) -> None:
        self._engine = engine
        self._log = log
        self._sweep = sweep
        self._look_s = look_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweep", daemon=True)
        self._number = self._searched = 0
        self._passes = self._findings = self._left = self._cut = 0
        self._seconds = 0.0
        self._error: str | None = None
        self._unsent: list[Message] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End: a pass at work is given up, which loses nothing."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)

    def stats(self) -> SweeperStats:
        """What it did."""
        return SweeperStats(
            self._passes, self._findings, self._left, self._cut, self._seconds, self._error
        )

    def _run(self) -> None:
        while not self._stop.wait(self._look_s):
            try:
                self.look()
            except _GivenUp:
                return
            except Unavailable as error:  # no leader, or no log: there will be another pass
                self._error = str(error)
            else:
                self._error = None

    def look(self) -> bool:
        """Run a pass if one is due; whether one ran. What the log did not take comes first.

        Raises:
            Unavailable: The engine or the log does not answer.
        """
        self._send()
        try:
            copied = self._engine.ask(self._copy, timeout=ANSWER_S).result(ANSWER_S)
        except TimeoutError:
            raise Unavailable(
                "the engine did not come to the question of the sweep",
                remedy="Nothing: it is asked again.",
            ) from None
        if copied is None:
            return False
        window, unfinished, forgotten = copied
        began = time.monotonic()
        found = self._sweep.run(window, unfinished, self._breathe)
        self._seconds = time.monotonic() - began
        self._unsent = messages(found)
        self._number, self._searched = self._sweep.number(found.as_of), window.end - 1
        self._passes += 1
        self._findings += len(found.evidence)
        self._left += found.left
        self._cut += found.cut
        _log.info(
            "pass as of %d: %d findings in %.1f s; %d edges searched again, %d left, %d forgotten",
            found.as_of,
            len(found.evidence),
            self._seconds,
            found.searched,
            found.left,
            forgotten,
        )
        self._send()
        return True

    def _send(self) -> None:
        if self._unsent:
            self._log.append(self._unsent)
            self._unsent = []

    def _copy(self, detector: Any) -> tuple[TransactionWindow, NDArray[np.int64], int] | None:
        """What a pass needs, if one is due. Runs on the engine's thread."""
        window: TransactionWindow = detector.window
        if window.watermark < self._sweep.due(self._number):
            return None
        positions, forgotten = detector.heuristics.unfinished.since(self._searched)
        return window.still(), positions, forgotten

    def _breathe(self) -> None:
        if self._stop.wait(BREATH_S):
            raise _GivenUp


class _GivenUp(Exception):
    """The process ends."""
