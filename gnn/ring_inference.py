"""The ring head in service: log-odds of rings by onnxruntime alone, no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from gnn.inference import session
from gnn.ring_artefact import RingHeadArtefact, load_head
from gnn.ring_columns import columns_of, feed
from gnn.ring_graph import RingGraph


class RingHeadScorer:
    """Scores ring graphs; a `gnn.explain.GraphScorer`. Safe to call from any thread.

    A ring's log-odds are the same in any company to within 1e-5.

    Args:
        artefact: The head.
    """

    def __init__(self, artefact: RingHeadArtefact) -> None:
        self.about: Final = artefact.about
        self._head = session(artefact.head)
        self._asked = [each.name for each in self._head.get_inputs()]

    @classmethod
    def open(cls, directory: Path) -> "RingHeadScorer":
        """The head in a directory.

        Raises:
            Incompatible: See `gnn.ring_artefact.load_head`.
        """
        return cls(load_head(directory))

    def __call__(self, graphs: Sequence[RingGraph]) -> list[float]:
        """Log-odds that each ring is a true one."""
        given = feed([columns_of(graph) for graph in graphs])
        # A head without edges does not ask for them.
        answer: list[NDArray[Any]] = self._head.run(
            None, {name: given[name] for name in self._asked}
        )
        return [float(each) for each in answer[0]]
