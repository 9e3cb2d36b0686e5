"""What a judge is taught, and that it does not answer for the past by heart."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from graph.errors import InvalidInput
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.ring_policy import RingPolicy
from graph.transaction import Entity, Money, Transaction, TransactionType
from scorer.evidence_context import NAMES
from scorer.evidence_judge import EvidenceJudge, column_of
from scorer.evidence_log import MOST_PIECES, EvidenceLog
from scorer.judge_lessons import facts_of, lesson_of, rows_of
from scorer.judge_training import (
    LEAST_PIECES,
    TREES,
    Past,
    best_bounds,
    judged_table,
    ring_f1s,
    starter_of,
    teach,
    telling,
)
from scorer.ring_context import NAMES as RING_COLUMNS
from scorer.ring_judge import RingJudge
from scorer.ring_judge_training import RingTales, ring_trees
from scorer.ring_matching import TrueRing
from scorer.ring_pass import weighed
from scorer.starter import starter
from tests.judged_tables import START, pair, table_of, user

AGE = NAMES.index("centre_age")


def drawn(seed: int, count: int = 400) -> tuple[np.ndarray, np.ndarray, list[Evidence]]:
    rng = np.random.default_rng(seed)
    contexts = rng.normal(size=(count, len(NAMES))).astype(np.float32)
    contexts[:, 0] = 3.0
    return rng.random(count) < 0.3, contexts, [pair(n) for n in range(count)]


@pytest.mark.slow
def test_labels_correct_the_starter_and_reach_what_comes_later() -> None:
    _, contexts, pieces = drawn(1)
    fraud = contexts[:, AGE] > 0.5  # whatever the starter thinks of age
    table = table_of(fraud, contexts, pieces)
    past = np.arange(300)
    taught = teach(table, past, RingPolicy(), 0)
    later = slice(300, None)
    assert average_precision_score(fraud[later], taught.weights[later]) > 0.95
    own = [piece.strength for piece in taught.judge.weigh(pieces[300:], contexts[300:])]
    assert taught.weights[later].tolist() == own


@pytest.mark.slow
def test_what_the_past_weighs_is_not_known_by_heart() -> None:
    _, contexts, pieces = drawn(2)
    odd = np.random.default_rng(7).random(400) < 0.1  # labels that nothing explains
    fraud = (contexts[:, AGE] > 0.5) ^ odd
    taught = teach(table_of(fraud, contexts, pieces), np.arange(400), RingPolicy(), 0)
    assert taught.judge.booster.tree_count == starter().booster.tree_count + TREES
    by_heart = np.array([p.strength for p in taught.judge.weigh(pieces, contexts)])
    right = np.where(fraud, 1.0, -1.0)
    assert (right * (by_heart - 0.5))[odd].mean() > 0.1
    assert (right * (taught.weights - 0.5))[odd].mean() < -0.1


@pytest.mark.slow
def test_corrections_that_do_not_pay_are_not_kept() -> None:
    _, contexts, pieces = drawn(6)
    plain = np.array([p.strength for p in starter().weigh(pieces, contexts)])
    by_starter = plain > np.quantile(plain, 0.7)
    table = table_of(by_starter, contexts, pieces)
    taught = teach(table, np.arange(400), RingPolicy(), 0)
    assert taught.judge is starter()
    assert taught.weights.tolist() == plain.tolist()


@pytest.mark.slow
@pytest.mark.parametrize(("sure", "likely", "pays"), [(20, 2, False), (8, 14, True)])
def test_other_bounds_have_to_win_by_more_than_chance(
    sure: int, likely: int, *, pays: bool
) -> None:
    began = starter()
    rng = np.random.default_rng(8)
    contexts = rng.normal(scale=10.0, size=(20_000, len(NAMES))).astype(np.float32)
    contexts[:, 0] = rng.integers(0, len(Pattern), len(contexts))
    plain = np.array([p.strength for p in began.weigh([pair(0)] * len(contexts), contexts)])
    low = 0.8  # what is told from here on is true here, and the starter tells from higher on
    bands = (plain >= began.alert, (plain >= low) & (plain < began.alert), plain < 0.2)
    assert all(band.any() for band in bands)
    counts = (sure, likely, 100)
    drawn_from = [np.resize(np.flatnonzero(band), n) for band, n in zip(bands, counts, strict=True)]
    chosen = np.concatenate(drawn_from)  # the same context may come again
    fraud = np.arange(len(chosen)) < sure + likely
    rings = {}
    for number in range(sure + likely):
        rings[f"r{number}"] = TrueRing(f"r{number}", {user(2 * number), user(2 * number + 1)})
        rings[f"r{number}"].times.append(START + number)
    table = replace(
        table_of(fraud, contexts[chosen], [pair(number) for number in range(len(chosen))]),
        ring_ids=(*rings, *(None,) * 100),
        true_rings=rings,
    )
    taught = teach(table, np.arange(len(chosen)), RingPolicy(), 0)
    if pays:
        assert taught.judge.alert <= low
    else:
        assert replace(taught.judge, of_rings=began.of_rings) == began


@pytest.mark.parametrize(
    ("likely", "told"),
    [
        ((0.9, 0.1), 0.7),  # it is right: it stays as it is
        ((0.62, 0.1), 0.6),  # right, but shy here
        ((0.1, 0.9), None),  # wrong here: the score alone is better
    ],
)
def test_a_judge_of_rings_has_to_show_itself_on_the_past(
    likely: tuple[float, float], told: float | None
) -> None:
    """Thirty true rings of evidence of .95 and thirty false ones of .85; alone, .9 tells them."""
    fraud = np.arange(60) % 2 == 0
    contexts = np.zeros((60, len(NAMES)), np.float32)
    table = table_of(fraud, contexts, [pair(number) for number in range(60)])
    rings = {f"r{n}": TrueRing(f"r{n}", {m for m, _ in pair(n).members}) for n in range(0, 60, 2)}
    for number, ring in enumerate(rings.values()):
        ring.times.append(START + 2 * number)
    ids = tuple(f"r{n}" if n % 2 == 0 else None for n in range(60))
    table = replace(table, ring_ids=ids, true_rings=rings)
    past = weighed(table.evidence, np.where(fraud, 0.95, 0.85))
    judge = replace(starter(), birth=0.8, alert=0.9, of_rings=judge_of_rings(*likely))
    lesson = lesson_of(table, np.arange(60), rows_of(past, judge.facts))
    kept = telling(judge, past, lesson, RingPolicy()).of_rings
    assert (None if kept is None else kept.told) == told


def judge_of_rings(strong: float, weak: float) -> RingJudge:
    """One whose answer for a ring is one of two, by whether its score is over .9."""
    rows = np.zeros((4_000, len(RING_COLUMNS)), np.float32)
    rows[:2_000, 0], rows[2_000:, 0] = 0.95, 0.85
    shares = np.arange(2_000) / 2_000
    true = np.concatenate([shares < strong, shares < weak])
    return RingJudge(ring_trees([RingTales(rows, true, np.ones(4_000, np.float32))], 0), 0.8, 0.7)


def test_with_too_little_to_learn_from_the_starter_stands() -> None:
    _, contexts, pieces = drawn(3)
    fraud = np.arange(400) < LEAST_PIECES - 1
    taught = teach(table_of(fraud, contexts, pieces), np.arange(400), RingPolicy(), 0)
    assert taught.judge is starter()


def test_a_piece_is_fraud_if_half_of_its_witness_or_of_its_users_is() -> None:
    a, b, c, d = (user(n) for n in range(4))
    hops = tuple(Hop(f"t{n}", a, b, 1, START + n) for n in range(4))

    def piece(*ids: int, members: tuple[Entity, ...] = (a, b)) -> Evidence:
        shown = tuple(hops[n] for n in ids)
        return Evidence(
            Pattern.CYCLE, START, tuple((m, Role.MEMBER) for m in members), shown, 0.5, "So."
        )

    pieces = [
        piece(0, 2),  # one fraud of two
        piece(0, 2, 3),  # one of three
        piece(members=(a, d)),  # the one who did it, and another
        piece(members=(a, c, d)),
    ]
    fraud = np.array([True, False, False, False])
    contexts = np.zeros((4, len(NAMES)), np.float32)
    table = table_of(fraud, contexts, pieces)
    rows = rows_of(table.evidence, ())
    lesson = lesson_of(table, np.arange(4), rows)
    assert lesson.fraud.tolist() == [True, False, True, False]
    assert lesson.groups.tolist() == ["u0", "user:u0", "u0", "user:u0"]
    # What the past does not hold teaches nothing, and no label of it is known.
    later = lesson_of(table, np.arange(1, 4), rows)
    assert later.numbers.tolist() == [1, 2, 3]
    assert not later.fraud.any()


@pytest.mark.parametrize(
    ("rings", "fraud", "group"),
    [
        (("r1", "r1", None, None), True, "r1"),
        (("r1", "r2", None, None), False, "user:u0"),  # each of another ring
        (("r1", None, None, None), True, "r1"),  # whose ring the other is of, nobody says
        ((None, None, None, None), True, "u0"),
    ],
)
def test_frauds_of_different_rings_are_not_counted_together(
    rings: tuple[str | None, ...], fraud: bool, group: str
) -> None:
    members = tuple((user(2 * n), Role.MEMBER) for n in range(4))
    piece = Evidence(Pattern.SHARED_DEVICE, START, members, (), 0.5, "So it is.")
    contexts = np.zeros((4, len(NAMES)), np.float32)
    table = table_of(np.array([True, True, False, False]), contexts, [piece, *map(pair, (5, 6, 7))])
    lesson = lesson_of(replace(table, ring_ids=rings), np.arange(4), rows_of(table.evidence, ()))
    assert (bool(lesson.fraud[0]), lesson.groups[0]) == (fraud, group)


def test_a_starter_counts_every_ring_the_same() -> None:
    fraud, contexts, pieces = drawn(4)
    table = table_of(fraud, contexts, pieces)
    facts = facts_of(table.evidence)
    assert facts == ("hops",)
    lesson = lesson_of(table, np.arange(400), rows_of(table.evidence, facts))
    grown = starter_of([lesson, lesson], ("hops",), 0, 5)
    assert grown.names == (*NAMES, column_of("hops"))
    assert grown.tree_count == 5


def test_bounds_are_those_under_which_the_past_is_told_best() -> None:
    fraud, contexts, pieces = drawn(5, 40)
    table = table_of(fraud, contexts, pieces)
    true = []
    for number in np.flatnonzero(fraud).tolist():
        ring = TrueRing(f"r{number}", {user(2 * number), user(2 * number + 1)})
        ring.times.append(START + number)
        true.append(ring)
    weights = np.where(fraud, 0.7, 0.6)
    weights[np.flatnonzero(fraud)[0]] = 0.3  # not worth all the false ones below .65
    log = weighed(table.evidence, weights)
    past = Past(log, true)
    f1s = ring_f1s([past], RingPolicy())
    assert best_bounds(f1s) == (0.65, 0.65)
    assert f1s[0.65, 0.65] == pytest.approx(2 * (len(true) - 1) / (2 * len(true) - 1))
    assert ring_f1s([past, past], RingPolicy()) == f1s


def test_a_ring_that_was_left_out_of_the_past_is_neither_right_nor_wrong_to_tell() -> None:
    """Ten frauds of ten rings, of which the last five go on in what comes later."""
    fraud, contexts = np.ones(10, np.bool_), np.zeros((10, len(NAMES)), np.float32)
    table = table_of(fraud, contexts, [pair(number) for number in range(10)])
    table = replace(table, ring_ids=tuple(f"r{number}" for number in range(10)))
    parties = [
        Transaction(f"t{n}", START + n, TransactionType.TRANSFER, Money(100, "EUR"), 100, a, b)
        for n in range(10)
        for a, b in [(f"u{2 * n}", f"u{2 * n + 1}")]
    ]
    table.parties.extend(parties)
    for number in range(10):
        ring = table.true_rings[f"r{number}"] = TrueRing(f"r{number}")
        ring.add(parties[number])
        if number >= 5:
            ring.members |= {user(100 + n) for n in range(9)}  # who comes in only later
    rows, past = rows_of(table.evidence, ()), np.array([*range(5), 9])
    lesson = lesson_of(table, past, rows, left_out=np.arange(5, 9))
    assert lesson.numbers.tolist() == past.tolist()
    assert [ring.ring_id for ring in lesson.apart] == ["r5", "r6", "r7", "r8"]
    assert lesson.apart[0].members == {user(10), user(11)}
    log = weighed(table.evidence, np.full(10, 0.9))
    sure = ring_f1s([Past(log, lesson.rings[:5], lesson.apart)], RingPolicy())[0.2, 0.2]
    assert sure == pytest.approx(10 / 11)  # the tenth, which is in neither
    assert ring_f1s([Past(log, lesson.rings[:5])], RingPolicy())[0.2, 0.2] == pytest.approx(10 / 15)


def test_a_piece_about_frauds_that_were_left_out_is_no_lesson() -> None:
    a, b, c = (user(n) for n in range(3))
    hops = tuple(Hop(f"t{n}", a, b, 1, START + n) for n in range(4))
    members = tuple((each, Role.MEMBER) for each in (a, b, c))
    pieces = [
        Evidence(Pattern.CYCLE, START, members, hops[:2], 0.5, "So."),
        *[Evidence(Pattern.CYCLE, START, members, (hop,), 0.5, "So.") for hop in hops[1:]],
    ]
    fraud, contexts = np.array([True, False, True, False]), np.zeros((4, len(NAMES)), np.float32)
    table = table_of(fraud, contexts, pieces)
    rows = rows_of(table.evidence, ())
    known, left_out = np.array([1, 2, 3]), np.array([0])
    assert lesson_of(table, np.array([0, 1]), rows).numbers.tolist() == [0, 1]
    lesson = lesson_of(table, known, rows, left_out)
    assert (lesson.numbers.tolist(), lesson.fraud.tolist()) == ([1, 2, 3], [False, True, False])
    about_it = replace(table, ids=("t1", "t0", "t2", "t3"))  # row 1 completes what row 0 did
    assert lesson_of(about_it, known, rows, left_out).numbers.tolist() == [2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("honest", [0, 1])
def test_where_evidence_is_all_fraud_the_starter_stands_or_a_fold_does(honest: int) -> None:
    fraud = np.arange(60) >= honest
    contexts = np.zeros((60, len(NAMES)), np.float32)
    contexts[:, AGE] = np.arange(60)
    table = table_of(fraud, contexts, [pair(number) for number in range(60)])
    taught = teach(table, np.arange(60), RingPolicy(), 0)
    assert np.isfinite(taught.weights).all()
    if not honest:
        assert taught.judge.booster is starter().booster


def test_nothing_to_weigh_leaves_the_table_alone() -> None:
    empty = np.zeros((0, len(NAMES)), np.float32)
    table = table_of(np.array([True, False]), empty, [])
    same, judge = judged_table(table, np.arange(2), RingPolicy(), 0)
    assert same is table
    assert isinstance(judge, EvidenceJudge)


def test_a_log_that_is_full_says_so() -> None:
    log, contexts = EvidenceLog(), np.zeros((1, len(NAMES)), np.float32)
    log.add(0, START, (), (pair(0),) * MOST_PIECES, contexts)
    with pytest.raises(InvalidInput, match=f"more than {MOST_PIECES} pieces of evidence"):
        log.add(1, START, (), (pair(1),), contexts)
