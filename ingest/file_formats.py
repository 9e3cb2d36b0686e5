"""Which format a file of a data set has, as its name says it, and whether its bytes agree."""

from pathlib import Path, PurePath
from typing import Final

_FORMATS: Final = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_COMPRESSED: Final = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd"}
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


def format_of(name: str) -> str | None:
    """The format a name says; text may be compressed, as `.csv.gz`. None: it says none.

    >>> [format_of(name) for name in ("a.csv", "A.JSONL.gz", "a.parquet.gz", "a.*", "a")]
    ['csv', 'jsonl', None, None, None]
    """
    path = PurePath(name.lower())
    if not is_gzip(name):
        return _FORMATS.get(path.suffix)
    found = _FORMATS.get(path.with_suffix("").suffix)
    return None if found == "parquet" else found


def is_gzip(name: str) -> bool:
    """Whether the name says that the file is compressed by gzip."""
    return name.lower().endswith(".gz")


def no_text(path: Path) -> tuple[str, str] | None:
    """Why a file cannot be text as its name says, by how it begins, and what to do; or None.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(_UTF_16):
        return "the file is in UTF-16", "Write the file in UTF-8."
    if path.suffix.lower() in (".gz", ".zst"):
        return None
    for magic, kind in _COMPRESSED.items():
        if start.startswith(magic):
            what = f"the file is compressed ({kind}) and its name does not say so"
            return what, f"Unpack it; one of gzip may also be named {path.name}.gz."
    return None
