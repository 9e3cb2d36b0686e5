"""SMOTE + Tomek (Batista et al. 2004): frauds invented between neighbours, then borders cleared.

Weak here for three reasons, which is why it is only measured. It needs every value known, so the
medians that fill the gaps hide that something was unknown, which trees would have used. It draws
lines between frauds in a space of counts, codes and shares, where the middle of two rings is no
ring. And what it invents has no edges: no graph could have made such a row.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from scorer.alternatives.known_values import KnownValues, ScaledModel
from scorer.alternatives.lesson import Lesson
from scorer.alternatives.train_extra import library
from scorer.alternatives.xgboost_trees import XgboostTrees
from scorer.fitting import BoosterSettings

MOST_OF_A_CLASS: Final = 10_000
"""Rows of each class among which neighbours are searched, at most, since all are compared with all:
2 s for 11,000 rows of 217 features."""
WANTED: Final = 0.5
"""Frauds a legitimate row after the inventing."""
NEIGHBOURS: Final = 5


def smote_tomek(lesson: Lesson, seed: int) -> Lesson:
    """Invent frauds up to `WANTED`, drop pairs of nearest neighbours of different labels.

    Args:
        lesson: Rows without unknown values; at most `MOST_OF_A_CLASS` of each class are drawn.
        seed: Of both.

    Returns:
        Real and invented rows, each of weight one.
    """
    rng = np.random.default_rng(seed)
    classes = [np.flatnonzero(lesson.fraud == label) for label in (False, True)]
    honest, frauds = (
        rng.choice(rows, min(len(rows), MOST_OF_A_CLASS), replace=False) for rows in classes
    )
    chosen = np.sort(np.concatenate([honest, frauds]))
    rows, fraud = lesson.rows[chosen], lesson.fraud[chosen]
    if 1 < len(frauds) < int(WANTED * len(honest)):  # one fraud has no neighbour
        smote = library("imblearn.over_sampling").SMOTE(
            sampling_strategy=WANTED,
            k_neighbors=min(NEIGHBOURS, len(frauds) - 1),
            random_state=seed,
        )
        rows, fraud = smote.fit_resample(rows, fraud)
    tomek = library("imblearn.under_sampling").TomekLinks(sampling_strategy="all", n_jobs=1)
    rows, fraud = tomek.fit_resample(rows, fraud)
    return replace(
        lesson,
        rows=rows.astype(np.float32),
        fraud=fraud.astype(np.bool_),
        weights=np.ones(len(rows), np.float32),
    )


@dataclass(frozen=True, slots=True)
class SmoteTomek:
    """XGBoost on rows that `smote_tomek` made of filled and scaled ones.

    Attributes:
        settings: How trees are grown.
    """

    settings: BoosterSettings

    def first(self, lesson: Lesson, later: Lesson, seed: int) -> ScaledModel:
        """Grow trees, stopped on the later rows as they are, but filled and scaled."""
        known = KnownValues.of(lesson.rows)
        scaled, judged = (replace(part, rows=known.scale(part.rows)) for part in (lesson, later))
        return ScaledModel(known, self._trees.first(scaled, judged, seed))

    def again(self, lesson: Lesson, size: int, seed: int) -> ScaledModel:
        """Grow so many trees."""
        known = KnownValues.of(lesson.rows)
        scaled = replace(lesson, rows=known.scale(lesson.rows))
        return ScaledModel(known, self._trees.again(scaled, size, seed))

    @property
    def _trees(self) -> XgboostTrees:
        return XgboostTrees(self.settings, smote_tomek)
