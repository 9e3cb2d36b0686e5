"""What no question may do, on any adapter of the graph store: write, call, or go on for ever.

An adapter joins by adding a line to `ADAPTERS` in `conftest.py`.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from cypher import free_cypher
from cypher.free_cypher import NotReading
from cypher.ports import GraphBatch, GraphStore, QueryTooBroad
from cypher.queries import run
from cypher.sink import graph_batch
from graph.errors import InvalidInput
from graph.evidence import Role
from graph.transaction import HOUR
from tests.contract.asked_graphs import answered, ask, fill, paid, required, ring, understood, user

Open = Callable[[Path], GraphStore]


def test_too_many_trails_are_cut_and_it_says_so(store: GraphStore) -> None:
    fill(store, *(paid(f"t{i:03}", "ann", "bob", i / 10) for i in range(30)))
    answer = run(store, "money-trail", {"source": "ann", "target": "bob"}, max_rows=10)
    assert answer.truncated
    assert [r["transactions"] for r in answer.records()] == [[f"t{i:03}"] for i in range(10)]


def test_a_trail_through_a_thicket_is_refused_in_time_with_advice(store: GraphStore) -> None:
    crowd = [f"u{i}" for i in range(40)]
    fill(store, *(paid(f"{a}-{b}", a, b, 1) for a in crowd for b in crowd))
    with pytest.raises(QueryTooBroad, match="fewer hops"):
        run(store, "money-trail", {"source": "u0", "target": "u1", "hops": 6}, timeout_ms=200)


ATTACKS = [
    "x'}) DETACH DELETE n //",
    "ann'}) MATCH (n) DETACH DELETE n RETURN 1 AS x //",
    '"}) MATCH (n) DETACH DELETE n //',
    "ann\\'}) CREATE (:User {id: 'eve'}) //",
    "` MATCH (n) SET n.id = 'eve' //",
    "$user",
    "ann' OR 1=1 //",
    "ann' UNION MATCH (n) RETURN n //",
    "*/ MATCH (n) DETACH DELETE n /*",
    "} ) CALL { MATCH (n) DETACH DELETE n } //",
    "; MATCH (n) DETACH DELETE n;",
    "\u2019}) DETACH DELETE n //",
    "ann\x00",
    "\\u0027}) DETACH DELETE n //",
    "LOAD CSV FROM 'file:///etc/passwd' AS l",
    "FORMAT CSV",
]


def everything(store: GraphStore) -> list[object]:
    asked = ("MATCH (n) RETURN count(n)", "MATCH ()-[r]->() RETURN count(r)")
    return [store.query(q, {}, max_rows=1, timeout_ms=5_000).rows for q in asked]


def test_no_text_can_become_part_of_a_query(store: GraphStore) -> None:
    stream = [
        paid("t1", "ann", "bob", 1, device_id="phone"),
        paid("t2", "bob", "ann", 2, device_id="phone"),
    ]
    fill(store, *stream, rings=(ring("r1", 0.9, (user("ann"), Role.MULE)),))
    before = everything(store)
    for each in understood(store):
        given = required(each, "ann")
        for parameter in (name for name, value in given.items() if value == "ann"):
            for attack in ATTACKS:
                asked = given | {parameter: attack}
                assert answered(store, each.name, asked).rows == (), (each.name, asked)
    assert everything(store) == before


@pytest.mark.parametrize("attack", ATTACKS)
def test_text_that_looks_like_cypher_is_an_id_like_any_other(
    store: GraphStore, attack: str
) -> None:
    store.write(GraphBatch(graph_batch([(paid("t9", attack, "ann", 1), None)]).movements))
    assert ask(store, "fan-out", user=attack) == [("User", "ann", 1, 100, HOUR, HOUR)]


# --- free Cypher --------------------------------------------------------------------------------

NOT_READING = [
    "CREATE (n:User {id: 'eve'}) RETURN n.id",
    "MERGE (n:User {id: 'eve'}) RETURN n.id",
    "MATCH (n) DETACH DELETE n",
    "MATCH (u:User {id: 'ann'}) SET u.x = 1 RETURN u.id",
    "MATCH (u:User {id: 'ann'}) REMOVE u.id",
    "MATCH (u:User) FOREACH (x IN [1] | SET u.x = x)",
    "MATCH (u:User) CALL (u) { CREATE (:User {id: 'eve'}) } RETURN u.id",
    "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
    "CALL db.createLabel('Eve')",
    "CALL dbms.listConfig() YIELD name RETURN name",
    "CALL apoc.load.json('http://127.0.0.1/') YIELD value RETURN value",
    "CALL gds.graph.drop('g')",
    "RETURN gds.graph.project('g', 1, 2) AS g",
    "SHOW TRANSACTIONS",
    "DROP INDEX eve IF EXISTS",
    "CREATE INDEX eve IF NOT EXISTS FOR (u:User) ON (u.x)",
    "RETURN '\\u0027 SET n.x = 1 //' AS x",
]


@pytest.mark.parametrize("statement", NOT_READING)
def test_free_cypher_reads_the_graph_and_nothing_else(store: GraphStore, statement: str) -> None:
    fill(store, paid("t1", "ann", "bob", 1))
    before = everything(store)
    with pytest.raises(NotReading, match="may only read"):
        free_cypher.ask(store, statement, {})
    assert everything(store) == before


@pytest.mark.parametrize("statement", NOT_READING[:7])
def test_a_store_refuses_to_write_also_where_nobody_looked_at_the_statement(
    store: GraphStore, statement: str
) -> None:
    fill(store, paid("t1", "ann", "bob", 1))
    before = everything(store)
    with pytest.raises(InvalidInput):
        store.query(statement, {}, max_rows=1, timeout_ms=5_000)
    assert everything(store) == before


def test_free_cypher_has_the_caps_of_every_question(store: GraphStore) -> None:
    crowd = [f"u{i}" for i in range(40)]
    fill(store, *(paid(f"{a}-{b}", a, b, 1) for a in crowd for b in crowd))
    answer = free_cypher.ask(
        store, "MATCH (u:User)-[p:PAID]->(v:User) WHERE p.value >= $least RETURN u.id AS payer",
        {"least": 1},
    )  # fmt: skip
    assert (len(answer.rows), answer.truncated) == (free_cypher.MAX_ROWS, True)
    wide = "MATCH (a:User), (b:User), (c:User), (d:User), (e:User) "
    wide += "RETURN sum(size(a.id + b.id + c.id + d.id + e.id)) AS n"
    with pytest.raises(QueryTooBroad):
        free_cypher.ask(store, wide, {}, timeout_ms=300)
