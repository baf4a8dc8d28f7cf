"""A bad network on loopback: a TCP proxy that cuts connections, stalls, delays and flips bytes on their way up.

It stands between senders and a receiver and counts what passes. All randomness comes from one seed; a `Touch` does
one exact thing instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Touch = Callable[[bytes, bool], Awaitable[bytes]]
"""Given each chunk, and whether it goes up: returns what is passed on; an OSError cuts the connection there."""


@dataclass(frozen=True, kw_only=True)
class Weather:
    """How bad the network is."""

    bytes_until_cut: float = 0.0
    """Mean number of bytes of a connection before it is cut; 0 for never."""
    corrupt_chance: float = 0.0
    """Chance that one byte of a chunk going up is changed."""
    stall_chance: float = 0.0
    """Chance that a chunk is held for up to `stall_s`."""
    stall_s: float = 0.5


@dataclass
class Passed:
    """What the proxy has seen."""

    bytes_up: int = 0
    """From senders to the receiver, headers included."""
    connections: int = 0
    cuts: int = 0
    corrupted: int = 0
    stalls: int = 0


class ChaosProxy:
    """Listens on a free loopback port and forwards to another, in a thread of its own."""

    def __init__(self, upstream_port: int, weather: Weather, seed: int, touch: Touch | None = None) -> None:
        """Start listening; `port` is set on return. Chunks go through `touch` before the weather has them."""
        self.passed = Passed()
        self.weather = weather
        self._touch = touch
        self.port = 0
        self._upstream_port = upstream_port
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait()

    def close(self) -> None:
        """Cut everything and stop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def forward_to(self, upstream_port: int) -> None:
        """Forward new connections to another port: the receiver has moved."""
        self._upstream_port = upstream_port

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)

        async def listen() -> asyncio.Server:
            return await asyncio.start_server(self._connected, "127.0.0.1", 0)

        server = self._loop.run_until_complete(listen())
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()
        server.close()
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        self._loop.close()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._forward(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.passed.connections += 1
        ends = [writer]
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
            ends.append(up_writer)
            mean = self.weather.bytes_until_cut
            left = [self._random.expovariate(1 / mean) if mean else float("inf")]
            pumps = [
                asyncio.ensure_future(self._pump(reader, up_writer, left, is_up=True)),
                asyncio.ensure_future(self._pump(up_reader, writer, left, is_up=False)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            pass  # the receiver is dead just now
        finally:
            for end in ends:
                with contextlib.suppress(Exception):
                    end.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: list[float], *, is_up: bool
    ) -> None:
        while data := await reader.read(32 << 10):
            if self._touch is not None:
                data = await self._touch(data, is_up)
            if self._random.random() < self.weather.stall_chance:
                self.passed.stalls += 1
                await asyncio.sleep(self._random.random() * self.weather.stall_s)
            if is_up:
                self.passed.bytes_up += len(data)
                if self._random.random() < self.weather.corrupt_chance:
                    self.passed.corrupted += 1
                    place = self._random.randrange(len(data))
                    data = data[:place] + bytes([data[place] ^ (1 << self._random.randrange(8))]) + data[place + 1 :]
            left[0] -= len(data)
            if left[0] < 0:
                self.passed.cuts += 1
                return
            writer.write(data)
            await writer.drain()
