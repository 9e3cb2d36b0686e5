"""`ringfence investigate`: a parameterised question to the graph database."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.console import examples, figures, say
from graph.errors import InvalidInput

EXAMPLES: Final = examples(
    "ringfence investigate",
    "ringfence investigate ring-of-user --param user=u-1007 --data ringfence-data",
    "ringfence investigate fan-in --param user=u-1007 --json",
)


def investigate(
    name: Annotated[str | None, typer.Argument(help="Which; without it, all are listed.")] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="name=value; may be repeated.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the graph database.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Rows as JSON.")] = False,
) -> None:
    """Ask the graph database one of the questions that ship, or list them.

    The graph has one owner at a time: where a server runs on the same folder, ask it over HTTP.
    """
    from cypher.queries import catalogue, run

    if name is None:
        if as_json:
            from api.routes.investigations import view

            figures({"investigations": [view(each) for each in catalogue()]}, as_json=True)
        else:
            _list()
        return
    from api.adapters import open_graph
    from api.settings import Settings

    settings = Settings.load(data_dir=data)
    store = open_graph(settings, must_exist=True)
    try:
        rows = run(store, name, _parameters(param or []))
    finally:
        store.close()
    if as_json:
        answer = {"columns": rows.columns, "rows": rows.rows, "truncated": rows.truncated}
        figures(answer, as_json=True)
    else:
        _table(rows.columns, rows.rows, truncated=rows.truncated)


def _parameters(given: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidInput(
                "a parameter is name=value",
                field="--param",
                value=text,
                remedy="Write it as in --param user_id=u-1007.",
            )
        found[name.strip()] = value
    return found


def _list() -> None:
    from cypher.queries import catalogue

    table = Table("name", "what it answers", "parameters", box=None)
    for each in catalogue():
        names = ", ".join(p.name if p.required else f"[{p.name}]" for p in each.parameters)
        table.add_row(each.name, each.question, names.replace("[", r"\["))
    Console(highlight=False).print(table)


def _table(
    columns: tuple[str, ...], rows: tuple[tuple[object, ...], ...], *, truncated: bool
) -> None:
    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*(Text("" if value is None else str(value)) for value in row))
    Console(highlight=False).print(table)
    say(f"{len(rows)} rows" + (", and there are more: ask narrower" if truncated else ""))
