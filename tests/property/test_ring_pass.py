"""Rings formed anew from recorded evidence, and scores of recorded margins, are a detector's."""

import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from graph.evidence import RULE_STRENGTH, Evidence, Pattern, Role
from graph.ring_policy import RingPolicy
from graph.transaction import DAY, Entity, EntityKind, Transaction
from scorer.artefact import TrainedModel
from scorer.blend import Blend
from scorer.booster import Booster
from scorer.calibration import Platt
from scorer.decision import Policy
from scorer.detector import Detector, DetectorConfig
from scorer.evidence_context import NAMES
from scorer.evidence_judge import EvidenceJudge, column_of, judged_rows
from scorer.features import FeatureConfig
from scorer.fitting import BoosterSettings, regrow_booster
from scorer.history import LabelledTransaction
from scorer.history_replay import replay
from scorer.judge_training import weights_by
from scorer.ring_context import NAMES as RING_NAMES
from scorer.ring_judge import RingJudge
from scorer.ring_matching import RingLedger
from scorer.ring_pass import rings_of, rings_told, weighed, with_rings
from scorer.risk_kernel import WIDTH
from scorer.risk_stack import score_history
from tests.examples import examples
from tests.oracles.streams import SMALL, START, TALKATIVE, money_streams, transaction

CONFIG = DetectorConfig(
    window=SMALL,
    thresholds=TALKATIVE,
    # Between two transactions nothing falls quiet: the pass looks at the clock with evidence only.
    rings=RingPolicy(birth=0.4, crowd_birth=0.4, quiet_after=DAY, expire_after=3 * DAY),
    features=FeatureConfig(pairs=1 << 10),
)
FACTS = ("hops", "reciprocal_hops", "payers")


def labelled(stream: list[Transaction], rng: random.Random) -> list[LabelledTransaction]:
    history = []
    for tx in stream:
        tx = structs.replace(tx, device_id=rng.choice([None, "d0", "d1"]))  # noqa: PLW2901
        history.append(LabelledTransaction(tx, rng.random() < 0.3, tx.timestamp + DAY))
    return history


def told_by(ledger: RingLedger) -> list[tuple[object, ...]]:
    # What is recoverable is left out: a table does not say which way a suspect's money went.
    return [
        (structs.replace(r.ring, recoverable=0), r.alerted_at, r.alerts, r.strongest)
        for r in ledger.rings(since=0)
    ]


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    """A judge that answers all over the range, and a booster that has nothing to say."""
    rng = np.random.default_rng(5)
    detector, width = Detector(CONFIG), len(NAMES) + len(FACTS)
    rows = rng.normal(size=(400, width)).astype(np.float32) * 3
    rows[:, 0] = rng.integers(0, len(Pattern), 400)
    fraud = (rows[:, 1] + rows[:, 8] + rng.normal(size=400)) > 1
    grow = BoosterSettings(min_child_weight=1.0, learning_rate=0.3)
    names = (*NAMES, *map(column_of, FACTS))
    trees = regrow_booster(rows, fraud, names, grow, 1, 20)
    of_rings = RingJudge(_trees_of_rings(rng), 0.5, 0.5)
    judge = EvidenceJudge(FACTS, trees, 0.3, 0.9, of_rings)
    plain = rng.normal(size=(50, len(detector.feature_names))).astype(np.float32)
    half = np.arange(50) % 2 == 0
    booster = regrow_booster(plain, half, detector.feature_names, BoosterSettings(), 1, 1)
    blend = Blend(ring=1.0, evidence=0.5, memory=tuple(rng.normal(0.0, 0.05, WIDTH).tolist()))
    return TrainedModel(detector.schema, booster, Platt(1, 0), blend, Policy(), judge)


def _trees_of_rings(rng: np.random.Generator) -> Booster:
    """Which rings are likely depends on a little of everything."""
    rows = (rng.random((300, len(RING_NAMES))) * 4).astype(np.float32)
    likely = rows[:, :20].sum(axis=1) > np.median(rows[:, :20].sum(axis=1))
    grow = BoosterSettings(min_child_weight=1.0, learning_rate=0.3)
    return regrow_booster(rows, likely, RING_NAMES, grow, 1, 20)


@given(money_streams(most=60), st.integers(0, 2**32 - 1))
@settings(max_examples=examples(30), deadline=None)
def test_without_weights_the_rings_are_those_of_a_detector_without_a_model(
    stream: list[Transaction], seed: int
) -> None:
    history = labelled(stream, random.Random(seed))
    table = replay(history, Detector(CONFIG))
    shown = []
    passed = with_rings(table, table.evidence, CONFIG.rings)
    unscored = rings_told(
        passed,
        np.full(len(table.fraud), np.nan),
        CONFIG.rings,
        shown=lambda row, evidence, rings: shown.append((row, len(evidence), len(rings))),
    )
    detector, ledger, verdicts, rows = Detector(CONFIG), RingLedger(), [], []
    for item in history:
        verdicts.append(detector.observe(item.transaction))
        rows.append(detector.last_features[0].copy())
        ledger.note(verdicts[-1].ring_events, (*verdicts[-1].evidence, *verdicts[-1].findings))
        if item.label is not None:
            detector.learn(item.label)
    assert told_by(unscored) == told_by(passed.ledger) == told_by(ledger)
    assert passed.ring_score.tolist() == [verdict.ring_score for verdict in verdicts]
    assert passed.told.astype(bool).tolist() == [
        bool(verdict.evidence or verdict.ring_score) for verdict in verdicts
    ]
    same_shape = np.array(rows, np.float32).reshape(passed.rows.shape)
    np.testing.assert_array_equal(passed.rows, same_shape)
    speaking = (passed.joint > 0) | (passed.ring_score > 0)
    assert {row for row, _, _ in shown} >= set(np.flatnonzero(speaking).tolist())


DECLINED = [
    transaction(number, 0, payer, "u0", 60, declined=True)
    for number, payer in enumerate(("u3", "u0", "u1"))
]


@given(
    stream=money_streams(most=60),
    seed=st.integers(0, 2**32 - 1),
    cuts=st.lists(st.integers(0, 60), max_size=2),
)
@example(stream=DECLINED, seed=0, cuts=[])  # suspects that moved nothing
@settings(max_examples=examples(20), deadline=None)
def test_a_detector_with_a_judge_tells_the_rings_of_the_pass(
    model: TrainedModel, stream: list[Transaction], seed: int, cuts: list[int]
) -> None:
    history = labelled(stream, random.Random(seed))
    table = replay(history, Detector(CONFIG))
    judge = model.judge
    assert judge is not None
    evidence = weighed(table.evidence, weights_by(judge, table.evidence))
    passed = with_rings(table, evidence, judge.rings(CONFIG.rings))

    def fed(*cuts: int) -> tuple[Detector, list[object]]:
        """In batches between the cuts, each by a detector restored from a snapshot."""
        detector, verdicts = Detector(CONFIG, model), []
        for start, stop in zip((0, *cuts), (*cuts, len(history)), strict=True):
            detector = Detector.restore(detector.snapshot(), model)
            part = history[start:stop]
            verdicts += detector.observe_batch([item.transaction for item in part])
            for item in part:
                if item.label is not None:
                    detector.learn(item.label)
        return detector, verdicts

    detector, verdicts = fed(*sorted(min(cut, len(history)) for cut in cuts))
    ledger = RingLedger()
    for verdict in verdicts:
        ledger.note(verdict.ring_events, (*verdict.evidence, *verdict.findings))
    margins = model.booster.margins(passed.rows)
    scored = score_history(passed, margins, model.calibration, model.blend)
    policy = judge.rings(CONFIG.rings)
    expected = rings_told(passed, scored[:, 1], policy, judge.likelihood)
    assert told_by(ledger) == told_by(expected)
    assert told_by(rings_of(evidence, policy.hearing_all())) == told_by(passed.ledger)
    assert [verdict.ring_score for verdict in verdicts] == passed.ring_score.tolist()
    assert [verdict.score for verdict in verdicts] == scored[:, 1].tolist()
    rest = fed(*range(1, len(history)))[0] if len(history) < 30 else detector
    assert rest.rings.snapshot() == detector.rings.snapshot()
    assert rest.context.snapshot() == detector.context.snapshot()
    assert rest.memory.snapshot() == detector.memory.snapshot()


def test_a_weighed_piece_keeps_what_the_rule_said_and_a_block_stays_an_order(
    model: TrainedModel,
) -> None:
    members = tuple((Entity(EntityKind.USER, name), Role.MEMBER) for name in ("a", "b"))
    piece = Evidence(Pattern.CYCLE, START, members, (), 0.7, "Round it goes.", {"hops": 3.0})
    block = structs.replace(piece, pattern=Pattern.BLOCKED, strength=1.0)
    detector, judge = Detector(CONFIG), model.judge
    assert judge is not None
    contexts = detector.context.rows([piece, block])
    weighed, ordered = judge.weigh([piece, block], contexts)
    assert weighed.is_judged
    assert weighed.facts == {"hops": 3.0, RULE_STRENGTH: 0.7}
    assert 0 < weighed.strength < 1
    assert weighed.evidence_id == piece.evidence_id
    assert ordered is block


def test_a_fact_that_nobody_taught_is_not_looked_at(model: TrainedModel) -> None:
    members = tuple((Entity(EntityKind.USER, name), Role.MEMBER) for name in ("a", "b"))
    piece = Evidence(Pattern.CYCLE, START, members, (), 0.7, "Round it goes.", {"news": 3.0})
    contexts = Detector(CONFIG).context.rows([piece])
    row = judged_rows([piece], contexts, FACTS)[0]
    assert np.isnan(row[len(NAMES) :]).all()
    assert row[: len(NAMES)].tobytes() == contexts[0].tobytes()
