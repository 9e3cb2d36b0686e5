"""Figures for Prometheus: what engine, sinks and streams count, and how long answers take.

What the parts count themselves is read off them when somebody asks, so a scrape costs them nothing
in between; only the time of an answer is taken as it happens. Labels take a handful of values each
(a decision, a sink), never an entity's. Counters begin at zero with the process: Prometheus copes.
"""

import time
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.routes import metrics as route
from api.service import Service
from scorer.verdict import Decision

TIMED: Final = ("/v1/score", "/v1/score/batch")
STATES: Final = ("recovering", "standby", "running", "stopping", "stopped", "failed")
ADMISSIONS: Final = ("accepted", "late", "ahead", "duplicate")
# A verdict is due in single-digit milliseconds, a batch of 512 in about 50.
_BUCKETS: Final = (
    *(0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
_ENGINE_COUNTERS: Final = {
    "duplicates": ("duplicate_answers", "Transactions answered with the verdict they had."),
    "dead_letters": ("dead_letters", "Records of the stream that could not be understood."),
    "lost": ("lost_records", "Records of the stream that retention took unread."),
    "ring_events": ("ring_events", "Ring events written."),
    "alerts": ("alerts", "Alerts written."),
    "batches": ("batches", "Micro-batches committed."),
    "commit_failures": ("commit_failures", "Attempts at a commit that failed."),
    "checkpoint_failures": ("checkpoint_failures", "Checkpoints that could not be written."),
    "fenced": ("fenced", "Times this engine led and had to give way."),
}
_SINK_COUNTERS: Final = {
    "written": ("sink_written", "Rows the sink has taken."),
    "dead_letters": ("sink_dead_letters", "Rows the sink refused."),
    "lost": ("sink_lost_records", "Records that retention took before the sink had them."),
}


def measure(app: FastAPI, service: Service | None) -> None:
    """Time the answers of an application and give it `/metrics`, with a registry of its own."""
    registry = CollectorRegistry()
    seconds = Histogram(
        "ringfence_answer_seconds",
        "Time from the head of a request to the end of its answer.",
        labelnames=("route", "answer"),
        buckets=_BUCKETS,
        registry=registry,
    )
    for path in TIMED:
        seconds.labels(path, "2xx")  # a rate needs a zero to begin with
    if service is not None:
        registry.register(Figures(service))
    app.state.metrics = registry
    app.add_middleware(Timed, seconds=seconds)
    app.include_router(route.router)


class Timed:
    """Observes how long the scoring routes take, as plain ASGI; the rest passes untouched."""

    def __init__(self, app: ASGIApp, seconds: Histogram) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and observe it once its answer has gone out whole."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in TIMED:
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500  # what the server answers for us where we answer nothing

        async def timed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, timed)
        finally:
            taken = time.perf_counter() - began
            self._seconds.labels(scope["path"], f"{status // 100}xx").observe(taken)


class Figures(Collector):
    """The figures of a service, read when they are asked for."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry need not ask a service that has not started what it counts."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every family, from one reading of the service."""
        stats = self._service.engine.stats()
        figures = self._service.figures(stats)
        yield InfoMetricFamily(
            "ringfence_build",
            "What answers here.",
            value={
                "version": version("ringfence"),
                "model": str(self._service.model["version"] or "none"),
            },
        )
        yield _gauge("ready", "Whether requests can be answered.", not self._service.missing(stats))
        yield _labelled(
            GaugeMetricFamily,
            "engine_state",
            "1 for the state the engine is in.",
            "state",
            {each: float(each == figures["state"]) for each in STATES},
        )
        yield from _engine(figures)
        yield from sink_figures(figures["sinks"])
        yield from _streams(figures["streams"])


def _engine(figures: dict[str, Any]) -> Iterator[Metric]:
    decisions = dict.fromkeys((each.value for each in Decision), 0) | figures["decisions"]
    yield _labelled(CounterMetricFamily, "verdicts", "Verdicts by decision.", "decision", decisions)
    admissions = dict.fromkeys(ADMISSIONS, 0) | figures["observed"]
    yield _labelled(
        CounterMetricFamily,
        "transactions",
        "Transactions given to the detector, by its answer.",
        "admission",
        admissions,
    )
    for field, (name, about) in _ENGINE_COUNTERS.items():
        yield CounterMetricFamily(f"ringfence_{name}", about, value=figures[field])
    yield _gauge("queued_transactions", "Transactions waiting to be scored.", figures["queued"])
    lag = figures["stream_lag"]
    # Only who leads reads the stream: of a standby, no lag says nothing about the log.
    if lag is not None or figures["state"] == "running":
        up = lag is not None and figures["error"] is None
        yield _gauge("log_up", "Whether the log answers who leads, and takes what it writes.", up)
    if lag is not None:
        yield _gauge("stream_lag_records", "Records of the stream not yet read.", lag)
    recovered = figures["recovered"]
    if recovered is not None:
        yield _gauge(
            "recovered_transactions",
            "Transactions read again when this process started.",
            recovered["observed"],
        )
        yield _gauge(
            "recovered_differing",
            "Verdicts that recovery would now give otherwise than they are written.",
            recovered["differing"],
        )


def sink_figures(sinks: dict[str, dict[str, Any]]) -> Iterator[Metric]:
    """The figures of followers by the name of their sink (`FollowerStats` as a mapping)."""

    def each(field: str) -> dict[str, float]:
        return {sink: figures[field] for sink, figures in sinks.items()}

    for field, (name, about) in _SINK_COUNTERS.items():
        yield _labelled(CounterMetricFamily, name, about, "sink", each(field))
    yield _labelled(
        GaugeMetricFamily, "sink_lag_records", "Records behind the log.", "sink", each("lag")
    )
    up = {sink: float(figures["state"] == "running") for sink, figures in sinks.items()}
    yield _labelled(GaugeMetricFamily, "sink_up", "Whether the sink is written to.", "sink", up)


def _streams(streams: dict[str, dict[str, Any]]) -> Iterator[Metric]:
    clients = {name: figures["clients"] for name, figures in streams.items()}
    dropped = {name: figures["dropped"] for name, figures in streams.items()}
    yield _labelled(
        GaugeMetricFamily, "event_stream_clients", "Event streams open now.", "stream", clients
    )
    yield _labelled(
        CounterMetricFamily,
        "event_stream_dropped",
        "Event streams closed because they were read too slowly.",
        "stream",
        dropped,
    )


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"ringfence_{name}", about, value=float(value))


def _labelled(
    family: type[CounterMetricFamily] | type[GaugeMetricFamily],
    name: str,
    about: str,
    label: str,
    values: dict[str, float],
) -> Metric:
    found = family(f"ringfence_{name}", about, labels=(label,))
    for each, value in sorted(values.items()):
        found.add_metric((each,), value)
    return found
