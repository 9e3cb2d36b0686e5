"""The judge that ships, and how it is made anew."""

import lzma
from pathlib import Path

import msgspec
import pytest

from api import starter as making
from api.wiring import detector
from scorer.booster import Booster
from scorer.evidence_judge import read_judge
from scorer.judge_training import ALERTS, BIRTHS
from scorer.ports import FeatureSchema
from scorer.starter import (
    FOLDER,
    PARAMETERS,
    TREES,
    TREES_FOLDER,
    starter,
    starter_parameters,
    starter_trees,
)


def test_the_starter_fits_this_engine_and_says_what_taught_it() -> None:
    judge = starter()
    assert judge.birth in BIRTHS
    assert judge.alert in ALERTS
    assert judge.birth <= judge.alert
    assert judge.booster.tree_count == making.GROWN
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
    arguments = ["--cities", "5", "--users", "400", "--days", "8"]
    for name in ("a", "b"):
        assert making.main([*arguments, "--jobs", "2", "--out", str(tmp_path / name)]) == 0
    names = (f"{FOLDER}/{PARAMETERS}", f"{FOLDER}/{TREES}", f"{TREES_FOLDER}/{TREES}")
    files = [(tmp_path / run / name).read_bytes() for run in "ab" for name in names]
    assert files[:3] == files[3:]
    judge = read_judge(msgspec.json.decode(files[0]), lzma.decompress(files[1]))
    assert judge.booster.tree_count == making.GROWN
    assert msgspec.json.decode(files[0])["taught_on"]["cities"] == 1
    trees = Booster.from_json(lzma.decompress(files[2]), detector().schema.names)
    assert trees.tree_count == making.GROWN_ON_TRANSACTIONS


def test_without_a_city_to_teach_it_there_is_no_starter(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        making.main(["--cities", "4"])
    assert "--cities: 4 leave none to teach" in capsys.readouterr().err
