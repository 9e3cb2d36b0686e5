"""Laws of rings through their life: splits, merges, money, replays, and who belongs where."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.evidence import Evidence, Hop, Pattern, Role
from graph.ring_book import RingBook
from graph.ring_money import Holdings
from graph.ring_overlap import parts_of, weight, weights_of
from graph.ring_policy import RingPolicy
from graph.ring_roles import ring_roles
from graph.ring_score import score_of
from graph.ring_split import seed_of
from graph.rings import Ring, RingEventKind
from graph.transaction import HOUR, Entity, EntityKind
from tests.examples import examples
from tests.oracles.ring_evidence import (
    LETTERS,
    histories,
    parts_by_pairs,
    score_by_definition,
    user,
)

# Short lives, so that what joins a ring grows old within a stream.
HASTY = RingPolicy(quiet_after=HOUR, expire_after=3 * HOUR)


def told(steps: list[list[Evidence]], policy: RingPolicy = HASTY):
    """The book after each step, with what it told and how rings stood right before each event."""
    book = RingBook(policy)
    stood: dict[str, Ring] = {}
    for pieces in steps:
        at = max([piece.seen_at for piece in pieces], default=0)
        events = book.observe(pieces, at)
        yield book, events, stood
        stood.update((event.ring.ring_id, event.ring) for event in events)


@settings(max_examples=examples(30))
@given(histories())
def test_a_split_gives_every_member_transaction_and_piece_to_exactly_one_part(steps):
    # By id, as a part stood at its event: the book may have replaced some of it since.
    pieces = {piece.evidence_id: piece for step in steps for piece in step}
    for _, events, before in told(steps):
        stood, born = dict(before), {}
        for event in events:
            ring = event.ring
            if event.kind is RingEventKind.BORN and ring.split_from is not None:
                born[ring.ring_id] = ring
            elif event.kind is RingEventKind.SPLIT:
                whole = stood[ring.ring_id]
                parts = [ring, *(born[ring_id] for ring_id in event.split_ring_ids)]
                assert [part.split_from for part in parts[1:]] == [ring.ring_id] * len(born)
                given_out = Counter(entity for part in parts for entity, _ in part.members)
                assert given_out == Counter(entity for entity, _ in whole.members)
                for shared_out in ("transactions", "evidence"):
                    given_out = Counter(x for part in parts for x in getattr(part, shared_out))
                    assert given_out == Counter(getattr(whole, shared_out))
                assert sum(part.money for part in parts) == whole.money
                assert event.added_money == -sum(part.money for part in parts[1:])
                assert all(len(part.members) >= 2 for part in parts)
                ranks = [
                    (-part.score, seed_of([pieces[id_] for id_ in part.evidence])) for part in parts
                ]
                assert ranks == sorted(ranks), "the riskiest keeps the id"
                assert whole.aliases == ring.aliases
                born = {}
            stood[ring.ring_id] = ring
        assert not born, "what split off is told by the ring it came from"


@settings(max_examples=examples(30))
@given(histories())
def test_what_a_ring_says_follows_from_what_it_holds(steps):
    hops: dict[str, Hop] = {}
    for pieces, (book, _, _) in zip(steps, told(steps), strict=True):
        hops |= {hop.transaction_id: hop for piece in pieces for hop in piece.hops}
        for ring in book.live():
            witness = [hops[key] for key in ring.transactions]
            assert witness == sorted(witness, key=lambda h: (h.timestamp, h.transaction_id))
            assert ring.money == sum(hop.value for hop in witness)
            assert ring.recoverable == held(witness)
            evidence = book.evidence_of(ring.ring_id)
            assert ring.score == score_of(evidence)
            assert ring.score == pytest.approx(score_by_definition(evidence))
            assert fringe_of(ring, evidence) == {
                entity for entity, role in ring.members if role is Role.FRINGE
            }


def fringe_of(ring: Ring, evidence: Sequence[Evidence]) -> set[Entity]:
    """Accounts named less than the policy's share of what the ring's mean account is."""
    accounts = [entity for entity, _ in ring.members if entity.kind is EntityKind.USER]
    named = dict.fromkeys(accounts, 0)
    for entity in accounts:
        for pattern in Pattern:
            pieces = [p for p in evidence if p.pattern is pattern and entity in p.entities]
            named[entity] += min(sum(round(1_000 * p.strength) for p in pieces), 1_000)
    least = HASTY.belonging * sum(named.values()) / len(accounts)
    return {entity for entity in accounts if named[entity] < least}


def held(witness: list[Hop]) -> int:
    """What users still hold, transaction by transaction."""
    purses: Counter[Entity] = Counter()
    for hop in witness:
        if hop.source == hop.target:
            continue
        if hop.source is not None:
            purses[hop.source] = max(0, purses[hop.source] - hop.value)
        if hop.target is not None:
            purses[hop.target] += hop.value
    return sum(value for entity, value in purses.items() if entity.kind is EntityKind.USER)


@given(
    st.lists(
        st.builds(
            Hop,
            st.uuids().map(str),
            st.sampled_from([*map(user, "abc"), None, Entity(EntityKind.MERCHANT, "shop")]),
            st.sampled_from([*map(user, "abc"), None, Entity(EntityKind.MERCHANT, "shop")]),
            st.integers(1, 100),
            st.integers(0, 5),
        ),
        max_size=30,
        unique_by=lambda hop: hop.transaction_id,
    )
)
def test_what_is_recoverable_does_not_depend_on_the_order_of_arrival(hops):
    ordered = sorted(hops, key=lambda hop: (hop.timestamp, hop.transaction_id))
    assert Holdings(hops).total == Holdings(ordered).total == held(ordered)
    users = [user(name) for name in "abc"]
    assert Holdings(hops).total == sum(Holdings(hops).of(one) for one in users)


@settings(max_examples=examples(30))
@given(histories(), st.data())
def test_a_replay_from_any_snapshot_leaves_the_same_bytes(steps, data):
    cuts = data.draw(st.sets(st.integers(0, len(steps)), max_size=4))
    resumed = RingBook(HASTY)
    for number, (pieces, (book, events, _)) in enumerate(zip(steps, told(steps), strict=True)):
        if number in cuts:
            resumed = RingBook.restore(resumed.snapshot())
        at = max([piece.seen_at for piece in pieces], default=0)
        assert resumed.observe(pieces, at) == events
        if number + 1 == len(steps):
            assert book.snapshot() == resumed.snapshot()


@settings(max_examples=examples(30))
@given(histories())
def test_ids_once_told_lead_to_a_ring_and_members_to_their_rings(steps):
    ids = set()
    for book, events, _ in told(steps):
        ids |= {event.ring.ring_id for event in events}
        for ring_id in ids:
            found = book.get(ring_id)
            assert found is not None
            assert ring_id == found.ring_id or ring_id in found.aliases
        for name in LETTERS:
            expected = {ring.ring_id for ring in book.live() if user(name) in ring.roles}
            assert book._index.of([user(name)]) == expected


@settings(max_examples=examples(30))
@given(histories(longest=15), st.integers(0, 2**32))
def test_the_order_of_pieces_does_not_change_the_parts(steps, seed):
    pieces = [weights_of(piece) for step in steps for piece in step]
    groups, cut = parts_of(pieces, HASTY.overlap)
    assert not cut
    assert groups == parts_by_pairs(pieces, HASTY.overlap)
    mixed = sorted(range(len(pieces)), key=lambda i: (seed * (i + 1)) % 65_537)
    again, _ = parts_of([pieces[i] for i in mixed], HASTY.overlap)
    assert sorted(sorted(mixed[i] for i in group) for group in again) == groups


@settings(max_examples=examples(30))
@given(histories())
def test_everybody_has_one_role_and_only_roles_of_a_ring(steps):
    parts = {Role.VICTIM, Role.MULE, Role.CONTROLLER, Role.CASH_OUT, Role.BYSTANDER, Role.FRINGE}
    for book, _, _ in told(steps):
        for ring in book.live():
            roles = ring_roles(ring.members, book.evidence_of(ring.ring_id), HASTY)
            assert [each.entity for each in roles] == [entity for entity, _ in ring.members]
            for each in roles:
                is_account = each.entity.kind is EntityKind.USER
                assert each.role in parts if is_account else each.role is Role.SHARED
                assert each.reason.endswith(".")


@pytest.mark.parametrize("role", Role)
def test_every_role_weighs_something_except_an_address(role: Role) -> None:
    assert weight(user("a"), role) > 0
    assert weight(Entity(EntityKind.IP, "nat"), role) == 0
