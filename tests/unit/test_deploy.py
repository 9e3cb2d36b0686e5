"""What docker-compose.yml and the Dockerfile promise, held to without a container engine.

The schema is the published one. What can be run is run: the entry points here, the servers' own
settings in `tests/integration/test_compose_processes.py`.
"""

import http.server
import json
import os
import re
import shlex
import stat
import subprocess
import sys
import threading
from pathlib import Path

import jsonschema
import pytest
import yaml
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from typer.main import get_command

from api import cli
from api.app import create_app
from api.settings import Settings
from api.wiring import build

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
TEXT = (ROOT / "docker-compose.yml").read_text()
RAW = yaml.safe_load(TEXT)
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OURS = "ringfence:"
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z0-9_]+)(:\?[^}]*)?\}")


@pytest.fixture(scope="module")
def env(tmp_path_factory) -> dict[str, str]:
    """What `make env` writes."""
    path = tmp_path_factory.mktemp("env") / ".env"
    subprocess.run([DEPLOY / "env", path], check=True, capture_output=True)
    lines = [line for line in path.read_text().splitlines() if line and line[0] != "#"]
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture(scope="module")
def compose(env) -> dict:
    """docker-compose.yml as it is read with that file: variables in, `$$` a dollar."""

    def filled(value):
        if isinstance(value, str):
            return VARIABLE.sub(lambda found: env[found[1]], value).replace("$$", "$")
        if isinstance(value, dict):
            return {key: filled(each) for key, each in value.items()}
        return [filled(each) for each in value] if isinstance(value, list) else value

    return filled(RAW)


def services() -> list[str]:
    return sorted(RAW["services"])


def ours() -> list[str]:
    return [name for name in services() if RAW["services"][name]["image"].startswith(OURS)]


def test_the_file_fits_the_published_schema(compose):
    schema = json.loads((ROOT / "tests" / "schemas" / "compose-spec.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    for document in (RAW, compose):
        assert [error.message for error in validator.iter_errors(document)] == []
    broken = json.loads(json.dumps(RAW))
    broken["services"]["engine"]["helthcheck"] = {}
    assert list(validator.iter_errors(broken)), "the schema lets a misspelt key pass"


def test_the_whole_system_is_there():
    assert set(services()) == {
        *("kafka", "neo4j", "cache", "postgres", "topics", "engine", "standby"),
        *("sink-graph", "sink-cache", "prometheus", "grafana"),
    }


# -- passwords -------------------------------------------------------------------------------------


def test_every_variable_it_uses_is_written_by_make_env_and_demanded(env):
    used = {found[1]: found[2] for found in VARIABLE.finditer(TEXT)}
    assert set(used) == set(env)
    assert all(used.values()), "a variable without :? would be empty where .env is not there"


def test_make_env_makes_a_password_each_and_overwrites_nothing(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (first, second):
        subprocess.run([DEPLOY / "env", path], check=True, capture_output=True)
    before = first.read_text()
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert before.startswith("# What docker-compose.yml is told.")
    passwords = re.findall(r"^\w+_(?:PASSWORD|TOKEN)=(.*)$", before + second.read_text(), re.M)
    assert len(passwords) == len(set(passwords)) == 12
    assert all(re.fullmatch("[0-9a-f]{48}", each) for each in passwords)
    again = subprocess.run([DEPLOY / "env", first], capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "stays as it is" in again.stderr
    assert first.read_text() == before


def test_no_secret_is_on_a_command_line(compose, env):
    secrets = {value for name, value in env.items() if not name.endswith("_PORT")}
    for name, service in compose["services"].items():
        shown = json.dumps([service.get(k) for k in ("command", "entrypoint", "healthcheck")])
        assert not [each for each in secrets if each in shown], name


def test_no_secret_is_written_in_what_is_committed():
    for path in (ROOT / ".env.example", ROOT / "docker-compose.yml", *DEPLOY.rglob("*.*")):
        found = re.findall(
            r"(?i)^\s*\w*(?:password|token|secret)\s*[:=]\s*(\S+)", path.read_text(), re.M
        )
        assert all(each.startswith(("@", "$", '"$', "neo4j/$")) for each in found), (path, found)
    ignored = (ROOT / ".gitignore").read_text().split()
    assert ".env" in ignored


# -- images ----------------------------------------------------------------------------------------


def test_every_image_is_pinned_to_a_version():
    images = [service["image"] for service in RAW["services"].values()]
    images += re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)
    for image in images:
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?", image), image
    assert len(set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.M))) == 1


def test_our_image_is_of_our_version():
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.M)
    assert {RAW["services"][name]["image"] for name in ours()} == {f"ringfence:{version[1]}"}


def test_the_dockerfile_copies_what_is_there_and_what_is_sent_to_it():
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in sent, "everything is left out but what is named: .env above all"
    allowed = [line[1:] for line in sent if line.startswith("!")]
    sources = [
        source.rstrip("/")
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.M)
        for source in line.split()[:-1]
    ]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(source == each or source.startswith(f"{each}/") for each in allowed), source
    packages = re.search(r"^packages = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(), re.M)
    assert set(re.findall(r'"(\w+)"', packages[1])) <= set(sources)


def test_the_image_runs_as_a_user_of_its_own_and_says_whether_it_lives(compose):
    final = DOCKERFILE.split("\nFROM ")[-1]
    user = re.search(r"^USER (\S+)", final, re.M)[1]
    assert {compose["services"][name]["user"] for name in ours()} == {user}
    assert not user.startswith(("0", "root"))
    health = json.loads(re.search(r"^HEALTHCHECK .* CMD (.*)$", final, re.M)[1])
    assert health == ["answers", "/healthz"]
    assert json.loads(re.search(r"^ENTRYPOINT (.*)$", final, re.M)[1]) == ["ringfence-start"]
    assert re.search(r"^COPY deploy/image/start /usr/local/bin/ringfence-start$", final, re.M)
    assert (
        re.search(r"^ARG UV_VERSION=(.*)$", DOCKERFILE, re.M)[1]
        == (re.search(r"^UV_VERSION := (.*)$", (ROOT / "Makefile").read_text(), re.M)[1])
    )
    variables = dict(re.findall(r"(RINGFENCE_\w+)=(\S+)", final))
    assert Settings.load(variables).host == "0.0.0.0"  # noqa: S104 - within its container


# -- services --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", services())
def test_a_service_is_bounded_watched_and_without_privileges(compose, name):
    service = compose["services"][name]
    limits = service["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= set(limits)
    user, _, group = service["user"].partition(":")
    assert user.isdecimal()
    assert int(user) > 0
    assert group.isdecimal()
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert service.get("read_only", False) == (name != "neo4j")  # it writes its own settings
    for port in service.get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port), port
    health = service["healthcheck"]
    if health.get("disable"):
        waits = [each.get("depends_on", {}).get(name, {}) for each in compose["services"].values()]
        assert {"condition": "service_completed_successfully"} in waits
    else:
        assert health["test"][0] in {"CMD", "CMD-SHELL"}
        assert {"interval", "timeout", "retries"} <= set(health)


def test_services_start_after_what_they_need(compose):
    waits = {name: service.get("depends_on", {}) for name, service in compose["services"].items()}
    for name, needs in waits.items():
        for other, how in needs.items():
            disabled = compose["services"][other]["healthcheck"].get("disable", False)
            ends = how["condition"] == "service_completed_successfully"
            assert ends == disabled, f"{name} waits for {other}"
    started: set[str] = set()
    while ready := {name for name in waits if name not in started and set(waits[name]) <= started}:
        started |= ready
    assert started == set(waits), "they wait for each other"
    for name in ("engine", "standby", "sink-graph", "sink-cache"):
        assert "topics" in waits[name]


def test_what_is_kept_has_a_named_volume_and_what_is_mounted_is_there(compose):
    used = set()
    for name, service in compose["services"].items():
        for mount in service.get("volumes", ()):
            source, target, *mode = mount.split(":")
            assert target.startswith("/")
            if source.startswith("./"):
                assert mode == ["ro"], f"{name} could write to {source}"
                assert (ROOT / source).exists(), source
            else:
                used.add(source)
    assert used == set(compose["volumes"])
    writers = [
        mount.split(":")[0]
        for service in compose["services"].values()
        for mount in service.get("volumes", ())
        if not mount.startswith("./")
    ]
    assert len(writers) == len(set(writers)), "two services share a folder"


# -- what runs in them -----------------------------------------------------------------------------


def parse(arguments: list[str]) -> None:
    """Parse a command line of ours as far as its options go, without running it."""
    command, words, context = get_command(cli.app), list(arguments), None
    while True:
        if hasattr(command, "resolve_command"):  # it has commands below it
            context = command.make_context("ringfence", words, parent=context)
            words = [*context._protected_args, *context.args]
            _, command, words = command.resolve_command(context, words)
        else:
            command.make_context(command.name, words, parent=context)
            return


@pytest.mark.parametrize("name", ours())
def test_every_command_of_ours_is_one(name):
    service = RAW["services"][name]
    parse(service["command"])
    test = service["healthcheck"].get("test", [])
    if test[1:2] == ["ringfence-start"]:
        parse(test[2:])


def test_a_command_that_is_none_does_not_parse():
    for words in (["serve", "--no-such-option"], ["no-such-command"], ["config", "erase"]):
        with pytest.raises(Exception, match=r"(?i)no such|not one of"):
            parse(words)


@pytest.mark.parametrize("name", ours())
def test_every_setting_of_ours_is_one_and_can_work(compose, name):
    final = DOCKERFILE.split("\nFROM ")[-1]
    image = dict(re.findall(r"(RINGFENCE_\w+)=(\S+)", final))
    settings = Settings.load(image | compose["services"][name]["environment"])
    assert settings.kafka == "kafka:9092"
    assert settings.neo4j == "bolt://neo4j:7687"
    assert "cache:6379" in str(settings.redis)
    if name in {"engine", "standby"}:
        assert settings.sinks == ()
        assert settings.cypher_token is not None


@pytest.mark.parametrize(
    "script", ["local/servers", "env", "kafka/start", "image/start", "cache/start"]
)
def test_scripts_can_be_run_and_parsed(script):
    path = DEPLOY / script
    assert os.access(path, os.X_OK)
    shell = path.read_text().splitlines()[0].rpartition("/")[2].rpartition(" ")[2]
    subprocess.run([shell, "-n", path], check=True)


def test_the_image_starts_with_its_kernels_where_it_may_write(tmp_path):
    (tmp_path / "kernels" / "deep").mkdir(parents=True)
    (tmp_path / "kernels" / "deep" / "one.nbi").write_text("compiled")
    answer = subprocess.run(
        [DEPLOY / "image" / "start", "--version"],
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "KERNELS": str(tmp_path / "kernels"),
            "NUMBA_CACHE_DIR": str(tmp_path / "memory"),
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert answer.stdout.startswith("ringfence 0.")
    assert (tmp_path / "memory" / "deep" / "one.nbi").read_text() == "compiled"


def test_the_health_check_knows_alive_from_not():
    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def asks(path: str) -> int:
        variables = {"RINGFENCE_PORT": str(server.server_port)}
        command = [sys.executable, DEPLOY / "image" / "answers", path]
        return subprocess.run(command, env=variables, capture_output=True, check=False).returncode

    try:
        assert asks("/healthz") == 0
        assert asks("/readyz") == 1
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()
    assert asks("/healthz") == 1


# -- watching --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> set[str]:
    """Names of every series that `/metrics` has."""
    service = build(Settings.load({}, data_dir=tmp_path_factory.mktemp("deploy")))
    try:
        text = generate_latest(create_app(service).state.metrics).decode()
    finally:
        service.graph.close()
        service.log.close()
    families = list(text_string_to_metric_families(text))
    missing_while_idle = {"ringfence_recovered_differing"}
    missing_while_idle |= {"ringfence_stream_lag_records", "ringfence_log_up"}
    return {s.name for family in families for s in family.samples} | missing_while_idle


def expressions() -> list[tuple[str, str]]:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
    found = [(r["alert"], r["expr"]) for group in rules["groups"] for r in group["rules"]]
    board = json.loads((DEPLOY / "grafana" / "dashboards" / "ringfence.json").read_text())
    for panel in board["panels"]:
        found += [(panel["title"], target["expr"]) for target in panel.get("targets", ())]
    return found


@pytest.mark.parametrize(("where", "expression"), expressions())
def test_alerts_and_panels_ask_for_series_that_are_exported(exported, where, expression):
    named = set(re.findall(r"ringfence_\w+", expression))
    assert named <= exported
    assert named or 'up{job="ringfence"}' in expression


def test_every_alert_says_how_bad_what_and_what_to_do():
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
    for rule in rules["groups"][0]["rules"]:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) == {"summary", "what_to_do"}


def test_prometheus_scrapes_the_engines_and_reads_the_rules_that_are_mounted(compose):
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    targets = {
        target
        for job in config["scrape_configs"]
        if job["job_name"] == "ringfence"
        for group in job["static_configs"]
        for target in group["targets"]
    }
    inside = {
        f"{name}:{port.split(':')[2]}"
        for name in ("engine", "standby")
        for port in compose["services"][name]["ports"]
    }
    for name in ("sink-graph", "sink-cache"):
        command = compose["services"][name]["command"]
        inside.add(f"{name}:{command[command.index('--port') + 1]}")
    assert targets == inside
    mounted = {m.split(":")[1] for m in compose["services"]["prometheus"]["volumes"]}
    assert {f"/etc/prometheus/{each}" for each in config["rule_files"]} <= mounted
    assert any("/etc/prometheus/prometheus.yml" in each for each in mounted)


def test_grafana_finds_its_source_and_its_dashboard(compose):
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "ringfence.yml").read_text())[
        "providers"
    ]
    grafana = compose["services"]["grafana"]
    mounted = dict(m.split(":")[1::-1] for m in grafana["volumes"])
    folder = ROOT / mounted[provider["options"]["path"]]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    board = json.loads((folder / home.name).read_text())
    sources = {panel["datasource"]["uid"] for panel in board["panels"] if panel["type"] != "row"}
    assert sources == {source["uid"]}
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))


# -- how it is told --------------------------------------------------------------------------------


def test_the_page_names_every_service_port_and_target(env):
    page = (ROOT / "docs" / "deploy.md").read_text()
    for name in services():
        assert f"`{name}`" in page, name
    for name in env:
        assert name in page, name
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.M)
    for target in re.findall(r"`make ([a-z-]+)", page):
        assert target in targets, target
    for variable in re.findall(r"SERVERS_[A-Z0-9_]+", (DEPLOY / "local" / "servers").read_text()):
        assert variable in page, variable
    for line in re.findall(r"^\$ (?:docker compose \S+ )?ringfence (.*)$", page, re.M):
        parse(shlex.split(line, comments=True))
