"""A detector small enough to see through, for tests of what surrounds detectors.

It is a real one: it has state, and every verdict depends on the whole order of what came before
(`score` is a running hash), so that whatever is lost, doubled or swapped changes every verdict
after it. The third transaction of a user makes a ring, every third one after that an alert.
"""

import json
import zlib
from collections.abc import Sequence

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from graph.errors import Incompatible, InvalidInput
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.rings import Alert, Ring, RingEvent, RingEventKind, RingState
from graph.transaction import MINUTE, Label, Transaction
from scorer.verdict import Decision, Reason, Standing, Verdict

LATENESS = 5 * MINUTE


class TinyDetector:
    feature_names = ("count", "fraud_known", "value")

    def __init__(self, snapshot: bytes | None = None) -> None:
        state = {"hash": 0, "watermark": 0, "counts": {}, "seen": {}, "fraud": {}, "labels": []}
        if snapshot is not None:
            try:
                state = json.loads(snapshot)
            except ValueError as error:
                raise Incompatible("not a tiny snapshot", remedy="Begin anew.") from error
        self.state = state
        self.last_features: NDArray[np.float32] = np.zeros((0, 3), np.float32)

    def snapshot(self) -> bytes:
        return json.dumps(self.state).encode()

    def refer(self, fact: object) -> None:
        if fact == "unusable":
            raise InvalidInput("no such fact", field="fact", value="unusable", remedy="None.")
        self.state["hash"] = zlib.crc32(f"{self.state['hash']} {fact}".encode())

    def learn(self, label: Label) -> None:
        self.state["labels"].append([label.known_at, label.transaction.user_id, label.fraud])

    def observe_batch(self, transactions: Sequence[Transaction]) -> list[Verdict]:
        self.last_features = np.zeros((len(transactions), 3), np.float32)
        rows = zip(transactions, self.last_features, strict=True)
        return [self._observe(transaction, row) for transaction, row in rows]

    def _observe(self, tx: Transaction, row: NDArray[np.float32]) -> Verdict:
        s = self.state
        due = [label for label in s["labels"] if label[0] < max(s["watermark"], tx.timestamp)]
        s["labels"] = [label for label in s["labels"] if label not in due]
        for _, user, fraud in due:
            s["fraud"][user] = s["fraud"].get(user, 0) + fraud
        admission = "accepted"
        if tx.transaction_id in s["seen"]:
            admission = "duplicate"
        elif tx.timestamp < s["watermark"] - LATENESS:
            admission = "late"
        events: tuple[RingEvent, ...] = ()
        evidence: tuple[Evidence, ...] = ()
        count = s["counts"].get(tx.user_id, 0)
        if admission == "accepted":
            s["seen"][tx.transaction_id] = 1
            s["watermark"] = max(s["watermark"], tx.timestamp)
            s["counts"][tx.user_id] = count = count + 1
            if count >= 3:
                evidence, events = self._ring(tx, count)
        row[:] = count, s["fraud"].get(tx.user_id, 0), tx.value
        s["hash"] = zlib.crc32(f"{tx.transaction_id}{admission}{row}".encode(), s["hash"])
        return Verdict(
            transaction_id=tx.transaction_id,
            timestamp=tx.timestamp,
            admission=admission,
            decision=tuple(Decision)[s["hash"] % 3],
            score=s["hash"] / 2**32,
            model_score=None,
            ring_score=0.25 if events else 0.0,
            expected_cost=1.5,
            reasons=(Reason("count", Standing.DID, f"{count} so far", 0.5),),
            evidence=evidence,
            rings=tuple(event.ring.ring_id for event in events),
            ring_events=events,
            tiers=("rules",),
            degraded=("model",),
        )

    def _ring(
        self, tx: Transaction, count: int
    ) -> tuple[tuple[Evidence, ...], tuple[RingEvent, ...]]:
        ring_id = f"ring-{tx.user_id}"
        found = Evidence(
            pattern=Pattern.FAN_OUT,
            seen_at=tx.timestamp,
            members=tuple((entity, Role.SENDER) for entity in tx.entities),
            hops=(Hop(tx.transaction_id, tx.payer, tx.payee, tx.value, tx.timestamp),),
            strength=1 / 3,
            reason=f"{count} transactions",
            facts={"transactions": float(count)},
        )
        ring = Ring(
            ring_id=ring_id,
            revision=count - 2,
            state=RingState.ACTIVE,
            born_at=tx.timestamp,
            changed_at=tx.timestamp,
            members=found.members,
            patterns=(Pattern.FAN_OUT,),
            score=0.25,
            money=tx.value,
            transactions=(tx.transaction_id,),
            evidence=(found.evidence_id,),
        )
        alert = None
        if count % 3 == 0:
            alert = Alert(
                f"{ring_id}-{count}", ring_id, ring.revision, tx.timestamp, f"{count} of them",
                0.25, tx.value, 2, (Pattern.FAN_OUT,), "tiny-1",
            )  # fmt: skip
        kind = RingEventKind.BORN if count == 3 else RingEventKind.GREW
        added = found.entities if count == 3 else ()
        event = RingEvent(kind, tx.timestamp, ring, added_members=added, alert=alert)
        return (found,), (event,)


class VerboseDetector(TinyDetector):
    """Says more of its rings than a log takes."""

    def observe_batch(self, transactions: Sequence[Transaction]) -> list[Verdict]:
        return [self._at_length(said) for said in super().observe_batch(transactions)]

    def _at_length(self, said: Verdict) -> Verdict:
        names = tuple(f"{n:0128}" for n in range(20_000))
        events = tuple(
            structs.replace(event, ring=structs.replace(event.ring, transactions=names))
            for event in said.ring_events
        )
        return structs.replace(said, ring_events=events)
