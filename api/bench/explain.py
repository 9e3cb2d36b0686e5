"""`ringfence bench explain`: exact contributions, ours against XGBoost's own, and the path method.

Ours is `scorer.tree_shap`, one row a call. The alternative is `xgboost.Booster.predict` with
`pred_contribs=True` on the same row of the same model, with one thread. Both are given whole rows
in turn and must say the same (`worst_difference`). In the same run the path method of verdicts is
timed, and what it errs by is measured on rows whose verdict has reasons, and on all.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import xgboost
from numpy.typing import NDArray

from api.bench import time_each
from api.bench.score import simulated
from graph.transaction import Transaction
from scorer.artefact import TrainedModel
from scorer.detector import Detector
from scorer.history import LabelledTransaction
from scorer.share_error import share_error
from scorer.training import train
from scorer.tree_shap import exact_contributions
from scorer.verdict import Decision

_BATCH: Final = 512
_PAST: Final = 0.8
_MOST: Final = 4_000
"""Rows of each kind; the last ones."""
_COMPARED: Final = 400


def bench_explain(
    history: Sequence[LabelledTransaction] | None = None,
    *,
    data: str = "a simulated city",
    seed: int = 5,
    budget_s: float = 10.0,
) -> dict[str, Any]:
    """Learn from the first 80 % of a history, explain the rest; figures by their names.

    Args:
        history: In arrival order; without it, a simulated city.
        data: What the history is called.
        seed: Of the training, and of the city.
        budget_s: Seconds for each of the three.
    """
    if history is None:
        history = simulated(seed, 20, 2_000)
    cut = int(len(history) * _PAST)
    model = train(history[:cut], Detector(), seed=seed)
    reasoned, every = _rows(model, history, cut)
    forest = model.booster.forest

    exact = time_each(lambda row: exact_contributions(forest, row), every, budget_s=budget_s)
    by_path = time_each(model.booster.contributions, every, budget_s=budget_s)
    theirs = _xgboost(model)
    alternative = time_each(theirs, every, budget_s=budget_s)
    return {
        "input": {
            "data": data,
            "learned_from": cut,
            "rows_with_reasons": len(reasoned),
            "rows": len(every),
            "features": len(model.schema.names),
            "trees": model.booster.tree_count,
            "depth": forest.depth,
            "seed": seed,
        },
        "ours": exact.as_json() | {"worst_difference": _difference(model, theirs, every)},
        "xgboost_pred_contribs": alternative.as_json(),
        "ratio": round(alternative.p50_us / exact.p50_us, 2),
        "path_method": by_path.as_json(),
        "error_of_path_method": {
            name: _rounded(asdict(share_error(model.booster, model.schema, rows)))
            for name, rows in (("rows_with_reasons", reasoned), ("rows", every))
            if len(rows)
        },
    }


def _rows(
    model: TrainedModel, history: Sequence[LabelledTransaction], cut: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The last feature rows after `cut`: those whose verdict has reasons, and all of them.

    The labels become known as they do in a replay, so the rows are those of a service.
    """
    detector = Detector(model=model)
    reasoned: list[NDArray[np.float32]] = []
    every: list[NDArray[np.float32]] = []
    for start in range(0, len(history), _BATCH):
        part = history[start : start + _BATCH]
        transactions: list[Transaction] = [item.transaction for item in part]
        verdicts = detector.observe_batch(transactions)
        for item in part:
            if item.label is not None:
                detector.learn(item.label)
        if start < cut:
            continue
        for verdict, row in zip(verdicts, detector.last_features, strict=True):
            if verdict.evidence or verdict.decision is not Decision.APPROVE:
                reasoned.append(row.copy())
            every.append(row.copy())
    return np.array(reasoned[-_MOST:]), np.array(every[-_MOST:])


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in figures.items()}


def _xgboost(model: TrainedModel) -> Any:  # a closure over xgboost, which has no types
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(model.booster.saved))
    booster.set_param({"nthread": 1})

    def contributions(row: NDArray[np.float32]) -> Any:
        matrix = xgboost.DMatrix(row[None, :], nthread=1)
        return booster.predict(matrix, pred_contribs=True, validate_features=False)[0]

    return contributions


def _difference(model: TrainedModel, theirs: Any, rows: NDArray[np.float32]) -> float:
    """The largest difference of a value, as a share of all that a row's features add."""
    worst = 0.0
    for row in rows[-_COMPARED:]:
        ours, expected = exact_contributions(model.booster.forest, row)[0], theirs(row)[:-1]
        worst = max(worst, float(np.abs(ours - expected).max() / np.abs(expected).sum()))
    return worst
