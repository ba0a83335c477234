"""Stands between a user's server and its hub, and can let the way fail.

A server is led here by ``JUPYTERHUB_API_URL``. Real HTTP on loopback: what goes through
reaches the real hub, and its answer the server.
"""

import asyncio
import itertools
import json
import time
from contextlib import suppress
from dataclasses import dataclass, field

from support.garbage import http
from support.ports import free_port

OURS = "/hub/api/ttl/"
"""What the agent asks; the rest are JupyterHub's own questions."""


@dataclass
class Question:
    """A request that has come to the gate."""

    line: str
    headers: dict
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def path(self):
        return self.line.split()[1]

    @property
    def is_ours(self):
        return self.path.startswith(OURS)

    @classmethod
    async def read(cls, reader):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
        line, *rest = head.strip().split("\r\n")
        headers = dict(text.split(": ", 1) for text in rest)
        length = int(headers.get("Content-Length", 0))
        return cls(line, headers, await reader.readexactly(length))

    def write(self):
        """Write it for the hub, which closes the connection when it has answered."""
        headers = {**self.headers, "Connection": "close"}
        lines = [self.line, *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin1") + self.body


class Gate:
    """The way to a hub; open until it is told to fail.

    Args:
        hub_port: of the hub itself, past its proxy.
    """

    def __init__(self, hub_port):
        self.hub_port = hub_port
        self.port = free_port()
        self.api_url = f"http://127.0.0.1:{self.port}/hub/api"
        self.asked = []
        self.waiting = 0
        """Answers that are held back at the moment."""
        self._answer = self._forward
        self._open = asyncio.Event()
        self._serving = set()

    async def forward(self):
        """Let everything through, what is held back first."""
        self._answer = self._forward
        self._open.set()
        if not self._listener.is_serving():
            await self.start()

    async def refuse(self):
        """Let nobody connect, like a hub that isn't there."""
        self._listener.close()

    async def hang(self):
        """Take questions, say nothing until :meth:`forward`: a hub that hangs."""
        self._open.clear()
        self._answer = self._hang

    async def delay(self, seconds):
        """Give each answer of the hub so much later."""
        self._open.clear()

        async def answer(question, writer):
            says = await self._ask_hub(question)
            await self._held(seconds)
            writer.write(says)

        self._answer = answer

    async def spoil(self, path, change):
        """Change what the hub answers at an address, a function of the JSON."""

        async def answer(question, writer):
            says = await self._ask_hub(question)
            if question.path == path:
                body = says.partition(b"\r\n\r\n")[2]
                (says,) = http(json.dumps(change(json.loads(body))).encode())
            writer.write(says)

        self._answer = answer

    async def garble(self, garbage):
        """Give the agent other answers than the hub's, in turn.

        Args:
            garbage: for each path, functions that take a question and return the
                pieces of an answer, down to the status line.
        """
        turns = {path: itertools.cycle(kinds) for path, kinds in garbage.items()}

        async def answer(question, writer):
            if question.path not in turns:
                await self._forward(question, writer)
                return
            for piece in next(turns[question.path])(question):
                writer.write(piece)
                await writer.drain()

        self._answer = answer

    def since(self, at, path=""):
        """Return what was asked since a time, by ``time.monotonic``."""
        return [q for q in self.asked if q.at >= at and q.path.endswith(path)]

    async def start(self):
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def stop(self):
        self._listener.close()
        self._open.set()
        if self._serving:
            await asyncio.wait(self._serving)

    async def _serve(self, reader, writer):
        self._serving.add(asyncio.current_task())
        # the server goes away, or the hub does
        with suppress(OSError, asyncio.IncompleteReadError):
            question = await Question.read(reader)
            self.asked.append(question)
            await self._answer(question, writer)
            await writer.drain()
        writer.close()
        self._serving.discard(asyncio.current_task())

    async def _ask_hub(self, question):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.hub_port)
        writer.write(question.write())
        says = await reader.read()
        writer.close()
        return says

    async def _forward(self, question, writer):
        writer.write(await self._ask_hub(question))

    async def _hang(self, question, writer):
        await self._held(None)
        await self._forward(question, writer)

    async def _held(self, seconds):
        self.waiting += 1
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._open.wait(), seconds)
        self.waiting -= 1
