"""XGBoost as a learner, with what is done about rare fraud before or while trees grow."""

from collections.abc import Callable
from dataclasses import dataclass

from scorer.alternatives.lesson import Features, Lesson, Margins
from scorer.booster import Booster
from scorer.fitting import BoosterSettings, Objective, fit_booster, regrow_booster

Preparation = Callable[[Lesson, int], Lesson]
"""What is made of a lesson, with a seed, before trees grow on it."""


def as_it_is(lesson: Lesson, _seed: int) -> Lesson:
    """Nothing: every row counts as what it stands for."""
    return lesson


@dataclass(frozen=True, slots=True)
class BoosterModel:
    """Trees that XGBoost grew, walked by the kernel that serves them."""

    booster: Booster

    @property
    def size(self) -> int:
        """How many trees it has."""
        return self.booster.tree_count

    def margins(self, rows: Features) -> Margins:
        """Log-odds of fraud of some rows."""
        return self.booster.margins(rows)


@dataclass(frozen=True, slots=True)
class XgboostTrees:
    """The trees that ship, but for what is said here.

    Attributes:
        settings: How trees are grown.
        prepare: Resampling or weighting of the rows that trees grow on; never of those that say
            when to stop.
        objective: The loss that trees lessen; that of the logistic regression where left out.
    """

    settings: BoosterSettings
    prepare: Preparation = as_it_is
    objective: Objective | None = None

    def first(self, lesson: Lesson, later: Lesson, seed: int) -> BoosterModel:
        """Grow trees, stopped by average precision on the later rows."""
        taught = self.prepare(lesson, seed)
        booster = fit_booster(
            taught.rows,
            taught.fraud,
            later.rows,
            later.fraud,
            taught.names,
            self.settings,
            seed,
            weights=taught.weights,
            later_weights=later.weights,
            objective=self.objective,
        )
        return BoosterModel(booster)

    def again(self, lesson: Lesson, size: int, seed: int) -> BoosterModel:
        """Grow so many trees."""
        taught = self.prepare(lesson, seed)
        booster = regrow_booster(
            taught.rows,
            taught.fraud,
            taught.names,
            self.settings,
            seed,
            size,
            taught.weights,
            objective=self.objective,
        )
        return BoosterModel(booster)
