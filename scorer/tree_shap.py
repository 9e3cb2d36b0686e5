"""TreeSHAP: what each feature of one row added to the margin, exactly.

A Shapley value is what a feature adds on average over all orders in which the features of the row
could become known; what is not known yet is averaged over the rows that a tree was grown on
(`Forest.covers`). Of trees it can be had in one walk: Lundberg et al., "From local explanations to
global understanding with explainable AI for trees", Nature Machine Intelligence 2 (2020),
Algorithm 2, path-dependent. Values add up to the margin, and two features that say the same share
the credit, which `contributions_of_row`, the path method of verdicts, does not give.

It visits every leaf and costs O(leaves x depth^2): a thousand times a margin. So it is for whoever
asks after the fact, never for a verdict. `docs/explain.md` says how far the path method errs.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.compiled import kernel
from scorer.trees import Forest, left_of, step

_ZERO, _ONE, _WEIGHT = range(3)
"""Of an element of a path: the share of rows that pass where its feature is unknown, whether the
row itself passes, and the weight of the subsets of as many features as its place says."""


@kernel(inline="always")
def _extend(path: Any, features: Any, length: int, zero: float, one: float, feature: int) -> int:
    """Add a split to the path, EXTEND of the paper. `path` float64 [L, 3], `features` int64 [L]."""
    features[length] = feature
    path[length, _ZERO] = zero
    path[length, _ONE] = one
    path[length, _WEIGHT] = 1.0 if length == 0 else 0.0
    for i in range(length - 1, -1, -1):
        weight = path[i, _WEIGHT]
        path[i + 1, _WEIGHT] += one * weight * (i + 1) / (length + 1)
        path[i, _WEIGHT] = zero * weight * (length - i) / (length + 1)
    return length + 1


@kernel(inline="always")
def _unwind(path: Any, features: Any, length: int, place: int) -> int:
    """Take the element at `place` out again, UNWIND of the paper: its feature is split on anew."""
    last = length - 1
    zero, one = path[place, _ZERO], path[place, _ONE]
    following = path[last, _WEIGHT]
    for i in range(last - 1, -1, -1):
        if one != 0.0:
            weight = path[i, _WEIGHT]
            path[i, _WEIGHT] = following * length / ((i + 1) * one)
            following = weight - path[i, _WEIGHT] * zero * (last - i) / length
        else:
            path[i, _WEIGHT] = path[i, _WEIGHT] * length / (zero * (last - i))
    for i in range(place, last):
        features[i] = features[i + 1]
        path[i, _ZERO] = path[i + 1, _ZERO]
        path[i, _ONE] = path[i + 1, _ONE]
    return last


@kernel(inline="always")
def _unwound(path: Any, length: int, place: int) -> float:
    """Sum of the weights that `_unwind` would leave; it changes nothing."""
    last = length - 1
    zero, one = path[place, _ZERO], path[place, _ONE]
    following = path[last, _WEIGHT]
    total = 0.0
    for i in range(last - 1, -1, -1):
        if one != 0.0:
            weight = following * length / ((i + 1) * one)
            following = path[i, _WEIGHT] - weight * zero * (last - i) / length
        else:
            weight = path[i, _WEIGHT] * length / (zero * (last - i))
        total += weight
    return total


@kernel(inline="always")
def _inherit(paths: Any, features: Any, lengths: Any, level: int) -> int:
    """Copy the parent's path, which stands until both its children were visited; its length."""
    if level == 0:
        return 0
    length: int = lengths[level - 1]
    for i in range(length):
        features[level, i] = features[level - 1, i]
        for part in range(3):
            paths[level, i, part] = paths[level - 1, i, part]
    return length


@kernel(inline="always")
def _place(features: Any, length: int, feature: int) -> int:
    """Place of a feature on the path; 0, which is nobody's, where it is not."""
    for i in range(1, length):
        if features[i] == feature:
            return i
    return 0


@kernel(nogil=True)
def shap_of_row(
    nodes: Any,
    covers: Any,
    roots: Any,
    row: Any,
    paths: Any,
    features: Any,
    lengths: Any,
    waiting: Any,
    shares: Any,
    out: Any,
) -> None:
    """Add the Shapley values of `row` float32 [F] into `out` float64 [F].

    `nodes` NODE [N], `covers` float64 [N] and `roots` int32 [T] are a `Forest`'s. It allocates
    nothing: with L = depth + 2 the caller brings `paths` float64 [L, L, 3] and `features`
    int64 [L, L], the path to the node being looked at on each level, `lengths` int64 [L], and the
    nodes still to be visited, `waiting` int64 [L, 3] and `shares` float64 [L, 2]. All five are
    overwritten. Nothing of a row, forest or scratch is kept.

    `step` and `left_of` are put into this kernel when it is compiled: a change there does not show
    here until the cache is cleared.
    """
    for tree in range(len(roots)):
        waiting[0, 0], waiting[0, 1], waiting[0, 2] = roots[tree], 0, -1
        shares[0, 0] = shares[0, 1] = 1.0
        count = 1
        while count:
            count -= 1
            node, level, feature = waiting[count, 0], waiting[count, 1], waiting[count, 2]
            zero, one = shares[count, 0], shares[count, 1]
            path, on_path = paths[level], features[level]
            length = _inherit(paths, features, lengths, level)
            length = _extend(path, on_path, length, zero, one, feature)

            at, left = nodes[node], left_of(nodes, node)
            if left == node:
                for i in range(1, length):
                    share = _unwound(path, length, i) * (path[i, _ONE] - path[i, _ZERO])
                    out[on_path[i]] += share * at.threshold
                continue

            zero = one = 1.0
            again = _place(on_path, length, at.feature)
            if again:
                zero, one = path[again, _ZERO], path[again, _ONE]
                length = _unwind(path, on_path, length, again)
            lengths[level] = length
            taken = step(nodes, node, row)
            both = covers[left] + covers[left + 1]
            for child in range(left, left + 2):
                passing = zero * covers[child] / both if both > 0.0 else 0.0
                passes = one if child == taken else 0.0
                if passing == 0.0 and passes == 0.0:
                    continue  # whatever is known, nothing comes this way: it would divide by 0
                waiting[count, 0], waiting[count, 1] = child, level + 1
                waiting[count, 2] = at.feature
                shares[count, 0], shares[count, 1] = passing, passes
                count += 1


def exact_contributions(
    forest: Forest, row: NDArray[np.float32]
) -> tuple[NDArray[np.float64], float]:
    """Shapley value of each feature of one row, float64 [F], and the margin of an average row.

    In log-odds; values and start add up to the margin, to float rounding of the margin's own sum.
    It allocates the answer, a copy of the row and scratch of 32 bytes x (depth + 2)^2, 2 KB at
    depth 6.

    Args:
        forest: The trees.
        row: float32 [F], NaN for the unknown.

    Raises:
        ValueError: The row has another type or width than the model's.
    """
    if row.dtype != np.float32 or row.shape != (forest.width,):
        raise ValueError(f"a row is float32 [{forest.width}], not {row.dtype} {row.shape}")
    size = forest.depth + 2
    out = np.zeros(forest.width, dtype=np.float64)
    shap_of_row(
        forest.nodes,
        forest.covers,
        forest.roots,
        row.copy(),  # whatever it was, contiguous and of one type: a read-only row has another
        np.empty((size, size, 3), dtype=np.float64),
        np.empty((size, size), dtype=np.int64),
        np.empty(size, dtype=np.int64),
        np.empty((size, 3), dtype=np.int64),
        np.empty((size, 2), dtype=np.float64),
        out,
    )
    return out, float(forest.base) + float(forest.means[forest.roots].sum())
