"""A replay in batches leaves the table of a replay one at a time, bit for bit."""

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from graph.ring_policy import RingPolicy
from graph.transaction import DAY, HOUR, MINUTE, Transaction
from scorer.blend import joint_strength
from scorer.detector import Detector, DetectorConfig
from scorer.features import FeatureConfig
from scorer.history import LabelledTransaction
from scorer.history_replay import replay
from tests.examples import examples
from tests.oracles.streams import SMALL, TALKATIVE, money_streams

CONFIG = DetectorConfig(
    window=SMALL,
    thresholds=TALKATIVE,
    rings=RingPolicy(quiet_after=2 * HOUR, expire_after=3 * HOUR),
    features=FeatureConfig(pairs=1 << 10),
)
# Known at once, within the batch, around its end, or long after it.
DELAYS = (0, 1, 5 * MINUTE, 40 * MINUTE, 3 * HOUR, DAY)


def labelled(tx: Transaction, rng: random.Random) -> LabelledTransaction:
    tx = structs.replace(tx, device_id=rng.choice([None, "d0", "d1"]))
    fraud = rng.choice([None, False, False, True])
    if fraud is None:
        return LabelledTransaction(tx)
    return LabelledTransaction(tx, fraud, tx.timestamp + rng.choice(DELAYS), "r" if fraud else None)


@given(money_streams(most=60), st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=examples(25), deadline=None)
def test_batches_do_not_change_a_bit(
    stream: list[Transaction], seed: int, latecomers: bool
) -> None:
    rng = random.Random(seed)
    history = [labelled(tx, rng) for tx in stream]
    history += rng.sample(history, len(history) // 8)  # sent twice
    if latecomers:
        history.sort(key=lambda item: item.transaction.timestamp + rng.uniform(0, HOUR))
    batched = Detector(CONFIG)
    table = replay(history, batched)

    alone = Detector(CONFIG)
    row = np.empty((1, len(alone.schema.names)), np.float32)
    rows, said, rejected = [], [], 0
    for item in history:
        (seen,) = alone.observe_features([item.transaction], row)
        rejected += not seen.accepted
        if seen.accepted and item.label is not None:
            alone.learn(item.label)
            rows.append(row[0].copy())
            said.append((joint_strength(seen.evidence), seen.watermark))
    assert table.rejected == rejected
    told = zip(table.joint.tolist(), table.watermarks.tolist(), strict=True)
    assert list(told) == said
    assert table.rows.tobytes() == b"".join(each.tobytes() for each in rows)
    assert batched.snapshot() == alone.snapshot()
