"""`ringfence serve`: the scoring API and the ring page."""

from pathlib import Path
from typing import Annotated, Final

import typer

from api.console import examples, say

EXAMPLES: Final = examples(
    "ringfence serve --model model --data ringfence-data --port 8000",
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
) -> None:
    """Serve the scoring API, the event streams and the ring page.

    Every option can be set by a RINGFENCE_* variable as well; see docs/cli.md.
    """
    from api.serving import run
    from api.settings import Settings
    from api.wiring import build

    settings = Settings.load(model_dir=model, data_dir=data, port=port, host=host)
    run(build(settings), lambda url: say(f"Ringfence listens at {url}"))
