"""From the log to the graph: verdicts and ring events become idempotent batches.

The sink follows the log with an offset of its own, and the offset lies in the graph, in the same
atomic batch as what it covers. After a crash the sink asks the graph where it stands and goes on
from there; what it reads twice is written once.
"""

import logging
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final

from cypher.ports import GraphBatch, GraphStore, Movement, Relation, Written
from graph.admission import Status
from graph.rings import Alert, Ring, RingEvent
from graph.transaction import Transaction
from scorer.verdict import Verdict

MAX_BATCH: Final = 2_000
"""Transactions a batch: beyond it a batch costs memory and gains no speed (measured)."""

_log: Final = logging.getLogger(__name__)

Judged = tuple[Transaction, Verdict | None]


def movement(transaction: Transaction, verdict: Verdict | None = None) -> Movement:
    """The relationship that a transaction becomes.

    Where one end lies outside the graph, the relationship is a loop at the other: it is seen by
    whoever looks at the account, and no trail can run through a common "outside".
    """
    user = transaction.user
    payer, payee = transaction.payer, transaction.payee
    if not transaction.moves_money:
        relation = Relation.ATTEMPTED
    elif payer is None:
        relation = Relation.PAID_IN
    elif payee is None:
        relation = Relation.PAID_OUT
    else:
        relation = Relation.PAID
    return Movement(
        relation=relation,
        source=payer or user,
        target=payee or user,
        user=user,
        identifiers=transaction.identifiers,
        transaction_id=transaction.transaction_id,
        timestamp=transaction.timestamp,
        value=transaction.value,
        amount=transaction.amount.minor,
        currency=transaction.amount.currency,
        type=str(transaction.type),
        decision=None if verdict is None else str(verdict.decision),
        score=None if verdict is None else verdict.score,
    )


def graph_batch(
    judged: Sequence[Judged], events: Iterable[RingEvent] = (), *, offset: int | None = None
) -> GraphBatch:
    """One batch of what was judged and what happened to rings, in the order of the log.

    Ring events that came inside verdicts are taken as well; meeting one twice is harmless. Of a
    ring that changed several times only the greatest revision is kept. A transaction that its
    verdict calls a duplicate is left out, because the first of its id has spoken; late ones and
    those ahead of time are written like any other, since the money moved.
    """
    movements: dict[str, Movement] = {}
    for transaction, verdict in judged:
        if verdict is not None and verdict.admission == Status.DUPLICATE:
            continue
        new = movement(transaction, verdict)
        held = movements.get(new.transaction_id)
        if held is None or (held.decision is None and new.decision is not None):
            movements[new.transaction_id] = new
    rings: dict[str, Ring] = {}
    alerts: dict[str, Alert] = {}
    inside = (event for _, verdict in judged if verdict for event in verdict.ring_events)
    for event in chain(inside, events):
        held_ring = rings.get(event.ring.ring_id)
        if held_ring is None or event.ring.revision > held_ring.revision:
            rings[event.ring.ring_id] = event.ring
        if event.alert is not None:
            alerts[event.alert.alert_id] = event.alert
    return GraphBatch(
        tuple(movements.values()), tuple(rings.values()), tuple(alerts.values()), offset
    )


class GraphSink:
    """Writes what the log says to a graph store.

    Args:
        store: Where to; the sink does not close it.
    """

    def __init__(self, store: GraphStore) -> None:
        self._store = store

    @property
    def offset(self) -> int | None:
        """Where to go on in the log: what was given with the newest batch, None at the start."""
        return self._store.offset()

    def write(
        self, judged: Sequence[Judged], events: Iterable[RingEvent] = (), *, offset: int | None
    ) -> Written:
        """Write a stretch of the log, `MAX_BATCH` transactions at a time.

        The last piece carries the ring events and the offset, so that a crash between two pieces
        has the whole stretch read again, and the first pieces change nothing the second time.

        Raises:
            GraphUnavailable: As `GraphStore.write`; try the same stretch again later.
            InvalidInput: As `GraphStore.write`; trying again will not help.
        """
        total = Written(0, 0, 0)
        last = max(0, len(judged) - 1) // MAX_BATCH * MAX_BATCH
        for start in range(0, last + 1, MAX_BATCH):
            piece = judged[start : start + MAX_BATCH]
            done = start == last
            batch = graph_batch(piece, events if done else (), offset=offset if done else None)
            written = self._store.write(batch)
            total = Written(
                total.movements + written.movements,
                total.rings + written.rings,
                total.alerts + written.alerts,
                total.forgotten + written.forgotten,
            )
        if total.forgotten:
            _log.info("left out %d that are older than what the graph keeps", total.forgotten)
        return total
