"""Writes docs/investigations.md: every investigation with the answer it gives on the casebook.

python -m api.investigations_page          write the page
python -m api.investigations_page --check  exit 1 if it is not up to date
"""

import shlex
import sys
import tempfile
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Final

from rich.console import Console

from api.findings import cell, drawn
from api.views import Views
from cypher import casebook
from cypher.analytics.embedded import EmbeddedAnalytics
from cypher.embedded import EmbeddedGraphStore
from cypher.investigation import Investigation, Parameter
from cypher.ports import GraphStore, Rows
from cypher.queries import catalogue, run

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "investigations.md"
SHOWN: Final = 8
"""Rows of an answer on the page; it says how many more there are."""

_VIEWS: Final = Views("EUR", 2)

_PREFACE: Final = """\
# Investigations

<!-- Written by `python -m api.investigations_page`; a test compares it with the query files. -->

Parameterised questions to the [graph](graph-model.md), each one file in `cypher/`. They read and
never write, values reach them as parameters only, and each has a limit on rows and on time: an
answer says when there were more rows, and a question that takes too long is refused with the
advice to ask for less. On the embedded graph and on Neo4j 5 they give the same rows in the same
order; the few that need Neo4j say so.

```sh
ringfence investigate                                # the list
ringfence investigate money-trail --about            # what one answers, takes and costs
ringfence investigate money-trail -p source=u-1 -p target=u-4
curl -s localhost:8000/v1/investigations             # the same over HTTP
curl -s localhost:8000/v1/investigations/money-trail \\
  -H 'content-type: application/json' -d '{"source": "u-1", "target": "u-4"}'
```

`ringfence investigate` shows money in the base currency and times in UTC; JSON has minor units and
milliseconds since the epoch. As a parameter a time may be RFC 3339 as well. Where a ring is asked
about that merged into another, the rows are those of the ring it became, and the answer names it
(`became`).

What is not in the list can be asked in Cypher by whoever holds the token `RINGFENCE_CYPHER_TOKEN`
(`POST /v1/cypher` with `{"query": …, "parameters": …}`): read-only, at most 500 rows and 5 s, every
use in the log `ringfence.audit`. Without that setting nobody may. The embedded graph counts rows
and time, not the bytes of a text: a statement that doubles one thirty times takes the memory of the
machine and ends the process. Give the token to whom you would give a shell there, or use Neo4j,
whose transactions have a limit of memory.

The answers below are those of a small invented case (`cypher/casebook.py`): *anna*, *boris* and
*clara* pass money round in a circle on one phone; *vera*, *walt* and *yusuf* are robbed by way of
*mike* and *nora*, and *olga* cashes out; *sam*'s account wakes up in other hands; *fun-shop* has
customers of its own making; *paul* and *rita* are ordinary people."""


def page() -> str:
    """The page, in Markdown; the answers are asked for as it is written."""
    lines = [_PREFACE, "", *_contents()]
    with tempfile.TemporaryDirectory() as folder:
        store = EmbeddedGraphStore(Path(folder) / "casebook.kgl")
        try:
            store.write(casebook.batch())
            EmbeddedAnalytics(store).analyse()
            group = None
            for each in catalogue():
                if each.group != group:
                    group = each.group
                    lines += ["", f"## {group.capitalize()}"]
                lines += _section(each, store)
        finally:
            store.close()
    return "\n".join(lines) + "\n"


def _contents() -> Iterator[str]:
    yield "| | investigation | question |"
    yield "|---|---|---|"
    group = None
    for each in catalogue():
        told = "" if each.group == group else f"**{each.group}**"
        group = each.group
        link = f"[`{each.name}`](#{each.name})"
        yield f"| {told} | {link}{' (Neo4j only)' if each.needs else ''} | {each.summary} |"


def _section(about: Investigation, store: GraphStore) -> Iterator[str]:
    yield from ["", f'<a id="{about.name}"></a>', "", f"### {about.title}", "", about.question]
    yield from ["", f"*Asked by:* {about.asked_by}", ""]
    if about.needs is not None:
        yield from [f"**Needs Neo4j:** {about.needs_for}", ""]
    yield from ["| parameter | takes | default | meaning |", "|---|---|---|---|"]
    for p in about.parameters:
        yield f"| `{p.name}` | {p.describe()} | {_default(p)} | {p.meaning} |"
    yield from ["", "| column | type | meaning |", "|---|---|---|"]
    for column in about.columns:
        yield f"| `{column.name}` | {column.type} | {column.meaning} |"
    limits = f"{about.max_rows} rows, {about.timeout_ms // 1000} s."
    yield from ["", f"*Cost:* {about.cost} *Bound:* {about.bound} *Limits:* {limits}"]
    asked = casebook.CALLS[about.name]
    given = "".join(f" -p {name}={shlex.quote(str(value))}" for name, value in asked.items())
    yield from ["", f"Its Cypher: [{about.name}.cypher](../cypher/{about.name}.cypher)."]
    yield from ["", "```console", f"$ ringfence investigate {about.name}{given}", "```"]
    if about.needs is None:
        yield from _answer(about, run(store, about.name, asked))


def _answer(about: Investigation, rows: Rows) -> Iterator[str]:
    shown = Rows(rows.columns, rows.rows[:SHOWN], rows.truncated)
    yield ""
    if about.branch is not None:
        asked = about.bind(casebook.CALLS[about.name])
        console = Console(file=StringIO(), width=110, color_system=None, legacy_windows=False)
        console.print(drawn(about, asked, shown, _VIEWS, console))
        drawing = console.file
        assert isinstance(drawing, StringIO)  # noqa: S101 - as it was made
        yield from ["```", *(line.rstrip() for line in drawing.getvalue().splitlines()), "```"]
    else:
        yield "| " + " | ".join(name.replace("_", " ") for name in rows.columns) + " |"
        yield "|" + "---|" * len(rows.columns)
        for row in shown.rows:
            cells = (cell(c, value, _VIEWS) for c, value in zip(about.columns, row, strict=True))
            yield "| " + " | ".join(each.replace("|", "\\|") for each in cells) + " |"
    if len(rows.rows) > SHOWN:
        yield from ["", f"… and {len(rows.rows) - SHOWN} more."]


def _default(parameter: Parameter) -> str:
    if parameter.default is None:
        return f"must be given, for example `{parameter.quoted(parameter.example)}`"
    return f"`{parameter.quoted(parameter.default)}`"


def main(arguments: list[str]) -> int:
    """Write the page, or say that it is stale."""
    if arguments == ["--check"]:
        if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page():
            return 0
        sys.stderr.write("docs/investigations.md is stale: run python -m api.investigations_page\n")
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
