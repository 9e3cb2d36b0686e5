"""What a mapping says about judging its history: the split by dates, and the money it is in."""

from typing import Any

from ingest.currencies import EXPONENTS
from ingest.mapping import DatasetMapping
from scorer.splits import Dates


def split_dates(mapping: DatasetMapping) -> Dates | None:
    """The dates of a mapping's `[evaluation]`; None where it gives none."""
    hints = mapping.evaluation
    if hints is None or hints.periods is None:
        return None
    return Dates(*hints.periods, known_since=hints.known_since_ms)


def currency_of(mapping: DatasetMapping) -> dict[str, Any] | None:
    """Base currency of a mapping, `code` and `decimals`, for `scorer.wording.money`."""
    rates = mapping.rate_table
    return None if rates is None else {"code": rates.base, "decimals": EXPONENTS[rates.base]}
