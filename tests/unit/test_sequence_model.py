"""The sequence model learns what only the order of events tells, and is exported as it is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from gnn.event_sequences import STEP, Events, sequences
from gnn.examples import Examples
from gnn.export import TOLERANCE
from gnn.sequence_export import export_sequence, sequence_parity
from gnn.sequence_model import SequenceModel, SequenceShape
from gnn.sequence_scorer import SequenceScorer
from gnn.sequence_training import SequenceTraining, score_sequences, train_sequence
from graph.errors import Incompatible, InvalidInput, InvalidSetting

NAMES = ("one", "other")
ROWS, USERS = 1_200, 60
EARLY, LATER, TEST = np.arange(700), np.arange(700, 900), np.arange(900, ROWS)


@pytest.fixture(scope="module")
def history() -> Events:
    rng = np.random.default_rng(1)
    who = np.full((ROWS, 10), -1, np.int64)
    who[:, 0] = rng.integers(0, USERS, ROWS)
    who[:, 5:] = 0
    return Events(
        who,
        np.arange(ROWS, dtype=np.int64) * 600_000,
        rng.exponential(3, ROWS).astype(np.float32),
        rng.integers(0, 2, ROWS),
        np.zeros(ROWS, np.int32),
        np.zeros(ROWS, np.bool_),
    )


@pytest.fixture(scope="module")
def cut(history) -> np.ndarray:
    return sequences(history, np.full(ROWS, np.nan), np.arange(ROWS))


@pytest.fixture(scope="module")
def examples(cut) -> Examples:
    """Fraud follows a payment that followed a transfer: both are as frequent everywhere."""
    transfer = cut[:, :, list(STEP).index("is_transfer")] > 0
    payment = cut[:, :, list(STEP).index("is_payment")] > 0
    context = np.random.default_rng(2).normal(size=(ROWS, 2)).astype(np.float32)
    fraud = transfer[:, -3] & payment[:, -2]
    return Examples(np.arange(ROWS), fraud, np.ones(ROWS, np.float32), context)


def learned(cut, examples, **more):
    return train_sequence(cut, examples, EARLY, LATER, **({"context": NAMES} | more))


def weights(model) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in model.state_dict().items()}


@pytest.mark.slow
def test_it_learns_what_only_the_order_of_events_tells(cut, examples):
    found = learned(cut, examples, settings=SequenceTraining(rows=32))
    said = score_sequences(found.model, cut, examples, TEST)
    assert average_precision_score(examples.fraud[TEST], said) > 0.95
    assert examples.fraud[TEST].mean() < 0.35


def test_equal_seeds_give_equal_weights_and_the_callers_numbers_stay(cut, examples):
    few = SequenceTraining(epochs=2)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = learned(cut, examples, settings=few)
    assert torch.equal(torch.rand(3), expected)
    again, other = (learned(cut, examples, settings=few, seed=seed) for seed in (0, 1))
    assert weights(first.model) == weights(again.model) != weights(other.model)


def test_it_stops_when_the_later_slice_gets_no_better(cut, examples):
    noise = replace(examples, fraud=np.random.default_rng(3).random(ROWS) < 0.3)
    found = learned(cut, noise, settings=SequenceTraining(epochs=60, patience=2))
    assert len(found.history) == found.best_epoch + 2
    assert found.history[found.best_epoch - 1] == max(found.history)


def test_steps_that_are_not_there_say_nothing(cut, examples):
    """Zeros are no event: were the unread ones other numbers, nothing would change."""
    model = learned(cut, examples, settings=SequenceTraining(epochs=1)).model
    other = cut.copy()
    other[other[:, :, 0] == 0, 1:] = 3.0
    rows = np.arange(ROWS)
    assert (other != cut).any()
    np.testing.assert_array_equal(
        score_sequences(model, other, examples, rows), score_sequences(model, cut, examples, rows)
    )


def test_what_does_not_belong_together_is_refused(cut, examples):
    with pytest.raises(InvalidInput, match="expected the shape"):
        learned(cut[:-1], examples)
    with pytest.raises(InvalidInput, match="1 names of columns"):
        learned(cut, examples, context=("one",))
    with pytest.raises(InvalidSetting, match="early slice"):
        learned(cut, replace(examples, fraud=np.zeros(ROWS, np.bool_)))
    with pytest.raises(InvalidSetting, match="hidden"):
        SequenceShape(hidden=0)
    with pytest.raises(InvalidSetting, match="dropout"):
        SequenceShape(dropout=1.0)
    with pytest.raises(InvalidSetting, match="rows"):
        SequenceTraining(rows=0)


@pytest.mark.slow  # an export takes ten seconds
def test_what_serves_says_what_training_said(history, cut, examples):
    model = learned(cut, examples, settings=SequenceTraining(epochs=2)).model
    exported = export_sequence(model)
    assert sequence_parity(model, exported) <= TOLERANCE
    assert sequence_parity(SequenceModel(NAMES).eval(), exported) > TOLERANCE
    scorer = SequenceScorer(exported, NAMES, USERS)
    served = []
    for i in range(200):
        event = Events(*(column[i : i + 1] for column in history))
        served.append(scorer.score(event, examples.context[i]))
        scorer.remember(event, np.nan)
    expected = score_sequences(model, cut, examples, np.arange(200))
    np.testing.assert_allclose(served, expected, atol=TOLERANCE)
    assert len(set(np.round(served, 4))) > 100
    assert scorer.score_rows(cut[:0], examples.context[:0]).shape == (0,)
    with pytest.raises(InvalidInput, match="expected 2 columns"):
        scorer.score_rows(cut[:1], examples.context[:1, :1])
    with pytest.raises(Incompatible, match="other columns"):
        SequenceScorer(exported, ("other", "one"), USERS)
