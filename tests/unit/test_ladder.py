"""The ladder compares each rung with the one it names, and says so in honest sentences."""

import json
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from graph.errors import InvalidSetting
from scorer.evaluation import evaluate
from scorer.history_replay import replay, silent
from scorer.ladder import RungScores, climb, require_order, verdict
from scorer.report import findings, render_html
from scorer.rungs import learn_rungs
from scorer.splits import temporal_split
from scorer.training import train
from scorer.wording import NONE, points, signed_interval
from tests import planted_history as planted


@dataclass(frozen=True)
class Mixed:
    """A rung that knows the answer in part: `knows` of it, and noise for the rest."""

    name: str
    knows: float
    base: str = "graph"
    noise: int = 0
    control: bool = False
    shuffles: str | None = None

    @property
    def words(self):
        return f"<a {self.name}>"

    def fit_scores(self, table, split, seed):
        rng = np.random.default_rng(seed + self.noise)
        noise = rng.random(len(split.test))
        told = rng.random(len(split.test)) < self.knows
        scores = np.where(told, table.fraud[split.test], noise)
        facts, more = {"knows": self.knows}, (f"It knows {self.knows}.",)
        return RungScores(0.01 + 0.98 * scores, facts, more, self.control, self.shuffles)


LADDER = (
    Mixed("knower", 0.98),
    Mixed("ignorant", 0.0),
    Mixed("twin", 0.98, "knower"),
    Mixed("double", 0.98, "knower", noise=1),
)


class Ticks:
    """A clock that is one second later whenever it is asked."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1.0
        return self.now


@pytest.fixture(scope="module")
def history():
    return planted.made(rows=1_500)


@pytest.fixture(scope="module")
def report(history):
    return evaluate(
        history, planted.PingPong(), settings=planted.SMALL, ladder=LADDER, clock=Ticks()
    )


@pytest.fixture(scope="module")
def climbed(history):
    """Climbs any ladder over the rungs of an evaluation, which are learned once."""
    table = replay(history, planted.PingPong())
    split = temporal_split(table)
    base = learn_rungs(table, split, planted.SMALL, 0, silent)

    def climb_it(ladder):
        return climb(ladder, table, split, base.scores, 0, progress=silent)

    return climb_it


@pytest.fixture(scope="module")
def rungs(report):
    return report["ladder"]["rungs"]


@pytest.mark.slow
def test_it_starts_with_the_rungs_of_every_evaluation(report, rungs):
    assert list(rungs) == ["tabular", "graph", "memory", "blend", *(rung.name for rung in LADDER)]
    assert rungs["tabular"]["gain"] is rungs["tabular"]["over_best"] is None
    for better, base in (("graph", "tabular"), ("memory", "graph"), ("blend", "memory")):
        gained = report["gains"][f"{better}_over_{base}"]
        assert gained.items() <= rungs[better]["gain"].items()
        assert rungs[better]["gain"]["over"] == base
    for name in ("tabular", "graph", "memory", "blend"):
        plain = report["rungs"][name]
        assert rungs[name]["average_precision"] == plain["average_precision"]
        assert rungs[name]["brier"] == plain["calibration"]["brier"]
        assert rungs[name]["recall_at_precision"] == plain["recall_at_precision"]


@pytest.mark.slow
def test_each_rung_is_told_with_all_its_figures(rungs):
    for name, figures in rungs.items():
        low, high = figures["average_precision_ci"]
        assert low <= figures["average_precision"] <= high
        assert set(figures["recall_at_precision"]) == {"0.80", "0.90", "0.95"}
        assert figures["sentence"].endswith(".")
        if name not in {"memory", "blend"}:  # learned together with the graph's trees
            assert figures["seconds"] == 1.0
    assert rungs["knower"]["facts"] == {"knows": 0.98}


@pytest.mark.slow
def test_sentences_say_what_adds_what_does_not_and_what_loses(report, rungs):
    assert " adds ." in rungs["knower"]["sentence"]
    assert " loses ." in rungs["ignorant"]["sentence"]
    assert " adds nothing" in rungs["double"]["sentence"]
    twin = rungs["twin"]
    assert twin["gain"]["difference"] == 0
    assert twin["sentence"] == ("<a twin> adds nothing over <a knower> (.000 [.000, .000]).")
    assert {"graph", "knower"} <= set(report["ladder"]["adds"])
    assert report["ladder"]["loses"] == ["ignorant"]


@pytest.mark.slow
def test_the_best_so_far_is_named_where_it_is_another(rungs):
    assert rungs["ignorant"]["over_best"]["over"] == "knower"
    assert "against the best so far, <a knower>, it is -." in rungs["ignorant"]["sentence"]
    assert "best so far" not in rungs["twin"]["sentence"]


@pytest.mark.slow
def test_the_report_stays_json_and_a_page(report):
    json.dumps(report, allow_nan=False)
    page = render_html(report)
    assert "The ladder" in page
    assert "&lt;a knower&gt; adds ." in page
    assert "<a knower>" not in page
    assert "It knows 0.98." in page
    assert any("Of 8 rungs of the ladder the best is <a " in said for said in findings(report))


@pytest.mark.slow
def test_without_a_ladder_nothing_of_it_is_told(history):
    report = evaluate(history, planted.PingPong(), settings=planted.SMALL)
    assert "ladder" not in report
    assert "The ladder" not in render_html(report)


@pytest.mark.slow
def test_a_gain_no_greater_than_a_controls_is_not_counted(climbed):
    ladder = (Mixed("control", 0.9, control=True), Mixed("some", 0.7, noise=2), LADDER[2])
    ladder = (*ladder[:2], replace(LADDER[0], name="knower", base="control"))
    told = climbed(ladder)
    control = told["rungs"]["control"]
    assert told["seeds"] == abs(control["gain"]["difference"])
    assert control["sentence"].endswith(": so much is chance.")
    assert control["gain"]["within_seeds"]
    assert told["best"] != "control"
    assert {row["over_best"]["over"] for row in told["rungs"].values() if row["over_best"]} <= {
        *("tabular", "graph", "blend", "some")
    }
    assert "control" not in told["adds"]
    for name, row in told["rungs"].items():
        if row["gain"] and row["gain"]["within_seeds"] and not row["control"]:
            assert name not in told["adds"]
            if row["gain"]["excludes_zero"]:
                assert "no more than another seed does" in row["sentence"]
    assert math.isnan(told["rungs"]["some"]["seconds"])  # nobody gave a clock


@pytest.mark.slow
def test_equal_runs_differ_in_nothing_without_a_clock(history):
    once, again = (
        evaluate(history, planted.PingPong(), settings=planted.SMALL, ladder=LADDER[:1])
        for _ in range(2)
    )
    assert json.dumps(once) == json.dumps(again)


@pytest.mark.parametrize(
    ("difference", "ci", "said"),
    [
        (0.25, [0.16, 0.337], "adds .250 [.160, .337] over it"),
        (-0.012, [-0.03, 0.004], "adds nothing over it (-.012 [-.030, +.004])"),
        (0.02, [-0.01, 0.05], "adds nothing beyond doubt over it (+.020 [-.010, +.050])"),
        (-0.1, [-0.2, -0.05], "loses .100 [.050, .200] to it"),
        (-0.00001, [-0.1, 0.1], "adds nothing over it (.000 [-.100, +.100])"),
        (1.0, [0.9, 1.0], "adds 1.000 [.900, 1.000] over it"),
    ],
)
def test_verdicts(difference, ci, said):
    assert verdict({"difference": difference, "ci": ci}, "it") == said


def test_points_leave_out_the_zero_and_tell_what_is_missing():
    assert [points(each) for each in (0.25, -0.25, 10.0, None)] == [".250", "-.250", "10.000", NONE]
    assert signed_interval([-0.0001, float("nan")]) == f"[.000, {NONE}]"


@pytest.mark.slow
def test_a_ladder_that_does_not_stand_is_refused(history):
    with pytest.raises(InvalidSetting, match=r"one name.*graph"):
        require_order((Mixed("graph", 0.5),))
    with pytest.raises(InvalidSetting, match=r"not before it.*later"):
        require_order((Mixed("early", 0.5, "later"), Mixed("later", 0.5)))
    model = train(history, planted.PingPong(), settings=planted.SMALL)
    with pytest.raises(InvalidSetting, match="Leave out the model"):
        evaluate(history, planted.PingPong(), model=model, ladder=LADDER)


NETWORK = Mixed("network", 0.9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("knows", "verdict_", "says"),
    [
        (0.0, "dies", "Its gain dies when edges are shuffled: the edges are what pays."),
        (0.5, "in_part", "A part of its gain survives shuffled edges"),
        (0.9, "survives", "Its gain survives shuffled edges"),
    ],
)
def test_a_gain_is_owed_to_edges_where_it_dies_without_them(report, climbed, knows, verdict_, says):
    base = Mixed("base", 0.1)
    twin = Mixed("twin", knows, "base", noise=1, shuffles="network")
    ladder = (base, replace(NETWORK, base="base"), twin)
    found = climbed(ladder)
    told = found["edges"]["network"]
    assert told["verdict"] == verdict_
    assert says in told["sentence"]
    assert told["sentence"] in findings({**report, "ladder": found})
    over = told["over_shuffled"]
    assert over["over"] == "twin"
    points_of = {n: f["average_precision"] for n, f in found["rungs"].items()}
    assert over["difference"] == pytest.approx(points_of["network"] - points_of["twin"])


@pytest.mark.slow
def test_a_network_that_gains_nothing_owes_nothing_to_its_edges(climbed):
    ladder = (
        Mixed("network", 0.5),
        Mixed("better", 0.99),
        Mixed("twin", 0.99, noise=1, shuffles="network"),
    )
    told = climbed(ladder)
    assert told["edges"]["network"]["verdict"] == "nothing"
    assert "there is no gain that edges could bear" in told["edges"]["network"]["sentence"]
    assert told["best"] == "better"  # a shuffled twin is no candidate, however well it ranks
    assert "twin" not in told["adds"]


@pytest.mark.slow
def test_a_twin_without_its_network_is_a_rung_like_any_other(climbed):
    ladder = (Mixed("twin", 0.5, shuffles="network"),)
    told = climbed(ladder)
    assert told["edges"] == {}
    assert told["rungs"]["twin"]["gain"]["over"] == "graph"
