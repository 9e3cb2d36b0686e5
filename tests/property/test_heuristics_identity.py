"""Shared identity against plain sets, on any stream."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from graph.evidence import Pattern
from graph.heuristics.identity import SharedIdentity
from graph.thresholds import Thresholds
from graph.transaction import Entity, EntityKind, Transaction
from tests.examples import examples
from tests.oracles import identity as sharing
from tests.oracles import streams

LIMITS = Thresholds(device_users=2, farm_users=3, card_users=2, ip_users=2)


@st.composite
def sightings(draw: st.DrawFn) -> list[Transaction]:
    """Payments of a few users through a few devices, cards and IPs."""

    def some(name: str, n: int) -> st.SearchStrategy[str | None]:
        return st.sampled_from([*(f"{name}{i}" for i in range(n)), None])

    row = st.tuples(st.integers(0, 6), some("d", 4), some("c", 4), some("ip", 2))
    least = draw(st.sampled_from([0, 20]))
    rows = draw(st.lists(row, min_size=least, max_size=40))
    return [
        streams.transaction(
            i, i, f"u{user}", "shop", 100, device_id=device, card_id=card, ip_address=ip
        )
        for i, (user, device, card, ip) in enumerate(rows)
    ]


@given(sightings())
@settings(max_examples=examples(200), deadline=None)
def test_sharing_is_what_sets_say(stream: list[Transaction]) -> None:
    window, identity = streams.small_window(), SharedIdentity(LIMITS)
    for i, tx in enumerate(stream):
        past, now = stream[:i], stream[: i + 1]
        found = {e.pattern: e for e in identity.detect(window, tx, window.add(tx))}
        new_link = False
        for pattern, kind, key in (
            (Pattern.SHARED_DEVICE, EntityKind.DEVICE, tx.device_id),
            (Pattern.SHARED_CARD, EntityKind.CARD, tx.card_id),
        ):
            expected = set()
            if key is not None and tx.user not in sharing.users_of(past, Entity(kind, key)):
                new_link = True
                expected = sharing.users_of(now, Entity(kind, key))
            if len(expected) < 2:
                assert pattern not in found
            else:
                assert found[pattern].members[0][0] == Entity(kind, key)
                assert {user for user, _ in found[pattern].members[1:]} == expected
                assert 0 < found[pattern].strength <= 0.95
        expected = set()
        if tx.ip_address is not None:
            ip = Entity(EntityKind.IP, tx.ip_address)
            if new_link or tx.user not in sharing.users_of(past, ip):
                expected = sharing.together(now, tx)
        if len(expected) < 2:
            assert Pattern.SHARED_IP not in found
        else:
            assert {user for user, _ in found[Pattern.SHARED_IP].members[1:]} == expected


@given(sightings(), st.integers(0, 2**32))
@settings(max_examples=examples(100), deadline=None)
def test_names_change_nothing_but_names(stream: list[Transaction], seed: int) -> None:
    rng = random.Random(seed)
    names = {f"u{i}": f"{rng.getrandbits(64):x}" for i in range(7)}
    renamed = [structs.replace(tx, user_id=names[tx.user_id]) for tx in stream]
    window, identity = streams.small_window(), SharedIdentity(LIMITS)
    other, again = streams.small_window(), SharedIdentity(LIMITS)
    for tx, alias in zip(stream, renamed, strict=True):
        found = identity.detect(window, tx, window.add(tx))
        told = again.detect(other, alias, other.add(alias))
        assert [(e.pattern, e.strength, dict(e.facts)) for e in found] == [
            (e.pattern, e.strength, dict(e.facts)) for e in told
        ]
        assert again.detect(other, alias, other.add(alias)) == ()
