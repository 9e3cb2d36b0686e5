"""The money patterns against their oracles, on any stream, in any order of arrival."""

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from graph.admission import Status
from graph.evidence import Evidence, Pattern, Role
from graph.heuristics import Catalogue, catalogue
from graph.heuristics.collector import Collectors
from graph.heuristics.cycle import Cycles
from graph.heuristics.fan import Fans
from graph.heuristics.mule import Mules
from graph.thresholds import Thresholds
from graph.transaction import DAY, HOUR, EntityKind, Transaction
from graph.window import TransactionWindow
from tests.examples import examples
from tests.oracles import money, streams

# Bounds out of the way: what is tested is the meaning. Bounds have their own tests.
WIDE = Thresholds(
    cycle_scan=1_000_000,
    cycle_most=4_096,
    mule_scan=4_096,
    fan_scan=4_096,
    fan_counterparties=3,
    fan_fresh_share=0.01,
    witness=4_096,
    told_singly=4_096,
    acquaintance_scan=100_000,
)
RATIO = {"least": WIDE.cycle_ratio_least, "most": WIDE.cycle_ratio_most}
seeds = st.integers(0, 2**32)


def fed(stream: list[Transaction]) -> tuple[TransactionWindow, dict[str, int]]:
    """A window after the stream, and the position of each transaction."""
    window = streams.small_window()
    positions = {}
    for tx in stream:
        admission = window.add(tx)
        assert admission.status is Status.ACCEPTED
        positions[tx.transaction_id] = admission.position
    return window, positions


def ids(evidence: Evidence) -> tuple[str, ...]:
    return tuple(hop.transaction_id for hop in evidence.hops)


def cycles_seen(stream: list[Transaction], book: Catalogue) -> set[tuple[str, ...]]:
    """All cycles told while the stream arrives, with the second looks after disorder."""
    window = streams.small_window()
    seen = set()
    for tx in stream:
        admission = window.add(tx)
        found = book.detect(window, tx, admission)
        if admission.disordered:
            for position in window.affected(admission.position)[0]:
                found += book.at(window, position)
        seen |= {ids(e) for e in found if e.pattern in (Pattern.CYCLE, Pattern.PING_PONG)}
    return seen


@given(streams.money_streams())
@settings(max_examples=examples(200), deadline=None)
def test_cycles_are_those_of_networkx(stream: list[Transaction]) -> None:
    expected = money.temporal_cycles(stream, within=streams.REACH, **RATIO)
    window, cycles = streams.small_window(), Cycles(WIDE)
    seen = []
    for tx in stream:
        found = cycles.detect(window, tx, window.add(tx))
        assert all(
            not e.truncated and e.hops[-1].transaction_id == tx.transaction_id for e in found
        )
        seen += [ids(e) for e in found]
    assert len(seen) == len(set(seen))
    assert set(seen) == expected


def test_long_cycles_are_those_of_networkx_too() -> None:
    """Hypothesis rarely builds five or six hops: dense seeded streams do."""
    lengths = set()
    for seed in range(12):
        rng = random.Random(seed)
        ends = [rng.sample(range(7), 2) for _ in range(36)]
        stream = [
            streams.transaction(i, 5 * i, f"u{a}", f"u{b}", rng.randrange(95, 100))
            for i, (a, b) in enumerate(ends)
        ]
        seen = cycles_seen(stream, catalogue(WIDE))
        assert seen == money.temporal_cycles(stream, within=streams.REACH, **RATIO)
        lengths |= {len(cycle) for cycle in seen}
    assert lengths == {2, 3, 4, 5, 6}


@given(streams.money_streams(longest_gap=8), seeds)
@settings(max_examples=examples(200), deadline=None)
def test_cycles_do_not_depend_on_the_order_of_arrival(stream: list[Transaction], seed: int) -> None:
    expected = money.temporal_cycles(stream, within=streams.REACH, **RATIO)
    arrival = streams.shuffled(stream, random.Random(seed))
    assert cycles_seen(arrival, catalogue(WIDE)) == expected


@given(streams.money_streams(), seeds)
@settings(max_examples=examples(100), deadline=None)
def test_cycles_do_not_depend_on_names(stream: list[Transaction], seed: int) -> None:
    renamed = streams.relabelled(stream, random.Random(seed))
    assert cycles_seen(renamed, catalogue(WIDE)) == cycles_seen(stream, catalogue(WIDE))


@given(streams.money_streams(), seeds)
@settings(max_examples=examples(100), deadline=None)
def test_duplicates_complete_nothing(stream: list[Transaction], seed: int) -> None:
    rng = random.Random(seed)
    window, book = streams.small_window(), catalogue(WIDE)
    again, book_again = streams.small_window(), catalogue(WIDE)
    for tx in stream:
        first = book.detect(window, tx, window.add(tx))
        assert book_again.detect(again, tx, again.add(tx)) == first
        if rng.random() < 0.5:
            repeated = again.add(tx)
            assert repeated.status is Status.DUPLICATE
            assert book_again.detect(again, tx, repeated) == []


@given(streams.money_streams(accounts=4, longest_gap=6, values=(5, 10, 20, 30)), seeds)
@settings(max_examples=examples(150), deadline=None)
def test_every_money_pattern_is_a_function_of_the_window_alone(
    stream: list[Transaction], seed: int
) -> None:
    """Whatever the order of arrival, asking at an edge gives the same evidence in the end."""
    book = catalogue(WIDE)
    window, positions = fed(stream)
    other, other_positions = fed(streams.shuffled(stream, random.Random(seed)))
    for tx in stream:
        key = tx.transaction_id
        assert book.at(window, positions[key]) == book.at(other, other_positions[key])


@given(streams.money_streams(longest_gap=12))
@settings(max_examples=examples(100), deadline=None)
def test_later_edges_change_nothing(stream: list[Transaction]) -> None:
    """What is told on arrival is what is told when everything has arrived."""
    book = catalogue(WIDE)
    window = streams.small_window()
    told = []
    for tx in stream:
        admission = window.add(tx)
        told.append((admission.position, book.at(window, admission.position)))
    horizon = window.watermark - streams.LATENESS
    for position, evidence in told:
        if position >= window.tail and window.hop(position).timestamp >= horizon:
            assert book.at(window, position) == evidence


@given(streams.money_streams(accounts=6, most=60, longest_gap=20))
@settings(max_examples=examples(100), deadline=None)
def test_fans_count_what_sets_count(stream: list[Transaction]) -> None:
    window, fans = streams.small_window(), Fans(WIDE)
    within = streams.REACH
    for i, tx in enumerate(stream):
        found = {e.pattern: e for e in fans.detect(window, tx, window.add(tx))}
        past = stream[: i + 1]
        for pattern, oracle, centre in (
            (Pattern.FAN_IN, money.payers, tx.payee),
            (Pattern.FAN_OUT, money.payees, tx.payer),
        ):
            expected = set()
            if tx.moves_money and money.between_users(tx) and tx.payer != tx.payee:
                expected = oracle(past, tx, within)
            known = money.acquaintances(past, centre, tx.timestamp - within) if centre else set()
            fresh = expected - known
            if len(expected) < 3 or len(fresh) < 0.01 * len(expected):
                assert pattern not in found
            else:
                evidence = found[pattern]
                assert evidence.members[0][0] == centre
                assert {entity for entity, _ in evidence.members[1:]} == expected
                assert len(evidence.hops) == len(expected)
                assert evidence.facts["strangers"] == len(fresh)
                assert not evidence.truncated


@given(streams.money_streams(accounts=4, most=24, longest_gap=8, values=(1, 2, 3, 9, 30)))
@settings(max_examples=examples(80), deadline=None)
def test_mules_forward_what_a_queue_of_single_units_forwards(stream: list[Transaction]) -> None:
    limits = replace(WIDE, mule_senders=2, mule_passes_on=0.5)
    window, mules = streams.small_window(), Mules(limits)
    for i, tx in enumerate(stream):
        found = mules.detect(window, tx, window.add(tx))
        past = stream[: i + 1]
        strangers = money.mule(
            past,
            tx,
            within=streams.REACH,
            passes_on=limits.mule_passes_on,
            dwell=HOUR,
            senders=limits.mule_senders,
        )
        assert bool(found) == bool(strangers)
        if strangers:
            (evidence,) = found
            units, received = money.tokens(past, tx, streams.REACH)
            stays = sorted(out.timestamp - came.timestamp for came, out in units)
            assert evidence.facts["senders"] == len(strangers)
            assert evidence.facts["forwarded"] == len(units)
            assert evidence.facts["received"] == received
            assert evidence.retained == len(units) / received
            assert evidence.facts["median_dwell_minutes"] * 60_000 == stays[(len(stays) - 1) // 2]
            used = {o.transaction_id for pair in units for o in pair}
            assert set(ids(evidence)) == used
            assert list(evidence.hops) == sorted(
                evidence.hops, key=lambda hop: (hop.timestamp, hop.transaction_id)
            )


@given(streams.money_streams(accounts=5, most=30, longest_gap=8, values=(1, 2, 3, 9, 30)))
@settings(max_examples=examples(80), deadline=None)
def test_collectors_take_away_what_a_queue_of_single_units_says(stream: list[Transaction]) -> None:
    limits = replace(WIDE, fan_counterparties=2, fan_fresh_share=0.6)
    window, collectors = streams.small_window(), Collectors(limits)
    within = streams.REACH
    for i, tx in enumerate(stream):
        found = collectors.detect(window, tx, window.add(tx))
        past = stream[: i + 1]
        strangers = money.mule(
            past,
            tx,
            within=within,
            passes_on=limits.fan_passes_on,
            dwell=DAY,
            senders=limits.fan_counterparties,
            goods=True,
        )
        everybody = money.senders_to(past, tx, within) if strangers else set()
        if not strangers or len(strangers) < 0.6 * len(everybody):
            assert not found
            continue
        (evidence,) = found
        units, received = money.tokens(past, tx, within, goods=True)
        stays = sorted(out.timestamp - came.timestamp for came, out in units)
        assert evidence.pattern is Pattern.FAN_IN
        assert evidence.members[0][0] == tx.payer
        assert {e for e, role in evidence.members if role is Role.SENDER} == strangers
        assert evidence.facts == {
            "counterparties": len(everybody),
            "strangers": len(strangers),
            "received": received,
            "forwarded": len(units),
            "as_cash": sum(out.payee is None for _, out in units),
            "as_goods": sum(
                out.payee is not None and out.payee.kind is EntityKind.MERCHANT for _, out in units
            ),
            "median_dwell_minutes": stays[(len(stays) - 1) // 2] / 60_000,
        }
        assert evidence.retained == len(units) / received
        assert 0.4 <= evidence.strength <= 0.9


def test_the_window_of_these_tests_is_shorter_than_every_span() -> None:
    assert min(WIDE.cycle_within, WIDE.mule_within, WIDE.fan_within) == DAY > streams.HORIZON
