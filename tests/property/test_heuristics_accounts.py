"""What accounts, cards and merchants do against their habit, against an oracle on any stream."""

import random
from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from graph.admission import Status
from graph.evidence import Evidence, Pattern
from graph.heuristics import catalogue
from graph.thresholds import Thresholds
from graph.transaction import HOUR, MINUTE, Entity, EntityKind, Transaction
from graph.window import TransactionWindow
from tests.examples import examples
from tests.oracles import conduct, streams

# Low, so that short streams of few users hold everything.
LOW = Thresholds(
    dormant_after=8 * HOUR,
    dormant_unseen=3 * HOUR,
    dormant_moves=2,
    # The oracle judges everybody alone.
    dormant_passes_on=0.4,
    dormant_linked=0.4,
    takeover_within=3 * HOUR,
    takeover_history=1,
    takeover_times=1.2,
    bust_out_weeks=1,
    bust_out_times=1.1,
    bust_out_reversals=2,
    card_testing_within=30 * MINUTE,
    card_testing_cards=2,
    card_testing_each=1.0,
    card_testing_declined=0.3,
    card_testing_low=100,
    card_testing_known=3,
    card_testing_surge=1.0,
    collusive_least=2,
    collusive_regular=2,
    collusive_share=0.3,
    collusive_share_linked=0.2,
    collusive_refunds=0.2,
    collusive_surge=2,
    collusive_surge_share=0.1,
    collusive_surge_refunds=2,
    refund_count=2,
    refund_merchants=2,
    refund_share=0.2,
    refund_users=2,
    synthetic_users=2,
    synthetic_popular=4,
    synthetic_history=6,
    synthetic_young=900 * HOUR,
    told_singly=4_096,
    witness=4_096,
)
# Time jumps by hours, and the watermark follows two transactions behind.
WINDOW = replace(streams.SMALL, horizon=20 * HOUR)
REACH = WINDOW.horizon - WINDOW.lateness
seeds = st.integers(0, 2**32 - 1)


def habits(seed: int, *, gaps: tuple[int, ...] = (0, 1, 5, 30, 230), most: int = 90) -> list:
    """A few users who buy, return, pay each other and sleep, through a few devices and cards."""
    rng = random.Random(seed)
    users, minute, stream = rng.choice([2, 3, 5]), 0, []
    shops, identifiers = rng.choice([1, 3]), rng.choice([2, 4, 40])
    for number in range(most):
        minute += rng.choice(gaps)
        me, friend, shop = (
            f"u{rng.randrange(users)}",
            f"u{rng.randrange(20)}",
            f"shop{rng.randrange(shops)}",
        )
        if friend == me:
            continue
        payer, payee = rng.choice(
            [(me, shop)] * 4 + [(shop, me), (me, friend)] * 2 + [(me, None), (None, me)]
        )
        stream.append(
            streams.transaction(
                number,
                minute,
                payer,
                payee,
                rng.choice([90, 100, 100, 400, 2000, 9000]),
                declined=rng.random() < 0.3,
                device_id=rng.choice([None, f"d{rng.randrange(identifiers)}", f"own-{me}"]),
                ip_address=rng.choice([None, f"10.0.0.{rng.randrange(identifiers)}"]),
                card_id=rng.choice([None, f"c{rng.randrange(identifiers)}"]),
                channel=rng.choice([None, "atm"]),
                user_created_at=rng.choice([None, streams.START - 9 * HOUR, streams.START]),
            )
        )
    return stream


def seen(stream: list[Transaction], limits: Thresholds = LOW) -> list[dict[Pattern, list]]:
    """The evidence of each transaction, by pattern."""
    window, book = TransactionWindow(WINDOW), catalogue(limits)
    told = []
    for tx in stream:
        found: dict[Pattern, list[Evidence]] = {}
        admission = window.add(tx)
        assert admission.status is Status.ACCEPTED
        for piece in book.detect(window, tx, admission):
            found.setdefault(piece.pattern, []).append(piece)
        told.append(found)
    return told


def each(stream: list[Transaction], pattern: Pattern, limits: Thresholds = LOW):
    """(transactions before, transaction, its evidence of a pattern)."""
    for i, found in enumerate(seen(stream, limits)):
        yield stream[:i], stream[i], found.get(pattern, [])


@given(seeds)
@example(44178)  # A window that holds less than `dormant_within`.
@settings(max_examples=examples(12), deadline=None)
def test_bursts_are_those_of_sleepers(seed: int) -> None:
    for past, tx, found in each(habits(seed), Pattern.DORMANT_BURST):
        expected = conduct.burst(past, tx, LOW, REACH)
        assert len(found) == (expected is not None)
        for e in found:
            assert e.facts["moves"] == len(expected.moves)
            assert e.facts["received"] == sum(o.value for o in expected.came)
            assert {o.transaction_id for o in expected.moves} <= {h.transaction_id for h in e.hops}


@given(seeds)
@settings(max_examples=examples(12), deadline=None)
def test_takeovers_are_new_in_every_way(seed: int) -> None:
    for past, tx, found in each(habits(seed), Pattern.TAKEOVER):
        assert bool(found) == conduct.is_taken(past, tx, LOW)


@given(seeds)
@settings(max_examples=examples(8), deadline=None)
def test_bust_outs_are_told_when_a_quarter_more_is_gone(seed: int) -> None:
    told: dict[tuple[str, int], int] = {}
    strained: set[tuple[str, int]] = set()
    stream = habits(seed, gaps=(30, 230, 230, 235), most=130)
    for past, tx, found in each(stream, Pattern.BUST_OUT):
        spent, strain = conduct.busts(past, tx, LOW), conduct.strain(past, tx, LOW)
        week = (tx.user_id, tx.timestamp // conduct.WEEK)
        emptied = spent > 0 and 4 * spent >= 5 * told.get(week, 0)
        fresh = strain > 0 and (week not in strained or conduct.bounced(tx))
        others = conduct.cohort(past, tx, LOW) if emptied or fresh else set()
        news = emptied or (fresh and (len(others) > 0 or conduct.bounced(tx)))
        others |= conduct.touring(past, tx, LOW)
        assert [e.facts["spent"] for e in found] == [spent or strain] * news
        for e in found:
            assert {entity for entity, _ in e.members} == {tx.user} | others
        if emptied:
            told[week] = spent
        if strain:
            strained.add(week)


@given(seeds)
@settings(max_examples=examples(12), deadline=None)
def test_who_goes_from_new_shop_to_new_shop_with_its_friends(seed: int) -> None:
    rng = random.Random(seed)
    away = replace(
        LOW, bust_out_times=1e9, bust_out_strain=1e9,
        spree_merchants=2, spree_within=12 * HOUR, spree_after=24 * HOUR,
    )  # fmt: skip
    stream = [
        structs.replace(tx, merchant_id=f"shop{rng.randrange(30)}")
        if tx.merchant_id is not None
        else tx
        for tx in habits(seed, gaps=(5, 30, 60), most=130)
    ]
    for past, tx, found in each(stream, Pattern.BUST_OUT, away):
        others = conduct.spree(past, tx, away)
        assert len(found) == bool(others)
        for e in found:
            assert e.facts["spree"] == 1
            assert {entity for entity, _ in e.members} == {tx.user} | others


@given(seeds)
@settings(max_examples=examples(12), deadline=None)
def test_cards_are_tested_where_the_oracle_says(seed: int) -> None:
    for past, tx, found in each(habits(seed, gaps=(0, 1, 5, 30)), Pattern.CARD_TESTING):
        told = {e.members[0][0]: e for e in found}
        device = None if tx.device_id is None else Entity(EntityKind.DEVICE, tx.device_id)
        for place in filter(None, (conduct.merchant(tx), device)):
            cards = conduct.tested(past, tx, place, LOW)
            assert (place in told) == bool(cards)
            if cards:
                named = {e.id for e in told[place].entities if e.kind is EntityKind.CARD}
                assert named == cards


@given(seeds)
@settings(max_examples=examples(12), deadline=None)
def test_merchants_collude_with_a_few(seed: int) -> None:
    sizes = catalogue(LOW).collusion.told
    for past, tx, found in each(habits(seed), Pattern.COLLUSIVE_MERCHANT):
        told = []
        for surge in (False, True):
            own, deals = conduct.colludes(past, tx, LOW, surge=surge)
            told += [(deals, surge)] * (own in sizes)
        # The memory that reaches further back speaks first.
        assert [(e.facts["deals"], e.facts["surge"]) for e in found] == told[:1]


@given(seeds)
@settings(max_examples=examples(12), deadline=None)
def test_merchants_surge_within_seven_days(seed: int) -> None:
    strict = replace(LOW, collusive_share=1.0, collusive_share_linked=1.0, collusive_regular=3)
    sizes = catalogue(strict).collusion.told
    for past, tx, found in each(habits(seed), Pattern.COLLUSIVE_MERCHANT, strict):
        told = []
        for surge in (False, True):
            own, deals = conduct.colludes(past, tx, strict, surge=surge)
            told += [(deals, surge)] * (own in sizes)
        assert [(e.facts["deals"], e.facts["surge"]) for e in found] == told[:1]


@given(seeds)
@settings(max_examples=examples(12), deadline=None)
def test_refunds_are_abused_alone_or_on_one_device(seed: int) -> None:
    for past, tx, found in each(habits(seed), Pattern.REFUND_ABUSE):
        refunds, users = conduct.refunds(past, tx, LOW)
        told = [(e.facts["refunds"], e.facts["users"]) for e in found if not e.facts["company"]]
        assert told == [(refunds, users)] * (refunds > 0)
        others = set() if refunds else conduct.company(past, tx, LOW)
        named = [{entity for entity, _ in e.members} for e in found if e.facts["company"]]
        assert named == [{tx.user} | others] * bool(others)


@given(seeds)
@settings(max_examples=examples(15), deadline=None)
def test_made_up_users_share_what_sets_share(seed: int) -> None:
    for past, tx, found in each(habits(seed, most=60), Pattern.SYNTHETIC_IDENTITY):
        twins = conduct.twins(past, tx, LOW)
        assert len(found) == bool(twins)
        for e in found:
            named = {entity for entity in e.entities if entity.kind is EntityKind.USER}
            assert named == twins | {tx.user}


@given(seeds, seeds)
@settings(max_examples=examples(6), deadline=None)
def test_names_do_not_matter(seed: int, other: int) -> None:
    def told(stream: list[Transaction]) -> list:
        return [
            [(e.pattern, round(e.strength, 9), len(e.hops)) for pieces in found.values()
             for e in pieces]
            for found in seen(stream)
        ]  # fmt: skip

    stream = habits(seed)
    assert told(stream) == told(streams.relabelled(stream, random.Random(other)))


def test_the_streams_hold_every_pattern() -> None:
    """Else the tests above would compare silence with silence."""
    told = {
        pattern
        for seed in range(8)
        for gaps in ((0, 1, 5, 30, 230), (30, 230, 230, 235))
        for found in seen(habits(seed, gaps=gaps, most=130))
        for pattern in found
    }
    assert told >= {
        Pattern.DORMANT_BURST,
        Pattern.TAKEOVER,
        Pattern.BUST_OUT,
        Pattern.CARD_TESTING,
        Pattern.COLLUSIVE_MERCHANT,
        Pattern.REFUND_ABUSE,
        Pattern.SYNTHETIC_IDENTITY,
    }
