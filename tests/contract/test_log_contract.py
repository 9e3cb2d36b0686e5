"""What every `ingest.ports.Log` promises. An adapter joins by adding itself to `ADAPTERS`."""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.errors import RingfenceError, Unavailable
from ingest.embedded import EmbeddedLog
from ingest.kafka import KafkaLog
from ingest.kafka_client import KafkaSettings
from ingest.kafka_topics import create_topics, delete_topics
from ingest.ports import Bounds, Fenced, Log, Message, Record, Topic

Open = Callable[[], Log]
FROZEN = Path(__file__).with_name("frozen_writer.py")
ADAPTERS = ("embedded", pytest.param("kafka", marks=pytest.mark.servers))


class Place:
    """Where logs are: each `new` one is empty, and can be opened by any number of processes."""

    def __init__(self, name: str, folder: Path, kafka: str = "") -> None:
        self.name = name
        self._folder = folder
        self._kafka = kafka
        self._made: list[KafkaSettings] = []
        self._opened: list[Log] = []

    def new(self) -> Open:
        number = len(self._made)
        if self.name == "embedded":
            self._made.append(KafkaSettings(""))
            folder = self._folder / str(number)
            folder.mkdir()
            return lambda: self._keep(EmbeddedLog(folder / "log.db"))
        where = KafkaSettings(self._kafka, prefix=f"test-{uuid.uuid4().hex[:12]}.")
        create_topics(where, partitions=2)
        self._made.append(where)
        index = self._folder / f"{number}.db"
        return lambda: self._keep(KafkaLog(where, index))

    def arguments(self) -> list[str]:
        """How a process of its own opens what was made last."""
        if self.name == "embedded":
            return ["embedded", str(self._folder / str(len(self._made) - 1) / "log.db")]
        return ["kafka", self._kafka, self._made[-1].prefix]

    def _keep(self, log: Log) -> Log:
        self._opened.append(log)
        return log

    def close(self) -> None:
        for log in self._opened:
            log.close()
        for where in self._made if self.name == "kafka" else ():
            delete_topics(where)


@pytest.fixture(params=ADAPTERS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    name = request.param
    url = request.getfixturevalue("kafka_url") if name == "kafka" else ""
    found = Place(name, tmp_path, url)
    yield found
    found.close()


@pytest.fixture
def reopen(place: Place) -> Open:
    """Opens the same log again, as another process or the next one would."""
    return place.new()


@pytest.fixture
def log(reopen: Open) -> Log:
    return reopen()


def message(value: bytes, topic: Topic = Topic.TRANSACTIONS, partition: int = 0) -> Message:
    return Message(topic, partition, value)


def values(log: Log, topic: Topic = Topic.TRANSACTIONS, partition: int = 0) -> list[bytes]:
    return [record.value for record in log.read(topic, partition, 0, 10_000)]


def soon(look: Callable[[], object], expected: object) -> None:
    """Another process sees a commit when the log has marked it: a broker takes milliseconds."""
    until = time.monotonic() + 20
    while (seen := look()) != expected and time.monotonic() < until:
        time.sleep(0.002)
    assert seen == expected


def test_every_partition_of_every_topic_is_there_and_empty(log: Log) -> None:
    for topic in Topic:
        assert log.partitions(topic) == 1 or topic is Topic.TRANSACTIONS
        for partition in range(log.partitions(topic)):
            assert log.read(topic, partition, 0, 10) == []
            assert log.bounds(topic, partition) == Bounds(0, 0)


def test_a_log_is_known_by_its_identity_whoever_opens_it(place: Place) -> None:
    one, other = place.new(), place.new()
    first = one()
    identity = first.identity
    first.append([message(b"x")])
    first.claim("engine")
    assert identity
    assert one().identity == first.identity == identity
    assert other().identity != identity


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
    last = log.partitions(Topic.TRANSACTIONS) - 1
    log.append(
        [message(b"stream"), message(b"http", Topic.SUBMISSIONS), message(b"x", Topic.ALERTS)]
    )
    log.append([message(b"last", partition=last)])
    assert values(log) == ([b"stream"] if last else [b"stream", b"last"])
    assert values(log, partition=last)[-1] == b"last"
    assert values(log, Topic.SUBMISSIONS) == [b"http"]
    assert values(log, Topic.ALERTS) == [b"x"]
    assert values(log, Topic.RINGS) == []


def test_any_bytes_and_any_key_come_back(log: Log) -> None:
    raw = bytes(range(256)) * 3
    key = "a\x00b'\u202e\N{SNOWMAN}"
    log.append([Message(Topic.VERDICTS, 0, raw, key), Message(Topic.VERDICTS, 0, b"", "")])
    first, second = log.read(Topic.VERDICTS, 0, 0, 10)
    assert (first.value, first.key, second.value, second.key) == (raw, key, b"", "")
    assert log.find(Topic.VERDICTS, [key, ""]) == {key: first, "": second}


def test_when_a_record_was_taken_is_the_logs_own_clock_where_it_has_one(log: Log) -> None:
    before = int(time.time() * 1000)
    log.append([message(b"x")])
    after = int(time.time() * 1000)
    (record,) = log.read(Topic.TRANSACTIONS, 0, 0, 10)
    if isinstance(log, KafkaLog):
        assert record.appended_at is not None
        assert before <= record.appended_at <= after
    else:
        assert record.appended_at is None


def test_a_consumer_that_never_committed_stands_at_the_start(log: Log) -> None:
    assert log.committed("nobody", Topic.VERDICTS, 0) == 0


def test_offsets_belong_to_consumer_topic_and_partition(log: Log, reopen: Open) -> None:
    last = log.partitions(Topic.TRANSACTIONS) - 1
    writer = log.claim("w")
    with writer.transaction() as outputs:
        outputs.commit("a", Topic.TRANSACTIONS, 0, 5)
        outputs.commit("b", Topic.TRANSACTIONS, 0, 7)
        outputs.commit("a", Topic.SUBMISSIONS, 0, 9)
        outputs.commit("c", Topic.TRANSACTIONS, last, 3)
    with writer.transaction() as outputs:
        outputs.commit("b", Topic.TRANSACTIONS, 0, 7)  # twice is harmless
    again = reopen()
    assert again.committed("a", Topic.TRANSACTIONS, 0) == 5
    assert again.committed("b", Topic.TRANSACTIONS, 0) == 7
    assert again.committed("a", Topic.SUBMISSIONS, 0) == 9
    assert again.committed("c", Topic.TRANSACTIONS, last) == 3
    assert again.committed("a", Topic.VERDICTS, 0) == 0


def test_outputs_and_offset_are_one(log: Log, reopen: Open) -> None:
    writer = log.claim("engine")
    other = reopen()
    with writer.transaction() as outputs:
        outputs.append([message(b"v", Topic.VERDICTS)])
        outputs.append([message(b"a", Topic.ALERTS)])
        outputs.commit("engine", Topic.TRANSACTIONS, 0, 3)
        # Nobody sees a part, in this process or in another.
        for reader in (other, log):
            seen: list[object] = []
            thread = threading.Thread(
                target=lambda reader=reader, seen=seen: seen.extend(
                    [
                        values(reader, Topic.VERDICTS),
                        values(reader, Topic.ALERTS),
                        reader.bounds(Topic.VERDICTS, 0).next,
                        reader.poll(Topic.ALERTS, {0: 0}, 10).records,
                        reader.committed("engine", Topic.TRANSACTIONS, 0),
                    ]
                )
            )
            thread.start()
            thread.join()
            assert seen == [[], [], 0, [], 0]
    assert values(log, Topic.VERDICTS) == [b"v"]
    assert values(log, Topic.ALERTS) == [b"a"]
    soon(lambda: values(other, Topic.VERDICTS), [b"v"])
    soon(lambda: values(other, Topic.ALERTS), [b"a"])
    assert log.committed("engine", Topic.TRANSACTIONS, 0) == 3
    assert other.committed("engine", Topic.TRANSACTIONS, 0) == 3


def test_what_was_committed_is_read_at_once_by_who_wrote_it(log: Log) -> None:
    writer = log.claim("engine")
    for n in range(20):
        with writer.transaction() as outputs:
            offsets = outputs.append([message(b"%d" % n, Topic.VERDICTS)])
            outputs.commit("engine", Topic.TRANSACTIONS, 0, n)
        (record,) = log.read(Topic.VERDICTS, 0, offsets[0], 10)
        assert record.value == b"%d" % n
        assert log.bounds(Topic.VERDICTS, 0).next > offsets[0]
        assert log.committed("engine", Topic.TRANSACTIONS, 0) == n


def test_what_a_predecessor_committed_is_read_at_once_by_who_claims(log: Log, reopen: Open) -> None:
    heir = reopen()
    for n in range(5):
        with log.claim("engine").transaction() as outputs:
            outputs.append([Message(Topic.VERDICTS, 0, b"%d" % n, f"t{n}")])
            outputs.commit("engine", Topic.TRANSACTIONS, 0, n + 1)
        heir.claim("engine")
        assert values(heir, Topic.VERDICTS) == [b"%d" % each for each in range(n + 1)]
        assert heir.committed("engine", Topic.TRANSACTIONS, 0) == n + 1
        assert heir.find(Topic.VERDICTS, [f"t{n}"])[f"t{n}"].value == b"%d" % n


def test_a_transaction_that_raises_leaves_nothing(log: Log) -> None:
    writer = log.claim("engine")
    with suppress(KeyError), writer.transaction() as outputs:
        outputs.append([message(b"v", Topic.VERDICTS)])
        outputs.commit("engine", Topic.TRANSACTIONS, 0, 3)
        raise KeyError
    assert values(log, Topic.VERDICTS) == []
    assert log.committed("engine", Topic.TRANSACTIONS, 0) == 0
    with writer.transaction() as outputs:  # and it may be tried again
        outputs.append([message(b"v", Topic.VERDICTS)])
    assert values(log, Topic.VERDICTS) == [b"v"]


def test_append_is_all_or_none(log: Log) -> None:
    with pytest.raises(RingfenceError):
        log.append([message(b"good"), message(b"bad", partition=9)])
    assert values(log) == []


def test_the_offset_given_inside_a_transaction_is_the_offset_read_after_it(log: Log) -> None:
    log.append([message(b"before", Topic.SUBMISSIONS)])
    with log.claim("engine").transaction() as outputs:
        offsets = [outputs.append([message(bytes([n]), Topic.SUBMISSIONS)])[0] for n in range(5)]
        both = outputs.append([message(b"r", Topic.RINGS), message(b"s", Topic.SUBMISSIONS)])
    read = log.read(Topic.SUBMISSIONS, 0, offsets[0], 10)
    assert [(record.offset, record.value) for record in read] == [
        *((offset, bytes([n])) for n, offset in enumerate(offsets)),
        (both[1], b"s"),
    ]
    assert log.read(Topic.RINGS, 0, both[0], 10)[0].value == b"r"


def test_offsets_may_leave_gaps_but_never_go_back(log: Log) -> None:
    writer = log.claim("engine")
    given: list[int] = []
    for n in range(6):
        with suppress(ZeroDivisionError), writer.transaction() as outputs:
            offsets = outputs.append([message(b"x", Topic.VERDICTS)] * 3)
            if n % 3 == 2:
                raise ZeroDivisionError
            given += offsets
    read = [record.offset for record in log.read(Topic.VERDICTS, 0, 0, 100)]
    assert read == given == sorted(set(given))
    # From any offset on, given or not, comes what lies there or behind.
    for offset in range(log.bounds(Topic.VERDICTS, 0).next + 1):
        rest = [record.offset for record in log.read(Topic.VERDICTS, 0, offset, 2)]
        assert rest == [each for each in given if each >= offset][:2]


def test_an_owner_that_was_replaced_is_fenced(log: Log, reopen: Open) -> None:
    frozen = log.claim("engine")
    successor = reopen().claim("engine")
    with pytest.raises(Fenced, match="engine"), frozen.transaction() as outputs:
        outputs.append([message(b"ghost", Topic.VERDICTS)])
    with successor.transaction() as outputs:
        outputs.append([message(b"real", Topic.VERDICTS)])
    soon(lambda: values(log, Topic.VERDICTS), [b"real"])


# The embedded log has one writer at a time: there, to claim waits for the open transaction.
@pytest.mark.parametrize("place", ADAPTERS[1:], indirect=True)
def test_a_transaction_that_is_open_when_its_owner_is_replaced_comes_to_nothing(
    log: Log, reopen: Open
) -> None:
    frozen = log.claim("engine")
    with pytest.raises(Fenced), frozen.transaction() as outputs:  # noqa: PT012 - raised at its end
        outputs.append([message(b"ghost", Topic.VERDICTS)])
        outputs.commit("engine", Topic.TRANSACTIONS, 0, 9)
        heir = reopen()
        successor = heir.claim("engine")
        assert values(heir, Topic.VERDICTS) == []
        assert heir.committed("engine", Topic.TRANSACTIONS, 0) == 0
    with pytest.raises(Fenced), frozen.transaction():
        pass
    with successor.transaction() as outputs:
        outputs.append([message(b"real", Topic.VERDICTS)])
    assert values(heir, Topic.VERDICTS) == [b"real"]
    assert log.committed("engine", Topic.TRANSACTIONS, 0) == 0


@pytest.mark.parametrize(
    ("place", "stopped"),
    [
        ("embedded", "before"),
        pytest.param("kafka", "before", marks=pytest.mark.servers),
        pytest.param("kafka", "within", marks=pytest.mark.servers),
    ],
    indirect=["place"],
)
def test_a_frozen_writer_that_thaws_after_its_successor_writes_nothing(
    place: Place, log: Log, stopped: str
) -> None:
    frozen = subprocess.Popen(
        [sys.executable, str(FROZEN), *place.arguments(), stopped],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert frozen.stdin is not None
        assert frozen.stdout is not None
        assert frozen.stdout.readline().strip() == "ready"
        os.kill(frozen.pid, signal.SIGSTOP)
        successor = log.claim("engine")
        with successor.transaction() as outputs:
            outputs.append([message(b"real", Topic.VERDICTS)])
            outputs.commit("engine", Topic.TRANSACTIONS, 0, 1)
        frozen.stdin.write("go on\n")
        frozen.stdin.flush()
        os.kill(frozen.pid, signal.SIGCONT)
        said, _ = frozen.communicate(timeout=60)
    finally:
        frozen.kill()
        frozen.wait()
    assert said.strip() == "Fenced"
    assert values(log, Topic.VERDICTS) == [b"real"]
    assert log.committed("engine", Topic.TRANSACTIONS, 0) == 1


def test_owners_do_not_fence_each_other(log: Log) -> None:
    first, second = log.claim("engine"), log.claim("graph")
    for writer in (first, second, first):
        with writer.transaction() as outputs:
            outputs.append([message(b"x", Topic.ALERTS)])
    assert len(values(log, Topic.ALERTS)) == 3


def test_find_gives_the_first_record_of_a_key_and_leaves_out_the_missing(log: Log) -> None:
    log.append([Message(Topic.VERDICTS, 0, b"first", "t1"), Message(Topic.VERDICTS, 0, b"2", "t2")])
    log.append([Message(Topic.VERDICTS, 0, b"again", "t1")])
    found = log.find(Topic.VERDICTS, ["t1", "t3", "t2", "t1"])
    assert {key: record.value for key, record in found.items()} == {"t1": b"first", "t2": b"2"}
    assert log.find(Topic.VERDICTS, []) == {}


def test_find_sees_what_was_committed_before_by_whomever(log: Log, reopen: Open) -> None:
    writer, other = log.claim("engine"), reopen()
    for n in range(5):
        with writer.transaction() as outputs:
            outputs.append([Message(Topic.VERDICTS, 0, b"%d" % n, f"t{n}")])
        keys = [f"t{n}", "never", *(f"fresh-{each}" for each in range(600))]
        assert {key: r.value for key, r in log.find(Topic.VERDICTS, keys).items()} == {
            f"t{n}": b"%d" % n
        }
        soon(lambda n=n: list(other.find(Topic.VERDICTS, [f"t{n}", "never"])), [f"t{n}"])
        with suppress(ZeroDivisionError), writer.transaction() as outputs:
            outputs.append([Message(Topic.VERDICTS, 0, b"no", f"aborted{n}")])
            raise ZeroDivisionError
        assert log.find(Topic.VERDICTS, [f"aborted{n}"]) == {}


def test_polling_gives_everything_in_order_and_says_what_is_behind(log: Log) -> None:
    partitions = range(log.partitions(Topic.TRANSACTIONS))
    for n in range(30):
        log.append([message(b"%d" % n, partition=p) for p in partitions])
    at = dict.fromkeys(partitions, 0)
    seen: dict[int, list[bytes]] = {p: [] for p in partitions}
    until = time.monotonic() + 20
    while min(map(len, seen.values())) < 30 and time.monotonic() < until:
        polled = log.poll(Topic.TRANSACTIONS, at, 7)
        assert len(polled.records) <= 7
        for record in polled.records:
            assert record.offset >= at[record.partition]
            at[record.partition] = record.offset + 1
            seen[record.partition].append(record.value)
        unread = {p for p in partitions if len(seen[p]) < 30}
        assert unread <= polled.behind  # it was all there before the first call
    assert seen == {p: [b"%d" % n for n in range(30)] for p in partitions}
    soon(lambda: log.poll(Topic.TRANSACTIONS, at, 7).behind, frozenset())
    log.append([message(b"later")])
    found: list[Record] = []
    while not found:
        found += log.poll(Topic.TRANSACTIONS, at, 7).records
    assert [record.value for record in found] == [b"later"]
    found.clear()
    while not found:  # asked for what was given before, it gives it again
        found += log.poll(Topic.TRANSACTIONS, {0: at[0] - 1}, 1).records
    assert [record.value for record in found] == [b"29"]


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


_TOPIC = st.sampled_from(Topic)
_STEP = st.one_of(
    st.tuples(st.just("append"), st.lists(st.tuples(_TOPIC, st.binary(max_size=8)), max_size=5)),
    st.tuples(st.just("abort"), st.lists(st.tuples(_TOPIC, st.binary(max_size=8)), max_size=5)),
    st.tuples(st.just("commit"), st.tuples(st.sampled_from("ab"), _TOPIC, st.integers(0, 9))),
    st.tuples(st.just("claim"), st.none()),
    st.tuples(st.just("reopen"), st.none()),
)
EXAMPLES = {"embedded": 40, "kafka": 8}
"""On Kafka each takes a second, and new topics."""


def test_it_behaves_as_lists_in_memory(place: Place) -> None:
    @settings(max_examples=EXAMPLES[place.name], deadline=None)
    @given(steps=st.lists(_STEP, max_size=20))
    def behave(steps: list) -> None:
        _behaves_as_lists(place.new(), steps)

    behave()


def _behaves_as_lists(opened: Open, steps: list) -> None:
    log = opened()
    writer = log.claim("w")
    model: dict[Topic, list[bytes]] = {}
    offsets: dict[tuple[str, Topic], int] = {}
    for step, argument in steps:
        if step == "append":
            with writer.transaction() as outputs:
                outputs.append([Message(topic, 0, value) for topic, value in argument])
            for topic, value in argument:
                model.setdefault(topic, []).append(value)
        elif step == "abort":
            with suppress(ZeroDivisionError), writer.transaction() as outputs:
                for topic, value in argument:
                    outputs.append([Message(topic, 0, value)])
                    outputs.commit("a", topic, 0, 99)
                raise ZeroDivisionError
        elif step == "commit":
            consumer, topic, offset = argument
            with writer.transaction() as outputs:
                outputs.commit(consumer, topic, 0, offset)
            offsets[consumer, topic] = offset
        elif step == "claim":
            writer = log.claim("w")
        else:
            log.close()
            log = opened()
            writer = log.claim("w")
        for topic in Topic:
            assert values(log, topic) == model.get(topic, [])
            for consumer in "ab":
                assert log.committed(consumer, topic, 0) == offsets.get((consumer, topic), 0)
    log.close()
