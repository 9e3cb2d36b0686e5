"""Learned thresholds against sorted lists, and the detector with a budget however it is fed."""

import random
from dataclasses import replace

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from graph.heuristics import Lists
from graph.transaction import HOUR, Entity, EntityKind, Transaction
from scorer import segments as module
from scorer.artefact import TrainedModel
from scorer.blend import Blend
from scorer.booster import Booster
from scorer.calibration import Platt
from scorer.decided import WORDS, decide_rows
from scorer.decision import FIXED, Budget, Costs, Policy, SegmentBounds
from scorer.detector import Detector, DetectorConfig
from scorer.features import FeatureConfig
from scorer.history import LabelledTransaction
from scorer.segments import ACCURACY, LEAST, LEAST_ABOVE, MOST, Segments
from scorer.table import Kept, TableBuilder
from scorer.verdict import Decision
from tests.examples import examples
from tests.oracles.streams import SMALL, START, shuffled, transaction

MILDEST_FIRST = tuple(Decision)
CONFIG = DetectorConfig(window=SMALL, features=FeatureConfig(pairs=1 << 10))
budgets = st.tuples(st.floats(0.01, 0.6), st.floats(0.01, 1.0)).map(
    lambda both: Budget(step_up=both[0], decline=both[0] * both[1])
)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 3_000),
    centre=st.floats(-9, 4),
    distinct=st.sampled_from([1, 5, 10**9]),
    budget=budgets,
)
def test_a_threshold_is_the_quantile_within_the_error_and_spares_the_share(
    seed, count, centre, distinct, budget
) -> None:
    rng = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(-rng.normal(centre, 2.5, count)))
    scores = np.round(scores * distinct) / distinct
    segments = Segments(budget)
    for score in scores.tolist():
        segments.take("payment/web", START, score)
    for _ in range(3):
        segments.take("deposit/-", START + HOUR, 0.0)
    found = segments.bounds("payment/web")
    ranked = np.sort(scores)
    for share, bound in ((budget.step_up, found.step_up), (budget.decline, found.decline)):
        above = int(share * count)
        if above < LEAST_ABOVE:
            assert bound == 0.0
            continue
        exact = float(ranked[count - 1 - above])
        if exact <= LEAST:
            assert bound == 0.0
        elif exact >= MOST:
            assert bound == pytest.approx(MOST, rel=1e-6)
        else:
            assert (scores > bound).sum() <= above
            assert exact <= bound
            odds = exact / (1 - exact) * (1 + ACCURACY) / (1 - ACCURACY) * (1 + 1e-6)
            assert bound <= odds / (1 + odds)
            assert bound - exact <= 0.0203 * exact * (1 - exact) + 1e-6  # as documented


@given(
    st.floats(0, 1),
    st.floats(0, 1),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.booleans(),
    st.sampled_from([FIXED, Policy(), Policy(Costs(loss=150.0))]),
)
def test_a_budget_makes_an_answer_one_step_milder_at_most(
    p, own, learned, completed, plain
) -> None:
    policy = Policy(plain.costs, plain.thresholds, Budget(0.02, 0.01))
    segment = SegmentBounds("payment/web", *sorted(learned))
    place = MILDEST_FIRST.index
    alone, spared = plain.choose(p), policy.choose(p, segment)
    assert place(alone) - 1 <= place(spared) <= place(alone)
    assert alone is not Decision.DECLINE or spared is not Decision.APPROVE
    mild, strict = policy.bounds_in(segment)
    assert plain.bounds[0] <= mild <= strict
    assert plain.bounds[1] <= strict
    if p > strict:
        assert spared is Decision.DECLINE
    elif p < mild:
        assert spared is Decision.APPROVE
    answer, cost = policy.answer(
        p, blocked=False, completed=completed, own_probability=own, segment=segment
    )
    assert place(answer) <= place(spared)
    assert cost == policy.costs.expected(answer, p)
    assert policy.choose(p) is alone  # without a segment nothing changes
    blocked = policy.answer(p, blocked=True, completed=True, segment=segment)
    assert blocked[0] is Decision.DECLINE


def life(seed: int, count: int) -> list[Transaction]:
    """Users who pay, send and return through three channels, a day in 160 transactions."""
    rng = random.Random(seed)
    stream, minute = [], 0
    for number in range(count):
        minute += rng.choice([0, 1, 9, 26])
        user, other = rng.sample(range(9), 2)
        payer, payee = rng.choice([(f"u{user}", f"u{other}"), (f"u{user}", f"shop{other}")])
        tx = transaction(
            number,
            minute,
            payer,
            payee,
            rng.choice([90, 100, 400, 2_000, 9_000]),
            device_id=rng.choice([None, f"d{user}"]),
            channel=rng.choice([None, "app", "web"]),
        )
        stream.append(tx)
    stream = shuffled(stream, rng)
    for _ in range(count // 20):  # sent again, late, and absurd
        at = rng.randrange(len(stream))
        odd, apart = stream[at], rng.choice([0, -9 * HOUR, HOUR // 3])
        name = odd.transaction_id if apart == 0 else f"odd{rng.getrandbits(32)}"
        again = structs.replace(odd, transaction_id=name, timestamp=odd.timestamp + apart)
        stream.insert(at + 1, again)
    absurd = structs.replace(stream[0], transaction_id="absurd", timestamp=START + 400 * HOUR)
    stream.insert(rng.randrange(len(stream)), absurd)
    return stream


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    """A model that finds large values and new counterparties suspicious: scores spread widely."""
    stream = life(1, 400)
    detector = Detector(CONFIG)
    detector.observe_batch(stream)
    rows = detector.last_features.copy()
    large = np.array([tx.value >= 2_000 for tx in stream])
    noise = np.random.default_rng(2).random(len(stream)) < 0.1
    grown = xgboost.train(
        {"objective": "binary:logistic", "nthread": 1, "max_depth": 4},
        xgboost.DMatrix(rows, label=large ^ noise, feature_names=list(detector.feature_names)),
        12,
    )
    booster = Booster.from_json(bytes(grown.save_raw("json")), detector.feature_names)
    return TrainedModel(detector.schema, booster, Platt(1.0, -0.5), Blend(), FIXED)


@pytest.mark.slow
@settings(max_examples=examples(12), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    cuts=st.lists(st.integers(0, 1_300), max_size=2),
    with_model=st.booleans(),
    thresholds=st.sampled_from([None, (0.2, 0.4), (0.0005, 0.0007)]),
    budget=budgets,
)
def test_a_budget_decides_the_same_in_batches_of_any_size_and_from_any_snapshot(
    model, seed, cuts, with_model, thresholds, budget
) -> None:
    stream = life(seed, 1_200)
    policy = Policy(thresholds=thresholds, budget=budget)
    given_model = model if with_model else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_SEGMENTS", 4)
        alone = Detector(CONFIG, given_model, policy)
        told = [alone.observe(tx) for tx in stream]
        # Without a cut it is one batch: Hypothesis begins with that.
        parted, again = Detector(CONFIG, given_model, policy), []
        ends = [*sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
        for start, end in zip([0, *ends], ends, strict=False):
            again += parted.observe_batch(stream[start:end])
            parted = Detector.restore(parted.snapshot(), given_model, policy)
        assert again == told
        assert parted.snapshot() == alone.snapshot()


@pytest.mark.parametrize("seed", range(3))
def test_a_backtest_decides_as_the_detector_with_that_budget(model, seed) -> None:
    blocked = Lists(blocked=frozenset({Entity(EntityKind.DEVICE, "d3")}))
    config, stream = replace(CONFIG, lists=blocked), life(seed, 1_200)
    policy = Policy(thresholds=(0.2, 0.6), budget=Budget(0.3, 0.1))
    told = Detector(config, model, policy).observe_batch(stream)
    builder = TableBuilder(model.schema)
    rows = np.empty((len(stream), len(model.schema.names)), np.float32)
    seen = Detector(config).observe_features(stream, rows)
    places = [place for place, signals in enumerate(seen) if signals.accepted]
    accepted = [told[place] for place in places]
    builder.keep(
        [
            Kept(LabelledTransaction(stream[place], fraud=False), seen[place], row, True)
            for row, place in enumerate(places)
        ],
        rows[places],
    )
    table = builder.table()
    scores = np.array([verdict.score for verdict in accepted])

    def own(row: int) -> float:
        return model.own_probability(table.rows[row])

    decided = decide_rows(policy, table, np.arange(len(accepted)), scores, own)
    assert [WORDS[choice] for choice in decided.choices] == [v.decision.value for v in accepted]
    spared = {v.reasons[-1].code for v in accepted if v.decision is Decision.APPROVE and v.reasons}
    assert "segment_budget" in spared
    assert any(reason.code == "blocked" for v in accepted for reason in v.reasons)


@pytest.mark.slow
def test_a_segment_that_would_go_beyond_its_budget_keeps_it(model) -> None:
    """Else the tests above would compare nothing with nothing."""
    stream = life(5, 3_000)
    fixed = Policy(thresholds=(0.2, 0.6))
    plain = Detector(CONFIG, model, fixed).observe_batch(stream)
    budget = Budget(step_up=0.2, decline=0.1)
    spared = Detector(CONFIG, model, Policy(fixed.costs, fixed.thresholds, budget)).observe_batch(
        stream
    )
    later = [
        (one, other)
        for one, other in zip(plain[2_000:], spared[2_000:], strict=True)
        if one.admission == "accepted"
    ]
    assert all(one.score == other.score for one, other in later)

    def declined(at: int) -> float:
        return sum(pair[at].decision is Decision.DECLINE for pair in later) / len(later)

    assert declined(0) > 0.2
    assert declined(1) < 0.17  # a tenth of what comes is known to about a half
    changed = [(one, other) for one, other in later if one.decision is not other.decision]
    assert {(one.decision, other.decision) for one, other in changed} >= {
        (Decision.DECLINE, Decision.STEP_UP),
        (Decision.STEP_UP, Decision.APPROVE),
    }
    for one, other in changed:
        place = MILDEST_FIRST.index
        assert place(other.decision) == place(one.decision) - 1
        assert other.reasons[-1].code == "segment_budget"
    assert all(one == other for one, other in later if one.decision is Decision.APPROVE)
