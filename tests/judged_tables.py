"""Tables of one row and one piece of evidence each, for what is taught about evidence and rings."""

import numpy as np

from graph.evidence import Evidence, Hop, Pattern, Role
from graph.transaction import Entity, EntityKind
from scorer.evidence_log import EvidenceLog
from scorer.party_columns import PartyColumns
from scorer.ports import FeatureSchema
from scorer.ring_matching import RingLedger
from scorer.table import Table

START = 1_700_000_000_000


def user(number: int) -> Entity:
    return Entity(EntityKind.USER, f"u{number}")


def pair(number: int, *, hops: bool = True) -> Evidence:
    """Two users of their own and what one sent the other, or only what they share."""
    members = ((user(2 * number), Role.MEMBER), (user(2 * number + 1), Role.MEMBER))
    hop = Hop(f"t{number}", *(entity for entity, _ in members), 100, START + number)
    pattern = Pattern.CYCLE if hops else Pattern.SHARED_DEVICE
    told = (hop,) if hops else ()
    return Evidence(pattern, START + number, members, told, 0.5, "So it is.", {"hops": 1.0})


def table_of(fraud: np.ndarray, contexts: np.ndarray, pieces: list[Evidence]) -> Table:
    """One row and one piece each."""
    count, log = len(fraud), EvidenceLog()
    for place, piece in enumerate(pieces):
        log.add(place, START + place, (), (piece,), contexts[place : place + 1])
    schema = FeatureSchema(("amount",), ("amount",))
    zeros = np.zeros(count)
    return Table(
        schema=schema,
        rows=np.zeros((count, 1), np.float32),
        fraud=fraud,
        times=START + np.arange(count, dtype=np.int64),
        known_at=START + np.arange(count, dtype=np.int64),
        values=np.full(count, 100, np.int64),
        ring_score=zeros,
        joint=zeros,
        told=np.zeros(count, np.uint8),
        warm=np.ones(count, np.bool_),
        places=np.arange(count, dtype=np.int64),
        ids=tuple(f"t{n}" for n in range(count)),
        users=tuple(f"u{2 * n}" for n in range(count)),
        segments=("transfer/-",) * count,
        ring_ids=(None,) * count,
        transactions=count,
        rejected=0,
        true_rings={},
        ledger=RingLedger(),
        evidence=log,
        parties=PartyColumns(),
        watermarks=np.zeros(count, np.int64),
        declined=np.zeros(count, np.bool_),
    )
