"""The report of an evaluation as files: report.json for machines, report.html for people.

The page is one file without scripts or requests: its charts are SVG, drawn here from the figures.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from scorer.charts import calibration_chart, cost_chart, precision_recall_chart, top_chart
from scorer.page import as_json, render_page, write_files
from scorer.wording import RUNG_WORDS, figure, money, share

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
            "currency": report["data"].get("currency"),
            "charts": (
                precision_recall_chart(rungs),
                calibration_chart(rungs),
                top_chart(rungs),
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
        said += _of_confounders(
            report["confounders"], report["gains"]["graph_over_tabular"]["difference"]
        )
    if "ladder" in report:
        said += _of_ladder(report["ladder"])
    said += _of_money(report) + _of_rings(report) + _of_stability(report["stability"])
    if report.get("model", {}).get("saw_the_test"):
        said.append("The model was trained on transactions of the test: its figures say nothing.")
    return said


def _of_confounders(checks: Mapping[str, Any], gain: float) -> list[str]:
    labels, alone = checks["shuffled_labels"], checks["one_feature"]["best"][0]
    said = [
        (
            f"Learned from shuffled labels the average precision is "
            f"{figure(labels['average_precision'])}, chance is {figure(labels['base_rate'])}."
        ),
        (
            f"The best single feature, {alone['feature']}, reaches an average precision of "
            f"{figure(alone['average_precision'])} alone (AUC {figure(alone['auc'])})."
        ),
    ]
    if "shuffled_edges" in checks:
        edges = checks["shuffled_edges"]
        low, high = edges["ci"]
        if not edges["excludes_zero"]:
            verdict = "it is gone"
        elif gain > 0:
            verdict = f"{share(edges['difference'] / gain, 0)} of it remains"
        else:
            verdict = "with the real ones there was none"
        said.append(
            f"Replayed with shuffled edges the graph's gain is "
            f"{round(edges['difference'], 3) + 0.0:+.3f} "
            f"(95 % {figure(low)} to {figure(high)}): {verdict}."
        )
    else:
        said.append("It was not replayed with shuffled edges (--confounders does it).")
    return said


def _of_ladder(ladder: Mapping[str, Any]) -> list[str]:
    rungs, best = ladder["rungs"], ladder["best"]
    added = ", ".join(rungs[name]["words"] for name in ladder["adds"]) or "none"
    return [
        (
            f"Of {len(rungs)} rungs of the ladder the best is {rungs[best]['words']} "
            f"({figure(rungs[best]['average_precision'])}); beyond doubt, and beyond what another "
            f"seed does, these add to what they stand on: {added}."
        ),
        *(edges["sentence"] for edges in ladder["edges"].values()),
    ]


def _of_money(report: Mapping[str, Any]) -> list[str]:
    saved, currency = report["money"]["saved"], report["data"].get("currency")
    ours = report["money"]["ours"]
    return [
        (
            "With every rule of a verdict, deciding saves "
            f"{figure(saved['against_approve_all'], 0)} against approving everything and "
            f"{figure(saved['against_fixed'], 0)} against fixed thresholds .3 / .7; it stops "
            f"{money(ours['fraud_stopped'], currency)} of fraud, lets "
            f"{money(ours['fraud_let_through'], currency)} through and declines "
            f"{money(ours['good_money_blocked'], currency)} of good money."
        )
    ]


def _of_rings(report: Mapping[str, Any]) -> list[str]:
    rings, caught = report["rings"], report["precision_at_budget"]
    said = [
        f"Rings: F1 {figure(rings['f1'])}; {rings['false']} alerted rings are no true ones.",
        f"{caught['budget']} alerts a day reach {caught['rings']} of {caught['rings_of']} rings.",
    ]
    if "look_alikes" in report:
        rows = report["look_alikes"]["kinds"]
        worst = max(rows, key=lambda kind: rows[kind]["per_thousand"], default=None)
        if worst is not None:
            said.append(
                f"Of the look-alikes, {worst.replace('_', ' ')} is alerted most: "
                f"{figure(rows[worst]['per_thousand'], 1)} of a thousand groups."
            )
    return said


def _of_stability(stability: Mapping[str, Any]) -> list[str]:
    worst = stability["worst"][0]
    return [
        (
            f"{stability['moved']} of {stability['features']} features moved between past and test "
            f"(PSI from .25); the furthest is {worst['feature']} ({figure(worst['psi'], 2)})."
        )
    ]
