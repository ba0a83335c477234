"""A gate in front of a server on loopback: it lets through, refuses or goes silent.

Below any protocol. It has a thread and a loop of its own, as a hub in the test's loop
may be what waits.
"""

import asyncio
import contextlib
import threading

from support.ports import free_port


class TCPGate:
    """Forwards TCP connections from a port of its own.

    Args:
        port: of the server behind it.
    """

    def __init__(self, port):
        self.port = free_port()
        self._behind = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._server = None
        self._passing = asyncio.Event()
        self._writers = set()
        self._tasks = set()

    def __enter__(self):
        """Let through."""
        self._thread.start()
        self.open()
        return self

    def __exit__(self, *_):
        """Close for good."""
        self.refuse()
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def refuse(self):
        """Drop all connections and refuse new ones, like a server that was stopped."""
        self._call(self._refuse())

    def silence(self):
        """Take connections and data and pass on nothing, like a server that hangs."""
        self._call(self._silence())

    def open(self, *, drop=True):
        """Let through again.

        Args:
            drop: break the connections that there are, like a network that has
                forgotten them; otherwise what was held back arrives now.
        """
        self._call(self._open(drop))

    def _call(self, work):
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _open(self, drop):
        if drop:
            self._drop()
        self._passing.set()
        await self._listen()

    async def _silence(self):
        self._passing.clear()
        await self._listen()

    async def _listen(self):
        if self._server is None:
            serve = asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self._server = await serve

    async def _refuse(self):
        if self._server is not None:
            self._server.close()
            self._server = None
        self._drop()

    async def _end(self):
        # whoever waits finds its connection gone
        self._passing.set()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _drop(self):
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        self._writers.add(writer)
        with contextlib.suppress(OSError):
            await self._passing.wait()
            if writer in self._writers:
                await self._join(reader, writer)
        self._tasks.discard(task)

    async def _join(self, reader, writer):
        back, on = await asyncio.open_connection("127.0.0.1", self._behind)
        self._writers.add(on)
        await asyncio.gather(self._forward(reader, on), self._forward(back, writer))

    async def _forward(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._passing.wait()
                writer.write(data)
                await writer.drain()
        await self._passing.wait()
        self._writers.discard(writer)
        writer.close()
