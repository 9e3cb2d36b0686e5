"""Life in pieces is the same kind of life: in order, whole and counted right."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import ingest.simulator.periods
from graph.errors import InvalidSetting
from graph.transaction import DAY, HOUR
from ingest.simulator import Making, Simulation, SimulationConfig, frame_of, run, write
from ingest.simulator.config import SEPTEMBER_2025
from ingest.simulator.customs import settle_customs
from ingest.simulator.firms import of_firms
from ingest.simulator.friends import among_friends
from ingest.simulator.habits import lives
from ingest.simulator.occasions import occasions
from ingest.simulator.periods import Period, periods
from ingest.simulator.population import build_world

CONFIG = SimulationConfig(seed=4, days=40, users=500, start=SEPTEMBER_2025 + 19 * HOUR)


@pytest.fixture(scope="module")
def daily() -> Simulation:
    """A world lived a day at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest.simulator.periods, "ROWS_AT_ONCE", 1)
        return run(CONFIG)


@pytest.fixture(scope="module")
def frame(daily: Simulation) -> pd.DataFrame:
    return frame_of(daily)


@pytest.mark.parametrize("rows", [1, 5_000, 17_000, 10**9])
def test_periods_cover_every_calendar_day_once(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest.simulator.periods, "ROWS_AT_ONCE", rows)
    found = list(periods(CONFIG))
    days = np.concatenate([period.days for period in found])
    first = CONFIG.midnight // DAY
    assert days.tolist() == list(range(first, first + CONFIG.calendar_days))
    assert found[-1].end >= CONFIG.end
    announced = np.concatenate([period.announced for period in found])
    assert announced.tolist() == [*days.tolist(), days[-1] + 1]
    assert [period.number for period in found] == list(range(len(found)))


def test_nothing_begins_before_its_period() -> None:
    world = build_world(np.random.default_rng(1), CONFIG)
    customs = settle_customs(np.random.default_rng(2), world)
    for number in (1, 2, 3, 9):
        period = Period(number, CONFIG.midnight // DAY + 3 * number, 3)
        rng = np.random.default_rng(number)
        for part in (
            *lives(rng, world, period),
            *among_friends(rng, world, period),
            *of_firms(rng, world, customs, period),
            *occasions(rng, world, customs, period),
        ):
            assert (part.time >= period.first * DAY).all()
            assert (part.amount > 0).all()


def test_days_follow_each_other_in_order(frame: pd.DataFrame) -> None:
    assert frame.timestamp.is_monotonic_increasing
    assert frame.timestamp.between(CONFIG.start, CONFIG.end, inclusive="left").all()
    assert frame.transaction_id.is_unique
    assert len(frame) == pytest.approx(CONFIG.expected, rel=0.25)
    at_once = run(CONFIG)
    assert len(frame) == pytest.approx(len(at_once.transactions), rel=0.04)
    assert frame.groupby("type").size().to_dict() == pytest.approx(
        frame_of(at_once).groupby("type").size().to_dict(), rel=0.15
    )


def test_counts_are_what_the_tables_hold(daily: Simulation, frame: pd.DataFrame) -> None:
    counts = daily.counts
    assert counts["transactions"] == len(frame)
    assert counts["fraud"] == int(frame.fraud.fillna(value=False).sum())
    assert counts["unlabelled"] == int(frame.fraud.isna().sum())
    groups = Counter(
        zip(*(daily.look_alikes[name].to_pylist() for name in ("kind", "group")), strict=True)
    )
    whole = Counter(kind for (kind, _), size in groups.items() if size >= 2)
    honest = frame[frame.ring_id.isna()]
    for name in ("device_id", "card_id", "ip_address"):
        users = honest.groupby(name).user_id.nunique()
        whole["shared_" + name.split("_")[0]] = int((users >= 2).sum())
    assert {kind: size for kind, size in counts["look_alikes"].items() if size} == dict(whole)


def test_rent_is_paid_once_a_month_and_wages_once_a_pay_day(
    daily: Simulation, frame: pd.DataFrame
) -> None:
    groups = daily.look_alikes.to_pandas().merge(frame, on="transaction_id")
    rent = groups[groups.kind == "rent"]
    month = pd.to_datetime(rent.timestamp, unit="ms").dt.to_period("M")
    assert rent.groupby(["user_id", month]).size().max() == 1
    assert rent.groupby(month).size().loc["2025-09"] > 20
    assert rent.groupby(month).size().loc["2025-10"] > 20
    paid = groups[groups.kind.isin(["payroll", "salary_processor"]) & (groups.type == "transfer")]
    staff = paid[paid.groupby("counterparty_id").timestamp.transform("size") < 8]
    gaps = staff.sort_values("timestamp").groupby("counterparty_id").timestamp.diff().dropna()
    assert gaps.median() > 6 * DAY


def test_a_refund_finds_what_was_bought_in_another_period(
    daily: Simulation, frame: pd.DataFrame
) -> None:
    groups = daily.look_alikes.to_pandas().merge(frame, on="transaction_id")
    pairs = groups[groups.kind == "refund"].groupby("group")
    crossed = pairs.timestamp.agg(lambda times: times.max() // DAY > times.min() // DAY)
    assert crossed.sum() > 50
    assert pairs.card_id.nunique().max() == 1
    assert pairs.merchant_id.nunique().max() == 1


def test_files_are_written_a_period_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest.simulator.periods, "ROWS_AT_ONCE", 5_000)
    config = SimulationConfig(seed=4, days=20, users=500)
    counts = write(config, tmp_path)
    stored = pq.ParquetFile(tmp_path / "transactions.parquet")
    sizes = [stored.metadata.row_group(i).num_rows for i in range(stored.num_row_groups)]
    assert len(sizes) == len(list(periods(config)))
    assert max(sizes) < 2 * 5_000
    assert sum(sizes) == counts["transactions"]
    simulation = run(config)
    assert stored.read().equals(simulation.transactions)
    assert pq.read_table(tmp_path / "look_alikes.parquet").equals(simulation.look_alikes)
    assert pq.read_table(tmp_path / "rings.parquet").equals(simulation.rings)


def test_a_period_does_not_grow_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is carried over stays small: ten times the days, the same rows at a time."""
    monkeypatch.setattr(ingest.simulator.periods, "ROWS_AT_ONCE", 3_000)
    most = {}
    for days in (20, 200):
        config = SimulationConfig(seed=4, days=days, users=300, fraud_share=0.0)
        most[days] = max(len(table) for table, _ in Making(config).periods())
    assert most[200] < 1.3 * most[20]


def test_too_much_for_memory_is_refused_by_run_alone() -> None:
    config = SimulationConfig(users=1_000_000, days=60)
    with pytest.raises(InvalidSetting, match="Write them to files"):
        run(config)
