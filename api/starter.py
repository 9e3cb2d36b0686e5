"""Teaches the starter judge anew from simulated cities: `python -m api.starter`.

Cities of other seeds than anything is evaluated on. All but the last two teach, with three times
as many rings as elsewhere; the last two, ordinary ones that the trees have not seen, say from which
probability on evidence bears a ring and a ring is told.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from api.wiring import detector
from graph.ring_policy import RingPolicy
from ingest.datasets import read
from ingest.mapping import load_mapping
from ingest.simulator import SimulationConfig, write
from scorer.evidence_judge import EvidenceJudge
from scorer.history_replay import replay
from scorer.judge_lessons import facts_of, lesson_of, rows_of
from scorer.judge_training import best_bounds, starter_of, weights_by
from scorer.ring_pass import weighed
from scorer.starter import FOLDER, PARAMETERS, TREES
from scorer.table import Rows, Table

FIRST_SEED = 1_001
FRAUD_SHARE = 3 * SimulationConfig().fraud_share
"""Of the cities that teach: a ring costs no replay of its own."""
ORDINARY = 2
"""Cities, the last, that say from which probability on."""
GROWN = 580
OUT = Path(__file__).parents[1] / "scorer" / FOLDER


def main(arguments: list[str]) -> int:
    """Simulate, replay, teach, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cities", type=int, default=13, help="two of them for the bounds")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args(arguments)
    if chosen.cities <= ORDINARY:
        parser.error(f"argument --cities: {chosen.cities} leave none to teach; take 3 or more")
    tables = []
    for seed in range(FIRST_SEED, FIRST_SEED + chosen.cities):
        config = SimulationConfig(seed=seed, users=chosen.users, days=chosen.days)
        teaches = seed < FIRST_SEED + chosen.cities - ORDINARY
        tables.append(_city(replace(config, fraud_share=FRAUD_SHARE) if teaches else config))
        sys.stderr.write(f"city {seed}: {tables[-1].evidence.pieces} pieces of evidence\n")
    facts = tuple(sorted({name for table in tables for name in facts_of(table.evidence)}))
    lessons = [lesson_of(table, _every(table), rows_of(table.evidence, facts)) for table in tables]
    teaching = lessons[:-ORDINARY]
    booster = starter_of(teaching, facts, 0, GROWN)
    judge = EvidenceJudge(facts, booster, 0.5, 0.5)
    pasts = [
        (weighed(table.evidence, weights_by(judge, table.evidence)), lesson)
        for table, lesson in zip(tables[-ORDINARY:], lessons[-ORDINARY:], strict=True)
    ]
    _, birth, alert = best_bounds(pasts, RingPolicy())
    judge = EvidenceJudge(facts, booster, birth, alert)
    taught = [int(lesson.fraud.sum()) for lesson in teaching]
    said = judge.as_json() | {
        "taught_on": {
            "cities": len(taught),
            "users": chosen.users,
            "days": chosen.days,
            "first_seed": FIRST_SEED,
            "pieces": sum(len(lesson.fraud) for lesson in teaching),
            "about_fraud": sum(taught),
        }
    }
    chosen.out.mkdir(parents=True, exist_ok=True)
    encoded = msgspec.json.format(msgspec.json.encode(said, order="sorted"), indent=2)
    (chosen.out / PARAMETERS).write_bytes(encoded + b"\n")
    (chosen.out / TREES).write_bytes(booster.saved)
    return 0


def _city(config: SimulationConfig) -> Table:
    """A replayed city, without the feature rows: they are a hundred times its evidence."""
    with tempfile.TemporaryDirectory() as folder:
        write(config, Path(folder))
        engine = detector(sweeps=True)  # as a history is replayed: what a sweep finds is judged too
        table = replay(read(Path(folder), load_mapping("ringfence")), engine)
    return replace(table, rows=table.rows[:0])


def _every(table: Table) -> Rows:
    return np.arange(len(table.fraud), dtype=np.intp)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
