"""The compiled scores of a batch: those of the long way, to a bit, and what they leave behind."""

import numpy as np
import pytest

from graph.transaction import HOUR
from scorer.batch_scores import BatchScores
from scorer.blend import Blend
from scorer.calibration import Isotonic, Platt
from scorer.decision import FIXED, Costs, Policy
from scorer.odds import log_odds
from scorer.risk_kernel import PARTIES, WIDTH
from scorer.risk_memory import parties_of
from scorer.verdict import Decision

CALIBRATIONS = (
    Platt(1.3, -0.7),
    Platt(0.04, 2.0),
    Isotonic((-4.0, -1.0, 0.5, 3.0), (-7.0, -3.0, 0.25, 4.0)),
    Isotonic((0.0,), (-1.0,)),
)
POLICIES = (
    Policy(),
    FIXED,
    Policy(Costs(step_up_catches=0.0)),
    Policy(thresholds=(0.2, 0.2)),
)


def told(scores, margins, rings, joint, codes=None, times=None):
    n = len(margins)
    codes = np.full((n, PARTIES), -1, np.int32) if codes is None else codes
    times = np.arange(n, dtype=np.int64) if times is None else times
    state, who = parties_of(codes)
    return scores.of(
        np.asarray(margins, np.float32), rings, joint, state, who, times, np.ones(n, np.bool_)
    )


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("calibration", CALIBRATIONS)
@pytest.mark.parametrize("memory", [(), tuple(np.linspace(-0.2, 0.3, WIDTH).tolist())])
def test_every_row_has_what_the_long_way_gives(calibration, policy, memory) -> None:
    rng = np.random.default_rng(7)
    margins = np.concatenate(
        [rng.normal(0, 4, 3000), rng.normal(-9, 2, 500), [-4.0, -1.0, 0.0, 0.5, 3.0, 20.0]]
    ).astype(np.float32)
    # So far out the odds of a probability could not be taken again.
    margins = np.append(margins, np.array([-1e4, -60.0, 60.0, 1e4], np.float32))
    n = len(margins)
    rings, joint = (np.where(rng.random(n) < 0.5, 0.0, rng.random(n)) for _ in range(2))
    blend = Blend(intercept=-0.2, model=0.9, ring=1.7, evidence=2.0, memory=memory)
    codes = rng.integers(-1, 40, (n, PARTIES)).astype(np.int32)
    rows = told(BatchScores(calibration, blend, policy), margins, rings, joint, codes)
    for margin, ring, strength, row in zip(
        margins.tolist(), rings.tolist(), joint.tolist(), rows.tolist(), strict=True
    ):
        model, score, cost, place, own, others, of_blend, gnn = row
        assert model == calibration.apply(margin)
        assert score == blend.combine(log_odds(model), ring, strength, own + others)
        assert (list(Decision)[int(place)], cost) == policy.decide(score)
        assert memory or own == others == 0.0
        assert of_blend == score
        assert np.isnan(gnn)


def test_nothing_comes_of_nothing() -> None:
    nothing = np.empty(0)
    scores = BatchScores(Platt(1.0, 0.0), Blend(), Policy())
    assert told(scores, nothing, nothing, nothing).shape == (0, 8)


def test_a_risky_past_raises_the_next_score_and_fades() -> None:
    """A device seen at a risky transaction; the same again soon, much later, and another one."""
    blend = Blend(memory=(0.0,) * 36 + (0.1,) * 9 + (0.0,) * 18)  # the device alone counts
    codes = np.array([[0, 1, 0, -1, -1], [2, 3, 0, -1, -1], [4, 5, 0, -1, -1], [6, 7, 1, -1, -1]])
    times = np.array([0, HOUR // 60, 400 * HOUR, 400 * HOUR])
    margins, none = [2.0, -4.0, -4.0, -4.0], np.zeros(4)
    rows = told(
        BatchScores(Platt(1.0, 0.0), blend, FIXED),
        margins,
        none,
        none,
        codes.astype(np.int32),
        times,
    )
    assert rows[0, 5] == 0.0
    assert rows[1, 5] > rows[2, 5] > 0.0 == rows[3, 5]
    assert rows[1, 4] == 0.0  # nothing of it is the user's own


def test_a_first_batch_of_one_row_does_not_blind_it_to_later_times() -> None:
    """The kernel is bound to the layout of the first call; a column of one row looks contiguous."""
    arrivals = np.zeros((3, 4), np.int64)
    arrivals[:, 1] = [0, HOUR, 2 * HOUR]
    codes = np.array([[0, 1, 0, 1, 2]] * 3, np.int32)
    margins, none = np.array([2.0, 1.0, 0.0], np.float32), np.zeros(3)
    blend = Blend(memory=tuple(np.full(WIDTH, 0.02).tolist()))

    def scored(*parts: slice) -> np.ndarray:
        scores, (state, who) = BatchScores(Platt(1.0, 0.0), blend, Policy()), parties_of(codes)
        told = [
            scores.of(
                margins[part],
                none[part],
                none[part],
                state,
                who[part],
                arrivals[part, 1],
                np.ones(len(margins[part]), np.bool_),
            )
            for part in parts
        ]
        return np.concatenate(told)

    np.testing.assert_array_equal(scored(slice(0, 1), slice(1, 3)), scored(slice(0, 3)))
