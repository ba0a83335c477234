"""What the timer and the agent send: requests and bytes per hour.

A real hub, in this process, whose time is moved together with that of the pages; a real
Chromium, which says itself how many bytes it sent and got, headers included; a real
server with its agent, which reaches the hub through a gate that counts bytes. Takes
about ten minutes:
    python benchmarks/traffic.py
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import re
import shutil
import tempfile
import time
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from common import nothing_left_running

# isort: split
from browser.person import Person
from figures import Figure, table
from playwright.async_api import async_playwright
from support import server
from support.hub import Hub
from support.ports import free_port

import ttl_authenticator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from playwright.async_api import Browser, BrowserContext, Page, Request

STATIC = Path(ttl_authenticator.__file__).parent / "page" / "static"

TABS = (1, 10)
MINUTES = 60.0
IDLE_MINUTES = 30.0
"""The default of ``idle_timeout``."""

INTERVAL = 60.0
"""The default of ``heartbeat_interval``; agents ask as often."""

STEP = 2.0
"""Seconds of page time at once: less than the timer waits for an answer."""

INPUT = 5
"""Steps between two keys that are pressed; and the tab is changed with each."""

PATIENCE = 30.0
"""Real seconds after which what must happen hasn't."""

CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

SCRIPT = 5 * 1024
"""The budget of timer.js, gzipped: bytes."""

TIMER = re.compile(
    r'<link rel="stylesheet" href="[^"]*timer\.css.*?<script src="[^"]*timer\.js'
    r"[^>]*></script>",
    re.DOTALL,
)
"""What is added to a page."""


class Seen(NamedTuple):
    """Requests that were made.

    Attributes:
        requests: their number, by method and address.
        sent: bytes, headers included.
        got: bytes, headers included.
    """

    requests: Counter[str]
    sent: int
    got: int

    def __str__(self) -> str:
        number = self.requests.total()
        word = "request" if number == 1 else "requests"
        size = f", {kib(self.sent)} sent, {kib(self.got)} got" if number else ""
        return f"{number} {word}{size}"


def kib(size: int) -> str:
    """Return a size as text."""
    return f"{size / 1024:.1f} KiB"


# -- browsers ----------------------------------------------------------------------


class Watched(Person):
    """Somebody at a browser, what of whose requests is ours is counted.

    The time of their pages stands still by itself.
    """

    def __init__(self, hub: Hub, context: BrowserContext) -> None:
        super().__init__(hub, context)
        self.loaded = Seen(Counter(), 0, 0)
        """What was asked for until the first page was there."""
        self._pressed = -1
        self._under_way: set[Request] = set()
        self._done: list[Request] = []
        context.on("request", self._began)
        context.on("requestfinished", self._finished)
        context.on("requestfailed", self._failed)

    def _began(self, request: Request) -> None:
        if "/ttl/" in request.url:
            self._under_way.add(request)

    def _finished(self, request: Request) -> None:
        if request in self._under_way:
            self._under_way.discard(request)
            self._done.append(request)

    def _failed(self, request: Request) -> None:
        self._under_way.discard(request)

    async def begin(self, name: str, tabs: int) -> Page:
        """Sign in and open tabs; return the first one."""
        await self.context.clock.install()
        page: Page = await self.sign_in(name)
        await self.quiet()
        self.loaded = await self.seen()
        for _ in range(tabs - 1):
            await self.open()
        # later than any of them has
        soon = await page.evaluate("Date.now()") / 1000 + 1
        await self.context.clock.pause_at(datetime.fromtimestamp(soon, timezone.utc))
        await self.quiet()
        # from here on there is one beat in each interval
        await self.press()
        await self.seen()
        return page

    async def press(self) -> None:
        """Press a key, each time in the next tab."""
        self._pressed += 1
        pages = self.context.pages
        await pages[self._pressed % len(pages)].keyboard.press("Shift")
        await self.quiet()

    async def pass_hours(self, minutes: float, is_active: bool) -> None:
        """Let time pass for the hub and for all tabs, with a human there or not."""
        for number in range(round(minutes * 60 / STEP)):
            if is_active and number % INPUT == 0:
                await self.press()
            await self.hub.advance(STEP)
            await self.context.clock.run_for(round(STEP * 1000))
            await self.quiet()

    async def quiet(self) -> None:
        """Wait until every tab has dealt with what was under way."""
        give_up = time.monotonic() + PATIENCE
        while True:
            for page in self.context.pages:
                # it may just be leaving
                with contextlib.suppress(Exception):
                    await page.evaluate("0")
            if not self._under_way:
                return
            if time.monotonic() > give_up:
                raise TimeoutError([request.url for request in self._under_way])
            await asyncio.sleep(0.001)

    async def seen(self) -> Seen:
        """Return what was asked for since the last time."""
        done, self._done = self._done, []
        sizes = [await request.sizes() for request in done]
        return Seen(
            Counter(f"{r.method} {r.url.partition('?')[0]}" for r in done),
            sum(s["requestHeadersSize"] + s["requestBodySize"] for s in sizes),
            sum(s["responseHeadersSize"] + s["responseBodySize"] for s in sizes),
        )

    def at(self, path: str) -> int:
        """Return how many tabs show a page."""
        return sum(path in page.url for page in self.context.pages)


@contextlib.asynccontextmanager
async def watched(hub: Hub, browser: Browser) -> AsyncIterator[Watched]:
    """Give somebody a fresh browser."""
    context = await browser.new_context()
    hub.clock.freeze()
    try:
        yield Watched(hub, context)
    finally:
        hub.clock.thaw()
        await context.close()


async def hours(
    hub: Hub, browser: Browser, minutes: float, interval: float, tabs: int
) -> AsyncIterator[Figure]:
    """Measure an hour in a browser, with somebody there and with nobody."""
    many = f"{tabs} {'tab' if tabs == 1 else 'tabs'}"
    for is_active in (True, False):
        async with watched(hub, browser) as someone:
            await someone.begin(name_of(tabs, is_active), tabs)
            await someone.pass_hours(minutes, is_active)
            seen = await someone.seen()
        beats = round(minutes * 60 / interval) if is_active else 0
        yield Figure(
            f"a browser with {many}, {'active' if is_active else 'nobody there'}, "
            f"in {minutes:.0f} minutes",
            str(seen),
            f"{beats} requests",
            seen.requests.total() <= beats,
        )


def name_of(tabs: int, is_active: bool) -> str:
    """Return the name of somebody who isn't signed out."""
    return f"{'active' if is_active else 'away'}-{tabs}"


async def leaving(hub: Hub, browser: Browser, idle_minutes: float, tabs: int) -> Figure:
    """Measure what it takes until a browser with nobody at it is signed out."""
    async with watched(hub, browser) as someone:
        await someone.begin(f"leaving-{tabs}", tabs)
        await someone.pass_hours(idle_minutes + 1, is_active=False)
        seen = await someone.seen()
        left = someone.at("/hub/ttl/signed-out")
    asked = Seen(by_script(seen.requests), seen.sent, seen.got)
    pages = seen.requests.total() - asked.requests.total()
    return Figure(
        f"  nobody there, signed out after {idle_minutes:.0f} minutes, "
        f"{left} of {tabs} tabs",
        f"{asked.requests.total()} requests, and {pages} for the pages that say so; "
        f"{kib(seen.sent)} sent, {kib(seen.got)} got",
    )


def by_script(requests: Counter[str]) -> Counter[str]:
    """Leave out the requests of pages and what they load."""
    kept = {what: n for what, n in requests.items() if what.endswith("/ttl/session")}
    return Counter(kept)


async def first_page(hub: Hub, browser: Browser) -> list[Figure]:
    """Measure what a browser loads for the timer, once, and what is in each page."""
    async with watched(hub, browser) as someone:
        page = await someone.begin("first", 1)
        html = await (await page.request.get(page.url)).text()
        loaded = someone.loaded
    added = TIMER.search(html)
    assert added, html
    script = len(gzip.compress((STATIC / "timer.js").read_bytes()))
    return [
        Figure(
            "timer.js gzipped",
            f"{script} bytes",
            f"at most {SCRIPT}",
            script <= SCRIPT,
        ),
        Figure("all files of the timer, loaded once by a browser", kib(loaded.got)),
        Figure(
            "added to each page of HTML",
            f"{len(added[0].encode())} of {len(html.encode())} bytes",
        ),
    ]


# -- servers -----------------------------------------------------------------------


class Gate:
    """Passes connections on to a hub and counts their bytes.

    Args:
        port: where it listens.
        hub: the port of the hub.
    """

    def __init__(self, port: int, hub: int) -> None:
        self.port, self.hub = port, hub
        self.exchanges: dict[str, tuple[int, int]] = {}
        """Bytes sent and got by the last connection, by its first request."""
        self._running: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Gate:  # noqa: PYI034 - Self is of Python 3.11
        self._listening = await asyncio.start_server(self._pass, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task
        self._running.add(task)
        try:
            there = await asyncio.open_connection("127.0.0.1", self.hub)
            sent, got = await asyncio.gather(
                copied(reader, there[1]), copied(there[0], writer)
            )
            request = b" ".join(sent.split(b" ", 2)[:2]).decode("latin-1")
            self.exchanges[request] = len(sent), len(got)
        except OSError:
            # one side has gone
            writer.close()
        finally:
            self._running.discard(task)


async def copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Pass one direction of a connection on; return what it was."""
    seen = b""
    while chunk := await reader.read(1 << 16):
        seen += chunk
        writer.write(chunk)
    writer.close()
    return seen


async def agents(hub: Hub, gate: Gate) -> list[Figure]:
    """Measure one question and one heartbeat of an agent, and count them by contract.

    ``benchmarks/latency.py`` shows the counts.
    """
    await server.start(hub, "alice")
    page = await server.Page.open(await hub.signed_in("alice"))
    terminal = await page.terminal()
    gate.exchanges.clear()
    (await page.heartbeat()).raise_for_status()
    (await page.fetch("ttl/look-again", "POST")).raise_for_status()
    question, beat = "POST /hub/api/ttl/agent", "POST /hub/api/ttl/session"
    await server.until(lambda: {question, beat} <= gate.exchanges.keys())
    await terminal.close()
    an_hour = round(3600 / INTERVAL)
    cases = {"active": [question, beat], "nobody there": [question]}
    return [
        Figure(
            f"a server with open sockets and one session, {who}, in an hour, "
            f"each exchange {an_hour} times",
            str(
                Seen(
                    Counter(dict.fromkeys(what, an_hour)),
                    an_hour * sum(gate.exchanges[one][0] for one in what),
                    an_hour * sum(gate.exchanges[one][1] for one in what),
                )
            ),
        )
        for who, what in cases.items()
    ]


# -- all of it -----------------------------------------------------------------------


async def measure(
    minutes: float = MINUTES,
    tabs: Sequence[int] = TABS,
    idle_minutes: float = IDLE_MINUTES,
) -> list[Figure]:
    """Measure everything.

    Args:
        minutes: how long people are watched.
        tabs: how many each of them has.
        idle_minutes: after which those who leave are signed out.
    """
    figures: list[Figure] = []
    # so that several of them are in the idle timeout
    interval = min(INTERVAL, idle_minutes * 60 / 6)
    async with running(tabs, idle_minutes) as (hub, gate), chromium() as browser:
        figures += await first_page(hub, browser)
        for count in tabs:
            figures += [f async for f in hours(hub, browser, minutes, interval, count)]
            figures.append(await leaving(hub, browser, idle_minutes, count))
        figures += await agents(hub, gate)
    return figures


@contextlib.asynccontextmanager
async def running(
    tabs: Sequence[int], idle_minutes: float
) -> AsyncIterator[tuple[Hub, Gate]]:
    """Run a hub that agents reach through a gate."""
    stays = {name_of(count, is_active=False): {"idle_timeout": "11h"} for count in tabs}
    gate_port = free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        hub = Hub(
            folder,
            JupyterHub={"log_level": "ERROR"},
            Spawner={
                "hub_connect_url": f"http://127.0.0.1:{gate_port}",
                "args": ["--allow-root", "--ServerApp.log_level=ERROR"],
            },
            TTLAuthenticator={
                "idle_timeout": idle_minutes * 60,
                "max_lifetime": "12h",
                "user_limits": stays,
            },
        )
        hub_port = int(hub.config.JupyterHub.hub_bind_url.rpartition(":")[2])
        async with Gate(gate_port, hub_port) as gate:
            await hub.start()
            try:
                yield hub, gate
            finally:
                await hub.stop()


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run the system's Chromium, or else the one that Playwright brings."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=CHROMIUM)
        yield browser
        await browser.close()


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Count what timer and agent send.")
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--tabs", type=int, nargs="+", default=TABS)
    parser.add_argument("--idle-minutes", type=float, default=IDLE_MINUTES)
    return parser.parse_args()


if __name__ == "__main__":
    with nothing_left_running():
        print(table(asyncio.run(measure(**vars(arguments())))), end="")
