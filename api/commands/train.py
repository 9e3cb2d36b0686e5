"""`ringfence train`: a model from labelled history."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from api.console import examples, figures, stages

if TYPE_CHECKING:  # what they load takes seconds
    from api.graph_training import GraphTraining
    from api.recorded_rows import RecordedRows
    from scorer.detector import Detector
    from scorer.history_replay import Progress
    from scorer.ports import Replayer

EXAMPLES: Final = examples(
    "ringfence simulate --out city",
    "ringfence train city --mapping ringfence --out model",
    "ringfence train city --mapping ringfence --out model --tune",
    "ringfence train city --mapping ringfence --out model --gnn",
    "ringfence train history --mapping my-mapping.toml --out model --json",
)


def train(
    data: Annotated[Path, typer.Argument(help="Folder with the history.")],
    mapping: Annotated[str, typer.Option(help="A mapping that ships, by name, or a TOML file.")],
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    seed: Annotated[int, typer.Option(help="Same history and seed, same model.")] = 0,
    deep_analysis: Annotated[
        int | None,
        typer.Option(help="Days between two runs of the deep analysis; without, none is run."),
    ] = None,
    sweep: Annotated[
        bool,
        typer.Option(help="Sweep the window every hour of event time."),
    ] = True,
    tune: Annotated[
        bool,
        typer.Option(help="Search for better tree settings over time-ordered folds first."),
    ] = False,
    gnn: Annotated[
        bool,
        typer.Option(
            help="Learn a graph neural network and a head for whole rings too; each is kept if it "
            "pays. Needs the extra `train`."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON.")] = False,
) -> None:
    """Train a model: replay the history through the engine and learn from what it saw.

    The figures are of the slice the model was calibrated on. `evaluate` gives honest ones.
    """
    from api.option_ranges import check_seed
    from ingest.datasets import count, read
    from ingest.mapping import load_mapping
    from ingest.output_folder import check_writable, new_files

    check_seed(seed)
    found = load_mapping(mapping)
    transactions = count(data, found)
    check_writable(out, "--out")
    # What these load takes seconds: not before the data are there.
    from api.graph_model import NETWORKS
    from api.recorded_rows import RecordedRows
    from api.wiring import detector
    from cypher.analytics.nightly import NightlyReplayer
    from scorer.artefact import FILES
    from scorer.training import as_it_is
    from scorer.training import train as learn

    created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    with (
        new_files(out, FILES, folders=NETWORKS, field="--out") as folder,
        stages({"replay": transactions}) as told,
    ):
        engine = detector(sweeps=sweep)
        replayer = engine if deep_analysis is None else NightlyReplayer(engine, deep_analysis)
        history = read(data, found)
        rows = RecordedRows(transactions, seed) if gnn else None
        graph = None if rows is None else _graph_training(replayer, engine, out, rows, told)
        model = learn(
            history if rows is None else rows.seen(history),
            replayer if graph is None else graph.replayer,
            seed=seed,
            created=created,
            data={"name": data.name, "mapping": found.name},
            tuned=tune,
            then=as_it_is if graph is None else graph,
            progress=told,
        )
        model.save(folder)
        if graph is not None:
            graph.save(folder)
    figures(
        {"model": str(out), "version": model.version, **model.metrics, "data": dict(model.data)},
        as_json=as_json,
        title="trained",
    )


def _graph_training(
    replayer: "Replayer", engine: "Detector", out: Path, rows: "RecordedRows", told: "Progress"
) -> "GraphTraining":
    """The graph model's part of the training, where its libraries are there."""
    from graph.errors import InvalidSetting

    try:
        from api.graph_training import GraphTraining
    except ImportError as error:
        raise InvalidSetting(
            f"a graph model cannot be learned: {error}",
            field="--gnn",
            remedy="Install the extra `train`: pip install 'ringfence[train]'.",
        ) from None
    # Nobody else is in it: whoever writes into `out` is alone there (`new_files`).
    whole = out.resolve()  # that of "." has a name
    workshop = whole.with_name(f"{whole.name}.training")
    return GraphTraining(replayer, engine, workshop, rows, progress=told)
