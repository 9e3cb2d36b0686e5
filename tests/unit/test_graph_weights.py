"""A graph model is let in only where both together rank better than the blend, beyond doubt."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from scorer.graph_weights import LEAST_FRAUDS, try_graph_model

ROWS = 6_000
STOPPING, NEWEST = np.arange(ROWS // 2), np.arange(ROWS // 2, ROWS)


@pytest.fixture
def table() -> Any:
    rng = np.random.default_rng(1)
    fraud = rng.random(ROWS) < 0.03
    return SimpleNamespace(fraud=fraud, ring_ids=[None] * ROWS)


def said(table: Any, strength: float, seed: int) -> np.ndarray:
    """Log-odds that know something of the truth."""
    rng = np.random.default_rng(seed)
    return np.where(table.fraud, strength, 0.0) + rng.normal(-4, 1, ROWS)


def probability(odds: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-odds))


def test_what_knows_more_than_the_blend_is_let_in(table) -> None:
    blend, head = probability(said(table, 1.5, 2)), said(table, 2.5, 3)
    found = try_graph_model(table, STOPPING, NEWEST, blend, head, 0)
    assert found.weights is not None
    assert found.weights.gnn > found.weights.blend > 0
    assert found.figures["used"]
    assert found.figures["gain"]["low"] > 0
    reached = found.figures["average_precision"]
    assert reached["both"] > reached["blend"]


def test_a_blend_that_would_count_against_what_it_says_does_not_count(table) -> None:
    wrong = said(table, 1.5, 2)
    # It knows what is wrong with the blend: together they say more with the blend taken off.
    blend, head = probability(wrong), said(table, 4.0, 3) + wrong
    found = try_graph_model(table, STOPPING, NEWEST, blend, head, 0)
    assert found.weights is not None
    assert found.weights.blend == 0.0
    assert found.weights.gnn > 0
    assert found.figures["used"]


@pytest.mark.parametrize("strength", [0.0, -2.0])
def test_noise_and_what_is_wrong_are_not(table, strength) -> None:
    blend, head = probability(said(table, 2.5, 2)), said(table, strength, 3)
    found = try_graph_model(table, STOPPING, NEWEST, blend, head, 0)
    assert found.weights is None
    assert not found.figures["used"]
    assert found.figures["gain"]["low"] <= 0


def test_what_only_repeats_the_blend_is_not(table) -> None:
    odds = said(table, 2.0, 2)
    found = try_graph_model(table, STOPPING, NEWEST, probability(odds), odds * 2 + 1, 0)
    assert found.weights is None
    assert found.figures["gain"]["mean"] == pytest.approx(0.0, abs=1e-9)


def test_too_few_frauds_tell_nothing(table) -> None:
    few = np.flatnonzero(~table.fraud | (np.cumsum(table.fraud) < LEAST_FRAUDS))
    stopping = np.intersect1d(STOPPING, few)
    blend, head = probability(said(table, 1.5, 2)), said(table, 2.5, 3)
    found = try_graph_model(table, stopping, NEWEST, blend, head, 0)
    assert found.weights is None
    assert found.figures["why"] == "too few frauds"
    assert found.figures["frauds"]["stopping"] < LEAST_FRAUDS


def test_the_newest_slice_is_not_what_the_weights_are_learned_on(table) -> None:
    """A head that knows the truth of the first slice alone gains nothing on the second."""
    blend, head = probability(said(table, 2.5, 2)), said(table, 0.0, 3)
    head[STOPPING] += np.where(table.fraud[STOPPING], 6.0, 0.0)
    assert try_graph_model(table, STOPPING, NEWEST, blend, head, 0).weights is None
