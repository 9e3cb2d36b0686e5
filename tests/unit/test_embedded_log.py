"""What is particular to the SQLite log: retention, locks, damage."""

import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from graph.errors import Incompatible, InvalidSetting, Unavailable
from ingest import embedded
from ingest.embedded import EmbeddedLog
from ingest.ports import Bounds, Message, Topic


def verdicts(*numbers: int) -> list[Message]:
    return [Message(Topic.VERDICTS, 0, b"%d" % n, f"t{n}") for n in numbers]


def test_a_topic_keeps_its_newest_records_up_to_its_bound(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path / "log.db", retention={Topic.VERDICTS: 100})
    for start in range(0, 1_000, 10):
        log.append(verdicts(*range(start, start + 10)))
    assert log.bounds(Topic.VERDICTS, 0) == Bounds(900, 1_000)
    read = log.read(Topic.VERDICTS, 0, 0, 10_000)
    assert [record.offset for record in read] == list(range(900, 1_000))
    assert set(log.find(Topic.VERDICTS, ["t5", "t899", "t900"])) == {"t900"}
    log.close()


def test_a_trimmed_key_gives_way_to_the_next_record_that_has_it(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path / "log.db", retention={Topic.VERDICTS: 3})
    log.append(verdicts(1, 2))
    log.append([Message(Topic.VERDICTS, 0, b"second", "t1")])
    log.append(verdicts(4, 5))
    assert log.bounds(Topic.VERDICTS, 0) == Bounds(2, 5)
    assert log.find(Topic.VERDICTS, ["t1"])["t1"].value == b"second"
    log.close()


def test_a_smaller_bound_trims_a_full_log_bit_by_bit(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path / "log.db")
    log.append(verdicts(*range(1_000)))
    log.close()
    log = EmbeddedLog(tmp_path / "log.db", retention={Topic.VERDICTS: 10})
    log.append(verdicts(1_000))
    first = log.bounds(Topic.VERDICTS, 0).first
    assert 0 < first <= 64  # one append never pays for all of it
    for n in range(1_001, 1_050):
        log.append(verdicts(n))
    assert log.bounds(Topic.VERDICTS, 0) == Bounds(1_040, 1_050)
    log.close()


def test_the_file_stops_growing(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path / "log.db", retention={Topic.TRANSACTIONS: 200})
    sizes = []
    for _ in range(200):
        log.append([Message(Topic.TRANSACTIONS, 0, b"x" * 500)] * 50)
        sizes.append(sum(file.stat().st_size for file in tmp_path.iterdir()))
    # The write-ahead file wanders between two checkpoints (1,000 pages); the whole does not grow.
    assert max(sizes[100:]) <= max(sizes[:100]) + 65_536
    log.close()


def test_a_commit_is_on_disk_before_it_is_told(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path / "log.db")
    log.append(verdicts(1))
    connection = log._line().connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    log.close()


def test_a_writer_that_waits_too_long_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "BUSY_MS", 50)
    log = EmbeddedLog(tmp_path / "log.db")
    with log.claim("slow").transaction() as outputs:
        outputs.append(verdicts(1))
        caught: list[Unavailable] = []

        def second() -> None:
            try:
                log.append(verdicts(2))
            except Unavailable as error:
                caught.append(error)

        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert "locked" in str(caught[0])
    assert [r.value for r in log.read(Topic.VERDICTS, 0, 0, 10)] == [b"1"]
    log.close()


def test_a_full_disk_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path / "log.db")
    log.append(verdicts(1))
    pages = log._line().connection.execute("PRAGMA page_count").fetchone()[0]
    log._line().connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Unavailable, match="full"):
        log.append([Message(Topic.TRANSACTIONS, 0, b"x" * 100_000)])
    assert log.read(Topic.TRANSACTIONS, 0, 0, 1) == []
    log._line().connection.execute("PRAGMA max_page_count = 1000000")
    log.append([Message(Topic.TRANSACTIONS, 0, b"x" * 100_000)])
    assert len(log.read(Topic.TRANSACTIONS, 0, 0, 2)) == 1
    log.close()


def test_a_file_of_before_is_given_an_identity_that_stays(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = EmbeddedLog(path)
    log.append(verdicts(1))
    log._line().connection.execute("DROP TABLE about")
    log.close()
    first, second = EmbeddedLog(path), EmbeddedLog(path)
    assert first.identity == second.identity != log.identity
    assert len(first.read(Topic.VERDICTS, 0, 0, 10)) == 1
    first.close()
    second.close()


def test_a_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database at all, but long enough to be read as a header" * 10)
    with pytest.raises(Incompatible, match=r"notes\.txt"):
        EmbeddedLog(text)
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.close()
    with pytest.raises(Incompatible, match="format 0"):
        EmbeddedLog(other)


def test_settings_that_cannot_work_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="folder"):
        EmbeddedLog(tmp_path / "missing" / "log.db")
    with pytest.raises(InvalidSetting, match="retention of alerts"):
        EmbeddedLog(tmp_path / "log.db", retention={Topic.ALERTS: 0})
    log = EmbeddedLog(tmp_path / "log.db")
    with pytest.raises(InvalidSetting, match="verdicts"):
        log.find(Topic.ALERTS, ["x"])
    log.close()


def test_another_process_reads_while_this_one_writes(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path / "log.db")
    log.append(verdicts(1, 2))
    program = (
        "import sys; from pathlib import Path\n"
        "from ingest.embedded import EmbeddedLog\n"
        "from ingest.ports import Topic\n"
        "log = EmbeddedLog(Path(sys.argv[1]))\n"
        "print([r.value.decode() for r in log.read(Topic.VERDICTS, 0, 0, 9)])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "log.db")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "['1', '2']"
    log.close()


def test_closing_waits_for_who_reads_and_refuses_who_comes_later(tmp_path: Path) -> None:
    """Closed under the feet of another thread, SQLite ends the process."""
    for turn in range(30):
        log = EmbeddedLog(tmp_path / f"{turn}.db")
        refused: list[Unavailable] = []

        def read(log: EmbeddedLog = log, refused: list[Unavailable] = refused) -> None:
            while not refused:
                try:
                    log.bounds(Topic.VERDICTS, 0)
                    log.append([Message(Topic.ALERTS, 0, b"x")])
                except Unavailable as error:
                    refused.append(error)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        time.sleep(0.01)
        log.close()
        for reader in readers:
            reader.join(20)
            assert not reader.is_alive()
        assert "closed" in str(refused[0])
