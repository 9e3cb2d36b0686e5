"""Who is recorded for a graph model: enough, fairly drawn, and standing for everybody."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.recorded_rows import SPARE, RecordedRows
from scorer.fitting import sample_negatives
from scorer.history import LabelledTransaction
from tests.bare_replayer import stream

LONGEST = 400
TRANSACTIONS = stream(5, LONGEST)


def history(labels: list[bool | None]) -> list[LabelledTransaction]:
    return [
        LabelledTransaction(transaction, fraud=fraud)
        for transaction, fraud in zip(TRANSACTIONS, labels, strict=False)
    ]


@given(
    st.lists(st.sampled_from([False, False, False, True, None]), min_size=1, max_size=LONGEST),
    st.integers(1, 100),
    st.integers(0, 1_000),
)
def test_every_fraud_and_the_whole_end_are_recorded_and_nobody_unlabelled(
    labels: list[bool | None], most: int, seed: int
) -> None:
    items = history(labels)
    rows = RecordedRows(len(items), seed, most)
    assert list(rows.seen(items)) == items
    places = np.arange(len(items))
    held = np.array([rows.holds(item.transaction.transaction_id) for item in items])
    for place, (fraud, won, whole) in enumerate(
        zip(labels, rows.fair(places), rows.whole(places), strict=True)
    ):
        assert held[place] == (fraud is not None and bool(fraud or won or whole)), place
    if len(items) <= SPARE * most:
        assert rows.fair(places).all()
        assert rows.whole(places).all()
    else:
        assert rows.whole(places).mean() <= 0.26 + 1 / len(items)


def test_it_draws_about_as_many_as_it_says_and_others_with_another_seed() -> None:
    places = np.arange(100_000)
    rows, other = RecordedRows(100_000, 1, 5_000), RecordedRows(100_000, 2, 5_000)
    assert rows.share == pytest.approx(0.1)
    assert rows.fair(places).mean() == pytest.approx(0.1, abs=0.005)
    both = rows.fair(places) & other.fair(places)
    assert both.mean() == pytest.approx(0.01, abs=0.002)


@given(
    st.lists(st.booleans(), min_size=1, max_size=200),
    st.integers(0, 1_000),
    st.integers(1, 80),
    st.floats(0.05, 1.0),
)
def test_who_is_learned_from_stands_for_all(
    labels: list[bool], seed: int, most: int, share: float
) -> None:
    fraud = np.array(labels)
    among = np.random.default_rng(seed).random(len(fraud)) < share
    rows, weights = sample_negatives(fraud, seed, most, among)
    assert (np.diff(rows) > 0).all()
    honest = ~fraud[rows]
    assert among[rows[honest]].all()
    assert honest.sum() == min(most, (among & ~fraud).sum())
    assert weights[~honest].sum() == fraud.sum()  # each once, none left out
    assert len(set(weights[honest].tolist())) <= 1
    if honest.any():
        assert weights[honest].sum() == pytest.approx((~fraud).sum(), rel=1e-5)


def test_a_sample_of_a_sample_is_right_in_the_mean() -> None:
    rng = np.random.default_rng(0)
    fraud, amount = rng.random(3_000) < 0.02, rng.lognormal(size=3_000)
    sums = []
    for seed in range(300):
        among = np.random.default_rng((seed, 1)).random(len(fraud)) < 0.2
        rows, weights = sample_negatives(fraud, seed, 400, among)
        sums.append(float((weights * amount[rows]).sum()))
    error = np.std(sums) / np.sqrt(len(sums))
    assert abs(np.mean(sums) - amount.sum()) < 4 * error
