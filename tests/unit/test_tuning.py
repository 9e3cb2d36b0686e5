"""Tuning stays inside the past, in order of time, and leaves the default only for good reason."""

from dataclasses import replace

import numpy as np
import pytest

from scorer import tuning
from scorer.alternatives.tuned_trees import TunedTrees
from scorer.fitting import BoosterSettings
from scorer.history_replay import replay
from scorer.splits import temporal_split
from scorer.training import train
from scorer.tuning import CANDIDATES, FINALISTS, FOLDS, Trial, candidates, expanding_folds, tune
from tests import planted_history as planted

FEW = replace(planted.SMALL, rounds=20, patience=5)


@pytest.fixture(scope="module")
def table():
    return replay(planted.made(rows=1_500), planted.PingPong())


@pytest.fixture(scope="module")
def past(table):
    split = temporal_split(table)
    return np.sort(np.concatenate([split.early, split.later]))


@pytest.fixture(scope="module")
def found(table, past):
    return tune(table, past, table.schema.columns(graph=True), FEW, 1)


def test_folds_expand_in_order_of_time(table, past):
    folds = expanding_folds(table, past)
    assert len(folds) == FOLDS
    for before, fold in zip([None, *folds], folds, strict=False):
        assert set(fold.learned) | set(fold.judged) <= set(past)
        assert not set(fold.learned) & set(fold.judged)
        alone = [row for row in fold.judged if table.ring_ids[row] is None]
        assert table.times[fold.learned].max() < table.times[alone].min()
        if before is not None:
            assert set(before.learned) | set(before.judged) == set(fold.learned)


def test_a_ring_lies_whole_in_one_part_of_a_fold(table, past):
    frauds = [row for row in past if table.fraud[row]]
    rings = list(table.ring_ids)
    for row in frauds[:: len(frauds) // 6]:
        rings[row] = "long"  # one ring over the whole past
    spread = replace(table, ring_ids=tuple(rings))
    folds = expanding_folds(spread, past)
    assert len(folds) == FOLDS
    for fold in folds:
        learned, judged = (
            {rings[row] for row in rows} - {None} for rows in (fold.learned, fold.judged)
        )
        assert not learned & judged
    assert "long" in {rings[row] for row in folds[-1].judged}


def test_too_few_frauds_make_no_folds_and_the_default_stays(table, past):
    rare = np.zeros_like(table.fraud)
    rare[past[[10, 500]]] = True
    scarce = replace(table, fraud=rare)
    assert expanding_folds(scarce, past) == []
    tuned = tune(scarce, past, np.arange(6), FEW, 0)
    assert (tuned.settings, tuned.trials, tuned.kept) == (FEW, (), True)


def test_candidates_are_bounded_distinct_and_keep_what_is_not_searched():
    drawn = candidates(FEW, 5)
    assert drawn == candidates(FEW, 5) != candidates(FEW, 6)
    assert drawn[0] == FEW
    assert len(set(drawn)) == len(drawn) == CANDIDATES
    assert {(each.rounds, each.row_share, each.bins) for each in drawn} == {(20, 0.8, 128)}


def test_what_is_chosen_is_never_worse_than_the_default_on_the_folds(found):
    (chosen,) = [trial for trial in found.trials if trial.settings == found.settings]
    assert chosen.mean >= found.trials[0].mean
    assert len(chosen.found) == FOLDS
    assert sum(len(trial.found) == FOLDS for trial in found.trials) == 1 + FINALISTS
    assert found.kept or all(np.greater(chosen.found, found.bar))
    assert all(np.greater_equal(found.bar, found.trials[0].found))


def test_equal_runs_find_the_same(table, past, found):
    again = tune(table, past, table.schema.columns(graph=True), FEW, 1)
    assert again == found
    assert again.as_json()["trials"][0]["depth"] == FEW.depth


@pytest.mark.parametrize(
    ("gains", "better"),
    [
        ((0.02, 0.03, 0.01), True),
        ((0.2, 0.3, -0.001), False),  # not in every fold
        ((0.0, 0.0, 0.0), False),
        ((0.02,), False),  # one fold settles nothing
    ],
)
def test_only_a_consistent_gain_counts(gains, better):
    other = Trial(BoosterSettings(depth=3), tuple(0.5 + gain for gain in gains))
    assert other.consistently_above([0.5] * len(gains)) is better


def test_a_candidate_that_went_no_further_is_not_better():
    assert not Trial(BoosterSettings(depth=3), (0.9,)).consistently_above((0.5, 0.5, 0.5))


def test_a_starved_default_is_left(table, past):
    starved = replace(FEW, min_child_weight=1e6)  # no split holds so much: it learns nothing
    tuned = tune(table, past, table.schema.columns(graph=True), starved, 1)
    assert not tuned.kept
    assert tuned.settings.min_child_weight < 1e6
    rung = TunedTrees("tuned", "the tuned XGBoost", "graph", starved)
    said = rung.fit_scores(table, temporal_split(table), 1)
    assert said.facts["chosen"]["min_child_weight"] < 1e6
    assert "was taken" in said.sentences[0]


@pytest.mark.slow
def test_training_writes_down_what_was_tried():
    history = planted.made(rows=1_000)
    model = train(history, planted.PingPong(), settings=FEW, tuned=True)
    assert len(model.metrics["tuning"]["trials"]) == tuning.CANDIDATES
    assert model.metrics["tuning"]["folds"] == FOLDS
    plain = train(history, planted.PingPong(), settings=FEW)
    assert "tuning" not in plain.metrics
    assert model.metrics["tuning"]["kept_default"] == (model.booster.saved == plain.booster.saved)
