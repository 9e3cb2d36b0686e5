"""`ringfence warm`: compile the kernels now, so that nobody waits for a compiler later."""

from typing import Annotated, Final

import typer

from api.console import examples, figures

EXAMPLES: Final = examples("ringfence warm", "ringfence warm --json")


def warm(
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON.")] = False,
) -> None:
    """Compile every kernel and keep the result beside the code.

    `make setup` does it. A second run takes as long as loading what the first one kept.
    """
    from api.warm import warm as compile_kernels

    figures(compile_kernels(training=True), as_json=as_json, title="kernels")
