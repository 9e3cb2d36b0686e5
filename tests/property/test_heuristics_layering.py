"""Chains, relays, layers and structuring against their oracles, on any stream."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from graph.evidence import Pattern
from graph.heuristics import catalogue
from graph.heuristics.chain import Chains
from graph.heuristics.layers import Layers
from graph.heuristics.scatter_gather import ScatterGather
from graph.heuristics.structuring import Structuring
from graph.thresholds import MOST_CHAIN_HOPS, Thresholds
from graph.transaction import Transaction
from tests.examples import examples
from tests.oracles import layering, streams

# Bounds and freshness out of the way, and low, so that short streams hold patterns.
WIDE = Thresholds(
    chain_hops=2,
    chain_scan=1_000_000,
    relay_within=streams.REACH,
    relay_intermediaries=2,
    relay_fresh_share=1e-9,
    relay_scan=1_000_000,
    layer_side=2,
    layer_accounts=4,
    layer_fresh_share=1e-9,
    layer_scan=1_000_000,
    stack_accounts=6,
    structuring_limit=101,
    structuring_payments=2,
    structuring_alone=2,
    witness=4_096,
    told_singly=4_096,
)
RATIO = {"least": WIDE.cycle_ratio_least, "most": WIDE.cycle_ratio_most}
KEEPS = {"least": WIDE.chain_keeps, "most": WIDE.cycle_ratio_most}
seeds = st.integers(0, 2**32)


@given(streams.money_streams())
@settings(max_examples=examples(150), deadline=None)
def test_chains_are_the_longest_there_are(stream: list[Transaction]) -> None:
    window, chains = streams.small_window(), Chains(WIDE)
    by_id = {tx.transaction_id: tx for tx in stream}
    for tx in stream:
        found = chains.detect(window, tx, window.add(tx))
        expected = layering.chains(stream, tx, within=streams.REACH, **KEEPS)
        longest = min(max(map(len, expected), default=0), MOST_CHAIN_HOPS)
        assert [len(e.hops) for e in found] == ([longest] if longest >= WIDE.chain_hops else [])
        for e in found:
            hops = [by_id[hop.transaction_id] for hop in e.hops]
            assert hops[-1] is tx
            assert hops in expected
            assert layering.is_chain(hops, **KEEPS)
            assert set(e.entities) == layering.entities(hops)


@given(streams.money_streams(accounts=6))
@settings(max_examples=examples(150), deadline=None)
def test_scattered_money_is_gathered_over_the_most_hands(stream: list[Transaction]) -> None:
    window, scattered = streams.small_window(), ScatterGather(WIDE)
    for tx in stream:
        found = scattered.detect(window, tx, window.add(tx))
        expected = layering.intermediaries(stream, tx, within=streams.REACH, **RATIO)
        most = max(map(len, expected.values()), default=0)
        if not found and most >= 2:
            # Not one of the legs was new.
            assert layering.had_dealt(stream, tx, set().union(*expected.values(), expected))
            continue
        assert len(found) == (most >= 2)
        for e in found:
            source, sink = e.entities[0], e.entities[-1]
            assert sink == tx.payee
            assert len(expected[source]) == most == e.facts["intermediaries"]
            assert set(e.entities[1:-1]) == expected[source]
            assert len(e.hops) == 2 * most


@given(streams.money_streams(accounts=8, most=60))
@settings(max_examples=examples(150), deadline=None)
def test_blocks_are_those_of_sets(stream: list[Transaction]) -> None:
    window, layers = streams.small_window(), Layers(WIDE)
    for tx in stream:
        found = {e.pattern: e for e in layers.detect(window, tx, window.add(tx))}
        known = layering.block(stream, tx, within=streams.REACH, density=WIDE.layer_density)
        if known is None:
            continue
        payers, payees, pairs = known
        block = found.get(Pattern.BIPARTITE)
        if block is None:  # of a stack more pairs may be new than of its block
            assert layering.had_dealt(stream, tx, payers | payees)
            continue
        assert {(hop.source, hop.target) for hop in block.hops} == pairs
        above = layering.funders(
            stream, tx, payers, payees, within=streams.REACH, density=WIDE.layer_density
        )
        stacked = len(above | payers | payees) >= WIDE.stack_accounts and bool(above)
        if stacked and Pattern.STACK not in found:
            assert layering.had_dealt(stream, tx, above | payers | payees)
        else:
            assert (Pattern.STACK in found) == stacked
        if Pattern.STACK in found:
            assert found[Pattern.STACK].facts["sources"] == len(above)
            assert set(found[Pattern.STACK].entities) == above | payers | payees


@given(streams.money_streams(accounts=8, most=60))
@settings(max_examples=examples(100), deadline=None)
def test_every_block_is_dense_and_between_two_sides(stream: list[Transaction]) -> None:
    window, layers = streams.small_window(), Layers(WIDE)
    for tx in stream:
        for e in layers.detect(window, tx, window.add(tx)):
            if e.pattern is Pattern.BIPARTITE:
                payers = {hop.source for hop in e.hops}
                payees = {hop.target for hop in e.hops}
                assert not payers & payees
                assert len(e.hops) >= WIDE.layer_density * len(payers) * len(payees)
                assert (tx.payer, tx.payee) in {(hop.source, hop.target) for hop in e.hops}


@given(streams.money_streams())
@settings(max_examples=examples(150), deadline=None)
def test_structuring_counts_what_is_just_under(stream: list[Transaction]) -> None:
    window, structuring = streams.small_window(), Structuring(WIDE)
    for tx in stream:
        found = structuring.detect(window, tx, window.add(tx))
        ins, outs, hands_on = layering.just_under(
            stream, tx, within=streams.REACH, limits=structuring.limits
        )
        told = hands_on or max(ins, outs) >= 2
        assert [e.facts["payments"] for e in found] == [max(ins, outs)] * told
        for e in found:
            assert e.entities[0] == (tx.payee if ins >= outs else tx.payer)


@given(streams.money_streams(accounts=7, most=60), seeds)
@settings(max_examples=examples(60), deadline=None)
def test_names_do_not_matter(stream: list[Transaction], seed: int) -> None:
    def seen(told: list[Transaction]) -> list[tuple[Pattern, float, int]]:
        window, book = streams.small_window(), catalogue(WIDE)
        return [
            (e.pattern, round(e.strength, 9), len(e.hops))
            for tx in told
            for e in book.detect(window, tx, window.add(tx))
        ]

    assert seen(stream) == seen(streams.relabelled(stream, random.Random(seed)))
