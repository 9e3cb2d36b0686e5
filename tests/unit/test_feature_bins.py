"""Stability and one-feature models, against scikit-learn and against what was planted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from scorer.evidence_log import EvidenceLog
from scorer.feature_bins import BINS, FeatureBins, _binned, _edges
from scorer.party_columns import PartyColumns
from scorer.ports import FeatureSchema
from scorer.ring_matching import RingLedger
from scorer.table import Table
from tests.examples import examples


def table(rows, fraud):
    count, width = rows.shape
    nothing = np.zeros(count)
    return Table(
        schema=FeatureSchema(tuple(f"f{i}" for i in range(width)), ("amount", "flow") * width),
        rows=rows.astype(np.float32),
        fraud=fraud,
        times=np.arange(count, dtype=np.int64),
        known_at=np.arange(count, dtype=np.int64),
        values=np.ones(count, np.int64),
        ring_score=nothing,
        joint=nothing,
        told=np.zeros(count, np.uint8),
        warm=np.ones(count, np.bool_),
        places=np.arange(count, dtype=np.int64),
        ids=("",) * count,
        users=("",) * count,
        segments=("payment/web",) * count,
        ring_ids=(None,) * count,
        transactions=count,
        rejected=0,
        true_rings={},
        ledger=RingLedger(),
        evidence=EvidenceLog(),
        parties=PartyColumns(),
        watermarks=np.zeros(count, np.int64),
        declined=np.zeros(count, np.bool_),
    )


def drawn(seed, count=600, width=4):
    rng = np.random.default_rng(seed)
    fraud = rng.random(count) < 0.2
    rows = rng.normal(size=(count, width))
    rows[:, 1] += 2 * fraud
    rows[:, 2] = rng.integers(0, 3, count)
    rows[rng.random(count) < 0.2, 3] = np.nan
    return rows, fraud


@settings(max_examples=examples(20), deadline=None)
@given(st.integers(0, 10_000))
def test_one_feature_models_are_those_of_scikit_learn(seed):
    rows, fraud = drawn(seed)
    made = table(rows, fraud)
    past, test = np.arange(400), np.arange(400, 600)
    models = FeatureBins.of(made, past, test).one_feature_models()
    for each in models["best"]:
        feature = int(each["feature"][1:])
        edges = _edges(made.rows[past, feature])
        bins = _binned(made.rows[:, feature], edges)
        rate = fraud[past].mean()
        score = np.array(
            [
                (fraud[past][bins[past] == b].sum() + rate) / ((bins[past] == b).sum() + 1)
                for b in range(BINS + 1)
            ]
        )
        # Bins of equal rate are one threshold for scikit-learn, ordered for us: keep them apart.
        score -= 1e-9 * np.arange(BINS + 1)
        told = score[bins[test]]
        assert each["auc"] == pytest.approx(roc_auc_score(fraud[test], told))
        assert each["average_precision"] == pytest.approx(
            average_precision_score(fraud[test], told)
        )
    assert models["best"][0]["feature"] == "f1"
    assert models["by_family"]["flow"]["feature"] == "f1"
    assert set(models["by_family"]) == {"amount", "flow"}


def test_a_feature_that_moves_is_told_first_and_one_that_stays_is_stable():
    rows, fraud = drawn(0, count=4_000)
    rows[2_000:, 0] += 1.5
    rows[2_000:, 3] = np.nan  # was known, is not any more
    stability = FeatureBins.of(
        table(rows, fraud), np.arange(2_000), np.arange(2_000, 4_000)
    ).stability()
    index = {each["feature"]: each["psi"] for each in stability["worst"]}
    assert list(index)[:2] == ["f3", "f0"]
    assert min(index["f0"], index["f3"]) > 0.25
    assert max(index["f1"], index["f2"]) < 0.05
    assert (stability["features"], stability["moved"], stability["shifted"]) == (4, 2, 2)


def test_the_index_is_that_of_its_formula():
    rows = np.concatenate([np.zeros(60), np.ones(40), np.zeros(20), np.ones(80)]).reshape(-1, 1)
    bins = FeatureBins.of(table(rows, np.arange(200) % 2 == 0), np.arange(100), np.arange(100, 200))
    p = np.array([60.5, 40.5]) / (100 + 0.5 * (BINS + 1))
    q = np.array([20.5, 80.5]) / (100 + 0.5 * (BINS + 1))
    assert bins.stability()["worst"][0]["psi"] == pytest.approx(((q - p) * np.log(q / p)).sum())


def test_a_feature_that_is_never_known_has_one_bin():
    rows, fraud = np.full((50, 1), np.nan), np.arange(50) % 5 == 0
    bins = FeatureBins.of(table(rows, fraud), np.arange(30), np.arange(30, 50))
    assert bins.past[0, BINS] == 30
    (alone,) = bins.one_feature_models()["best"]
    assert alone["auc"] == 0.5
    assert alone["average_precision"] == pytest.approx(0.2)
