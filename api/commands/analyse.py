"""`ringfence analyse`: the nightly analysis of the whole stored graph."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from api.console import examples, figures, say
from graph.errors import InvalidSetting

if TYPE_CHECKING:
    from cypher.analytics.ports import Analysis

EXAMPLES: Final = examples(
    "ringfence analyse --data ringfence-data",
    "ringfence analyse --neo4j bolt://127.0.0.1:7687 --kafka 127.0.0.1:9092 --community leiden",
    "ringfence analyse --memory 512 --seconds 600 --json",
)

_SHOWN: Final = 10


def analyse(
    memory: Annotated[
        int, typer.Option(help="MiB a run may take by its own estimate, made before.", min=1)
    ] = 2_048,
    seconds: Annotated[float, typer.Option(help="How long a run may take.")] = 1_800.0,
    community: Annotated[
        str, typer.Option(help="louvain, or leiden with Graph Data Science.")
    ] = "louvain",
    as_of: Annotated[
        int | None,
        typer.Option(help="Event time, epoch ms; else as late as three transactions agree on."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the embedded parts.")] = None,
    kafka: Annotated[str | None, typer.Option(help="Kafka's host:port.")] = None,
    neo4j: Annotated[str | None, typer.Option(help="Neo4j's URL.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with settings; else ./ringfence.toml.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON.")] = False,
) -> None:
    """Analyse the whole stored graph once; run it every night.

    Communities, ranks and roles become properties of the entities, and features of transactions
    that come later. A run that fails leaves the previous one in place. The embedded graph has one
    owner: stop the server on the same folder first.
    """
    from api.deep_analysis import opened
    from api.settings import Settings
    from cypher.analytics.ports import AnalysisSettings

    if community not in ("louvain", "leiden"):
        raise InvalidSetting(
            "there is no such algorithm",
            field="--community",
            value=community,
            remedy="Use louvain or leiden.",
        )
    settings = Settings.load(config=config, data_dir=data, kafka=kafka, neo4j=neo4j)
    chosen = AnalysisSettings(
        memory=memory << 20,
        seconds=seconds,
        community="leiden" if community == "leiden" else "louvain",
    )
    with opened(settings, chosen) as (analytics, publish):
        found = analytics.analyse(as_of=as_of)
        parts = publish(found.parts())
    if as_json:
        figures(summary(found) | {"parts": parts}, as_json=True)
        return
    _steps(found)
    _communities(found)
    say(f"{found.run_id}: {len(found.entities):,} entities, {parts} parts for the engine")


def summary(found: "Analysis") -> dict[str, Any]:
    """What a run found, in plain values."""
    estimate = found.estimate
    return {
        "run_id": found.run_id,
        "as_of": found.as_of,
        "entities": len(found.entities),
        "known_for_fraud": found.seeds,
        "modularity": found.modularity,
        "estimate": {
            "nodes": estimate.nodes,
            "relationships": estimate.relationships,
            "graph_mib": estimate.graph / 2**20,
            "memory_mib": estimate.memory / 2**20,
        },
        "steps": [
            {
                "algorithm": step.algorithm,
                "milliseconds": round(step.milliseconds, 1),
                "memory_mib": step.memory / 2**20,
            }
            for step in found.steps
        ],
        "largest": largest(found),
        "communities": communities(found),
    }


def largest(found: "Analysis") -> dict[str, float | None]:
    """The greatest value of each column that is a size or a rank."""
    import numpy as np

    names = ("component_size", "cycle_size", "core", "pagerank", "fraud_rank", "betweenness")
    said = {name: found.column(name) for name in (*names, "community_size")}
    return {
        name: None if np.isnan(values).all() else float(np.nanmax(values))
        for name, values in said.items()
    }


def communities(found: "Analysis") -> list[dict[str, Any]]:
    """The communities with most known fraud, then the largest."""
    import numpy as np

    said: dict[int, dict[str, Any]] = {}
    columns = [found.column(name) for name in ("community", "community_size", "community_fraud")]
    for entity, community, size, fraud in zip(found.entities, *columns, strict=True):
        if not np.isnan(community) and size > 1:
            said.setdefault(
                int(community),
                {
                    "community": int(community),
                    "users": int(size),
                    "known_fraud": None if np.isnan(fraud) else round(float(fraud), 4),
                    "first_member": str(entity),
                },
            )
    ranked = sorted(
        said.values(),
        key=lambda row: (-(row["known_fraud"] or 0.0) * row["users"], -row["users"]),
    )
    return ranked[:_SHOWN]


def _steps(found: "Analysis") -> None:
    estimate = found.estimate
    table = Table("step", "ms", "MiB expected", box=None)
    table.add_row("the graph", "", f"{estimate.graph / 2**20:,.1f}")
    for step in found.steps:
        table.add_row(step.algorithm, f"{step.milliseconds:,.0f}", f"{step.memory / 2**20:,.1f}")
    Console(highlight=False).print(table)


def _communities(found: "Analysis") -> None:
    table = Table("community", "users", "known fraud", "first member", box=None)
    for row in communities(found):
        fraud = "-" if row["known_fraud"] is None else f"{row['known_fraud']:.1%}"
        table.add_row(str(row["community"]), f"{row['users']:,}", fraud, row["first_member"])
    Console(highlight=False).print(table)
