from pathlib import Path

import pytest

from cypher.schema import Migration, migrations, parse, pending
from graph.errors import Incompatible, InvalidSetting

ONE = parse("0001-one.cypher", "// why\nCREATE INDEX a IF NOT EXISTS FOR (n:A) ON (n.x);\n")
TWO = parse("0002-two.cypher", "CREATE INDEX b IF NOT EXISTS\n  FOR (n:B) ON (n.x);")


def noted(migration: Migration, **other: object) -> dict[str, object]:
    return {
        "id": migration.number,
        "name": migration.name,
        "checksum": migration.checksum,
    } | other


def test_what_ships_is_numbered_and_can_be_run_again() -> None:
    assert [m.number for m in migrations()] == list(range(1, len(migrations()) + 1))
    for migration in migrations():
        assert all(" IF NOT EXISTS " in statement for statement in migration.statements)


def test_what_is_missing_is_pending_in_order() -> None:
    assert pending([], [TWO, ONE]) == [ONE, TWO]
    assert pending([noted(ONE)], [ONE, TWO]) == [TWO]
    assert pending([noted(TWO)], [ONE, TWO]) == [ONE]
    assert pending([noted(TWO), noted(ONE)], [ONE, TWO]) == []


def test_comments_and_layout_do_not_count_and_statements_do() -> None:
    again = parse("0001-one.cypher", "CREATE INDEX a  IF NOT EXISTS\nFOR (n:A) ON (n.x) ;")
    assert again.checksum == ONE.checksum
    other = parse("0001-one.cypher", "CREATE INDEX a IF NOT EXISTS FOR (n:A) ON (n.y);")
    assert other.checksum != ONE.checksum


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (noted(TWO, checksum="other"), "changed after it had been applied"),
        (noted(TWO, id=3, name="later"), r"newer program \(found 3 \(later\)"),
        (noted(TWO, id="three"), "newer program"),
    ],
)
def test_another_history_than_ours_is_refused(row: dict[str, object], said: str) -> None:
    with pytest.raises(Incompatible, match=said):
        pending([noted(ONE), row], [ONE, TWO])


@pytest.mark.parametrize(
    ("name", "text"),
    [("1-one.cypher", "RETURN 1;"), ("0001-One.cypher", "RETURN 1;"), ("0001-one.cypher", "// no")],
)
def test_a_file_that_is_no_migration_is_named(name: str, text: str) -> None:
    with pytest.raises(InvalidSetting, match=name):
        parse(name, text)


def test_every_file_in_the_folder_is_one_that_is_read() -> None:
    folder = Path(__file__).parents[2] / "cypher" / "migrations"
    assert sorted(f.name for f in folder.iterdir()) == [
        f"{m.number:04d}-{m.name}.cypher" for m in migrations()
    ]
