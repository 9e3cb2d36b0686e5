"""The system under the campaign: private servers, supervised workers, and who of them leads."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ingest.kafka_client import KafkaSettings
from ingest.kafka_topics import create_topics

ROOT: Final = Path(__file__).parents[2]
PREFIX: Final = "chaos."
USER: Final = "neo4j"
SERVES: Final = ("serve-a", "serve-b")
_SMALL: Final = {
    "SERVERS_KAFKA_HEAP": "384m",
    "SERVERS_NEO4J_HEAP": "512m",
    # They are started over and over: quick to start, not quick to run.
    "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1",
}
_PORTS: Final = {
    "kafka": ("KAFKA", "KAFKA_SECURE", "KAFKA_CONTROLLER"),
    "neo4j": ("NEO4J", "NEO4J_HTTP"),
    "redis": ("REDIS",),
}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Server:
    """Kafka, Neo4j or Redis of our own, started by deploy/local/servers in a folder of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder / name
        jars = os.environ.get("SERVERS_JARS", str(ROOT / ".cache" / "servers" / "jars"))
        ports = {f"SERVERS_{each}_PORT": str(free_port()) for each in _PORTS[name]}
        self.port = int(ports[f"SERVERS_{_PORTS[name][0]}_PORT"])
        self._environment = {
            **os.environ,
            **_SMALL,
            **ports,
            "SERVERS_DIR": str(self._folder),
            "SERVERS_JARS": jars,
        }

    @property
    def pid(self) -> int | None:
        """Of the running process; None where there is none."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self._folder / self.name / f"{self.name}.pid").read_text())
            if Path(f"/proc/{pid}/cmdline").read_bytes():  # empty: a zombie
                return pid
        return None

    @property
    def secret(self) -> str:
        return (self._folder / "secrets" / self.name).read_text().strip()

    def start(self) -> None:
        """Start and wait until it answers; twice, since what was killed may leave its port busy."""
        for attempt in range(3):
            done = self._do("start")
            if done.returncode == 0:
                return
            time.sleep(attempt + 1)
        raise RuntimeError(f"{self.name} does not start: {done.stderr[-2000:]}")

    def stop(self) -> None:
        self._do("stop")

    def _do(self, verb: str) -> "subprocess.CompletedProcess[str]":
        script = ROOT / "deploy" / "local" / "servers"
        return subprocess.run(
            [str(script), verb, self.name],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )


@dataclass
class Worker:
    """A process of ours that is started again whenever it ends."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    port: int | None = None
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    exits: Counter[int] = field(default_factory=Counter)
    killed_by_us: set[int] = field(default_factory=set)

    @property
    def pid(self) -> int | None:
        process = self.process
        return None if process is None or process.poll() is not None else process.pid

    def start(self) -> None:
        with self.log.open("ab") as log:
            log.write(f"--- started {time.strftime('%H:%M:%S')}\n".encode())
            log.flush()
            self.process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=ROOT,
                start_new_session=True,
            )
        self.started_at = time.monotonic()


class Supervisor:
    """Starts workers again half a second after they ended, as systemd would."""

    PAUSE_S: Final = 0.5

    def __init__(self, workers: list[Worker]) -> None:
        self.workers = {each.name: each for each in workers}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        for worker in self.workers.values():
            worker.start()
        self._thread.start()

    def _run(self) -> None:
        ended: dict[str, float] = {}
        while not self._stop.wait(0.05):
            for worker in self.workers.values():
                process = worker.process
                if process is None or process.poll() is None:
                    continue
                if worker.name not in ended:
                    ended[worker.name] = time.monotonic()
                    worker.exits[process.returncode] += 1
                elif time.monotonic() - ended[worker.name] > self.PAUSE_S:
                    del ended[worker.name]
                    worker.start()

    def end(self, seconds: float) -> list[str]:
        """SIGTERM to all, and what is wrong with how they ended."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(5)
        for worker in self.workers.values():
            if worker.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    worker.process.send_signal(signal.SIGCONT)
                    worker.process.terminate()
        wrong = []
        until = time.monotonic() + seconds
        for worker in self.workers.values():
            if worker.process is None:
                continue
            try:
                code = worker.process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait(10)
                wrong.append(f"{worker.name} did not end within {seconds:g} s of SIGTERM")
            else:
                if code not in (0, -signal.SIGTERM):  # uvicorn drains, then ends as it was told
                    wrong.append(f"{worker.name} ended with {code} on SIGTERM")
        return wrong


def ready(port: int, timeout: float = 1.0) -> dict[str, object] | None:
    """What /readyz says; None where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", "/readyz")
        found: dict[str, object] = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return found


class Watch:
    """Asks who leads, ten times a second, and keeps when that changed."""

    def __init__(self, workers: dict[str, Worker]) -> None:
        self._ports = {name: workers[name].port for name in SERVES}
        self.state: dict[str, str] = dict.fromkeys(SERVES, "gone")
        self.history: list[tuple[float, str, str]] = []
        self.statistics: dict[str, dict[str, object]] = {}
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(name,), daemon=True) for name in SERVES
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(5)

    @property
    def leader(self) -> str | None:
        leading = [name for name, state in self.state.items() if state == "running"]
        return leading[0] if len(leading) == 1 else None

    def first_running(self, name: str, since: float) -> float | None:
        """When another than `name` was first seen to lead after a moment."""
        found = [at for at, who, state in self.history if at >= since and who != name]
        states = [
            at
            for at, who, state in self.history
            if at >= since and who != name and state == "running"
        ]
        return states[0] if found and states else None

    def _run(self, name: str) -> None:
        port = self._ports[name]
        assert port is not None
        while not self._stop.wait(0.1):
            found = ready(port)
            state = "gone"
            if found is not None:
                figures = found.get("stats")
                if isinstance(figures, dict):
                    self.statistics[name] = figures
                    state = str(figures.get("state"))
            if state != self.state[name]:
                self.state[name] = state
                self.history.append((time.monotonic(), name, state))


class System:
    """All of it: `start`, then kill what you like, then `settle` and `end`."""

    def __init__(
        self, folder: Path, *, partitions: int, say: Callable[[str], None], cache: bool = True
    ) -> None:
        self.folder = folder
        self._say = say
        self.servers = {name: Server(name, folder / "servers") for name in _PORTS}
        self.kafka = f"127.0.0.1:{self.servers['kafka'].port}"
        self.neo4j = f"bolt://127.0.0.1:{self.servers['neo4j'].port}"
        self.redis = f"redis://127.0.0.1:{self.servers['redis'].port}/0"
        self.partitions = partitions
        self.cache = cache
        self.supervisor: Supervisor
        self.watch: Watch

    def start(self) -> None:
        (self.folder / "servers").mkdir(parents=True)
        failed: list[str] = []

        def begin(server: Server) -> None:
            try:
                server.start()
            except RuntimeError as error:
                failed.append(str(error))

        starting = [threading.Thread(target=begin, args=(each,)) for each in self.servers.values()]
        for thread in starting:
            thread.start()
        for thread in starting:
            thread.join()
        if failed:
            raise RuntimeError("; ".join(failed))
        self._create_topics()
        self.supervisor = Supervisor(self._workers())
        self.supervisor.start()
        self.watch = Watch(self.supervisor.workers)
        self.watch.start()
        until = time.monotonic() + 300
        while self.watch.leader is None:
            if time.monotonic() > until:
                raise RuntimeError("nobody leads after 300 s")
            time.sleep(0.1)

    def end(self) -> list[str]:
        """End the workers; what is wrong with how they ended."""
        self.watch.stop()
        return self.supervisor.end(40)

    def stop_servers(self) -> None:
        for server in self.servers.values():
            if server.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(server.pid, signal.SIGCONT)
            server.stop()

    def pid(self, name: str) -> int | None:
        """Of a server or a worker."""
        found = self.servers.get(name) or self.supervisor.workers[name]
        return found.pid

    def _create_topics(self) -> None:
        create_topics(KafkaSettings(self.kafka, prefix=PREFIX), partitions=self.partitions)

    def _environment(self, **more: str) -> dict[str, str]:
        ours = {k: v for k, v in os.environ.items() if not k.startswith("RINGFENCE_")}
        return {
            **ours,
            "PYTHONPATH": str(ROOT),
            "RINGFENCE_KAFKA": self.kafka,
            "RINGFENCE_KAFKA_PREFIX": PREFIX,
            "RINGFENCE_LOG_LEVEL": "info",
            **more,
        }

    def _workers(self) -> list[Worker]:
        neo4j = {
            "RINGFENCE_NEO4J": self.neo4j,
            "RINGFENCE_NEO4J_PASSWORD": self.servers["neo4j"].secret,
        }
        redis = {"RINGFENCE_REDIS": self.redis}
        python = [sys.executable, "-m", "api.cli"]
        found = []
        for name in SERVES:
            port = free_port()
            data = self.folder / name
            environment = self._environment(
                RINGFENCE_SINKS="none",
                RINGFENCE_CHECKPOINT_EVERY="1500",
                RINGFENCE_DATA_DIR=str(data),
                RINGFENCE_PORT=str(port),
                **neo4j,
                **redis,
            )
            log = self.folder / f"{name}.log"
            found.append(Worker(name, [*python, "serve"], environment, log, port))
        for which, more in (("graph", neo4j), ("cache", redis)):
            if which == "cache" and not self.cache:
                continue
            environment = self._environment(
                RINGFENCE_DATA_DIR=str(self.folder / f"sink-{which}"), **more
            )
            log = self.folder / f"sink-{which}.log"
            found.append(Worker(f"sink-{which}", [*python, "sink", which], environment, log))
        return found
