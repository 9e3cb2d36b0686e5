"""`ringfence bench score`: a whole verdict, ours against the model call alone.

Ours is `Detector.observe`: window, heuristics, rings, features, booster, blend, decision. The
alternative is what many services do with a stored feature row: `xgboost.Booster.inplace_predict`
on one row of the very same model, with one thread, and nothing before or after it. It does a small
part of the work, so a ratio below 1 is no shame; it says what the rest costs.
"""

import time
from typing import Any, Final

import numpy as np
import xgboost

from api.bench import collected_as_served, time_each
from api.bench.streams import hub_stream
from api.pauses import Young
from graph.transaction import Transaction
from ingest.codec import from_fields
from ingest.currencies import RateTable
from ingest.simulator import WIRE_FIELDS, SimulationConfig, run
from scorer.artefact import TrainedModel
from scorer.detector import Detector
from scorer.history import LabelledTransaction
from scorer.training import train

_RATES: Final = RateTable("EUR", {"USD": "0.92", "GBP": "1.17"})
_BATCH: Final = 512
_SETTLED: Final = 0.5
_HUB_EDGES: Final = 40_000
_HUB_ACCOUNTS: Final = 4_000


def simulated(seed: int, days: int, users: int) -> list[LabelledTransaction]:
    """A labelled city as the engine receives it."""
    rows = run(SimulationConfig(seed=seed, days=days, users=users)).transactions.to_pylist()
    return [
        LabelledTransaction(
            from_fields({k: row[k] for k in WIRE_FIELDS if row[k] is not None}, rates=_RATES),
            row["fraud"],
            row["label_known_at"],
            row["ring_id"],
        )
        for row in rows
    ]


def bench_score(
    *,
    days: int = 20,
    users: int = 2_000,
    seed: int = 5,
    hub: bool = False,
    budget_s: float = 60.0,
) -> dict[str, Any]:
    """Run both and compare; figures by their published names.

    Args:
        days: Of the city that teaches the model, and of the other one that is scored.
        users: Likewise.
        seed: Likewise; the other's is one more.
        hub: Score a stream of supernodes instead, where most transactions complete evidence.
        budget_s: Seconds for each of both.
    """
    model = train(simulated(seed, days, users), Detector())
    if hub:
        history = hub_stream(_HUB_EDGES, _HUB_ACCOUNTS, seed=seed)
    else:
        history = [row.transaction for row in simulated(seed + 1, days, users)]
    settled = int(len(history) * _SETTLED)
    before, timed = history[:settled], history[settled:]

    detector = Detector(model=model)
    detector.observe_batch(before)
    ours = time_each(detector.observe, timed, budget_s=budget_s)
    theirs = time_each(_model_alone(model), _rows(model, before, timed), budget_s=budget_s)
    per_s, equal = _batched(model, before, timed)
    return {
        "input": {
            "transactions": len(timed),
            "settled_by": len(before),
            "features": len(model.schema.names),
            "trees": model.booster.tree_count,
            "stream": "power law with supernodes" if hub else "a simulated city",
            "seed": seed,
        },
        "ours": ours.as_json() | {"batched_per_s": round(per_s, 1), "same_verdicts": equal},
        "xgboost_inplace_predict": theirs.as_json(),
        "ratio": round(theirs.p50_us / ours.p50_us, 2),
    }


def _batched(
    model: TrainedModel, before: list[Transaction], timed: list[Transaction]
) -> tuple[float, bool]:
    """Transactions a second through `observe_batch`, and whether the verdicts were the same."""
    batched, single = Detector(model=model), Detector(model=model)
    batched.observe_batch(before)
    single.observe_batch(before)
    parts = [timed[start : start + _BATCH] for start in range(0, len(timed), _BATCH)]
    young = Young()
    with collected_as_served():
        start = time.thread_time()
        for part in parts:
            batched.observe_batch(part)
            young(len(part))
        taken = time.thread_time() - start
    for part in parts:
        for tx in part:
            single.observe(tx)
    return len(timed) / taken, batched.snapshot() == single.snapshot()


def _rows(model: TrainedModel, before: list[Transaction], timed: list[Transaction]) -> np.ndarray:
    detector = Detector(model=model)
    detector.observe_batch(before)
    rows = np.empty((len(timed), len(model.schema.names)), np.float32)
    for start in range(0, len(timed), _BATCH):
        part = timed[start : start + _BATCH]
        detector.observe_batch(part)
        rows[start : start + len(part)] = detector.last_features
    return rows


def _model_alone(model: TrainedModel) -> Any:  # a bound method of xgboost, which has no types
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(model.booster.saved))
    booster.set_param({"nthread": 1})

    def predict(row: np.ndarray) -> object:
        return booster.inplace_predict(row.reshape(1, -1), validate_features=False)

    return predict
