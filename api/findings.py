"""What an investigation found, as a person reads it: a table, or a tree where the answer is one.

Values are shown by the type that the header declares: money in the base currency, times to the
second in UTC, ids as they are. The same cells make the page in `docs/`.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from api.views import Views
from cypher.investigation import Column, Investigation
from cypher.ports import Rows

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LISTED: Final = "list of "
_RIGHT: Final = frozenset({"money", "integer", "number"})
_ARROWED: Final = frozenset({"accounts", "entities", "path"})
"""Columns whose items follow each other, and are not only several."""

NOTHING: Final = "-"

SQUEEZED: Final = 1.25
"""How many times too wide a table may be: a list in it goes over two lines and can be read."""

_ENDLESS: Final = 100_000


def drawn(
    about: Investigation,
    parameters: Mapping[str, object],
    rows: Rows,
    views: Views,
    console: Console,
) -> RenderableType:
    """The answer, ready for a console: a tree, a table, or cards where a table is too wide.

    Args:
        about: What was asked.
        parameters: As they were bound.
        rows: The answer.
        views: How money is shown.
        console: Where it will be shown; a table is never squeezed until it cannot be read.
    """
    if about.branch is not None:
        return _tree(about, parameters, rows, views)
    table = _table(about, rows, views)
    endless = console.options.update(max_width=_ENDLESS)
    width = console.measure(table, options=endless)
    if width.minimum <= console.width and width.maximum <= SQUEEZED * console.width:
        return table
    return _cards(about, rows, views)


def cell(column: Column, value: object, views: Views) -> str:
    """A value as its column's type is read."""
    kind = column.type
    if value is None:
        return NOTHING
    if kind.startswith(_LISTED):
        single = Column(column.name, kind.removeprefix(_LISTED).removesuffix("s"), column.meaning)
        items = [cell(single, each, views) for each in _items(value)]
        return (" → " if column.name in _ARROWED else ", ").join(items)
    if kind == "money" and isinstance(value, int):
        return views.money_text(value)
    if kind == "timestamp" and isinstance(value, int):
        return f"{_EPOCH + timedelta(milliseconds=value):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else printable(str(value))


def printable(text: str) -> str:
    """Text from the graph on one line, without what would move a terminal's cursor."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _items(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else [value]


def _table(about: Investigation, rows: Rows, views: Views) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    drawn_rows = [
        [
            Text(cell(column, value, views), style=_style(column, value))
            for column, value in zip(about.columns, row, strict=True)
        ]
        for row in rows.rows
    ]
    for place, column in enumerate(about.columns):
        listed = column.type.startswith(_LISTED)
        heading = column.name.replace("_", " ")
        widths = [cell_len(heading), *(row[place].cell_len for row in drawn_rows)]
        table.add_column(
            heading,
            justify="right" if column.type in _RIGHT else "left",
            # A list may go over several lines; anything else is one word to copy, never cut.
            no_wrap=not listed,
            min_width=None if listed else max(widths),
            overflow="fold",
        )
    for each in drawn_rows:
        table.add_row(*each)
    return table


def _cards(about: Investigation, rows: Rows, views: Views) -> Group:
    """Row under row, a line for each column."""
    cards: list[RenderableType] = []
    for number, row in enumerate(rows.rows, start=1):
        card = Table(box=None, show_header=False, pad_edge=False)
        card.add_column(style="dim", no_wrap=True)
        card.add_column(overflow="fold")
        for column, value in zip(about.columns, row, strict=True):
            text = Text(cell(column, value, views), style=_style(column, value))
            card.add_row(column.name.replace("_", " "), text)
        cards += [Text(f"{number}", style="bold"), Padding(card, (0, 0, 1, 2))]
    return Group(*cards)


def _style(column: Column, value: object) -> str:
    if value is None:
        return "dim"
    if column.type == "timestamp":
        return "cyan"
    return "green" if column.type == "money" else ""


def _tree(about: Investigation, parameters: Mapping[str, object], rows: Rows, views: Views) -> Tree:
    """Rows come with parents before children, so each finds the branch that it hangs on."""
    given = [str(parameters[p.name]) for p in about.parameters if p.required]
    root = Tree(Text(printable(" ".join(given)), style="bold"), guide_style="dim")
    branches: dict[tuple[object, ...], Tree] = {(): root}
    place = rows.columns.index("path")
    for row in rows.rows:
        path = tuple(_items(row[place]))
        parent = branches.get(path[:-1])
        if parent is not None:  # always, but a database that breaks its order must not break us
            branches[path] = parent.add(_branch(about, row, views))
    return root


def _branch(about: Investigation, row: tuple[object, ...], views: Views) -> Text:
    columns = {c.name: (c, value) for c, value in zip(about.columns, row, strict=True)}
    told = Text()
    for part in re.split(r"(\{\w+\})", about.branch or ""):
        name = part[1:-1]
        if not part.startswith("{"):
            told.append(part)
            continue
        column, value = columns[name]
        if value is None:
            told.rstrip()
        else:
            strong = column.type == "string" and name not in ("kind",)
            told.append(cell(column, value, views), "bold" if strong else _style(column, value))
    told.rstrip()
    return told
