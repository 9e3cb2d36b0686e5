"""What is particular to the real Neo4j: its schema, its lock, what it refuses and gives away."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from neo4j import Driver, GraphDatabase

from cypher import driver_errors, schema
from cypher.embedded import EmbeddedGraphStore
from cypher.ports import GraphBatch, GraphStore, GraphUnavailable, QueryTooBroad, Written
from cypher.sink import graph_batch, movement
from cypher.store import Neo4jStore
from graph.errors import Incompatible, InvalidInput, InvalidSetting
from graph.evidence import Pattern, Role
from graph.rings import Alert, Ring, RingState
from graph.transaction import Entity, EntityKind, Money, Outcome, Transaction, TransactionType
from tests.graph_contents import whole

PAGE = Path(__file__).parents[2] / "docs" / "graph-model.md"


@pytest.fixture
def driver(empty_neo4j: str, neo4j_auth: tuple[str, str]) -> Iterator[Driver]:
    with GraphDatabase.driver(empty_neo4j, auth=neo4j_auth) as driver:
        yield driver
        driver.execute_query("MATCH (n:Migration) DETACH DELETE n")


@pytest.fixture
def opened(driver: Driver, empty_neo4j: str, neo4j_auth: tuple[str, str]) -> Iterator[Any]:
    """Opens stores on the empty database, and closes them."""
    user, password = neo4j_auth
    stores: list[Neo4jStore] = []

    def open_store() -> Neo4jStore:
        stores.append(Neo4jStore(empty_neo4j, user=user, password=password))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


def transfer(key: str, *, user: str = "ann", to: str = "bob", at: int = 1_000) -> Transaction:
    return Transaction(
        key, at, TransactionType.TRANSFER, Money(5, "EUR"), 5, user, counterparty_id=to,
        device_id=f"phone of {user}", ip_address="10.0.0.1", card_id=f"card of {user}",
    )  # fmt: skip


def ask(store: GraphStore, cypher: str, **values: object) -> list[tuple[object, ...]]:
    return list(store.query(cypher, values, max_rows=10_000, timeout_ms=20_000).rows)


# --- migrations ---------------------------------------------------------------------------------


def test_opening_brings_the_schema_up_to_date_once(opened: Any, driver: Driver) -> None:
    driver.execute_query("MATCH (n:Migration) DETACH DELETE n")
    first = opened()
    rows = driver.execute_query(schema.APPLIED + " ORDER BY id").records
    assert [(r["id"], r["name"], r["checksum"]) for r in rows] == [
        (m.number, m.name, m.checksum) for m in schema.migrations()
    ]
    assert first.migrate() == []
    assert opened().migrate() == []


def test_two_programs_may_open_an_empty_database_at_once(opened: Any, driver: Driver) -> None:
    driver.execute_query("MATCH (n:Migration) DETACH DELETE n")
    for name in ("user_id", "paid_timestamp"):
        what = "CONSTRAINT" if name == "user_id" else "INDEX"
        driver.execute_query(f"DROP {what} {name} IF EXISTS")
    with ThreadPoolExecutor(3) as pool:
        stores = list(pool.map(lambda _: opened(), range(3)))
    assert ask(stores[0], "MATCH (m:Migration) RETURN count(m)") == [(len(schema.migrations()),)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("CREATE (:Migration {id: 999, name: 'later', checksum: 'x'})", "newer program"),
        ("MATCH (m:Migration {id: 1}) SET m.checksum = 'other'", "changed after"),
    ],
)
def test_another_schema_than_ours_is_refused(
    opened: Any, driver: Driver, change: str, said: str
) -> None:
    opened()
    driver.execute_query(change)
    with pytest.raises(Incompatible, match=said):
        opened()


def test_a_schema_that_became_newer_while_we_were_away_stops_the_sink_and_loses_no_row(
    opened: Any, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were it `Incompatible`, the follower would take every row for a bad one."""
    store = opened()
    driver.execute_query("CREATE (:Migration {id: 999, name: 'later', checksum: 'x'})")
    monkeypatch.setattr(store, "_ready", False)
    with pytest.raises(GraphUnavailable, match="newer program"):
        store.write(graph_batch([(transfer("t1"), None)]))


def test_the_page_about_the_graph_lists_the_schema_that_is_there(
    opened: Any, driver: Driver
) -> None:
    opened()
    ours = {i.split()[2] for m in schema.migrations() for i in m.statements} | {"migration_id"}
    rows = driver.execute_query(
        "SHOW INDEXES YIELD name, entityType, labelsOrTypes, properties, owningConstraint"
    ).records
    there = {
        f"| `{r['name']}` | {'unique' if r['owningConstraint'] else 'index'} | "
        f"`{r['labelsOrTypes'][0]}` | `{', '.join(r['properties'])}` |"
        for r in rows
        if r["name"] in ours
    }
    assert len(there) == len(ours)
    text = PAGE.read_text()
    listed = {line for line in text.splitlines() if "| unique |" in line or "| index |" in line}
    assert listed == there
    for migration in schema.migrations():
        assert f"{migration.number:04d}-{migration.name}" in text


# --- writing ------------------------------------------------------------------------------------


def test_two_writers_at_once_leave_the_graph_of_one(opened: Any, tmp_path: Path) -> None:
    """An old process that thaws while the new one writes: the lock lets one through at a time."""
    batches = [
        graph_batch([(transfer(f"t{b}-{i}", user=f"u{i % 5}"), None) for i in range(20)], offset=b)
        for b in range(12)
    ]
    stores = [opened() for _ in range(3)]

    def write(store: Neo4jStore) -> int:
        return sum(store.write(batch).movements for batch in batches)

    with ThreadPoolExecutor(3) as pool:
        written = list(pool.map(write, stores))
    assert sum(written) == 240
    alone = EmbeddedGraphStore(tmp_path / "graph.kgl")
    for batch in batches:
        alone.write(batch)
    assert whole(stores[0]) == whole(alone)
    alone.close()


@pytest.mark.parametrize("field", ["user_id", "transaction_id"])
def test_a_row_that_only_this_database_cannot_hold_is_the_rows_fault(
    opened: Any, field: str
) -> None:
    """Too long for an index: the server calls it an error of its own, so it is asked once more."""
    store = opened()
    long = structs.replace(transfer("t1"), **{field: "x" * 40_000})
    with pytest.raises(InvalidInput, match="too large to index"):
        store.write(graph_batch([(transfer("t2"), None), (long, None)], offset=1))
    assert ask(store, "MATCH (n:User) RETURN n.id") == []
    assert store.write(graph_batch([(transfer("t2"), None)])) == Written(1, 0, 0)


def test_a_server_that_can_write_nothing_is_not_the_rows_fault(
    opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    reached = store._connection.write

    def ill(unit: Any, *, limit_s: float) -> Any:
        def failing(tx: Any) -> Any:
            return tx.run("UNWIND range(1, 2) AS x MERGE (s:Sink {id: $long})", long="x" * 40_000)

        async def fail(tx: Any) -> Any:
            return await (await failing(tx)).consume()

        return reached(fail, limit_s=limit_s)

    monkeypatch.setattr(store._connection, "write", ill)
    with pytest.raises(GraphUnavailable):
        store.write(graph_batch([(transfer("t1"), None)]))


# --- injection ----------------------------------------------------------------------------------

CYPHER = [
    "x'}) DETACH DELETE n //", "'; MATCH (n) DETACH DELETE n; //", "`) DETACH DELETE (`n",
    "$rows", "row.id", "row[0]", "{id: 1}", ":Admin", "a`:Admin {x: 1}", "\\u0027}) DELETE n //",
    "/*", "*/ MATCH (n) DETACH DELETE n", "\n}) CREATE (:Evil) //", "' OR 1=1 //",
    "CALL { MATCH (n) DETACH DELETE n }", "\\", "\\'", '"', "`", "'",
]  # fmt: skip


def hostile(i: int, text: str) -> GraphBatch:
    """This text in every place of a batch that holds text."""
    transaction = Transaction(
        f"{text} {i}", 1_000, TransactionType.TRANSFER, Money(5, text), 5, f"u{text}",
        counterparty_id=f"v{text}", device_id=text, ip_address=text, card_id=text,
    )  # fmt: skip
    shop = structs.replace(
        transaction, transaction_id=f"shop {text}", type=TransactionType.PAYMENT,
        counterparty_id=None, merchant_id=text, outcome=Outcome.DECLINED,
    )  # fmt: skip
    ring = Ring(
        f"r{text}", 1, RingState.ACTIVE, 1, 1, ((Entity(EntityKind.USER, f"u{text}"), Role.MULE),),
        (Pattern.CYCLE,), 0.5, 1, (text, f"{text} {i}"), (text,), aliases=(f"old {text}",),
    )  # fmt: skip
    alert = Alert(f"a{text}", f"r{text}", 1, 1, text, 0.5, 1, 1, (Pattern.CYCLE,), text)
    made = replace(movement(transaction), decision=text, type=text)
    return GraphBatch((made, movement(shop)), (ring,), (alert,), i)


def test_cypher_in_every_text_is_text(opened: Any, driver: Driver, tmp_path: Path) -> None:
    store = opened()
    store.write(hostile(0, "harmless"))
    labels = driver.execute_query("CALL db.labels()").records
    schema_before = driver.execute_query("SHOW INDEXES YIELD name RETURN name").records
    alone = EmbeddedGraphStore(tmp_path / "graph.kgl")
    alone.write(hostile(0, "harmless"))
    for i, text in enumerate(CYPHER, start=1):
        for _ in range(2):
            store.write(hostile(i, text))
            alone.write(hostile(i, text))
    # Each batch adds 2 users, device, IP, card, merchant, ring, alias and alert; one sink for all.
    count = "MATCH (n) WHERE NOT n:Migration RETURN count(n)"
    assert ask(store, count) == [(9 * (1 + len(CYPHER)) + 1,)]
    assert whole(store) == whole(alone)
    assert driver.execute_query("CALL db.labels()").records == labels
    assert driver.execute_query("SHOW INDEXES YIELD name RETURN name").records == schema_before
    alone.close()


@pytest.mark.parametrize(
    "reaching",
    [
        "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
        "MATCH (n) CALL (n) { LOAD CSV FROM 'http://127.0.0.1:1/' AS l RETURN l } RETURN l",
        "CALL dbms.listConfig() YIELD name, value RETURN name, value",
        "CALL dbms.killConnections(['bolt-1'])",
        "CALL db.clearQueryCaches()",
        "SHOW TRANSACTIONS YIELD currentQuery RETURN currentQuery",
        "TERMINATE TRANSACTIONS 'neo4j-transaction-1'",
        "SHOW SETTINGS YIELD name, value RETURN name, value",
        "SHOW USERS YIELD user RETURN user",
        "CALL gds.graph.project('g', 'User', 'PAID') YIELD graphName RETURN graphName",
        "RETURN EXISTS { CALL db.labels() YIELD label RETURN label } AS x",
        "CALL { MATCH (n) RETURN n.id AS i } IN TRANSACTIONS RETURN i",
        "ALTER CURRENT USER SET PASSWORD FROM 'a' TO 'b'",
        "MATCH (n) RETURN n.id; MATCH (n) DETACH DELETE n",
        "explain match (n) return n.id; match (n) detach delete n",
        "PROFILE MATCH (n) RETURN n.id",
    ],
)
def test_a_query_reaches_nothing_but_the_graph(opened: Any, reaching: str) -> None:
    """Neo4j's own read-only mode lets most of these through."""
    with pytest.raises(InvalidInput):
        ask(opened(), reaching)


def test_nodes_paths_and_the_drivers_own_types_are_not_answers(opened: Any) -> None:
    store = opened()
    store.write(graph_batch([(transfer("t1"), None)]))
    for returned in ("u", "[u]", "{k: u}", "datetime()", "point({x: 1, y: 2})"):
        with pytest.raises(InvalidInput, match="scalars, lists and maps"):
            ask(store, f"MATCH (u:User) RETURN {returned} AS x")


# --- bounds and silence -------------------------------------------------------------------------


def test_rows_beyond_the_cap_are_not_fetched(opened: Any) -> None:
    start = time.monotonic()
    rows = opened().query(
        "UNWIND range(1, 500000000) AS x RETURN x", {}, max_rows=10, timeout_ms=20_000
    )
    assert (len(rows.rows), rows.truncated) == (10, True)
    assert time.monotonic() - start < 15  # all of them would take minutes


def test_memory_that_runs_out_on_the_server_is_the_questions_fault(opened: Any) -> None:
    with pytest.raises(QueryTooBroad, match="memory bound"):
        ask(opened(), "UNWIND range(1, 300000000) AS x RETURN size(collect(toString(x)))")


def test_a_password_is_in_no_message_no_log_and_no_repr(
    empty_neo4j: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "my-0nly-secret"  # noqa: S105 - it is wrong, and that is the point
    with pytest.raises(InvalidSetting, match="refuses the user or the password") as refused:
        Neo4jStore(empty_neo4j, user="neo4j", password=secret)
    with pytest.raises(InvalidSetting, match="must not hold") as held:
        Neo4jStore(f"bolt://neo4j:{secret}@127.0.0.1:7687", user="neo4j", password=secret)
    assert secret not in f"{refused.value!r} {held.value!r} {caplog.text}"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:7474", "127.0.0.1:7687", "bolt://", "bolt://h:x"]
)
def test_what_is_no_url_of_neo4j_is_named(url: str) -> None:
    with pytest.raises(InvalidSetting, match="bolt://localhost:7687"):
        Neo4jStore(url, user="neo4j", password="x" * 8)


def test_a_database_that_is_not_there_is_a_wrong_setting(
    empty_neo4j: str, neo4j_auth: tuple[str, str]
) -> None:
    user, password = neo4j_auth
    with pytest.raises(InvalidSetting, match="nowhere"):
        Neo4jStore(empty_neo4j, user=user, password=password, database="nowhere")


def test_closing_ends_a_call_in_flight(opened: Any) -> None:
    store = opened()
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            ask(store, "UNWIND range(1, 500000000) AS x WITH x WHERE x < 0 RETURN x")
        except (GraphUnavailable, QueryTooBroad) as error:
            ended.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.5)
    store.close()
    waiting.join(20)
    assert [type(e) for e in ended] == [GraphUnavailable]


def test_every_error_of_the_driver_has_its_place() -> None:
    from neo4j import exceptions  # noqa: PLC0415

    on_write = driver_errors.on_write
    codes: list[tuple[str, Callable[[BaseException], BaseException], type[BaseException]]] = [
        ("Neo.TransientError.Transaction.Outdated", on_write, GraphUnavailable),
        ("Neo.ClientError.Security.Unauthorized", on_write, GraphUnavailable),
        ("Neo.ClientError.Database.DatabaseNotFound", on_write, GraphUnavailable),
        ("Neo.ClientError.Transaction.TransactionTimedOut", on_write, GraphUnavailable),
        ("Neo.ClientError.Cluster.NotALeader", on_write, GraphUnavailable),
        ("Neo.ClientError.Statement.TypeError", on_write, InvalidInput),
        ("Neo.ClientError.Schema.ConstraintValidationFailed", on_write, InvalidInput),
        ("Neo.DatabaseError.General.UnknownError", on_write, GraphUnavailable),
    ]  # fmt: skip
    for code, told, kind in codes:
        error = exceptions.Neo4jError._hydrate_neo4j(code=code, message="m")
        assert type(told(error)) is kind, code
    for lost in (exceptions.ServiceUnavailable("x"), exceptions.SessionExpired("x"), OSError("x")):
        assert type(on_write(lost)) is GraphUnavailable
        assert type(driver_errors.on_query(lost, 5)) is GraphUnavailable
    for bad in (OverflowError("x"), UnicodeEncodeError("utf-8", "x", 0, 1, "r"), TypeError("x")):
        assert type(on_write(bad)) is InvalidInput
