"""What the path method errs by, on trees whose contributions can be worked out by hand."""

import numpy as np
import pytest
import xgboost

from scorer.booster import Booster
from scorer.ports import FeatureSchema
from scorer.reasons import family_shares, shares_of
from scorer.share_error import share_error
from scorer.tree_shap import exact_contributions

SCHEMA = FeatureSchema(names=("a", "b", "c"), families=("one", "two", "one"))


def grown(depth, rounds=20):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2_000, 3)).astype(np.float32)
    y = ((x[:, 0] > 0) & (x[:, 1] > 0)) | (x[:, 2] > 1.5)  # a and b only speak together
    trained = xgboost.train(
        {"objective": "binary:logistic", "max_depth": depth, "nthread": 1},
        xgboost.DMatrix(x, label=y),
        num_boost_round=rounds,
    )
    return Booster.from_json(bytes(trained.save_raw("json")), SCHEMA.names), x[:200]


def test_one_split_a_tree_leaves_no_room_for_error():
    booster, rows = grown(depth=1)
    found = share_error(booster, SCHEMA, rows)
    assert found.rows == 200
    assert found.mean_error == pytest.approx(0.0, abs=1e-6)
    assert found.p99_error == pytest.approx(0.0, abs=1e-6)
    assert found.mean_weight > 0.1
    assert (found.top_agrees, found.first_agree, found.weighed_missed) == (1.0, 1.0, 0.0)


def test_features_that_speak_together_are_told_apart_wrongly_and_it_shows():
    booster, rows = grown(depth=4)
    found = share_error(booster, SCHEMA, rows)
    assert 0.0 < found.mean_error < found.p99_error
    by_hand = [
        np.abs(
            booster.contributions(row)[0][[0, 2]].sum()
            - exact_contributions(booster.forest, row)[0][[0, 2]].sum()
        )
        for row in rows
    ]
    # Two families whose sums are equal: each errs by what the other does, with the other sign.
    assert found.mean_error == pytest.approx(np.mean(by_hand), rel=1e-3)
    tops = [
        [
            shares[0].family if shares else None
            for shares in (
                family_shares(booster, SCHEMA, row),
                shares_of(exact_contributions(booster.forest, row)[0], SCHEMA, row),
            )
        ]
        for row in rows
    ]
    named = [pair for pair in tops if pair != [None, None]]
    assert found.named == len(named)
    assert found.top_agrees == pytest.approx(np.mean([a == b for a, b in named]))


def test_rows_of_which_nothing_speaks_for_fraud_count_as_agreed():
    booster, rows = grown(depth=2)
    margins = booster.margins(rows)
    least = rows[[int(margins.argmin())]]
    found = share_error(booster, SCHEMA, least)
    assert (found.named, found.top_agrees, found.weighed_missed) == (0, 1.0, 0.0)


def test_no_rows_have_no_error():
    booster, rows = grown(depth=2)
    with pytest.raises(ValueError, match="at least one row"):
        share_error(booster, SCHEMA, rows[:0])
