"""Event streams over a real log: order, resume, gaps, heartbeats, slow clients, bounds."""

import asyncio
from contextlib import closing

import pytest

from api import streams
from api.problems import TooManyStreams
from api.streams import EventStream, Feed
from graph.errors import Incompatible, Unavailable
from ingest.embedded import EmbeddedLog
from ingest.ports import Message, Topic


@pytest.fixture
def log(tmp_path):
    found = EmbeddedLog(tmp_path / "log.sqlite", retention={Topic.ALERTS: 500})
    yield found
    found.close()


def put(log, first, count):
    log.append([Message(Topic.ALERTS, 0, b"%d" % n) for n in range(first, first + count)])


def feed(log, **bounds):
    return Feed("alert", log, Topic.ALERTS, lambda value: value, poll_s=0.01, **bounds)


class Hesitating(EmbeddedLog):
    """Does not answer when it is asked for its bounds again, by who reads on for a client."""

    asked = 0

    def bounds(self, topic, partition):
        self.asked += 1
        if self.asked == 2:
            raise Unavailable("it is slow", remedy="Wait.")
        return super().bounds(topic, partition)


class Client:
    """An ASGI client; `taking` cleared, it takes nothing more."""

    def __init__(self):
        self.text = ""
        self.taking = asyncio.Event()
        self.taking.set()
        self.left = asyncio.Event()
        self.ended = False

    async def receive(self):
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        await self.taking.wait()
        if message["type"] == "http.response.body":
            self.text += message["body"].decode()
            self.ended |= not message["more_body"]

    def data(self):
        """The numbers of the alerts it got, in order."""
        frames = [part.split("\n") for part in self.text.split("\n\n")]
        return [int(part[-1][6:]) for part in frames if "event: alert" in part]

    def last_id(self):
        return int(self.text.rpartition("id: ")[2].split("\n")[0])

    async def follow(self, found, after, **patience):
        await EventStream(found, after, **patience)({}, self.receive, self.send)


async def until(ready):
    async with asyncio.timeout(20):
        while not ready():
            await asyncio.sleep(0.005)


def test_a_client_gets_what_it_missed_then_what_is_new_each_once_in_order(log):
    async def scenario():
        put(log, 0, 300)
        found, client = feed(log), Client()
        following = asyncio.create_task(client.follow(found, 99))
        await until(lambda: len(client.data()) == 200)
        put(log, 300, 50)
        await until(lambda: len(client.data()) == 250)
        assert client.data() == list(range(100, 350))
        assert client.last_id() == 349
        assert client.text.startswith("retry: 2000\nid: 99\nevent: open\n")
        client.left.set()
        await following
        assert found.clients == 0

    asyncio.run(scenario())


def test_what_this_version_cannot_read_is_passed_over_once_and_said(log, caplog):
    def rendered(value):
        if not value.isdigit():
            raise Incompatible("no alert", remedy="Upgrade.")
        return value

    async def scenario():
        put(log, 0, 3)
        log.append([Message(Topic.ALERTS, 0, b"?") for _ in range(streams.PAGE + 1)])
        put(log, 3, 2)
        found = Feed("alert", log, Topic.ALERTS, rendered, poll_s=0.01)
        client = Client()
        following = asyncio.create_task(client.follow(found, -1))
        await until(lambda: len(client.data()) == 5)
        log.append([Message(Topic.ALERTS, 0, b"?")])
        put(log, 5, 1)
        await until(lambda: len(client.data()) == 6)
        assert client.data() == list(range(6))
        client.left.set()
        await following

    asyncio.run(scenario())
    said = [record for record in caplog.records if "is not told" in record.message]
    assert len(said) == streams.PAGE + 2


def test_a_log_that_hesitates_as_somebody_begins_to_follow_is_asked_again(tmp_path):
    async def scenario(log):
        put(log, 0, 2)
        found, client = feed(log), Client()
        # Deaf until a heartbeat, it would be for a minute.
        following = asyncio.create_task(client.follow(found, 1, heartbeat_s=60))
        put(log, 2, 1)
        await until(lambda: client.data() == [2])
        assert log.asked > 2
        client.left.set()
        await following

    with closing(Hesitating(tmp_path / "slow.sqlite")) as log:
        asyncio.run(scenario(log))


def test_a_client_that_comes_back_goes_on_where_it_was(log):
    async def scenario():
        found, first, second = feed(log), Client(), Client()
        following = asyncio.create_task(first.follow(found, -1))
        put(log, 0, 10)
        await until(lambda: len(first.data()) == 10)
        first.left.set()
        await following
        put(log, 10, 10)
        following = asyncio.create_task(second.follow(found, first.last_id()))
        await until(lambda: len(second.data()) == 10)
        assert first.data() + second.data() == list(range(20))
        second.left.set()
        await following

    asyncio.run(scenario())


def test_a_slow_client_is_dropped_told_why_and_loses_nothing(log):
    async def scenario():
        found, slow, again = feed(log), Client(), Client()
        put(log, 0, 5)
        following = asyncio.create_task(slow.follow(found, -1, patience_s=0.2))
        await until(lambda: len(slow.data()) == 5)
        slow.taking.clear()
        put(log, 5, 400)
        await until(lambda: found.dropped == 1)
        slow.taking.set()  # it reads again within the second that it is given
        await following
        assert slow.ended
        assert 'event: dropped\ndata: {"reason":"too slow' in slow.text
        following = asyncio.create_task(again.follow(found, slow.data()[-1]))
        await until(lambda: again.data()[-1:] == [404])
        assert slow.data() + again.data() == list(range(405))
        again.left.set()
        await following

    asyncio.run(scenario())


def test_a_slow_client_does_not_hold_up_the_others(log):
    async def scenario():
        found, slow, quick = feed(log), Client(), Client()
        tasks = [asyncio.create_task(each.follow(found, -1)) for each in (slow, quick)]
        await until(lambda: found.clients == 2)
        slow.taking.clear()
        put(log, 0, 300)
        await until(lambda: len(quick.data()) == 300)
        slow.taking.set()
        for each in (slow, quick):
            each.left.set()
        await asyncio.gather(*tasks)

    asyncio.run(scenario())


def test_what_is_no_longer_kept_is_a_gap_that_is_told(log):
    async def scenario():
        for n in range(0, 1_000, 100):
            put(log, n, 100)
        first = log.bounds(Topic.ALERTS, 0).first
        assert first > 0
        client = Client()
        following = asyncio.create_task(client.follow(feed(log), -1))
        await until(lambda: client.data()[-1:] == [999])
        assert "event: gap" in client.text
        assert client.data() == list(range(first, 1_000))
        client.left.set()
        await following

    asyncio.run(scenario())


def test_an_id_of_another_log_starts_from_now(log):
    async def scenario():
        put(log, 0, 10)
        client = Client()
        following = asyncio.create_task(client.follow(feed(log), 5_000))
        await until(lambda: "event: open" in client.text)
        assert "event: gap" in client.text
        put(log, 10, 1)
        await until(lambda: client.data() == [10])
        client.left.set()
        await following

    asyncio.run(scenario())


def test_silence_is_broken_by_heartbeats(log):
    async def scenario():
        client = Client()
        following = asyncio.create_task(client.follow(feed(log), -1, heartbeat_s=0.05))
        await until(lambda: client.text.count(": heartbeat\n\n") >= 3)
        assert client.data() == []
        client.left.set()
        await following

    asyncio.run(scenario())


def test_streams_are_bounded(log):
    found = feed(log, most_clients=2)
    with found.client(), found.client(), pytest.raises(TooManyStreams), found.client():
        pass
    assert found.clients == 0


def test_closing_ends_every_stream_and_says_so(log):
    async def scenario():
        found, client = feed(log), Client()
        following = asyncio.create_task(client.follow(found, -1))
        await until(lambda: "event: open" in client.text)
        found.close()
        async with asyncio.timeout(5):
            await following
        assert client.ended
        assert "the server is closing" in client.text

    asyncio.run(scenario())


def test_what_is_kept_encoded_is_bounded(log, monkeypatch):
    monkeypatch.setattr(streams, "KEPT", 10)

    async def scenario():
        found, client = feed(log), Client()
        following = asyncio.create_task(client.follow(found, -1))
        await until(lambda: found.clients == 1)
        put(log, 0, 200)
        await until(lambda: len(client.data()) == 200)
        assert len(found._newest) <= 10
        assert client.data() == list(range(200))
        client.left.set()
        await following

    asyncio.run(scenario())
