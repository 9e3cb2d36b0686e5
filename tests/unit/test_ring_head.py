"""The ring head learns what it is shown, the same twice, and refuses what teaches nothing."""

import numpy as np
import pytest

from gnn.ring_columns import COLUMNS, RingColumns
from gnn.ring_head import MESSAGES, RingHeadSettings
from gnn.ring_training import RingExamples, RingTrainingSettings, score_rings, train_head
from graph.errors import InvalidSetting
from scorer.metrics import average_precision

QUICK = RingTrainingSettings(epochs=12, patience=12, rings=8, rate=1e-2)


def ring(*, home: bool) -> RingColumns:
    """Four members and four payments of one piece, round or any other way; nothing else."""
    round_ = np.array([[0, 1, 2, 3], [1, 2, 3, 0]])
    star = np.array([[1, 2, 3, 1], [0, 0, 0, 2]])
    sizes = {"member": 4, "piece": 1, "hop": 4, "part": 4, "whole": 1}
    columns = {
        name: np.zeros((size, len(COLUMNS[name])), np.float32) for name, size in sizes.items()
    }
    return RingColumns(
        columns["member"],
        columns["piece"],
        columns["hop"],
        columns["part"],
        columns["whole"][0],
        round_ if home else star,
        np.zeros(4, np.int64),
        np.stack([np.arange(4), np.zeros(4, np.int64)]),
    )


def examples(count: int = 48) -> RingExamples:
    fraud = np.random.default_rng(2).random(count) < 0.5
    rings = [ring(home=bool(each)) for each in fraud]
    return RingExamples(rings, fraud, np.arange(count))


EARLY, LATER, TEST = np.arange(24), np.arange(24, 36), np.arange(36, 48)


def learned(messages, seed=0):
    told = examples()
    found = train_head(
        told, EARLY, LATER, shape=RingHeadSettings(messages), settings=QUICK, seed=seed
    )
    return found, score_rings(found.head, [told.rings[n] for n in TEST.tolist()])


def test_edges_are_heard_and_without_them_nothing_can_be():
    told = examples()
    heard, deaf = learned("relational")[1], learned("alone")[1]
    assert average_precision(heard, told.fraud[TEST]) == 1.0
    assert np.ptp(heard) > 1.0
    assert np.ptp(deaf) < 1e-6


def test_it_learns_the_same_twice_and_ends_with_its_best_epoch():
    (one, scores), (two, again), (_, other) = learned("gcn"), learned("gcn"), learned("gcn", 1)
    assert one.history == two.history
    assert np.array_equal(scores, again)
    assert not np.array_equal(scores, other)
    assert one.best_epoch == int(np.argmin(one.history)) + 1


def test_every_ring_counts_the_same_however_often_it_is_shown():
    told = examples(5)
    told = RingExamples(told.rings, told.fraud, np.array([0, 0, 0, 1, 1]))
    weights = told.weights(np.arange(5))
    assert weights[:3].sum() == pytest.approx(weights[3:].sum())
    assert weights.mean() == pytest.approx(1.0)


def test_what_teaches_nothing_and_no_shape_are_refused():
    told = examples()
    true = np.flatnonzero(told.fraud)
    with pytest.raises(InvalidSetting, match="later rings"):
        train_head(told, EARLY, true)
    with pytest.raises(InvalidSetting, match="ring training: epochs"):
        RingTrainingSettings(epochs=0)
    for wrong in ({"messages": "loud"}, {"hidden": 0}, {"dropout": 1.0}):
        with pytest.raises(InvalidSetting, match=f"ring head: {next(iter(wrong))}"):
            RingHeadSettings(**wrong)
    assert len(MESSAGES) == 3
