"""Wording: figures as people read them, on the pages and in the sentences of the reports."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

RUNG_WORDS: Final = {
    "tabular": "without the graph",
    "graph": "with the graph",
    "starter": "begun with trees of other cities",
    "memory": "with recent scores remembered",
    "blend": "with rings and evidence",
}
NONE: Final = "\u2013"
"""Stands where there is no figure."""


def figure(value: float | None, digits: int = 3) -> str:
    """A number with fixed digits, a dash where there is none."""
    return (
        NONE
        if value is None or not math.isfinite(value)
        else f"{round(value, digits) + 0.0:.{digits}f}"
    )


def share(value: float | None, digits: int = 1) -> str:
    """A share in per cent, a dash where there is none."""
    return NONE if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f} %"


def count(value: int | None) -> str:
    """A whole number with thin spaces between thousands."""
    return NONE if value is None else f"{value:,}".replace(",", "\u202f")


def moment(value: int | None) -> str:
    """Epoch milliseconds as UTC, to the minute."""
    if value is None:
        return NONE
    return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def duration(minutes: float) -> str:
    """Minutes in the unit that reads best."""
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h" if minutes < 2_880 else f"{minutes / 1_440:.1f} days"


def money(minor: float | None, currency: Mapping[str, Any] | None) -> str:
    """Minor units as whole units of a currency (`code`, `decimals`); as they are without one."""
    if minor is None:
        return NONE
    if currency is None:
        return f"{count(round(minor))} minor units"
    return f"{count(round(minor / 10 ** currency['decimals']))} {currency['code']}"


def points(value: float | None, *, sign: bool = False) -> str:
    """A difference of shares without the zero before its point: `.250`, with `sign` `+.250`.

    What rounds to nothing has no sign.
    """
    if value is None or not math.isfinite(value):
        return NONE
    rounded = round(value, 3) + 0.0  # no "-0.000"
    digits = f"{abs(rounded):.3f}".removeprefix("0")
    return f"{'-' if rounded < 0 else '+' if sign and rounded > 0 else ''}{digits}"


def plain_interval(ci: Sequence[float | None]) -> str:
    """An interval of shares as `[.160, .337]`."""
    return f"[{', '.join(points(end) for end in ci)}]"


def signed_interval(ci: Sequence[float | None]) -> str:
    """An interval of differences as `[-.030, +.004]`."""
    return f"[{', '.join(points(end, sign=True) for end in ci)}]"
