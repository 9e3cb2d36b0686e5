"""The risk memory against plain sums over the whole past, under relabelling and after a restart."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from graph.entities import EntitySpace
from graph.transaction import EntityKind
from scorer.risk_kernel import FLOOR, PARTIES, PLACES, STATISTICS, TAUS, WIDTH, recall, remember
from scorer.risk_memory import RiskMemory, parties_of, recalled_by

# Place by place: which column of the codes is asked, and in which columns it was written.
_ASKED = {
    "user_as_user": (0, (0,)),
    "user_as_other": (0, (1,)),
    "other_as_user": (1, (0,)),
    "other_as_other": (1, (1,)),
    "device": (2, (2, 3, 4)),
    "ip": (3, (2, 3, 4)),
    "card": (4, (2, 3, 4)),
}


def plain(codes, times, scores, row):
    """What a row recalls, by going over everything before it."""
    out = []
    for place in PLACES:
        asked, written = _ASKED[place]
        who = codes[row][asked]
        past = [
            (times[row] - times[i], scores[i])
            for i in range(row)
            for column in written
            if who >= 0 and codes[i][column] == who and not math.isnan(scores[i])
        ]
        for tau in TAUS:
            weights = [math.exp(-age / tau) for age, _ in past]
            total = sum(w * score for w, (_, score) in zip(weights, past, strict=True))
            peak = max((w * score for w, (_, score) in zip(weights, past, strict=True)), default=0)
            mean = total / (sum(weights) + 1.0)
            out += [math.log1p(x / FLOOR) for x in (total, peak, mean)]
    return out


@st.composite
def histories(draw):
    n = draw(st.integers(1, 25))
    gaps = draw(st.lists(st.integers(0, 40 * 3_600_000), min_size=n, max_size=n))
    party = st.integers(-1, 3)
    codes = draw(st.lists(st.tuples(*[party] * PARTIES), min_size=n, max_size=n))
    scores = draw(
        st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), min_size=n, max_size=n)
    )
    return np.array(codes, np.int32), np.cumsum(gaps).astype(np.int64), np.array(scores)


@given(histories())
def test_it_recalls_what_plain_sums_say(history) -> None:
    codes, times, scores = history
    # One identifier may be device, IP and card of the same row only in this test: it counts once
    # a column it is written in, here as there.
    rows = np.arange(len(times))
    found = recalled_by(codes, times, scores, rows)
    for row in rows:
        assert np.allclose(found[row], plain(codes, times, scores, row), rtol=2e-3, atol=1e-3)


@given(histories(), st.permutations(range(4)))
def test_names_do_not_matter(history, names) -> None:
    codes, times, scores = history
    renamed = np.where(codes < 0, -1, np.array(names)[codes]).astype(np.int32)
    rows = np.arange(len(times))
    assert np.array_equal(
        recalled_by(codes, times, scores, rows), recalled_by(renamed, times, scores, rows)
    )


@given(histories(), st.integers(0, 25))
def test_it_goes_on_where_it_was_left(history, cut) -> None:
    codes, times, scores = history
    spaces = [
        EntitySpace((EntityKind.USER,), 8, 10**12),
        EntitySpace((EntityKind.DEVICE,), 8, 10**12),
    ]
    for space, kind in zip(spaces, (EntityKind.USER, EntityKind.DEVICE), strict=True):
        for name in "abcd":
            space.intern(kind, name, 0, 0)
    memory = RiskMemory(*spaces)
    recalled = []
    for i in range(len(times)):
        if i == cut:
            again = RiskMemory(*spaces)
            again.restore(memory.snapshot())
            assert again.snapshot() == memory.snapshot()
            memory = again
        memory.meet(0, codes[i : i + 1])
        out = np.zeros(WIDTH)
        recall(memory.state, memory.who[0], times[i], out)
        recalled.append(out.astype(np.float32))
        if not math.isnan(scores[i]):
            remember(memory.state, memory.who[0], times[i], scores[i])
    assert np.array_equal(recalled, recalled_by(codes, times, scores, np.arange(len(times))))


def test_an_id_given_out_anew_starts_empty() -> None:
    codes = np.array([[0, -1, 0, -1, -1]], np.int32)
    state, who = parties_of(codes)
    who[:, PARTIES:] = 1
    remember(state, who[0], 0, 0.9)
    out = np.ones(WIDTH)
    recall(state, who[0], 0, out)
    assert out.any()
    who[:, PARTIES:] = 2
    recall(state, who[0], 0, out)
    assert not out.any()
    remember(state, who[0], 0, 0.5)
    recall(state, who[0], 0, out)
    peak = STATISTICS.index("peak")
    assert math.isclose(out[peak], math.log1p(0.5 / FLOOR))
