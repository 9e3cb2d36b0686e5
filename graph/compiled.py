"""Compiled code: how a function becomes a kernel, and how one is called without ceremony."""

from collections.abc import Callable
from typing import Any, Final, Literal, overload

from numba import njit, typeof

_KEPT: Final[set[str]] = set()


def keep_only(*names: str) -> None:
    """In this process, keep the machine code of kernels of these names and of no others.

    For a process that compiles beside another one: numba numbers what it keeps of a function, and
    two that keep the same function at once may take the same number. Say it before the modules of
    kernels are imported.
    """
    _KEPT.update(names)


@overload
def kernel(function: Callable[..., Any]) -> Callable[..., Any]: ...
@overload
def kernel(
    *, nogil: bool = False, cache: bool = True, inline: Literal["never", "always"] = "never"
) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...


def kernel(
    function: Callable[..., Any] | None = None,
    *,
    nogil: bool = False,
    cache: bool = True,
    inline: Literal["never", "always"] = "never",
) -> Any:
    """Compile a function of arrays and scalars that allocates nothing.

    Because it allocates nothing and its caller holds the arrays, it is compiled without numba's
    runtime: else every array that is passed on or sliced is counted up and down, each an atomic
    operation behind a call. Of the features that was 9 of 16 microseconds a transaction. A kernel
    that does allocate fails to compile.

    Args:
        function: The function, where the decorator stands alone.
        nogil: Let other threads go on meanwhile: worth it from some ten microseconds on.
        cache: Keep the machine code beside the source; numba sees a change of this file alone, so
            what it calls stands in the same file or says otherwise.
        inline: "always" puts it into its callers before they are compiled.
    """
    make: Any = njit

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        keeps = cache and (not _KEPT or function.__name__ in _KEPT)
        made: Callable[..., Any] = make(nogil=nogil, cache=keeps, inline=inline, _nrt=False)(
            function
        )
        return made

    return compiled if function is None else compiled(function)


def bind(kernel: Any, *examples: object) -> Callable[..., Any]:
    """The kernel compiled for arguments of exactly these types, called directly.

    Numba looks up the types of all arguments at every call. For a tuple of a dozen arrays that is
    2 to 6 microseconds, more than most kernels run; the bound kernel takes 0.4. In exchange nobody
    checks: arguments must be of the examples' types (a Python int where the example was one), and
    arrays of the same dtype and layout.
    """
    types = tuple(typeof(example) for example in examples)  # type: ignore[no-untyped-call]
    entry: Callable[..., Any] = kernel.compile(types)
    return entry
