"""A ring model on disk: a directory of plain data, of which every byte is checked before use.

`encoder.onnx`, `head.onnx`, `ring.json` (shape, columns, hash of the schema, figures) and
`SHA256SUMS`, written last, so that a torn directory does not load. Never pickle.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from gnn.checked_files import read_files, remedy, version_of, write_files
from gnn.schema import GraphSchema
from graph.errors import Incompatible

FORMAT: Final = 1
ENCODER: Final = "encoder.onnx"
HEAD: Final = "head.onnx"
METADATA: Final = "ring.json"
_WHAT: Final = "ring model"
_REMEDY: Final = remedy(_WHAT)


@dataclass(frozen=True, slots=True)
class RingArtefact:
    """An exported model.

    Attributes:
        encoder: ONNX of `gnn.model.Encoder`.
        head: ONNX of `gnn.model.Head`.
        schema: Columns it was trained on.
        embedding: Width of an embedding.
        fanout: How many neighbours a node heard in training, by name.
        about: What else is known of it: seed, figures, versions.
    """

    encoder: bytes
    head: bytes
    schema: GraphSchema
    embedding: int
    fanout: Mapping[str, int]
    about: Mapping[str, Any]

    @property
    def version(self) -> str:
        """First 16 hex digits of the SHA-256 of the directory's checksums."""
        return version_of(self._files)

    @property
    def _files(self) -> dict[str, bytes]:
        metadata = {
            "format": FORMAT,
            "schema_hash": self.schema.hash,
            "schema": self.schema,
            "embedding": self.embedding,
            "fanout": self.fanout,
            "about": self.about,
        }
        encoded = msgspec.json.format(msgspec.json.encode(metadata, order="sorted"), indent=2)
        return {ENCODER: self.encoder, HEAD: self.head, METADATA: encoded + b"\n"}

    def save(self, directory: Path) -> None:
        """Write the files, the checksums last.

        Raises:
            InvalidSetting: The directory cannot be written.
        """
        write_files(directory, self._files, _WHAT)


def load(directory: Path, schema: GraphSchema | None = None) -> RingArtefact:
    """Read a directory and check every byte of it.

    Args:
        directory: What `RingArtefact.save` wrote.
        schema: The columns the caller has; given, the model must have the same, in order.

    Raises:
        Incompatible: A file is missing, torn or altered, of another format, or was trained on
            other columns.
    """
    files = read_files(directory, (ENCODER, HEAD, METADATA), _WHAT)
    try:
        said = msgspec.json.decode(files[METADATA])
        found, hash_ = said["format"], said["schema_hash"]
        trained_on = msgspec.convert(said["schema"], GraphSchema)
        fanout, embedding = said["fanout"], int(said["embedding"])
        about = said["about"]
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise Incompatible(
            "the metadata cannot be understood", field=METADATA, value=repr(error), remedy=_REMEDY
        ) from error
    if found != FORMAT:
        raise Incompatible(
            f"expected format {FORMAT}", field=METADATA, value=str(found), remedy=_REMEDY
        )
    if trained_on.hash != hash_:
        raise Incompatible(
            "this version of the engine has other graph features",
            field=f"{METADATA}: schema_hash",
            value=str(hash_),
            remedy="Train the ring model again.",
        )
    if schema is not None and schema.hash != hash_:
        raise Incompatible(
            "it was trained on other columns",
            field="graph schema",
            value=", ".join(_differing(trained_on, schema)),
            remedy="Give the columns it was trained on, in order, or train it again.",
        )
    return RingArtefact(files[ENCODER], files[HEAD], trained_on, embedding, fanout, about)


def _differing(trained_on: GraphSchema, schema: GraphSchema) -> list[str]:
    parts = ("account_extra", "identifier_extra", "context")
    return [name for name in parts if getattr(trained_on, name) != getattr(schema, name)]
