"""Charts: figures laid out as lines and ticks in SVG units; the templates only draw them."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from scorer.wording import RUNG_WORDS, figure

# Inner plot of a chart, in SVG units.
_LEFT, _TOP, _WIDTH, _HEIGHT = 64.0, 14.0, 396.0, 250.0
_LOG_FLOOR: Final = 1e-4
_DIAGONAL: Final = 5  # style of what was predicted; rungs have 0 to 4


@dataclass(frozen=True, slots=True)
class Mark:
    """A tick of an axis: where, in SVG units, and what it says."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chart: `points` as SVG writes them, `dots` for single points, `style` 0 to 5."""

    name: str
    points: str
    dots: tuple[tuple[float, float], ...]
    style: int


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, laid out: the template only draws it."""

    title: str
    summary: str
    x_label: str
    y_label: str
    x_ticks: tuple[Mark, ...]
    y_ticks: tuple[Mark, ...]
    lines: tuple[Line, ...]
    left: float = _LEFT
    top: float = _TOP
    width: float = _WIDTH
    height: float = _HEIGHT


Scale = Callable[[float], float]


def precision_recall_chart(rungs: Mapping[str, Any]) -> Chart:
    """Precision over recall, a line a rung."""
    lines = [
        _line(RUNG_WORDS[rung], figures["curves"]["precision_recall"], _x, _y, style)
        for style, (rung, figures) in enumerate(rungs.items())
    ]
    spoken = ", ".join(
        f"{RUNG_WORDS[rung]} {figure(figures['average_precision'])}"
        for rung, figures in rungs.items()
    )
    return Chart(
        title="Precision and recall",
        summary=f"Area under the curve: {spoken}.",
        x_label="recall: share of fraud found",
        y_label="precision: share of alerts that are fraud",
        x_ticks=_linear_ticks(_x),
        y_ticks=_linear_ticks(_y),
        lines=tuple(lines),
    )


def calibration_chart(rungs: Mapping[str, Any]) -> Chart:
    """Observed fraud rate over predicted probability, by score decile and top 1 %, log scales."""
    lines = [Line("as predicted", _polyline([(0.0, 0.0), (1.0, 1.0)], _x, _y), (), _DIAGONAL)]
    for style, (rung, figures) in enumerate(rungs.items()):
        bins = [*figures["calibration"]["bins"], figures["calibration"]["top_percent"]]
        points = sorted((part["predicted"], part["observed"]) for part in bins)
        lines.append(_line(RUNG_WORDS[rung], points, _log_x, _log_y, style, dotted=True))
    brier = rungs["blend"]["calibration"]
    return Chart(
        title="Calibration",
        summary=(
            f"Brier score {figure(brier['brier'], 5)}, of the base rate alone "
            f"{figure(brier['brier_of_base_rate'], 5)}. Bins without fraud lie on the floor."
        ),
        x_label="predicted probability",
        y_label="observed share of fraud",
        x_ticks=_log_ticks(_log_x),
        y_ticks=_log_ticks(_log_y),
        lines=tuple(lines),
    )


def top_chart(rungs: Mapping[str, Any]) -> Chart:
    """Observed fraud rate over predicted probability within the top 1 % by score, in fifths."""
    lines = [Line("as predicted", _polyline([(0.0, 0.0), (1.0, 1.0)], _x, _y), (), _DIAGONAL)]
    for style, (rung, figures) in enumerate(rungs.items()):
        bins = figures["calibration"]["top_percent"]["bins"]
        points = sorted((part["predicted"], part["observed"]) for part in bins)
        lines.append(_line(RUNG_WORDS[rung], points, _x, _y, style, dotted=True))
    top = rungs["blend"]["calibration"]["top_percent"]
    low, high = top["observed_ci"]
    return Chart(
        title="Reliability of the top 1 %",
        summary=(
            f"Of its {top['rows']:,} transactions {100 * top['observed']:.1f} % are fraud "
            f"(95 % {100 * low:.1f} to {100 * high:.1f}), {100 * top['predicted']:.1f} % were "
            f"predicted; the mean gap of its fifths is {100 * top['error']:.1f} points."
        ),
        x_label="predicted probability",
        y_label="observed share of fraud",
        x_ticks=_linear_ticks(_x),
        y_ticks=_linear_ticks(_y),
        lines=tuple(lines),
    )


def cost_chart(
    points: Sequence[Sequence[float]], policies: Mapping[str, float], approve_all: float
) -> Chart:
    """Cost per transaction when the riskiest share is declined, beside what the policies cost.

    Args:
        points: [share declined, cost] as `scorer.metrics.cost_curve` gives them.
        policies: Cost of each policy by name, at most three.
        approve_all: Cost of approving everything.
    """
    costs = [*policies.values(), approve_all]
    top = _round_up(max([point[1] for point in points] + costs))
    # The right end, where everything is declined, would flatten what matters.
    top = min(top, _round_up(2.0 * max(*costs, 1e-9)))

    def y(cost: float) -> float:
        return _y(min(cost / top, 1.0))

    lines = [_line("decline the riskiest", points, _log_x, y, 0)]
    lines += [
        Line(name, _polyline([(0.0, cost), (1.0, cost)], _x, y), (), style)
        for style, (name, cost) in enumerate(policies.items(), 1)
    ]
    spoken = ", ".join(f"{name} {figure(cost)}" for name, cost in policies.items())
    return Chart(
        title="Cost per transaction",
        summary=f"By policy: {spoken}; approve all {figure(approve_all)}.",
        x_label="share of transactions declined",
        y_label="cost per transaction",
        x_ticks=_log_ticks(_log_x),
        y_ticks=tuple(Mark(y(top * i / 4), f"{top * i / 4:.3g}") for i in range(5)),
        lines=tuple(lines),
    )


def _x(value: float) -> float:
    return _LEFT + _WIDTH * value


def _y(value: float) -> float:
    return _TOP + _HEIGHT * (1.0 - value)


def _log_x(value: float) -> float:
    return _x(_log_share(value))


def _log_y(value: float) -> float:
    return _y(_log_share(value))


def _log_share(value: float) -> float:
    span = -math.log10(_LOG_FLOOR)
    return 1.0 + math.log10(max(value, _LOG_FLOOR)) / span


def _linear_ticks(scale: Scale) -> tuple[Mark, ...]:
    return tuple(Mark(scale(i / 5), f"{i / 5:.1f}") for i in range(6))


def _log_ticks(scale: Scale) -> tuple[Mark, ...]:
    steps = ((1e-4, "0.01 %"), (1e-3, "0.1 %"), (1e-2, "1 %"), (1e-1, "10 %"), (1.0, "100 %"))
    return tuple(Mark(scale(value), text) for value, text in steps)


def _line(
    name: str,
    points: Iterable[Sequence[float]],
    x: Scale,
    y: Scale,
    style: int,
    *,
    dotted: bool = False,
) -> Line:
    pairs = [(point[0], point[1]) for point in points]
    dots = tuple((round(x(a), 1), round(y(b), 1)) for a, b in pairs) if dotted else ()
    return Line(name, _polyline(pairs, x, y), dots, style)


def _polyline(points: Iterable[tuple[float, float]], x: Scale, y: Scale) -> str:
    return " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)


def _round_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value - 1e-12)
