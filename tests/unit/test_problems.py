"""Errors as problem documents: one table, derived, complete."""

import msgspec
import pytest

from api import docs, problems
from api.problems import kind_of, kinds, problem_of, respond, shorten
from api.schemas import Problem
from graph.errors import InvalidInput, RingfenceError, Unavailable
from ingest.codec import InvalidTransaction
from ingest.codec import Problem as FieldProblem
from ingest.ports import Overloaded


@pytest.fixture(scope="module", autouse=True)
def everything_is_imported() -> None:
    docs.errors_page()


def leaves(root: type[RingfenceError] = RingfenceError) -> list[type[RingfenceError]]:
    return [each for child in root.__subclasses__() for each in (child, *leaves(child))]


@pytest.mark.parametrize("error", leaves(), ids=lambda error: error.__name__)
def test_every_error_has_a_row_with_a_status_a_code_and_a_meaning(error):
    row = {kind.code: kind for kind in kinds()}[error.code]
    assert 400 <= row.status <= 599
    assert row.exit_code in (1, 2, 3, 4)
    assert row.meaning.endswith((".", "seconds."))
    assert row.title
    assert "\n" not in row.meaning


def test_bad_input_is_the_callers_fault_and_what_is_down_is_not():
    for error in leaves(InvalidInput):
        assert 400 <= error.http_status < 500, error
        assert error.exit_code == 2, error
    for error in leaves(Unavailable):
        assert (error.http_status, error.exit_code) == (503, 4), error


def test_a_problem_names_field_value_and_remedy():
    error = InvalidInput("not a date", field="timestamp", value="soon", remedy="Send RFC 3339.")
    document = problem_of(error, "/v1/score")
    assert document == {
        "type": "/v1/problems/invalid-input",
        "title": "What was sent cannot be understood",
        "status": 422,
        "detail": "not a date",
        "code": "invalid-input",
        "instance": "/v1/score",
        "field": "timestamp",
        "value": "soon",
        "remedy": "Send RFC 3339.",
    }
    Problem.model_validate(document)


def test_a_transaction_with_several_faults_names_them_all():
    faults = (
        FieldProblem("amount", "an amount cannot be negative", "-5", "Send it as a refund."),
        FieldProblem("currency", "it is missing", None, "Send currency."),
    )
    document = problem_of(InvalidTransaction(faults))
    assert [each["field"] for each in document["problems"]] == ["amount", "currency"]
    Problem.model_validate(document)


def test_what_was_found_is_shown_short_on_one_line_and_without_control_characters():
    shown = shorten("a\nb\x00\u202e" + "x" * 1000)
    assert len(shown) == 121
    assert shown.isprintable()


def test_overload_says_when_to_come_back():
    answer = respond(Overloaded("full", value="4096", retry_after=1.5))
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    assert answer.media_type == "application/problem+json"


def test_a_body_that_was_not_read_ends_the_connection():
    answer = respond(problems.BodyTooLarge("too much", remedy="Send less."))
    assert answer.headers["Connection"] == "close"
    assert msgspec.json.decode(answer.body)["status"] == 413


def test_the_title_is_the_first_clause_of_the_meaning():
    kind = kind_of(Overloaded)
    assert kind.title == kind.meaning.split(":")[0]
    assert kind.parent == "unavailable"
