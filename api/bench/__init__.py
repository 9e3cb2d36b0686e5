"""Benchmarks: ours and a named alternative on the same input, in one run.

Timings are of this machine in this minute; the ratio is what travels. Percentiles are of single
calls in microseconds, `max_us` included: a pause that nobody prints is still felt.
"""

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from api.pauses import THRESHOLDS, Young

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Timing:
    """What single calls took."""

    calls: int
    per_s: float
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float

    def as_json(self) -> dict[str, float]:
        """The figures by their published names."""
        return {
            "calls": self.calls,
            "per_s": round(self.per_s, 1),
            "p50_us": round(self.p50_us, 2),
            "p99_us": round(self.p99_us, 2),
            "p999_us": round(self.p999_us, 2),
            "max_us": round(self.max_us, 2),
        }


def time_each(call: Callable[[T], object], inputs: Iterable[T], *, budget_s: float) -> Timing:
    """Time every call by itself until the inputs or the budget are used up.

    Collection of what the calls themselves leave behind is part of their time, at the moments at
    which the server does it.
    """
    taken, young = [], Young()
    clock = time.perf_counter_ns
    with collected_as_served():
        end = clock() + int(budget_s * 1e9)
        for item in inputs:
            start = clock()
            call(item)
            young(1)
            stop = clock()
            taken.append(stop - start)
            if stop > end:
                break
    return timing(taken)


@contextmanager
def collected_as_served() -> Iterator[None]:
    """Python's collector as the server sets it: what was there is frozen, the rest left to `Young`.

    Both sides of a benchmark run so.
    """
    gc.collect()
    before = gc.get_threshold()
    gc.set_threshold(*THRESHOLDS)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


def timing(taken_ns: Sequence[int]) -> Timing:
    """The figures of calls that were timed by themselves."""
    us = np.array(taken_ns, dtype=np.float64) / 1_000
    return Timing(
        calls=len(us),
        per_s=1e6 * len(us) / float(us.sum()),
        p50_us=float(np.percentile(us, 50)),
        p99_us=float(np.percentile(us, 99)),
        p999_us=float(np.percentile(us, 99.9)),
        max_us=float(us.max()),
    )
