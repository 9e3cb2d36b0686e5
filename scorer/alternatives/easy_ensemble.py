"""EasyEnsemble (Liu et al. 2009): boosted stumps on several balanced draws, averaged."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from scorer.alternatives.known_values import KnownValues, ScaledModel
from scorer.alternatives.lesson import Features, Lesson, Margins
from scorer.alternatives.train_extra import library

DRAWS: Final = 10
STUMPS: Final = 20
MOST_OF_A_CLASS: Final = 1_000
"""Rows of each class in a draw at most: scikit-learn sorts them anew for each of the 200 stumps."""


@dataclass(frozen=True, slots=True)
class EnsembleModel:
    """An ensemble of imbalanced-learn's, on rows without unknown values.

    Attributes:
        ensemble: The ensemble.
        size: How many stumps it has.
    """

    ensemble: Any
    size: int

    def margins(self, rows: Features) -> Margins:
        """Log-odds of the mean probability."""
        means = np.asarray(self.ensemble.predict_proba(rows), dtype=np.float64)[:, 1]
        share = np.clip(means, 1e-6, 1 - 1e-6)
        return np.log(share / (1 - share)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class EasyEnsemble:
    """A learner of a few draws of `STUMPS` stumps, bounded so that it takes under a minute.

    AdaBoost refuses the unknown, so medians stand in for it. As with the balanced forest, neither
    weights nor later rows matter.

    Attributes:
        draws: How many.
    """

    draws: int = DRAWS

    def first(self, lesson: Lesson, later: Lesson, seed: int) -> ScaledModel:  # noqa: ARG002
        """Boost the stumps of each draw."""
        return self.again(lesson, self.draws * STUMPS, seed)

    def again(self, lesson: Lesson, size: int, seed: int) -> ScaledModel:
        """The same with so many stumps."""
        known = KnownValues.of(lesson.rows)
        drawn = min(int(lesson.fraud.sum()), int((~lesson.fraud).sum()), MOST_OF_A_CLASS)
        boosted = library("sklearn.ensemble").AdaBoostClassifier(n_estimators=STUMPS)
        ensemble = library("imblearn.ensemble").EasyEnsembleClassifier(
            n_estimators=size // STUMPS,
            estimator=boosted,
            sampling_strategy={False: drawn, True: drawn},
            random_state=seed,
            n_jobs=1,
        )
        ensemble.fit(known.scale(lesson.rows), lesson.fraud)
        return ScaledModel(known, EnsembleModel(ensemble, size))
