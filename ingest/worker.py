"""The worker: an engine and its followers as one process, from start to a clean end.

SIGTERM and SIGINT drain it: nothing new is taken, what was taken is answered and committed, then
the process ends. A second signal is as good as kill -9, which is harmless too, only ruder.
"""

import logging
import signal
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Final

from graph.errors import Unavailable
from ingest.engine import Engine
from ingest.sinks import Follows

STOP_S: Final = 20.0
"""How long the engine may take to drain, and after it the followers: under the 30 s that
Kubernetes and systemd-like supervisors wait before they kill."""
LOOK_S: Final = 0.2

_log: Final = logging.getLogger(__name__)


class Worker:
    """Starts the engine, then its followers; stops them in that order.

    Args:
        engine: The engine; None where only followers run here.
        followers: Its sinks' followers.
    """

    def __init__(self, engine: Engine | None, followers: Sequence[Follows] = ()) -> None:
        self._engine = engine
        self._followers = followers
        self._asked = threading.Event()

    def start(self) -> None:
        """Start everything and return; recovery goes on in the background."""
        if self._engine is not None:
            self._engine.start()
        for follower in self._followers:
            follower.start()

    def stop(self) -> bool:
        """Drain and end; whether everything ended within its time."""
        ended = self._engine is None or self._engine.stop(STOP_S)
        # A sink that is down must not hold the process: its offset says where it goes on.
        for follower in self._followers:
            ended &= follower.stop((30.0 - STOP_S) / 2 / len(self._followers))
        return ended

    def _must_live(self) -> None:
        parts = [(f"the sink {each.consumer}", each.stats()) for each in self._followers]
        stats = [(name, each.state, each.error) for name, each in parts]
        if self._engine is not None:
            stats.append(("the engine", *self._engine.standing()))
        for name, state, error in stats:
            if state == "failed":
                raise Unavailable(
                    f"{name} failed: {error}",
                    remedy="Look at the cause and start it again: it goes on where it was.",
                )

    def run(self) -> None:
        """Run until a signal, in the main thread of a process of its own.

        Raises:
            Unavailable: The engine or a follower failed; the supervisor should start the process
                anew.
        """

        def on_signal(number: int, _frame: FrameType | None) -> None:
            signal.signal(number, signal.SIG_DFL)
            self._asked.set()

        before = {
            number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            self.start()
            while not self._asked.wait(LOOK_S):
                self._must_live()
        finally:
            if not self.stop():
                _log.warning("not everything ended in time; it goes on from what was committed")
            for number, handler in before.items():
                signal.signal(number, handler)
