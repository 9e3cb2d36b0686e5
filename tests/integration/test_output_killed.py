"""A process that is killed while it writes: what was there comes back, its own folder goes."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from graph.errors import InvalidSetting
from ingest.output_folder import check_writable, new_files, new_folder

NAMES = ("one", "two")
Make = Callable[[Path], object]


@contextmanager
def files(path: Path) -> Iterator[Path]:
    with new_files(path, NAMES, folders=("deep",)) as made:
        yield made


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    with new_folder(path, NAMES, "a result") as made:
        yield made


def write(make: Make, path: Path, text: str, names: tuple[str, ...] = NAMES) -> None:
    with make(path) as made:
        for name in names:
            (made / name).write_text(text)


def contents(path: Path) -> dict[str, str]:
    return {
        each.relative_to(path).as_posix(): each.read_text()
        for each in path.rglob("*")
        if each.is_file()
    }


def in_a_process(work: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    return child


def ended(child: int) -> int:
    return os.WTERMSIG(os.waitpid(child, 0)[1])


def killed_at_rename(
    number: int, work: Callable[[], None], rename: Callable[[Path, Path], Path] = Path.rename
) -> bool:
    """Whether the process came to its end; else it was killed before its rename of that number."""
    told, tell = os.pipe()
    so_far = [0]

    def counted(path: Path, target: Path) -> Path:
        if so_far[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        so_far[0] += 1
        return rename(path, target)

    def whole() -> None:
        Path.rename = counted
        with suppress(InvalidSetting):
            work()
        os.write(tell, b"!")

    child = in_a_process(whole)
    os.close(tell)
    assert ended(child) == signal.SIGKILL
    with os.fdopen(told, "rb") as said:
        return said.read() == b"!"


@pytest.mark.parametrize("make", [files, folder])
def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path, make: Make) -> None:
    out = tmp_path / "out"

    def half() -> None:
        with make(out) as made:
            (made / "one").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)

    assert ended(in_a_process(half)) == signal.SIGKILL
    assert [each for each in tmp_path.rglob("*") if "unfinished" in each.name]
    write(make, out, "new")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["one", "out", "two"]
    assert contents(out) == dict.fromkeys(NAMES, "new")


def refuse(make: Make, out: Path) -> None:
    """A run that ends early: it clears away what lay about, and writes nothing of its own."""
    with pytest.raises(RuntimeError), make(out):
        raise RuntimeError


@pytest.mark.parametrize("make", [files, folder])
def test_wherever_it_is_killed_there_is_the_old_or_the_new_and_never_both(
    tmp_path: Path, make: Make
) -> None:
    seen = []
    for number in range(20):
        out = tmp_path / str(number) / "out"
        write(make, out, "old")
        if make is files:
            (out / "deep").mkdir()
            (out / "deep" / "in").write_text("old")
        old = contents(out)
        over = killed_at_rename(number, lambda out=out: write(make, out, "new"))
        refuse(make, out)
        found = contents(out)
        assert found in (old, dict.fromkeys(NAMES, "new"))
        assert [each.name for each in out.parent.iterdir()] == ["out"]
        assert not [each for each in out.iterdir() if each.name not in (*NAMES, "deep")]
        seen.append(found == old)
        if over:
            break
    assert over
    assert seen[0]
    assert not seen[-1]
    assert len(seen) > (5 if make is files else 2)


def test_killed_while_it_takes_an_exchange_back(tmp_path: Path) -> None:
    rename = Path.rename  # the system's: a disk that breaks at this very moment cannot be had

    def broken(path: Path, target: Path) -> Path:
        if path.parts[-2:] == ("new", "two"):
            raise OSError(5, "broken")
        return rename(path, target)

    for number in range(20):
        out = tmp_path / str(number) / "out"
        write(files, out, "old")
        over = killed_at_rename(number, lambda out=out: write(files, out, "new"), broken)
        refuse(files, out)
        assert contents(out) == dict.fromkeys(NAMES, "old")
        assert sorted(each.name for each in out.iterdir()) == sorted(NAMES)
        if over:
            break
    assert over
    assert number > 6


@contextmanager
def at_work(make: Make, out: Path) -> Iterator[None]:
    """Another process that writes there until the block ends."""
    told, tell = os.pipe()

    def work() -> None:
        with make(out) as made:
            (made / "one").write_text("theirs")
            os.write(tell, b"!")
            signal.pause()

    child = in_a_process(work)
    try:
        assert os.read(told, 1) == b"!"
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        ended(child)
        os.close(told)
        os.close(tell)


def test_of_two_who_write_files_into_one_folder_the_second_is_refused(tmp_path: Path) -> None:
    out, link = tmp_path / "out", tmp_path / "link"
    link.symlink_to("out")
    with at_work(files, out):
        for attempt in (
            lambda: write(files, out, "mine"),
            lambda: write(files, link, "mine"),
            lambda: check_writable(out, "--out"),
        ):
            with pytest.raises(InvalidSetting, match="another process is writing") as refused:
                attempt()
            assert refused.value.field in {"out_dir", "--out"}
            assert refused.value.value in {str(out), str(link)}
            assert "Wait until it has ended" in refused.value.remedy
        (left,) = out.iterdir()
        assert contents(left / "new") == {"one": "theirs"}
    write(files, out, "mine")
    assert contents(out) == dict.fromkeys(NAMES, "mine")


def test_who_replaces_a_folder_leaves_the_work_of_a_living_process(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with at_work(folder, out):
        write(folder, out, "mine")
        (theirs,) = [each for each in tmp_path.iterdir() if each != out]
        assert contents(theirs / "new") == {"one": "theirs"}
    write(folder, out, "again")
    assert [each.name for each in tmp_path.iterdir()] == ["out"]
