"""Which log and folder a command is given: none that is not there, none that is served twice."""

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from api import demo as made
from api.adapters import LOG, served
from api.commands.demo import demo
from api.commands.lists import lists
from api.commands.redrive import redrive
from graph.errors import InvalidInput, InvalidSetting, Unavailable
from ingest import records
from ingest.embedded import EmbeddedLog
from ingest.ports import Message, Record, Topic


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_data_folder_has_one_server_whatever_its_graph_is(tmp_path: Path) -> None:
    """The lock of the embedded graph kept a second one out; with a Neo4j nothing did."""
    data = tmp_path / "data"
    again = (
        "from pathlib import Path\n"
        "from api.adapters import served\n"
        f"with served(Path({str(data)!r})):\n"
        "    pass\n"
    )
    with served(data), ExitStack() as second:
        with pytest.raises(Unavailable, match="another server has this data folder") as raised:
            second.enter_context(served(data))
        assert raised.value.field == "--data"
        assert raised.value.value == str(data)
        second.enter_context(served(tmp_path / "standby"))  # one of its own
        other = subprocess.run(
            [sys.executable, "-c", again], capture_output=True, text=True, check=False
        )
        assert "another server has this data folder" in other.stderr
    with served(data):  # it is let go of
        pass


def test_a_demo_keeps_a_second_one_out_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second began the log of the first anew, under its engine."""

    class BegunError(Exception):
        pass

    def begun(*_: object) -> None:
        raise BegunError

    # All that is asked is whether it begins: what follows are minutes of training, and a server.
    monkeypatch.setattr(made, "live_city", begun)
    data = tmp_path / "demo"
    app = typer.Typer()
    app.command()(demo)
    with served(data):
        second = CliRunner().invoke(app, ["--data", str(data)]).exception
    assert isinstance(second, Unavailable)
    assert second.what == "another server has this data folder"
    assert (second.field, second.value) == ("--data", str(data))
    alone = CliRunner().invoke(app, ["--data", str(data)])
    assert isinstance(alone.exception, BegunError)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [(redrive, ["--all"]), (lists, []), (lists, ["drop", "block", "user", "u1"])],
)
def test_who_only_reads_begins_no_log(command, arguments: list[str], tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)
    told = CliRunner().invoke(app, [*arguments, "--data", "typo"])
    assert isinstance(told.exception, InvalidSetting), told.output
    assert told.exception.what == "there is no log in this folder"
    assert (told.exception.field, told.exception.value) == ("--data", "typo")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "state").mkdir()
    EmbeddedLog(tmp_path / "state" / LOG).close()
    assert CliRunner().invoke(app, [*arguments, "--data", "state"]).exit_code == 0


def test_what_is_dated_ahead_is_not_put_back_to_be_refused_again(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(redrive)
    (tmp_path / "state").mkdir()
    log = EmbeddedLog(tmp_path / "state" / LOG)
    record = {"transaction_id": "a", "timestamp": "2150-01-01T00:00:00Z", "type": "payment",
              "amount": "1.00", "currency": "EUR", "user_id": "u", "merchant_id": "m"}  # fmt: skip
    for number, dated in enumerate(("2150-01-01T00:00:00Z", "2026-01-01T00:00:00Z")):
        value = json.dumps(record | {"timestamp": dated}).encode()
        refused = Record(Topic.TRANSACTIONS, 0, number, value, None)
        said = records.dead_letter("engine", refused, InvalidInput("no", remedy="Look."))
        log.append([Message(Topic.DEAD_LETTERS, 0, records.encode(said))])
    told = CliRunner().invoke(app, ["--all", "--data", "state", "--json"])
    assert json.loads(told.output)["counts"] == {"still refused": 1, "redriven": 1}
    assert log.bounds(Topic.TRANSACTIONS, 0).next == 1
    log.close()


@pytest.mark.servers
def test_on_kafka_a_command_leaves_nothing_in_the_working_directory(
    kafka_url: str, tmp_path: Path
) -> None:
    from ingest.kafka_client import KafkaSettings  # noqa: PLC0415
    from ingest.kafka_topics import create_topics, delete_topics  # noqa: PLC0415

    where = KafkaSettings(kafka_url, prefix=f"test-{tmp_path.name}.")
    create_topics(where)
    app = typer.Typer()
    app.command()(redrive)
    told = CliRunner().invoke(
        app, ["--all", "--kafka", kafka_url], env={"RINGFENCE_KAFKA_PREFIX": where.prefix}
    )
    delete_topics(where)
    assert told.exit_code == 0, told.output
    assert "no dead letters" in told.output
    assert list(tmp_path.iterdir()) == []
