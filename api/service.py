"""What a running Ringfence is made of, as its routes see it, and how it starts and stops."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from api.board import RingBoard
from api.caching import Caching
from api.pauses import Pauses
from api.problems import ServerFailed
from api.settings import Settings
from api.streams import Feed
from api.views import Views
from cypher.ports import GraphStore
from gnn.explain import GraphScorer
from graph.errors import RingfenceError
from ingest.currencies import RateTable
from ingest.embedder import Embedder
from ingest.engine import Engine
from ingest.engine_stats import EngineStats
from ingest.ports import Log
from ingest.sinks import Follows
from ingest.sweeper import Sweeper
from ingest.worker import Worker

MOST_BEHIND: Final = 4_096  # records of the stream not yet read: about half a second of work
_LOG = logging.getLogger("ringfence.api")


class Producer(Protocol):
    """A thread that puts transactions into the log."""

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> None:
        """Put nothing more in."""
        ...


@dataclass(slots=True)
class Service:
    """The parts, built by `api.wiring` and shared by every request.

    Attributes:
        settings: What it was told.
        rates: What each currency is worth; the codec needs it.
        log: Where everything is written.
        engine: The one writer: transactions in, verdicts out.
        worker: Runs the engine and the followers of the sinks.
        sinks: What follows the log into the graph database and the cache.
        board: Rings, read off the log.
        alerts: The alert stream.
        rings: The stream of ring events.
        graph: The graph database that investigations ask.
        views: How values are shown.
        caching: The lists, the cache and the rate limits.
        model: What `/v1/model` says.
        warm: Compiles the kernels, or loads them compiled.
        sweeper: Looks at the window as a whole, beside the engine.
        embedder: Runs the encoder of the graph model likewise; None where there is none.
        ring_head: Scores a ring's graph, where the model has a ring head.
        producers: What puts transactions into the log from within (the demo's stream).
    """

    settings: Settings
    rates: RateTable
    log: Log
    engine: Engine
    worker: Worker
    sinks: Sequence[Follows]
    board: RingBoard
    alerts: Feed
    rings: Feed
    graph: GraphStore
    views: Views
    caching: Caching
    model: dict[str, Any]
    warm: Callable[[], object]
    sweeper: Sweeper
    embedder: Embedder | None = None
    ring_head: GraphScorer | None = None
    producers: list[Producer] = field(default_factory=list)
    _warmed: threading.Event = field(default_factory=threading.Event)
    _settled: threading.Event = field(default_factory=threading.Event)
    _starter: threading.Thread | None = None
    _pauses: Pauses | None = None
    _failed: str | None = None
    _order: threading.Lock = field(default_factory=threading.Lock)
    _ended: threading.Event = field(default_factory=threading.Event)  # set and read under `_order`

    def start(self) -> None:
        """Begin, without waiting: `missing` says what is not there yet."""
        self._starter = threading.Thread(target=self._start, name="start", daemon=True)
        self._starter.start()

    def stop(self) -> None:
        """End what is open, answer what waits, write a checkpoint, let go of the files."""
        with self._order:
            self._ended.set()  # what has not begun by now never will
        for producer in self.producers:
            producer.stop()
        self.sweeper.stop()
        if self.embedder is not None:
            self.embedder.stop()
        self.close_streams()
        if not self.worker.stop():
            _LOG.warning("not everything ended in time; it goes on from what was committed")
        if self._starter is not None:
            self._starter.join(timeout=5.0)
        if self._pauses is not None:
            self._pauses.stop()
        self.board.stop()
        self.caching.stop()
        self.graph.close()
        self.log.close()

    def close_streams(self) -> None:
        """Send every follower of an event stream away; each comes back by itself."""
        self.alerts.close()
        self.rings.close()

    def must_live(self) -> None:
        """Raise what ended its work for good; starting, standing by and overload pass.

        Raises:
            ServerFailed: The engine, or the start, ended by an error that nothing here mends.
        """
        state, error = self.engine.standing()
        ended = {"engine": error if state == "failed" else None, "start": self._failed}
        for part, cause in ended.items():
            if cause is not None:
                raise ServerFailed(
                    f"the {part} ended by an error: {cause}",
                    field=part,
                    remedy="Look at the cause and start the process again: it goes on from its"
                    " log.",
                )

    def missing(self, stats: EngineStats) -> list[str]:
        """What keeps requests from being answered, in words; empty when ready."""
        found = []
        if self._failed is not None:
            found.append(f"start: {self._failed}")
        elif not self._warmed.is_set():
            found.append("kernels: being compiled")
        elif stats.state == "running" and not self._settled.is_set():
            found.append("start: what it built is being put aside")
        if stats.state != "running":
            found.append(f"engine: {stats.error or stats.state}")
        elif stats.error is not None:
            found.append(f"log: cannot be written: {stats.error}")
        found += _behind(stats)
        for name, board in (("lists", self.caching.lists), ("rings", self.board)):
            # One that ended is no reason to answer nothing else: see `warnings`.
            if not board.ready and board.failed is None:
                found.append(f"{name}: being read from the log")
        return found

    def warnings(self, stats: EngineStats) -> list[str]:
        """What is not as it should be but keeps no request from being answered."""
        found = list(self.model["degraded"])
        if stats.checkpoint_error is not None:
            found.append(f"checkpoints: {stats.checkpoint_error}; a restart will take longer")
        for name, board in (("lists", self.caching.lists), ("rings", self.board)):
            if board.failed is not None:
                found.append(f"{name}: no longer read from the log: {board.failed}")
        for each in self.sinks:
            sink = each.stats()
            if sink.error is not None:
                found.append(f"{each.consumer}: {sink.error}")
        for name, beside in (("sweep", self.sweeper), ("encoder", self.embedder)):
            if beside is not None and beside.failed is not None:
                found.append(
                    f"{name}: ended by an error: {beside.failed}; a restart begins it again"
                )
        return found

    def figures(self, stats: EngineStats) -> dict[str, Any]:
        """Figures of the engine, its sinks, the event streams, the sweep and the encoder."""
        streams = {
            feed.name: {"clients": feed.clients, "dropped": feed.dropped}
            for feed in (self.alerts, self.rings)
        }
        sinks = {each.consumer: msgspec.to_builtins(each.stats()) for each in self.sinks}
        sweep = msgspec.to_builtins(self.sweeper.stats())
        found = {**msgspec.to_builtins(stats), "sinks": sinks, "streams": streams, "sweep": sweep}
        if self.embedder is not None:
            found["encoder"] = msgspec.to_builtins(self.embedder.stats())
        return found

    def _start(self) -> None:
        try:
            self.warm()
            self._warmed.set()
            with self._order:
                if self._ended.is_set():
                    return
                self.board.start()
                self.caching.start()
                self.worker.start()
            self.engine.wait_ready()
            with self._order:
                if self._ended.is_set():
                    return
                self._pauses = Pauses(lambda: self.engine.batches)
                self._pauses.start()
                self._settled.set()
                self.sweeper.start()
                if self.embedder is not None:
                    self.embedder.start()
                for producer in self.producers:
                    producer.start()
        except Exception as error:  # noqa: BLE001 - the edge of the thread: else nobody hears of it
            ours = isinstance(error, RingfenceError)
            _LOG.error("the server cannot start: %s", error, exc_info=not ours)
            self._failed = str(error) if ours else f"{type(error).__name__}: {error}"


def _behind(stats: EngineStats) -> list[str]:
    if stats.stream_lag is None:  # who does not lead has no stream to be behind of
        return ["log: does not answer"] if stats.state == "running" else []
    if stats.stream_lag > MOST_BEHIND:
        return [f"engine: {stats.stream_lag} transactions of the stream behind"]
    return []
