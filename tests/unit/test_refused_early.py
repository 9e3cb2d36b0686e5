"""Commands over history refuse what cannot end well before the replay, not after it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from api import cli
from graph.errors import InvalidSetting
from ingest import datasets
from ingest.output_folder import new_files
from ingest.simulator import SimulationConfig, write
from ingest.tables import InvalidDataset

POLICIES = Path(cli.__file__).parents[1] / "docs" / "policies"
LEARNING = {
    "train": ("--out",),
    "evaluate": ("--report",),
    "backtest": (
        *("--policy", POLICIES / "by-cost.toml", "--policy", POLICIES / "fixed.toml"),
        "--out",
    ),
}


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    """Whatever comes as far as its first transaction has come too far: nobody made it."""
    folder = tmp_path_factory.mktemp("a") / "city"
    write(SimulationConfig(days=1, users=80), folder)
    file = folder / "transactions.parquet"
    table = pq.read_table(file)
    at = table.schema.get_field_index("user_id")
    pq.write_table(table.set_column(at, "user_id", pa.nulls(len(table), pa.string())), file)
    return folder


@pytest.mark.parametrize("name", LEARNING)
def test_a_replay_that_begins_is_seen_to(tmp_path, city, name):
    options = [str(each) for each in (*LEARNING[name], tmp_path / "out")]
    answer = CliRunner().invoke(cli.app, [name, str(city), "--mapping", "ringfence", *options])
    assert isinstance(answer.exception, InvalidDataset)


def refused(*arguments):
    answer = CliRunner().invoke(cli.app, [str(each) for each in arguments])
    assert isinstance(answer.exception, InvalidSetting), answer.exception
    assert answer.exception.exit_code == 2
    assert answer.exception.value
    assert answer.exception.remedy
    return str(answer.exception)


@pytest.mark.parametrize("out", ["file", "file/x", "/proc/foo"])
@pytest.mark.parametrize("name", LEARNING)
def test_an_output_folder_that_cannot_be_written(tmp_path, city, name, out):
    (tmp_path / "file").write_text("")
    options = LEARNING[name]
    said = refused(name, city, "--mapping", "ringfence", *options, tmp_path / out)
    assert said.startswith(f"{options[-1]}: this folder cannot be made or written")
    assert str(tmp_path / out) in said


SEEDS = ("--seed=-1", "--seed=99999999999999999999")
EMBARGOES = ("--embargo=nan", "--embargo=inf", "--embargo=-1")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [(name, wrong) for name in LEARNING for wrong in SEEDS]
    + [(name, wrong) for name in ("evaluate", "backtest") for wrong in EMBARGOES],
)
def test_numbers_that_libraries_do_not_take(tmp_path, city, name, wrong):
    options = (*LEARNING[name], tmp_path / "out", wrong)
    said = refused(name, city, "--mapping", "ringfence", *options)
    assert said.startswith(f"{wrong.split('=')[0]}: must be between 0 and ")
    assert wrong.split("=")[1] in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["file", "file/x", "/proc/x"])
def test_a_replay_that_has_no_place(tmp_path, city, out):
    (tmp_path / "file").write_text("")
    said = refused("replay", city, "--mapping", "ringfence", "--out", tmp_path / out)
    assert said.startswith("--out")
    assert str(tmp_path / out) in said
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_replay_in_the_place_of_the_folder_one_is_in(tmp_path, city, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = refused("replay", city, "--mapping", "ringfence", "--out", ".")
    assert "--out: a folder that is a working directory" in said


def test_what_comes_into_the_place_of_a_replay_at_work_is_told_of_as_typed(
    tmp_path, city, monkeypatch
):
    def read(*_):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.txt").write_text("")
        yield from ()

    # Another process does this, and in no other moment: left to chance it would come too late.
    monkeypatch.setattr(datasets, "read", read)
    said = refused("replay", city, "--mapping", "ringfence", "--out", tmp_path / "out")
    assert said.startswith(f"--out {tmp_path / 'out'}: this holds something that is not a replay")


@pytest.mark.parametrize("out", ["", "in/it", "..", "../city"])
def test_a_replay_over_or_in_its_own_data(city, out):
    before = {file.name: file.read_bytes() for file in city.iterdir()}
    said = refused("replay", city, "--mapping", "ringfence", "--out", city / out)
    assert said.startswith("--out: the result and the data")
    assert {file.name: file.read_bytes() for file in city.iterdir()} == before


@pytest.mark.parametrize("out", ["file", "file/x", "/proc/foo"])
def test_a_city_that_has_no_place(tmp_path, out):
    (tmp_path / "file").write_text("")
    said = refused("simulate", "--days", "1", "--users", "80", "--out", tmp_path / out)
    assert said.startswith("--out: this folder cannot be made or written")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", LEARNING)
def test_an_output_folder_that_another_process_writes_into(tmp_path, city, name):
    """`train --gnn` included, whose folder for going on after a kill is of that name as well."""
    options = LEARNING[name]
    more = ("--gnn",) if name == "train" else ()
    with new_files(tmp_path / "out", ()):
        said = refused(name, city, "--mapping", "ringfence", *more, *options, tmp_path / "out")
    assert said.startswith(f"{options[-1]}: another process is writing into this folder")
    assert "Wait until it has ended" in said
    assert list(tmp_path.iterdir()) == []


def test_a_city_that_another_process_is_building(tmp_path):
    with new_files(tmp_path / "out", ()):
        said = refused("simulate", "--days", "1", "--users", "80", "--out", tmp_path / "out")
    assert said.startswith("--out: another process is writing into this folder")
