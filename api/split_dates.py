"""The split by dates that a mapping asks for, as `evaluate` and `backtest` use it."""

from ingest.mapping import DatasetMapping
from scorer.splits import Dates


def split_dates(mapping: DatasetMapping) -> Dates | None:
    """The dates of a mapping's `[evaluation]`; None where it gives none."""
    hints = mapping.evaluation
    if hints is None or hints.periods is None:
        return None
    return Dates(*hints.periods, known_since=hints.known_since_ms)
