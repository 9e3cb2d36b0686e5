"""Compiling every kernel before somebody waits for it.

Numba compiles a kernel when it first runs and keeps the result beside the code, so the way to warm
is to run all of them: a small city goes through training, a detector with the trained model that
sweeps, a snapshot, a restore, an explanation and a drawing. A server does the same, less the
training, before it is ready.

Where there are two processors, another process compiles the kernels of the fast path meanwhile
(`api.warm_beside`): this one shows the city to everything else that has kernels first.
"""

import os
import subprocess
import sys
import time
from itertools import islice
from typing import Any, Final

import numpy as np
from numba.core.dispatcher import Dispatcher

from api import warm_beside
from graph.heuristics import catalogue
from graph.subgraph import neighbourhood
from graph.sweep import Sweep
from graph.sweep.limits import SweepLimits
from graph.transaction import HOUR, MINUTE
from graph.window import TransactionWindow, WindowConfig
from ingest import records
from ingest.codec import from_fields
from ingest.mapping import load_mapping
from ingest.ports import Topic
from ingest.simulator import RingCounts, SimulationConfig, run
from scorer.artefact import TrainedModel
from scorer.detector import Detector
from scorer.evidence_context import EvidenceContext
from scorer.features import FeatureExtractor
from scorer.history import LabelledTransaction
from scorer.tree_shap import exact_contributions

_CITY: Final = SimulationConfig(
    seed=1,
    days=4,
    users=150,
    ring_counts=RingCounts(cycle=2, mule=2, device_farm=2),
    label_delay_days=0.1,
)
_ENOUGH: Final = 600  # transactions that a server warms with
_SWEPT: Final = SweepLimits(every=6 * HOUR, young=1)  # else it would wait a week to know who is new
_PACKAGES: Final = ("graph.", "scorer.", "ingest.", "gnn.")


def warm(model: TrainedModel | None = None, *, training: bool = False) -> dict[str, Any]:
    """Run every kernel once.

    Args:
        model: Whose trees to walk.
        training: Train a small model first and use that: all there is to compile.

    Returns:
        Figures: `seconds`, `kernels` that are ready, how many were `compiled` just now.
    """
    began = time.perf_counter()
    history = _history(None if training else _ENOUGH)
    if training:
        if (os.cpu_count() or 1) > 1:
            # One that fails says so; what it left undone is compiled below.
            with subprocess.Popen([sys.executable, "-m", warm_beside.__name__]):  # noqa: S603 - our own
                _long_way(history)
        # XGBoost and scikit-learn take 1.5 s to import, and nothing that serves needs them.
        from scorer.fitting import BoosterSettings  # noqa: PLC0415 - above
        from scorer.training import train  # noqa: PLC0415 - above

        model = train(history, Detector(), settings=BoosterSettings(rounds=5))
    _run(Detector(model=model, sweep=Sweep(limits=_SWEPT)), history)
    kernels = _kernels()
    return {
        "seconds": round(time.perf_counter() - began, 2),
        "kernels": sum(1 for kernel in kernels if kernel.signatures),
        "compiled": sum(sum(kernel.stats.cache_misses.values()) for kernel in kernels),
    }


def _long_way(history: list[LabelledTransaction]) -> None:
    """Window, heuristics, features and contexts of a stream, one step at a time."""
    window, heuristics = TransactionWindow(WindowConfig()), catalogue()
    features = FeatureExtractor(window.accounts, window.identifiers)
    contexts = EvidenceContext(window, heuristics.profiles, heuristics.travel, features.state)
    row = np.zeros(len(features.schema.names), np.float32)
    for item in history:
        admission = window.add(item.transaction)
        found = heuristics.detect(window, item.transaction, admission)
        features.observe(item.transaction, admission, found, 0.0, row)
        if found:
            contexts.rows(found)


def _run(detector: Detector, history: list[LabelledTransaction]) -> None:
    """A stream with labels, a late-comer within the lateness, a snapshot, a drawing."""
    transactions = [item.transaction for item in history]
    half = len(transactions) // 2
    detector.observe_batch(transactions[:half])
    for item in history[:half]:
        if item.label is not None:
            detector.learn(item.label)
    swapped = transactions[half:]
    for place in range(0, len(swapped) - 1, 10):
        if swapped[place + 1].timestamp - swapped[place].timestamp < MINUTE:
            swapped[place : place + 2] = reversed(swapped[place : place + 2])
    detector.observe_batch(swapped)
    restored = Detector.restore(detector.snapshot(), detector.model)
    for transaction in transactions[-2:]:
        verdict = restored.observe(transaction)
        # The first record of a kind has its plan of encoding made.
        line = records.encode(
            records.VerdictRecord(Topic.TRANSACTIONS, 0, 0, records.verdict_fields(verdict))
        )
        records.decode(line, records.VerdictRecord).to_verdict()
    if detector.model is not None:
        exact_contributions(detector.model.booster.forest, restored.last_features[0])
    for ring in islice(restored.rings.live(), 1):
        neighbourhood(restored.window, ring, restored.rings.evidence_of(ring.ring_id))


def _history(most: int | None) -> list[LabelledTransaction]:
    rates = load_mapping("ringfence").rate_table
    assert rates is not None  # noqa: S101 - a test reads every mapping that ships
    truth = ("fraud", "label_known_at", "ring_id", "ring_kind")
    found = []
    for row in run(_CITY).transactions.slice(0, most).to_pylist():
        fraud, known_at, ring_id, _ = (row.pop(name) for name in truth)
        found.append(LabelledTransaction(from_fields(row, rates=rates), fraud, known_at, ring_id))
    return found


def _kernels() -> "list[Dispatcher[Any]]":
    """Every compiled function of ours."""
    return [
        found
        for name, module in list(sys.modules.items())
        if name.startswith(_PACKAGES)
        for found in vars(module).values()
        if isinstance(found, Dispatcher) and found.__module__ == name
    ]
