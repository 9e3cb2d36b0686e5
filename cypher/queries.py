"""The catalogue of investigations, and how one is run.

Every `.cypher` file beside this module is an investigation. Its query is sent as it stands in the
file; what the caller gives is checked against the header and reaches the database as parameters
only, so no value can become part of a query.

`python -m cypher.queries > docs/investigations.md` writes the reference page.
"""

import sys
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import ClassVar, Final

from cypher.investigation import Investigation, Parameter, parse
from cypher.ports import GraphStore, Rows
from graph.errors import InvalidInput

MAX_ROWS: Final = 500
"""Rows in an answer: what a person can look through and a page can draw."""

TIMEOUT_MS: Final = 5_000
"""How long an investigator waits before a narrower question is the better answer."""


class UnknownInvestigation(InvalidInput):
    """There is no investigation of this name."""

    code: ClassVar[str] = "unknown-investigation"
    http_status: ClassVar[int] = 404


def catalogue() -> list[Investigation]:
    """Every investigation, by name."""
    return list(_shipped())


@cache
def _shipped() -> tuple[Investigation, ...]:
    files = (f for f in resources.files(__package__).iterdir() if f.name.endswith(".cypher"))
    return tuple(
        parse(f.name.removesuffix(".cypher"), f.read_text(encoding="utf-8"))
        for f in sorted(files, key=lambda f: f.name)
    )


def find(name: str) -> Investigation:
    """The investigation of this name.

    Raises:
        UnknownInvestigation: There is none; the remedy lists those there are.
    """
    for investigation in catalogue():
        if investigation.name == name:
            return investigation
    raise UnknownInvestigation(
        "there is no investigation of this name",
        field="name",
        value=repr(name[:80]),
        remedy=f"There are {', '.join(i.name for i in catalogue())}.",
    )


def run(
    store: GraphStore,
    name: str,
    parameters: Mapping[str, object],
    *,
    max_rows: int = MAX_ROWS,
    timeout_ms: int = TIMEOUT_MS,
) -> Rows:
    """Ask the store one of the catalogue's questions.

    An id that the graph does not know gives no rows; it is not an error.

    Args:
        store: Whom to ask.
        name: Name in the catalogue.
        parameters: By name, as a form or JSON carries them; those with a default may be missing.
        max_rows: At most so many rows, 1 to `MAX_ROWS`; `Rows.truncated` says that there were more.
        timeout_ms: At most so long.

    Raises:
        UnknownInvestigation: There is no such investigation.
        InvalidInput: A parameter is unknown, missing, of another type or out of bounds.
        QueryTooBroad: It took longer or needed more memory than it may.
        GraphUnavailable: The store does not answer.
    """
    investigation = find(name)
    bound = investigation.bind(parameters)
    if not 1 <= max_rows <= MAX_ROWS:
        raise InvalidInput(
            f"must be from 1 to {MAX_ROWS}",
            field="max_rows",
            value=str(max_rows),
            remedy=f"Leave it out for {MAX_ROWS} rows.",
        )
    return store.query(investigation.cypher, bound, max_rows=max_rows, timeout_ms=timeout_ms)


_PREFACE: Final = f"""\
# Investigations

<!-- Written by `python -m cypher.queries`; a test compares it with the query files. -->

Parameterised questions to the [graph](graph-model.md), each one file in `cypher/`. An answer has
at most {MAX_ROWS} rows and says `truncated` when there were more; one that takes longer than
{TIMEOUT_MS / 1000:g} s is refused with the advice to ask narrower. Money is in minor units of the
base currency, a timestamp is milliseconds since the epoch; as a parameter RFC 3339 does as well."""


def reference() -> str:
    """The reference page of all investigations, in Markdown."""
    out = [_PREFACE]
    for each in catalogue():
        out += [
            "",
            f"## {each.title}",
            "",
            f"`{each.name}`: {each.question}",
            "",
            "| parameter | takes | default | meaning |",
            "|---|---|---|---|",
            *(
                f"| `{p.name}` | {p.describe()} | {_default(p)} | {p.meaning} |"
                for p in each.parameters
            ),
            "",
            "| column | type | meaning |",
            "|---|---|---|",
            *(f"| `{c.name}` | {c.type} | {c.meaning} |" for c in each.columns),
            "",
            f"Cost: {each.cost}",
            "",
            "```cypher",
            each.cypher,
            "```",
        ]
    return "\n".join(out) + "\n"


def _default(parameter: Parameter) -> str:
    if parameter.default is None:
        return f"must be given, for example `{parameter.quoted(parameter.example)}`"
    return f"`{parameter.quoted(parameter.default)}`"


if __name__ == "__main__":
    sys.stdout.write(reference())
