"""A subgraph as tensors: as the encoder takes them, and as PyG's `HeteroData`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch

from gnn.model import EdgeTensors, Hidden, Trim
from gnn.schema import EDGE_KINDS, NODE_KINDS, name_of
from gnn.tensors import Floats, Subgraph

if TYPE_CHECKING:
    from gnn.geometric import HeteroData


class Batch(NamedTuple):
    """What `gnn.model.Encoder` takes, in its order."""

    nodes: Hidden
    edges: EdgeTensors
    trim: Trim


def to_hetero(subgraph: Subgraph, features: Mapping[str, Floats]) -> "HeteroData":
    """A subgraph as `HeteroData`.

    Node stores have `x` float32 [N, F], `node_id` int64 [N] (ids of the window), `seeds` and
    `listeners` (how many of the nodes, the first ones, are); edge stores `edge_index` int64 [2, E],
    `edge_attr` float32 [E, D] and `near` (how many of the edges, the first ones, go into seeds).
    Columns are those of `gnn.schema`.
    """
    from gnn.geometric import HeteroData  # noqa: PLC0415 - loads torch-geometric, for two seconds

    data = HeteroData()
    for kind in NODE_KINDS:
        data[kind].x = torch.from_numpy(features[kind])
        data[kind].node_id = torch.from_numpy(subgraph.ids[kind]).long()
        data[kind].seeds = subgraph.seeds[kind]
        data[kind].listeners = subgraph.listeners[kind]
    for edge_kind in EDGE_KINDS:
        edges, store = subgraph.edges[edge_kind], data[edge_kind]
        store.edge_index = torch.from_numpy(edges.ends).long()
        store.edge_attr = torch.from_numpy(edges.features).float()
        store.near = edges.near
    return data


def batch(data: "HeteroData") -> Batch:
    """What the encoder takes."""
    edges = {name_of(kind): data[kind] for kind in EDGE_KINDS}
    return Batch(
        {kind: data[kind].x for kind in NODE_KINDS},
        EdgeTensors(
            {name: store.edge_index for name, store in edges.items()},
            {name: store.edge_attr for name, store in edges.items()},
        ),
        Trim(
            {kind: data[kind].listeners for kind in NODE_KINDS},
            {kind: data[kind].seeds for kind in NODE_KINDS},
            {name: store.near for name, store in edges.items()},
        ),
    )
