"""What the ring model learns from: labelled transactions, found again in the ticks of a spool."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnn.spool import Spool, Tick
from gnn.tensors import Floats
from graph.errors import InvalidInput

Extras = Callable[[Tick], tuple[Floats, Floats]]
"""The caller's columns at a tick: float32 [A, E] by account id, [I, E] by identifier id. They may
hold only what was known at the tick's moment; only rows of nodes of its subgraph are looked at."""


def no_extras(_tick: Tick) -> tuple[Floats, Floats]:
    """No columns of the caller's."""
    none = np.zeros((0, 0), np.float32)
    return none, none


@dataclass(frozen=True, slots=True)
class Examples:
    """Labelled transactions; R of them.

    Attributes:
        places: int64 [R], ascending: their numbers in the replayed stream.
        fraud: bool [R].
        weights: float32 [R], how many transactions each stands for in the loss.
        context: float32 [R, C], columns of the transaction for the head, NaN for the unknown.

    Raises:
        InvalidInput: The columns do not belong together, or places do not ascend.
    """

    places: NDArray[np.int64]
    fraud: NDArray[np.bool_]
    weights: Floats
    context: Floats

    def __post_init__(self) -> None:
        sizes = {len(self.places), len(self.fraud), len(self.weights), len(self.context)}
        if len(sizes) != 1 or self.context.ndim != 2:
            raise InvalidInput(
                "the columns do not have one row an example",
                field="examples",
                value=str(sorted(sizes)),
                remedy="Give places, labels, weights and context of the same transactions.",
            )
        if len(self.places) > 1 and (np.diff(self.places) <= 0).any():
            raise InvalidInput(
                "places have to ascend",
                field="examples: places",
                remedy="Sort the examples by their place in the stream.",
            )

    def __len__(self) -> int:
        return len(self.places)


def by_tick(spool: Spool, examples: Examples) -> list[NDArray[np.int64]]:
    """For each tick, the example behind each of its kept rows; -1 where it is none.

    Raises:
        InvalidInput: An example is not among the kept rows of the recording.
    """
    found, met = [], 0
    for number in range(len(spool)):
        rows = spool.rows(number)
        places = rows.places[rows.kept]
        at = np.searchsorted(examples.places, places)
        there = at < len(examples)
        there[there] = examples.places[at[there]] == places[there]
        found.append(np.where(there, at, -1))
        met += int(there.sum())
    if met < len(examples):
        raise InvalidInput(
            "examples are missing in the recording",
            field="examples",
            value=str(len(examples) - met),
            remedy="Record with a `keep` that keeps every example.",
        )
    return found
