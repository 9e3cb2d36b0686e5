"""The features against a model without state: lists of all that came before, and definitions."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from graph.admission import Admission, Status
from graph.evidence import SEEN, Evidence, Pattern, Role
from graph.transaction import (
    DAY,
    HOUR,
    MINUTE,
    Label,
    Location,
    Money,
    Outcome,
    Transaction,
    TransactionType,
)
from graph.window import TransactionWindow, WindowConfig
from scorer.feature_catalogue import SCHEMA
from scorer.features import FeatureConfig, FeatureExtractor
from tests.examples import examples

START = 1_700_000_000_000
CONFIG = WindowConfig(
    horizon=100 * DAY,
    lateness=5 * MINUTE,
    max_edges=4096,
    max_accounts=64,
    max_identifiers=64,
    max_links=4096,
)
PAIRS = FeatureConfig(pairs=1 << 14)  # never full here: 4,096 sets for a few hundred pairs
WINDOWS = {"1h": HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
INWARD = (TransactionType.DEPOSIT, TransactionType.REFUND)
GROUPS = {
    "rules": {Pattern.BLOCKED, Pattern.IMPOSSIBLE_TRAVEL, Pattern.VELOCITY},
    "flow": {Pattern.CYCLE, Pattern.PING_PONG, Pattern.MULE, Pattern.STRUCTURING},
    "fans": {Pattern.FAN_IN, Pattern.FAN_OUT},
    "identity": {
        Pattern.SHARED_DEVICE,
        Pattern.SHARED_CARD,
        Pattern.SHARED_IP,
        Pattern.SYNTHETIC_IDENTITY,
        Pattern.COMMUNITY,
    },
    "layering": {
        Pattern.CHAIN,
        Pattern.SCATTER_GATHER,
        Pattern.GATHER_SCATTER,
        Pattern.BIPARTITE,
        Pattern.STACK,
        Pattern.FEEDER_TREE,
        Pattern.DENSE_BLOCK,
    },
    "conduct": {Pattern.DORMANT_BURST, Pattern.TAKEOVER, Pattern.BUST_OUT},
    "commerce": {Pattern.CARD_TESTING, Pattern.COLLUSIVE_MERCHANT, Pattern.REFUND_ABUSE},
}

OURS = {
    name: column
    for column, (name, family) in enumerate(zip(SCHEMA.names, SCHEMA.families, strict=True))
    if family != "deep"  # filled in by another part: test_deep_features.py
}

IDENTIFIERS: dict[str, Callable[[Transaction], str | None]] = {
    "device": lambda tx: tx.device_id,
    "ip": lambda tx: tx.ip_address,
    "card": lambda tx: tx.card_id,
}
FIELDS: dict[str, Callable[[Transaction], str | None]] = {
    "channel": lambda tx: tx.channel,
    "country": lambda tx: tx.country,
    "category": lambda tx: tx.merchant_category,
    "location": lambda tx: tx.location.text if tx.location else None,
}


@dataclass(frozen=True)
class Step:
    """A transaction with what is said of it, and the labels that are learned after it."""

    tx: Transaction
    evidence: tuple[Evidence, ...]
    ring: float
    labels: tuple[tuple[int, bool], ...]  # (how far back, fraud)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    users = st.sampled_from(["ann", "bob", "cat"])
    user = draw(users)
    kind = draw(st.sampled_from(list(TransactionType)))
    maybe = lambda *texts: draw(st.sampled_from([None, *texts]))  # noqa: E731 - three words
    minor = draw(st.sampled_from([100, 999, 5_000, 5_000, 123_456, 1_000_000]))
    tx = Transaction(
        transaction_id="",
        timestamp=draw(
            st.sampled_from([-4 * MINUTE, 0, 1, 7_000, 11 * MINUTE, 3 * HOUR, DAY, 9 * DAY])
        ),
        type=kind,
        amount=Money(minor, "EUR"),
        value=minor,
        user_id=user,
        counterparty_id=draw(users) if kind is TransactionType.TRANSFER else None,
        merchant_id=draw(st.sampled_from(["shop", "kiosk"]))
        if kind in (TransactionType.PAYMENT, TransactionType.REFUND)
        else None,
        device_id=maybe("d1", "d2"),
        ip_address=maybe("10.0.0.1"),
        card_id=maybe("c1", "c2"),
        country=maybe("DE", "FR"),
        location=draw(st.sampled_from([None, Location("Bonn"), Location("Lyon")])),
        merchant_category=maybe("5411", "5999"),
        channel=maybe("app"),
        outcome=draw(st.sampled_from([None, Outcome.AUTHORISED, Outcome.DECLINED])),
        user_created_at=draw(st.sampled_from([None, START - 3 * DAY])),
    )
    patterns = draw(st.lists(st.sampled_from(SEEN), max_size=2))
    evidence = tuple(
        Evidence(pattern, 0, ((tx.user, Role.MEMBER),), (), strength, "seen")
        for pattern, strength in zip(patterns, (0.25, 0.75), strict=False)
    )
    labels = draw(st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=2))
    return Step(tx, evidence, draw(st.sampled_from([0.0, 0.5])), tuple(labels))


def in_time(script: Sequence[Step]) -> list[Step]:
    """Steps' timestamps are gaps; here they become times, and the ids numbers."""
    now, placed = START, []
    for number, step in enumerate(script):
        now += step.tx.timestamp
        tx = structs.replace(step.tx, transaction_id=f"t{number}", timestamp=now)
        placed.append(replace(step, tx=tx))
    return placed


@dataclass
class Run:
    """An extractor over a window, and what it said."""

    window: TransactionWindow = field(default_factory=lambda: TransactionWindow(CONFIG))
    features: FeatureExtractor = field(init=False)
    rows: list[bytes] = field(default_factory=list)
    taken: list[Transaction] = field(default_factory=list)
    learned: list[Label] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.features = FeatureExtractor(self.window.accounts, self.window.identifiers, PAIRS)

    def take(self, step: Step) -> tuple[Admission, dict[str, float]]:
        out = np.zeros(len(SCHEMA.names), np.float32)
        admission = self.window.add(step.tx)
        self.features.observe(step.tx, admission, step.evidence, step.ring, out)
        self.rows.append(out.tobytes())
        if admission.status is Status.ACCEPTED:
            self.taken.append(step.tx)
        return admission, {name: float(out[column]) for name, column in OURS.items()}

    def learn(self, step: Step) -> None:
        for back, fraud in step.labels:
            if back < len(self.taken):
                label = Label(self.taken[-1 - back], fraud, known_at=step.tx.timestamp)
                self.features.learn(label)
                self.learned.append(label)

    def all(self, script: Sequence[Step]) -> "Run":
        for step in script:
            self.take(step)
            self.learn(step)
        return self


class Model:
    """Every feature by its definition, from whole lists."""

    def __init__(self) -> None:
        self.past: list[Step] = []
        self.labels: list[Label] = []

    def row(self, step: Step, links: Admission) -> dict[str, float | tuple[float, float]]:
        """By name: the figure, or for a windowed one (least, most)."""
        tx, now = step.tx, step.tx.timestamp
        out: dict[str, float | tuple[float, float]] = {}
        user, other = tx.user, tx.other_party
        mine = [p.tx for p in self.past if p.tx.user == user]
        theirs = [p.tx for p in self.past if other and p.tx.other_party == other]
        everything = [p.tx for p in self.past]
        x = log_money(tx.value)

        out["value_log"] = x
        out["value_zeros"] = min(len(str(tx.value)) - len(str(tx.value).rstrip("0")), 6)
        out["value_z"] = z(x, moved_logs(everything))
        for name in ("category", "location"):
            key = FIELDS[name](tx)
            same = [p for p in everything if key is not None and FIELDS[name](p) == key]
            out[f"{name}_value_z"] = z(x, moved_logs(same))
            if name == "category":
                out["category_share"] = (
                    math.nan
                    if key is None
                    else math.log((len(moved_logs(same)) + 1) / (len(moved_logs(everything)) + 1))
                )
        hour, weekday = now % DAY / DAY * math.tau, (now // DAY + 3) % 7 / 7 * math.tau
        out |= {"hour_sin": math.sin(hour), "hour_cos": math.cos(hour)}
        out |= {"weekday_sin": math.sin(weekday), "weekday_cos": math.cos(weekday)}
        out["type"] = list(TransactionType).index(tx.type)
        out["outcome"] = [None, Outcome.AUTHORISED, Outcome.DECLINED].index(tx.outcome)
        out["other_kind"] = 0 if tx.counterparty_id else 1 if tx.merchant_id else -1
        out["identifiers_given"] = len(tx.identifiers)
        for name in ("channel", "country", "category"):
            key = FIELDS[name](tx)
            out[f"{name}_code"] = (
                math.nan if key is None else xxhash.xxh3_64_intdigest(key.encode()) % 1024
            )
        self._behaviour(out, tx, mine)
        self._counterparty(out, tx, theirs)
        self._velocity(out, tx)
        self._novelty(out, tx, mine, links)
        self._sharing(out, tx, mine, theirs)
        self._flow(out, tx, mine)
        self._evidence(out, step)
        self._labels(out, tx)
        return out

    def _seen(self, entity: object) -> list[int]:
        return [p.tx.timestamp for p in self.past if entity in (p.tx.user, p.tx.other_party)]

    def _behaviour(self, out: dict, tx: Transaction, mine: list[Transaction]) -> None:
        now, logs = tx.timestamp, moved_logs(mine)
        values = [p.value for p in mine if p.moves_money]
        recent = values[0] if values else 0.0
        for value in values[1:]:
            recent += 0.3 * (value - recent)
        gaps = log_gaps(mine)
        gap = log_seconds(now - max(p.timestamp for p in mine)) if mine else math.nan
        some = lambda figure: figure() if values else math.nan  # noqa: E731 - three words
        out["warm"] = float(bool(mine))
        out["user_count"] = math.log1p(len(mine))
        out["user_value_z"] = z(log_money(tx.value), logs)
        out["user_value_to_mean"] = some(lambda: ratio(tx.value, sum(values) / len(values)))
        out["user_value_to_max"] = some(lambda: ratio(tx.value, max(values)))
        out["user_value_to_recent"] = some(lambda: ratio(tx.value, recent))
        out["user_value_to_last"] = some(lambda: ratio(tx.value, values[-1]))
        out["user_value_spread"] = some(lambda: float(np.std(logs)))
        hours = sum(p.timestamp % DAY // (3 * HOUR) == now % DAY // (3 * HOUR) for p in mine)
        out["user_hour_surprise"] = -math.log((hours + 0.5) / (len(mine) + 4)) if mine else math.nan
        out["user_gap"] = gap
        out["user_gap_z"] = z(gap, gaps)
        out["user_account_age"] = (
            math.nan if tx.user_created_at is None else (now - tx.user_created_at) / DAY
        )
        seen = self._seen(tx.user)
        out["user_seen"] = max(now - seen[0], 0) / DAY if seen else 0.0
        out["user_repeats"] = some(lambda: run_length(values, tx.value))
        for name, changed in (
            ("country", "user_country_changed"),
            ("location", "user_location_changed"),
        ):
            before = [FIELDS[name](p) for p in mine if FIELDS[name](p) is not None]
            known = before and FIELDS[name](tx) is not None
            out[changed] = float(before[-1] != FIELDS[name](tx)) if known else math.nan
        out["user_declined_share"] = declined_share(mine)
        usual, peaks = usual_and_peaks(mine)
        newest = max([now, *(p.timestamp for p in mine)])
        out["user_value_to_usual"] = some(lambda: math.exp(log_money(tx.value) - usual))
        out["user_peak_recent"] = some(
            lambda: max(times * math.exp(-(newest - at) / (14 * DAY)) for at, times in peaks)
        )

    def _counterparty(self, out: dict, tx: Transaction, theirs: list[Transaction]) -> None:
        names = [
            n for n, f in zip(SCHEMA.names, SCHEMA.families, strict=True) if f == "counterparty"
        ]
        if tx.other_party is None:
            out |= dict.fromkeys(names, math.nan)
            return
        values = [p.value for p in theirs if p.moves_money]
        logs = moved_logs(theirs)
        newest = max((p.timestamp for p in theirs), default=0)
        seen = self._seen(tx.other_party)
        out["other_count"] = math.log1p(len(theirs))
        out["other_value_z"] = z(log_money(tx.value), logs)
        out["other_value_to_max"] = ratio(tx.value, max(values)) if values else math.nan
        out["other_value_mean"] = sum(logs) / len(logs) if logs else math.nan
        out["other_gap"] = log_seconds(tx.timestamp - newest) if theirs else math.nan
        out["other_repeats"] = run_length(values, tx.value) if values else math.nan
        out["other_seen"] = max(tx.timestamp - seen[0], 0) / DAY if seen else 0.0
        out["other_declined_share"] = declined_share(theirs)

    def _velocity(self, out: dict, tx: Transaction) -> None:
        def windows(
            name: str, past: list[Transaction], sums: Sequence[str], *, given: bool
        ) -> None:
            for w, span in WINDOWS.items():
                least, most = windowed(past, tx.timestamp, span, lambda p: 1)
                out[f"{name}_count_{w}"] = (least, most) if given else math.nan
            for w in sums:
                least, most = windowed(
                    past, tx.timestamp, WINDOWS[w], lambda p: p.value if p.moves_money else 0
                )
                figure = (log_money(least), log_money(most))
                out[f"{name}_sum_{w}"] = figure if given else math.nan

        inward = tx.type in INWARD
        sides = (
            ("user", tx.user, inward),
            ("other", tx.other_party, not inward),
        )
        for name, who, incoming in sides:
            past = [
                p.tx
                for p in self.past
                if who is not None and who == (p.tx.payee if incoming else p.tx.payer)
            ]
            windows(name, past, list(WINDOWS), given=who is not None)
            day, month = out[f"{name}_count_24h"], out[f"{name}_count_30d"]
            out[f"{name}_burst"] = (
                math.nan
                if who is None
                else ((day[0] + 1) / (month[1] / 30 + 1), (day[1] + 1) / (month[0] / 30 + 1))
            )
        for name, of in IDENTIFIERS.items():
            given = of(tx) is not None
            past = [p.tx for p in self.past if given and of(p.tx) == of(tx)]
            windows(name, past, ["24h"], given=given)
            out[f"{name}_declined_share"] = declined_share(past) if given else math.nan

    def _novelty(
        self, out: dict, tx: Transaction, mine: list[Transaction], admission: Admission
    ) -> None:
        new = 0
        names = ("other_new", "other_pair_count", "other_pair_gap", "other_pair_value_ratio")
        out |= dict.fromkeys(names, math.nan)
        if tx.other_party is not None:
            pair = [p for p in mine if p.other_party == tx.other_party]
            out["other_new"] = float(not pair)
            out["other_pair_count"] = math.log1p(len(pair))
            if pair:
                newest = max(p.timestamp for p in pair)
                out["other_pair_gap"] = log_seconds(tx.timestamp - newest)
                out["other_pair_value_ratio"] = ratio(tx.value, pair[-1].value)
            new += not pair
        for (name, of), link in zip(IDENTIFIERS.items(), admission.links, strict=False):
            given = of(tx) is not None
            out[f"{name}_links"] = link.count if given else math.nan
            known = given and link.count > 0
            out[f"{name}_link_age"] = max(tx.timestamp - link.first, 0) / DAY if known else math.nan
            new += given and not link.count
        out["new_together"] = new
        for name, of in FIELDS.items():
            same = [p for p in mine if of(p) == of(tx)]
            out[f"{name}_familiarity"] = math.nan if of(tx) is None else math.log1p(len(same))
        users, others = 0.0, 0.0
        for place, step in enumerate(self.past):
            before = [p.tx for p in self.past[:place] if p.tx.user == step.tx.user]
            if step.tx.other_party is not None and before:
                stranger = all(p.other_party != step.tx.other_party for p in before)
                others += 0.001 * (stranger - others)
            users += 0.001 * ((not before) - users)
        out["base_new_users"], out["base_new_others"] = users, others

    def _sharing(
        self, out: dict, tx: Transaction, mine: list[Transaction], theirs: list[Transaction]
    ) -> None:
        def fresh(past: list[Transaction], key: Callable[[Transaction], object]) -> list[int]:
            """When something new came up in `past`."""
            met: set[object] = {None}
            times = []
            for p in past:
                if key(p) not in met:
                    met.add(key(p))
                    times.append(p.timestamp)
            return times

        now = tx.timestamp
        times = fresh(mine, lambda p: p.other_party)
        out["user_others"] = len(times)
        out["user_new_others"] = decaying(times, [p.timestamp for p in mine], now, 7 * DAY)
        for name, of in IDENTIFIERS.items():
            out[f"user_{name}s"] = len(fresh(mine, of))
        times = fresh(theirs, lambda p: p.user)
        given = tx.other_party is not None
        newest = [p.timestamp for p in theirs]
        out["other_users"] = len(times) if given else math.nan
        out["other_new_users"] = decaying(times, newest, now, 7 * DAY) if given else math.nan
        for name, of in IDENTIFIERS.items():
            given = of(tx) is not None
            past = [p.tx for p in self.past if given and of(p.tx) == of(tx)]
            times = fresh(past, lambda p: p.user)
            out[f"{name}_users"] = len(times) if given else math.nan
            newest = [p.timestamp for p in past]
            out[f"{name}_new_users"] = decaying(times, newest, now, 7 * DAY) if given else math.nan

    def _flow(self, out: dict, tx: Transaction, mine: list[Transaction]) -> None:
        now = tx.timestamp

        def sides(who: object) -> tuple[list[Transaction], list[Transaction]]:
            everything = [p.tx for p in self.past]
            return [p for p in everything if p.payee == who], [
                p for p in everything if p.payer == who
            ]

        def day(past: list[Transaction]) -> tuple[float, float]:
            return windowed(past, now, DAY, lambda p: p.value if p.moves_money else 0)

        came, went = sides(tx.user)
        least, most = day(came)
        spent = day(went)
        own = 0 if tx.type in INWARD else tx.value
        out["user_in_sum_24h"] = (log_money(least), log_money(most))
        out["user_out_to_in_24h"] = quotient((spent[0] + own, spent[1] + own), (least, most))
        newest = max((p.timestamp for p in came), default=0)
        moved = [p.value for p in came if p.moves_money]
        out["user_since_in"] = log_seconds(now - newest) if came else math.nan
        out["user_value_to_last_in"] = (
            ratio(tx.value, moved[-1] if moved else 0) if came else math.nan
        )
        out["user_in_count"] = math.log1p(len(came))
        senders = {p.tx.user for p in self.past if p.tx.other_party == tx.user}
        out["user_senders"] = math.log1p(len(senders))
        names = ("other_out_count", "other_out_to_in_24h", "other_since_out", "reverse_pair_count")
        out |= dict.fromkeys(names, math.nan)
        if tx.other_party is not None:
            came, went = sides(tx.other_party)
            newest = max((p.timestamp for p in went), default=0)
            out["other_out_count"] = math.log1p(len(went))
            out["other_out_to_in_24h"] = quotient(day(went), day(came))
            out["other_since_out"] = log_seconds(now - newest) if went else math.nan
            back = [
                p for p in self.past if p.tx.user == tx.other_party and p.tx.other_party == tx.user
            ]
            out["reverse_pair_count"] = math.log1p(len(back))

    def _evidence(self, out: dict, step: Step) -> None:
        for pattern in SEEN:
            out[f"evidence_{pattern}"] = sum(e.pattern is pattern for e in step.evidence)
        out["evidence_strength"] = max((e.strength for e in step.evidence), default=0.0)
        out["ring_score"] = step.ring
        for name, who in (("user", step.tx.user), ("other", step.tx.other_party)):
            around = [
                p
                for p in self.past
                for _ in range((p.tx.user == who) + (p.tx.other_party == who))
                if p.evidence
            ]
            for group, patterns in GROUPS.items():
                times = [
                    p.tx.timestamp for p in around for e in p.evidence if e.pattern in patterns
                ]
                newest = [p.tx.timestamp for p in around]
                out[f"{name}_past_{group}"] = (
                    math.nan if who is None else decaying(times, newest, step.tx.timestamp, 7 * DAY)
                )

    def _labels(self, out: dict, tx: Transaction) -> None:
        now = tx.timestamp
        known = self.labels
        base = (sum(la.fraud for la in known) + 0.5) / (len(known) + 50)
        order = math.nan
        for place, label in enumerate(known):
            step = max(0.002, 1 / (place + 1))
            order = (0.0 if place == 0 else order) * (1 - step) + step * label.fraud
        out["base_fraud"] = order

        def memory(name: str, labels: list[Label], *, given: bool, labels_too: bool) -> None:
            fraud = [la for la in labels if la.fraud]
            out[f"{name}_fraud_rate"] = (len(fraud) + 4 * base) / (len(labels) + 4)
            for what, tau, time in (
                ("recent", 30 * DAY, lambda la: la.transaction.timestamp),
                ("news", 7 * DAY, lambda la: la.known_at),
            ):
                times = [time(la) for la in labels]
                share = decaying([time(la) for la in fraud], times, now, tau) + base
                out[f"{name}_fraud_{what}"] = share / (decaying(times, times, now, tau) + 1)
            if labels_too:
                out[f"{name}_labels"] = math.log1p(len(labels))
            if not given:
                out.update(
                    {n: math.nan for n in out if n.startswith((f"{name}_fraud", f"{name}_labels"))}
                )

        def party(name: str, labels: list[Label], *, given: bool) -> None:
            last = math.nan
            for place, label in enumerate(labels):
                last = label.fraud if place == 0 else last + 0.2 * (label.fraud - last)
            fraud = [la.transaction.timestamp for la in labels if la.fraud]
            out[f"{name}_fraud_last"] = last
            out[f"{name}_since_fraud"] = max(now - max(fraud), 0) / DAY if fraud else math.nan
            row = list(takewhile(lambda la: la.fraud, reversed(labels)))
            out[f"{name}_fraud_row"] = len(row) if labels else math.nan
            began = row[-1].transaction.timestamp if row else now
            out[f"{name}_fraud_row_began"] = max(now - began, 0) / DAY if row else math.nan
            memory(name, labels, given=given, labels_too=True)

        other = tx.other_party
        party("user", [la for la in known if la.transaction.user == tx.user], given=True)
        about = [la for la in known if other and la.transaction.other_party == other]
        party("other", about, given=other is not None)
        for name, of in (IDENTIFIERS | FIELDS).items():
            about = [la for la in known if of(la.transaction) == of(tx)]
            memory(name, about, given=of(tx) is not None, labels_too=name in IDENTIFIERS)


def usual_and_peaks(past: list[Transaction]) -> tuple[float, list[tuple[int, float]]]:
    """The usual log value, and when each value was how many times what was usual then."""
    counted: list[float] = []
    peaks: list[tuple[int, float]] = []
    for tx in past:
        if tx.moves_money:
            x, usual = log_money(tx.value), sum(counted) / max(len(counted), 1)
            times = math.exp(x - usual) if len(counted) >= 3 else 0.0
            counted.append(usual + math.log(2.5) if times > 2.5 else x)
            peaks.append((tx.timestamp, times))
    return sum(counted) / max(len(counted), 1), peaks


def log_money(minor: float) -> float:
    return math.log1p(minor / 100)


def log_seconds(ms: int) -> float:
    return math.log1p(max(ms, 0) / 1000)


def ratio(value: float, usual: float) -> float:
    return (value + 100) / (usual + 100)


def moved_logs(past: list[Transaction]) -> list[float]:
    return [log_money(p.value) for p in past if p.moves_money]


def log_gaps(past: list[Transaction]) -> list[float]:
    times = [p.timestamp for p in past]
    return [log_seconds(times[k] - max(times[:k])) for k in range(1, len(times))]


def z(x: float, sample: list[float]) -> float:
    if not sample:
        return math.nan
    n = len(sample)
    return (x - sum(sample) / n) / math.sqrt((np.var(sample) * n + 1) / (n + 1))


def run_length(values: list[int], value: int) -> float:
    length = 0
    while length < len(values) and values[-1 - length] == value:
        length += 1
    return float(length)


def decaying(times: list[int], all_times: list[int], now: int, tau: int) -> float:
    """Sum of exp(-age / tau), but a figure newer than now is read as it stands."""
    at = max([now, *all_times])
    return sum(math.exp(-(at - t) / tau) for t in times)


def declined_share(past: list[Transaction]) -> float:
    if not past:
        return math.nan
    times = [p.timestamp for p in past]
    lost = [p.timestamp for p in past if not p.moves_money]
    return decaying(lost, times, 0, DAY) / decaying(times, times, 0, DAY)


def windowed(
    past: list[Transaction], now: int, window: int, weight: Callable[[Transaction], float]
) -> tuple[float, float]:
    """What a window ending now holds: without and with all of the oldest sixth it covers in part.

    What arrived before but happened after now may be in it, if it fell into the same sixth.
    """
    width = window // 6
    oldest, newest = now // width - 6, now // width
    sure = sum(weight(p) for p in past if oldest < p.timestamp // width <= newest)
    return sure, sure + sum(weight(p) for p in past if p.timestamp // width == oldest)


def quotient(above: tuple[float, float], below: tuple[float, float]) -> float | tuple[float, float]:
    if below[1] == 0:
        return math.nan
    return above[0] / below[1], above[1] / below[0] if below[0] else math.inf


def assert_row(found: dict[str, float], expected: dict[str, float | tuple[float, float]]) -> None:
    assert set(found) == set(expected)
    for name, figure in expected.items():
        if isinstance(figure, tuple):
            least, most = figure
            inside = least * (1 - 1e-5) - 1e-5 <= found[name] <= most * (1 + 1e-5) + 1e-5
            # A share of nothing but the oldest bucket may be left out as nothing.
            assert inside or (math.isnan(found[name]) and most == math.inf), (
                name,
                figure,
                found[name],
            )
        else:
            assert found[name] == pytest.approx(float(figure), rel=1e-5, abs=1e-5, nan_ok=True), (
                name
            )


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(steps(), max_size=30))
def test_every_feature_is_what_its_definition_says(script: list[Step]) -> None:
    run, model = Run(), Model()
    for step in in_time(script):
        admission, found = run.take(step)
        assert admission.status is not Status.AHEAD
        if admission.status is Status.ACCEPTED:
            assert_row(found, model.row(step, admission))
            model.past.append(step)
        run.learn(step)
        model.labels = list(run.learned)


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(steps(), max_size=20), st.data())
def test_poisoning_the_future_changes_no_earlier_row(
    script: list[Step], data: st.DataObject
) -> None:
    placed = in_time(script)
    cut = data.draw(st.integers(0, len(placed)))
    poisoned = [
        replace(
            step,
            tx=structs.replace(step.tx, value=10**12, user_id="eve", outcome=Outcome.DECLINED),
            labels=((0, True),) * 5,
        )
        for step in placed[cut:]
    ]
    assert Run().all(placed[:cut] + poisoned).rows[:cut] == Run().all(placed).rows[:cut]


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(steps(), max_size=20), st.data())
def test_a_snapshot_anywhere_changes_nothing(script: list[Step], data: st.DataObject) -> None:
    placed = in_time(script)
    cut = data.draw(st.integers(0, len(placed)))
    straight, resumed = Run().all(placed), Run().all(placed[:cut])
    window = TransactionWindow.restore(resumed.window.snapshot())
    image = resumed.features.snapshot()
    resumed.window = window
    resumed.features = FeatureExtractor.restore(image, window.accounts, window.identifiers)
    assert resumed.features.snapshot() == image
    resumed.all(placed[cut:])
    assert resumed.rows == straight.rows
    assert resumed.features.snapshot() == straight.features.snapshot()


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(steps(), min_size=3, max_size=20))
def test_what_is_not_accepted_is_answered_and_changes_nothing(script: list[Step]) -> None:
    placed = in_time(script)  # three, because the watermark stands once three were seen
    run = Run().all(placed)
    image = run.features.snapshot()
    again = run.taken[-1]
    late = structs.replace(again, transaction_id="late", timestamp=START - DAY, user_id="nobody")
    ahead = structs.replace(again, transaction_id="ahead", timestamp=again.timestamp + 1000 * DAY)
    nothing = placed[0].evidence
    for tx, status in ((again, Status.DUPLICATE), (late, Status.LATE), (ahead, Status.AHEAD)):
        admission, row = run.take(Step(tx, nothing, 0.5, ()))
        assert admission.status is status
        assert run.features.snapshot() == image
        assert row["warm"] == float(status is not Status.LATE)
        assert row["ring_score"] == 0.5


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(steps(), max_size=20))
def test_a_label_speaks_in_label_features_only_and_from_then_on(script: list[Step]) -> None:
    placed = in_time(script)
    silent = [replace(step, labels=()) for step in placed]
    spoken, unspoken = Run().all(placed), Run().all(silent)
    about = [f in ("labels", "reputation") for f in SCHEMA.families]
    first = next((k for k, step in enumerate(placed) if step.labels), len(placed))
    assert spoken.rows[: first + 1] == unspoken.rows[: first + 1]
    for one, other in zip(spoken.rows, unspoken.rows, strict=True):
        rest = ~np.array(about)
        ours, bare = np.frombuffer(one, np.float32), np.frombuffer(other, np.float32)
        assert ours[rest].tobytes() == bare[rest].tobytes()


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(steps(), max_size=20))
def test_names_do_not_matter(script: list[Step]) -> None:
    other_name = {"ann": "bob", "bob": "cat", "cat": "ann", "shop": "kiosk", "kiosk": "shop"}
    renamed = [
        replace(
            step,
            tx=structs.replace(
                step.tx,
                user_id=other_name[step.tx.user_id],
                counterparty_id=other_name.get(step.tx.counterparty_id or ""),
                merchant_id=other_name.get(step.tx.merchant_id or ""),
                device_id={"d1": "d2", "d2": "d1"}.get(step.tx.device_id or ""),
            ),
        )
        for step in in_time(script)
    ]
    assert Run().all(renamed).rows == Run().all(in_time(script)).rows
