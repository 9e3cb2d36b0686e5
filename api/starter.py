"""Teaches the starter anew from simulated cities: `python -m api.starter`.

Cities of other seeds than anything is evaluated on. All but the last four teach, with three times
as many rings as elsewhere; the last four, ordinary ones that the judge has not seen, say from which
probability on evidence bears a ring and a ring is told.
"""

import argparse
import copyreg
import lzma
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from api.wiring import detector
from graph.errors import InvalidSetting
from graph.ring_policy import RingPolicy
from ingest.datasets import read
from ingest.ground_truth import find_ground_truth
from ingest.mapping import load_mapping
from ingest.simulator import SimulationConfig, write
from scorer.booster import Booster
from scorer.evidence_context import NAMES
from scorer.evidence_judge import EvidenceJudge
from scorer.evidence_log import EvidenceLog
from scorer.fitting import BoosterSettings, regrow_booster, sample_negatives
from scorer.ground_truth import GroundTruth, as_named
from scorer.history_replay import replay
from scorer.judge_lessons import Lesson, facts_of, lesson_of, rows_of
from scorer.judge_training import best_bounds, ring_f1s, starter_of, weights_by
from scorer.ring_pass import weighed
from scorer.starter import FOLDER, PARAMETERS, TREES, TREES_FOLDER
from scorer.table import Table

FIRST_SEED = 1_001
FRAUD_SHARE = 3 * SimulationConfig().fraud_share
"""Of the cities that teach: a ring costs no replay of its own."""
ORDINARY = 4
"""Cities, the last, that say from which probability on."""
GROWN = 560
"""Trees of the judge."""
GROWN_ON_TRANSACTIONS = 300
SETTINGS = BoosterSettings(depth=8, min_child_weight=1.0)
"""Of the trees that score transactions: deeper than those of one history, of far more frauds."""
HONEST = 75_000
"""Legitimate transactions of a city that teach; of more, a sample stands for all."""
OUT = Path(__file__).parents[1] / "scorer"

# Facts of evidence are a read-only view, and cities are replayed in processes of their own.
copyreg.pickle(MappingProxyType, lambda view: (MappingProxyType, (dict(view),)))


class City(NamedTuple):
    """What one city teaches.

    Attributes:
        facts: Facts that its evidence has.
        lesson: About its evidence, with these facts.
        log: The evidence itself, of a city that does not teach the judge.
        rows: Sampled transactions, float32 [R, F].
        fraud: bool [R].
        weights: How many transactions each stands for, float32 [R].
    """

    facts: tuple[str, ...]
    lesson: Lesson
    log: EvidenceLog | None
    rows: NDArray[np.float32]
    fraud: NDArray[np.bool_]
    weights: NDArray[np.float32]


def main(arguments: list[str]) -> int:
    """Simulate, replay, teach, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cities", type=int, default=26, help="four of them for the bounds")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--jobs", type=int, default=1, help="cities replayed at a time")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of both starters")
    chosen = parser.parse_args(arguments)
    if chosen.cities <= ORDINARY:
        parser.error(
            f"argument --cities: {chosen.cities} leave none to teach; take {ORDINARY + 1} or more"
        )
    cities = []
    try:
        for seed, city in enumerate(_replayed(chosen), FIRST_SEED):
            cities.append(city)
            sys.stderr.write(f"city {seed}: {len(city.lesson.fraud)} pieces of evidence\n")
    except InvalidSetting as error:  # too few users, or days, to plant rings among
        parser.error(str(error))
    about = {
        "cities": chosen.cities - ORDINARY,
        "users": chosen.users,
        "days": chosen.days,
        "first_seed": FIRST_SEED,
    }
    write_judge(cities, about, chosen.out / FOLDER)
    write_trees(cities, about, chosen.out / TREES_FOLDER)
    return 0


def write_judge(cities: Sequence[City], about: dict[str, Any], out: Path) -> None:
    """Teach the judge and write it into a folder."""
    facts = tuple(sorted({name for city in cities for name in city.facts}))
    lessons = [replace(city.lesson, rows=_widened(city, facts)) for city in cities]
    teaching = lessons[:-ORDINARY]
    booster = starter_of(teaching, facts, 0, GROWN)
    judge = EvidenceJudge(facts, booster, 0.5, 0.5)
    pasts = [
        (weighed(city.log, weights_by(judge, city.log)), lesson)
        for city, lesson in zip(cities, lessons, strict=True)
        if city.log is not None
    ]
    birth, alert = best_bounds(ring_f1s(pasts, RingPolicy()))
    frauds = [int(lesson.fraud.sum()) for lesson in teaching]
    pieces = sum(len(lesson.fraud) for lesson in teaching)
    said = EvidenceJudge(facts, booster, birth, alert).as_json() | {
        "taught_on": about | {"pieces": pieces, "about_fraud": sum(frauds)}
    }
    _write(out, said, booster)


def write_trees(cities: Sequence[City], about: dict[str, Any], out: Path) -> None:
    """Grow the trees that score transactions, on the cities that teach, into a folder."""
    teaching, schema = cities[:-ORDINARY], detector().schema
    booster = regrow_booster(
        np.vstack([city.rows for city in teaching]),
        np.concatenate([city.fraud for city in teaching]),
        schema.names,
        SETTINGS,
        0,
        GROWN_ON_TRANSACTIONS,
        np.concatenate([city.weights for city in teaching]),
    )
    said = {
        "schema_hash": schema.hash,
        "taught_on": about
        | {
            "transactions": int(sum(city.weights.sum() for city in teaching)),
            "frauds": int(sum(city.fraud.sum() for city in teaching)),
        },
    }
    _write(out, said, booster)


def simulated(config: SimulationConfig) -> tuple[Table, GroundTruth]:
    """Simulate a city and replay it: its table, and what is known about its rings."""
    with tempfile.TemporaryDirectory() as folder:
        write(config, Path(folder))
        engine = detector(sweeps=True)  # as a history is replayed: what a sweep finds is judged too
        table = replay(read(Path(folder), load_mapping("ringfence")), engine)
        truth = find_ground_truth(Path(folder))
    assert truth is not None  # noqa: S101 - the simulator writes it
    return table, truth


def replayed_city(config: SimulationConfig, *, teaches: bool) -> City:
    """Simulate a city, replay it, keep what it teaches: the rest is a hundred times as much."""
    table, truth = simulated(config)
    facts = facts_of(table.evidence)
    every = np.arange(len(table.fraud), dtype=np.intp)
    lesson = lesson_of(table, every, rows_of(table.evidence, facts))
    # The bounds are for whole rings, not for what labels know of them.
    lesson = replace(lesson, rings=as_named(lesson.rings, truth))
    chosen, weights = sample_negatives(table.fraud, config.seed, HONEST)
    return City(
        facts,
        lesson,
        None if teaches else table.evidence,
        table.rows[chosen],
        table.fraud[chosen],
        weights,
    )


def _replayed(chosen: argparse.Namespace) -> Iterator[City]:
    """The cities in order of their seeds, `--jobs` replayed at a time."""
    with ProcessPoolExecutor(chosen.jobs, get_context("spawn")) as pool:
        waiting = []
        for number in range(chosen.cities):
            config = SimulationConfig(
                seed=FIRST_SEED + number, users=chosen.users, days=chosen.days
            )
            teaches = number < chosen.cities - ORDINARY
            if teaches:
                config = replace(config, fraud_share=FRAUD_SHARE)
            waiting.append(pool.submit(replayed_city, config, teaches=teaches))
        for city in waiting:
            yield city.result()


def _widened(city: City, facts: tuple[str, ...]) -> NDArray[np.float32]:
    """Rows of a lesson with a column for each of all cities' facts, NaN for those it has not."""
    rows = np.full((len(city.lesson.rows), len(NAMES) + len(facts)), np.nan, np.float32)
    own = [len(NAMES) + facts.index(name) for name in city.facts]
    rows[:, [*range(len(NAMES)), *own]] = city.lesson.rows
    return rows


def _write(out: Path, said: dict[str, Any], booster: Booster) -> None:
    out.mkdir(parents=True, exist_ok=True)
    encoded = msgspec.json.format(msgspec.json.encode(said, order="sorted"), indent=2)
    (out / PARAMETERS).write_bytes(encoded + b"\n")
    (out / TREES).write_bytes(lzma.compress(booster.saved, preset=9))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
