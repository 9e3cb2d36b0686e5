"""Facts that change slowly and that a verdict may lean on: what the detector is told of them.

They come between two batches (`Detector.refer`), from topics of the log, and each verdict's record
says up to which offset they were known: so a replay tells the detector the same at the same point.
"""

from dataclasses import dataclass

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
