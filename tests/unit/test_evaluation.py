import json
from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs
from sklearn.model_selection import train_test_split

from graph.errors import InvalidSetting
from graph.transaction import DAY, HOUR, Entity, EntityKind
from scorer.blend import Blend
from scorer.confounders import shuffle_edges
from scorer.decision import FIXED
from scorer.evaluation import evaluate, headline
from scorer.ground_truth import GroundTruth, LookAlike, RingFacts
from scorer.history_replay import replay
from scorer.report import render_html
from scorer.splits import (
    EMBARGO,
    Dates,
    dated_split,
    shuffled_split,
    shuffled_test,
    temporal_split,
)
from scorer.training import train
from tests.planted_history import SMALL, PingPong, made

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def history():
    return made(rows=3_000)


@pytest.fixture(scope="module")
def table(history):
    return replay(history, PingPong())


@pytest.fixture(scope="module")
def soon():
    """The table of a short history whose labels are known at once."""
    return replay(made(rows=800, delay=0), PingPong())


@pytest.fixture(scope="module")
def report(history):
    return evaluate(history, PingPong(), settings=SMALL, seed=1, data={"name": "planted"})


def test_the_report_has_what_the_command_promises(report):
    for part in (report, *report["rungs"].values()):
        assert {
            "transactions",
            "positives",
            "average_precision",
            "average_precision_ci",
            "recall_at_precision",
            "precision_at_budget",
            "cost_per_transaction",
            "calibration",
            "warm",
            "rings",
        } <= set(part)
        assert {"precision", "recall", "delay"} <= set(part["rings"])
        low, high = part["average_precision_ci"]
        assert low <= part["average_precision"] <= high
        assert set(part["recall_at_precision"]) == {"0.80", "0.90", "0.95"}
        assert set(part["cost_per_transaction"]) == {"ours", "fixed", "approve_all"}
    assert list(report["rungs"]) == ["tabular", "graph", "memory", "blend"]
    assert report["average_precision"] == report["rungs"]["blend"]["average_precision"]
    assert headline(report)["graph"] == report["rungs"]["graph"]["average_precision"]
    assert report["data"]["name"] == "planted"
    json.dumps(report, allow_nan=False)


def test_the_graph_sees_what_was_planted_and_the_table_does_not(report):
    rungs = report["rungs"]
    assert rungs["graph"]["average_precision"] > rungs["tabular"]["average_precision"] + 0.2
    assert report["gains"]["graph_over_tabular"]["excludes_zero"]
    assert not report["gains"]["blend_over_memory"]["ci"][0] > 0.05
    assert max(report["families"], key=report["families"].get) == "flow"
    assert sum(report["families"].values()) == pytest.approx(1.0)
    costs = rungs["graph"]["cost_per_transaction"]
    assert costs["ours"] < costs["approve_all"]


def test_alerts_are_counted_in_rings_and_money_too(report):
    caught = report["precision_at_budget"]
    assert (caught["rings"], caught["rings_of"]) == (
        report["rungs"]["blend"]["rings"]["matched"],
        report["rungs"]["blend"]["rings"]["true"],
    )
    assert 10 < caught["rings"] <= caught["rings_of"]
    money = report["money"]
    assert money["ours"]["cost"] < money["fixed"]["cost"] < money["approve_all"]["cost"]
    for other in ("fixed", "approve_all"):
        saved = money["saved"][f"against_{other}"]
        assert saved == pytest.approx(money[other]["cost"] - money["ours"]["cost"])
    assert money["approve_all"]["fraud_stopped"] == 0
    assert money["approve_all"]["alerts"] == 0
    top = report["calibration"]["top_percent"]
    assert sum(part["rows"] for part in top["bins"]) == top["rows"]
    for part in top["bins"]:
        low, high = part["observed_ci"]
        assert 0 <= low <= part["observed"] <= high <= 1


def test_each_row_is_answered_by_one_tier(report, history):
    tiers = report["tiers"]
    assert list(tiers) == ["rules", "graph", "model"]
    assert sum(tier["transactions"] for tier in tiers.values()) == report["transactions"]
    assert sum(tier["frauds"] for tier in tiers.values()) == report["positives"]
    assert tiers["rules"]["transactions"] == 0  # the small engine has no rules
    # Its one pattern is a graph's: whatever came back or touches a pair that did.
    assert tiers["graph"]["fraud_rate"] > 5 * tiers["model"]["fraud_rate"]
    assert tiers["graph"]["share_of_fraud"] > 0.5


def test_features_over_time_and_alone_are_told(report):
    stability, alone = report["stability"], report["confounders"]["one_feature"]
    assert stability["features"] == len(stability["worst"]) == 6
    # It counts what a user did so far: of course the future has more.
    assert {each["feature"] for each in stability["worst"][:2]} >= {"user_count"}
    assert alone["best"][0]["feature"] in {"comes_back", "pair_count"}
    assert alone["by_family"]["amount"]["auc"] < 0.6
    assert "shuffled_edges" not in report["confounders"]
    assert "typologies" not in report


def test_shuffled_edges_take_the_graphs_gain_away_and_nothing_else_differs(history, report):
    told = []
    again = evaluate(
        history,
        PingPong(),
        settings=SMALL,
        seed=1,
        data={"name": "planted"},
        rewired=(shuffle_edges(history, 1), PingPong()),
        progress=lambda stage, _: told.append(stage),
    )
    check = again["confounders"].pop("shuffled_edges")
    assert not check["excludes_zero"]
    assert abs(check["difference"]) < 0.1
    assert check["graph"] < 0.5 * again["rungs"]["graph"]["average_precision"]
    assert told.count("learn graph") == 2
    # All else is said as without it: the same history and seed give the same report.
    assert json.dumps(again) == json.dumps(report)


def test_kinds_and_look_alikes_are_told_where_the_data_knows_them(history):
    frauds = [item for item in history if item.fraud]
    names = sorted({item.ring_id for item in frauds})
    honest = [item for item in history if item.fraud is False]
    begins = history[-300].transaction.timestamp
    late = [i.transaction.transaction_id for i in honest if i.transaction.timestamp > begins]
    truth = GroundTruth(
        rings={
            name: RingFacts("cycle" if n % 2 else "pair", "split" if n % 3 else "plain")
            for n, name in enumerate(names)
        },
        look_alikes=(LookAlike("friends", tuple(late[:4])), LookAlike("firm", tuple(late[4:9]))),
        files=("rings.parquet", "look_alikes.parquet"),
    )
    report = evaluate(history, PingPong(), settings=SMALL, truth=truth)
    kinds, rings = report["typologies"]["kinds"], report["rings"]
    assert set(kinds) - {"linked_suspects"} == {"cycle", "pair"}
    for figure in ("true", "matched", "false"):
        assert sum(row[figure] for row in kinds.values()) == rings[figure]
    assert kinds["pair"]["false"] == 0  # what is false speaks of a cycle, or of suspects
    assert kinds["cycle"]["recall"] > 0.8
    variants = report["typologies"]["variants"]
    assert sum(row["true"] for row in variants.values()) == rings["true"]
    assert {kind: row["groups"] for kind, row in report["look_alikes"]["kinds"].items()} == {
        "firm": 1,
        "friends": 1,
    }
    assert report["data"]["ground_truth"] == ["rings.parquet", "look_alikes.parquet"]
    assert "Ring by kind" in render_html(report)


def test_members_are_those_the_ground_truth_names():
    history = made(rows=1_000)
    names = {item.ring_id for item in history if item.fraud}
    nobody = frozenset({Entity(EntityKind.USER, "nobody")})
    truth = GroundTruth({name: RingFacts("pair", members=nobody) for name in names}, (), ())
    report = evaluate(history, PingPong(), settings=SMALL, truth=truth)
    assert report["rings"]["matched"] == 0


def test_shuffled_labels_teach_nothing(report):
    check = report["confounders"]["shuffled_labels"]
    assert check["average_precision"] < 2 * check["base_rate"]


def test_rings_are_found_as_the_engine_told_them(report):
    rings = report["rings"]
    assert rings["true"] > 10
    assert rings["recall"] > 0.9
    assert 0.5 < rings["precision"] < 1.0  # honest pairs pay back too
    assert rings["member_recall"] == 1.0
    assert 0.8 < rings["member_precision"] <= 1.0  # some share somebody with an honest pair
    assert rings["delay"]["transactions"] >= 2.0
    assert 0 < rings["delay"]["minutes"] < 10
    assert 0 < rings["delay"]["money_gone"] <= 1


def test_the_future_is_not_in_the_past(table):
    split = temporal_split(table)
    begins = table.times[split.test].min()
    for part in (split.early, split.later):
        assert table.times[part].max() < begins - EMBARGO
        assert table.known_at[part].max() <= begins
    alone = [row for row in split.later if table.ring_ids[row] is None]
    assert table.times[split.early].max() < table.times[alone].min()
    in_test = {table.ring_ids[row] for row in split.test} - {None}
    past = np.concatenate([split.early, split.later])
    assert not in_test & {table.ring_ids[row] for row in past}
    held = len(past) + len(split.test) + split.embargoed + split.unsettled + split.spanning
    assert held == len(table.fraud)
    assert split.unsettled > 0
    told = split.describe(table)
    assert told["embargo_hours"] == 24
    assert told["embargoed"] == split.embargoed > 50


def test_the_embargo_is_as_long_as_is_asked_for(table):
    begins = table.times[temporal_split(table).test].min()
    for embargo in (0, 6 * HOUR, 2 * DAY):
        split = temporal_split(table, embargo)
        assert split.embargo == embargo
        assert begins - embargo - 2 * HOUR < table.times[split.later].max() < begins - embargo
    assert temporal_split(table, 0).embargoed == 0
    with pytest.raises(InvalidSetting, match=r"embargo.*-1 days"):
        temporal_split(table, -DAY)


def test_a_ring_lies_whole_in_the_latest_fold_it_reaches(table):
    whole = temporal_split(table)
    # One long ring each over the cut between the slices and over that before the test.
    frauds = np.flatnonzero(table.fraud)
    in_early, in_later, in_test = (
        [row for row in frauds if row in set(part.tolist())]
        for part in (whole.early, whole.later, whole.test)
    )
    rings = list(table.ring_ids)
    for row in (in_early[0], in_early[-1], in_later[-1]):
        rings[row] = "inner"
    for row in (in_early[1], in_later[-2], in_test[0]):
        rings[row] = "outer"
    split = temporal_split(replace(table, ring_ids=tuple(rings)))
    folds = {"early": split.early, "later": split.later, "test": split.test}
    named = {
        name: {fold for fold, rows in folds.items() for row in rows if rings[row] == name}
        for name in ("inner", "outer")
    }
    assert named == {"inner": {"later"}, "outer": {"test"}}
    assert {in_early[0], in_early[-1]} <= set(split.later.tolist())
    assert split.moved >= 2
    assert not {in_early[1], in_later[-2]} & set(np.concatenate([split.early, split.later]))
    assert split.spanning >= 2
    shared = {
        ring
        for ring in set(rings) - {None}
        if sum(any(rings[row] == ring for row in rows) for rows in folds.values()) > 1
    }
    assert shared == set()


def test_labels_that_were_not_known_yet_are_left_out_of_the_past(soon):
    at_once = temporal_split(soon, 0)
    late = temporal_split(replay(made(rows=800, delay=DAY), PingPong()), 0)
    assert late.unsettled > at_once.unsettled == 0
    assert len(late.test) == len(at_once.test)


def test_days_of_which_only_frauds_were_known_are_left_out(soon):
    table = soon
    # Undisputed after two days, a fraud is reported at once.
    settled = np.where(table.fraud, table.times, table.times + 2 * DAY)
    split = temporal_split(replace(table, known_at=settled))
    past = np.concatenate([split.early, split.later])
    begins = table.times[split.test].min()
    assert table.times[past].max() <= begins - 2 * DAY
    assert table.fraud[(table.times > begins - 2 * DAY) & (table.times < begins)].any()
    assert table.fraud[past].mean() < 2 * table.fraud.mean()


def test_the_later_slice_has_a_quarter_of_the_frauds_however_early_they_are(soon):
    table = soon
    frauds = np.flatnonzero(table.fraud)
    last = int(table.times.max())
    rare = table.fraud & ((table.times < table.times[frauds[8]]) | (table.times > last - DAY))
    split = temporal_split(replace(table, fraud=rare, ring_ids=(None,) * len(rare)))
    past = np.concatenate([split.early, split.later])
    assert rare[split.later].sum() * 4 >= rare[past].sum() > 0
    assert rare[split.early].any()


def test_a_past_of_which_too_little_was_known_says_what_to_do():
    late = made(rows=800, delay=300 * DAY)
    with pytest.raises(InvalidSetting, match=r"early slice.*0 frauds of 0.*labels that are known"):
        evaluate(late, PingPong(), settings=SMALL)


def test_frauds_between_training_and_test_give_their_users_away(history):
    first = history[0].transaction.timestamp
    dates = Dates(first, first + DAY, first + 5 * DAY, first + 8 * DAY, known_since=first)
    table = replay(history, PingPong(), keep=dates.holds)
    between = (table.times >= first + DAY) & (table.times < first + 5 * DAY)
    days = [item.transaction.timestamp for item in history if item.fraud is not None]
    assert between.sum() == sum(first + DAY <= at < first + 5 * DAY for at in days)
    assert table.fraud[between].any()
    assert not table.fraud[between].all()  # that one is remembered there is no sign of fraud
    split = dated_split(table, dates)
    used = np.concatenate([split.early, split.later, split.test])
    assert not between[used].any()
    known = {
        table.users[row]
        for row in np.flatnonzero(between & table.fraud)
        if table.known_at[row] <= first + 5 * DAY // DAY * DAY
    }
    assert known
    assert not known & {table.users[row] for row in split.test}


def test_what_is_left_out_of_the_past_is_named(soon):
    split = temporal_split(soon)
    assert len(split.left_out) == split.embargoed + split.unsettled + split.spanning > 0
    assert not set(split.left_out) & set(split.past)
    assert not set(split.left_out) & set(split.test)
    assert len(split.left_out) + len(split.past) + len(split.test) == len(soon.fraud)
    assert split.past.tolist() == sorted([*split.early, *split.later])


def test_a_ring_across_the_cut_is_left_out_of_the_past(soon):
    table = soon
    before = temporal_split(table)
    ring = next(table.ring_ids[row] for row in before.test if table.ring_ids[row])
    fraud_rows = [row for row in before.early if table.fraud[row]]
    moved = list(table.ring_ids)
    moved[fraud_rows[0]] = ring
    after = temporal_split(replace(table, ring_ids=tuple(moved)))
    assert after.spanning == before.spanning + 1
    assert fraud_rows[0] not in after.early


def test_the_shuffled_test_is_the_published_one_and_never_learned(history):
    places = [place for place, item in enumerate(history) if item.fraud is not None]
    labels = [history[place].fraud for place in places]
    _, published = train_test_split(places, test_size=0.2, stratify=labels, random_state=2)
    drawn = shuffled_test(history)
    assert drawn == frozenset(published)
    engine = PingPong()
    report = evaluate(history, engine, protocol="shuffled", settings=SMALL)
    assert report["protocol"] == "shuffled"
    assert report["transactions"] == len(drawn)
    taught = {label.transaction.transaction_id for label in engine.learned}
    assert not taught & {history[place].transaction.transaction_id for place in drawn}
    split = shuffled_split(replay(history, PingPong(), withheld=drawn), drawn, seed=0)
    assert len(split.early) + len(split.later) + len(split.test) == len(places)


def test_of_a_day_without_hours_all_are_judged_though_nothing_older_was_scored(history):
    def of_its_day(item):
        tx = item.transaction
        return replace(item, transaction=structs.replace(tx, timestamp=tx.timestamp // DAY * DAY))

    daily = [of_its_day(item) for item in history]
    report = evaluate(daily, PingPong(), protocol="shuffled", settings=SMALL)
    assert report["transactions"] == len(shuffled_test(daily))
    assert report["rungs"]["blend"]["average_precision"] > 0


def test_dates_choose_what_is_learned_and_judged(history):
    first = history[0].transaction.timestamp
    dates = Dates(first, first + 4 * DAY, first + 5 * DAY, first + 8 * DAY)
    report = evaluate(history, PingPong(), dates=dates, settings=SMALL)
    assert report["protocol"] == "dates"
    split = report["split"]
    assert first <= split["early"]["from"] < split["later"]["until"] < first + 4 * DAY
    assert first + 5 * DAY <= split["test"]["from"] <= split["test"]["until"] < first + 8 * DAY
    assert split["excluded"] == 0


def test_users_whose_fraud_was_known_can_be_left_out(history):
    first = history[0].transaction.timestamp
    span = (first, first + 4 * DAY, first + 5 * DAY, first + 8 * DAY)
    table = replay(history, PingPong(), keep=Dates(*span).holds)
    everyone = dated_split(table, Dates(*span))
    unknown = dated_split(table, Dates(*span, known_since=first + 3 * DAY))
    assert unknown.excluded == len(everyone.test) - len(unknown.test) > 0
    since = [row for row in range(len(table.fraud)) if table.times[row] >= first + 3 * DAY]
    for row in everyone.test:
        day = table.times[row] // DAY * DAY
        known = any(
            table.fraud[other] and table.known_at[other] <= day
            for other in since
            if table.users[other] == table.users[row]
        )
        assert (row in unknown.test) == (not known)


def test_a_model_that_is_given_is_judged_as_it_is(history):
    cut = history[int(0.75 * len(history))].transaction.timestamp
    past = [item for item in history if item.transaction.timestamp < cut - HOUR]
    model = train(past, PingPong(), settings=SMALL, policy=FIXED)
    report = evaluate(history, PingPong(), model=model)
    assert list(report["rungs"]) == ["graph", "blend"]
    assert report["model"]["version"] == model.version
    assert not report["model"]["saw_the_test"]
    assert report["policy"]["version"] == FIXED.version
    assert report["average_precision"] > 0.5
    short = history[:800]
    whole = evaluate(short, PingPong(), model=train(short, PingPong(), settings=SMALL))
    assert whole["model"]["saw_the_test"]
    plain = evaluate(history, PingPong(), model=replace(model, blend=Blend()))
    assert plain["rungs"]["blend"]["average_precision"] == pytest.approx(
        plain["rungs"]["graph"]["average_precision"]
    )


def test_what_cannot_be_judged_is_refused(history):
    first = history[0].transaction.timestamp
    with pytest.raises(InvalidSetting, match="dates must be"):
        Dates(first, first + DAY, first, first + 2 * DAY)
    dates = Dates(first, first + DAY, first + 2 * DAY, first + 3 * DAY)
    with pytest.raises(InvalidSetting, match="shuffled split has no dates"):
        evaluate(history, PingPong(), protocol="shuffled", dates=dates)
    nothing = Dates(first, first + DAY, first + 900 * DAY, first + 901 * DAY)
    short = history[:800]
    with pytest.raises(InvalidSetting, match=r"test slice.*0 frauds of 0"):
        evaluate(short, PingPong(), dates=nothing, settings=SMALL)
    other = train(short, PingPong(), settings=SMALL)
    renamed = replace(other, schema=replace(other.schema, names=tuple("abcdef")))
    with pytest.raises(InvalidSetting, match="trained on other features"):
        evaluate(short, PingPong(), model=renamed)
