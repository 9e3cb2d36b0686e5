"""`ringfence bench graph`: the graph sink, Neo4j against the embedded database.

Both are brought the same verdicts of a simulated city, in the same batches, first into an empty
graph and then once more, as after a lost answer; in the end both must hold the same. Neo4j is the
one of the settings, and it must be empty: the benchmark takes out what it wrote.

`rss_mb` is what this process grew by; the server's own memory is its business and is not in it.
"""

import gc
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import neo4j

from api.bench import Timing, time_each
from api.bench.score import simulated
from cypher.embedded import EmbeddedGraphStore
from cypher.ports import GraphBatch, GraphStore
from cypher.sink import Judged, graph_batch
from cypher.store import Neo4jStore
from graph.errors import InvalidSetting
from scorer.detector import Detector

BATCHES: Final = (256, 1_000)
"""The page of a follower, and the size beyond which little is gained."""

_HELD: Final = (
    "MATCH (n) WHERE NOT n:Migration RETURN labels(n)[0] AS what, count(n) AS held "
    "UNION ALL MATCH ()-[r]->() RETURN type(r) AS what, count(r) AS held"
)


def bench_graph(
    url: str | None,
    *,
    user: str = "neo4j",
    password: str = "",
    database: str = "neo4j",
    transactions: int = 40_000,
    seed: int = 7,
    budget_s: float = 120.0,
) -> dict[str, Any]:
    """Run both and compare; figures by their published names.

    Args:
        url: Of Neo4j; None for the embedded database alone.
        user: Of Neo4j.
        password: Of Neo4j.
        database: Which of Neo4j's; it must be empty.
        transactions: How many, with the verdicts and rings that the detector makes of them.
        seed: Of the city.
        budget_s: At most so long for each pass.

    Raises:
        InvalidSetting: The Neo4j database is not empty.
        GraphUnavailable: Neo4j does not answer.
    """
    judged = _judged(transactions, seed)
    out: dict[str, Any] = {
        "input": {
            "transactions": len(judged),
            "ring_events": sum(len(v.ring_events) for _, v in judged if v is not None),
            "seed": seed,
            "cores": os.cpu_count(),
        }
    }
    for size in BATCHES:
        batches = [
            graph_batch(judged[start : start + size], offset=start + size)
            for start in range(0, len(judged), size)
        ]
        with tempfile.TemporaryDirectory(prefix="ringfence-bench-") as folder:
            here = EmbeddedGraphStore(Path(folder) / "graph.kgl")
            embedded, holds = _passes(here, batches, budget_s)
            here.close()
        out[f"embedded_{size}"] = embedded
        if url is None:
            continue
        server = Neo4jStore(url, user=user, password=password, database=database)
        auth = (user, password)
        with neo4j.GraphDatabase.driver(url, auth=auth) as driver:
            refuse_unless_empty(server, url)
            try:
                found, also = _passes(server, batches, budget_s)
            finally:
                make_empty(driver, database)
                server.close()
        out[f"neo4j_{size}"] = found
        out[f"same_graph_{size}"] = holds == also
        out[f"ratio_{size}"] = round(found["first"]["tx_per_s"] / embedded["first"]["tx_per_s"], 3)
    return out


def _judged(transactions: int, seed: int) -> list[Judged]:
    days = 6
    history = [row.transaction for row in simulated(seed, days, max(200, transactions // 8))]
    history = history[:transactions]
    detector = Detector()
    judged: list[Judged] = []
    for start in range(0, len(history), 512):
        part = history[start : start + 512]
        judged += zip(part, detector.observe_batch(part), strict=True)
    return judged


def _passes(
    store: GraphStore, batches: Sequence[GraphBatch], budget_s: float
) -> tuple[dict[str, Any], dict[object, object]]:
    """First and second writing, and how much of what the graph holds then."""
    gc.collect()
    before = _rss_mb()
    first = _timed(store.write, batches, budget_s)
    grown = _rss_mb() - before
    written = batches[: int(first["batches"])]
    again = _timed(store.write, written, budget_s)
    rows = store.query(_HELD, {}, max_rows=100, timeout_ms=60_000).rows
    held = {what: count for what, count in rows}  # noqa: C416 - a row is a tuple of any length
    return {"first": first, "again": again, "rss_mb": round(grown, 1)}, held


def _timed(
    write: Callable[[GraphBatch], object],
    batches: Sequence[GraphBatch],
    budget_s: float,
) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    timing: Timing = time_each(write, batches, budget_s=budget_s)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rows = sum(len(batch.movements) for batch in batches[: timing.calls])
    return {
        "batches": timing.calls,
        "tx_per_s": round(rows / wall, 1),
        "p50_ms": round(timing.p50_us / 1_000, 1),
        "p99_ms": round(timing.p99_us / 1_000, 1),
        "max_ms": round(timing.max_us / 1_000, 1),
        "client_cpu_us_per_tx": round(1e6 * cpu / rows, 1),
    }


def _rss_mb() -> float:
    pages = Path("/proc/self/statm")
    if not pages.exists():
        return 0.0
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def refuse_unless_empty(store: GraphStore, url: str) -> None:
    """Raise `InvalidSetting` where the graph holds anything: it is about to be emptied."""
    # The store's own nodes: its ledger, and what a sink leaves that has written nothing yet.
    ask = "MATCH (n) WHERE NOT n:Migration AND NOT n:Sink RETURN n.id LIMIT 1"
    if store.query(ask, {}, max_rows=1, timeout_ms=30_000).rows:
        raise InvalidSetting(
            "the database is not empty, and the benchmark empties it",
            field="neo4j",
            value=url,
            remedy="Point it at a server started for this, such as that of `make servers`.",
        )


def make_empty(driver: neo4j.Driver, database: str) -> None:
    """Take everything out but the ledger of migrations, bit by bit."""
    for what in (
        "MATCH ()-[r]->() WITH r LIMIT 10000 DELETE r",
        "MATCH (n) WHERE NOT n:Migration WITH n LIMIT 10000 DELETE n",
    ):
        while driver.execute_query(what, database_=database).summary.counters.contains_updates:
            pass
