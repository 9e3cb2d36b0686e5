"""Nothing later than a tick can reach its graph: the future is poisoned and nothing changes."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gnn.recording import Recorder
from gnn.snapshots import GraphSnapshot
from gnn.spool import Spool, SpoolWriter, open_spool
from gnn.tensors import to_arrays
from graph.errors import InvalidInput
from graph.transaction import HOUR, Label, Outcome, Transaction
from tests.bare_replayer import BareReplayer, payment, stream
from tests.examples import examples


def recorded(
    transactions: list[Transaction], folder: Path, batch: int = 16, kept: int = 10**9
) -> Spool:
    """Kept are the transactions of the stream, not what poison adds to it."""
    replayer = BareReplayer()
    writer = SpoolWriter(folder)
    recorder = Recorder(
        replayer,
        replayer.window,
        replayer.profiles,
        writer,
        keep=lambda name: int(name.removeprefix("t")) < kept,
    )
    out = np.zeros((batch, 1), np.float32)
    for start in range(0, len(transactions), batch):
        part = transactions[start : start + batch]
        assert all(seen.accepted for seen in recorder.observe_features(part, out))
    recorder.finish()
    return open_spool(folder)


def poisoned(transactions: list[Transaction], since: int) -> list[Transaction]:
    """What is later has other amounts and outcomes, and strangers rush in between."""
    found = []
    for number, tx in enumerate(transactions):
        if tx.timestamp < since:
            found.append(tx)
            continue
        declined = None if tx.outcome is Outcome.DECLINED else Outcome.DECLINED
        found.append(structs.replace(tx, value=tx.value * 1_000 + 7, outcome=declined))
        found += [
            payment(
                10_000 + 10 * number + k,
                tx.timestamp,
                tx.user_id,
                counterparty_id=f"stranger{k}",
                device_id=f"burner{k}",
                card_id=tx.card_id,
            )
            for k in range(3)
        ]
    return found


@settings(max_examples=examples(24))
@given(st.integers(0, 2**32 - 1), st.integers(5, 40), st.data())
def test_poison_after_a_tick_changes_nothing_of_it(seed, length, data):
    transactions = stream(seed, length, gap=HOUR)
    since = data.draw(st.sampled_from([tx.timestamp // HOUR * HOUR for tx in transactions]))
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        clean = recorded(transactions, Path(one))
        dirty = recorded(poisoned(transactions, since), Path(other), kept=10_000)
        assert since in clean.moments
        for number, moment in enumerate(clean.moments):
            if moment > since:
                break
            mine, theirs = clean.tick(number), dirty.tick(number)
            assert mine.as_of == theirs.as_of == moment
            found = to_arrays(theirs.subgraph)
            for name, array in to_arrays(mine.subgraph).items():
                np.testing.assert_array_equal(array, found[name], err_msg=name)
            np.testing.assert_array_equal(mine.members, theirs.members)


def test_the_poison_would_show_if_it_could(tmp_path):
    transactions = stream(5, 40, gap=HOUR)
    since = transactions[20].timestamp // HOUR * HOUR
    clean = recorded(transactions, tmp_path / "clean")
    dirty = recorded(poisoned(transactions, since), tmp_path / "dirty", kept=10_000)
    last = to_arrays(dirty.tick(len(dirty) - 1).subgraph)
    mine = to_arrays(clean.tick(len(clean) - 1).subgraph)
    assert not np.array_equal(last["x_user"], mine["x_user"])


@settings(max_examples=examples(12))
@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_batches_do_not_matter(seed, batch):
    transactions = stream(seed, 60, gap=5 * HOUR)
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        whole = recorded(transactions, Path(one), batch=30)
        cut = recorded(transactions, Path(other), batch)
        assert whole.moments.tolist() == cut.moments.tolist()
        for mine, theirs in zip(whole, cut, strict=True):
            np.testing.assert_array_equal(mine.members, theirs.members)
            np.testing.assert_array_equal(mine.rows.parties, theirs.rows.parties)


def test_every_transaction_is_in_the_tick_before_it_and_members_are_its_parties(tmp_path):
    transactions = stream(2, 80, gap=HOUR)
    spool = recorded(transactions, tmp_path)
    places = np.concatenate([spool.rows(n).places for n in range(len(spool))])
    assert places.tolist() == list(range(80))
    met = 0
    for tick in spool:
        rows, seeds = tick.rows, sum(tick.subgraph.seeds.values())
        assert (rows.times >= tick.as_of).all()
        assert (rows.times < tick.as_of + HOUR).all()
        ids = np.concatenate([tick.subgraph.ids[k][:n] for k, n in tick.subgraph.seeds.items()])
        assert set(tick.members[tick.members >= 0].tolist()) == set(range(seeds))
        for members, parties in zip(tick.members, rows.parties, strict=True):
            there = members >= 0
            assert ids[members[there]].tolist() == parties[there].tolist()
            met += int(there.sum())
    assert met > 200


def test_a_snapshot_of_a_moment_refuses_what_is_later():
    replayer = BareReplayer()
    transactions = stream(1, 20)
    for tx in transactions:
        replayer.observe(tx)
    profiles, newest = replayer.profiles.columns(replayer.window), transactions[-1].timestamp
    assert GraphSnapshot.take(replayer.window, profiles, newest + 1).as_of == newest + 1
    with pytest.raises(InvalidInput, match="not earlier"):
        GraphSnapshot.take(replayer.window, profiles, newest)


def test_labels_go_through_and_the_interface_stays(tmp_path):
    replayer = BareReplayer()
    recorder = Recorder(replayer, replayer.window, replayer.profiles, SpoolWriter(tmp_path))
    label = Label(stream(1, 1)[0], fraud=True, known_at=0)
    recorder.learn(label)
    assert replayer.labels == [label]
    assert (recorder.schema, recorder.ring_policy) == (replayer.schema, replayer.ring_policy)


def test_a_clock_that_runs_ahead_brings_nothing_into_the_past(tmp_path):
    transactions = stream(4, 30, gap=HOUR)
    outlier = payment(99, transactions[14].timestamp + 20 * HOUR, "u1", counterparty_id="u2")
    told = [*transactions[:15], outlier, *transactions[15:]]
    spool = recorded(told, tmp_path)
    assert spool.transactions.sum() == 31
    assert (np.diff(spool.moments) > 0).all()
