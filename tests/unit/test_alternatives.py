"""Every alternative learns what is planted, repeats itself, and says probabilities."""

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graph.errors import InvalidSetting
from scorer.alternatives.balanced_forest import BalancedForest
from scorer.alternatives.catalogue import CONTROLS, alternatives
from scorer.alternatives.class_weights import weigh_classes
from scorer.alternatives.easy_ensemble import EasyEnsemble
from scorer.alternatives.focal_loss import FocalLoss
from scorer.alternatives.isolation_score import NAME, WithIsolationScore
from scorer.alternatives.known_values import KnownValues
from scorer.alternatives.lesson import Lesson, lesson_of
from scorer.alternatives.smote_tomek import MOST_OF_A_CLASS, WANTED, smote_tomek
from scorer.alternatives.train_extra import library
from scorer.alternatives.under_sampling import under_sample
from scorer.alternatives.xgboost_trees import XgboostTrees
from scorer.history_replay import replay
from scorer.ladder import require_order
from scorer.learning import learn_from
from scorer.metrics import average_precision
from scorer.splits import temporal_split
from tests import planted_history as planted

pytestmark = pytest.mark.slow


# Names, not the catalogue itself: that loads the libraries, and only these tests need them.
CONTROL = [f"{base}_seed_{n + 1}" for base in ("tabular", "graph") for n in range(CONTROLS)]
MODELS = ["lightgbm", "balanced_forest", "easy_ensemble"]
RARE = ["isolation_score", "class_weights", "focal_loss", "under_sampling", "smote_tomek"]
SEEING = ["tuned", *MODELS, *RARE]
NAMES = [
    *CONTROL,
    "first_tier",
    *(f"tabular_{name}" for name in MODELS),
    "tabular_tuned",
    *SEEING,
]


@pytest.fixture(scope="module")
def rungs():
    """The catalogue with small trees, small forests and few draws."""
    small = {"balanced_forest": BalancedForest(trees=40), "easy_ensemble": EasyEnsemble(draws=3)}
    made = {rung.name: rung for rung in alternatives(planted.SMALL)}
    for name, learner in small.items():
        for key in (name, f"tabular_{name}"):
            made[key] = replace(made[key], learner=learner)
    return made


@pytest.fixture(scope="module")
def table():
    return replay(planted.made(rows=2_000), planted.PingPong())


@pytest.fixture(scope="module")
def split(table):
    return temporal_split(table)


def lesson(rows=300, frauds=20, columns=4, seed=0):
    """Frauds lie apart from the others in the first column; one value in ten is unknown."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, columns)).astype(np.float32)
    values[:frauds, 0] += 4
    values[:, 1:][rng.random((rows, columns - 1)) < 0.1] = np.nan
    names = tuple(f"f{number}" for number in range(columns))
    return Lesson(values, np.arange(rows) < frauds, np.ones(rows, np.float32), names)


@pytest.fixture(scope="module")
def said(table, split, rungs):
    """What each rung said of the table, learned once."""
    return functools.cache(lambda name: rungs[name].fit_scores(table, split, 3))


@pytest.mark.parametrize("name", NAMES)
def test_a_rung_says_probabilities_of_the_test(split, said, name):
    scores = said(name).scores
    assert scores.shape == split.test.shape
    assert ((scores > 0) & (scores < 1)).all()
    assert said(name).facts["trees"] > 0


@pytest.mark.parametrize("name", SEEING)
def test_a_rung_that_sees_the_graph_learns_what_was_planted(table, split, said, name):
    scores, fraud = said(name).scores, table.fraud[split.test]
    assert average_precision(scores, fraud) > 3 * fraud.mean()
    # Calibrated at the natural rate, whatever was resampled.
    assert scores.mean() == pytest.approx(fraud.mean(), rel=0.5)


@pytest.mark.parametrize("name", NAMES)
def test_a_rung_repeats_itself_whatever_the_labels_of_the_test(table, split, rungs, said, name):
    fraud = table.fraud.copy()
    fraud[split.test] = np.roll(fraud[split.test], 7)
    again = rungs[name].fit_scores(replace(table, fraud=fraud), split, 3)
    np.testing.assert_array_equal(said(name).scores, again.scores)


def test_the_catalogue_stands_and_holds_its_controls(rungs, said):
    require_order(tuple(rungs.values()))
    assert list(rungs) == NAMES
    assert [name for name in NAMES if said(name).control] == CONTROL
    assert {rungs[name].base for name in SEEING} == {"graph"}


def test_the_docs_name_every_rung():
    page = (Path(__file__).parents[2] / "docs/evaluation.md").read_text()
    section = page.split("## The ladder")[1].split("\n## ")[0]
    for name in set(NAMES) - {f"{base}_seed_{n}" for base in ("tabular", "graph") for n in (2, 3)}:
        assert f"`{name}`" in section


def test_trees_of_xgboost_are_those_that_ship(table, split, rungs):
    control = rungs["graph_seed_1"]
    columns = table.schema.columns(graph=True)
    shipped = learn_from(table, split, columns, planted.SMALL, 5, stacked=False)
    scores = control.fit_scores(table, split, 4).scores  # its seed is one more
    # Calibrated on other trees, so only the ranking is the same; ties and all.
    margins = shipped.margins(table, split.test)
    ranks = [np.unique(each, return_inverse=True)[1] for each in (scores, margins)]
    np.testing.assert_array_equal(*ranks)


def test_focal_loss_at_gamma_zero_grows_the_trees_of_the_logistic_loss(table, split):
    taught = lesson_of(table, split.early, np.arange(6), 0)
    later = lesson_of(table, split.later, np.arange(6), 0)
    plain = XgboostTrees(planted.SMALL).first(taught, later, 0)
    focal = XgboostTrees(planted.SMALL, objective=FocalLoss(gamma=0.0)).first(taught, later, 0)
    assert focal.size == plain.size
    np.testing.assert_allclose(focal.margins(later.rows), plain.margins(later.rows), atol=0.02)


def test_class_weights_make_the_classes_even():
    given = lesson()
    weighed = weigh_classes(replace(given, weights=given.weights * 3), 0)
    assert weighed.weights[given.fraud].sum() == pytest.approx(weighed.weights[~given.fraud].sum())
    assert set(weighed.weights[~given.fraud]) == {3.0}


def test_under_sampling_keeps_every_fraud_and_as_many_others():
    drawn = under_sample(lesson(), 1)
    assert (int(drawn.fraud.sum()), len(drawn.fraud)) == (20, 40)
    mostly_fraud = under_sample(lesson(rows=30, frauds=20), 1)
    assert len(mostly_fraud.fraud) == 30


def test_smote_invents_frauds_between_frauds():
    given = lesson(rows=330, frauds=30)
    known = KnownValues.of(given.rows)
    filled = replace(given, rows=known.scale(given.rows))
    made = smote_tomek(filled, 0)
    frauds = int(made.fraud.sum())
    assert 0.9 * WANTED * 300 < frauds <= WANTED * 300
    low, high = filled.rows[given.fraud].min(axis=0), filled.rows[given.fraud].max(axis=0)
    invented = made.rows[made.fraud]
    assert ((invented >= low - 1e-5) & (invented <= high + 1e-5)).all()


def test_smote_bounds_both_classes():
    given = lesson(rows=2 * MOST_OF_A_CLASS + 2_000, frauds=MOST_OF_A_CLASS + 1_000)
    filled = replace(given, rows=KnownValues.of(given.rows).scale(given.rows))
    made = smote_tomek(filled, 0)
    assert int(made.fraud.sum()) <= MOST_OF_A_CLASS
    assert int((~made.fraud).sum()) <= MOST_OF_A_CLASS


@pytest.mark.parametrize("frauds", [1, 2, 200])
def test_smote_copes_where_there_is_nothing_to_invent_from(frauds):
    given = lesson(rows=240, frauds=frauds)
    filled = replace(given, rows=KnownValues.of(given.rows).scale(given.rows))
    made = smote_tomek(filled, 0)
    assert made.fraud.any()
    assert not made.fraud.all()


def test_known_values_fill_with_medians_even_where_nothing_is_known():
    rows = np.array([[1, np.nan, 5], [3, np.nan, 5], [np.nan, np.nan, 5]], np.float32)
    known = KnownValues.of(rows)
    np.testing.assert_array_equal(known.fill(rows)[2], [2, 0, 5])
    assert np.isfinite(known.scale(rows)).all()


def test_the_isolation_score_is_one_more_column_and_higher_for_what_is_odd():
    given = lesson(frauds=3)
    model = WithIsolationScore(XgboostTrees(planted.SMALL)).first(given, given, 0)
    odd = -model.forest.score_samples(given.rows)
    assert odd[given.fraud].min() > np.median(odd)
    assert model.inner.booster.names == (*given.names, NAME)
    assert model.margins(given.rows).shape == (300,)


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("libgomp.so.1: cannot allocate memory in static TLS block", "GLIBC_TUNABLES="),
        ("libgomp.so.1: cannot open shared object file", "libgomp1"),
    ],
)
def test_a_library_that_cannot_be_loaded_names_the_remedy(tmp_path, monkeypatch, reason, remedy):
    (tmp_path / "unloadable.py").write_text(f"raise OSError({reason!r})\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InvalidSetting, match=rf"{reason}.*unloadable.*{remedy}"):
        library("unloadable")


def test_a_missing_library_names_the_remedy():
    with pytest.raises(InvalidSetting, match=r"no_such_library.*pip install 'ringfence\[train\]'"):
        library("no_such_library.inner")
