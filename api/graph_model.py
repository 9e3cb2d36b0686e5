"""The networks beside the tabular model: found in their folders, or done without.

The graph model was trained together with the model (`ringfence train --gnn`), whose metadata names
its version. One that is missing, damaged or another's is no reason to refuse payments: the blend
that was trained for that case answers, and everything says that `gnn` is missing and why.
"""

import logging
from pathlib import Path
from typing import Final, NamedTuple

from gnn.explain import GraphScorer
from gnn.inference import RingScorer
from gnn.schema import GraphSchema
from graph.errors import Incompatible
from scorer.artefact import TrainedModel
from scorer.graph_opinion import CONTEXT

_LOG: Final = logging.getLogger("ringfence.api.graph_model")
FOLDER: Final = "gnn"
HEAD: Final = "ring_head"
"""Folder of the ring head within that of a model."""
NETWORKS: Final = (FOLDER, HEAD)
"""What a training may leave beside a model."""
SCHEMA: Final = GraphSchema(context=CONTEXT)
"""The columns this engine gives a graph model."""


class GraphModel(NamedTuple):
    """What was found of a graph model.

    Attributes:
        scorer: The model; None where there is none, or it cannot be used.
        missing: Why the one that the model was trained with cannot be used; None if it can.
    """

    scorer: RingScorer | None = None
    missing: str | None = None


NO_GRAPH_MODEL: Final = GraphModel()


def open_graph_model(folder: Path, model: TrainedModel) -> GraphModel:
    """The graph model a model was trained with, from the model's folder."""
    if model.gnn is None:
        return NO_GRAPH_MODEL
    try:
        scorer = RingScorer.open(folder / FOLDER, SCHEMA)
    except Incompatible as error:
        return GraphModel(missing=str(error))
    if scorer.version != model.gnn.version:
        return GraphModel(
            missing=f"gnn: {scorer.version} is not {model.gnn.version}, which it learned with"
        )
    return GraphModel(scorer)


def open_ring_head(model: Path | None) -> GraphScorer | None:
    """The ring head in the folder of a model; None where there is none that can be used.

    One that is damaged, or was trained on other columns, is said in the log and left out: rings are
    explained by their own score then, as every explanation says (`scored_by`).
    """
    folder = None if model is None else model / HEAD
    if folder is None or not folder.exists():
        return None
    from gnn.ring_inference import RingHeadScorer  # noqa: PLC0415 - loads onnxruntime

    try:
        return RingHeadScorer.open(folder)
    except Incompatible as error:
        _LOG.warning("rings are explained without their head: %s", error)
        return None
