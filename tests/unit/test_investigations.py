import re
from pathlib import Path

import pytest

from cypher.investigation import MAX_TEXT, Parameter, ParameterType, parse
from cypher.ports import GraphStore, Rows
from cypher.queries import MAX_ROWS, UnknownInvestigation, catalogue, find, reference, run
from graph.errors import InvalidInput, InvalidSetting

TEXT = Parameter("user", ParameterType.STRING, None, None, None, "u-1", "The user.")
WHOLE = Parameter("hops", ParameterType.INTEGER, 1, 6, 4, 4, "How far.")
TIME = Parameter("since", ParameterType.TIMESTAMP, None, None, 0, 0, "From when.")

SOURCE = """\
// Title
//
// A question
// in two lines?
//
// :param user string example "u-1" The user.
// :param hops integer 1..6 default 4 How far.
//
// :column member string Who.
//
// :cost Little,
// :cost very little.
MATCH (u:User {id: $user})
RETURN u.id AS member
"""


class Refusing:
    """A store that must not be reached."""

    def query(self, *_: object, **__: object) -> Rows:
        pytest.fail("a bad parameter reached the store")


def test_the_five_of_the_first_issue_are_in_the_catalogue() -> None:
    assert [each.name for each in catalogue()] == [
        "accounts-sharing-device",
        "fan-in",
        "money-trail",
        "neighbourhood",
        "ring-of-user",
    ]


@pytest.mark.parametrize("each", catalogue(), ids=lambda each: each.name)
def test_header_and_query_agree(each: object) -> None:
    investigation = find(each.name)  # type: ignore[attr-defined]
    used = set(re.findall(r"\$(\w+)", investigation.cypher))
    assert used == {p.name for p in investigation.parameters}
    assert "//" not in investigation.cypher
    assert investigation.question.endswith((".", "?"))
    for parameter in investigation.parameters:
        parameter.coerce(parameter.example)
    # Labels and types come from the file; nothing is filled in.
    assert not re.search(r"[:(]\$|%s|\{\}", investigation.cypher)


def test_the_reference_page_is_what_the_files_say() -> None:
    page = Path(__file__).parents[2] / "docs" / "investigations.md"
    assert page.read_text(encoding="utf-8") == reference(), (
        "run: python -m cypher.queries > docs/investigations.md"
    )


def test_a_header_is_read_in_full() -> None:
    read = parse("sample", SOURCE)
    assert (read.title, read.question) == ("Title", "A question in two lines?")
    assert read.parameters == (TEXT, WHOLE)
    assert [(c.name, c.type, c.meaning) for c in read.columns] == [("member", "string", "Who.")]
    assert read.cost == "Little, very little."
    assert read.cypher == "MATCH (u:User {id: $user})\nRETURN u.id AS member"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("string example", "text example"),
        ("1..6 default 4", "1..6 default four"),
        (":column member string Who.", ":column member"),
        (":cost Little", ":price Little"),
        ("// :cost Little,\n// :cost very little.\n", ""),
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
        (TIME, 5, 5),
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
        (TIME, "yesterday"),
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
    told = refused("ring-of-user", {"user": "ann", "hop": 3})
    assert (told.field, told.value) == ("hop", "3")
    assert told.remedy == "It takes user."


def test_an_unknown_investigation_is_not_found_and_the_catalogue_is_named() -> None:
    told = refused("drop-everything", {})
    assert isinstance(told, UnknownInvestigation)
    assert told.http_status == 404
    assert "money-trail" in told.remedy


def test_rows_are_asked_for_within_bounds() -> None:
    store: GraphStore = Refusing()  # type: ignore[assignment]
    for max_rows in (0, -1, MAX_ROWS + 1):
        with pytest.raises(InvalidInput, match="max_rows"):
            run(store, "ring-of-user", {"user": "ann"}, max_rows=max_rows)


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
