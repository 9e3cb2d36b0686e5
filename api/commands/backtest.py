"""`ringfence backtest`: two policies over the same history."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from api.console import compared, examples, figures, say, stages

EXAMPLES: Final = examples(
    "ringfence backtest city --mapping ringfence --policy docs/policies/by-cost.toml "
    "--policy docs/policies/fixed.toml --out compared",
    "ringfence backtest city --mapping ringfence --policy now.toml --policy next.toml "
    "--model model --json",
)


def backtest(
    data: Annotated[Path, typer.Argument(help="Folder with the labelled history.")],
    mapping: Annotated[str, typer.Option(help="A mapping that ships, by name, or a TOML file.")],
    policy: Annotated[
        list[Path], typer.Option(help="A policy as TOML; give two, differences are B minus A.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for backtest.json, backtest.html and differences.csv."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="Judge with this model what came after its training."),
    ] = None,
    embargo: Annotated[
        float, typer.Option(help="Days between what was learned from and what is judged.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the training.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="The whole report as JSON.")] = False,
) -> None:
    """Let two policies decide about the same past, and compare money, alerts and customers.

    The history is replayed once; a model is learned from its earlier part, and both policies decide
    about the later part, on the same scores. Every verdict that differs is told with why.
    """
    from contextlib import ExitStack

    from api.history_hints import currency_of, split_dates
    from api.option_ranges import check_seed, embargo_of
    from api.wiring import detector, load
    from ingest.datasets import count, read
    from ingest.mapping import load_mapping
    from ingest.output_folder import new_files
    from scorer.backtest import backtest as judge
    from scorer.backtest_report import CSV, HTML, JSON, comparison, findings, write_backtest
    from scorer.policy_file import load_policy, policy_names

    check_seed(seed)
    embargoed = embargo_of(embargo)
    policies = {
        name: load_policy(path) for name, path in zip(policy_names(policy), policy, strict=True)
    }
    found = load_mapping(mapping)
    transactions = count(data, found)
    written: list[Path] = []
    with ExitStack() as kept, stages({"replay": transactions}) as told:
        folder = None
        if out is not None:
            folder = kept.enter_context(new_files(out, (JSON, HTML, CSV), field="--out"))
        judged = judge(
            read(data, found),
            detector(),
            policies,
            model=None if model is None else load(model),
            dates=split_dates(found),
            embargo=embargoed,
            seed=seed,
            data={"name": data.name, "mapping": found.name, "currency": currency_of(found)},
            progress=told,
        )
        if out is not None and folder is not None:
            written = [out / path.name for path in write_backtest(judged, folder)]
    if written:
        say(f"wrote {', '.join(map(str, written))}")
    if as_json:
        figures(judged.report, as_json=True)
        return
    compared(
        ("", *judged.report["policies"], "difference"),
        comparison(judged.report),
        title=f"{found.name}: {judged.report['judged']['transactions']:,} transactions judged",
        notes=[*findings(judged.report), _differing(judged.report, out)],
    )


def _differing(report: Mapping[str, Any], out: Path | None) -> str:
    """How many verdicts differ, by what, and where they are told."""
    found = report["differences"]
    changes = ", ".join(
        f"{n:,} {change.replace('_', ' ')}" for change, n in found["transitions"].items()
    )
    where = "differences.csv" if out is not None else "--out DIR or --json"
    return f"{found['count']:,} verdicts differ{f' ({changes})' if changes else ''}: see {where}."
