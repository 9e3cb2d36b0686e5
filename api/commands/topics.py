"""`ringfence topics`: the topics on Kafka: make them, see how they stand, check them."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from api.console import STDERR, examples, figures, say
from graph.errors import InvalidSetting

if TYPE_CHECKING:
    from ingest.kafka_topics import Described

EXAMPLES: Final = examples(
    "ringfence topics create --kafka 127.0.0.1:9092",
    "ringfence topics create --partitions 16 --replication 3 --config ringfence.toml",
    "ringfence topics describe --kafka 127.0.0.1:9092",
    "ringfence topics check --kafka 127.0.0.1:9092",
)
CONSUMERS: Final = ("engine", "graph", "cache", "redrive")
"""Whose lag is told unless others are named."""
_HOUR_MS: Final = 3_600_000


class What(Enum):
    """What to do with the topics."""

    create = "create"
    describe = "describe"
    check = "check"


def topics(
    what: Annotated[What, typer.Argument(help="create, describe or check them.")],
    partitions: Annotated[
        int, typer.Option(min=1, help="create: partitions of transactions; the others have one.")
    ] = 8,
    replication: Annotated[
        int, typer.Option(min=1, help="create: copies of each record; 3 where there are 3 brokers.")
    ] = 1,
    consumer: Annotated[
        list[str] | None, typer.Option(help="describe: whose lag; may be repeated.")
    ] = None,
    kafka: Annotated[str | None, typer.Option(help="As for serve: Kafka's host:port.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with settings; else ./ringfence.toml.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The answer as JSON.")] = False,
) -> None:
    """Make the topics Ringfence needs, see their records and lag, or check that they are there.

    What is there is left as it is, so that create can be run again. check ends with code 2 if a
    topic is missing. Settings of each topic: docs/log.md.
    """
    from api.adapters import kafka_settings
    from api.settings import Settings
    from ingest.kafka_topics import check_topics, create_topics, describe_topics

    where = kafka_settings(Settings.load(config=config, kafka=kafka))
    if where is None:
        raise InvalidSetting(
            "topics are Kafka's: the embedded log makes its own",
            field="--kafka",
            remedy="Name a broker, as in --kafka 127.0.0.1:9092.",
        )
    if what is What.create:
        made = create_topics(where, partitions=partitions, replication=replication)
        if as_json:
            rows = [{"name": m.name, "partitions": m.partitions, "new": m.new} for m in made]
            figures({"topics": rows}, as_json=True)
        else:
            for each in made:
                say(f"{each.name}: {each.partitions} {'made' if each.new else 'there already'}")
    elif what is What.describe:
        _describe(describe_topics(where, consumer or CONSUMERS), as_json=as_json)
    else:
        counts = check_topics(where)
        figures({"prefix": where.prefix, **counts}, as_json=as_json, title="partitions")


def _describe(found: "list[Described]", *, as_json: bool) -> None:
    if as_json:
        figures({"topics": [_view(each) for each in found]}, as_json=True)
        return
    table = Table("topic", "partitions", "records", "kept", "lag", box=None)
    for each in found:
        kept = _kept(each.retention_ms)
        lag = ", ".join(f"{name} {count:,}" for name, count in each.lag.items()) or "-"
        table.add_row(each.name, str(len(each.bounds)), f"{_records(each):,}", kept, lag)
    Console(highlight=False).print(table)
    for each in found:
        for warning in each.warnings:
            STDERR.print(warning, markup=False, soft_wrap=True, style="red")
    say("records and lag count the brokers' marks between transactions, one each a partition")


def _view(each: "Described") -> dict[str, Any]:
    return {
        "topic": each.topic,
        "name": each.name,
        "partitions": [{"first": b.first, "next": b.next} for b in each.bounds],
        "records": _records(each),
        "retention_ms": each.retention_ms,
        "lag": dict(each.lag),
        "warnings": list(each.warnings),
    }


def _records(each: "Described") -> int:
    return sum(bounds.next - bounds.first for bounds in each.bounds)


def _kept(milliseconds: int) -> str:
    if milliseconds < 0:
        return "for good"
    hours = milliseconds / _HOUR_MS
    amount, unit = (hours / 24, "day") if hours >= 24 else (hours, "hour")
    return f"{amount:g} {unit}" + ("" if amount == 1 else "s")
