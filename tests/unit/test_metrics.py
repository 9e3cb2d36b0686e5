import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from graph.transaction import DAY
from scorer.decision import FIXED, Costs, Policy
from scorer.metrics import (
    Ranking,
    average_precision,
    calibration_figures,
    clusters_of,
    cost_curve,
    cost_per_transaction,
    gain,
    interval,
    precision_at_budget,
    precision_recall_points,
    recall_at_precision,
    resampled_average_precision,
    within_budget,
)


def drawn(seed, rows=500, rate=0.2, signal=1.0):
    rng = np.random.default_rng(seed)
    fraud = rng.random(rows) < rate
    fraud[:2] = [True, False]
    return 1 / (1 + np.exp(-(rng.normal(size=rows) + signal * fraud))), fraud


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 300), st.integers(0, 2))
def test_average_precision_is_that_of_scikit_learn_ties_included(seed, rows, digits):
    scores, fraud = drawn(seed, rows)
    scores = np.round(scores, digits)
    assert average_precision(scores, fraud) == pytest.approx(average_precision_score(fraud, scores))


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.sampled_from([1, 3]))
def test_a_row_that_counts_thrice_is_three_rows(seed, rows, digits):
    rng = np.random.default_rng(seed)
    scores, fraud = rng.random(rows).round(digits), rng.random(rows) < 0.3
    times = rng.integers(0, 4, rows)
    weighted = Ranking.of(scores, fraud).average_precision(times.astype(np.float64))
    repeated = average_precision(np.repeat(scores, times), np.repeat(fraud, times))
    assert weighted == pytest.approx(repeated, nan_ok=True)


def test_average_precision_of_nothing_to_find_is_not_a_number():
    assert math.isnan(average_precision(np.array([0.5, 0.2]), np.array([False, False])))
    assert math.isnan(average_precision(np.empty(0), np.empty(0, dtype=bool)))
    with pytest.raises(ValueError, match="finite"):
        average_precision(np.array([np.nan]), np.array([True]))


def test_recall_at_precision_takes_the_best_threshold_not_the_first():
    # A false alarm on top, then four frauds: precision .80 is reached only at the last of them.
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.1])
    fraud = np.array([False, True, True, True, True, False])
    assert recall_at_precision(scores, fraud) == {"0.80": 1.0, "0.90": 0.0, "0.95": 0.0}


def test_the_interval_holds_the_figure_and_widens_when_fraud_comes_in_rings():
    scores, fraud = drawn(1, rows=4_000, rate=0.05)
    rng = np.random.default_rng(0)
    rings = [f"r{rng.integers(4)}" if label else None for label in fraud]
    scores = scores + np.array([0.0 if r is None else 0.3 * (int(r[1]) - 1.5) for r in rings])
    ranking = {"all": Ranking.of(scores, fraud)}
    figure = average_precision(scores, fraud)
    alone = resampled_average_precision(ranking, np.arange(len(fraud)), seed=5)["all"]
    whole = resampled_average_precision(ranking, clusters_of(fraud, rings), seed=5)["all"]
    low, high = interval(alone)
    assert low < figure < high
    wide = interval(whole)
    assert wide[1] - wide[0] > 1.5 * (high - low)
    again = resampled_average_precision(ranking, np.arange(len(fraud)), seed=5)["all"]
    np.testing.assert_array_equal(alone, again)


def test_resamples_without_fraud_are_left_out_of_the_interval():
    ranking = {"all": Ranking.of(np.array([0.9, 0.1, 0.2]), np.array([True, False, False]))}
    values = resampled_average_precision(ranking, np.arange(3), seed=0)["all"]
    assert 0 < np.isnan(values).sum() < len(values)
    assert interval(values) == [1.0, 1.0]
    assert all(map(math.isnan, interval(np.full(3, np.nan))))


def test_clusters_are_rings_of_fraud_only():
    fraud = np.array([True, True, False, True, True])
    assert clusters_of(fraud, ["a", "b", "a", "a", None]).tolist() == [0, 1, 2, 0, 4]


def test_a_real_gain_excludes_zero_and_none_does_not():
    weak, fraud = drawn(2, rows=3_000, signal=0.5)
    strong = weak + 0.4 * fraud
    rankings = {"weak": Ranking.of(weak, fraud), "strong": Ranking.of(strong, fraud)}
    values = resampled_average_precision(rankings, np.arange(len(fraud)), seed=1)
    real = gain(values["strong"], values["weak"], 0.3)
    assert real["excludes_zero"]
    assert real["ci"][0] < real["ci"][1]
    assert gain(values["weak"], values["weak"], 0.0) == {
        "difference": 0.0,
        "ci": [0.0, 0.0],
        "excludes_zero": False,
    }


def test_the_budget_is_kept_by_day_and_ties_go_by_time():
    times = np.array([5, 4, 3, 2, 1, DAY, DAY + 1], dtype=np.int64)
    scores = np.array([0.1, 0.5, 0.5, 0.9, 0.5, 0.0, 0.2])
    alerted = within_budget(scores, times, budget=2)
    assert alerted.tolist() == [False, False, False, True, True, True, True]


def test_precision_at_budget_counts_alerts_over_days():
    rng = np.random.default_rng(0)
    times = np.repeat(np.arange(3) * DAY, 200).astype(np.int64)
    fraud = rng.random(600) < 0.1
    figures = precision_at_budget(fraud.astype(float), fraud, times)
    assert figures["days"] == 3
    assert figures["alerts"] == 300
    assert figures["recall"] == 1.0
    assert figures["precision"] == pytest.approx(fraud.sum() / 300)


def test_costs_are_those_of_the_decisions_taken():
    scores = np.array([0.9, 0.9, 0.1, 0.1])
    fraud = np.array([True, False, True, False])
    costs = cost_per_transaction(scores, fraud, {"fixed": FIXED})
    assert costs == {"fixed": (0 + 100 + 550 + 0) / 4, "approve_all": 2 * 550 / 4}


def test_the_cost_curve_starts_at_approving_all_and_ends_at_declining_all():
    scores, fraud = drawn(3, rows=1_000)
    curve = cost_curve(scores, fraud, Policy(Costs()))
    assert curve[0] == [0.0, pytest.approx(fraud.mean() * 550)]
    assert curve[-1] == [1.0, pytest.approx((1 - fraud.mean()) * 100)]
    assert min(cost for _, cost in curve) < min(curve[0][1], curve[-1][1])


def test_points_of_the_curve_run_to_full_recall():
    scores, fraud = drawn(4, rows=2_000)
    points = precision_recall_points(scores, fraud)
    assert points[-1][0] == 1.0
    assert 100 < len(points) <= 200
    assert [recall for recall, _ in points] == sorted(recall for recall, _ in points)


def test_calibration_of_honest_probabilities_is_honest():
    rng = np.random.default_rng(0)
    scores = rng.random(50_000) ** 2
    fraud = rng.random(50_000) < scores
    figures = calibration_figures(scores, fraud)
    assert len(figures["bins"]) == 10
    assert sum(part["rows"] for part in figures["bins"]) == 50_000
    for part in [*figures["bins"], figures["top_percent"]]:
        assert part["predicted"] == pytest.approx(part["observed"], abs=0.03)
    assert figures["brier"] < figures["brier_of_base_rate"]
    assert figures["top_percent"]["rows"] == 500


def test_no_figure_of_calibration_hangs_on_the_order_of_equal_scores():
    scores = np.repeat([0.02, 0.1], 500)
    fraud = np.arange(1_000) % 500 < 50
    order = np.random.default_rng(1).permutation(1_000)
    figures = calibration_figures(scores, fraud)
    for turned in (slice(None, None, -1), order):
        others = calibration_figures(scores[turned], fraud[turned])
        assert others["bins"] == figures["bins"]
        assert others["top_percent"] == figures["top_percent"]
    assert figures["top_percent"]["observed"] == pytest.approx(0.1)
