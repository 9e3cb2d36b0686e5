"""The report of an evaluation as files: report.json for machines, report.html for people.

The page is one file without scripts or requests: its charts are SVG, drawn here from the figures.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import jinja2
import msgspec

from graph.errors import InvalidSetting

JSON: Final = "report.json"
HTML: Final = "report.html"
RUNG_WORDS: Final = {
    "tabular": "without the graph",
    "graph": "with the graph",
    "blend": "with rings and evidence",
}

# Inner plot of a chart, in SVG units.
_LEFT, _TOP, _WIDTH, _HEIGHT = 64.0, 14.0, 396.0, 250.0
_LOG_FLOOR: Final = 1e-4
_NONE: Final = "\u2013"


@dataclass(frozen=True, slots=True)
class Mark:
    """A tick of an axis: where, in SVG units, and what it says."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chart: `points` as SVG writes them, `dots` for single points, `style` 0 to 3."""

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


def write_report(report: Mapping[str, Any], directory: Path) -> tuple[Path, Path]:
    """Write report.json and report.html; returns their paths.

    Keys stay in the order of the report, so equal reports make equal bytes.

    Raises:
        InvalidSetting: The directory cannot be written.
    """
    encoded = msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
    page = render_html(report)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / JSON).write_bytes(encoded)
        (directory / HTML).write_text(page, encoding="utf-8")
    except OSError as error:
        raise InvalidSetting(
            f"the report cannot be written: {error.strerror}",
            field="report directory",
            value=str(directory),
            remedy="Give a directory that can be written.",
        ) from error
    return directory / JSON, directory / HTML


def render_html(report: Mapping[str, Any]) -> str:
    """The report as one self-contained page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "figure": figure,
        "share": share,
        "count": count,
        "moment": moment,
        "duration": duration,
    }
    rungs = report["rungs"]
    return environment.get_template("report.html.jinja").render(
        report=report,
        rungs=rungs,
        words=RUNG_WORDS,
        findings=findings(report),
        charts=(
            precision_recall_chart(rungs),
            calibration_chart(rungs),
            cost_chart(rungs["blend"], report["cost_per_transaction"]),
        ),
    )


# --- words --------------------------------------------------------------------------------------


def figure(value: float | None, digits: int = 3) -> str:
    """A number with fixed digits, a dash where there is none."""
    return (
        _NONE
        if value is None or not math.isfinite(value)
        else f"{round(value, digits) + 0.0:.{digits}f}"
    )


def share(value: float | None, digits: int = 1) -> str:
    """A share in per cent, a dash where there is none."""
    return _NONE if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f} %"


def count(value: int | None) -> str:
    """A whole number with thin spaces between thousands."""
    return _NONE if value is None else f"{value:,}".replace(",", "\u202f")


def moment(value: int | None) -> str:
    """Epoch milliseconds as UTC, to the minute."""
    if value is None:
        return _NONE
    return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def duration(minutes: float) -> str:
    """Minutes in the unit that reads best."""
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h" if minutes < 2_880 else f"{minutes / 1_440:.1f} days"


def findings(report: Mapping[str, Any]) -> list[str]:
    """What the figures say, in sentences; a gain that is not beyond doubt is called so."""
    said = []
    for name, gained in report["gains"].items():
        better, base = name.split("_over_")
        low, high = gained["ci"]
        verdict = "beyond doubt" if gained["excludes_zero"] else "not beyond doubt"
        difference = round(gained["difference"], 3) + 0.0  # no "-0.000"
        said.append(
            f"Average precision {RUNG_WORDS[better]} against {RUNG_WORDS[base]}: "
            f"{difference:+.3f} (95 % {figure(low)} to {figure(high)}), {verdict}."
        )
    costs = report["cost_per_transaction"]
    saved = costs["approve_all"] - costs["ours"]
    said.append(
        f"Deciding by expected cost costs {figure(costs['ours'], 2)} a transaction, approving "
        f"everything {figure(costs['approve_all'], 2)}: "
        + (f"{figure(saved, 2)} saved." if saved >= 0 else f"{figure(-saved, 2)} lost.")
    )
    if "confounders" in report:
        check = report["confounders"]["shuffled_labels"]
        said.append(
            f"Learned from shuffled labels the average precision is "
            f"{figure(check['average_precision'])}, chance is {figure(check['base_rate'])}."
        )
    if report.get("model", {}).get("saw_the_test"):
        said.append("The model was trained on transactions of the test: its figures say nothing.")
    return said


# --- charts -------------------------------------------------------------------------------------

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
    lines = [Line("as predicted", _polyline([(0.0, 0.0), (1.0, 1.0)], _x, _y), (), 3)]
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


def cost_chart(figures: Mapping[str, Any], costs: Mapping[str, float]) -> Chart:
    """Cost per transaction when the riskiest share is declined, beside what the policies cost."""
    points = figures["curves"]["cost"]
    top = _round_up(max([cost for _, cost in points] + list(costs.values())))
    # The right end, where everything is declined, would flatten what matters.
    interesting = _round_up(2.0 * max(costs["approve_all"], costs["ours"], costs["fixed"], 1e-9))
    top = min(top, interesting)

    def y(cost: float) -> float:
        return _y(min(cost / top, 1.0))

    flat = [("expected cost", costs["ours"], 1), ("fixed .3 / .7", costs["fixed"], 2)]
    lines = [_line("decline the riskiest", points, _log_x, y, 0)]
    lines += [
        Line(name, _polyline([(0.0, cost), (1.0, cost)], _x, y), (), style)
        for name, cost, style in flat
    ]
    return Chart(
        title="Cost per transaction",
        summary=(
            f"Expected cost {figure(costs['ours'], 3)}, fixed thresholds "
            f"{figure(costs['fixed'], 3)}, approve all {figure(costs['approve_all'], 3)}."
        ),
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
