"""What the sweep found on the wire: what `Topic.FINDINGS` holds.

A record is a part of what one pass found, small enough that reading it is no pause. Each part
counts by itself: evidence does not need the rest of its pass.
"""

from typing import Final

import msgspec

from graph.errors import InvalidInput
from graph.evidence import Evidence
from graph.sweep import Found
from ingest.fields import LARGEST_AMOUNT
from ingest.ports import Message, Topic
from ingest.records import BEYOND, Count, EvidenceRecord
from scorer.reference import Findings

AT_ONCE: Final = 16
"""Pieces of a record: about 150 KB of JSON at most, read in under a millisecond."""

_ENCODER: Final = msgspec.json.Encoder(order="deterministic")


class InvalidFindings(InvalidInput):
    """What a pass found cannot be understood."""

    code = "invalid-findings"


class FindingsRecord(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="schema", tag="findings/1"
):
    """A `scorer.reference.Findings` as it is written."""

    as_of: Count
    evidence: tuple[EvidenceRecord, ...]


_DECODER: Final = msgspec.json.Decoder(FindingsRecord)


def messages(found: Found) -> list[Message]:
    """What a pass found, ready to be appended."""
    pieces = msgspec.convert(found.evidence, tuple[EvidenceRecord, ...], from_attributes=True)
    return [
        Message(
            Topic.FINDINGS,
            0,
            _ENCODER.encode(FindingsRecord(found.as_of, pieces[start : start + AT_ONCE])),
        )
        for start in range(0, len(pieces), AT_ONCE)
    ]


def read(data: bytes) -> Findings:
    """A record of `Topic.FINDINGS`: the `ReadFact` of `ingest.reference`.

    Raises:
        InvalidFindings: It is none, or of another version.
    """
    try:
        record = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidFindings(
            f"this is not what a sweep found: {error}",
            field="record",
            value=data[:80].decode("utf-8", "replace"),
            remedy="Let the sweep of this version write it.",
        ) from None
    for piece in record.evidence:
        times = (piece.seen_at, *[hop.timestamp for hop in piece.hops])
        sound = all(0 <= time < BEYOND for time in times)
        # The money of a ring is the sum of many of them.
        sound &= all(0 <= hop.value <= LARGEST_AMOUNT for hop in piece.hops)
        if not (sound and piece.members and 0 <= piece.strength <= 1):
            raise InvalidFindings(
                "evidence needs members, a strength from 0 to 1, times of 62 bits at most, and "
                f"sums of {LARGEST_AMOUNT} minor units at most",
                field="evidence",
                value=piece.evidence_id,
                remedy="Let the sweep of this version write it.",
            )
    evidence = msgspec.convert(record.evidence, tuple[Evidence, ...], from_attributes=True)
    return Findings(record.as_of, evidence)
