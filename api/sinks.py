"""Followers in a process of their own: from the log into a graph database or a cache."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from api.adapters import open_graph, open_log
from api.caching import Caching, cache_feed, open_caching
from api.metrics import sink_figures
from api.rates import rate_table
from api.settings import Settings
from api.views import Views
from api.wiring import configured_lists, followers
from graph.errors import Unavailable
from ingest.cache_sink import CacheFeed
from ingest.codec import decode
from ingest.currencies import EXPONENTS
from ingest.sinks import Follows, scored
from ingest.stream import Decode
from ingest.worker import Worker

_LOG: Final = logging.getLogger("ringfence.api")


class _Figures(Collector):
    def __init__(self, sinks: Sequence[Follows]) -> None:
        self._sinks = sinks

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        return sink_figures({s.consumer: msgspec.to_builtins(s.stats()) for s in self._sinks})


def run(settings: Settings, *, listen: bool, announce: Callable[[str], None]) -> None:
    """Follow until SIGTERM or SIGINT; then bring the sinks what the log holds, and end.

    Args:
        settings: Which sinks, and where everything is.
        listen: Answer at /metrics, for Prometheus and for health checks: while a sink is down the
            process is well and says so there; a follower that failed ends the process.
        announce: Called with a line once it follows.

    Raises:
        Unavailable: A follower failed, or the port cannot be opened.
    """
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    log = open_log(settings)
    try:
        store = open_graph(settings) if "graph" in settings.sinks else None
        try:
            read = partial(decode, rates=rate_table(settings), now=None)
            caching = open_caching(settings, log, configured_lists(settings))
            sinks = followers(settings, log, read, store, _cache(settings, caching, read))
            if listen:
                _listen(settings, sinks)
            announce(f"following the log into {', '.join(each.consumer for each in sinks)}")
            Worker(None, sinks).run()
            caching.cache.stop()
        finally:
            if store is not None:
                store.close()
    finally:
        log.close()


def _cache(settings: Settings, caching: Caching, read: Decode) -> CacheFeed:
    rates = rate_table(settings)
    views = Views(rates.base, EXPONENTS[rates.base])
    return cache_feed(caching, views, scored(caching.log, read), configured_lists(settings))


def _listen(settings: Settings, sinks: Sequence[Follows]) -> None:
    registry = CollectorRegistry()
    registry.register(_Figures(sinks))
    try:
        start_http_server(settings.port, settings.host, registry)
    except OSError as error:
        raise Unavailable(
            f"the port cannot be opened: {error.strerror}",
            field="--port",
            value=f"{settings.host}:{settings.port}",
            remedy="Choose another port, or stop what listens there.",
        ) from error
    _LOG.info("figures at http://%s:%d/metrics", settings.host, settings.port)
