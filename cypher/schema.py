"""Migrations: constraints and indexes in numbered files, applied once each and in order.

`cypher/migrations/NNNN-name.cypher` holds statements of Neo4j's Cypher, each ended by `;`. What was
applied is written into the graph itself, one `(:Migration {id, name, checksum})` each, so the
database says what it is whoever asks. A file that was applied never changes: another one follows
it. Every statement says IF NOT EXISTS, because a schema command and the note that it was applied
cannot share a transaction: after a crash between the two it is run again.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from graph.errors import Incompatible, InvalidSetting

_NAME: Final = re.compile(r"(?P<number>\d{4})-(?P<name>[a-z-]+)\.cypher")

LEDGER: Final = (
    "CREATE CONSTRAINT migration_id IF NOT EXISTS FOR (n:Migration) REQUIRE n.id IS UNIQUE"
)
"""Run before anything else: it keeps two programs that open at once from noting the same twice."""

APPLIED: Final = "MATCH (m:Migration) RETURN m.id AS id, m.name AS name, m.checksum AS checksum"

NOTE: Final = (
    "MERGE (m:Migration {id: $id}) "
    "ON CREATE SET m.name = $name, m.checksum = $checksum, m.applied_at = timestamp()"
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file.

    Attributes:
        number: Its place, from 1 without gaps.
        name: For people.
        statements: In order.
        checksum: SHA-256 of its statements; comments and layout do not count.
    """

    number: int
    name: str
    statements: tuple[str, ...]
    checksum: str


@cache
def migrations() -> tuple[Migration, ...]:
    """Every migration that ships, in order.

    Raises:
        InvalidSetting: A file is not named as it must be, or a number is missing or used twice.
    """
    folder = resources.files(__package__) / "migrations"
    files = [f for f in folder.iterdir() if f.name.endswith(".cypher")]
    found = [parse(f.name, f.read_text(encoding="utf-8")) for f in files]
    found.sort(key=lambda migration: migration.number)
    numbers = [migration.number for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise InvalidSetting(
            "migrations must be numbered from 1, each number once",
            field="cypher/migrations",
            value=str(numbers),
            remedy="Give the newest the next number.",
        )
    return tuple(found)


def parse(file: str, text: str) -> Migration:
    """What a file holds.

    Raises:
        InvalidSetting: The name has another form, or there is no statement.
    """
    named = _NAME.fullmatch(file)
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("//"))
    parts = (" ".join(part.split()) for part in "\n".join(lines).split(";"))
    statements = tuple(part for part in parts if part)
    if named is None or not statements:
        raise InvalidSetting(
            "is not a migration",
            field=file,
            remedy="Name it NNNN-name.cypher and end each statement with a semicolon.",
        )
    checksum = hashlib.sha256("\n".join(statements).encode()).hexdigest()
    return Migration(int(named["number"]), named["name"], statements, checksum)


def pending(
    applied: Sequence[Mapping[str, object]], shipped: Sequence[Migration] | None = None
) -> list[Migration]:
    """What is left to apply, in order.

    Args:
        applied: The rows of `APPLIED`.
        shipped: What this program ships; `migrations()` unless a test says otherwise.

    Raises:
        Incompatible: The database has a migration that this program does not know, or one that
            was another when it was applied.
    """
    known = {m.number: m for m in (migrations() if shipped is None else shipped)}
    done = set()
    for row in sorted(applied, key=lambda row: str(row["id"])):
        number = row["id"]
        mine = known.get(number) if isinstance(number, int) else None
        if mine is None:
            raise Incompatible(
                "the database was migrated by a newer program",
                field="graph migration",
                value=f"{number} ({row['name']}), this program knows up to {max(known, default=0)}",
                remedy="Upgrade this program, or point it at another database.",
            )
        if row["checksum"] != mine.checksum:
            raise Incompatible(
                "a migration was changed after it had been applied",
                field="graph migration",
                value=f"{number} ({row['name']}), applied as {str(row['checksum'])[:12]}, "
                f"here {mine.checksum[:12]}",
                remedy="Restore the file and put the change into a new one.",
            )
        done.add(mine.number)
    return [m for number, m in sorted(known.items()) if number not in done]
