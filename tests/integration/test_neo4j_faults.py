"""Neo4j killed, slow, silent, resetting, refusing, flapping: the log waits, nothing is lost.

A stream is scored by the real engine into the embedded log, and a follower brings it to Neo4j
through a proxy that misbehaves, or to a server that is killed. The graph must be the one that the
same verdicts make without any trouble; what is compared is every node, relationship and property.
"""

import os
import random
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec import structs

from api.bench.toxic import Toxic
from cypher.embedded import EmbeddedGraphStore
from cypher.ports import GraphStore, GraphUnavailable
from cypher.sink import GraphSink
from cypher.store import Neo4jStore
from graph.transaction import Transaction
from ingest import codec, records, sinks
from ingest.currencies import RateTable
from ingest.embedded import EmbeddedLog
from ingest.engine import Engine
from ingest.ports import Topic
from ingest.simulator import WIRE_FIELDS, SimulationConfig
from ingest.simulator import run as simulate
from ingest.sinks import BATCH, Follower, scored
from scorer.detector import Detector
from scorer.verdict import Verdict
from tests.graph_contents import whole

ROOT = Path(__file__).parents[2]
RATES = RateTable("EUR", {"USD": "0.92", "GBP": "1.17"})
Judged = tuple[Transaction, Verdict]


def decode(data: bytes) -> Transaction:
    return codec.decode(data, rates=RATES, now=None)


@pytest.fixture(scope="module")
def stream() -> list[bytes]:
    """A small city with rings in it, as it comes over the wire."""
    table = simulate(SimulationConfig(seed=3, days=3, users=600)).transactions.slice(0, 1_800)
    return [
        codec.encode(
            codec.from_fields({k: row[k] for k in WIRE_FIELDS if row[k] is not None}, rates=RATES)
        )
        for row in table.to_pylist()
    ]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "LONGEST_PAUSE_S", 0.5)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    log = EmbeddedLog(tmp_path / "log.db")
    yield log
    log.close()


class Running:
    """The engine, and a follower on its way to a graph store."""

    def __init__(self, log: EmbeddedLog, store: GraphStore, read: Any = decode) -> None:
        self.log = log
        self.engine = Engine(log, lambda _: Detector(), decode)
        self.pages: list[int] = []
        sink = GraphSink(store)

        class Watched:
            def write(_, batch: Sequence[Judged], /, *, offset: int) -> None:  # noqa: N805
                self.pages.append(len(batch))
                sink.write(batch, offset=offset)

        self.follower: Follower[Judged] = Follower(
            log, Topic.VERDICTS, "graph", scored(log, read), Watched(), stands=store
        )

    def __enter__(self) -> "Running":
        self.engine.start()
        self.engine.wait_ready(60)
        self.follower.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.engine.stop(60)
        assert self.follower.stop(90)

    def score(self, lines: Sequence[bytes], every: int = 200) -> None:
        for start in range(0, len(lines), every):
            part = list(lines[start : start + every])
            self.engine.submit([decode(line) for line in part], part).result(60)

    def drained(self, within_s: float = 120) -> None:
        """Wait until the follower has brought everything."""
        until = time.monotonic() + within_s
        while (
            self.log.committed("graph", Topic.VERDICTS, 0) < self.log.bounds(Topic.VERDICTS, 0).next
        ):
            stats = self.follower.stats()
            assert stats.state != "failed", stats.error
            assert time.monotonic() < until, stats
            time.sleep(0.05)


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def untroubled(log: EmbeddedLog, path: Path) -> list[str]:
    """What the same verdicts make of a graph that was never in trouble."""
    store = EmbeddedGraphStore(path)
    load, sink, offset = scored(log, decode), GraphSink(store), 0
    while page := log.read(Topic.VERDICTS, 0, offset, 500):
        offset = page[-1].offset + 1
        sink.write([row for _, row in load(page)], offset=offset)
    contents = whole(store)
    store.close()
    return contents


@pytest.fixture
def proxied(empty_neo4j: str, neo4j_auth: tuple[str, str]) -> Iterator[tuple[Neo4jStore, Any]]:
    """A store on the empty database behind a proxy that is well, so far."""
    at = urlsplit(empty_neo4j)
    user, password = neo4j_auth
    with Toxic(str(at.hostname), int(at.port or 0)) as proxy:
        store = Neo4jStore(f"bolt://127.0.0.1:{proxy.port}", user=user, password=password)
        yield store, proxy
        proxy.heal()
        store.close()


TROUBLES: dict[str, Callable[[Any], None]] = {
    "slow": lambda proxy: proxy.delay(0.05),
    "silent": lambda proxy: proxy.drop(),
    "resetting": lambda proxy: proxy.reset(),
    "refusing": lambda proxy: proxy.refuse(),
    "flapping": lambda proxy: proxy.flap(0.15, 0.05),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_verdicts_go_on_and_the_graph_catches_up(
    trouble: str, proxied: Any, log: EmbeddedLog, stream: list[bytes], tmp_path: Path
) -> None:
    store, proxy = proxied
    third = len(stream) // 3
    with Running(log, store) as running:
        running.score(stream[:third])
        running.drained()
        TROUBLES[trouble](proxy)
        running.score(stream[third : 2 * third])  # each answered, whatever the graph does
        assert running.engine.stats().state == "running"
        if trouble in ("silent", "resetting", "refusing"):
            until(lambda: running.follower.stats().lag > 0)
        else:
            time.sleep(1.0)
        proxy.heal()
        running.score(stream[2 * third :])
        running.drained()
        stats = running.follower.stats()
        assert (stats.dead_letters, stats.lost, stats.error) == (0, 0, None)
    assert whole(store) == untroubled(log, tmp_path / "alone.kgl")


def test_a_graph_slower_than_the_stream_holds_nothing_up_and_no_more_than_a_page(
    proxied: Any, log: EmbeddedLog, stream: list[bytes], tmp_path: Path
) -> None:
    """The follower pulls: what it has not taken waits in the log, not in memory."""
    store, proxy = proxied
    with Running(log, store) as running:
        proxy.delay(0.03)
        running.score(stream)
        waiting = running.log.bounds(Topic.VERDICTS, 0).next - running.log.committed(
            "graph", Topic.VERDICTS, 0
        )
        assert waiting > BATCH  # it is slower, or this shows nothing
        running.drained()
        assert max(running.pages) <= BATCH
        assert sum(running.pages) == len(stream)
    assert whole(store) == untroubled(log, tmp_path / "alone.kgl")


def test_rows_it_cannot_hold_are_found_by_halving_and_become_dead_letters(
    proxied: Any, log: EmbeddedLog, stream: list[bytes]
) -> None:
    store, _ = proxied
    bad = {decode(stream[n]).transaction_id: kind for n, kind in ((3, "long"), (250, "large"))}

    def read(data: bytes) -> Transaction:
        """As another service's decoder might: with an id no index holds, a number of 70 bits."""
        found = decode(data)
        match bad.get(found.transaction_id):
            case "long":
                structs.force_setattr(found, "user_id", "x" * 40_000)
            case "large":
                structs.force_setattr(found, "value", 2**70)
        return found

    with Running(log, store, read) as running:
        running.score(stream[:400])
        running.drained()
        stats = running.follower.stats()
    assert (stats.written, stats.dead_letters) == (398, 2)
    page = log.read(Topic.DEAD_LETTERS, 0, 0, 9)
    letters = [records.decode(record.value, records.DeadLetterRecord) for record in page]
    assert [(x.consumer, x.offset, x.code) for x in letters] == [
        ("graph", 3, "invalid-input"),
        ("graph", 250, "invalid-input"),
    ]
    assert "too large to index" in letters[0].reason
    count = "MATCH ()-[p]->() WHERE p.transaction_id IS NOT NULL RETURN count(p)"
    assert store.query(count, {}, max_rows=1, timeout_ms=9_000).rows == ((398,),)


def test_a_silent_server_is_given_up_in_time(proxied: Any) -> None:
    store, proxy = proxied
    proxy.drop()
    start = time.monotonic()
    with pytest.raises(GraphUnavailable):
        store.query("MATCH (u:User) RETURN u.id", {}, max_rows=1, timeout_ms=1_000)
    assert time.monotonic() - start < 20
    proxy.heal()
    assert store.query("RETURN 1", {}, max_rows=1, timeout_ms=9_000).rows == ((1,),)


def test_a_store_opens_while_its_server_is_away_and_goes_on_when_it_is_back(
    empty_neo4j: str, neo4j_auth: tuple[str, str]
) -> None:
    at = urlsplit(empty_neo4j)
    user, password = neo4j_auth
    with Toxic(str(at.hostname), int(at.port or 0)) as proxy:
        proxy.refuse()
        store = Neo4jStore(f"bolt://127.0.0.1:{proxy.port}", user=user, password=password)
        with pytest.raises(GraphUnavailable):
            store.offset()
        proxy.heal()
        assert store.offset() is None
        assert store.migrate() == []
        store.close()


# --- killed -------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Server:
    """A Neo4j of our own, to be killed."""

    def __init__(self, folder: Path) -> None:
        jars = os.environ.get("SERVERS_JARS", str(ROOT / ".cache" / "servers" / "jars"))
        self._folder = folder
        self._environment = os.environ | {
            "SERVERS_DIR": str(folder),
            "SERVERS_JARS": jars,
            "SERVERS_NEO4J_HEAP": "512m",
            # Named, so that it comes back where it was: else a port still busy is replaced.
            "SERVERS_NEO4J_PORT": str(free_port()),
            "SERVERS_NEO4J_HTTP_PORT": str(free_port()),
        }

    def do(self, verb: str) -> None:
        script = ROOT / "deploy" / "local" / "servers"
        for pause in (1, 3, 5, None):
            done = subprocess.run(
                [script, verb, "neo4j"], env=self._environment, capture_output=True, text=True,
                check=False, timeout=280,
            )  # fmt: skip
            if done.returncode == 0:
                return
            assert pause is not None, done.stderr
            time.sleep(pause)  # what was killed may leave its port busy for a moment

    def open(self) -> Neo4jStore:
        lines = (self._folder / "env").read_text().splitlines()
        found = dict(line.split("=", 1) for line in lines if "=" in line)
        return Neo4jStore(
            found["RINGFENCE_TEST_NEO4J"],
            user=found["RINGFENCE_TEST_NEO4J_USER"],
            password=found["RINGFENCE_TEST_NEO4J_PASSWORD"],
        )


@pytest.fixture
def server(neo4j_url: str, tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "servers")
    server.do("start")
    yield server
    server.do("stop")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kill_9_of_the_server_while_it_writes_loses_and_doubles_nothing(
    server: Server, log: EmbeddedLog, stream: list[bytes], tmp_path: Path
) -> None:
    store = server.open()
    chance = random.Random(7)
    third = len(stream) // 3
    with closing(store), Running(log, store) as running:
        for part in range(3):
            scoring = threading.Thread(
                target=running.score, args=(stream[part * third : (part + 1) * third], 100)
            )
            scoring.start()
            if part < 2:
                time.sleep(chance.uniform(0.05, 0.6))
                server.do("kill")
            scoring.join(120)
            assert not scoring.is_alive()  # every verdict was given with the server dead
            if part < 2:
                server.do("start")
        running.drained()
        assert running.follower.stats().dead_letters == 0
        assert whole(store) == untroubled(log, tmp_path / "alone.kgl")
