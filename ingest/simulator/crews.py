"""Invented people: the identities that some kinds of ring make up, a crew for each ring."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ingest.simulator.config import SimulationConfig
from ingest.simulator.kinds import KINDS, Invention

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Crews:
    """The invented identities, S of them.

    Attributes:
        crew: int64[S], which of the rings that invent some each belongs to, ascending.
        kind: What the kinds of ring in this world invent.
        index: int64[S], which of those each one is.
    """

    crew: Ints
    kind: tuple[Invention, ...]
    index: Ints

    def of(self, what: Callable[[Invention], float]) -> Floats:
        """float64[S]: what the invention of each one's kind says."""
        table = np.array([what(kind) for kind in self.kind], dtype=np.float64)
        return table[self.index] if len(self.index) else np.empty(0)


def invent_crews(rng: np.random.Generator, config: SimulationConfig) -> Crews:
    """Make up everybody whom the rings of this world make up, ring by ring."""
    kinds = [(KINDS[kind].invention, count) for kind, count in config.rings.items()]
    inventing = [(kind, count) for kind, count in kinds if kind is not None]
    sizes = [rng.integers(kind.size[0], kind.size[1] + 1, count) for kind, count in inventing]
    size = np.concatenate([*sizes, np.empty(0, dtype=np.int64)]).astype(np.int64)
    which = np.repeat(np.arange(len(inventing)), [count for _, count in inventing])
    return Crews(
        np.repeat(np.arange(len(size)), size),
        tuple(kind for kind, _ in inventing),
        np.repeat(which, size),
    )
