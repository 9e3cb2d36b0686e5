"""LightGBM: trees that grow leaf by leaf where the loss falls most, instead of level by level."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from scorer.alternatives.lesson import Features, Lesson, Margins
from scorer.alternatives.train_extra import library
from scorer.fitting import THREADS, BoosterSettings


@dataclass(frozen=True, slots=True)
class LightgbmModel:
    """A booster of LightGBM's."""

    booster: Any
    size: int

    def margins(self, rows: Features) -> Margins:
        """Log-odds of fraud of some rows."""
        raw = self.booster.predict(
            rows, raw_score=True, num_iteration=self.size, num_threads=THREADS
        )
        return np.asarray(raw, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class LightgbmTrees:
    """Grown with the settings of the trees that ship, so that only the way of growing differs.

    Attributes:
        settings: How trees are grown; the bound on trees is its `rounds`, and a tree has as many
            leaves at most as one of that depth.
    """

    settings: BoosterSettings

    def first(self, lesson: Lesson, later: Lesson, seed: int) -> LightgbmModel:
        """Grow trees, stopped by average precision on the later rows."""
        lightgbm = library("lightgbm")
        grown_on = self._data(lesson)
        booster = lightgbm.train(
            self._parameters(seed),
            grown_on,
            num_boost_round=self.settings.rounds,
            valid_sets=[self._data(later, like=grown_on)],
            callbacks=[lightgbm.early_stopping(self.settings.patience, verbose=False)],
        )
        return LightgbmModel(booster, int(booster.best_iteration))

    def again(self, lesson: Lesson, size: int, seed: int) -> LightgbmModel:
        """Grow so many trees."""
        booster = library("lightgbm").train(
            self._parameters(seed), self._data(lesson), num_boost_round=size
        )
        return LightgbmModel(booster, size)

    def _data(self, lesson: Lesson, like: Any = None) -> Any:
        return library("lightgbm").Dataset(
            lesson.rows,
            label=lesson.fraud.astype(np.float32),
            weight=lesson.weights,
            reference=like,
            params={"max_bin": self.settings.bins, "verbosity": -1, "num_threads": THREADS},
        )

    def _parameters(self, seed: int) -> dict[str, Any]:
        settings = self.settings
        return {
            "objective": "binary",
            "metric": "average_precision",
            "num_threads": THREADS,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,  # else it times both ways, and equal runs differ
            "verbosity": -1,
            "max_depth": settings.depth,
            "num_leaves": 2**settings.depth - 1,
            "learning_rate": settings.learning_rate,
            "min_sum_hessian_in_leaf": settings.min_child_weight,
            "min_data_in_leaf": 1,
            "bagging_fraction": settings.row_share,
            "bagging_freq": 1,
            "feature_fraction": settings.feature_share,
            "lambda_l2": settings.l2,
            "max_bin": settings.bins,
            "scale_pos_weight": settings.positive_weight,
        }
