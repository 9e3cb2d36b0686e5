"""Betweenness by Brandes' accumulation, compiled: nothing but the loop.

U. Brandes, "A faster algorithm for betweenness centrality", Journal of Mathematical Sociology 25
(2001); from a sample of sources, Brandes and Pich, "Centrality estimation in large networks",
International Journal of Bifurcation and Chaos 17 (2007).
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def _forward(starts: Any, ends: Any, distance: Any, ways: Any, queue: Any) -> Any:
    """Breadth first from `queue[0]`: fills distances and counts ways; returns how many it met."""
    head, tail = 0, 1
    while head < tail:
        node = queue[head]
        head += 1
        for at in range(starts[node], starts[node + 1]):
            near = ends[at]
            if distance[near] < 0:
                distance[near] = distance[node] + 1
                queue[tail] = near
                tail += 1
            if distance[near] == distance[node] + 1:
                ways[near] += ways[node]
    return tail


@njit(cache=True)
def _brandes(starts: Any, ends: Any, sources: Any, passes: Any) -> None:
    """Adds to `passes` the dependency of each source on every node; O(n + m) a source.

    Args:
        starts: int64[n + 1], where the neighbours of each node begin in `ends`.
        ends: int64[m].
        sources: int64[k].
        passes: float64[n], mutated.
    """
    nodes = len(starts) - 1
    distance = np.full(nodes, -1, np.int64)
    ways = np.zeros(nodes)
    dependency = np.zeros(nodes)
    queue = np.empty(nodes, np.int64)
    for source in sources:
        queue[0] = source
        distance[source] = 0
        ways[source] = 1.0
        met = _forward(starts, ends, distance, ways, queue)
        for back in range(met - 1, -1, -1):
            node = queue[back]
            for at in range(starts[node], starts[node + 1]):
                near = ends[at]
                if distance[near] == distance[node] + 1:
                    dependency[node] += ways[node] / ways[near] * (1.0 + dependency[near])
            if node != source:
                passes[node] += dependency[node]
        for at in range(met):
            node = queue[at]
            distance[node] = -1
            ways[node] = 0.0
            dependency[node] = 0.0


def passes(
    starts: NDArray[np.int64], ends: NDArray[np.int64], sources: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How many shortest paths from the sources pass through each node, shared among equals.

    Args:
        starts: Where the neighbours of each node begin in `ends`, one longer than the nodes.
        ends: Neighbours, node by node.
        sources: Where paths begin, each node at most once.
    """
    found = np.zeros(len(starts) - 1)
    _brandes(starts.astype(np.int64), ends.astype(np.int64), sources.astype(np.int64), found)
    return found
