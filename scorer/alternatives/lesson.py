"""A lesson: labelled rows that one fit learns from, and what a learner makes of them."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scorer.fitting import sample_negatives
from scorer.table import Rows, Table

Features = NDArray[np.float32]
"""Rows of features, float32 [R, F], NaN for the unknown."""
Margins = NDArray[np.float32]
"""Log-odds, or whatever rises with them, float32 [R]."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """Labelled rows.

    Attributes:
        rows: float32 [R, F], NaN for the unknown.
        fraud: bool [R].
        weights: How many rows each stands for, float32 [R].
        names: Feature names, in column order.
    """

    rows: Features
    fraud: NDArray[np.bool_]
    weights: NDArray[np.float32]
    names: tuple[str, ...]


def lesson_of(
    table: Table, rows: Rows, columns: Rows, seed: int, most: int | None = None
) -> Lesson:
    """Some columns of some rows of a table: every fraud, at most so many others.

    Args:
        table: The replayed history.
        rows: Which of its rows.
        columns: Which of its columns.
        seed: Of the drawing of legitimate rows.
        most: Legitimate rows at most; `scorer.fitting.MOST_NEGATIVES` where left out.
    """
    chosen, weights = sample_negatives(table.fraud[rows], seed, most)
    names = tuple(table.schema.names[index] for index in columns)
    taken = rows[chosen]
    return Lesson(table.rows[np.ix_(taken, columns)], table.fraud[taken], weights, names)


class Model(Protocol):
    """What was learned."""

    @property
    def size(self) -> int:
        """How many trees it has."""
        ...

    def margins(self, rows: Features) -> Margins:
        """Log-odds of fraud of some rows, before calibration."""
        ...


class Learner(Protocol):
    """A way to learn from a lesson; the same lesson and seed give the same model."""

    def first(self, lesson: Lesson, later: Lesson, seed: int) -> Model:
        """Learn; the later lesson may say when to stop, and nothing else."""
        ...

    def again(self, lesson: Lesson, size: int, seed: int) -> Model:
        """Learn from more rows as many trees as it had."""
        ...
