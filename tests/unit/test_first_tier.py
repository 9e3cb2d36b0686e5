"""The first tier answers alone only under a bound that lets little fraud through."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scorer.first_tier import (
    CHEAP_FAMILIES,
    LET_THROUGH,
    TREES,
    FirstTier,
    answered_alone,
    cheap_columns,
    sure_below,
)
from scorer.history_replay import replay
from scorer.splits import temporal_split
from tests import planted_history as planted


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60),
    st.floats(0, 0.9),
)
def test_the_bound_lets_at_most_so_much_fraud_through_and_is_the_highest(rows, allowed):
    scores = np.array([score for score, _ in rows])
    fraud = np.array([label for _, label in rows])
    fraud[0] = True
    bound = sure_below(scores, fraud, allowed)
    passed = answered_alone(scores, fraud, bound)["frauds_passed"]
    assert passed <= allowed * fraud.sum()
    above = answered_alone(scores, fraud, np.nextafter(bound, 2))["frauds_passed"]
    assert above > int(allowed * fraud.sum())


def test_shares_are_of_the_traffic_and_of_the_fraud():
    scores = np.array([0.1, 0.2, 0.3, 0.4])
    told = answered_alone(scores, np.array([False, True, False, True]), 0.25)
    assert (told["share_of_traffic"], told["share_of_fraud"]) == (0.5, 0.5)
    assert (told["frauds_passed"], told["frauds"], told["transactions"]) == (1, 2, 2)


def test_the_rung_tells_what_it_would_answer():
    table = replay(planted.made(rows=2_000), planted.PingPong())
    split = temporal_split(table)
    said = FirstTier(planted.SMALL).fit_scores(table, split, 0)
    facts = said.facts
    assert 0 < facts["trees"] <= TREES
    assert facts["columns"] == len(cheap_columns(table)) == 3
    families = {table.schema.families[index] for index in cheap_columns(table)}
    assert families <= CHEAP_FAMILIES
    assert facts["later"]["share_of_fraud"] <= LET_THROUGH
    frauds = int(table.fraud[split.test].sum())
    assert facts["test"]["frauds"] == frauds
    assert f"of {frauds} frauds through" in said.sentences[0]
    assert facts["test"]["transactions"] == int((said.scores < facts["bound"]).sum())
