"""The snapshot format: a header that can be checked, then named values and raw arrays.

    magic "RFSN" · format u16 · 16-byte xxh3-128 of everything after it · msgpack body

The body names the kind and version of the state it holds. A snapshot that is torn, altered or of
another version is refused with `Incompatible`; it is never read in part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from graph.errors import Incompatible

_MAGIC: Final = b"RFSN\x00\x01"
_DIGEST: Final = 16


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State of one component: plain values (msgpack types) and arrays, by name."""

    values: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]


def encode_state(state: object) -> bytes:
    """Encode value types (dataclasses, structs) as msgpack; read-only mappings become maps."""
    return msgspec.msgpack.encode(state, enc_hook=_plain)


def _plain(value: object) -> dict[Any, Any]:
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no place in a snapshot")


def pack(kind: str, version: int, snapshot: Snapshot) -> bytes:
    """Encode a snapshot; equal state gives equal bytes."""
    arrays = {
        name: (array.dtype.str, list(array.shape), np.ascontiguousarray(array).tobytes())
        for name, array in sorted(snapshot.arrays.items())
    }
    body = msgspec.msgpack.encode([kind, version, dict(snapshot.values), arrays])
    return _MAGIC + xxhash.xxh3_128_digest(body) + body


def unpack(kind: str, version: int, data: bytes) -> Snapshot:
    """Decode a snapshot of exactly this kind and version.

    Raises:
        Incompatible: It is not a snapshot, is torn or altered, or holds another kind or version.
    """
    header = len(_MAGIC) + _DIGEST
    remedy = "Use the previous snapshot, or rebuild the state by replaying the log."
    if len(data) < header or data[: len(_MAGIC)] != _MAGIC:
        raise Incompatible("this is not a snapshot", field=kind, remedy=remedy)
    body = data[header:]
    if xxhash.xxh3_128_digest(body) != data[len(_MAGIC) : header]:
        raise Incompatible("the checksum does not match", field=kind, remedy=remedy)
    found_kind, found_version, values, arrays = msgspec.msgpack.decode(body)
    if (found_kind, found_version) != (kind, version):
        raise Incompatible(
            f"expected a snapshot of {kind} version {version}",
            field=kind,
            value=f"{found_kind} version {found_version}",
            remedy=remedy,
        )
    return Snapshot(
        values=values,
        arrays={
            name: np.frombuffer(raw, dtype=np.dtype(dtype)).reshape(shape).copy()
            for name, (dtype, shape, raw) in arrays.items()
        },
    )
