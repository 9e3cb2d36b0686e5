"""The report of a backtest: a table for the terminal, and JSON, HTML and CSV files."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from scorer.backtest import Backtest, Difference
from scorer.charts import cost_chart
from scorer.page import as_json, render_page, write_files
from scorer.wording import count, figure, money, share

JSON: Final = "backtest.json"
HTML: Final = "backtest.html"
CSV: Final = "differences.csv"

_COUNTS: Final = {
    "alerts": "alerts (stepped up or declined)",
    "declined": "declined",
    "stepped_up": "stepped up",
    "customers_troubled": "customers troubled",
    "customers_declined": "of them declined",
}
_SHARES: Final = {
    "recall": "recall: share of frauds alerted",
    "recall_declined": "share of frauds declined",
    "precision": "precision: share of alerts that are fraud",
    "fraud_stopped_share": "share of fraud's money stopped",
}
_MONEY: Final = {
    "fraud_stopped": "fraud stopped",
    "fraud_let_through": "fraud let through",
    "good_money_blocked": "good money blocked",
    "good_money_stepped_up": "good money stepped up",
}


def comparison(report: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """The figures side by side: what, first policy, second policy, second minus first."""
    first, second = report["policies"].values()
    one, other, change = first["figures"], second["figures"], report["difference"]["figures"]
    currency = report["data"].get("currency")
    rows = [
        (words, money(one[k], currency), money(other[k], currency), _signed(change[k], currency))
        for k, words in _MONEY.items()
    ]
    for key, words in _COUNTS.items():
        gap = f"{change[key]:+,}".replace(",", "\u202f")
        rows.append((words, count(one[key]), count(other[key]), gap))
    rows.append(
        (
            "alerts a day",
            figure(one["alerts_per_day"], 1),
            figure(other["alerts_per_day"], 1),
            _plus(change["alerts_per_day"], 1),
        )
    )
    for key, words in _SHARES.items():
        points = change[key]
        gap = share(None) if points is None else f"{100 * points:+.1f} points"
        rows.append((words, share(one[key]), share(other[key]), gap))
    rows.append(
        (
            "cost by its own costs",
            figure(one["cost"], 0),
            figure(other["cost"], 0),
            _plus(change["cost"], 0),
        )
    )
    if first["costs"] == second["costs"]:
        return rows
    for by in report["policies"]:
        here, there = figure(first["cost_by"][by], 0), figure(second["cost_by"][by], 0)
        gap = _plus(report["difference"]["cost_by"][by], 0)
        rows.append((f"cost by the costs of {by}", here, there, gap))
    return rows


def findings(report: Mapping[str, Any]) -> list[str]:
    """What the figures say, in sentences."""
    first, second = report["policies"]
    currency = report["data"].get("currency")
    change = report["difference"]["figures"]
    by = report["difference"]["cost_by"]
    said = []
    if report["policies"][first]["version"] == report["policies"][second]["version"]:
        said.append("Both files hold the same policy.")
    same = report["policies"][first]["costs"] == report["policies"][second]["costs"]
    said += [
        f"By the costs of {'both' if same else name}, {second} is {figure(abs(by[name]), 0)} "
        f"{'cheaper' if by[name] < 0 else 'dearer'} than {first}."
        for name in ((first,) if same else (first, second))
    ]
    stopped, blocked = change["fraud_stopped"], change["good_money_blocked"]
    troubled = change["customers_troubled"]
    said.append(
        f"Against {first}, {second} stops {money(abs(stopped), currency)} {_more(stopped)} of "
        f"fraud, declines {money(abs(blocked), currency)} {_more(blocked)} of good money, and "
        f"troubles {abs(troubled):,} customers {_more(troubled)}."
    )
    return said


def write_backtest(found: Backtest, directory: Path) -> tuple[Path, ...]:
    """Write backtest.json, backtest.html and all differences as differences.csv.

    Raises:
        InvalidSetting: The directory cannot be written.
    """
    contents = {
        JSON: as_json(found.report),
        HTML: render_html(found.report).encode(),
        CSV: _csv(list(found.report["policies"]), found.differences),
    }
    write_files(directory, contents)
    return tuple(directory / name for name in contents)


def render_html(report: Mapping[str, Any]) -> str:
    """The report as one self-contained page."""
    names = list(report["policies"])
    judged = report["judged"]["transactions"]
    return render_page(
        "backtest.html.jinja",
        {
            "report": report,
            "names": names,
            "rows": comparison(report),
            "findings": findings(report),
            "currency": report["data"].get("currency"),
            "csv": CSV,
            "chart": cost_chart(
                report["curve"]["cost"],
                {n: report["policies"][n]["cost_by"][names[0]] / judged for n in names},
                report["curve"]["approve_all"],
            ),
        },
    )


def _csv(names: list[str], differences: list[Difference]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            *("transaction_id", "timestamp", "user_id", "value", "fraud", "score", "ring_score"),
            *names,
            *("made_by", "bound", "extra_cost", "why", "reasons"),
        ]
    )
    for each in differences:
        writer.writerow(
            [
                each.transaction_id,
                each.timestamp,
                each.user_id,
                each.value,
                str(each.fraud).lower(),
                f"{each.score:.6g}",
                f"{each.ring_score:.6g}",
                *(each.decisions[name] for name in names),
                each.made_by,
                each.bound,
                f"{each.extra_cost:.6g}",
                each.why,
                " | ".join(reason.text for reason in each.reasons),
            ]
        )
    return out.getvalue().encode()


def _signed(minor: float, currency: Mapping[str, Any] | None) -> str:
    return ("+" if minor >= 0 else "\u2212") + money(abs(minor), currency)


def _more(change: float) -> str:
    return "less" if change < 0 else "more"


def _plus(value: float | None, digits: int) -> str:
    return figure(None) if value is None else f"{value:+.{digits}f}"
