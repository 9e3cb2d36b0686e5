"""What every `ingest.ports.Log` promises. An adapter joins by adding itself to `ADAPTERS`."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph.errors import RingfenceError, Unavailable
from ingest.embedded import EmbeddedLog
from ingest.ports import PARTITIONS, Bounds, Fenced, Log, Message, Topic

Open = Callable[[], Log]
ADAPTERS: dict[str, Callable[[Path], Log]] = {
    "embedded": lambda folder: EmbeddedLog(folder / "log.db"),
}


@pytest.fixture(params=sorted(ADAPTERS))
def adapter(request: pytest.FixtureRequest) -> Callable[[Path], Log]:
    return ADAPTERS[request.param]


@pytest.fixture
def reopen(adapter: Callable[[Path], Log], tmp_path: Path) -> Iterator[Open]:
    """Opens the same log again, as another process or the next one would."""
    logs: list[Log] = []

    def opened() -> Log:
        logs.append(adapter(tmp_path))
        return logs[-1]

    yield opened
    for log in logs:
        log.close()


@pytest.fixture
def log(reopen: Open) -> Log:
    return reopen()


def message(value: bytes, topic: Topic = Topic.TRANSACTIONS, partition: int = 0) -> Message:
    return Message(topic, partition, value)


def values(log: Log, topic: Topic = Topic.TRANSACTIONS, partition: int = 0) -> list[bytes]:
    return [record.value for record in log.read(topic, partition, 0, 10_000)]


def test_every_partition_of_every_topic_is_there_and_empty(log: Log) -> None:
    for topic, partitions in PARTITIONS.items():
        for partition in range(partitions):
            assert log.read(topic, partition, 0, 10) == []
            assert log.bounds(topic, partition) == Bounds(0, 0)


def test_a_partition_that_does_not_exist_is_named(log: Log) -> None:
    with pytest.raises(RingfenceError, match=r"partition.*found 7"):
        log.read(Topic.ALERTS, 7, 0, 1)
    with pytest.raises(RingfenceError, match=r"partition.*found 7"):
        log.append([message(b"x", Topic.ALERTS, 7)])


def test_records_are_read_in_the_order_they_were_appended(log: Log) -> None:
    offsets = log.append([message(b"a"), message(b"b")]) + log.append([message(b"c")])
    records = log.read(Topic.TRANSACTIONS, 0, 0, 10)
    assert [record.offset for record in records] == offsets == sorted(set(offsets))
    assert [record.value for record in records] == [b"a", b"b", b"c"]
    assert log.bounds(Topic.TRANSACTIONS, 0).next > offsets[-1]


def test_reading_starts_at_the_offset_and_stops_at_the_limit(log: Log) -> None:
    offsets = log.append([message(bytes([n])) for n in range(10)])
    read = log.read(Topic.TRANSACTIONS, 0, offsets[3], 4)
    assert [record.offset for record in read] == offsets[3:7]
    assert log.read(Topic.TRANSACTIONS, 0, offsets[-1] + 1, 4) == []


def test_partitions_and_topics_are_apart(log: Log) -> None:
    log.append([message(b"stream"), message(b"http", partition=1), message(b"x", Topic.ALERTS)])
    assert values(log) == [b"stream"]
    assert values(log, partition=1) == [b"http"]
    assert values(log, Topic.ALERTS) == [b"x"]
    assert values(log, Topic.RINGS) == []


def test_any_bytes_and_any_key_come_back(log: Log) -> None:
    raw = bytes(range(256)) * 3
    key = "a\x00b'\u202e\N{SNOWMAN}"
    log.append([Message(Topic.VERDICTS, 0, raw, key), Message(Topic.VERDICTS, 0, b"", "")])
    first, second = log.read(Topic.VERDICTS, 0, 0, 10)
    assert (first.value, first.key, second.value, second.key) == (raw, key, b"", "")
    assert log.find(Topic.VERDICTS, [key, ""]) == {key: first, "": second}


def test_a_consumer_that_never_committed_stands_at_the_start(log: Log) -> None:
    assert log.committed("nobody", Topic.VERDICTS, 0) == 0


def test_offsets_belong_to_consumer_topic_and_partition(log: Log, reopen: Open) -> None:
    writer = log.claim("w")
    with writer.transaction() as outputs:
        outputs.commit("a", Topic.TRANSACTIONS, 0, 5)
        outputs.commit("b", Topic.TRANSACTIONS, 0, 7)
        outputs.commit("a", Topic.TRANSACTIONS, 1, 9)
    with writer.transaction() as outputs:
        outputs.commit("b", Topic.TRANSACTIONS, 0, 7)  # twice is harmless
    again = reopen()
    assert again.committed("a", Topic.TRANSACTIONS, 0) == 5
    assert again.committed("b", Topic.TRANSACTIONS, 0) == 7
    assert again.committed("a", Topic.TRANSACTIONS, 1) == 9
    assert again.committed("a", Topic.VERDICTS, 0) == 0


def test_outputs_and_offset_are_one(log: Log, reopen: Open) -> None:
    writer = log.claim("engine")
    other = reopen()
    with writer.transaction() as outputs:
        outputs.append(message(b"v", Topic.VERDICTS))
        outputs.append(message(b"a", Topic.ALERTS))
        outputs.commit("engine", Topic.TRANSACTIONS, 0, 3)
        # Nobody sees a part, in this process or in another.
        for reader in (other, log):
            seen: list[object] = []
            thread = threading.Thread(
                target=lambda reader=reader, seen=seen: seen.extend(
                    [
                        values(reader, Topic.VERDICTS),
                        reader.committed("engine", Topic.TRANSACTIONS, 0),
                    ]
                )
            )
            thread.start()
            thread.join()
            assert seen == [[], 0]
    assert values(other, Topic.VERDICTS) == [b"v"]
    assert values(other, Topic.ALERTS) == [b"a"]
    assert other.committed("engine", Topic.TRANSACTIONS, 0) == 3


def test_a_transaction_that_raises_leaves_nothing(log: Log) -> None:
    writer = log.claim("engine")
    with suppress(KeyError), writer.transaction() as outputs:
        outputs.append(message(b"v", Topic.VERDICTS))
        outputs.commit("engine", Topic.TRANSACTIONS, 0, 3)
        raise KeyError
    assert values(log, Topic.VERDICTS) == []
    assert log.committed("engine", Topic.TRANSACTIONS, 0) == 0
    with writer.transaction() as outputs:  # and it may be tried again
        outputs.append(message(b"v", Topic.VERDICTS))
    assert values(log, Topic.VERDICTS) == [b"v"]


def test_append_is_all_or_none(log: Log) -> None:
    with pytest.raises(RingfenceError):
        log.append([message(b"good"), message(b"bad", partition=9)])
    assert values(log) == []


def test_the_offset_given_inside_a_transaction_is_the_offset_read_after_it(log: Log) -> None:
    log.append([message(b"before", partition=1)])
    with log.claim("engine").transaction() as outputs:
        offsets = [outputs.append(message(bytes([n]), partition=1)) for n in range(5)]
    read = log.read(Topic.TRANSACTIONS, 1, offsets[0], 10)
    assert [(record.offset, record.value) for record in read] == [
        (offset, bytes([n])) for n, offset in enumerate(offsets)
    ]


def test_an_owner_that_was_replaced_is_fenced(log: Log, reopen: Open) -> None:
    frozen = log.claim("engine")
    successor = reopen().claim("engine")
    with pytest.raises(Fenced, match="engine"), frozen.transaction() as outputs:
        outputs.append(message(b"ghost", Topic.VERDICTS))
    with successor.transaction() as outputs:
        outputs.append(message(b"real", Topic.VERDICTS))
    assert values(log, Topic.VERDICTS) == [b"real"]


def test_owners_do_not_fence_each_other(log: Log) -> None:
    first, second = log.claim("engine"), log.claim("graph")
    for writer in (first, second, first):
        with writer.transaction() as outputs:
            outputs.append(message(b"x", Topic.ALERTS))
    assert len(values(log, Topic.ALERTS)) == 3


def test_find_gives_the_first_record_of_a_key_and_leaves_out_the_missing(log: Log) -> None:
    log.append([Message(Topic.VERDICTS, 0, b"first", "t1"), Message(Topic.VERDICTS, 0, b"2", "t2")])
    log.append([Message(Topic.VERDICTS, 0, b"again", "t1")])
    found = log.find(Topic.VERDICTS, ["t1", "t3", "t2", "t1"])
    assert {key: record.value for key, record in found.items()} == {"t1": b"first", "t2": b"2"}
    assert log.find(Topic.VERDICTS, []) == {}


def test_everything_is_there_after_reopening(log: Log, reopen: Open) -> None:
    log.append([Message(Topic.VERDICTS, 0, b"v", "t1")])
    log.close()
    again = reopen()
    assert values(again, Topic.VERDICTS) == [b"v"]
    assert again.append([message(b"w", Topic.VERDICTS)])[0] > 0
    assert again.find(Topic.VERDICTS, ["t1"])["t1"].value == b"v"


def test_producers_of_several_threads_take_turns(log: Log) -> None:
    failures: list[Unavailable] = []

    def produce(name: int) -> None:
        try:
            for n in range(20):
                log.append([message(b"%d:%d" % (name, n))] * 3)
        except Unavailable as error:
            failures.append(error)

    threads = [threading.Thread(target=produce, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    read = log.read(Topic.TRANSACTIONS, 0, 0, 1_000)
    assert len({record.offset for record in read}) == len(read) == 240
    for name in range(4):  # what one append holds lies together, and each producer is in order
        own = [(at, r.value) for at, r in enumerate(read) if r.value.startswith(b"%d:" % name)]
        assert [value for _, value in own] == [b"%d:%d" % (name, n // 3) for n in range(60)]
        assert all(own[n + 2][0] == own[n][0] + 2 for n in range(0, 60, 3))


_STREAM = st.sampled_from([(topic, p) for topic, n in PARTITIONS.items() for p in range(n)])
_STEP = st.one_of(
    st.tuples(st.just("append"), st.lists(st.tuples(_STREAM, st.binary(max_size=8)), max_size=5)),
    st.tuples(st.just("abort"), st.lists(st.tuples(_STREAM, st.binary(max_size=8)), max_size=5)),
    st.tuples(st.just("commit"), st.tuples(st.sampled_from("ab"), _STREAM, st.integers(0, 9))),
    st.tuples(st.just("reopen"), st.none()),
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(_STEP, max_size=25))
def test_it_behaves_as_lists_in_memory(
    adapter: Callable[[Path], Log], tmp_path_factory: pytest.TempPathFactory, steps: list
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = adapter(folder)
    writer = log.claim("w")
    model: dict[tuple[Topic, int], list[bytes]] = {}
    offsets: dict[tuple[str, Topic, int], int] = {}
    for step, argument in steps:
        if step == "append":
            with writer.transaction() as outputs:
                for (topic, partition), value in argument:
                    outputs.append(Message(topic, partition, value))
                    model.setdefault((topic, partition), []).append(value)
        elif step == "abort":
            with suppress(ZeroDivisionError), writer.transaction() as outputs:
                for (topic, partition), value in argument:
                    outputs.append(Message(topic, partition, value))
                    outputs.commit("a", topic, partition, 99)
                raise ZeroDivisionError
        elif step == "commit":
            consumer, (topic, partition), offset = argument
            with writer.transaction() as outputs:
                outputs.commit(consumer, topic, partition, offset)
            offsets[consumer, topic, partition] = offset
        else:
            log.close()
            log = adapter(folder)
            writer = log.claim("w")
        for topic, partitions in PARTITIONS.items():
            for partition in range(partitions):
                expected = model.get((topic, partition), [])
                assert values(log, topic, partition) == expected
                for consumer in "ab":
                    committed = log.committed(consumer, topic, partition)
                    assert committed == offsets.get((consumer, topic, partition), 0)
    log.close()
