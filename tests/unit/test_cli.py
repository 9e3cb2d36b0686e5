"""The command line: it teaches, its figures are JSON, its exit codes mean something."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api import cli, docs

NAMES = [command.run.__name__ for command in cli.COMMANDS]


def ringfence(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RINGFENCE_")}
    return subprocess.run(
        [sys.executable, "-m", "api.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment | variables,
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_and_an_example_of_itself(name):
    answer = CliRunner().invoke(cli.app, [name, "--help"], env={"COLUMNS": "200"})
    assert answer.exit_code == 0
    assert f"$ ringfence {name}" in answer.stdout


@pytest.mark.parametrize("command", cli.COMMANDS, ids=NAMES)
def test_every_option_says_what_it_is(command):
    rows = list(docs._parameters(command.run))
    assert rows
    for row in rows:
        assert "None" not in row
        assert len(row.split("|")[4].strip()) > 5, row


@pytest.mark.parametrize("page", docs.PAGES)
def test_the_reference_pages_are_what_the_code_says(page):
    assert page not in docs.stale(), "run: python -m api.docs"


def test_the_version_is_that_of_the_package():
    answer = CliRunner().invoke(cli.app, ["--version"])
    assert answer.stdout.startswith("ringfence 0.")


def test_help_answers_without_loading_the_engine():
    code = (
        "import sys, api.cli; from typer.testing import CliRunner;"
        "CliRunner().invoke(api.cli.app, ['--help']);"
        "print(sorted({'numba', 'pandas', 'xgboost', 'fastapi', 'kglite'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_what_evaluates_leaves_room_for_the_libraries_of_the_ladder():
    code = (
        "import sys, api.wiring, scorer.evaluation, cypher.analytics.nightly;"
        "import scorer.alternatives.catalogue as ladder; print(len(ladder.alternatives()));"
        "print(sorted({'kglite'} & set(sys.modules)))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["20", "[]"]


@pytest.mark.slow
def test_simulate_prints_its_figures_as_json_and_nothing_else_on_stdout(tmp_path):
    done = ringfence("simulate", "--out", str(tmp_path), "--days", "1", "--users", "80", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["transactions"] > 50
    assert (tmp_path / "transactions.parquet").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["simulate", "--out", "x", "--days", "0"], 2, "days: must be between"),
        (["simulate"], 2, "Missing option"),
        (["simulat"], 2, "simulate"),
        (["train", "nowhere", "--mapping", "ringfense", "--out", "m"], 2, "ringfence"),
        (["train", "nowhere", "--mapping", "ringfence", "--out", "m"], 2, "nowhere"),
        (
            ["investigate", "ring-of-user", "--param", "user=u", "--data", "nowhere"],
            2,
            "no graph database",
        ),
        (["serve", "--port", "99999"], 2, "--port"),
        (["serve", "--data", "data", "--model", "nowhere"], 2, "nowhere"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_what_goes_wrong_is_said_on_stderr_with_its_exit_code(
    arguments, code, says, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    done = ringfence(*arguments, PYTHONPATH=str(Path(docs.DOCS).parent))
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_a_misspelt_variable_is_refused(tmp_path):
    done = ringfence("serve", "--data", str(tmp_path), RINGFENCE_PROT="1")
    assert done.returncode == 2
    assert "RINGFENCE_PROT" in done.stderr


@pytest.mark.slow
def test_investigations_are_listed():
    done = ringfence("investigate", "--json")
    assert done.returncode == 0
    names = [each["name"] for each in json.loads(done.stdout)["investigations"]]
    assert "ring-of-user" in names
