"""`ringfence bench`: ours and a named alternative on the same input, in one run."""

from typing import Annotated, Any, Final

import typer

from api.console import examples, figures, say

EXAMPLES: Final = examples(
    "ringfence bench window",
    "ringfence bench window --hub --json",
    "ringfence bench score",
    "ringfence bench http --json",
)


def bench(
    what: Annotated[str, typer.Argument(help="window, score or http.", metavar="WHAT")],
    hub: Annotated[
        bool, typer.Option("--hub", help="window: a power law with supernodes.")
    ] = False,
    edges: Annotated[
        int, typer.Option(help="window: transfers of the stream.", min=1_000)
    ] = 300_000,
    accounts: Annotated[int, typer.Option(help="window: accounts.", min=10)] = 6_000,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON.")] = False,
) -> None:
    """Time ours and a named alternative on the same input, one after the other.

    The figures are of this machine now; the ratio is what travels. Percentiles are of single calls
    in microseconds.
    """
    from api.bench.http import bench_http
    from api.bench.score import bench_score
    from api.bench.window import bench_window
    from graph.errors import InvalidInput

    found: dict[str, Any]
    if what == "window":
        found = bench_window(edges=edges, accounts=accounts, hub=hub)
    elif what == "score":
        say("simulating a city and training on it first ...")
        found = bench_score()
    elif what == "http":
        found = bench_http()
    else:
        raise InvalidInput(
            "there is no such benchmark",
            field="WHAT",
            value=what,
            remedy="Use window, score or http.",
        )
    figures(found, as_json=as_json, title=f"bench {what}")
