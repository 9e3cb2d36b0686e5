"""Rings through their life: born, grew, merged, quiet, expired; alerts told once."""

import itertools
import random
from functools import partial

import pytest
from msgspec.structs import replace

from graph.alerting import headline
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.ring_book import RingBook
from graph.ring_policy import RingPolicy
from graph.rings import RingEventKind, RingState
from graph.transaction import HOUR, MINUTE, Entity, EntityKind, Money, Transaction, TransactionType
from tests.oracles import ring_evidence as evidence

KINDS = RingEventKind


def user(name: str) -> Entity:
    return Entity(EntityKind.USER, name)


def cycle(first: int, names: str, *, strength: float = 0.7, at: int = 0) -> Evidence:
    """A cycle through one-letter users; its transactions are numbered from `first`."""
    hops = tuple(
        Hop(f"t{first + i}", user(a), user(b), 1_000, at + i)
        for i, (a, b) in enumerate(zip(names, names[1:] + names[0], strict=True))
    )
    members = tuple((user(name), Role.MEMBER) for name in names)
    return Evidence(Pattern.CYCLE, at + len(names), members, hops, strength, "money came home")


def shared(kind: EntityKind, users: str, at: int = 0) -> Evidence:
    pattern = Pattern.SHARED_IP if kind is EntityKind.IP else Pattern.SHARED_DEVICE
    members = ((Entity(kind, "x"), Role.SHARED), *((user(u), Role.MEMBER) for u in users))
    return Evidence(pattern, at, members, (), 0.6, "they share it")


def payment(user_id: str, **fields: str) -> Transaction:
    return Transaction("t", 0, TransactionType.DEPOSIT, Money(1, "EUR"), 1, user_id, **fields)


def mule(members: tuple[tuple[Entity, Role], ...], at: int = 0) -> Evidence:
    return Evidence(Pattern.MULE, at, members, (), 0.6, "passes on")


def test_evidence_without_a_ring_bears_one_named_after_its_first_transaction() -> None:
    book = RingBook()
    (born,) = book.observe([cycle(1, "abc")], 0)
    assert born.kind is KINDS.BORN
    assert born.ring.money == born.added_money == 3_000
    assert {e.id for e in born.added_members} == set("abc")
    again = RingBook().observe([cycle(1, "abc")], 0)[0]
    assert again.ring == born.ring


def test_the_same_evidence_twice_changes_nothing() -> None:
    book = RingBook()
    book.observe([cycle(1, "abc")], 0)
    before = book.snapshot()
    assert book.observe([cycle(1, "abc")], 0) == []
    assert book.snapshot() == before


def test_overlapping_evidence_makes_the_ring_grow_under_its_id() -> None:
    book = RingBook()
    (born,) = book.observe([cycle(1, "abc")], 0)
    (grew,) = book.observe([cycle(4, "cde", at=10)], 10)
    assert grew.kind is KINDS.GREW
    assert grew.ring.ring_id == born.ring.ring_id
    assert {e.id for e in grew.added_members} == {"d", "e"}
    assert grew.ring.revision == born.ring.revision + 1


def test_a_bridge_merges_two_rings_and_the_oldest_keeps_its_id() -> None:
    book = RingBook()
    (old,) = book.observe([cycle(1, "abc", at=0)], 0)
    (young,) = book.observe([cycle(4, "xyz", at=100)], 100)
    merged, grew = book.observe([cycle(7, "bcyx", at=200)], 200)
    assert merged.kind is KINDS.MERGED
    assert grew.kind is KINDS.GREW
    assert merged.merged_ring_id == young.ring.ring_id
    assert grew.ring.ring_id == old.ring.ring_id
    assert grew.ring.aliases == (young.ring.ring_id,)
    assert book.get(young.ring.ring_id) == grew.ring
    assert len(book) == 1


@pytest.mark.parametrize(
    ("bridge", "merges"),
    [("bcx", False), ("bcxyz", True), ("abcx", False), ("bxyw", False), ("bcdefxy", False)],
    ids=[
        "one of another",
        "two of each",
        "one and all",
        "none but one of the first",
        "less than half",
    ],
)
def test_one_account_in_common_does_not_make_two_rings_one(bridge, merges) -> None:
    book = RingBook()
    (old,) = book.observe([cycle(1, "abc", at=0)], 0)
    (young,) = book.observe([cycle(4, "vwxyz", at=100)], 100)
    told = book.observe([cycle(9, bridge, at=200)], 200)
    assert [event.kind for event in told] == [KINDS.MERGED] * merges + [KINDS.GREW]
    assert len(book) == 2 - merges
    home = young if bridge == "bxyw" else old
    assert told[-1].ring.ring_id == home.ring.ring_id, "it goes where most of it lies"
    if not merges:
        other = old if home is young else young
        assert book.get(other.ring.ring_id) == other.ring


def test_of_a_ring_of_one_account_that_one_is_enough() -> None:
    book = RingBook()
    book.observe([shared(EntityKind.DEVICE, "a")], 0)
    book.observe([cycle(4, "xyz", at=100)], 100)
    told = book.observe([shared(EntityKind.DEVICE, "axy", at=200)], 200)
    assert [event.kind for event in told] == [KINDS.MERGED, KINDS.GREW]


def test_a_shared_ip_alone_never_merges() -> None:
    book = RingBook()
    book.observe([shared(EntityKind.IP, "abc")], 0)
    (second,) = book.observe([shared(EntityKind.IP, "def", at=1)], 1)
    assert second.kind is KINDS.BORN
    assert len(book) == 2


def test_a_shared_device_does_merge() -> None:
    book = RingBook()
    book.observe([shared(EntityKind.DEVICE, "abc")], 0)
    (second,) = book.observe([shared(EntityKind.DEVICE, "abcd", at=1)], 1)
    assert second.kind is KINDS.GREW
    assert [e.id for e in second.added_members] == ["d"]


def front(first: int, buyers: str, strength: float) -> Evidence:
    """A shop that lives on its regulars, shown by a purchase of each."""
    shop = Entity(EntityKind.MERCHANT, "front")
    hops = tuple(
        Hop(f"t{first + i}", user(buyer), shop, 1_000, first + i) for i, buyer in enumerate(buyers)
    )
    members = ((shop, Role.CONTROLLER), *((user(buyer), Role.MEMBER) for buyer in buyers))
    return Evidence(Pattern.COLLUSIVE_MERCHANT, first, members, hops, strength, "few regulars")


def test_what_is_seen_again_grown_takes_the_place_of_what_it_contains() -> None:
    book = RingBook()
    (born,) = book.observe([front(0, "abc", 0.9)], 0)
    (grew,) = book.observe([front(0, "abcd", 0.6)], 0)
    assert book.evidence_of(born.ring.ring_id) == (front(0, "abcd", 0.6),)
    assert grew.ring.score == pytest.approx(0.6)


def test_another_deed_of_the_same_centre_leaves_the_first_one_true() -> None:
    book = RingBook()
    (born,) = book.observe([front(0, "abc", 0.9)], 0)
    (grew,) = book.observe([front(10, "abxyz", 0.1), front(10, "abc", 0.1)], 10)
    assert book.evidence_of(born.ring.ring_id) == (front(0, "abc", 0.9), front(10, "abc", 0.1))
    assert grew.ring.score == pytest.approx(0.9)
    again = RingBook.restore(book.snapshot())
    assert again.snapshot() == book.snapshot()
    assert again.get(born.ring.ring_id) == grew.ring


def test_a_ring_full_of_evidence_forgets_the_older_deed_and_says_so() -> None:
    book = RingBook(RingPolicy(max_evidence=1))
    (born,) = book.observe([front(0, "abc", 0.9)], 0)
    assert not born.ring.truncated
    (grew,) = book.observe([front(10, "abc", 0.6)], 10)
    assert book.evidence_of(born.ring.ring_id) == (front(10, "abc", 0.6),)
    assert grew.ring.truncated
    assert grew.ring.score == pytest.approx(0.6)


def test_a_shared_victim_is_too_little_to_join() -> None:
    def mule(first: int, centre: str, victims: str) -> Evidence:
        hops = tuple(
            Hop(f"t{first + i}", user(v), user(centre), 500, i) for i, v in enumerate(victims)
        )
        members = ((user(centre), Role.MULE), *((user(v), Role.VICTIM) for v in victims))
        return Evidence(Pattern.MULE, 9, members, hops, 0.8, "passes on")

    book = RingBook()
    book.observe([mule(1, "m", "abcd")], 0)
    (second,) = book.observe([mule(11, "n", "dxyz")], 0)
    assert second.kind is KINDS.BORN


def test_a_still_ring_falls_quiet_wakes_up_and_expires_in_the_end() -> None:
    policy = RingPolicy()
    book = RingBook(policy)
    (born,) = book.observe([cycle(1, "abc")], 0)
    ring_id = born.ring.ring_id
    (quiet,) = book.observe([], 7 * HOUR)
    assert (quiet.kind, quiet.at) == (KINDS.QUIET, born.ring.changed_at + policy.quiet_after)
    (woke,) = book.observe([cycle(4, "abd", at=8 * HOUR)], 8 * HOUR)
    assert woke.ring.state is RingState.ACTIVE
    events = book.observe([], 200 * HOUR)
    assert [e.kind for e in events] == [KINDS.QUIET, KINDS.EXPIRED]
    assert len(book) == 0
    assert book.get(ring_id).state is RingState.EXPIRED
    assert [e.kind for e in book.events_of(ring_id)] == [
        KINDS.BORN, KINDS.QUIET, KINDS.GREW, KINDS.QUIET, KINDS.EXPIRED,
    ]  # fmt: skip


def test_alerts_tell_material_changes_only() -> None:
    book = RingBook()
    (born,) = book.observe([cycle(1, "abc")], 0)
    assert born.alert is not None
    assert born.alert.headline == "Cycle among 3 users, 3 transactions"
    (same_people,) = book.observe([cycle(1, "bac", at=1)], 1)
    assert same_people.alert is None
    (richer,) = book.observe([cycle(20, "abc", at=2)], 2)
    assert richer.alert is not None
    (bigger,) = book.observe([cycle(30, "abd", at=3)], 3)
    assert bigger.alert is not None
    assert len({born.alert.alert_id, richer.alert.alert_id, bigger.alert.alert_id}) == 3


def test_whom_little_of_the_evidence_names_is_at_the_fringe_until_more_does() -> None:
    book = RingBook()
    book.observe([cycle(1, "abc", strength=0.5)], 0)
    members = ((user("a"), Role.MULE), *((user(name), Role.SENDER) for name in "bcv"))
    (grew,) = book.observe([mule(members, at=10)], 10)
    assert grew.ring.roles[user("v")] is Role.SENDER, "0.6, and 0.98 in the mean"
    (grew,) = book.observe([shared(EntityKind.DEVICE, "abc", at=20)], 20)
    assert {e.id for e, role in grew.ring.members if role is Role.FRINGE} == {"v"}
    assert grew.ring.core == tuple(e for e, _ in grew.ring.members if e != user("v"))
    assert grew.alert is not None
    assert grew.alert.member_count == 4, "three users and their device"
    assert "among 3 users" in grew.alert.headline
    assert book.touched_by(payment("v")) == (grew.ring,)
    (grew,) = book.observe([cycle(20, "vab", at=30)], 30)
    assert grew.ring.roles[user("v")] is Role.MEMBER
    assert grew.alert is not None, "a new member is news"


def test_a_tenth_lap_names_nobody_more_than_the_first() -> None:
    book = RingBook()
    for lap in range(10):
        book.observe([cycle(10 * lap, "abc", at=10 * lap)], 10 * lap)
    (grew,) = book.observe([cycle(200, "abd", at=200)], 200)
    assert Role.FRINGE not in grew.ring.roles.values()


def test_weak_evidence_bears_no_ring_and_brings_nobody_in() -> None:
    book = RingBook()
    assert book.observe([cycle(1, "ab", strength=0.3)], 0) == []
    book.observe([cycle(4, "abc", at=1)], 1)
    assert book.observe([cycle(7, "cd", strength=0.3, at=2)], 2) == []
    (grew,) = book.observe([cycle(10, "bc", strength=0.3, at=3)], 3)
    assert grew.added_members == ()
    assert grew.added_money == 2_000


def test_evidence_too_weak_to_join_is_no_part_of_a_ring_that_holds_all_of_its_users() -> None:
    book = RingBook(RingPolicy(joins=0.5))
    book.observe([cycle(4, "abc", at=1)], 1)
    before = book.snapshot()
    assert book.observe([cycle(10, "bc", strength=0.49, at=3)], 3) == []
    assert book.snapshot() == before
    (grew,) = book.observe([cycle(10, "bc", strength=0.5, at=3)], 3)
    assert grew.added_money == 2_000


def fan(centre: str, payers: str, *, strength: float = 0.6, at: int = 0) -> Evidence:
    hops = tuple(
        Hop(f"f{at + i}", user(p), user(centre), 500, at + i) for i, p in enumerate(payers)
    )
    members = ((user(centre), Role.RECEIVER), *((user(p), Role.SENDER) for p in payers))
    return Evidence(Pattern.FAN_IN, at + len(payers), members, hops, strength, "many paid one")


@pytest.mark.parametrize("pattern", [Pattern.COMMUNITY, Pattern.DENSE_BLOCK])
def test_a_neighbourhood_bears_a_ring_but_brings_nobody_into_one(pattern: Pattern) -> None:
    def around(names: str, at: int) -> Evidence:
        return replace(cycle(90, names, strength=0.9, at=at), pattern=pattern)

    book = RingBook()
    (old,) = book.observe([cycle(1, "abc")], 0)
    (other,) = book.observe([cycle(4, "xyz", at=10)], 10)
    assert book.observe([around("abcxyz", 20)], 20) == []  # of two rings, and neither holds all
    assert [ring.ring_id for ring in book.live()] == [other.ring.ring_id, old.ring.ring_id]
    (grew,) = book.observe([around("abc", 30)], 30)  # within one: it speaks for it
    assert grew.ring.ring_id == old.ring.ring_id
    assert grew.ring.score > old.ring.score
    (born,) = book.observe([around("mnop", 40)], 40)
    assert born.kind is KINDS.BORN


def test_only_a_great_crowd_bears_a_ring_but_any_joins_one() -> None:
    book = RingBook()
    assert book.observe([fan("a", "vwxyz")], 0) == []
    (born,) = RingBook().observe([fan("a", "vwxyz", strength=0.7)], 0)
    assert born.alert is not None
    book.observe([cycle(1, "abc", at=10)], 10)
    (grew,) = book.observe([fan("a", "bcz", at=20)], 20)
    assert [e.id for e in grew.added_members] == ["z"]
    assert set(grew.ring.patterns) == {Pattern.CYCLE, Pattern.FAN_IN}


def test_money_that_goes_round_again_raises_the_score() -> None:
    book = RingBook()
    (once,) = book.observe([cycle(1, "abc", strength=0.58)], 0)
    assert once.ring.score == pytest.approx(0.58)
    assert once.alert is None
    (entwined,) = book.observe([cycle(2, "bcd", strength=0.58, at=1)], 1)
    assert entwined.ring.score == pytest.approx(0.58), "it shares a transaction with the first lap"
    (twice,) = book.observe([cycle(10, "abc", strength=0.58, at=2)], 2)
    assert twice.ring.score == pytest.approx(1 - 0.42**2)
    assert twice.alert is not None
    restored = RingBook.restore(book.snapshot())
    for each in (book, restored):
        (thrice,) = each.observe([cycle(20, "abc", strength=0.58, at=3)], 3)
        assert thrice.ring.score == pytest.approx(1 - 0.42**3)
        (more,) = each.observe([cycle(30, "abc", strength=0.58, at=4)], 4)
        assert more.ring.score == thrice.ring.score


@pytest.mark.parametrize("pattern", [Pattern.PING_PONG, Pattern.VELOCITY])
def test_what_friends_do_or_one_user_does_proves_no_ring(pattern: Pattern) -> None:
    book = RingBook()
    (born,) = book.observe([cycle(1, "abc")], 0)
    (grew,) = book.observe([replace(cycle(10, "ab", at=1), pattern=pattern)], 1)
    assert pattern in grew.ring.patterns
    assert grew.ring.score == born.ring.score


def test_what_one_entity_did_alone_is_no_ring() -> None:
    alone = Evidence(Pattern.VELOCITY, 0, ((user("a"), Role.MEMBER),), (), 0.9, "too fast")
    assert RingBook().observe([alone], 0) == []


def test_a_ring_below_the_alert_score_is_kept_but_nobody_is_woken() -> None:
    (born,) = RingBook(RingPolicy(alert_score=0.8)).observe([cycle(1, "abc")], 0)
    assert (born.alert, born.ring.last_alert_at) == (None, None)


def test_a_ring_says_when_it_was_last_told_of() -> None:
    book = RingBook()
    (born,) = book.observe([cycle(1, "abc", at=0)], 0)
    assert (born.ring.last_alert_at, book.get(born.ring.ring_id)) == (born.alert.at, born.ring)
    (again,) = book.observe([cycle(1, "bac", at=7)], 7)
    assert (again.alert, again.ring.last_alert_at) == (None, born.alert.at)
    (bigger,) = book.observe([cycle(30, "abd", at=9)], 9)
    assert bigger.ring.last_alert_at == bigger.alert.at == bigger.ring.changed_at
    assert RingBook.restore(book.snapshot()).get(born.ring.ring_id) == bigger.ring


def test_a_ring_that_takes_in_one_that_was_told_was_told() -> None:
    weak, told = cycle(1, "abc", at=0, strength=0.55), cycle(4, "xyz", at=100)
    for first, second in ((weak, told), (told, weak)):
        book = RingBook()
        alerts = [event.alert for piece in (first, second) for event in book.observe([piece], 100)]
        (alert,) = filter(None, alerts)
        merged, _ = book.observe([cycle(7, "bcyx", at=200, strength=0.5)], 200)
        assert merged.kind is KINDS.MERGED
        assert merged.ring.last_alert_at == (merged.alert or alert).at


def test_alert_ids_change_with_the_policy_and_with_nothing_else() -> None:
    ids = {
        RingBook(policy).observe([cycle(1, "abc")], 0)[0].alert.alert_id
        for policy in (RingPolicy(), RingPolicy(), RingPolicy(alert_score=0.4))
    }
    assert len(ids) == 2


def test_bounds_are_kept_and_said() -> None:
    book = RingBook(RingPolicy(max_members=4, max_transactions=5, max_rings=2))
    book.observe([cycle(1, "abc")], 0)
    (grew,) = book.observe([cycle(4, "abde")], 0)
    assert grew.ring.truncated
    assert len(grew.ring.members) == 4
    assert len(grew.ring.transactions) == 5
    book.observe([cycle(20, "pqr", at=5)], 5)
    expired, born = book.observe([cycle(30, "uvw", at=6)], 6)
    assert (expired.kind, born.kind) == (KINDS.EXPIRED, KINDS.BORN)
    assert book.pressed == 1


def test_transactions_find_the_rings_they_touch() -> None:
    book = RingBook()
    (born,) = book.observe([shared(EntityKind.DEVICE, "abc")], 0)

    assert book.touched_by(payment("a")) == (born.ring,)
    assert book.touched_by(payment("z", device_id="x")) == (born.ring,)
    assert book.touched_by(payment("z", ip_address="x")) == ()


@pytest.mark.parametrize("seed", range(5))
def test_a_restored_book_goes_on_as_if_nothing_had_happened(seed: int) -> None:
    rng = random.Random(seed)
    straight, resumed = RingBook(), RingBook()
    numbers = itertools.count(step=10)
    for step in range(60):
        at = step * HOUR // 2
        names = "".join(rng.sample("abcdefghijklmnopqrst", rng.randint(2, 4)))
        pieces = [cycle(next(numbers), names, at=at)] if rng.random() < 0.5 else []
        if step % 7 == 0:
            resumed = RingBook.restore(resumed.snapshot())
        assert straight.observe(pieces, at) == resumed.observe(pieces, at)
    assert straight.snapshot() == resumed.snapshot()


def test_headline_lists_what_was_seen() -> None:
    book = RingBook()
    book.observe([cycle(1, "abc")], 0)
    (grew,) = book.observe([shared(EntityKind.DEVICE, "abc")], 0)
    assert headline(grew.ring) == "Cycle and shared device among 3 users, 3 transactions"


def test_a_ring_mostly_of_accounts_that_were_told_is_told_when_enough_of_it_is_new() -> None:
    book = RingBook()
    (told,) = book.observe([evidence.mule("m", "m", "abcdef", "z", 0)], 0)
    assert told.alert is not None
    device = partial(evidence.shared, EntityKind.DEVICE, "phone")
    (beside,) = book.observe([device("abx", MINUTE)], MINUTE)
    assert beside.kind is RingEventKind.BORN, "two senders of eight accounts do not make it one"
    assert beside.alert is None, "two of its three users were told of"
    (grew,) = book.observe([device("abxy", 2 * MINUTE)], 2 * MINUTE)
    assert grew.alert is None, "half of them were"
    (again,) = book.observe([device("abxyvw", 3 * MINUTE)], 3 * MINUTE)
    assert again.alert is not None, "four of six are new"
    (more,) = book.observe([device("abxyvwu", 4 * MINUTE)], 4 * MINUTE)
    assert more.alert is not None, "it was told: what joins it is news"


def test_a_ring_is_news_where_the_one_its_accounts_are_in_was_never_told() -> None:
    book = RingBook()
    weak = replace(evidence.mule("m", "m", "abcdef", "z", 0), strength=0.55)
    (untold,) = book.observe([weak], 0)
    assert untold.alert is None
    (born,) = book.observe([evidence.shared(EntityKind.DEVICE, "phone", "abx", MINUTE)], MINUTE)
    assert born.kind is RingEventKind.BORN
    assert born.alert is not None


def test_what_was_told_of_a_ring_is_told_of_the_one_it_merges_into() -> None:
    victims, hands = "abcdefghijkl", "abcd"

    def of(members: dict[str, Role], at: int, strength: float) -> Evidence:
        named = tuple((user(name), role) for name, role in members.items())
        return Evidence(Pattern.MULE, at, named, (), strength, "as the test wants it")

    known = {"m": Role.MULE, "z": Role.RECEIVER, **dict.fromkeys(victims, Role.VICTIM)}
    book = RingBook()
    (older,) = book.observe([of(dict.fromkeys(hands, Role.MEMBER), 0, 0.55)], 0)
    (told,) = book.observe([of(known, MINUTE, 0.8)], MINUTE)
    assert (older.alert, told.kind) == (None, RingEventKind.BORN)
    assert told.alert is not None
    joining = {"m": Role.MULE, "z": Role.RECEIVER, **dict.fromkeys(hands, Role.MEMBER)}
    merged, *grown = book.observe([of(joining, 2 * MINUTE, 0.8)], 2 * MINUTE)
    assert merged.kind is RingEventKind.MERGED
    assert merged.ring.ring_id == older.ring.ring_id
    assert [event.alert for event in (merged, *grown)] == [None, None], "nobody is new"


def test_the_same_people_on_the_same_phone_much_later_are_another_ring() -> None:
    book, policy = RingBook(), RingPolicy()
    (born,) = book.observe([shared(EntityKind.DEVICE, "abcd")], 0)
    later = policy.expire_after + HOUR
    again = book.observe([shared(EntityKind.DEVICE, "abcd", at=later)], later)[-1]
    assert again.kind is KINDS.BORN
    assert again.ring.ring_id != born.ring.ring_id
    assert book.get(born.ring.ring_id).state is RingState.EXPIRED


def test_a_name_that_a_merged_ring_had_is_not_given_again() -> None:
    book = RingBook()
    first, second = (
        book.observe([piece], 1)[0].ring.ring_id
        for piece in (cycle(1, "abc"), cycle(4, "def", at=1))
    )
    book.observe([cycle(7, "abcdef", at=2)], 8)
    assert book.get(second).ring_id == first
    other = cycle(20, "lmn", at=20)
    named = replace(other, hops=(replace(other.hops[0], transaction_id="t4"), *other.hops[1:]))
    (born,) = book.observe([named], 20)
    assert born.kind is KINDS.BORN
    assert born.ring.ring_id not in {first, second}
    assert book.get(second).ring_id == first


def test_a_ring_that_claims_to_be_of_next_year_keeps_no_other_from_resting() -> None:
    book, policy = RingBook(), RingPolicy()
    book.observe([cycle(1, "abc", at=365 * 24 * HOUR)], 0)
    book.observe([cycle(4, "def", at=-3)], 0)
    restored = RingBook.restore(book.snapshot())
    for each in (book, restored):
        assert each.next_rest == policy.quiet_after
        rested = each.observe([], policy.quiet_after)
        assert [event.kind for event in rested] == [KINDS.QUIET]
        assert each.next_rest == policy.expire_after
        each.observe([], policy.expire_after)
        (left,) = each.live()
        assert left.born_at > policy.expire_after
        assert each.next_rest == left.changed_at + policy.quiet_after
    assert book.snapshot() == restored.snapshot()


def test_a_ring_that_is_born_as_a_long_silence_ends_has_its_time_before_it_rests() -> None:
    """Event time comes on with the third transaction after the silence, not with the first."""
    book, policy, after = RingBook(), RingPolicy(), 10 * 24 * HOUR
    (born,) = book.observe([cycle(1, "abc", at=after)], HOUR)
    assert book.observe([], after + MINUTE) == []
    (quiet,) = book.observe([], after + MINUTE + policy.quiet_after)
    assert quiet.kind is KINDS.QUIET
    assert quiet.at > born.at


def test_a_member_that_is_blocked_and_tries_all_day_does_not_make_a_ring_deaf() -> None:
    book, policy = RingBook(), RingPolicy()
    book.observe([cycle(1, "abc")], 0)
    for n in range(policy.max_evidence + 10):
        hops = (Hop(f"b{n}", user("a"), user("b"), 500, n),)
        book.observe([Evidence(Pattern.BLOCKED, n, ((user("a"), Role.MEMBER),), hops, 1.0, "")], n)
    grew = book.observe([mule(tuple((user(u), Role.MULE) for u in "abc"), at=900)], 900)[-1]
    assert Pattern.MULE in grew.added_patterns
    assert len(grew.ring.evidence) == 3


def test_what_was_declined_is_in_the_witness_and_moved_nothing() -> None:
    book, moved = RingBook(), cycle(1, "abc")
    declined = replace(
        moved, hops=(*moved.hops[:2], replace(moved.hops[2], value=9_000_000, declined=True))
    )
    (born,) = book.observe([declined], 0)
    assert (born.ring.money, born.added_money, declined.money) == (2_000, 2_000, 2_000)
    assert born.ring.recoverable == 1_000
    assert "t3" in born.ring.transactions
