"""The ring board follows the log: what a ring was, is, and came from."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from api.board import Entry, RingBoard
from api.views import Views
from graph.evidence import Evidence, Hop, Pattern, Role
from graph.rings import Ring, RingEvent, RingEventKind, unborn
from graph.transaction import Entity, EntityKind
from ingest import records
from ingest.embedded import EmbeddedLog
from ingest.ports import Message, Topic
from scorer.detector import Detector, DetectorConfig
from scorer.reference import Findings
from tests.oracles.ring_evidence import CIRCLES, SPLITTING, day_of_a_split


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    log = EmbeddedLog(tmp_path / "log.db")
    yield log
    log.close()


def lived(log: EmbeddedLog) -> list[RingEvent]:
    """Two circles that a bridge joined until it grew old, as the engine writes them down."""
    detector = Detector(DetectorConfig(rings=SPLITTING, thresholds=CIRCLES))
    told = []
    for offset, verdict in enumerate(detector.observe_batch(day_of_a_split())):
        key = verdict.transaction_id
        fields = records.verdict_fields(verdict)
        record = records.VerdictRecord(Topic.TRANSACTIONS, 0, offset, fields)
        log.append([Message(Topic.VERDICTS, 0, records.encode(record), key)])
        for event in verdict.ring_events:
            value = records.encode(records.ring_event_record(key, event))
            log.append([Message(Topic.RINGS, 0, value, event.ring.ring_id)])
            told.append(event)
    return told


def test_a_part_has_its_evidence_and_both_say_what_became_of_the_ring(log: EmbeddedLog) -> None:
    told = lived(log)
    (split,) = [event for event in told if event.kind is RingEventKind.SPLIT]
    board = RingBoard(log, Views("EUR", 2))
    while board.catch_up():
        pass
    assert {ring.ring_id for ring in board.live()} >= {split.ring.ring_id, *split.split_ring_ids}
    for ring_id in (split.ring.ring_id, *split.split_ring_ids):
        entry = board.get(ring_id)
        assert entry is not None
        shown, hops = board.proof(entry)
        assert [piece.evidence_id for piece in shown] == list(entry.ring.evidence)
        witness = {hop.transaction_id for piece in shown for hop in piece.hops}
        assert set(entry.ring.transactions) <= witness
        assert tuple(hop.transaction_id for hop in hops) == entry.ring.transactions
    (part,) = [board.get(ring_id) for ring_id in split.split_ring_ids]
    assert part is not None
    assert said(part)[0].startswith(f"Split from ring {split.ring.ring_id}. Cycle among 3 users")
    kept = board.get(split.ring.ring_id)
    assert kept is not None
    assert f"Split: 1 part went, now ring {part.ring.ring_id}." in said(kept)
    (merged,) = [event for event in told if event.kind is RingEventKind.MERGED]
    assert merged.merged_ring_id is not None
    absorbed = board.get(merged.merged_ring_id)
    assert absorbed is not None
    assert absorbed.ring.ring_id == split.ring.ring_id, "aliases stay with the id"


def ring_of(ring_id: str, users: str, *, fringe: str = "", at: int = 0) -> Ring:
    members = tuple(
        (Entity(EntityKind.USER, name), Role.FRINGE if name in fringe else Role.MEMBER)
        for name in users
    )
    found = replace(unborn(ring_id, at), members=members, patterns=(Pattern.CYCLE,))
    return replace(found, revision=1, last_alert_at=at)


def test_rings_that_share_accounts_are_told_the_most_in_common_first(log: EmbeddedLog) -> None:
    rings = [
        ring_of("mine", "abcde", fringe="e"),
        ring_of("one", "axy"),
        ring_of("three", "abcx"),
        ring_of("at their fringe", "abz", fringe="b"),
        ring_of("at my fringe", "exy"),
        ring_of("none", "xyz"),
        *(ring_of(f"later {n}", "d", at=n) for n in range(1, 4)),
    ]
    for ring in rings:
        event = RingEvent(RingEventKind.BORN, ring.born_at, ring)
        value = records.encode(records.ring_event_record("t", event))
        log.append([Message(Topic.RINGS, 0, value, ring.ring_id)])
    board = RingBoard(log, Views("EUR", 2))
    board.catch_up()
    told = [(ring.ring_id, shared) for ring, shared in board.related(rings[0])]
    assert told == [
        ("three", 3),
        ("later 3", 1),
        ("later 2", 1),
        ("later 1", 1),
        ("at their fringe", 1),
    ]


def test_evidence_of_the_sweep_is_shown_as_well(log: EmbeddedLog) -> None:
    detector = Detector()
    ends = [Entity(EntityKind.USER, name) for name in ("ann", "bob")]
    found = Evidence(
        Pattern.DENSE_BLOCK, 1, ((ends[0], Role.SENDER), (ends[1], Role.RECEIVER)),
        (Hop("t", ends[0], ends[1], 100, 1),), 0.8, "seen", {"pairs": 1.0},
    )  # fmt: skip
    detector.refer(Findings(1, (found,)))
    verdict = detector.observe(day_of_a_split()[0])
    fields = records.verdict_fields(verdict)
    record = records.VerdictRecord(Topic.TRANSACTIONS, 0, 0, fields)
    key = verdict.transaction_id
    (event,) = verdict.ring_events
    value = records.encode(records.ring_event_record(key, event))
    log.append([Message(Topic.VERDICTS, 0, records.encode(record), key)])
    log.append([Message(Topic.RINGS, 0, value, event.ring.ring_id)])
    board = RingBoard(log, Views("EUR", 2))
    board.catch_up()
    entry = board.get(event.ring.ring_id)
    assert entry is not None
    (shown,), _ = board.proof(entry)
    assert (shown.evidence_id, shown.reason) == (found.evidence_id, "seen")


def said(entry: Entry) -> list[str]:
    return [json.loads(bytes(each.entry))["text"] for each in entry.life]
