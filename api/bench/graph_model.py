"""`ringfence bench gnn`: verdicts with a graph model against the same verdicts without it.

The same city through two detectors of the same model, transaction by transaction. Before those of
an hour are timed the encoder runs, as it does beside a service; its time is told apart, a run of
the whole window. The head is timed by itself too, on random rows.
"""

import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from api.bench import collected_as_served, time_each, timing
from api.bench.score import simulated
from api.graph_model import open_graph_model
from api.wiring import load
from gnn.inference import RingScorer
from gnn.schema import PARTIES
from graph.errors import InvalidSetting
from graph.transaction import Transaction
from ingest.embedder import Encoding, InLine
from scorer.detector import Detector

_SETTLED: Final = 0.7
_HEADS: Final = 20_000


def bench_graph_model(
    folder: Path | None, *, days: int = 10, users: int = 2_000, seed: int = 6
) -> dict[str, Any]:
    """Run both and compare; figures by their published names.

    Args:
        folder: Of a model that `ringfence train --gnn` wrote with a graph model.
        days: Of the city that is scored.
        users: Likewise.
        seed: Likewise.

    Raises:
        InvalidSetting: There is no graph model.
        Incompatible: The model is damaged.
    """
    if folder is None:
        raise _without("none")
    model = load(folder)
    scorer = open_graph_model(folder, model).scorer
    if scorer is None:
        raise _without(str(folder))
    history = [row.transaction for row in simulated(seed, days, users)]
    settled = int(len(history) * _SETTLED)
    before, timed = history[:settled], history[settled:]
    detector, without = Detector(model=model, gnn=scorer), Detector(model=model)
    for each in (detector, without):
        each.observe_batch(before)
    ours, theirs, runs, asked = _timed(detector, without, timed, InLine(Encoding(scorer)))
    window = detector.window
    return {
        "input": {
            "transactions": len(timed),
            "settled_by": len(before),
            "asked": asked,
            "entities": len(window.accounts) + len(window.identifiers),
            "seed": seed,
        },
        "with_graph_model": timing(ours).as_json(),
        "without": timing(theirs).as_json(),
        "ratio": round(float(np.median(theirs) / np.median(ours)), 2),
        "head_alone": _head(scorer),
        "encoder_run_s": {
            "runs": len(runs),
            "median": round(float(np.median(runs)), 3),
            "worst": round(max(runs), 3),
        },
    }


def _timed(
    detector: Detector, without: Detector, transactions: list[Transaction], embed: InLine
) -> tuple[list[int], list[int], list[float], int]:
    """Nanoseconds of each verdict of both, in turns; seconds of the encoder's runs; times asked."""
    ours: list[int] = []
    theirs: list[int] = []
    runs: list[float] = []
    asked = 0
    clock = time.perf_counter_ns
    with collected_as_served():
        for number, tx in enumerate(transactions):
            if embed.is_due(tx.timestamp):
                began = time.perf_counter()
                embed.run(detector, tx.timestamp)
                runs.append(time.perf_counter() - began)
            # Who goes second finds the caches warm: they take turns.
            for each in (detector, without) if number % 2 else (without, detector):
                start = clock()
                verdict = each.observe(tx)
                (ours if each is detector else theirs).append(clock() - start)
                asked += "gnn" in verdict.tiers
    return ours, theirs, runs, asked


def _head(scorer: RingScorer) -> dict[str, float]:
    """The head in onnxruntime, one row and one thread."""
    rng = np.random.default_rng(0)
    parties = rng.normal(size=(_HEADS, len(PARTIES) * scorer.width)).astype(np.float32)
    context = rng.normal(size=(_HEADS, len(scorer.schema.context))).astype(np.float32)
    there = np.ones(len(PARTIES), np.float32)

    def ask(row: int) -> float:
        return scorer.log_odds(parties[row], there, 0.5, context[row])

    return time_each(ask, range(_HEADS), budget_s=30.0).as_json()


def _without(value: str) -> InvalidSetting:
    return InvalidSetting(
        "there is no graph model to time",
        field="--model",
        value=value,
        remedy="Name a folder in which `ringfence train --gnn` left one.",
    )
