"""Feeder trees on scenes drawn by hand, fraud and look-alikes."""

import pytest

from graph.admission import Status
from graph.evidence import Evidence, Pattern, Role
from graph.heuristics import catalogue
from graph.thresholds import Thresholds
from graph.transaction import Transaction
from graph.window import TransactionWindow
from tests.oracles import streams

A_WEEK = 7 * 24 * 60


def told(stream: list[Transaction], thresholds: Thresholds = Thresholds()) -> list[Evidence]:
    """Feeder trees told while a stream arrives, all of which is accepted."""
    window, book, found = TransactionWindow(), catalogue(thresholds), []
    for tx in streams.ticking(stream):
        admission = window.add(tx)
        assert admission.status is Status.ACCEPTED
        found += book.detect(window, tx, admission)
    return [e for e in found if e.pattern is Pattern.FEEDER_TREE]


def flows(*rows: tuple[float, str | None, str | None, int]) -> list[Transaction]:
    return [streams.transaction(i, *row) for i, row in enumerate(rows)]


def roles(evidence: Evidence) -> dict[Role, set[str]]:
    named: dict[Role, set[str]] = {}
    for entity, role in evidence.members:
        named.setdefault(role, set()).add(entity.id)
    return named


MULES = (
    (0, "victim1", "mule1", 400),
    (9, "victim2", "mule2", 150),
    (30, "victim3", "mule2", 90),
    (60, "mule1", "boss", 370),
    (80, "mule2", "boss", 225),
    (120, "boss", None, 580),
)
TWO_MULES = flows(*MULES)


def test_mules_of_few_victims_are_told_when_their_money_meets() -> None:
    gathered, *_, taken = told(TWO_MULES)
    assert gathered.hops[-1].transaction_id == "t0004"
    assert roles(gathered) == {
        Role.RECEIVER: {"boss"},
        Role.MULE: {"mule1", "mule2"},
        Role.SENDER: {"victim1", "victim2", "victim3"},
    }
    assert roles(taken) == {
        Role.CASH_OUT: {"boss"},
        Role.MULE: {"mule1", "mule2"},
        Role.SENDER: {"victim1", "victim2", "victim3"},
    }
    assert len(taken.hops) == len(TWO_MULES)
    assert taken.reason == (
        "user:boss took out what 2 accounts passed on for 3 others, within 2 h; "
        "6 of 6 payments were new."
    )


def test_goods_are_a_way_out_as_well() -> None:
    *rest, _ = TWO_MULES
    bought = [*rest, streams.transaction(5, 120, "boss", "shop", 580)]
    assert roles(told(bought)[-1])[Role.CASH_OUT] == {"boss"}


def test_savings_beneath_are_nobody_elses_business() -> None:
    """Mules with a salary on the account: what came in last goes out first."""
    salaries = flows(*((0, "employer", mule, 3_000) for mule in ("mule1", "mule2")))
    later = [
        streams.transaction(10 + i, 60 + at, payer, payee, value)
        for i, (at, payer, payee, value) in enumerate(MULES)
    ]
    assert "employer" not in {e.id for e in told(salaries + later)[-1].entities}


def test_who_was_paid_by_the_same_and_passed_it_on_stands_beside() -> None:
    stream = flows(
        (0, "payer1", "sleeper1", 300),
        (5, "payer2", "sleeper1", 200),
        (10, "payer2", "sleeper2", 250),
        (50, "sleeper2", None, 240),
        (70, "sleeper1", None, 480),
    )
    last = told(stream)[-1]
    assert last.facts["beside"] == 1
    assert roles(last) == {
        Role.CASH_OUT: {"sleeper1"},
        Role.MULE: {"sleeper2"},
        Role.SENDER: {"payer1", "payer2"},
    }


@pytest.mark.parametrize(
    "stream",
    [
        # Three friends owe one for a dinner; he shops next day.
        flows((0, "a", "x", 20), (5, "b", "x", 20), (9, "c", "x", 20), (1_500, "x", "shop", 60)),
        # A salary, and a tenth of it goes to each of three.
        flows((0, "employer", "x", 3_000), (60, "x", "a", 300), (61, "x", "b", 300),
              (62, "x", "c", 300)),
        # Two pay a third, who keeps it and pays another from what is left of it.
        flows((0, "a", "x", 500), (5, "b", "x", 500), (30, "x", "y", 100)),
        # Money that goes back to where it came from.
        flows((0, "a", "x", 100), (10, "x", "a", 100), (20, "b", "x", 50), (30, "x", "b", 50)),
    ],
)  # fmt: skip
def test_what_looks_like_a_tree(stream: list[Transaction]) -> None:
    assert told(stream) == []


def test_flat_mates_are_told_once_and_never_again() -> None:
    """Two pay their share of the rent to a third, who pays the landlord: known from last month."""
    month = [
        streams.transaction(10 * m + i, m * A_WEEK + at, payer, payee, value)
        for m in range(4)
        for i, (at, payer, payee, value) in enumerate(
            [(0, "ann", "cleo", 400), (60, "ben", "cleo", 400), (90, "cleo", "landlord", 1_100)]
        )
    ]
    assert len(told(month)) == 1


def test_a_tree_that_is_cut_says_so() -> None:
    assert not told(TWO_MULES)[-1].truncated
    assert told(TWO_MULES, Thresholds(tree_scan=8))[-1].truncated
