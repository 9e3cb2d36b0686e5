"""The deep analysis inside this process: scipy and networkx over the embedded graph's data.

The graph is read through the port's read-only questions, computed on in memory, and written back
through the store's own writer, so a sink that writes meanwhile is not in the way.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final, Protocol, TypeVar

import numpy as np

from cypher.analytics import algorithms
from cypher.analytics.findings import Findings, analysis
from cypher.analytics.ports import (
    Analysis,
    AnalysisSettings,
    AnalysisTooLarge,
    CurrentRun,
    Estimate,
    Step,
)
from cypher.analytics.stored_graph import StoredGraph, stored_graph
from cypher.analytics.writing import CURRENT, WITNESSES, current_run, no_transactions, write
from cypher.known import Statement
from cypher.ports import QueryTooBroad, Rows
from graph.errors import InvalidSetting
from graph.evidence import Role
from graph.transaction import Entity, EntityKind

Answer = TypeVar("Answer")

_MOST_ROWS: Final = 50_000_000
_MOVEMENTS: Final = "PAID|ATTEMPTED|PAID_IN|PAID_OUT"
_LABELS: Final = {"User": EntityKind.USER, "Merchant": EntityKind.MERCHANT}

# Bytes at the worst moment of an algorithm, measured with tracemalloc on random graphs of up to
# 100,000 edges and rounded up; a test holds the whole to what a run really takes.
_NODE: Final = 900
_EDGE: Final = 700
_COSTS: Final[Mapping[str, tuple[int, int]]] = {  # bytes a node, bytes an edge
    "wcc": (40, 60),
    "scc": (40, 60),
    "k-core": (600, 500),
    "pagerank": (80, 80),
    "personalised pagerank": (80, 160),
    "betweenness": (100, 60),
    "node similarity": (100, 400),
    "louvain": (1_600, 1_200),
    "fastrp": (2_000, 160),
}


class AnnotatedStore(Protocol):
    """What the analysis asks of the embedded graph database."""

    def query(
        self, cypher: str, parameters: Mapping[str, object], *, max_rows: int, timeout_ms: int
    ) -> Rows:
        """As `cypher.ports.GraphStore.query`."""
        ...

    def annotate(self, statements: Sequence[Statement]) -> None:
        """Run statements that write properties, as one unit."""
        ...


class EmbeddedAnalytics:
    """A `cypher.analytics.ports.Analytics` over the embedded graph database.

    Args:
        store: The open graph; the analysis does not close it.
        settings: Parameters and bounds.

    Raises:
        InvalidSetting: It was asked for Leiden, which no permissive library here offers.
    """

    def __init__(self, store: AnnotatedStore, settings: AnalysisSettings | None = None) -> None:
        self._store = store
        self.settings = require_louvain(settings or AnalysisSettings())

    def estimate(self) -> Estimate:
        """See `Analytics.estimate`."""
        nodes, edges = 0, 0
        for label in ("User", "Merchant", "Device", "Card"):
            nodes += self._count(f"MATCH (n:{label}) RETURN count(n) AS n")
        for relation in ("PAID", "USED_DEVICE", "USED_CARD"):
            edges += self._count(f"MATCH ()-[r:{relation}]->() RETURN count(r) AS n")
        return estimate(nodes, edges)

    def analyse(self, *, as_of: int | None = None, fraud: Collection[Entity] = ()) -> Analysis:
        """See `Analytics.analyse`."""
        deadline = time.monotonic() + self.settings.seconds
        expected = self.estimate()
        expected.check(self.settings.memory)
        graph = self._read(self._as_of(as_of), fraud, deadline)
        found = compute(graph, self.settings, expected, deadline)
        write(found, self._write, self.current)
        return found

    def current(self) -> CurrentRun | None:
        """See `Analytics.current`."""
        return current_run(self._rows(CURRENT, {}, 60.0))

    def close(self) -> None:
        """See `Analytics.close`: the store belongs to whoever opened it."""

    def _write(self, statement: Statement) -> None:
        self._store.annotate([statement])

    def _as_of(self, asked: int | None) -> int:
        bound = "" if asked is None else "WHERE p.timestamp <= $as_of "
        rows = self._rows(
            f"MATCH ()-[p:{_MOVEMENTS}]->() {bound}RETURN p.timestamp AS at "
            f"ORDER BY at DESC LIMIT {WITNESSES}",
            {} if asked is None else {"as_of": asked},
            60.0,
        )
        if not rows:
            raise no_transactions(asked)
        return asked if asked is not None else int(str(rows[-1]["at"]))

    def _read(self, as_of: int, fraud: Collection[Entity], deadline: float) -> StoredGraph:
        def ask(text: str) -> list[dict[str, object]]:
            left = _left(deadline, "reading the graph", self.settings)
            return self._rows(text, {"as_of": as_of}, left)

        accounts = {
            Entity(kind, str(row["id"]))
            for label, kind in _LABELS.items()
            for row in ask(
                f"MATCH (n:{label})-[p:{_MOVEMENTS}]-() WHERE p.timestamp <= $as_of "
                "RETURN DISTINCT n.id AS id"
            )
        }
        money = [
            (Entity(_LABELS[source], str(row["s"])), Entity(_LABELS[target], str(row["t"])))
            for source in _LABELS
            for target in _LABELS
            for row in ask(
                f"MATCH (s:{source})-[p:PAID]->(t:{target}) WHERE p.timestamp <= $as_of "
                "RETURN DISTINCT s.id AS s, t.id AS t"
            )
        ]
        used = [
            (Entity(EntityKind.USER, str(row["s"])), Entity(kind, str(row["t"])))
            for kind, label in ((EntityKind.DEVICE, "Device"), (EntityKind.CARD, "Card"))
            for row in ask(
                f"MATCH (s:User)-[l:USED_{label.upper()}]->(t:{label}) "
                "WHERE l.first_seen <= $as_of RETURN s.id AS s, t.id AS t"
            )
        ]
        alerted = {
            Entity(EntityKind.USER, str(row["id"]))
            for row in ask(
                "MATCH (a:Alert)-[:ABOUT]->(r:Ring)-[m:HAS_MEMBER]->(u:User) "
                f"WHERE a.at <= $as_of AND m.role <> '{Role.FRINGE.value}' "
                "RETURN DISTINCT u.id AS id"
            )
        }
        return stored_graph(
            as_of, accounts, money, used, alerted.union(fraud), self.settings.most_users
        )

    def _count(self, text: str) -> int:
        return int(str(self._rows(text, {}, 60.0)[0]["n"]))

    def _rows(
        self, text: str, parameters: Mapping[str, object], seconds: float
    ) -> list[dict[str, object]]:
        try:
            rows = self._store.query(
                text, parameters, max_rows=_MOST_ROWS, timeout_ms=max(1, int(seconds * 1_000))
            )
        except QueryTooBroad as error:
            raise AnalysisTooLarge(
                f"the embedded graph is too large to read as a whole: {error.what}",
                field="graph",
                value=error.value,
                remedy="Use Neo4j with Graph Data Science, or shorten the stored graph.",
            ) from error
        return rows.records()


def require_louvain(settings: AnalysisSettings) -> AnalysisSettings:
    """The settings, if they can be met here.

    Raises:
        InvalidSetting: They ask for Leiden.
    """
    if settings.community != "louvain":
        raise InvalidSetting(
            "the embedded analysis finds communities by Louvain only",
            field="community",
            value=settings.community,
            remedy="Choose louvain, or use Neo4j with Graph Data Science.",
        )
    return settings


def estimate(nodes: int, edges: int) -> Estimate:
    """Bytes a run over so many nodes and relationships takes, at most."""
    return Estimate(
        nodes=nodes,
        relationships=edges,
        graph=nodes * _NODE + edges * _EDGE,
        algorithms={
            name: (1 << 20) + nodes * node + edges * edge for name, (node, edge) in _COSTS.items()
        },
    )


def compute(
    graph: StoredGraph,
    settings: AnalysisSettings,
    expected: Estimate,
    deadline: float,
) -> Analysis:
    """Every algorithm over a graph in memory.

    Args:
        graph: The graph.
        settings: Parameters.
        expected: What it was expected to take.
        deadline: Of the monotonic clock, s; looked at between two algorithms.

    Raises:
        AnalysisTooLarge: The time was used up.
    """
    steps: list[Step] = []

    def step(name: str, run: Callable[[], Answer]) -> Answer:
        _left(deadline, name, settings)
        begun = time.perf_counter()
        answer = run()
        took = (time.perf_counter() - begun) * 1_000
        steps.append(Step(name, took, expected.algorithms.get(name, 0)))
        return answer

    users, nodes = graph.users, graph.nodes
    money = graph.matrix(graph.user_money, users)
    used = graph.matrix(graph.used, nodes)
    contact = graph.matrix(np.concatenate([graph.ties, graph.used]), nodes, undirected=True)
    close = np.concatenate([graph.user_ties, graph.used])
    members = np.concatenate([np.arange(users), np.arange(graph.accounts, nodes)])

    component = step("wcc", lambda: algorithms.components(used, strong=False))
    component[users : graph.accounts] = -1
    cycle = step("scc", lambda: algorithms.components(money, strong=True))
    core = step("k-core", lambda: algorithms.core_numbers(graph.user_ties, users))
    walk = partial(
        algorithms.pagerank,
        damping=settings.damping,
        iterations=settings.iterations,
        tolerance=settings.tolerance,
    )
    rank = step("pagerank", lambda: walk(money, None))
    fraud_rank = np.full(nodes, np.nan)
    if len(graph.seeds):
        fraud_rank = step(
            "personalised pagerank",
            lambda: walk(contact, graph.seeds),
        )
    sources = algorithms.sampled(
        users, settings.exact_betweenness, settings.betweenness_samples, settings.seed
    )
    through = step("betweenness", lambda: algorithms.betweenness(money, sources))
    twin = step("node similarity", lambda: algorithms.twins(used[:users]))
    inside, modularity = step(
        "louvain",
        lambda: algorithms.communities(close, members, levels=settings.levels, seed=settings.seed),
    )
    community = np.full(nodes, -1, np.int64)
    community[members] = inside
    joined = graph.matrix(close, nodes, undirected=True)
    vectors = step("fastrp", lambda: algorithms.fastrp(joined, settings.dimensions, settings.seed))
    return analysis(
        graph.as_of,
        graph.entities,
        graph.known,
        Findings(
            component,
            cycle,
            core,
            rank,
            fraud_rank,
            through,
            len(sources),
            twin,
            community,
            vectors,
            modularity,
        ),
        settings,
        expected,
        steps,
    )


def _left(deadline: float, what: str, settings: AnalysisSettings) -> float:
    """Seconds left.

    Raises:
        AnalysisTooLarge: None are.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise AnalysisTooLarge(
            f"the time was used up before {what}",
            field="seconds",
            value=f"{settings.seconds:g}",
            remedy="Allow more time, or shorten the stored graph.",
        )
    return left
