"""The lease: who leads, by heartbeats in the log."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from graph.errors import Unavailable
from ingest.embedded import EmbeddedLog
from ingest.lease import Lease
from ingest.ports import Bounds, Message, Topic

PATIENCE = 0.4


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    log = EmbeddedLog(tmp_path / "log.db")
    yield log
    log.close()


def lease(log: EmbeddedLog, name: str = "engine") -> Lease:
    return Lease(log, name, patience=PATIENCE)


def vacant_within(candidate: Lease, seconds: float) -> float | None:
    began = time.monotonic()
    while (waited := time.monotonic() - began) < seconds:
        if candidate.vacant():
            return waited
        time.sleep(0.01)
    return None


def test_what_nobody_ever_led_is_vacant_at_once(log: EmbeddedLog) -> None:
    assert lease(log).vacant()


def test_a_heartbeat_keeps_standbys_waiting_and_a_goodbye_ends_it(log: EmbeddedLog) -> None:
    leader, standby = lease(log), lease(log)
    leader.hold()
    try:
        assert vacant_within(standby, 3 * PATIENCE) is None
        assert standby.leader is not None
    finally:
        leader.release()
    waited = vacant_within(standby, PATIENCE)
    assert waited is not None
    assert waited < PATIENCE / 2


def test_silence_is_waited_for(log: EmbeddedLog) -> None:
    leader = lease(log)
    leader.hold()
    time.sleep(PATIENCE / 2)
    leader.drop()  # without a word, as a killed process
    standby = lease(log)
    waited = vacant_within(standby, 3 * PATIENCE)
    assert waited is not None
    assert waited > PATIENCE / 2


def test_leases_of_other_names_are_others(log: EmbeddedLog) -> None:
    graph = lease(log, "graph")
    graph.hold()
    try:
        assert vacant_within(lease(log), 3 * PATIENCE) is not None
    finally:
        graph.release()


def test_a_log_that_does_not_answer_says_nothing_about_the_leader(
    log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader, standby = lease(log), lease(log)
    leader.hold()
    try:
        assert not standby.vacant()

        def down(topic: Topic, partition: int, offset: int, limit: int) -> Bounds:
            raise Unavailable("no log", remedy="Wait.")

        with monkeypatch.context() as patch:
            patch.setattr(log, "read", down)
            until = time.monotonic() + 2 * PATIENCE
            while time.monotonic() < until:
                with pytest.raises(Unavailable):
                    standby.vacant()
                time.sleep(0.02)
        assert not standby.vacant()  # it has to be silent for as long again
    finally:
        leader.release()


def test_whoever_was_succeeded_hears_of_it(log: EmbeddedLog) -> None:
    frozen = lease(log)
    frozen.hold()
    successor = lease(log)
    successor.vacant()
    successor.hold()
    try:
        until = time.monotonic() + 5
        while not frozen.superseded and time.monotonic() < until:
            time.sleep(0.01)
        assert frozen.superseded
        assert not successor.superseded
        frozen.release()  # must not say goodbye in the successor's place
        assert not lease(log).vacant()
    finally:
        successor.release()


def test_what_is_no_heartbeat_ends_nobody(log: EmbeddedLog) -> None:
    leader, standby = lease(log), lease(log)
    leader.hold()
    try:
        for noise in (b"", b"{", b"\xff", b'{"name":1}'):
            log.append([Message(Topic.LEASES, 0, noise)])
        assert vacant_within(standby, 3 * PATIENCE) is None
        assert standby.leader is not None
        assert not leader.superseded
    finally:
        leader.release()
    assert vacant_within(standby, PATIENCE) is not None
