"""How values lie in a shared cache: bytes that say what they are.

    offset  bytes  what
    0       1      format, now 1
    1       8      generation
    9       8      version, big-endian: offset in the log after what made the value
    17      8      written, epoch ms, big-endian
    25      ...    value

The head can be compared by a script inside the server, without reading the value.

>>> sealed = seal("00000000000000ff", b"value", version=7, written_at=1_000)
>>> open_sealed(sealed, "00000000000000ff")
Held(value=b'value', version=7, written_at=1000)
>>> open_sealed(sealed, "00000000000000fe") is None  # of another generation
True
"""

import struct
from typing import Final

from scorer.cache.port import Held

FORMAT: Final = 1
HEAD: Final = struct.Struct(">B8sQQ")


def seal(generation: str, value: bytes, *, version: int, written_at: int) -> bytes:
    """A value with its head."""
    return HEAD.pack(FORMAT, bytes.fromhex(generation), version, written_at) + value


def open_sealed(data: bytes | None, generation: str) -> Held | None:
    """The value, or None where it is missing, of another generation or of another format."""
    if data is None or len(data) < HEAD.size:
        return None
    version_of_format, found, version, written_at = HEAD.unpack_from(data)
    if version_of_format != FORMAT or found != bytes.fromhex(generation):
        return None
    return Held(bytes(data[HEAD.size :]), version, written_at)
