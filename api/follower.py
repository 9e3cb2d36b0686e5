"""A read model that follows the log from a thread of its own."""

import logging
import threading
from abc import ABC, abstractmethod
from typing import Final

from api.problems import NoLongerReading, StillReading
from graph.errors import Unavailable

_LOG: Final = logging.getLogger("ringfence.api.follower")


class Follower(ABC):
    """Reads page by page, and is ready once it has caught up with the log.

    Args:
        name: What it keeps, in words: "rings".
        poll_s: How often the log is asked for news.

    Attributes:
        failed: The error by which it ended for good, in words.
    """

    def __init__(self, name: str, poll_s: float) -> None:
        self.failed: str | None = None
        self._name = name
        self._poll_s = poll_s
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def ready(self) -> bool:
        """Whether it has caught up with the log once."""
        return self._ready.is_set()

    def start(self) -> None:
        """Begin to follow the log."""
        self._thread = threading.Thread(target=self._follow, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop following; what is there can still be read."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    def must_be_read(self) -> None:
        """Whoever is not here is not there: so only once the log is read, and is read on.

        Raises:
            StillReading: Some of it is not read yet.
            NoLongerReading: What is new is not read.
        """
        if self.failed is not None:
            raise NoLongerReading(
                f"the {self._name} are no longer read from the log: {self.failed}",
                field=self._name,
                remedy="Look at the cause and start the process again.",
            )
        if not self.ready:
            raise StillReading(
                f"the {self._name} are still being read from the log",
                field=self._name,
                remedy="Ask again when /readyz says ready.",
            )

    @abstractmethod
    def read_page(self) -> bool:
        """Read what is new, at most one page; whether there may be more.

        Raises:
            Unavailable: The log does not answer; it is asked again.
        """

    def _follow(self) -> None:
        try:
            while not self._stop.is_set():
                self._read_on()
        except Exception as error:  # noqa: BLE001 - the edge of the thread: else nobody hears of it
            _LOG.exception("the %s are no longer read from the log", self._name)
            self.failed = f"{type(error).__name__}: {error}"

    def _read_on(self) -> None:
        try:
            more = self.read_page()
        except Unavailable as error:
            _LOG.warning("the %s wait for the log: %s", self._name, error)
            self._stop.wait(1.0)
            return
        if not more:
            self._ready.set()
            self._stop.wait(self._poll_s)
