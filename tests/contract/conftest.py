"""How each adapter of the graph store is opened: one line each, for every suite about that port."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cypher.embedded import EmbeddedGraphStore
from cypher.ports import GraphStore
from cypher.store import Neo4jStore

Open = Callable[[Path], GraphStore]


def _embedded(request: pytest.FixtureRequest) -> Open:
    return lambda folder: EmbeddedGraphStore(folder / "graph.kgl")


def _neo4j(request: pytest.FixtureRequest) -> Open:
    """A server has one database: it belongs to the folder opened last, and to another it is new."""
    url = request.getfixturevalue("empty_neo4j")
    user, password = request.getfixturevalue("neo4j_auth")
    empty = request.getfixturevalue("empty_graph")
    holds: list[Path] = []

    def open_store(folder: Path) -> GraphStore:
        if holds and holds[-1] != folder:
            empty()
        holds.append(folder)
        return Neo4jStore(url, user=user, password=password)

    return open_store


ADAPTERS: dict[str, Callable[[pytest.FixtureRequest], Open]] = {
    "embedded": _embedded,
    "neo4j": _neo4j,
}


@pytest.fixture(
    params=[
        pytest.param(name, marks=[] if name == "embedded" else [pytest.mark.servers])
        for name in ADAPTERS
    ]
)
def open_store(request: pytest.FixtureRequest) -> Open:
    """Opens a store on a folder that is empty, or again on one that was opened before."""
    return ADAPTERS[request.param](request)


@pytest.fixture
def store(open_store: Open, tmp_path: Path) -> Iterator[GraphStore]:
    """A store on an empty folder, closed after the test."""
    store = open_store(tmp_path)
    yield store
    store.close()


@pytest.fixture
def empty_graph(neo4j_url: str, neo4j_auth: tuple[str, str]) -> Callable[[], None]:
    """Takes every node out of a small graph, and leaves what says how it was migrated."""
    from neo4j import GraphDatabase  # noqa: PLC0415 - loaded by the tests that use it

    def empty() -> None:
        with GraphDatabase.driver(neo4j_url, auth=neo4j_auth) as driver:
            driver.execute_query("MATCH (n) WHERE NOT n:Migration DETACH DELETE n")

    return empty
