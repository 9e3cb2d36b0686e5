"""Settings: who wins, and what is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from api.lists import read_lists
from api.settings import Settings, cache_dir, table, variable
from graph.errors import InvalidSetting
from graph.transaction import Entity, EntityKind


def test_defaults_stand_where_nothing_is_said():
    settings = Settings.load({})
    assert settings == Settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)


def test_a_variable_is_stronger_than_the_default():
    assert Settings.load({"RINGFENCE_PORT": "9000"}).port == 9000


def test_a_flag_is_stronger_than_a_variable():
    assert Settings.load({"RINGFENCE_PORT": "9000"}, port=9001).port == 9001


def test_a_flag_that_was_not_given_leaves_the_variable():
    assert Settings.load({"RINGFENCE_PORT": "9000"}, port=None).port == 9000


def test_an_empty_variable_is_none():
    assert Settings.load({"RINGFENCE_MODEL_DIR": ""}).model_dir is None


def test_other_programs_variables_are_not_ours():
    assert Settings.load({"PORT": "1", "RINGFENCE_DATA": "x", "PATH": "/bin"}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "70000"),
        ("PORT", "eighty"),
        ("PORT", "-1"),
        ("MAX_BODY", "0"),
        ("MAX_BATCH", "5000"),
        ("MAX_STREAMS", "1e3"),
        ("POLICY", "gut"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_its_name(name, value):
    with pytest.raises(InvalidSetting) as caught:
        Settings.load({f"RINGFENCE_{name}": value})
    assert caught.value.field == f"RINGFENCE_{name}"
    assert caught.value.value == value
    assert caught.value.remedy


def test_a_flag_that_cannot_work_is_named_as_the_flag():
    with pytest.raises(InvalidSetting, match="--port"):
        Settings.load({}, port=70_000)


def test_a_misspelt_variable_is_refused_and_the_right_ones_are_listed():
    with pytest.raises(InvalidSetting, match=r"RINGFENCE_PRT.*RINGFENCE_PORT"):
        Settings.load({"RINGFENCE_PRT": "9000"})


def test_settings_cannot_change():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]


def test_every_setting_is_documented():
    rows = {name: meaning for name, _, meaning in table()}
    assert set(rows) == {variable(name) for name in Settings.model_fields}
    assert all(rows.values())


def test_caches_go_where_the_user_keeps_them():
    assert cache_dir({"XDG_CACHE_HOME": "/x"}) == Path("/x/ringfence")


def test_lists_name_entities_by_kind(tmp_path):
    path = tmp_path / "lists.toml"
    path.write_text('[blocked]\ndevice = ["d1", "d2"]\n[allowed]\nuser = ["u1"]\n')
    lists = read_lists(path)
    assert lists.blocked == {Entity(EntityKind.DEVICE, "d1"), Entity(EntityKind.DEVICE, "d2")}
    assert lists.allowed == {Entity(EntityKind.USER, "u1")}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[blocked", "cannot be read"),
        ('[blocked]\nphone = ["x"]', "no such kind"),
        ("[blocked]\nuser = [1]", "not a list of ids"),
        ('[grey]\nuser = ["x"]', "no such list"),
        ('blocked = "x"', "not a table"),
        ('[blocked]\nuser = ["x"]\n[allowed]\nuser = ["x"]', "both blocked and allowed"),
    ],
)
def test_lists_that_make_no_sense_are_refused(tmp_path, text, says):
    path = tmp_path / "lists.toml"
    path.write_text(text)
    with pytest.raises(InvalidSetting, match=says):
        read_lists(path)


def test_lists_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(InvalidSetting, match="cannot be read"):
        read_lists(tmp_path / "none.toml")
