"""Facts that change slowly and that a verdict may lean on: what the detector is told of them.

They come between two batches (`Detector.refer`), from topics of the log, and each verdict's record
says up to which offset they were known: so a replay tells the detector the same at the same point.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph.evidence import Evidence
from graph.transaction import Entity


@dataclass(frozen=True, slots=True)
class Findings:
    """Evidence that a pass of the sweep found (`graph.sweep`), or a part of it.

    Attributes:
        as_of: The watermark of the window that the pass saw, ms.
        evidence: What it found.
    """

    as_of: int
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class AnalysisPart:
    """A part of one run of the deep analysis; the last part makes the whole run count.

    Attributes:
        run_id: Names the run.
        as_of: Event time (ms) of the newest transaction the analysis saw.
        part: Which part, from 0.
        parts: How many the run has.
        columns: Names of the values.
        entities: Whom this part speaks of.
        values: One row an entity, as long as `columns`.
    """

    run_id: str
    as_of: int
    part: int
    parts: int
    columns: tuple[str, ...]
    entities: tuple[Entity, ...]
    values: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """What the encoder of a graph model says of some entities; each part counts by itself.

    Attributes:
        model: Version of the graph model.
        as_of: Cut-off of the graph it saw, event time in ms.
        entities: Whom this part speaks of.
        rows: float32 [N, D], their embeddings.
    """

    model: str
    as_of: int
    entities: tuple[Entity, ...]
    rows: NDArray[np.float32]
