"""Isolation score (Liu et al. 2008): how soon random splits set a row apart, as one more feature.

The forest knows no labels. What it adds to trees that do is the oddness of a whole row, which no
single split sees.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from sklearn.ensemble import IsolationForest

from scorer.alternatives.lesson import Features, Learner, Lesson, Margins, Model

TREES: Final = 100
SEEN: Final = 10_000
"""Rows the forest is grown from at most; each of its trees sees 256 of them."""
NAME: Final = "isolation_score"


@dataclass(frozen=True, slots=True)
class IsolatedModel:
    """A model that was learned with the score of a forest as its last column."""

    forest: Any
    inner: Model

    @property
    def size(self) -> int:
        """How many trees the inner model has."""
        return self.inner.size

    def margins(self, rows: Features) -> Margins:
        """Log-odds of fraud of some rows without that column."""
        return self.inner.margins(_with_score(self.forest, rows))


@dataclass(frozen=True, slots=True)
class WithIsolationScore:
    """Any learner, given the score as one more column.

    The forest is grown from the rows that the learner learns from, drawn by their weights so that
    frauds are as rare among them as they are.

    Attributes:
        learner: What learns from the wider rows.
    """

    learner: Learner

    def first(self, lesson: Lesson, later: Lesson, seed: int) -> IsolatedModel:
        """Grow the forest from the lesson, then learn."""
        forest = _forest(lesson, seed)
        inner = self.learner.first(_wider(forest, lesson), _wider(forest, later), seed)
        return IsolatedModel(forest, inner)

    def again(self, lesson: Lesson, size: int, seed: int) -> IsolatedModel:
        """The same from more rows."""
        forest = _forest(lesson, seed)
        return IsolatedModel(forest, self.learner.again(_wider(forest, lesson), size, seed))


def _forest(lesson: Lesson, seed: int) -> Any:
    shares = lesson.weights.astype(np.float64)
    drawn = np.random.default_rng(seed).choice(
        len(shares), min(len(shares), SEEN), p=shares / shares.sum()
    )
    return IsolationForest(n_estimators=TREES, random_state=seed).fit(lesson.rows[drawn])


def _wider(forest: Any, lesson: Lesson) -> Lesson:
    rows = _with_score(forest, lesson.rows)
    return replace(lesson, rows=rows, names=(*lesson.names, NAME))


def _with_score(forest: Any, rows: Features) -> Features:
    return np.column_stack([rows, -forest.score_samples(rows).astype(np.float32)])
