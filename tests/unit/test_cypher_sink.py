from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from cypher.embedded import EmbeddedGraphStore
from cypher.ports import GraphBatch, Relation, Written
from cypher.sink import MAX_BATCH, GraphSink, graph_batch, movement
from graph.evidence import Pattern, Role
from graph.rings import Alert, Ring, RingEvent, RingEventKind, RingState
from graph.transaction import Entity, EntityKind, Money, Outcome, Transaction, TransactionType
from scorer.verdict import Decision, Verdict

ANN, SHOP = Entity(EntityKind.USER, "ann"), Entity(EntityKind.MERCHANT, "shop")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedGraphStore]:
    store = EmbeddedGraphStore(tmp_path / "graph.kgl")
    yield store
    store.close()


def payment(key: str = "t1", **fields: object) -> Transaction:
    base = Transaction(
        key, 1_000, TransactionType.PAYMENT, Money(999, "USD"), 920, "ann", merchant_id="shop"
    )
    return structs.replace(base, **fields)  # type: ignore[arg-type]


def verdict(key: str = "t1", admission: str = "accepted", *events: RingEvent) -> Verdict:
    return Verdict(
        transaction_id=key,
        timestamp=1_000,
        admission=admission,
        decision=Decision.STEP_UP,
        score=0.4,
        model_score=None,
        ring_score=0.0,
        expected_cost=1.0,
        ring_events=events,
    )


def event(revision: int, alert: Alert | None = None) -> RingEvent:
    ring = Ring(
        "r1", revision, RingState.ACTIVE, 1, revision, ((ANN, Role.MEMBER),), (Pattern.MULE,),
        0.7, 10, ("t1",), ("e1",),
    )  # fmt: skip
    return RingEvent(RingEventKind.GREW, revision, ring, alert=alert)


def test_a_payment_becomes_a_paid_relationship_with_the_verdict_on_it() -> None:
    made = movement(payment(device_id="phone"), verdict())
    assert (made.relation, made.source, made.target, made.user) == (Relation.PAID, ANN, SHOP, ANN)
    assert (made.amount, made.currency, made.value, made.type) == (999, "USD", 920, "payment")
    assert (made.decision, made.score) == ("step_up", 0.4)
    assert made.identifiers == (Entity(EntityKind.DEVICE, "phone"),)


def test_a_refund_runs_from_the_merchant_and_stays_the_users() -> None:
    made = movement(payment(type=TransactionType.REFUND))
    assert (made.source, made.target, made.user) == (SHOP, ANN, ANN)


@pytest.mark.parametrize(
    ("kind", "relation"),
    [
        (TransactionType.WITHDRAWAL, Relation.PAID_OUT),
        (TransactionType.DEPOSIT, Relation.PAID_IN),
        (TransactionType.PAYMENT, Relation.PAID_OUT),
    ],
)
def test_money_from_or_to_the_outside_is_a_loop(kind: TransactionType, relation: Relation) -> None:
    made = movement(payment(type=kind, merchant_id=None))
    assert (made.relation, made.source, made.target) == (relation, ANN, ANN)


def test_a_declined_transaction_is_an_attempt_wherever_it_would_have_gone() -> None:
    for other in ("shop", None):
        made = movement(payment(outcome=Outcome.DECLINED, merchant_id=other))
        assert made.relation is Relation.ATTEMPTED


def test_a_transaction_our_verdict_declines_is_still_paid_until_the_outcome_says_otherwise() -> (
    None
):
    made = movement(payment(), structs.replace(verdict(), decision=Decision.DECLINE))
    assert (made.relation, made.decision) == (Relation.PAID, "decline")


def test_duplicates_are_left_out_late_and_ahead_are_kept() -> None:
    judged = [
        (payment("t1"), verdict("t1")),
        (payment("t1", value=5), verdict("t1", "duplicate")),
        (payment("t2"), verdict("t2", "late")),
        (payment("t3"), verdict("t3", "ahead")),
        (payment("t3", value=5), None),
    ]
    made = graph_batch(judged).movements
    assert [(m.transaction_id, m.value) for m in made] == [("t1", 920), ("t2", 920), ("t3", 920)]


def test_of_a_ring_only_the_greatest_revision_is_written_wherever_it_came_from() -> None:
    alert = Alert("a1", "r1", 2, 2, "h", 0.7, 10, 1, (Pattern.MULE,), "p1")
    made = graph_batch(
        [(payment(), verdict("t1", "accepted", event(3), event(2, alert)))], [event(1)]
    )
    assert [r.revision for r in made.rings] == [3]
    assert made.alerts == (alert,)


def test_nothing_makes_an_empty_batch() -> None:
    assert graph_batch([]) == GraphBatch()


def test_the_sink_goes_on_where_the_graph_stands(store: EmbeddedGraphStore) -> None:
    sink = GraphSink(store)
    assert sink.offset is None
    assert sink.write([(payment(), verdict())], [event(1)], offset=1) == Written(1, 1, 0)
    assert GraphSink(store).offset == 1
    assert sink.write([(payment(), verdict())], [event(1)], offset=1) == Written(0, 0, 0)


def test_a_long_stretch_is_written_in_pieces_and_the_offset_comes_last(
    store: EmbeddedGraphStore,
) -> None:
    pieces: list[GraphBatch] = []

    class Watched(EmbeddedGraphStore):
        def __init__(self) -> None:
            self._inner = store

        def write(self, batch: GraphBatch) -> Written:
            pieces.append(batch)
            return self._inner.write(batch)

    many = [(payment(f"t{i}"), None) for i in range(2 * MAX_BATCH + 1)]
    assert GraphSink(Watched()).write(many, [event(1)], offset=9) == Written(len(many), 1, 0)
    assert [len(p.movements) for p in pieces] == [MAX_BATCH, MAX_BATCH, 1]
    assert [p.offset for p in pieces] == [None, None, 9]
    assert [len(p.rings) for p in pieces] == [0, 0, 1]
    assert store.offset() == 9


def test_an_offset_without_transactions_is_written_too(store: EmbeddedGraphStore) -> None:
    GraphSink(store).write([], offset=4)
    assert store.offset() == 4
