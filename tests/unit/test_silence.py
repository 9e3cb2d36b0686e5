"""After a silence of days the first transaction is taken in like any other."""

import pytest

from api.wiring import detector
from graph.evidence import Pattern
from graph.transaction import DAY, MINUTE, Money, Transaction, TransactionType
from scorer.detector import Detector

START = 1_740_992_400_000


def transfer(name: str, at: int, payer: str, payee: str, euros: int = 50) -> Transaction:
    cents = euros * 100
    return Transaction(
        name, START + at, TransactionType.TRANSFER, Money(cents, "EUR"), cents, payer, payee
    )


def circle(at: int) -> list[Transaction]:
    """Money that comes home in two minutes."""
    payers, euros = ("ada", "bob", "cyd"), (9_000, 8_700, 8_500)
    return [
        transfer(f"r{n}", at + n * MINUTE, payers[n], payers[(n + 1) % 3], euros[n])
        for n in range(3)
    ]


@pytest.mark.parametrize("days", [0.5, 1.5, 4, 45])
def test_a_history_with_gaps_is_taken_in_whole(days: float) -> None:
    history = [transfer(f"t{n}", int(n * days * DAY), f"u{n % 5}", f"v{n % 7}") for n in range(20)]
    verdicts = detector().observe_batch(history)
    assert [verdict.admission for verdict in verdicts] == ["accepted"] * len(history)


@pytest.mark.parametrize("silence", [0, 4 * DAY])
def test_the_first_three_after_a_silence_are_a_ring_if_they_are_one(silence: int) -> None:
    before = [transfer(f"b{n}", n * 10 * MINUTE, f"u{n % 9}", f"v{n % 8}") for n in range(60)]
    ring = circle(before[-1].timestamp - START + MINUTE + silence)
    verdicts = detector().observe_batch([*before, *ring])
    cycles = [e for e in verdicts[-1].evidence if e.pattern is Pattern.CYCLE]
    assert [[hop.transaction_id for hop in each.hops] for each in cycles] == [["r0", "r1", "r2"]]


def test_a_circle_with_a_silence_in_it_is_none() -> None:
    """Event time comes after by two transactions: what it still shows is too old all the same."""
    first, second, third = circle(0)
    late = transfer("r2", 4 * DAY, "cyd", "ada", 8_500)
    closed = detector().observe_batch([first, second, third])
    open_ = detector().observe_batch([first, second, late])
    assert [bool(each[-1].evidence) for each in (closed, open_)] == [True, False]


def test_who_has_not_looked_at_the_times_keeps_what_is_far_ahead_out() -> None:
    absurd = transfer("far", 300 * DAY, "ada", "bob")
    verdicts = Detector().observe_batch([*circle(0), absurd])
    assert verdicts[-1].admission == "ahead"
