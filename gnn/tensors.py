"""A subgraph as typed arrays: what is sampled, stored, trained on and served, without torch.

Within each kind, nodes are numbered from 0: first the seeds, then those who speak to a seed, then
those who speak to them, each by their id in the window. So the same entities give the same arrays,
in whatever order they were asked for, and each round of messages needs the first nodes and edges
only. Features have 16 bits, in training as in serving: what was spooled is what is served.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnn.schema import (
    ACCOUNT_KINDS,
    EDGE_KINDS,
    NODE_FEATURES,
    NODE_KINDS,
    EdgeKind,
    GraphSchema,
    edge_width,
    name_of,
)
from graph.errors import InvalidInput

Floats = NDArray[np.float32]
_HALF: Final = np.float16


class Edges(NamedTuple):
    """The edges of one kind, those into seeds first.

    Attributes:
        ends: int32 [2, E]: number of the node a message comes from, and of the one it goes to.
        features: float16 [E, D], as `gnn.schema.EDGE_FEATURES` names them.
        near: How many of them, the first ones, go into seeds: all that the last round needs.
    """

    ends: NDArray[np.int32]
    features: NDArray[np.float16]
    near: int


class Subgraph(NamedTuple):
    """The two-step neighbourhood of some entities.

    Attributes:
        as_of: What it knows is earlier than this, ms.
        ids: int32 [N of the kind], window id of each node, by kind.
        features: float16 [N of the kind, F of the kind], by kind.
        edges: By kind of edge.
        seeds: How many nodes of each kind, the first ones, were asked for.
        listeners: How many of each kind, the first ones, come with their neighbours.
    """

    as_of: int
    ids: Mapping[str, NDArray[np.int32]]
    features: Mapping[str, NDArray[np.float16]]
    edges: Mapping[EdgeKind, Edges]
    seeds: Mapping[str, int]
    listeners: Mapping[str, int]

    @property
    def nodes(self) -> int:
        """Nodes of all kinds."""
        return sum(len(ids) for ids in self.ids.values())

    def seed_numbers(self, kind: str, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """Which seed each window id of a kind is, kind after kind; -1 where it is none."""
        offset = 0
        for before in NODE_KINDS[: NODE_KINDS.index(kind)]:
            offset += self.seeds[before]
        known = self.ids[kind][: self.seeds[kind]]
        places = np.searchsorted(known, ids)
        there = places < len(known)
        there[there] = known[places[there]] == ids[there]
        return np.where(there, places + offset, -1).astype(np.int32)


def nothing(as_of: int = 0) -> Subgraph:
    """The subgraph without nodes."""
    return Subgraph(
        as_of,
        {kind: np.zeros(0, np.int32) for kind in NODE_KINDS},
        {kind: np.zeros((0, len(NODE_FEATURES[kind])), _HALF) for kind in NODE_KINDS},
        {
            kind: Edges(np.zeros((2, 0), np.int32), np.zeros((0, edge_width(kind[1])), _HALF), 0)
            for kind in EDGE_KINDS
        },
        dict.fromkeys(NODE_KINDS, 0),
        dict.fromkeys(NODE_KINDS, 0),
    )


def widened(
    subgraph: Subgraph, schema: GraphSchema, accounts: Floats, identifiers: Floats
) -> dict[str, Floats]:
    """Features by kind with the caller's columns behind them.

    Args:
        subgraph: N nodes.
        schema: Names the caller's columns.
        accounts: float32 [A, E], by account id; A is more than any account id in the subgraph.
        identifiers: float32 [I, E], by identifier id.

    Raises:
        InvalidInput: There are not as many columns as the schema names, or too few rows.
    """
    found = {}
    for kind in NODE_KINDS:
        given = accounts if kind in ACCOUNT_KINDS else identifiers
        ids = subgraph.ids[kind]
        wanted = len(schema.added(kind))
        least = int(ids.max(initial=-1)) + 1
        if given.ndim != 2 or given.shape[1] != wanted or (wanted and len(given) < least):
            raise InvalidInput(
                f"expected {wanted} columns and at least {least} rows",
                field=f"extra columns of {kind}",
                value=str(given.shape),
                remedy="Give one row an id of the window and the columns the schema names.",
            )
        own = subgraph.features[kind].astype(np.float32)
        found[kind] = np.hstack([own, given[ids]]) if wanted else own
    return found


def feed(subgraph: Subgraph, features: Mapping[str, Floats]) -> dict[str, NDArray[Any]]:
    """The inputs of an exported encoder by name.

    Args:
        subgraph: What was sampled.
        features: By kind, from `widened`.
    """
    inputs: dict[str, NDArray[Any]] = {f"x_{kind}": features[kind] for kind in NODE_KINDS}
    for kind in EDGE_KINDS:
        edges = subgraph.edges[kind]
        inputs[f"ends_{name_of(kind)}"] = edges.ends.astype(np.int64)
        inputs[f"e_{name_of(kind)}"] = edges.features.astype(np.float32)
    return inputs


def to_arrays(subgraph: Subgraph) -> dict[str, NDArray[Any]]:
    """Flat named arrays, for a file."""
    edges, kinds = subgraph.edges, NODE_KINDS
    arrays: dict[str, NDArray[Any]] = {
        "as_of": np.array([subgraph.as_of], np.int64),
        "seeds": np.array([subgraph.seeds[kind] for kind in kinds], np.int32),
        "listeners": np.array([subgraph.listeners[kind] for kind in kinds], np.int32),
        "near": np.array([edges[kind].near for kind in EDGE_KINDS], np.int32),
    }
    for node_kind in kinds:
        arrays[f"ids_{node_kind}"] = subgraph.ids[node_kind]
        arrays[f"x_{node_kind}"] = subgraph.features[node_kind]
    for kind in EDGE_KINDS:
        arrays[f"ends_{name_of(kind)}"] = edges[kind].ends
        arrays[f"e_{name_of(kind)}"] = edges[kind].features
    return arrays


def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Subgraph:
    """The subgraph in what `to_arrays` gave.

    Raises:
        KeyError: An array is missing.
    """
    near = dict(zip(EDGE_KINDS, arrays["near"].tolist(), strict=True))
    return Subgraph(
        int(arrays["as_of"][0]),
        {kind: arrays[f"ids_{kind}"] for kind in NODE_KINDS},
        {kind: arrays[f"x_{kind}"] for kind in NODE_KINDS},
        {
            kind: Edges(arrays[f"ends_{name_of(kind)}"], arrays[f"e_{name_of(kind)}"], near[kind])
            for kind in EDGE_KINDS
        },
        dict(zip(NODE_KINDS, arrays["seeds"].tolist(), strict=True)),
        dict(zip(NODE_KINDS, arrays["listeners"].tolist(), strict=True)),
    )
