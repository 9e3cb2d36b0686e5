"""Exact contributions against XGBoost's own, and against the definition of a Shapley value."""

import json
from itertools import combinations
from math import factorial

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.errors import Incompatible
from scorer.booster import Booster
from scorer.tree_shap import exact_contributions, shap_of_row
from scorer.trees import read_forest
from tests.examples import examples


def table(seed, rows=900, width=8):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, width)).astype(np.float32)
    x[:, 1] = np.round(x[:, 1])  # ties at thresholds
    x[:, 2] = x[:, 0]  # says the same as another
    x[rng.random(x.shape) < 0.15] = np.nan
    score = np.nan_to_num(x) @ rng.normal(size=width) + rng.normal(size=rows)
    return x, score > np.quantile(score, 0.85)


def grown(seed, depth=5, rounds=12, rows=900, width=8, **how):
    x, y = table(seed, rows, width)
    asked = {"objective": "binary:logistic", "max_depth": depth, "seed": seed, "nthread": 1, **how}
    return xgboost.train(asked, xgboost.DMatrix(x, label=y), num_boost_round=rounds)


def saved(trained):
    return bytes(trained.save_raw("json"))


def by_definition(tree, width, row):
    """Shapley values of one tree as XGBoost saved it: all subsets, float64, no shortcut."""

    def expected(node, known):
        left, right = tree["left_children"][node], tree["right_children"][node]
        if left < 0:
            return float(np.float32(tree["split_conditions"][node]))
        feature = tree["split_indices"][node]
        if feature in known:
            value = row[feature]
            if np.isnan(value):
                return expected(left if tree["default_left"][node] else right, known)
            below = value < np.float32(tree["split_conditions"][node])
            return expected(left if below else right, known)
        a, b = tree["sum_hessian"][left], tree["sum_hessian"][right]
        if a + b == 0:
            return 0.0
        return (a * expected(left, known) + b * expected(right, known)) / (a + b)

    values = np.zeros(width)
    for feature in range(width):
        others = [other for other in range(width) if other != feature]
        for size in range(width):
            weight = factorial(size) * factorial(width - size - 1) / factorial(width)
            for known in combinations(others, size):
                gain = expected(0, {*known, feature}) - expected(0, set(known))
                values[feature] += weight * gain
    return values, expected(0, set())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("depth", [1, 3, 6, 10])
def test_contributions_are_those_of_xgboost(seed, depth):
    trained = grown(seed, depth)
    forest = read_forest(saved(trained))
    rows, _ = table(100 + seed, rows=40)
    rows[0] = np.nan
    theirs = trained.predict(xgboost.DMatrix(rows), pred_contribs=True)
    for row, expected in zip(rows, theirs, strict=True):
        values, base = exact_contributions(forest, row)
        # Relative to what the row's features add together: theirs are summed in float32.
        scale = np.abs(expected).sum()
        np.testing.assert_allclose(values, expected[:-1], rtol=1e-4, atol=1e-5 * scale)
        assert base == pytest.approx(expected[-1], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_contributions_are_shapley_values_by_definition(seed):
    # Deeper than there are features: a path meets the same one again and again.
    trained = grown(seed, depth=6, rounds=4, rows=250, width=4, min_child_weight=0.1)
    trees = json.loads(saved(trained))["learner"]["gradient_booster"]["model"]["trees"]
    forest = read_forest(saved(trained))
    rows, _ = table(50 + seed, rows=25, width=4)
    for row in rows:
        found = [by_definition(tree, 4, row) for tree in trees]
        values, base = exact_contributions(forest, row)
        np.testing.assert_allclose(values, sum(each for each, _ in found), rtol=1e-9, atol=1e-12)
        assert base == pytest.approx(
            float(forest.base) + sum(start for _, start in found), abs=1e-6
        )


def altered(trained, change):
    """The saved model with every tree changed by hand."""
    document = json.loads(saved(trained))
    for tree in document["learner"]["gradient_booster"]["model"]["trees"]:
        change(tree)
    return json.dumps(document).encode()


@pytest.mark.parametrize("seed", range(4))
def test_branches_that_training_never_took_are_no_stumbling_block(seed):
    def empty(tree):
        rng = np.random.default_rng(seed)
        for node, left in enumerate(tree["left_children"]):
            if left > 0 and rng.random() < 0.4:
                tree["sum_hessian"][(left, tree["right_children"][node])[rng.integers(2)]] = 0.0

    forged = altered(grown(seed, depth=5, rounds=3, rows=250, width=4), empty)
    trees = json.loads(forged)["learner"]["gradient_booster"]["model"]["trees"]
    forest = read_forest(forged)
    rows, _ = table(70 + seed, rows=25, width=4)
    for row in rows:
        found = [by_definition(tree, 4, row) for tree in trees]
        values, base = exact_contributions(forest, row)
        np.testing.assert_allclose(values, sum(each for each, _ in found), rtol=1e-9, atol=1e-12)
        assert base == pytest.approx(
            float(forest.base) + sum(start for _, start in found), abs=1e-6
        )


def test_a_cover_that_is_no_weight_is_refused():
    forged = altered(grown(1, rounds=2), lambda tree: tree["sum_hessian"].__setitem__(-1, -1.0))
    with pytest.raises(Incompatible, match="damaged"):
        read_forest(forged)


_ONCE = []


def grown_once():
    if not _ONCE:
        _ONCE.append(grown(11, depth=4, rounds=9))
    return _ONCE[0]


@st.composite
def any_row(draw):
    extremes = [np.nan, 0.0, -0.0, np.inf, -np.inf, 3.4e38, 1e-45]
    value = st.one_of(st.sampled_from(extremes), st.floats(width=32))
    return np.array(draw(st.lists(value, min_size=8, max_size=8)), dtype=np.float32)


@settings(max_examples=examples(150))
@given(any_row())
def test_values_and_start_add_up_to_the_margin(row):
    ours = Booster.from_json(saved(grown_once()), tuple("abcdefgh"))
    values, base = exact_contributions(ours.forest, row)
    assert base + values.sum() == pytest.approx(ours.margin(row), abs=1e-5)


@settings(max_examples=examples(60))
@given(any_row(), st.permutations(range(8)))
def test_names_of_features_do_not_matter(row, place):
    def rename(tree):
        tree["split_indices"] = [place[feature] for feature in tree["split_indices"]]

    values, base = exact_contributions(read_forest(saved(grown_once())), row)
    moved = np.empty_like(row)
    moved[list(place)] = row
    renamed, same = exact_contributions(read_forest(altered(grown_once(), rename)), moved)
    np.testing.assert_allclose(renamed[list(place)], values, rtol=1e-9, atol=1e-12)
    assert same == base


def test_a_feature_that_no_tree_asks_about_adds_exactly_nothing():
    x, y = table(5)
    x[:, 3] = 1.0
    trained = xgboost.train(
        {"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(x, label=y), 8
    )
    values, _ = exact_contributions(read_forest(saved(trained)), x[0])
    assert values[3] == 0.0


def test_the_row_is_left_as_it_was_and_any_kind_of_it_runs_the_same_compiled_code():
    forest = read_forest(saved(grown_once()))
    rows, _ = table(9, rows=4)
    before = rows.copy()
    spread = np.repeat(rows, 2, axis=1)[:, ::2]
    assert not spread.flags.c_contiguous
    first = exact_contributions(forest, rows[1])[0]
    assert exact_contributions(forest, spread[1])[0].tolist() == first.tolist()
    spread.flags.writeable = False
    assert exact_contributions(forest, spread[1])[0].tolist() == first.tolist()
    assert len(shap_of_row.signatures) == 1, "a server that is warm compiles nothing more"
    np.testing.assert_array_equal(rows, before)


@pytest.mark.parametrize(
    "row", [np.zeros(8), np.zeros(7, dtype=np.float32), np.zeros((1, 8), dtype=np.float32)]
)
def test_a_row_of_another_shape_is_refused(row):
    with pytest.raises(ValueError, match=r"a row is float32 \[8\]"):
        exact_contributions(read_forest(saved(grown_once())), row)
