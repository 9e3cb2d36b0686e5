"""Rings of several simulated cities, told out of the box and counted together."""

from collections import Counter

import msgspec
import pytest

from api import ring_survey
from api.ring_survey import WAYS, Surveyed, survey_figures
from graph.evidence import Pattern, Role
from graph.rings import Ring, RingState
from graph.transaction import MINUTE, Entity, EntityKind
from scorer.ground_truth import RingFacts
from scorer.ring_matching import DetectedRing, RingMatch, TrueRing

SMALL = ("--cities", "2", "--users", "900", "--days", "12", "--density", "6", "--json")


def users(names):
    return {Entity(EntityKind.USER, name) for name in names}


def told(ring_id, names, pattern):
    members = tuple((entity, Role.MEMBER) for entity in sorted(users(names)))
    ring = Ring(ring_id, 1, RingState.ACTIVE, 0, 0, members, (pattern,), 0.9, 1, (), ())
    return DetectedRing(ring, 0, [(0, ())])


def true(ring_id, names):
    return TrueRing(ring_id, users(names), [0, MINUTE], [40, 60])


def city(detected, planted, facts, held):
    match = RingMatch.of(detected, planted)
    nothing = RingMatch.of([], planted)
    look_alikes = {"payroll": Counter(groups=4, by_ring=held)}
    return Surveyed(
        dict(zip(WAYS, (match, nothing, match, match), strict=True)), facts, look_alikes
    )


def test_the_rings_of_all_cities_are_counted_together():
    first = city(
        [told("a", "xyz", Pattern.CYCLE), told("b", "uvw", Pattern.MULE)],
        [true("one", "xyz"), true("two", "pqr")],
        {"one": RingFacts("cycle"), "two": RingFacts("mule", "split")},
        held=1,
    )
    second = city([told("c", "klm", Pattern.MULE)], [true("three", "klm")],
                  {"three": RingFacts("mule")}, held=0)  # fmt: skip
    found = survey_figures([first, second])
    assert found["cities"] == 2
    assert (found["told"]["alerted"], found["told"]["matched"], found["told"]["true"]) == (3, 2, 3)
    assert found["told"]["f1"] == pytest.approx(2 / 3)
    assert found["without suspects"]["recall"] == 0.0
    mule = found["typologies"]["kinds"]["mule"]
    assert (mule["true"], mule["matched"], mule["false"]) == (2, 1, 1)
    assert (mule["variants"]["plain"]["matched"], mule["variants"]["split"]["matched"]) == (1, 0)
    payroll = found["look_alikes"]["payroll"]
    assert payroll == {"groups": 8, "by_ring": 1, "per_thousand": 125.0}


def test_what_is_printed_names_every_way_kind_and_look_alike(capsys):
    missed = city([], [true("one", "xyz")], {"one": RingFacts("cycle", "split")}, held=0)
    false = city([told("b", "uvw", Pattern.MULE)], [], {}, held=1)
    ring_survey.print_survey(survey_figures([missed, false]))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["told", "1", "0", "1", "0.000", "0.000", "0.000", "-", "-"] in lines
    assert ["without", "suspects", "0", "0", "1", "-", "0.000", "0.000", "-", "-"] in lines
    assert ["cycle", "0", "1", "0.000", "0", "of", "0", "0", "of", "1", "0"] in lines
    assert ["mule", "0", "0", "-", "0", "of", "0", "0", "of", "0", "1"] in lines
    assert ["payroll", "8", "1", "125.0"] in lines


def test_cities_that_cannot_be_simulated_are_refused_by_name(capsys):
    for arguments, said in (
        (["--users", "10"], "argument --users: users: must be between 60 and"),
        (["--density", "90"], "argument --density: fraud_share: must be between"),
        (["--cities", "0"], "argument --cities: 0 is too few"),
        (["--jobs", "none"], "argument --jobs: none is too few, or no number"),
    ):
        with pytest.raises(SystemExit):
            ring_survey.main(arguments)
        assert said in capsys.readouterr().err


@pytest.mark.slow
def test_a_survey_of_small_cities_counts_every_planted_ring(capfdbinary):
    assert ring_survey.main([*SMALL, "--jobs", "2"]) == 0
    found = msgspec.json.decode(capfdbinary.readouterr().out)
    planted = sum(row["true"] for row in found["typologies"]["kinds"].values())
    assert {found[way]["true"] for way in WAYS} == {planted}
    assert planted > 20
    kinds = found["typologies"]["kinds"].values()
    assert sum(row["matched"] for row in kinds) == found["told"]["matched"]
    assert sum(row["false"] for row in kinds) == found["told"]["false"]
    # What ships tells most rings and few others; the rules alone tell many others.
    assert found["told"]["f1"] > 2 * found["without a judge"]["f1"]
