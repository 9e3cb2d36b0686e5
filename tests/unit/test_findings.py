"""What an investigation found, as a person reads it: tables, cards and trees on the casebook."""

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from api import investigations_page
from api.cli import app
from api.findings import cell, drawn
from api.views import Views
from cypher import casebook
from cypher.analytics.embedded import EmbeddedAnalytics
from cypher.embedded import EmbeddedGraphStore
from cypher.investigation import Column
from cypher.ports import GraphStore, Rows
from cypher.queries import catalogue, find, run

EUR = Views("EUR", 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("case")
    store = EmbeddedGraphStore(made / "graph.kgl")
    store.write(casebook.batch())
    EmbeddedAnalytics(store).analyse()
    store.close()
    return made


@pytest.fixture
def store(folder: Path) -> Iterator[GraphStore]:
    store = EmbeddedGraphStore(folder / "graph.kgl")
    yield store
    store.close()


def printed(name: str, rows: Rows, width: int, **asked: object) -> str:
    about = find(name)
    console = Console(file=StringIO(), width=width, color_system=None, legacy_windows=False)
    console.print(drawn(about, about.bind(asked), rows, EUR, console))
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def test_the_page_is_what_the_query_files_and_the_casebook_say() -> None:
    assert investigations_page.PAGE.read_text(encoding="utf-8") == investigations_page.page(), (
        "run: python -m api.investigations_page"
    )


@pytest.mark.parametrize("name", [each.name for each in catalogue() if each.needs is None])
def test_every_question_finds_something_in_the_casebook(store: GraphStore, name: str) -> None:
    assert run(store, name, casebook.CALLS[name]).rows


def test_the_casebook_has_a_call_for_every_question() -> None:
    assert set(casebook.CALLS) == {each.name for each in catalogue()}


def test_a_money_trail_is_a_tree_that_ends_in_cash_and_a_shop(store: GraphStore) -> None:
    rows = run(store, "money-trail-forward", {"user": "vera"})
    assert (
        printed("money-trail-forward", rows, 100, user="vera")
        == """\
vera
└── User mike: €900.00 at 2026-03-04 09:10:00
    └── User olga: €1,750.00 at 2026-03-04 10:30:00
        ├── Outside: €2,000.00 at 2026-03-04 11:30:00
        └── Merchant gift-cards: €600.00 at 2026-03-04 12:10:00"""
    )


def test_a_tree_that_was_cut_still_hangs_together(store: GraphStore) -> None:
    rows = run(store, "mule-feeder-tree", {"user": "olga"}, max_rows=3)
    assert rows.truncated
    lines = printed("mule-feeder-tree", rows, 100, user="olga").splitlines()
    assert [line.lstrip("│├└─ ").split(":")[0] for line in lines] == [
        "olga", "mike", "nora", "yusuf",
    ]  # fmt: skip


def test_a_table_too_wide_to_be_read_becomes_cards(store: GraphStore) -> None:
    asked = {"source": "vera", "target": "olga"}
    rows = run(store, "money-trail", asked)
    wide = printed("money-trail", rows, 250, **asked)
    assert "vera → mike → olga" in wide
    assert len(wide.splitlines()) == 2
    cards = printed("money-trail", rows, 80, **asked).splitlines()
    assert "  accounts      vera → mike → olga" in cards
    assert "  amounts       €900.00, €1,750.00" in cards
    assert max(map(len, cards)) <= 80


@pytest.mark.parametrize("width", [60, 75, 80, 90, 100, 120])
def test_no_amount_and_no_time_is_ever_cut_short(store: GraphStore, width: int) -> None:
    rows = run(store, "pass-through", {})
    assert rows.rows
    text = printed("pass-through", rows, width)
    for row in rows.rows:
        for column, value in zip(find("pass-through").columns, row, strict=True):
            assert cell(column, value, EUR) in text


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("money", 123_456, "€1,234.56"),
        ("timestamp", casebook.START, "2026-03-01 00:00:00"),
        ("number", 0.8764, "0.876"),
        ("number", 0.00123, "0.00123"),
        ("integer", 12_345, "12,345"),
        ("boolean", True, "yes"),
        ("boolean", False, "no"),
        ("string", "u-1", "u-1"),
        ("string", None, "-"),
        ("string", "a\x1b[2Jb\n", "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}"),
        ("list of strings", ["a", "b"], "a, b"),
        ("list of money", [100, 250], "€1.00, €2.50"),
        ("list of timestamps", [casebook.START], "2026-03-01 00:00:00"),
        ("list of strings", [], ""),
    ],
)
def test_values_are_shown_by_their_type(kind: str, value: object, shown: str) -> None:
    assert cell(Column("x", kind, "Something."), value, EUR) == shown


def shell(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["investigate", *arguments], env={"COLUMNS": "100"})
    return done.exit_code, done.stdout, done.stderr


def test_the_list_has_one_line_for_each_under_its_group() -> None:
    code, out, err = shell()
    lines = [line.rstrip() for line in out.splitlines()]
    assert code == 0
    assert [line for line in lines if not line.startswith(" ")] == [
        "rings", "money", "sharing", "accounts", "merchants", "time", "* needs Neo4j",
    ]  # fmt: skip
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    assert listed == [each.name + "*" * (each.needs is not None) for each in catalogue()]
    assert "--about" in err


def test_about_tells_what_one_takes_answers_and_costs_without_a_graph() -> None:
    code, out, _ = shell("round-trips", "--about")
    told = " ".join(out.split())
    assert code == 0
    for said in (find("round-trips").question, "a whole number from 2 to 5; 4 if not given",
                 "500 rows, 10 s", find("round-trips").example):  # fmt: skip
        assert said in told


def test_an_answer_comes_with_how_many_rows_there_were(folder: Path) -> None:
    code, out, err = shell("fan-in", "-p", "user=mike", "--data", str(folder))
    assert code == 0
    assert "€950.00" in out
    assert err.splitlines() == ["Fan-in of an account", "3 rows"]


def test_an_old_id_of_a_ring_finds_the_ring_it_became_and_says_which(folder: Path) -> None:
    asked = ("ring-payments", "--data", str(folder), "-p")
    code, out, err = shell(*asked, "ring=r-phone")
    assert (code, out) == (0, shell(*asked, "ring=r-circle")[1])
    assert err.splitlines()[1:] == [
        "Ring r-phone merged into r-circle, which this tells of.",
        "6 rows",
    ]
    _, out, _ = shell(*asked, "ring=r-phone", "--json")
    assert json.loads(out)["became"] == {"r-phone": "r-circle"}
    _, out, _ = shell(*asked, "ring=r-circle", "--json")
    assert json.loads(out)["became"] == {}


def test_nobody_is_told_apart_from_an_empty_table(folder: Path) -> None:
    code, out, err = shell("fan-in", "-p", "user=nobody", "--data", str(folder))
    assert (code, out) == (0, "")
    assert "Nothing found" in err


def test_a_cut_answer_says_so_on_the_terminal_and_in_json(tmp_path: Path) -> None:
    from cypher.ports import GraphBatch, Movement, Relation  # noqa: PLC0415 - this test alone
    from graph.transaction import Entity, EntityKind  # noqa: PLC0415

    hub = Entity(EntityKind.USER, "hub")
    store = EmbeddedGraphStore(tmp_path / "graph.kgl")
    store.write(
        GraphBatch(
            tuple(
                Movement(Relation.PAID, Entity(EntityKind.USER, f"u{n}"), hub,
                         Entity(EntityKind.USER, f"u{n}"), (), f"t{n}", n, 5, 5, "EUR", "transfer")
                for n in range(501)
            )
        )
    )  # fmt: skip
    store.close()
    asked = ("fan-in", "-p", "user=hub", "--data", str(tmp_path))
    _, _, err = shell(*asked)
    assert "The first 500 rows, and there are more" in err
    _, out, _ = shell(*asked, "--json")
    assert '"truncated": true' in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["money-trial"], "Did you mean money-trail"),
        (["fan-in", "-p", "usr=ann"], "Did you mean user?"),
        (["fan-in", "-p", "user"], "name=value"),
        (["fan-in", "-p", "user=a", "-p", "user=b"], "given twice"),
        (["path-between", "-p", "source=a", "-p", "target=b", "-p", "source_kind=phone"], "one of"),
        (
            ["layering", "-p", "source=a", "-p", "target=b", "-p", "since=1772323200000"],
            "RINGFENCE_NEO4J",
        ),
    ],
)
def test_what_cannot_be_asked_is_said_with_a_remedy(
    arguments: list[str], says: str, folder: Path
) -> None:
    done = CliRunner().invoke(app, ["investigate", *arguments, "--data", str(folder)])
    assert says in str(done.exception)
