"""The composition root: the one place that names every concrete part.

settings ─► rates · lists · model ─► detector ─► engine ─► log ─► followers ─► graph database
                                                            │ └──► ring board · event streams
                              lists · deep analysis · findings · embeddings ─► detector
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from api.adapters import data_folder, lease, open_graph, open_log
from api.board import RingBoard
from api.caching import cache_feed, open_caching
from api.graph_model import NO_GRAPH_MODEL, GraphModel, open_graph_model, open_ring_head
from api.lists import read_lists
from api.pauses import Young
from api.rates import rate_table
from api.service import Service
from api.settings import Settings
from api.streams import Feed
from api.views import Views
from api.warm import warm
from cypher.ports import GraphStore
from cypher.sink import GraphSink
from graph.errors import Incompatible
from graph.heuristics import Lists
from graph.sweep import Sweep, SweepLimits
from graph.transaction import HOUR
from graph.window import ANY_TIME, WindowConfig
from ingest.analysis_parts import read as read_part
from ingest.cache_sink import CacheFeed
from ingest.codec import LARGEST_KEPT, decode
from ingest.currencies import EXPONENTS
from ingest.embedded_parts import read as read_embedded
from ingest.embedder import Embedder, Encoding
from ingest.engine import Engine, EngineConfig
from ingest.findings import read as read_findings
from ingest.list_changes import read as read_change
from ingest.ports import Log, Topic
from ingest.records import AlertRecord, RingEventRecord
from ingest.records import decode as read_record
from ingest.recovery import Build, Checkpoints
from ingest.reference import ReadFact
from ingest.sinks import BATCH, Follower, Follows, scored
from ingest.stream import CONSUMER, Decode
from ingest.sweeper import Sweeper
from ingest.worker import Worker
from scorer.artefact import TrainedModel, load_model
from scorer.decision import FIXED, Policy
from scorer.detector import Detector, DetectorConfig
from scorer.policy_file import load_policy
from scorer.ports import GraphHead

_LOG: Final = logging.getLogger(__name__)

CHECKPOINTS: Final = "checkpoints"
EMBEDDED_POLL_MS: Final = 50
SERVER_PAGE: Final = 1_000
SERVER_POLL_MS: Final = 5
"""Reading ahead is done in the background there, so that looking often costs little."""
GUARDED: Final = WindowConfig(ahead=ANY_TIME)
"""Every way in has seen to the time: HTTP and the stream by a clock (docs/adr/0002), and a history
is read in order of time."""
IN_LINE: Final = SweepLimits(every=HOUR)
"""A replay has no idle core to sweep on: hourly it costs a quarter to a third of its time."""
FACTS: Final[Mapping[Topic, ReadFact]] = {
    Topic.LISTS: read_change,
    Topic.DEEP_ANALYSIS: read_part,
    Topic.FINDINGS: read_findings,
    Topic.EMBEDDINGS: read_embedded,
}


def build(settings: Settings) -> Service:
    """Everything, from the settings alone; nothing has started yet.

    Raises:
        InvalidSetting: A setting cannot work.
        Incompatible: The model, the log or the graph is damaged or of another version.
        GraphUnavailable: Another process has this data folder.
    """
    folder = settings.model_dir
    model = None if folder is None else load(folder)
    graph = NO_GRAPH_MODEL if folder is None or model is None else open_graph_model(folder, model)
    if graph.missing is not None:
        _LOG.warning("scores do without the graph model: %s", graph.missing)
    config = DetectorConfig(window=GUARDED, lists=configured_lists(settings))
    policy = configured_policy(settings)

    def detector_from(snapshot: bytes | None) -> Detector:
        if snapshot is None:
            return Detector(config, model, policy, gnn=graph.scorer)
        restored = Detector.restore(snapshot, model, policy, gnn=graph.scorer)
        if restored.config != config:
            raise Incompatible(
                "the checkpoint was taken with other lists or thresholds",
                field="checkpoint",
                remedy="Nothing: the state is built again from the log.",
            )
        return restored

    return assemble(
        settings,
        detector_from,
        config.lists,
        model_view(model, graph),
        partial(warm, model),
        None if graph.scorer is None else Encoding(graph.scorer),
    )


def configured_lists(settings: Settings) -> Lists:
    """How the lists begin: as the settings' file has them, or empty."""
    return Lists() if settings.lists is None else read_lists(settings.lists)


def configured_policy(settings: Settings) -> Policy | None:
    """The policy of the settings; None where the model's own decides, or the default."""
    if settings.policy_file is not None:
        return load_policy(settings.policy_file)
    return FIXED if settings.policy == "fixed" else None


def detector(
    model: TrainedModel | None = None, *, sweeps: bool = False, gnn: GraphHead | None = None
) -> Detector:
    """A new detector with the default configuration: what training and replay run through.

    Args:
        model: A trained model.
        sweeps: Whether it sweeps its window in line, as a service does beside it.
        gnn: The head of the graph model that the model was trained with.
    """
    config = DetectorConfig(window=GUARDED)
    sweep = Sweep(limits=IN_LINE) if sweeps else None
    return Detector(config, model=model, sweep=sweep, gnn=gnn)


def load(folder: Path) -> TrainedModel:
    """A trained model whose features are those of this engine.

    Raises:
        Incompatible: It is damaged, or was trained on other features.
    """
    return load_model(folder, detector().schema)


def model_view(model: TrainedModel | None, graph: GraphModel = NO_GRAPH_MODEL) -> dict[str, Any]:
    """`ModelOut`."""
    tiers = ["rules", "graph"] + ([] if model is None else ["model"])
    degraded = ["model"] if model is None else []
    return {
        "loaded": model is not None,
        "version": None if model is None else model.version,
        "trained_at": None if model is None else model.created or None,
        "feature_count": None if model is None else len(model.schema.names),
        "feature_schema": None if model is None else model.schema.hash,
        "metrics": {} if model is None else dict(model.metrics),
        "tiers": tiers + ([] if graph.scorer is None else ["gnn"]),
        "degraded": degraded if graph.missing is None else [*degraded, "gnn"],
    }


def assemble(
    settings: Settings,
    build: Build,
    lists: Lists,
    model: dict[str, Any],
    warm: Callable[[], object],
    encoding: Encoding | None = None,
) -> Service:
    """Everything around a detector: log, engine, sinks, read models and streams."""
    rates = rate_table(settings)
    views = Views(rates.base, EXPONENTS[rates.base])
    log = open_log(settings)
    # History has no clock: only what comes over HTTP is compared with the wall.
    read = partial(decode, rates=rates, now=None, largest=LARGEST_KEPT)
    caching = open_caching(settings, log, lists)
    engine = Engine(
        log,
        build,
        read,
        checkpoints=Checkpoints(data_folder(settings.data_dir) / CHECKPOINTS),
        facts=FACTS,
        lease=lease(settings, log, CONSUMER),
        degraded=caching.cache.degraded,
        between=Young(),
        config=EngineConfig(
            checkpoint_every=settings.checkpoint_every,
            poll_ms=SERVER_POLL_MS if settings.kafka else EMBEDDED_POLL_MS,
        ),
    )
    store = open_graph(settings)
    to_cache = cache_feed(caching, views, scored(log, read), lists)
    sinks = followers(settings, log, read, store, to_cache)
    feed = partial(Feed, log=log, most_clients=settings.max_streams)
    return Service(
        settings=settings,
        rates=rates,
        log=log,
        engine=engine,
        worker=Worker(engine, sinks),
        sinks=sinks,
        board=RingBoard(log, views),
        alerts=feed("alert", topic=Topic.ALERTS, render=partial(_alert, views)),
        rings=feed("ring", topic=Topic.RINGS, render=partial(_ring_event, views)),
        graph=store,
        views=views,
        caching=caching,
        model=model,
        warm=warm,
        sweeper=Sweeper(engine, log, Sweep()),
        embedder=None if encoding is None else Embedder(engine, log, encoding),
        ring_head=open_ring_head(settings.model_dir),
    )


def followers(
    settings: Settings,
    log: Log,
    read: Decode,
    store: GraphStore | None,
    cache: CacheFeed | None,
) -> list[Follows]:
    """The followers that `settings.sinks` names."""
    found: list[Follows] = []
    if "graph" in settings.sinks and store is not None:
        found.append(
            Follower(
                log,
                Topic.VERDICTS,
                "graph",
                scored(log, read),
                GraphSink(store),
                stands=store,
                page=SERVER_PAGE if settings.neo4j else BATCH,
                lease=lease(settings, log, "graph"),
            )
        )
    if "cache" in settings.sinks and cache is not None:
        found.append(cache)
    return found


def _alert(views: Views, value: bytes) -> bytes:
    return msgspec.json.encode(views.alert(read_record(value, AlertRecord).to_alert()))


def _ring_event(views: Views, value: bytes) -> bytes:
    return msgspec.json.encode(views.ring_event(read_record(value, RingEventRecord).to_event()))
