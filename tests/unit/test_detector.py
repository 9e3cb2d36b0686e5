"""The detector as a whole: the same verdicts however it is fed, and the promises of a verdict."""

from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from graph.errors import Incompatible, InvalidInput
from graph.evidence import Pattern
from graph.heuristics import Lists
from graph.snapshot import encode_state
from graph.transaction import DAY, HOUR, MINUTE, Entity, EntityKind, Label, Money, Transaction
from graph.transaction import TransactionType as Type
from graph.window import WindowConfig
from ingest.codec import from_fields
from ingest.currencies import RateTable
from ingest.simulator import WIRE_FIELDS, RingCounts, SimulationConfig, run
from scorer import label_queue
from scorer.decision import Policy
from scorer.detector import Detector, DetectorConfig
from scorer.explanation import explain
from scorer.features import FeatureConfig
from scorer.fitting import BoosterSettings
from scorer.history import LabelledTransaction
from scorer.odds import sigmoid
from scorer.training import train
from scorer.verdict import Decision, Standing

START = 1_700_000_000_000
RATES = RateTable("EUR", {"USD": "0.92", "GBP": "1.17"})
CONFIG = DetectorConfig(
    window=WindowConfig(
        max_edges=1 << 14, max_accounts=1 << 12, max_identifiers=1 << 13, max_links=1 << 15
    ),
    features=FeatureConfig(pairs=1 << 14),
)


def transfer(number: int, at: int, source: str, target: str, value: int = 10_000) -> Transaction:
    return Transaction(
        f"t{number}", START + at, Type.TRANSFER, Money(value, "EUR"), value, source, target
    )


@pytest.fixture(scope="module")
def history() -> list[LabelledTransaction]:
    rings = RingCounts(cycle=8, mule=8, device_farm=4)
    config = SimulationConfig(seed=11, days=16, users=260, ring_counts=rings)
    rows = run(config).transactions.to_pylist()
    return [
        LabelledTransaction(
            from_fields({k: row[k] for k in WIRE_FIELDS if row[k] is not None}, rates=RATES),
            row["fraud"],
            row["timestamp"] + HOUR if row["fraud"] is not None else None,
            row["ring_id"],
        )
        for row in rows
    ]


@pytest.fixture(scope="module")
def model(history):
    return train(history, Detector(CONFIG), settings=BoosterSettings(rounds=60, patience=20))


def verdicts(history, model, *, batch: int) -> list:
    detector = Detector(CONFIG, model)
    found = []
    for start in range(0, len(history), batch):
        part = history[start : start + batch]
        found += detector.observe_batch([row.transaction for row in part])
    return found


@pytest.mark.slow
def test_batches_of_any_size_give_the_same_verdicts(history, model) -> None:
    some = history[:1500]
    alone = verdicts(some, model, batch=1)
    assert verdicts(some, model, batch=7) == alone
    assert verdicts(some, model, batch=512) == alone


@pytest.mark.slow
@pytest.mark.parametrize("cut", [1, 333, 1200])
def test_a_detector_restored_anywhere_goes_on_as_if_nothing_had_happened(
    history, model, cut: int
) -> None:
    straight = Detector(CONFIG, model)
    for row in history[:cut]:
        straight.observe(row.transaction)
        if row.label is not None:
            straight.learn(row.label)
    resumed = Detector.restore(straight.snapshot(), model)
    assert resumed.snapshot() == straight.snapshot()
    for row in history[cut : cut + 800]:
        assert resumed.observe(row.transaction) == straight.observe(row.transaction)
    assert resumed.snapshot() == straight.snapshot()


def test_without_a_model_the_verdict_says_so_and_heuristics_answer() -> None:
    detector = Detector(CONFIG)
    for n, (source, target) in enumerate([("a", "b"), ("b", "c"), ("c", "a")]):
        verdict = detector.observe(transfer(n, n * MINUTE, source, target, 10_000 - n * 100))
    assert verdict.degraded == ("model",)
    assert verdict.tiers == ("rules", "graph")
    assert verdict.model_score is None
    assert [piece.pattern for piece in verdict.evidence] == [Pattern.CYCLE]
    assert verdict.decision is not Decision.APPROVE
    assert verdict.rings == (verdict.ring_events[0].ring.ring_id,)
    assert verdict.reasons[0].standing is Standing.DID


def test_a_connection_alone_never_declines() -> None:
    stern = Policy(thresholds=(0.005, 0.01))
    detector = Detector(CONFIG, policy=stern)
    for n, (source, target) in enumerate([("a", "b"), ("b", "c"), ("c", "a")]):
        detector.observe(transfer(n, n * MINUTE, source, target))
    # Much later, when it is not the circle's money any more.
    verdict = detector.observe(transfer(9, 20 * HOUR, "a", "grandmother"))
    assert verdict.rings
    assert not verdict.evidence
    assert stern.choose(verdict.score) is Decision.DECLINE
    assert verdict.decision is Decision.STEP_UP
    assert {reason.standing for reason in verdict.reasons} == {Standing.CONNECTED}


def test_a_blocked_device_is_declined_by_itself() -> None:
    stolen = Entity(EntityKind.DEVICE, "stolen")
    detector = Detector(replace(CONFIG, lists=Lists(blocked=frozenset({stolen}))))
    verdict = detector.observe(structs.replace(transfer(1, 0, "a", "b"), device_id="stolen"))
    assert verdict.decision is Decision.DECLINE
    assert verdict.reasons[0].code == "blocked"


def test_a_transaction_sent_again_gets_its_first_verdict_without_new_events() -> None:
    detector = Detector(CONFIG)
    for n, (source, target) in enumerate([("a", "b"), ("b", "c"), ("c", "a")]):
        first = detector.observe(transfer(n, n * MINUTE, source, target))
    before = detector.snapshot()
    again = detector.observe(transfer(2, 2 * MINUTE, "c", "a"))
    assert again == structs.replace(first, admission="duplicate", evidence=(), ring_events=())
    within = detector.observe_batch([transfer(7, HOUR, "x", "y"), transfer(7, HOUR, "x", "y")])
    assert [v.admission for v in within] == ["accepted", "duplicate"]
    assert within[0].score == within[1].score
    assert detector.snapshot() != before


def test_late_and_absurd_transactions_are_answered_and_change_nothing_but_counts() -> None:
    detector = Detector(CONFIG)
    for n in range(4):
        detector.observe(transfer(n, HOUR + n, "a", "b"))
    rings, features = detector.rings.snapshot(), detector.features.snapshot()
    late = detector.observe(transfer(10, 0, "a", "b"))
    ahead = detector.observe(transfer(11, 400 * DAY, "a", "b"))
    assert (late.admission, ahead.admission) == ("late", "ahead")
    assert 0 < late.score < 1
    assert (detector.rings.snapshot(), detector.features.snapshot()) == (rings, features)


def test_a_disordered_arrival_completes_the_cycle_it_was_missing_from() -> None:
    detector = Detector(CONFIG)
    detector.observe(transfer(1, 0, "a", "b"))
    detector.observe(transfer(3, 2 * MINUTE, "c", "a", 9_800))
    verdict = detector.observe(transfer(2, MINUTE, "b", "c", 9_900))
    (piece,) = verdict.evidence
    assert [hop.transaction_id for hop in piece.hops] == ["t1", "t2", "t3"]
    assert len(detector.rings) == 1


def test_a_verdict_says_when_more_came_later_than_is_looked_at_anew() -> None:
    detector = Detector(CONFIG)
    detector.observe_batch([transfer(n, MINUTE + n, f"u{n}", "hub") for n in range(300)])
    (late,) = detector.observe_batch([transfer(900, 0, "hub", "x")])
    assert late.admission == "accepted"
    assert late.degraded == ("model", "capacity")
    (in_order,) = detector.observe_batch([transfer(901, HOUR, "hub", "x")])
    assert in_order.degraded == ("model",)


def test_a_label_is_used_only_once_its_time_has_come() -> None:
    def rows(known_at: int) -> list[np.ndarray]:
        detector = Detector(CONFIG)
        first = transfer(0, 0, "a", "b")
        detector.observe(first)
        detector.learn(Label(first, fraud=True, known_at=START + known_at))
        found = []
        for n in range(1, 8):
            detector.observe(transfer(n, n * HOUR, "a", "b"))
            found.append(detector.last_features[0].copy())
        return found

    never, later = rows(400 * DAY), rows(3 * HOUR + 1)
    same = [np.array_equal(a, b, equal_nan=True) for a, b in zip(never, later, strict=True)]
    # The watermark is the third-newest timestamp: three hours are agreed on at the fifth.
    assert same == [True, True, True, True, True, False, False]


def test_labels_beyond_their_bound_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(label_queue, "_MAX_LABELS", 2)
    detector = Detector(CONFIG)
    tx = transfer(0, 0, "a", "b")
    for _ in range(2):
        detector.learn(Label(tx, fraud=True, known_at=START + DAY))
    with pytest.raises(InvalidInput, match="labels wait"):
        detector.learn(Label(tx, fraud=True, known_at=START + DAY))


@pytest.mark.slow
def test_a_model_of_other_features_is_refused(model) -> None:
    other = replace(model, schema=replace(model.schema, names=model.schema.names[::-1]))
    with pytest.raises(Incompatible, match="other features"):
        Detector(CONFIG, other)


def test_a_torn_snapshot_is_refused() -> None:
    saved = Detector(CONFIG).snapshot()
    with pytest.raises(Incompatible):
        Detector.restore(saved[:-1])


@pytest.mark.slow
def test_rows_are_kept_of_what_somebody_may_ask_about_and_no_verdict_depends_on_them(
    history, model
) -> None:
    stern = Policy(thresholds=(0.01, 0.3))  # so that figures alone trouble some as well
    detector, plain = Detector(CONFIG, model, stern), Detector(CONFIG, policy=stern)
    asked_about: dict[str, np.ndarray] = {}
    for start in range(0, 2_000, 64):
        part = [row.transaction for row in history[start : start + 64]]
        plain.observe_batch(part)
        given = zip(detector.observe_batch(part), detector.last_features, strict=True)
        for verdict, row in given:
            if verdict.evidence or verdict.decision is not Decision.APPROVE:
                asked_about[verdict.transaction_id] = row.copy()
                held = detector.kept.find(verdict.transaction_id)
                assert held is not None
                assert held.verdict == structs.replace(verdict, ring_events=())
            else:
                assert detector.kept.find(verdict.transaction_id) is None
    assert 10 < len(asked_about) == len(detector.kept) < 2_000
    for name, row in asked_about.items():
        held = detector.kept.find(name)
        assert held is not None
        np.testing.assert_array_equal(held.row, row)
        found = explain(model, held)
        assert found.probability == held.verdict.model_score
        assert sigmoid(found.log_odds) == pytest.approx(held.verdict.score, rel=1e-9)
    assert len(plain.kept) == 0, "without a model there is nothing to take apart"

    restored = Detector.restore(detector.snapshot(), model, stern)
    assert len(restored.kept) == 0
    assert restored.snapshot() == detector.snapshot()


def test_a_newcomer_alone_in_its_batch_may_take_the_id_of_somebody_forgotten():
    forgetful = WindowConfig(retention=2 * DAY, memory=2 * DAY)
    detector = Detector(DetectorConfig(window=forgetful))
    for number in range(40):
        named = number // 8  # everybody has another name every other day
        tx = transfer(number, number * 6 * HOUR, f"payer{named}", f"payee{named}")
        assert detector.observe(tx).admission == "accepted"
    assert detector.window.accounts.size < 10  # ids were given out anew


def test_a_verdict_remembered_whole_is_answered_again_without_what_was_told() -> None:
    detector = Detector()
    ring = [transfer(n, n * MINUTE, a, b) for n, (a, b) in enumerate(["ab", "bc", "ca"])]
    verdicts = detector.observe_batch(ring)
    assert verdicts[-1].evidence
    assert verdicts[-1].ring_events
    # As checkpoints had it before the evidence was left out.
    adjudicator = detector._adjudicator
    state = adjudicator.state() | {"answered": encode_state(verdicts)}
    adjudicator.restore(state)
    (again,) = detector.observe_batch(ring[-1:])
    assert (again.admission, again.score) == ("duplicate", verdicts[-1].score)
    assert again.evidence == again.ring_events == again.findings == ()
