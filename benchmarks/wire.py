"""The wire: requests as bytes, on connections to one port that are kept alive."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from crowd import Browser

LOSS = 30.0
"""Seconds after which a request has no answer."""

WARMING = 4
"""Connections that requests in parallel share."""

JSON = "Content-Type: application/json\r\n"
CLICK = (
    "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
    "Sec-Fetch-Site: same-origin\r\nSec-Fetch-User: ?1\r\n"
)


class Answer(NamedTuple):
    """What a hub answered.

    Attributes:
        status: of the answer, 0 if there was none.
        body: its bytes.
    """

    status: int
    body: bytes


class Wire:
    """Connections to one port, kept alive; as many as it takes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: bytes) -> Answer:
        """Send a request and read the answer."""
        try:
            return await asyncio.wait_for(self._ask(request), LOSS)
        except (OSError, EOFError, asyncio.TimeoutError):
            return Answer(0, b"")

    async def _ask(self, request: bytes) -> Answer:
        if self._idle:
            reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            answer = await read_answer(reader)
        except BaseException:
            writer.close()
            raise
        self._idle.append((reader, writer))
        return answer

    def close(self) -> None:
        """Close all connections."""
        while self._idle:
            self._idle.pop()[1].close()


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Read an answer that says how long it is."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = re.search(r"content-length: *(\d+)", head, re.IGNORECASE)
    body = await reader.readexactly(int(length[1])) if length else b""
    return Answer(int(head.split(" ", 2)[1]), body)


def written(method: str, path: str, head: str, body: str = "") -> bytes:
    """Return a request as bytes."""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def by_token(token: str) -> str:
    """Return the header that shows a token."""
    return f"Authorization: token {token}\r\n"


def by_cookie(browser: Browser) -> str:
    """Return the headers with which a page's script asks."""
    return (
        f"Cookie: {browser.cookies}\r\nX-XSRFToken: {browser.xsrf}\r\n"
        "Sec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n"
    )


async def in_parallel(wire: Wire, requests: list[bytes]) -> list[Answer]:
    """Send requests on a few connections; return the answers in their order."""
    waiting = deque(enumerate(requests))
    answers: dict[int, Answer] = {}

    async def work() -> None:
        while waiting:
            number, request = waiting.popleft()
            answers[number] = await wire.ask(request)

    await asyncio.gather(*(work() for _ in range(WARMING)))
    return [answers[number] for number in range(len(requests))]
