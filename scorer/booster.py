"""The booster: a compiled walk over the trees that XGBoost grew.

The model is whatever XGBoost saved as JSON; nothing else about it is stored. A row is float32 with
NaN for what is not known, which every split knows how to send on. Growing the trees is
`scorer.fitting`'s: serving needs neither XGBoost nor scikit-learn.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph.errors import Incompatible
from scorer.odds import sigmoid
from scorer.trees import (
    Forest,
    contributions_of_row,
    margin_of_row,
    margins_of_rows,
    read_forest,
)


@dataclass(frozen=True, slots=True)
class Booster:
    """Trees that answer one row in a few microseconds.

    Attributes:
        names: Feature names in the order of a row's columns.
        forest: The trees as arrays.
        saved: The model as XGBoost saved it (JSON).
    """

    names: tuple[str, ...]
    forest: Forest
    saved: bytes

    @classmethod
    def from_json(cls, saved: bytes, names: tuple[str, ...]) -> "Booster":
        """Read what XGBoost saved.

        Raises:
            Incompatible: It cannot be served, or has another number of features than `names`.
        """
        forest = read_forest(saved)
        if forest.width != len(names):
            raise Incompatible(
                f"the model was trained on {forest.width} features",
                field="model.json",
                value=f"{len(names)} names",
                remedy="Train the model again with the present feature set.",
            )
        return cls(names=names, forest=forest, saved=saved)

    @property
    def tree_count(self) -> int:
        """Number of trees that are summed."""
        return len(self.forest.roots)

    def margin(self, row: NDArray[np.float32]) -> float:
        """Log-odds of fraud of one row, float32 [F] with NaN for the unknown.

        Raises:
            ValueError: The row has another type or width than the model's.
        """
        forest = self.forest
        if row.dtype != np.float32 or row.shape != (forest.width,):
            raise ValueError(f"a row is float32 [{forest.width}], not {row.dtype} {row.shape}")
        return float(margin_of_row(forest.nodes, forest.roots, forest.base, forest.depth, row))

    def margins(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-odds of each of `rows`, float32 [R, F], with the bits `margin` gives: float32 [R].

        Raises:
            ValueError: The rows have another type or width than the model's.
        """
        forest = self.forest
        if rows.dtype != np.float32 or rows.ndim != 2 or rows.shape[1] != forest.width:
            raise ValueError(f"rows are float32 [R, {forest.width}], not {rows.dtype} {rows.shape}")
        out = np.empty(len(rows), dtype=np.float32)
        margins_of_rows(
            forest.nodes,
            forest.roots,
            forest.base,
            forest.depth,
            np.ascontiguousarray(rows),
            out,
        )
        return out

    def predict(self, row: NDArray[np.float32]) -> float:
        """Uncalibrated probability of one row, as `xgboost.Booster.predict` gives it (1e-6)."""
        return sigmoid(self.margin(row))

    def predict_batch(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Uncalibrated probabilities of rows, float64 [R]."""
        margins = self.margins(rows)
        return np.array([sigmoid(float(margin)) for margin in margins])

    def contributions(self, row: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
        """What each feature of one row added to the margin, float64 [F], and the starting margin.

        Saabas' path method: the parts and the start add up to the margin (to float rounding), but
        credit is given along the walked path only, not averaged over all orders as
        `scorer.tree_shap` does in a hundred times the time. Good for saying what a verdict rested
        on, not for comparing features between models.
        """
        forest = self.forest
        out = np.zeros(forest.width, dtype=np.float64)
        start = contributions_of_row(
            forest.nodes, forest.means, forest.roots, forest.depth, row, out
        )
        return out, float(forest.base) + start
