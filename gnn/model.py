"""The ring model: an encoder of entities, refreshed in the background, and a head for the moment.

Two stages, as BRIGHT (M. Lu et al., "BRIGHT: Graph Neural Networks in Real-Time Fraud Detection",
CIKM 2022): messages between entities are as slow as they like, and what a transaction waits for is
a look-up of its own entities' embeddings and one small head.

Messages are heterogeneous and directed as in M. Schlichtkrull et al., "Modeling Relational Data
with Graph Convolutional Networks", ESWC 2018, with edge features and separate messages in and out
as in B. Egressy et al., "Provably Powerful Graph Neural Networks for Directed Multigraphs", AAAI
2024. `gnn.baselines` has the usual convolutions behind the same interface.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Final, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnn.messages import gathered
from gnn.schema import EDGE_KINDS, NODE_KINDS, PARTIES, GraphSchema, edge_width, name_of
from graph.errors import InvalidSetting

Convolution = Literal["relational", "gcn", "sage", "alone", "none"]
CONVOLUTIONS: Final[tuple[Convolution, ...]] = ("relational", "gcn", "sage", "alone", "none")

EDGES: Final = {name_of(kind): kind for kind in EDGE_KINDS}
HEARD: Final = {
    node: tuple(name for name, kind in EDGES.items() if kind[2] == node) for node in NODE_KINDS
}
"""Kinds of edges into each kind of node, by name."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """The shape of a model.

    Attributes:
        convolution: How messages are made: ours ("relational") or a baseline. "alone" has nodes
            but no edges, "none" no graph at all: what the others have to beat.
        hidden: Width inside.
        embedding: Width of an entity's embedding.
        head: Width inside the head.
        dropout: Share of the head's inner values dropped while it learns.
        onto: Column of the context, log-odds, that the head's answer is added to: it starts with
            that, and learns what to correct. The answer stands alone where it is left out.

    Raises:
        InvalidSetting: A width is not positive, or there is no such convolution.
    """

    convolution: Convolution = "relational"
    hidden: int = 32
    embedding: int = 16
    head: int = 32
    dropout: float = 0.1
    onto: str | None = None

    def __post_init__(self) -> None:
        wrong = [name for name in ("hidden", "embedding", "head") if asdict(self)[name] < 1]
        if self.convolution not in CONVOLUTIONS:
            wrong.append("convolution")
        if not 0 <= self.dropout < 1:
            wrong.append("dropout")
        if wrong:
            raise InvalidSetting(
                "no model has this shape",
                field=f"model: {wrong[0]}",
                value=str(asdict(self)[wrong[0]]),
                remedy=f"Use positive widths and one of {', '.join(CONVOLUTIONS)}.",
            )


class Statistics(NamedTuple):
    """Mean and deviation of every input column, over training ticks.

    Attributes:
        nodes: float32 [2, F of the kind] by kind.
        edges: float32 [2, D] by name of the kind of edge.
        context: float32 [2, C].
    """

    nodes: Mapping[str, NDArray[np.float32]]
    edges: Mapping[str, NDArray[np.float32]]
    context: NDArray[np.float32]


class Scaled(nn.Module):
    """Columns less their mean, over their deviation.

    Shape: float32 [N, F] to [N, F].
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def learn(self, statistics: NDArray[np.float32]) -> None:
        """Take mean and deviation; what never varies stays as it is."""
        self.mean.copy_(torch.from_numpy(statistics[0]))
        deviation = np.where(statistics[1] > 1e-6, statistics[1], 1.0)
        self.scale.copy_(torch.from_numpy((1.0 / deviation).astype(np.float32)))

    def forward(self, columns: Tensor) -> Tensor:
        """See the class."""
        return (columns - self.mean) * self.scale


class Standardised(Scaled):
    """The same, where the unknown (NaN) counts as the mean and nothing as more than 8 deviations.

    What no training row came near says no more than the edge of what they did.
    """

    def forward(self, columns: Tensor) -> Tensor:
        """See the class."""
        known = torch.where(torch.isnan(columns), self.mean, columns)
        return torch.clamp((known - self.mean) * self.scale, -8.0, 8.0)


Hidden = dict[str, Tensor]
"""Values of nodes by kind, float32 [N of the kind, width]."""


class EdgeTensors(NamedTuple):
    """Edges by the name of their kind.

    Attributes:
        ends: int64 [2, E], from and to.
        features: float32 [E, D].
    """

    ends: dict[str, Tensor]
    features: dict[str, Tensor]


class Trim(NamedTuple):
    """What each round may leave out: `gnn.tensors.Subgraph` has nodes and edges in that order.

    Attributes:
        listeners: Nodes that hear in the first round, by kind.
        seeds: Nodes that hear in the second, by kind.
        near: Edges of the second, by name.
    """

    listeners: Mapping[str, int]
    seeds: Mapping[str, int]
    near: Mapping[str, int]


class RelationalLayer(nn.Module):
    r"""One round of messages, each kind and direction of edge with weights of its own.

    .. math::
        m_{uv} = ReLU(W_r h_u + V_r e_{uv} + b_r), \quad
        h'_v = LN(h_v + ReLU(W h_v + \sum_r U_r [mean_u m_{uv} \| max_u m_{uv}]))

    A node without neighbours in a relation hears zeros from it.

    Args:
        width: Of the nodes.

    Shape:
        - nodes: float32 [N, width] by kind
        - edges: see `EdgeTensors`
        - sizes: how many nodes of each kind, the first ones, listen
        - output: float32 [size, width] by kind
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.speak = nn.ModuleDict({name: nn.Linear(width, width) for name in EDGES})
        self.tell = nn.ModuleDict(
            {
                name: nn.Linear(edge_width(kind[1]), width, bias=False)
                for name, kind in EDGES.items()
            }
        )
        self.hear = nn.ModuleDict(
            {
                kind: nn.Linear(2 * len(heard) * width, width, bias=False)
                for kind, heard in HEARD.items()
            }
        )
        self.own = nn.ModuleDict({kind: nn.Linear(width, width) for kind in NODE_KINDS})
        self.norm = nn.ModuleDict({kind: nn.LayerNorm(width) for kind in NODE_KINDS})
        self.width = width

    def forward(self, nodes: Hidden, edges: EdgeTensors, sizes: Mapping[str, int]) -> Hidden:
        """See the class."""
        # Every listener has one ear a kind of edge; all ears of all nodes are gathered at once.
        firsts = dict(
            zip(
                NODE_KINDS,
                accumulate((sizes[k] * len(HEARD[k]) for k in NODE_KINDS), initial=0),
                strict=False,
            )
        )
        spoken, ears = [], []
        for name, (source, _, target) in EDGES.items():
            from_, to = edges.ends[name][0], edges.ends[name][1]
            said = self.speak[name](nodes[source]).index_select(0, from_)
            spoken.append(said + self.tell[name](edges.features[name]))
            ears.append(to * len(HEARD[target]) + (firsts[target] + HEARD[target].index(name)))
        ears_of = [sizes[kind] * len(HEARD[kind]) for kind in NODE_KINDS]
        mean, most = gathered(torch.relu(torch.cat(spoken)), torch.cat(ears), sum(ears_of))
        found = {}
        # Split, not sliced: the gradient of each slice is as large as the whole.
        parts = zip(NODE_KINDS, torch.split(mean, ears_of), torch.split(most, ears_of), strict=True)
        for kind, *of_kind in parts:
            size, wide = sizes[kind], len(HEARD[kind]) * self.width
            heard = torch.cat([part.reshape(size, wide) for part in of_kind], 1)
            before = nodes[kind][:size]
            after = torch.relu(self.own[kind](before) + self.hear[kind](heard))
            found[kind] = self.norm[kind](before + after)
        return found


class LonelyLayer(nn.Module):
    """A round without messages: the graph without its edges. Takes and gives the same as ours."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own = nn.ModuleDict({kind: nn.Linear(width, width) for kind in NODE_KINDS})
        self.norm = nn.ModuleDict({kind: nn.LayerNorm(width) for kind in NODE_KINDS})

    def forward(self, nodes: Hidden, edges: EdgeTensors, sizes: Mapping[str, int]) -> Hidden:
        """See the class."""
        del edges
        before = {kind: nodes[kind][: sizes[kind]] for kind in NODE_KINDS}
        return {
            kind: self.norm[kind](h + torch.relu(self.own[kind](h))) for kind, h in before.items()
        }


class Encoder(nn.Module):
    """Embeddings of the seeds of a subgraph: projection by kind, two rounds of messages.

    Args:
        schema: Columns of the nodes.
        settings: Widths and convolution.

    Shape:
        - nodes: float32 [N of the kind, F of the kind] by kind
        - edges: see `EdgeTensors`
        - output: float32 [N, embedding] by kind
    """

    def __init__(self, schema: GraphSchema, settings: ModelSettings) -> None:
        super().__init__()
        widths = {kind: len(schema.node_columns(kind)) for kind in NODE_KINDS}
        self.node_scale = nn.ModuleDict({kind: Standardised(widths[kind]) for kind in NODE_KINDS})
        self.edge_scale = nn.ModuleDict(
            {name: Scaled(edge_width(kind[1])) for name, kind in EDGES.items()}
        )
        self.project = nn.ModuleDict(
            {kind: nn.Linear(widths[kind], settings.hidden) for kind in NODE_KINDS}
        )
        self.first = layer(settings)
        self.second = layer(settings)
        self.embed = nn.ModuleDict(
            {kind: nn.Linear(settings.hidden, settings.embedding) for kind in NODE_KINDS}
        )

    def forward(self, nodes: Hidden, edges: EdgeTensors, trim: Trim | None = None) -> Hidden:
        """See the class; with `trim`, of the seeds only, and nothing is done that they don't need.

        Without it every node is embedded, and the first ones of each kind, the seeds, to the same.
        """
        start = {
            kind: torch.relu(self.project[kind](self.node_scale[kind](nodes[kind])))
            for kind in NODE_KINDS
        }
        features = {name: self.edge_scale[name](edges.features[name]) for name in EDGES}
        edges = EdgeTensors(edges.ends, features)
        sizes: Mapping[str, int] = {kind: start[kind].shape[0] for kind in NODE_KINDS}
        hidden = self.first(start, edges, sizes if trim is None else trim.listeners)
        if trim is not None:
            sizes = trim.seeds
            edges = EdgeTensors(
                {name: edges.ends[name][:, : trim.near[name]] for name in EDGES},
                {name: features[name][: trim.near[name]] for name in EDGES},
            )
        heard: Hidden = self.second(hidden, edges, sizes)
        return {kind: self.embed[kind](heard[kind]) for kind in NODE_KINDS}


def layer(settings: ModelSettings) -> nn.Module:
    """One round of messages of the kind that the settings name."""
    if settings.convolution == "relational":
        return RelationalLayer(settings.hidden)
    if settings.convolution in {"alone", "none"}:
        return LonelyLayer(settings.hidden)
    from gnn.baselines import HomogeneousLayer  # noqa: PLC0415 - loads torch-geometric

    return HomogeneousLayer(settings.hidden, settings.convolution)


class Head(nn.Module):
    """The log-odds of a transaction from its entities' embeddings and its own columns.

    Args:
        schema: Names the columns of the context.
        settings: Widths.

    Shape:
        - parties: float32 [R, 5 * embedding], in the order of `gnn.schema.PARTIES`; zeros where
          there is none
        - there: float32 [R, 5], 1 where there is one
        - age: float32 [R, 1], log(1 + hours) since the embeddings' cut-off
        - context: float32 [R, C], NaN for the unknown
        - output: float32 [R]
    """

    def __init__(self, schema: GraphSchema, settings: ModelSettings) -> None:
        super().__init__()
        columns = len(schema.context)
        width = len(PARTIES) * (settings.embedding + 1) + 1 + columns
        self.context_scale = Standardised(columns)
        self.hidden = nn.Linear(width, settings.head)
        self.inner = nn.Linear(settings.head, settings.head)
        self.drop = nn.Dropout(settings.dropout)
        self.out = nn.Linear(settings.head, 1)
        self.onto = None if settings.onto is None else _place(schema, settings.onto)
        if self.onto is not None:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def forward(self, parties: Tensor, there: Tensor, age: Tensor, context: Tensor) -> Tensor:
        """See the class."""
        columns = torch.cat([parties, there, age, self.context_scale(context)], dim=1)
        hidden = self.drop(torch.relu(self.hidden(columns)))
        hidden = self.drop(torch.relu(self.inner(hidden)))
        logit: Tensor = self.out(hidden).squeeze(1)
        if self.onto is None:
            return logit
        given = context[:, self.onto]
        return logit + torch.where(torch.isnan(given), 0.0, given)


def _place(schema: GraphSchema, name: str) -> int:
    """Which column of the context has a name."""
    if name not in schema.context:
        raise InvalidSetting(
            "the context has no such column",
            field="model: onto",
            value=name,
            remedy=f"Name one of its columns: {', '.join(schema.context) or 'it has none'}.",
        )
    return schema.context.index(name)


class RingModel(nn.Module):
    """Encoder and head together, as they learn.

    Args:
        schema: All columns.
        settings: Shape.
    """

    def __init__(self, schema: GraphSchema, settings: ModelSettings) -> None:
        super().__init__()
        self.schema = schema
        self.settings = settings
        self.encoder = Encoder(schema, settings)
        self.head = Head(schema, settings)

    def learn_scales(self, statistics: Statistics) -> None:
        """Take mean and deviation of every input column."""
        for kind, found in statistics.nodes.items():
            _scale(self.encoder.node_scale[kind]).learn(found)
        for name, found in statistics.edges.items():
            _scale(self.encoder.edge_scale[name]).learn(found)
        self.head.context_scale.learn(statistics.context)


def _scale(module: nn.Module) -> Scaled:
    if not isinstance(module, Scaled):
        raise TypeError(type(module).__name__)
    return module
