"""Two policies over one history: as the detector would decide, counted by hand."""

import csv
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api import cli
from graph.errors import InvalidSetting
from graph.heuristics import Lists
from graph.transaction import DAY, HOUR, Entity, EntityKind
from ingest.codec import from_fields
from ingest.currencies import RateTable
from ingest.simulator import WIRE_FIELDS, RingCounts, SimulationConfig, run, write
from scorer import backtest as module
from scorer.backtest import backtest
from scorer.backtest_report import render_html, write_backtest
from scorer.decision import FIXED, Budget, Costs, Policy
from scorer.detector import Detector, DetectorConfig
from scorer.history import LabelledTransaction
from scorer.splits import Dates
from scorer.training import train
from scorer.verdict import Decision
from tests.planted_history import SMALL, PingPong, made

pytestmark = pytest.mark.slow

BOTH = {"cost": Policy(), "fixed": FIXED}
EURO = {"code": "EUR", "decimals": 2}


@pytest.fixture(scope="module")
def history():
    return made(rows=3_000)


@pytest.fixture(scope="module")
def found(history):
    return backtest(
        history, PingPong(), BOTH, settings=SMALL, data={"name": "planted", "currency": EURO}
    )


def test_the_figures_are_those_of_a_count_by_hand(found, history):
    by_id = {item.transaction.transaction_id: item for item in history}
    report = found.report
    judged = report["judged"]
    rows = [
        item
        for item in history
        if item.fraud is not None and item.transaction.timestamp >= judged["from"]
    ]
    assert judged["transactions"] == len(rows)
    assert judged["frauds"] == sum(item.fraud for item in rows)
    assert len(found.differences) == report["differences"]["count"] > 10
    # Where they agree they cost the same, so the difference is that of the differing rows.
    extra = 0.0
    for each in found.differences:
        item = by_id[each.transaction_id]
        assert (each.fraud, each.value) == (item.fraud, item.transaction.value)
        a, b = (Decision(each.decisions[name]) for name in BOTH)
        assert a is not b
        costs = Policy().costs
        expected = costs.realised(b, fraud=item.fraud) - costs.realised(a, fraud=item.fraud)
        assert each.extra_cost == pytest.approx(expected)
        extra += expected
    assert report["difference"]["cost_by"]["cost"] == pytest.approx(extra)
    assert sum(report["differences"]["transitions"].values()) == len(found.differences)
    for name in BOTH:
        figures = report["policies"][name]["figures"]
        assert figures["alerts"] == figures["declined"] + figures["stepped_up"]
        whole = judged["fraud_value"]
        assert figures["fraud_stopped"] + figures["fraud_let_through"] == pytest.approx(whole, 1e-6)
        assert figures["customers_declined"] <= figures["customers_troubled"] <= judged["users"]
    # Looking at more can only find more.
    cost, fixed = (report["policies"][name]["figures"] for name in BOTH)
    assert cost["recall"] >= fixed["recall"]
    assert cost["customers_troubled"] >= fixed["customers_troubled"]


def test_each_difference_says_which_bound_made_it(found):
    bounds = {name: policy.bounds for name, policy in BOTH.items()}
    for each in found.differences:
        assert each.made_by in {"costs and thresholds", "connection"}
        if each.made_by == "connection":
            continue
        for place, bound in enumerate(("step_up", "decline")):
            between = (each.score > bounds["cost"][place]) != (each.score > bounds["fixed"][place])
            assert between == (bound in each.bound)
        assert "cost:" in each.why
        assert "fixed:" in each.why
    spoken = [each for each in found.differences if each.reasons]
    assert spoken
    assert all(
        one.weight >= other.weight for each in spoken for one, other in pairwise(each.reasons)
    )


def test_the_list_is_cut_and_says_so(history, monkeypatch):
    monkeypatch.setattr(module, "MOST_SHOWN", 5)
    report = backtest(history, PingPong(), BOTH, settings=SMALL).report["differences"]
    assert report["cut"]
    assert report["shown"] == len(report["list"]) == 5 < report["count"]
    sizes = [abs(each["extra_cost"]) for each in report["list"]]
    assert sizes == sorted(sizes, reverse=True)


def test_a_policy_against_itself_differs_in_nothing(history):
    same = backtest(history, PingPong(), {"a": Policy(), "b": Policy()}, settings=SMALL)
    assert same.differences == []
    assert all(not value for value in same.report["difference"]["figures"].values())
    assert "Both files hold the same policy." in render_html(same.report)


def test_a_budget_is_kept_in_each_segment_and_named_where_it_decided(history):
    both = {"plain": Policy(), "spared": Policy(budget=Budget(0.1, 0.05))}
    found = backtest(history, PingPong(), both, settings=SMALL)
    plain, spared = (found.report["policies"][name] for name in both)
    assert plain["segments"] == []
    (segment,) = spared["segments"]
    assert segment["segment"] == "transfer/-"
    assert segment["transactions"] == found.report["judged"]["transactions"]
    assert segment["bounds"][0] > plain["bounds"][0] == spared["bounds"][0]
    assert segment["stepped_up"] == spared["figures"]["stepped_up"]
    assert spared["figures"]["alerts"] < plain["figures"]["alerts"]
    milder = {("step_up", "approve"), ("decline", "step_up")}
    assert {(d.decisions["plain"], d.decisions["spared"]) for d in found.differences} <= milder
    assert len(found.differences) > 20
    for each in found.differences:
        assert each.made_by == "budget"
        assert "by its budget in transfer/-; without it from 0.033 and 0.436" in each.why
    late = {"late": Policy(thresholds=(0.8, 0.9)), "spared": both["spared"]}
    other = backtest(history, PingPong(), late, settings=SMALL)
    # What one would approve and the other decline, which its budget makes a step-up.
    assert {"costs and thresholds", "costs and thresholds and budget"} <= {
        each.made_by for each in other.differences
    }


def test_a_model_judges_only_what_it_has_not_seen(history):
    cut = history[len(history) // 2].transaction.timestamp
    past = [item for item in history if item.transaction.timestamp < cut]
    model = train(past, PingPong(), settings=SMALL)
    report = backtest(history, PingPong(), BOTH, model=model, embargo=HOUR).report
    assert report["split"] is None
    assert report["model"]["version"] == model.version
    assert report["judged"]["from"] > model.data["until"] + HOUR
    with pytest.raises(InvalidSetting, match="has seen all of this history"):
        backtest(past, PingPong(), BOTH, model=model)
    with pytest.raises(InvalidSetting, match="does not say until when"):
        backtest(history, PingPong(), BOTH, model=replace(model, data={}))
    other = replace(model, schema=replace(model.schema, names=tuple("abcdef")))
    with pytest.raises(InvalidSetting, match="trained on other features"):
        backtest(history, PingPong(), BOTH, model=other)


def test_dates_choose_what_is_judged_and_two_policies_are_needed(history):
    first = history[0].transaction.timestamp
    dates = Dates(first, first + 4 * DAY, first + 5 * DAY, first + 8 * DAY)
    judged = backtest(history, PingPong(), BOTH, dates=dates, settings=SMALL).report["judged"]
    assert first + 5 * DAY <= judged["from"] <= judged["until"] < first + 8 * DAY
    with pytest.raises(InvalidSetting, match="compares two policies"):
        backtest(history, PingPong(), {"one": Policy()})


def test_the_files_hold_every_difference_and_the_page_is_safe(found, tmp_path):
    shown = replace(found, report=found.report | {"data": {"name": "<script>", "currency": EURO}})
    paths = write_backtest(shown, tmp_path / "out")
    assert [path.name for path in paths] == ["backtest.json", "backtest.html", "differences.csv"]
    with paths[2].open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["transaction_id"] for row in rows] == [d.transaction_id for d in found.differences]
    assert {row["fraud"] for row in rows} <= {"true", "false"}
    assert all(row["cost"] != row["fixed"] for row in rows)
    assert json.loads(paths[0].read_text())["differences"]["count"] == len(rows)
    page = paths[1].read_text()
    assert "<script" not in page
    assert "http" not in page
    assert rows[0]["transaction_id"] in page


def test_the_verdicts_are_those_of_a_detector_with_that_policy(tmp_path):
    rates = RateTable("EUR", {"USD": "0.92", "GBP": "1.17"})
    config = SimulationConfig(
        seed=11, days=12, users=180, ring_counts=RingCounts(cycle=6, mule=6, device_farm=3)
    )
    history = [
        LabelledTransaction(
            from_fields({k: row[k] for k in WIRE_FIELDS if row[k] is not None}, rates=rates),
            row["fraud"],
            row["timestamp"] + HOUR if row["fraud"] is not None else None,
            row["ring_id"],
        )
        for row in run(config).transactions.to_pylist()
        if row["fraud"] is not None  # what has no label leaves nothing behind in a backtest
    ]
    busy = max((item.transaction.device_id or "" for item in history[-1_500:]), key=len)
    shape = DetectorConfig(lists=Lists(blocked=frozenset({Entity(EntityKind.DEVICE, busy)})))
    cut = history[len(history) // 2].transaction.timestamp
    past = [item for item in history if item.transaction.timestamp < cut]
    model = train(past, Detector(shape), settings=SMALL)
    strict = {"loose": Policy(Costs(loss=200)), "tight": Policy(thresholds=(0.001, 0.002))}
    told = backtest(history, Detector(shape), strict, model=model, embargo=0)
    assert told.differences
    verdicts = {}
    for name, policy in strict.items():
        detector = Detector(shape, model, policy)
        for item in history:
            tx = item.transaction
            verdicts[name, tx.transaction_id] = detector.observe(tx)
            if item.label is not None:
                detector.learn(item.label)
    begins = told.report["judged"]["from"]
    differing = {
        item.transaction.transaction_id
        for item in history
        if item.fraud is not None
        and item.transaction.timestamp >= begins
        and len({verdicts[name, item.transaction.transaction_id].decision for name in strict}) > 1
    }
    assert {each.transaction_id for each in told.differences} == differing
    for each in told.differences:
        for name in strict:
            verdict = verdicts[name, each.transaction_id]
            assert verdict.decision == each.decisions[name]
            assert verdict.score == each.score
        assert any(verdicts[name, each.transaction_id].reasons == each.reasons for name in strict)


def test_the_command_writes_its_report_and_says_what_differs(tmp_path):
    write(SimulationConfig(seed=3, days=14, users=300), tmp_path / "city")
    policies = Path(__file__).parents[2] / "docs" / "policies"
    arguments = ["backtest", str(tmp_path / "city"), "--mapping", "ringfence"]
    arguments += ["--policy", str(policies / "by-cost.toml")]
    arguments += ["--policy", str(policies / "fixed.toml"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(cli.app, arguments, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "customers troubled" in done.stdout
    assert "verdicts differ" in done.stdout
    report = json.loads((tmp_path / "out" / "backtest.json").read_text())
    assert report["data"]["currency"] == EURO
    assert set(report["policies"]) == {"by-cost", "fixed"}
