"""`ringfence simulate`: a world of people, merchants and rings, as labelled transactions."""

import time
from pathlib import Path
from typing import Annotated, Final

import typer

from api.console import examples, figures, say

EXAMPLES: Final = examples(
    "ringfence simulate --out city",
    "ringfence simulate --out city --seed 3 --days 90 --users 20000",
    "ringfence train city --mapping ringfence --out model",
)


def simulate(
    out: Annotated[Path, typer.Option(help="Folder for transactions.parquet and the true rings.")],
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 7,
    days: Annotated[float, typer.Option(help="Length of the simulated time.")] = 30.0,
    users: Annotated[int, typer.Option(help="People; businesses come on top.")] = 5_000,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON.")] = False,
) -> None:
    """Simulate people, merchants and fraud rings; write labelled transactions.

    The data is read by `train`, `evaluate` and `replay` with `--mapping ringfence`.
    """
    from ingest.output_folder import check_writable
    from ingest.simulator import SimulationConfig, write

    config = SimulationConfig(seed=seed, days=days, users=users)
    check_writable(out, "--out")
    say(f"simulating about {config.expected:,} transactions")
    began = time.perf_counter()
    counts = write(config, out, field="--out")
    took = time.perf_counter() - began
    figures({"out": str(out), "seconds": round(took, 3), **counts}, as_json=as_json, title="world")
