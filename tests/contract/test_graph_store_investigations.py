"""Every investigation gives the same right answers on every adapter of the graph store.

An adapter joins by adding a line to `ADAPTERS` in `conftest.py`. The seeded city and the brute
force that answers for it are in `tests/oracles/questions.py`; where both adapters give the
oracle's rows in the oracle's order, they give the same.
"""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import structs

from cypher.analytics.embedded import EmbeddedAnalytics
from cypher.analytics.gds import GdsAnalytics
from cypher.analytics.ports import Analytics
from cypher.embedded import EmbeddedGraphStore
from cypher.ports import Dialect, GraphBatch, GraphStore
from cypher.queries import catalogue, find, run
from cypher.store import Neo4jStore
from graph.evidence import Pattern, Role
from graph.rings import Alert
from graph.transaction import HOUR, Entity, EntityKind, Money, Outcome, Transaction, TransactionType
from tests.contract.asked_graphs import answered, ask, fill, paid, required, ring, understood, user
from tests.oracles import city as cities
from tests.oracles import questions

Open = Callable[[Path], GraphStore]
PHONE = Entity(EntityKind.DEVICE, "phone")


def test_on_an_empty_graph_each_gives_its_columns_and_no_rows(store: GraphStore) -> None:
    for each in understood(store):
        given = {p.name: p.example for p in each.parameters if p.required}
        answer = answered(store, each.name, given)
        assert answer.columns == tuple(c.name for c in each.columns), each.name
        assert (answer.rows, answer.truncated) == ((), False), each.name


# --- a city, by brute force ---------------------------------------------------------------------

SEEDS = (1, 2, 3)
OF_CYPHER = {"string": str, "integer": int, "money": int, "timestamp": int, "number": float}


def test_every_portable_investigation_has_an_oracle_that_finds_something() -> None:
    portable = {each.name for each in catalogue() if each.needs is None} - set(questions.DEEP)
    assert set(questions.ORACLES) == set(questions.ASKED) == portable
    for name in portable:
        assert any(
            questions.ORACLES[name](cities.city(seed), questions.bound(find(name).bind(given)))
            for seed in SEEDS
            for given in questions.ASKED[name]
        ), name


@pytest.mark.parametrize("seed", SEEDS)
def test_every_portable_investigation_agrees_with_brute_force_row_by_row(
    store: GraphStore, seed: int
) -> None:
    city = cities.city(seed)
    store.write(city.batch())
    for name, asked in questions.ASKED.items():
        about = find(name)
        for given in asked:
            answer = answered(store, name, given)
            expected = questions.ORACLES[name](city, questions.bound(about.bind(given)))
            assert list(answer.rows) == expected[: about.max_rows], (name, given)
            assert answer.truncated == (len(expected) > about.max_rows), (name, given)
            for row in answer.rows:
                for column, value in zip(about.columns, row, strict=True):
                    told = OF_CYPHER.get(column.type, bool if column.type == "boolean" else list)
                    assert value is None or type(value) is told, (name, column.name)


def test_what_a_city_does_not_know_gives_no_rows(store: GraphStore) -> None:
    store.write(cities.city(1).batch())
    for each in understood(store):
        given = required(each, "nobody")
        if "nobody" in given.values():
            assert ask(store, each.name, **given) == [], each.name


@pytest.fixture
def analytics(store: GraphStore, request: pytest.FixtureRequest) -> Iterator[Analytics]:
    """The deep analysis that goes with the store."""
    found: Analytics
    if store.dialect is Dialect.NEO4J:
        found = GdsAnalytics(
            request.getfixturevalue("empty_neo4j"), *request.getfixturevalue("neo4j_auth")
        )
    else:
        assert isinstance(store, EmbeddedGraphStore)
        found = EmbeddedAnalytics(store)
    yield found
    found.close()


def test_what_the_deep_analysis_found_can_be_asked_on_every_adapter(
    store: GraphStore, analytics: Analytics
) -> None:
    city = cities.city(1)
    store.write(city.batch())
    found = analytics.analyse()
    sizes = []
    for name, asked in questions.DEEP_ASKED.items():
        for given in asked:
            expected = questions.DEEP[name](city, questions.bound(find(name).bind(given)), found)
            assert ask(store, name, **given) == expected, (name, given)
            sizes.append(len(expected))
    assert min(sizes) >= 1
    assert max(sizes) > 10


@pytest.fixture
def neo4j_store(empty_neo4j: str, neo4j_auth: tuple[str, str]) -> Iterator[GraphStore]:
    user_, password = neo4j_auth
    store = Neo4jStore(empty_neo4j, user=user_, password=password)
    yield store
    store.close()


@pytest.mark.parametrize("name", sorted(questions.NEO4J))
def test_what_only_neo4j_understands_agrees_with_brute_force(
    neo4j_store: GraphStore, name: str
) -> None:
    sizes = []
    city = cities.city(2)
    neo4j_store.write(city.batch())
    for given in questions.NEO4J_ASKED[name]:
        expected = questions.NEO4J[name](city, questions.bound(find(name).bind(given)))
        assert ask(neo4j_store, name, **given) == expected[: find(name).max_rows], given
        sizes.append(len(expected))
    assert max(sizes) > 3


# --- scenes, one by one -------------------------------------------------------------------------


def test_ring_of_a_user_shows_every_member_strongest_ring_first(store: GraphStore) -> None:
    weak = ring("r1", 0.4, (user("ann"), Role.MULE), (PHONE, Role.SHARED))
    told = (user("ann"), Role.SENDER), (user("bob"), Role.RECEIVER)
    strong = ring("r2", 0.9, *told, likelihood=0.7)
    other = ring("r3", 0.9, (user("cat"), Role.SENDER))
    fill(store, rings=(weak, strong, other))
    patterns = ["cycle", "mule"]
    assert ask(store, "ring-of-user", user="ann") == [
        ("r2", "active", 0.9, 0.7, 900, patterns, "User", "ann", "sender"),
        ("r2", "active", 0.9, 0.7, 900, patterns, "User", "bob", "receiver"),
        ("r1", "active", 0.4, None, 900, patterns, "Device", "phone", "shared"),
        ("r1", "active", 0.4, None, 900, patterns, "User", "ann", "mule"),
    ]


def test_a_ring_that_merged_away_is_shown_as_what_it_became(store: GraphStore) -> None:
    old = ring("r1", 0.4, (user("ann"), Role.MULE))
    new = ring("r2", 0.9, (user("ann"), Role.SENDER), (PHONE, Role.SHARED), aliases=("r1",))
    fill(store, paid("t1", "ann", "bob", 1, device_id="phone"), rings=(old, new))
    assert {row[0] for row in ask(store, "ring-of-user", user="ann")} == {"r2"}
    assert ask(store, "accounts-sharing-device", device="phone") == [("ann", 1, HOUR, HOUR, ["r2"])]


ABOUT_RINGS = [each.name for each in catalogue() if any(p.type == "ring" for p in each.parameters)]


def test_a_question_about_a_ring_that_merged_tells_of_the_ring_it_became(
    open_store: Open, tmp_path: Path
) -> None:
    city = cities.city(1)
    store = open_store(tmp_path)
    store.write(city.batch())
    store.close()
    store = open_store(tmp_path)  # the alias is the graph's: nobody has to remember it
    assert len(ABOUT_RINGS) >= 6
    for name in ABOUT_RINGS:
        given = next(each for each in questions.ASKED[name] if "r-cycle" in each.values())
        old = {key: "r-old" if value == "r-cycle" else value for key, value in given.items()}
        now, before = run(store, name, given), run(store, name, old)
        assert now.became == {}, name
        assert before.became == {"r-old": "r-cycle"}, name
        assert (before.columns, before.rows) == (now.columns, now.rows), name
        assert now.rows, name
    store.close()


def test_a_ring_that_merged_twice_is_the_last_one_wherever_its_id_is_asked_about(
    store: GraphStore,
) -> None:
    for told in (
        ring("r1", 0.4, (user("ann"), Role.MULE)),
        ring("r2", 0.5, (user("bob"), Role.MULE), aliases=("r1",)),
        ring("r3", 0.9, (user("cat"), Role.MULE), aliases=("r2", "r1")),
    ):
        fill(store, rings=(told,))
    fill(store, paid("t2", "ann", "cat", 1), paid("t3", "ann", "bob", 2))
    for key, became in (("r1", {"r1": "r3"}), ("r2", {"r2": "r3"}), ("r3", {}), ("r4", {})):
        answer = run(store, "ring-members", {"ring": key})
        assert answer.became == became
        assert [row[1] for row in answer.rows] == ([] if key == "r4" else ["cat"])
    contact = run(store, "first-contact", {"user": "ann", "ring": "r1"})
    assert [row[3] for row in contact.rows] == ["cat"]
    both = run(store, "common-counterparties", {"ring_a": "r1", "ring_b": "r2"})
    assert both.became == {"r1": "r3", "r2": "r3"}
    assert [row[1] for row in both.rows] == ["ann"]


def test_the_evidence_of_an_alert_on_a_ring_that_merged_is_that_of_the_ring_it_became(
    store: GraphStore,
) -> None:
    alert = Alert("a1", "r1", 1, 1, "One mule", 0.4, 900, 1, (Pattern.MULE,), "p1")
    fill(store, paid("t1", "ann", "bob", 1), rings=(ring("r1", 0.4, (user("cat"), Role.MULE)),))
    store.write(GraphBatch(alerts=(alert,)))
    assert ask(store, "alert-evidence", alert="a1") == []
    became = ring("r2", 0.9, (user("ann"), Role.SENDER), (user("bob"), Role.MULE), aliases=("r1",))
    fill(store, rings=(became,))
    (row,) = ask(store, "alert-evidence", alert="a1")
    assert (row[3], row[4], row[6], row[7], row[9]) == ("ann", "sender", "bob", "mule", "t1")


def test_accounts_sharing_a_device_the_busiest_first(store: GraphStore) -> None:
    fill(
        store,
        paid("t1", "ann", "cat", 1, device_id="phone"),
        paid("t2", "bob", "cat", 2, device_id="phone"),
        paid("t3", "bob", "cat", 5, device_id="phone"),
        paid("t4", "cat", "ann", 5, device_id="other"),
        rings=(
            ring("r2", 0.9, (user("ann"), Role.MULE)),
            ring("r1", 0.1, (user("ann"), Role.MULE)),
        ),
    )
    assert ask(store, "accounts-sharing-device", device="phone") == [
        ("bob", 2, 2 * HOUR, 5 * HOUR, []),
        ("ann", 1, HOUR, HOUR, ["r1", "r2"]),
    ]


def test_fan_in_sums_by_payer_within_the_span_and_leaves_out_what_never_arrived(
    store: GraphStore,
) -> None:
    refund = Transaction(
        "t5", 3 * HOUR, TransactionType.REFUND, Money(7, "EUR"), 7, "hub", merchant_id="shop"
    )
    deposit = structs.replace(
        refund, transaction_id="t6", type=TransactionType.DEPOSIT, merchant_id=None
    )
    fill(
        store,
        paid("t1", "ann", "hub", 1, 100),
        paid("t2", "ann", "hub", 3, 50),
        paid("t3", "bob", "hub", 4, 70),
        paid("t4", "cat", "hub", 3, 900, outcome=Outcome.DECLINED),
        refund,
        deposit,
        paid("t7", "hub", "ann", 3, 1),
    )
    assert ask(store, "fan-in", user="hub") == [
        ("User", "ann", 2, 150, HOUR, 3 * HOUR),
        ("User", "bob", 1, 70, 4 * HOUR, 4 * HOUR),
        ("Merchant", "shop", 1, 7, 3 * HOUR, 3 * HOUR),
    ]
    within = ask(
        store, "fan-in", user="hub", since="1970-01-01T03:00:00Z", until="1970-01-01T05:00:00+01:00"
    )
    assert within == [
        ("User", "ann", 1, 50, 3 * HOUR, 3 * HOUR),
        ("Merchant", "shop", 1, 7, 3 * HOUR, 3 * HOUR),
    ]


def test_neighbourhood_sums_by_neighbour_relation_and_direction(store: GraphStore) -> None:
    cash = Transaction("t5", 9 * HOUR, TransactionType.WITHDRAWAL, Money(30, "EUR"), 30, "ann")
    fill(
        store,
        paid("t1", "ann", "bob", 1, 100, device_id="phone"),
        paid("t2", "ann", "bob", 2, 50, device_id="phone"),
        paid("t3", "bob", "ann", 3, 20),
        paid("t4", "ann", "cat", 4, 5, outcome=Outcome.DECLINED),
        cash,
        rings=(ring("r1", 0.9, (user("ann"), Role.MULE)),),
    )
    assert ask(store, "neighbourhood", user="ann") == [
        ("PAID", "out", "User", "bob", 2, 150, HOUR, 2 * HOUR),
        ("PAID_OUT", "out", "User", "ann", 1, 30, 9 * HOUR, 9 * HOUR),
        ("PAID", "in", "User", "bob", 1, 20, 3 * HOUR, 3 * HOUR),
        ("ATTEMPTED", "out", "User", "cat", 1, 5, 4 * HOUR, 4 * HOUR),
        ("USED_DEVICE", "out", "Device", "phone", 2, 0, HOUR, 2 * HOUR),
        ("HAS_MEMBER", "in", "Ring", "r1", 1, 0, None, None),
    ]


def test_money_trail_tells_the_chain_its_times_and_its_bottleneck(store: GraphStore) -> None:
    fill(
        store,
        paid("t1", "ann", "bob", 1, 100),
        paid("t2", "bob", "cat", 2, 80),
        paid("t3", "cat", "dan", 3, 90),
    )
    assert answered(store, "money-trail", {"source": "ann", "target": "dan"}).records() == [
        {
            "hops": 3,
            "started_at": HOUR,
            "ended_at": 3 * HOUR,
            "sent": 100,
            "received": 90,
            "bottleneck": 80,
            "accounts": ["ann", "bob", "cat", "dan"],
            "transactions": ["t1", "t2", "t3"],
            "amounts": [100, 80, 90],
            "times": [HOUR, 2 * HOUR, 3 * HOUR],
        }
    ]


def test_money_never_flows_backwards_in_time_nor_through_an_attempt(store: GraphStore) -> None:
    fill(
        store,
        paid("t1", "ann", "bob", 2),
        paid("t2", "bob", "cat", 1),
        paid("t3", "ann", "dan", 2),
        paid("t4", "dan", "cat", 3, outcome=Outcome.DECLINED),
    )
    assert ask(store, "money-trail", source="ann", target="cat") == []
    fill(store, paid("t5", "bob", "cat", 2))
    assert [r[7] for r in ask(store, "money-trail", source="ann", target="cat")] == [["t1", "t5"]]


def trails(
    stream: list[Transaction], source: str, target: str, hops: int, hours: int
) -> set[tuple[str, ...]]:
    """The same question by brute force over every simple path."""
    found: set[tuple[str, ...]] = set()

    def walk(path: list[Transaction], visited: set[str]) -> None:
        for t in stream:
            if t.user_id != (path[-1].counterparty_id if path else source):
                continue
            if path and not path[-1].timestamp <= t.timestamp <= path[0].timestamp + hours * HOUR:
                continue
            assert t.counterparty_id is not None
            if t.counterparty_id == target:
                found.add(tuple(x.transaction_id for x in [*path, t]))
            elif len(path) + 1 < hops and t.counterparty_id not in visited | {source}:
                walk([*path, t], visited | {t.counterparty_id})

    walk([], set())
    return found


@pytest.mark.parametrize("seed", range(6))
def test_money_trail_agrees_with_brute_force(store: GraphStore, seed: int) -> None:
    random_ = random.Random(seed)
    people = [f"u{i}" for i in range(7)]
    stream = [
        paid(f"t{i}", random_.choice(people), random_.choice(people), random_.randrange(40))
        for i in range(60)
    ]
    fill(store, *stream)
    lengths: list[int] = []
    for hops, hours in ((1, 24), (2, 40), (3, 12), (4, 20), (6, 36)):
        for source, target in (("u0", "u1"), ("u2", "u2"), ("u3", "u0")):
            answer = answered(
                store,
                "money-trail",
                {"source": source, "target": target, "hops": hops, "hours": hours},
            )
            assert not answer.truncated
            told = [tuple(r["transactions"]) for r in answer.records()]  # type: ignore[arg-type]
            assert len(told) == len(set(told))
            assert set(told) == trails(stream, source, target, hops, hours)
            lengths += [len(t) for t in told]
    assert len(lengths) > 50
    assert set(lengths) >= {1, 2, 3, 4, 5}
