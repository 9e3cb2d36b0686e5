"""The sweep against brute force: densities, cores, pairs, second searches."""

import random
from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.heuristics import Chains, Cycles, ScatterGather
from graph.sweep import Sweep, SweepLimits
from graph.sweep.communities import ties_of
from graph.sweep.pairs import paid
from graph.sweep.patience import Patience
from graph.sweep.peeling import Rows, core, densest, rows_of
from graph.thresholds import Thresholds
from graph.transaction import Transaction
from tests.examples import examples
from tests.oracles.streams import (
    SMALL,
    money_streams,
    relabelled,
    small_window,
    ticking,
    transaction,
)

EVERYTHING = np.empty(0, np.int64)


@st.composite
def graphs(draw: st.DrawFn, most: int = 8) -> tuple[int, list[tuple[int, int]], list[float]]:
    n = draw(st.integers(2, most))
    pairs = draw(st.lists(st.sampled_from(list(combinations(range(n), 2))), unique=True))
    weights = draw(st.lists(st.floats(0.05, 2.0), min_size=len(pairs), max_size=len(pairs)))
    return n, pairs, weights


def laid_out(n: int, pairs: list[tuple[int, int]], weights: list[float]) -> Rows:
    a = np.array([a for a, _ in pairs], np.int64)
    b = np.array([b for _, b in pairs], np.int64)
    return rows_of(n, a, b, np.array(weights, np.float64))


def density(nodes: set[int], pairs: list[tuple[int, int]], weights: list[float]) -> float:
    inside = (w for (a, b), w in zip(pairs, weights, strict=True) if a in nodes and b in nodes)
    return sum(inside) / len(nodes)


@settings(max_examples=examples(150), deadline=None)
@given(graphs(), st.data())
def test_peeling_is_at_least_half_as_dense_as_the_densest_set(graph, data) -> None:
    n, pairs, weights = graph
    among = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    nodes, found = densest(laid_out(*graph), among)
    allowed = np.flatnonzero(among).tolist()
    best = max(
        (
            density(set(chosen), pairs, weights)
            for size in range(1, len(allowed) + 1)
            for chosen in combinations(allowed, size)
        ),
        default=0.0,
    )
    assert set(nodes.tolist()) <= set(allowed)
    if len(nodes):
        assert found == np.float64(density(set(nodes.tolist()), pairs, weights)).round(12) or (
            abs(found - density(set(nodes.tolist()), pairs, weights)) < 1e-9
        )
    assert found >= best / 2 - 1e-9
    assert (len(nodes) == 0) == (best == 0)


@settings(max_examples=examples(100), deadline=None)
@given(graphs(12), st.integers(1, 4))
def test_a_core_is_what_networkx_says(graph, least) -> None:
    n, pairs, _ = graph
    drawn = nx.Graph(pairs)
    drawn.add_nodes_from(range(n))
    alive = core(laid_out(*graph), least)
    assert set(np.flatnonzero(alive).tolist()) == set(nx.k_core(drawn, least))


@settings(max_examples=examples(60), deadline=None)
@given(money_streams(accounts=6, most=60, longest_gap=40))
def test_pairs_are_who_paid_whom_in_the_window(stream) -> None:
    hold_pairs_to(stream)


@pytest.mark.parametrize("seed", range(2))
def test_so_they_are_among_a_thousand(seed) -> None:
    """Enough pairs for the table of `graph.sweep.pairs` to have long runs of used places."""
    rng = random.Random(seed)
    users = [f"u{n}" for n in range(60)]
    hold_pairs_to(
        [
            transaction(n, n // 5, *rng.sample([*users, "shop1", "shop2"], 2), 100)
            for n in range(2_400)
        ],
        least=1_000,
    )


def hold_pairs_to(stream: list[Transaction], least: int = 0) -> None:
    window = small_window()
    for tx in ticking(stream):
        window.add(tx)
    live = [tx for tx in ticking(stream) if tx.timestamp >= window.cutoff]
    expected: dict[tuple[str, str], str] = {}
    before = set()
    for tx in ticking(stream):
        other = tx.other_party
        if other is not None and tx.timestamp < window.cutoff:
            before.add(frozenset({tx.user, other}))
    for tx in live:
        payer, payee = tx.payer, tx.payee
        both = payer is not None and payee is not None and payer != payee
        if tx.moves_money and both and payer.kind == payee.kind == "user":
            expected[payer, payee] = tx.transaction_id
    pairs = paid(window).transfers
    entity = window.accounts.entity
    found = {
        (entity(a), entity(b)): window.transaction_id(p)
        for a, b, p in zip(
            pairs.payer.tolist(), pairs.payee.tolist(), pairs.newest.tolist(), strict=True
        )
    }
    assert found == expected
    assert len(found) >= least
    fresh = {pair for pair, new in zip(found, pairs.fresh.tolist(), strict=True) if new}
    assert fresh == {pair for pair in found if frozenset(pair) not in before}


@settings(max_examples=examples(40), deadline=None)
@given(money_streams(accounts=5, most=60), st.integers(0, 2**32 - 1))
def test_a_second_look_finds_what_an_unbounded_first_one_would_have(stream, seed) -> None:
    hasty = Thresholds(cycle_scan=2, chain_scan=2, relay_scan=2, chain_hops=3)
    calm = Thresholds(cycle_scan=2_000, chain_scan=2_000, relay_scan=2_000, chain_hops=3)
    patience = Patience(hasty, SweepLimits(patience=1_000))
    window = small_window()
    quick = (Cycles(hasty), Chains(hasty), ScatterGather(hasty))
    slow = (Cycles(calm), Chains(calm), ScatterGather(calm))
    unfinished, expected = [], set()
    for tx in ticking(stream):
        position = window.add(tx).position
        if any(search.cut_short(window, position) for search in quick):
            unfinished.append(position)
    for position in unfinished:
        if position < window.tail:
            continue
        for first, second in zip(quick, slow, strict=True):
            if not first.at(window, position):
                expected |= {piece.evidence_id for piece in second.at(window, position)}
    found = patience.search(window, np.array(unfinished, np.int64), lambda: None)
    assert {piece.evidence_id for piece in found.evidence} == expected
    assert found.left == 0


@settings(max_examples=examples(25), deadline=None)
@given(money_streams(accounts=9, most=60, longest_gap=20), st.integers(0, 2**32 - 1))
def test_a_pass_reads_only_and_names_do_not_matter(stream, seed) -> None:
    # Lenient: nine of ten such streams have something to find.
    limits = SweepLimits(
        community_least=3,
        community_ties=1.0,
        community_inside=0.3,
        block_side=2,
        block_fill=0.2,
        young=1,
    )
    sweep = Sweep(limits=limits)
    shapes = []
    for same in (stream, relabelled(stream, random.Random(seed))):
        window = small_window()
        for tx in same:
            window.add(tx)
        before = window.snapshot()
        found = sweep.run(window, EVERYTHING)
        assert window.snapshot() == before
        again = sweep.run(window.still(), EVERYTHING)
        assert again == found
        shapes.append(
            [
                (piece.pattern, piece.strength, [hop.transaction_id for hop in piece.hops])
                for piece in found.evidence
            ]
        )
    # Of communities equal in strength the order is that of their ids, which names go into.
    assert sorted(shapes[0]) == sorted(shapes[1])


def test_the_copy_of_a_window_stays_as_it_was() -> None:
    rng = random.Random(5)
    window = small_window()
    stream = list(money_stream(rng, 400))
    for tx in stream[:200]:
        window.add(tx)
    still = window.still()
    kept = [window.hop(p) for p in range(window.tail, window.end)]
    dealt = [(a, b, window.dealt(a, b, 2**62)) for a in range(6) for b in range(6)]
    tail, end = window.tail, window.end
    for tx in stream[200:]:
        window.add(tx)
    assert (still.tail, still.end) == (tail, end)
    assert [still.hop(p) for p in range(tail, end)] == kept
    assert [(a, b, still.dealt(a, b, 2**62)) for a, b, _ in dealt] == dealt
    assert still.config == SMALL


def money_stream(rng: random.Random, count: int):
    for n in range(count):
        a, b = rng.sample(range(8), 2)
        yield transaction(n, n, f"u{a}", f"u{b}", rng.randrange(50, 200))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=examples(20), deadline=None)
def test_users_are_tied_by_the_devices_and_cards_that_they_share(seed) -> None:
    rng = random.Random(seed)
    window, limits = small_window(), SweepLimits(public=4)
    held: dict[tuple[str, str], set[str]] = {}
    for n in range(200):
        user = f"u{rng.randrange(12)}"
        device, card = rng.choice([None, f"d{rng.randrange(20)}"]), f"c{rng.randrange(30)}"
        window.add(
            transaction(
                n, n, user, "shop", 100, device_id=device, card_id=card, ip_address="10.0.0.1"
            )
        )
        for thing in (("device", device), ("card", card)):
            if thing[1] is not None:
                held.setdefault(thing, set()).add(user)
    ties = ties_of(window, paid(window).transfers, limits)
    found = {
        (window.accounts.entity(a).id, *thing)
        for a, b in zip(ties.a.tolist(), ties.b.tolist(), strict=True)
        for thing in [
            (
                window.identifiers.entity(b - ties.accounts).kind.value,
                window.identifiers.entity(b - ties.accounts).id,
            )
        ]
    }
    assert len(found) == len(ties.a)
    assert found == {
        (user, *thing)
        for thing, users in held.items()
        if 2 <= len(users) <= limits.public
        for user in users
    }
