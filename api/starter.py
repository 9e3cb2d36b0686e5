"""Teaches the starter anew from simulated cities: `python -m api.starter`.

Cities of other seeds than anything is evaluated on. The first teach the judge of evidence and the
trees that score transactions; the last sixteen, weighed and scored by these, teach the judge of
rings. Eight of the sixteen are ordinary ones: they say from which probability on evidence bears a
ring and, each judged by what the fifteen others teach, from which likelihood on a ring is told. All
but these eight have three times as many rings as elsewhere.
"""

import argparse
import copyreg
import lzma
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from api.console import say
from api.wiring import detector
from graph.errors import InvalidSetting
from graph.ring_policy import RingPolicy
from ingest.datasets import read
from ingest.ground_truth import find_ground_truth
from ingest.mapping import load_mapping
from ingest.simulator import SimulationConfig, write
from scorer.booster import Booster
from scorer.evidence_context import NAMES
from scorer.evidence_judge import EvidenceJudge, ring_policy
from scorer.fitting import BoosterSettings, regrow_booster, sample_negatives
from scorer.ground_truth import GroundTruth, as_named
from scorer.history_replay import replay
from scorer.judge_lessons import Lesson, facts_of, lesson_of, rows_of
from scorer.judge_training import Past, best_bounds, ring_f1s, starter_of, weights_by
from scorer.odds import sigmoid
from scorer.ring_judge import RingJudge
from scorer.ring_judge_training import ToldCity, ring_trees, tales_of, told_f1s
from scorer.ring_pass import weighed
from scorer.starter import FOLDER, PARAMETERS, RING_TREES, TREES, TREES_FOLDER
from scorer.table import Table

FIRST_SEED = 1_001
FRAUD_SHARE = 3 * SimulationConfig().fraud_share
"""Of the cities that teach: a ring costs no replay of its own."""
BLOCK = 4
"""Of the cities that teach the judge of rings so many have more rings, and so many are ordinary, in
turn; the ordinary ones say from which probability on."""
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
        rows: Sampled transactions, float32 [R, F].
        fraud: bool [R].
        weights: How many transactions each stands for, float32 [R].
    """

    facts: tuple[str, ...]
    lesson: Lesson
    rows: NDArray[np.float32]
    fraud: NDArray[np.bool_]
    weights: NDArray[np.float32]


Replayed = TypeVar("Replayed", City, ToldCity)


class Begun(NamedTuple):
    """What the first cities taught.

    Attributes:
        facts: Those that the judge of evidence looks at.
        judge: Its trees.
        trees: Those that score transactions.
    """

    facts: tuple[str, ...]
    judge: Booster
    trees: Booster


def main(arguments: list[str]) -> int:
    """Simulate, replay, teach, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cities", type=int, default=34, help="simulated, in all")
    parser.add_argument("--told", type=int, default=16, help="of them, the last: for rings")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--jobs", type=int, default=1, help="cities replayed at a time")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of both starters")
    chosen = parser.parse_args(arguments)
    if chosen.told < 2 * BLOCK or chosen.told % (2 * BLOCK):
        parser.error(
            f"argument --told: {chosen.told} are not as many ordinary ones as others; "
            f"take {2 * BLOCK}, or a multiple of it"
        )
    teaching = chosen.cities - chosen.told
    if teaching < 1:
        parser.error(
            f"argument --cities: {chosen.cities} leave none to teach; "
            f"take {chosen.told + 1} or more"
        )
    about = {
        "cities": teaching,
        "users": chosen.users,
        "days": chosen.days,
        "first_seed": FIRST_SEED,
    }
    plain = [
        SimulationConfig(seed=FIRST_SEED + number, users=chosen.users, days=chosen.days)
        for number in range(chosen.cities)
    ]
    ordinary, ringed = [], []
    for place, each in enumerate(plain, -teaching):
        if place >= 0 and place // BLOCK % 2:
            ordinary.append(each)
        else:
            ringed.append(replace(each, fraud_share=FRAUD_SHARE))
    try:
        with ProcessPoolExecutor(chosen.jobs, get_context("spawn")) as pool:
            cities = _said(ringed[:teaching], pool.map(replayed_city, ringed[:teaching]))
            begun = Begun(*judge_trees(cities), transaction_trees(cities))
            write_trees(cities, begun, about, chosen.out / TREES_FOLDER)
            about |= _counts(cities)
            del cities
            tell = partial(told_city, begun)
            told = _said(ringed[teaching:], pool.map(tell, ringed[teaching:]))
            bounding = _said(ordinary, pool.map(tell, ordinary))
        write_judge(begun, told, bounding, about, chosen.out / FOLDER)
    except InvalidSetting as error:  # too few users, or days, to plant rings among
        parser.error(str(error))
    return 0


def judge_trees(cities: Sequence[City]) -> tuple[tuple[str, ...], Booster]:
    """The facts that evidence has, and the trees of a judge of evidence."""
    facts = tuple(sorted({name for city in cities for name in city.facts}))
    lessons = [replace(city.lesson, rows=_widened(city, facts)) for city in cities]
    return facts, starter_of(lessons, facts, 0, GROWN)


def transaction_trees(cities: Sequence[City]) -> Booster:
    """The trees that score transactions."""
    return regrow_booster(
        np.vstack([city.rows for city in cities]),
        np.concatenate([city.fraud for city in cities]),
        detector().schema.names,
        SETTINGS,
        0,
        GROWN_ON_TRANSACTIONS,
        np.concatenate([city.weights for city in cities]),
    )


def judge_of(begun: Begun, told: Sequence[ToldCity], bounding: Sequence[ToldCity]) -> EvidenceJudge:
    """The judge of evidence with its bounds, and the judge of rings with its own.

    Args:
        begun: What the first cities taught.
        told: Cities that teach the judge of rings.
        bounding: Cities that do, and say from which probability on.
    """
    pasts = [Past(city.table.evidence, city.true) for city in bounding]
    birth, alert = best_bounds(ring_f1s(pasts, RingPolicy()))
    asked = ring_policy(RingPolicy(), birth, birth)
    tales = [tales_of(city, asked) for city in (*bounding, *told)]
    # Each is told by what all others teach, and what is written has seen all of them.
    unseen = [ring_trees(tales[:n] + tales[n + 1 :], 0) for n in range(len(bounding))]
    f1s = told_f1s(bounding, asked, unseen)
    likely = max(f1s, key=lambda bound: (f1s[bound], bound))
    of_rings = RingJudge(ring_trees(tales, 0), birth, likely)
    return EvidenceJudge(begun.facts, begun.judge, birth, alert, of_rings)


def write_judge(
    begun: Begun,
    told: Sequence[ToldCity],
    bounding: Sequence[ToldCity],
    about: dict[str, Any],
    out: Path,
) -> None:
    """Teach the judge of rings, choose the bounds and write both judges into a folder."""
    judge = judge_of(begun, told, bounding)
    assert judge.of_rings is not None  # noqa: S101 - it has just been made
    whole = (*told, *bounding)
    rings = {"cities": len(whole), "rings": sum(len(city.true) for city in whole)}
    said = judge.as_json() | {"taught_on": about | {"of_rings": rings}}
    _write(out, said, judge.booster)
    (out / RING_TREES).write_bytes(_packed(judge.of_rings.booster))


def write_trees(cities: Sequence[City], begun: Begun, about: dict[str, Any], out: Path) -> None:
    """Write the trees that score transactions into a folder."""
    said = {
        "schema_hash": detector().schema.hash,
        "taught_on": about
        | {
            "transactions": int(sum(city.weights.sum() for city in cities)),
            "frauds": int(sum(city.fraud.sum() for city in cities)),
        },
    }
    _write(out, said, begun.trees)


def simulated(config: SimulationConfig) -> tuple[Table, GroundTruth]:
    """Simulate a city and replay it: its table, and what is known about its rings."""
    with tempfile.TemporaryDirectory() as folder:
        write(config, Path(folder))
        engine = detector(sweeps=True)  # as a history is replayed: what a sweep finds is judged too
        table = replay(read(Path(folder), load_mapping("ringfence")), engine)
        truth = find_ground_truth(Path(folder))
    assert truth is not None  # noqa: S101 - the simulator writes it
    return table, truth


def replayed_city(config: SimulationConfig) -> City:
    """Simulate a city, replay it, keep what it teaches: the rest is a hundred times as much."""
    table, truth = simulated(config)
    facts = facts_of(table.evidence)
    every = np.arange(len(table.fraud), dtype=np.intp)
    lesson = lesson_of(table, every, rows_of(table.evidence, facts))
    # Whole rings, not what labels know of them.
    lesson = replace(lesson, rings=as_named(lesson.rings, truth))
    chosen, weights = sample_negatives(table.fraud, config.seed, HONEST)
    return City(facts, lesson, table.rows[chosen], table.fraud[chosen], weights)


def told_city(begun: Begun, config: SimulationConfig) -> ToldCity:
    """Simulate a city, replay it, and weigh and score what happened in it."""
    table, truth = simulated(config)
    judge = EvidenceJudge(begun.facts, begun.judge, 0.5, 0.5)
    evidence = weighed(table.evidence, weights_by(judge, table.evidence))
    scores = np.array([sigmoid(margin) for margin in begun.trees.margins(table.rows).tolist()])
    # Rows are most of it, and were for the scores.
    small = replace(table, rows=np.zeros((0, 0), np.float32), evidence=evidence)
    return ToldCity(small, scores, as_named(table.true_rings.values(), truth))


def _said(configs: Sequence[SimulationConfig], replayed: Iterable[Replayed]) -> list[Replayed]:
    cities = []
    for config, city in zip(configs, replayed, strict=True):
        cities.append(city)
        say(f"city {config.seed}: replayed")
    return cities


def _counts(cities: Sequence[City]) -> dict[str, int]:
    return {
        "pieces": sum(len(city.lesson.fraud) for city in cities),
        "about_fraud": sum(int(city.lesson.fraud.sum()) for city in cities),
    }


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
    (out / TREES).write_bytes(_packed(booster))


def _packed(booster: Booster) -> bytes:
    return lzma.compress(booster.saved, preset=9)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
