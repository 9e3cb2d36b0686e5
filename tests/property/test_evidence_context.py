"""The context of evidence against plain lists, and what is remembered of centres."""

import random
from collections import defaultdict
from itertools import combinations, compress
from math import asin, cos, dist, exp, isnan, log1p, radians, sin
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from msgspec.structs import replace

from graph.evidence import Evidence, Hop, Pattern, Role
from graph.transaction import (
    DAY,
    Entity,
    EntityKind,
    Location,
    Outcome,
    Transaction,
    TransactionType,
)
from scorer import evidence_context as module
from scorer.detector import Detector, DetectorConfig
from scorer.evidence_context import NAMES
from scorer.features import FeatureConfig
from tests.examples import examples
from tests.oracles.streams import HORIZON, SMALL, START, TALKATIVE, money_streams, transaction

CONFIG = DetectorConfig(
    window=SMALL,
    thresholds=TALKATIVE,
    features=FeatureConfig(pairs=1 << 10),
)
TRANSFER = TransactionType.TRANSFER
BERLIN, POTSDAM = Location("Berlin", 52.52, 13.40), Location("Potsdam", 52.39, 13.06)
PLACES = [None, BERLIN, POTSDAM, Location("Lisbon", 38.72, -9.14)]


def three(name: str, values: list[float]) -> dict[str, float]:
    """Least, median and greatest, by name."""
    found = [min(values), median(values), max(values)] if values else [float("nan")] * 3
    return {
        f"{name}_{which}": x for which, x in zip(("least", "median", "most"), found, strict=True)
    }


def around(piece: Evidence, history: list[Transaction], watermark: int) -> dict[str, float]:
    """What is known about a piece that the last transaction of a history in order completed."""
    users = [e.id for e, _ in piece.members if e.kind is EntityKind.USER]
    hops = sorted(piece.hops, key=lambda hop: (hop.timestamp, hop.transaction_id))
    live = [
        tx
        for tx in history
        if tx.timestamp >= watermark - HORIZON and tx.outcome is not Outcome.DECLINED
    ]
    return (
        accounts(users, history)
        | novelty(users, history)
        | pairs_of(hops, history)
        | acquaintances(users, hops, history)
        | locality(users, hops, history)
        | sharing(users, history)
        | flows(users, sum(hop.value for hop in hops), live)
        | amounts(hops, live)
    )


def accounts(users: list[str], history: list[Transaction]) -> dict[str, float]:
    now, before, began = history[-1].timestamp, history[:-1], history[0].timestamp

    def age(user: str) -> float:
        own = [tx.timestamp for tx in history if tx.user_id == user]
        return (now - min(own)) / DAY if own else 0.0

    def acts(user: str) -> int:
        return sum((tx.user_id == user) + (tx.counterparty_id == user) for tx in before)

    def others(user: str) -> int:
        return len({tx.other_party for tx in before if tx.user_id == user} - {None})

    def payers(user: str) -> int:
        return len({tx.user_id for tx in before if tx.counterparty_id == user})

    def days(user: str) -> float:
        return max(1.0, min(age(user), (now - began) / DAY))

    found = {
        **three("member_age", [age(user) for user in users]),
        **three("member_acts_log", [log1p(acts(user)) for user in users]),
        **three("member_acts_a_day", [acts(user) / days(user) for user in users]),
        **three("member_others", [others(user) for user in users]),
        **three("member_payers", [payers(user) for user in users]),
    }
    centre = users[0]
    return found | {
        "centre_others": others(centre),
        "centre_payers": payers(centre),
        "centre_acts_log": log1p(acts(centre)),
        "centre_age": age(centre),
        "centre_payers_a_day": payers(centre) / days(centre),
    }


def novelty(users: list[str], history: list[Transaction]) -> dict[str, float]:
    now, before = history[-1].timestamp, history[:-1]

    def shares(name: str, values: list[float]) -> dict[str, float]:
        return three(name, values) | {f"{name}_centre": values[0]}

    def declined(mine: list[Transaction]) -> float:
        weights = [exp((tx.timestamp - now) / DAY) for tx in mine]
        bad = [tx.outcome is Outcome.DECLINED for tx in mine]
        return sum(compress(weights, bad)) / sum(weights) if mine else 0.0

    def new(met: list[tuple[int, object]]) -> float:
        first = {who: at for at, who in reversed(met)}
        newest = max((at for at, _ in met), default=0)
        fresh = sum(exp((at - newest) / (7 * DAY)) for who, at in first.items() if who)
        return fresh / max(1, len(first.keys() - {None}))

    def paid(user: str) -> list[tuple[int, object]]:
        return [(tx.timestamp, tx.other_party) for tx in before if tx.user_id == user]

    def paid_by(user: str) -> list[tuple[int, object]]:
        return [(tx.timestamp, tx.user_id) for tx in before if tx.counterparty_id == user]

    return (
        shares("new_others", [new(paid(user)) for user in users])
        | shares("new_payers", [new(paid_by(user)) for user in users])
        | shares("declined", [declined([tx for tx in before if tx.user_id == u]) for u in users])
        | shares(
            "declined_to",
            [declined([tx for tx in before if tx.counterparty_id == u]) for u in users],
        )
    )


def pairs_of(hops: list[Hop], history: list[Transaction]) -> dict[str, float]:
    now, met = history[-1].timestamp, defaultdict(list)
    for tx in history:
        if tx.other_party is not None:
            met[tx.user, tx.other_party].append(tx.timestamp)
    pairs = {(hop.source, hop.target) for hop in hops if hop.source and hop.target}
    known = [(now - met[pair][0]) / DAY for pair in pairs if pair in met]
    found = three("pair_age", known)
    if not pairs:
        return found | dict.fromkeys(
            ("pairs_fresh", "pairs_reciprocal", "pair_count"), float("nan")
        )
    first = hops[0].timestamp
    fresh = sum(pair not in met or met[pair][0] >= first for pair in pairs)
    back = sum(bool(met[b, a]) and met[b, a][0] < first for a, b in pairs)
    return found | {
        "pairs_fresh": fresh / len(pairs),
        "pairs_reciprocal": back / len(pairs),
        "pair_count": sum(len(met[pair]) for pair in pairs) / len(pairs),
    }


def acquaintances(
    users: list[str], hops: list[Hop], history: list[Transaction]
) -> dict[str, float]:
    now = history[-1].timestamp
    begins = hops[0].timestamp if hops else now
    first: dict[tuple[str, str], int] = {}
    for tx in history:
        if tx.counterparty_id is not None:
            first.setdefault((tx.user_id, tx.counterparty_id), tx.timestamp)
    steps = {
        (hop.source.id, hop.target.id): hop for hop in reversed(hops) if hop.source and hop.target
    }

    def contacts(user: str) -> set[str]:
        paid = {b for (a, b), at in first.items() if a == user and at < begins}
        return paid - set(users)

    def in_common(a: str, b: str) -> float:
        return len(contacts(a) & contacts(b)) / max(1, min(len(contacts(a)), len(contacts(b))))

    def share(flags: list[bool]) -> float:
        return sum(flags) / len(flags) if flags else float("nan")

    pairs = list(combinations(users, 2))
    dealt = [pair for pair in pairs if pair in steps or pair[::-1] in steps]
    apart = [pair for pair in pairs if pair not in dealt]
    knew = [p for p in apart if min(first.get(p, now), first.get(p[::-1], now)) < begins]
    common = [in_common(*pair) for pair in pairs]
    tried = [
        (hop.timestamp - first[pair]) / DAY
        for pair, hop in steps.items()
        if first.get(pair, now) < hop.timestamp
    ]
    met = [sum(a == user and at > now - DAY for (a, _), at in first.items()) for user in users]
    days = three("tried_days", tried)
    today = three("met_today", [float(count) for count in met])
    return {
        "members_acquainted": share([pair in knew for pair in apart]),
        "members_with_acquaintances": share([any(u in p for p in knew) for u in users]),
        "members_paying_members": share(
            [any((u, v) in first for v in users if v != u) for u in users]
        ),
        "contacts_common": sum(common) / len(common) if common else float("nan"),
        "contacts_common_of_pairs": share([in_common(*pair) > 0 for pair in dealt]),
        "tried_days_least": days["tried_days_least"],
        "tried_days_median": days["tried_days_median"],
        "met_today_median": today["met_today_median"],
        "met_today_most": today["met_today_most"],
        "centre_met_today": float(met[0]),
    }


def locality(users: list[str], hops: list[Hop], history: list[Transaction]) -> dict[str, float]:
    at: dict[str, Location] = {}
    for tx in history:
        if tx.location is not None:
            at[tx.user_id] = tx.location
    placed = [user for user in users if user in at]
    pairs = {(hop.source.id, hop.target.id) for hop in hops if hop.source and hop.target}
    apart = three(
        "pairs_km_log", [log1p(km(at[a], at[b])) for a, b in pairs if a in at and b in at]
    )

    def near(user: str, among: list[str]) -> float:
        return sum(km(at[user], at[one]) <= 50 for one in among) / len(among)

    rest = [user for user in placed if user != users[0]]
    return {
        "members_placed": len(placed) / len(users),
        "near_centre": near(users[0], rest) if users[0] in at and rest else float("nan"),
        "in_one_place": max((near(user, placed) for user in placed), default=float("nan")),
        "pairs_km_log_median": apart["pairs_km_log_median"],
        "pairs_km_log_most": apart["pairs_km_log_most"],
    }


def km(one: Location, other: Location) -> float:
    """By the chord between two points of the sphere."""
    return 2 * 6_371.0 * asin(min(dist(on_sphere(one), on_sphere(other)) / 2, 1.0))


def on_sphere(place: Location) -> tuple[float, float, float]:
    latitude, longitude = radians(place.latitude or 0.0), radians(place.longitude or 0.0)
    around = cos(latitude)
    return around * cos(longitude), around * sin(longitude), sin(latitude)


def sharing(users: list[str], history: list[Transaction]) -> dict[str, float]:
    on = defaultdict(set)
    for tx in history:
        if tx.device_id is not None:
            on[tx.device_id].add(tx.user_id)
    touched = [device for device in on if on[device] & set(users)]
    joined = [(len(on[device] & set(users)), -len(on[device])) for device in touched]
    most, fewest = max(joined, default=(0, 0))
    return {
        "on_one_device": most,
        "device_users": -fewest if most > 1 else 0,
        "on_one_device_share": most / len(users),
        "device_outsiders": sum(len(on[device] - set(users)) for device in touched) / len(users),
        "on_one_address": 0.0,
        "on_one_card": 0.0,
    }


def flows(users: list[str], money: int, live: list[Transaction]) -> dict[str, float]:
    paid_in = sum(t.value for t in live if t.type is TransactionType.DEPOSIT and t.user_id in users)
    out = sum(t.value for t in live if t.type is TransactionType.WITHDRAWAL and t.user_id in users)
    received = sum(t.value for t in live if t.counterparty_id in users)
    sent = sum(t.value for t in live if t.type is TRANSFER and t.user_id in users)
    moves = sum((t.user_id in users) + (t.counterparty_id in users) for t in live)
    outside = sum(
        (t.user_id in users) + (t.counterparty_id in users)
        for t in live
        if t.type is TRANSFER and not {t.user_id, t.counterparty_id} <= set(users)
    )
    return {
        "taken_out_to_received": out / max(1, received),
        "paid_in_to_sent": paid_in / max(1, sent),
        "taken_out_log": log1p(out),
        "paid_in_log": log1p(paid_in),
        "taken_out_to_witness": out / max(1, money),
        "paid_in_to_witness": paid_in / max(1, money),
        "moves_outside": outside / max(1, moves),
        "moves_a_member": moves / len(users),
    }


def ends(tx: Transaction) -> tuple[Entity | None, Entity | None]:
    """Who pays whom; None is the world outside."""
    if tx.type in (TransactionType.DEPOSIT, TransactionType.REFUND):
        return tx.other_party, tx.user
    return tx.user, tx.other_party


def amounts(hops: list[Hop], live: list[Transaction]) -> dict[str, float]:
    if not hops:
        return {}
    values = [hop.value for hop in hops]
    tried = [
        any(
            ends(tx) == (hop.source, hop.target)
            and tx.timestamp < hop.timestamp
            and tx.value < 0.2 * hop.value
            for tx in live
        )
        for hop in hops
        if hop.source is not None
    ]
    return {
        "values_distinct": len(set(values)) / len(values),
        "values_round": sum(value % 1_000 == 0 for value in values) / len(values),
        "value_most_log": log1p(max(values)),
        "ways_tried": sum(tried) / len(hops),
    }


@given(
    money_streams(values=(5, 60, 90, 95, 100, 1_000)),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=examples(40), deadline=None)
def test_a_context_is_what_plain_lists_say(stream: list[Transaction], seed: int) -> None:
    rng = random.Random(seed)
    devices = [None, "d0", "d1", "d2"]
    stream = [
        structs.replace(tx, device_id=rng.choice(devices), location=rng.choice(PLACES))
        for tx in stream
    ]
    detector = Detector(CONFIG)
    row = np.empty((1, len(detector.schema.names)), np.float32)
    for number, tx in enumerate(stream, 1):
        (seen,) = detector.observe_features([tx], row)
        if seen.contexts is None:
            continue
        for piece, context in zip(seen.evidence, seen.contexts, strict=True):
            if not any(e.kind is EntityKind.USER for e, _ in piece.members):
                continue
            found = dict(zip(NAMES, context.tolist(), strict=True))
            for name, value in around(piece, stream[:number], seen.watermark).items():
                if isnan(value):
                    assert isnan(found[name]), (name, piece)
                else:
                    assert found[name] == pytest.approx(value, rel=1e-5, abs=1e-6), (name, piece)


def fan(day: int, number: int, centre: str = "hub") -> Evidence:
    members = ((Entity(EntityKind.USER, centre), Role.MULE),)
    at = START + day * DAY + number
    return Evidence(Pattern.FAN_IN, at, members, (), 0.5, "Many paid it.", {"payers": 9.0})


def before(context: module.EvidenceContext, piece: Evidence) -> list[float]:
    return context.rows([piece])[0, -3:].tolist()


def test_a_centre_is_remembered_with_its_days() -> None:
    context = Detector(CONFIG).context
    assert before(context, fan(0, 0)) == [0, 0, 0]
    context.note([fan(0, 0), fan(0, 1), fan(1, 0)])
    assert before(context, fan(1, 2)) == [3, 1, 1]
    assert before(context, fan(2, 0)) == [3, 2, 2]
    other = replace(fan(2, 0), pattern=Pattern.MULE)
    assert before(context, other) == [0, 0, 2]
    again = Detector(CONFIG).context
    again.restore(context.snapshot())
    assert before(again, fan(2, 0)) == [3, 2, 2]
    assert again.snapshot() == context.snapshot()


def test_the_centre_longest_without_evidence_is_forgotten() -> None:
    context, piece = Detector(CONFIG).context, fan(1, 0)
    context.note([fan(0, 0, "a"), fan(0, 1, "b"), fan(1, 0, "a")])
    crowd = (
        replace(piece, members=((Entity(EntityKind.USER, f"u{n}"), Role.MULE),))
        for n in range(module.MOST_CENTRES - 1)
    )
    context.note(crowd)
    assert before(context, fan(2, 0, "b")) == [0, 0, 0]
    assert before(context, fan(2, 0, "a")) == [2, 2, 2]


def test_more_members_and_steps_than_it_looks_at_are_cut_to_the_newest() -> None:
    detector = Detector(CONFIG)
    stream = [transaction(n, n / 60, f"u{n:03}", "hub", 100 + n) for n in range(150)]
    detector.observe_batch(stream)
    hops = tuple(
        Hop(tx.transaction_id, tx.user, tx.other_party, tx.value, tx.timestamp) for tx in stream
    )
    members = ((stream[0].other_party, Role.MULE), *((tx.user, Role.VICTIM) for tx in stream))
    piece = Evidence(Pattern.FAN_IN, stream[-1].timestamp, members, hops, 0.5, "All of them.")
    (found,) = detector.context.rows([piece])
    told = dict(zip(NAMES, found.tolist(), strict=True))
    assert told["hops"] == 150
    assert told["value_most_log"] == pytest.approx(log1p(249))
    assert told["values_distinct"] == 1.0
    assert told["member_payers_most"] == 150
    assert told["pairs_fresh"] == 1.0
