"""Server-sent events: a topic of the log, followed live and resumed by offset.

The log is the queue. A client is a cursor into it, so what waits for a slow client costs no memory
here; one task a topic reads what is new and keeps the newest events encoded, so that a hundred
clients cost one read. A client that does not take what it is sent is dropped, is told why if it
can still be told, and resumes with `Last-Event-ID` without a hole or a repetition.
"""

import asyncio
import logging
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Final, NamedTuple

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.problems import TooManyStreams
from graph.errors import Incompatible, Unavailable
from ingest.ports import Bounds, Log, Record, Topic

_LOG = logging.getLogger("ringfence.api.streams")

PAGE: Final = 128  # events in one write; also the most that waits encoded for one client
KEPT: Final = 2_048  # newest events kept encoded, shared by all clients of a topic


class Event(NamedTuple):
    """One event as it goes over the wire; `before` is the offset of the one before it."""

    before: int
    offset: int
    frame: bytes


def frame(name: str, data: bytes, offset: int | None = None) -> bytes:
    """One server-sent event; `data` is JSON, which has no line breaks."""
    head = b"" if offset is None else b"id: %d\n" % offset
    return head + b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


class Feed:
    """The newest events of one topic, shared by every client that follows it.

    Args:
        name: Name of the events ("alert", "ring").
        log: Where they are read, off the event loop.
        topic: Which topic; it has one partition.
        render: A record of the topic as the JSON that clients get.
        most_clients: Streams open at once; one more is refused.
        poll_s: How often the log is asked, while somebody follows.
    """

    def __init__(
        self,
        name: str,
        log: Log,
        topic: Topic,
        render: Callable[[bytes], bytes],
        *,
        most_clients: int = 256,
        poll_s: float = 0.1,
    ) -> None:
        self.name = name
        self.closing = asyncio.Event()
        self.dropped = 0
        self._log = log
        self._topic = topic
        self._render = render
        self._passed = -1  # the last record that could not be read
        self._most_clients = most_clients
        self._poll_s = poll_s
        self._clients = 0
        self._newest: deque[Event] = deque(maxlen=KEPT)
        self._end = -1
        self._fresh = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None

    @property
    def clients(self) -> int:
        """Streams open now."""
        return self._clients

    @contextmanager
    def client(self) -> Iterator[None]:
        """Count a client in and out.

        Raises:
            TooManyStreams: As many as are allowed are open already.
        """
        if self._clients >= self._most_clients:
            raise TooManyStreams(
                "too many event streams are open",
                field="streams",
                value=str(self._clients),
                remedy="Close one, or read /v1/alerts page by page.",
            )
        self._clients += 1
        try:
            yield
        finally:
            self._clients -= 1

    async def bounds(self) -> Bounds:
        """Which offsets the log still holds."""
        return await asyncio.to_thread(self._log.bounds, self._topic, 0)

    async def after(self, offset: int) -> Sequence[Event]:
        """At most `PAGE` events after that offset; empty where there is nothing new yet."""
        self._follow()
        if offset >= self._end:
            return ()
        if self._newest and self._newest[0].before <= offset:
            start = bisect_right(self._newest, offset, key=lambda event: event.offset)
            return list(islice(self._newest, start, start + PAGE))
        return await asyncio.to_thread(self._read, offset)

    async def news(self, wait_s: float) -> None:
        """Return when there may be something new, the server closes, or the time is up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._fresh.wait()

    def close(self) -> None:
        """End every stream: each tells its client to come back."""
        self.closing.set()
        self._fresh.set()
        if self._follower is not None:
            self._follower.cancel()

    def _read(self, after: int) -> list[Event]:
        """A page from the log, each event with the offset of the one before it."""
        events: list[Event] = []
        read = after
        while not events and (page := self._log.read(self._topic, 0, read + 1, PAGE)):
            read = page[-1].offset
            for record in page:
                data = self._rendered(record)
                if data is not None:
                    told = frame(self.name, data, record.offset)
                    events.append(Event(after, record.offset, told))
                    after = record.offset
        return events

    def _rendered(self, record: Record) -> bytes | None:
        """What a record says; None, and said once, of one that this version cannot read."""
        try:
            return self._render(record.value)
        except Incompatible as error:
            if record.offset > self._passed:
                self._passed = record.offset
                _LOG.warning("%s %d is not told: %s", self.name, record.offset, error)
            return None

    def _follow(self) -> None:
        if not self.closing.is_set() and (self._follower is None or self._follower.done()):
            self._newest.clear()
            self._follower = asyncio.create_task(self._read_on(), name=f"follow-{self.name}")

    async def _read_on(self) -> None:
        """Read what is new while anybody follows; wake all who wait."""
        begun = False
        while self._clients:
            try:
                if not begun:
                    self._end = (await self.bounds()).next - 1
                    begun = True
                    self._wake()
                events = await asyncio.to_thread(self._read, self._end)
            except Unavailable as error:
                _LOG.warning("the %s stream waits for the log: %s", self.name, error)
                await asyncio.sleep(1.0)
                continue
            if not events:
                await asyncio.sleep(self._poll_s)
                continue
            self._newest.extend(events)
            self._end = events[-1].offset
            self._wake()

    def _wake(self) -> None:
        fresh, self._fresh = self._fresh, asyncio.Event()
        fresh.set()


class EventStream(Response):
    """The answer that does not end: events after an offset, heartbeats, and a reason at the end.

    Args:
        feed: What is followed.
        after: Offset of the last event the client has.
        heartbeat_s: A comment is sent after so much silence, so that both ends notice a dead line.
        patience_s: A client that does not take a write for so long is dropped.
    """

    media_type = "text/event-stream"

    def __init__(
        self, feed: Feed, after: int, *, heartbeat_s: float = 15.0, patience_s: float = 20.0
    ) -> None:
        super().__init__(
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}, media_type=None
        )
        self.headers["Content-Type"] = "text/event-stream; charset=utf-8"
        del self.headers["Content-Length"]
        self._feed = feed
        self._after = after
        self._heartbeat_s = heartbeat_s
        self._patience_s = patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the ASGI signature
        """Stream until the client goes, is dropped, or the server closes."""
        with self._feed.client():
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            streaming = asyncio.create_task(self._stream(send))
            leaving = asyncio.create_task(_gone(receive))
            _, pending = await asyncio.wait(
                {streaming, leaving}, return_when=asyncio.FIRST_COMPLETED
            )
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            if streaming.done() and not streaming.cancelled():
                streaming.result()

    async def _stream(self, send: Send) -> None:
        try:
            await self._open(send)
            while not self._feed.closing.is_set():
                events = await self._feed.after(self._after)
                if events:
                    await self._write(send, b"".join(event.frame for event in events))
                    self._after = events[-1].offset
                    continue
                before = asyncio.get_running_loop().time()
                await self._feed.news(self._heartbeat_s)
                if asyncio.get_running_loop().time() - before >= self._heartbeat_s:
                    await self._write(send, b": heartbeat\n\n")
            await self._end(send, "the server is closing; come back with Last-Event-ID")
        except Unavailable as error:
            with suppress(TimeoutError):
                await self._end(send, f"{error.what}; come back with Last-Event-ID")
        except TimeoutError:
            self._feed.dropped += 1
            _LOG.warning(
                "dropped a client of the %s stream at %d: it took nothing for %.0f s",
                self._feed.name,
                self._after,
                self._patience_s,
            )
            with suppress(TimeoutError):
                await self._end(send, "too slow: what was sent was not taken; resume from here")

    async def _open(self, send: Send) -> None:
        """Say where the stream starts, so that even a client that saw nothing can resume."""
        bounds = await self._feed.bounds()
        if self._after >= bounds.next:
            lost, start = "the log is a new one", bounds.next - 1
        elif self._after + 1 < bounds.first:
            lost, start = "older events are no longer kept", bounds.first - 1
        else:
            lost, start = "", self._after
        if lost:
            self._after = start
            told = msgspec.json.encode({"reason": lost, "after": start})
            await self._write(send, frame("gap", told, start))
        data = msgspec.json.encode({"after": self._after})
        await self._write(send, b"retry: 2000\n" + frame("open", data, self._after))

    async def _write(self, send: Send, body: bytes) -> None:
        async with asyncio.timeout(self._patience_s):
            await send({"type": "http.response.body", "body": body, "more_body": True})

    async def _end(self, send: Send, reason: str) -> None:
        last = frame("dropped", msgspec.json.encode({"reason": reason, "after": self._after}))
        async with asyncio.timeout(min(1.0, self._patience_s)):
            await send({"type": "http.response.body", "body": last, "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
