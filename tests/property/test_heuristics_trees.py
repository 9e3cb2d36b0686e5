"""Feeder trees against an oracle that moves coins, on any stream."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from graph.evidence import Evidence
from graph.heuristics.feeder_tree import FeederTrees
from graph.heuristics.tree_search import LEVELS
from graph.thresholds import Thresholds
from graph.transaction import Entity, Transaction
from tests.examples import examples
from tests.oracles import feeder_trees, streams

# Bounds and freshness out of the way, and low, so that short streams hold trees.
WIDE = Thresholds(
    tree_within=streams.REACH,
    tree_accounts=3,
    tree_fresh_share=1e-9,
    tree_flows=256,
    tree_scan=1_000_000,
    witness=256,
    told_singly=512,
)
LIMITS = {
    "within": WIDE.tree_within,
    "carries": WIDE.tree_carries,
    "passes_on": WIDE.tree_passes_on,
    "levels": LEVELS,
}
seeds = st.integers(0, 2**32)


def seen_live(stream: list[Transaction]) -> dict[str, list[Evidence]]:
    """What is told at each transaction while the stream arrives."""
    window, trees = streams.small_window(), FeederTrees(WIDE)
    return {tx.transaction_id: list(trees.detect(window, tx, window.add(tx))) for tx in stream}


def all_acquainted(stream: list[Transaction], hops: frozenset[str]) -> bool:
    """Whether the ends of each of these payments had dealt before the first of them."""
    shown = [tx for tx in stream if tx.transaction_id in hops]
    before = min(tx.timestamp for tx in shown) - streams.LATENESS
    dealt = [{o.user, o.other_party} for o in stream if o.timestamp < before]
    return all({tx.payer, tx.payee} in dealt for tx in shown)


def of_the_tree(evidence: Evidence, beside: frozenset[Entity]) -> set[str]:
    """The payments of a tree, without those to who stands beside it."""
    return {hop.transaction_id for hop in evidence.hops if hop.target not in beside}


@given(streams.money_streams(accounts=7))
@settings(max_examples=examples(250), deadline=None)
def test_a_tree_is_what_coins_show(stream: list[Transaction]) -> None:
    found = seen_live(stream)
    for tx in stream:
        expected = feeder_trees.tree(stream, tx, **LIMITS)
        big = expected is not None and len(expected.accounts | expected.beside) >= 3
        if big and not found[tx.transaction_id]:
            assert all_acquainted(stream, expected.hops)
            continue
        assert len(found[tx.transaction_id]) == big
        for evidence in found[tx.transaction_id]:
            assert not evidence.truncated
            assert evidence.entities[0] == expected.root
            assert set(evidence.entities) == expected.accounts | expected.beside
            assert of_the_tree(evidence, expected.beside) == expected.hops
            assert evidence.facts["beside"] == len(expected.beside)


def test_deep_trees_with_others_beside_them_too() -> None:
    """Hypothesis rarely builds three levels: seeded streams that pass on what they got do."""
    deepest = beside = 0
    for seed in range(12):
        rng = random.Random(seed)
        stream: list[Transaction] = []
        for at in range(40):
            payer, payee = rng.sample(range(9), 2)
            to = None if rng.random() < 0.15 else f"u{payee}"
            value = rng.choice((95, 100)) - 5 * (at // 8)
            stream.append(streams.transaction(at, 4 * at, f"u{payer}", to, value))
        found = seen_live(stream)
        for tx in stream:
            expected = feeder_trees.tree(stream, tx, **LIMITS)
            for evidence in found[tx.transaction_id]:
                assert set(evidence.entities) == expected.accounts | expected.beside
                assert of_the_tree(evidence, expected.beside) == expected.hops
                deepest = max(deepest, len(expected.hops))
                beside = max(beside, len(expected.beside))
    assert deepest > 6
    assert beside > 1


@given(streams.money_streams(accounts=7, longest_gap=8), seeds)
@settings(max_examples=examples(100), deadline=None)
def test_trees_depend_on_when_it_happened_not_on_when_it_arrived(
    stream: list[Transaction], seed: int
) -> None:
    live = seen_live(stream)
    window, trees = streams.small_window(), FeederTrees(WIDE)
    arrival = streams.shuffled(stream, random.Random(seed))
    positions = {tx.transaction_id: window.add(tx).position for tx in arrival}
    for tx_id, position in positions.items():
        assert list(trees.at(window, position)) == live[tx_id]


@given(streams.money_streams(accounts=7), seeds)
@settings(max_examples=examples(60), deadline=None)
def test_names_mean_nothing(stream: list[Transaction], seed: int) -> None:
    renamed = streams.relabelled(stream, random.Random(seed))

    def shapes(found: dict[str, list[Evidence]]) -> list[tuple[int, ...]]:
        return [
            (at, len(e.members), len(e.hops), e.money)
            for at, told in enumerate(found.values())
            for e in told
        ]

    assert shapes(seen_live(renamed)) == shapes(seen_live(stream))
