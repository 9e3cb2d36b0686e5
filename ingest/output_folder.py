"""The folder a command writes into: tried before the work, and changed by whole results only.

What is being made lies in a folder of its own with a name nobody else has (`ingest.workshop`), and
is moved into place when it is whole. Only such a folder is ever removed with what is in it. A
process that is killed leaves it behind, named `unfinished`; what was there before is whole, in its
place or in that folder. The next run into the same place puts it back and takes the folder away.
"""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryFile
from typing import Final

from graph.errors import InvalidSetting
from ingest.workshop import NEW, abandoned, held, remove, workshop

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Of an `OSError`: there is no room for what was to be written."""
_FIELD: Final = "out_dir"
_OLD: Final = "old"
_LEAVING: Final = "leaving"
_TRIES: Final = 16
"""Times a folder is put in place: each but the last may find that another was put there first."""


def check_writable(folder: Path, field: str = _FIELD) -> None:
    """Write a file into a folder, made where it is missing; nothing is left of either.

    Args:
        folder: Where a command will write.
        field: What names it to the person: an option.

    Raises:
        InvalidSetting: It cannot be made or written, or another process is at work in it.
    """
    _try_writing(folder, folder, field)
    if folder.is_dir():
        with _alone(folder, field):
            pass


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
def new_folder(
    folder: Path, names: Sequence[str], what: str, *, field: str = _FIELD
) -> Iterator[Path]:
    """A folder to write to, which takes the place of `folder` when the block ends without error.

    Args:
        folder: The place; it may hold an earlier result.
        names: The files of a result.
        what: What they are together.
        field: What names the folder to the person: an option.

    Raises:
        InvalidSetting: `folder` cannot be replaced (`check_replaceable`) or moved, or the disk is
            full.
    """
    check_replaceable(folder, names, what, field=field)
    place = _real(folder)
    prefix = f"{place.name}.unfinished-"
    missing = _made(place.parent, folder, field)
    for left in abandoned(place.parent, prefix):
        with suppress(OSError):
            _put_back(left, place)
            _clear(left, names)
    try:
        with _workshop(place.parent, prefix, folder, field) as made:
            yield made / NEW
            try:
                _put_in_place(
                    made / NEW, place, lambda: _check_contents(place, names, what, field), field
                )
            except OSError as error:
                raise _unwritable(error, folder, field) from error
            _forget(made, names)
    finally:
        _remove_empty(missing)


@contextmanager
def new_files(
    folder: Path, names: Sequence[str], *, folders: Sequence[str] = (), field: str = _FIELD
) -> Iterator[Path]:
    """A folder to write these to, which go into `folder` when the block ends without error.

    What else is in `folder` stays. Old and new files are never there together: what the block did
    not write is not there afterwards. Nobody else can do the same in the meantime.

    Args:
        folder: Where the files go; made where it is missing.
        names: Every file that the block may write.
        folders: Every folder that it may write.
        field: What names the folder to the person: an option.

    Raises:
        InvalidSetting: `folder`, or a file, cannot be written, the disk is full, or another process
            is at work in it.
    """
    check_writable(folder, field)
    for name in names:
        if (folder / name).is_dir():
            raise InvalidSetting(
                "a file is to be written where a folder is",
                field=field,
                value=str(folder / name),
                remedy="Name another folder.",
            )
    every = (*names, *folders)
    missing = _made(folder, folder, field)
    with _alone(folder, field):
        try:
            for left in abandoned(folder, "unfinished-"):
                with suppress(OSError):
                    _undo(left, folder, every)
                    _clear(left, every)
            with _workshop(folder, "unfinished-", folder, field) as made:
                yield made / NEW
                try:
                    _exchange(made, folder, every)
                except OSError as error:
                    raise _unwritable(error, folder, field) from error
                _forget(made, every)
        finally:
            _remove_empty(missing)


def no_room(error: OSError, place: str, field: str | None = None) -> InvalidSetting:
    """What to say of an error of `FULL`."""
    return InvalidSetting(
        f"there is no room for what is to be written: {os.strerror(error.errno or errno.ENOSPC)}",
        field=field,
        value=place,
        remedy="Free some space, or name a folder on another disk.",
    )


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
def _alone(folder: Path, field: str) -> Iterator[None]:
    """Keep everybody else out of a folder that is there."""
    with held(folder) as ours:
        if ours is False:
            raise InvalidSetting(
                "another process is writing into this folder",
                field=field,
                value=str(folder),
                remedy="Wait until it has ended, or name another folder.",
            )
        yield


@contextmanager
def _workshop(parent: Path, prefix: str, wanted: Path, field: str) -> Iterator[Path]:
    """A workshop whose errors name the folder that was wanted: nobody has heard of another."""
    made: Path | None = None
    try:
        with workshop(parent, prefix) as made:
            yield made
    except InvalidSetting as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and _is_within(error.value, made):
            raise _unwritable(cause, wanted, field) from error
        raise
    except OSError as error:
        if made is None or _is_within(error.filename, made):
            raise _unwritable(error, wanted, field) from error
        if error.errno in FULL:  # some libraries do not say what they were writing
            raise no_room(error, error.filename or str(wanted), field) from error
        raise


def _is_within(named: object, made: Path | None) -> bool:
    return isinstance(named, str) and made is not None and Path(named).is_relative_to(made)


def _made(folder: Path, wanted: Path, field: str) -> list[Path]:
    """Make a folder; what of it was not there yet, the deepest first."""
    missing = _missing(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(error, wanted, field) from error
    return missing


def _put_in_place(new: Path, place: Path, check: Callable[[], None], field: str) -> None:
    """Rename a folder to `place`; what was there goes beside `new`, and back if that fails."""
    for last in range(_TRIES):
        check()
        old = new.with_name(f"{_OLD}-{last:02}")
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
        field=field,
        value=str(place),
        remedy="Name a folder for each of them.",
    )


def _put_back(made: Path, place: Path) -> None:
    """What a killed process had moved out of the way, where nothing has come in its place."""
    for old in sorted(made.glob(f"{_OLD}-*"), reverse=True):
        if not os.path.lexists(place):
            old.rename(place)


def _exchange(made: Path, folder: Path, names: Sequence[str]) -> None:
    """Move what is there out of a folder and its successors in: all of it, or nothing.

    What is moved out lies in `leaving` as long as not all of it is, and then in `old`: so `_undo`
    knows, however early the process was killed, which of both a name in the folder is.
    """
    (made / _LEAVING).mkdir()
    try:
        for name in names:
            with suppress(FileNotFoundError):
                (folder / name).rename(made / _LEAVING / name)
        (made / _LEAVING).rename(made / _OLD)
        for name in names:
            with suppress(FileNotFoundError):
                (made / NEW / name).rename(folder / name)
    except BaseException:
        _undo(made, folder, names)
        raise


def _undo(made: Path, folder: Path, names: Sequence[str]) -> None:
    """Take back an exchange that did not come to its end; one that did, stays."""
    new, leaving, old = made / NEW, made / _LEAVING, made / _OLD
    if old.exists():
        if not any(os.path.lexists(new / name) for name in names):
            return
        for name in names:
            if not os.path.lexists(new / name):
                with suppress(FileNotFoundError):
                    (folder / name).rename(new / name)
        old.rename(leaving)
    if leaving.exists():
        for name in names:
            with suppress(FileNotFoundError):
                (leaving / name).rename(folder / name)


def _clear(made: Path, names: Sequence[str]) -> None:
    """Take a workshop away whose result is in place, or will not be."""
    _forget(made, names)
    remove(made)


def _forget(made: Path, names: Sequence[str]) -> None:
    """Remove an earlier result: nothing but what is of these names, whatever else came into it."""
    for old in made.glob(f"{_OLD}*"):
        for name in names:
            with suppress(OSError):
                (old / name).unlink(missing_ok=True)
            rmtree(old / name, ignore_errors=True)


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
    if error.errno in FULL:
        return no_room(error, str(folder), field)
    return InvalidSetting(
        f"this folder cannot be made or written: {error.strerror or error}",
        field=field,
        value=str(folder),
        remedy="Name a folder that can be written.",
    )
