"""`ringfence produce`: a data set into the stream, at a pace."""

import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from api.console import examples, figures, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graph.transaction import Transaction

EXAMPLES: Final = examples(
    "ringfence produce city --mapping ringfence --rate 500 --kafka 127.0.0.1:9092",
    "ringfence produce city --mapping ringfence --rate 0 --limit 100000",
    "ringfence produce city --mapping ringfence --rate 2000 --loop",
)


def produce(
    data_set: Annotated[Path, typer.Argument(metavar="DATA", help="Folder with the history.")],
    mapping: Annotated[str, typer.Option(help="A mapping that ships, by name, or a TOML file.")],
    rate: Annotated[
        float, typer.Option(min=0, help="Transactions a second; 0: as fast as the log takes them.")
    ],
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many.")] = None,
    loop: Annotated[
        bool, typer.Option("--loop", help="Begin anew at the end, later and under new ids.")
    ] = False,
    kafka: Annotated[str | None, typer.Option(help="As for serve: Kafka's host:port.")] = None,
    data: Annotated[Path | None, typer.Option(help="As for serve: data folder.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with settings; else ./ringfence.toml.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON.")] = False,
) -> None:
    """Feed the stream of the configured log from a data set, in the order of its event time.

    Each transaction goes to the partition of its user. The rate is printed every second; it holds
    on the average, so a pause of the log is caught up. Interrupt it to stop early.
    """
    from api.adapters import visit_log
    from api.settings import Settings
    from ingest.datasets import read
    from ingest.feeding import endlessly, feed
    from ingest.mapping import load_mapping

    found = load_mapping(mapping)

    def history() -> "Iterator[Transaction]":
        return (row.transaction for row in read(data_set, found))

    shown = _Rate()
    settings = Settings.load(config=config, kafka=kafka, data_dir=data)
    log = visit_log(settings, must_exist=False)  # a log may be filled before it is served
    try:
        coming = endlessly(history) if loop else history()
        feed(log, islice(coming, limit), rate=rate, told=shown.told)
    except KeyboardInterrupt:
        say("interrupted")
    finally:
        log.close()
    figures(shown.figures(), as_json=as_json, title="produced")


class _Rate:
    """How many, and how fast: said every second."""

    def __init__(self) -> None:
        self._began = self._said_at = time.monotonic()
        self._sent = self._said = 0

    def told(self, sent: int) -> None:
        self._sent = sent
        now = time.monotonic()
        if now - self._said_at >= 1.0:
            say(f"{sent:,} sent, {(sent - self._said) / (now - self._said_at):,.0f} a second")
            self._said_at, self._said = now, sent

    def figures(self) -> dict[str, float]:
        seconds = time.monotonic() - self._began
        return {"sent": self._sent, "seconds": seconds, "per_second": round(self._sent / seconds)}
