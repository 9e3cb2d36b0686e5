"""What a command writes: tried before the work, whole or as it was, nobody else's touched."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from graph.errors import InvalidSetting
from ingest.output_folder import (
    check_apart,
    check_replaceable,
    check_writable,
    new_files,
    new_folder,
)

NAMES = ("one", "two")


def written(folder: Path, text: str) -> None:
    for name in NAMES:
        (folder / name).write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def whole(text: str) -> dict[str, str]:
    return dict.fromkeys(NAMES, text)


def folder_of(path: Path, text: str) -> None:
    with new_folder(path, NAMES, "a result") as made:
        written(made, text)


def files_of(path: Path, text: str) -> None:
    with new_files(path, NAMES) as made:
        written(made, text)


@pytest.mark.parametrize("write", [folder_of, files_of])
def test_a_result_is_there_when_it_is_whole_and_in_place_of_the_last(
    tmp_path: Path, write: Callable[[Path, str], None]
) -> None:
    for text in ("old", "new"):
        write(tmp_path / "deep" / "out", text)
        assert contents(tmp_path / "deep" / "out") == whole(text)
        assert names_in(tmp_path / "deep") == ["out"]
    plain = tmp_path / "plain"
    plain.mkdir()
    assert (tmp_path / "deep" / "out").stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize(
    "make", [lambda path: new_folder(path, NAMES, "a result"), lambda path: new_files(path, NAMES)]
)
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_work_that_ends_early_leaves_nothing_but_what_was_there(tmp_path, make, error) -> None:

    def fail(out: Path) -> None:
        with make(out) as made:
            written(made, "half")
            raise error

    with pytest.raises(error):
        fail(tmp_path / "deep" / "out")
    assert list(tmp_path.iterdir()) == []
    folder_of(tmp_path / "out", "old")
    with pytest.raises(error):
        fail(tmp_path / "out")
    assert contents(tmp_path / "out") == whole("old")
    assert names_in(tmp_path) == ["out"]


def test_neighbours_of_any_name_are_left_alone(tmp_path: Path) -> None:
    for name in ("out.unfinished", "out.replaced", "out.unfinished-1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.tex").write_text("years of work")
    for text in ("old", "new"):
        folder_of(tmp_path / "out", text)
    for name in ("out.unfinished", "out.replaced", "out.unfinished-1"):
        assert contents(tmp_path / name) == {"thesis.tex": "years of work"}
    assert len(names_in(tmp_path)) == 4


def test_an_old_folder_comes_back_if_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    folder_of(tmp_path / "out", "old")
    rename = Path.rename  # the system's: a disk that is full at this very moment cannot be had

    def refused(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(InvalidSetting, match="No space left"):
        folder_of(tmp_path / "out", "new")
    assert contents(tmp_path / "out") == whole("old")
    assert names_in(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_files_are_exchanged_all_or_none(tmp_path, monkeypatch, error) -> None:
    files_of(tmp_path / "out", "old")
    (tmp_path / "out" / "one").unlink()
    rename = Path.rename  # the system's: a disk that is full at this very moment cannot be had

    def refused(path: Path, target: Path) -> Path:
        if path.parts[-2:] == ("new", "two"):
            raise error
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises((InvalidSetting, KeyboardInterrupt)):
        files_of(tmp_path / "out", "new")
    assert contents(tmp_path / "out") == {"two": "old"}


def test_other_files_in_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    files_of(tmp_path, "new")
    assert contents(tmp_path) == {**whole("new"), "thesis.tex": "years of work"}


def test_several_at_once_end_with_one_that_is_whole(tmp_path: Path) -> None:
    crowd, failed = 6, []
    together = threading.Barrier(crowd)

    def run(text: str) -> None:
        try:
            with new_folder(tmp_path / "out", NAMES, "a result") as made:
                written(made, text)
                together.wait()
        except BaseException as error:  # noqa: BLE001 - asserted on below
            failed.append(error)

    for _ in range(10):
        threads = [threading.Thread(target=run, args=(str(n),)) for n in range(crowd)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert contents(tmp_path / "out") in [whole(str(n)) for n in range(crowd)]
        assert names_in(tmp_path) == ["out"]


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    folder_of(tmp_path / "real", "old")
    (tmp_path / "link").symlink_to("real")
    folder_of(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert contents(tmp_path / "real") == whole("new")


@pytest.mark.parametrize("write", [folder_of, files_of])
@pytest.mark.parametrize("name", ["file", "file/x", "/proc/foo", "n" * 300])
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, name: str, write: Callable[[Path, str], None]
) -> None:
    (tmp_path / "file").write_text("")
    for check in (lambda path: write(path, "new"), lambda path: check_writable(path, "--out")):
        with pytest.raises(InvalidSetting) as refused:
            check(tmp_path / name)
        assert refused.value.field
        assert refused.value.value
        assert refused.value.remedy
    assert names_in(tmp_path) == ["file"]


def test_a_check_leaves_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "deep" / "out")
    check_replaceable(tmp_path / "deep" / "out", NAMES, "a result")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    check_writable(tmp_path / "out")
    assert names_in(tmp_path) == ["out"]


def test_the_folder_one_is_in_is_not_replaced(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (".", ""):
        with pytest.raises(InvalidSetting, match=r"--out.*working directory.*\."):
            check_replaceable(Path(name), NAMES, "a result", field="--out")


def test_a_folder_in_the_place_of_a_file_is_nobodys_to_remove(tmp_path: Path) -> None:
    (tmp_path / "out" / "one").mkdir(parents=True)
    for write in (folder_of, files_of):
        with pytest.raises(InvalidSetting, match="one"):
            write(tmp_path / "out", "new")
    assert names_in(tmp_path / "out") == ["one"]


@pytest.mark.parametrize("out", ["data", "data/in/it", ".", "link", "data/../data"])
def test_a_result_is_not_written_into_or_over_its_data(tmp_path: Path, out: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    with pytest.raises(InvalidSetting, match=r"--out.*outside the data"):
        check_apart(tmp_path / out, tmp_path / "data", "--out")
    check_apart(tmp_path / "data-2", tmp_path / "data", "--out")
