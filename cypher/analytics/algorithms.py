"""The algorithms of the deep analysis on arrays: what GDS computes, with scipy and networkx.

Scaling and corner cases are those of GDS 2.13, so that a value means the same whoever computed it;
where an algorithm is a heuristic that depends on its order (communities, vectors), only its
quality is the same. Each function states its cost for n nodes and m edges.
"""

from typing import Final

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from cypher.analytics.paths import passes
from cypher.analytics.stored_graph import Matrix, Pairs

Floats = NDArray[np.float64]

_WEIGHTS: Final = (0.0, 1.0, 1.0)
"""Of the steps of FastRP: the immediate neighbours and theirs, not the start (GDS's default)."""
_BLOCK: Final = 4_096
"""Users whose similarity is computed at once."""


def components(adjacency: Matrix, *, strong: bool) -> NDArray[np.int64]:
    """Number of the component of each node; O(n + m) (Tarjan 1972 where strong)."""
    connection = "strong" if strong else "weak"
    _, labels = csgraph.connected_components(adjacency, directed=True, connection=connection)
    return np.asarray(labels, np.int64)


def core_numbers(pairs: Pairs, nodes: int) -> NDArray[np.int64]:
    """Core number of each node of an undirected graph; O(n + m) (Batagelj and Zaversnik 2003)."""
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(nodes))
    graph.add_edges_from(pairs.tolist())
    found = nx.core_number(graph)
    return np.array([found[node] for node in range(nodes)], np.int64)


def pagerank(
    adjacency: Matrix,
    sources: NDArray[np.int64] | None,
    *,
    damping: float,
    iterations: int,
    tolerance: float,
) -> Floats:
    """PageRank in GDS's scale; O(iterations * m) (Page et al. 1999; Haveliwala 2002).

        rank(v) = (1 - d) * [v is a source] + d * sum over u -> v of rank(u) / out-degree(u)

    Ranks do not sum to one: a node nobody points at has 1 - d, and rank that reaches a node
    without a way out ends there.

    Args:
        adjacency: From row to column.
        sources: Nodes the walks start from; None starts from all.
        damping: d.
        iterations: At most.
        tolerance: Stops when no rank moves by more.
    """
    nodes = adjacency.shape[0]
    start = np.full(nodes, 1.0 - damping)
    if sources is not None:
        start = np.zeros(nodes)
        start[sources] = 1.0 - damping
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    spread = (sparse.diags_array(1.0 / np.maximum(degree, 1.0)) @ adjacency).T.tocsr()
    rank = start
    for _ in range(iterations):
        moved = start + damping * (spread @ rank)
        settled = np.abs(moved - rank).max(initial=0.0) <= tolerance
        rank = moved
        if settled:
            break
    return np.asarray(rank, np.float64)


def betweenness(adjacency: Matrix, sources: NDArray[np.int64]) -> Floats:
    """Shortest paths from the sources through each node; O(sources * (n + m))."""
    rows = adjacency.tocsr()
    return passes(rows.indptr, rows.indices, sources)


def sampled(nodes: int, most: int, samples: int, seed: int) -> NDArray[np.int64]:
    """All nodes, or a seeded sample of them where they are more than `most`."""
    if nodes <= most:
        return np.arange(nodes)
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(nodes, min(samples, nodes), replace=False))


def twins(uses: Matrix) -> Floats:
    """Greatest Jaccard similarity of each row's columns with another row's, 0 with none.

    Costs the sum of the squared column sizes; callers cap these.

    Args:
        uses: Users by identifiers, 1.0 where used.
    """
    rows = uses.tocsr()
    sizes = np.asarray(rows.sum(axis=1)).ravel()
    best = np.zeros(rows.shape[0])
    for start in range(0, rows.shape[0], _BLOCK):
        block = rows[start : start + _BLOCK]
        common = (block @ rows.T).tocoo()
        mine, theirs = common.coords[0] + start, common.coords[1]
        other = mine != theirs
        mine, theirs, shared = mine[other], theirs[other], common.data[other]
        np.maximum.at(best, mine, shared / (sizes[mine] + sizes[theirs] - shared))
    return best


def communities(
    pairs: Pairs, members: NDArray[np.int64], *, levels: int, seed: int
) -> tuple[NDArray[np.int64], float]:
    """Louvain communities by member, and their modularity (Blondel et al. 2008).

    About O(m) a level in practice; networkx, without weights.

    Args:
        pairs: Undirected edges between members.
        members: The nodes to divide.
        levels: At most.
        seed: Of the order nodes are visited in.
    """
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(members.tolist())
    graph.add_edges_from(pairs.tolist())
    found = nx.community.louvain_communities(graph, weight=None, seed=seed, max_level=levels)
    label = {node: number for number, group in enumerate(found) for node in group}
    return np.array([label[node] for node in members.tolist()], np.int64), modularity(graph, found)


def modularity(graph: "nx.Graph[int]", found: list[set[int]]) -> float:
    """Newman's modularity; 0 for a graph without edges."""
    if graph.number_of_edges() == 0:
        return 0.0
    return float(nx.community.modularity(graph, found, weight=None))


def fastrp(adjacency: Matrix, dimensions: int, seed: int) -> NDArray[np.float32]:
    """A vector a node; nodes with like surroundings point alike; O(dimensions * m).

    Chen et al., "Fast and accurate network embeddings via very sparse random projection", CIKM
    2019: random signs are averaged over neighbours, once and twice, each normalised, and summed.
    Vectors of different runs must not be compared.

    Args:
        adjacency: Symmetric.
        dimensions: Length of a vector.
        seed: Of the random signs.
    """
    nodes = adjacency.shape[0]
    rng = np.random.default_rng(seed)
    signs = rng.integers(0, 6, (nodes, dimensions))
    vectors = np.where(signs == 0, 1.0, np.where(signs == 1, -1.0, 0.0)) * np.sqrt(3.0)
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    average = (sparse.diags_array(1.0 / np.maximum(degree, 1.0)) @ adjacency).tocsr()
    total = np.zeros_like(vectors)
    for weight in _WEIGHTS[1:]:
        vectors = average @ vectors
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = vectors / np.where(length > 0, length, 1.0)
        total += weight * vectors
    return np.asarray(total, np.float32)
