"""A directory of files of which every byte is checked before use: `SHA256SUMS`, written last.

A torn directory does not load. Never pickle.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from graph.errors import Incompatible, InvalidSetting

SUMS: Final = "SHA256SUMS"


def write_files(directory: Path, files: Mapping[str, bytes], what: str) -> None:
    """Write files, their checksums last.

    Args:
        directory: Made if it is not there.
        files: By name.
        what: They are, for the error.

    Raises:
        InvalidSetting: The directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / SUMS).unlink(missing_ok=True)
        for name, content in files.items():
            (directory / name).write_bytes(content)
        (directory / SUMS).write_bytes(_sums(files))
    except OSError as error:
        raise InvalidSetting(
            f"the {what} cannot be written: {error.strerror}",
            field=f"{what} directory",
            value=str(directory),
            remedy="Give a directory that can be written.",
        ) from error


def read_files(directory: Path, names: Sequence[str], what: str) -> dict[str, bytes]:
    """Read files and check every byte of them.

    Raises:
        Incompatible: One is missing, torn or altered.
    """
    files = {name: _read(directory, name, what) for name in names}
    if _sums(files) != _read(directory, SUMS, what):
        raise Incompatible(
            "the checksums do not match", field=SUMS, value=str(directory), remedy=remedy(what)
        )
    return files


def version_of(files: Mapping[str, bytes]) -> str:
    """First 16 hex digits of the SHA-256 of their checksums: it names every byte."""
    return hashlib.sha256(_sums(files)).hexdigest()[:16]


def remedy(what: str) -> str:
    """What to do about a directory that does not load."""
    return f"Use an undamaged copy, or train the {what} again."


def _read(directory: Path, name: str, what: str) -> bytes:
    try:
        return (directory / name).read_bytes()
    except OSError as error:
        raise Incompatible(
            f"this is not a whole {what}: {error.strerror}",
            field=name,
            value=str(directory),
            remedy=remedy(what),
        ) from error


def _sums(files: Mapping[str, bytes]) -> bytes:
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    return "".join(lines).encode()
