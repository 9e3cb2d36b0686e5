"""A recording with the edges of its graphs shuffled: what the gain of a network must not survive.

In each tick, within each kind of edge, the far ends are dealt out anew among the edges. An edge
keeps its features and its near end (whose payment, whose device it was), everybody has as many
edges of each kind as before, and both directions of an edge go the same new way. Nodes, their
features, transactions and labels stay. What is gone is who dealt with whom.

Edges are dealt out among those that are heard alike: by which of their ends, and in which round of
messages. Else somebody would have to hear who is not in the subgraph, or a seed would hear none.
Somebody may come to deal with himself; where one edge of its sort is alone, it stays.

The network alone is shuffled here. That a history is replayed with its edges dealt out anew, so
that windows, features and evidence see other edges as well, is another check
(`ringfence evaluate --confounders`).
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gnn.schema import EDGE_KINDS, REVERSE
from gnn.spool import Spool, Tick
from gnn.tensors import Edges, Subgraph

SAMPLED: Final = 64
"""Ticks at most that `moved_share` looks at, spread over the recording."""
_UNHEARD, _NEAR, _FAR = range(3)


@dataclass(frozen=True, slots=True)
class ShuffledSpool(Spool):
    """A recorded history, each tick of which is shuffled as it is read, the same at every reading.

    Attributes:
        seed: Of the dealing.
    """

    seed: int

    @classmethod
    def of(cls, spool: Spool, seed: int) -> "ShuffledSpool":
        """The shuffled form of a recording; its files stay as they are."""
        return cls(spool.folder, spool.every, spool.moments, spool.transactions, spool.kept, seed)

    def tick(self, number: int, *, graph: bool = True) -> Tick:
        """A tick with its edges shuffled; see `Spool.tick`."""
        # A class with slots has no `super()` without arguments.
        found = Spool.tick(self, number, graph=graph)
        rng = np.random.default_rng((self.seed, number))
        return found._replace(subgraph=shuffled(found.subgraph, rng))


def shuffled(subgraph: Subgraph, rng: np.random.Generator) -> Subgraph:
    """The subgraph with the far ends of its edges dealt out anew; see the module's docstring."""
    edges = dict(subgraph.edges)
    for kind in EDGE_KINDS:
        source, relation, target = kind
        if not relation.startswith(REVERSE):
            back = target, REVERSE + relation, source
            edges[kind], edges[back] = _dealt(edges[kind], edges[back], rng)
    return subgraph._replace(edges=edges)


def moved_share(spool: ShuffledSpool) -> float:
    """Share of the messages that come from, or go to, somebody else than in the recording.

    Over at most `SAMPLED` ticks; NaN where they hold no edge.
    """
    moved = total = 0
    for number in range(0, len(spool), max(1, -(-len(spool) // SAMPLED))):
        before, after = Spool.tick(spool, number).subgraph, spool.tick(number).subgraph
        for kind in EDGE_KINDS:
            differs = (before.edges[kind].ends != after.edges[kind].ends).any(axis=0)
            moved += int(differs.sum())
            total += len(differs)
    return moved / total if total else float("nan")


def _dealt(forward: Edges, back: Edges, rng: np.random.Generator) -> tuple[Edges, Edges]:
    """Both directions of one kind of edge with the same new far ends."""
    near_end = np.concatenate([forward.ends[0], back.ends[1]])
    far_end = np.concatenate([forward.ends[1], back.ends[0]])
    is_back = np.repeat([False, True], [forward.ends.shape[1], back.ends.shape[1]])
    features = np.concatenate([forward.features, back.features])
    edge = _edges_of(near_end, far_end, features, is_back)
    count = int(edge.max(initial=-1)) + 1
    heard = np.full((2, count), _UNHEARD)
    heard[0, edge[~is_back]] = _rounds(forward)
    heard[1, edge[is_back]] = _rounds(back)
    ends = np.zeros(count, np.int32)
    ends[edge] = far_end
    for first in (_UNHEARD, _NEAR, _FAR):
        for second in (_UNHEARD, _NEAR, _FAR):
            alike = np.flatnonzero((heard[0] == first) & (heard[1] == second))
            ends[alike] = ends[rng.permutation(alike)]
    there, here = ends[edge[~is_back]], ends[edge[is_back]]
    return (
        forward._replace(ends=np.stack([forward.ends[0], there])),
        back._replace(ends=np.stack([here, back.ends[1]])),
    )


def _rounds(edges: Edges) -> NDArray[np.int64]:
    """By which messages each edge is heard: into seeds, the first ones, or into others."""
    return np.where(np.arange(edges.ends.shape[1]) < edges.near, _NEAR, _FAR)


def _edges_of(
    near_end: NDArray[np.int32],
    far_end: NDArray[np.int32],
    features: NDArray[np.float16],
    is_back: NDArray[np.bool_],
) -> NDArray[np.intp]:
    """The number of the edge behind each message; its two directions have the same one.

    They are known by their ends and features. Of equal ones the first in one direction goes with
    the first in the other: they cannot be told apart by anybody.
    """
    said: NDArray[Any] = np.ascontiguousarray(features).view(np.uint16).astype(np.int64)
    rows = np.column_stack([near_end, far_end, said])
    _, same = np.unique(rows, axis=0, return_inverse=True)
    same = same.reshape(-1)
    order = np.lexsort((np.arange(len(same)), is_back, same))
    group = 2 * same[order] + is_back[order]
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]][: len(group)])
    place = np.empty(len(same), np.int64)
    lengths = np.diff(np.r_[starts, len(group)])
    place[order] = np.arange(len(group)) - np.repeat(starts, lengths)
    _, edge = np.unique(np.column_stack([same, place]), axis=0, return_inverse=True)
    answer: NDArray[np.intp] = edge.reshape(-1)
    return answer
