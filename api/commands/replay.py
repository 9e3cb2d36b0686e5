"""`ringfence replay`: history through the engine, into files that can be compared byte by byte."""

from pathlib import Path
from typing import Annotated, Final

import typer

from api.console import examples, figures, progress, say

EXAMPLES: Final = examples(
    "ringfence replay city --mapping ringfence --model model --out verdicts",
    "ringfence replay city --mapping ringfence --out again --json",
)


def replay(
    data: Annotated[Path, typer.Argument(help="Folder with the history.")],
    mapping: Annotated[str, typer.Option(help="A mapping that ships, by name, or a TOML file.")],
    out: Annotated[Path, typer.Option(help="Folder for the six Parquet files.")],
    model: Annotated[
        Path | None, typer.Option(help="Trained model; without it, rules and graph answer.")
    ] = None,
    sweep: Annotated[
        bool,
        typer.Option(help="Sweep the window every hour of event time."),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON.")] = False,
) -> None:
    """Replay history: verdicts, features, evidence, rings, ring members and alerts as Parquet.

    Rows are in order and keyed by transaction id; labels are carried through. The same history
    and model give the same bytes.
    """
    import msgspec

    from api.graph_model import NO_GRAPH_MODEL, open_graph_model
    from api.wiring import detector, load
    from ingest.datasets import count, read
    from ingest.embedder import Encoding, InLine
    from ingest.mapping import load_mapping
    from ingest.output_folder import check_apart, check_replaceable
    from ingest.replay import WHAT
    from ingest.replay import replay as run
    from ingest.replay_files import FILES

    found = load_mapping(mapping)
    transactions = count(data, found)
    check_apart(out, data, "--out")
    check_replaceable(out, FILES, WHAT, field="--out")
    loaded = None if model is None else load(model)
    graph = NO_GRAPH_MODEL if model is None or loaded is None else open_graph_model(model, loaded)
    if graph.missing is not None:
        say(f"The scores do without the graph model: {graph.missing}")
    embed = None if graph.scorer is None else InLine(Encoding(graph.scorer))
    engine = detector(loaded, sweeps=sweep, gnn=graph.scorer)
    done = 0
    with progress("replay", transactions) as advance:

        def told(total: int) -> None:
            nonlocal done
            advance(total - done)
            done = total

        summary = run(read(data, found), engine, out, field="--out", embed=embed, progress=told)
    shown = {**msgspec.to_builtins(summary), "per_second": round(summary.per_second)}
    figures({"out": str(out), **shown}, as_json=as_json, title="replayed")
