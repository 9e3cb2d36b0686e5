"""A learned ring model as ONNX, and the proof that it is the same model.

Torch's dynamo exporter with any number of nodes and edges (the older one is silently wrong on sums
and maxima by index). What comes out is run beside torch on random subgraphs, on one without edges,
on one of a single node and on none at all; where the two differ by more than `TOLERANCE`, nothing
is exported.
"""

import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import Parameter, signature
from typing import Any, Final

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnn.artefact import RingArtefact
from gnn.inference import session
from gnn.model import EDGES, EdgeTensors, Encoder, RingModel
from gnn.sampling import Fanout
from gnn.schema import NODE_KINDS, PARTIES, GraphSchema, edge_width
from graph.errors import Incompatible

TOLERANCE: Final = 1e-5
"""Largest difference between torch and onnxruntime, absolute."""
_OPSET: Final = 20
_RANDOM: Final = 8
Inputs = dict[str, NDArray[Any]]


class _Flat(nn.Module):
    """The encoder with one argument an input, in the order of `encoder_inputs`."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        nodes = dict(zip(NODE_KINDS, inputs, strict=False))
        rest = inputs[len(NODE_KINDS) :]
        ends = dict(zip(EDGES, rest[0::2], strict=True))
        features = dict(zip(EDGES, rest[1::2], strict=True))
        embedded = self.encoder(nodes, EdgeTensors(ends, features))
        return tuple(embedded[kind] for kind in NODE_KINDS)


def encoder_inputs() -> tuple[str, ...]:
    """Names of the inputs of an exported encoder, as `gnn.tensors.feed` gives them."""
    ends = [f"{part}_{name}" for name in EDGES for part in ("ends", "e")]
    return (*(f"x_{kind}" for kind in NODE_KINDS), *ends)


def encoder_outputs() -> tuple[str, ...]:
    """Names of its outputs: float32 [N, embedding] for every kind."""
    return tuple(f"h_{kind}" for kind in NODE_KINDS)


HEAD_INPUTS: Final = ("parties", "there", "age", "context")
HEAD_OUTPUTS: Final = ("logit",)


def export(
    model: RingModel, fanout: Fanout = Fanout(), about: Mapping[str, Any] | None = None
) -> RingArtefact:
    """A learned model as what serves.

    Args:
        model: In any mode.
        fanout: How many neighbours a node heard in training.
        about: What else is to be known of it: seed, figures.

    Raises:
        Incompatible: What was exported does not answer as torch does.
    """
    model = model.cpu().eval()
    schema = model.schema
    examples = random_subgraph(schema, np.random.default_rng(0), 7, 11)
    encoder = to_onnx(
        _Flat(model.encoder), examples, encoder_inputs(), encoder_outputs(), _axes(examples)
    )
    rows = random_rows(model, np.random.default_rng(0), 3)
    batch = torch.export.Dim("rows")
    head = to_onnx(model.head, rows, HEAD_INPUTS, HEAD_OUTPUTS, [{0: batch} for _ in HEAD_INPUTS])
    reached = max(encoder_parity(model, encoder), head_parity(model, head))
    must_agree(reached, "ring model")
    said = dict(about or {})
    said |= {
        "parity": reached,
        "convolution": model.settings.convolution,
        "versions": {"torch": str(torch.__version__), "onnxruntime": onnxruntime.__version__},
    }
    widths = {name: getattr(fanout, name) for name in ("paid", "dealt", "used", "users")}
    return RingArtefact(encoder, head, schema, model.settings.embedding, widths, said)


def must_agree(difference: float, what: str) -> None:
    """Refuse a model that answers otherwise than torch.

    Args:
        difference: Largest difference between torch and onnxruntime, absolute.
        what: It is, for the error.

    Raises:
        Incompatible: It is larger than `TOLERANCE`, or no number.
    """
    if not difference <= TOLERANCE:
        raise Incompatible(
            f"the exported model differs from torch by more than {TOLERANCE}",
            field=what,
            value=str(difference),
            remedy="Report the versions of torch, onnxscript and onnxruntime; do not serve it.",
        )


def encoder_parity(model: RingModel, encoder: bytes) -> float:
    """Largest difference between torch and onnxruntime over random and empty subgraphs."""
    running, flat = session(encoder), _Flat(model.encoder)
    rng = np.random.default_rng(1)
    sizes = [(int(n), int(e)) for n, e in rng.integers(1, 60, (_RANDOM, 2))]
    worst = 0.0
    for nodes, edges in [(0, 0), (1, 0), (1, 1), (5, 0), *sizes]:
        found = random_subgraph(model.schema, rng, nodes, edges)
        with torch.no_grad():
            expected = flat(*(torch.from_numpy(found[name]) for name in encoder_inputs()))
        answers = running.run(list(encoder_outputs()), found)
        for mine, theirs in zip(expected, answers, strict=True):
            worst = max(worst, difference(mine.numpy(), theirs))
    return worst


def head_parity(model: RingModel, head: bytes) -> float:
    """Largest difference between torch and onnxruntime over random rows, none and one included."""
    running, rng = session(head), np.random.default_rng(2)
    worst = 0.0
    for size in (0, 1, 1, 2, 64):
        found = random_rows(model, rng, size)
        with torch.no_grad():
            expected = model.head(*(torch.from_numpy(found[name]) for name in HEAD_INPUTS))
        worst = max(worst, difference(expected.numpy(), running.run(None, found)[0]))
    return worst


def random_subgraph(
    schema: GraphSchema, rng: np.random.Generator, nodes: int, edges: int
) -> Inputs:
    """Inputs of an encoder: so many nodes of each kind, and edges of each kind between them."""
    found: Inputs = {
        f"x_{kind}": rng.normal(0, 2, (nodes, len(schema.node_columns(kind)))).astype(np.float32)
        for kind in NODE_KINDS
    }
    for name, kind in EDGES.items():
        ends = rng.integers(0, max(nodes, 1), (2, edges)) if nodes else np.zeros((2, 0), np.int64)
        found[f"ends_{name}"] = ends
        found[f"e_{name}"] = rng.normal(0, 2, (ends.shape[1], edge_width(kind[1]))).astype(
            np.float32
        )
    return found


def random_rows(model: RingModel, rng: np.random.Generator, size: int) -> Inputs:
    """Inputs of a head: so many transactions, some columns of their context unknown."""
    width = model.settings.embedding
    there = (rng.random((size, len(PARTIES))) < 0.8).astype(np.float32)
    parties = rng.normal(0, 1, (size, len(PARTIES), width)).astype(np.float32) * there[:, :, None]
    context = rng.normal(0, 2, (size, len(model.schema.context))).astype(np.float32)
    context[rng.random(context.shape) < 0.1] = np.nan
    return {
        "parties": parties.reshape(size, len(PARTIES) * width),
        "there": there,
        "age": rng.exponential(1, (size, 1)).astype(np.float32),
        "context": context,
    }


def _axes(examples: Inputs) -> list[dict[int, Any]]:
    """Which dimension of each input may have any size."""
    axes: list[dict[int, Any]] = []
    for name in examples:
        about, _, of = name.partition("_")
        size = torch.export.Dim(f"nodes_{of}" if about == "x" else f"edges_{of}")
        axes.append({1: size} if about == "ends" else {0: size})
    return axes


def to_onnx(
    module: nn.Module,
    examples: Inputs,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    axes: list[dict[int, Any]],
) -> bytes:
    """A module as ONNX, by torch's dynamo exporter.

    Args:
        module: What is exported, with one argument an input or `*inputs`.
        examples: Its inputs by name; no size among them may be 0 or 1.
        inputs: Names of the inputs, in order.
        outputs: Names of the outputs.
        axes: Which dimensions of each input may have any size.

    Raises:
        Incompatible: Torch exported nothing.
    """
    arguments = tuple(torch.from_numpy(examples[name]) for name in inputs)
    by_name = [each.kind for each in signature(module.forward).parameters.values()]
    starred = by_name == [Parameter.VAR_POSITIONAL]
    # The exporter and the libraries beneath it tell of their own inner workings. What their
    # optimiser would do the runtime does again when it loads; it took half of the time.
    with warnings.catch_warnings(), _quiet("torch.onnx", "torch.utils", "onnxscript", "onnx_ir"):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            arguments,
            dynamo=True,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=(tuple(axes),) if starred else tuple(axes),
            opset_version=_OPSET,
            verbose=False,
            optimize=False,
        )
    if program is None:
        raise Incompatible(
            "torch exported nothing", field="ring model", remedy="Use torch 2.6 or newer."
        )
    written: bytes = program.model_proto.SerializeToString()
    return written


@contextmanager
def _quiet(*loggers: str) -> Iterator[None]:
    """Let loggers say nothing but errors for a while."""
    before = {name: logging.getLogger(name).level for name in loggers}
    for name in loggers:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def difference(mine: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Largest absolute difference; infinite where shapes differ or either is no number."""
    if mine.shape != theirs.shape:
        return float("inf")
    largest = float(np.abs(mine - theirs).max(initial=0.0))
    return float("inf") if math.isnan(largest) else largest
