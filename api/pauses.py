"""Keeping the interpreter's own pauses out of requests.

What CPython does for throughput is felt as latency here:

- Garbage is looked for when so many more containers were made than freed. An engine frees about as
  many as it makes: each revision of a ring, each remembered verdict takes the place of an old one.
  So the young were looked at rarely, and then by the hundred thousand at once: 0.3 s on a stream of
  supernodes. They are collected after so many transactions instead (`Young`), which costs no more.
- A full collection walks every container alive: 80 ms and more for a few hundred thousand. What
  start-up built lives as long as the process, so it is taken out of that walk (`gc.freeze`); and
  what full collection is left is done while nobody asks, or by the interpreter itself where
  somebody always does.
- A thread that computes keeps the interpreter for 5 ms before another gets it. The event loop and
  the engine hand each request back and forth, and the sinks compute: they give way after 0.5 ms.
"""

import gc
import sys
import threading
from collections.abc import Callable
from typing import Final

SWITCH_S: Final = 0.0005
THRESHOLDS: Final = (5_000, 10, 20_000)
"""More containers made than freed until the young are collected all the same; times that until the
middle-aged are; collections of these until all are, which waiting for an idle moment prevents."""
YOUNG: Final = 32
"""Transactions after which what they left is collected."""
DUE: Final = 1_000
"""Collections of the middle-aged after which an idle moment is used for all."""
LOOK_S: Final = 0.5


class Young:
    """Collects what transactions left, every `YOUNG` of them or after the batch they are in.

    Some 10 µs of each 32, 1 ms of supernodes.
    """

    def __init__(self) -> None:
        self._since = 0

    def __call__(self, transactions: int) -> None:
        """So many more were answered. What survives is not looked at again but with all."""
        self._since += transactions
        if self._since >= YOUNG:
            self._since = 0
            gc.collect(1)


class Pauses:
    """Moves collections to idle moments, from `start` to `stop`; for the process, not a part of it.

    Args:
        work: A figure that changes when work is done: while it stands still, nobody asks.
    """

    def __init__(self, work: Callable[[], int]) -> None:
        self._work = work
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pauses", daemon=True)
        self._before: tuple[float, tuple[int, int, int]] | None = None
        self.collected = 0

    def start(self) -> None:
        """Collect what start-up left, freeze what lives, and begin to look for idle moments."""
        self._before = (sys.getswitchinterval(), gc.get_threshold())
        sys.setswitchinterval(SWITCH_S)
        gc.set_threshold(*THRESHOLDS)
        gc.collect()
        gc.freeze()
        self._thread.start()

    def stop(self) -> None:
        """Give the interpreter back as it was found."""
        self._stop.set()
        if self._before is not None:
            self._thread.join()
            sys.setswitchinterval(self._before[0])
            gc.set_threshold(*self._before[1])
            gc.unfreeze()
            self._before = None

    def _run(self) -> None:
        seen = self._work()
        while not self._stop.wait(LOOK_S):
            now = self._work()
            if now == seen and gc.get_count()[2] >= DUE:
                gc.collect()
                self.collected += 1
            seen = now
