"""Whatever the configuration, the stream is well formed and the truth agrees with it."""

from collections import defaultdict

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph.evidence import Role
from graph.transaction import HOUR
from ingest.simulator import KINDS, SimulationConfig, frame_of, run
from ingest.simulator.config import SEPTEMBER_2025
from ingest.simulator.flows import DEPOSIT, TRANSFER, WARM_UP
from ingest.simulator.names import decimals, hexadecimal, permuted
from ingest.simulator.population import build_world
from ingest.simulator.rings import told
from ingest.simulator.rings.story import DECLINED
from tests.examples import examples

MOVING = [
    *("cycle", "mule", "takeover", "structuring", "fan_in", "fan_out", "scatter_gather"),
    *("gather_scatter", "bipartite", "stack", "chain", "dormant_burst"),
]
"""Kinds that live on money that arrives, not on credit."""

configs = st.builds(
    SimulationConfig,
    seed=st.integers(0, 2**63 - 1),
    days=st.floats(1, 5),
    users=st.integers(400, 500),
    start=st.integers(0, 24 * 400).map(lambda hours: SEPTEMBER_2025 + hours * HOUR),
    ring_counts=st.dictionaries(st.sampled_from(list(KINDS)), st.integers(0, 2), max_size=5),
    evading_share=st.floats(0, 1),
    drift_kind=st.none() | st.sampled_from(list(KINDS)),
    drift_day=st.floats(0, 0.5),
    rings_from=st.floats(0, 0.5),
    retained=st.tuples(st.floats(0, 0.05), st.floats(0.05, 0.3)),
    unlabelled_share=st.floats(0, 1),
)


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(config=configs)
def test_any_world_is_well_formed(config: SimulationConfig) -> None:
    simulation = run(config)
    frame = frame_of(simulation)
    assert frame.timestamp.is_monotonic_increasing
    assert frame.timestamp.between(config.start, config.end, inclusive="left").all()
    assert frame.transaction_id.is_unique
    assert (frame.counterparty_id.notna() == (frame.type == "transfer")).all()
    assert not (frame.user_id == frame.counterparty_id).any()
    assert (frame.amount.astype(float) > 0).all()
    rings = simulation.rings.to_pylist()
    assert len(rings) == config.rings.total
    listed = [key for ring in rings for key in ring["transaction_ids"]]
    assert sorted(listed) == sorted(frame[frame.ring_id.notna()].transaction_id)
    when = dict(zip(frame.transaction_id, frame.timestamp, strict=True))
    for ring in rings:
        times = [when[key] for key in ring["transaction_ids"]]
        assert times == sorted(times)
        burst = [t for t, phase in zip(times, ring["phases"], strict=True) if phase != "warm_up"]
        assert burst
        assert burst[0] >= config.opens_for(ring["kind"])


@settings(max_examples=examples(25), deadline=None)
@given(
    seed=st.integers(0, 2**63 - 1),
    kinds=st.lists(st.sampled_from(MOVING), min_size=1, max_size=3, unique=True),
    evading_share=st.sampled_from([0.0, 1.0]),
)
def test_no_ring_sends_what_it_does_not_have(
    seed: int, kinds: list[str], evading_share: float
) -> None:
    config = SimulationConfig(
        seed=seed, users=400, ring_counts=dict.fromkeys(kinds, 1), evading_share=evading_share
    )
    world = build_world(np.random.default_rng(seed), config)
    for _, _, story in told(np.random.default_rng(seed), world):
        held: dict[int, int] = defaultdict(int)
        for row in sorted(story.rows, key=lambda row: row.at):
            if row.type == DEPOSIT:
                held[row.user] += row.amount
            elif row.phase != WARM_UP and row.outcome != DECLINED:
                held[row.user] -= row.amount
                assert held[row.user] >= 0 or story.roles[row.user] is Role.VICTIM
            if row.type == TRANSFER and row.outcome != DECLINED:
                held[row.to] += row.amount


@settings(max_examples=5, deadline=None)
@given(config=configs)
def test_any_world_is_repeatable(config: SimulationConfig) -> None:
    first, second = run(config), run(config)
    assert first.transactions.equals(second.transactions)
    assert first.rings.equals(second.rings)
    pd.testing.assert_frame_equal(frame_of(first), frame_of(second))


@given(seed=st.integers(0, 2**63 - 1), bits=st.sampled_from([8, 12, 16]), space=st.integers(0, 99))
def test_permutation_loses_nothing(seed: int, bits: int, space: int) -> None:
    everything = np.arange(1 << bits)
    assert sorted(permuted(everything, bits=bits, seed=seed, space=space)) == everything.tolist()


@given(st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_hexadecimal_is_pythons(values: list[int]) -> None:
    written = hexadecimal(np.array(values, dtype=np.uint64), 16).to_pylist()
    assert written == [f"{value:016x}" for value in values]


@given(st.lists(st.integers(0, 10**15), max_size=20))
def test_decimals_are_exact(minor: list[int]) -> None:
    written = decimals(np.array(minor, dtype=np.int64)).to_pylist()
    assert written == [f"{value // 100}.{value % 100:02d}" for value in minor]
