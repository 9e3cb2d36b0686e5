"""The world is alive, exact and repeatable, and the rings in it are what they claim to be."""

import hashlib
import ipaddress
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graph.errors import InvalidSetting
from graph.transaction import DAY, HOUR
from ingest.codec import decode
from ingest.currencies import RateTable
from ingest.simulator import (
    KINDS,
    WIRE_FIELDS,
    Making,
    RingCounts,
    Simulation,
    SimulationConfig,
    demo_config,
    frame_of,
    run,
    simulate,
    write,
)
from ingest.simulator.population import build_world
from ingest.simulator.rings import planted

TRUTH = ["fraud", "label_known_at", "ring_id", "ring_kind"]
COLUMNS = [*WIRE_FIELDS, *TRUTH]

RINGS = RingCounts(dict.fromkeys(KINDS, 2), cycle=14, mule=14, device_farm=9)
CONFIG = SimulationConfig(seed=11, days=14, users=1_500, ring_counts=RINGS)


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return run(CONFIG)


@pytest.fixture(scope="module")
def frame(simulation: Simulation) -> pd.DataFrame:
    return frame_of(simulation)


@pytest.fixture(scope="module")
def rings(simulation: Simulation) -> pd.DataFrame:
    """One row a transaction of a ring, in the order in which the ring lists them."""
    table = simulation.rings.to_pandas()
    return table.explode(["transaction_ids", "phases", "rounds"]).rename(
        columns={"transaction_ids": "transaction_id", "phases": "phase", "rounds": "round"}
    )


def test_columns_are_the_wires_and_the_truth_behind_them(frame: pd.DataFrame) -> None:
    assert list(frame.columns) == COLUMNS
    assert frame.timestamp.dtype == np.int64
    assert frame.user_created_at.dtype == np.int64
    assert frame.fraud.dtype == "boolean"
    assert frame.label_known_at.dtype == "Int64"
    assert set(frame.type) == {"payment", "transfer", "withdrawal", "deposit", "refund"}
    assert set(frame.currency) == {"EUR", "GBP", "USD"}
    assert (frame.currency == "EUR").mean() > 0.6
    assert set(frame.outcome) == {"authorised", "declined"}


def test_every_row_is_a_transaction_on_the_wire(simulation: Simulation) -> None:
    rates = RateTable("EUR", {"USD": "0.9", "GBP": "1.15"})
    rows = simulation.transactions.select(WIRE_FIELDS).to_pylist()
    for row in rows[:: len(rows) // 3_000]:
        sent = json.dumps({name: value for name, value in row.items() if value is not None})
        read = decode(sent.encode(), rates=rates, now=None)
        assert not read.attributes
        assert read.timestamp == row["timestamp"]
        assert read.ip_address == row["ip_address"]
        assert f"{read.amount.minor / 100:.2f}" == row["amount"]


def test_amounts_are_exact_decimal_text(frame: pd.DataFrame) -> None:
    assert frame.amount.str.fullmatch(r"[0-9]+\.[0-9]{2}").all()
    assert min(Decimal(text) for text in frame.amount) > 0


def test_parties_fit_the_type(frame: pd.DataFrame) -> None:
    assert (frame.counterparty_id.notna() == (frame.type == "transfer")).all()
    assert (frame.merchant_id.notna() == frame.type.isin(["payment", "refund"])).all()
    assert (frame.merchant_id.notna() == frame.merchant_category.notna()).all()
    assert (frame.card_id.notna() == frame.type.isin(["payment", "refund", "withdrawal"])).all()
    assert not (frame.user_id == frame.counterparty_id).any()


def test_places_and_addresses_can_be_read(frame: pd.DataFrame) -> None:
    latitude, longitude = zip(*(text.split(",") for text in frame.location.unique()), strict=True)
    assert all(-90 <= float(value) <= 90 for value in latitude)
    assert all(-180 <= float(value) <= 180 for value in longitude)
    assert frame.country.str.fullmatch("[A-Z]{2}").all()
    addresses = [ipaddress.ip_address(text) for text in frame.ip_address.dropna().unique()]
    assert [str(address) for address in addresses] == list(frame.ip_address.dropna().unique())
    assert all(address.is_global for address in addresses)
    assert {address.version for address in addresses} == {4, 6}


def test_events_are_in_order_within_the_simulated_time(frame: pd.DataFrame) -> None:
    assert frame.timestamp.is_monotonic_increasing
    assert frame.timestamp.between(CONFIG.start, CONFIG.end, inclusive="left").all()
    assert (frame.user_created_at <= frame.timestamp).all()
    assert frame.groupby("user_id").user_created_at.nunique().max() == 1


def test_ids_look_random_and_name_one_thing(frame: pd.DataFrame) -> None:
    assert frame.transaction_id.is_unique
    assert frame.transaction_id.str.fullmatch("[0-9a-f]{16}").all()
    kinds = ["user_id", "merchant_id", "device_id", "card_id"]
    named = [set(frame[kind].dropna()) for kind in kinds]
    assert len(set().union(*named)) == sum(len(names) for names in named)
    # The first digit of an id is spread evenly: 16 classes, none a third off its share.
    share = frame.transaction_id.str[0].value_counts(normalize=True) * 16
    assert share.between(0.67, 1.33).all()


def test_volume_is_what_the_configuration_expects(frame: pd.DataFrame) -> None:
    assert len(frame) == pytest.approx(CONFIG.expected, rel=0.25)


def test_a_world_has_every_kind_if_it_is_large_enough_and_some_of_them_if_not() -> None:
    assert all(SimulationConfig(seed=seed).rings[kind] for seed in range(5) for kind in KINDS)
    small = [SimulationConfig(seed=seed, days=5, users=600).rings for seed in range(200)]
    assert {rings.total for rings in small} == {8}
    assert {tuple(sorted(count for count in rings.values() if count)) for rings in small} == {
        (4, 4)
    }
    drawn = {kind: sum(rings[kind] > 0 for rings in small) for kind in KINDS}
    # Each kind is in 2 of 18 worlds: 22 of 200, within five standard deviations.
    assert all(1 <= count <= 44 for count in drawn.values())


def test_rings_of_a_kind_are_spread_over_the_time() -> None:
    counts = dict.fromkeys(KINDS, 4)
    # Without those that take their time: a long story has to begin early.
    config = SimulationConfig(days=24, users=2_500, ring_counts=counts, evading_share=0.0)
    frame = simulate(config)
    crime = frame[frame.fraud.fillna(value=False)]
    begun = crime.groupby(["ring_kind", "ring_id"]).timestamp.min()
    past = begun < config.start + 12 * DAY
    assert past.groupby("ring_kind").sum().between(1, 3).all()


def test_life_follows_the_clock_and_the_calendar(frame: pd.DataFrame) -> None:
    at_home = frame[frame.country == "DE"]
    hour = at_home.timestamp // HOUR % 24
    assert (hour.between(6, 21)).mean() > 0.85
    pay = frame[frame.amount.astype(float) > 400]
    assert (pay.type == "transfer").any()
    assert (pay.type == "deposit").any()


def test_a_refund_returns_what_was_bought(frame: pd.DataFrame) -> None:
    refunds = frame[(frame.type == "refund") & (frame.timestamp > CONFIG.start + 10 * DAY)]
    bought = frame[(frame.type == "payment") & (frame.outcome == "authorised")]
    keys = ["user_id", "merchant_id", "card_id", "currency"]
    pairs = refunds.merge(bought, on=keys, suffixes=("", "_bought"))
    paid_before = pairs[pairs.timestamp_bought < pairs.timestamp]
    assert len(refunds) > 30
    assert set(refunds.transaction_id) == set(paid_before.transaction_id)


def test_people_travel_and_buy_new_phones() -> None:
    frame = simulate(SimulationConfig(seed=3, days=60, users=300))
    shops = frame[frame.channel == "pos"]
    assert (shops.groupby("user_id").country.nunique() > 1).mean() > 0.1
    phones = frame[frame.channel == "app"]
    assert phones.groupby("user_id").device_id.nunique().median() >= 1
    assert phones.groupby("user_id").device_id.nunique().max() > 2


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    config = SimulationConfig(seed=5, days=2, users=200)

    def written(name: str, config: SimulationConfig) -> dict[str, str]:
        write(config, tmp_path / name)
        files = sorted((tmp_path / name).iterdir())
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    first = written("first", config)
    assert set(first) == {
        "transactions.parquet",
        "rings.parquet",
        "look_alikes.parquet",
        "world.json",
    }
    assert written("second", config) == first
    other = written("other", SimulationConfig(seed=6, days=2, users=200))
    assert other["transactions.parquet"] != first["transactions.parquet"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_simulation_that_ends_early_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    old, new = (SimulationConfig(seed=seed, days=3, users=200) for seed in (5, 6))

    def bytes_of(folder: Path) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in folder.iterdir()}

    def one_period(making: Making) -> Iterator[tuple[pa.Table, pa.Table]]:
        yield next(periods(making))
        raise error

    write(old, tmp_path / "city")
    before = bytes_of(tmp_path / "city")
    periods = Making.periods
    with monkeypatch.context() as patched:
        patched.setattr(Making, "periods", one_period)
        for name in ("city", "deep/another"):
            with pytest.raises(error):
                write(new, tmp_path / name)
    assert bytes_of(tmp_path / "city") == before
    assert [path.name for path in tmp_path.iterdir()] == ["city"]
    write(new, tmp_path / "city")
    after = bytes_of(tmp_path / "city")
    assert set(after) == set(before)
    assert all(after[name] != before[name] for name in before)


def test_files_hold_what_the_frame_holds(tmp_path: Path) -> None:
    config = SimulationConfig(seed=5, days=2, users=200)
    counts = write(config, tmp_path)
    stored = pq.read_table(tmp_path / "transactions.parquet")
    assert stored.column_names == COLUMNS
    simulation = run(config)
    assert stored.equals(simulation.transactions)
    assert pq.read_table(tmp_path / "rings.parquet").equals(simulation.rings)
    assert pq.read_table(tmp_path / "look_alikes.parquet").equals(simulation.look_alikes)
    assert counts == simulation.counts
    about = json.loads((tmp_path / "world.json").read_text())
    assert about["config"]["seed"] == 5
    assert about["counts"]["transactions"] == stored.num_rows
    assert about["counts"]["fraud"] == sum(stored["fraud"].to_pylist().count(v) for v in (True,))


def test_another_ring_changes_nobodys_shopping() -> None:
    # Kinds that invent people are alike, as those are in the world, and nobody hides in a life.
    base = SimulationConfig(days=2, users=300, evading_share=0.0)
    some = dict.fromkeys((kind for kind in KINDS if KINDS[kind].invention), 1)
    few = simulate(replace(base, ring_counts={**some, "cycle": 1}))
    rings = {**some, "cycle": 3, "chain": 2, "takeover": 2, "structuring": 2}
    more = simulate(replace(base, ring_counts=rings))
    columns = ["timestamp", "type", "amount", "user_id"]
    honest = [frame[frame.ring_id.isna()][columns].to_numpy().tolist() for frame in (few, more)]
    assert honest[0] == honest[1]


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"days": 0}, "days"),
        ({"users": 3}, "users"),
        ({"seed": -1}, "seed"),
        ({"fraud_share": 0.5}, "fraud_share"),
        ({"days": 3, "rings_from": 3}, "rings_from"),
        ({"retained": (0.2, 0.1)}, "retained"),
        ({"users": 100, "ring_counts": {"cycle": 20}}, "ring_counts"),
        ({"ring_counts": {"cycle": -1}}, "ring_counts.cycle"),
        ({"ring_counts": {"mule": 1.5}}, "ring_counts.mule"),
        ({"ring_counts": {"circle": 1}}, "ring_counts"),
        ({"evading_share": 1.5}, "evading_share"),
        ({"drift_kind": "circle"}, "drift_kind"),
        ({"days": 3, "drift_day": 3}, "drift_day"),
        ({"users": 5_000_000, "days": 3_000}, "days x users"),
    ],
)
def test_a_wrong_setting_names_field_value_and_remedy(wrong: dict[str, object], name: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        SimulationConfig(**wrong)  # type: ignore[arg-type]  # wrong values on purpose
    assert name in str(refused.value)
    assert refused.value.value is not None
    assert refused.value.remedy


def test_a_town_of_newcomers_has_nobody_to_recruit_and_says_so() -> None:
    config = SimulationConfig(days=1, users=200, ring_counts={"cycle": 1})
    world = build_world(np.random.default_rng(1), config)
    newcomers = replace(world, created_at=np.full_like(world.created_at, config.start + 1))
    with pytest.raises(InvalidSetting, match="Raise users or plant fewer rings"):
        planted(np.random.default_rng(1), newcomers)


def test_every_ring_is_listed_with_its_transactions_in_order(
    simulation: Simulation, frame: pd.DataFrame, rings: pd.DataFrame
) -> None:
    assert len(simulation.rings) == CONFIG.rings.total
    kinds = simulation.rings.to_pandas().kind.value_counts().to_dict()
    assert kinds == dict(RINGS)
    in_stream = frame[frame.ring_id.notna()]
    assert set(rings.transaction_id) == set(in_stream.transaction_id)
    when = rings.merge(frame[["transaction_id", "timestamp"]], on="transaction_id")
    assert when.groupby("ring_id").timestamp.agg(lambda t: t.is_monotonic_increasing).all()
    for row in simulation.rings.to_pylist():
        told = in_stream[in_stream.ring_id == row["ring_id"]]
        parties = set(told.user_id) | set(told.counterparty_id.dropna())
        assert {member["user_id"] for member in row["members"]} >= parties
        assert (told.ring_kind == row["kind"]).all()
        if row["kind"] == "collusive_merchant":
            assert set(told.merchant_id) == set(row["merchants"])
        else:
            assert not row["merchants"]


def test_planted_cycles_close_in_time_order_with_the_stated_retention(
    frame: pd.DataFrame, rings: pd.DataFrame
) -> None:
    plain = (rings.kind == "cycle") & (rings.variant == "plain")
    cycles = rings[plain & (rings.phase == "burst")]
    hops = cycles.merge(frame.drop(columns="ring_id"), on="transaction_id", sort=False)
    rounds = [rows for _, rows in hops.groupby(["ring_id", "round"], sort=False)]
    assert len(rounds) >= 14
    least, greatest = CONFIG.retained
    for cycle in rounds:
        assert 3 <= len(cycle) <= 6
        assert (np.diff(cycle.timestamp) > 0).all()
        assert cycle.timestamp.iloc[-1] - cycle.timestamp.iloc[0] < DAY
        givers, takers = cycle.user_id.tolist(), cycle.counterparty_id.tolist()
        assert takers == [*givers[1:], givers[0]]
        assert len(set(givers)) == len(givers)
        assert cycle.currency.nunique() == 1
        assert (cycle.outcome == "authorised").all()
        cents = [int(Decimal(text) * 100) for text in cycle.amount]
        kept = [1 - after / before for before, after in pairwise(cents)]
        assert all(least - 1e-9 <= share <= greatest + 1e-9 for share in kept)


def test_mules_pay_on_less_than_they_got_and_live_a_life_beside_it(
    simulation: Simulation, frame: pd.DataFrame
) -> None:
    lives = frame[frame.ring_id.isna()]
    rings = [
        row
        for row in simulation.rings.to_pylist()
        if row["kind"] == "mule" and row["variant"] != "mixed"
    ]
    alive = 0
    for ring in rings:
        told = frame[(frame.ring_id == ring["ring_id"]) & frame.type.ne("deposit")]
        burst = dict(zip(ring["transaction_ids"], ring["phases"], strict=True))
        told = told[told.transaction_id.map(burst) != "warm_up"]
        roles = {member["user_id"]: member["role"] for member in ring["members"]}
        mules = [user for user, role in roles.items() if role == "mule"]
        assert "victim" in roles.values()
        got = told[told.counterparty_id.isin(mules)].amount.astype(float).sum()
        gave = told[told.user_id.isin(mules)].amount.astype(float).sum()
        assert 0 < gave < got
        alive += sum((lives.user_id == mule).sum() >= 5 for mule in mules)
    assert alive >= len(rings)


def test_farms_share_devices_cards_and_addresses(
    simulation: Simulation, frame: pd.DataFrame
) -> None:
    for ring in simulation.rings.to_pylist():
        if ring["kind"] != "device_farm" or ring["variant"] == "rotated":
            continue
        members = [member["user_id"] for member in ring["members"]]
        theirs = frame[frame.user_id.isin(members)]
        assert len(members) >= 6
        assert theirs.device_id.nunique() < len(members)
        assert theirs.groupby("ip_address").user_id.nunique().max() > len(members) / 2
        # They lived before they burst: ordinary purchases made them look like people.
        assert theirs.ring_id.isna().sum() > len(members)


def test_warm_up_comes_before_burst_before_the_last_cash_out(
    frame: pd.DataFrame, rings: pd.DataFrame
) -> None:
    when = rings.merge(frame[["transaction_id", "timestamp"]], on="transaction_id")
    spans = when.groupby(["ring_id", "phase"]).timestamp.agg(["min", "max"]).unstack()
    warmed = spans[spans["max"]["warm_up"].notna()]
    # Not every ring is tried first, and the simulated time may begin after the warm-up.
    assert len(warmed) > 0.5 * CONFIG.rings.total
    assert (warmed["max"]["warm_up"] < warmed["min"]["burst"]).all()
    cashed = spans[spans["max"]["cash_out"].notna()]
    assert len(cashed) > 0.5 * CONFIG.rings.total
    assert (cashed["max"]["cash_out"] > cashed["min"]["burst"]).all()


def test_labels_come_days_later_and_some_never(frame: pd.DataFrame, rings: pd.DataFrame) -> None:
    known = frame[frame.fraud.notna()]
    delay = (known.label_known_at - known.timestamp) / DAY
    assert (delay > 0).all()
    assert 1.5 < delay[known.fraud.astype(bool)].median() < 6
    assert (delay[~known.fraud.astype(bool)] >= CONFIG.settle_days).all()
    assert (frame.fraud.isna() == frame.label_known_at.isna()).all()
    assert frame.fraud.isna().mean() == pytest.approx(CONFIG.unlabelled_share, abs=0.01)
    phase = frame.transaction_id.map(rings.set_index("transaction_id").phase)
    assert frame[phase == "warm_up"].fraud.isna().all()
    crime = frame[phase.isin(["burst", "cash_out"])]
    assert 0 < crime.fraud.isna().mean() < 0.15
    assert crime.fraud.dropna().all()
    assert not known[known.ring_id.isna()].fraud.any()


def test_demo_has_a_quiet_past_and_then_several_rings_at_once() -> None:
    config = demo_config()
    simulation = run(config)
    frame = frame_of(simulation)
    past = frame[frame.timestamp < config.rings_start]
    live = frame[frame.timestamp >= config.rings_start]
    assert not past.fraud.any()
    assert len(past) > 8_000
    assert 3_000 < len(live) < 8_000
    assert live[live.fraud.fillna(value=False)].ring_id.nunique() == config.rings.total
    # Streamed at 30 a second: within some window of two minutes half of all rings are at work.
    window = [live.ring_id.iloc[i : i + 3_600].nunique() for i in range(0, len(live), 600)]
    assert max(window) >= config.rings.total / 2


def test_the_documented_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parents[2] / "docs" / "simulator.md"
    example = page.read_text(encoding="utf-8").split("```python")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(compile(example, str(page), "exec"), {})  # noqa: S102  # the example is ours
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == set(re.findall(r"^\| `(\w+\.(?:parquet|json))`", page.read_text(), re.M))
