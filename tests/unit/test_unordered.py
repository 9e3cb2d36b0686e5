"""Rings in histories without order: scenes by hand, an oracle for circles, the public data."""

import doctest
import os
import random
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graph.unordered.circles
import graph.unordered.crowds
from graph.errors import InvalidSetting
from graph.evidence import Evidence, Pattern, Role
from graph.transaction import DAY, Money, Outcome, Transaction, TransactionType
from graph.unordered import Ledger, UnorderedLimits, find
from graph.unordered.circles import cycles, unusual
from ingest.datasets import read
from ingest.mapping import load_mapping
from scorer.unordered_figures import NamedRings
from tests.examples import examples

PUBLIC = Path(os.environ.get("RINGFENCE_DATA", Path(__file__).parents[3] / "shared" / "data"))
MONDAY = 19_000 - 19_000 % 7

Row = tuple[str, str, int]


def history(rows: list[Row], **fields: object) -> list[Transaction]:
    return [
        Transaction(
            f"t{n:05}", (MONDAY + day) * DAY, TransactionType.TRANSFER, Money(100, "EUR"), 100,
            payer, counterparty_id=payee, **fields,
        )
        for n, (payer, payee, day) in enumerate(rows)
    ]  # fmt: skip


def habits(users: int = 40, weeks: int = 30) -> list[Row]:
    """Everybody pays two others, every week on a day of their own: what a ring stands out from."""
    return [
        (f"u{i}", f"u{(i + step) % users}", 7 * week + i % 7)
        for i in range(users)
        for step in (1, 5)
        for week in range(weeks)
    ]


def found(rows: list[Row], pattern: Pattern) -> list[Evidence]:
    whole = find(Ledger.of(history([*habits(), *rows])))
    assert whole.without_habits == ()
    return [piece for piece in whole.evidence if piece.pattern is pattern]


@pytest.mark.parametrize("module", [graph.unordered.circles, graph.unordered.crowds])
def test_doctests(module: object) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


def test_strangers_who_pay_one_hub_over_months_are_a_fan() -> None:
    (piece,) = found([(f"x{i}", "hub", 31 * i) for i in range(5)], Pattern.FAN_IN)
    assert piece.members[0][0].id == "hub"
    assert {entity.id for entity in piece.entities[1:]} == {f"x{i}" for i in range(5)}
    assert piece.facts["ordered"] == 0
    assert "in no order" in piece.reason


def test_a_fan_out_is_told_from_its_payers_rhythm() -> None:
    weekly = [("hub", f"shopper{i}", 7 * i) for i in range(30)]
    off = [("hub", f"mule{i}", 7 * 9 * i + 3) for i in range(3)]
    assert found(weekly, Pattern.FAN_OUT) == []
    (piece,) = found(weekly + off, Pattern.FAN_OUT)
    assert {entity.id for entity in piece.entities} == {"hub", "mule0", "mule1", "mule2"}
    assert piece.members[0][1] is Role.SENDER


@pytest.mark.parametrize(
    "rows",
    [
        [("x0", "hub", 3), ("x1", "hub", 9)],  # a crowd of two
        [(f"x{i}", "hub", 8 * k + i) for i in range(5) for k in range(6)],  # they deal all the time
        [("x0", "hub", 3 * k) for k in range(3)],  # one payer
    ],
)
def test_what_looks_like_a_fan(rows: list[Row]) -> None:
    assert found(rows, Pattern.FAN_IN) == []


def test_a_circle_is_found_in_any_order_and_told_once() -> None:
    hops = [(f"x{i}", f"x{(i + 1) % 6}", day) for i, day in enumerate((9, 2, 14, 5, 5, 11))]
    (piece,) = found([*hops, ("x0", "x1", 10)], Pattern.CYCLE)
    assert {entity.id for entity in piece.entities} == {f"x{i}" for i in range(6)}
    assert len(piece.hops) == 6
    assert not piece.truncated


@pytest.mark.parametrize(
    "rows",
    [
        [("a", "b", 1), ("b", "a", 2)],
        [("a", "b", 1), ("b", "c", 2), ("a", "c", 3)],  # does not close
        [("a", "b", 1), ("b", "c", 12), ("c", "a", 30)],  # a month
        [(f"x{i}", f"x{(i + 1) % 11}", i) for i in range(11)],  # eleven hops
    ],
)
def test_what_looks_like_a_circle(rows: list[Row]) -> None:
    assert found(rows, Pattern.CYCLE) == []


@given(st.integers(0, 2**32), st.integers(3, 9), st.integers(0, 24))
@settings(max_examples=examples(150), deadline=None)
def test_circles_are_those_of_networkx(seed: int, users: int, payments: int) -> None:
    rng = random.Random(seed)
    rows = [(*(f"u{n}" for n in rng.sample(range(users), 2)), rng.randrange(40))
            for _ in range(payments)]  # fmt: skip
    ledger, limits = Ledger.of(history(rows)), UnorderedLimits(cycle_hops=6)
    told = cycles(ledger, np.arange(len(ledger)), limits)
    graph_: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for payer, payee, day in rows:
        graph_.add_edge(payer, payee, day=day)
    expected = set()
    for walk in nx.simple_cycles(nx.DiGraph(graph_), length_bound=6):
        days = [
            [data["day"] for data in graph_[a][b].values()]
            for a, b in zip(walk, [*walk[1:], walk[0]], strict=True)
        ]
        starts = [day for choice in days for day in choice]
        fits = any(all(any(s <= d <= s + 20 for d in choice) for choice in days) for s in starts)
        if len(walk) >= 3 and fits:
            expected.add(frozenset(walk))
    assert {frozenset(entity.id for entity in piece.entities) for piece in told} == expected
    assert len(told) == len(expected)


def test_a_bound_is_said_when_it_is_hit() -> None:
    rows = [(f"u{i}", f"u{j}", 1) for i in range(9) for j in range(9) if i != j]
    ledger = Ledger.of(history(rows))
    limits = UnorderedLimits(cycle_scan=500, unusual_share=1.0)
    told = cycles(ledger, unusual(ledger, limits), limits)
    assert told
    assert all(piece.truncated for piece in told)
    few = UnorderedLimits(cycle_most=3, unusual_share=1.0)
    assert len(cycles(ledger, unusual(ledger, few), few)) == 3


def test_where_nobody_has_habits_nothing_is_told() -> None:
    rng = random.Random(1)
    rows = [(f"u{rng.randrange(90)}", f"v{rng.randrange(90)}", rng.randrange(300))
            for _ in range(900)]  # fmt: skip
    whole = find(Ledger.of(history(rows)))
    assert whole.without_habits == ("fans", "cycles")
    assert whole.evidence == []
    assert whole.irregular > 0.5


def test_what_moved_nothing_between_users_is_no_payment() -> None:
    declined = history([("a", "b", 1)], outcome=Outcome.DECLINED)
    oneself = history([("a", "a", 1)])
    assert len(Ledger.of([*declined, *oneself])) == 0
    assert find(Ledger.of([])).evidence == []


def test_a_limit_that_cannot_work_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="fan_counterparties"):
        UnorderedLimits(fan_counterparties=0)


@pytest.mark.slow
@pytest.mark.skipif(
    not PUBLIC.is_dir(), reason="the public data is not here; set RINGFENCE_DATA to its folder"
)
def test_the_planted_rings_of_amlsim_are_found() -> None:
    true, transactions = NamedRings(), []
    for item in read(PUBLIC / "amlsim-10k", load_mapping("amlsim-10k")):
        true.note(item)
        transactions.append(item.transaction)
    judged = true.figures(find(Ledger.of(transactions)).evidence)
    recall = {kind: row["recall"] for kind, row in judged["typologies"].items()}
    assert recall["fan_in"] >= 0.95
    assert recall["fan_out"] >= 0.95
    assert recall["cycle"] >= 0.85
    assert sum(judged["false"].values()) <= 20
