"""The fence around free Cypher: what only reads passes, everything else is named."""

import doctest

import pytest

from cypher import free_cypher
from cypher.free_cypher import MAX_CHARACTERS, NotReading, check
from graph.errors import InvalidInput

READING = [
    "MATCH (n:User) WHERE n.id = 'SET' RETURN n.id // CREATE",
    'MATCH (n) WHERE n.note = "it\'s DELETE" RETURN n.`set` AS `LOAD CSV`',
    "MATCH (n) /* MERGE */ RETURN count(n) AS created",
    "RETURN duration.between(date('2026-03-01'), date()) AS spent",
    "CALL { MATCH (n) RETURN n.id AS id } RETURN count(id) AS n",
    "MATCH (n) CALL (n) { RETURN 1 AS x } RETURN x",
    "MATCH (r:Ring) WHERE $id IN r.transactions RETURN r.ring_id AS ring",
    "RETURN 'a \\\\' AS x, 'b' AS y",
    "UNWIND range(1, 3) AS offset RETURN offset",
]

REFUSED = [
    ("CREATE (n:User)", "CREATE"),
    ("create (n:User)", "CREATE"),
    ("MERGE (n:User)", "MERGE"),
    ("INSERT (:User)", "INSERT"),
    ("MATCH (n) DELETE n", "DELETE"),
    ("MATCH (n) DETACH DELETE n", "DETACH"),
    ("MATCH (n) SET n.x = 1", "SET"),
    ("MATCH (n) \u017fET n.x = 1", "SET"),  # a long s is an S in upper case
    ("MATCH (n) REMOVE n.id", "REMOVE"),
    ("MATCH (n) FOREACH (x IN [1] | SET n.x = x)", "FOREACH"),
    ("MATCH (n) CALL (n) { SET n.x = 1 } RETURN 1", "SET"),
    ("MATCH (n) CALL (n) { RETURN 1 AS x } IN 3 CONCURRENT TRANSACTIONS RETURN x", "IN TRANS"),
    ("LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line", "LOAD"),
    ("UNWIND [1] AS x LOAD/**/CSV FROM 'http://x' AS l RETURN l", "LOAD"),
    ("WITH 1.LOAD CSV FROM 'x' AS l RETURN l", "LOAD"),
    ("CALL db.labels()", "CALL of a procedure"),
    ("CALL/* */dbms.listConfig()", "CALL of a procedure"),
    ("CALL `apoc`.load.json('http://x')", "CALL of a procedure"),
    ("RETURN apoc.util.sleep(1)", "apoc"),
    ("RETURN gds . graph . project('g', 1, 2)", "gds"),
    ("RETURN `gds`.graph.project('g', 1, 2)", "`x`"),
    ("RETURN '\\u0027 CREATE (n) //'", "u"),
    ("\\u0043REATE (n)", "u"),
    ("SHOW TRANSACTIONS", "SHOW"),
    ("TERMINATE TRANSACTIONS 'x'", "TERMINATE"),
    ("USE system MATCH (n) RETURN n.id", "USE"),
    ("DROP CONSTRAINT user_id", "DROP"),
    ("MATCH (n) RETURN 1 // x\rSET n.x = 1", "SET"),
    ("MATCH (n) RETURN 1 // x\nSET n.x = 1", "SET"),
    ("RETURN 'a' /* ' */ SET x", "SET"),
    ("RETURN 'a", "'"),
    ("RETURN 1 /* a", "/*"),
]


@pytest.mark.parametrize("statement", READING)
def test_what_reads_passes(statement: str) -> None:
    check(statement)


@pytest.mark.parametrize(("statement", "found"), REFUSED)
def test_what_may_do_more_is_refused_by_name(statement: str, found: str) -> None:
    with pytest.raises(NotReading) as told:
        check(statement)
    assert told.value.field == "query"
    assert found in (told.value.value or "")
    assert told.value.remedy


@pytest.mark.parametrize(
    "statement",
    ["RETURN 1;", "RETURN 1; // ;\n", "RETURN ';' AS x", "MATCH (`;`) RETURN 1 /* ; */"],
)
def test_a_semicolon_that_parts_nothing_passes(statement: str) -> None:
    check(statement)


@pytest.mark.parametrize(
    "statement", ["RETURN 1;RETURN 2", "RETURN 1; /**/ RETURN ';'", ";RETURN 1"]
)
def test_two_statements_are_refused_for_only_one_would_be_answered(statement: str) -> None:
    with pytest.raises(InvalidInput, match="one statement") as told:
        check(statement)
    assert told.value.field == "query"
    assert told.value.remedy.startswith("Send one Cypher statement")


@pytest.mark.parametrize("statement", ["", "  \n", "RETURN 1 " + "x" * MAX_CHARACTERS])
def test_a_statement_has_a_length(statement: str) -> None:
    with pytest.raises(InvalidInput, match="characters"):
        check(statement)


def test_the_examples_hold() -> None:
    assert doctest.testmod(free_cypher, optionflags=doctest.ELLIPSIS).failed == 0
