"""Everybody's servers, and the agents in them, played by one process."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from crowd import PER_USER
from jupyterhub import __version__ as hub_version
from support.ports import free_port
from wire import JSON, by_token, written

if TYPE_CHECKING:
    from crowd import Browser, Crowd
    from wire import Wire

RETRY = 1.0
"""Seconds after which an agent asks again that got no answer."""


class Servers:
    """All users' servers, with agents that ask the hub when they are told to look.

    Args:
        crowd: whose servers.
    """

    def __init__(self, crowd: Crowd) -> None:
        self.port = free_port()
        self.crowd = crowd
        self.hub: Wire | None = None
        self.told: dict[str, dict[str, Any]] = {}
        """What the hub last said of a browser's session, by the session's id."""
        self.asked: Counter[str] = Counter()
        """Answers to questions, by user."""
        self.failed = 0
        self._numbers = {name: n for n, name in enumerate(crowd.names)}
        self._asking: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Servers:  # noqa: PYI034 - Self is of Python 3.11
        self._listening = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, backlog=1000
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        for task in self._asking:
            task.cancel()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        # a connection of the hub's, which ends it when it likes
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                name = head.split("/", 3)[2]
                is_notice = "/ttl/look-again" in head.partition("\r\n")[0]
                body = b'{"agent": "benchmark"}' if is_notice else b"{}"
                writer.write(
                    b"HTTP/1.1 200 OK\r\nX-JupyterHub-Version: %s\r\n"
                    b"Content-Length: %d\r\n\r\n%s"
                    % (hub_version.encode(), len(body), body)
                )
                if is_notice:
                    task = asyncio.ensure_future(self._ask(name))
                    self._asking.add(task)
                    task.add_done_callback(self._asking.discard)
        writer.close()

    async def _ask(self, name: str) -> None:
        if self.hub is None:
            return
        number = self._numbers[name]
        first = number * PER_USER
        browsers = self.crowd.browsers[first : first + PER_USER]
        asked = question(self.crowd.server_tokens[number], browsers)
        while not (answer := await self.hub.ask(asked)).status:  # noqa: ASYNC110
            # told by a hub that starts and doesn't listen yet
            await asyncio.sleep(RETRY)
        if answer.status != 200:
            self.failed += 1
            return
        for browser, model in zip(
            browsers, json.loads(answer.body)["sessions"], strict=True
        ):
            self.told[browser.session] = model
        self.asked[name] += 1


def question(token: str, browsers: list[Browser]) -> bytes:
    """Return an agent's question about the sessions of a server's browsers."""
    asked = [{"user": b.user, "session_id": b.session_id} for b in browsers]
    model = {"version": "benchmark", "server": "", "sessions": asked}
    head = by_token(token) + JSON
    return written("POST", "/hub/api/ttl/agent", head, json.dumps(model))
