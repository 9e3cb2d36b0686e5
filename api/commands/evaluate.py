"""`ringfence evaluate`: learn from the past, judge on the future."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from api.console import examples, figures, say, stages

if TYPE_CHECKING:
    from ingest.mapping import DatasetMapping
    from scorer.splits import Dates

EXAMPLES: Final = examples(
    "ringfence evaluate city --mapping ringfence --report report",
    "ringfence evaluate cards --mapping s-ffsd --protocol shuffled --report report --json",
    "ringfence evaluate city --mapping ringfence --model model --report report",
)


class Protocol(StrEnum):
    """How history is split."""

    TEMPORAL = "temporal"
    SHUFFLED = "shuffled"


def evaluate(
    data: Annotated[Path, typer.Argument(help="Folder with the labelled history.")],
    mapping: Annotated[str, typer.Option(help="A mapping that ships, by name, or a TOML file.")],
    report: Annotated[Path, typer.Option(help="Folder for report.json and report.html.")],
    model: Annotated[
        Path | None, typer.Option(help="Judge this model instead of training one on the past.")
    ] = None,
    protocol: Annotated[
        Protocol | None,
        typer.Option(help="Past and future, or a shuffled split; else what the mapping says."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the training and the bootstrap.")] = 0,
    deep_analysis: Annotated[
        int | None,
        typer.Option(help="Days between two runs of the deep analysis; without, none is run."),
    ] = None,
    sweep: Annotated[
        bool,
        typer.Option(help="Sweep the window every hour of event time."),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="The whole report as JSON.")] = False,
) -> None:
    """Train on the past, test on the future, and say what each part was worth.

    Writes report.json, and report.html with precision and recall, calibration and cost curves.
    """
    from api.wiring import detector, load
    from cypher.analytics.nightly import NightlyReplayer
    from ingest.datasets import count, read
    from ingest.mapping import load_mapping
    from scorer.evaluation import evaluate as judge
    from scorer.report import write_report

    found = load_mapping(mapping)
    engine = detector(sweeps=sweep)
    replayer = engine if deep_analysis is None else NightlyReplayer(engine, deep_analysis)
    hint = found.evaluation.protocol if found.evaluation else "temporal"
    chosen = protocol.value if protocol else hint
    with stages({"replay": count(data, found)}) as told:
        judged = judge(
            read(data, found),
            replayer,
            protocol="shuffled" if chosen == "shuffled" else "temporal",
            dates=_dates(found) if chosen == "temporal" else None,
            model=None if model is None else load(model),
            seed=seed,
            data={"name": data.name, "mapping": found.name},
            progress=told,
        )
    write_report(judged, report)
    say(f"wrote {report / 'report.json'} and {report / 'report.html'}")
    shown = judged if as_json else {key: judged[key] for key in judged if key not in _LONG}
    figures(shown, as_json=as_json, title=f"{found.name}, {judged['protocol']}")


_LONG: Final = frozenset({"rungs", "calibration", "settings", "families", "policy"})


def _dates(mapping: "DatasetMapping") -> "Dates | None":
    """The split by dates that the mapping asks for."""
    from scorer.splits import Dates

    hints = mapping.evaluation
    if hints is None or hints.periods is None:
        return None
    return Dates(*hints.periods, known_since=hints.known_since_ms)
