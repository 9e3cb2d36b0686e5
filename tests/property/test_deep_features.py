"""The laws of deep features: whole runs only, never the future, nothing lost in a snapshot."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from graph.transaction import Entity, EntityKind, Money, Transaction, TransactionType
from scorer.deep_features import FIRST, DeepFeatures
from scorer.feature_catalogue import DEEP_COLUMNS, FEATURES
from scorer.reference import AnalysisPart

COLUMNS = (*DEEP_COLUMNS, "community")
USERS = ("ann", "bob", "cid", "dan")
HOUR = 3_600_000

moments = st.integers(1, 40).map(lambda n: n * HOUR)
values = st.one_of(st.just(float("nan")), st.integers(0, 9).map(float))


@st.composite
def runs(draw: st.DrawFn) -> list[AnalysisPart]:
    """One run in one to three parts."""
    as_of, count = draw(moments), draw(st.integers(1, 3))
    order = draw(st.permutations(USERS))
    run_id = f"run-{as_of}-{draw(st.integers(0, 9))}"
    return [
        AnalysisPart(
            run_id,
            as_of,
            part,
            count,
            COLUMNS,
            tuple(Entity(EntityKind.USER, name) for name in names),
            tuple(tuple(draw(values) for _ in COLUMNS) for _ in names),
        )
        for part, names in enumerate(order[n::count] for n in range(count))
    ]


def transfer(at: int, payer: str = "ann", payee: str = "bob") -> Transaction:
    return Transaction(
        "t", at, TransactionType.TRANSFER, Money(1, "EUR"), 1, payer, counterparty_id=payee
    )


def row(deep: DeepFeatures, tx: Transaction) -> np.ndarray[Any, np.dtype[np.float32]]:
    out = np.full(len(FEATURES), np.nan, np.float32)
    deep.fill(tx, out)
    assert np.isnan(out[:FIRST]).all()
    return out[FIRST:]


def told(*parts: AnalysisPart) -> DeepFeatures:
    deep = DeepFeatures()
    for part in parts:
        deep.refer(part)
    return deep


def same(left: DeepFeatures, right: DeepFeatures) -> None:
    for at in range(0, 41 * HOUR, HOUR // 2):
        for payer, payee in (("ann", "bob"), ("cid", "dan"), ("dan", "eve")):
            tx = transfer(at, payer, payee)
            np.testing.assert_array_equal(row(left, tx), row(right, tx))


@given(past=runs(), future=runs(), at=moments)
def test_what_a_run_says_changes_nothing_before_its_moment(
    past: list[AnalysisPart], future: list[AnalysisPart], at: int
) -> None:
    if future[0].as_of <= past[0].as_of or at > future[0].as_of:
        return
    tx = transfer(at)
    np.testing.assert_array_equal(row(told(*past), tx), row(told(*past, *future), tx))


@given(run=runs(), seed=st.randoms(use_true_random=False), again=st.integers(0, 3))
def test_the_order_of_parts_and_repetition_do_not_matter(
    run: list[AnalysisPart], seed: Any, again: int
) -> None:
    mixed = [*run, *run[:again]]
    seed.shuffle(mixed)
    deep = told(*mixed)
    assert deep.run_id == run[0].run_id
    same(deep, told(*run))


@given(run=runs(), newer=runs())
def test_a_run_of_which_a_part_is_missing_says_nothing(
    run: list[AnalysisPart], newer: list[AnalysisPart]
) -> None:
    if len(newer) < 2 or newer[0].as_of <= run[0].as_of:
        return
    same(told(*run, *newer[:-1]), told(*run))


@given(history=st.lists(runs(), max_size=4), cut=st.integers(0, 12))
def test_a_snapshot_anywhere_goes_on_as_if_nothing_had_been(
    history: list[list[AnalysisPart]], cut: int
) -> None:
    parts = [
        part
        for number, run in enumerate(history)
        for part in run
        if not any(earlier[0].run_id == run[0].run_id for earlier in history[:number])
    ]
    straight = told(*parts)
    resumed = DeepFeatures.restore(told(*parts[:cut]).snapshot())
    for part in parts[cut:]:
        resumed.refer(part)
    assert resumed.snapshot() == straight.snapshot()
    same(resumed, straight)
    assert (resumed.taken, resumed.outdated, resumed.abandoned) == (
        straight.taken,
        straight.outdated,
        straight.abandoned,
    )
