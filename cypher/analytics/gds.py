"""The deep analysis by Neo4j's Graph Data Science, over the graph stored there.

One projection, made by Cypher so that it ends at `as_of`, serves every algorithm through filters
on labels and types; it is dropped afterwards whatever happens. What GDS 2.13 and its client need
to be told, found out by trying:

- The client must be 2.x and go without Arrow (`arrow=False`): OpenGDS has no Arrow procedures.
- `concurrency=1` throughout: communities get slower with more, and one thread gives the same
  answer every time. Community edition allows 4 at most.
- The server ends any transaction after its own `db.transaction.timeout`; a longer time has to be
  asked for with each one, which the client does not, so its query runner is told to.
- The client waits 10 minutes for a server that is away; here it gives up after seconds.
"""

import time
import uuid
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import neo4j
import numpy as np
from graphdatascience import GraphDataScience
from graphdatascience.error.gds_not_installed import GdsNotFound
from graphdatascience.error.unable_to_connect import UnableToConnectError
from graphdatascience.graph.graph_api import Graph
from graphdatascience.query_runner.neo4j_query_runner import Neo4jQueryRunner
from graphdatascience.query_runner.query_type import QueryType
from neo4j.exceptions import DriverError, Neo4jError, ServiceUnavailable
from numpy.typing import NDArray
from pandas import DataFrame

from cypher.analytics.findings import Findings, analysis
from cypher.analytics.ports import (
    Analysis,
    AnalysisFailed,
    AnalysisSettings,
    AnalysisTooLarge,
    CurrentRun,
    Estimate,
    Step,
)
from cypher.analytics.stored_graph import ORDER
from cypher.analytics.writing import CURRENT, WITNESSES, current_run, no_transactions, write
from cypher.known import LABELS, Row, Statement
from cypher.ports import GraphUnavailable
from graph.evidence import Role
from graph.transaction import Entity, EntityKind

_PROJECT: Final = """
CALL () {
  MATCH (n:User|Merchant)
  WHERE EXISTS { (n)-[p:PAID|ATTEMPTED|PAID_IN|PAID_OUT]-() WHERE p.timestamp <= $as_of }
  RETURN n AS source, null AS target, null AS type
  UNION ALL
  MATCH (s:User|Merchant)-[p:PAID]->(t:User|Merchant) WHERE s <> t AND p.timestamp <= $as_of
  WITH DISTINCT s, t RETURN s AS source, t AS target, 'MONEY' AS type
  UNION ALL
  MATCH (s:User|Merchant)-[p:PAID]->(t:User|Merchant) WHERE s <> t AND p.timestamp <= $as_of
  WITH DISTINCT CASE WHEN elementId(s) < elementId(t) THEN s ELSE t END AS source,
       CASE WHEN elementId(s) < elementId(t) THEN t ELSE s END AS target
  RETURN source, target, 'TIE' AS type
  UNION ALL
  MATCH (i:Device|Card)
  WHERE COUNT { (i)<-[l:USED_DEVICE|USED_CARD]-() WHERE l.first_seen <= $as_of } <= $most_users
  MATCH (u:User)-[l:USED_DEVICE|USED_CARD]->(i) WHERE l.first_seen <= $as_of
  UNWIND ['USED', 'SHARE'] AS type
  RETURN u AS source, i AS target, type
}
RETURN gds.graph.project(
  $name, source, target,
  {sourceNodeLabels: labels(source), targetNodeLabels: labels(target), relationshipType: type},
  {undirectedRelationshipTypes: $undirected, readConcurrency: 1}
) AS projected
"""
"""MONEY and USED are directed, TIE and SHARE the same without direction (see `stored_graph`)."""

_UNDIRECTED: Final = """
RETURN EXISTS {
  MATCH (s:User|Merchant)-[p:PAID]->(t:User|Merchant) WHERE s <> t AND p.timestamp <= $as_of
} AS TIE,
EXISTS {
  MATCH (:User)-[u:USED_DEVICE|USED_CARD]->(i:Device|Card) WHERE u.first_seen <= $as_of
  AND COUNT { (i)<-[l:USED_DEVICE|USED_CARD]-() WHERE l.first_seen <= $as_of } <= $most_users
} AS SHARE
"""
"""Which undirected types there will be: GDS refuses the name of one without a relationship."""

_ALERTED: Final = (
    "MATCH (a:Alert)-[:ABOUT]->(:Ring)-[m:HAS_MEMBER]->(u:User) "
    f"WHERE a.at <= $as_of AND m.role <> '{Role.FRINGE.value}' RETURN DISTINCT u.id AS id"
)
_NAMED: Final = (
    "UNWIND $ids AS number MATCH (n) WHERE id(n) = number "
    "RETURN number, labels(n) AS labels, n.id AS id"
)
_SIZES: Final = (
    "RETURN COUNT { (:User) } + COUNT { (:Merchant) } + COUNT { (:Device) } + COUNT { (:Card) } "
    "AS nodes, 3 * (COUNT { ()-[:PAID]->() } + COUNT { ()-[:USED_DEVICE]->() } "
    "+ COUNT { ()-[:USED_CARD]->() }) AS relationships"
)
_GRAPH_MEMORY: Final = (
    "CALL gds.graph.project.estimate('*', '*', {nodeCount: $nodes, "
    "relationshipCount: $relationships, readConcurrency: 1}) YIELD bytesMax RETURN bytesMax"
)
_CHUNK: Final = 20_000
_CONNECT_S: Final = 10.0
_RECONNECTS: Final = 5
_WRITE_S: Final = 60.0
_PEOPLE: Final = ("User",)
_CLOSE: Final = ("User", "Device", "Card")
_EVERY: Final = ("User", "Merchant", "Device", "Card")

Ranks = dict[int, float]


class _BoundedRunner(Neo4jQueryRunner):
    """The client's way to the server, with a time limit on every query and on waiting."""

    seconds: float = _WRITE_S

    def _wrap_query(self, query: str, query_type: QueryType) -> neo4j.Query:
        wrapped = super()._wrap_query(query, query_type)
        wrapped.timeout = self.seconds
        return wrapped

    def run_cypher(self, *args: Any, **named: Any) -> DataFrame:
        named["connectivity_retry_config"] = self.ConnectivityRetriesConfig(max_retries=_RECONNECTS)
        return super().run_cypher(*args, **named)


class GdsAnalytics:
    """A `cypher.analytics.ports.Analytics` over Neo4j with Graph Data Science.

    Args:
        url: bolt:// or neo4j://.
        user: Who signs in; None where the server asks nobody.
        password: Their password.
        settings: Parameters and bounds.
        database: Its name on that server.

    Raises:
        GraphUnavailable: The server does not answer, refuses the user or lacks GDS.
    """

    def __init__(
        self,
        url: str,
        user: str | None = None,
        password: str | None = None,
        settings: AnalysisSettings | None = None,
        *,
        database: str = "neo4j",
    ) -> None:
        self.settings = settings or AnalysisSettings()
        self._database = database
        auth = None if user is None else neo4j.basic_auth(user, password or "")
        self._driver = neo4j.GraphDatabase.driver(
            url,
            auth=auth,
            connection_timeout=_CONNECT_S,
            connection_acquisition_timeout=_CONNECT_S,
            max_transaction_retry_time=_CONNECT_S,
            notifications_min_severity="OFF",
        )
        self._closed = False
        try:
            with _told("signing in", self.settings):
                self._driver.verify_connectivity()
                self._runner = _BoundedRunner(
                    self._driver,
                    _BoundedRunner.parse_protocol(url),
                    database=database,
                    show_progress=False,
                )
                self._gds = GraphDataScience(self._runner, arrow=False, show_progress=False)
        except Exception:
            self._driver.close()
            raise

    def estimate(self) -> Estimate:
        """See `Analytics.estimate`."""
        with _told("estimating", self.settings):
            sizes = self._rows(_SIZES, {}, _WRITE_S)[0]
            graph = self._rows(_GRAPH_MEMORY, sizes, _WRITE_S)[0]["bytesMax"]
            nodes, relationships = int(sizes["nodes"]), int(sizes["relationships"])
            imagined: Any = {
                "nodeCount": nodes,
                "relationshipCount": relationships,
                "nodeProjection": "*",
                "relationshipProjection": "*",
            }
            gds, s = self._gds, self.settings
            one: dict[str, Any] = {"concurrency": 1}
            community = (
                gds.leiden.estimate(imagined, max_levels=s.levels, **one)
                if s.community == "leiden"
                else gds.louvain.estimate(imagined, max_levels=s.levels, **one)
            )
            rank = gds.page_rank.estimate(imagined, max_iterations=s.iterations, **one).bytes_max
            return Estimate(
                nodes=nodes,
                relationships=relationships,
                graph=int(graph),
                algorithms={
                    "wcc": gds.wcc.estimate(imagined, **one).bytes_max,
                    "scc": gds.scc.estimate(imagined, **one).bytes_max,
                    "k-core": gds.kcore.estimate(imagined, **one).bytes_max,
                    "pagerank": rank,
                    "personalised pagerank": rank,
                    "betweenness": gds.betweenness.estimate(imagined, **one).bytes_max,
                    "node similarity": gds.node_similarity.estimate(
                        imagined, top_k=1, **one
                    ).bytes_max,
                    s.community: community.bytes_max,
                    "fastrp": gds.fast_rp.estimate(imagined, s.dimensions, **one).bytes_max,
                },
            )

    def analyse(self, *, as_of: int | None = None, fraud: Collection[Entity] = ()) -> Analysis:
        """See `Analytics.analyse`."""
        expected = self.estimate()
        expected.check(self.settings.memory)
        deadline = time.monotonic() + self.settings.seconds
        with _told("the analysis", self.settings):
            now = self._as_of(as_of)
            known = {str(row["id"]) for row in self._rows(_ALERTED, {"as_of": now}, _WRITE_S)}
            known.update(entity.id for entity in fraud if entity.kind is EntityKind.USER)
            with self._projected(now, deadline) as graph:
                run = _Run(self._gds, self._runner, graph, self.settings, expected, deadline)
                entities, numbers = self._named(run.nodes())
                found, seeds = run.findings(entities, numbers, known)
            result = analysis(now, entities, seeds, found, self.settings, expected, run.steps)
            write(result, self._write, self.current)
        return result

    def current(self) -> CurrentRun | None:
        """See `Analytics.current`."""
        with _told("reading the current run", self.settings):
            return current_run(self._rows(CURRENT, {}, _WRITE_S))

    def close(self) -> None:
        """See `Analytics.close`."""
        if not self._closed:
            self._closed = True
            self._driver.close()

    def _as_of(self, asked: int | None) -> int:
        rows = self._rows(
            "MATCH ()-[p:PAID|ATTEMPTED|PAID_IN|PAID_OUT]->() "
            "WHERE $as_of IS NULL OR p.timestamp <= $as_of "
            f"RETURN p.timestamp AS at ORDER BY at DESC LIMIT {WITNESSES}",
            {"as_of": asked},
            self.settings.seconds,
        )
        if not rows:
            raise no_transactions(asked)
        return asked if asked is not None else int(rows[-1]["at"])

    @contextmanager
    def _projected(self, as_of: int, deadline: float) -> Iterator[Graph]:
        """The graph in the catalogue of GDS, for as long as the context lasts."""
        name = f"ringfence-{uuid.uuid4().hex}"
        left = max(1.0, deadline - time.monotonic())
        bounds = {"as_of": as_of, "most_users": self.settings.most_users}
        there = self._rows(_UNDIRECTED, bounds, left)[0]
        undirected = [each for each in ("TIE", "SHARE") if there[each]]
        self._runner.seconds = left
        try:
            with warnings.catch_warnings():
                # GDS itself still looks nodes up by the ids that Neo4j calls deprecated.
                warnings.simplefilter("ignore", DeprecationWarning)
                yield self._gds.graph.project.cypher(
                    _PROJECT, name=name, undirected=undirected, **bounds
                ).graph
        finally:
            self._runner.seconds = _WRITE_S
            self._gds.graph.drop(name, fail_if_missing=False)

    def _named(self, numbers: list[int]) -> tuple[list[Entity], list[int]]:
        """The entities behind the database's node numbers, in the order of `stored_graph`."""
        kinds = {LABELS[kind]: (place, kind) for place, kind in enumerate(ORDER)}
        found = []
        for start in range(0, len(numbers), _CHUNK):
            rows = self._rows(_NAMED, {"ids": numbers[start : start + _CHUNK]}, _WRITE_S)
            for row in rows:
                place, kind = next(kinds[label] for label in row["labels"] if label in kinds)
                found.append((place, str(row["id"]), kind, int(row["number"])))
        found.sort()
        return [Entity(kind, key) for _, key, kind, _ in found], [each[3] for each in found]

    def _rows(self, text: str, parameters: Mapping[str, object], seconds: float) -> list[Any]:
        def read(tx: neo4j.ManagedTransaction) -> list[Row]:
            return tx.run(text, dict(parameters)).data()

        with self._driver.session(
            database=self._database, default_access_mode=neo4j.READ_ACCESS
        ) as session:
            return session.execute_read(neo4j.unit_of_work(timeout=seconds)(read))

    def _write(self, statement: Statement) -> None:
        def change(tx: neo4j.ManagedTransaction) -> None:
            tx.run(statement.text, rows=statement.rows).consume()

        with self._driver.session(database=self._database) as session:
            session.execute_write(neo4j.unit_of_work(timeout=_WRITE_S)(change))


class _Run:
    """The algorithms over one projected graph, each with its step noted."""

    def __init__(
        self,
        gds: GraphDataScience,
        runner: _BoundedRunner,
        graph: Graph,
        settings: AnalysisSettings,
        expected: Estimate,
        deadline: float,
    ) -> None:
        self.steps: list[Step] = []
        self._gds = gds
        self._runner = runner
        self._graph = graph
        self._settings = settings
        self._expected = expected
        self._deadline = deadline
        self._labels = set(graph.node_labels())
        self._types = set(graph.relationship_types())

    def nodes(self) -> list[int]:
        """Numbers of all nodes."""
        found = self._gds.degree.stream(self._graph, concurrency=1, log_progress=False)
        return [int(number) for number in found["nodeId"]]

    def findings(
        self, entities: list[Entity], numbers: list[int], known: set[str]
    ) -> tuple[Findings, NDArray[np.bool_]]:
        """Everything, by the order of `entities`; and which users are known for fraud."""
        gds, s = self._gds, self._settings
        kinds = [entity.kind for entity in entities]
        users = kinds.count(EntityKind.USER)
        accounts = users + kinds.count(EntityKind.MERCHANT)
        seeds = np.array([entity.id in known for entity in entities[:users]], np.bool_)
        sources = [number for number, seed in zip(numbers[:users], seeds, strict=True) if seed]

        def by_node(
            found: Ranks, default: Callable[[int], float], size: int
        ) -> NDArray[np.float64]:
            return np.array([found.get(n, default(n)) for n in numbers[:size]], np.float64)

        walk: dict[str, Any] = {
            "damping_factor": s.damping,
            "max_iterations": s.iterations,
            "tolerance": s.tolerance,
        }
        component = self._stream("wcc", gds.wcc.stream, "componentId", ("USED",), _EVERY)
        cycle = self._stream("scc", gds.scc.stream, "componentId", ("MONEY",), _PEOPLE)
        core = self._stream("k-core", gds.kcore.stream, "coreValue", ("TIE",), _PEOPLE)
        rank = self._stream("pagerank", gds.page_rank.stream, "score", ("MONEY",), _PEOPLE, **walk)
        fraud_rank = np.full(len(entities), np.nan)
        if sources:
            near = self._stream(
                "personalised pagerank",
                gds.page_rank.stream,
                "score",
                ("TIE", "SHARE"),
                _EVERY,
                source_nodes=sources,
                **walk,
            )
            begun = dict.fromkeys(sources, 1.0 - s.damping)
            fraud_rank = by_node(near, lambda n: begun.get(n, 0.0), len(entities))
        every = users <= s.exact_betweenness
        samples = users if every else min(s.betweenness_samples, users)
        sampling = {} if every else {"sampling_size": samples, "sampling_seed": s.seed}
        passes = self._stream(
            "betweenness", gds.betweenness.stream, "score", ("MONEY",), _PEOPLE, **sampling
        )
        community, modularity = self._communities()
        found = Findings(
            component=by_node(component, lambda n: n, len(entities)).astype(np.int64),
            cycle=by_node(cycle, lambda n: n, users).astype(np.int64),
            core=by_node(core, lambda _: 0, users).astype(np.int64),
            pagerank=by_node(rank, lambda _: 1.0 - s.damping, users),
            fraud_rank=fraud_rank,
            passes=by_node(passes, lambda _: 0.0, users),
            sources=samples,
            twin=by_node(self._twins(), lambda _: 0.0, users),
            community=by_node(community, lambda n: n, len(entities)).astype(np.int64),
            vectors=self._vectors(numbers),
            modularity=modularity,
        )
        found.component[users:accounts] = -1
        found.community[users:accounts] = -1
        return found, seeds

    def _stream(
        self,
        name: str,
        call: Callable[..., DataFrame],
        column: str,
        types: tuple[str, ...],
        labels: tuple[str, ...],
        **config: Any,
    ) -> Ranks:
        """One algorithm's answer by node number; empty where the graph has none of its edges."""
        frame = self._call(name, call, types, labels, **config)
        if frame is None:
            return {}
        return dict(zip(map(int, frame["nodeId"]), map(float, frame[column]), strict=True))

    def _call(
        self,
        name: str,
        call: Callable[..., Any],
        types: tuple[str, ...],
        labels: tuple[str, ...],
        **config: Any,
    ) -> Any:
        # A filter that names what the graph lacks is an error to GDS.
        types = tuple(each for each in types if each in self._types)
        labels = tuple(each for each in labels if each in self._labels)
        if not types or not labels:
            return None
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise _out_of_time(name, self._settings)
        self._runner.seconds = max(1.0, left)
        begun = time.perf_counter()
        answer = call(
            self._graph,
            relationship_types=list(types),
            node_labels=list(labels),
            concurrency=1,
            log_progress=False,
            **config,
        )
        took = (time.perf_counter() - begun) * 1_000
        self.steps.append(Step(name, took, self._expected.algorithms.get(name, 0)))
        return answer

    def _communities(self) -> tuple[Ranks, float]:
        gds, s = self._gds, self._settings
        config: dict[str, Any] = {"mutate_property": "community", "max_levels": s.levels}
        call: Callable[..., Any] = gds.louvain.mutate
        if s.community == "leiden":
            call = gds.leiden.mutate
            config["random_seed"] = s.seed
        told = self._call(s.community, call, ("TIE", "SHARE"), _CLOSE, **config)
        if told is None:
            return {}, 0.0
        frame = gds.graph.node_properties.stream(
            self._graph, "community", node_labels=[x for x in _CLOSE if x in self._labels]
        )
        column = "community" if "community" in frame else "propertyValue"
        found = dict(zip(map(int, frame["nodeId"]), map(float, frame[column]), strict=True))
        return found, float(told.modularity)

    def _twins(self) -> Ranks:
        frame = self._call(
            "node similarity",
            self._gds.node_similarity.stream,
            ("USED",),
            _CLOSE,
            top_k=1,
        )
        if frame is None:
            return {}
        return dict(zip(map(int, frame["node1"]), map(float, frame["similarity"]), strict=True))

    def _vectors(self, numbers: list[int]) -> NDArray[np.float32]:
        s = self._settings
        found = np.zeros((len(numbers), s.dimensions), np.float32)
        frame = self._call(
            "fastrp",
            self._gds.fast_rp.stream,
            ("TIE", "SHARE"),
            _CLOSE,
            embedding_dimension=s.dimensions,
            random_seed=s.seed,
        )
        if frame is not None:
            place = {number: row for row, number in enumerate(numbers)}
            for number, vector in zip(frame["nodeId"], frame["embedding"], strict=True):
                found[place[int(number)]] = vector
        return found


@contextmanager
def _told(what: str, settings: AnalysisSettings) -> Iterator[None]:
    """Errors of driver, client and server as ours."""
    try:
        yield
    except (ServiceUnavailable, DriverError, UnableToConnectError, GdsNotFound) as error:
        raise GraphUnavailable(
            f"{what} failed: {error}",
            field="neo4j",
            remedy="Check that Neo4j with Graph Data Science answers at this address.",
        ) from error
    except Neo4jError as error:
        raise _server(what, error, settings) from error


def _server(
    what: str, error: Neo4jError, settings: AnalysisSettings
) -> AnalysisTooLarge | AnalysisFailed | GraphUnavailable:
    text = f"{error.code}: {error.message}"
    if "TransactionTimedOut" in text or "terminated" in text.lower():
        return _out_of_time(what, settings)
    if "memory" in text.lower():
        return AnalysisTooLarge(
            f"{what} needs more memory than the server has: {error.message}",
            field="memory",
            remedy="Give Neo4j a larger heap, or shorten the stored graph.",
        )
    if "Security" in text:
        return GraphUnavailable(
            f"{what} was refused: {error.message}", field="neo4j_user", remedy="Check the user."
        )
    return AnalysisFailed(
        f"{what} was broken off by the server: {text}",
        field="neo4j",
        remedy="Read the server's log, then run it again; the previous result still counts.",
    )


def _out_of_time(what: str, settings: AnalysisSettings) -> AnalysisTooLarge:
    return AnalysisTooLarge(
        f"the time was used up by {what}",
        field="seconds",
        value=f"{settings.seconds:g}",
        remedy="Allow more time, or shorten the stored graph.",
    )
