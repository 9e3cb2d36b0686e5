"""Every investigation gives the same right answers on every adapter of the graph store.

An adapter joins by adding the line that it has in `test_graph_store.py`.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cypher.embedded import EmbeddedGraphStore
from cypher.ports import GraphBatch, GraphStore, QueryTooBroad
from cypher.queries import catalogue, find, run
from cypher.sink import graph_batch
from graph.evidence import Pattern, Role
from graph.rings import Ring, RingState
from graph.transaction import HOUR, Entity, EntityKind, Money, Outcome, Transaction, TransactionType

Open = Callable[[Path], GraphStore]

ADAPTERS: dict[str, Open] = {
    "embedded": lambda folder: EmbeddedGraphStore(folder / "graph.kgl"),
}


@pytest.fixture(params=ADAPTERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GraphStore]:
    store = ADAPTERS[request.param](tmp_path)
    yield store
    store.close()


def paid(
    key: str, user: str, to: str, hours: float, value: int = 100, **fields: object
) -> Transaction:
    return Transaction(
        key, int(hours * HOUR), TransactionType.TRANSFER, Money(value, "EUR"), value, user,
        counterparty_id=to, **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def fill(store: GraphStore, *transactions: Transaction, rings: tuple[Ring, ...] = ()) -> None:
    store.write(replace(graph_batch([(t, None) for t in transactions]), rings=rings))


def ask(store: GraphStore, name: str, **parameters: object) -> list[tuple[object, ...]]:
    return list(run(store, name, parameters).rows)


def ring(key: str, score: float, *members: tuple[Entity, Role], **fields: object) -> Ring:
    return Ring(
        key, 1, RingState.ACTIVE, 1, 1, members, (Pattern.CYCLE, Pattern.MULE), score, 900,
        ("t1",), ("e1",), **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def user(key: str) -> Entity:
    return Entity(EntityKind.USER, key)


PHONE = Entity(EntityKind.DEVICE, "phone")

SAMPLES = [
    (each.name, {p.name: p.example for p in each.parameters if p.required}) for each in catalogue()
]


@pytest.mark.parametrize(("name", "parameters"), SAMPLES)
def test_on_an_empty_graph_each_gives_its_columns_and_no_rows(
    store: GraphStore, name: str, parameters: dict[str, object]
) -> None:
    answer = run(store, name, parameters)
    assert answer.columns == tuple(c.name for c in find(name).columns)
    assert (answer.rows, answer.truncated) == ((), False)


def test_ring_of_a_user_shows_every_member_strongest_ring_first(store: GraphStore) -> None:
    weak = ring("r1", 0.4, (user("ann"), Role.MULE), (PHONE, Role.SHARED))
    strong = ring("r2", 0.9, (user("ann"), Role.SENDER), (user("bob"), Role.RECEIVER))
    other = ring("r3", 0.9, (user("cat"), Role.SENDER))
    fill(store, rings=(weak, strong, other))
    patterns = ["cycle", "mule"]
    assert ask(store, "ring-of-user", user="ann") == [
        ("r2", "active", 0.9, 900, patterns, "User", "ann", "sender"),
        ("r2", "active", 0.9, 900, patterns, "User", "bob", "receiver"),
        ("r1", "active", 0.4, 900, patterns, "Device", "phone", "shared"),
        ("r1", "active", 0.4, 900, patterns, "User", "ann", "mule"),
    ]


def test_a_ring_that_merged_away_is_shown_as_what_it_became(store: GraphStore) -> None:
    old = ring("r1", 0.4, (user("ann"), Role.MULE))
    new = ring("r2", 0.9, (user("ann"), Role.SENDER), (PHONE, Role.SHARED), aliases=("r1",))
    fill(store, paid("t1", "ann", "bob", 1, device_id="phone"), rings=(old, new))
    assert {row[0] for row in ask(store, "ring-of-user", user="ann")} == {"r2"}
    assert ask(store, "accounts-sharing-device", device="phone") == [("ann", 1, HOUR, HOUR, ["r2"])]


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
    deposit = replace(refund, transaction_id="t6", type=TransactionType.DEPOSIT, merchant_id=None)
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
    assert run(store, "money-trail", {"source": "ann", "target": "dan"}).records() == [
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
            answer = run(
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


def test_too_many_trails_are_cut_and_it_says_so(store: GraphStore) -> None:
    fill(store, *(paid(f"t{i:03}", "ann", "bob", i / 10) for i in range(30)))
    answer = run(store, "money-trail", {"source": "ann", "target": "bob"}, max_rows=10)
    assert answer.truncated
    assert [r["transactions"] for r in answer.records()] == [[f"t{i:03}"] for i in range(10)]


def test_a_trail_through_a_thicket_is_refused_in_time_with_advice(store: GraphStore) -> None:
    crowd = [f"u{i}" for i in range(40)]
    fill(store, *(paid(f"{a}-{b}", a, b, 1) for a in crowd for b in crowd))
    with pytest.raises(QueryTooBroad, match="fewer hops"):
        run(store, "money-trail", {"source": "u0", "target": "u1", "hops": 6}, timeout_ms=200)


ATTACKS = [
    "x'}) DETACH DELETE n //",
    "ann'}) MATCH (n) DETACH DELETE n RETURN 1 AS x //",
    '"}) MATCH (n) DETACH DELETE n //',
    "ann\\'}) CREATE (:User {id: 'eve'}) //",
    "` MATCH (n) SET n.id = 'eve' //",
    "$user",
    "ann' OR 1=1 //",
    "ann' UNION MATCH (n) RETURN n //",
    "*/ MATCH (n) DETACH DELETE n /*",
    "} ) CALL { MATCH (n) DETACH DELETE n } //",
    "; MATCH (n) DETACH DELETE n;",
    "\u2019}) DETACH DELETE n //",
    "ann\x00",
    "\\u0027}) DETACH DELETE n //",
    "LOAD CSV FROM 'file:///etc/passwd' AS l",
    "FORMAT CSV",
]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(
    ("name", "parameter"),
    [(each.name, p.name) for each in catalogue() for p in each.parameters if p.type == "string"],
)
def test_no_text_can_become_part_of_a_query(
    store: GraphStore, name: str, parameter: str, attack: str
) -> None:
    stream = [
        paid("t1", "ann", "bob", 1, device_id="phone"),
        paid("t2", "bob", "ann", 2, device_id="phone"),
    ]
    fill(store, *stream, rings=(ring("r1", 0.9, (user("ann"), Role.MULE)),))
    everything = ("MATCH (n) RETURN count(n)", "MATCH ()-[r]->() RETURN count(r)")
    before = [store.query(q, {}, max_rows=1, timeout_ms=1_000).rows for q in everything]
    given = {p.name: "ann" for p in find(name).parameters if p.required} | {parameter: attack}
    assert run(store, name, given).rows == ()
    assert [store.query(q, {}, max_rows=1, timeout_ms=1_000).rows for q in everything] == before
    # The same text as an id is an id like any other, and is found.
    store.write(GraphBatch(graph_batch([(paid("t9", attack, attack, 1), None)]).movements))
    found = store.query("MATCH (u:User {id: $id}) RETURN u.id", {"id": attack}, max_rows=9,
                        timeout_ms=1_000)  # fmt: skip
    assert found.rows == ((attack,),)
