import dataclasses
import gc

import numpy as np
import pytest

from graph.errors import InvalidInput, InvalidSetting
from graph.transaction import DAY
from scorer import fitting
from scorer import table as table_module
from scorer.artefact import load_model
from scorer.decision import FIXED
from scorer.history_replay import replay
from scorer.table import cut_by_time
from scorer.training import train
from tests.planted_history import SMALL, PingPong, made

pytestmark = pytest.mark.slow


def test_the_table_holds_the_labelled_rows_as_the_engine_made_them():
    history = made(rows=1_000)
    engine = PingPong()
    table = replay(history, engine)
    labelled = [item for item in history if item.fraud is not None]
    assert table.transactions == len(history)
    assert len(table.fraud) == len(labelled) == len(table.rows)
    assert table.fraud.tolist() == [item.fraud for item in labelled]
    assert table.times.tolist() == [item.transaction.timestamp for item in labelled]
    assert [history[place] for place in table.places] == labelled
    again = PingPong()
    out = np.empty((1, 6), dtype=np.float32)
    rows = []
    for item in history:
        again.observe_features([item.transaction], out)
        if item.fraud is not None:
            rows.append(out[0].copy())
            again.learn(item.label)
    np.testing.assert_array_equal(table.rows, np.array(rows))
    assert [label.transaction for label in engine.learned] == [i.transaction for i in labelled]


def test_signals_rings_and_warmth_go_with_their_row():
    table = replay(made(rows=1_000), PingPong())
    assert set(table.joint[table.joint > 0].round(6)) == {0.6}
    assert (table.joint > 0).sum() == table.rows[:, 4].sum()
    assert table.warm.tolist() == (table.rows[:, 1] > 0).tolist()
    assert {ring for ring in table.ring_ids if ring} == set(table.true_rings)
    assert all(len(ring.members) == 2 for ring in table.true_rings.values())
    assert table.evidence.pieces == (table.joint > 0).sum()


def test_withheld_labels_are_never_learned_and_their_rows_stay():
    history = made(rows=400)
    engine = PingPong()
    places = frozenset(range(0, len(history), 2))
    table = replay(history, engine, withheld=places)
    assert places & set(table.places.tolist())
    taught = {label.transaction.transaction_id for label in engine.learned}
    assert not taught & {history[place].transaction.transaction_id for place in places}


def test_labels_can_be_known_at_once():
    history = made(rows=300, delay=DAY)
    engine = PingPong()
    replay(history, engine, at_once=True)
    assert all(label.known_at == label.transaction.timestamp for label in engine.learned)
    assert len(engine.learned) == sum(item.fraud is not None for item in history)


def test_rows_outside_of_keep_run_and_teach_but_are_not_kept():
    history = made(rows=400)
    engine = PingPong()
    table = replay(history, engine, keep=lambda item: item.fraud)
    assert table.fraud.all()
    assert len(engine.learned) == sum(item.fraud is not None for item in history)


def test_what_is_not_accepted_is_counted_and_not_learned():
    history = made(rows=300)
    table = replay([*history, *history[:50]], PingPong())
    assert table.rejected == 50
    assert table.transactions == len(history) + 50
    assert len(table.fraud) == sum(item.fraud is not None for item in history)


def test_a_table_grows_by_chunks_and_says_when_it_is_full(monkeypatch):
    history = made(rows=300)
    whole = replay(history, PingPong())
    monkeypatch.setattr(table_module, "CHUNK_ROWS", 7)
    np.testing.assert_array_equal(replay(history, PingPong()).rows, whole.rows)
    monkeypatch.setattr(table_module, "MAX_ROWS", 100)
    with pytest.raises(InvalidInput, match="more than 100 labelled"):
        replay(history, PingPong())


def test_a_moment_is_never_on_both_sides_of_a_cut():
    times = np.array([3, 1, 1, 2, 2, 2, 2, 5, 4, 4], dtype=np.int64)
    parts = cut_by_time(times, 0.5, 0.3, 0.2)
    assert sorted(np.concatenate(parts).tolist()) == list(range(10))
    spans = [set(times[part].tolist()) for part in parts]
    assert spans == [{1}, {2, 3}, {4, 5}]
    assert [len(part) for part in cut_by_time(np.empty(0, dtype=np.int64), 0.8, 0.2)] == [0, 0]


def test_a_trained_model_sees_what_was_planted_and_repeats_itself(tmp_path):
    history = made(rows=3_000)
    stages = []
    model = train(
        history,
        PingPong(),
        policy=FIXED,
        settings=SMALL,
        seed=3,
        created="2026-01-02T03:04:05Z",
        data={"name": "planted"},
        progress=lambda stage, done: stages.append((stage, done)),
    )
    assert model.metrics["later_slice"]["average_precision"] > 0.5
    assert model.policy == FIXED
    assert model.data["name"] == "planted"
    assert model.data["transactions"] == len(history)
    assert model.versions["xgboost"]
    assert ("replay", len(history)) in stages
    assert stages[-1] == ("learn", model.booster.tree_count)
    back = np.array([8.0, 30.0, np.nan, 12.0, 1.0, 1.0], dtype=np.float32)
    ordinary = np.array([8.0, 30.0, np.nan, 12.0, 0.0, 0.0], dtype=np.float32)
    assert model.probability(back) > 5 * model.probability(ordinary)

    again = train(
        history,
        PingPong(),
        policy=FIXED,
        settings=SMALL,
        seed=3,
        created="2026-01-02T03:04:05Z",
        data={"name": "planted"},
    )
    assert again.version == model.version
    model.save(tmp_path)
    assert load_model(tmp_path, PingPong.schema).version == model.version


def test_a_history_without_both_kinds_of_label_is_refused():
    history = made(rows=200)
    with pytest.raises(InvalidInput, match="no transaction has a label"):
        train([dataclasses.replace(item, fraud=None) for item in history], PingPong())
    with pytest.raises(InvalidSetting, match="all labels say the same"):
        train([dataclasses.replace(item, fraud=False) for item in history], PingPong())
    with pytest.raises(InvalidInput, match="0 transactions"):
        train([], PingPong())


def test_a_sample_of_the_legitimate_stands_for_all_of_them(monkeypatch):
    fraud = np.arange(1_000) % 50 == 0
    rows, weights = fitting.sample_negatives(fraud, seed=0)
    assert rows.tolist() == list(range(1_000))
    assert set(weights) == {1.0}
    monkeypatch.setattr(fitting, "MOST_NEGATIVES", 98)
    rows, weights = fitting.sample_negatives(fraud, seed=0)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert fraud[rows].sum() == fraud.sum()
    assert (~fraud[rows]).sum() == 98
    assert weights[fraud[rows]].tolist() == [1.0] * 20
    assert weights.sum() == pytest.approx(1_000)
    again, _ = fitting.sample_negatives(fraud, seed=0)
    assert again.tolist() == rows.tolist()


def test_a_model_of_a_sample_keeps_the_natural_rate(monkeypatch):
    history = made(rows=3_000)
    whole = train(history, PingPong(), settings=SMALL)
    monkeypatch.setattr(fitting, "MOST_NEGATIVES", 400)
    sampled = train(history, PingPong(), settings=SMALL)
    assert sampled.version != whole.version
    figures = [model.metrics["later_slice"] for model in (whole, sampled)]
    assert figures[1]["average_precision"] > 0.9 * figures[0]["average_precision"]
    # Before any calibration the margins of both say the same.
    rows = replay(history, PingPong()).rows
    rates = [1 / (1 + np.exp(-model.booster.margins(rows))) for model in (whole, sampled)]
    assert rates[1].mean() == pytest.approx(rates[0].mean(), rel=0.2)


@pytest.mark.parametrize("on", [True, False])
def test_a_replay_leaves_the_collector_as_it_was(on):
    was = gc.isenabled()
    try:
        (gc.enable if on else gc.disable)()
        during = []
        replay(made(rows=200), PingPong(), progress=lambda *_: during.append(gc.isenabled()))
        assert set(during) == {False}
        assert gc.isenabled() is on

        def torn():
            yield from made(rows=200)
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError) as held:
            replay(torn(), PingPong())
        assert gc.isenabled() is on
        with pytest.raises(ZeroDivisionError) as also:
            replay(made(rows=200), PingPong(), keep=lambda _: 1 / 0)
        assert gc.isenabled() is on
        assert held.value.__traceback__
        assert also.value.__traceback__  # still held, frames and all
    finally:
        (gc.enable if was else gc.disable)()
