"""The laws of the deep analysis, for every adapter; and that the adapters say the same.

An adapter joins by adding a line to `ADAPTERS`: a graph that can be written and asked, and the
analytics over it. Exact algorithms are held to networkx on random graphs, which also holds the
adapters to each other; heuristics (communities, vectors) are held to what they promise.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import neo4j
import networkx as nx
import numpy as np
import pytest
from graphdatascience.query_runner.query_type import QueryType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cypher.analytics import writing
from cypher.analytics.embedded import EmbeddedAnalytics
from cypher.analytics.gds import GdsAnalytics, _told
from cypher.analytics.ports import (
    COLUMNS,
    Analysis,
    AnalysisFailed,
    AnalysisSettings,
    AnalysisTooLarge,
    Analytics,
)
from cypher.embedded import EmbeddedGraphStore
from cypher.known import Known
from cypher.ports import GraphBatch, GraphUnavailable
from cypher.sink import graph_batch
from cypher.statements import plan
from graph.errors import InvalidInput, InvalidSetting
from graph.evidence import Pattern, Role
from graph.rings import Alert, Ring, RingState
from graph.transaction import (
    Entity,
    EntityKind,
    Money,
    Outcome,
    Transaction,
    TransactionType,
)

NOW = 1_700_000_000_000
END = NOW + 10_000_000
"""Later than anything here: a run as of it sees everything."""
DEFAULT = AnalysisSettings()


class EmbeddedWorld:
    """The embedded database and its analytics."""

    leiden = False

    def __init__(self, folder: Path) -> None:
        self.store = EmbeddedGraphStore(folder / "graph.kgl")

    def write(self, batch: GraphBatch) -> None:
        self.store.write(batch)

    def rows(self, cypher: str, **parameters: object) -> list[dict[str, object]]:
        return self.store.query(cypher, parameters, max_rows=100_000, timeout_ms=60_000).records()

    def analytics(self, chosen: AnalysisSettings = DEFAULT) -> Analytics:
        return EmbeddedAnalytics(self.store, chosen)

    def left_behind(self) -> list[str]:
        return []

    def empty(self) -> None:
        self.store.annotate([writing.Statement("MATCH (n) DETACH DELETE n", [])])

    def close(self) -> None:
        self.store.close()


class Neo4jWorld:
    """A real Neo4j with Graph Data Science."""

    leiden = True

    def __init__(self, url: str, auth: tuple[str, str]) -> None:
        self.url, self.auth = url, auth
        self.driver = neo4j.GraphDatabase.driver(url, auth=auth, notifications_min_severity="OFF")
        self.opened: dict[AnalysisSettings, GdsAnalytics] = {}

    def write(self, batch: GraphBatch) -> None:
        with self.driver.session() as session:
            for statement in plan(batch, Known())[0]:
                session.run(statement.text, rows=statement.rows).consume()

    def rows(self, cypher: str, **parameters: object) -> list[dict[str, object]]:
        return [record.data() for record in self.driver.execute_query(cypher, parameters).records]

    def analytics(self, chosen: AnalysisSettings = DEFAULT) -> Analytics:
        if chosen not in self.opened:
            self.opened[chosen] = GdsAnalytics(self.url, *self.auth, chosen)
        return self.opened[chosen]

    def left_behind(self) -> list[str]:
        return [
            str(row["name"])
            for row in self.rows("CALL gds.graph.list() YIELD graphName AS name RETURN name")
        ]

    def empty(self) -> None:
        self.driver.execute_query("MATCH (n) DETACH DELETE n")

    def close(self) -> None:
        for analytics in self.opened.values():
            analytics.close()
        self.driver.close()


World = EmbeddedWorld | Neo4jWorld
ADAPTERS = ("embedded", "neo4j")


@pytest.fixture(params=[ADAPTERS[0], pytest.param(ADAPTERS[1], marks=pytest.mark.servers)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    found: World
    if request.param == "embedded":
        found = EmbeddedWorld(tmp_path)
    else:
        url = request.getfixturevalue("empty_neo4j")
        found = Neo4jWorld(url, request.getfixturevalue("neo4j_auth"))
    yield found
    found.close()


def user(key: object) -> Entity:
    return Entity(EntityKind.USER, str(key))


def transfer(number: int, payer: object, payee: object, **more: object) -> Transaction:
    fields: dict[str, object] = {
        "timestamp": NOW + number,
        "type": TransactionType.TRANSFER,
        "counterparty_id": str(payee),
    }
    return Transaction(
        transaction_id=f"t{number}",
        amount=Money(1_000, "EUR"),
        value=1_000,
        user_id=str(payer),
        **(fields | more),  # type: ignore[arg-type]
    )


def payments(*pairs: tuple[object, object]) -> list[Transaction]:
    return [transfer(number, payer, payee) for number, (payer, payee) in enumerate(pairs)]


def batch(transactions: list[Transaction]) -> GraphBatch:
    return graph_batch([(transaction, None) for transaction in transactions])


def ring(key: str, members: list[str], at: int) -> tuple[Ring, Alert]:
    found = Ring(
        ring_id=key,
        revision=1,
        state=RingState.ACTIVE,
        born_at=at,
        changed_at=at,
        members=(*((user(member), Role.SENDER) for member in members), (user("y"), Role.FRINGE)),
        patterns=(Pattern.CYCLE,),
        score=0.9,
        money=1,
        transactions=(),
        evidence=(),
    )
    alert = Alert(f"{key}-1", key, 1, at, "a ring", 0.9, 1, len(members), (Pattern.CYCLE,), "p-1")
    return found, alert


def by_user(analysis: Analysis, column: str) -> dict[str, float]:
    values = analysis.column(column)
    return {
        entity.id: float(value)
        for entity, value in zip(analysis.entities, values, strict=True)
        if entity.kind is EntityKind.USER
    }


def groups(labels: dict[str, float]) -> set[frozenset[str]]:
    found: dict[float, set[str]] = {}
    for key, label in labels.items():
        found.setdefault(label, set()).add(key)
    return {frozenset(group) for group in found.values()}


# --- what exact algorithms say is what networkx says ----------------------------------------------

people = st.integers(0, 11)
pairs = st.lists(st.tuples(people, people), min_size=3, max_size=30)
links = st.lists(st.tuples(people, st.integers(0, 5), st.booleans()), max_size=14)


def oracle(
    moved: list[tuple[int, int]], used: list[tuple[int, str]], fraud: set[str]
) -> dict[str, dict[str, float]]:
    """Every exact column, by networkx and by definition."""
    names = {str(person) for pair in moved for person in pair} | {str(who) for who, _ in used}
    money = nx.DiGraph()
    money.add_nodes_from(sorted(names))
    money.add_edges_from((str(s), str(t)) for s, t in moved if s != t)
    ties = money.to_undirected()
    shared = nx.Graph()
    shared.add_nodes_from(names)
    shared.add_edges_from((str(who), f"id-{what}") for who, what in used)
    contact = nx.compose(ties, shared).to_directed()
    component = {
        who: float(len(group & names))
        for group in nx.connected_components(shared)
        for who in group & names
    }
    cycle = {
        who: float(len(group)) for group in nx.strongly_connected_components(money) for who in group
    }
    things = {who: set(shared[who]) for who in names}
    count = max((len(names) - 1) * (len(names) - 2), 1)
    through = nx.betweenness_centrality(money, normalized=False)
    return {
        "component_size": component,
        "cycle_size": cycle,
        "core": {who: float(core) for who, core in nx.core_number(ties).items()},
        "pagerank": walk(money, dict.fromkeys(money, 0.15)),
        "fraud_rank": walk(contact, {who: 0.15 if who in fraud else 0.0 for who in contact}),
        "betweenness": {who: value / count for who, value in through.items()},
        "twin": {
            who: max(
                (
                    len(things[who] & things[other]) / len(things[who] | things[other])
                    for other in names - {who}
                    if things[who] & things[other]
                ),
                default=0.0,
            )
            for who in names
        },
    }


def walk(graph: nx.DiGraph, start: dict[str, float]) -> dict[str, float]:
    """The fixed point of rank = start + 0.85 * in-flow, by solving the linear system."""
    names = list(graph)
    place = {name: number for number, name in enumerate(names)}
    system = np.eye(len(names))
    for source, target in graph.edges:
        system[place[target], place[source]] -= 0.85 / graph.out_degree(source)
    found = np.linalg.solve(system, np.array([start[name] for name in names]))
    return dict(zip(names, found.tolist(), strict=True))


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(moved=pairs, used=links, fraud=st.sets(people, min_size=1, max_size=3))
def test_exact_algorithms_agree_with_the_definitions(
    world: World,
    moved: list[tuple[int, int]],
    used: list[tuple[int, int, bool]],
    fraud: set[int],
) -> None:
    world.empty()
    transactions = payments(*moved)
    at = len(transactions)
    for who, what, card in used:
        key = {"card_id": f"c{what}"} if card else {"device_id": f"d{what}"}
        transactions.append(transfer(at, who, who, **key))
        at += 1
    world.write(batch(transactions))

    found = world.analytics().analyse(as_of=END, fraud={user(who) for who in fraud})

    named = [(who, f"{'c' if card else 'd'}{what}") for who, what, card in used]
    everybody = {str(p) for pair in moved for p in pair} | {str(w) for w, _ in named}
    known = {str(who) for who in fraud} & everybody
    expected = oracle(moved, named, known)
    for column, values in expected.items():
        got = by_user(found, column)
        assert set(got) == everybody
        if column == "fraud_rank" and not known:
            assert all(np.isnan(value) for value in got.values())
            continue
        for who in everybody:
            assert got[who] == pytest.approx(values[who], abs=1e-6), (column, who)
    assert found.as_of == END


# --- heuristics are held to what they promise -----------------------------------------------------


def planted(
    clusters: int = 4, size: int = 12, seed: int = 3
) -> tuple[list[Transaction], list[set[str]]]:
    """Clusters of friends with a few payments between them."""
    graph = nx.planted_partition_graph(clusters, size, 0.6, 0.01, seed=seed)
    truth = [{str(n) for n in range(c * size, (c + 1) * size)} for c in range(clusters)]
    return payments(*graph.edges), truth


def test_communities_recover_planted_clusters_and_say_how_good_they_are(world: World) -> None:
    transactions, truth = planted()
    world.write(batch(transactions))
    found = world.analytics().analyse(as_of=END)
    assert groups(by_user(found, "community")) == {frozenset(group) for group in truth}
    graph = nx.Graph((tx.user_id, tx.counterparty_id) for tx in transactions)
    assert found.modularity == pytest.approx(nx.community.modularity(graph, truth), abs=1e-6)
    assert set(by_user(found, "community_size").values()) == {12.0}


def test_communities_are_as_good_as_those_of_networkx_where_there_is_no_truth(
    world: World,
) -> None:
    graph = nx.gnm_random_graph(60, 150, seed=9)
    world.write(batch(payments(*graph.edges)))
    found = world.analytics().analyse(as_of=END)
    best = max(
        nx.community.modularity(graph, nx.community.louvain_communities(graph, seed=seed))
        for seed in range(5)
    )
    parts = [{int(who) for who in group} for group in groups(by_user(found, "community"))]
    alone = set(graph) - set().union(*parts)
    reached = nx.community.modularity(graph, [*parts, *({who} for who in alone)])
    assert reached == pytest.approx(found.modularity, abs=1e-6)
    assert reached > best - 0.06


def test_leiden_is_there_or_refused_with_the_reason(world: World) -> None:
    transactions, truth = planted()
    world.write(batch(transactions))
    if world.leiden:
        found = world.analytics(AnalysisSettings(community="leiden")).analyse(as_of=END)
        assert groups(by_user(found, "community")) == {frozenset(group) for group in truth}
    else:
        with pytest.raises(InvalidSetting, match="Louvain only"):
            world.analytics(AnalysisSettings(community="leiden"))


def test_vectors_of_one_cluster_point_alike(world: World) -> None:
    transactions, truth = planted()
    world.write(batch(transactions))
    found = world.analytics(AnalysisSettings(dimensions=64)).analyse(as_of=END)
    assert found.vectors.shape == (48, 64)
    length = np.linalg.norm(found.vectors, axis=1, keepdims=True)
    alike = (found.vectors / length) @ (found.vectors / length).T
    cluster = {who: number for number, group in enumerate(truth) for who in group}
    label = np.array([cluster[entity.id] for entity in found.entities])
    inside = label[:, None] == label[None, :]
    np.fill_diagonal(inside, False)
    assert alike[inside].mean() > alike[label[:, None] != label[None, :]].mean() + 0.5


def test_betweenness_from_a_sample_finds_the_broker(world: World) -> None:
    left = [(f"l{n}", "hub") for n in range(20)]
    right = [("hub", f"r{n}") for n in range(20)]
    world.write(batch(payments(*left, *right)))
    chosen = AnalysisSettings(exact_betweenness=10, betweenness_samples=30)
    found = by_user(world.analytics(chosen).analyse(as_of=END), "betweenness")
    assert max(found, key=lambda who: found[who]) == "hub"
    exact = by_user(world.analytics().analyse(as_of=END), "betweenness")
    assert exact["hub"] == pytest.approx(400 / (40 * 39))
    assert found["hub"] == pytest.approx(exact["hub"], rel=0.5)


# --- what a run sees ------------------------------------------------------------------------------


def test_it_sees_nothing_newer_than_its_moment(world: World) -> None:
    past = payments(("a", "b"), ("b", "c"), ("c", "a"), ("a", "b"))
    world.write(batch(past))
    then = world.analytics().analyse(as_of=NOW + 3)
    future = [
        transfer(100, "c", "d", timestamp=NOW + 50, device_id="phone"),
        transfer(101, "a", "c", timestamp=NOW + 51, device_id="phone"),
        transfer(102, "b", "b", timestamp=NOW + 52, card_id="card"),
    ]
    world.write(batch(future))
    again = world.analytics().analyse(as_of=NOW + 3)
    assert [entity.id for entity in again.entities] == ["a", "b", "c"]
    np.testing.assert_array_equal(then.values, again.values)
    assert then.run_id == again.run_id
    assert "d" in by_user(world.analytics().analyse(as_of=NOW + 60), "core")


def test_one_absurd_timestamp_cannot_carry_a_run_away(world: World) -> None:
    absurd = transfer(9, "a", "z", timestamp=253_402_300_799_000)
    world.write(batch([*payments(("a", "b"), ("b", "c"), ("c", "a")), absurd]))
    found = world.analytics().analyse()
    assert found.as_of == NOW + 1
    assert "z" not in by_user(found, "core")


def test_declined_money_ties_nobody_and_an_ip_joins_nobody(world: World) -> None:
    world.write(
        batch(
            [
                transfer(0, "a", "b", outcome=Outcome.DECLINED, ip_address="10.0.0.1"),
                transfer(1, "c", "d", ip_address="10.0.0.1"),
                transfer(2, "c", "d"),
            ]
        )
    )
    found = world.analytics().analyse(as_of=END)
    assert by_user(found, "core") == {"a": 0.0, "b": 0.0, "c": 1.0, "d": 1.0}
    assert set(by_user(found, "component_size").values()) == {1.0}


def test_an_identifier_of_too_many_users_joins_nobody(world: World) -> None:
    transactions = [transfer(n, n, n, device_id="terminal", card_id=f"c{n // 2}") for n in range(8)]
    world.write(batch(transactions))
    few = world.analytics(AnalysisSettings(most_users=7)).analyse(as_of=END)
    assert set(by_user(few, "component_size").values()) == {2.0}
    assert Entity(EntityKind.DEVICE, "terminal") not in few.entities
    many = world.analytics(AnalysisSettings(most_users=8)).analyse(as_of=END)
    assert set(by_user(many, "component_size").values()) == {8.0}


def test_alerted_rings_and_given_users_are_known_for_fraud_and_nobody_before_their_time(
    world: World,
) -> None:
    world.write(batch(payments(("a", "b"), ("b", "c"), ("c", "a"), ("x", "y"))))
    found, alert = ring("r1", ["a", "b"], NOW + 2)
    quiet, _ = ring("r2", ["x"], NOW)
    world.write(GraphBatch(rings=(found, quiet), alerts=(alert,)))
    now = world.analytics().analyse(as_of=NOW + 3)
    assert now.seeds == 2  # who is at the fringe of a ring is not known for it
    rank = by_user(now, "fraud_rank")
    assert rank["a"] > rank["c"] > 0.0 == rank["x"] == rank["y"]
    assert by_user(now, "community_fraud")["c"] == pytest.approx(2 / 3)
    before = world.analytics().analyse(as_of=NOW + 1)
    assert before.seeds == 0
    assert all(np.isnan(value) for value in by_user(before, "fraud_rank").values())
    assert all(np.isnan(value) for value in by_user(before, "community_fraud").values())
    assert world.analytics().analyse(as_of=NOW + 3, fraud={user("x")}).seeds == 3


def test_merchants_are_ranked_by_fraud_and_nothing_else_is_said_of_them(world: World) -> None:
    buy = {"type": TransactionType.PAYMENT, "counterparty_id": None, "merchant_id": "shop"}
    world.write(batch([transfer(n, who, None, **buy) for n, who in enumerate("abc")]))
    found = world.analytics().analyse(as_of=END, fraud={user("a")})
    row = found.values[found.entities.index(Entity(EntityKind.MERCHANT, "shop"))]
    told = {name: value for name, value in zip(COLUMNS, row, strict=True) if not np.isnan(value)}
    assert set(told) == {"fraud_rank"}
    assert told["fraud_rank"] > 0
    assert set(by_user(found, "core").values()) == {0.0}


def test_a_graph_without_a_transaction_is_refused(world: World) -> None:
    with pytest.raises(InvalidInput, match="no transaction"):
        world.analytics().analyse()
    world.write(batch(payments(("a", "b"))))
    with pytest.raises(InvalidInput, match=str(NOW - 1)):
        world.analytics().analyse(as_of=NOW - 1)
    assert world.analytics().current() is None


# --- what it leaves behind ------------------------------------------------------------------------


def shown(world: World, column: str) -> dict[str, object]:
    """A column as an investigator reads it: of the shown run, and of it alone."""
    current = world.analytics().current()
    assert current is not None
    prefix = f"n.deep_{current.slot}"
    return {
        str(row["id"]): row["value"]
        for row in world.rows(
            f"MATCH (n:User) WHERE {prefix}_run = $run "
            f"RETURN n.id AS id, {prefix}_{column} AS value",
            run=current.run_id,
        )
    }


def test_results_are_properties_of_the_entities_under_the_run_that_is_shown(world: World) -> None:
    world.write(batch(payments(("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"))))
    analytics = world.analytics()
    first = analytics.analyse()
    current = analytics.current()
    assert current is not None
    assert (current.run_id, current.as_of) == (first.run_id, NOW + 1)
    assert shown(world, "cycle_size") == {"a": 2.0, "b": 2.0}
    assert shown(world, "fraud_rank") == {"a": None, "b": None}
    second = analytics.analyse(as_of=NOW + 3)
    assert analytics.current() != current
    assert shown(world, "cycle_size") == {"a": 2.0, "b": 2.0, "c": 1.0, "d": 1.0}
    vectors = shown(world, "vector")
    assert np.allclose(vectors["a"], second.vectors[0])  # type: ignore[arg-type]
    third = analytics.analyse(as_of=NOW + 1)
    assert third.run_id == first.run_id
    assert set(shown(world, "core")) == {"a", "b"}


def test_writing_the_results_changes_nothing_else(world: World) -> None:
    world.write(batch(payments(("a", "b"), ("b", "c"), ("c", "a"))))
    count = "MATCH (n) RETURN labels(n)[0] AS label, count(n) AS n ORDER BY label"
    before = world.rows(count)
    world.analytics().analyse()
    after = [row for row in world.rows(count) if row["label"] != "DeepAnalysis"]
    assert after == before
    assert world.left_behind() == []


@pytest.mark.parametrize("broken", ["rows", "switch"])
def test_a_failure_while_writing_leaves_the_previous_run_shown(
    world: World, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write(batch(payments(("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"))))
    analytics = world.analytics()
    analytics.analyse(as_of=NOW + 2)
    before, columns = analytics.current(), shown(world, "core")

    def fails(*_: object) -> Iterator[writing.Statement]:
        raise OSError("the power went")

    def first_then_fails(
        original: Callable[..., Iterator[writing.Statement]],
    ) -> Callable[..., Iterator[writing.Statement]]:
        def rows(*arguments: object) -> Iterator[writing.Statement]:
            yield next(iter(original(*arguments)))
            raise OSError("the power went")

        return rows

    with monkeypatch.context() as patched:
        patched.setattr(
            writing, broken, fails if broken == "switch" else first_then_fails(writing.rows)
        )
        with pytest.raises(OSError, match="power"):
            analytics.analyse(as_of=NOW + 3)
    assert analytics.current() == before
    assert shown(world, "core") == columns
    assert world.left_behind() == []
    analytics.analyse(as_of=NOW + 3)
    assert set(shown(world, "core")) == {"a", "b", "c", "d"}


def test_of_two_runs_at_once_the_later_is_shown_whole(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write(batch(payments(("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"))))
    analytics = world.analytics()
    original = writing.rows
    inner: list[Analysis] = []

    def rows(*arguments: object) -> Iterator[writing.Statement]:
        if not inner:  # a second run goes from beginning to end before this one has written
            inner.append(None)  # type: ignore[arg-type]
            inner[0] = analytics.analyse(as_of=NOW + 2)
        yield from original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(writing, "rows", rows)
    with pytest.raises(AnalysisFailed, match="another analysis took over"):
        analytics.analyse(as_of=NOW + 3)
    current = analytics.current()
    assert current is not None
    assert current.run_id == inner[0].run_id
    assert set(shown(world, "core")) == {"a", "b", "c"}


# --- bounds ---------------------------------------------------------------------------------------


def test_memory_is_estimated_before_it_runs_and_refused_above_the_bound(world: World) -> None:
    world.write(batch(payments(*((n, n + 1) for n in range(300)))))
    expected = world.analytics().estimate()
    assert expected.nodes >= 301
    assert expected.relationships >= 300
    assert set(expected.algorithms) == {
        "wcc", "scc", "k-core", "pagerank", "personalised pagerank", "betweenness",
        "node similarity", "louvain", "fastrp",
    }  # fmt: skip
    assert all(memory > 0 for memory in expected.algorithms.values())
    tight = replace(DEFAULT, memory=1 << 20)
    assert expected.memory > tight.memory
    with pytest.raises(AnalysisTooLarge, match="a bound of 1 MiB"):
        world.analytics(tight).analyse()
    assert world.left_behind() == []
    assert world.analytics().current() is None


def test_a_run_that_takes_too_long_is_stopped_and_shows_nothing(world: World) -> None:
    world.write(batch(payments(("a", "b"), ("b", "c"), ("c", "a"))))
    with pytest.raises(AnalysisTooLarge, match="time"):
        world.analytics(replace(DEFAULT, seconds=0.001)).analyse(as_of=END)
    assert world.left_behind() == []
    assert world.analytics().current() is None


def test_the_server_ends_a_call_that_outlives_its_time(
    neo4j_url: str, neo4j_auth: tuple[str, str]
) -> None:
    analytics = GdsAnalytics(neo4j_url, *neo4j_auth)
    try:
        analytics._runner.seconds = 0.5
        with (
            pytest.raises(AnalysisTooLarge, match="time was used up by a long call"),
            _told("a long call", DEFAULT),
        ):
            analytics._runner.run_cypher(
                "UNWIND range(1, 10000000000) AS n RETURN max(n % 7)", QueryType.USER_DIRECTED
            )
    finally:
        analytics.close()


def test_every_step_says_what_it_took(world: World) -> None:
    used = transfer(9, "d", "a", device_id="phone")
    world.write(batch([*payments(("a", "b"), ("b", "c"), ("c", "a")), used]))
    found = world.analytics().analyse(as_of=END, fraud={user("a")})
    names = [step.algorithm for step in found.steps]
    assert names[:5] == ["wcc", "scc", "k-core", "pagerank", "personalised pagerank"]
    assert set(names) <= set(found.estimate.algorithms)
    assert all(step.milliseconds >= 0 for step in found.steps)


# --- the adapters with each other -----------------------------------------------------------------


@contextmanager
def both(tmp_path: Path, url: str, auth: tuple[str, str]) -> Iterator[tuple[World, World]]:
    embedded, server = EmbeddedWorld(tmp_path), Neo4jWorld(url, auth)
    try:
        yield embedded, server
    finally:
        embedded.close()
        server.close()


def test_both_adapters_give_one_table(
    tmp_path: Path, empty_neo4j: str, neo4j_auth: tuple[str, str]
) -> None:
    rng = np.random.default_rng(11)
    graph = nx.gnm_random_graph(200, 700, seed=4, directed=True)
    transactions = payments(*graph.edges)
    transactions += [
        transfer(
            10_000 + n,
            int(rng.integers(220)),
            int(rng.integers(220)),
            device_id=f"d{rng.integers(120)}",
            card_id=f"c{rng.integers(150)}",
            ip_address=f"10.0.0.{rng.integers(250)}",
        )
        for n in range(300)
    ]
    buy = {"type": TransactionType.PAYMENT, "counterparty_id": None}
    transactions += [
        transfer(20_000 + n, int(rng.integers(220)), None, merchant_id=f"m{n % 7}", **buy)
        for n in range(200)
    ]
    fraud = {user(who) for who in range(0, 200, 17)}
    with both(tmp_path, empty_neo4j, neo4j_auth) as (embedded, server):
        for world in (embedded, server):
            world.write(batch(transactions))
        ours, theirs = (
            world.analytics().analyse(as_of=END, fraud=fraud) for world in (embedded, server)
        )
    assert ours.entities == theirs.entities
    assert (ours.as_of, ours.seeds) == (theirs.as_of, theirs.seeds)
    for name in ("component_size", "cycle_size", "core"):
        np.testing.assert_array_equal(ours.column(name), theirs.column(name), err_msg=name)
    for name in ("pagerank", "fraud_rank", "betweenness", "twin"):
        np.testing.assert_allclose(ours.column(name), theirs.column(name), atol=1e-6, err_msg=name)
    assert ours.modularity == pytest.approx(theirs.modularity, abs=0.06)
    said = [np.isnan(found.column("community")) for found in (ours, theirs)]
    np.testing.assert_array_equal(*said)


# --- a server that is not there -------------------------------------------------------------------


def test_a_server_that_does_not_answer_is_said_in_the_house_s_words() -> None:
    with pytest.raises(GraphUnavailable, match="Graph Data Science answers"):
        GdsAnalytics("bolt://127.0.0.1:1", "neo4j", "not-a-real-password")


def test_a_refused_password_is_not_repeated(neo4j_url: str) -> None:
    with pytest.raises(GraphUnavailable) as told:
        GdsAnalytics(neo4j_url, "neo4j", "wrong-and-never-shown")
    assert "wrong-and-never-shown" not in str(told.value)
