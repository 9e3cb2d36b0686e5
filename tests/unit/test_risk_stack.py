"""The stack learns from scores out of fold: what is worth remembering, and when nothing is."""

from dataclasses import replace

import numpy as np
import pytest

from graph.transaction import DAY
from scorer.calibration import Platt
from scorer.fitting import BoosterSettings
from scorer.metrics import average_precision
from scorer.out_of_fold import LATER_PARTS, PARTS, Grower, _folds, early_margins, later_margins
from scorer.party_columns import PartyColumns
from scorer.ports import FeatureSchema
from scorer.risk_stack import LEAST_FRAUDS, learn_stack, score_history
from scorer.table import Table, TableBuilder

ROWS = 12_000


class Parties(PartyColumns):
    """Given as codes."""

    def __init__(self, codes):
        super().__init__()
        self._given = codes

    def codes(self):
        return self._given


def made(seed: int, *, contagious: bool, frauds: float = 0.03) -> tuple[Table, np.ndarray]:
    """A table of nothing but parties, and margins that know a little of the truth.

    Frauds come in runs on one device where it is contagious, else anywhere.
    """
    rng = np.random.default_rng(seed)
    codes = np.full((ROWS, 5), -1, np.int32)
    codes[:, 0] = rng.integers(0, 3000, ROWS)
    codes[:, 2] = rng.integers(0, 2000, ROWS)
    if contagious:
        start = rng.choice(ROWS - 40, int(ROWS * frauds / 8), replace=False)
        fraud = np.zeros(ROWS, np.bool_)
        for number, at in enumerate(start):
            run = at + np.sort(rng.choice(40, 8, replace=False))
            fraud[run] = True
            codes[run, 2] = 2000 + number
    else:
        fraud = rng.random(ROWS) < frauds
    schema = FeatureSchema(("hint",), ("amount",))
    hint = (fraud * 1.5 + rng.normal(size=ROWS)).astype(np.float32)
    empty = TableBuilder(schema).table()
    table = replace(
        empty,
        rows=hint[:, None],
        fraud=fraud,
        times=np.arange(ROWS, dtype=np.int64) * (30 * DAY // ROWS),
        ring_score=np.zeros(ROWS),
        joint=np.zeros(ROWS),
        ring_ids=(None,) * ROWS,
        parties=Parties(codes),
    )
    return table, (1.5 * hint - 5).astype(np.float32)


EARLY, LATER = np.arange(7000), np.arange(7000, 9000)
TEST = np.arange(9000, ROWS)


def test_a_memory_is_learned_where_fraud_comes_in_runs() -> None:
    table, margins = made(1, contagious=True)
    blend = learn_stack(table, EARLY, LATER, margins, Platt(1.0, 0.0), 0)
    assert blend.memory
    scores = score_history(table, margins, Platt(1.0, 0.0), blend)[TEST]
    fraud = table.fraud[TEST]
    assert average_precision(scores[:, 1], fraud) > average_precision(scores[:, 0], fraud) + 0.2
    assert scores[:, 1].mean() == pytest.approx(fraud.mean(), rel=0.5)
    assert scores[fraud, 5].mean() > scores[~fraud, 5].mean() + 1  # it is the device that tells


def test_with_few_frauds_no_memory_is_tried() -> None:
    table, margins = made(2, contagious=True)
    few = np.flatnonzero(~table.fraud | (np.cumsum(table.fraud) < LEAST_FRAUDS))
    early = np.intersect1d(EARLY, few)
    assert not learn_stack(table, early, LATER, margins, Platt(1.0, 0.0), 0).memory


def test_rows_without_a_score_leave_nothing_behind() -> None:
    table, margins = made(3, contagious=True)
    blend = learn_stack(table, EARLY, LATER, margins, Platt(1.0, 0.0), 0)
    margins[:9000] = np.nan
    scores = score_history(table, margins, Platt(1.0, 0.0), blend)
    assert np.isnan(scores[:9000, 1]).all()
    assert (scores[9000, 4:6] == 0.0).all()


def test_folds_know_only_what_came_before_and_rings_stay_whole() -> None:
    table, _ = made(4, contagious=False)
    rings = [f"ring{row // 900}" if fraud else None for row, fraud in enumerate(table.fraud)]
    table = replace(table, ring_ids=tuple(rings))
    folds = _folds(table, EARLY, 0, in_time=True)
    assert len(folds) == PARTS - 1
    for grown_on, scored in folds:
        assert table.times[grown_on].max() < table.times[scored].min()
        after = {rings[row] for row in EARLY if row >= scored[0]} - {None}
        assert not after & {rings[row] for row in grown_on}
    assert np.array_equal(np.concatenate([scored for _, scored in folds]), EARLY[1750:])


@pytest.fixture
def grower() -> Grower:
    table, _ = made(5, contagious=False)
    return Grower(table, np.array([0]), BoosterSettings(min_child_weight=1.0), 0, 5)


def test_where_time_does_not_count_every_row_is_scored_by_the_others(grower) -> None:
    margins = early_margins(grower, EARLY, in_time=False)
    assert not np.isnan(margins[EARLY]).any()
    assert np.isnan(margins[LATER]).all()
    assert np.array_equal(margins, early_margins(grower, EARLY, in_time=False), equal_nan=True)
    forward = early_margins(grower, EARLY)
    assert np.isnan(forward[EARLY[:1750]]).all()
    assert not np.isnan(forward[EARLY[1750:]]).any()


def test_the_later_slice_is_scored_by_trees_that_know_what_came_before(grower) -> None:
    """Poison the future: what comes after a part changes nothing that is said of it."""
    given = np.full(len(LATER), 9.0, np.float32)
    margins = later_margins(grower, EARLY, LATER, given)
    part = len(LATER) // LATER_PARTS
    assert (margins[:part] == 9.0).all()
    assert (margins[part + 1 :] != 9.0).all()
    poisoned = grower.table.fraud.copy()
    poisoned[LATER[2 * part + 1 :]] ^= True
    other = replace(grower, table=replace(grower.table, fraud=poisoned))
    assert np.array_equal(later_margins(other, EARLY, LATER, given), margins)


def test_with_too_few_frauds_before_it_a_part_stays_without(grower) -> None:
    honest = replace(grower, table=replace(grower.table, fraud=np.zeros(ROWS, np.bool_)))
    assert np.isnan(early_margins(honest, EARLY)).all()
