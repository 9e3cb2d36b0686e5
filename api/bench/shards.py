"""`ringfence bench shards`: what is left of the evidence when state is split by account.

One detector sees the whole stream; then N detectors see it split by the account whose transaction
it is, as N workers over N partitions would without exchanging anything. What the whole detector
finds and the split ones do not is the price of the split, before any answer to it is built. The
other side of the scales, what one detector can carry, is printed beside it.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import xxhash

from api.bench import collected_as_served
from api.bench.score import simulated
from graph.transaction import Transaction
from scorer.detector import Detector

_BATCH: Final = 512
_SPLITS: Final = (2, 4, 8)


def bench_shards(*, days: int = 20, users: int = 2_000, seed: int = 5) -> dict[str, Any]:
    """Run the whole and the split detectors; figures by their published names."""
    stream = [row.transaction for row in simulated(seed, days, users)]
    whole, seconds, alerts = _evidence(stream)
    found: dict[str, Any] = {
        "input": {"transactions": len(stream), "users": users, "days": days, "seed": seed},
        "one_worker": {
            "per_s": round(len(stream) / seconds, 1),
            "evidence": sum(whole.values()),
            "alerts": alerts,
        },
    }
    for shards in _SPLITS:
        parts = _split(stream, shards)
        split: Counter[tuple[str, str]] = Counter()
        alerts = 0
        for part in parts:
            some, _, alerted = _evidence(part)
            split |= some
            alerts += alerted
        found[f"split_in_{shards}"] = {
            "transfers_across": round(_across(stream, shards), 3),
            "evidence_kept": round(sum((whole & split).values()) / max(1, sum(whole.values())), 3),
            **_kept_by_pattern(whole, split),
            "alerts": alerts,
        }
    return found


def _evidence(stream: Sequence[Transaction]) -> tuple[Counter[tuple[str, str]], float, int]:
    """Distinct evidence as (pattern, id), seconds of this thread, and alerts."""
    detector = Detector()
    found: set[tuple[str, str]] = set()
    alerts = 0
    with collected_as_served():
        start = time.thread_time()
        for at in range(0, len(stream), _BATCH):
            for verdict in detector.observe_batch(stream[at : at + _BATCH]):
                found.update((each.pattern.value, each.evidence_id) for each in verdict.evidence)
                alerts += sum(event.alert is not None for event in verdict.ring_events)
        seconds = time.thread_time() - start
    return Counter(found), seconds, alerts


def _split(stream: Iterable[Transaction], shards: int) -> list[list[Transaction]]:
    parts: list[list[Transaction]] = [[] for _ in range(shards)]
    for transaction in stream:
        parts[_shard(transaction.user_id, shards)].append(transaction)
    return parts


def _shard(user: str, shards: int) -> int:
    return xxhash.xxh3_64_intdigest(user.encode()) % shards


def _across(stream: Iterable[Transaction], shards: int) -> float:
    """Share of the transfers between users whose two ends live in different shards."""
    ends = [(tx.user_id, tx.counterparty_id) for tx in stream if tx.counterparty_id is not None]
    return sum(_shard(a, shards) != _shard(b, shards) for a, b in ends) / max(1, len(ends))


def _kept_by_pattern(
    whole: Counter[tuple[str, str]], split: Counter[tuple[str, str]]
) -> dict[str, float]:
    total = Counter(pattern for pattern, _ in whole)
    kept = Counter(pattern for pattern, _ in whole & split)
    return {f"kept_{name}": round(kept[name] / count, 3) for name, count in sorted(total.items())}
