"""Boosted trees as flat arrays, and the compiled walk over them.

XGBoost's own saved JSON is laid out as one array of 8-byte nodes in which siblings are adjacent,
so that a step is an addition: `node + way to the left child + (goes right)`. A leaf steps onto
itself, which lets every tree be walked for the same number of steps without a branch, eight trees
side by side; the leaf values are then added one tree at a time in float32, in XGBoost's order, so
that the sum has the same bits as XGBoost's own and the same bits for a row alone and in a batch.

Why not onnxruntime: docs/adr/0003-trees-walked-in-numba.md.
"""

from collections import deque
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from graph.compiled import kernel
from graph.errors import Incompatible

NODE: Final = np.dtype(
    [
        ("threshold", np.float32),  # of a leaf: its value
        ("feature", np.uint16),
        # Bit 0: a missing value goes right; bit 1: not a leaf; above: nodes to the left child.
        ("way", np.uint16),
    ]
)
_MISSING_GOES_RIGHT: Final = 1
_INNER: Final = 2
_FLAGS: Final = 2
_FARTHEST: Final = (1 << (16 - _FLAGS)) - 1
_MOST_FEATURES: Final = 1 << 16
MAX_DEPTH: Final = 64
_REMEDY: Final = "Train the model again with this version of `ringfence train`."

_BoolArray = NDArray[np.bool_]


class Forest(NamedTuple):
    """Trees of one margin, ready to be walked.

    Attributes:
        nodes: All nodes, `NODE` [N]; siblings are adjacent.
        means: What a node's rows get on average (cover-weighted leaf value), float64 [N].
        covers: How much of the training a node saw (sum of the Hessian), float64 [N], at least 0.
            Apart from the nodes: only explanations read it, and a walk is paced by memory.
        roots: First node of each tree, int32 [T], in the order in which they are summed.
        base: The margin before the first tree, float32.
        depth: Steps that reach a leaf in every tree.
        width: Number of features a row must have.
    """

    nodes: NDArray[Any]
    means: NDArray[np.float64]
    covers: NDArray[np.float64]
    roots: NDArray[np.int32]
    base: np.float32
    depth: int
    width: int


@kernel(inline="always")
def left_of(nodes: Any, node: int) -> int:
    """The left child; of a leaf itself."""
    return int(node + (np.int64(nodes[node].way) >> _FLAGS))


@kernel(inline="always")
def step(nodes: Any, node: int, row: Any) -> int:
    """One step down: XGBoost goes left when the value is *below* the threshold."""
    at = nodes[node]
    value = row[at.feature]
    way = np.int64(at.way)
    missing = (value != value) & (way & 1)  # noqa: PLR0124 - only NaN differs from itself
    right = (missing | (value >= at.threshold)) & ((way >> 1) & 1)
    return node + (way >> _FLAGS) + right  # type: ignore[no-any-return]


@kernel(nogil=True)
def margin_of_row(nodes: Any, roots: Any, base: Any, depth: int, row: Any) -> Any:
    """Margin of one row. `nodes` NODE [N], `roots` int32 [T], `row` float32 [F]; mutates nothing.

    Eight trees are walked together because each step waits for memory; the sum stays in tree order.
    """
    total = base
    count = len(roots)
    tree = 0
    while tree + 8 <= count:
        a, b = np.int64(roots[tree]), np.int64(roots[tree + 1])
        c, d = np.int64(roots[tree + 2]), np.int64(roots[tree + 3])
        e, f = np.int64(roots[tree + 4]), np.int64(roots[tree + 5])
        g, h = np.int64(roots[tree + 6]), np.int64(roots[tree + 7])
        for _ in range(depth):
            a, b = step(nodes, a, row), step(nodes, b, row)
            c, d = step(nodes, c, row), step(nodes, d, row)
            e, f = step(nodes, e, row), step(nodes, f, row)
            g, h = step(nodes, g, row), step(nodes, h, row)
        for leaf in (a, b, c, d, e, f, g, h):
            total = np.float32(total + nodes[leaf].threshold)
        tree += 8
    while tree < count:
        a = np.int64(roots[tree])
        for _ in range(depth):
            a = step(nodes, a, row)
        total = np.float32(total + nodes[a].threshold)
        tree += 1
    return total


@kernel(nogil=True)
def margins_of_rows(nodes: Any, roots: Any, base: Any, depth: int, rows: Any, out: Any) -> None:
    """Margins of `rows` float32 [R, F] into `out` float32 [R], each as `margin_of_row` gives it."""
    for index in range(rows.shape[0]):
        out[index] = margin_of_row(nodes, roots, base, depth, rows[index])


@kernel(nogil=True)
def contributions_of_row(
    nodes: Any, means: Any, roots: Any, depth: int, row: Any, out: Any
) -> float:
    """Path contributions of one row added into `out` float64 [F]; returns the sum of root means.

    Saabas' path method: a split credits its feature with the change of the node mean. Exact in
    its sum, approximate in its parts: credit falls to the splits near the leaf, and of two
    features that say the same thing the one that was split on gets all of it.
    """
    start = 0.0
    for tree in range(len(roots)):
        node = np.int64(roots[tree])
        start += means[node]
        for _ in range(depth):
            below = step(nodes, node, row)
            out[nodes[node].feature] += means[below] - means[node]
            node = below
    return start


def read_forest(saved: bytes) -> Forest:
    """Lay out a model that XGBoost saved as JSON (`Booster.save_raw("json")`).

    Raises:
        Incompatible: It is not such a model, or one of another kind than a single-margin gbtree
            without categorical splits.
    """
    try:
        learner = msgspec.json.decode(saved)["learner"]
        model = learner["gradient_booster"]["model"]
        trees = model["trees"]
        width = int(learner["learner_model_param"]["num_feature"])
        shape = (
            learner["objective"]["name"],
            learner["gradient_booster"]["name"],
            int(learner["learner_model_param"]["num_class"]),
            int(model["gbtree_model_param"]["num_parallel_tree"]),
        )
        prior = np.float32(msgspec.json.decode(learner["learner_model_param"]["base_score"])[0])
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise Incompatible(
            "this is not a model that XGBoost saved as JSON", field="model.json", remedy=_REMEDY
        ) from error
    expected = ("binary:logistic", "gbtree", 0, 1)
    if shape != expected:
        raise Incompatible(
            f"only {expected} can be served", field="model.json", value=repr(shape), remedy=_REMEDY
        )
    if not 0 < prior < 1 or not trees:
        raise Incompatible(
            "a model has trees, and a base score between 0 and 1",
            field="model.json",
            value=f"{len(trees)} trees, base score {prior}",
            remedy=_REMEDY,
        )
    nodes: list[tuple[float, int, int]] = []
    means: list[float] = []
    covers: list[float] = []
    roots: list[int] = []
    depth = 0
    for tree in trees:
        roots.append(len(nodes))
        try:
            depth = max(depth, _lay_out(tree, width, nodes, means, covers))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise Incompatible(
                "a tree of the model is damaged",
                field=f"model.json: tree {len(roots) - 1}",
                remedy=_REMEDY,
            ) from error
    return Forest(
        nodes=np.array(nodes, dtype=NODE),
        means=np.array(means, dtype=np.float64),
        covers=np.array(covers, dtype=np.float64),
        roots=np.array(roots, dtype=np.int32),
        base=np.float32(-np.log(np.float32(1) / prior - np.float32(1))),
        depth=depth,
        width=width,
    )


def _lay_out(
    tree: dict[str, Any],
    width: int,
    nodes: list[tuple[float, int, int]],
    means: list[float],
    covers: list[float],
) -> int:
    """Append one tree breadth first, siblings adjacent; returns its depth.

    Raises:
        ValueError: A child, feature or split type out of range: the walk would leave the arrays;
            or a cover that is no weight.
        Incompatible: A node is too far from its children for the layout.
    """
    left, right = tree["left_children"], tree["right_children"]
    size = len(left)
    cover = [float(value) for value in tree["sum_hessian"]]
    if min(cover) < 0.0:
        raise ValueError(cover)
    mean = _node_means(tree, cover)
    first = len(nodes)
    nodes.append((0.0, 0, 0))
    means.append(0.0)
    covers.append(0.0)
    depth = 0
    queue: deque[tuple[int, int, int]] = deque([(0, first, 0)])
    while queue:
        node, slot, level = queue.popleft()
        depth = max(depth, level)
        means[slot] = mean[node]
        covers[slot] = cover[node]
        value = float(tree["split_conditions"][node])
        if left[node] < 0:
            nodes[slot] = (value, 0, 0)
            continue
        feature = int(tree["split_indices"][node])
        below = len(nodes)
        inside = (
            0 <= feature < min(width, _MOST_FEATURES)
            and node < left[node] < size
            and node < right[node] < size
        )
        if not inside or tree["split_type"][node] or level >= MAX_DEPTH or below - first > 2 * size:
            raise ValueError(node)
        if below - slot > _FARTHEST:
            raise Incompatible(
                f"a node of the model is more than {_FARTHEST:,} nodes from its children",
                field="model.json",
                value=f"level {level}",
                remedy="Train it with trees of 14 levels at most, which always fit.",
            )
        missing = 0 if tree["default_left"][node] else _MISSING_GOES_RIGHT
        nodes[slot] = (value, feature, (below - slot) << _FLAGS | _INNER | missing)
        nodes += [(0.0, 0, 0)] * 2
        means += [0.0] * 2
        covers += [0.0] * 2
        queue += [(left[node], below, level + 1), (right[node], below + 1, level + 1)]
    return depth


def _node_means(tree: dict[str, Any], cover: list[float]) -> list[float]:
    """Cover-weighted mean of the leaves below each node, children before parents."""
    left, right = tree["left_children"], tree["right_children"]
    mean = [float(value) for value in tree["split_conditions"]]
    for node in reversed(range(len(left))):
        if left[node] >= 0:
            a, b = left[node], right[node]
            both = cover[a] + cover[b]
            mean[node] = (mean[a] * cover[a] + mean[b] * cover[b]) / both if both > 0 else 0.0
    return mean
