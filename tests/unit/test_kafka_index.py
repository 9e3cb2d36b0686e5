"""The index of verdicts: it never knows more than the topic, and finds out when it knows less."""

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from graph.errors import Unavailable
from ingest import kafka_index
from ingest.kafka_index import VerdictIndex

END = 1_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.db"


@pytest.fixture
def index(path: Path) -> Iterator[VerdictIndex]:
    found = VerdictIndex(path, "cluster/topic", END)
    yield found
    found.close()


def heard(index: VerdictIndex, start: int, *keys: str, mine: bool = False) -> None:
    index.hear(start, list(enumerate(keys, start)), start + len(keys), mine=mine)


def test_it_knows_the_first_place_of_each_key(index: VerdictIndex) -> None:
    heard(index, 0, "a", "b", "a")
    heard(index, 3, "b", "c")
    assert index.look_up(["c", "a", "b", "d", "a"]) == {"a": 0, "b": 1, "c": 4}
    assert index.following == 5


def test_what_was_heard_is_there_after_reopening_and_goes_on(path: Path) -> None:
    before = VerdictIndex(path, "cluster/topic", END)
    heard(before, 0, "a", "b")
    before.close()
    after = VerdictIndex(path, "cluster/topic", END)
    assert after.following == 2
    assert not after.whole
    heard(after, 2, "a", "c")
    assert after.look_up(["a", "b", "c"]) == {"a": 0, "b": 1, "c": 3}
    after.close()


def test_what_leaves_a_gap_is_not_taken_and_what_is_known_is_taken_once(
    index: VerdictIndex,
) -> None:
    heard(index, 0, "a", "b")
    heard(index, 5, "later")
    assert index.following == 2
    heard(index, 0, "x", "y", "c")  # a reader went back: only what is new counts
    assert index.look_up(["x", "y", "c", "later"]) == {"c": 2}


def test_it_is_whole_while_only_this_process_writes(index: VerdictIndex) -> None:
    assert not index.whole
    heard(index, 0, "a", mine=True)
    assert index.whole
    heard(index, 2, "b", mine=True)  # between lies the mark of the commit before
    assert index.whole
    assert index.following == 3
    heard(index, 9, "c")  # a reader elsewhere in the topic says nothing about the end of it
    assert index.whole
    heard(index, 5, "d", mine=True)  # more than a mark: somebody's, or an aborted transaction's
    assert not index.whole
    index.hear(3, [], 6, mine=False)
    heard(index, 6, "e", mine=True)
    assert index.whole
    index.doubt()
    assert not index.whole


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"torn" * 1000),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(b""),
        lambda path: sqlite3.connect(path).execute("DROP TABLE about").connection.close(),
    ],
    ids=["noise", "cut", "empty", "no table"],
)
def test_a_damaged_file_is_said_aloud_and_begun_anew(
    path: Path, damage, caplog: pytest.LogCaptureFixture
) -> None:
    index = VerdictIndex(path, "cluster/topic", END)
    heard(index, 0, *(f"key-{n}" for n in range(2000)))
    index.close()
    damage(path)
    with caplog.at_level(logging.WARNING):
        again = VerdictIndex(path, "cluster/topic", END)
    assert again.following == 0
    assert again.look_up(["key-1"]) == {}
    assert "damaged" in caplog.text
    heard(again, 0, "key-1")
    assert again.look_up(["key-1"]) == {"key-1": 0}
    again.close()


@pytest.mark.parametrize(("topic", "end"), [("cluster/another", END), ("cluster/topic", 1)])
def test_an_index_of_another_topic_is_begun_anew(
    path: Path, topic: str, end: int, caplog: pytest.LogCaptureFixture
) -> None:
    index = VerdictIndex(path, "cluster/topic", END)
    heard(index, 0, "a", "b")
    index.close()
    with caplog.at_level(logging.WARNING):
        again = VerdictIndex(path, topic, end)
    assert (again.following, again.look_up(["a"])) == (0, {})
    assert "another topic" in caplog.text
    again.close()


def test_damage_found_later_is_said_and_the_next_answer_is_read_up_anew(
    index: VerdictIndex, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard(index, 0, *(f"key-{n}" for n in range(20_000)))
    index._flush()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    index._reader.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 400_000)
    index._reader = index._connect()
    with caplog.at_level(logging.WARNING), pytest.raises(Unavailable, match="damaged"):
        index.look_up([f"key-{n}" for n in range(0, 20_000, 7)])
    assert "read up anew" in caplog.text
    assert (index.following, index.whole) == (0, False)
    heard(index, 0, "key-7")
    assert index.look_up(["key-7"]) == {"key-7": 0}


def test_what_retention_took_is_not_found_and_may_come_again(
    index: VerdictIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_index, "TRIM_AT_LEAST", 1)
    heard(index, 0, "a", "b", "c", "d")
    index._flush()
    index.forget(2)
    assert index.look_up(["a", "c"]) == {"c": 2}
    heard(index, 4, "a", "c")
    index._flush()
    assert index.look_up(["a", "b", "c"]) == {"a": 4, "c": 2}
    rows = index._reader.execute("SELECT count(*) FROM keys WHERE place < 2").fetchone()
    assert rows == (0,)


def test_two_processes_may_share_the_file(path: Path) -> None:
    first = VerdictIndex(path, "cluster/topic", END)
    second = VerdictIndex(path, "cluster/topic", END)
    heard(first, 0, "a", "b")
    heard(second, 0, "a", "b")
    heard(first, 2, "c")
    first._flush()
    second._flush()
    assert second.look_up(["a", "b", "c"]) == {"a": 0, "b": 1, "c": 2}
    first.close()
    second.close()
    third = VerdictIndex(path, "cluster/topic", END)
    assert third.following == 3
    third.close()


def test_a_file_that_cannot_be_written_is_said_once_and_too_much_waiting_refuses(
    index: VerdictIndex, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    write = index._write
    monkeypatch.setattr(index, "_write", full)
    monkeypatch.setattr(kafka_index, "MOST_WAITING", 3)
    with caplog.at_level(logging.WARNING):
        heard(index, 0, "a", "b")
        index._flush()
        heard(index, 2, "c")
        index._flush()
        assert index.look_up(["a", "c"]) == {"a": 0, "c": 2}  # goes on without the file
        assert caplog.text.count("cannot be written") == 1
        heard(index, 3, "d")
        with pytest.raises(Unavailable, match="disk is full"):
            index.look_up(["a"])
        monkeypatch.setattr(index, "_write", write)
        index._flush()
        index._flush()
        assert "is written again" in caplog.text
    assert index.look_up(["a", "d"]) == {"a": 0, "d": 3}


def test_without_a_file_nothing_is_left_behind() -> None:
    index = VerdictIndex(None, "cluster/topic", END)
    heard(index, 0, "a")
    folder = index._path.parent
    assert folder.exists()
    index.close()
    assert not folder.exists()
