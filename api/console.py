"""The terminal: figures on stdout, everything else on stderr."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

STDERR: Final = Console(stderr=True, highlight=False)

Advance = Callable[[int], None]


def say(text: str) -> None:
    """A line for the person at the terminal."""
    STDERR.print(text, markup=False, soft_wrap=True)


def figures(values: Mapping[str, Any], *, as_json: bool, title: str = "") -> None:
    """Figures on stdout: one JSON object, or a table with one row a figure."""
    if as_json:
        data = msgspec.json.format(msgspec.json.encode(values), indent=2)
        sys.stdout.buffer.write(data + b"\n")
        sys.stdout.flush()
        return
    table = Table("", "", title=title or None, show_header=False, box=None, title_justify="left")
    for name, value in _flat(values):
        table.add_row(name, _shown(value))
    Console(highlight=False).print(table)


def compared(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, title: str, notes: Iterable[str] = ()
) -> None:
    """A table on stdout with a head and right-aligned figures, and sentences below it."""
    table = Table(title=title, box=None, title_justify="left", pad_edge=False)
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place else "left")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False)
    console.print(table)
    for note in notes:
        console.print(note, markup=False, soft_wrap=True)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _shown(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_shown(each) for each in value)
    return str(value)


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Advance]:
    """A bar on stderr while a long work goes on; silent where stderr is not a terminal."""
    bar = _bars()
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def stages(totals: Mapping[str, int]) -> Iterator[Callable[[str, int], None]]:
    """Bars for a work that tells its stages: called with a stage and how much of it is done."""
    with _bars() as bars:
        tasks: dict[str, TaskID] = {}

        def told(stage: str, done: int) -> None:
            if stage not in tasks:
                for earlier in tasks.values():
                    bars.stop_task(earlier)
                tasks[stage] = bars.add_task(stage, total=totals.get(stage))
            bars.update(tasks[stage], completed=done)

        yield told


def _bars() -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=STDERR, transient=True, disable=not STDERR.is_terminal)


def examples(*lines: str) -> str:
    """The examples under a command's options, one a line."""
    return "\n\n".join(["Examples:", *(f"$ {line}" for line in lines)])
