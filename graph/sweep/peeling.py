"""Weighted greedy peeling and cores, over a graph in compressed rows.

`peel` is the greedy algorithm of M. Charikar, "Greedy approximation algorithms for finding dense
components in a graph", APPROX 2000, with the weights of B. Hooi et al., "FRAUDAR: bounding graph
fraud in the face of camouflage", KDD 2016: the node with the smallest weighted degree is taken away
until none is left, and the densest set on the way is kept. With w(S) the weight of the edges inside
S, its density w(S) / |S| is at least half of the densest set's (theorem 1 there).

O(E log V) with a binary heap; `shed` (the k-core) is O(E). Neither lets other threads wait.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.compiled import kernel

_TOLERANCE: Final = 1e-12


class Rows(NamedTuple):
    """An undirected graph: the neighbours of node i are `ends[starts[i]:starts[i + 1]]`.

    Attributes:
        starts: int64[n + 1].
        ends: int32[2 E].
        weights: float64[2 E], the same for both directions of an edge, above zero.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int32]
    weights: NDArray[np.float64]


def rows_of(
    n: int, a: NDArray[np.int64], b: NDArray[np.int64], weights: NDArray[np.float64]
) -> Rows:
    """The graph of n nodes with an edge from each of `a` to each of `b`, pairs given once."""
    ends = np.concatenate([b, a])
    order = by_ends(np.concatenate([a, b]), ends)
    starts = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(a, minlength=n) + np.bincount(b, minlength=n), out=starts[1:])
    return Rows(starts, ends[order].astype(np.int32), np.concatenate([weights, weights])[order])


def by_ends(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.intp]:
    """The order of pairs by the first, then the second, then as they stand; ids are below 2^31.

    One sort of one key takes half the time of `np.lexsort`.
    """
    return np.argsort((a << 32) | b, kind="stable")


def numbered(ids: NDArray[np.int64], most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distinct ids, ascending, and the place of each of `ids` among them; ids are below `most`."""
    present = np.zeros(most, np.bool_)
    present[ids] = True
    places = np.cumsum(present) - 1
    return np.flatnonzero(present), places[ids]


def core(graph: Rows, least: int) -> NDArray[np.bool_]:
    """bool[n]: the nodes of the largest set in which each has at least `least` neighbours."""
    n = len(graph.starts) - 1
    degree = np.diff(graph.starts)
    alive = np.ones(n, np.bool_)
    _shed(graph, least, degree, alive, np.empty(n, np.int32))
    return alive


def densest(graph: Rows, among: NDArray[np.bool_]) -> tuple[NDArray[np.int64], float]:
    """The densest set that greedy peeling meets among some of the nodes, and its density.

    Args:
        graph: The graph.
        among: bool[n], the nodes that take part.

    Returns:
        (nodes, ascending; w(S) / |S|). At least half of the densest set's; none and 0 where no
        edge joins two of them. Of nodes of the same weighted degree the lower id goes first.
    """
    n = len(graph.starts) - 1
    count = int(among.sum())
    order = np.empty(count, np.int32)
    kept, density = _peel(
        graph, among.copy(), np.zeros(n), order, np.empty(count, np.int32), np.empty(n, np.int32)
    )
    if density <= 0:
        return np.empty(0, np.int64), 0.0
    return np.sort(order[count - kept :]).astype(np.int64), float(density)


@kernel(nogil=True)
def _shed(graph, least, degree, alive, stack):  # type: ignore[no-untyped-def]
    """Take nodes with fewer than `least` neighbours away until none is left.

    Mutates `degree`, `alive` and `stack` (int32[n], scratch).
    """
    top = 0
    for i in range(alive.shape[0]):
        if degree[i] < least:
            alive[i] = False
            stack[top] = i
            top += 1
    while top > 0:
        top -= 1
        i = stack[top]
        for k in range(graph.starts[i], graph.starts[i + 1]):
            j = graph.ends[k]
            if not alive[j]:
                continue
            degree[j] -= 1
            if degree[j] < least:
                alive[j] = False
                stack[top] = j
                top += 1


@kernel
def _before(degree, a, b):  # type: ignore[no-untyped-def]
    """Whether node a goes before node b."""
    return degree[a] < degree[b] or (degree[a] == degree[b] and a < b)


@kernel
def _down(degree, heap, places, size, at):  # type: ignore[no-untyped-def]
    """Let the node at a place of the heap sink. Mutates `heap` and `places`."""
    node = heap[at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and _before(degree, heap[child + 1], heap[child]):
            child += 1
        if not _before(degree, heap[child], node):
            break
        heap[at] = heap[child]
        places[heap[at]] = at
        at = child
    heap[at] = node
    places[node] = at


@kernel
def _up(degree, heap, places, at):  # type: ignore[no-untyped-def]
    """Let the node at a place of the heap rise. Mutates `heap` and `places`."""
    node = heap[at]
    while at > 0:
        parent = (at - 1) // 2
        if not _before(degree, node, heap[parent]):
            break
        heap[at] = heap[parent]
        places[heap[at]] = at
        at = parent
    heap[at] = node
    places[node] = at


@kernel(nogil=True)
def _peel(graph, alive, degree, order, heap, places):  # type: ignore[no-untyped-def]  # noqa: C901  # one pass
    """Fill `order` with the nodes that are alive as they are taken away.

    `alive`, `degree` (float64[n], zero), `heap` and `places` are scratch. Mutates all but `graph`.

    Returns:
        (how many nodes the densest set has: the last so many of `order`; its density).
    """
    starts, ends, weights = graph.starts, graph.ends, graph.weights
    size = 0
    total = 0.0
    for i in range(alive.shape[0]):
        if not alive[i]:
            continue
        for k in range(starts[i], starts[i + 1]):
            if alive[ends[k]]:
                degree[i] += weights[k]
                if ends[k] > i:
                    total += weights[k]
        heap[size] = i
        places[i] = size
        size += 1
    for at in range(size // 2 - 1, -1, -1):
        _down(degree, heap, places, size, at)
    kept, best = size, total / size if size > 0 else 0.0
    taken = 0
    while size > 0:
        node = heap[0]
        order[taken] = node
        taken += 1
        alive[node] = False
        total -= degree[node]
        size -= 1
        if size == 0:
            break
        heap[0] = heap[size]
        places[heap[0]] = 0
        _down(degree, heap, places, size, 0)
        for k in range(starts[node], starts[node + 1]):
            j = ends[k]
            if alive[j]:
                degree[j] -= weights[k]
                _up(degree, heap, places, places[j])
        # Of sets as dense the smallest: two blocks apart are not one.
        if total / size > best - _TOLERANCE:
            kept, best = size, max(best, total / size)
    return kept, best
