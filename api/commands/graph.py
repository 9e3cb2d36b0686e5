"""`ringfence graph`: the upkeep of the graph database."""

import time
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from api.console import examples, figures, progress, say

MIGRATE_EXAMPLES: Final = examples(
    "ringfence graph migrate --neo4j bolt://127.0.0.1:7687", "ringfence graph migrate --json"
)
RETAIN_EXAMPLES: Final = examples(
    "ringfence graph retain --days 180 --dry-run",
    "ringfence graph retain --days 180 --json",
)

app: Final = typer.Typer(
    name="graph",
    help="Keep the graph database in order.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_APPLIED: Final = "MATCH (m:Migration) RETURN m.id AS number, m.name AS name ORDER BY number"

Data = Annotated[Path | None, typer.Option(help="Data folder, where the graph is embedded.")]
Neo4j = Annotated[str | None, typer.Option(help="As for serve: Neo4j's URL.")]
Config = Annotated[
    Path | None, typer.Option(help="TOML file with settings; else ./ringfence.toml.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Figures as JSON.")]


@app.command(epilog=MIGRATE_EXAMPLES)
def migrate(
    data: Data = None,
    neo4j: Neo4j = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Bring constraints and indexes up to date, and say which migrations are applied.

    The server does the same as it starts; this is for doing it before a deployment. A database that
    was migrated by a newer program is refused. The embedded database needs no migrations.
    """
    from api.adapters import open_graph
    from api.settings import Settings

    settings = Settings.load(config=config, data_dir=data, neo4j=neo4j)
    with closing(open_graph(settings, must_exist=True)) as store:  # opening applies them
        found = store.query(_APPLIED, {}, max_rows=1_000, timeout_ms=10_000).rows
    applied = [f"{number:04}-{name}" for number, name in found]
    figures({"version": len(applied), "applied": applied}, as_json=as_json, title="graph migrate")


@app.command(epilog=RETAIN_EXAMPLES)
def retain(
    days: Annotated[int, typer.Option(help="Days of event time to keep.", min=1)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and take nothing.")] = False,
    data: Data = None,
    neo4j: Neo4j = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take transactions older than so many days out of the graph, and what hung on them alone.

    Days count back from the third newest transaction, never from later than now. Sharing links,
    closed rings with their alerts, and entities without a relationship go by the same age. It may
    be stopped and run again at any time; with Neo4j the server may go on writing meanwhile.
    """
    from api.adapters import open_graph
    from api.settings import Settings
    from cypher.retention import Forgotten, horizon
    from cypher.retention import retain as forget

    settings = Settings.load(config=config, data_dir=data, neo4j=neo4j)
    with closing(open_graph(settings, must_exist=True)) as store:
        before = horizon(store, days, int(time.time() * 1_000))
        if before is None:
            say("the graph holds fewer than three transactions: nothing is old")
            gone = Forgotten(None)
        elif dry_run:
            gone = forget(store, before, dry_run=True)
        else:
            with progress("taking out", None) as advance:
                done = 0

                def told(so_far: Forgotten) -> None:
                    nonlocal done
                    now = so_far.transactions + so_far.links + (so_far.entities or 0)
                    advance(now - done)
                    done = now

                gone = forget(store, before, told=told)
    figures(
        {"before": None if before is None else _rfc3339(before), "dry_run": dry_run}
        | {name: value for name, value in asdict(gone).items() if name != "horizon"},
        as_json=as_json,
        title="graph retain",
    )


def _rfc3339(milliseconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)).isoformat()
