"""What scoring, training and evaluation ask of others: a replayer of history, a graph model.

The Detector is the one replayer: features of the past come from the code that makes them online, so
the two cannot differ. The graph model lives next door (`gnn`), and neither room knows the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import xxhash
from numpy.typing import NDArray

from graph.evidence import Evidence
from graph.ring_policy import RingPolicy
from graph.transaction import Label, Transaction


@dataclass(frozen=True, slots=True)
class FeatureSchema:
    """The columns of a feature row.

    Attributes:
        names: One name a column, unique, in order.
        families: The family of each column, same order ("amount", "velocity", "ring", ...).
        graph_families: Families that need the graph (evidence, sharing, rings, ...): the `tabular`
            rung of an evaluation goes without them.
        connection_families: Families that say what *others* did (membership of a ring, deeds of a
            neighbour): what they add to a score is a connection, not a deed.
    """

    names: tuple[str, ...]
    families: tuple[str, ...]
    graph_families: frozenset[str] = frozenset()
    connection_families: frozenset[str] = frozenset()

    @property
    def hash(self) -> str:
        """Hash of names and order: a model answers rows of exactly this schema."""
        return xxhash.xxh3_64_hexdigest("\x1f".join(self.names).encode())

    def columns(self, *, graph: bool) -> NDArray[np.intp]:
        """Indices of the columns of a rung: all of them, or without the graph families."""
        chosen = [
            index
            for index, family in enumerate(self.families)
            if graph or family not in self.graph_families
        ]
        return np.array(chosen, dtype=np.intp)


class Signals(NamedTuple):
    """What one transaction gave besides its feature row.

    Nothing of rings: what evidence weighs is learned from the whole history, and rings are made of
    it afterwards (`scorer.ring_pass`), their feature included.

    Attributes:
        accepted: Whether it entered the window and the row was filled; a duplicate, late or
            ahead transaction is not learned from.
        evidence: What it completed.
        findings: What a sweep found that was told with it.
        contexts: float32 [findings + evidence, C], the context of each piece
            (`scorer.evidence_context.NAMES`); None where there is none.
        watermark: Event time as far as it had come, epoch ms.
    """

    accepted: bool
    evidence: tuple[Evidence, ...] = ()
    findings: tuple[Evidence, ...] = ()
    contexts: NDArray[np.float32] | None = None
    watermark: int = 0


class Replayer(Protocol):
    """A Detector that hands out the features it would have scored.

    Transactions come in the order of the history. A label handed to `learn` is used only once
    event time has passed its `known_at`; it may be handed over as soon as its transaction was
    observed. A fresh replayer knows nothing.
    """

    @property
    def schema(self) -> FeatureSchema:
        """The columns `observe_features` fills; the same for the life of the replayer."""
        ...

    @property
    def ring_policy(self) -> RingPolicy:
        """When it takes evidence for a ring."""
        ...

    def observe_features(
        self, transactions: Sequence[Transaction], out: NDArray[np.float32]
    ) -> list[Signals]:
        """Take transactions in and fill `out`, float32 [at least N, F], NaN for the unknown.

        Everything the verdict's model would have seen, and nothing later: the same as one at a
        time. The row of a transaction that is not accepted means nothing.
        """
        ...

    def learn(self, label: Label) -> None:
        """Hand over a label, to be used after its `known_at`."""
        ...


class GraphHead(Protocol):
    """The part of a graph model that a transaction waits for."""

    @property
    def version(self) -> str:
        """Names the whole model, its encoder included."""
        ...

    @property
    def width(self) -> int:
        """Of an embedding."""
        ...

    def log_odds(
        self,
        parties: NDArray[np.float32],
        there: NDArray[np.float32],
        age: float,
        context: NDArray[np.float32],
    ) -> float:
        """Log-odds of fraud of one transaction.

        Args:
            parties: float32 [5 * width], embeddings of user, other party, device, IP and card.
            there: float32 [5], 1 where there is one.
            age: log(1 + hours) since the oldest of them.
            context: float32 [C], what else is known of it (`scorer.graph_opinion.CONTEXT`).
        """
        ...
