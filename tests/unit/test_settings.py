"""Settings: who wins, what is refused and under which name, and that no secret is ever shown."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from api.lists import read_lists
from api.settings import SECRETS, Settings, cache_dir, read, table, variable
from graph.errors import InvalidSetting
from graph.transaction import Entity, EntityKind

TOKEN = "a-token-of-some-length"  # noqa: S105 - made up


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    """No settings file of the developer's lies beside the tests."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(environment: dict[str, str], **flags: object) -> InvalidSetting:
    with pytest.raises(InvalidSetting) as caught:
        Settings.load(environment, **flags)
    return caught.value


def file(text: str, name: str = "ringfence.toml") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


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


def test_the_file_beside_us_is_stronger_than_the_default():
    file("port = 9100")
    assert Settings.load({}).port == 9100


def test_a_variable_is_stronger_than_the_file():
    file("port = 9100")
    assert Settings.load({"RINGFENCE_PORT": "9000"}).port == 9000


def test_an_empty_variable_leaves_the_file():
    file("port = 9100")
    assert Settings.load({"RINGFENCE_PORT": ""}).port == 9100


def test_the_file_of_the_variable_is_read_instead_of_the_one_beside_us():
    file("port = 9100")
    file("port = 9200", "other.toml")
    assert Settings.load({"RINGFENCE_CONFIG": "other.toml"}).port == 9200


def test_the_file_of_the_flag_is_read_instead_of_that_of_the_variable():
    file("port = 9200", "other.toml")
    named = file("port = 9300", "named.toml")
    assert Settings.load({"RINGFENCE_CONFIG": "other.toml"}, config=named).port == 9300


def test_each_setting_is_traced_to_the_key_that_gave_it():
    file('port = 9100\npolicy = "fixed"')
    found = read({"RINGFENCE_PORT": "9000", "RINGFENCE_LOG_LEVEL": "error"}, kafka="k:1")
    assert {name: (given.origin, given.key) for name, given in found.origins.items()} == {
        "kafka": ("flag", "--kafka"),
        "port": ("variable", "RINGFENCE_PORT"),
        "log_level": ("variable", "RINGFENCE_LOG_LEVEL"),
        "policy": ("file", "ringfence.toml:policy"),
    }


def test_a_relative_path_in_a_file_begins_at_the_files_folder():
    Path("etc/model").mkdir(parents=True)
    settings = Settings.load({}, config=file('model_dir = "model"\ndata_dir = "/x"', "etc/r.toml"))
    assert settings.model_dir == Path("etc/model")
    assert settings.data_dir == Path("/x")


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ("port = = 3", "ringfence.toml", "is not TOML.*line 1"),
        ("prt = 1", "ringfence.toml:prt", "Did you mean port"),
        (
            "port = true",
            "ringfence.toml:port",
            "whole number from 0 to 65535.*Example: port = 8000",
        ),
        ("port = 80.5", "ringfence.toml:port", "whole number"),
        ("lease_s = true", "ringfence.toml:lease_s", "number from 0.5 to 60"),
        ("host = 5", "ringfence.toml:host", "expected an address"),
        ('[kafka]\nuser = "x"', "ringfence.toml:kafka", "settings are flat"),
        ("kafka_password = 5", "ringfence.toml:kafka_password", "expected a password"),
        ('host = "\\udc00"', "ringfence.toml", "is not TOML"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_by_file_and_key(text, field, says):
    file(text)
    error = refused({})
    assert error.field == field
    assert re.search(says, str(error))


@pytest.mark.parametrize("named", ["none.toml", "."])
def test_a_file_that_cannot_be_read_is_named_by_what_named_it(named):
    assert refused({"RINGFENCE_CONFIG": named}).field == "RINGFENCE_CONFIG"
    assert refused({}, config=Path(named)).field == "--config"


def test_a_file_that_is_no_text_or_far_too_long_is_refused():
    Path("ringfence.toml").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in str(refused({}))
    file("#" * (1 << 20) + "\n")
    assert "longer than" in str(refused({}))


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ("k:9092", "k:9092"),
        ("kafka://k:9092", "k:9092"),
        ("a:1, b:2", "a:1,b:2"),
        ("kafka://a:1,b:2/", "a:1,b:2"),
        ("[::1]:9092", "[::1]:9092"),
    ],
)
def test_kafka_is_host_and_port_with_or_without_its_scheme(given, becomes):
    assert Settings.load({}, kafka=given).kafka == becomes


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("KAFKA", "k", "has no port"),
        ("KAFKA", "k:0", "port 0"),
        ("KAFKA", "a:1,,b:2", "empty place"),
        ("KAFKA", "a:1,b", "b has no port"),
        ("KAFKA", ":9092", "names no host"),
        ("KAFKA", "k:99999", "cannot be one"),
        ("KAFKA", "http://k:1", "kafka:// before it or nothing"),
        ("KAFKA", "me:hunter2@k:1", "holds a user"),
        ("KAFKA_PREFIX", "a b", "letters"),
        ("KAFKA_SECURITY", "ssl", "one of plaintext, tls, sasl, sasl-tls"),
        ("KAFKA_MECHANISM", "GSSAPI", "one of SCRAM-SHA-512, SCRAM-SHA-256, PLAIN"),
        ("NEO4J", "http://h:7474", "begins with none of bolt://"),
        ("NEO4J", "bolt://me:hunter2@h", "neo4j_user and neo4j_password"),
        ("NEO4J", "bolt://h/db", "neo4j_database"),
        ("NEO4J", "bolt://", "names no host"),
        ("NEO4J_DATABASE", "x", "no name of a database"),
        ("REDIS", "hunter2", "begins with neither"),
        ("REDIS", "redis://:hunter2@h:x", "cannot be one"),
        ("REDIS", "redis://:hunter2@h/name", "number of a database"),
        ("REDIS", "redis://h:1/?x=1 password=hunter2", "space"),
        ("SINKS", "graph,kafka", "'kafka' is not a follower"),
        ("SINKS", "none,graph", "'none' is not a follower"),
        ("LEASE_S", "0.4", "number from 0.5 to 60"),
        ("LEASE_S", "nan", "number from 0.5 to 60"),
        ("CHECKPOINT_EVERY", "0", "whole number from 1"),
        ("CYPHER_TOKEN", "hunter2", "shorter than 16"),
        ("CYPHER_TOKEN", "hunter2 and a space", "a header cannot carry"),
        ("MODEL_DIR", "nowhere", "no such folder"),
        ("RATES", "nowhere", "no such file"),
        ("LISTS", ".", "is not a file"),
        ("DATA_DIR", "ringfence.toml", "is a file"),
    ],
)
def test_a_value_that_cannot_be_is_explained_with_an_example_and_without_its_secret(
    name, value, says
):
    file("")
    error = refused({f"RINGFENCE_{name}": value})
    assert error.field == f"RINGFENCE_{name}"
    assert says in str(error)
    assert f"Example: RINGFENCE_{name}=" in error.remedy
    assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ("graph,cache", ("graph", "cache")),
        ("cache, graph", ("graph", "cache")),
        ("graph", ("graph",)),
        ("none", ()),
        (["cache"], ("cache",)),
        ([], ()),
    ],
)
def test_followers_are_named_with_commas_or_as_a_list(given, becomes):
    assert Settings.load({}, sinks=given).sinks == becomes


SASL = {
    "RINGFENCE_KAFKA": "k:1",
    "RINGFENCE_KAFKA_SECURITY": "sasl",
    "RINGFENCE_KAFKA_USER": "me",
    "RINGFENCE_KAFKA_PASSWORD": "hunter2",
}


@pytest.mark.parametrize(
    ("environment", "field", "says"),
    [
        ({"RINGFENCE_KAFKA_PASSWORD": "x"}, "RINGFENCE_KAFKA_PASSWORD", "no kafka to give it to"),
        ({"RINGFENCE_NEO4J_PASSWORD": "x"}, "RINGFENCE_NEO4J_PASSWORD", "no neo4j to give it to"),
        (SASL | {"RINGFENCE_KAFKA_USER": ""}, "RINGFENCE_KAFKA_SECURITY", "needs kafka_user"),
        (SASL | {"RINGFENCE_KAFKA_PASSWORD": ""}, "RINGFENCE_KAFKA_SECURITY", "kafka_password"),
        (SASL | {"RINGFENCE_KAFKA_CA": "ca"}, "RINGFENCE_KAFKA_CA", "no certificate"),
        (
            {"RINGFENCE_KAFKA": "k:1", "RINGFENCE_KAFKA_USER": "me"},
            "RINGFENCE_KAFKA_USER",
            "nobody would be asked",
        ),
        (
            {"RINGFENCE_POLICY": "fixed", "RINGFENCE_POLICY_FILE": "ca"},
            "RINGFENCE_POLICY",
            "policy_file says how",
        ),
    ],
)
def test_settings_that_cannot_work_together_are_refused(environment, field, says):
    file("", "ca")
    error = refused(environment)
    assert error.field == field
    assert says in error.what
    assert error.remedy


def test_settings_that_work_together_do():
    file("", "ca")
    settings = Settings.load(
        SASL | {"RINGFENCE_KAFKA_SECURITY": "SASL-TLS", "RINGFENCE_KAFKA_CA": "ca"},
        kafka_mechanism="plain",
    )
    assert (settings.kafka_security, settings.kafka_mechanism) == ("sasl-tls", "PLAIN")
    assert settings.kafka_password is not None
    assert settings.kafka_password.get_secret_value() == "hunter2"


def test_every_wrong_key_is_found_and_none_twice():
    file('kafka_pasword = "x"\nport = "eighty"\nlease_s = 1000')
    environment = {
        "RINGFENCE_PRT": "1",
        "RINGFENCE_PORT": "-1",
        "RINGFENCE_KAFKA": "k",
        # Kafka is wrong, not missing: its password is not said to have no Kafka.
        "RINGFENCE_KAFKA_PASSWORD": "x",
        "RINGFENCE_NEO4J_PASSWORD": "x",
    }
    found = read(environment, max_batch=0)
    assert found.settings is None
    assert sorted(problem.field or "" for problem in found.problems) == [
        "--max-batch",
        "RINGFENCE_KAFKA",
        "RINGFENCE_NEO4J_PASSWORD",
        "RINGFENCE_PORT",
        "RINGFENCE_PRT",
        "ringfence.toml:kafka_pasword",
        "ringfence.toml:lease_s",
    ]
    assert all(str(problem) in str(refused(environment, max_batch=0)) for problem in found.problems)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_can_lie_in_a_file(name):
    secret = f"redis://:{TOKEN}@h:1" if name == "redis" else TOKEN
    file(f"{secret}\n", "run/secret")
    rest = {"kafka_security": "sasl", "kafka_user": "me"} if name == "kafka_password" else {}
    if name != "redis":
        rest |= {"kafka": "k:1", "neo4j": "bolt://h"}
    if name != "kafka_password":
        rest.pop("kafka", None)
    by_variable = Settings.load({f"{variable(name)}_FILE": "run/secret"}, **rest)
    by_file = Settings.load({}, config=file(f'{name}_file = "secret"', "run/r.toml"), **rest)
    assert getattr(by_variable, name).get_secret_value() == secret
    assert by_file == by_variable
    assert TOKEN not in repr(by_variable) + str(by_variable.shown(name))
    assert TOKEN not in by_variable.model_dump_json()


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"RINGFENCE_CYPHER_TOKEN": TOKEN, "RINGFENCE_CYPHER_TOKEN_FILE": "s"}, "given too"),
        ({"RINGFENCE_CYPHER_TOKEN_FILE": "none"}, "no such file"),
        ({"RINGFENCE_CYPHER_TOKEN_FILE": "empty"}, "is empty"),
        ({"RINGFENCE_CYPHER_TOKEN_FILE": "long"}, "longer than"),
    ],
)
def test_a_secrets_file_that_cannot_be_it_is_refused_once(environment, says):
    file(TOKEN, "s")
    file(" \n", "empty")
    file("x" * 10_000, "long")
    error = refused(environment)
    assert error.field == "RINGFENCE_CYPHER_TOKEN_FILE"
    assert says in error.what
    assert TOKEN not in str(error)


def test_a_secret_that_cannot_be_read_is_not_called_missing_as_well():
    without = {key: value for key, value in SASL.items() if "PASSWORD" not in key}
    error = refused(without | {"RINGFENCE_KAFKA_PASSWORD_FILE": "none"})
    assert error.field == "RINGFENCE_KAFKA_PASSWORD_FILE"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://:hunter2@h:1", "redis://:***@h:1"),
        ("redis://me:hunter2@h:1", "redis://me:***@h:1"),
        ("rediss://me:hun%2Fter2@h?password=hunter2", "rediss://me:***@h?password=***"),
    ],
)
def test_a_redis_url_is_shown_without_its_password(url, shown):
    settings = Settings.load({}, redis=url)
    assert settings.shown("redis") == shown
    assert settings.redis is not None
    assert settings.redis.get_secret_value() == url


def test_in_process_leaves_the_servers_out_and_the_rest_as_it_is():
    settings = Settings.load(SASL, neo4j="bolt://h", redis="redis://h", port=9000)
    alone = settings.in_process()
    assert (alone.kafka, alone.neo4j, alone.redis) == (None, None, None)
    assert alone.port == 9000


def test_the_example_of_the_documentation_loads():
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    for secret in ("kafka", "neo4j", "kafka-ca.pem"):
        file("hunter2", f"secrets/{secret}")
    file("redis://:hunter2@cache:6379/0", "secrets/redis")
    Path("model").mkdir()
    file(example)
    settings = Settings.load({})
    assert settings.kafka == "kafka-1:9093,kafka-2:9093"
    assert settings.sinks == ("graph", "cache")
    assert settings.shown("redis") == "redis://:***@cache:6379/0"


@pytest.mark.parametrize("row", table(), ids=lambda row: row.name)
def test_the_example_of_every_setting_is_a_right_value(row):
    for name in ("rates.toml", "lists.toml", "policy.toml", "kafka-ca.pem"):
        file("", name)
    Path("model").mkdir()
    example = Settings.model_fields[row.name].json_schema_extra["example"]
    value = TOKEN if row.name == "cypher_token" else example
    found = read({row.variable: value})
    # What needs another setting beside it is told so, and that alone.
    assert all("Example" not in problem.remedy for problem in found.problems)
    assert row.takes


def test_settings_cannot_change():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]


def test_every_setting_is_documented():
    rows = {row.variable: row.meaning for row in table()}
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


def test_lists_name_entities_as_transactions_do(tmp_path):
    path = tmp_path / "lists.toml"
    path.write_text('[blocked]\nip = ["2001:DB8::0:1", "::ffff:9.9.9.9"]\nuser = ["rene\u0301"]\n')
    named = {(entity.kind.value, entity.id) for entity in read_lists(path).blocked}
    assert named == {("ip", "2001:db8::1"), ("ip", "9.9.9.9"), ("user", "ren\u00e9")}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[blocked]\nip = ["no address"]', "ip"),
        ('[watched]\ncard = ["4111111111111111"]', "card"),
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
