"""Compiling the largest kernels, in a process beside the one that compiles all others.

`api.warm` starts it: `python -m api.warm_beside`. What the fast path is made of is compiled here
only to become part of it, and there on its own: that takes a fifth more processor time in all, and
two processors a quarter less of the clock.
"""

from typing import Final

from graph.compiled import keep_only

KERNELS: Final = ("advance", "look_again")
"""Of `graph.fast_kernel`: nearly half of all compiling, with what they call."""


def main() -> None:
    """Compile them, and keep them beside the code."""
    keep_only(*KERNELS)
    # Imported now: kernels ask whether they are kept where they are defined.
    from graph.fast_path import FastPath  # noqa: PLC0415 - above
    from graph.heuristics import catalogue  # noqa: PLC0415 - above
    from graph.window import TransactionWindow, WindowConfig  # noqa: PLC0415 - above

    FastPath(TransactionWindow(WindowConfig()), catalogue())


if __name__ == "__main__":
    main()
