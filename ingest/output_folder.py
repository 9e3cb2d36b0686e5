"""The folder a command writes into: tried before the work, and changed by whole results only.

What is being made lies in a folder of its own with a name nobody else has, and is moved into place
when it is whole. Only such a folder is ever removed with what is in it. A process that is killed
leaves it behind, named `unfinished`; what was there before is whole, in its place or in that
folder.
"""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryFile, mkdtemp
from typing import Final

from graph.errors import InvalidSetting

_FIELD: Final = "out_dir"
_TRIES: Final = 16
"""Times a folder is put in place: each but the last may find that another was put there first."""


def check_writable(folder: Path, field: str = _FIELD) -> None:
    """Write a file into a folder, made where it is missing; nothing is left of either.

    Args:
        folder: Where a command will write.
        field: What names it to the person: an option.

    Raises:
        InvalidSetting: It cannot be made or written.
    """
    _try_writing(folder, folder, field)


def check_replaceable(
    folder: Path, names: Sequence[str], what: str, *, field: str = _FIELD
) -> None:
    """A folder may be replaced: it is missing, or holds files of these names and nothing else.

    Args:
        folder: What is to be replaced as a whole.
        names: The files of an earlier result.
        what: What these are together, as in "not a replay".
        field: What names the folder to the person: an option.

    Raises:
        InvalidSetting: It holds something else, is in use as a place, or cannot be written beside.
    """
    place = _real(folder)
    _check_contents(place, names, what, field, folder)
    if os.path.ismount(place) or Path.cwd().is_relative_to(place):
        raise InvalidSetting(
            "a folder that is a working directory or a mount cannot be replaced",
            field=field,
            value=str(folder),
            remedy="Name a folder inside it.",
        )
    _try_writing(place.parent, folder, field)


def check_apart(folder: Path, data: Path, field: str) -> None:
    """What is written is not what is read, nor part of it, nor the other way round.

    Raises:
        InvalidSetting: One folder is, holds or lies in the other.
    """
    written, read = _real(folder), _real(data)
    if written.is_relative_to(read) or read.is_relative_to(written):
        raise InvalidSetting(
            f"the result and the data, {data}, would lie in one another",
            field=field,
            value=str(folder),
            remedy="Name a folder outside the data.",
        )


@contextmanager
def new_folder(folder: Path, names: Sequence[str], what: str) -> Iterator[Path]:
    """A folder to write to, which takes the place of `folder` when the block ends without error.

    Args:
        folder: The place; it may hold an earlier result.
        names: The files of a result.
        what: What they are together.

    Raises:
        InvalidSetting: `folder` cannot be replaced (`check_replaceable`) or moved.
    """
    check_replaceable(folder, names, what)
    place = _real(folder)
    missing = _missing(place.parent)
    try:
        with _workshop(place.parent, f"{place.name}.unfinished-", folder) as workshop:
            new = workshop / "new"
            yield new
            try:
                _put_in_place(new, place, lambda: _check_contents(place, names, what, _FIELD))
            except OSError as error:
                raise _unwritable(error, folder) from error
            for old in workshop.glob("old-*"):
                for name in names:
                    with suppress(OSError):
                        (old / name).unlink(missing_ok=True)
    except BaseException:
        _remove_empty(missing)
        raise


@contextmanager
def new_files(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """A folder to write these files to, which go into `folder` when the block ends without error.

    What else is in `folder` stays. Old and new files are never there together.

    Args:
        folder: Where the files go; made where it is missing.
        names: Every file that the block writes.

    Raises:
        InvalidSetting: `folder`, or a file, cannot be written.
    """
    check_writable(folder)
    for name in names:
        if (folder / name).is_dir():
            raise InvalidSetting(
                "a file is to be written where a folder is",
                field=_FIELD,
                value=str(folder / name),
                remedy="Name another folder.",
            )
    missing = _missing(folder)
    try:
        with _workshop(folder, "unfinished-", folder) as workshop:
            new, old = workshop / "new", workshop / "old"
            try:
                yield new
                old.mkdir()
                _exchange(new, old, folder, names)
            except OSError as error:
                raise _unwritable(error, folder) from error
            rmtree(old, ignore_errors=True)
    except BaseException:
        _remove_empty(missing)
        raise


def _try_writing(folder: Path, wanted: Path, field: str) -> None:
    missing = _missing(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(error, wanted, field) from error
    finally:
        _remove_empty(missing)


@contextmanager
def _workshop(parent: Path, prefix: str, wanted: Path) -> Iterator[Path]:
    """A folder of our own with an empty `new`; taken away with it, but not what else is there."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        workshop = Path(mkdtemp(prefix=prefix, dir=parent))
    except OSError as error:
        raise _unwritable(error, wanted) from error
    new = workshop / "new"  # one level down: mkdtemp's own folder is for its owner alone
    try:
        new.mkdir()
        yield workshop
    finally:
        rmtree(new, ignore_errors=True)
        for left in (*workshop.iterdir(), workshop):
            with suppress(OSError):  # an old result that could not be put back stays here
                left.rmdir()


def _put_in_place(new: Path, place: Path, check: Callable[[], None]) -> None:
    """Rename a folder to `place`; what was there goes beside `new`, and back if that fails."""
    for last in range(_TRIES):
        check()
        old = new.with_name(f"old-{last}")
        try:
            with suppress(FileNotFoundError):
                place.rename(old)
            new.rename(place)
        except BaseException as error:
            with suppress(OSError):
                old.rename(place)
            if getattr(error, "errno", None) in {errno.ENOTEMPTY, errno.EEXIST}:
                continue  # another's result was put there in this moment
            raise
        return
    raise InvalidSetting(
        "others keep writing into this folder",
        field=_FIELD,
        value=str(place),
        remedy="Name a folder for each of them.",
    )


def _exchange(new: Path, old: Path, folder: Path, names: Sequence[str]) -> None:
    """Move files out of a folder and their successors in: all of them, or none."""
    try:
        for name in names:
            with suppress(FileNotFoundError):
                (folder / name).rename(old / name)
        for name in names:
            (new / name).rename(folder / name)
    except BaseException:
        for name in names:
            if not (new / name).exists():
                (folder / name).unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                (old / name).rename(folder / name)
        raise


def _check_contents(
    place: Path, names: Sequence[str], what: str, field: str, wanted: Path | None = None
) -> None:
    """Only ever replace an earlier result: the folder is named by a person."""
    # Looked at once: another's result may be put there in this moment.
    try:
        foreign = sorted(
            path.name for path in place.iterdir() if path.name not in names or path.is_dir()
        )
        if not foreign:
            return
        found = f"a folder with {foreign[0]}"
    except FileNotFoundError:
        return
    except NotADirectoryError:
        if not place.exists():  # what is above it is no folder, as trying to write will tell
            return
        found = "a file"
    except OSError as error:
        raise _unwritable(error, wanted or place, field) from error
    raise InvalidSetting(
        f"this holds something that is not {what}",
        field=f"{field} {wanted or place}",
        value=found,
        remedy="Name an empty or new folder.",
    )


def _real(folder: Path) -> Path:
    """The folder without links and dots: what is renamed must have a name."""
    return Path(os.path.realpath(folder))


def _missing(folder: Path) -> list[Path]:
    """The folder and those above it that are not there yet, the deepest first."""
    return [each for each in (folder, *folder.parents) if not os.path.lexists(each)]


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _unwritable(error: OSError, folder: Path, field: str = _FIELD) -> InvalidSetting:
    return InvalidSetting(
        f"this folder cannot be made or written: {error.strerror or error}",
        field=field,
        value=str(folder),
        remedy="Name a folder that can be written.",
    )
