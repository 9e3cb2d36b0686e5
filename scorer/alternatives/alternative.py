"""An alternative: any learner as a rung, taught and calibrated as the trees that ship are."""

from dataclasses import dataclass

import numpy as np

from scorer.alternatives.lesson import Learner, lesson_of
from scorer.fitting import fit_calibration
from scorer.ladder import RungScores
from scorer.splits import Split
from scorer.table import Table


@dataclass(frozen=True, slots=True)
class Alternative:
    """A rung (`scorer.ladder.Rung`) of one learner.

    It learns from the early rows, is stopped and calibrated on the later ones, which it has not
    seen, and learns again from both, as `scorer.training.learn_from` does; the calibration is kept
    and sees all later rows at the natural rate, whatever was resampled. So neither rows nor
    calibration explain a difference to the rung it is measured against.

    Attributes:
        name: Its key in the report.
        words: What sentences call it.
        base: The rung it is measured against: XGBoost on the same columns.
        learner: How it learns.
        graph: Whether it sees the columns that need the graph.
        other_seed: Added to the seed. A rung that differs from its base in nothing else is a
            control.
    """

    name: str
    words: str
    base: str
    learner: Learner
    graph: bool = True
    other_seed: int = 0

    def fit_scores(self, table: Table, split: Split, seed: int) -> RungScores:
        """Learn from the past of a split, score its test.

        Raises:
            InvalidSetting: A slice of the past lacks fraud or legitimate transactions.
        """
        columns = table.schema.columns(graph=self.graph)
        seed += self.other_seed
        first = self.learner.first(
            lesson_of(table, split.early, columns, seed),
            lesson_of(table, split.later, columns, seed),
            seed,
        )
        later = first.margins(table.rows[np.ix_(split.later, columns)])
        calibration = fit_calibration(later, table.fraud[split.later])
        past = split.past
        model = self.learner.again(lesson_of(table, past, columns, seed), first.size, seed)
        margins = model.margins(table.rows[np.ix_(split.test, columns)])
        scores = np.array([calibration.apply(float(margin)) for margin in margins])
        return RungScores(scores, {"trees": model.size}, control=self.other_seed > 0)
