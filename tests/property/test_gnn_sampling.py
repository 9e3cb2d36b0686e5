"""Neighbourhoods against brute force with networkx: whoever is asked, whatever they are called."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnn.sampling import Fanout
from gnn.schema import ACCOUNT_KINDS, EDGE_KINDS, NODE_FEATURES, NODE_KINDS
from gnn.snapshots import GraphSnapshot
from gnn.tensors import Subgraph, from_arrays, to_arrays
from graph.transaction import Entity, Transaction
from tests.bare_replayer import BareReplayer, renamed, stream
from tests.examples import examples
from tests.oracles.neighbourhoods import Past

FANOUTS = st.builds(Fanout, *(st.integers(1, 4) for _ in range(4)))
SEEDS = st.integers(0, 2**32 - 1)


def observed(transactions: list[Transaction]) -> BareReplayer:
    replayer = BareReplayer()
    assert all(replayer.observe(tx) for tx in transactions)
    return replayer


def taken(replayer: BareReplayer, as_of: int, fanout: Fanout) -> GraphSnapshot:
    profiles = replayer.profiles.columns(replayer.window)
    return GraphSnapshot.take(replayer.window, profiles, as_of, fanout)


def ids_of(replayer: BareReplayer, entities: list[Entity]) -> tuple[np.ndarray, np.ndarray]:
    window = replayer.window
    own = [e for e in entities if e.kind.value in ACCOUNT_KINDS]
    others = [e for e in entities if e.kind.value not in ACCOUNT_KINDS]
    return (
        np.array([window.accounts.find(e.kind, e.id) for e in own], np.int32),
        np.array([window.identifiers.find(e.kind, e.id) for e in others], np.int32),
    )


def named(replayer: BareReplayer, subgraph: Subgraph) -> dict[str, list[Entity]]:
    spaces = dict.fromkeys(ACCOUNT_KINDS, replayer.window.accounts)
    return {
        kind: [spaces.get(kind, replayer.window.identifiers).entity(int(i)) for i in ids]
        for kind, ids in subgraph.ids.items()
    }


def spoken(replayer: BareReplayer, subgraph: Subgraph, *, near: bool) -> Counter:
    """Edges by who and what, their features in 16 bits."""
    names, found = named(replayer, subgraph), Counter()
    for kind in EDGE_KINDS:
        edges = subgraph.edges[kind]
        rows = range(edges.near if near else edges.ends.shape[1])
        for i in rows:
            source, target = edges.ends[:, i]
            said = tuple(edges.features[i].tolist())
            found[names[kind[0]][source], kind[1], names[kind[2]][target], said] += 1
    return found


def expected(graph, listeners: set[Entity]) -> Counter:
    return Counter(
        (source, data["relation"], target, tuple(np.array(data["said"], np.float16).tolist()))
        for source, target, data in graph.in_edges(listeners & set(graph), data=True)
    )


@given(SEEDS, FANOUTS, st.data())
def test_a_neighbourhood_is_the_newest_edges_of_its_seeds_and_of_those_who_speak_to_them(
    seed, fanout, data
):
    transactions = stream(seed, data.draw(st.integers(1, 60)))
    replayer, as_of = observed(transactions), transactions[-1].timestamp + 1
    everybody = sorted({e for tx in transactions for e in tx.entities})
    seeds = data.draw(st.lists(st.sampled_from(everybody), unique=True))
    subgraph = taken(replayer, as_of, fanout).around(*ids_of(replayer, seeds))
    heard = Past(transactions, as_of).heard(fanout)
    near = expected(heard, set(seeds))
    frontier = {source for source, *_ in near} | set(seeds)
    far = expected(heard, frontier)
    assert spoken(replayer, subgraph, near=True) == near
    assert spoken(replayer, subgraph, near=False) == far
    names = named(replayer, subgraph)
    for kind in NODE_KINDS:
        assert set(names[kind][: subgraph.seeds[kind]]) == {e for e in seeds if e.kind == kind}
        listening = {e for e in frontier if e.kind == kind}
        assert set(names[kind][: subgraph.listeners[kind]]) == listening
        assert set(names[kind]) == listening | {s for s, *_ in far if s.kind == kind}


@given(SEEDS, st.integers(1, 60))
def test_features_of_nodes_are_what_a_list_of_transactions_says(seed, length):
    transactions = stream(seed, length)
    replayer, as_of = observed(transactions), transactions[-1].timestamp + 1
    past = Past(transactions, as_of)
    everybody = sorted({e for tx in transactions for e in tx.entities})
    subgraph = taken(replayer, as_of, Fanout()).around(*ids_of(replayer, everybody))
    for kind, entities in named(replayer, subgraph).items():
        columns = list(NODE_FEATURES[kind])
        for entity, row in zip(entities, subgraph.features[kind], strict=True):
            told = dict(zip(columns, row.tolist(), strict=True))
            for name, value in past.features(entity).items():
                assert told[name] == pytest.approx(value, rel=2e-3, abs=2e-3), (entity, name)


@settings(max_examples=examples(50))
@given(SEEDS, SEEDS)
def test_names_do_not_matter(seed, other):
    transactions = stream(seed, 40)
    as_of = transactions[-1].timestamp + 1
    cut = []
    for told in (transactions, renamed(transactions, other)):
        replayer = observed(told)
        ids = ids_of(replayer, [told[-1].user, *told[-1].identifiers])
        cut.append(to_arrays(taken(replayer, as_of, Fanout()).around(*ids)))
    for name, array in cut[0].items():
        np.testing.assert_array_equal(array, cut[1][name], err_msg=name)


@settings(max_examples=examples(20))
@given(SEEDS)
def test_what_is_stored_comes_back(seed):
    transactions = stream(seed, 30)
    replayer = observed(transactions)
    users = sorted({tx.user for tx in transactions})
    subgraph = taken(replayer, transactions[-1].timestamp + 1, Fanout()).around(
        *ids_of(replayer, users)
    )
    again = to_arrays(from_arrays(to_arrays(subgraph)))
    for name, array in to_arrays(subgraph).items():
        np.testing.assert_array_equal(array, again[name])
        assert array.dtype == again[name].dtype


def test_an_id_that_is_somebody_elses_now_is_a_stranger():
    transactions = stream(3, 40)
    replayer = observed(transactions)
    snapshot = taken(replayer, transactions[-1].timestamp + 1, Fanout())
    ids = np.array([0, 0, -1, 255], np.int32)
    generations = snapshot.account_generation[[0, 0, 0, 0]] + np.array([0, 1, 0, 0], np.int32)
    assert snapshot.known(ids, generations, accounts=True).tolist() == [True, False, False, False]
