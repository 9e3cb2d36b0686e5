"""Suspects: what was scored more likely fraud than not, and hangs together, against networkx."""

from collections.abc import Sequence
from typing import NamedTuple

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.errors import Incompatible
from graph.evidence import Evidence, Pattern, Role
from graph.heuristics.witness import hop_of
from graph.ring_policy import RingPolicy
from graph.rings import RingEventKind
from graph.transaction import (
    DAY,
    HOUR,
    MINUTE,
    Entity,
    EntityKind,
    Money,
    Transaction,
    TransactionType,
)
from scorer.suspects import MOST, REACH, WITHIN, Suspect, Suspects
from scorer.told_rings import ToldRings
from tests.examples import examples

START = 1_700_000_000_000
POLICY = RingPolicy(birth=0.8, alert_score=0.95)


class Case(NamedTuple):
    """A transaction and its score."""

    tx: Transaction
    score: float


def paid(number: int, at: int, user: str, other: str | None, score: float, **fields: str) -> Case:
    kind = TransactionType.TRANSFER if other else TransactionType.WITHDRAWAL
    tx = Transaction(
        f"t{number}", START + at, kind, Money(500, "EUR"), 500, user,
        counterparty_id=other, **fields,
    )  # fmt: skip
    return Case(tx, score)


def suspect(case: Case) -> Suspect:
    return Suspect.of(case.tx, hop_of(case.tx), case.score)


def noted(cases: Sequence[Case], suspects: Suspects | None = None) -> list[tuple[Evidence, ...]]:
    suspects = Suspects() if suspects is None else suspects
    return [suspects.note(suspect(case), case.tx.timestamp) for case in cases]


def user(name: str) -> Entity:
    return Entity(EntityKind.USER, name)


def test_three_of_two_users_that_share_a_device_are_told() -> None:
    told = noted(
        [
            paid(1, 0, "a", None, 0.5, device_id="d"),
            paid(2, MINUTE, "b", None, 0.6, device_id="d"),
            paid(3, HOUR, "a", None, 0.9, card_id="c"),
        ]
    )
    assert told[:2] == [(), ()]
    (piece,) = told[2]
    assert piece.pattern is Pattern.LINKED_SUSPECTS
    assert piece.members == (
        (user("a"), Role.MEMBER),
        (user("b"), Role.MEMBER),
        (Entity(EntityKind.DEVICE, "d"), Role.SHARED),
    )
    assert [hop.transaction_id for hop in piece.hops] == ["t1", "t2", "t3"]
    none, one = 0.5 * 0.4 * 0.1, 0.5 * 0.4 * 0.1 + 0.5 * 0.6 * 0.1 + 0.5 * 0.4 * 0.9
    assert piece.strength == pytest.approx(1 - none - one)
    assert piece.reason == (
        "3 transactions of 2 users within 60 min hang together, each scored more likely fraud "
        "than not (67 % in the mean)."
    )
    assert (piece.facts["transactions"], piece.facts["users"], piece.truncated) == (3, 2, False)


def test_one_user_alone_and_what_only_an_address_joins_is_not_told() -> None:
    alone = [paid(n, n, "a", None, 0.9) for n in range(5)]
    apart = [paid(9 + n, n, f"u{n}", None, 0.9, ip_address="10.0.0.1") for n in range(5)]
    assert noted([*alone, *apart]) == [()] * 10


def test_what_is_older_than_a_day_joins_nothing() -> None:
    told = noted(
        [
            paid(1, 0, "a", "b", 0.9),
            paid(2, 1, "b", "c", 0.9),
            paid(3, WITHIN + 1, "b", "c", 0.9),
            paid(4, WITHIN + 2, "b", "c", 0.9),
        ]
    )
    assert [len(each) for each in told] == [0, 0, 0, 0]
    assert [len(each) for each in noted([*(paid(n, n, "a", "b", 0.9) for n in range(3))])][2] == 1


names = st.sampled_from("abcdefghij")
maybe = st.none() | names
streams = st.lists(
    st.tuples(st.integers(0, 8), names, maybe, maybe, maybe, st.floats(0.5, 1.0)), max_size=40
)


def cases_of(drawn: Sequence[tuple[int, str, str | None, str | None, str | None, float]]):
    at = 0
    for number, (hours, who, other, device, card, score) in enumerate(drawn):
        at += hours * HOUR - (2 * MINUTE if number % 7 == 3 else 0)  # some come late
        given = {"device_id": device, "card_id": card}
        fields = {name: value for name, value in given.items() if value is not None}
        yield paid(number, at, who, None if other == who else other, score, **fields)


@given(streams)
@settings(max_examples=examples(60), deadline=None)
def test_what_hangs_together_is_a_component(drawn) -> None:
    cases = list(cases_of(drawn))
    for n, told in enumerate(noted(cases)):
        newest = max(case.tx.timestamp for case in cases[: n + 1])
        now = cases[n].tx.timestamp
        joined: nx.Graph[object] = nx.Graph()
        for case in cases[: n + 1]:
            tx = case.tx
            if tx.timestamp >= newest - WITHIN and abs(tx.timestamp - now) <= WITHIN:
                own = {
                    user(tx.user_id),
                    *(e for e in tx.identifiers if e.kind is not EntityKind.IP),
                }
                own |= {tx.other_party} if tx.other_party else set()
                joined.add_edges_from((tx.transaction_id, entity) for entity in own)
        group = nx.node_connected_component(joined, f"t{n}") if f"t{n}" in joined else set()
        ids = {each for each in group if isinstance(each, str)}
        users = {e for e in group if isinstance(e, Entity) and e.kind is EntityKind.USER}
        assert bool(told) == (len(ids) >= 3 and len(users) >= 2)
        for piece in told:
            assert {hop.transaction_id for hop in piece.hops} == ids
            assert {e for e, role in piece.members if role is Role.MEMBER} == users


@given(streams, st.integers(0, 40))
@settings(max_examples=examples(20), deadline=None)
def test_a_snapshot_anywhere_changes_nothing(drawn, cut: int) -> None:
    cases = list(cases_of(drawn))
    whole, first = Suspects(), Suspects()
    told = noted(cases, whole)
    before = noted(cases[:cut], first)
    rest = Suspects.restore(first.snapshot())
    assert before + noted(cases[cut:], rest) == told
    assert rest.snapshot() == whole.snapshot()


def test_a_torn_snapshot_is_refused() -> None:
    with pytest.raises(Incompatible):
        Suspects.restore(Suspects().snapshot()[:-1])


def test_a_crowd_is_cut_and_says_so_and_the_oldest_are_forgotten() -> None:
    crowd = [paid(n, n, f"u{n}", "hub", 0.7) for n in range(REACH + 9)]
    told = noted(crowd)
    assert [piece.truncated for (piece,) in told[2:]] == [n > 32 for n in range(3, len(crowd) + 1)]
    assert told[-1][0].facts["transactions"] == REACH
    suspects = Suspects()
    noted([paid(n, n, f"v{n}", None, 0.7) for n in range(MOST + 5)], suspects)
    assert len(suspects) == MOST


def test_a_ring_is_told_of_suspects_and_a_shape_joins_it_later() -> None:
    rings = ToldRings(POLICY)
    events = []
    for case in (
        paid(1, 0, "a", "b", 0.9),
        paid(2, 1, "b", "c", 0.9),
        paid(3, 2, "c", "a", 0.9),
    ):
        news = rings.take(case.tx, (), case.tx.timestamp, suspect(case))
        events += news.events
    (born,) = events
    assert born.kind is RingEventKind.BORN
    assert born.alert is not None
    assert born.alert.headline == "Linked suspects among 3 users, 3 transactions"
    shape = Evidence(
        Pattern.CYCLE, START + 3, tuple((user(name), Role.MULE) for name in "abc"), (), 0.9, "Seen."
    )
    later = paid(4, 3, "a", None, 0.1).tx
    news = rings.take(later, (shape,), later.timestamp, None)
    assert [event.kind for event in news.events] == [RingEventKind.GREW]
    (ring,) = news.rings
    assert (ring.ring_id, ring.patterns) == (
        born.ring.ring_id, (Pattern.CYCLE, Pattern.LINKED_SUSPECTS),
    )  # fmt: skip
    # Time passes with any transaction, also one that touches nobody.
    quiet = paid(5, 2 * DAY, "z", None, 0.0).tx
    (event,) = rings.take(quiet, (), quiet.timestamp, None).events
    assert event.kind is RingEventKind.QUIET
    again = ToldRings(POLICY)
    again.restore(rings.state())
    assert again.state() == rings.state()


def test_one_that_claims_to_be_of_tomorrow_makes_nobody_forgotten() -> None:
    suspects = Suspects()
    far = paid(1, 2 * DAY, "z", None, 0.9)
    suspects.note(suspect(far), START)
    told = noted([paid(n, n, name, "hub", 0.9) for n, name in enumerate("abc", 2)], suspects)
    assert [len(pieces) for pieces in told] == [0, 0, 1]


def test_who_is_allowed_joins_nobody() -> None:
    plain, allowing = Suspects(), Suspects()
    cases = [paid(n, n, "payroll", name, 0.9) for n, name in enumerate("abc")]
    assert noted(cases, plain)[-1]
    for case in cases:
        alone = suspect(case).without(lambda entity: entity == user("payroll"))
        assert alone.user == user("payroll")
        assert allowing.note(alone, case.tx.timestamp) == ()
