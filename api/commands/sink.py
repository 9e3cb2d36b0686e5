"""`ringfence sink`: followers of the log in a process of their own."""

from pathlib import Path
from typing import Annotated, Final

import typer

from api.console import examples, say

EXAMPLES: Final = examples(
    "ringfence sink graph --kafka 127.0.0.1:9092 --neo4j bolt://127.0.0.1:7687",
    "ringfence sink cache --kafka 127.0.0.1:9092 --redis redis://127.0.0.1:6379/0 --port 9464",
)


def sink(
    which: Annotated[list[str], typer.Argument(help="graph, cache or both.", metavar="SINK...")],
    port: Annotated[
        int | None, typer.Option(help="Port of /metrics; without it, none is open.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the embedded parts.")] = None,
    kafka: Annotated[str | None, typer.Option(help="Kafka's host:port.")] = None,
    neo4j: Annotated[str | None, typer.Option(help="Neo4j's URL.")] = None,
    redis: Annotated[str | None, typer.Option(help="Redis's URL.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with settings; else ./ringfence.toml.")
    ] = None,
) -> None:
    """Follow the log into the graph database or the cache, until SIGTERM.

    `ringfence serve` does this by itself; run it apart (and serve with `--sinks none`) to keep the
    work off the machine that answers. Of two that follow into the graph one stands by; two caches'
    followers do the same work twice, which is harmless.
    """
    from api.settings import Settings
    from api.sinks import run

    settings = Settings.load(
        config=config,
        sinks=",".join(which),
        data_dir=data,
        kafka=kafka,
        neo4j=neo4j,
        redis=redis,
        host=host,
        port=port,
    )
    run(settings, listen=port is not None, announce=say)
