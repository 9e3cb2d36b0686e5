"""Confounders: what must not work, and how well it worked; printed beside the result.

Shuffled labels must leave a ranking of chance. Shuffled edges must take the graph's gain away: the
history is replayed a second time with its counterparties, merchants, devices, addresses and cards
dealt out anew among the transactions of one type and day. (That a network on the ladder is learned
again with the edges of its own graph shuffled, on the true replay, is another check:
`scorer.edge_gain`.) One-feature models (`scorer.feature_bins`) say what no model was needed for.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from msgspec import structs

from graph.transaction import DAY, Transaction, TransactionType
from scorer.fitting import BoosterSettings
from scorer.history import LabelledTransaction
from scorer.learning import learn_from
from scorer.metrics import Ranking
from scorer.splits import Split
from scorer.table import Table

SHUFFLED_ROUNDS: Final = 50
MOST_A_DAY: Final = 200_000
"""Transactions among which edges are dealt out at most; a day of more is cut into parts."""
_DEALT: Final = ("counterparty_id", "merchant_id", "device_id", "ip_address", "card_id")


def shuffled_labels(
    table: Table, split: Split, settings: BoosterSettings, seed: int
) -> dict[str, float]:
    """Average precision in the test of what is learned from shuffled labels, and the base rate."""
    rng = np.random.default_rng(seed)
    shuffled = table.fraud.copy()
    for part in (split.early, split.later):
        shuffled[part] = rng.permutation(shuffled[part])
    senseless = learn_from(
        replace(table, fraud=shuffled),
        split,
        table.schema.columns(graph=True),
        replace(settings, rounds=SHUFFLED_ROUNDS),
        seed,
        stacked=False,
    )
    fraud = table.fraud[split.test]
    scores = senseless.margins(table, split.test).astype(np.float64)
    found = Ranking.of(scores, fraud).average_precision()
    return {"average_precision": found, "base_rate": float(fraud.mean())}


def shuffle_edges(
    history: Iterable[LabelledTransaction], seed: int
) -> Iterator[LabelledTransaction]:
    """The history with its edges dealt out anew: same people, moments, sums and labels.

    Each of the other parties, devices, addresses and cards goes to another transaction of the same
    type and UTC day that has one too. Nobody pays himself. At most `MOST_A_DAY` are held at a time.
    """
    rng = np.random.default_rng(seed)
    held: list[LabelledTransaction] = []
    day: int | None = None
    for item in history:
        today = item.transaction.timestamp // DAY
        if held and (today != day or len(held) == MOST_A_DAY):
            yield from _dealt(held, rng)
            held = []
        day = today
        held.append(item)
    yield from _dealt(held, rng)


def _dealt(
    held: Sequence[LabelledTransaction], rng: np.random.Generator
) -> Iterator[LabelledTransaction]:
    changed: list[dict[str, Any]] = [{} for _ in held]
    of_type: dict[TransactionType, list[int]] = {}
    for place, item in enumerate(held):
        of_type.setdefault(item.transaction.type, []).append(place)
    for places in of_type.values():
        for name in _DEALT:
            having = [p for p in places if getattr(held[p].transaction, name) is not None]
            dealt = [having[i] for i in rng.permutation(len(having))]
            values = [getattr(held[p].transaction, name) for p in dealt]
            if name == "counterparty_id":
                _nobody_pays_himself(values, [held[p].transaction.user_id for p in having])
            for place, value in zip(having, values, strict=True):
                changed[place][name] = value
    for item, fields in zip(held, changed, strict=True):
        transaction: Transaction = structs.replace(item.transaction, **fields)
        yield replace(item, transaction=transaction)


def _nobody_pays_himself(payees: list[str], payers: Sequence[str]) -> None:
    """Swap payees until no one is his own; one who pays among himself only keeps what he got."""
    for here, payer in enumerate(payers):
        if payees[here] != payer:
            continue
        for there in (*range(here + 1, len(payers)), *range(here)):
            if payees[there] != payer and payers[there] != payer:
                payees[here], payees[there] = payees[there], payees[here]
                break
