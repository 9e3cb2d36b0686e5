"""Folders in which something is made: held by who makes it, and found again when he was killed.

A lock of the operating system (`flock`) says whether the maker lives: the system lets go of it when
a process ends, however it ends. Where a file system knows no such locks, nobody is kept out and
nothing is cleared away, as everybody might be at work there.
"""

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Final

if sys.platform != "win32":
    import fcntl

NEW: Final = "new"
"""What is being made, one level down: `mkdtemp`'s own folder is for its owner alone."""
_LOCK: Final = ".ringfence-lock"
_TRIES: Final = 16
_RANDOM: Final = "[a-z0-9_]{8}"  # as mkdtemp ends a name


@contextmanager
def held(path: Path) -> Iterator[bool | None]:
    """Hold a file or folder that is there for the time of the block.

    Yields:
        Whether it is held: False where somebody else does, or it is gone, or another is in its
        place; None where there are no such locks.
    """
    if sys.platform == "win32":
        yield None
        return
    try:
        # A lock over NFS needs a file that is open for writing, as which a folder never is.
        how = os.O_RDONLY if path.is_dir() else os.O_RDWR
        opened = os.open(path, how | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        yield _locked(opened, path)
    finally:
        with suppress(OSError):  # a child of this process may have it open, too
            fcntl.flock(opened, fcntl.LOCK_UN)
        os.close(opened)


@contextmanager
def workshop(parent: Path, prefix: str) -> Iterator[Path]:
    """A folder of our own with an empty `NEW`, held; taken away in the end, with what is in `NEW`.

    What else is put into it stays, and the folder with it, as long as it is not empty.

    Args:
        parent: Where it is made; it is there.
        prefix: What its name begins with.

    Raises:
        OSError: It cannot be made.
    """
    for _ in range(_TRIES):
        made = Path(mkdtemp(prefix=prefix, dir=parent))
        try:
            (made / _LOCK).touch()
            with held(made / _LOCK) as ours:
                if ours is False:  # taken for abandoned before it was held
                    continue
                try:
                    (made / NEW).mkdir()
                    yield made
                finally:
                    remove(made)
                return
        finally:
            remove(made)
    raise BlockingIOError(errno.EBUSY, "others keep taking it away", str(parent))


def abandoned(parent: Path, prefix: str) -> Iterator[Path]:
    """The workshops of this prefix whose makers were killed, each held until the next is asked for.

    Another folder with a name like theirs has no lock of ours in it, and is none.
    """
    name = re.compile(re.escape(prefix) + _RANDOM)
    try:
        found = [each for each in parent.iterdir() if name.fullmatch(each.name)]
    except OSError:
        return
    for each in found:
        if each.is_symlink() or not os.path.lexists(each / _LOCK):
            continue
        with held(each / _LOCK) as ours:
            if ours:
                yield each


def remove(made: Path) -> None:
    """Take a held workshop away; folders in it other than `NEW` only if they are empty."""
    if not made.is_dir():
        return
    others = [each for each in made.iterdir() if each.name != NEW and each.is_dir()]
    for each in others:
        with suppress(OSError):
            each.rmdir()
    if any(each.exists() for each in others):
        return  # an old result that could not be put back: the next run tries again
    rmtree(made / NEW, ignore_errors=True)
    with suppress(OSError):
        (made / _LOCK).unlink(missing_ok=True)
        made.rmdir()


def _locked(opened: int, path: Path) -> bool | None:
    assert sys.platform != "win32"  # noqa: S101 - `held` has seen to it
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network's file system, mostly
        return None
    try:
        return os.path.samestat(path.stat(), os.fstat(opened))
    except OSError:
        return False
