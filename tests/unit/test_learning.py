"""What is learned with and without trees of another history."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from scorer.booster import Booster
from scorer.fitting import regrow_booster
from scorer.history_replay import replay
from scorer.learning import Learned, learn_from, learn_whole
from scorer.metrics import average_precision
from scorer.splits import Split, temporal_split
from scorer.table import Table
from tests import planted_history as planted

pytestmark = pytest.mark.slow


TREES = 60
SEED = 3


def table_of(seed: int, rows: int) -> Table:
    return replay(planted.made(seed, rows), planted.PingPong())


def trees_of(table: Table, fraud: NDArray[np.bool_] | None = None) -> Booster:
    """Trees grown on all of a table; on other labels where these are given."""
    labels = table.fraud if fraud is None else fraud
    return regrow_booster(table.rows, labels, table.schema.names, planted.SMALL, 0, TREES)


@pytest.fixture(scope="module")
def elsewhere() -> Table:
    """Another history, with far more frauds than the own one."""
    return table_of(21, 12_000)


@pytest.fixture(scope="module")
def own() -> tuple[Table, Split]:
    table = table_of(22, 1_500)
    return table, temporal_split(table, 0)


def precision(learned: Learned, table: Table, rows: NDArray[np.intp]) -> float:
    return average_precision(learned.probabilities(table, rows), table.fraud[rows])


def test_trees_that_cannot_be_bettered_stay_as_they_are(own: tuple[Table, Split]) -> None:
    table, split = own
    # They know the answers.
    trees = trees_of(table)
    columns = table.schema.columns(graph=True)
    learned = learn_from(table, split, columns, planted.SMALL, SEED, onto=trees)
    assert learned.booster is trees
    past = np.concatenate([split.early, split.later])
    assert np.array_equal(learned.past[past], trees.margins(table.rows[past]))
    assert np.isnan(np.delete(learned.past, past)).all()


def test_trees_that_miss_something_are_corrected(
    elsewhere: Table, own: tuple[Table, Split]
) -> None:
    table, split = own
    # They were told that small frauds are none.
    small = elsewhere.fraud & (elsewhere.values < np.median(elsewhere.values[elsewhere.fraud]))
    trees = trees_of(elsewhere, elsewhere.fraud & ~small)
    columns = table.schema.columns(graph=True)
    learned = learn_from(table, split, columns, planted.SMALL, SEED, onto=trees)
    assert learned.booster.tree_count > TREES
    before = average_precision(
        trees.margins(table.rows[split.test]).astype(np.float64), table.fraud[split.test]
    )
    assert precision(learned, table, split.test) > before
    # What is said of the past is not said by trees that had seen it.
    assert not np.array_equal(
        learned.past[split.later], learned.booster.margins(table.rows[split.later])
    )


def test_the_starter_serves_where_it_ranks_the_later_rows_better_beyond_doubt(
    own: tuple[Table, Split],
) -> None:
    table, split = own
    knowing = learn_whole(table, split, planted.SMALL, SEED, trees_of(table))
    assert knowing.from_starter
    assert knowing.starter is not None
    assert knowing.starter["starter"] > knowing.starter["own"]
    assert knowing.starter["ci"][0] > 0
    assert precision(knowing.served, table, split.test) > precision(knowing.own, table, split.test)
    # It was scored without a stack on the way; what serves has one.
    assert not np.array_equal(knowing.own.past, knowing.served.past, equal_nan=True)


def test_a_starter_that_knows_nothing_is_left_out(
    elsewhere: Table, own: tuple[Table, Split]
) -> None:
    table, split = own
    senseless = np.random.default_rng(1).permutation(elsewhere.fraud)
    whole = learn_whole(table, split, planted.SMALL, SEED, trees_of(elsewhere, senseless))
    assert not whole.from_starter
    alone = learn_whole(table, split, planted.SMALL, SEED, None)
    assert alone.starter is None
    assert whole.served.booster.saved == alone.served.booster.saved == alone.own.booster.saved
    assert whole.served.blend == alone.served.blend


def test_who_was_never_scored_out_of_fold_is_not_scored_by_trees_that_grew_on_it(
    own: tuple[Table, Split],
) -> None:
    """A ring that began early puts its first row into the later slice, where rows are scored."""
    table, split = own
    ids = list(table.ring_ids)
    first = np.flatnonzero(table.fraud)[0]
    ids[first] = ids[split.later[table.fraud[split.later]][-1]] = "long"
    table = replace(table, ring_ids=tuple(ids))
    split = temporal_split(table, 0)
    assert first in split.later
    learned = learn_whole(table, split, planted.SMALL, SEED, None).served
    margins = learned.history_margins(table, split.test)
    unscored = split.early[np.isnan(learned.past[split.early])]
    assert len(unscored)
    assert np.isnan(margins[unscored]).all()
    assert not np.isnan(margins[split.test]).any()
    # Whoever is asked about keeps what was said of it before it was learned from.
    asked = learned.history_margins(table, split.later)
    assert np.array_equal(asked[split.later], learned.past[split.later])
