"""The report of an evaluation as files: report.json for machines, report.html for people.

The page is one file without scripts or requests: its charts are SVG, drawn here from the figures.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from scorer.charts import calibration_chart, cost_chart, precision_recall_chart
from scorer.page import as_json, render_page, write_files
from scorer.wording import RUNG_WORDS, figure

JSON: Final = "report.json"
HTML: Final = "report.html"


def write_report(report: Mapping[str, Any], directory: Path) -> tuple[Path, Path]:
    """Write report.json and report.html; returns their paths.

    Raises:
        InvalidSetting: The directory cannot be written.
    """
    page = render_html(report)
    write_files(directory, {JSON: as_json(report), HTML: page.encode()})
    return directory / JSON, directory / HTML


def render_html(report: Mapping[str, Any]) -> str:
    """The report as one self-contained page."""
    rungs = report["rungs"]
    costs = report["cost_per_transaction"]
    return render_page(
        "report.html.jinja",
        {
            "report": report,
            "rungs": rungs,
            "words": RUNG_WORDS,
            "findings": findings(report),
            "charts": (
                precision_recall_chart(rungs),
                calibration_chart(rungs),
                cost_chart(
                    rungs["blend"]["curves"]["cost"],
                    {"expected cost": costs["ours"], "fixed .3 / .7": costs["fixed"]},
                    costs["approve_all"],
                ),
            ),
        },
    )


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
