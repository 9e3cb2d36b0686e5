"""Tuned trees: XGBoost with the settings that a search inside the past prefers, if any."""

from dataclasses import dataclass

from scorer.alternatives.alternative import Alternative
from scorer.alternatives.xgboost_trees import XgboostTrees
from scorer.fitting import BoosterSettings
from scorer.ladder import RungScores
from scorer.splits import Split
from scorer.table import Table
from scorer.tuning import tune


@dataclass(frozen=True, slots=True)
class TunedTrees:
    """A rung (`scorer.ladder.Rung`): the trees that ship, their settings tuned (`scorer.tuning`).

    Attributes:
        name: Its key in the report.
        words: What sentences call it.
        base: XGBoost on the same columns with the default settings.
        default: Those settings.
        graph: Whether it sees the columns that need the graph.
    """

    name: str
    words: str
    base: str
    default: BoosterSettings
    graph: bool = True

    def fit_scores(self, table: Table, split: Split, seed: int) -> RungScores:
        """Tune inside the past of a split, learn from it, score its test.

        Raises:
            InvalidSetting: A slice of the past lacks fraud or legitimate transactions.
        """
        columns = table.schema.columns(graph=self.graph)
        past = split.past
        tuned = tune(table, past, columns, self.default, seed)
        trees = XgboostTrees(tuned.settings)
        rung = Alternative(self.name, self.words, self.base, trees, graph=self.graph)
        found = rung.fit_scores(table, split, seed)
        if not tuned.trials:
            said = "The past holds too few frauds for folds; the default stands."
        elif tuned.kept:
            said = (
                f"No candidate of {len(tuned.trials)} beat the default, whatever its "
                f"seed, in each of the {tuned.folds} folds of the past; it stands."
            )
        else:
            said = (
                f"One candidate of {len(tuned.trials)} beat the default, whatever its "
                f"seed, in each of the {tuned.folds} folds of the past, and was taken."
            )
        return RungScores(found.scores, {**tuned.as_json(), **found.facts}, (said,))
