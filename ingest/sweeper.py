"""The sweep beside a running engine.

Where a pass is due the engine copies its window (a few milliseconds for each hundred thousand
edges), and goes on; the pass works on the copy. What it finds goes to `Topic.FINDINGS`.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.sweep import Sweep
from graph.window import TransactionWindow
from ingest.beside import LOOK_S, Beside, Breathe
from ingest.engine import Engine
from ingest.findings import messages
from ingest.ports import Log, Message

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


class _Due(NamedTuple):
    """What a pass needs.

    Attributes:
        window: A copy.
        unfinished: Positions to be searched again.
        forgotten: How many there was no room for.
    """

    window: TransactionWindow
    unfinished: NDArray[np.int64]
    forgotten: int


class Sweeper(Beside[_Due]):
    """Sweeps while the engine goes on.

    Args:
        engine: Whose window.
        log: Where findings go.
        sweep: The passes.
        look_s: Seconds between two looks at event time.
    """

    def __init__(self, engine: Engine, log: Log, sweep: Sweep, *, look_s: float = LOOK_S) -> None:
        super().__init__(engine, log, "sweep", look_s=look_s)
        self._sweep = sweep
        self._number = self._searched = 0
        self._passes = self._findings = self._left = self._cut = 0
        self._seconds = 0.0

    def stats(self) -> SweeperStats:
        """What it did."""
        return SweeperStats(
            self._passes, self._findings, self._left, self._cut, self._seconds, self._error
        )

    def _copy(self, detector: Any) -> _Due | None:
        window: TransactionWindow = detector.window
        if window.watermark < self._sweep.due(self._number):
            return None
        positions, forgotten = detector.heuristics.unfinished.since(self._searched)
        return _Due(window.still(), positions, forgotten)

    def _work(self, copied: _Due, breathe: Breathe) -> list[Message]:
        began = time.monotonic()
        found = self._sweep.run(copied.window, copied.unfinished, breathe)
        self._seconds = time.monotonic() - began
        self._number, self._searched = self._sweep.number(found.as_of), copied.window.end - 1
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
            copied.forgotten,
        )
        return messages(found)
