"""Shuffled edges: everybody keeps everything but who dealt with whom, and what hangs on it dies."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from gnn.examples import Examples
from gnn.model import ModelSettings
from gnn.recording import Recorder
from gnn.schema import EDGE_KINDS, MERCHANT, NODE_FEATURES, REVERSE, USER, GraphSchema
from gnn.shuffled_edges import ShuffledSpool, moved_share, shuffled
from gnn.spool import Spool, SpoolWriter, TickRows, open_spool
from gnn.tensors import Edges, Subgraph, nothing
from gnn.training import TrainingSettings, score, train
from graph.transaction import HOUR
from tests.bare_replayer import BareReplayer, stream
from tests.examples import examples


def recorded(folder: Path, seed: int, users: int = 7) -> Spool:
    replayer = BareReplayer()
    recorder = Recorder(
        replayer, replayer.window, replayer.profiles, SpoolWriter(folder), every=12 * HOUR
    )
    recorder.observe_features(
        stream(seed, 120, users=users, gap=HOUR), np.zeros((120, 1), np.float32)
    )
    recorder.finish()
    return open_spool(folder)


def heard(edges: Edges, *, back: bool) -> Counter:
    """Edges by near end, far end and features, each as often as it is heard."""
    near, far = edges.ends[::-1] if back else edges.ends
    said = (features.tobytes() for features in edges.features)
    return Counter(zip(near.tolist(), far.tolist(), said, strict=True))


def counted(ends: np.ndarray) -> Counter:
    return Counter(ends.tolist())


def require_shuffled(before: Subgraph, after: Subgraph) -> None:
    for name in ("as_of", "ids", "features", "seeds", "listeners"):
        np.testing.assert_equal(getattr(after, name), getattr(before, name))
    for kind in EDGE_KINDS:
        old, new = before.edges[kind], after.edges[kind]
        near = 1 if kind[1].startswith(REVERSE) else 0
        np.testing.assert_array_equal(new.ends[near], old.ends[near])
        np.testing.assert_array_equal(new.features, old.features)
        assert new.near == old.near
        for part in (slice(None, old.near), slice(old.near, None)):
            assert counted(new.ends[1 - near][part]) == counted(old.ends[1 - near][part])
        source, _, target = kind
        speakers, ears = new.ends[:, : new.near]
        assert (ears < before.seeds[target]).all()
        assert (speakers < before.listeners[source]).all()
        assert (new.ends[1] < before.listeners[target]).all()
    for kind in EDGE_KINDS:
        if not kind[1].startswith(REVERSE):
            back = kind[2], REVERSE + kind[1], kind[0]
            both = [
                (heard(of.edges[kind], back=False) & heard(of.edges[back], back=True)).total()
                for of in (before, after)
            ]
            assert both[1] >= both[0]  # both directions of an edge still say the same


@pytest.fixture(scope="module", params=[4, 20])
def spool(request, tmp_path_factory) -> Spool:
    return recorded(tmp_path_factory.mktemp("spool"), 1, request.param)


@settings(max_examples=examples(5))
@given(st.integers(0, 10**6))
def test_everybody_keeps_as_many_edges_with_their_features_both_ways(spool, seed):
    mixed = ShuffledSpool.of(spool, seed)
    for before, after in zip(spool, mixed, strict=True):
        require_shuffled(before.subgraph, after.subgraph)
        np.testing.assert_array_equal(after.members, before.members)
    assert 0.2 < moved_share(mixed) < 1.0


def test_a_tick_is_shuffled_alike_at_every_reading_and_by_another_seed_otherwise(spool):
    def ends(seed: int, number: int) -> bytes:
        found = ShuffledSpool.of(spool, seed).tick(number).subgraph.edges
        return b"".join(found[kind].ends.tobytes() for kind in EDGE_KINDS)

    last = len(spool) - 1
    assert ends(3, last) == ends(3, last)
    assert ends(3, last) != ends(4, last)


def test_a_graph_without_edges_stays_as_it_is(tmp_path):
    before = nothing(7)
    require_shuffled(before, shuffled(before, np.random.default_rng(0)))
    writer = SpoolWriter(tmp_path)
    writer.add(_rows(0, 2), before, np.full((2, 5), -1, np.int32))
    writer.finish(HOUR)
    assert np.isnan(moved_share(ShuffledSpool.of(open_spool(tmp_path), 0)))


@pytest.mark.slow
def test_what_only_edges_tell_is_not_learned_from_shuffled_ones(tmp_path):
    """A user is a fraud where the one merchant it deals with is marked."""
    size, ticks = 40, 16
    rng = np.random.default_rng(0)
    writer, fraud = SpoolWriter(tmp_path), []
    for number in range(ticks):
        marked = rng.random(size) < 0.3
        dealt = rng.permutation(size)
        fraud += marked[dealt].tolist()
        writer.add(_rows(number * size, size), _dealing(marked, dealt), _members(size))
    writer.finish(HOUR)
    spool, rows = open_spool(tmp_path), np.arange(size * ticks)
    made = Examples(
        rows, np.array(fraud), np.ones(len(rows), np.float32), np.zeros((len(rows), 0), np.float32)
    )
    early, later, test = np.split(rows, [8 * size, 12 * size])
    reached = []
    for of in (spool, ShuffledSpool.of(spool, 0)):
        found = train(
            of,
            made,
            early,
            later,
            schema=GraphSchema(),
            shape=ModelSettings(hidden=8, embedding=4, head=8, dropout=0.0),
            settings=TrainingSettings(epochs=2, rate=0.02, ticks=1),
            device="cpu",
        )
        said = score(found.model, of, made, test)
        reached.append(average_precision_score(made.fraud[test], said))
    assert reached[0] > 0.95
    assert reached[1] < made.fraud[test].mean() + 0.15


def _rows(first: int, size: int) -> TickRows:
    return TickRows(
        np.arange(first, first + size),
        np.zeros(size, np.int64),
        np.zeros((size, 5), np.int32),
        np.zeros((size, 5), np.int32),
        np.ones(size, np.bool_),
    )


def _members(size: int) -> np.ndarray:
    members = np.full((size, 5), -1, np.int32)
    members[:, 0] = np.arange(size)
    return members


def _dealing(marked: np.ndarray, dealt: np.ndarray) -> Subgraph:
    size, empty = len(marked), nothing(0)
    features = dict(empty.features)
    features[USER] = np.zeros((size, len(NODE_FEATURES[USER])), np.float16)
    features[MERCHANT] = np.zeros((size, len(NODE_FEATURES[MERCHANT])), np.float16)
    features[MERCHANT][:, 0] = marked
    edges = dict(empty.edges)
    ends = np.stack([dealt, np.arange(size)]).astype(np.int32)
    edges[MERCHANT, "rev_dealt_with", USER] = Edges(ends, np.zeros((size, 3), np.float16), size)
    ids = dict(empty.ids) | {kind: np.arange(size, dtype=np.int32) for kind in (USER, MERCHANT)}
    listeners = dict(empty.listeners) | {USER: size, MERCHANT: size}
    return empty._replace(
        ids=ids,
        features=features,
        edges=edges,
        seeds=dict(empty.seeds) | {USER: size},
        listeners=listeners,
    )
