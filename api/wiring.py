"""The composition root: the one place that names every concrete part.

settings ─► rates · lists · model ─► detector ─► engine ─► log ─► followers ─► graph database
                                                             └──► ring board · event streams
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from api.board import RingBoard
from api.lists import read_lists
from api.service import Service
from api.settings import Settings
from api.streams import Feed
from api.views import Views
from api.warm import warm
from cypher.embedded import EmbeddedGraphStore
from cypher.sink import GraphSink
from graph.errors import Incompatible, InvalidSetting
from graph.heuristics import Lists
from ingest.codec import decode
from ingest.currencies import EXPONENTS, RateTable, rates_from_toml
from ingest.embedded import EmbeddedLog
from ingest.engine import Engine
from ingest.mapping import load_mapping
from ingest.ports import Topic
from ingest.records import AlertRecord, RingEventRecord
from ingest.records import decode as read_record
from ingest.recovery import Build, Checkpoints
from ingest.sinks import Follower, scored
from ingest.worker import Worker
from scorer.artefact import TrainedModel, load_model
from scorer.decision import FIXED
from scorer.detector import Detector, DetectorConfig

GRAPH: Final = "graph.kgl"
LOG: Final = "log.sqlite"
CHECKPOINTS: Final = "checkpoints"


def build(settings: Settings) -> Service:
    """Everything, from the settings alone; nothing has started yet.

    Raises:
        InvalidSetting: A setting cannot work.
        Incompatible: The model, the log or the graph is damaged or of another version.
        GraphUnavailable: Another process has this data folder.
    """
    model = None if settings.model_dir is None else load(settings.model_dir)
    config = DetectorConfig(lists=Lists() if settings.lists is None else read_lists(settings.lists))
    policy = FIXED if settings.policy == "fixed" else None

    def detector_from(snapshot: bytes | None) -> Detector:
        if snapshot is None:
            return Detector(config, model, policy)
        restored = Detector.restore(snapshot, model, policy)
        if restored.config != config:
            raise Incompatible(
                "the checkpoint was taken with other lists or thresholds",
                field="checkpoint",
                remedy="Nothing: the state is built again from the log.",
            )
        return restored

    return assemble(settings, detector_from, model_view(model), partial(warm, model))


def detector(model: TrainedModel | None = None) -> Detector:
    """A new detector with the default configuration: what training and replay run through."""
    return Detector(model=model)


def load(folder: Path) -> TrainedModel:
    """A trained model whose features are those of this engine.

    Raises:
        Incompatible: It is damaged, or was trained on other features.
    """
    return load_model(folder, detector().schema)


def model_view(model: TrainedModel | None) -> dict[str, Any]:
    """`ModelOut`."""
    return {
        "loaded": model is not None,
        "version": None if model is None else model.version,
        "trained_at": None if model is None else model.created or None,
        "feature_count": None if model is None else len(model.schema.names),
        "feature_schema": None if model is None else model.schema.hash,
        "metrics": {} if model is None else dict(model.metrics),
        "tiers": ["rules", "graph"] + ([] if model is None else ["model"]),
        "degraded": ["model"] if model is None else [],
    }


def assemble(
    settings: Settings, build: Build, model: dict[str, Any], warm: Callable[[], object]
) -> Service:
    """Everything around a detector: log, engine, sinks, read models and streams."""
    folder = data_folder(settings)
    rates = rate_table(settings)
    views = Views(rates.base, EXPONENTS[rates.base])
    log = EmbeddedLog(folder / LOG)
    # History has no clock: only what comes over HTTP is compared with the wall.
    read = partial(decode, rates=rates, now=None)
    engine = Engine(log, build, read, checkpoints=Checkpoints(folder / CHECKPOINTS))
    store = EmbeddedGraphStore(folder / GRAPH)
    to_graph = Follower(
        log, Topic.VERDICTS, "graph", scored(log, read), GraphSink(store), start=store.offset
    )
    feed = partial(Feed, log=log, most_clients=settings.max_streams)
    return Service(
        settings=settings,
        rates=rates,
        log=log,
        engine=engine,
        worker=Worker(engine, [to_graph]),
        sinks=[to_graph],
        board=RingBoard(log, views),
        alerts=feed("alert", topic=Topic.ALERTS, render=partial(_alert, views)),
        rings=feed("ring", topic=Topic.RINGS, render=partial(_ring_event, views)),
        graph=store,
        views=views,
        model=model,
        warm=warm,
    )


def data_folder(settings: Settings) -> Path:
    """The data folder, made where it is missing.

    Raises:
        InvalidSetting: It cannot be made or is not a folder.
    """
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidSetting(
            f"the data folder cannot be made: {error.strerror}",
            field="--data",
            value=str(settings.data_dir),
            remedy="Name a folder that can be written.",
        ) from error
    return settings.data_dir


def open_graph(settings: Settings) -> EmbeddedGraphStore:
    """The graph database of a data folder that has one.

    Raises:
        InvalidSetting: The folder has none.
    """
    path = settings.data_dir / GRAPH
    if not path.exists():
        raise InvalidSetting(
            "there is no graph database in this folder",
            field="--data",
            value=str(settings.data_dir),
            remedy="Name the data folder of `ringfence serve` or `ringfence demo`.",
        )
    return EmbeddedGraphStore(path)


def rate_table(settings: Settings) -> RateTable:
    """The configured rates, or those of the simulator's currencies."""
    if settings.rates is not None:
        return rates_from_toml(settings.rates)
    shipped = load_mapping("ringfence").rate_table
    assert shipped is not None  # noqa: S101 - a test reads every mapping that ships
    return shipped


def _alert(views: Views, value: bytes) -> bytes:
    return msgspec.json.encode(views.alert(read_record(value, AlertRecord).to_alert()))


def _ring_event(views: Views, value: bytes) -> bytes:
    return msgspec.json.encode(views.ring_event(read_record(value, RingEventRecord).to_event()))
