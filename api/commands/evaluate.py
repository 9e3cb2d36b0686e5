"""`ringfence evaluate`: learn from the past, judge on the future."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from api.console import examples, figures, say, stages

EXAMPLES: Final = examples(
    "ringfence evaluate city --mapping ringfence --report report",
    "ringfence evaluate cards --mapping s-ffsd --protocol shuffled --report report --json",
    "ringfence evaluate city --mapping ringfence --model model --report report",
    "ringfence evaluate city --mapping ringfence --ladder --report report",
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
    embargo: Annotated[
        float,
        typer.Option(help="Days before the test from which nothing is learned (temporal split)."),
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the training and the bootstrap.")] = 0,
    deep_analysis: Annotated[
        int | None,
        typer.Option(help="Days between two runs of the deep analysis; without, none is run."),
    ] = None,
    sweep: Annotated[
        bool,
        typer.Option(help="Sweep the window every hour of event time."),
    ] = True,
    confounders: Annotated[
        bool | None,
        typer.Option(
            help="Replay once more with shuffled edges; by default below 200,000 transactions."
        ),
    ] = None,
    ladder: Annotated[
        bool,
        typer.Option(
            help="Also learn and compare LightGBM, forests, resampling, tuned trees and more."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The whole report as JSON.")] = False,
) -> None:
    """Train on the past, test on the future, and say what each part was worth.

    Writes report.json, and report.html with pictures. What `ringfence simulate` left beside the
    transactions (rings by kind, look-alikes) is found and used.
    """
    from collections.abc import Sequence
    from contextlib import ExitStack
    from tempfile import TemporaryDirectory
    from time import perf_counter

    from api.history_hints import currency_of, split_dates
    from api.option_ranges import check_seed, embargo_of
    from api.wiring import detector, load
    from cypher.analytics.nightly import NightlyReplayer
    from ingest.datasets import count, read
    from ingest.ground_truth import find_ground_truth
    from ingest.mapping import load_mapping
    from ingest.output_folder import new_files
    from scorer.confounders import shuffle_edges
    from scorer.detector import Detector
    from scorer.evaluation import evaluate as judge
    from scorer.ladder import Rung
    from scorer.ports import Replayer
    from scorer.report import HTML, JSON, write_report

    check_seed(seed)
    embargoed = embargo_of(embargo)
    found = load_mapping(mapping)

    def replayer(engine: Detector) -> Replayer:
        return engine if deep_analysis is None else NightlyReplayer(engine, deep_analysis)

    hint = found.evaluation.protocol if found.evaluation else "temporal"
    chosen = protocol.value if protocol else hint
    rows = count(data, found)
    twice = model is None and (rows < _TWICE_BELOW if confounders is None else confounders)
    rungs: Sequence[Rung] = ()
    with (
        new_files(report, (JSON, HTML), field="--report") as folder,
        ExitStack() as kept,
        stages({"replay": rows}) as told,
    ):
        engine = detector(sweeps=sweep)
        first = replayer(engine)
        if ladder:
            from api.ring_rungs import RingRungs
            from api.sequence_rung import sequence_rungs
            from scorer.alternatives.catalogue import alternatives
            from scorer.fitting import BoosterSettings
            from scorer.neighbour_labels import NeighbourLabels

            recorded = Path(kept.enter_context(TemporaryDirectory(dir=folder)))
            network = RingRungs(first, engine, recorded)
            first = network.replayer
            rungs = (*alternatives(), *network.rungs(), *sequence_rungs(network))
            if chosen == "shuffled":
                rungs = (*rungs, NeighbourLabels(BoosterSettings()))
        judged = judge(
            read(data, found),
            first,
            protocol="shuffled" if chosen == "shuffled" else "temporal",
            dates=split_dates(found) if chosen == "temporal" else None,
            embargo=embargoed,
            model=None if model is None else load(model),
            seed=seed,
            data={"name": data.name, "mapping": found.name, "currency": currency_of(found)},
            truth=find_ground_truth(data),
            rewired=(shuffle_edges(read(data, found), seed), replayer(detector(sweeps=sweep)))
            if twice
            else None,
            ladder=rungs,
            clock=perf_counter if ladder else None,
            progress=told,
        )
        write_report(judged, folder)
    say(f"wrote {report / 'report.json'} and {report / 'report.html'}")
    shown = judged if as_json else {key: judged[key] for key in judged if key not in _LONG}
    figures(shown, as_json=as_json, title=f"{found.name}, {judged['protocol']}")


_LONG: Final = frozenset(
    {
        *("rungs", "calibration", "settings", "families", "policy"),
        *("typologies", "look_alikes", "tiers", "stability", "money", "confounders", "ladder"),
    }
)
_TWICE_BELOW: Final = 200_000
"""Transactions below which the replay with shuffled edges is worth its time unasked."""
