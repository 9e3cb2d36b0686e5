"""`ringfence demo`: the whole of it, on a simulated city."""

from pathlib import Path
from typing import Annotated, Final

import typer

from api.console import examples, say, stages

EXAMPLES: Final = examples(
    "ringfence demo", "ringfence demo --port 9000 --speed 100", "ringfence demo --seed 3"
)


def demo(
    port: Annotated[int, typer.Option(help="Port of the page; 0 takes a free one.")] = 8000,
    speed: Annotated[
        float, typer.Option(min=0.1, max=5_000, help="Live transactions a second.")
    ] = 40.0,
    seed: Annotated[int, typer.Option(help="Another seed, another city.")] = 7,
    data: Annotated[
        Path | None, typer.Option(help="Where to keep the city and the model; else your cache.")
    ] = None,
) -> None:
    """Simulate a city, train on another one, serve, and stream live: watch rings grow.

    The page is at the URL it prints. Ctrl-C ends it. The second demo starts in seconds.
    """
    from api.adapters import served
    from api.demo import Stream, emptied, live_city, trained
    from api.serving import run, try_port
    from api.settings import Settings, cache_dir
    from api.wiring import build

    folder = data or cache_dir() / "demo"
    live = folder / "live"
    try_port(Settings.load(data_dir=live, port=port))  # the first demo trains for a minute
    with served(folder), served(live):  # two would begin each other's log anew
        say("simulating a city")
        city = live_city(folder, seed)
        with stages({}) as told:
            model = trained(folder, seed, told)
        emptied(live)
        settings = Settings.load(data_dir=live, model_dir=model, port=port, log_level="warning")
        # A made-up city belongs into no one's Kafka or Neo4j, even where the settings name them.
        service = build(settings.in_process())
        stream = Stream(
            service.log,
            city,
            speed,
            lambda count: say(f"the week is over: {count:,} transactions; Ctrl-C ends the demo"),
        )

        service.producers.append(stream)
        run(service, lambda url: say(f"watch the rings grow: {url}    (Ctrl-C ends it)"))
