"""The judge that ships, and how it is made anew."""

import lzma
from pathlib import Path

import msgspec
import pytest

from api import starter as making
from api.wiring import detector
from scorer import ring_judge_training
from scorer.booster import Booster
from scorer.judge_training import ALERTS, BIRTHS
from scorer.ports import FeatureSchema
from scorer.ring_judge_training import BOUNDS
from scorer.starter import (
    FOLDER,
    PARAMETERS,
    RING_TREES,
    TREES,
    TREES_FOLDER,
    read_starter,
    starter,
    starter_parameters,
    starter_trees,
)

ALL_TREES = f"{TREES_FOLDER}/{TREES}"


def test_the_starter_fits_this_engine_and_says_what_taught_it() -> None:
    judge = starter()
    assert judge.birth in BIRTHS
    assert judge.alert in ALERTS
    assert judge.birth <= judge.alert
    assert judge.booster.tree_count == making.GROWN
    assert judge.of_rings is not None
    assert judge.of_rings.asked == judge.birth
    assert judge.of_rings.told in BOUNDS
    assert judge.of_rings.booster.tree_count == ring_judge_training.TREES
    assert (making.OUT / FOLDER / RING_TREES).stat().st_size < 200_000
    parameters = msgspec.json.decode((making.OUT / FOLDER / PARAMETERS).read_bytes())
    taught = parameters["taught_on"]
    assert taught["first_seed"] == making.FIRST_SEED
    assert taught["about_fraud"] > 1_000
    assert (making.OUT / FOLDER / TREES).stat().st_size < 2_000_000


def test_the_trees_fit_this_engine_and_say_what_taught_them() -> None:
    schema = detector().schema
    trees = starter_trees(schema)
    assert trees is not None
    assert trees.tree_count == making.GROWN_ON_TRANSACTIONS
    assert starter_parameters()["taught_on"]["frauds"] > 10_000
    assert (making.OUT / TREES_FOLDER / TREES).stat().st_size < 2_000_000
    other = FeatureSchema(schema.names[1:], schema.families[1:])
    assert starter_trees(other) is None


@pytest.mark.slow
def test_a_starter_of_small_cities_is_made_and_read_back(tmp_path: Path) -> None:
    arguments = ["--cities", "9", "--told", "8", "--users", "300", "--days", "6"]
    for name in ("a", "b"):
        assert making.main([*arguments, "--jobs", "2", "--out", str(tmp_path / name)]) == 0
    names = (f"{FOLDER}/{each}" for each in (PARAMETERS, TREES, RING_TREES))
    files = {name: (tmp_path / "a" / name).read_bytes() for name in (*names, ALL_TREES)}
    for name, written in files.items():
        assert (tmp_path / "b" / name).read_bytes() == written
    judge = read_starter(tmp_path / "a" / FOLDER)
    assert judge.booster.tree_count == making.GROWN
    assert judge.of_rings is not None
    taught = msgspec.json.decode(files[f"{FOLDER}/{PARAMETERS}"])["taught_on"]
    assert (taught["cities"], taught["of_rings"]["cities"]) == (1, 8)
    trees = Booster.from_json(lzma.decompress(files[ALL_TREES]), detector().schema.names)
    assert trees.tree_count == making.GROWN_ON_TRANSACTIONS


def test_without_a_city_to_teach_it_there_is_no_starter(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        making.main(["--cities", "16"])
    assert "--cities: 16 leave none to teach; take 17 or more" in capsys.readouterr().err


@pytest.mark.parametrize("told", ["0", "4", "12"])
def test_the_judge_of_rings_is_taught_by_as_many_ordinary_cities_as_others(
    told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        making.main(["--told", told])
    assert f"--told: {told} are not as many ordinary ones as others" in capsys.readouterr().err
