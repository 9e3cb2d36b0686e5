"""`ringfence lists`: decisions into the log, and the lists out of it."""

import json

import pytest
import typer
from typer.testing import CliRunner

from api.commands.lists import lists
from graph.errors import InvalidInput, RingfenceError
from graph.transaction import DAY
from ingest.embedded import EmbeddedLog
from ingest.list_changes import InvalidListChange, read
from ingest.ports import Topic
from tests import cached_world as world


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.command()(lists)

    def invoke(*arguments: str):
        return CliRunner().invoke(app, [*arguments, "--data", str(tmp_path / "state")])

    return invoke


def test_what_is_put_is_shown_until_it_is_dropped(run, tmp_path) -> None:
    told = run("put", "block", "device", "phone-17", "--reason", "[stolen]", "--author", "me")
    assert told.exit_code == 0
    run("put", "watch", "user", "u1", "--expires", "2199-01-01T00:00:00Z")
    shown = json.loads(run("show", "--json").stdout)
    assert [(each["listing"], each["id"]) for each in shown["entries"]] == [
        ("block", "phone-17"),
        ("watch", "u1"),
    ]
    assert shown["entries"][1]["expires_at"] == "2199-01-01T00:00:00.000Z"
    assert "[stolen]" in run().stdout
    run("drop", "block", "device", "phone-17")
    assert json.loads(run("show", "block", "--json").stdout) == {"entries": []}
    log = EmbeddedLog(tmp_path / "state" / "log.sqlite")
    changes = [read(record.value) for record in log.read(Topic.LISTS, 0, 0, 10)]
    log.close()
    assert [change.listed for change in changes] == [True, True, False]
    assert changes[0].at > 0


def test_one_entity_is_shown_and_who_is_on_no_list_is_not_taken_off(run, tmp_path) -> None:
    for name in ("u1", "u2"):
        run("put", "block", "user", name)
    shown = json.loads(run("show", "block", "user", "u2", "--json").stdout)
    assert [each["id"] for each in shown["entries"]] == ["u2"]
    told = run("drop", "block", "user", "u3")
    assert told.exit_code == 0
    assert "user:u3 is not on the block list: nothing is written" in told.output
    log = EmbeddedLog(tmp_path / "state" / "log.sqlite")
    assert len(log.read(Topic.LISTS, 0, 0, 10)) == 2
    log.close()


def test_an_entity_is_shown_however_its_id_is_written(run) -> None:
    run("put", "block", "ip", "2001:db8::1")
    run("put", "block", "user", "Jos\N{LATIN SMALL LETTER E WITH ACUTE}")
    for asked in ("2001:DB8:0::1", "2001:db8::1"):
        (shown,) = json.loads(run("show", "block", "ip", asked, "--json").stdout)["entries"]
        assert shown["id"] == "2001:db8::1"
    asked = "Jose\N{COMBINING ACUTE ACCENT}"
    assert len(json.loads(run("show", "block", "user", asked, "--json").stdout)["entries"]) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("put",),
        ("put", "block", "user"),
        ("put", "block", "ip", "nonsense"),
        ("put", "block", "user", "u1", "--expires", "soon"),
    ],
)
def test_what_cannot_be_says_what_to_do(run, arguments) -> None:
    told = run(*arguments)
    assert isinstance(told.exception, InvalidInput)
    assert isinstance(told.exception, RingfenceError)
    assert told.exception.remedy


@pytest.mark.parametrize("expires", ["2000-01-01T00:00:00Z", str(world.START)])
def test_an_entry_that_event_time_ended_already_is_refused_as_it_is_over_http(
    run, tmp_path, expires
) -> None:
    (tmp_path / "state").mkdir()
    log = EmbeddedLog(tmp_path / "state" / "log.sqlite")
    with world.engine(log) as engine:
        world.score(engine, *range(60))
    log.close()
    told = run("put", "block", "user", "u1", "--expires", expires)
    assert isinstance(told.exception, InvalidListChange), told.output
    assert "event time is past it already" in told.exception.what
    assert (told.exception.field, told.exception.value) == ("--expires", expires)
    assert "Send a time after 2023-11-14T23:" in told.exception.remedy
    assert "`ringfence lists drop`" in told.exception.remedy
    log = EmbeddedLog(tmp_path / "state" / "log.sqlite")
    assert log.bounds(Topic.LISTS, 0).next == 0
    log.close()
    later = str(world.START + 10 * DAY)
    assert run("put", "block", "user", "u1", "--expires", later).exit_code == 0
