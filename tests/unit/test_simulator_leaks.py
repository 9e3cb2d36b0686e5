"""Nothing gives fraud away by itself, and ordinary life looks guilty often enough."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import KFold, cross_val_predict

from graph.transaction import DAY, HOUR, MINUTE
from ingest.simulator import KINDS, Simulation, SimulationConfig, demo_config, frame_of, run
from ingest.simulator.look_alikes import LOOK_ALIKES

pytestmark = pytest.mark.slow

LIMIT = 0.75
CATEGORIES = ("type", "currency", "country", "location", "merchant_category", "channel", "outcome")
IDS = (
    "transaction_id",
    "user_id",
    "counterparty_id",
    "merchant_id",
    "device_id",
    "ip_address",
    "card_id",
)
CONFIG = SimulationConfig(seed=21, days=14, users=3_000, fraud_share=0.01)


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return run(CONFIG)


@pytest.fixture(scope="module")
def frame(simulation: Simulation) -> pd.DataFrame:
    frame = frame_of(simulation)
    return frame[frame.fraud.notna()].reset_index(drop=True)


@pytest.fixture(scope="module")
def fraud(frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    return frame.fraud.to_numpy(dtype=np.float64)


def smoothed_rate(values: pd.Series, fraud: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Each row's share of fraud among the other folds' rows of its value, drawn to the mean."""
    codes, distinct = pd.factorize(values, use_na_sentinel=False)
    rate = np.empty(len(fraud))
    for train, test in KFold(5, shuffle=True, random_state=0).split(codes):
        seen = np.bincount(codes[train], minlength=len(distinct))
        guilty = np.bincount(codes[train], weights=fraud[train], minlength=len(distinct))
        rate[test] = ((guilty + 20 * fraud.mean()) / (seen + 20))[codes[test]]
    return rate


def raw_fields(frame: pd.DataFrame) -> dict[str, pd.Series]:
    cents = (frame.amount.astype(float) * 100).round().astype(np.int64)
    age = frame.timestamp - frame.user_created_at
    fields = {
        "amount": pd.qcut(cents, 50, duplicates="drop", labels=False),
        "amount, cents": cents % 100,
        "amount, units": cents // 100 % 10,
        "hour": frame.timestamp // HOUR % 24,
        "minute": frame.timestamp // MINUTE % 60,
        "weekday": frame.timestamp // DAY % 7,
        "day": frame.timestamp // DAY,
        "millisecond": frame.timestamp % 1_000,
        "account age": pd.qcut(age, 50, duplicates="drop", labels=False),
        "address version": frame.ip_address.str.contains(":", regex=False),
    }
    for name in CATEGORIES:
        fields[name] = frame[name]
    for name in IDS:
        fields[f"{name}, first character"] = frame[name].str[:1]
        fields[f"{name}, last character"] = frame[name].str[-1:]
        fields[f"{name}, length"] = frame[name].str.len()
    return fields


def test_no_raw_field_alone_tells_fraud(
    frame: pd.DataFrame, fraud: npt.NDArray[np.float64]
) -> None:
    found = {
        name: roc_auc_score(fraud, smoothed_rate(values, fraud))
        for name, values in raw_fields(frame).items()
    }
    for name, values in (
        ("amount as a number", frame.amount.astype(float)),
        ("age as a number", frame.timestamp - frame.user_created_at),
        ("position in the stream", pd.Series(np.arange(len(frame)))),
    ):
        auc = roc_auc_score(fraud, values)
        found[name] = max(auc, 1 - auc)
    leaks = {name: round(auc, 3) for name, auc in found.items() if auc > LIMIT}
    assert not leaks
    assert fraud.sum() > 500


def test_how_far_apart_payer_and_payee_live_tells_little(frame: pd.DataFrame) -> None:
    home = frame.groupby("user_id").location.agg(lambda places: places.mode()[0])
    degrees = home.str.split(",", expand=True).astype(float)
    paid = frame[frame.type.eq("transfer") & frame.counterparty_id.isin(home.index)]
    apart = degrees.loc[paid.user_id].to_numpy() - degrees.loc[paid.counterparty_id].to_numpy()
    far, guilty = np.hypot(*apart.T), paid.fraud.to_numpy(dtype=bool)
    assert guilty.sum() > 200
    # Half of all transfers stay in town: friends do, rents and sales need not. So do half of a
    # crew's; what it is paid by those it robs comes from anywhere.
    assert 0.4 < roc_auc_score(guilty, far) < 0.6
    assert (far[guilty] == 0).mean() > 0.25


def test_all_raw_fields_together_find_little(
    frame: pd.DataFrame, fraud: npt.NDArray[np.float64]
) -> None:
    known = pd.DataFrame({name: pd.factorize(frame[name])[0] for name in CATEGORIES})
    known["amount"] = frame.amount.astype(float)
    known["cents"] = (known.amount * 100).round() % 100
    known["hour"] = frame.timestamp / HOUR % 24
    known["age"] = frame.timestamp - frame.user_created_at
    past = len(frame) * 6 // 10
    model = HistGradientBoostingClassifier(random_state=0).fit(known[:past], fraud[:past])
    # Rings in one fold: one that straddles the cut is known again by the age of its accounts.
    seen = frame.ring_id.isin(frame.ring_id[:past].dropna()).to_numpy()
    test = ~seen & (np.arange(len(frame)) >= past)
    chance = model.predict_proba(known[test])[:, 1]
    assert fraud[test].sum() > 200
    assert average_precision_score(fraud[test], chance) < 0.15


def test_ids_of_transactions_carry_no_information(
    frame: pd.DataFrame, fraud: npt.NDArray[np.float64]
) -> None:
    some = (fraud > 0) | (np.arange(len(frame)) % 8 == 0)
    frame, fraud = frame[some], fraud[some]
    text = np.array(frame.transaction_id.tolist(), dtype="S16").view(np.uint8).reshape(-1, 16)
    digits = np.searchsorted(np.frombuffer(b"0123456789abcdef", dtype=np.uint8), text)
    chance = cross_val_predict(
        LogisticRegression(), digits / 15 - 0.5, fraud, cv=5, method="predict_proba"
    )[:, 1]
    assert 0.45 < roc_auc_score(fraud, chance) < 0.55


def test_no_value_occurs_only_in_fraud(frame: pd.DataFrame) -> None:
    guilty, honest = frame[frame.fraud.astype(bool)], frame[~frame.fraud.astype(bool)]
    for name in CATEGORIES:
        assert set(guilty[name].dropna()) <= set(honest[name].dropna()), name
    # Entities live before they sin; a merchant or an address of a ring serves others too.
    for name, least in {
        "user_id": 0.9,
        "counterparty_id": 0.6,
        "merchant_id": 1.0,
        "device_id": 0.9,
        "ip_address": 0.9,
        "card_id": 0.9,
    }.items():
        known = guilty[name].dropna().isin(set(honest[name].dropna()))
        assert known.mean() >= least, name
    # Nor do deposits bounce for frauds alone.
    for rows in (guilty, honest):
        assert ((rows.type == "deposit") & (rows.outcome == "declined")).any()
    # No hour, and no beginning of an id, is fraud's own.
    hours = [np.bincount(rows.timestamp // HOUR % 24, minlength=24) for rows in (guilty, honest)]
    assert (hours[1] >= 5 * hours[0]).all()
    for name in IDS:
        begun = [rows[name].dropna().str[:1].value_counts() for rows in (guilty, honest)]
        assert (begun[1].reindex(begun[0].index).fillna(0) >= 5 * begun[0]).all(), name
    # No band of amounts, each a quarter wider than the one below, belongs to fraud.
    bands = np.arange(0.0, np.log(guilty.amount.astype(float).max()), np.log(1.25))
    counted = [
        np.histogram(np.log(rows.amount.astype(float)), bands)[0] for rows in (guilty, honest)
    ]
    assert (counted[1] >= 5 * counted[0]).all()


def test_shuffled_labels_give_the_base_rate(
    frame: pd.DataFrame, fraud: npt.NDArray[np.float64]
) -> None:
    shuffled = np.random.default_rng(0).permutation(fraud)
    for name, values in raw_fields(frame).items():
        auc = roc_auc_score(shuffled, smoothed_rate(values, shuffled))
        assert 0.42 < auc < 0.58, name


RESEMBLES = {
    "cycle": ("family_cycle", "reciprocal", "treasury_sweep"),
    "mule": ("allowance", "collection", "marketplace", "agent"),
    "device_farm": ("shared_device", "shared_card"),
    "synthetic_identity": ("shared_card", "shared_device", "campus"),
    "card_testing": ("ticket_drop",),
    "takeover": ("new_phone",),
    "bust_out": ("seasonal",),
    "collusive_merchant": ("club",),
    "refund_abuse": ("refund",),
    "structuring": ("house_purchase",),
    "fan_in": ("rent", "marketplace", "collection", "student_treasurer"),
    "fan_out": ("payroll", "expenses"),
    "scatter_gather": ("expenses", "treasury_sweep"),
    "gather_scatter": ("salary_processor", "agent"),
    "bipartite": ("settling_up",),
    "stack": ("supply_chain", "salary_processor", "settling_up"),
    "chain": ("supply_chain",),
    "dormant_burst": ("returning",),
}
"""What honest people do that looks like a kind of ring."""


@pytest.mark.parametrize(
    "config", [CONFIG, demo_config(), SimulationConfig(users=2_000)], ids=["dense", "demo", "usual"]
)
def test_ten_look_alikes_a_ring(config: SimulationConfig) -> None:
    counts = run(config).counts["look_alikes"]
    assert sum(counts.values()) >= 10 * config.rings.total
    assert sum(counts[kind] for kind in LOOK_ALIKES) >= 10 * config.rings.total


def test_the_default_world_has_little_fraud_and_ten_look_alikes_a_ring_of_every_kind() -> None:
    config = SimulationConfig()
    figures = run(config).counts
    assert 0.001 <= figures["fraud"] / figures["transactions"] <= 0.0021
    assert min(config.rings.values()) >= 2
    counts = figures["look_alikes"]
    assert set(RESEMBLES) == set(KINDS)
    for kind, alike in RESEMBLES.items():
        assert sum(counts[name] for name in alike) >= 10 * config.rings[kind], kind
    assert min(counts.values()) > 0


def test_look_alikes_have_the_shape_they_are_named_for(simulation: Simulation) -> None:
    frame = frame_of(simulation)
    groups = simulation.look_alikes.to_pandas().merge(frame, on="transaction_id")
    assert not groups.ring_id.notna().any()

    def of(kind: str) -> pd.DataFrame:
        rows = groups[(groups.kind == kind) & (groups.type == "transfer")]
        return rows.sort_values(["group", "timestamp"], kind="stable")

    circles = of("family_cycle").groupby("group")
    closed = circles.agg(first=("user_id", "first"), last=("counterparty_id", "last"))
    assert (closed["first"] == closed["last"]).mean() > 0.8
    replies = (
        of("reciprocal")
        .groupby("group")
        .agg(first=("user_id", "first"), last=("counterparty_id", "last"), size=("user_id", "size"))
    )
    pairs = replies[replies["size"] == 2]
    assert (pairs["first"] == pairs["last"]).all()
    wages = (
        of("payroll")
        .groupby("group")
        .agg(employers=("user_id", "nunique"), staff=("counterparty_id", "nunique"))
    )
    assert (wages.employers == 1).all()
    assert wages.staff.max() > 20
    sales = of("marketplace").groupby("counterparty_id").user_id.nunique()
    assert (sales > 10).sum() > 10


def test_many_share_a_public_address_and_some_a_machine(frame: pd.DataFrame) -> None:
    honest = frame[frame.ring_id.isna()]
    assert (honest.groupby("ip_address").user_id.nunique() >= 50).sum() >= 10
    assert (honest.groupby("device_id").user_id.nunique() >= 4).sum() >= 5


def test_look_alikes_of_cards_and_firms_have_their_shape(simulation: Simulation) -> None:
    frame = frame_of(simulation)
    groups = simulation.look_alikes.to_pandas().merge(frame, on="transaction_id")

    def of(kind: str) -> "pd.api.typing.DataFrameGroupBy":
        return groups[groups.kind == kind].sort_values("timestamp", kind="stable").groupby("group")

    drops = of("ticket_drop").agg(
        cards=("card_id", "nunique"),
        shops=("merchant_id", "nunique"),
        declined=("outcome", lambda outcome: (outcome == "declined").mean()),
        span=("timestamp", lambda time: time.max() - time.min()),
    )
    assert (drops.shops == 1).all()
    assert drops.cards.median() > 15
    assert drops.span.max() < 30 * MINUTE
    assert drops.declined.between(0.2, 0.8).mean() > 0.8
    clubs = of("club").agg(people=("user_id", "nunique"), visits=("user_id", "size"))
    assert (clubs.visits >= 2 * clubs.people).mean() > 0.1
    houses = groups[(groups.kind == "house_purchase") & (groups.type == "transfer")]
    assert houses.amount.astype(float).between(3_000, 9_999.99).all()
    chains = of("supply_chain").agg(hops=("user_id", "nunique"), rows=("user_id", "size"))
    whole = chains[chains.rows >= 3]
    assert (whole.hops == whole.rows).all()
    clearing = of("salary_processor")
    paid = clearing.agg(employers=("user_id", "nunique"), staff=("counterparty_id", "nunique"))
    assert paid.staff.max() > 20
    assert paid.employers.max() >= 3
    sessions = groups[groups.kind == "agent"].groupby("group")
    assert (sessions.counterparty_id.nunique() > 5).mean() > 0.9
    machines = of("campus").agg(machines=("device_id", "nunique"), people=("user_id", "nunique"))
    assert (machines.machines == 1).all()
    assert machines.people.median() >= 4
    phones = of("new_phone").agg(device=("device_id", "nunique"), rows=("user_id", "size"))
    assert phones.device.max() == 1


def test_who_comes_back_had_done_nothing_for_long(simulation: Simulation) -> None:
    frame = frame_of(simulation)
    groups = simulation.look_alikes.to_pandas().merge(frame, on="transaction_id")
    back = groups[(groups.kind == "returning") & (groups.type == "deposit")]
    first = frame.groupby("user_id").timestamp.min()
    late = back[back.timestamp > CONFIG.start + 7 * DAY]
    assert len(late) > 5
    assert (first[late.user_id].to_numpy() > CONFIG.start + 6 * DAY).all()


def around(transfers: pd.DataFrame) -> npt.NDArray[np.float64]:
    """What the last day between the accounts of each transfer says, no amount or hour by itself."""
    known: set[tuple[str, str]] = set()
    sent: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    got: dict[str, list[tuple[int, bool, float]]] = defaultdict(list)
    found = np.zeros((len(transfers), 8))
    rows = zip(
        transfers.timestamp.tolist(),
        transfers.user_id.tolist(),
        transfers.counterparty_id.tolist(),
        transfers.amount.astype(float).tolist(),
        strict=True,
    )
    for i, (at, giver, taker, amount) in enumerate(rows):
        new, back = (giver, taker) not in known, (taker, giver) in known
        known.add((giver, taker))
        arrived = [each for each in got[giver] if each[0] > at - DAY]
        received = sum(sum_ for *_, sum_ in arrived)
        fresh = sum(stranger for _, stranger, _ in arrived)
        sent[giver].append((at, new))
        got[taker].append((at, new, amount))
        found[i] = (
            new,
            back,
            sum(stranger for when, stranger in sent[giver] if when > at - DAY),
            sum(stranger for when, stranger, _ in got[taker] if when > at - DAY),
            fresh,
            len(arrived) - fresh,
            np.log1p(at - arrived[-1][0] if arrived else 10 * DAY),
            np.log(amount / received) if received else 9.0,
        )
    return found


def test_shuffled_edges_take_away_what_the_graph_shows(simulation: Simulation) -> None:
    found = []
    # Three worlds: how much there is to see differs between them, by how few rings each has.
    for world in (simulation, *(run(replace(CONFIG, seed=seed)) for seed in (22, 23))):
        frame = frame_of(world)
        transfers = frame[(frame.type == "transfer") & frame.fraud.notna()].reset_index(drop=True)
        fraud = transfers.fraud.to_numpy(dtype=np.float64)
        taker = np.random.default_rng(0).permutation(transfers.counterparty_id)
        shuffled = transfers.assign(counterparty_id=taker)
        real, without = (precision_on_what_is_around(rows, fraud) for rows in (transfers, shuffled))
        found.append((real, without, fraud.mean()))
    real, without, base = np.mean(found, axis=0)
    assert real > 2 * without
    assert real > 3 * base


def precision_on_what_is_around(rows: pd.DataFrame, fraud: npt.NDArray[np.float64]) -> float:
    seen, past = around(rows), len(rows) * 6 // 10
    model = RandomForestClassifier(20, min_samples_leaf=20, random_state=0)
    chance = model.fit(seen[:past], fraud[:past]).predict_proba(seen[past:])[:, 1]
    return float(average_precision_score(fraud[past:], chance))
