"""What docker-compose.yml mounts and sets, run as local processes; and `deploy/local/servers`.

The images are not here; their servers are, from the packages and jars that `make servers` uses.
So a setting that the server does not know, or an entry point that does not start it, fails here.
"""

import asyncio
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from redis import Redis
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as Unreachable

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
PASSWORD = secrets.token_hex(12)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def running(command: list[object], **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own group, killed whole at the end."""
    path = {"PATH": os.environ["PATH"]}
    process = subprocess.Popen(
        list(map(str, command)),
        env=path | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def until(ready, process: "subprocess.Popen[bytes]", seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert process.poll() is None, "it ended"
        assert time.monotonic() < deadline, "it does not answer"
        time.sleep(0.1)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def jars(name: str) -> Path:
    """Where `make servers` put the jars; a Kafka or Neo4j from elsewhere has none to lend."""
    path = ROOT / ".cache" / "servers" / "jars" / name
    assert path.exists(), f"run make servers: {path} is not there"
    return path


# -- the containers' entry points ------------------------------------------------------------------


@pytest.fixture
def kafka_home(tmp_path, kafka_url) -> Path:
    """What the entry point calls in the image, from our jars."""
    home = tmp_path / "home" / "bin"
    home.mkdir(parents=True)
    java = f'exec java -Xmx384m -XX:TieredStopAtLevel=1 -cp "{jars("kafka")}/*"'
    for name, main in (
        ("kafka-storage.sh", "kafka.tools.StorageTool"),
        ("kafka-server-start.sh", "kafka.Kafka"),
    ):
        (home / name).write_text(f'#!/bin/sh\n{java} {main} "$@"\n')
        (home / name).chmod(0o755)
    return home.parent


def test_kafka_starts_with_its_settings_and_lets_in_who_knows_the_password(tmp_path, kafka_home):
    ports = {port: free_port() for port in (9092, 9093, 9094, 9095)}
    text = (DEPLOY / "kafka" / "server.properties").read_text()
    for port, other in ports.items():
        text = text.replace(f":{port}", f":{other}")
    given = tmp_path / "server.properties"
    given.write_text(text.replace("/var/lib/kafka/data", str(tmp_path / "data")))
    (tmp_path / "data").mkdir()
    settings = COMPOSE["kafka"]["environment"]
    variables = {
        "KAFKA_HOME": str(kafka_home),
        "KAFKA_GIVEN": str(given),
        "KAFKA_WORK": str(tmp_path / "work"),
        "KAFKA_PASSWORD": PASSWORD,
        "CLUSTER_ID": settings["CLUSTER_ID"],
        "CLIENTS_ADDRESS": f"127.0.0.1:{ports[9092]}",
        "HOST_ADDRESS": f"127.0.0.1:{ports[9093]}",
    }

    async def enter(port: int, password: str) -> str:
        how = {
            "bootstrap_servers": f"127.0.0.1:{port}",
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": "ringfence",
            "sasl_plain_password": password,
        }
        topic = f"t{secrets.token_hex(4)}"
        admin = AIOKafkaAdminClient(**how)
        try:
            await admin.start()
            await admin.create_topics([NewTopic(topic, 1, 1)])
        finally:
            await admin.close()
        producer = AIOKafkaProducer(transactional_id=topic, **how)
        await producer.start()
        try:
            async with producer.transaction():
                await producer.send_and_wait(topic, b"x")
        finally:
            await producer.stop()
        return topic

    start = ["bash", DEPLOY / "kafka" / "start"]
    with running(start, **variables) as process:
        until(lambda: answers(ports[9092]) and answers(ports[9093]), process)
        for port in (ports[9092], ports[9093]):
            assert asyncio.run(enter(port, PASSWORD))
        with pytest.raises(KafkaError):
            asyncio.run(enter(ports[9092], "not it"))
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert PASSWORD.encode() not in line
        assert PASSWORD.encode() not in Path(f"/proc/{process.pid}/environ").read_bytes()
    with running(start, **variables) as process:  # a volume that is formatted stays as it is
        until(lambda: answers(ports[9093]), process)
        assert asyncio.run(enter(ports[9093], PASSWORD))


def test_the_cache_starts_with_its_settings_and_demands_the_password(tmp_path, redis_url):
    server = shutil.which("valkey-server") or shutil.which("redis-server")
    assert server is not None
    port = free_port()
    given = tmp_path / "valkey.conf"
    text = (DEPLOY / "cache" / "valkey.conf").read_text()
    given.write_text(text.replace("port 6379", f"port {port}"))
    variables = {
        "CACHE_SERVER": server,
        "CACHE_GIVEN": str(given),
        "CACHE_WORK": str(tmp_path / "with-password.conf"),
        "CACHE_PASSWORD": PASSWORD,
    }
    with running(["sh", DEPLOY / "cache" / "start"], **variables) as process:
        until(lambda: answers(port), process)
        with Redis(port=port, password=PASSWORD) as client:
            assert client.set("key", "value", ex=5)
            settings = client.config_get("*")
        assert settings["maxmemory"] == str(256 * 1024 * 1024)
        assert settings["maxmemory-policy"] == "allkeys-lru"
        assert settings["save"] == ""
        with Redis(port=port) as nobody, pytest.raises(AuthenticationError):
            nobody.ping()
        assert PASSWORD.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()


@pytest.mark.slow
def test_neo4j_takes_every_setting_of_the_compose_file(tmp_path, neo4j_url):
    """The image makes `a.b_c` of `NEO4J_a_b__c`; the server refuses a setting it does not know."""
    given = COMPOSE["neo4j"]["environment"]
    settings = {
        re.sub(r"(?<!_)_(?!_)", ".", name.removeprefix("NEO4J_")).replace("__", "_"): value
        for name, value in given.items()
        if name not in {"NEO4J_AUTH", "NEO4J_PLUGINS"}
    }
    assert "server.memory.heap.max_size" in settings
    small = {"server.memory.heap.initial_size": "256m", "server.memory.heap.max_size": "512m"}
    settings |= small | {"server.memory.pagecache.size": "64m"}
    with servers(tmp_path, neo4j_conf="\n".join(f"{k}={v}" for k, v in settings.items())) as run:
        done = run("start", "neo4j")
        assert done.returncode == 0, done.stderr
        conf = (tmp_path / "neo4j" / "conf" / "neo4j.conf").read_text()
        assert "db.tx_log.rotation.retention_policy=2 days 1G" in conf
        assert run("status", "neo4j").returncode == 0


@pytest.mark.parametrize("check", [["config", "prometheus.yml"], ["rules", "alerts.yml"]])
def test_prometheus_accepts_its_settings(postgres_url, check):
    kind, name = check
    _promtool("check", kind, DEPLOY / "prometheus" / name)


def test_the_alerts_fire_when_they_should(postgres_url):
    _promtool("test", "rules", DEPLOY / "prometheus" / "alerts.test.yml")


def _promtool(*arguments: object) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        reason = "needs promtool (Debian package prometheus)"
        if os.environ.get("RINGFENCE_REQUIRE_SERVERS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    done = subprocess.run(
        [promtool, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


# -- deploy/local/servers --------------------------------------------------------------------------


@contextmanager
def servers(folder: Path, path: str | None = None, neo4j_conf: str = "", **ports: int):
    """`deploy/local/servers` over a folder of its own, with the jars that are there already."""
    variables = {
        "PATH": path or os.environ["PATH"],
        "SERVERS_DIR": str(folder),
        "SERVERS_JARS": str(jars("kafka").parent),
        "SERVERS_NEO4J_CONF": neo4j_conf,
        "SERVERS_KAFKA_HEAP": "256m",
        "SERVERS_NEO4J_HEAP": "512m",
        "JAVA_TOOL_OPTIONS": os.environ["JAVA_TOOL_OPTIONS"],
    }
    for name in ("KAFKA", "KAFKA_SECURE", "KAFKA_CONTROLLER", "NEO4J", "NEO4J_HTTP", "REDIS"):
        variables[f"SERVERS_{name}_PORT"] = str(free_port())
    variables["SERVERS_POSTGRES_PORT"] = str(free_port())
    variables |= {f"SERVERS_{name.upper()}_PORT": str(port) for name, port in ports.items()}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [DEPLOY / "local" / "servers", *arguments],
            env=variables,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    try:
        yield run
    finally:
        run("kill")
        where = folder / "postgres" / "where"  # its user may not reach this folder: then elsewhere
        if where.exists():
            shutil.rmtree(where.read_text().strip())


def written(folder: Path) -> dict[str, str]:
    lines = (folder / "env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line[0] != "#")


def test_servers_start_twice_die_and_come_back_with_what_they_had(tmp_path, kafka_url):
    with servers(tmp_path) as run:
        assert run("status", "kafka", "redis").returncode == 1
        first = run("start", "kafka", "redis", "postgres")
        assert first.returncode == 0, first.stderr
        again = run("start", "kafka", "redis", "postgres")
        assert again.returncode == 0
        assert again.stderr.count("is running") == 3
        found = written(tmp_path)
        assert set(found) == {
            *("RINGFENCE_TEST_KAFKA", "RINGFENCE_TEST_KAFKA_SECURE", "RINGFENCE_TEST_KAFKA_CA"),
            *("RINGFENCE_TEST_KAFKA_USER", "RINGFENCE_TEST_KAFKA_PASSWORD"),
            *("RINGFENCE_TEST_REDIS", "RINGFENCE_TEST_POSTGRES"),
        }
        assert (tmp_path / "env").stat().st_mode & 0o777 == 0o600

        async def topics(make: str | None = None) -> list[str]:
            admin = AIOKafkaAdminClient(bootstrap_servers=found["RINGFENCE_TEST_KAFKA"])
            await admin.start()
            try:
                if make is not None:
                    await admin.create_topics([NewTopic(make, 1, 1)])
                return await admin.list_topics()
            finally:
                await admin.close()

        asyncio.run(topics(make="kept"))
        assert run("kill", "kafka", "redis").returncode == 0
        assert set(written(tmp_path)) == {"RINGFENCE_TEST_POSTGRES"}
        back = run("start", "kafka", "redis")
        assert back.returncode == 0, back.stderr
        assert written(tmp_path) == found
        assert "kept" in asyncio.run(topics())
        assert run("stop").returncode == 0
        assert written(tmp_path) == {}
        with Redis.from_url(found["RINGFENCE_TEST_REDIS"]) as gone, pytest.raises(Unreachable):
            gone.ping()


def test_without_java_the_rest_starts_and_what_is_missing_is_named(tmp_path, redis_url):
    (tmp_path / "bin").mkdir()
    for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        for command in Path(folder).glob("*"):
            link = tmp_path / "bin" / command.name
            if command.name not in {"java", "mvn"} and not link.is_symlink():
                link.symlink_to(command)
    with servers(tmp_path / "state", path=str(tmp_path / "bin")) as run:
        done = run("start")
        assert done.returncode == 1
        for name in ("kafka", "neo4j"):
            line = next(line for line in done.stderr.splitlines() if line.startswith(name))
            assert "lacks java" in line
            assert "apt-get install default-jre-headless" in line
        assert set(written(tmp_path / "state")) == {
            "RINGFENCE_TEST_REDIS",
            "RINGFENCE_TEST_POSTGRES",
        }


def test_a_port_that_is_asked_for_and_taken_is_named(tmp_path, redis_url):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with servers(tmp_path, redis=port) as run:
            done = run("start", "redis")
    assert done.returncode == 1
    assert f"port {port} (SERVERS_REDIS_PORT) is taken" in done.stderr


def test_a_server_nobody_knows_is_refused(tmp_path):
    done = subprocess.run(
        [DEPLOY / "local" / "servers", "start", "mongodb"],
        env={"PATH": os.environ["PATH"], "SERVERS_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no server is called mongodb: kafka neo4j redis postgres" in done.stderr
