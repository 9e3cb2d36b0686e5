"""Embeddings on the wire: what `Topic.EMBEDDINGS` holds.

A record is a part of what one run of the encoder said, small enough that reading it is no pause.
Each part counts by itself. Numbers are little-endian float32 in base64.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np

from graph.errors import InvalidInput
from graph.transaction import Entity, EntityKind
from ingest.ports import Message, Topic
from ingest.records import Count
from scorer.reference import Embedded

_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_FLOATS: Final = np.dtype("<f4")


class InvalidEmbeddings(InvalidInput):
    """A part of an encoder's run cannot be understood."""

    code = "invalid-embeddings"


class EmbeddedRecord(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="schema", tag="embeddings/1"
):
    """A `scorer.reference.Embedded` as it is written."""

    model: str
    as_of: Count
    entities: tuple[tuple[EntityKind, str], ...]
    rows: bytes


_DECODER: Final = msgspec.json.Decoder(EmbeddedRecord)


def messages(parts: Iterable[Embedded]) -> list[Message]:
    """The parts of a run, ready to be appended."""
    return [
        Message(
            Topic.EMBEDDINGS,
            0,
            _ENCODER.encode(
                EmbeddedRecord(
                    part.model,
                    part.as_of,
                    tuple((entity.kind, entity.id) for entity in part.entities),
                    part.rows.astype(_FLOATS).tobytes(),
                )
            ),
        )
        for part in parts
    ]


def read(data: bytes) -> Embedded:
    """A record of `Topic.EMBEDDINGS`: the `ReadFact` of `ingest.reference`.

    Raises:
        InvalidEmbeddings: It is none, or of another version.
    """
    try:
        record = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidEmbeddings(
            f"this is not what an encoder said: {error}",
            field="record",
            value=data[:80].decode("utf-8", "replace"),
            remedy="Let the encoder of this version write it.",
        ) from None
    count = len(record.entities)
    if not count or len(record.rows) % (count * _FLOATS.itemsize):
        raise InvalidEmbeddings(
            "every entity needs as many numbers as the others",
            field="rows",
            value=f"{len(record.rows)} bytes for {count} entities",
            remedy="Let the encoder of this version write it.",
        )
    rows = np.frombuffer(record.rows, _FLOATS).reshape(count, -1).astype(np.float32)
    if not np.isfinite(rows).all():
        raise InvalidEmbeddings(
            "an embedding is not finite",
            field="rows",
            value=str(rows[~np.isfinite(rows)][0]),
            remedy="Train the graph model again.",
        )
    entities = tuple(Entity(kind, key) for kind, key in record.entities)
    return Embedded(record.model, record.as_of, entities, rows)
