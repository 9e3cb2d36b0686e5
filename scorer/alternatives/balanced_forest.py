"""Balanced random forest (Chen et al. 2004): each tree sees as many legitimate rows as frauds."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from scorer.alternatives.lesson import Features, Lesson, Margins
from scorer.alternatives.train_extra import library

TREES: Final = 200
MOST_OF_A_CLASS: Final = 5_000
"""Rows of each class that a tree sees at most: on 217 features 200 trees take half a minute."""
LEAF: Final = 3
"""Rows in a leaf at least: a forest's votes are coarse enough without leaves of one."""


@dataclass(frozen=True, slots=True)
class ForestModel:
    """A forest of imbalanced-learn's.

    Attributes:
        forest: The forest.
        size: How many trees it has.
    """

    forest: Any
    size: int

    def margins(self, rows: Features) -> Margins:
        """Log-odds of the mean vote, held off 0 and 1 as if one more tree were undecided."""
        votes = np.asarray(self.forest.predict_proba(rows), dtype=np.float64)[:, 1]
        share = (votes * self.size + 0.5) / (self.size + 1)
        return np.log(share / (1 - share)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class BalancedForest:
    """A learner of `TREES` trees, each on its own balanced draw with replacement.

    Weights of the lesson do not matter: all its legitimate rows weigh the same, and as many are
    drawn whatever they weigh. The later rows do not either, since nothing needs to be stopped.

    Attributes:
        trees: How many.
    """

    trees: int = TREES

    def first(self, lesson: Lesson, later: Lesson, seed: int) -> ForestModel:  # noqa: ARG002
        """Grow the forest."""
        return self.again(lesson, self.trees, seed)

    def again(self, lesson: Lesson, size: int, seed: int) -> ForestModel:
        """Grow a forest of so many trees."""
        drawn = min(int(lesson.fraud.sum()), int((~lesson.fraud).sum()), MOST_OF_A_CLASS)
        forest = library("imblearn.ensemble").BalancedRandomForestClassifier(
            n_estimators=size,
            sampling_strategy={False: drawn, True: drawn},
            replacement=True,
            bootstrap=False,
            min_samples_leaf=LEAF,
            random_state=seed,
            n_jobs=1,
        )
        return ForestModel(forest.fit(lesson.rows, lesson.fraud), size)
