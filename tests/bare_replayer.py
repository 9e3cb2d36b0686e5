"""A window with its profiles and nothing else, behind the interface of a replayer; random streams.

For tests of what records and learns from the graph: they need no heuristics, rings or features.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from graph.admission import Status
from graph.profiles import Profiles
from graph.ring_policy import RingPolicy
from graph.thresholds import Thresholds
from graph.transaction import (
    HOUR,
    MINUTE,
    Label,
    Money,
    Outcome,
    Transaction,
    TransactionType,
)
from graph.window import TransactionWindow, WindowConfig

START = 1_700_006_400_000  # a full hour
SMALL = WindowConfig(max_edges=8_192, max_accounts=256, max_identifiers=256, max_links=16_384)


class Seen(NamedTuple):
    accepted: bool


class BareReplayer:
    schema = ("nothing",)
    ring_policy = RingPolicy()

    def __init__(self) -> None:
        self.window = TransactionWindow(SMALL)
        self.profiles = Profiles(Thresholds())
        self.labels: list[Label] = []

    def observe_features(
        self, transactions: Sequence[Transaction], out: NDArray[np.float32]
    ) -> list[Seen]:
        del out
        return [Seen(self.observe(tx)) for tx in transactions]

    def observe(self, tx: Transaction) -> bool:
        admission = self.window.add(tx)
        self.profiles.note(self.window, tx, admission)
        return admission.status is Status.ACCEPTED

    def learn(self, label: Label) -> None:
        self.labels.append(label)


def payment(number: int, at: int, user: str, **more: object) -> Transaction:
    fields = {"type": TransactionType.TRANSFER, "value": 1_000, **more}
    return Transaction(
        transaction_id=f"t{number}",
        timestamp=at,
        amount=Money(fields["value"], "EUR"),
        user_id=user,
        **fields,
    )


def stream(seed: int, length: int, *, users: int = 7, gap: int = 3 * HOUR) -> list[Transaction]:
    """Of every type, between few enough entities that all are met again; times ascend."""
    rng = random.Random(seed)
    time, found = START, []
    for number in range(length):
        time += rng.randint(1, max(1, gap // MINUTE)) * MINUTE
        user = f"u{rng.randrange(users)}"
        kind = rng.choice(list(TransactionType))
        more: dict[str, object] = {"type": kind, "value": rng.randint(1, 100_000)}
        if kind is TransactionType.TRANSFER:
            more["counterparty_id"] = f"u{rng.randrange(users)}"
        elif kind in {TransactionType.PAYMENT, TransactionType.REFUND}:
            more["merchant_id"] = f"m{rng.randrange(3)}"
        for field, name, size in (
            ("device_id", "d", 5),
            ("ip_address", "i", 3),
            ("card_id", "c", 4),
        ):
            if rng.random() < 0.7:
                more[field] = f"{name}{rng.randrange(size)}"
        if rng.random() < 0.15:
            more["outcome"] = Outcome.DECLINED
        found.append(payment(number, time, user, **more))
    return found


def renamed(transactions: Sequence[Transaction], seed: int) -> list[Transaction]:
    """The same stream between entities of other names."""
    fields = ("user_id", "counterparty_id", "merchant_id", "device_id", "ip_address", "card_id")
    rng = random.Random(seed)
    names: dict[tuple[str, str], str] = {}

    def other(field: str, name: str | None) -> str | None:
        kind = "user" if field == "counterparty_id" else field.partition("_")[0]
        return name and names.setdefault((kind, name), f"{rng.getrandbits(64):x}")

    return [
        structs.replace(tx, **{field: other(field, getattr(tx, field)) for field in fields})
        for tx in transactions
    ]
