"""How well rings are told out of the box: `python -m api.ring_survey`.

A report of one city has a ring or two of each kind, too few to say anything of a kind. So this
simulates several cities, of other seeds than teach or are reported on, lets an engine run through
each that has learned nothing but what ships, and counts the rings of all of them together: over
their whole time, and not only that of a test. Beside it, on the same evidence, what is told without
suspects, what by the score of rings alone, and what the heuristics' own strengths tell.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from typing import Any, Final, NamedTuple

import numpy as np

from api.console import compared, figures, say
from api.starter import simulated
from graph.errors import Incompatible, InvalidSetting
from graph.ring_policy import RingPolicy
from ingest.simulator import SimulationConfig
from scorer.ground_truth import GroundTruth, RingFacts, as_named
from scorer.judge_training import weights_by
from scorer.look_alikes import look_alike_figures
from scorer.odds import sigmoid
from scorer.ring_matching import RingLedger, RingMatch, ring_figures
from scorer.ring_pass import rings_of, rings_told, weighed
from scorer.starter import starter, starter_trees
from scorer.typology_figures import typology_figures

FIRST_SEED: Final = 3_001
WAYS: Final = ("told", "without suspects", "without a judge of rings", "without a judge")
"""The first is what an engine tells; the others say what each part of it is worth."""


class Surveyed(NamedTuple):
    """What was told in one city.

    Attributes:
        matches: By `WAYS`.
        facts: What is known about its true rings, by their id.
        look_alikes: By kind: groups, and those that a ring's alerts hold.
    """

    matches: dict[str, RingMatch]
    facts: dict[str, RingFacts]
    look_alikes: dict[str, Counter[str]]


def main(arguments: list[str]) -> int:
    """Simulate, replay, match, print."""
    chosen = _options().parse_args(arguments)
    usual = SimulationConfig()
    cities: list[Surveyed] = []
    try:
        configs = [
            replace(
                usual,
                seed=seed,
                users=chosen.users,
                days=chosen.days,
                fraud_share=chosen.density * usual.fraud_share,
            )
            for seed in range(chosen.first_seed, chosen.first_seed + chosen.cities)
        ]
        with ProcessPoolExecutor(chosen.jobs, get_context("spawn")) as pool:
            for config, city in zip(configs, pool.map(surveyed, configs), strict=True):
                cities.append(city)
                match = city.matches[WAYS[0]]
                say(f"city {config.seed}: {len(match.told)} told, {len(match.pairs)} of them true")
    except (InvalidSetting, Incompatible) as error:
        _options().error(_as_typed(str(error)))
    found = survey_figures(cities)
    if chosen.json:
        figures(found, as_json=True)
    else:
        print_survey(found)
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m api.ring_survey", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--cities", type=_at_least_one, default=4)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help="the others follow it")
    parser.add_argument("--users", type=int, default=14_500)
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--density", type=float, default=1.0, help="times the usual fraud")
    parser.add_argument(
        "--jobs", type=_at_least_one, default=1, help="cities at a time, of some 4 GB each"
    )
    parser.add_argument("--json", action="store_true", help="all figures, as JSON")
    return parser


def _as_typed(said: str) -> str:
    """What is wrong with a setting of the simulator, by the option that it came from."""
    for field, option in (("users", "--users"), ("days", "--days"), ("fraud_share", "--density")):
        if said.startswith(f"{field}:"):
            return f"argument {option}: {said}"
    return said


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is too few, or no number: take 1 or more")
    return int(text)


def surveyed(config: SimulationConfig) -> Surveyed:
    """Simulate a city and let an engine that has learned nothing of it tell its rings.

    Raises:
        Incompatible: The trees that ship are of other features than this engine's.
    """
    table, truth = simulated(config)
    judge, trees = starter(), starter_trees(table.schema)
    if trees is None:
        raise Incompatible(
            "the trees that ship were grown on other features",
            field="scorer/starter_trees",
            remedy="Make them anew: python -m api.starter",
        )
    evidence = weighed(table.evidence, weights_by(judge, table.evidence))
    scores = np.array([sigmoid(each) for each in trees.margins(table.rows).tolist()])
    weighed_table, unscored = replace(table, evidence=evidence), np.full_like(scores, np.nan)
    rules, whole = RingPolicy(), judge.rings(RingPolicy())
    by_score = replace(judge, of_rings=None).rings(rules)
    ways: dict[str, Callable[[], RingLedger]] = {
        WAYS[0]: partial(rings_told, weighed_table, scores, whole, judge.likelihood),
        WAYS[1]: partial(rings_told, weighed_table, unscored, whole, judge.likelihood),
        WAYS[2]: partial(rings_told, weighed_table, scores, by_score),
        WAYS[3]: partial(rings_of, table.evidence, rules),
    }
    true = as_named(table.true_rings.values(), truth)
    matches = {way: RingMatch.of(tell().rings(since=0), true) for way, tell in ways.items()}
    return Surveyed(matches, dict(truth.rings), _look_alikes(matches[WAYS[0]], truth, table.ids))


def _look_alikes(
    match: RingMatch, truth: GroundTruth, judged: Iterable[str]
) -> dict[str, Counter[str]]:
    counted = look_alike_figures(truth.look_alikes, match.told, 0, frozenset(judged), ())
    return {
        kind: Counter(groups=row["groups"], by_ring=row["by_ring"])
        for kind, row in counted["kinds"].items()
    }


def survey_figures(cities: Sequence[Surveyed]) -> dict[str, Any]:
    """The rings of all cities together, plain JSON values.

    Returns:
        `cities`; by `WAYS` the figures of `scorer.ring_matching.ring_figures`; `typologies`
        (`scorer.typology_figures`) and `look_alikes` (by kind `groups`, `by_ring`, and
        `per_thousand` of them) of the first way.
    """
    together = {way: _together([city.matches[way] for city in cities]) for way in WAYS}
    facts = {ring_id: known for city in cities for ring_id, known in city.facts.items()}
    counted: dict[str, Counter[str]] = {}
    for city in cities:
        for kind, row in city.look_alikes.items():
            counted.setdefault(kind, Counter()).update(row)
    return {
        "cities": len(cities),
        **{way: ring_figures(match) for way, match in together.items()},
        "typologies": typology_figures(together[WAYS[0]], facts),
        "look_alikes": {
            kind: {**row, "per_thousand": 1_000 * row["by_ring"] / row["groups"]}
            for kind, row in sorted(counted.items())
        },
    }


def _together(matches: Sequence[RingMatch]) -> RingMatch:
    return RingMatch(
        [ring for match in matches for ring in match.detected],
        [ring for match in matches for ring in match.told],
        [ring for match in matches for ring in match.true],
        [pair for match in matches for pair in match.pairs],
    )


def print_survey(found: dict[str, Any]) -> None:
    """The figures as tables on stdout."""
    compared(
        ("rings", "told", "true", "of", "precision", "recall", "F1", "members", "money gone"),
        [(way, *_row(found[way])) for way in WAYS],
        title=f"{found['cities']} cities",
        notes=[
            "Members: precision. Money gone: of a ring's, when it is first told of; the median."
        ],
    )
    kinds = found["typologies"]["kinds"]
    compared(
        ("kind", "told", "of", "recall", "plain", "hiding", "false"),
        [
            (kind, str(row["matched"]), str(row["true"]), _share(row["recall"]), *_variants(row))
            for kind, row in kinds.items()
        ],
        title="By kind",
        notes=["False: told rings that are no true one, by their strongest evidence."],
    )
    compared(
        ("look-alike", "groups", "taken for a ring", "of 1,000"),
        [
            (kind, f"{row['groups']:,}", str(row["by_ring"]), f"{row['per_thousand']:.1f}")
            for kind, row in found["look_alikes"].items()
        ],
        title="Legitimate groups of a ring's shape",
    )


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    gone = None if row["delay"] is None else row["delay"]["money_gone"]
    shares = (row["precision"], row["recall"], row["f1"], row["member_precision"], gone)
    return (str(row["alerted"]), str(row["matched"]), str(row["true"]), *map(_share, shares))


def _variants(row: dict[str, Any]) -> tuple[str, str, str]:
    """Plain ones found, hiding ones found, and false ones."""
    variants = dict(row["variants"])
    plain = variants.pop("plain", {"matched": 0, "true": 0})
    hiding = [sum(each[name] for each in variants.values()) for name in ("matched", "true")]
    return (
        f"{plain['matched']} of {plain['true']}",
        f"{hiding[0]} of {hiding[1]}",
        str(row["false"]),
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
