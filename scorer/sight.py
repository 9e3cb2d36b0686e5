"""What the observer saw of one transaction: what a verdict is made of, beside its feature row."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from graph.admission import Status
from graph.evidence import Evidence
from graph.lists import ListEntry
from graph.rings import Ring
from graph.transaction import Transaction


class Sight(msgspec.Struct, gc=False):
    """What was seen of one transaction before anything was decided about it.

    Attributes:
        transaction: It.
        status: What the window made of it.
        beyond_capacity: Whether somebody who takes part has no id, since there was no room, or it
            came beneath more newer transactions than are looked at anew.
        evidence: What it completed.
        rings: The rings it touches, the strongest first.
        watched: Entries of the watch list it touches.
        findings: Of the sweep, told with it.
        contexts: float32 [findings and evidence, C], if anybody asked for them.
        watermark: Event time when it was seen, epoch ms.
    """

    transaction: Transaction
    status: Status = Status.ACCEPTED
    beyond_capacity: bool = False
    evidence: tuple[Evidence, ...] = ()
    rings: tuple[Ring, ...] = ()
    watched: tuple[ListEntry, ...] = ()
    findings: tuple[Evidence, ...] = ()
    contexts: NDArray[np.float32] | None = None
    watermark: int = 0


Seen = Sight | tuple[Ring, ...]
"""A sight, or the rings touched by a transaction of which there is nothing else to say."""


def in_full(seen: Seen, tx: Transaction) -> Sight:
    """The sight of a transaction, spelled out."""
    return seen if isinstance(seen, Sight) else Sight(tx, rings=seen)


def strongest(rings: tuple[Ring, ...]) -> float:
    """Score of the strongest of the rings that a transaction touches, 0 if it touches none."""
    return rings[0].score if rings else 0.0
