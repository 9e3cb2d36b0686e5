"""`ringfence serve`: the scoring API and the ring page."""

from pathlib import Path
from typing import Annotated, Final

import typer

from api.console import examples, say

EXAMPLES: Final = examples(
    "ringfence serve --model model --data ringfence-data --port 8000",
    "ringfence serve --kafka 127.0.0.1:9092 --neo4j bolt://127.0.0.1:7687 --config ringfence.toml",
    "curl -s localhost:8000/readyz",
    "curl -s localhost:8000/v1/score -H 'content-type: application/json' -d @transaction.json",
)


def serve(
    model: Annotated[
        Path | None, typer.Option(help="Trained model; without it, rules and graph answer.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the log, the graph and the checkpoints.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    kafka: Annotated[
        str | None, typer.Option(help="Kafka's host:port; without it, the log is embedded.")
    ] = None,
    neo4j: Annotated[
        str | None, typer.Option(help="Neo4j's URL; without it, the graph is embedded.")
    ] = None,
    redis: Annotated[
        str | None, typer.Option(help="Redis's URL; without it, the cache is in this process.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with settings; else ./ringfence.toml.")
    ] = None,
) -> None:
    """Serve the scoring API, the event streams and the ring page.

    Every setting can be given by a RINGFENCE_* variable or in a file as well, passwords best so;
    see docs/configuration.md. `ringfence config check` says whether they can work.
    """
    from api.settings import Settings

    settings = Settings.load(
        config=config,
        model_dir=model,
        data_dir=data,
        port=port,
        host=host,
        kafka=kafka,
        neo4j=neo4j,
        redis=redis,
    )
    # What they load takes seconds: not before the settings are right.
    from api.adapters import served
    from api.serving import run
    from api.wiring import build

    with served(settings.data_dir):
        run(build(settings), lambda url: say(f"Ringfence listens at {url}"))
