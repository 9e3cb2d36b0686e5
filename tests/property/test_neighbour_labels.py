"""Known labels of neighbours: what is heard is what brute force hears, and never one's own."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.errors import InvalidSetting
from scorer.fitting import BoosterSettings
from scorer.metrics import average_precision
from scorer.neighbour_labels import COLUMNS, NEAREST, NeighbourLabels, heard, heard_out_of_fold
from scorer.splits import Split
from tests.examples import examples

SMALL = BoosterSettings(rounds=30, patience=10, depth=3, min_child_weight=1.0)


def made(codes, fraud, times=None, values=None):
    """A table with what the columns are made of, and nothing else."""
    codes = np.array(codes, np.int32).reshape(-1, 5)
    rows = len(codes)
    return _Table(
        parties=SimpleNamespace(codes=lambda: codes),
        fraud=np.array(fraud, np.bool_),
        times=np.arange(rows) * 3_600_000 if times is None else times,
        rows=np.zeros((rows, 1), np.float32) if values is None else values,
        schema=SimpleNamespace(names=("value",)),
    )


class _Table(SimpleNamespace):
    def __replace__(self, **changes):
        return _Table(**{**self.__dict__, **changes})


def by_hand(table, known, row):
    said = []
    codes = table.parties.codes()
    for place in range(5):
        code = codes[row, place]
        peers = [k for k in known if code >= 0 and codes[k, place] == code]
        sides = ([k for k in peers if k < row][::-1], [k for k in peers if k > row])
        speaking = [k for k in known if codes[k, place] >= 0]
        for side in sides:
            for n in range(NEAREST):
                if n < len(side):
                    hours = abs(int(table.times[side[n]]) - int(table.times[row])) / 3_600_000
                    said += [float(table.fraud[side[n]]), np.log1p(hours)]
                else:
                    said += [np.nan, np.nan]
        if code < 0 or not speaking:
            said += [np.nan, np.nan]
        else:
            rate = np.mean([table.fraud[k] for k in speaking])
            frauds = sum(table.fraud[k] for k in peers)
            said += [(frauds + rate) / (len(peers) + 1), np.log1p(len(peers))]
    return said


rows_of = st.lists(
    st.tuples(st.lists(st.integers(-1, 2), min_size=5, max_size=5), st.booleans(), st.booleans()),
    min_size=1,
    max_size=20,
)


@settings(max_examples=examples(60), deadline=None)
@given(rows_of)
def test_what_is_heard_is_what_brute_force_hears(rows):
    table = made([codes for codes, _, _ in rows], [fraud for _, fraud, _ in rows])
    known = np.flatnonzero([known for _, _, known in rows])
    asked = np.flatnonzero([not known for _, _, known in rows])
    found = heard(table, known, asked)
    assert found.shape == (len(asked), len(COLUMNS))
    for row, said in zip(asked, found, strict=True):
        np.testing.assert_allclose(said, by_hand(table, known, row), rtol=1e-6)


@settings(max_examples=examples(30), deadline=None)
@given(rows_of, st.data())
def test_a_row_of_the_past_never_hears_its_own_label(rows, data):
    codes, fraud = [codes for codes, _, _ in rows], [fraud for _, fraud, _ in rows]
    row = data.draw(st.integers(0, len(rows) - 1))
    flipped = list(fraud)
    flipped[row] = not flipped[row]
    everything = np.arange(len(rows))
    one, other = (
        heard_out_of_fold(made(codes, each), everything, 0)[row] for each in (fraud, flipped)
    )
    np.testing.assert_array_equal(one, other)


def runs(seed=0, cards=60, each=30):
    """Cards whose frauds come in runs; nothing else tells a fraud."""
    rng = np.random.default_rng(seed)
    begins = rng.integers(0, each - 5, cards)
    card, turn = np.divmod(rng.permutation(cards * each), each)
    # In order of arrival every card's turns ascend.
    turn = np.concatenate([np.arange(each)] * cards)[np.argsort(np.argsort(card, kind="stable"))]
    fraud = (turn >= begins[card]) & (turn < begins[card] + 5)
    codes = np.full((cards * each, 5), -1)
    codes[:, 0] = card
    values = rng.normal(size=(len(card), 1)).astype(np.float32)
    part = rng.integers(0, 5, len(card))
    split = Split(
        *(np.flatnonzero(np.isin(part, chosen)) for chosen in ([0, 1, 2], [3], [4])), shuffled=True
    )
    return made(codes, fraud, values=values), split


def test_the_rung_fills_in_a_run_of_frauds_and_asks_no_label_of_the_test():
    table, split = runs()
    rung = NeighbourLabels(SMALL)
    scores = rung.fit_scores(table, split, 1).scores
    fraud = table.fraud[split.test]
    assert average_precision(scores, fraud) > 3 * fraud.mean()
    assert ((scores > 0) & (scores < 1)).all()
    other = table.fraud.copy()
    other[split.test] = ~other[split.test]
    again = rung.fit_scores(table.__replace__(fraud=other), split, 1).scores
    np.testing.assert_array_equal(scores, again)


def test_it_learns_nothing_from_shuffled_labels():
    table, split = runs()
    rng, fraud = np.random.default_rng(3), table.fraud.copy()
    for rows in (split.early, split.later):
        fraud[rows] = rng.permutation(fraud[rows])
    scores = NeighbourLabels(SMALL).fit_scores(table.__replace__(fraud=fraud), split, 1).scores
    truth = table.fraud[split.test]
    assert average_precision(scores, truth) < 1.5 * truth.mean()


def test_it_refuses_a_split_by_time():
    table, split = runs()
    with pytest.raises(InvalidSetting, match="neighbour_labels"):
        NeighbourLabels(SMALL).fit_scores(table, replace(split, shuffled=False), 0)
