"""A history with planted pairs that only the graph can see, and an engine that sees just them."""

import numpy as np

from graph.evidence import Evidence, Hop, Pattern, Role
from graph.ring_policy import RingPolicy
from graph.transaction import DAY, HOUR, MINUTE, Money, Transaction, TransactionType
from scorer.evidence_context import NAMES
from scorer.fitting import BoosterSettings
from scorer.history import LabelledTransaction
from scorer.ports import FeatureSchema, Signals

USERS = 2_000
"""Enough that two pairs seldom share somebody: of pairs that do, one ring is made."""
SMALL = BoosterSettings(rounds=60, patience=20, depth=3, min_child_weight=1.0)


class PingPong:
    """A small engine with real features: money that comes straight back is evidence."""

    schema = FeatureSchema(
        ("value_log", "user_count", "user_fraud_rate", "hour", "comes_back", "pair_count"),
        ("amount", "behaviour", "labels", "time", "flow", "flow"),
        graph_families=frozenset({"flow"}),
    )

    def __init__(self):
        self.counts = {}
        self.pairs = {}
        self.pending = []
        self.labels = {}
        self.seen_ids = set()
        self.learned = []

    ring_policy = RingPolicy()

    def observe_features(self, transactions, out):
        return [self._observe(tx, out[i]) for i, tx in enumerate(transactions)]

    def _observe(self, tx, out):
        if tx.transaction_id in self.seen_ids:
            return Signals(accepted=False)
        self.seen_ids.add(tx.transaction_id)
        for label in [label for label in self.pending if label.known_at <= tx.timestamp]:
            self.pending.remove(label)
            frauds, known = self.labels.get(label.transaction.user_id, (0, 0))
            self.labels[label.transaction.user_id] = (frauds + label.fraud, known + 1)
        user, other = tx.user_id, tx.counterparty_id
        frauds, known = self.labels.get(user, (0, 0))
        back = self.pairs.get((other, user))
        fresh = back is not None and tx.timestamp - back.timestamp < HOUR
        out[:] = (
            np.log1p(tx.value),
            self.counts.get(user, 0),
            frauds / known if known else np.nan,
            tx.timestamp % DAY / HOUR,
            float(fresh),
            float((user, other) in self.pairs),
        )
        self.counts[user] = self.counts.get(user, 0) + 1
        self.pairs[user, other] = tx
        if not fresh:
            return Signals(accepted=True)
        hops = tuple(
            Hop(t.transaction_id, t.user, t.other_party, t.value, t.timestamp) for t in (back, tx)
        )
        members = ((tx.user, Role.MEMBER), (tx.other_party, Role.MEMBER))
        seen = Evidence(Pattern.CYCLE, tx.timestamp, members, hops, 0.6, "It came back.")
        nothing = np.full((1, len(NAMES)), np.nan, np.float32)
        return Signals(True, (seen,), contexts=nothing, watermark=tx.timestamp)

    def learn(self, label):
        self.learned.append(label)
        self.pending.append(label)


def transfer(number, at, user, other, value):
    return Transaction(
        f"t{number}",
        at,
        TransactionType.TRANSFER,
        Money(value, "EUR"),
        value,
        user,
        counterparty_id=other,
    )


def made(seed=0, rows=3_000, delay=HOUR, unlabelled=0.1):
    """A history: ordinary transfers, and pairs that send money to and fro as frauds.

    Amounts of fraud are drawn as all others are, so only the graph can see it; some honest
    pairs pay back as well.
    """
    rng = np.random.default_rng(seed)
    history = []
    at = 20_000 * DAY
    while len(history) < rows:
        at += int(rng.integers(MINUTE, 10 * MINUTE))
        kind = rng.random()
        a, b = rng.choice(USERS, 2, replace=False)
        if kind < 0.06:
            names = (f"u{a}", f"u{b}")
            fraud, ring = kind < 0.05, f"ring{len(history)}" if kind < 0.05 else None
            for user, other in (names, names[::-1], names, names[::-1]):
                at += int(rng.integers(1, 5 * MINUTE))
                value = int(rng.lognormal(8, 1))
                tx = transfer(len(history), at, user, other, value)
                history.append(LabelledTransaction(tx, fraud, at + delay, ring))
        else:
            tx = transfer(len(history), at, f"u{a}", f"u{b}", int(rng.lognormal(8, 1)))
            if rng.random() < unlabelled:
                history.append(LabelledTransaction(tx))
            else:
                history.append(LabelledTransaction(tx, False, at + delay))
    return history
