"""Tuning: a small search over how trees are grown, judged inside the past, slow to change.

The folds are ordered in time and expand: what came before a stretch is learned from, the stretch
is judged. A ring lies whole in the latest stretch its frauds reach, as in `scorer.splits`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from scorer.fitting import BoosterSettings, fit_booster, sample_negatives
from scorer.history_replay import Progress, silent
from scorer.metrics import average_precision
from scorer.table import Rows, Table

CANDIDATES: Final = 12
"""Settings that are tried, the default among them."""
FINALISTS: Final = 4
"""Of the others, so many go on from the last fold to all of them."""
FOLDS: Final = 3
DEFAULT_SEEDS: Final = 3
"""Seeds the default is tried with: the best of them, fold by fold, is what has to be beaten."""
MOST_NEGATIVES: Final = 10_000
"""Legitimate rows of a fold that trees grow on, or are stopped by, at most: a quarter of what a
model gets, so that 26 fits take a minute or two."""
SEARCHED: Final[dict[str, tuple[float, ...]]] = {
    "depth": (3, 4, 5, 6, 8),
    "learning_rate": (0.03, 0.05, 0.08, 0.12),
    "min_child_weight": (1.0, 2.0, 5.0, 10.0, 20.0),
    "feature_share": (0.3, 0.5, 0.7, 0.9),
    "l2": (1.0, 2.0, 5.0, 10.0),
}


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows of a table to learn from, and later ones to judge on."""

    learned: Rows
    judged: Rows


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate.

    Attributes:
        settings: How its trees are grown.
        found: Average precision by fold, the last fold first; only that one where it went no
            further.
    """

    settings: BoosterSettings
    found: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean average precision over the folds it was tried on."""
        return float(np.mean(self.found))

    def consistently_above(self, bar: Sequence[float]) -> bool:
        """Whether it is above the bar in every fold, and by more than the gain's standard error."""
        if len(self.found) < 2 or len(self.found) != len(bar):
            return False
        gains = np.subtract(self.found, bar)
        error = gains.std(ddof=1) / np.sqrt(len(gains))
        return bool((gains > 0).all() and gains.mean() > error)


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was tried and what came of it.

    Attributes:
        settings: The default's, unless one candidate was consistently better.
        trials: Every candidate, the default first.
        bar: What was to be beaten in each fold, the last fold first: the default at its best seed.
        folds: How many folds there were; fewer than two settle nothing.
    """

    settings: BoosterSettings
    trials: tuple[Trial, ...]
    bar: tuple[float, ...]
    folds: int

    @property
    def kept(self) -> bool:
        """Whether the default stands."""
        return not self.trials or self.settings == self.trials[0].settings

    def as_json(self) -> dict[str, Any]:
        """Candidates by what they differ in, plain JSON values."""
        return {
            "kept_default": self.kept,
            "folds": self.folds,
            "most_negatives": MOST_NEGATIVES,
            "chosen": _searched(self.settings),
            "bar": list(self.bar),
            "trials": [
                _searched(trial.settings)
                | {"average_precision": list(trial.found), "mean": trial.mean}
                for trial in self.trials
            ],
        }


def tune(
    table: Table,
    past: Rows,
    columns: Rows,
    default: BoosterSettings,
    seed: int,
    progress: Progress = silent,
) -> Tuning:
    """Search for better settings inside the past.

    All candidates are tried on the last fold; the best `FINALISTS` and the default also on those
    before it. The default stays unless a candidate is better than the best of `DEFAULT_SEEDS` seeds
    of the default in *every* fold, and its mean gain over them exceeds the gain's standard error;
    of several, the one with the best mean is taken. Another seed alone moves a fold by more than
    most settings do, and the folds before the last were not used to choose finalists, so luck has
    to strike in each.

    Each fit is stopped by the very rows that it is judged on: all candidates are flattered alike.

    Args:
        table: The replayed history.
        past: Rows that may be learned from.
        columns: Columns that are learned from.
        default: What stays unless something is consistently better; whatever is not searched
            (rounds, patience, row share, bins) is taken from here.
        seed: Of the candidates and of the trees.
        progress: Told each candidate.
    """
    folds = expanding_folds(table, past)[::-1]
    if len(folds) < 2:
        return Tuning(default, (), (), len(folds))
    tried: list[Trial] = []
    for number, settings in enumerate(candidates(default, seed)):
        progress("tune", number)
        tried.append(Trial(settings, (_judge(table, folds[0], columns, settings, seed),)))
    by_last = sorted(range(1, len(tried)), key=lambda place: -tried[place].mean)
    for place in [0, *by_last[:FINALISTS]]:
        progress("tune", len(tried))
        more = [_judge(table, fold, columns, tried[place].settings, seed) for fold in folds[1:]]
        tried[place] = replace(tried[place], found=(*tried[place].found, *more))
    reseeded = [tried[0].found]
    for other in range(1, DEFAULT_SEEDS):
        progress("tune", len(tried))
        found = tuple(_judge(table, fold, columns, default, seed + other) for fold in folds)
        reseeded.append(found)
    bar = tuple(max(found) for found in zip(*reseeded, strict=True))
    better = [trial for trial in tried[1:] if trial.consistently_above(bar)]
    best = max(better, key=lambda trial: trial.mean, default=tried[0])
    return Tuning(best.settings, tuple(tried), bar, len(folds))


def candidates(default: BoosterSettings, seed: int) -> list[BoosterSettings]:
    """The default and `CANDIDATES - 1` others, drawn from `SEARCHED`, no two alike."""
    rng = np.random.default_rng(seed)
    drawn = [default]
    while len(drawn) < CANDIDATES:
        choice: dict[str, Any] = {
            name: values[int(rng.integers(len(values)))] for name, values in SEARCHED.items()
        }
        settings = replace(default, **choice)
        if settings not in drawn:
            drawn.append(settings)
    return drawn


def expanding_folds(table: Table, past: Rows) -> list[Fold]:
    """At most `FOLDS` folds, in order of time.

    The past is cut where a quarter, half and three quarters of its frauds are behind: every
    stretch has as many to judge by. A fold whose two parts do not both hold both classes is left
    out.
    """
    times, fraud = table.times[past], table.fraud[past]
    moments = np.sort(times[fraud])
    if len(moments) <= FOLDS:
        return []
    cuts = [int(moments[len(moments) * part // (FOLDS + 1)]) for part in range(1, FOLDS + 1)]
    stretch = np.searchsorted(np.array(cuts, dtype=np.int64), times, side="right")
    latest: dict[str, int] = {}
    rings = [table.ring_ids[row] for row in past]
    for ring, at, label in zip(rings, stretch.tolist(), fraud, strict=True):
        if ring is not None and label:
            latest[ring] = max(at, latest.get(ring, 0))
    for place, ring in enumerate(rings):
        if ring is not None and ring in latest:
            stretch[place] = max(int(stretch[place]), latest[ring])
    folds = [Fold(past[stretch < at], past[stretch == at]) for at in range(1, FOLDS + 1)]
    return [fold for fold in folds if all(_both(table, r) for r in (fold.learned, fold.judged))]


def _both(table: Table, rows: Rows) -> bool:
    return 0 < int(table.fraud[rows].sum()) < len(rows)


def _judge(table: Table, fold: Fold, columns: Rows, settings: BoosterSettings, seed: int) -> float:
    """Average precision on the judged rows, all of them, of what the learned rows teach."""
    grown, weights = sample_negatives(table.fraud[fold.learned], seed, MOST_NEGATIVES)
    stopped, later_weights = sample_negatives(table.fraud[fold.judged], seed, MOST_NEGATIVES)
    learned, later = fold.learned[grown], fold.judged[stopped]
    booster = fit_booster(
        table.rows[np.ix_(learned, columns)],
        table.fraud[learned],
        table.rows[np.ix_(later, columns)],
        table.fraud[later],
        tuple(table.schema.names[index] for index in columns),
        settings,
        seed,
        weights=weights,
        later_weights=later_weights,
    )
    margins = booster.margins(table.rows[np.ix_(fold.judged, columns)])
    return average_precision(margins.astype(np.float64), table.fraud[fold.judged])


def _searched(settings: BoosterSettings) -> dict[str, Any]:
    return {name: value for name, value in asdict(settings).items() if name in SEARCHED}
