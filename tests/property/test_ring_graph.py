"""A ring's graph: what is taken out of it, who its members are called, and what comes later."""

from collections import Counter
from random import Random

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gnn.explain import importance, own_score
from gnn.ring_columns import columns_of, feed
from gnn.ring_graph import MOST_HOPS, MOST_MEMBERS, MOST_PIECES, RingGraph, ring_graph
from gnn.ring_head import MESSAGES, RingHead, RingHeadSettings
from gnn.ring_training import score_rings
from graph.counterfactual import needed_by, what_clears
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.ring_book import RingBook
from graph.ring_policy import RingPolicy
from graph.rings import Ring, unborn
from graph.transaction import HOUR, Entity
from scorer.evidence_context import NAMES
from scorer.evidence_log import EvidenceLog
from scorer.ring_lessons import revisions_of
from tests.examples import examples
from tests.oracles.ring_evidence import cycle, histories, mule, user

POLICY = RingPolicy()


def a_head(messages="relational") -> RingHead:
    """One that has learned nothing, and says something else of every ring."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return RingHead(RingHeadSettings(messages=messages)).eval()


HEAD = a_head()


def by_head(graphs) -> list[float]:
    return score_rings(HEAD, [columns_of(graph) for graph in graphs]).tolist()


def rings_of(steps) -> list[tuple[Ring, tuple[Evidence, ...]]]:
    book = RingBook()
    for pieces in steps:
        book.observe(pieces, 0)
    return [(ring, book.evidence_of(ring.ring_id)) for ring in book.live()]


def contents(graph: RingGraph):
    """What a graph holds, by name: nothing of how it is numbered."""
    ids = [piece.evidence_id for piece in graph.pieces]
    ends = [
        tuple(None if end < 0 else graph.members[end] for end in pair)
        for pair in graph.hop_ends.T.tolist()
    ]
    hops = Counter(
        (ids[p], graph.transactions[t], *pair, value, at)
        for p, t, pair, value, at in zip(
            graph.hop_piece.tolist(),
            graph.hop_transaction.tolist(),
            ends,
            graph.hop_value.tolist(),
            graph.hop_time.tolist(),
            strict=True,
        )
    )
    parts = Counter(
        (graph.members[m], ids[p], role, needed)
        for (m, p), role, needed in zip(
            graph.part_ends.T.tolist(),
            graph.part_role.tolist(),
            graph.part_needed.tolist(),
            strict=True,
        )
    )
    roles = dict(zip(graph.members, graph.roles.tolist(), strict=True))
    return roles, ids, set(graph.transactions), hops, parts


def by_hand(graph: RingGraph, member=None, transaction=None, piece=None):
    """`RingGraph.without` as its module says it, over evidence and not over arrays."""
    hops, needs = {}, {}
    for each in graph.pieces:
        kept = [h for h in each.hops if member is None or member not in (h.source, h.target)]
        kept = [hop for hop in kept if hop.transaction_id != transaction]
        gone = [hop for hop in each.hops if hop not in kept]
        needs[each.evidence_id] = needing = needed_by(each)
        falls = each.evidence_id == piece or (member in needing) or (each.hops and not kept)
        if transaction is not None:
            for hop in gone:
                falls |= hop.source in needing and not any(h.source == hop.source for h in kept)
                falls |= hop.target in needing and not any(h.target == hop.target for h in kept)
        if not falls:
            hops[each.evidence_id] = kept
    standing = [each for each in graph.pieces if each.evidence_id in hops]
    named = {entity for each in graph.pieces for entity, _ in each.members}
    still = {entity for each in standing for entity, _ in each.members}
    members = [
        entity
        for entity in graph.members
        if entity != member and (entity in still or entity not in named)
    ]
    left = {hop.transaction_id for each in standing for hop in hops[each.evidence_id]}
    return (
        set(members),
        [each.evidence_id for each in standing],
        left,
        Counter((id_, hop.transaction_id) for id_, some in hops.items() for hop in some),
        {(entity, each.evidence_id) for each in standing for entity, _ in each.members}
        - {(member, each.evidence_id) for each in standing},
    )


def outline(graph: RingGraph):
    roles, ids, transactions, hops, parts = contents(graph)
    return (
        set(roles),
        ids,
        transactions,
        sum((Counter({each[:2]: n}) for each, n in hops.items()), Counter()),
        {each[:2] for each in parts},
    )


@settings(max_examples=examples(30))
@given(histories(longest=12))
def test_what_is_taken_away_takes_along_what_cannot_stand_without_it(steps):
    for ring, evidence in rings_of(steps):
        whole = ring_graph(ring, evidence)
        before = contents(whole)
        for n, entity in enumerate(whole.members):
            assert outline(whole.without(member=n)) == by_hand(whole, member=entity)
        for n, id_ in enumerate(whole.transactions):
            assert outline(whole.without(transaction=n)) == by_hand(whole, transaction=id_)
        for n, piece in enumerate(whole.pieces):
            assert outline(whole.without(piece=n)) == by_hand(whole, piece=piece.evidence_id)
        assert contents(whole) == before


@settings(max_examples=8)
@given(histories(longest=8))
def test_every_drop_is_the_difference_of_two_scores_that_were_computed(steps):
    for ring, evidence in rings_of(steps):
        whole = ring_graph(ring, evidence)
        for scorer in (by_head, own_score(POLICY)):
            found = importance(whole, scorer)
            (full,) = scorer([whole])
            assert found.score == full

            def alone(scorer=scorer, whole=whole, **taken) -> float:
                return scorer([whole.without(**taken)])[0]

            members = {e: alone(member=n) for n, e in enumerate(whole.members)}
            hops = {t: alone(transaction=n) for n, t in enumerate(whole.transactions)}
            pieces = {p.evidence_id: alone(piece=n) for n, p in enumerate(whole.pieces)}
            said = [
                ({each.entity: each for each in found.members}, members),
                ({each.hop.transaction_id: each for each in found.hops}, hops),
                ({each.piece.evidence_id: each for each in found.pieces}, pieces),
            ]
            for effects, expected in said:
                assert effects.keys() == expected.keys()
                for key, rest in expected.items():
                    assert effects[key].remaining == pytest.approx(rest, abs=1e-5)
                    assert effects[key].drop == found.score - effects[key].remaining
            for effects in (found.members, found.hops, found.pieces):
                drops = [each.drop for each in effects]
                assert drops == sorted(drops, reverse=True)


@settings(max_examples=examples(30))
@given(histories(longest=12))
def test_by_the_engines_own_score_a_member_leaves_what_the_counterfactual_says(steps):
    for ring, evidence in rings_of(steps):
        found = importance(ring_graph(ring, evidence), own_score(POLICY))
        left = {each.entity: each.remaining for each in found.members}
        for removal in what_clears(evidence, POLICY).clearing:
            assert left[removal.entity] == pytest.approx(removal.remaining)


def renamed(ring: Ring, evidence, rng: Random):
    """The same ring of people with other names, in another order, of evidence in another order."""
    known = {entity for piece in evidence for entity, _ in piece.members}
    known |= {entity for entity, _ in ring.members}
    names = [f"n{number}" for number in range(len(known))]
    rng.shuffle(names)
    other = {e: Entity(e.kind, name) for e, name in zip(sorted(known), names, strict=True)}

    def hop(old: Hop) -> Hop:
        ends = {
            side: None if getattr(old, side) is None else other[getattr(old, side)]
            for side in ("source", "target")
        }
        return msgspec.structs.replace(old, transaction_id=f"x{old.transaction_id}", **ends)

    pieces = []
    for piece in evidence:
        first, *rest = piece.members
        rng.shuffle(rest)
        members = tuple((other[entity], role) for entity, role in (first, *rest))
        pieces.append(replace(piece, members=members, hops=tuple(map(hop, piece.hops))))
    rng.shuffle(pieces)
    members = [(other[entity], role) for entity, role in ring.members]
    rng.shuffle(members)
    return replace(ring, members=tuple(members)), pieces


@pytest.mark.parametrize("messages", MESSAGES)
@settings(max_examples=examples(15))
@given(steps=histories(longest=12), rng=st.randoms(use_true_random=False))
def test_a_score_knows_neither_names_nor_order(messages, steps, rng):
    head = a_head(messages)
    rings = rings_of(steps)
    plain = [columns_of(ring_graph(*each)) for each in rings]
    others = [columns_of(ring_graph(*renamed(*each, rng))) for each in rings]
    together = score_rings(head, plain)
    np.testing.assert_allclose(score_rings(head, others), together, atol=1e-5)
    alone = [score_rings(head, [each])[0] for each in plain]
    np.testing.assert_allclose(alone, together, atol=1e-5)


@settings(max_examples=examples(25))
@given(steps=histories(longest=16), cut=st.integers(1, 16))
def test_nothing_that_comes_later_changes_what_a_ring_looked_like(steps, cut):
    cut = min(cut, len(steps))
    poison = [
        [cycle(f"p{n}", "abcdefghijkl"[n:] + "abcdefghijkl"[:n], 99 * HOUR + n, value=10**9)]
        for n in range(12)
    ]
    honest, poisoned = (logged(each) for each in (steps[:cut], steps[:cut] + poison))
    expected = revisions_of(honest, POLICY, cut)
    assert revisions_of(poisoned, POLICY, cut - 1) == expected
    after = revisions_of(poisoned, POLICY, len(steps) + 12)
    for early, late in zip(expected, after, strict=False):
        # All but the last are shown whatever comes; as it stood last is another matter.
        for one, other in zip(early[:-1], late, strict=False):
            mine, theirs = (
                feed([columns_of(ring_graph(*one))]),
                feed([columns_of(ring_graph(*other))]),
            )
            assert all(np.array_equal(mine[name], theirs[name]) for name in mine)


def logged(steps) -> EvidenceLog:
    log = EvidenceLog()
    for place, pieces in enumerate(steps):
        if pieces:
            log.add(place, 0, (), pieces, np.zeros((len(pieces), len(NAMES)), np.float32))
    return log


def a_ring(pieces, members=None) -> Ring:
    told = members or tuple({e: (e, role) for p in pieces for e, role in p.members}.values())
    return replace(
        unborn("r", 0), members=told, evidence=tuple(piece.evidence_id for piece in pieces)
    )


def test_a_cycle_falls_with_any_hop_and_a_fan_with_none():
    circle = cycle("c", "abc", HOUR)
    payers = [user(f"p{n}") for n in range(9)]
    hops = tuple(Hop(f"f{n}", payer, user("h"), 100, n) for n, payer in enumerate(payers))
    fan = Evidence(
        Pattern.FAN_IN,
        9,
        ((user("h"), Role.RECEIVER), *((payer, Role.SENDER) for payer in payers)),
        hops,
        0.8,
        "Many paid one.",
    )
    pieces = [fan, circle]
    found = importance(ring_graph(a_ring(pieces), pieces), own_score(POLICY))
    falling = {each.hop.transaction_id: each.falling for each in found.hops}
    assert all(falling[f"c.{n}"] == (circle.evidence_id,) for n in range(3))
    assert all(falling[f"f{n}"] == () for n in range(9))
    by_name = {each.entity.id: each for each in found.members}
    assert by_name["h"].evidence == (fan.evidence_id,)
    assert by_name["p3"].transactions == ("f3",)
    (gone,) = [each for each in found.pieces if each.piece is circle]
    assert gone.members == tuple(user(name) for name in "abc")
    assert not found.truncated


def test_money_that_left_the_graph_has_one_end():
    piece = mule("m", "x", "ab", "y", HOUR)
    out = Hop("cash", user("x"), None, 900, HOUR)
    piece = replace(piece, hops=(*piece.hops, out))
    graph = ring_graph(a_ring([piece]), [piece])
    assert graph.hop_ends[1].tolist().count(-1) == 1
    assert columns_of(graph).hop[:, -1].tolist().count(1.0) == 1
    assert np.isfinite(by_head([graph])).all()


def test_the_bounds_are_kept_and_said():
    crowd = tuple((user(f"u{n:03}"), Role.MEMBER) for n in range(MOST_MEMBERS + 50))
    last = mule("m", "x", "ab", "y", HOUR)
    crowd = (*crowd, *last.members)
    large = ring_graph(a_ring([last], crowd), [last])
    assert len(large.members) == MOST_MEMBERS
    assert set(last.entities) <= set(large.members)
    assert large.truncated
    many = [cycle(f"{n}", "abc", n * HOUR) for n in range(MOST_PIECES + 1)]
    newest = ring_graph(a_ring(many), many)
    assert [piece.seen_at for piece in newest.pieces] == [n * HOUR for n in range(1, 101)]
    assert newest.truncated
    ends = [user("a"), user("b")]
    long_ = [
        Evidence(
            Pattern.PING_PONG,
            n,
            ((ends[0], Role.MEMBER), (ends[1], Role.MEMBER)),
            tuple(Hop(f"{n}.{k}", *ends, 1 + k, k) for k in range(MOST_HOPS // 2 + 1)),
            0.5,
            "Often.",
        )
        for n in range(2)
    ]
    full = ring_graph(a_ring(long_), long_)
    assert len(full.hop_value) == MOST_HOPS
    assert np.bincount(full.hop_piece).tolist() == [MOST_HOPS // 2 - 1, MOST_HOPS // 2 + 1]
    assert full.truncated
    found = importance(full, lambda graphs: [float(len(graph.transactions)) for graph in graphs])
    assert len(found.hops) == 200
    assert found.truncated


def test_a_ring_of_which_nothing_is_known_is_scored():
    nobody = ring_graph(unborn("r", 0), [])
    alone = ring_graph(a_ring([], ((user("a"), Role.MEMBER),)), [])
    assert np.isfinite(by_head([nobody, alone])).all()
    assert importance(nobody, by_head).members == ()
    assert own_score(POLICY)([nobody, alone]) == [0.0, 0.0]
    assert by_head([]) == []
