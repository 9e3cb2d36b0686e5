"""A TCP proxy that misbehaves on request: late, silent, resetting, refusing, flapping.

    with Toxic("127.0.0.1", 7687) as proxy:
        store = open_store(f"bolt://127.0.0.1:{proxy.port}")
        proxy.delay(0.2)   # every byte arrives 200 ms late, both ways, at full bandwidth
        proxy.drop()       # bytes vanish; the connection looks open (a pulled cable)
        proxy.reset()      # open connections are reset, and so is every new one at once
        proxy.refuse()     # nobody listens: connection refused; open connections are reset
        proxy.flap(0.3, 0.1)   # healthy for 0.3 s, resetting for 0.1 s, and so on
        proxy.heal()       # all is well again, also after flap

It keeps its port from start to end, holds at most `_QUEUE` pieces of `_PIECE` bytes a direction of
a connection (then it stops reading, as TCP would), and runs on one thread of its own. Every call
has taken effect when it returns.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from typing import Final

_PIECE: Final = 65_536
_QUEUE: Final = 64
_RST: Final = struct.pack("ii", 1, 0)  # linger for 0 s: close() sends a reset, not an end


class Toxic:
    """A proxy before one address; see the module.

    Args:
        host: Where the real server is.
        port: Its port; may be one that nobody serves yet.

    Attributes:
        port: Where the proxy listens, on 127.0.0.1.
        accepted: Connections it has taken since the start.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="toxic", daemon=True)
        self._server: asyncio.Server | None = None
        self._flapping: asyncio.Task[None] | None = None
        self._open: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._late = 0.0
        self._silent = self._resetting = False
        self.port = 0
        self.accepted = 0

    def __enter__(self) -> "Toxic":
        self._thread.start()
        self._do(self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def delay(self, seconds: float) -> None:
        """Let every byte arrive so much later, both ways."""
        self._do(lambda: self._set(late=seconds))

    def drop(self) -> None:
        """Swallow every byte; connections stay open and new ones are taken."""
        self._do(lambda: self._set(silent=True))

    def reset(self) -> None:
        """Reset what is open, and every new connection as soon as it is made."""
        self._do(lambda: self._set(resetting=True))

    def reset_once(self) -> None:
        """Reset what is open; new connections are served."""
        self._do(self._reset_open)

    def refuse(self) -> None:
        """Reset what is open and listen no more, until `heal`."""

        async def refuse() -> None:
            await self._set(resetting=True)
            await self._deaf()

        self._do(refuse)

    def flap(self, up_s: float, down_s: float) -> None:
        """Serve for `up_s`, reset for `down_s`, over and over until `heal`."""

        async def flap() -> None:
            while True:
                await self._apply(resetting=False)
                await asyncio.sleep(up_s)
                await self._apply(resetting=True)
                await asyncio.sleep(down_s)

        async def begin() -> None:
            await self._set()
            self._flapping = asyncio.create_task(flap())

        self._do(begin)

    def heal(self) -> None:
        """Serve as if nothing had been; what was dropped stays lost, as in life."""

        async def heal() -> None:
            dropped = self._silent
            await self._set()
            if dropped:  # half a conversation is missing: it can only end
                await self._reset_open()
            await self._listen()

        self._do(heal)

    # --- on the loop ---

    def _do(self, what: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            await what()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(20)

    async def _set(
        self, *, late: float = 0.0, silent: bool = False, resetting: bool = False
    ) -> None:
        if self._flapping is not None:
            self._flapping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._flapping
            self._flapping = None
        await self._apply(late=late, silent=silent, resetting=resetting)

    async def _apply(
        self, *, late: float = 0.0, silent: bool = False, resetting: bool = False
    ) -> None:
        self._late, self._silent, self._resetting = late, silent, resetting
        if resetting:
            await self._reset_open()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", self.port, limit=_PIECE, reuse_address=True
            )
            self.port = self._server.sockets[0].getsockname()[1]

    async def _deaf(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await asyncio.sleep(0)

    async def _close(self) -> None:
        await self._set()
        await self._deaf()
        await self._reset_open()

    async def _reset_open(self) -> None:
        tasks = list(self._open)
        for writers in self._open.values():
            for writer in writers:
                _reset(writer)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - it runs in one
        writers = self._open[task] = [writer]
        try:
            if self._resetting:
                return
            there, back = await asyncio.open_connection(*self._target, limit=_PIECE)
            writers.append(back)
            pairs = ((reader, back), (there, writer))
            ways = [asyncio.create_task(self._carry(*pair)) for pair in pairs]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            del self._open[task]
            for each in writers:
                _reset(each)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction: a reader that stamps each piece, a writer that waits for its time."""
        clock = self._loop.time
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUE)

        async def read() -> None:
            data = b" "
            while data:
                try:
                    data = await reader.read(_PIECE)
                except OSError:
                    data = b""
                if not (data and self._silent):
                    await queue.put((clock() + self._late, data))

        reading = asyncio.create_task(read())
        try:
            while True:
                due, data = await queue.get()
                if due > clock():
                    await asyncio.sleep(due - clock())
                if not data:
                    return
                writer.write(data)
                await writer.drain()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


def _reset(writer: asyncio.StreamWriter) -> None:
    held = writer.get_extra_info("socket")
    if held is not None:
        with contextlib.suppress(OSError):
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
    writer.transport.abort()
