"""How an engine stands: its state, what troubles it, and whether its door is open.

    recovering ⇄ standby ─► running ─► stopping ─► stopped        from any of them: failed

State and door change under one lock: whoever sees "stopping" has seen the last arrival, and whoever
sees "running" may come in. An engine that has to give way goes from running back to recovering.
"""

import threading
from typing import Final

from graph.errors import Unavailable
from ingest.arrivals import Arrivals

NOT_YET: Final = ("recovering", "standby")
"""States before the first work."""


class Standing:
    """State, error and door of an engine. Safe to use from any thread.

    Args:
        arrivals: The door, which is shut until `open`.
    """

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._changed = threading.Condition()
        self._state = "recovering"
        self._error: str | None = None
        arrivals.shut(self.unavailable)

    @property
    def state(self) -> str:
        """One of those above."""
        return self._state

    def now(self) -> tuple[str, str | None]:
        """State and error as they stand together."""
        with self._changed:
            return self._state, self._error

    def wait_ready(self, timeout: float | None) -> None:
        """Wait until there is work, or an end.

        Raises:
            Unavailable: It failed, or `timeout` seconds are over.
        """
        with self._changed:
            done = self._changed.wait_for(lambda: self._state not in NOT_YET, timeout)
            if not done or self._state == "failed":
                raise self.unavailable()

    def wait_while(self, state: str, seconds: float) -> None:
        """Until the state is another one, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._state != state, seconds)

    def enter(self, state: str, before: str) -> None:
        """Go from one state before the first work to the other; from any other it stays."""
        with self._changed:
            if self._state == before:
                self._state = state

    def open(self) -> None:
        """Recovery is done: let them in, unless it was stopped meanwhile."""
        with self._changed:
            if self._state == "recovering":
                self._state = "running"
                self._arrivals.open()
            self._changed.notify_all()

    def give_way(self) -> None:
        """Another leads now: shut the door, and recover."""
        with self._changed:
            if self._state == "running":
                self._arrivals.shut(self.unavailable)
                self._state = "recovering"

    def stop(self) -> None:
        """Shut the door for good; what is inside is still worked at."""
        with self._changed:
            if self._state in ("running", *NOT_YET):
                self._arrivals.shut(self.unavailable)
                self._state = "stopping"
            self._changed.notify_all()

    def end(self, state: str, error: str | None) -> None:
        """It is over: "stopped" or "failed"."""
        with self._changed:
            self._state = state
            self._error = error or self._error
            self._arrivals.shut(self.unavailable)
            self._changed.notify_all()

    def note(self, error: Unavailable | None) -> None:
        """What troubles it just now; None once nothing does."""
        with self._changed:
            self._error = None if error is None else str(error)

    def unavailable(self) -> Unavailable:
        """What a caller hears at the shut door."""
        return Unavailable(
            f"the engine is {self._state}" + (f": {self._error}" if self._error else ""),
            remedy="Send it again when /readyz says ready; nothing of it was taken.",
        )
