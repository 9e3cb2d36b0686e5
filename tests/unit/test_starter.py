"""The judge that ships, and how it is made anew."""

from pathlib import Path

import msgspec
import pytest

from api import starter as making
from scorer.evidence_judge import read_judge
from scorer.starter import PARAMETERS, TREES, starter


def test_the_starter_fits_this_engine_and_says_what_taught_it() -> None:
    judge = starter()
    assert 0 < judge.birth <= judge.alert < 1
    assert judge.booster.tree_count == making.GROWN
    parameters = msgspec.json.decode((making.OUT / PARAMETERS).read_bytes())
    taught = parameters["taught_on"]
    assert taught["first_seed"] == making.FIRST_SEED
    assert taught["about_fraud"] > 1_000
    assert (making.OUT / TREES).stat().st_size < 2_000_000


@pytest.mark.slow
def test_a_starter_of_small_cities_is_made_and_read_back(tmp_path: Path) -> None:
    arguments = ["--cities", "3", "--users", "400", "--days", "8"]
    for name in ("a", "b"):
        assert making.main([*arguments, "--out", str(tmp_path / name)]) == 0
    files = [(tmp_path / name / file).read_bytes() for name in "ab" for file in (PARAMETERS, TREES)]
    assert files[:2] == files[2:]
    judge = read_judge(msgspec.json.decode(files[0]), files[1])
    assert judge.booster.tree_count == making.GROWN
    assert msgspec.json.decode(files[0])["taught_on"]["cities"] == 1


def test_without_a_city_to_teach_it_there_is_no_starter(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        making.main(["--cities", "2"])
    assert "--cities: 2 leave none to teach" in capsys.readouterr().err
