import re
import shlex

import pytest

from cypher.free_cypher import check
from cypher.investigation import (
    MAX_ROWS,
    MAX_TEXT,
    Group,
    Investigation,
    Parameter,
    ParameterType,
    parse,
)
from cypher.ports import Dialect, GraphStore, Rows
from cypher.queries import UnknownInvestigation, WrongDialect, catalogue, find, run
from graph.errors import InvalidInput, InvalidSetting

TEXT = Parameter("user", ParameterType.STRING, None, None, (), None, "u-1", "The user.")
WHOLE = Parameter("hops", ParameterType.INTEGER, 1, 6, (), 4, 4, "How far.")
TIME = Parameter("since", ParameterType.TIMESTAMP, None, None, (), 0, 0, "From when.")

KIND = Parameter("kind", ParameterType.CHOICE, None, None, ("User", "Ip"), "User", "User", "Which.")

SOURCE = """\
// Title
//
// A question
// in two lines? Yes.
//
// :group rings
// :asked-by Somebody.
// :example ringfence investigate sample --param user=u-1
// :shape tree {member} and no more
// :needs neo4j: something of its own.
// :limits 200 rows, 7 s
//
// :param user string example "u-1" The user.
// :param hops integer 1..6 default 4 How far.
//
// :column member string Who.
//
// :cost Little,
// :cost very little.
// :bound Nothing,
// :bound at all.
MATCH (u:User {id: $user})
RETURN u.id AS member
"""


class Refusing:
    """A store that must not be reached."""

    dialect = Dialect.EMBEDDED

    def query(self, *_: object, **__: object) -> Rows:
        pytest.fail("a bad parameter reached the store")


ALL = pytest.mark.parametrize("each", catalogue(), ids=lambda each: each.name)


def test_the_catalogue_is_as_rich_as_promised_and_in_the_order_of_its_groups() -> None:
    assert len([each for each in catalogue() if each.needs is None]) >= 20
    assert {each.group for each in catalogue()} == set(Group)
    groups = [list(Group).index(each.group) for each in catalogue()]
    assert groups == sorted(groups)


@ALL
def test_header_and_query_agree(each: Investigation) -> None:
    used = set(re.findall(r"\$(\w+)", each.cypher))
    assert used == {p.name for p in each.parameters}
    assert "//" not in each.cypher
    assert each.question.endswith((".", "?"))
    for parameter in each.parameters:
        parameter.coerce(parameter.example)
    # Labels and types come from the file; nothing is filled in.
    assert not re.search(r"[:(]\$|%s|\{\}", each.cypher)
    # Rows come in one order only, so that every adapter gives the same and a cut is the same cut.
    assert "\nORDER BY " in each.cypher
    check(each.cypher)


@ALL
def test_the_example_of_a_header_can_be_typed(each: Investigation) -> None:
    command, name, *rest = shlex.split(each.example.removeprefix("ringfence "))
    assert (command, name) == ("investigate", each.name)
    assert rest[::2] == ["--param"] * (len(rest) // 2)
    given = dict(pair.split("=", 1) for pair in rest[1::2])
    assert set(given) >= {p.name for p in each.parameters if p.required}
    assert each.bind(given)


@ALL
def test_a_tree_has_a_path_and_tells_its_branches_by_columns(each: Investigation) -> None:
    names = {column.name for column in each.columns}
    assert (each.branch is not None) == ("path" in names)
    assert set(re.findall(r"\{(\w+)\}", each.branch or "")) <= names


def test_a_header_is_read_in_full() -> None:
    read = parse("sample", SOURCE)
    assert (read.title, read.question) == ("Title", "A question in two lines? Yes.")
    assert read.summary == "A question in two lines?"
    assert (read.group, read.asked_by) == (Group.RINGS, "Somebody.")
    assert read.example == "ringfence investigate sample --param user=u-1"
    assert read.branch == "{member} and no more"
    assert (read.needs, read.needs_for) == (Dialect.NEO4J, "something of its own.")
    assert (read.max_rows, read.timeout_ms) == (200, 7_000)
    assert read.parameters == (TEXT, WHOLE)
    assert [(c.name, c.type, c.meaning) for c in read.columns] == [("member", "string", "Who.")]
    assert read.cost == "Little, very little."
    assert read.bound == "Nothing, at all."
    assert read.cypher == "MATCH (u:User {id: $user})\nRETURN u.id AS member"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("string example", "text example"),
        ("1..6 default 4", "1..6 default four"),
        (":column member string Who.", ":column member"),
        (":cost Little", ":price Little"),
        ("// :cost Little,\n// :cost very little.\n", ""),
        ("// :bound Nothing,\n// :bound at all.\n", ""),
        ("// :group rings\n", ""),
        (":group rings", ":group ring"),
        (":limits 200 rows, 7 s", ":limits 200 rows"),
        (":shape tree {member} and no more", ":shape tree"),
        (":shape tree {member} and no more", ":shape star {member}"),
        (":needs neo4j: something of its own.", ":needs neo4j"),
        (":needs neo4j: something of its own.", ":needs oracle: something of its own."),
        ("// :asked-by Somebody.\n", "// :asked-by Somebody.\n// :asked-by Somebody else.\n"),
        ("// :column member string Who.\n", ""),
        ("MATCH (u:User {id: $user})\nRETURN u.id AS member\n", ""),
    ],
)
def test_a_malformed_header_names_its_file(old: str, new: str) -> None:
    assert old in SOURCE
    with pytest.raises(InvalidSetting, match=r"sample\.cypher"):
        parse("sample", SOURCE.replace(old, new))


@pytest.mark.parametrize(
    ("parameter", "given", "taken"),
    [
        (TEXT, "u-1", "u-1"),
        (TEXT, "17", "17"),
        (TEXT, "x" * MAX_TEXT, "x" * MAX_TEXT),
        (WHOLE, 1, 1),
        (WHOLE, "6", 6),
        (KIND, "ip", "Ip"),
        (KIND, "User", "User"),
        (TIME, 5, 5),
        (TIME, "1772366400123", 1_772_366_400_123),
        (TIME, "1970-01-01T00:00:01.5Z", 1_500),
        (TIME, "1970-01-01T01:00:00+01:00", 0),
        (TIME, "2026-03-01T12:00:00.123Z", 1_772_366_400_123),
        (TIME, "9999-12-31T23:59:59Z", 253_402_300_799_000),
    ],
)
def test_values_are_coerced_to_their_type(
    parameter: Parameter, given: object, taken: object
) -> None:
    assert parameter.coerce(given) == taken


@pytest.mark.parametrize(
    ("parameter", "given"),
    [
        (TEXT, 17),
        (TEXT, ""),
        (TEXT, "x" * (MAX_TEXT + 1)),
        (TEXT, "\ud800"),
        (TEXT, ["u-1"]),
        (TEXT, {"id": "u-1"}),
        (TEXT, True),
        (WHOLE, 0),
        (WHOLE, 7),
        (WHOLE, "4.0"),
        (WHOLE, 4.0),
        (WHOLE, True),
        (WHOLE, "1 OR 1=1"),
        (WHOLE, "²"),
        (WHOLE, "9" * 5_000),
        (WHOLE, 2**80),
        (WHOLE, float("nan")),
        (KIND, "Device"),
        (KIND, 1),
        (KIND, ""),
        (TIME, "yesterday"),
        (TIME, "2026"),
        (TIME, "20260301"),
        (TIME, "999999999999999"),
        (TIME, "2026-03-01T12:00:00"),
        (TIME, "1969-12-31T23:59:59Z"),
        (TIME, -1),
        (TIME, 2**62),
        (TIME, 1.5),
        (TIME, False),
        (TIME, "0001-01-01T00:00:00+23:59"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_an_example(
    parameter: Parameter, given: object
) -> None:
    with pytest.raises(InvalidInput, match="for example") as told:
        parameter.coerce(given)
    assert told.value.field == parameter.name
    assert told.value.value == (repr(given) if len(repr(given)) <= 80 else repr(given)[:77] + "...")


def refused(name: str, parameters: dict[str, object]) -> InvalidInput:
    store: GraphStore = Refusing()  # type: ignore[assignment]
    with pytest.raises(InvalidInput) as told:
        run(store, name, parameters)
    return told.value


def test_a_missing_parameter_is_named() -> None:
    for given in ({}, {"user": None}):
        told = refused("ring-of-user", given)  # type: ignore[arg-type]
        assert (told.field, told.what) == ("user", "is missing")
        assert '"u-0001"' in told.remedy


def test_an_unknown_parameter_is_named_with_those_there_are() -> None:
    told = refused("money-trail", {"source": "ann", "target": "bob", "hop": 3})
    assert (told.field, told.value) == ("hop", "3")
    assert told.remedy == (
        "Did you mean hops or hours? It takes source, target, hops, hours, since, until."
    )


def test_an_unknown_investigation_is_not_found_and_the_nearest_are_named() -> None:
    told = refused("money-trial", {})
    assert isinstance(told, UnknownInvestigation)
    assert told.http_status == 404
    assert told.remedy.startswith("Did you mean money-trail or ")
    told = refused("DETACH DELETE", {})
    assert told.remedy.startswith("`ringfence investigate` and GET /v1/investigations list all ")


@pytest.mark.parametrize("name", [each.name for each in catalogue() if each.needs])
def test_a_question_in_another_dialect_is_refused_before_it_is_sent(name: str) -> None:
    told = refused(name, {p.name: p.example for p in find(name).parameters if p.required})
    assert isinstance(told, WrongDialect)
    assert told.value == name
    assert "which the embedded graph does not know" in told.what
    assert "RINGFENCE_NEO4J" in told.remedy


def test_rows_and_time_are_asked_for_within_the_bounds_of_the_investigation() -> None:
    for max_rows in (0, -1, MAX_ROWS + 1):
        with pytest.raises(InvalidInput, match="max_rows"):
            run(Refusing(), "ring-of-user", {"user": "ann"}, max_rows=max_rows)  # type: ignore[arg-type]
    for timeout_ms in (0, 5_001):
        with pytest.raises(InvalidInput, match="timeout_ms"):
            run(Refusing(), "ring-of-user", {"user": "ann"}, timeout_ms=timeout_ms)  # type: ignore[arg-type]


def test_defaults_fill_what_is_not_given() -> None:
    bound = find("money-trail").bind({"source": "a", "target": "b", "hops": "2"})
    assert bound == {
        "source": "a",
        "target": "b",
        "hops": 2,
        "hours": 24,
        "since": 0,
        "until": 253_402_300_799_000,
    }
