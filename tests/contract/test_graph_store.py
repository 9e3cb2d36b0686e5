"""The laws of the graph database port, for every adapter of it.

An adapter joins by adding a line to `ADAPTERS` in `conftest.py`. Nothing here knows what product
it is.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec import structs

from cypher import retention
from cypher.ports import (
    GraphBatch,
    GraphStore,
    GraphUnavailable,
    Link,
    QueryTooBroad,
    Removal,
    Written,
)
from cypher.retention import Forgotten, horizon, retain
from cypher.sink import graph_batch, movement
from graph.errors import InvalidInput
from graph.evidence import Pattern, Role
from graph.rings import Alert, Ring, RingState
from graph.transaction import DAY, Entity, EntityKind, Money, Outcome, Transaction, TransactionType

Open = Callable[[Path], GraphStore]

ANN, BOB = Entity(EntityKind.USER, "ann"), Entity(EntityKind.USER, "bob")
PHONE = Entity(EntityKind.DEVICE, "phone")


def transfer(
    key: str, at: int = 1_000, *, user: str = "ann", to: str = "bob", **more: object
) -> Transaction:
    fields: dict[str, object] = {"device_id": "phone", "ip_address": "10.0.0.1", "card_id": "card"}
    return Transaction(
        transaction_id=key,
        timestamp=at,
        type=TransactionType.TRANSFER,
        amount=Money(1_234, "EUR"),
        value=1_234,
        user_id=user,
        counterparty_id=to,
        **(fields | more),  # type: ignore[arg-type]
    )


def batch(*transactions: Transaction, offset: int | None = None) -> GraphBatch:
    return graph_batch([(t, None) for t in transactions], offset=offset)


def ring(revision: int = 1, *members: tuple[Entity, Role], **more: object) -> Ring:
    return structs.replace(
        Ring(
            ring_id="r1",
            revision=revision,
            state=RingState.ACTIVE,
            born_at=1_000,
            changed_at=1_000 + revision,
            members=members or ((ANN, Role.SENDER), (PHONE, Role.SHARED)),
            patterns=(Pattern.CYCLE,),
            score=0.5 + revision / 100,
            money=2_468,
            transactions=("t1", "t2"),
            evidence=("e1",),
        ),
        **more,  # type: ignore[arg-type]
    )


ALERT = Alert("a1", "r1", 1, 1_001, "Two users, one phone", 0.9, 2_468, 2, (Pattern.CYCLE,), "p1")


def rows(store: GraphStore, cypher: str, **parameters: object) -> list[tuple[object, ...]]:
    return list(store.query(cypher, parameters, max_rows=100_000, timeout_ms=20_000).rows)


def whole(store: GraphStore) -> list[tuple[object, ...]]:
    """Everything in the graph, as comparable text, in an order of its own."""
    nodes = rows(
        store,
        "MATCH (n) WHERE NOT n:Migration RETURN labels(n) AS l, n.id AS i, n.ring_id AS a, "
        "n.alert_id AS b, n.horizon AS q, n.at AS r, "
        "n.revision AS c, n.state AS d, n.score AS e, n.money AS f, n.patterns AS g, "
        "n.transactions AS h, n.offset AS j, n.headline AS k, n.born_at AS m, n.changed_at AS o",
    )
    edges = rows(
        store,
        "MATCH (s)-[r]->(t) RETURN type(r) AS t, labels(s) AS sl, s.id AS s, labels(t) AS tl, "
        "t.id AS tt, properties(r) AS p",
    )
    plain = [(*edge[:-1], sorted(dict(edge[-1]).items())) for edge in edges]  # type: ignore[call-overload]
    return sorted([*nodes, *plain], key=repr)


LINK = "MATCH (:User {id: 'ann'})-[l:USED_DEVICE]->(:Device {id: 'phone'}) "
SEEN = LINK + "RETURN l.count, l.first_seen, l.last_seen"


# --- writing ------------------------------------------------------------------------------------


def test_an_empty_store_answers_nothing_and_has_no_offset(store: GraphStore) -> None:
    assert rows(store, "MATCH (u:User)-[:PAID]->(n) RETURN u.id, n.id") == []
    assert store.offset() is None


def test_a_transaction_is_a_relationship_with_its_properties(store: GraphStore) -> None:
    assert store.write(batch(transfer("t1"))) == Written(1, 0, 0)
    assert rows(
        store,
        "MATCH (:User {id: 'ann'})-[p:PAID]->(:User {id: 'bob'}) RETURN p.transaction_id, "
        "p.timestamp, p.value, p.amount, p.currency, p.type, p.decision, p.score",
    ) == [("t1", 1_000, 1_234, 1_234, "EUR", "transfer", None, None)]


def test_sharing_is_a_link_to_each_identifier(store: GraphStore) -> None:
    store.write(batch(transfer("t1")))
    assert sorted(
        rows(store, "MATCH (:User {id: 'ann'})-[l]->(n) RETURN type(l), labels(n)[0], n.id")
    ) == [
        ("PAID", "User", "bob"),
        ("USED_CARD", "Card", "card"),
        ("USED_DEVICE", "Device", "phone"),
        ("USED_IP", "Ip", "10.0.0.1"),
    ]


@pytest.mark.parametrize(
    ("fields", "relation", "source", "target"),
    [
        ({"type": TransactionType.PAYMENT}, "PAID", ("User", "ann"), ("Merchant", "shop")),
        ({"type": TransactionType.REFUND}, "PAID", ("Merchant", "shop"), ("User", "ann")),
        (
            {"type": TransactionType.WITHDRAWAL, "merchant_id": None},
            "PAID_OUT",
            ("User", "ann"),
            ("User", "ann"),
        ),
        (
            {"type": TransactionType.DEPOSIT, "merchant_id": None},
            "PAID_IN",
            ("User", "ann"),
            ("User", "ann"),
        ),
        (
            {"type": TransactionType.PAYMENT, "outcome": Outcome.DECLINED},
            "ATTEMPTED",
            ("User", "ann"),
            ("Merchant", "shop"),
        ),
    ],
)
def test_every_type_of_transaction_has_its_place_and_is_idempotent(
    store: GraphStore,
    fields: dict[str, object],
    relation: str,
    source: tuple[str, str],
    target: tuple[str, str],
) -> None:
    base = transfer("t1", to="bob")
    shaped = structs.replace(base, **({"counterparty_id": None, "merchant_id": "shop"} | fields))  # type: ignore[arg-type]
    for _ in range(2):
        store.write(batch(shaped))
        assert rows(
            store,
            "MATCH (s)-[p]->(t) WHERE p.transaction_id = 't1' "
            "RETURN type(p), labels(s)[0], s.id, labels(t)[0], t.id",
        ) == [(relation, *source, *target)]
        assert rows(store, SEEN) == [(1, 1_000, 1_000)]


def test_writing_a_batch_twice_leaves_the_same_graph(store: GraphStore) -> None:
    everything = replace(
        batch(transfer("t1", 5), transfer("t2", 7), transfer("t3", 6, user="bob", to="ann")),
        rings=(ring(3, aliases=("r0",)),),
        alerts=(ALERT,),
        offset=17,
    )
    assert store.write(everything) == Written(3, 1, 1)
    once = whole(store)
    # 2 users, 3 identifiers, 2 rings, alert, sink; 3 payments, 6 links, 2 members, merged, about
    assert len(once) == 9 + 13
    assert store.write(everything) == Written(0, 0, 0)
    assert whole(store) == once


def test_links_count_each_transaction_once_however_batches_overlap(store: GraphStore) -> None:
    one, two, three = transfer("t1", 30), transfer("t2", 10), transfer("t3", 20)
    store.write(batch(one, two))
    store.write(batch(two, three))
    store.write(batch(three, one))
    assert rows(store, SEEN) == [(3, 10, 30)]


def test_the_order_of_batches_does_not_matter(open_store: Open, tmp_path: Path) -> None:
    many = [transfer(f"t{i}", 1_000 - i, to=f"u{i % 3}") for i in range(12)]
    graphs = []
    for name, order in (("a", many), ("b", many[::-1])):
        (tmp_path / name).mkdir()
        store = open_store(tmp_path / name)
        for start in range(0, 12, 4):
            store.write(batch(*order[start : start + 4]))
        graphs.append(whole(store))
        store.close()
    assert graphs[0] == graphs[1]


def test_a_verdict_reaches_a_transaction_that_came_without(store: GraphStore) -> None:
    bare = movement(transfer("t1"))
    judged = replace(bare, decision="decline", score=0.93, value=1)
    store.write(GraphBatch((bare,)))
    store.write(GraphBatch((judged,)))
    store.write(GraphBatch((bare,)))
    assert rows(store, "MATCH ()-[p:PAID]->() RETURN p.decision, p.score, p.value") == [
        ("decline", 0.93, 1_234)
    ]
    assert rows(store, SEEN) == [(1, 1_000, 1_000)]


def test_a_ring_is_replaced_by_a_newer_revision_and_by_no_older(store: GraphStore) -> None:
    new = ring(5, (ANN, Role.MULE), (BOB, Role.RECEIVER))
    store.write(GraphBatch(rings=(ring(4, likelihood=0.25),)))
    judged = "MATCH (r:Ring) RETURN r.likelihood"
    assert rows(store, judged) == [(0.25,)]
    assert store.write(GraphBatch(rings=(new,))) == Written(0, 1, 0)
    assert store.write(GraphBatch(rings=(ring(4),))) == Written(0, 0, 0)
    members = "MATCH (r:Ring {id: 'r1'})-[m:HAS_MEMBER]->(n) RETURN labels(n)[0], n.id, m.role"
    assert sorted(rows(store, members)) == [("User", "ann", "mule"), ("User", "bob", "receiver")]
    assert rows(store, judged) == [(None,)]
    assert rows(
        store,
        "MATCH (r:Ring) RETURN r.ring_id, r.revision, r.state, r.score, r.money, r.born_at, "
        "r.changed_at, r.patterns, r.transactions, r.truncated",
    ) == [("r1", 5, "active", 0.55, 2_468, 1_000, 1_005, ["cycle"], ["t1", "t2"], False)]


def test_a_merged_ring_points_at_the_one_it_became(store: GraphStore) -> None:
    store.write(GraphBatch(rings=(ring(1, ring_id="r0"),)))
    store.write(GraphBatch(rings=(ring(2, aliases=("r0",)),)))
    asked = "MATCH (a:Ring)-[:MERGED_INTO]->(b:Ring) RETURN a.ring_id, a.state, b.ring_id, b.state"
    assert rows(store, asked) == [("r0", "merged", "r1", "active")]


def test_a_merged_ring_goes_with_the_one_it_became_and_is_never_live_again(
    store: GraphStore,
) -> None:
    past = {"born_at": OLD, "changed_at": OLD + 3}
    store.write(GraphBatch(rings=(ring(1, ring_id="r0", **past),)))  # as it was last told: active
    store.write(GraphBatch(rings=(ring(2, aliases=("r0",), **past),)))
    assert retain(store, NEW).rings == 0
    assert len(rows(store, "MATCH (r:Ring) RETURN r.id")) == 2
    expired = past | {"state": RingState.EXPIRED}
    store.write(GraphBatch(rings=(ring(3, aliases=("r0",), **expired),)))
    assert retain(store, NEW).rings == 2
    assert rows(store, "MATCH (r:Ring) RETURN r.id") == []


def test_a_part_points_at_the_ring_it_split_from(store: GraphStore) -> None:
    parted = GraphBatch(rings=(ring(1, ring_id="r2", split_from="r1", recoverable=77),))
    store.write(parted)
    store.write(GraphBatch(rings=(ring(2),)))
    once = whole(store)
    store.write(parted)
    assert whole(store) == once
    assert rows(
        store, "MATCH (a:Ring)-[:SPLIT_FROM]->(b:Ring) RETURN a.ring_id, a.recoverable, b.revision"
    ) == [("r2", 77, 2)]


def test_an_alert_is_about_a_ring_even_before_the_ring_arrives(store: GraphStore) -> None:
    store.write(GraphBatch(alerts=(structs.replace(ALERT, likelihood=0.75),)))
    store.write(GraphBatch(rings=(ring(1),)))
    assert rows(
        store,
        "MATCH (a:Alert)-[:ABOUT]->(r:Ring) RETURN a.alert_id, a.headline, a.at, a.score, "
        "a.money, a.member_count, a.policy_version, a.likelihood, a.revision, r.ring_id, "
        "r.revision",
    ) == [("a1", "Two users, one phone", 1_001, 0.9, 2_468, 2, "p1", 0.75, 1, "r1", 1)]


def test_the_offset_lies_with_the_batch_and_never_goes_back(store: GraphStore) -> None:
    store.write(batch(transfer("t1"), offset=5))
    store.write(batch(transfer("t2")))
    assert store.offset() == 5
    store.write(GraphBatch(offset=3))
    assert store.offset() == 5
    store.write(GraphBatch(offset=2**40))
    assert store.offset() == 2**40


def test_which_log_it_is_fed_from_stays_beside_the_offset(store: GraphStore) -> None:
    assert store.fed_from() is None
    store.feed_from("kafka/one")
    assert (store.fed_from(), store.offset()) == ("kafka/one", None)
    store.write(batch(transfer("t1"), offset=5))
    assert (store.fed_from(), store.offset()) == ("kafka/one", 5)


def test_a_batch_that_cannot_be_held_changes_nothing(store: GraphStore) -> None:
    store.write(batch(transfer("t1"), offset=1))
    before = whole(store)
    huge = replace(movement(transfer("t3")), value=2**70)
    with pytest.raises(InvalidInput):
        store.write(GraphBatch((movement(transfer("t2", to="new")), huge), offset=2))
    broken = replace(movement(transfer("t4", to="new")), currency="\ud800")
    with pytest.raises(InvalidInput):
        store.write(GraphBatch((broken,), offset=2))
    assert whole(store) == before


IDS = [
    "1", "01", "1.0", "1e3", "true", "null", "2024-01-01", "2024-01-01T00:00:00Z", " pad ", "é",
    "e\u0301", "\U0001f4b8", "\n", "a\\nb", "`", "'", '"', "$x", "{id: 1}",
    "x'}) DETACH DELETE n //",
]  # fmt: skip


def test_ids_are_kept_apart_and_as_they_came(store: GraphStore) -> None:
    store.write(batch(*(transfer(f"t{i}", user=a, to="sink") for i, a in enumerate(IDS))))
    assert sorted(str(r[0]) for r in rows(store, "MATCH (u:User) RETURN u.id")) == sorted(
        [*IDS, "sink"]
    )
    for key in IDS:
        found = rows(store, "MATCH (u:User {id: $id})-[:PAID]->() RETURN u.id", id=key)
        assert found == [(key,)]


# --- asking -------------------------------------------------------------------------------------


def test_rows_are_capped_and_it_says_so(store: GraphStore) -> None:
    store.write(batch(*(transfer(f"t{i}", to=f"u{i}") for i in range(9))))
    ask = "MATCH (u:User) RETURN u.id AS id ORDER BY id"
    ten = store.query(ask, {}, max_rows=10, timeout_ms=5_000)
    assert (ten.columns, len(ten.rows), ten.truncated) == (("id",), 10, False)
    nine = store.query(ask, {}, max_rows=9, timeout_ms=5_000)
    assert (nine.rows, nine.truncated) == (ten.rows[:9], True)
    assert nine.records()[0] == {"id": "ann"}


def test_time_is_limited_and_the_store_lives_on(store: GraphStore) -> None:
    store.write(batch(*(transfer(f"t{i}", to=f"u{i}") for i in range(200))))
    with pytest.raises(QueryTooBroad, match=r"time limit|memory bound"):
        store.query(
            "MATCH (a:User), (b:User), (c:User), (d:User), (e:User) "
            "WHERE a.id < b.id AND b.id > c.id AND c.id < d.id AND d.id > e.id RETURN count(*)",
            {},
            max_rows=1,
            timeout_ms=50,
        )
    assert rows(store, "MATCH (u:User) RETURN count(u)") == [(201,)]


@pytest.mark.parametrize(
    "writing",
    [
        "MATCH (n) DETACH DELETE n",
        "CREATE (:User {id: 'eve'})",
        "MERGE (u:User {id: 'eve'}) RETURN u.id",
        "MATCH (u:User) SET u.id = 'eve'",
        "MATCH (u:User) REMOVE u.id RETURN 1",
        "CREATE INDEX FOR (n:User) ON (n.x)",
    ],
)
def test_a_query_cannot_write(store: GraphStore, writing: str) -> None:
    store.write(batch(transfer("t1")))
    before = whole(store)
    with pytest.raises(InvalidInput):
        store.query(writing, {}, max_rows=1, timeout_ms=1_000)
    assert whole(store) == before


def test_a_broken_query_and_a_missing_parameter_are_the_callers_fault(store: GraphStore) -> None:
    for cypher in ("MATCH (n RETURN n", "RETURN $nobody"):
        with pytest.raises(InvalidInput):
            store.query(cypher, {}, max_rows=1, timeout_ms=1_000)


def test_limits_of_nothing_are_refused_instead_of_meaning_no_limit(store: GraphStore) -> None:
    for max_rows, timeout_ms in ((0, 1_000), (1, 0)):
        with pytest.raises(InvalidInput):
            store.query("RETURN 1", {}, max_rows=max_rows, timeout_ms=timeout_ms)


def test_scalars_lists_and_maps_come_back_as_they_went(store: GraphStore) -> None:
    value = [1, -(2**63), 2**63 - 1, 0.1, True, None, "text", ["a", ["b"]], {"k": [1]}]
    assert rows(store, "RETURN $v AS v", v=value) == [(value,)]


# --- living -------------------------------------------------------------------------------------


def test_what_was_written_is_there_after_opening_again(open_store: Open, tmp_path: Path) -> None:
    first = open_store(tmp_path)
    first.write(replace(batch(transfer("t1"), offset=7), rings=(ring(),), alerts=(ALERT,)))
    before = whole(first)
    first.close()
    again = open_store(tmp_path)
    assert whole(again) == before
    assert again.offset() == 7
    assert again.write(batch(transfer("t1"))) == Written(0, 0, 0)
    again.close()


def test_a_closed_store_says_so_and_closes_twice(open_store: Open, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.write(batch(transfer("t1")))
    store.close()
    store.close()
    calls: list[Callable[[], object]] = [
        lambda: store.write(batch(transfer("t2"))),
        lambda: store.query("RETURN 1", {}, max_rows=1, timeout_ms=1_000),
        store.offset,
    ]
    for call in calls:
        with pytest.raises(GraphUnavailable):
            call()


def test_readers_see_whole_batches_while_the_writer_writes(store: GraphStore) -> None:
    torn: list[object] = []
    reads = 0
    stop = threading.Event()

    def read() -> None:
        nonlocal reads
        while not stop.is_set():
            count = rows(store, "MATCH ()-[p:PAID]->() RETURN count(p)")[0][0]
            linked = rows(store, "MATCH (:User)-[l:USED_DEVICE]->() RETURN sum(l.count)")[0][0]
            reads += 1
            assert isinstance(count, int)
            assert isinstance(linked, int)
            if count % 20 or linked % 20 or linked < count:  # read later, so never behind
                torn.append((count, linked))

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(40):
        store.write(batch(*(transfer(f"t{i}-{j}", to=f"u{j}") for j in range(20)), offset=i))
    stop.set()
    reader.join()
    assert reads > 3
    assert torn == []
    assert rows(store, SEEN) == [(800, 1_000, 1_000)]


# --- forgetting ---------------------------------------------------------------------------------

OLD, NEW = 1_000, 50 * DAY


def old_and_new() -> GraphBatch:
    """Ann paid long ago through a phone she uses still, and through a card that is gone."""
    transactions = [
        transfer("t1", OLD, to="gone"),
        structs.replace(
            transfer("t2", OLD + 1), type=TransactionType.DEPOSIT, counterparty_id=None
        ),
        transfer("t3", OLD + 2, user="gone", to="ann", outcome=Outcome.DECLINED),
        transfer("t4", NEW, card_id="new"),
        transfer("t5", NEW + 1, user="bob", to="ann", card_id=None, ip_address=None),
        transfer("t6", NEW + 2, card_id="new"),
    ]
    live = ring(1, (ANN, Role.SENDER), (Entity(EntityKind.USER, "kept"), Role.MULE), ring_id="r1")
    past = {"born_at": OLD, "changed_at": OLD + 3, "state": RingState.EXPIRED}
    merged = past | {"state": RingState.MERGED}
    return replace(
        batch(*transactions, offset=9),
        rings=(
            structs.replace(live, changed_at=OLD),
            ring(2, (Entity(EntityKind.USER, "mule"), Role.MULE), ring_id="r2", **past),
            ring(3, (BOB, Role.MULE), ring_id="r3", aliases=("r4", "r5"), **past),
            ring(4, (BOB, Role.MULE), ring_id="r4", **merged),
            ring(5, (BOB, Role.MULE), ring_id="r6", **(past | {"changed_at": NEW})),
            ring(6, (BOB, Role.MULE), ring_id="r7", split_from="r2", **past),
        ),
        alerts=(
            structs.replace(ALERT, at=OLD),
            structs.replace(ALERT, alert_id="a2", ring_id="r2", at=OLD),
            structs.replace(ALERT, alert_id="a3", ring_id="never", at=OLD),
        ),
    )


def test_retention_takes_what_is_old_and_all_that_hung_on_it_alone(store: GraphStore) -> None:
    store.write(old_and_new())
    before = horizon(store, 30, 100 * DAY)
    assert before == NEW - 30 * DAY
    assert before is not None
    counted = retain(store, before, dry_run=True)
    gone = retain(store, before)
    # r3 is found, then r4 that merged into it, then r5 of which only r3 spoke, and "never"; r2 and
    # r7, which split from it
    assert gone == Forgotten(before, transactions=3, links=4, rings=6, alerts=1, entities=3)
    assert (counted.transactions, counted.links, counted.alerts) == (3, 4, 1)
    kept = rows(store, "MATCH ()-[p]->() RETURN type(p), count(p)")
    assert dict(kept) == {  # type: ignore[arg-type]
        "PAID": 3, "USED_DEVICE": 2, "USED_IP": 1, "USED_CARD": 1, "HAS_MEMBER": 3, "ABOUT": 1,
    }  # fmt: skip
    assert sorted(rows(store, "MATCH (n) WHERE NOT n:Migration RETURN labels(n)[0], n.id")) == [
        ("Alert", "a1"), ("Card", "new"), ("Device", "phone"), ("Ip", "10.0.0.1"),
        ("Ring", "r1"), ("Ring", "r6"), ("Sink", "graph"),
        ("User", "ann"), ("User", "bob"), ("User", "kept"),
    ]  # fmt: skip
    # A link that lives tells of its whole life.
    assert rows(store, SEEN) == [(4, OLD, NEW + 2)]
    assert store.offset() == 9


def test_retention_is_idempotent_and_what_comes_again_stays_away(store: GraphStore) -> None:
    store.write(old_and_new())
    retain(store, NEW)
    once = whole(store)
    assert retain(store, NEW) == Forgotten(NEW)
    assert retain(store, OLD) == Forgotten(OLD)
    assert store.write(old_and_new()) == Written(0, 0, 0, forgotten=3 + 4 + 2)
    assert store.write(batch(transfer("t1", OLD))) == Written(0, 0, 0, forgotten=1)
    assert whole(store) == once


def test_retention_looks_again_before_it_takes(store: GraphStore) -> None:
    """The sink has written between the look and the taking: what is not old any more stays."""
    store.write(old_and_new())
    before = whole(store)
    everything = Removal(
        OLD,
        movements=tuple(movement(t) for t in (transfer("t1", OLD, to="gone"), transfer("t4", NEW))),
        links=(Link("ann", PHONE), Link("nobody", PHONE)),
        rings=("r1", "r3", "r6", "nothing"),
        alerts=("a1", "a3", "nothing"),
        entities=(ANN, PHONE, Entity(EntityKind.CARD, "nothing")),
        bare_rings=("r1", "r5", "nothing"),
    )
    store.remove(everything)
    assert [r for r in whole(store) if r[0] != ["Sink"]] == [r for r in before if r[0] != ["Sink"]]


def test_retention_goes_in_bounded_batches(
    store: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    monkeypatch.setattr(retention, "PAGE", 7)
    store.write(batch(*(transfer(f"t{i}", i + 1, user=f"u{i}", to="sink") for i in range(20))))
    told: list[Forgotten] = []
    gone = retain(store, 1_000, told=told.append)
    assert (gone.transactions, gone.links, gone.entities) == (20, 60, 20 + 1 + 3)
    sizes = [b.transactions - a.transactions for a, b in pairwise([Forgotten(1_000), *told])]
    assert max(sizes) == 3
    assert sum(sizes) == 20
    assert rows(store, "MATCH (n) WHERE NOT n:Migration RETURN labels(n)[0]") == [("Sink",)]


def test_now_is_the_third_newest_transaction_and_never_past_the_clock(store: GraphStore) -> None:
    assert horizon(store, 1, 10 * DAY) is None
    store.write(batch(transfer("t1", 5 * DAY), transfer("t2", 6 * DAY), transfer("t3", 7 * DAY)))
    assert horizon(store, 1, 10 * DAY) == 4 * DAY
    far = 250_000 * DAY
    store.write(batch(transfer("t4", far), transfer("t5", far)))
    assert horizon(store, 1, 10 * DAY) == 6 * DAY
    assert horizon(store, 1, 3 * DAY) == 2 * DAY
    with pytest.raises(InvalidInput):
        horizon(store, 0, 10 * DAY)
