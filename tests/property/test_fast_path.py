"""The fast path and the long way: the same verdicts, the same features, the same state.

The long way takes every transaction through `TransactionWindow.add` and the heuristics' own
`detect`; it is what the fast path falls back to, so here it is made to fall back always.
"""

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from graph.fast_kernel import Stop
from graph.fast_path import FastPath
from graph.heuristics import EVERYBODY, Lists
from graph.lists import ListChange, ListName
from graph.ring_policy import RingPolicy
from graph.thresholds import Thresholds
from graph.transaction import (
    DAY,
    HOUR,
    MINUTE,
    Entity,
    EntityKind,
    Label,
    Location,
    Money,
    Transaction,
)
from graph.transaction import TransactionType as Type
from graph.window import ANY_TIME
from scorer.detector import Detector, DetectorConfig
from scorer.features import FeatureConfig
from tests.examples import examples
from tests.oracles.streams import (
    HORIZON,
    REACH,
    SMALL,
    START,
    money_streams,
    shuffled,
    transaction,
)

ROOMY = DetectorConfig(
    window=SMALL,
    # Low, so that short streams of few users bring every heuristic to speak.
    thresholds=Thresholds(
        velocity_attempts=4,
        velocity_within=30 * MINUTE,
        mule_senders=2,
        fan_counterparties=3,
        chain_hops=3,
        relay_intermediaries=2,
        relay_receivers=2,
        layer_side=2,
        stack_accounts=5,
        structuring_limit=101,
        structuring_payments=2,
        device_users=2,
        farm_users=3,
        card_users=2,
        ip_users=2,
        told_singly=3,
        dormant_after=12 * HOUR,
        dormant_unseen=5 * HOUR,
        dormant_moves=2,
        takeover_within=6 * HOUR,
        takeover_history=1,
        takeover_times=1.2,
        bust_out_weeks=1,
        bust_out_times=1.1,
        bust_out_reversals=1,
        spree_merchants=1,
        spree_within=12 * HOUR,
        spree_after=12 * HOUR,
        card_testing_within=30 * MINUTE,
        card_testing_cards=2,
        card_testing_each=0.5,
        card_testing_declined=0.3,
        collusive_least=2,
        collusive_regular=2,
        collusive_share=0.2,
        collusive_share_linked=0.1,
        collusive_refunds=0.1,
        collusive_surge=2,
        collusive_surge_share=0.1,
        collusive_surge_refunds=1,
        refund_count=2,
        refund_merchants=1,
        refund_share=0.5,
        refund_each=1,
        refund_each_share=0.1,
        synthetic_users=2,
    ),
    rings=RingPolicy(quiet_after=2 * HOUR, expire_after=3 * HOUR),
    features=FeatureConfig(pairs=1 << 10),
)
# Searches run out of budget, and the edges are remembered for the sweep.
HASTY = replace(
    ROOMY, thresholds=replace(ROOMY.thresholds, cycle_scan=2, chain_scan=2, relay_scan=2)
)
# Everything full and forgotten at once: ids are given back, edges and links given up early.
TIGHT = replace(
    ROOMY,
    window=replace(
        SMALL,
        retention=REACH,
        memory=REACH,
        max_edges=24,
        max_accounts=6,
        max_identifiers=5,
        max_links=24,
    ),
)
# A single day is a habit, so that limits are learned in short streams.
SETTLED = replace(ROOMY, thresholds=replace(ROOMY.thresholds, own_days=1))
PLACES = (None, None, Location("Berlin", 52.52, 13.40), Location("New York", 40.71, -74.01))


@st.composite
def lives(draw: st.DrawFn) -> list[Transaction]:
    """Streams with devices, places, repeats, latecomers and absurd clocks, in order of arrival."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = random.Random(seed)
    stream = [
        structs.replace(
            tx,
            device_id=rng.choice([None, "d0", "d1", "d2", f"d-{tx.user_id}"]),
            ip_address=rng.choice([None, "10.0.0.1", "10.0.0.2"]),
            card_id=rng.choice([None, None, "c0", f"c-{tx.user_id}"]),
            location=rng.choice(PLACES),
            channel=rng.choice([None, "app", "web"]),
        )
        for tx in draw(money_streams(accounts=7, most=70))
    ]
    if draw(st.booleans()):
        stream = shuffled(stream, rng)
    for _ in range(draw(st.integers(0, 4))):
        if stream:
            at = rng.randrange(len(stream))
            odd = stream[rng.randrange(len(stream))]
            apart = rng.choice([0, 0, -HORIZON, -2 * HOUR, 2 * HORIZON, 100 * DAY])
            name = odd.transaction_id if apart == 0 else f"odd{rng.getrandbits(32)}"
            stream.insert(
                at, structs.replace(odd, transaction_id=name, timestamp=odd.timestamp + apart)
            )
    return stream


def tx_money(n: int) -> Money:
    return Money(n + 1, "EUR")


def told(config: DetectorConfig, stream: list[Transaction], cuts: list[int], facts: list) -> tuple:
    """Verdicts, rows and the state at the end; between batches labels and lists change."""
    detector = Detector(config)
    verdicts, rows = [], []
    ends = [*sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    start = 0
    for number, end in enumerate(ends):
        part = stream[start:end]
        verdicts += detector.observe_batch(part)
        rows.append(detector.last_features.copy())
        for tx in part[::3]:
            detector.learn(Label(tx, len(tx.user_id) % 2 == 0, tx.timestamp + 40 * MINUTE))
        if number < len(facts):
            detector.refer(facts[number])
        start = end
    return verdicts, np.concatenate(rows), detector.snapshot()


def the_long_way(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(FastPath, "advance", lambda self, start, due: (start, Stop.ATTENTION))
    patch.setattr(FastPath, "speakers_again", lambda self, later: [EVERYBODY] * len(later))


FACTS = [
    ListChange(Entity(EntityKind.USER, "u3"), ListName.BLOCK, expires_at=START + 5 * HOUR),
    ListChange(Entity(EntityKind.DEVICE, "d1"), ListName.WATCH, expires_at=START + 4 * HOUR),
    ListChange(Entity(EntityKind.USER, "u1"), ListName.ALLOW),
]


@settings(max_examples=examples(50), deadline=None)
@given(
    stream=lives(),
    cuts=st.lists(st.integers(0, 200), max_size=4),
    config=st.sampled_from([ROOMY, TIGHT, HASTY, SETTLED]),
)
def test_both_ways_say_and_remember_the_same(stream, cuts, config) -> None:
    fast = told(config, stream, cuts, FACTS)
    with pytest.MonkeyPatch.context() as patch:
        the_long_way(patch)
        slow = told(config, stream, cuts, FACTS)
    assert fast[0] == slow[0]
    np.testing.assert_array_equal(fast[1], slow[1])
    assert fast[2] == slow[2]


@settings(max_examples=examples(30), deadline=None)
@given(stream=lives(), config=st.sampled_from([ROOMY, TIGHT, HASTY, SETTLED]))
def test_one_at_a_time_says_and_remembers_the_same(stream, config) -> None:
    detector, alone = Detector(config), Detector(config)
    assert detector.observe_batch(stream) == [alone.observe(tx) for tx in stream]
    assert detector.snapshot() == alone.snapshot()


def told_both_ways(
    config: DetectorConfig, stream: list[Transaction], cuts: list[int], patch: pytest.MonkeyPatch
) -> tuple:
    """Verdicts and snapshot, which are the same on both ways, as are the features."""
    fast = told(config, stream, cuts, FACTS)
    the_long_way(patch)
    slow = told(config, stream, cuts, FACTS)
    assert fast[0] == slow[0]
    np.testing.assert_array_equal(fast[1], slow[1])
    assert fast[2] == slow[2]
    return fast[0], fast[2]


def crowded(seed: int) -> list[Transaction]:
    """250 transactions of twelve users, out of order: much to tell, much to forget."""
    rng = random.Random(seed)
    stream = []
    for number in range(250):
        payer, payee = rng.sample(range(12), 2)
        tx = Transaction(
            f"t{number}",
            START + number * 4 * MINUTE,
            Type.TRANSFER,
            tx_money(number),
            rng.choice([80, 90, 95, 100]),
            f"u{payer}",
            f"u{payee}",
            device_id=rng.choice([None, None, f"d{payer // 2}", f"d{number // 3}"]),
        )
        stream.append(tx)
    return shuffled(stream, rng)


def lived_in(seed: int) -> list[Transaction]:
    """Two weeks of eight users who shop, return, sleep, change devices and try cards."""
    rng = random.Random(seed)
    minute, stream = 0, []
    for number in range(500):
        minute += rng.choice([0, 1, 3, 10, 30, 180])
        user, other = rng.sample(range(8), 2)
        shop = f"shop{rng.randrange(6)}"
        me, friend = f"u{user}", rng.choice([f"u{other}", f"p{number}"])
        buys, returns, sends = (me, shop), (shop, me), (me, friend)
        payer, payee = rng.choice([buys] * 3 + [returns, sends] * 2 + [(me, None), (None, me)])
        if rng.random() < 0.05:
            farm = {"device_id": f"farm{number // 100}", "card_id": f"farm{number // 100}"}
            stream.append(transaction(number, minute, f"new{number}", shop, 100, **farm))
            continue
        stream.append(
            transaction(
                number,
                minute,
                payer,
                payee,
                rng.choice([90, 100, 100, 400, 2000, 9000]),
                declined=rng.random() < 0.25,
                device_id=rng.choice([None, "d0", f"d{user}", f"d{user}-{number // 30}"]),
                ip_address=rng.choice([None, f"10.0.{user // 2}.{number // 20}"]),
                card_id=rng.choice([None, f"c{user // 2}", f"c{number}"]),
                channel=rng.choice([None, "atm", "web"]),
                user_created_at=rng.choice([None, START - 40 * DAY, START]),
            )
        )
    return shuffled(stream, rng)


ACCOUNTS = {
    "dormant_burst",
    "takeover",
    "bust_out",
    "card_testing",
    "collusive_merchant",
    "refund_abuse",
    "synthetic_identity",
}


@pytest.mark.parametrize("config", [ROOMY, TIGHT, HASTY], ids=["roomy", "tight", "hasty"])
@pytest.mark.parametrize("seed", range(2))
def test_what_accounts_usually_do_is_told_and_remembered_the_same(
    seed, config, monkeypatch
) -> None:
    stream = lived_in(seed)
    _, snapshot = told_both_ways(config, stream, [150, 300], monkeypatch)
    assert Detector.restore(snapshot).snapshot() == snapshot


def test_those_lives_hold_everything_that_accounts_do() -> None:
    verdicts = [v for seed in range(2) for v in Detector(ROOMY).observe_batch(lived_in(seed))]
    pieces = [piece for verdict in verdicts for piece in verdict.evidence]
    assert {piece.pattern.value for piece in pieces} >= ACCOUNTS
    assert any(piece.facts.get("surge") for piece in pieces)
    assert any(piece.facts.get("spree") for piece in pieces)
    assert any(piece.facts.get("company") for piece in pieces)


@pytest.mark.parametrize(
    "config", [ROOMY, TIGHT, HASTY, SETTLED], ids=["roomy", "tight", "hasty", "settled"]
)
@pytest.mark.parametrize("seed", range(2))
def test_a_crowd_is_told_the_same(seed, config, monkeypatch) -> None:
    stream = crowded(seed)
    verdicts, _ = told_both_ways(config, stream, [100, 180], monkeypatch)
    patterns = {piece.pattern.value for verdict in verdicts for piece in verdict.evidence}
    assert patterns >= ({"mule", "cycle", "fan_in", "shared_device"} if config is ROOMY else set())
    reasons = [piece.reason for verdict in verdicts for piece in verdict.evidence]
    assert any("its own days" in reason for reason in reasons) == (config is SETTLED)


@pytest.mark.parametrize("config", [ROOMY, TIGHT], ids=["roomy", "tight"])
def test_silences_of_days_are_told_and_remembered_the_same(config, monkeypatch) -> None:
    """Where somebody has looked at the times, the first after a silence is taken in."""
    config = replace(config, window=replace(config.window, ahead=ANY_TIME))
    stream = [
        structs.replace(tx, timestamp=tx.timestamp + n // 60 * 3 * DAY)
        for n, tx in enumerate(sorted(crowded(0), key=lambda tx: tx.timestamp))
    ]
    verdicts, _ = told_both_ways(config, stream, [100, 180], monkeypatch)
    assert {verdict.admission for verdict in verdicts} <= {"accepted", "duplicate"}


def test_a_crowd_in_haste_leaves_something_unfinished() -> None:
    """Else the tests above would compare nothing with nothing."""
    detector = Detector(HASTY)
    detector.observe_batch(crowded(0))
    assert len(detector.heuristics.unfinished.since(0)[0]) > 10


def test_most_of_an_ordinary_day_is_quiet(monkeypatch) -> None:
    """Else the tests above would compare the long way with itself."""
    ways = []
    advance = FastPath.advance

    def counted(self: FastPath, start: int, due: int) -> tuple[int, Stop]:
        row, why = advance(self, start, due)
        ways.extend([Stop.NOTHING] * (row - start))
        if why not in (Stop.NOTHING, Stop.NEWCOMER):
            ways.append(why)
        return row, why

    monkeypatch.setattr(FastPath, "advance", counted)
    day = [
        Transaction(
            f"t{n}", START + n * MINUTE, Type.TRANSFER, tx_money(n), n + 1, f"u{n % 9}", f"v{n % 7}"
        )
        for n in range(400)
    ]
    Detector().observe_batch(day)
    assert len(ways) == len(day)
    assert ways.count(Stop.NOTHING) > 0.8 * len(day)
    assert ways[:2] == [Stop.ATTENTION] * 2  # no watermark yet


def test_too_deep_in_a_chain_is_late_on_both_ways(monkeypatch) -> None:
    """A transaction that belongs beneath more edges of its account than an add walks over."""

    def pays(name: str, at: int, payer: str = "hub", payee: str = "v0") -> Transaction:
        return Transaction(name, START + at, Type.TRANSFER, tx_money(1), 1, payer, payee)

    stream = [pays(f"t{n}", n, payee=f"v{n % 3}") for n in range(1, 4096)]
    stream += [pays("beneath 4095", 0), pays("t4096", 4096), pays("t4097", 4097)]
    stream += [pays("beneath 4097", 0), pays("then", 4098, "v1", "v2")]
    fast = told(DetectorConfig(), stream, [], [])
    the_long_way(monkeypatch)
    slow = told(DetectorConfig(), stream, [], [])
    admissions = {v.transaction_id: v.admission for v in fast[0]}
    assert [name for name, said in admissions.items() if said != "accepted"] == ["beneath 4097"]
    assert admissions["beneath 4097"] == "late"
    assert fast[0] == slow[0]
    assert fast[2] == slow[2]


def test_an_id_that_was_given_to_somebody_else_meanwhile_is_looked_up_again(monkeypatch) -> None:
    """Ann is forgotten in the middle of a batch that names her at its end."""
    config = replace(ROOMY, window=replace(SMALL, retention=REACH, memory=REACH))

    def pays(minute: int, payer: str) -> Transaction:
        name = f"{payer}-{minute}"
        return Transaction(
            name, START + minute * MINUTE, Type.TRANSFER, tx_money(1), 1, payer, f"{payer}-friend"
        )

    stream = [pays(0, "ann"), pays(1, "bob"), pays(2, "cyd")]
    stream += [pays(10 + 10 * n, f"new{n}") for n in range(90)] + [pays(920, "ann")]
    fast = told(config, stream, [3], [])
    the_long_way(monkeypatch)
    slow = told(config, stream, [3], [])
    assert fast[2] == slow[2]
    np.testing.assert_array_equal(fast[1], slow[1])


def test_blocked_from_the_start(monkeypatch) -> None:
    config = replace(ROOMY, lists=Lists(blocked=frozenset({Entity(EntityKind.USER, "u2")})))
    stream = [
        Transaction(f"t{n}", START + n, Type.TRANSFER, tx_money(n), 1, f"u{n % 4}", "v")
        for n in range(40)
    ]
    fast = told(config, stream, [], [])
    assert [v.decision.value for v in fast[0]].count("decline") == 10
    the_long_way(monkeypatch)
    assert fast[2] == told(config, stream, [], [])[2]


def quiet_day(rng: random.Random) -> list[Transaction]:
    """Nobody pays anybody twice within hours, so that whole stretches are quiet."""
    return [
        transaction(
            n,
            3 * n + rng.choice([0, 0, 3]),  # some at the same moment
            f"u{n % 40}",
            f"shop{n % 37}",
            100 + n,
            device_id=f"d{n % 40}",
            channel=rng.choice([None, "app"]),
        )
        for n in range(240)
    ]


def learned_late(stream: list[Transaction], rng: random.Random) -> list[Label]:
    """Labels of the stream and of strangers, due within it: many at one moment, some between two.

    Those of the stream's end become known before their transaction is seen, as no replay does it
    but anybody may.
    """
    strangers = [structs.replace(tx, user_id=f"stranger{tx.user_id}") for tx in stream[::7]]
    subjects = [*rng.sample(stream, 120), *strangers]
    moments = [rng.choice(stream[60:]).timestamp + rng.choice([-1, 0, 0, 1]) for _ in range(25)]
    return [Label(tx, rng.random() < 0.4, rng.choice(moments)) for tx in subjects]


@settings(max_examples=examples(20), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    config=st.sampled_from(
        # With few ids they change hands between two labels.
        [ROOMY, TIGHT, DetectorConfig(features=FeatureConfig(pairs=1 << 10))]
    ),
)
def test_labels_that_fall_due_within_a_stretch_are_learned_as_one_at_a_time(seed, config) -> None:
    rng = random.Random(seed)
    stream = quiet_day(rng)
    labels = learned_late(stream, rng)
    batched, alone = Detector(config), Detector(config)
    for detector in (batched, alone):
        detector.observe_batch(stream[:50])
        for label in labels:
            detector.learn(label)
    batched.observe_batch(stream[50:])
    rows = []
    for tx in stream[50:]:
        alone.observe(tx)
        rows.append(alone.last_features[0].copy())
    np.testing.assert_array_equal(batched.last_features, np.stack(rows))
    assert batched.snapshot() == alone.snapshot()


def test_no_label_stops_a_stretch() -> None:
    """Else the test above would compare stretches of one row."""
    rng = random.Random(1)
    stream = quiet_day(rng)
    detector = Detector()
    detector.observe_batch(stream[:50])
    for label in learned_late(stream, rng):
        detector.learn(label)
    observer, rest = detector._observer, stream[50:]
    observer._fast.lay_out(rest)
    assert observer._fast.advance(0, observer._due()) == (len(rest), Stop.NOTHING)
