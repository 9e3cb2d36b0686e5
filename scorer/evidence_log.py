"""The evidence of a history: what was told, when, and in what context. A judge learns from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from graph.errors import InvalidInput
from graph.evidence import Evidence
from scorer.evidence_context import NAMES

MOST_PIECES = 2_000_000
"""Pieces a log holds at most: some 3 GB with their witnesses."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the engine was told at one transaction.

    Attributes:
        place: Place of the transaction in the history.
        watermark: Event time as far as it had come, epoch ms.
        pieces: In order, those of the sweep first.
        first: Number of the first of them in the log.
        found: How many the sweep found, which come first; the others the transaction completed.
    """

    place: int
    watermark: int
    pieces: tuple[Evidence, ...]
    first: int
    found: int


@dataclass(slots=True)
class EvidenceLog:
    """All evidence of a replayed history, in order.

    Attributes:
        told: One entry for each transaction at which something was told.
        pieces: How many pieces that is.
    """

    told: list[Told] = field(default_factory=list)
    pieces: int = 0
    _contexts: list[NDArray[np.float32]] = field(default_factory=list)

    def add(
        self,
        place: int,
        watermark: int,
        findings: Sequence[Evidence],
        evidence: Sequence[Evidence],
        contexts: NDArray[np.float32],
    ) -> None:
        """Take in what was told at a transaction.

        Raises:
            InvalidInput: `MOST_PIECES` are held already.
        """
        pieces = (*findings, *evidence)
        if self.pieces + len(pieces) > MOST_PIECES:
            raise InvalidInput(
                f"more than {MOST_PIECES} pieces of evidence do not fit into memory",
                field="history",
                value=f"transaction {place + 1}",
                remedy="Give dates to train and test between.",
            )
        self.told.append(Told(place, watermark, pieces, self.pieces, len(findings)))
        self._contexts.append(contexts)
        self.pieces += len(pieces)

    def contexts(self) -> NDArray[np.float32]:
        """Context rows of all pieces, float32 [pieces, len(NAMES)]."""
        return np.vstack([np.empty((0, len(NAMES)), np.float32), *self._contexts])

    def all_pieces(self) -> list[Evidence]:
        """Every piece, in order."""
        return [piece for told in self.told for piece in told.pieces]
