"""Fitting: what is learned from past rows, and all that needs XGBoost and scikit-learn.

Trees grow on the oldest slice; when to stop, what a margin means (calibration) and how much rings
and evidence add (blend) are learned on a later one, at the natural rate of fraud.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xgboost
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from graph.errors import InvalidSetting
from scorer.blend import Blend
from scorer.booster import Booster
from scorer.calibration import Calibration, Isotonic, Platt

THREADS: Final = 1
"""A second thread gains nothing on tables of 20,000 rows, and where another process keeps the
cores busy its spinning barriers cost 10 to 25 times the time (0.4 against 3.8 and 10.5 s)."""
ISOTONIC_FROM: Final = 1_000
"""Positives from which isotonic regression is used; below it, its steps follow the noise."""
MOST_NEGATIVES: Final = 40_000
"""Legitimate rows that trees grow on, or are stopped by, at most; of more, a sample stands for all.
A thread grows 300 trees of six levels on them and 196 features in under ten seconds."""
Objective = Callable[
    [NDArray[np.float32], xgboost.DMatrix], tuple[NDArray[np.float64], NDArray[np.float64]]
]
"""Gradient and hessian of a loss by the margin, float64 [R] each, of margins float32 [R]."""
_SLOPE_AT_LEAST: Final = 0.05
_SMALLEST_STEP: Final = 1e-6
_MEMORY_SHARE: Final = 0.1
"""What is recalled is scaled to this spread before the ridge: its weights cost a hundredfold."""


@dataclass(frozen=True, slots=True)
class BoosterSettings:
    """How the trees are grown; one set of defaults, chosen across all the public data sets.

    Attributes:
        rounds: Trees at most; early stopping usually ends sooner.
        patience: Rounds without a better average precision on the later slice before it stops.
        depth: Splits from root to leaf at most.
        learning_rate: Share of each tree's answer that is kept.
        min_child_weight: Hessian a leaf must hold: keeps leaves from naming single frauds.
        row_share: Rows each tree sees.
        feature_share: Features each tree sees.
        l2: Ridge on leaf values.
        bins: Histogram bins a feature at most.
        positive_weight: Weight of a fraud against a legitimate row. 1 keeps the probabilities at
            the natural rate; calibration then has little to undo.
    """

    rounds: int = 400
    patience: int = 100
    depth: int = 6
    learning_rate: float = 0.05
    min_child_weight: float = 5.0
    row_share: float = 0.8
    feature_share: float = 0.5
    l2: float = 2.0
    bins: int = 128
    positive_weight: float = 1.0


def sample_negatives(
    fraud: NDArray[np.bool_],
    seed: int,
    most: int | None = None,
    among: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Rows to learn from and their weights: every fraud, and at most so many others.

    Each of the others weighs as many rows as it stands for, so probabilities stay at the natural
    rate.

    Args:
        fraud: bool [R].
        seed: Of the drawing.
        most: Others at most; `MOST_NEGATIVES` where left out.
        among: bool [R], the others that may be drawn; all where left out. They stand for the rest
            too, so each has to have had the same chance to be among them.

    Returns:
        Rows in their order, int [K], and weights, float32 [K].
    """
    drawn = np.flatnonzero(~fraud if among is None else ~fraud & among)
    bound = MOST_NEGATIVES if most is None else most
    if len(drawn) > bound:
        drawn = np.random.default_rng(seed).choice(drawn, bound, replace=False)
    rows = np.sort(np.concatenate([np.flatnonzero(fraud), drawn]))
    each = np.count_nonzero(~fraud) / max(1, len(drawn))
    return rows, np.where(fraud[rows], 1.0, each).astype(np.float32)


def fit_booster(
    rows: NDArray[np.float32],
    fraud: NDArray[np.bool_],
    later_rows: NDArray[np.float32],
    later_fraud: NDArray[np.bool_],
    names: tuple[str, ...],
    settings: BoosterSettings,
    seed: int,
    *,
    weights: NDArray[np.float32] | None = None,
    later_weights: NDArray[np.float32] | None = None,
    onto: Booster | None = None,
    objective: Objective | None = None,
) -> Booster:
    """Grow trees on `rows`, stop early by average precision on the later slice.

    Equal input and seed give equal trees: histograms are built by one thread.

    Args:
        rows: float32 [R, F], NaN for the unknown.
        fraud: bool [R].
        later_rows: float32 [S, F], later than `rows`.
        later_fraud: bool [S].
        weights: How many rows each of `rows` stands for, float32 [R]; one where left out.
        later_weights: The same for the later rows, [S].
        onto: Trees that come before these and are corrected by them.
        names: Feature names, in column order.
        settings: How the trees are grown.
        seed: Seed of the row and feature sampling.
        objective: The loss trees lessen; that of the logistic regression where left out.

    Raises:
        InvalidSetting: One of the slices does not hold both classes, so nothing can be learned.
    """
    for name, labels in (("training slice", fraud), ("later slice", later_fraud)):
        if labels.all() or not labels.any():
            raise InvalidSetting(
                "learning needs fraud and legitimate transactions in every slice",
                field=name,
                value=f"{int(labels.sum())} frauds of {len(labels)} labelled",
                remedy="Give a longer history, or move the dates of the split.",
            )
    learned = _matrix(rows, fraud, weights, names, settings)
    # Not binned like the rows that trees grow on: XGBoost predicts plain rows ten times as fast,
    # and to the same bit, since a bin's edges are what a tree splits at.
    later = xgboost.DMatrix(
        later_rows,
        label=later_fraud,
        weight=later_weights,
        feature_names=list(names),
        nthread=THREADS,
    )
    grown = xgboost.train(
        _parameters(fraud, weights, settings, seed),
        learned,
        num_boost_round=settings.rounds,
        evals=[(later, "later")],
        early_stopping_rounds=settings.patience,
        obj=objective,
        verbose_eval=False,
        xgb_model=None if onto is None else bytearray(onto.saved),
    )
    kept = grown[: grown.best_iteration + 1]
    kept.set_attr(best_score=None, best_iteration=None)
    return Booster.from_json(bytes(kept.save_raw("json")), names)


def regrow_booster(
    rows: NDArray[np.float32],
    fraud: NDArray[np.bool_],
    names: tuple[str, ...],
    settings: BoosterSettings,
    seed: int,
    trees: int,
    weights: NDArray[np.float32] | None = None,
    onto: Booster | None = None,
    objective: Objective | None = None,
) -> Booster:
    """Grow exactly this many trees on `rows`, float32 [R, F], labelled by `fraud`, bool [R].

    `weights`, float32 [R], says how many rows each stands for; one where left out. Where `onto` is
    given, the trees correct those of that booster and come after them. `objective` is the loss they
    lessen, as in `fit_booster`.
    """
    grown = xgboost.train(
        _parameters(fraud, weights, settings, seed),
        _matrix(rows, fraud, weights, names, settings),
        num_boost_round=trees,
        obj=objective,
        verbose_eval=False,
        xgb_model=None if onto is None else bytearray(onto.saved),
    )
    return Booster.from_json(bytes(grown.save_raw("json")), names)


def _matrix(
    rows: NDArray[np.float32],
    fraud: NDArray[np.bool_],
    weights: NDArray[np.float32] | None,
    names: tuple[str, ...],
    settings: BoosterSettings,
) -> Any:
    return xgboost.QuantileDMatrix(
        rows,
        label=fraud,
        weight=weights,
        feature_names=list(names),
        max_bin=settings.bins,
        nthread=THREADS,
    )


def _parameters(
    fraud: NDArray[np.bool_],
    weights: NDArray[np.float32] | None,
    settings: BoosterSettings,
    seed: int,
) -> dict[str, Any]:
    return {
        "objective": "binary:logistic",
        "eval_metric": "aucpr",
        "tree_method": "hist",
        "nthread": THREADS,
        "seed": seed,
        "max_depth": settings.depth,
        "eta": settings.learning_rate,
        "min_child_weight": settings.min_child_weight,
        "subsample": settings.row_share,
        "colsample_bytree": settings.feature_share,
        "lambda": settings.l2,
        "max_bin": settings.bins,
        "scale_pos_weight": settings.positive_weight,
        "base_score": float(np.average(fraud, weights=weights)),
    }


def fit_calibration(margins: NDArray[np.float32], fraud: NDArray[np.bool_]) -> Calibration:
    """Fit on a later slice: margins float32 [R], fraud bool [R], both classes present.

    Platt's two parameters under `ISOTONIC_FROM` positives, isotonic regression from there on.
    """
    if int(fraud.sum()) < ISOTONIC_FROM:
        return fit_platt(margins, fraud)
    return fit_isotonic(margins, fraud)


def fit_platt(margins: NDArray[np.float32], fraud: NDArray[np.bool_]) -> Platt:
    """Logistic regression of fraud on the margin, with Platt's smoothed targets.

    A positive counts as (n+ + 1) / (n+ + 2) and a negative as 1 / (n- + 2), which keeps the line
    finite where the classes separate. A margin that ranks no better than chance gets a slope of
    0.05 rather than one that turns the ranking round.
    """
    positives = int(fraud.sum())
    negatives = len(fraud) - positives
    target = np.where(fraud, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    column = margins.astype(np.float64).reshape(-1, 1)
    line = LogisticRegression(C=1e6, max_iter=1_000)
    line.fit(
        np.concatenate([column, column]),
        np.repeat([1, 0], len(fraud)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    slope = float(line.coef_[0, 0])
    if slope >= _SLOPE_AT_LEAST:
        return Platt(slope=slope, intercept=float(line.intercept_[0]))
    rate = (positives + 1) / (len(fraud) + 2)
    middle = float(np.mean(margins))
    return Platt(
        slope=_SLOPE_AT_LEAST,
        intercept=math.log(rate / (1 - rate)) - _SLOPE_AT_LEAST * middle,
    )


def fit_isotonic(margins: NDArray[np.float32], fraud: NDArray[np.bool_]) -> Isotonic:
    """Isotonic regression, each flat step drawn together to its centre.

    Centring (Oron & Flournoy 2017) makes the curve strictly increasing, so that ties appear only
    where margins tie. The rate of a step of n rows with k frauds is (k + r) / (n + 1), r being
    the overall rate: no step claims 0 or 1.
    """
    order = np.argsort(margins, kind="stable")
    ranked = margins[order].astype(np.float64)
    labels = fraud[order].astype(np.float64)
    fitted = IsotonicRegression().fit_transform(ranked, labels)
    starts = np.flatnonzero(np.r_[True, np.diff(fitted) > 0])
    sizes = np.diff(np.r_[starts, len(fitted)])
    rate = float(labels.mean())
    centres = np.add.reduceat(ranked, starts) / sizes
    rates = (np.add.reduceat(labels, starts) + rate) / (sizes + 1)
    values = np.maximum.accumulate(np.log(rates / (1 - rates)))
    keep = np.r_[True, (np.diff(centres) > _SMALLEST_STEP) & (np.diff(values) > _SMALLEST_STEP)]
    return Isotonic(
        margins=tuple(float(x) for x in centres[keep]),
        values=tuple(float(x) for x in values[keep]),
    )


def fit_blend(
    model_log_odds: NDArray[np.float64],
    ring_score: NDArray[np.float64],
    joint: NDArray[np.float64],
    fraud: NDArray[np.bool_],
    recalled: NDArray[np.float32] | None = None,
    weights: NDArray[np.float32] | None = None,
) -> Blend:
    """Logistic stack on rows the model had not seen, all [R], both classes present.

    A ring or evidence weight below 0 would mean that being seen in a ring clears somebody: such an
    input is left out and the rest fitted again. If even the model ranks no better than chance
    here, the rows cannot carry a fit and the model is taken at its word.

    What is recalled of quiet neighbours does clear somebody, so its weights are free; a ridge keeps
    the 63 of them, which say nearly the same, from running against each other.

    Args:
        model_log_odds: float64 [R], calibrated.
        ring_score: float64 [R].
        joint: float64 [R].
        fraud: bool [R].
        recalled: float32 [R, WIDTH] (`scorer.risk_memory`); without it the memory is not used.
        weights: How many rows each stands for, float32 [R]; one where left out.
    """
    inputs = {"model": model_log_odds, "ring": ring_score, "evidence": joint}
    memory = np.empty((len(fraud), 0)) if recalled is None else recalled.astype(np.float64)
    spread = np.maximum(memory.std(axis=0), _SMALLEST_STEP) / _MEMORY_SHARE
    while True:
        table = np.column_stack([*inputs.values(), memory / spread])
        line = LogisticRegression(C=1.0, max_iter=2_000).fit(table, fraud, sample_weight=weights)
        found = line.coef_[0].tolist()
        plain = dict(zip(inputs, found, strict=False))
        if plain["model"] <= _SLOPE_AT_LEAST:
            return Blend()
        against = [name for name, weight in plain.items() if weight < 0]
        if not against:
            worth = np.array(found[len(inputs) :]) / spread
            return Blend(intercept=float(line.intercept_[0]), **plain, memory=tuple(worth.tolist()))
        for name in against:
            del inputs[name]
