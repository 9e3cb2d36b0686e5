"""The command line: `ringfence --help` is where to begin.

Exit codes: 0 done; 2 the input, the usage or a setting is wrong; 3 a model, log or snapshot is of
another version or damaged; 4 a part outside this process does not answer.
"""

import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Final, NamedTuple, NoReturn

import typer

from api.commands import (
    analyse,
    backtest,
    bench,
    config,
    demo,
    evaluate,
    graph,
    investigate,
    lists,
    produce,
    redrive,
    replay,
    rings,
    serve,
    simulate,
    sink,
    topics,
    train,
    warm,
)
from api.console import STDERR
from graph.errors import RingfenceError

_ABOUT: Final = """Find fraud rings in payment streams, and answer before the payment clears.

Begin with `ringfence demo`: it simulates a city, trains, serves, and shows rings growing.

With data of your own: describe its columns in a mapping file (docs/mapping.md), then `train`,
`evaluate` and `replay` it, and `serve` the model.
"""


class Command(NamedTuple):
    """A command, and the examples under its options."""

    run: Callable[..., None]
    examples: str


COMMANDS: Final = (
    Command(demo.demo, demo.EXAMPLES),
    Command(simulate.simulate, simulate.EXAMPLES),
    Command(train.train, train.EXAMPLES),
    Command(evaluate.evaluate, evaluate.EXAMPLES),
    Command(backtest.backtest, backtest.EXAMPLES),
    Command(replay.replay, replay.EXAMPLES),
    Command(rings.rings, rings.EXAMPLES),
    Command(serve.serve, serve.EXAMPLES),
    Command(sink.sink, sink.EXAMPLES),
    Command(config.config, config.EXAMPLES),
    Command(topics.topics, topics.EXAMPLES),
    Command(produce.produce, produce.EXAMPLES),
    Command(redrive.redrive, redrive.EXAMPLES),
    Command(lists.lists, lists.EXAMPLES),
    Command(analyse.analyse, analyse.EXAMPLES),
    Command(investigate.investigate, investigate.EXAMPLES),
    Command(bench.bench, bench.EXAMPLES),
    Command(warm.warm, warm.EXAMPLES),
)

app: Final = typer.Typer(
    name="ringfence",
    help=_ABOUT,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    epilog="Exit codes: 0 done, 2 wrong input or usage, 3 incompatible artefact, 4 unavailable.",
)
for _command in COMMANDS:
    app.command(epilog=_command.examples, no_args_is_help=False)(_command.run)
app.add_typer(graph.app, name="graph")


def _print_version(asked: bool) -> None:  # noqa: FBT001 - typer calls it so
    if asked:
        typer.echo(f"ringfence {version('ringfence')}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Say which version this is."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; an error of the house becomes its message and its exit code."""
    try:
        app()
    except RingfenceError as error:
        _end(error)
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        from ingest.output_folder import FULL, no_room  # noqa: PLC0415 - loaded where it is needed

        if error.errno not in FULL:
            raise
        _end(no_room(error, error.filename or "the output, or a temporary file"))


def _end(error: RingfenceError) -> NoReturn:
    STDERR.print(f"ringfence: {error}", markup=False, soft_wrap=True, style="red")
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
