"""People at work in their servers: a browser each, with a terminal open."""

import asyncio
import itertools
import time
from contextlib import asynccontextmanager, suppress

from support.server import Page

BEAT = 1.0
"""Seconds between two inputs of somebody who works."""

_numbers = itertools.count(1)


class Visitor:
    """Somebody in a browser, signed in for this, with a terminal open.

    Attributes:
        beat_at: the last input, by ``time.monotonic`` as all times here.
        deadline: when the session ends without another.
        lifetime_end: when it ends in any case.
        longest: seconds that the slowest REST request took since it was set to 0.
    """

    def __init__(self, page, terminal):
        self.page = page
        self.client = page.client
        self.terminal = terminal
        self.beat_at = self.deadline = self.lifetime_end = None
        self.longest = 0.0

    @classmethod
    async def arrive(cls, hub, name):
        client = await hub.signed_in(name)
        page = await Page.open(client, f"/user/{name}/")
        visitor = cls(page, await page.terminal())
        await visitor.beat()
        return visitor

    async def beat(self):
        """Make an input; it must count."""
        self.beat_at = time.monotonic()
        answer = await self.page.heartbeat()
        assert 200 == answer.status_code, answer.text
        model = answer.json()
        assert ("active", self.name) == (model["state"], model["user"])
        self.deadline = self.beat_at + model["idle_remaining"]
        self.lifetime_end = self.beat_at + model["lifetime_remaining"]
        return model

    async def work(self):
        """Use everything that a session opens; it must be there."""
        await self.beat()
        began = time.monotonic()
        answer = await self.page.fetch("api/contents")
        self.longest = max(self.longest, time.monotonic() - began)
        assert 200 == answer.status_code, answer.text
        assert self.terminal.is_open, self.terminal.closed
        word = f"word-{next(_numbers)}-"
        await self.terminal.type(f"echo {word}$((40+2))\r")
        await self.terminal.until(f"{word}42")

    async def sign_out(self):
        """Sign out at the hub; this browser goes on as if it didn't know."""
        thief = self.client.as_thief()
        answer = await thief.go("/hub/logout")
        assert answer.status_code in (200, 302), answer.text

    async def end(self):
        """Wait until the terminal is closed; return why, and when."""
        return await self.terminal.until_closed(), time.monotonic()

    @property
    def name(self):
        return self.page.prefix.split("/")[2]


@asynccontextmanager
async def working(*visitors):
    """Let visitors work meanwhile; whatever they can't do is an error."""

    async def work(visitor):
        while not over.is_set():
            await visitor.work()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(over.wait(), BEAT)

    over = asyncio.Event()
    tasks = [asyncio.ensure_future(work(visitor)) for visitor in visitors]
    try:
        yield
    finally:
        over.set()
        await asyncio.gather(*tasks)
