"""From what the algorithms found to the table of a run: the same for every adapter."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xxhash
from numpy.typing import NDArray

from cypher.analytics.ports import COLUMNS, Analysis, AnalysisSettings, Estimate, Step
from graph.transaction import Entity

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Findings:
    """Raw answers of the algorithms by node, before they are made comparable.

    Nodes are numbered as in `stored_graph.ORDER`: U users first, then merchants, N in all.

    Attributes:
        component: int64 [N], any number a component of shared identifiers.
        cycle: int64 [U], any number a strongly connected component of the money between users.
        core: int64 [U], core number among users who pay each other.
        pagerank: float64 [U].
        fraud_rank: float64 [N]; NaN throughout where nobody is known for fraud.
        passes: float64 [U], shortest paths through each from the sampled sources.
        sources: How many users the paths started from.
        twin: float64 [U], greatest Jaccard similarity with another user, 0 = with none.
        community: int64 [N], any number a community, -1 for those in none.
        vectors: float32 [N, D].
        modularity: Of the communities.
    """

    component: Labels
    cycle: Labels
    core: NDArray[np.int64]
    pagerank: NDArray[np.float64]
    fraud_rank: NDArray[np.float64]
    passes: NDArray[np.float64]
    sources: int
    twin: NDArray[np.float64]
    community: Labels
    vectors: NDArray[np.float32]
    modularity: float


def analysis(
    as_of: int,
    entities: Sequence[Entity],
    known: NDArray[np.bool_],
    found: Findings,
    settings: AnalysisSettings,
    estimate: Estimate,
    steps: Sequence[Step],
) -> Analysis:
    """The table of a run.

    Sizes count users only. Communities are numbered by their smallest member, so that equal
    partitions get equal numbers whatever the algorithm called them. Betweenness is the share of
    all ordered pairs of other users whose shortest path passes, scaled up from the sources.

    Args:
        as_of: Event time, ms.
        entities: By node.
        known: By user, whether it is known for fraud.
        found: By node.
        settings: For the run id.
        estimate: Passed on.
        steps: Passed on.
    """
    users, nodes = len(known), len(entities)
    values = np.full((nodes, len(COLUMNS)), np.nan)
    place = {name: COLUMNS.index(name) for name in COLUMNS}
    joined = found.component >= 0
    values[joined, place["component_size"]] = _users_of(found.component, users)[joined]
    values[:users, place["cycle_size"]] = _users_of(found.cycle, users)
    values[:users, place["core"]] = found.core
    values[:users, place["pagerank"]] = found.pagerank
    values[:, place["fraud_rank"]] = found.fraud_rank
    pairs = max((users - 1) * (users - 2), 1)
    scale = users / max(found.sources, 1) / pairs
    values[:users, place["betweenness"]] = found.passes * scale
    values[:users, place["twin"]] = found.twin
    community = _by_first_member(found.community)
    inside = community >= 0
    values[inside, place["community"]] = community[inside]
    size = _users_of(community, users)
    values[inside, place["community_size"]] = size[inside]
    if known.any():
        frauds = _counted(community, community[:users][known])
        with np.errstate(invalid="ignore", divide="ignore"):
            share = frauds / size
        values[inside, place["community_fraud"]] = share[inside]
    digest = xxhash.xxh3_64(repr((as_of, settings)).encode())
    digest.update("\x1f".join(f"{entity.kind}\x1e{entity.id}" for entity in entities).encode())
    digest.update(np.ascontiguousarray(values).tobytes())
    return Analysis(
        run_id=f"deep-{as_of}-{digest.hexdigest()}",
        as_of=as_of,
        entities=tuple(entities),
        values=values,
        vectors=found.vectors,
        modularity=found.modularity,
        seeds=int(known.sum()),
        estimate=estimate,
        steps=tuple(steps),
    )


def _users_of(labels: Labels, users: int) -> NDArray[np.float64]:
    """By node, how many users bear its label; labels below 0 are none."""
    return _counted(labels, labels[:users])


def _counted(labels: Labels, counted: Labels) -> NDArray[np.float64]:
    """By node, how often its label is among `counted`."""
    size = int(labels.max(initial=-1)) + 2
    counts = np.bincount(counted[counted >= 0], minlength=size)
    return counts[labels].astype(np.float64)


def _by_first_member(labels: Labels) -> Labels:
    """The same partition, numbered 0, 1, ... in the order of the smallest members."""
    inside = labels >= 0
    _, first, inverse = np.unique(labels[inside], return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    found = np.full(len(labels), -1, np.int64)
    found[inside] = rank[inverse]
    return found
