"""`ringfence investigate`: a parameterised question to the graph database."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.console import examples, figures, say
from graph.errors import InvalidInput

if TYPE_CHECKING:
    from cypher.investigation import Investigation

EXAMPLES: Final = examples(
    "ringfence investigate",
    "ringfence investigate money-trail --about",
    "ringfence investigate ring-of-user --param user=u-1007 --data ringfence-data",
    "ringfence investigate money-trail-forward -p user=u-1007 -p hops=4 -p since=2026-03-01T00:00Z",
    "ringfence investigate shared-devices -p most=5 --json",
    "ringfence investigate pass-through --neo4j bolt://127.0.0.1:7687",
)


def investigate(
    name: Annotated[str | None, typer.Argument(help="Which; without it, all are listed.")] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="name=value; may be repeated.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Data folder, where the graph is embedded.")
    ] = None,
    neo4j: Annotated[str | None, typer.Option(help="As for serve: Neo4j's URL.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with settings; else ./ringfence.toml.")
    ] = None,
    about: Annotated[
        bool, typer.Option("--about", help="What it answers and takes, without asking it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Rows as JSON.")] = False,
) -> None:
    """Ask the graph database one of the questions that ship, or list them.

    The answer is a table, or a tree where it branches. It has a bound on rows and says when there
    were more. The embedded graph has one owner at a time: where a server runs on the same folder,
    ask it over HTTP (POST /v1/investigations/NAME).
    """
    from cypher.queries import find

    if name is None:
        _list(as_json=as_json)
        return
    found = find(name)
    if about:
        _about(found, as_json=as_json)
        return
    parameters = found.bind(_parameters(param or []))
    from api.adapters import open_graph
    from api.settings import Settings
    from cypher.queries import run

    settings = Settings.load(config=config, data_dir=data, neo4j=neo4j)
    store = open_graph(settings, must_exist=True)
    try:
        rows = run(store, name, parameters)
    finally:
        store.close()
    if as_json:
        answer = {
            "columns": rows.columns, "rows": rows.rows, "truncated": rows.truncated,
            "became": rows.became,
        }  # fmt: skip
        figures(answer, as_json=True)
        return
    from api.findings import drawn, printable
    from api.rates import rate_table
    from api.views import Views
    from ingest.currencies import EXPONENTS

    base = rate_table(settings).base
    say(found.title)
    for given, became in rows.became.items():
        say(f"Ring {printable(given)} merged into {printable(became)}, which this tells of.")
    if rows.rows:
        console = Console(highlight=False)
        views = Views(base, EXPONENTS[base])
        console.print(drawn(found, parameters, rows, views, console))
    if not rows.rows:
        say("Nothing found. An id that the graph does not know finds nothing either.")
    elif rows.truncated:
        say(f"The first {len(rows.rows)} rows, and there are more: ask for less.")
    else:
        say(f"{len(rows.rows)} row" + ("" if len(rows.rows) == 1 else "s"))


def _parameters(given: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name.strip() in found:
            raise InvalidInput(
                "is given twice" if equals else "a parameter is name=value",
                field="--param",
                value=text,
                remedy="Write it as in --param user=u-1007, each name once.",
            )
        found[name.strip()] = value
    return found


def _list(*, as_json: bool) -> None:
    from cypher.queries import catalogue

    if as_json:
        from api.routes.investigations import view

        figures({"investigations": [view(each) for each in catalogue()]}, as_json=True)
        return
    console = Console(highlight=False)
    width = max(len(each.name) for each in catalogue())
    table = Table(box=None, show_header=False, pad_edge=False, expand=True)
    table.add_column(no_wrap=True, min_width=width)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    group = None
    for each in catalogue():
        if each.group != group:
            group = each.group
            table.add_row(Text(group, style="bold"), "")
        mark = "*" if each.needs else ""
        table.add_row(Text(f"  {each.name}{mark}", style="cyan"), Text(each.summary))
    console.print(table)
    console.print(Text("* needs Neo4j", style="dim"))
    say("ringfence investigate NAME --about tells what one takes; --param NAME=VALUE asks it.")


def _about(found: "Investigation", *, as_json: bool) -> None:
    if as_json:
        from api.routes.investigations import view

        figures(view(found), as_json=True)
        return
    console = Console(highlight=False)
    console.print(Text(found.title, style="bold"))
    console.print(Text(found.question))
    console.print(Text(f"Asked by: {found.asked_by}", style="dim"))
    if found.needs is not None:
        console.print(Text(f"Needs {found.needs}: {found.needs_for}", style="yellow"))
    for heading, rows in (
        ("takes", [(p.name, f"{p.meaning} {_takes(p.describe(), p.default)}")
                   for p in found.parameters]),
        ("answers", [(c.name, c.meaning) for c in found.columns]),
        ("costs", [("work", found.cost), ("bound", found.bound),
                   ("limits", f"{found.max_rows} rows, {found.timeout_ms // 1000} s")]),
    ):  # fmt: skip
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(no_wrap=True, min_width=14)
        table.add_column()
        for name, meaning in rows:
            table.add_row(Text(f"  {name}", style="cyan"), Text(meaning))
        console.print(Text(f"\n{heading}", style="bold"))
        console.print(table)
    console.print(f"\n$ {found.example}", markup=False, soft_wrap=True)


def _takes(described: str, default: str | int | None) -> str:
    return f"({described}" + (")" if default is None else f"; {default} if not given)")
