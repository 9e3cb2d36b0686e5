"""Replay: the same bytes however it is cut, and nothing known before its time."""

import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from msgspec import structs

from graph.errors import InvalidSetting
from graph.transaction import DAY, MINUTE, SECOND, Money, Transaction, TransactionType
from ingest import replay_files
from ingest.ports import LearningDetector
from ingest.replay import replay
from scorer.detector import Detector
from scorer.history import LabelledTransaction
from tests.tiny_detector import TinyDetector

Make = Callable[[bytes | None], LearningDetector]
FILES = {"verdicts", "features", "evidence", "rings", "ring_members", "alerts"}


def _real(snapshot: bytes | None = None) -> Detector:
    return Detector() if snapshot is None else Detector.restore(snapshot)


@pytest.fixture(params=[TinyDetector, pytest.param(_real, marks=pytest.mark.slow)])
def make(request: pytest.FixtureRequest) -> Make:
    """A new detector, or one from a snapshot."""
    made: Make = request.param
    return made


def history(seed: int = 1, size: int = 300, delay: int = DAY) -> list[LabelledTransaction]:
    """Out of order within minutes, some too late, some twice, a third without a label."""
    random_ = random.Random(seed)
    rows = []
    for n in range(size):
        at = 1_700_000_000_000 + n * 20 * SECOND - random_.choice([0, 0, 0, MINUTE, DAY])
        tx = Transaction(
            transaction_id=f"t{n if n % 17 else n - 1}",
            timestamp=at,
            type=TransactionType.TRANSFER,
            amount=Money(100 + n, "EUR"),
            value=100 + n,
            user_id=f"u{random_.randrange(20)}",
            counterparty_id="v" if n % 3 else f"u{random_.randrange(20)}",
            device_id=f"d{random_.randrange(9)}",
        )
        fraud = random_.choice([True, False, None])
        known_at = None if fraud is None else at + delay
        rows.append(LabelledTransaction(tx, fraud, known_at, "r1" if fraud else None))
    return rows


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(params=[replay_files.ROW_GROUP, 23])
def row_group(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small row groups end everywhere, inside batches and between them."""
    monkeypatch.setattr(replay_files, "ROW_GROUP", request.param)


def test_twice_gives_the_same_bytes(tmp_path: Path, row_group: None, make: Make) -> None:
    for name in ("a", "b"):
        replay(history(), make(None), tmp_path / name, batch=64)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert {path.stem for path in (tmp_path / "a").iterdir()} == FILES


@pytest.mark.parametrize("delay", [0, 10 * MINUTE, DAY])
def test_batches_change_nothing(tmp_path: Path, row_group: None, delay: int, make: Make) -> None:
    for batch in (1, 50, 1_000):
        replay(history(delay=delay), make(None), tmp_path / str(batch), batch=batch)
    one_by_one = contents(tmp_path / "1")
    for batch in (50, 1_000):
        assert contents(tmp_path / str(batch)) == one_by_one


def test_a_label_is_told_after_its_transaction_and_before_the_next(tmp_path: Path) -> None:
    heard: list[str] = []

    class Listening(TinyDetector):
        def observe_batch(self, transactions):  # type: ignore[no-untyped-def]
            heard.extend(tx.transaction_id for tx in transactions)
            return super().observe_batch(transactions)

        def learn(self, label):  # type: ignore[no-untyped-def]
            heard.append("+" + label.transaction.transaction_id)
            super().learn(label)

    rows = [row for row in history(size=6, delay=0) if row.fraud is not None]
    rows = [
        replace(row, transaction=structs.replace(row.transaction, timestamp=n), known_at=n)
        for n, row in enumerate(rows)
    ]
    replay(rows, Listening(), tmp_path / "out", batch=100)
    ids = [row.transaction.transaction_id for row in rows]
    assert heard == [word for name in ids for word in (name, "+" + name)]


@pytest.mark.parametrize("delay", [0, 10 * MINUTE, DAY])
@pytest.mark.parametrize("middle", [1, 63, 150, 299])
def test_from_a_snapshot_in_its_middle_the_rest_is_the_same(
    tmp_path: Path, middle: int, delay: int, make: Make
) -> None:
    rows = history(delay=delay)
    straight = replay(rows, make(None), tmp_path / "straight", batch=64)
    first = make(None)
    head = replay(rows[:middle], first, tmp_path / "head", batch=64)
    restored = make(first.snapshot())
    tail = replay(rows, restored, tmp_path / "tail", batch=50, resume_from=middle)
    assert head.transactions + tail.transactions == straight.transactions
    assert head.rings + tail.rings == straight.rings > 0
    for name in FILES:
        whole, *parts = (
            pq.read_table(tmp_path / part / f"{name}.parquet").to_pandas()
            for part in ("straight", "head", "tail")
        )
        # By their text: features are NaN where nothing is known, and NaN is not equal to itself.
        assert whole.to_csv(index=False) == pd.concat(parts).to_csv(index=False)


def hop_of(rows: list[LabelledTransaction], hop: dict[str, object]) -> Transaction:
    return next(
        row.transaction for row in rows if row.transaction.transaction_id == hop["transaction_id"]
    )


def test_what_is_in_the_files(tmp_path: Path) -> None:
    rows = history()
    seen: list[int] = []
    summary = replay(rows, TinyDetector(), tmp_path / "out", batch=64, progress=seen.append)
    tables = {
        name: pq.read_table(tmp_path / "out" / f"{name}.parquet").to_pylist() for name in FILES
    }
    expected = TinyDetector().observe_batch([row.transaction for row in rows])

    ids = [row.transaction.transaction_id for row in rows]
    for name in ("verdicts", "features"):
        assert [row["transaction_id"] for row in tables[name]] == ids
        assert [row["position"] for row in tables[name]] == list(range(300))
    for table in tables.values():
        assert all(ids[row["position"]] == row["transaction_id"] for row in table)
        assert [row["position"] for row in table] == sorted(row["position"] for row in table)
    assert [(r["fraud"], r["known_at"], r["true_ring_id"]) for r in tables["verdicts"]] == [
        (row.fraud, row.known_at, row.ring_id) for row in rows
    ]
    assert [r["admission"] for r in tables["verdicts"]] == [v.admission for v in expected]
    assert list(tables["features"][0])[2:] == list(TinyDetector.feature_names)
    assert [r["value"] for r in tables["features"]] == [row.transaction.value for row in rows]
    assert [r["evidence_id"] for r in tables["evidence"]] == [
        e.evidence_id for v in expected for e in v.evidence
    ]
    hop = tables["evidence"][0]["hops"][0]
    assert hop["target"] == {"kind": "user", "id": hop_of(rows, hop).counterparty_id}
    assert hop["transaction_id"] == tables["evidence"][0]["transaction_id"]
    alerts = [e.alert for v in expected for e in v.ring_events if e.alert]
    assert [r["alert_id"] for r in tables["alerts"]] == [a.alert_id for a in alerts]
    born = [r for r in tables["rings"] if r["event"] == "born"]
    assert len({r["ring_id"] for r in born}) == len(born) == summary.rings
    assert len(tables["ring_members"]) == 3 * summary.rings  # user, counterparty, device
    assert {r["role"] for r in tables["ring_members"]} == {"sender"}

    assert seen[-1] == 300
    assert all(0 < b - a <= 64 for a, b in pairwise([0, *seen]))
    assert summary.transactions == 300 == sum(summary.admissions.values())
    assert summary.admissions["duplicate"] > 0
    assert summary.admissions["late"] > 0
    assert sum(summary.decisions.values()) == 300
    assert (summary.alerts, summary.ring_events) == (len(alerts), len(tables["rings"]))
    assert summary.labelled == sum(row.fraud is not None for row in rows)
    assert summary.per_second > 0


def test_an_empty_history_gives_empty_files(tmp_path: Path) -> None:
    summary = replay([], TinyDetector(), tmp_path / "out")
    assert summary.transactions == 0
    for name in FILES:
        assert pq.read_table(tmp_path / "out" / f"{name}.parquet").num_rows == 0


def _fails_after(rows: list[LabelledTransaction]) -> Iterator[LabelledTransaction]:
    yield from rows
    raise RuntimeError("the disk of the data is gone")


def test_a_replay_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    replay(history(), TinyDetector(), tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(RuntimeError):
        replay(_fails_after(history(seed=2)), TinyDetector(), tmp_path / "out")
    assert contents(tmp_path / "out") == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    replay(history(seed=2), TinyDetector(), tmp_path / "out")
    assert contents(tmp_path / "out") != before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def _folder_of_somebody(path: Path) -> None:
    path.mkdir()
    (path / "thesis.tex").write_text("years of work")


@pytest.mark.parametrize("make", [_folder_of_somebody, lambda path: path.write_text("a file")])
def test_it_replaces_nothing_but_a_replay(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "out")
    with pytest.raises(InvalidSetting, match=r"not a replay.*(thesis|a file)"):
        replay(history(), TinyDetector(), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_folders_beside_it_are_not_a_replays_to_remove(tmp_path: Path) -> None:
    for name in ("out.unfinished", "out.replaced"):
        _folder_of_somebody(tmp_path / name)
    for seed in (1, 2):
        replay(history(seed), TinyDetector(), tmp_path / "out")
    for name in ("out.unfinished", "out.replaced"):
        assert (tmp_path / name / "thesis.tex").read_text() == "years of work"
    assert len(list(tmp_path.iterdir())) == 3


def test_one_that_ends_while_another_runs_takes_nothing_from_it(tmp_path: Path) -> None:
    def while_another_runs() -> Iterator[LabelledTransaction]:
        yield from history()
        replay(history(seed=2), TinyDetector(), tmp_path / "out")

    replay(while_another_runs(), TinyDetector(), tmp_path / "out")
    replay(history(), TinyDetector(), tmp_path / "alone")
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "out"]


_KILLED = """
import os, signal, sys
sys.path[:0] = [sys.argv[1]]
from pathlib import Path
from ingest.replay import replay
from tests.tiny_detector import TinyDetector

def rows():
    os.kill(os.getpid(), signal.SIGKILL)
    yield

replay(rows(), TinyDetector(), Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_replay_that_is_killed_leaves_what_was_there(tmp_path: Path) -> None:
    replay(history(), TinyDetector(), tmp_path / "out")
    before = contents(tmp_path / "out")
    arguments = [sys.executable, "-c", _KILLED, str(Path(__file__).parents[2]), tmp_path / "out"]
    assert subprocess.run(arguments, check=False).returncode == -signal.SIGKILL
    assert contents(tmp_path / "out") == before
    assert len(list(tmp_path.glob("out.unfinished-*"))) == 1
    replay(history(seed=2), TinyDetector(), tmp_path / "out")
    assert contents(tmp_path / "out") != before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_numbers_that_cannot_work_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="batch"):
        replay([], TinyDetector(), tmp_path / "out", batch=0)
    with pytest.raises(InvalidSetting, match="resume_from"):
        replay([], TinyDetector(), tmp_path / "out", resume_from=-1)


def test_a_detector_whose_features_do_not_fit_is_named(tmp_path: Path) -> None:
    class Crooked(TinyDetector):
        feature_names = ("one",)

    with pytest.raises(InvalidSetting, match=r"last_features.*shape \(\d+, 3\)"):
        replay(history(), Crooked(), tmp_path / "out")
