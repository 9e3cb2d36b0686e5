"""A learned ring head as ONNX, and the proof that it is the same head.

It is run beside torch on random rings: none at all, one member and nothing else, no hops, no
pieces, and many of any size; where the two differ by more than `gnn.export.TOLERANCE`, nothing is
exported.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from gnn.export import difference, must_agree, to_onnx
from gnn.inference import session
from gnn.ring_artefact import RingHeadArtefact
from gnn.ring_columns import COLUMNS, RingColumns, feed
from gnn.ring_head import INPUTS, RingHead, tensors

_RANDOM: Final = 8


def export_head(head: RingHead, about: Mapping[str, Any] | None = None) -> RingHeadArtefact:
    """A learned head as what serves.

    Args:
        head: In any mode.
        about: What else is to be known of it: seed, figures.

    Raises:
        Incompatible: What was exported does not answer as torch does.
    """
    head = head.cpu().eval()
    examples = feed([random_ring(np.random.default_rng(n), 5, 4, 7, 9) for n in range(3)])
    written = to_onnx(head, examples, INPUTS, ("logit",), _axes())
    reached = head_parity(head, written)
    must_agree(reached, "ring head")
    said = dict(about or {}) | {
        "parity": reached,
        "messages": head.settings.messages,
        "hidden": head.settings.hidden,
        "versions": {"torch": str(torch.__version__), "onnxruntime": onnxruntime.__version__},
    }
    return RingHeadArtefact(written, said)


def head_parity(head: RingHead, written: bytes) -> float:
    """Largest difference between torch and onnxruntime over random rings, nothing included."""
    running, worst = session(written), 0.0
    asked = [each.name for each in running.get_inputs()]
    for rings in _trials(np.random.default_rng(3)):
        found = feed(rings)
        with torch.no_grad():
            expected = head(*tensors(found))
        answer: list[NDArray[Any]] = running.run(None, {name: found[name] for name in asked})
        worst = max(worst, difference(expected.numpy(), answer[0]))
    return worst


def _trials(rng: np.random.Generator) -> Iterator[list[RingColumns]]:
    yield []
    for sizes in ((0, 0, 0, 0), (1, 0, 0, 0), (3, 0, 0, 0), (2, 1, 0, 2), (4, 2, 5, 0)):
        yield [random_ring(rng, *sizes)]
    for _ in range(_RANDOM):
        many = rng.integers(1, 40, (int(rng.integers(1, 6)), 4))
        yield [random_ring(rng, *each) for each in many.tolist()]


def random_ring(
    rng: np.random.Generator, members: int, pieces: int, hops: int, parts: int
) -> RingColumns:
    """Columns of a ring of these sizes, some of its hops from or to outside."""

    def rows(name: str, size: int) -> NDArray[np.float32]:
        return rng.normal(0, 2, (size, len(COLUMNS[name]))).astype(np.float32)

    return RingColumns(
        rows("member", members),
        rows("piece", pieces),
        rows("hop", hops),
        rows("part", parts),
        rows("whole", 1)[0],
        rng.integers(-1, max(members, 1), (2, hops)),
        rng.integers(0, max(pieces, 1), hops),
        np.stack([rng.integers(0, max(members, 1), parts), rng.integers(0, max(pieces, 1), parts)]),
    )


def _axes() -> list[dict[int, Any]]:
    """Which dimension of each input may have any size, in the order of `INPUTS`."""
    members, pieces, hops, parts, rings = (
        torch.export.Dim(name) for name in ("members", "pieces", "hops", "parts", "rings")
    )
    of = {
        "x_member": {0: members},
        "x_piece": {0: pieces},
        "x_hop": {0: hops},
        "x_part": {0: parts},
        "x_whole": {0: rings},
        "member_ring": {0: members},
        "piece_ring": {0: pieces},
        "hop_ends": {1: hops},
        "hop_piece": {0: hops},
        "part_ends": {1: parts},
    }
    return [of[name] for name in INPUTS]
