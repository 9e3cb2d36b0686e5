"""Streams for the benchmarks: transfers of a day, evenly spread or through supernodes."""

from typing import Final

import numpy as np

from graph.transaction import DAY, Money, Transaction, TransactionType

START: Final = 1_700_000_000_000
_PLANTED_EVERY: Final = 500


def even_stream(edges: int, accounts: int, *, seed: int, days: float = 1.5) -> list[Transaction]:
    """Transfers among accounts drawn evenly, with a planted cycle of 3 to 6 hops every 500.

    The hops of a planted cycle are spread over some minutes among the other transfers, each
    carrying 90 to 100 % of the hop before.
    """
    rng = np.random.default_rng(seed)
    source = rng.integers(0, accounts, edges)
    target = (source + rng.integers(1, accounts, edges)) % accounts
    value = np.exp(rng.normal(8.5, 1.0, edges)).astype(np.int64) + 1
    for start in range(_PLANTED_EVERY, edges - _PLANTED_EVERY, _PLANTED_EVERY):
        hops = int(rng.integers(3, 7))
        ring = rng.choice(accounts, hops, replace=False)
        at = np.sort(rng.choice(_PLANTED_EVERY, hops, replace=False)) + start
        source[at] = ring
        target[at] = np.roll(ring, -1)
        kept = np.concatenate([[1.0], rng.uniform(0.9, 1.0, hops - 1)])
        value[at] = (1_000_000 * np.cumprod(kept)).astype(np.int64)
    return _transfers(source, target, value, days)


def hub_stream(edges: int, accounts: int, *, seed: int, days: float = 1.5) -> list[Transaction]:
    """Transfers whose ends follow a power law: a few supernodes take part in most of them."""
    rng = np.random.default_rng(seed)
    source = (rng.zipf(1.3, edges) - 1) % accounts
    target = (rng.zipf(1.3, edges) - 1) % accounts
    target = np.where(source == target, (target + 1) % accounts, target)
    value = np.exp(rng.normal(8.5, 1.0, edges)).astype(np.int64) + 1
    return _transfers(source, target, value, days)


def _transfers(
    source: np.ndarray, target: np.ndarray, value: np.ndarray, days: float
) -> list[Transaction]:
    times = START + np.arange(len(source)) * int(days * DAY) // len(source)
    return [
        Transaction(
            transaction_id=f"t{n}",
            timestamp=t,
            type=TransactionType.TRANSFER,
            amount=Money(v, "EUR"),
            value=v,
            user_id=f"u{s}",
            counterparty_id=f"u{d}",
        )
        for n, (s, d, v, t) in enumerate(
            zip(source.tolist(), target.tolist(), value.tolist(), times.tolist(), strict=True)
        )
    ]
