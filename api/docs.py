"""Writes the reference pages that follow from the code; a test compares them with what is there.

python -m api.docs          write docs/cli.md, docs/configuration.md, docs/errors.md and
                            docs/openapi.json
python -m api.docs --check  exit 1 and name the pages that are not up to date
"""

import importlib
import inspect
import json
import pkgutil
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Final, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo

from api import cli, problems, settings
from api.app import create_app
from api.commands.serve import serve

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
_NETWORK: Final = (
    *("baselines", "checkpoint", "export", "geometric", "hetero", "model", "training"),
    *("ring_export", "ring_head", "ring_training"),
    *("learning", "sequence_export", "sequence_model", "sequence_training"),
)
_LEARNING: Final = frozenset({"api.graph_training"}.union(f"gnn.{name}" for name in _NETWORK))
"""Need the extra `train`, and have no errors of their own."""
_PACKAGES: Final = ("graph", "gnn", "scorer", "ingest", "cypher", "api")
_WRITTEN: Final = "<!-- Written by `python -m api.docs`; a test compares it with the code. -->"

_ABOUT_SETTINGS: Final = """
The same settings can be given in three places; the strongest comes first:

1. a flag of the command, such as `--kafka`
2. a `RINGFENCE_*` variable
3. a TOML file: `--config FILE`, else the file that `RINGFENCE_CONFIG` names, else
   `./ringfence.toml` if it is there

What none of them says keeps its default. An empty value counts as not given, so
`RINGFENCE_KAFKA=` leaves Kafka to the file. A key that is no setting is refused, with the nearest
name that is one: it would do nothing, silently. Settings are read once, at the start.

In the file, settings are flat (no tables), and a relative path begins at the file's folder. In a
flag or a variable it begins where the command was started.

## What the servers' URLs do

Without them everything runs in one process, with its log and its graph in `data_dir`. Each URL
switches one adapter, and nothing else changes:

| given | instead of | with |
|---|---|---|
| `kafka` | the embedded log | Kafka |
| `neo4j` | the embedded graph database | Neo4j |
| `redis` | the cache of the process | Redis |

## Secrets

A secret can be given as itself or as a file that holds it and nothing else, as container secrets
are: `RINGFENCE_KAFKA_PASSWORD_FILE=/run/secrets/kafka`, or `kafka_password_file` in the TOML
file. Both in one place are refused. Secrets have no flags, for a flag can be read by everyone on
the machine; only the URL of Redis has one, and should hold no password there. Nothing prints a
secret: it is shown as `**********`, and a URL without its password.

## Looking at them

`ringfence config show` prints every setting, its value and where it came from; `--json` does it
for programs. `ringfence config check` says what would be used, or names every wrong key with what
is wrong, and an example, and ends with code 2. With `--connect` it also asks each server whether
it answers, for at most 5 s, and ends with code 4 if one does not. `config` takes the options of
`serve`.
"""
_EXAMPLE_FILE: Final = """\
data_dir = "ringfence-data"
model_dir = "model"
port = 8000

kafka = "kafka-1:9093,kafka-2:9093"
kafka_security = "sasl-tls"
kafka_user = "ringfence"
kafka_password_file = "secrets/kafka"
kafka_ca = "secrets/kafka-ca.pem"

neo4j = "neo4j+s://graph:7687"
neo4j_password_file = "secrets/neo4j"

redis_file = "secrets/redis" # the whole URL, for the password is in it
sinks = ["graph", "cache"]
"""
_GROUPS: Final = {"kafka": "Kafka", "neo4j": "Neo4j", "redis": "Redis"}
# Options of `serve` whose names are not those of their settings.
_OPTIONS: Final = {"model": "model_dir", "data": "data_dir"}
_ABOUT_ERRORS: Final = (
    "Over HTTP an error is a problem document (RFC 9457, `application/problem+json`) with "
    "`type`, `title`, `status`, `detail` and `code`, and where they apply `field`, `value` "
    "(what was found), `remedy` (what to do) and `problems` (all that is wrong with a "
    "transaction, 20 at most). On the command line it is a message and an exit code; on a stream "
    "it is a dead letter with the same code. `GET /v1/problems/{code}` answers with a row of this "
    "table."
)
_WORDS: Final = {bool: "", str: "text", int: "number", float: "number", Path: "path"}


def cli_page() -> str:
    """Every command with its options and examples, then the settings."""
    lines = [
        "# The command line",
        "",
        _WRITTEN,
        "",
        *_unwrapped(cli.app.info.help or ""),
        "",
        "| exit code | means |",
        "|---|---|",
        "| 0 | done |",
        "| 2 | the input, the usage or a setting is wrong |",
        "| 3 | a model, log or snapshot is of another version or damaged |",
        "| 4 | a part outside this process does not answer |",
    ]
    for name, run, examples in _commands():
        lines += ["", f"## ringfence {name}", "", *_unwrapped(inspect.getdoc(run) or "")]
        lines += ["", "| | takes | default | meaning |", "|---|---|---|---|", *_parameters(run)]
        shown = [line.removeprefix("$ ") for line in examples.split("\n\n")[1:]]
        lines += ["", "```sh", *shown, "```"]
    lines += [
        "",
        "## Settings",
        "",
        "Every setting, its variable and the settings file: [configuration.md](configuration.md).",
    ]
    return "\n".join(lines) + "\n"


def _commands() -> Iterator[tuple[str, Callable[..., None], str]]:
    for run, examples in cli.COMMANDS:
        yield run.__name__, run, examples
    for group in cli.app.registered_groups:
        assert group.typer_instance is not None  # noqa: S101 - how typer registers one
        for command in group.typer_instance.registered_commands:
            assert command.callback is not None  # noqa: S101 - as above
            name = f"{group.name} {command.name or command.callback.__name__}"
            yield name, command.callback, command.epilog or ""


def configuration_page() -> str:
    """Every setting, where it can be given, and a file to begin with."""
    options = inspect.signature(serve).parameters
    flags = {_OPTIONS.get(name, name): f"`--{name}`" for name in options}
    lines = ["# Configuration", "", _WRITTEN, *_ABOUT_SETTINGS.splitlines(), ""]
    lines += ["## A file to begin with", "", "```toml", *_EXAMPLE_FILE.splitlines(), "```"]
    title = ""
    for row in settings.table():
        group = _GROUPS.get(row.name.partition("_")[0], "The engine and its server")
        if group != title:
            title = group
            lines += ["", f"## {title}", ""]
            lines += ["| setting | variable | flag | takes | default | meaning |"]
            lines += ["|---|---|---|---|---|---|"]
        secret = " A secret." if row.name in settings.SECRETS else ""
        default = f"`{row.default}`" if row.default else ""
        lines.append(
            f"| `{row.name}` | `{row.variable}` | {flags.get(row.name, '')} | {row.takes} | "
            f"{default} | {row.meaning}{secret} |"
        )
    return "\n".join(lines) + "\n"


def errors_page() -> str:
    """Every kind of error: its code, status, exit code and meaning."""
    for name in _PACKAGES:
        _import_all(name)
    lines = [
        "# Errors",
        "",
        _WRITTEN,
        "",
        _ABOUT_ERRORS,
        "",
        "| code | HTTP | exit | meaning | a kind of |",
        "|---|---|---|---|---|",
    ]
    for kind in problems.kinds():
        parent = f"`{kind.parent}`" if kind.parent and kind.parent != kind.code else ""
        lines.append(
            f"| `{kind.code}` | {kind.status} | {kind.exit_code} | {kind.meaning} | {parent} |"
        )
    return "\n".join(lines) + "\n"


def openapi_document() -> str:
    """The OpenAPI document, as `/openapi.json` serves it."""
    return json.dumps(create_app(None).openapi(), indent=2, ensure_ascii=False) + "\n"


PAGES: Final[dict[str, Callable[[], str]]] = {
    "cli.md": cli_page,
    "configuration.md": configuration_page,
    "errors.md": errors_page,
    "openapi.json": openapi_document,
}


def stale() -> list[str]:
    """Names of the pages that are not what the code says."""
    return [
        name
        for name, page in PAGES.items()
        if not (DOCS / name).is_file() or (DOCS / name).read_text(encoding="utf-8") != page()
    ]


def _parameters(command: Callable[..., None]) -> Iterator[str]:
    """A row for each option and argument, from the signature."""
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        kind, about = get_args(hints[name])[:2]
        # In Annotated, the first name stands where the default would.
        named = [text for text in (about.default, *(about.param_decls or ())) if text is not ...]
        flags = [text for text in named if isinstance(text, str) and text.startswith("-")]
        if isinstance(about, ArgumentInfo):
            shown = name.upper()
        else:
            shown = ", ".join(flags) or f"--{name.replace('_', '-')}"
        default = parameter.default
        if default is parameter.empty:
            said = "required"
        elif default is None or isinstance(default, bool):
            said = ""
        else:
            said = f"`{default}`"
        yield f"| `{shown}` | {_takes(kind)} | {said} | {about.help} |"


def _takes(kind: Any) -> str:
    """What an option takes, in a word."""
    inner = [each for each in get_args(kind) if each is not type(None)]
    if inner:
        return _takes(inner[0]) + (", repeatable" if get_origin(kind) is list else "")
    if issubclass(kind, Enum):
        return " or ".join(f"`{each.value}`" for each in kind)
    return _WORDS[kind]


def _unwrapped(text: str) -> list[str]:
    """Paragraphs, one a line."""
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    return "\n\n".join(part for part in paragraphs if part).split("\n")


def _import_all(package: str) -> None:
    """Import every module of a package that is served, so that every error is in the table."""
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(root.__path__, f"{package}."):
        if module.name not in _LEARNING:
            importlib.import_module(module.name)


def main(arguments: list[str]) -> int:
    """Write the pages, or say which are stale."""
    if arguments == ["--check"]:
        found = stale()
        for name in found:
            sys.stderr.write(f"docs/{name} is stale: run python -m api.docs\n")
        return 1 if found else 0
    DOCS.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
