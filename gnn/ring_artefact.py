"""A ring head on disk: `ring_head.onnx`, `ring_head.json` and `SHA256SUMS` in a directory."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from gnn.checked_files import read_files, remedy, write_files
from gnn.ring_columns import COLUMNS, SCHEMA_HASH
from graph.errors import Incompatible

FORMAT: Final = 1
HEAD: Final = "ring_head.onnx"
METADATA: Final = "ring_head.json"
_WHAT: Final = "ring head"


@dataclass(frozen=True, slots=True)
class RingHeadArtefact:
    """An exported ring head.

    Attributes:
        head: ONNX of `gnn.ring_head.RingHead`.
        about: What else is known of it: seed, figures, versions.
    """

    head: bytes
    about: Mapping[str, Any]

    def save(self, directory: Path) -> None:
        """Write the files, the checksums last.

        Raises:
            InvalidSetting: The directory cannot be written.
        """
        metadata = {
            "format": FORMAT,
            "schema_hash": SCHEMA_HASH,
            "columns": COLUMNS,
            "about": self.about,
        }
        encoded = msgspec.json.format(msgspec.json.encode(metadata, order="sorted"), indent=2)
        write_files(directory, {HEAD: self.head, METADATA: encoded + b"\n"}, _WHAT)


def load_head(directory: Path) -> RingHeadArtefact:
    """Read a directory and check every byte of it.

    Args:
        directory: What `RingHeadArtefact.save` wrote.

    Raises:
        Incompatible: A file is missing, torn or altered, of another format, or was trained on
            other columns than this engine makes.
    """
    files = read_files(directory, (HEAD, METADATA), _WHAT)
    try:
        said = msgspec.json.decode(files[METADATA])
        found, hash_, about = said["format"], said["schema_hash"], dict(said["about"])
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise Incompatible(
            "the metadata cannot be understood",
            field=METADATA,
            value=repr(error),
            remedy=remedy(_WHAT),
        ) from error
    if found != FORMAT:
        raise Incompatible(
            f"expected format {FORMAT}", field=METADATA, value=str(found), remedy=remedy(_WHAT)
        )
    if hash_ != SCHEMA_HASH:
        raise Incompatible(
            "this version of the engine has other columns of a ring",
            field=f"{METADATA}: schema_hash",
            value=str(hash_),
            remedy="Train the ring head again.",
        )
    return RingHeadArtefact(files[HEAD], about)
