"""`ringfence config`: what the settings are, where each came from, and whether they can work."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from api.console import STDERR, examples, figures, say

if TYPE_CHECKING:
    from api.probes import Answer
    from api.settings import Reading, Settings

EXAMPLES: Final = examples(
    "ringfence config show",
    "ringfence config show --config ringfence.toml --json",
    "ringfence config check --kafka 127.0.0.1:9092 --connect",
)


class What(Enum):
    """What to do with the settings."""

    show = "show"
    check = "check"


def config(
    what: Annotated[What, typer.Argument(help="show all settings, or check them.")],
    connect: Annotated[
        bool, typer.Option("--connect", help="check: ask every server whether it answers.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with settings; else ./ringfence.toml.")
    ] = None,
    kafka: Annotated[str | None, typer.Option(help="As for serve: Kafka's host:port.")] = None,
    neo4j: Annotated[str | None, typer.Option(help="As for serve: Neo4j's URL.")] = None,
    redis: Annotated[str | None, typer.Option(help="As for serve: Redis's URL.")] = None,
    model: Annotated[Path | None, typer.Option(help="As for serve: trained model.")] = None,
    data: Annotated[Path | None, typer.Option(help="As for serve: data folder.")] = None,
    port: Annotated[int | None, typer.Option(help="As for serve: port.")] = None,
    host: Annotated[str | None, typer.Option(help="As for serve: address.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The answer as JSON.")] = False,
) -> None:
    """Show every setting and where it came from, or check that they can work.

    Secrets are masked. A check names every wrong key, not only the first, and ends with code 2;
    then it reads the files that are named (policy, lists, model), and with --connect it also asks
    the servers, and ends with code 4 if one does not answer. It takes the options of `serve`, so
    that what is checked is what would be served.
    """
    from api.settings import read

    found = read(
        config=config,
        kafka=kafka,
        neo4j=neo4j,
        redis=redis,
        model_dir=model,
        data_dir=data,
        port=port,
        host=host,
    )
    if found.settings is None:
        _refuse(found, as_json=as_json)
    elif what is What.show:
        _show(found.settings, found, as_json=as_json)
    else:
        _check(found.settings, found, connect=connect, as_json=as_json)


def _refuse(found: "Reading", *, as_json: bool) -> None:
    if as_json:
        wrong = [
            {"key": each.field, "what": each.what, "value": each.value, "remedy": each.remedy}
            for each in found.problems
        ]
        figures({"ok": False, "problems": wrong}, as_json=True)
    count = len(found.problems)
    say(f"{count} setting{' is' if count == 1 else 's are'} wrong:")
    for each in found.problems:
        value = "" if each.value is None else f" (found {each.value})"
        STDERR.print()
        STDERR.print(f"  {each.field}", markup=False, soft_wrap=True, style="bold red")
        say(f"    {each.what}{value}")
        say(f"    {each.remedy}")
    raise typer.Exit(2)


def _show(settings: "Settings", found: "Reading", *, as_json: bool) -> None:
    shown: dict[str, Any] = {}
    for name in type(settings).model_fields:
        given = found.origins.get(name)
        shown[name] = {
            "value": settings.shown(name),
            "from": "default" if given is None else given.origin,
            "key": None if given is None else given.key,
        }
    if as_json:
        file = None if found.file is None else str(found.file)
        figures({"file": file, "settings": shown}, as_json=True)
        return
    columns = ("setting", Column("value", overflow="fold"), Column("from", overflow="fold"))
    table = Table(*columns, box=None)
    for name, each in shown.items():
        value = each["value"]
        text = "none" if value == [] else ",".join(value) if isinstance(value, list) else value
        place = Text("default", style="dim") if each["key"] is None else Text(each["key"])
        table.add_row(Text(name), Text("" if text is None else str(text)), place)
    Console(highlight=False).print(table)


def _check(settings: "Settings", found: "Reading", *, connect: bool, as_json: bool) -> None:
    _read_files(settings)
    answers = _ask(settings) if connect else []
    adapters = {
        "log": "Kafka" if settings.kafka else "embedded",
        "graph": "Neo4j" if settings.neo4j else "embedded",
        "cache": "Redis" if settings.redis else "in this process",
    }
    failed = [each for each in answers if not each.ok]
    if as_json:
        servers = [
            {
                "server": each.server,
                "address": each.address,
                "ok": each.ok,
                "said": each.said,
                "remedy": each.remedy or None,
                "warnings": list(each.warnings),
            }
            for each in answers
        ]
        answer = {"ok": not failed, "adapters": adapters}
        figures(answer | ({"servers": servers} if connect else {}), as_json=True)
    else:
        where = "" if found.file is None else f" ({found.file} was read)"
        typer.echo(f"ok: the settings can work{where}")
        places = {"log": settings.kafka, "graph": settings.neo4j, "cache": settings.redis}
        for part, adapter in adapters.items():
            place = places[part] or (settings.data_dir if part != "cache" else "")
            typer.echo(f"  {part:5}  {adapter}{f' at {place}' if place else ''}")
        _tell(answers, connect=connect)
    if failed:
        raise typer.Exit(4)


def _read_files(settings: "Settings") -> None:
    """Read what the settings name, as `serve` would; raises what that would raise."""
    from api.wiring import configured_lists, configured_policy, load

    configured_policy(settings)
    configured_lists(settings)
    if settings.model_dir is not None:
        load(settings.model_dir)


def _ask(settings: "Settings") -> list["Answer"]:
    import asyncio

    from api.probes import ask_all

    return asyncio.run(ask_all(settings))


def _tell(answers: list["Answer"], *, connect: bool) -> None:
    if connect and not answers:
        typer.echo("no server is named: there is none to ask")
    for each in answers:
        if each.ok:
            typer.echo(f"{each.server}: answers ({each.said})")
            for warning in each.warnings:
                line = f"{each.server}: {warning}"
                STDERR.print(line, markup=False, soft_wrap=True, style="yellow")
        else:
            line = f"{each.server}: {each.said} (asked {each.address}). {each.remedy}"
            STDERR.print(line, markup=False, soft_wrap=True, style="red")
