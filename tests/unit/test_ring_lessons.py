"""Rings of a history as lessons: when they are shown, what labels say, what lies in one fold."""

from types import SimpleNamespace

import numpy as np
import pytest

from graph.ring_policy import RingPolicy
from graph.transaction import HOUR, EntityKind, Money, Transaction, TransactionType
from scorer.evidence_context import NAMES
from scorer.evidence_log import EvidenceLog
from scorer.party_columns import PartyColumns
from scorer.ring_lessons import revisions_of, ring_lessons
from tests.oracles.ring_evidence import cycle, shared

POLICY = RingPolicy()


def logged(*pieces) -> EvidenceLog:
    log = EvidenceLog()
    for place, piece in enumerate(pieces):
        log.add(place, 0, (), (piece,), np.zeros((1, len(NAMES)), np.float32))
    return log


def labelled(*frauds: str) -> SimpleNamespace:
    """The columns of a table that lessons look at, of some frauds and a row that is none.

    Args:
        frauds: "transaction ring payer payee"; the ring is - where none is named.
    """
    split = [each.split() for each in frauds]
    parties = PartyColumns()
    for id_, _, payer, payee in [("plain", "-", "nobody", "noone"), *split]:
        money = Money(1, "EUR")
        parties.extend([Transaction(id_, 0, TransactionType.TRANSFER, money, 1, payer, payee)])
    return SimpleNamespace(
        ids=["plain", *(id_ for id_, *_ in split)],
        users=["nobody", *(payer for _, _, payer, _ in split)],
        ring_ids=[None, *(None if ring == "-" else ring for _, ring, _, _ in split)],
        fraud=np.array([False, *[True] * len(split)]),
        places=np.array([99, *range(len(split))]),
        parties=parties,
    )


def lessons(table, *pieces):
    return ring_lessons(table, np.arange(len(table.ids)), logged(*pieces), POLICY)


def test_a_ring_is_shown_at_birth_when_it_has_doubled_and_as_it_stood_last():
    pieces = [cycle(f"{n}", "abc", n * HOUR) for n in range(6)]
    (life,) = revisions_of(logged(*pieces), POLICY, until=99)
    assert [len(each.evidence) for each in life] == [1, 2, 4, 6]
    (short,) = revisions_of(logged(*pieces), POLICY, until=2)
    assert [len(each.evidence) for each in short] == [1, 2, 3]


def test_a_ring_is_true_if_half_of_its_witness_are_known_frauds():
    circles = cycle("1", "abc", HOUR), cycle("2", "xyz", 2 * HOUR)
    told = lessons(labelled("1.0 r a b", "1.1 s b c", "2.0 t x away"), *circles)
    assert told.fraud.tolist() == [True, False]
    assert told.groups[0] != told.groups[1]


@pytest.mark.parametrize(
    ("frauds", "true"),
    [
        (("f1 r a b", "f2 r c away"), True),  # three of five
        (("f1 r a b", "f2 r away far"), False),  # two of six
        (("f1 r a b", "f2 s c d"), True),  # two of four
        (("f1 r a away", "f2 s b far"), False),
        (("f1 - a away", "f2 - b far"), True),  # half of its users did one
        (("f1 - a b",), False),
        ((), False),
    ],
)
def test_a_ring_without_a_witness_is_true_if_its_accounts_are_those_of_a_planted_one(frauds, true):
    phone = shared(EntityKind.DEVICE, "p", "abcd", HOUR)
    assert lessons(labelled(*frauds), phone).fraud.tolist() == [true]


def test_what_is_about_one_planted_ring_lies_in_one_fold():
    pieces = [
        cycle(f"{n}", names, n * HOUR) for n, names in enumerate(("abc", "def", "ghi", "jkl"))
    ]
    planted = ("0.0 r a b", "0.1 r b c", "2.0 s g h", "2.1 s h i", "3.0 r j k", "3.1 r k l")
    told = lessons(labelled(*planted), *pieces)
    assert told.fraud.tolist() == [True, False, True, True]
    assert told.groups[0] == told.groups[3] != told.groups[2]
    early, later = told.cut(0.3)
    assert early.tolist() == [1, 2]
    assert later.tolist() == [0, 3]  # the first goes where its ring ended


def test_of_nothing_there_is_nothing_to_learn():
    told = lessons(labelled())
    assert (len(told.revisions), [rows.tolist() for rows in told.cut(0.25)]) == (0, [[], []])
