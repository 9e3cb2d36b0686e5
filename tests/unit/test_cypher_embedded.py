"""What is particular to the embedded graph database: its file, its lock, its log, its end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cypher.embedded import EmbeddedGraphStore
from cypher.ports import GraphBatch, GraphUnavailable, QueryTooBroad
from graph.errors import Incompatible, InvalidSetting

WRITER = """
import sys
from itertools import count
from pathlib import Path
from cypher.embedded import EmbeddedGraphStore
from cypher.sink import graph_batch
from graph.transaction import Money, Transaction, TransactionType

store = EmbeddedGraphStore(Path(sys.argv[1]))
for n in count(1 + (store.offset() or 0)):
    judged = [
        (Transaction(f"t{n}-{i}", n, TransactionType.TRANSFER, Money(1, "EUR"), 1, f"u{i}",
                     counterparty_id=f"u{n % 7}x", device_id=f"d{i % 5}"), None)
        for i in range(50)
    ]
    store.write(graph_batch(judged, offset=n))
    print(n, flush=True)
"""


def counts(store: EmbeddedGraphStore) -> tuple[object, object]:
    paid = store.query("MATCH ()-[p:PAID]->() RETURN count(p)", {}, max_rows=1, timeout_ms=5_000)
    used = store.query(
        "MATCH ()-[l:USED_DEVICE]->() RETURN sum(l.count)", {}, max_rows=1, timeout_ms=5_000
    )
    return paid.rows[0][0], used.rows[0][0]


def write_until_killed(path: Path, batches: int) -> int:
    """Kill -9 a writer after it said so many batches were written; the last it said."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(batches)]
        os.kill(writer.pid, signal.SIGKILL)
        said += [int(line) for line in writer.stdout.read().splitlines()]
    return said[-1]


def test_kill_9_loses_no_batch_and_tears_none(tmp_path: Path) -> None:
    path = tmp_path / "graph.kgl"
    for batches in (1, 9, 4):
        said = write_until_killed(path, batches)
        store = EmbeddedGraphStore(path)
        offset = store.offset()
        assert offset is not None
        # The batch in the air when it was killed may be there too, but then as a whole.
        assert said <= offset <= said + 1
        assert counts(store) == (50 * offset, 50 * offset)
        store.close()


def test_a_log_cut_short_gives_back_whole_batches_and_their_offset(tmp_path: Path) -> None:
    path = tmp_path / "graph.kgl"
    write_until_killed(path, 6)
    log = tmp_path / "graph.kgl-wal"
    log.write_bytes(log.read_bytes()[:-1_000])
    store = EmbeddedGraphStore(path)
    offset = store.offset()
    assert offset is not None
    assert offset >= 4
    assert counts(store) == (50 * offset, 50 * offset)
    store.close()


def test_a_second_writer_is_refused_and_told_who_holds_the_file(tmp_path: Path) -> None:
    first = EmbeddedGraphStore(tmp_path / "graph.kgl")
    with pytest.raises(GraphUnavailable, match=str(os.getpid())):
        EmbeddedGraphStore(tmp_path / "graph.kgl")
    first.close()
    EmbeddedGraphStore(tmp_path / "graph.kgl").close()


def test_a_file_that_is_no_graph_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "graph.kgl"
    path.write_bytes(b"SQLite format 3\x00" + bytes(100))
    with pytest.raises(Incompatible, match="Move it away"):
        EmbeddedGraphStore(path)
    assert path.read_bytes().startswith(b"SQLite")


def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "graph.kgl"
    store = EmbeddedGraphStore(path)
    store.write(GraphBatch(offset=1))
    store.close()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(Incompatible):
        EmbeddedGraphStore(path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="nowhere"):
        EmbeddedGraphStore(tmp_path / "nowhere" / "graph.kgl")


def test_a_query_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    store = EmbeddedGraphStore(tmp_path / "graph.kgl")
    with pytest.raises(QueryTooBroad, match="memory bound"):
        store.query(
            "UNWIND range(1, 100000000) AS x RETURN collect(x)", {}, max_rows=1, timeout_ms=60_000
        )
    store.close()


def test_nothing_is_printed_about_labels_that_are_not_there_yet(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = EmbeddedGraphStore(tmp_path / "graph.kgl")
    store.query("MATCH (u:User)-[:PAID]->(n) RETURN u.id", {}, max_rows=1, timeout_ms=5_000)
    store.close()
    assert capfd.readouterr() == ("", "")
