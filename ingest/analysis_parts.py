"""Parts of a deep analysis on the wire: what `Topic.DEEP_ANALYSIS` holds.

A record is one part of one run, small enough that reading it is no pause (`PART_ENTITIES` in
`cypher.analytics.ports`). A value nobody knows is null, since JSON has no NaN.
"""

import math
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from graph.errors import InvalidInput
from graph.transaction import Entity, EntityKind
from ingest.ports import Message, Topic
from ingest.records import Count
from scorer.reference import AnalysisPart

_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_NAN: Final = float("nan")

Figure = Annotated[float, msgspec.Meta(ge=-1e18, le=1e18)]
"""What a feature can hold, numbers of communities included."""


class InvalidAnalysisPart(InvalidInput):
    """A part of a deep analysis cannot be understood."""

    code = "invalid-analysis-part"


class AnalysisPartRecord(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="schema",
    tag="analysis-part/1",
):
    """A `scorer.reference.AnalysisPart` as it is written."""

    run_id: str
    as_of: Count
    part: int
    parts: int
    columns: tuple[str, ...]
    entities: tuple[tuple[EntityKind, str], ...]
    values: tuple[tuple[Figure | None, ...], ...]


_DECODER: Final = msgspec.json.Decoder(AnalysisPartRecord)


def messages(parts: Iterable[AnalysisPart]) -> list[Message]:
    """The parts of a run, ready to be appended as one."""
    return [
        Message(
            Topic.DEEP_ANALYSIS,
            0,
            _ENCODER.encode(
                AnalysisPartRecord(
                    part.run_id,
                    part.as_of,
                    part.part,
                    part.parts,
                    part.columns,
                    tuple((entity.kind, entity.id) for entity in part.entities),
                    tuple(
                        tuple(value if math.isfinite(value) else None for value in row)
                        for row in part.values
                    ),
                )
            ),
        )
        for part in parts
    ]


def read(data: bytes) -> AnalysisPart:
    """A record of `Topic.DEEP_ANALYSIS`: the `ReadFact` of `ingest.reference`.

    Raises:
        InvalidAnalysisPart: It is none, or of another version.
    """
    try:
        record = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidAnalysisPart(
            f"this is not a part of a deep analysis: {error}",
            field="record",
            value=data[:80].decode("utf-8", "replace"),
            remedy="Run the analysis of this version: `ringfence analyse`.",
        ) from None
    return AnalysisPart(
        record.run_id,
        record.as_of,
        record.part,
        record.parts,
        record.columns,
        tuple(Entity(kind, key) for kind, key in record.entities),
        tuple(tuple(_NAN if value is None else value for value in row) for row in record.values),
    )
