"""What heuristics of accounts remember, and their examples."""

import doctest

import pytest

import graph.heuristics.bust_out
import graph.heuristics.card_testing
import graph.heuristics.collusion
import graph.heuristics.dormancy
import graph.heuristics.refunds
import graph.heuristics.synthetic
import graph.heuristics.takeover
import graph.profiles
from graph.errors import Incompatible, InvalidSetting
from graph.evidence import Pattern
from graph.heuristics import catalogue
from graph.ring_book import RingBook
from graph.thresholds import Thresholds
from graph.transaction import DAY
from graph.window import TransactionWindow, WindowConfig
from tests.account_streams import (
    DAYS,
    HOURS,
    THEFT,
    names,
    owner,
    told,
    tries,
)
from tests.oracles import streams
from tests.oracles.streams import transaction


@pytest.mark.parametrize(
    "module",
    [
        graph.heuristics.bust_out,
        graph.heuristics.card_testing,
        graph.heuristics.dormancy,
        graph.heuristics.collusion,
        graph.heuristics.refunds,
        graph.heuristics.synthetic,
        graph.heuristics.takeover,
    ],
    ids=lambda module: module.__name__.rsplit(".", 1)[1],
)
def test_the_examples_run(module) -> None:
    failed, tried = doctest.testmod(module)
    assert not failed
    assert tried


def test_deeds_bear_no_ring_but_join_one() -> None:
    book = RingBook()
    (theft,) = told(owner(THEFT), Pattern.TAKEOVER)
    assert theft.strength >= book.policy.birth
    assert book.observe([theft], 0) == []
    (found, *_) = told(names(3, device_id="new", card_id="c"), Pattern.SYNTHETIC_IDENTITY)
    (born,) = book.observe([found], 0)
    (grew,) = book.observe([theft], 0)
    assert Pattern.TAKEOVER in grew.ring.patterns
    assert grew.ring.score == born.ring.score  # it says more about the ring, but is no proof of it


WORLD = [
    *owner(THEFT)[:-1],
    *tries(9, start=11 * 2 * HOURS - 8, first=100, device_id="own"),
]


def test_everything_survives_a_restart() -> None:
    window, book = TransactionWindow(), catalogue()
    for tx in WORLD:
        book.detect(window, tx, window.add(tx))
    restored, again = TransactionWindow.restore(window.snapshot()), catalogue()
    again.restore(book.snapshot())
    assert again.snapshot() == book.snapshot()
    last = [
        owner(THEFT)[-1],
        *tries(1, start=11 * 2 * HOURS, first=200, device_id="own", declined=1),
    ]
    told_twice = [
        [e for tx in last for e in side.detect(place, tx, place.add(tx))]
        for place, side in ((window, book), (restored, again))
    ]
    assert told_twice[0] == told_twice[1]
    assert {e.pattern for e in told_twice[0]} >= {Pattern.TAKEOVER, Pattern.CARD_TESTING}
    assert again.snapshot() == book.snapshot()
    with pytest.raises(Incompatible):
        again.restore(book.snapshot()[:-1])


def test_a_recycled_account_starts_anew() -> None:
    config = WindowConfig(max_accounts=3, retention=DAY, max_edges=4096, max_links=4096)
    window, book = TransactionWindow(config), catalogue()
    sleeper = transaction(0, 0, "a", None, 10)
    first = window.add(sleeper)
    book.detect(window, sleeper, first)
    successor = transaction(1, 30 * DAYS, "z", None, 10)
    for tick in streams.ticking([sleeper, successor])[1:-1]:
        window.add(tick)
    again = window.add(successor)
    assert again.user == first.user
    assert book.detect(window, successor, again) == []
    assert book.dormancy.detect(window, successor, again) == ()
    assert book.profiles.columns(window).users[again.user, graph.profiles.COUNT] == 1
    assert book.profiles.columns(window).users[again.user, graph.profiles.SLEPT] == 0


def test_more_merchants_than_are_remembered_are_refused() -> None:
    with pytest.raises(InvalidSetting) as refusal:
        Thresholds(refund_merchants=5)
    assert refusal.value.field == "refund_merchants"
