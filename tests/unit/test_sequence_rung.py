"""The events a sequence is cut from are the transactions that were replayed."""

import numpy as np

from api.sequence_rung import events_of
from gnn.event_sequences import STEP, STEPS, TYPES, sequences
from graph.transaction import Outcome
from scorer.detector import Detector
from scorer.history import LabelledTransaction
from scorer.history_replay import replay
from tests.bare_replayer import stream


def test_the_rows_of_a_table_become_events():
    transactions = stream(3, 60)
    history = (LabelledTransaction(tx, fraud=n % 5 == 0) for n, tx in enumerate(transactions))
    events = events_of(replay(history, Detector()))
    assert [TYPES[code] for code in events.type] == [tx.type.value for tx in transactions]
    assert events.time.tolist() == [tx.timestamp for tx in transactions]
    assert events.declined.tolist() == [tx.outcome is Outcome.DECLINED for tx in transactions]
    np.testing.assert_allclose(np.expm1(events.value), [tx.value for tx in transactions], rtol=1e-4)
    assert len(set(events.channel.tolist())) == 1  # none was given
    for column, name in enumerate(("user_id", "", "device_id", "ip_address", "card_id")):
        names = [
            tx.other_party and str(tx.other_party) if column == 1 else getattr(tx, name)
            for tx in transactions
        ]
        codes = events.who[:, column].tolist()
        assert [code < 0 for code in codes] == [name is None for name in names]
        assert len(set(zip(codes, names, strict=True))) == len(set(codes)) == len(set(names))
    cut = sequences(events, np.full(60, np.nan), np.array([59]))[0]
    assert cut[-1, list(STEP).index(f"is_{transactions[59].type.value}")] == 1
    assert 3 < cut[:, 0].sum() <= STEPS
