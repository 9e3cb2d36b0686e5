"""A ring that comes apart: when, into what, and what is told of it."""

from msgspec.structs import replace

from graph.evidence import Evidence, Hop, Role
from graph.ring_book import RingBook
from graph.ring_overlap import MOST_COMPARISONS, parts_of
from graph.ring_policy import RingPolicy
from graph.ring_split import Share, split
from graph.rings import RingEvent, RingEventKind
from graph.transaction import HOUR, MINUTE, Entity, EntityKind, Money, Transaction, TransactionType
from scorer.detector import Detector, DetectorConfig
from tests.oracles.ring_evidence import (
    CIRCLES,
    SPLITTING,
    cycle,
    day_of_a_split,
    mule,
    shared,
    user,
)

KINDS = RingEventKind
POLICY = RingPolicy()
DAYS = 24 * HOUR


def letters(ring) -> str:
    return "".join(sorted(entity.id for entity, _ in ring.members))


def take(book: RingBook, piece: Evidence) -> list[RingEvent]:
    """What the book tells of this evidence; that rings fell quiet before is left out."""
    events = book.observe([piece], piece.seen_at)
    return [event for event in events if event.kind is not KINDS.QUIET]


def bridged() -> RingBook:
    """Two circles that a third one joined, each of them seen again two days later."""
    book = RingBook()
    take(book, cycle("1", "abc", HOUR))
    take(book, cycle("2", "def", 2 * HOUR, strength=0.8))
    take(book, cycle("3", "bcde", 3 * HOUR))
    take(book, cycle("4", "abc", 2 * DAYS))
    take(book, cycle("5", "def", 2 * DAYS + HOUR, strength=0.8))
    assert len(book) == 1
    return book


def test_a_ring_splits_when_what_joined_it_has_grown_old() -> None:
    book = bridged()
    (whole,) = book.live()
    at = 3 * DAYS + 4 * HOUR
    grew, born, told = take(book, cycle("6", "dfe", at))
    assert [each.kind for each in (grew, born, told)] == [KINDS.GREW, KINDS.BORN, KINDS.SPLIT]
    assert told.ring.ring_id == whole.ring_id
    assert letters(told.ring) == "def", "the riskiest keeps the id"
    assert letters(born.ring) == "abc"
    assert born.ring.split_from == whole.ring_id
    assert told.split_ring_ids == (born.ring.ring_id,)
    assert born.added_money == -told.added_money == born.ring.money
    assert set(told.ring.transactions) | set(born.ring.transactions) == set(grew.ring.transactions)
    # The bridge touches both alike, so it went with the riskiest; its hop b to c came along.
    assert "3.0" in told.ring.transactions
    assert [e.kind for e in book.events_of(whole.ring_id)][-2:] == [KINDS.GREW, KINDS.SPLIT]
    assert [e.kind for e in book.events_of(born.ring.ring_id)] == [KINDS.BORN]


def test_parts_whose_evidence_begins_with_the_same_transaction_are_two_rings() -> None:
    book = RingBook()
    one, other = cycle("4", "abcmnop", 2 * DAYS), cycle("8", "abqrstu", 2 * DAYS)
    take(book, cycle("2", "def", 2 * HOUR, strength=0.8))
    take(book, cycle("3", "defabmq", 3 * HOUR))
    take(book, one)
    take(book, replace(other, hops=(one.hops[0], *other.hops[1:])))
    take(book, cycle("5", "def", 2 * DAYS + HOUR, strength=0.8))
    _, first, second, told = take(book, cycle("6", "dfe", 3 * DAYS + 4 * HOUR))
    assert told.split_ring_ids == (first.ring.ring_id, second.ring.ring_id)
    assert len({told.ring.ring_id, *told.split_ring_ids}) == len(book) == 3
    for part, again in ((first, "7"), (second, "9")):
        at = 3 * DAYS + 5 * HOUR
        (grew,) = take(book, cycle(again, letters(part.ring), at))
        assert grew.ring.ring_id == part.ring.ring_id


def test_it_splits_no_sooner() -> None:
    book = bridged()
    at = 3 * DAYS + 2 * HOUR  # the bridge, of hour 3, still joins
    (grew,) = take(book, cycle("6", "abc", at))
    assert grew.kind is KINDS.GREW
    later = at + 3 * HOUR  # it does no more, but the ring was looked at three hours ago
    (grew,) = take(book, cycle("7", "abc", later))
    assert grew.kind is KINDS.GREW
    due = at + POLICY.quiet_after
    assert [e.kind for e in book.observe([cycle("8", "abc", due)], due)] == [
        KINDS.GREW, KINDS.BORN, KINDS.SPLIT,
    ]  # fmt: skip


def test_a_ring_that_nothing_is_heard_of_ends_whole() -> None:
    book = bridged()
    assert [e.kind for e in book.observe([], 9 * DAYS)] == [KINDS.QUIET, KINDS.EXPIRED]


def test_a_bridge_that_is_seen_again_holds() -> None:
    book = bridged()
    at = 3 * DAYS + 4 * HOUR
    take(book, cycle("6", "bcde", at))
    later = at + 7 * HOUR
    (grew,) = take(book, cycle("7", "abc", later))
    assert grew.kind is KINDS.GREW
    assert letters(grew.ring) == "abcdef"


def test_parts_merge_again_under_the_older_id_and_every_id_leads_there() -> None:
    book = bridged()
    at = 3 * DAYS + 4 * HOUR
    _, born, told = take(book, cycle("6", "dfe", at))
    again = at + HOUR
    merged, grew = take(book, cycle("7", "abde", again))
    assert (merged.kind, merged.merged_ring_id) == (KINDS.MERGED, born.ring.ring_id)
    assert grew.ring.ring_id == told.ring.ring_id
    assert book.get(born.ring.ring_id) == book.get(told.ring.ring_id) == grew.ring
    assert merged.ring.money == born.ring.money + told.ring.money
    assert len(book) == 1


def test_what_was_told_of_the_whole_is_not_told_of_its_parts() -> None:
    book = bridged()
    at = 3 * DAYS + 4 * HOUR
    (whole,) = book.live()
    _, born, told = take(book, cycle("6", "dfe", at))
    assert (born.alert, told.alert) == (None, None)
    assert born.ring.last_alert_at == told.ring.last_alert_at == whole.last_alert_at, (
        "as part of that"
    )
    for names, ring in (("abx", born.ring), ("dey", told.ring)):
        (grew,) = take(book, cycle(names, names, at + HOUR))
        assert grew.ring.ring_id == ring.ring_id
        assert grew.alert is not None, "a new member is news"


def test_transactions_find_the_part_they_touch() -> None:
    book = bridged()
    at = 3 * DAYS + 4 * HOUR
    _, born, told = take(book, cycle("6", "dfe", at))

    def touched(name: str) -> list[str]:
        tx = Transaction("t", 0, TransactionType.DEPOSIT, Money(1, "EUR"), 1, name)
        return [ring.ring_id for ring in book.touched_by(tx)]

    assert touched("a") == [born.ring.ring_id]
    assert touched("d") == [told.ring.ring_id]


def members_of(*pieces: Evidence) -> tuple[tuple[Entity, Role], ...]:
    return tuple(dict(member for piece in pieces for member in piece.members).items())


def share(*pieces: Evidence, hops: tuple[Hop, ...] = (), also: str = "") -> Share:
    found = {hop.transaction_id: hop for piece in pieces for hop in piece.hops}
    witness = sorted([*found.values(), *hops], key=lambda hop: (hop.timestamp, hop.transaction_id))
    more = tuple((user(name), Role.SENDER) for name in also)
    return Share(members_of(*pieces) + more, pieces, tuple(witness))


def test_an_address_alone_holds_nothing_together() -> None:
    pieces = [shared(EntityKind.IP, "nat", names, HOUR) for names in ("abc", "def")]
    one, other = (replace(piece, strength=0.6 + 0.1 * i) for i, piece in enumerate(pieces))
    shares, cut = split(share(one, other), POLICY, 2 * HOUR)
    assert not cut
    assert ["".join(sorted(e.id for e, _ in each.members)) for each in shares] == [
        "defnat",
        "abc",
    ], "the address went with the riskiest"


def test_a_shared_device_and_a_shared_mule_hold_it_together() -> None:
    farm = [shared(EntityKind.DEVICE, "x", names, HOUR) for names in ("ab", "cd")]
    assert split(share(*farm), POLICY, 2 * HOUR) == ([], False)
    mules = [mule("1", "m", "abc", "y", HOUR), mule("2", "m", "def", "z", HOUR)]
    assert split(share(*mules), POLICY, 2 * HOUR) == ([], False)


def test_one_shared_victim_does_not() -> None:
    mules = mule("1", "m", "abcd", "y", HOUR), mule("2", "n", "defg", "z", HOUR)
    shares, _ = split(share(*mules), POLICY, 2 * HOUR)
    assert len(shares) == 2
    assert [user("d") in dict(each.members) for each in shares] == [True, False]
    tied = [each.evidence[0].hops[0].transaction_id for each in shares]
    assert tied == ["1.0", "2.0"], "of two that score the same, the smaller seed comes first"


def test_what_is_too_weak_for_a_ring_of_its_own_is_no_part() -> None:
    strong, weak = cycle("1", "abc", HOUR), cycle("2", "def", HOUR, strength=0.4)
    assert split(share(strong, weak), POLICY, 2 * HOUR) == ([], False)


def test_money_of_which_no_evidence_is_left_holds_it_together_while_it_is_young() -> None:
    pieces = cycle("1", "abc", HOUR), cycle("2", "def", HOUR)
    young = Hop("9", user("a"), user("d"), 700, HOUR)
    assert split(share(*pieces, hops=(young,)), POLICY, 2 * HOUR) == ([], False)
    old = replace_time(young, HOUR - POLICY.expire_after)
    shares, _ = split(share(*pieces, hops=(old,)), POLICY, 2 * HOUR)
    assert [young.transaction_id in [h.transaction_id for h in s.hops] for s in shares] == [
        False,
        True,
    ], "it went with its payee"


def replace_time(hop: Hop, at: int) -> Hop:
    return Hop(hop.transaction_id, hop.source, hop.target, hop.value, at)


def test_members_of_whom_no_evidence_is_left_follow_their_money() -> None:
    pieces = cycle("1", "abc", HOUR, strength=0.8), cycle("2", "def", HOUR)
    paid = (Hop("8", user("p"), user("e"), 900, 1), Hop("9", user("p"), user("a"), 100, 1))
    shares, _ = split(share(*pieces, hops=paid, also="pq"), POLICY, HOUR + POLICY.expire_after - 1)
    assert ["".join(sorted(e.id for e, _ in each.members)) for each in shares] == ["abcq", "defp"]


def test_a_full_book_leaves_its_rings_whole() -> None:
    book = RingBook(RingPolicy(max_rings=2))
    for n, (names, at) in enumerate(
        [("abc", 1), ("def", 2), ("bcde", 3), ("abc", 48), ("def", 49), ("xyz", 50)]
    ):
        take(book, cycle(f"{n}", names, at * HOUR))
    at = 3 * DAYS + 4 * HOUR
    (grew,) = take(book, cycle("6", "dfe", at))
    assert letters(grew.ring) == "abcdef"
    assert book.pressed == 1


def test_where_the_bound_ends_the_search_the_ring_stays_whole_and_says_so() -> None:
    # A star: every cycle shares the hub with every other, a fourth of what it weighs.
    star = [
        cycle(f"{n}", "h" + chr(200 + 3 * n) + chr(201 + 3 * n) + chr(202 + 3 * n), HOUR)
        for n in range(90)
    ]
    assert len(star) * (len(star) - 1) / 2 > MOST_COMPARISONS
    assert split(share(*star), POLICY, 2 * HOUR) == ([], True)
    few = star[:40]
    assert len(split(share(*few), POLICY, 2 * HOUR)[0]) == 40
    assert parts_of([], POLICY.overlap) == ([], False)


def test_a_merge_carries_over_what_newer_evidence_has_replaced() -> None:
    book = RingBook(RingPolicy(merge_overlap=0.3))
    take(book, cycle("1", "abc", HOUR))
    book.observe([mule("2", "m", "pqr", "n", 2 * HOUR)], 2 * HOUR)
    book.observe([mule("3", "m", "stu", "n", 2 * HOUR + MINUTE)], 2 * HOUR + MINUTE)
    merged, _ = take(book, cycle("4", "acmn", 3 * HOUR))
    assert merged.kind is KINDS.MERGED
    assert {"2.0", "3.0", "2.out"} <= set(merged.ring.transactions)
    assert {"p", "q", "r"} <= {entity.id for entity, _ in merged.ring.members}


def test_a_ring_splits_the_same_in_batches_of_any_size() -> None:
    day, config = day_of_a_split(), DetectorConfig(rings=SPLITTING, thresholds=CIRCLES)
    whole = Detector(config)
    verdicts = whole.observe_batch(day)
    events = [event for verdict in verdicts for event in verdict.ring_events]
    assert KINDS.SPLIT in [event.kind for event in events]
    for size in (1, 5):
        parts = Detector(config)
        again = [
            v for i in range(0, len(day), size) for v in parts.observe_batch(day[i : i + size])
        ]
        assert again == verdicts
        assert parts.snapshot() == whole.snapshot()
