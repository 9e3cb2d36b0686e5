"""Chains, relays, layers and structuring on scenes drawn by hand, fraud and look-alikes."""

import doctest

import pytest

import graph.heuristics.chain
import graph.heuristics.feeder_tree
import graph.heuristics.gather_scatter
import graph.heuristics.layers
import graph.heuristics.scatter_gather
import graph.heuristics.structuring
from graph.admission import Status
from graph.errors import InvalidSetting
from graph.evidence import Evidence, Pattern, Role
from graph.heuristics import catalogue
from graph.heuristics.chain import Chains
from graph.thresholds import Thresholds
from graph.transaction import Entity, EntityKind, Transaction
from graph.window import TransactionWindow
from tests.oracles import streams

transaction = streams.transaction
A_WEEK = 7 * 24 * 60


def told(
    stream: list[Transaction], pattern: Pattern, thresholds: Thresholds = Thresholds()
) -> list[Evidence]:
    """Evidence of one pattern while a stream arrives, all of which is accepted."""
    window, book, found = TransactionWindow(), catalogue(thresholds), []
    for tx in streams.ticking(stream):
        admission = window.add(tx)
        assert admission.status is Status.ACCEPTED
        found += book.detect(window, tx, admission)
    return [e for e in found if e.pattern is pattern]


def flows(*rows: tuple[float, str | None, str | None, int], start: int = 0) -> list[Transaction]:
    return [transaction(start + i, *row) for i, row in enumerate(rows)]


def user(name: str) -> Entity:
    return Entity(EntityKind.USER, name)


def ids(evidence: Evidence) -> list[str]:
    return [hop.transaction_id for hop in evidence.hops]


@pytest.mark.parametrize(
    "module",
    [
        graph.heuristics.chain,
        graph.heuristics.feeder_tree,
        graph.heuristics.layers,
        graph.heuristics.gather_scatter,
        graph.heuristics.scatter_gather,
        graph.heuristics.structuring,
    ],
)
def test_doctests(module: object) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


# --- chains


def line(hops: int, keep: float = 0.95, gap: float = 10) -> list[Transaction]:
    return flows(*((gap * i, f"u{i}", f"u{i + 1}", round(100_000 * keep**i)) for i in range(hops)))


def test_a_chain_is_told_from_the_fourth_hop_on_with_its_exact_witness() -> None:
    found = told(line(6), Pattern.CHAIN)
    assert [ids(e) for e in found] == [[f"t{i:04}" for i in range(n)] for n in (4, 5, 6)]
    assert found[-1].members == (
        (user("u0"), Role.SENDER),
        *((user(f"u{i}"), Role.MULE) for i in range(1, 6)),
        (user("u6"), Role.RECEIVER),
    )
    strengths = [e.strength for e in found]
    assert strengths == sorted(strengths)
    assert found[0].strength > 0.5


def test_a_chain_may_end_in_cash() -> None:
    stream = [*line(3), transaction(3, 30, "u3", None, 80_000)]
    (evidence,) = told(stream, Pattern.CHAIN)
    assert evidence.entities == tuple(user(f"u{i}") for i in range(4))


@pytest.mark.parametrize(
    "stream",
    [
        line(3),
        line(6, keep=0.75),  # too much stays behind at every hop
        line(6, gap=500),  # borrowing and lending over days
        flows(*((30 - 10 * i, f"u{i}", f"u{i + 1}", 100 - i) for i in range(4))),  # backwards
        flows((0, "a", "b", 100), (1, "b", "shop", 95), (2, "shop", "c", 90), (3, "c", "d", 88)),
        # It comes home: a cycle, told as one.
        flows((0, "a", "b", 100), (1, "b", "c", 98), (2, "c", "d", 96), (3, "d", "a", 94)),
    ],
)
def test_what_looks_like_a_chain(stream: list[Transaction]) -> None:
    stream = [
        transaction(i, (tx.timestamp - streams.START) / 60_000, tx.payer and tx.payer.id,
                    tx.payee and tx.payee.id, tx.value)
        for i, tx in enumerate(sorted(stream, key=lambda tx: tx.timestamp))
    ]  # fmt: skip
    assert told(stream, Pattern.CHAIN) == []


def test_a_chain_among_acquaintances_is_too_weak_to_bear_a_ring() -> None:
    known = flows(*((i, f"u{i}", f"u{i + 1}", 500) for i in range(4)))
    later = [transaction(10 + i, A_WEEK + 10 * i, f"u{i}", f"u{i + 1}", 100_000) for i in range(4)]
    *_, evidence = told(known + later, Pattern.CHAIN)
    assert evidence.facts["acquainted_hops"] == 4
    assert evidence.strength < 0.3


def test_a_hub_costs_its_budget_and_says_so() -> None:
    window, chains = TransactionWindow(), Chains(Thresholds(chain_scan=50))
    for i in range(3):
        window.add(transaction(i, i / 10, f"u{i}", f"u{i + 1}" if i < 2 else "hub", 100))
    for i in range(100):
        window.add(transaction(10 + i, 1 + i / 10, f"x{i}", "hub", 100))
    tx = transaction(999, 12, "hub", "z", 99)
    assert chains.detect(window, tx, window.add(tx)) == ()
    tx = transaction(1_000, 13, "hub", "y", 99)
    (evidence,) = Chains(Thresholds()).detect(window, tx, window.add(tx))
    assert ids(evidence)[:3] == ["t0000", "t0001", "t0002"]


# --- scatter-gather and gather-scatter


def scattered(hands: int, value: int = 300) -> list[Transaction]:
    out = [(float(i), "u", f"i{i}", value) for i in range(hands)]
    back = [(20.0 + i, f"i{i}", "w", round(value * 0.93)) for i in range(hands)]
    return flows(*out, *back)


def test_scattered_money_is_told_with_every_hand_from_the_third_on() -> None:
    found = told(scattered(5), Pattern.SCATTER_GATHER)
    assert [e.facts["intermediaries"] for e in found] == [3, 4, 5]
    last = found[-1]
    assert last.members[0] == (user("u"), Role.CONTROLLER)
    assert last.members[-1] == (user("w"), Role.CASH_OUT)
    assert set(last.entities[1:-1]) == {user(f"i{i}") for i in range(5)}
    assert len(last.hops) == 10
    assert last.strength > 0.7
    assert not last.truncated


@pytest.mark.parametrize(
    "stream",
    [
        scattered(2),
        # A salary pays a rent: another sum.
        flows(*((i, "u", f"i{i}", 300) for i in range(4)),
              *((20 + i, f"i{i}", "w", 90) for i in range(4))),
        # They paid before they were paid.
        flows(*((i, f"i{i}", "w", 280) for i in range(4)),
              *((20 + i, "u", f"i{i}", 300) for i in range(4))),
        # The same hand three times.
        flows(*((i, "u", "i", 300) for i in range(3)),
              *((20 + i, "i", "w", 280) for i in range(3))),
        # Slower than six hours.
        flows(*((i, "u", f"i{i}", 300) for i in range(4)),
              *((400 + i, f"i{i}", "w", 280) for i in range(4))),
        # Home again: parallel ping-pong, not gathered elsewhere.
        flows(*((i, "u", f"i{i}", 300) for i in range(4)),
              *((20 + i, f"i{i}", "u", 280) for i in range(4))),
    ],
)  # fmt: skip
def test_what_looks_like_scatter_gather(stream: list[Transaction]) -> None:
    assert told(stream, Pattern.SCATTER_GATHER) == []


def test_an_employer_whose_staff_pays_one_landlord_is_known_to_them() -> None:
    month = [*scattered(4)]
    again = [
        transaction(100 + i, A_WEEK + i, tx.payer.id, tx.payee.id, tx.value)
        for i, tx in enumerate(month)
    ]
    found = told(month + again, Pattern.SCATTER_GATHER)
    assert {e.seen_at < streams.START + A_WEEK * 30_000 for e in found} == {True}


def test_collected_money_is_spread() -> None:
    stream = flows(
        *((i, f"v{i}", "c", 100) for i in range(4)),
        *((100 + i, "c", f"r{i}", 98) for i in range(4)),
    )
    found = told(stream, Pattern.GATHER_SCATTER)
    assert [e.facts["receivers"] for e in found] == [3, 4]
    assert found[0].strength < found[1].strength
    assert found[0].members[0] == (user("c"), Role.MULE)
    assert found[1].facts["senders"] == 4
    # 100 minutes are too long for a mule, whose money does not rest.
    assert told(stream, Pattern.MULE) == []


@pytest.mark.parametrize(("friends", "seen"), [(1, True), (2, False)])
def test_one_who_collects_from_friends_gathers_nothing(friends: int, seen: bool) -> None:
    earlier = flows(*((i, f"v{i}", "c", 100) for i in range(friends)), start=50)
    gathered = [
        *((A_WEEK + i, f"v{i}", "c", 100) for i in range(3)),
        *((A_WEEK + 100 + i, "c", f"r{i}", 98) for i in range(3)),
    ]
    assert bool(told([*earlier, *flows(*gathered)], Pattern.GATHER_SCATTER)) is seen


@pytest.mark.parametrize(
    "stream",
    [
        # A treasurer buys the presents.
        flows(*((i, f"v{i}", "c", 100) for i in range(4)),
              *((60 + i, "c", f"shop{i}", 98) for i in range(4))),
        # Two receivers.
        flows(*((i, f"v{i}", "c", 100) for i in range(4)),
              *((60 + i, "c", f"r{i % 2}", 98) for i in range(4))),
        # It stays over night.
        flows(*((i, f"v{i}", "c", 100) for i in range(4)),
              *((600 + i, "c", f"r{i}", 98) for i in range(4))),
        # What was paid in is paid back.
        flows(*((i, f"v{i}", "c", 100) for i in range(4)),
              *((60 + i, "c", f"v{i}", 98) for i in range(4))),
    ],
)  # fmt: skip
def test_what_looks_like_gather_scatter(stream: list[Transaction]) -> None:
    assert told(stream, Pattern.GATHER_SCATTER) == []


# --- layers


def block(payers: str, payees: str, start: int = 0, minute: float = 0.0) -> list[Transaction]:
    pairs = [(a, b) for a in payers for b in payees]
    return flows(*((minute + i, a, b, 100 + i) for i, (a, b) in enumerate(pairs)), start=start)


def test_a_bipartite_block_is_told_as_it_grows() -> None:
    found = told(block("abcd", "xyz"), Pattern.BIPARTITE)
    # A payer is told with each of its payees that widens a block of five.
    assert [e.facts["pairs"] for e in found] == [6, 6, 9, 8, 12]
    assert {e for e, role in found[-1].members if role is Role.SENDER} == {*map(user, "abcd")}
    assert {e for e, role in found[-1].members if role is Role.RECEIVER} == {*map(user, "xyz")}
    assert found[-1].strength > 0.7


def test_loose_ends_are_peeled_off() -> None:
    stream = [
        *flows((0, "a", "p", 5), (1, "a", "q", 5), (2, "r", "z", 5), (3, "s", "z", 5)),
        *block("abc", "xyz", start=10, minute=10),
    ]
    last = told(stream, Pattern.BIPARTITE)[-1]
    assert set(last.entities) == {*map(user, "abcxyz")}


def test_two_layers_are_a_stack() -> None:
    stream = block("ab", "mno") + block("mno", "xy", start=20, minute=60)
    last = told(stream, Pattern.STACK)[-1]
    roles = {role: {e.id for e, r in last.members if r is role} for role in Role}
    assert roles[Role.SENDER] == set("ab")
    assert roles[Role.MULE] == set("mno")
    assert roles[Role.RECEIVER] == set("xy")
    assert len(last.hops) == 12


@pytest.mark.parametrize(
    "stream",
    [
        block("ab", "xy"),
        # Three guests pay two hosts a meal each: nobody pays both.
        flows((0, "a", "x", 20), (1, "b", "x", 20), (2, "c", "y", 20), (3, "d", "y", 20)),
        # A flat-share settles: everybody is on both sides.
        flows(*((i, a, b, 100) for i, (a, b) in enumerate(
            (a, b) for a in "abcdef" for b in "abcdef" if a != b))),
        # A crowd pays one seller each.
        flows(*((i, f"c{i}", f"s{i % 3}", 100) for i in range(30))),
        # Everybody shops everywhere.
        flows(*((i, a, f"shop{b}", 100) for i, (a, b) in enumerate(
            (a, b) for a in "abcd" for b in range(4)))),
    ],
)  # fmt: skip
def test_what_looks_like_a_block(stream: list[Transaction]) -> None:
    assert told(stream, Pattern.BIPARTITE) == []
    assert told(stream, Pattern.STACK) == []


def test_a_block_of_acquaintances_is_not_told_again() -> None:
    stream = block("abc", "xyz") + block("abc", "xyz", start=50, minute=A_WEEK)
    half_way = streams.START + A_WEEK * 30_000
    assert {e.seen_at < half_way for e in told(stream, Pattern.BIPARTITE)} == {True}


# --- structuring


def test_smurfs_pay_one_collector_just_under_the_limit() -> None:
    stream = flows(
        (0, "s1", "c", 970_000), (200, "s2", "c", 999_999), (400, None, "c", 940_000),
        (600, "s3", "c", 810_000),
    )  # fmt: skip
    found = told(stream, Pattern.STRUCTURING)
    assert [e.facts["payments"] for e in found] == [2, 3, 4]
    assert found[-1].members == (
        (user("c"), Role.CONTROLLER),
        *((user(f"s{i}"), Role.MULE) for i in (1, 2, 3)),
    )
    assert found[-1].strength > 0.6 > found[0].strength


def test_two_deposits_just_under_the_limit_were_one_sum() -> None:
    (evidence,) = told(
        flows((0, None, "a", 980_000), (60, None, "a", 990_000)), Pattern.STRUCTURING
    )
    assert evidence.members == ((user("a"), Role.CONTROLLER),)


def test_a_smurf_that_hands_his_cash_on_is_told_the_first_time() -> None:
    stream = flows(
        (0, None, "s", 766_000), (130, "s", "c", 734_088), (500, None, "s", 970_000),
        (760, "s", "c", 925_563), (800, None, "t", 990_000), (900, "t", "c", 940_000),
    )  # fmt: skip
    first, second, third = told(stream, Pattern.STRUCTURING)
    assert first.members == ((user("c"), Role.CONTROLLER), (user("s"), Role.MULE))
    assert [hop.source for hop in first.hops] == [None, user("s")]
    assert first.reason == (
        "user:c received 1 payment of 73 % of the reporting limit from 1 account,"
        " handing on 1 deposit of cash."
    )
    assert (second.facts["payments"], second.facts["cash_deposits"]) == (2, 2)
    assert third.members[1:] == ((user("s"), Role.MULE), (user("t"), Role.MULE))
    assert first.strength < second.strength < third.strength


def test_two_deposits_are_handed_on_in_one_sum() -> None:
    stream = flows((0, None, "s", 900_000), (60, None, "s", 800_000), (90, "s", "c", 1_600_000))
    last = told(stream, Pattern.STRUCTURING)[-1]
    assert last.members == ((user("c"), Role.CONTROLLER), (user("s"), Role.MULE))
    assert len(last.hops) == 3


def test_cash_is_looked_for_among_the_newest_payments() -> None:
    fees = [(1 + n, f"pupil{n}", "s", 5_000) for n in range(32)]
    (found,) = told(
        flows((0, None, "s", 750_000), *fees[:31], (200, "s", "c", 745_000)), Pattern.STRUCTURING
    )
    assert not found.truncated
    assert told(flows((0, None, "s", 750_000), *fees, (200, "s", "c", 745_000)),
                Pattern.STRUCTURING) == []  # fmt: skip


def test_one_payer_splits_his_sum() -> None:
    stream = flows(*((60 * i, "boss", f"r{i}", 990_000) for i in range(3)))
    found = told(stream, Pattern.STRUCTURING)
    assert [e.members[0] for e in found] == [(user("boss"), Role.CONTROLLER)] * 2


@pytest.mark.parametrize(
    "stream",
    [
        # A car in two parts.
        flows((0, "a", "b", 990_000), (10, "a", "b", 990_000)),
        # As much, but open about it; or far below.
        flows(*((i, f"s{i}", "c", 1_000_000) for i in range(5))),
        flows(*((i, f"s{i}", "c", 799_999) for i in range(5))),
        # A car, its dealer, and three of his customers.
        flows(*((i, f"s{i}", "shop", 990_000) for i in range(5))),
        # Takings are banked, and wages paid from them; the rest buys a van from a dealer.
        flows(
            (0, None, "till", 900_000), (60, "till", "w", 300_000), (70, "till", "shop", 590_000)
        ),
        # Somebody's savings on top; too little cash for it; no cash; cash of last week.
        flows((0, None, "a", 900_000), (60, "a", "b", 1_100_000)),
        flows((0, None, "a", 690_000), (60, "a", "b", 690_000)),
        flows((0, "x", "a", 760_000), (60, "a", "b", 760_000)),
        flows((0, None, "a", 760_000), (10_080, "a", "b", 760_000)),
        # Three in a month.
        flows(*((i * 14_400, f"s{i}", "c", 990_000) for i in range(3))),
    ],
)
def test_what_looks_like_structuring(stream: list[Transaction]) -> None:
    assert told(stream, Pattern.STRUCTURING) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("chain_hops", 9), ("layer_side", 40), ("structuring_least", 1.5), ("chain_keeps", 0)],
)
def test_thresholds_that_cannot_work_are_refused(name: str, value: float) -> None:
    with pytest.raises(InvalidSetting) as caught:
        Thresholds(**{name: value})
    assert caught.value.field == name
