"""`ringfence config`: what it shows, what it names, and with which code it ends."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api import cli
from api.settings import Settings
from graph.errors import RingfenceError


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    """Neither variables nor a file of the developer's."""
    monkeypatch.chdir(tmp_path)
    for name in [each for each in os.environ if each.startswith("RINGFENCE_")]:
        monkeypatch.delenv(name)


def config(*arguments: str, **variables: str):
    return CliRunner().invoke(cli.app, ["config", *arguments], env=variables)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_show_has_every_setting_with_its_value_and_its_source():
    Path("ringfence.toml").write_text('policy = "fixed"\n')
    answer = config("show", "--json", "--port", "9000", RINGFENCE_LOG_LEVEL="error")
    assert answer.exit_code == 0
    shown = json.loads(answer.stdout)
    assert shown["file"] == "ringfence.toml"
    assert set(shown["settings"]) == set(Settings.model_fields)
    assert {
        name: each for name, each in shown["settings"].items() if each["from"] != "default"
    } == {
        "port": {"value": 9000, "from": "flag", "key": "--port"},
        "log_level": {"value": "error", "from": "variable", "key": "RINGFENCE_LOG_LEVEL"},
        "policy": {"value": "fixed", "from": "file", "key": "ringfence.toml:policy"},
    }
    assert shown["settings"]["host"] == {"value": "127.0.0.1", "from": "default", "key": None}


@pytest.mark.parametrize(
    ("setting", "text", "code", "says"),
    [
        ("RINGFENCE_POLICY_FILE", "[cost]\nloss = 1\n", "invalid-setting", "Did you mean costs"),
        ("RINGFENCE_LISTS", "[bloked]\nuser = ['a']\n", "invalid-setting", "bloked"),
        ("RINGFENCE_MODEL_DIR", None, "incompatible", "model"),
    ],
)
def test_a_check_reads_the_files_that_are_named(
    setting: str, text: str | None, code: str, says: str
):
    if text is None:
        Path("named").mkdir()
    else:
        Path("named").write_text(text)
    answer = config("check", **{setting: "named"})
    assert isinstance(answer.exception, RingfenceError)
    assert answer.exception.code == code
    assert says in str(answer.exception)


def test_show_has_the_same_as_a_table():
    answer = config("show", "--kafka", "kafka://k:1", RINGFENCE_SINKS="none")
    rows = {line.split()[0]: line.split()[1:] for line in answer.stdout.splitlines()}
    assert rows["kafka"] == ["k:1", "--kafka"]
    assert rows["sinks"] == ["none", "RINGFENCE_SINKS"]
    assert rows["port"] == ["8000", "default"]
    assert set(Settings.model_fields) <= set(rows)


def test_a_long_value_is_shown_to_its_end():
    servers = ",".join(f"kafka-{number}.example:9092" for number in range(8))
    answer = config("show", "--kafka", servers)
    assert servers in "".join(answer.stdout.replace("--kafka", "").split())


@pytest.mark.parametrize("what", ["show", "check"])
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_no_secret_is_printed_whether_it_is_right_or_wrong(what, form):
    secrets = {
        "RINGFENCE_KAFKA": "k:1",
        "RINGFENCE_KAFKA_SECURITY": "sasl",
        "RINGFENCE_KAFKA_USER": "me",
        "RINGFENCE_KAFKA_PASSWORD": "hunter2-hunter2-hunter2",
        "RINGFENCE_NEO4J": "bolt://h",
        "RINGFENCE_NEO4J_PASSWORD": "hunter2-hunter2-hunter2",
        "RINGFENCE_REDIS": "redis://me:hunter2-hunter2-hunter2@h:1",
        "RINGFENCE_CYPHER_TOKEN": "hunter2-hunter2-hunter2",
    }
    right = config(what, *form, **secrets)
    assert right.exit_code == 0
    wrong = config(what, *form, **{name: f"{value} " * 2 for name, value in secrets.items()})
    assert wrong.exit_code == 2
    for answer in (right, wrong):
        assert "hunter2" not in answer.output


def test_check_says_which_adapters_there_would_be():
    assert json.loads(config("check", "--json").stdout) == {
        "ok": True,
        "adapters": {"log": "embedded", "graph": "embedded", "cache": "in this process"},
    }
    answer = config(
        "check", "--kafka", "k:1", "--neo4j", "bolt://h", "--redis", "redis://:hunter2@h"
    )
    assert answer.exit_code == 0
    assert answer.stdout.splitlines() == [
        "ok: the settings can work",
        "  log    Kafka at k:1",
        "  graph  Neo4j at bolt://h",
        "  cache  Redis at redis://:***@h",
    ]


def test_check_names_all_that_is_wrong_and_ends_with_2():
    wrong = {"RINGFENCE_PORT": "eighty", "RINGFENCE_PRT": "1", "RINGFENCE_NEO4J_PASSWORD": "x"}
    answer = config("check", **wrong)
    assert answer.exit_code == 2
    assert answer.stdout == ""
    assert "3 settings are wrong" in answer.stderr
    assert all(name in answer.stderr for name in wrong)
    assert "Example: RINGFENCE_PORT=8000" in answer.stderr
    assert "Did you mean RINGFENCE_PORT?" in answer.stderr
    told = json.loads(config("check", "--json", **wrong).stdout)
    assert told["ok"] is False
    assert {problem["key"] for problem in told["problems"]} == set(wrong)
    assert all(problem["remedy"] for problem in told["problems"])


def test_a_check_that_asks_needs_no_server_to_be_named():
    answer = config("check", "--connect")
    assert answer.exit_code == 0
    assert "there is none to ask" in answer.stdout


def test_servers_that_are_not_there_are_named_each_with_its_remedy():
    port = free_port()
    asked = ["--kafka", f"127.0.0.1:{port}", "--neo4j", f"bolt://127.0.0.1:{port}"]
    asked += ["--redis", f"redis://:hunter2@127.0.0.1:{port}/0"]
    answer = config("check", "--connect", *asked)
    assert answer.exit_code == 4
    lines = answer.stderr.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["kafka", "neo4j", "redis"]
    for line in lines:
        assert "Connect call failed" in line
        assert "Does " in line
        assert "hunter2" not in line
    told = json.loads(config("check", "--connect", "--json", *asked).stdout)
    assert told["ok"] is False
    assert [server["ok"] for server in told["servers"]] == [False, False, False]


def test_a_server_that_accepts_and_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr("api.probes.DEADLINE_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        asked = ["--kafka", f"127.0.0.1:{port}", "--neo4j", f"bolt://127.0.0.1:{port}"]
        asked += ["--redis", f"redis://127.0.0.1:{port}/0"]
        answer = config("check", "--connect", *asked)
    assert answer.exit_code == 4
    assert [line.partition(":")[0] for line in answer.stderr.splitlines()] == [
        "kafka",
        "neo4j",
        "redis",
    ]


def test_help_does_not_wait_for_the_settings_model():
    code = (
        "import sys, api.cli; from typer.testing import CliRunner;"
        "CliRunner().invoke(api.cli.app, ['--help']);"
        "CliRunner().invoke(api.cli.app, ['config', '--help']);"
        "names = {'pydantic_settings', 'aiokafka', 'neo4j', 'redis'};"
        "print(sorted(names & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(cli.__file__).parent.parent,
    )
    assert done.stdout.strip() == "[]"
