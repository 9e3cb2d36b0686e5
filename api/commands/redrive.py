"""`ringfence redrive`: dead letters back into the stream, once what refused them was put right."""

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.console import examples, figures, say
from graph.errors import InvalidInput

if TYPE_CHECKING:
    from graph.transaction import Transaction
    from ingest.redrive import Row

EXAMPLES: Final = examples(
    "ringfence redrive --all --dry-run",
    "ringfence redrive --topic transactions --partition 3 --offset 1207",
    "ringfence redrive --all --kafka 127.0.0.1:9092 --json",
)
MOST_SHOWN: Final = 1_000
"""Rows of the table; the counts below it are of all."""
_REASON: Final = 60


def redrive(
    topic: Annotated[str | None, typer.Option(help="Only what came from this topic.")] = None,
    partition: Annotated[int | None, typer.Option(help="Only from this partition.")] = None,
    offset: Annotated[int | None, typer.Option(help="Only from this offset.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every dead letter.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be redriven.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what was redriven before.")] = False,
    kafka: Annotated[str | None, typer.Option(help="As for serve: Kafka's host:port.")] = None,
    data: Annotated[Path | None, typer.Option(help="As for serve: data folder.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with settings; else ./ringfence.toml.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The answer as JSON.")] = False,
) -> None:
    """Put dead letters back into the stream they came from, each once.

    A letter is a record that could not be understood: poison, or a schema this version does not
    know. Its bytes go to the end of their partition as they came; the engine may run meanwhile.
    What would be refused again, with the rates, the version and the clock here, stays and says why.
    """
    from api.adapters import visit_log
    from api.rates import rate_table
    from api.settings import Settings
    from ingest.codec import decode, require_not_ahead
    from ingest.redrive import Choice
    from ingest.redrive import redrive as run

    choice = Choice(_topic(topic), partition, offset)
    if choice.everything != every:
        raise InvalidInput(
            "name the letters to redrive, or all of them",
            field="--all",
            value="as well as a place" if every else "nothing",
            remedy="Give --topic, --partition or --offset, or else --all.",
        )
    rows: list[Row] = []
    counts: dict[str, int] = {}

    def told(row: "Row") -> None:
        counts[row.became] = counts.get(row.became, 0) + 1
        if len(rows) < MOST_SHOWN:
            rows.append(row)

    settings = Settings.load(config=config, kafka=kafka, data_dir=data)
    known = partial(decode, rates=rate_table(settings), now=None)

    def read(data: bytes) -> "Transaction":
        transaction = known(data)
        require_not_ahead(transaction, time.time_ns() // 1_000_000)
        return transaction

    log = visit_log(settings)
    try:
        run(log, choice, told, read=read, dry_run=dry_run, again=again)
    finally:
        log.close()
    if as_json:
        figures({"letters": [_view(row) for row in rows], "counts": counts}, as_json=True)
    else:
        _print(rows)
        say(", ".join(f"{count} {became}" for became, count in counts.items()) or "no dead letters")
        if sum(counts.values()) > len(rows):
            say(f"only the first {len(rows)} are shown")


def _topic(name: str | None) -> Any:
    from ingest.ports import Topic

    if name is None:
        return None
    try:
        return Topic(name)
    except ValueError:
        raise InvalidInput(
            "there is no such topic",
            field="--topic",
            value=name,
            remedy=f"Name one of {', '.join(Topic)}, without the prefix.",
        ) from None


def _view(row: "Row") -> dict[str, Any]:
    letter = row.letter
    place: dict[str, Any] = {}
    if letter is not None:
        place = {
            "topic": letter.topic,
            "partition": letter.partition,
            "offset": letter.offset,
            "consumer": letter.consumer,
            "code": letter.code,
            "reason": letter.reason,
        }
    return {"letter": row.number, **place, "became": row.became, "why": row.why}


def _print(rows: "list[Row]") -> None:
    table = Table("letter", "from", "code", "reason", "became", box=None)
    for row in rows:
        letter = row.letter
        became = f"{row.became}: {row.why}" if row.why else str(row.became)
        if letter is None:
            table.add_row(str(row.number), "?", "", "", Text(became))
            continue
        place = f"{letter.topic} {letter.partition} @ {letter.offset}"
        cells = (place, letter.code, letter.reason[:_REASON], became)
        table.add_row(str(row.number), *(Text(cell) for cell in cells))
    Console(highlight=False).print(table)
