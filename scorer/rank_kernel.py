"""Least, median and greatest of a handful of values, for kernels that allocate nothing."""

from typing import Final

from graph.compiled import kernel

_inner: Final = kernel(cache=False)  # compiled anew whenever what calls it is


@_inner
def ascend(values, count):  # type: ignore[no-untyped-def]
    """Sort `values[:count]` in place, by insertion."""
    for i in range(1, count):
        x, j = values[i], i
        while j > 0 and values[j - 1] > x:
            values[j] = values[j - 1]
            j -= 1
        values[j] = x


@_inner
def middle(values, count):  # type: ignore[no-untyped-def]
    """Median of `values[:count]`, which ascend; there is one at least."""
    return 0.5 * (values[(count - 1) // 2] + values[count // 2])
