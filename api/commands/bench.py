"""`ringfence bench`: ours and a named alternative on the same input, in one run."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from api.console import examples, figures, say

EXAMPLES: Final = examples(
    "ringfence bench window",
    "ringfence bench window --hub --json",
    "ringfence bench score --hub",
    "ringfence bench explain",
    "ringfence bench explain --data s-ffsd --mapping s-ffsd --json",
    "ringfence bench gnn --model model",
    "ringfence bench http --json",
    "ringfence bench shards",
    "ringfence bench kafka --kafka 127.0.0.1:9092",
    "ringfence bench graph --neo4j bolt://127.0.0.1:7687",
    "ringfence bench cache --redis redis://127.0.0.1:6379/0",
    "ringfence bench outages --neo4j bolt://127.0.0.1:7687 --redis redis://127.0.0.1:6379/0",
)


def bench(
    what: Annotated[
        str,
        typer.Argument(
            help="window, score, explain, gnn, http, shards, kafka, graph, cache or outages.",
            metavar="WHAT",
        ),
    ],
    hub: Annotated[
        bool, typer.Option("--hub", help="window, score: a power law with supernodes.")
    ] = False,
    edges: Annotated[
        int, typer.Option(help="window: transfers of the stream.", min=1_000)
    ] = 300_000,
    accounts: Annotated[int, typer.Option(help="window: accounts.", min=10)] = 6_000,
    data: Annotated[
        Path | None, typer.Option(help="explain: folder with a history; else a simulated city.")
    ] = None,
    mapping: Annotated[
        str, typer.Option(help="explain: a mapping that ships, by name, or a TOML file.")
    ] = "ringfence",
    model: Annotated[
        Path | None, typer.Option(help="gnn: a model that was trained with `--gnn`.")
    ] = None,
    kafka: Annotated[str | None, typer.Option(help="kafka: a broker, host:port.")] = None,
    neo4j: Annotated[str | None, typer.Option(help="graph, outages: Neo4j's URL.")] = None,
    redis: Annotated[str | None, typer.Option(help="cache, outages: Redis's URL.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON.")] = False,
) -> None:
    """Time ours and a named alternative on the same input, one after the other.

    The figures are of this machine now; the ratio is what travels. Percentiles are of single calls
    in microseconds.
    """
    from api.bench.explain import bench_explain
    from api.bench.graph_model import bench_graph_model
    from api.bench.http import bench_http
    from api.bench.score import bench_score
    from api.bench.servers import bench_servers
    from api.bench.shards import bench_shards
    from api.bench.window import bench_window
    from ingest.datasets import read
    from ingest.mapping import load_mapping

    found: dict[str, Any]
    if what == "window":
        found = bench_window(edges=edges, accounts=accounts, hub=hub)
    elif what == "score":
        say("simulating a city and training on it first ...")
        found = bench_score(hub=hub)
    elif what == "explain":
        say("replaying a history and training on it first ...")
        if data is None:
            found = bench_explain()
        else:
            found = bench_explain(list(read(data, load_mapping(mapping))), data=data.name)
    elif what == "gnn":
        say("simulating a city first ...")
        found = bench_graph_model(model)
    elif what == "http":
        found = bench_http()
    elif what == "shards":
        found = bench_shards()
    else:
        found = bench_servers(what, kafka=kafka, neo4j=neo4j, redis=redis)
    figures(found, as_json=as_json, title=f"bench {what}")
