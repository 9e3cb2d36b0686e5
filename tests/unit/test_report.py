import json
import re
from html.parser import HTMLParser

import pytest

from graph.errors import InvalidSetting
from scorer.charts import calibration_chart, cost_chart, precision_recall_chart, top_chart
from scorer.report import findings, render_html, write_report
from scorer.wording import RUNG_WORDS, count, duration, figure, moment, share


def rung(ap, *, fraud=True):
    return {
        "transactions": 1_200,
        "positives": 60,
        "average_precision": ap,
        "average_precision_ci": [ap - 0.05, ap + 0.05],
        "recall_at_precision": {"0.80": 0.5, "0.90": 0.4, "0.95": 0.3},
        "precision_at_budget": {
            "budget": 100,
            "days": 3,
            "alerts": 300,
            "precision": 0.2,
            "recall": 0.9,
            "rings": 2,
            "rings_of": 4,
        },
        "cost_per_transaction": {"ours": 3.25, "fixed": 4.5, "approve_all": 27.5},
        "calibration": {
            "brier": 0.01,
            "brier_of_base_rate": 0.05,
            "bins": [
                {"rows": 600, "predicted": 0.002, "observed": 0.0},
                {"rows": 600, "predicted": 0.1, "observed": 0.12},
            ],
            "top_percent": {
                "rows": 12,
                "predicted": 0.9,
                "observed": 0.8,
                "observed_ci": [0.55, 0.93],
                "error": 0.1,
                "bins": [
                    {"rows": 6, "predicted": 0.85, "observed": 0.7, "observed_ci": [0.4, 0.9]},
                    {"rows": 6, "predicted": 0.95, "observed": 0.9, "observed_ci": [0.6, 1.0]},
                ],
            },
        },
        "warm": {
            "transactions": 1_000,
            "positives": 40,
            "average_precision": 0.6,
            "average_precision_ci": [0.5, 0.7],
        },
        "rings": {"true": 4, "matched": 2, "precision": 0.1, "recall": 0.5, "delay": None},
        "curves": {
            "precision_recall": [[0.1, 1.0], [0.5, 0.9], [1.0, 0.05]],
            "cost": [[0.0, 27.5], [0.05, 6.0], [1.0, 95.0]],
        },
    }


def outcome(cost):
    return {
        "alerts": 40,
        "fraud_stopped": 123_456,
        "fraud_let_through": 6_544,
        "good_money_blocked": 100,
        "customers_troubled": 7,
        "cost": cost,
        "cost_per_transaction": cost / 1_200,
    }


def ring_row(true, matched, **more):
    return {
        "true": true,
        "matched": matched,
        "recall": matched / true if true else None,
        "member_precision": 1.0,
        "member_recall": 0.9,
        "delay": None,
        **more,
    }


def made():
    rungs = {"tabular": rung(0.5), "graph": rung(0.7), "memory": rung(0.71), "blend": rung(0.72)}
    span = {"transactions": 10, "positives": 2, "from": 0, "until": 86_400_000}
    return rungs["blend"] | {
        "base_rate": 0.05,
        "rungs": rungs,
        "rings": {
            "true": 4,
            "detected": 9,
            "alerted": 5,
            "matched": 3,
            "false": 2,
            "f1": 2 / 3,
            "precision": 0.6,
            "recall": 0.75,
            "member_precision": 1.0,
            "member_recall": 0.9,
            "delay": {"minutes": 30.0, "transactions": 3.0, "money_gone": 0.4},
        },
        "gains": {
            "graph_over_tabular": {"difference": 0.2, "ci": [0.1, 0.3], "excludes_zero": True},
            "memory_over_graph": {"difference": 0.01, "ci": [0.0, 0.02], "excludes_zero": False},
            "blend_over_memory": {"difference": -0.0001, "ci": [-0.1, 0.1], "excludes_zero": False},
        },
        "protocol": "temporal",
        "data": {
            "name": "<script>alert(1)</script>",
            "transactions": 9_999,
            "labelled": 9_000,
            "rejected": 1,
            "currency": {"code": "EUR", "decimals": 2},
            "ground_truth": ["rings.parquet", "look_alikes.parquet"],
        },
        "split": {
            "early": span,
            "later": span,
            "test": span,
            "embargo_hours": 24.0,
            "embargoed": 3,
            "unsettled": 5,
            "moved_to_later": 0,
            "spanning_rings": 2,
            "excluded": 1,
        },
        "seed": 1,
        "policy": {"version": "abc", "thresholds": None},
        "settings": {"most_negatives": 40_000},
        "families": {"flow": 0.7, "amount": 0.3},
        "typologies": {
            "kinds": {
                "cycle": ring_row(4, 3, false=1, false_per_10_true=2.5, variants={}),
                "fan_out": ring_row(0, 0, false=1, false_per_10_true=None, variants={}),
            },
            "variants": {"plain": ring_row(3, 3), "split": ring_row(1, 0)},
        },
        "look_alikes": {
            "rule": "Half of it, or any declined.",
            "kinds": {
                "family_cycle": {
                    "groups": 400,
                    "transactions": 1_600,
                    "alerted": 3,
                    "by_ring": 2,
                    "by_decline": 1,
                    "per_thousand": 7.5,
                }
            },
        },
        "money": {
            "ours": outcome(3_900.0),
            "fixed": outcome(5_400.0),
            "approve_all": outcome(33_000.0),
            "saved": {"against_approve_all": 29_100.0, "against_fixed": 1_500.0},
        },
        "tiers": {
            tier: {
                "transactions": 400,
                "share_of_traffic": 1 / 3,
                "frauds": 20,
                "share_of_fraud": 1 / 3,
                "fraud_rate": 0.05,
                "alerts": 10,
            }
            for tier in ("rules", "graph", "model")
        },
        "stability": {
            "features": 6,
            "shifted": 2,
            "moved": 1,
            "worst": [{"feature": "value_log", "family": "amount", "psi": 0.31}],
        },
        "confounders": {
            "shuffled_labels": {"average_precision": 0.051, "base_rate": 0.05},
            "one_feature": {
                "best": [
                    {
                        "feature": "comes_back",
                        "family": "flow",
                        "auc": 0.9,
                        "average_precision": 0.4,
                    }
                ],
                "by_family": {},
                "best_auc": 0.9,
            },
            "shuffled_edges": {
                "tabular": 0.5,
                "graph": 0.49,
                "memory": 0.49,
                "memory_over_graph": {"difference": 0.0},
                "difference": -0.01,
                "ci": [-0.05, 0.03],
                "excludes_zero": False,
            },
        },
    }


class Tags(HTMLParser):
    VOID = frozenset({"meta"})

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_asks_for_nothing():
    page = render_html(made())
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.seen.count("figure") == 7
    assert "script" not in tags.seen
    assert not {name for name, _ in tags.attributes} & {"src", "href", "onload", "onclick"}
    assert "http" not in page
    assert "@import" not in page
    assert "url(" not in page
    assert "prefers-color-scheme: dark" in page


def test_what_the_data_is_called_cannot_become_markup():
    page = render_html(made())
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_the_headline_figures_are_on_the_page():
    page = render_html(made())
    for text in (
        *("0.720", "0.670 to 0.770", "40.0 %", "3 of 4", "27.50", "30 min", "9\u202f999"),
        *("2 of 4 rings", "F1 0.67", "family cycle", "7.5", "all split", "1 (2.5)", "29100"),
        *("1\u202f235 EUR", "value_log", "comes_back", "edges shuffled", "rings.parquet"),
    ):
        assert text in page
    assert "nan" not in page.lower().split("</style>")[1]


def test_charts_stay_inside_of_their_frame():
    report = made()
    charts = (
        precision_recall_chart(report["rungs"]),
        calibration_chart(report["rungs"]),
        top_chart(report["rungs"]),
        cost_chart(
            report["rungs"]["blend"]["curves"]["cost"],
            {"ours": report["cost_per_transaction"]["ours"]},
            report["cost_per_transaction"]["approve_all"],
        ),
    )
    for chart in charts:
        assert chart.lines
        for line in chart.lines:
            assert line.points
            for pair in line.points.split():
                x, y = map(float, pair.split(","))
                assert chart.left - 0.1 <= x <= chart.left + chart.width + 0.1
                assert chart.top - 0.1 <= y <= chart.top + chart.height + 0.1


def test_each_of_five_rungs_is_told_from_what_was_predicted():
    rungs = made()["rungs"]
    five = {rung: rungs.get(rung, rungs["blend"]) for rung in RUNG_WORDS}
    for chart in (calibration_chart(five), top_chart(five)):
        assert len({line.style for line in chart.lines}) == len(five) + 1 == 6
    page = render_html(made())
    assert all(f".s{style} {{" in page for style in range(6))


def test_a_point_lies_where_its_figures_say():
    (line, *_) = precision_recall_chart(made()["rungs"]).lines
    chart = precision_recall_chart(made()["rungs"])
    x, y = map(float, line.points.split()[1].split(","))
    assert (x - chart.left) / chart.width == pytest.approx(0.5, abs=0.001)
    assert 1 - (y - chart.top) / chart.height == pytest.approx(0.9, abs=0.001)


def test_sentences_say_when_a_gain_is_not_beyond_doubt():
    said = findings(made())
    assert said[0].endswith("+0.200 (95 % 0.100 to 0.300), beyond doubt.")
    assert said[2].endswith("+0.000 (95 % -0.100 to 0.100), not beyond doubt.")
    assert "24.25 saved" in said[3]
    assert "shuffled labels" in said[4]
    assert "comes_back" in said[5]
    assert "-0.010 (95 % -0.050 to 0.030): it is gone." in said[6]
    assert any("2 of 4 rings" in each for each in said)
    assert any("family cycle" in each for each in said)
    report = made()
    report["confounders"]["shuffled_edges"] |= {"excludes_zero": True, "difference": 0.05}
    assert findings(report)[6].endswith(": 25 % of it remains.")
    assert (
        "trained on transactions of the test"
        in findings(made() | {"model": {"version": "v", "saw_the_test": True}})[-1]
    )


def test_a_report_on_a_given_model_without_rings_or_fraud_among_the_warm_is_drawn():
    report = made()
    del report["rungs"]["tabular"], report["families"], report["confounders"]
    del report["typologies"], report["look_alikes"], report["data"]["currency"]
    del report["gains"]["graph_over_tabular"]
    report["model"] = {"version": "0123456789abcdef", "saw_the_test": False}
    report["rings"] |= {"recall": None, "precision": None, "delay": None}
    for figures in report["rungs"].values():
        figures["warm"] |= {"average_precision": None, "average_precision_ci": [None, None]}
        figures["curves"] = {"precision_recall": [], "cost": []}
    page = render_html(report)
    assert "0123456789abcdef" in page
    assert "What the model looks at" not in page
    assert "Ring by kind" not in page
    assert "123\u202f456 minor units" in page


def test_files_are_written_and_equal_reports_make_equal_bytes(tmp_path):
    first = write_report(made(), tmp_path / "a" / "b")
    second = write_report(made(), tmp_path / "c")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert json.loads(first[0].read_text()) == made()
    assert re.match(r"<!doctype html>", first[1].read_text().strip())


def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidSetting, match=r"report directory.*file"):
        write_report(made(), tmp_path / "file")


def test_figures_read_well():
    assert figure(None) == figure(float("nan")) == "\u2013"
    assert figure(-0.0001) == "0.000"
    assert share(0.0123) == "1.2 %"
    assert count(1_234_567) == "1\u202f234\u202f567"
    assert moment(0) == "1970-01-01 00:00"
    assert [duration(m) for m in (59.6, 180, 4_320)] == ["60 min", "3.0 h", "3.0 days"]
